// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace memfs_cache::testing {

/// While it lives, sees every call of this program that writes, flushes, renames or opens a folder, in order, and may
/// make it fail. One at a time, for tests of one thread; forked children inherit it.
class System_Calls {
  public:
    /// @param root folder that paths are shown relative to
    explicit System_Calls(std::string root);
    System_Calls(System_Calls const&) = delete;
    auto operator=(System_Calls const&) -> System_Calls& = delete;
    ~System_Calls();

    /// "write a/b", "fdatasync a/b", "fsync a" ("." is the root), "rename a/b", "syncfs .", "folder a"; unfinished
    /// objects are all shown as "(temporary)", files of the storage's own as "(own)".
    std::vector<std::string> seen;
    /// Called before each of them; anything but 0 is the errno that it fails with.
    std::function<int(std::string const& call)> before;
    /// Called before each write; the most bytes that it may take.
    std::function<std::size_t(std::string const& call, std::size_t bytes)> write_at_most;
    /// Nanoseconds that the machine's clock shows.
    std::optional<std::int64_t> clock_nanos;

    /// What was seen since the last call, without folders opened and files of the storage's own.
    [[nodiscard]] auto take_writes() -> std::vector<std::string>;

    // For the replaced system calls.
    [[nodiscard]] auto allows(std::string const& name, int fd) -> bool;
    [[nodiscard]] auto allows(std::string const& name, std::string const& path) -> bool;
    [[nodiscard]] auto path_of(int fd) const -> std::string;

  private:
    std::string root_;
};

} // namespace memfs_cache::testing
