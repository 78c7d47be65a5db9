// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/process_mark.hpp>

#include <atomic>
#include <functional>
#include <memory>

namespace memfs_cache {

/// What each process has for itself, such as locks and those who wait for them: a child after fork() makes a new one
/// when it first asks, and never touches its parent's, in which a thread may hold a lock that does not exist in the
/// child.
/// Threads  any
/// Cost     of asking: a load and a byte read
template <class T>
class Per_Process {
  public:
    /// @param  make  () -> std::unique_ptr<T>; called once in each process, or by several of its threads at once, of
    ///               which all but one come to nothing
    explicit Per_Process(std::function<std::unique_ptr<T>()> make)
        : make_(std::move(make)), current_(new Own{make_(), {}}) {}
    Per_Process(Per_Process const&) = delete;
    auto operator=(Per_Process const&) -> Per_Process& = delete;
    ~Per_Process() {
        auto* const own = current_.load();
        if (own->mark.in_own_process())
            delete own;
    }

    [[nodiscard]] auto get() -> T& {
        auto* current = current_.load(std::memory_order_acquire);
        if (current->mark.in_own_process())
            return *current->value;
        std::unique_ptr<Own> fresh(new Own{make_(), {}});
        if (current_.compare_exchange_strong(current, fresh.get(), std::memory_order_acq_rel))
            return *fresh.release()->value;
        return *current->value;
    }

  private:
    struct Own {
        std::unique_ptr<T> value;
        Process_Mark mark;
    };
    std::function<std::unique_ptr<T>()> make_;
    std::atomic<Own*> current_;
};

} // namespace memfs_cache
