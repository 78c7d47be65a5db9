// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/events/manifest.hpp>
#include <memfs_cache/storage/any.hpp>

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace example {

using namespace memfs_cache;

/// Where the bytes of a transfer lie. Each upload has a place of its own, so that one never mixes with another.
struct Payload {
    std::string upload; ///< 16 random hex digits; "" if there is none, or none any more
    std::uint64_t size_bytes = 0;
    std::string sha256;            ///< lower-case hex
    std::uint64_t piece_bytes = 0; ///< it lies in objects of so many bytes; 0: in a single one
};

/// A download that has been promised to a client and is not over.
struct Reservation {
    std::string id;
    Utc_Time at;
    Process_Identity holder;
};

/// What becomes of asking for a download.
enum class Promise { given, none_left_now, over };

/// A file on its way from one person to others, as transfers/{transfer_id}/meta.json says it: docs/format.md.
struct Transfer {
    static constexpr Utc_Time never = from_millis(0);

    std::string transfer_id;        ///< 12 lower-case hex digits
    std::string status = "pending"; ///< then completed, exhausted, deleted
    std::string file_name;
    std::string content_type;
    Payload payload;
    Utc_Time created_at;
    Utc_Time completed_at = never;
    Utc_Time expires_at = never;
    std::uint64_t max_downloads = 0; ///< 0: as many as one likes
    std::uint64_t download_count = 0;
    bool auto_delete = false; ///< the payload goes with the last download that is allowed
    std::string token_name;   ///< "" if none was asked for
    std::string token_id;
    std::string delete_key_hash;
    std::vector<Reservation> reserved; ///< of a transfer with max_downloads
    std::vector<std::string> counted;  ///< the last downloads of one without, so that none counts twice

    [[nodiscard]] auto is_over(Utc_Time now) const -> bool {
        return status == "deleted" || (expires_at != never && expires_at <= now);
    }
    /// Downloads that nobody has or is promised; nothing if there is no limit.
    [[nodiscard]] auto remaining() const -> std::optional<std::uint64_t>;
    /// Promises a download under an id, once however often it is asked with it.
    /// @param  lost_before  promises that were given before may be counted as used
    [[nodiscard]] auto promise(std::string const& download_id, Utc_Time now, Utc_Time lost_before) -> Promise;
    /// Counts a download, or gives it back. Does nothing if it was settled before.
    /// @return whether it changed anything
    auto settle(std::string_view download_id, bool is_whole) -> bool;
    /// Counts downloads whose server has died, or which began so long ago: nobody knows what came of them.
    auto charge_lost(Utc_Time lost_before) -> bool;
    /// No payload is given out any more.
    void end(std::string_view last_status);

    [[nodiscard]] auto to_json() const -> Bytes;
    [[nodiscard]] static auto parse(Byte_View text, std::string_view what) -> Result<Transfer>;
};

/// Transfers on a storage, each a meta.json that is changed by conditional writes only, and a payload.
/// Threads  any, of any number of processes
class Transfer_Store {
  public:
    /// A transfer that is older and was not completed is abandoned, and a download that takes longer counts.
    static constexpr auto patience = std::chrono::hours(24);

    /// @errors unsupported: a storage without conditional writes, on which no limit would hold
    [[nodiscard]] static auto open(Any_Storage storage, Clock_Ptr clock) -> Result<Transfer_Store>;

    /// Can a transfer have this id?
    [[nodiscard]] static auto is_id(std::string_view text) -> bool;
    [[nodiscard]] auto clock() const -> Clock_Ptr const& { return clock_; }
    /// @param  wanted  gets an id and its time
    [[nodiscard]] auto create(Transfer wanted) -> Result<Transfer>;
    /// @return nothing if there is no such transfer, or none can have this id
    [[nodiscard]] auto read(std::string_view transfer_id) const -> Result<std::optional<Transfer>>;
    /// @param  edit  says whether it changed anything; called again when somebody else was faster
    /// @return the transfer afterwards; nothing if there is none
    [[nodiscard]] auto change(std::string_view transfer_id, std::function<bool(Transfer&)> const& edit)
        -> Result<std::optional<Transfer>>;

    // Payloads
    /// Where an upload goes that begins now.
    [[nodiscard]] auto new_payload() const -> Payload;
    /// How much is best written and read at once.
    [[nodiscard]] auto piece_bytes(Payload const& payload) const -> std::size_t;
    /// Adds a piece of piece_bytes(), or the last one, and counts it.
    [[nodiscard]] auto add(std::string_view transfer_id, Payload& payload, Byte_View piece) -> Result<void>;
    /// All that was added will be there, also after a loss of power.
    [[nodiscard]] auto settle(std::string_view transfer_id, Payload const& payload) -> Result<void>;
    /// @return 1..most bytes
    /// @errors not_found: the payload has been removed
    [[nodiscard]] auto
    read(std::string_view transfer_id, Payload const& payload, std::uint64_t offset, std::size_t most) const
        -> Result<Bytes>;
    [[nodiscard]] auto erase(std::string_view transfer_id, Payload const& payload) -> Result<void>;

    /// Deletes what was abandoned or has expired, counts downloads that were lost, and removes payloads that belong to
    /// nothing. May run beside everything else, and be broken off.
    /// @param  goes_on  asked before each transfer
    /// @return the first error, after which the other transfers were looked at all the same
    auto sweep(std::function<bool()> const& goes_on = [] { return true; }) -> Result<void>;

  private:
    Transfer_Store(Any_Storage storage, Clock_Ptr clock) : storage_(std::move(storage)), clock_(std::move(clock)) {}
    auto sweep_one(std::string const& transfer_id) -> Result<void>;

    Any_Storage storage_;
    Clock_Ptr clock_;
};

} // namespace example
