// SPDX-License-Identifier: Apache-2.0
#include "support/system_calls.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace memfs_cache::testing {
namespace {

std::atomic<System_Calls*> watching = nullptr;

auto target_of(int fd) -> std::string {
    std::array<char, 4096> target{};
    auto const link = "/proc/self/fd/" + std::to_string(fd);
    auto const size = ::readlink(link.c_str(), target.data(), target.size());
    return {target.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
}

} // namespace

System_Calls::System_Calls(std::string root) : root_(std::move(root)) { watching = this; }
System_Calls::~System_Calls() { watching = nullptr; }

auto System_Calls::shown(std::string path) const -> std::string {
    if (path == root_)
        return ".";
    if (path.starts_with(root_ + "/"))
        path.erase(0, root_.size() + 1);
    if (path.starts_with(".memfs_cache/tmp/"))
        return "(temporary)";
    return path.starts_with(".memfs_cache") ? "(own)" : path;
}

auto System_Calls::path_of(int fd) const -> std::string { return shown(target_of(fd)); }

auto System_Calls::path_of(int folder, std::string const& path) const -> std::string {
    auto const relative = folder != AT_FDCWD && !path.starts_with("/");
    return shown(relative ? target_of(folder) + "/" + path : path);
}

auto System_Calls::allows(std::string const& call) -> bool {
    {
        std::unique_lock const lock(mutex_);
        seen.push_back(call);
    }
    int const error = before ? before(call) : 0; // it may make calls of its own
    if (error != 0)
        errno = error;
    return error == 0;
}

auto System_Calls::confirms(std::string const& call) -> bool {
    int const error = after ? after(call) : 0;
    if (error != 0)
        errno = error;
    return error == 0;
}

auto System_Calls::take_writes() -> std::vector<std::string> {
    auto taken = std::exchange(seen, {});
    std::erase_if(taken, [](std::string_view call) {
        auto const verb = call.substr(0, call.find(' '));
        constexpr std::array shown_verbs{"write", "fsync", "fdatasync", "syncfs", "rename"};
        return call.ends_with("(own)") || std::find(shown_verbs.begin(), shown_verbs.end(), verb) == shown_verbs.end();
    });
    return taken;
}

} // namespace memfs_cache::testing

