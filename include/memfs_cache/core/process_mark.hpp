// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace memfs_cache {

/// Knows whether it is still in the process that made it or in a child after fork(). What a child inherits there (a
/// mutex that a thread held which does not exist here, a buffer that the parent will land) must be left alone.
/// Threads  any
/// Cost     of asking: one byte read, where the kernel wipes a marked page in the child (Linux 4.14); else a system
/// call
class Process_Mark {
  public:
    Process_Mark();
    Process_Mark(Process_Mark const&) = delete;
    auto operator=(Process_Mark const&) -> Process_Mark& = delete;
    ~Process_Mark();

    [[nodiscard]] auto in_own_process() const noexcept -> bool {
        return wiped_by_fork_ != nullptr ? wiped_by_fork_->load(std::memory_order_relaxed) : is_own_pid();
    }

  private:
    [[nodiscard]] auto is_own_pid() const noexcept -> bool;

    std::atomic<bool>* wiped_by_fork_ = nullptr; ///< true in a page of its own; false in a child
    std::int64_t pid_;
};

} // namespace memfs_cache
