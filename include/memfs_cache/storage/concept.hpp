// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/ids.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace memfs_cache {

/// Which state of an object was seen. Opaque: only equality means anything, and a version never comes back, not even
/// when the same bytes are written again (unless capabilities().versions_recur).
struct Version {
    std::string token;
    friend auto operator==(Version const&, Version const&) -> bool = default;
};

/// Bytes of an object (or of the range asked for) and the version of the whole object.
struct Object {
    Bytes bytes;
    Version version;
};

/// Part of an object, in bytes. A range that begins at or past the end gives no bytes, not an error.
struct Byte_Range {
    std::uint64_t offset = 0;
    std::uint64_t length = std::numeric_limits<std::uint64_t>::max();
};

/// When a write may take effect.
class Precondition {
  public:
    enum class Kind { none, absent, version };

    /// Create or replace.
    [[nodiscard]] static auto none() -> Precondition { return {Kind::none, {}}; }
    /// Create; refused if the object is there.
    [[nodiscard]] static auto absent() -> Precondition { return {Kind::absent, {}}; }
    /// Replace exactly this version.
    [[nodiscard]] static auto only_if(Version version) -> Precondition { return {Kind::version, std::move(version)}; }

    [[nodiscard]] auto kind() const noexcept -> Kind { return kind_; }
    [[nodiscard]] auto version() const noexcept -> Version const& { return version_; }

  private:
    Precondition(Kind kind, Version version) : kind_(kind), version_(std::move(version)) {}
    Kind kind_;
    Version version_;
};

/// Three outcomes, not two. After `unknown` the write may have happened, may still happen, or never will: read to
/// learn.
enum class Put_State { applied, not_applied, unknown };

struct Put_Outcome {
    Put_State state = Put_State::unknown;
    Version version; ///< of the object after an applied write; empty otherwise
};

/// How much a write has survived when it is acknowledged.
enum class Durability {
    buffered, ///< a crash of the process loses nothing; loss of power may, until the next sync()
    durable,  ///< loss of power loses nothing
};

struct Put_Options {
    Durability durability = Durability::durable;
    bool owner_only =
        false; ///< readable by the owning user alone, where the backend knows users (disk: mode 0600); for secrets
};

struct List_Query {
    std::string prefix;       ///< only keys that begin with it; "" for all
    std::string start_after;  ///< only keys greater than it in byte order; "" for all
    std::size_t limit = 1000; ///< at most so many, 1 or more; a page may be shorter
};

/// What every backend asks of a query before it looks for anything.
/// @errors invalid_argument: a limit of 0, or a prefix or start that no key can begin with (see check_prefix).
[[nodiscard]] auto check_list_query(List_Query const& query) -> Result<void>;

struct List_Item {
    std::string key;
    std::uint64_t size_bytes = 0;
    Version version;
};

struct Page {
    std::vector<List_Item> items; ///< in byte order of their keys
    std::string next;             ///< start_after of the next page; "" when there is none
};

/// What a backend can promise. Parts of the library that need a promise refuse to open without it.
struct Capabilities {
    bool conditional_put = false;          ///< absent and version conditions are atomic
    bool append = false;                   ///< append() works
    bool survives_process = false;         ///< what is stored outlives the process that stored it
    bool shared_between_processes = false; ///< several processes of one machine may open it
    bool shared_between_machines = false;  ///< processes of several machines may
    std::uint64_t max_value_bytes = 0;     ///< largest object
    bool conditional_erase = false;        ///< conditions of erase are atomic, and of two at once one is told true
    bool versions_recur = false;           ///< no promise but a warning: the same bytes again have the same version
    std::size_t max_key_bytes = Storage_Key::max_bytes; ///< a longer key gives invalid_argument
};

/// Operations since the storage was opened. A failed operation counts too.
struct Operation_Counts {
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    std::uint64_t appends = 0;
    std::uint64_t lists = 0;
    std::uint64_t deletes = 0;
    std::uint64_t bytes_read = 0;
    std::uint64_t bytes_written = 0;
};

/// The counters behind Operation_Counts; each backend holds one.
/// Threads: any; the counts of one snapshot may be a few operations apart.
class Operation_Counters {
  public:
    void read(std::uint64_t bytes) noexcept { add(reads_, bytes_read_, bytes); }
    void write(std::uint64_t bytes) noexcept { add(writes_, bytes_written_, bytes); }
    void append(std::uint64_t bytes) noexcept { add(appends_, bytes_written_, bytes); }
    void list() noexcept { lists_.fetch_add(1, std::memory_order_relaxed); }
    void erase() noexcept { deletes_.fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] auto snapshot() const noexcept -> Operation_Counts {
        return {reads_, writes_, appends_, lists_, deletes_, bytes_read_, bytes_written_};
    }

  private:
    using Count = std::atomic<std::uint64_t>;
    static void add(Count& operations, Count& total, std::uint64_t bytes) noexcept {
        operations.fetch_add(1, std::memory_order_relaxed);
        total.fetch_add(bytes, std::memory_order_relaxed);
    }
    Count reads_{0}, writes_{0}, appends_{0}, lists_{0}, deletes_{0}, bytes_read_{0}, bytes_written_{0};
};

/// A place that keeps named byte strings; the only thing that upper layers know about storage.
///
/// get      the object or the range of it, nothing if absent.
/// put      whole object, one of the three outcomes; `not_applied` only when the precondition was false.
/// erase    true if this call removed the object; false if it was absent or the precondition was false.
/// list     keys in byte order, `start_after` exclusive.
/// append   adds bytes at offset `at`, which must be the object's present size (an absent object has size 0 and is
///          created); any other size gives `not_applied`. So an append can be repeated after an unknown outcome without
///          doubling bytes.
/// sync     everything acknowledged before the call survives loss of power after it, and so does what writes of this
///          handle have left whose outcome was unknown.
/// again    a durable put or erase that is repeated after an unknown outcome, and finds its effect in place
///          (`not_applied`, or false), has made that effect durable.
///
/// Threads  every operation may run beside every other on one object.
/// Order    a get or list that starts after a put returned sees it.
/// Errors   absent is not an error. On any Error or `unknown` the stored value is the old one or the new one, never a
///          mix; after a failed append the object may have grown by a part of the bytes.
/// Proof    tests/cpp/storage/conformance.hpp; a backend that is not in MEMFS_CACHE_BACKENDS does not exist.
template <class S>
concept StorageBackend = std::destructible<S> && requires(S& s,
                                                          S const& cs,
                                                          Storage_Key const& key,
                                                          Byte_View bytes,
                                                          Precondition const& when,
                                                          Durability durability,
                                                          Put_Options const& options,
                                                          Byte_Range range,
                                                          std::uint64_t at,
                                                          List_Query const& query) {
    { cs.get(key) } -> std::same_as<Result<std::optional<Object>>>;
    { cs.get(key, range) } -> std::same_as<Result<std::optional<Object>>>;
    { s.put(key, bytes, when) } -> std::same_as<Result<Put_Outcome>>; // default Put_Options: durable
    { s.put(key, bytes, when, options) } -> std::same_as<Result<Put_Outcome>>;
    { s.erase(key, when) } -> std::same_as<Result<bool>>;
    { cs.list(query) } -> std::same_as<Result<Page>>;
    { s.append(key, at, bytes, durability) } -> std::same_as<Result<Put_Outcome>>;
    { s.sync() } -> std::same_as<Result<void>>;
    { cs.capabilities() } -> std::same_as<Capabilities>;
    { cs.counters() } -> std::same_as<Operation_Counts>;
};

} // namespace memfs_cache
