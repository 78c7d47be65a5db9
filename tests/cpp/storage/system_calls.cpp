// SPDX-License-Identifier: Apache-2.0
#include "system_calls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace memfs_cache::testing {
namespace {
System_Calls* watching = nullptr;
} // namespace

System_Calls::System_Calls(std::string root) : root_(std::move(root)) { watching = this; }
System_Calls::~System_Calls() { watching = nullptr; }

auto System_Calls::path_of(int fd) const -> std::string {
    std::array<char, 4096> target{};
    auto const link = "/proc/self/fd/" + std::to_string(fd);
    auto const size = ::readlink(link.c_str(), target.data(), target.size());
    std::string path(target.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
    if (path == root_)
        return ".";
    if (path.starts_with(root_ + "/"))
        path.erase(0, root_.size() + 1);
    if (path.starts_with(".memfs_cache/tmp/"))
        return "(temporary)";
    return path.starts_with(".memfs_cache") ? "(own)" : path;
}

auto System_Calls::allows(std::string const& name, std::string const& path) -> bool {
    seen.push_back(name + " " + path);
    auto const call = seen.back(); // `before` may make calls of its own
    int const error = before ? before(call) : 0;
    if (error != 0)
        errno = error;
    return error == 0;
}

auto System_Calls::allows(std::string const& name, int fd) -> bool { return allows(name, path_of(fd)); }

auto System_Calls::take_writes() -> std::vector<std::string> {
    auto taken = std::exchange(seen, {});
    std::erase_if(taken, [](auto const& call) { return call.starts_with("folder ") || call.ends_with("(own)"); });
    return taken;
}

} // namespace memfs_cache::testing

/// The program's own definitions come before the C library's, so that the storage under test calls these.
namespace {
using memfs_cache::testing::watching;
template <class Number>
auto result_of(long value) -> Number {
    return static_cast<Number>(value);
}
} // namespace

extern "C" {

auto pwrite(int fd, void const* bytes, size_t size, off_t offset) -> ssize_t {
    if (watching != nullptr) {
        auto const call = "write " + watching->path_of(fd);
        if (watching->write_at_most)
            size = std::min(size, watching->write_at_most(call, size));
        if (!watching->allows("write", fd))
            return -1;
    }
    return result_of<ssize_t>(::syscall(SYS_pwrite64, fd, bytes, size, offset));
}

auto fsync(int fd) -> int {
    if (watching != nullptr && !watching->allows("fsync", fd))
        return -1;
    return result_of<int>(::syscall(SYS_fsync, fd));
}

auto fdatasync(int fd) -> int {
    if (watching != nullptr && !watching->allows("fdatasync", fd))
        return -1;
    return result_of<int>(::syscall(SYS_fdatasync, fd));
}

auto syncfs(int fd) noexcept -> int {
    if (watching != nullptr && !watching->allows("syncfs", fd))
        return -1;
    return result_of<int>(::syscall(SYS_syncfs, fd));
}

auto renameat2(int from_folder, char const* from, int to_folder, char const* to, unsigned flags) noexcept -> int {
    if (watching != nullptr && !watching->allows("rename", to))
        return -1;
    return result_of<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

auto openat(int folder, char const* path, int flags, ...) -> int {
    va_list more;
    va_start(more, flags);
    mode_t const mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (watching != nullptr && (flags & O_DIRECTORY) != 0 && !watching->allows("folder", path))
        return -1;
    return result_of<int>(::syscall(SYS_openat, folder, path, flags, mode));
}

auto clock_gettime(clockid_t clock, timespec* now) noexcept -> int {
    if (watching != nullptr && watching->clock_nanos && clock == CLOCK_REALTIME) {
        *now = {*watching->clock_nanos / 1'000'000'000, *watching->clock_nanos % 1'000'000'000};
        return 0;
    }
    return result_of<int>(::syscall(SYS_clock_gettime, clock, now));
}

} // extern "C"
