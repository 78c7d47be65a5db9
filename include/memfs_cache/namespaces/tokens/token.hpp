// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/events/manifest.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

enum class Token_Status { active, exhausted, revoked, expired };

/// "active", "exhausted", "revoked" or "expired".
[[nodiscard]] auto to_text(Token_Status status) noexcept -> std::string_view;

/// The name of a token as it is kept: trimmed and in small letters.
/// @errors invalid_argument unless that is a letter or digit and then up to 127 of a-z 0-9 _ -; a name is never rewritten
///         any further, so that two names are never one token by accident
[[nodiscard]] auto parse_token_name(std::string_view text) -> Result<std::string>;

/// A block of uses that a process has leased: it may grant so many without asking anybody. docs/format.md, "Blocks".
struct Token_Lease {
    std::string id;            ///< 14 random hex digits; granted at most once, and settled at most once
    std::uint64_t granted = 0; ///< uses, 1 or more
    Utc_Time at;               ///< when it was leased, by its holder's clock
    Process_Identity holder;

    friend auto operator==(Token_Lease const&, Token_Lease const&) -> bool = default;
};

/// An invitation token as it is stored: docs/format.md, "Tokens".
struct Token_Record {
    static constexpr std::size_t most_write_ids = 32;
    static constexpr std::uint64_t no_limit = 0;
    static constexpr Utc_Time never = from_millis(0);

    std::string cache_id;
    std::string cache_hash;
    std::string token_name;
    std::uint64_t usage_limit = no_limit;
    std::uint64_t usage_count = 0; ///< uses that are settled: all there are, unless some are leased; never lowered
    std::string created_by;
    Utc_Time created_at;
    Utc_Time expires_at = never;
    Utc_Time revoked_at = never;
    Utc_Time last_used_at = never;
    boost::json::object metadata;
    std::uint64_t block_size = 0; ///< the most uses in a lease; 0: none are leased, every use is written
    bool recall = false;          ///< somebody finds nothing left: holders are asked to give back what they do not need
    std::vector<Token_Lease> leases;
    /// Of the last writes, the newest last. A writer that got no answer finds its own here, or finds the one that it built
    /// on and so knows that its own never took and never will take effect.
    std::vector<std::string> write_ids;

    /// Exhausted only when all uses are settled: what is leased may yet come back.
    [[nodiscard]] auto status_at(Utc_Time now) const noexcept -> Token_Status;
    /// Uses that are leased out.
    [[nodiscard]] auto leased() const noexcept -> std::uint64_t;
    /// Uses that may have been granted: those settled and those leased out.
    [[nodiscard]] auto counted() const noexcept -> std::uint64_t { return usage_count + leased(); }
    /// What nobody has yet; nothing if it is not limited.
    [[nodiscard]] auto remaining() const noexcept -> std::optional<std::uint64_t>;
    [[nodiscard]] auto find_lease(std::string_view id) const noexcept -> Token_Lease const*;
    /// Ends a lease of which so many uses were granted. One that is gone was charged in full: then nothing changes.
    /// @return whether it was there
    auto settle(std::string_view lease_id, std::uint64_t used) -> bool;
    /// Ends leases whose holders are gone. Nobody knows what they have granted, so all of it counts as used.
    /// @param  is_gone  (Token_Lease const&) -> bool
    /// @return those leases
    template <class Is_Gone>
    auto charge(Is_Gone&& is_gone) -> std::vector<Token_Lease> {
        std::vector<Token_Lease> gone;
        for (auto const& lease : leases)
            if (is_gone(lease))
                gone.push_back(lease);
        for (auto const& lease : gone)
            settle(lease.id, lease.granted);
        return gone;
    }
    [[nodiscard]] auto was_written_by(std::string_view write_id) const noexcept -> bool;
    /// Enters a new write, and forgets the oldest.
    void begin_write(std::string write_id);

    [[nodiscard]] auto to_json() const -> Bytes;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(Byte_View text) -> Result<Token_Record>;
};

/// A token as it is shown.
struct Token {
    std::string cache_id;
    std::string cache_hash;
    std::string token_name;
    std::uint64_t usage_limit = 0;          ///< 0: as often as one likes
    std::uint64_t usage_count = 0;          ///< granted at most so often: what is leased out counts as granted
    std::uint64_t usage_count_min = 0;      ///< the part of it that is settled
    std::optional<std::uint64_t> remaining; ///< nothing if it is not limited
    Token_Status status = Token_Status::active;
    Utc_Time created_at;
    std::string created_by;
    Utc_Time expires_at; ///< 1970 for never, as the two below
    Utc_Time revoked_at;
    Utc_Time last_used_at;
    boost::json::object metadata;
    std::string share_url; ///< "" without a share_url_base

    /// @param  share_url_base  what the name is put behind, such as "https://files.example/t/"; "" for none
    [[nodiscard]] static auto of(Token_Record const& record, Utc_Time now, std::string_view share_url_base) -> Token;
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// What came of using a token. A refusal is a result, not an error.
struct Token_Use {
    bool success = false;
    std::string_view rejection_reason; ///< "" or "exhausted", "expired", "revoked", "not_found"
    std::uint64_t usage_count = 0;
    std::optional<std::uint64_t> remaining; ///< nothing if it is not limited, or not known

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
