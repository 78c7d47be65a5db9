// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/net/credentials.hpp>
#include <memfs_cache/net/http_client.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Where a bucket is and how to talk to it.
struct S3_Settings {
    std::string bucket;
    std::string prefix;                         ///< of every key, without a slash at its end; "" for none
    std::string endpoint_url;                   ///< "" for Amazon's own of the region
    std::string region;                         ///< "" as the environment says, else us-east-1
    std::optional<Aws_Credentials> credentials; ///< else as find_credentials() finds them
    /// bucket.host instead of host/bucket. Nothing: at Amazon yes, elsewhere no.
    std::optional<bool> virtual_host;
    Http_Client_Options client;
    std::chrono::milliseconds retry_budget{60'000}; ///< no try of one operation begins later
    int most_tries = 10;                            ///< of one request
    std::uint64_t part_bytes = 16 << 20;            ///< larger objects are sent in parts of this size; 5 MiB or more
    Clock_Ptr clock;                                ///< for signatures; the machine's unless given
    /// How to wait between two tries; as this thread unless given. Counts against the budget, however long it took.
    std::function<void(std::chrono::milliseconds)> wait;

    /// @param  url  s3://bucket/prefix?endpoint_url=...&region=...&addressing=path|virtual&ca_file=...
    /// @errors invalid_argument: not of this form, an unknown parameter, credentials in it; the text is never repeated
    [[nodiscard]] static auto parse(std::string_view url) -> Result<S3_Settings>;
};

/// Storage in a bucket of any service that speaks S3's REST protocol. A key is the object's name behind the prefix, and
/// the object is the value and nothing else, so every other S3 tool reads it. Objects whose name is no valid key are not
/// listed.
///
/// Versions the service's ETags, which come back with the same bytes (capabilities().versions_recur): whoever replaces
///          by version writes a nonce into the bytes, or something that never returns to an earlier state.
/// Tries    again after answers that ask for it and after none, with growing random pauses and on new connections,
///          within the budget. Each put carries an id of its own as metadata (x-amz-meta-memfs-cache-write): a put that
///          is refused after an earlier try of it went unanswered looks whether that id stands there, and gives
///          `applied` only then. It gives `not_applied` only if no try of it can have had an effect, and else `unknown`.
/// Habits   of the service are learned by open(): whether conditions are obeyed, how an ETag is named in them, how
///          listings are continued. Where a wrong condition is accepted, capabilities().conditional_put is false and a
///          put with a condition gives unsupported.
/// Threads  any; each that waits for an answer has a connection of its own. Also after fork().
/// Cost     one request an operation (counters() count requests, repeated ones too): put 1, from part_bytes on
///          2 + parts; get 1, one more for a range past the end; list 1; erase 2.
class Storage_S3 {
  public:
    /// Looks for the bucket and learns the habits of the service with objects below `{prefix}/.memfs_cache/probe/`,
    /// which it removes again. What it learned holds for this handle: another gateway under the same name may behave
    /// differently next time.
    /// @errors invalid_argument: a setting, or the region; not_found: no credentials or no such bucket;
    ///         permission_denied: the keys or what they may do; unavailable, timed_out: no answer; unsupported: lists
    ///         in no order. Each says which setting to change and repeats no secret.
    /// Cost    seven puts, two lists, one look and six deletes, one after the other; three puts and three deletes less
    ///         where the first wrong condition is accepted
    [[nodiscard]] static auto open(S3_Settings settings) -> Result<Storage_S3>;

    Storage_S3(Storage_S3&&) noexcept;
    auto operator=(Storage_S3&&) noexcept -> Storage_S3&;
    ~Storage_S3();

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>>;
    /// Every put is durable when it returns; who may read is the bucket's policy. Options change nothing here.
    /// An object may be there after `unknown`, or appear at any later time.
    /// @errors invalid_argument: the key is longer than capabilities().max_key_bytes; too_large; permission_denied; no_space;
    ///         throttled: the service wants less of this in every try; unavailable, timed_out: it was never reached.
    ///         Nothing was written by a put that gives an error other than throttled.
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome>;
    /// Looks at the object first, because the service does not say whether there was one. Without
    /// capabilities().conditional_erase a writer between the look and the deletion is not seen, and of two callers at
    /// once both may be told true.
    /// @errors indeterminate: gone, but it is not known by whom
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool>;
    /// @errors corrupt_data: no listing, or not in order: stale or looping pages are never passed on
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page>;
    /// @errors unsupported, always: objects do not grow
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome>;
    /// There is nothing left to do.
    [[nodiscard]] auto sync() -> Result<void>;
    [[nodiscard]] auto capabilities() const -> Capabilities;
    /// Requests that went over the wire, repeated ones and those of open() too.
    [[nodiscard]] auto counters() const -> Operation_Counts;

  private:
    struct State;
    explicit Storage_S3(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

static_assert(StorageBackend<Storage_S3>);

} // namespace memfs_cache
