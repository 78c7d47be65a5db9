// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <cerrno>
#include <ctime>
#include <dirent.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

/// What Storage_Disk is made of: system calls that go on after a signal, file names, versions and listings.
namespace memfs_cache::disk {

inline constexpr std::string_view own_folder = ".memfs_cache";

/// Repeats a system call while a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR)
        result = call();
    return result;
}

/// Opens relative to a folder; never follows a symbolic link in the last part and never blocks on a pipe.
[[nodiscard]] auto open_at(int folder, std::string const& path, int flags, mode_t mode = 0) -> Unique_Fd;

/// Writes all bytes at an offset; false leaves errno set.
[[nodiscard]] auto write_all(int fd, Byte_View bytes, std::uint64_t offset) -> bool;

/// Reads up to `size` bytes at an offset, fewer only at the end of the file; false leaves errno set.
[[nodiscard]] auto read_range(int fd, std::uint64_t offset, std::uint64_t size, Bytes& out) -> bool;

/// Exclusive lock of an open file against every other opening of it, in this process and others. Unlocks explicitly:
/// closing is not enough while a forked child still has the descriptor.
class File_Lock {
  public:
    explicit File_Lock(int fd) : fd_(fd), held_(lock()) {}
    File_Lock(File_Lock const&) = delete;
    auto operator=(File_Lock const&) -> File_Lock& = delete;
    ~File_Lock() { release(); }
    [[nodiscard]] auto held() const noexcept -> bool { return held_; }
    void release() noexcept;

  private:
    [[nodiscard]] auto lock() const noexcept -> bool;
    int fd_;
    bool held_;
};

/// Path below the root of a key, and back. Only the first part can differ.
[[nodiscard]] auto path_of(std::string_view key) -> std::string;
[[nodiscard]] auto name_in_key(std::string_view file_name, bool first_part) -> std::string_view;

/// Folder of a path: "" for the root itself.
[[nodiscard]] inline auto folder_of(std::string_view path) -> std::string_view {
    auto const slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}
/// As system calls want it: "." for the root.
[[nodiscard]] inline auto or_dot(std::string_view folder) -> std::string {
    return std::string(folder.empty() ? "." : folder);
}

[[nodiscard]] auto version_of(struct stat const& status) -> Version;

/// Modification time in nanoseconds since 1970, held within what 64 bits carry.
[[nodiscard]] auto modified_nanos(struct stat const& status) -> std::int64_t;
[[nodiscard]] auto from_nanos(std::int64_t nanos) -> timespec;
[[nodiscard]] auto set_modified_nanos(int fd, std::int64_t nanos) -> bool;
/// Nanoseconds of the machine's clock. Versions only; nothing is dated by it.
[[nodiscard]] auto now_nanos() -> std::int64_t;

/// Entries of one folder in the order of the file system, without "." and "..".
class Folder_Reader {
  public:
    /// @param folder path below `root`; "" for the root itself.
    Folder_Reader(int root, std::string_view folder);
    Folder_Reader(Folder_Reader const&) = delete;
    auto operator=(Folder_Reader const&) -> Folder_Reader& = delete;
    ~Folder_Reader();
    /// The next entry; null at the end, and on an error, which error() tells apart.
    [[nodiscard]] auto next() -> dirent const*;
    /// errno of what went wrong, 0 if nothing did.
    [[nodiscard]] auto error() const noexcept -> int { return error_; }

  private:
    DIR* stream_ = nullptr;
    int error_ = 0;
};

/// The page that a checked query asks for.
[[nodiscard]] auto list(int root, List_Query const& query) -> Result<Page>;

} // namespace memfs_cache::disk
