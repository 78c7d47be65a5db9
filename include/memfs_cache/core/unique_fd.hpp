// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace memfs_cache {

/// Owner of a file descriptor of the operating system; closes it, and holds -1 when it owns nothing.
class Unique_Fd {
  public:
    Unique_Fd() = default;
    explicit Unique_Fd(int fd) noexcept : fd_(fd) {}
    Unique_Fd(Unique_Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    auto operator=(Unique_Fd&& other) noexcept -> Unique_Fd& {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Unique_Fd();

    [[nodiscard]] auto get() const noexcept -> int { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

} // namespace memfs_cache
