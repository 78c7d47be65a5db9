// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/tokens/token_block.hpp>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace memfs_cache {

/// Looks after the leases of this process in a thread of its own: at each interval while there are any, and sooner when
/// one runs low. The thread is begun with the first lease; without leases it sleeps.
/// Threads  any
template <StorageBackend Storage>
class Block_Keeper {
  public:
    using Block = Token_Block<Storage>;
    using Block_Ptr = std::shared_ptr<Block>;

    explicit Block_Keeper(std::chrono::milliseconds interval) : interval_(interval) {}
    Block_Keeper(Block_Keeper const&) = delete;
    auto operator=(Block_Keeper const&) -> Block_Keeper& = delete;
    ~Block_Keeper() { stop(); }

    /// A block has leased something, or may have. If there can be no thread, nobody looks after the lease but those who use it.
    void watch(Block_Ptr block) {
        std::lock_guard const lock(mutex_);
        if (stopped_ || !watched_.insert(std::move(block)).second)
            return;
        try {
            if (!thread_.joinable())
                thread_ = std::thread(&Block_Keeper::run, this);
        } catch (std::system_error const&) { // the next lease of another token tries again
        }
        woken_.notify_one();
    }

    /// Has it look at once.
    void hurry() {
        std::lock_guard const lock(mutex_);
        hurries_ = true;
        woken_.notify_one();
    }

    /// Ends the thread.
    /// @return those that may have leases
    auto stop() -> std::set<Block_Ptr> {
        {
            std::lock_guard const lock(mutex_);
            stopped_ = true;
            woken_.notify_one();
        }
        std::lock_guard const one_at_a_time(stop_mutex_);
        if (thread_.joinable())
            thread_.join();
        return watched_;
    }

  private:
    using Steady = std::chrono::steady_clock;

    void run() {
        constexpr std::chrono::milliseconds longest_pause{1'000};
        auto pause = interval_;
        std::unique_lock lock(mutex_);
        for (;;) {
            woken_.wait(lock, [&] { return stopped_ || !watched_.empty(); });
            woken_.wait_for(lock, pause, [&] { return stopped_ || hurries_; });
            if (stopped_)
                return;
            hurries_ = false;
            std::vector<Block_Ptr> const blocks(watched_.begin(), watched_.end());
            lock.unlock();
            bool const all_well = tend(blocks);
            lock.lock();
            std::erase_if(watched_, [](auto const& block) { return !block->holds(); });
            pause = all_well ? interval_ : std::min(pause * 2, std::max(interval_, longest_pause));
        }
    }

    /// @return whether the storage did all that was asked; if not, it is asked again
    auto tend(std::vector<Block_Ptr> const& blocks) -> bool {
        bool all_well = true;
        try {
            for (auto const& block : blocks)
                all_well = block->tend(Steady::now()).has_value() && all_well;
        } catch (std::exception const&) { // of too little memory, say
            all_well = false;
        }
        return all_well;
    }

    std::chrono::milliseconds const interval_;
    std::mutex mutex_; ///< never held during I/O
    std::condition_variable woken_;
    std::set<Block_Ptr> watched_;
    bool hurries_ = false;
    bool stopped_ = false;
    std::mutex stop_mutex_;
    std::thread thread_;
};

} // namespace memfs_cache
