// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <chrono>
#include <filesystem>
#include <memory>

namespace memfs_cache {

struct Sqlite_Options {
    /// How long a call waits for another process that holds the file before it gives unavailable; 0 or more.
    std::chrono::milliseconds busy_timeout{10'000};
};

/// Storage in one SQLite database file, in WAL mode, for the processes of one machine.
///
/// Format   the table `memory_fs_files` of the Python provider of Memory-FS, read and written in place: both programs may
///          use one file at once. Versions and sizes stand in a table of our own, kept by triggers, so that a write of
///          the other program is a new version, too, and a second row of one path is refused (docs/format.md). Rows
///          whose path is no valid key are not objects.
/// Versions a counter kept in the file; it only grows.
/// Threads  any, and any number of processes of one machine, also after fork(), which waits for calls that run. Reads
///          run beside everything; writes of all threads that wait share one transaction and one flush.
/// Lasting  what is lost with power is what SQLite promises: nothing of a commit with synchronous=FULL (durable),
///          nothing of older commits when one with FULL follows, anything since then of commits with NORMAL (buffered).
/// Secrets  a file that is made here is readable by its owner alone, as the objects within cannot differ. One that was
///          there keeps its mode.
/// Not for  network file systems, whose locks do not promise what SQLite builds upon; nor for appends: a growing object
///          would be written whole each time.
/// Cost     a durable put is one transaction and one fdatasync, shared by all threads that wait at the same time; a get
///          two look-ups and the bytes asked for; list one range of one tree, whatever the objects hold.
class Storage_Sqlite {
  public:
    /// Opens a database file, creating it if needed; its folder must be there.
    /// @errors invalid_argument: empty path, a folder, no folder around it, no SQLite database, or one of something
    ///         else; permission_denied: cannot be read and written; corrupt_data: damaged, or rows of the Python provider
    ///         that share a path; unsupported: written by a later release, or no place for WAL; unavailable: locked for
    ///         longer than the time-out; no_space. A database that is refused is left as it was.
    [[nodiscard]] static auto open(std::filesystem::path const& file, Sqlite_Options options = {})
        -> Result<Storage_Sqlite>;

    Storage_Sqlite(Storage_Sqlite&&) noexcept;
    auto operator=(Storage_Sqlite&&) noexcept -> Storage_Sqlite&;
    ~Storage_Sqlite();

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>>;
    /// `unknown` when writing or flushing the commit failed. Once a flush has failed, this handle gives unavailable for
    /// every durable write and sync, because a second flush would claim success for bytes that the disk never got.
    /// @errors no_space, too_large, unavailable (locked for longer than the time-out): nothing was written.
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome>;
    /// Durable when it returns. @errors as put, and indeterminate where put says `unknown`.
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool>;
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page>;
    /// @errors unsupported, always.
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome>;
    /// A commit with synchronous=FULL, which flushes the WAL and so every commit before it, unless this handle knows that
    /// nothing has changed since its last one.
    [[nodiscard]] auto sync() -> Result<void>;
    [[nodiscard]] auto capabilities() const -> Capabilities;
    [[nodiscard]] auto counters() const -> Operation_Counts;

    /// Copies what is stored at one moment into a new database file, while everybody goes on reading and writing. The
    /// copy appears under its name when it is whole and flushed.
    /// @param  file  a path at which nothing stands, in a folder that does; never the live file, whose copy by other
    ///               means may be torn
    /// @errors already_exists: something stands there; invalid_argument: no such folder; else as get. Nothing then stands
    ///         at the path.
    /// Cost    the whole file is read and written; the WAL grows meanwhile by what others write.
    [[nodiscard]] auto backup(std::filesystem::path const& file) const -> Result<void>;

  private:
    struct State;
    explicit Storage_Sqlite(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

static_assert(StorageBackend<Storage_Sqlite>);

} // namespace memfs_cache