/// The program's own definitions come before the C library's, so that the storage under test calls these.
namespace {

using memfs_cache::testing::File_Change;
using memfs_cache::testing::System_Calls;
using memfs_cache::testing::watching;
using Kind = File_Change::Kind;

template <class Number>
auto result_of(long value) -> Number {
    return static_cast<Number>(value);
}

auto node_of(int fd) -> ino_t {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/// A folder's node and a name within it.
struct Place {
    Place(int base, std::string const& path) : name(path.substr(path.rfind('/') + 1)) {
        auto const slash = path.rfind('/');
        auto const parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
        struct stat status {};
        if (::fstatat(base, parent.c_str(), &status, 0) == 0)
            folder = status.st_ino;
    }
    ino_t folder = 0;
    std::string name;
};

/// What stands at a path; nothing if it is free.
auto node_at(int folder, char const* path) -> std::optional<ino_t> {
    struct stat status {};
    if (::fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return std::nullopt;
    return status.st_ino;
}

/// @param name  (System_Calls&) -> what the call is shown as
/// @param run   the call itself
/// @param tell  (result) -> File_Change
template <class Number, class Name, class Run, class Tell>
auto watch(Name const& name, Run const& run, Tell const& tell) -> Number {
    auto* const watcher = watching.load();
    if (watcher == nullptr)
        return result_of<Number>(run());
    auto const call = name(*watcher);
    if (!watcher->allows(call))
        return -1;
    auto const result = result_of<Number>(run());
    if (result < 0)
        return result;
    if (watcher->changed)
        watcher->changed(tell(result));
    return watcher->confirms(call) ? result : -1;
}

/// The same for calls whose effect is nobody's business.
template <class Name, class Run>
auto count(Name const& name, Run const& run, bool confirm = true) -> int {
    auto* const watcher = watching.load();
    if (watcher == nullptr)
        return result_of<int>(run());
    auto const call = name(*watcher);
    if (!watcher->allows(call))
        return -1;
    auto const result = result_of<int>(run());
    return result < 0 || !confirm || watcher->confirms(call) ? result : -1;
}

template <class Run>
auto flush(char const* verb, int fd, Run const& run, Kind done = Kind::flushed) -> int {
    auto const shown = [&](System_Calls const& watcher) { return verb + (" " + watcher.path_of(fd)); };
    auto const tell = [&](int) { return File_Change{.kind = done, .node = node_of(fd)}; };
    bool refused = true;
    auto const unless_refused = [&] {
        refused = false;
        return run();
    };
    auto const result = watch<int>(shown, unless_refused, tell);
    auto const* const watcher = watching.load();
    if (result != 0 && refused && watcher != nullptr && watcher->changed) {
        auto const error = errno;
        watcher->changed({.kind = Kind::flush_failed, .node = node_of(fd)});
        errno = error;
    }
    return result;
}

} // namespace

extern "C" {

auto pwrite(int fd, void const* bytes, size_t size, off_t offset) -> ssize_t {
    auto const shown = [&](System_Calls const& watcher) { return "write " + watcher.path_of(fd); };
    if (auto* const watcher = watching.load(); watcher != nullptr && watcher->write_at_most)
        size = std::min(size, watcher->write_at_most(shown(*watcher), size));
    return watch<ssize_t>(
        shown, [&] { return ::syscall(SYS_pwrite64, fd, bytes, size, offset); },
        [&](ssize_t written) {
            return File_Change{.kind = Kind::written,
                               .node = node_of(fd),
                               .offset = static_cast<std::uint64_t>(offset),
                               .bytes = {static_cast<char const*>(bytes), static_cast<std::size_t>(written)}};
        });
}

auto pwrite64(int fd, void const* bytes, size_t size, off_t offset) -> ssize_t {
    return pwrite(fd, bytes, size, offset);
}

auto ftruncate(int fd, off_t size) noexcept -> int {
    return watch<int>([&](auto const& watcher) { return "truncate " + watcher.path_of(fd); },
                      [&] { return ::syscall(SYS_ftruncate, fd, size); },
                      [&](int) {
                          return File_Change{
                              .kind = Kind::truncated, .node = node_of(fd), .offset = static_cast<std::uint64_t>(size)};
                      });
}

auto fsync(int fd) -> int {
    return flush("fsync", fd, [&] { return ::syscall(SYS_fsync, fd); });
}

auto fdatasync(int fd) -> int {
    return flush("fdatasync", fd, [&] { return ::syscall(SYS_fdatasync, fd); });
}

auto syncfs(int fd) noexcept -> int {
    return flush(
        "syncfs", fd, [&] { return ::syscall(SYS_syncfs, fd); }, Kind::all_flushed);
}

auto renameat2(int from_folder, char const* from, int to_folder, char const* to, unsigned flags) noexcept -> int {
    return watch<int>([&](auto const& watcher) { return "rename " + watcher.path_of(to_folder, to); },
                      [&] { return ::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags); },
                      [&](int) {
                          Place const source(from_folder, from);
                          Place const target(to_folder, to);
                          return File_Change{.kind = Kind::renamed,
                                             .folder = source.folder,
                                             .name = source.name,
                                             .to_folder = target.folder,
                                             .to_name = target.name};
                      });
}

auto unlinkat(int folder, char const* path, int flags) noexcept -> int {
    return watch<int>([&](auto const& watcher) { return "remove " + watcher.path_of(folder, path); },
                      [&] { return ::syscall(SYS_unlinkat, folder, path, flags); },
                      [&](int) {
                          Place const place(folder, path);
                          return File_Change{.kind = Kind::removed, .folder = place.folder, .name = place.name};
                      });
}

auto mkdirat(int folder, char const* path, mode_t mode) noexcept -> int {
    return watch<int>([&](auto const& watcher) { return "mkdir " + watcher.path_of(folder, path); },
                      [&] { return ::syscall(SYS_mkdirat, folder, path, mode); },
                      [&](int) {
                          Place const place(folder, path);
                          return File_Change{.kind = Kind::made_folder,
                                             .folder = place.folder,
                                             .name = place.name,
                                             .node = node_at(folder, path).value_or(0)};
                      });
}

auto mkdir(char const* path, mode_t mode) noexcept -> int { return mkdirat(AT_FDCWD, path, mode); }

auto futimens(int fd, timespec const* times) noexcept -> int {
    return count([&](auto const& watcher) { return "date " + watcher.path_of(fd); },
                 [&] { return ::syscall(SYS_utimensat, fd, nullptr, times, 0); });
}

auto flock(int fd, int operation) noexcept -> int {
    auto const run = [&] { return ::syscall(SYS_flock, fd, operation); };
    if ((operation & LOCK_UN) != 0)
        return result_of<int>(run());
    return count([&](auto const& watcher) { return "lock " + watcher.path_of(fd); }, run, false);
}

auto openat(int folder, char const* path, int flags, ...) -> int {
    va_list more;
    va_start(more, flags);
    mode_t const mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    auto const run = [&] { return ::syscall(SYS_openat, folder, path, flags, mode); };
    if (watching == nullptr)
        return result_of<int>(run());
    if ((flags & O_DIRECTORY) != 0)
        return count([&](auto const&) { return "folder " + std::string(path); }, run, false);
    if ((flags & O_CREAT) == 0 || node_at(folder, path))
        return count([&](auto const& watcher) { return "open " + watcher.path_of(folder, path); }, run, false);
    int made = -1;
    auto const opened =
        watch<int>([&](auto const& watcher) { return "create " + watcher.path_of(folder, path); },
                   [&] { return made = result_of<int>(run()); },
                   [&](int fd) {
                       Place const place(folder, path);
                       return File_Change{
                           .kind = Kind::made_file, .folder = place.folder, .name = place.name, .node = node_of(fd)};
                   });
    if (opened < 0 && made >= 0) { // said to have failed after it was done
        auto const error = errno;
        ::close(made);
        errno = error;
    }
    return opened;
}

auto clock_gettime(clockid_t clock, timespec* now) noexcept -> int {
    auto const* const watcher = watching.load();
    if (watcher != nullptr && watcher->clock_nanos && clock == CLOCK_REALTIME) {
        *now = {*watcher->clock_nanos / 1'000'000'000, *watcher->clock_nanos % 1'000'000'000};
        return 0;
    }
    return result_of<int>(::syscall(SYS_clock_gettime, clock, now));
}

} // extern "C"
