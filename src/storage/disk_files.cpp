// SPDX-License-Identifier: Apache-2.0
#include "disk_files.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace memfs_cache::disk {
namespace {

constexpr std::int64_t nanos_per_second = 1'000'000'000;

/// Is this part the name of our own folder after any number of '%'? Such names take or lose one '%', so that no key
/// reaches the folder and every other name stays as it is.
auto looks_own(std::string_view part) -> bool {
    auto const marker = std::min(part.find_first_not_of('%'), part.size());
    return part.substr(marker) == own_folder;
}

} // namespace

auto open_at(int folder, std::string const& path, int flags, mode_t mode) -> Unique_Fd {
    return Unique_Fd(uninterrupted(
        [&] { return ::openat(folder, path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode); }));
}

auto write_all(int fd, Byte_View bytes, std::uint64_t offset) -> bool {
    while (!bytes.empty()) {
        auto const written =
            uninterrupted([&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
        if (written < 0)
            return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
    return true;
}

auto read_range(int fd, std::uint64_t offset, std::uint64_t size, Bytes& out) -> bool {
    out.resize(static_cast<std::size_t>(size));
    std::size_t done = 0;
    while (done < out.size()) {
        auto const got = uninterrupted(
            [&] { return ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done)); });
        if (got < 0)
            return false;
        if (got == 0)
            break;
        done += static_cast<std::size_t>(got);
    }
    out.resize(done);
    return true;
}

auto File_Lock::lock() const noexcept -> bool {
    return fd_ >= 0 && uninterrupted([this] { return ::flock(fd_, LOCK_EX); }) == 0;
}

void File_Lock::release() noexcept {
    if (held_)
        ::flock(fd_, LOCK_UN);
    held_ = false;
}

auto path_of(std::string_view key) -> std::string {
    std::string path(looks_own(key.substr(0, key.find('/'))) ? "%" : "");
    return path.append(key);
}

auto name_in_key(std::string_view file_name, bool first_part) -> std::string_view {
    if (first_part && looks_own(file_name))
        file_name.remove_prefix(1);
    return file_name;
}

auto version_of(struct stat const& status) -> Version {
    Version version;
    for (auto const number : {static_cast<std::int64_t>(status.st_ino), static_cast<std::int64_t>(status.st_size),
                              static_cast<std::int64_t>(status.st_mtim.tv_sec)})
        version.token.append(std::to_string(number)).push_back('-');
    version.token.append(std::to_string(status.st_mtim.tv_nsec));
    return version;
}

auto modified_nanos(struct stat const& status) -> std::int64_t {
    constexpr std::int64_t last_second = 9'000'000'000; // in the year 2255
    auto const seconds = std::clamp<std::int64_t>(status.st_mtim.tv_sec, 0, last_second);
    return seconds * nanos_per_second + status.st_mtim.tv_nsec;
}

auto from_nanos(std::int64_t nanos) -> timespec { return {nanos / nanos_per_second, nanos % nanos_per_second}; }

auto set_modified_nanos(int fd, std::int64_t nanos) -> bool {
    timespec const times[2] = {{0, UTIME_OMIT}, from_nanos(nanos)};
    return ::futimens(fd, times) == 0;
}

auto now_nanos() -> std::int64_t {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * nanos_per_second + now.tv_nsec;
}

Folder_Reader::Folder_Reader(int root, std::string_view folder) {
    auto const path = or_dot(folder);
    auto const fd =
        uninterrupted([&] { return ::openat(root, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); });
    if (fd >= 0)
        stream_ = ::fdopendir(fd);
    if (stream_ != nullptr)
        return;
    error_ = errno;
    if (fd >= 0)
        ::close(fd);
}

Folder_Reader::~Folder_Reader() {
    if (stream_ != nullptr)
        ::closedir(stream_);
}

auto Folder_Reader::next() -> dirent const* {
    while (stream_ != nullptr) {
        errno = 0;
        auto const* const entry = ::readdir(stream_); // NOLINT(concurrency-mt-unsafe): the stream is ours alone
        if (entry == nullptr) {
            error_ = errno;
            return nullptr;
        }
        auto const name = std::string_view(entry->d_name);
        if (name != "." && name != "..")
            return entry;
    }
    return nullptr;
}

} // namespace memfs_cache::disk
