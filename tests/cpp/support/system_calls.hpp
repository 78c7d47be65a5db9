// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace memfs_cache::testing {

/// What one call has done to the files of a disk. Files and folders are named by their inodes, which may be used again
/// once they are made anew.
struct File_Change {
    enum class Kind {
        made_file,    ///< `folder`, `name`, `node`
        made_folder,  ///< the same
        renamed,      ///< `folder`, `name` to `to_folder`, `to_name`, over what is there
        removed,      ///< `folder`, `name`
        written,      ///< `node`, `bytes` at `offset`
        truncated,    ///< `node` to `offset` bytes
        flushed,      ///< `node`, a file or a folder
        flush_failed, ///< the same
        all_flushed,
    };
    Kind kind;
    ino_t folder = 0;
    std::string name{};
    ino_t node = 0;
    std::uint64_t offset = 0;
    std::string bytes{};
    ino_t to_folder = 0;
    std::string to_name{};
};

/// While it lives, sees every call of this program that changes or flushes files or opens one by its folder, in order,
/// and may make it fail. One at a time; forked children inherit it. Where several threads make calls, what is given to it
/// must bear that.
class System_Calls {
  public:
    /// @param root folder that paths are shown relative to
    explicit System_Calls(std::string root);
    System_Calls(System_Calls const&) = delete;
    auto operator=(System_Calls const&) -> System_Calls& = delete;
    ~System_Calls();

    /// "write a/b", "fdatasync a/b", "fsync a" ("." is the root), "rename a/b", "syncfs .", "folder a" (opened),
    /// "open a/b", "create a/b", "mkdir a", "remove a/b", "truncate a/b", "date a/b", "lock a/b"; unfinished objects are
    /// all shown as "(temporary)", files of the storage's own as "(own)".
    std::vector<std::string> seen;
    /// Called before each of them; anything but 0 is the errno that it fails with, undone.
    std::function<int(std::string const& call)> before;
    /// Called after each that was done, but for locks; anything but 0 is the errno that it is said to have failed with.
    std::function<int(std::string const& call)> after;
    /// Called before each write; the most bytes that it may take.
    std::function<std::size_t(std::string const& call, std::size_t bytes)> write_at_most;
    /// Told what a call has changed, and of flushes that were made to fail.
    std::function<void(File_Change const& change)> changed;
    /// Nanoseconds that the machine's clock shows.
    std::optional<std::int64_t> clock_nanos;

    /// What was written, flushed and renamed since the last call, without files of the storage's own.
    [[nodiscard]] auto take_writes() -> std::vector<std::string>;

    // For the replaced system calls.
    [[nodiscard]] auto allows(std::string const& call) -> bool;
    [[nodiscard]] auto confirms(std::string const& call) -> bool;
    [[nodiscard]] auto path_of(int fd) const -> std::string;
    [[nodiscard]] auto path_of(int folder, std::string const& path) const -> std::string;

  private:
    [[nodiscard]] auto shown(std::string path) const -> std::string;
    std::string root_;
    std::mutex mutex_; ///< of `seen`
};

} // namespace memfs_cache::testing
