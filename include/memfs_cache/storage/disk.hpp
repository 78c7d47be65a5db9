// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <filesystem>
#include <memory>

namespace memfs_cache {

/// Storage in a folder of a local file system. An object is one ordinary file whose path below the root is its key, so
/// other tools read it with no help from here. Everything of our own lies in `{root}/.memfs_cache`.
///
/// Names    a key and its path are the same text, but for a first part that reads `.memfs_cache` after any number of
///          '%': on disk it has one '%' more. Files whose path is no valid key, symbolic links and devices are not
///          objects.
/// Folders  a file system cannot hold an object `a` beside an object `a/b`; the second of them gets already_exists.
/// Versions inode, size and a modification time that we set and that never repeats for a key; a change that another
///          program makes in place is a new version too. On a file system without nanosecond times
///          capabilities().conditional_put is false and a put with a condition gives unsupported.
/// Threads  any, and any number of processes of one machine, also after fork(). No write waits for the data of another
///          key; a condition is checked under a lock that all processes share.
/// Not for  network file systems, whose locks and renames do not promise what is built upon here; nor a root with other
///          file systems mounted inside it.
/// Cost     a durable put is one file written and flushed, one rename and one folder flushed; a durable append is one
///          write and one fdatasync once its file is open; list reads only the folders that hold the page.
class Storage_Disk {
  public:
    /// Opens a folder, creating it if needed, and removes what writers that died before left unfinished.
    /// @errors invalid_argument: empty path, or a part of it is a file; permission_denied: cannot be read or written.
    [[nodiscard]] static auto open(std::filesystem::path const& root) -> Result<Storage_Disk>;

    Storage_Disk(Storage_Disk&&) noexcept;
    auto operator=(Storage_Disk&&) noexcept -> Storage_Disk&;
    ~Storage_Disk();

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>>;
    /// `unknown` when the object was replaced but its folder could not be flushed; so is then every durable put below
    /// that folder by this handle.
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome>;
    /// Durable when it returns. Also removes the folders that it leaves empty.
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool>;
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page>;
    /// After an Error the object is as it was, or empty if it was absent. After `unknown` a flush may have failed: then
    /// this handle appends to that object no more (unavailable), because a second flush would claim success for bytes
    /// that the disk never got. Continue in a new object.
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome>;
    /// Flushes what this handle wrote as buffered. An object whose flush has failed is never flushed again: sync fails
    /// (unavailable) until that object is replaced or erased, and nothing is appended to it.
    [[nodiscard]] auto sync() -> Result<void>;
    [[nodiscard]] auto capabilities() const -> Capabilities;
    [[nodiscard]] auto counters() const -> Operation_Counts;

  private:
    struct State;
    explicit Storage_Disk(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

static_assert(StorageBackend<Storage_Disk>);

} // namespace memfs_cache
