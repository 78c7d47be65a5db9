// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace memfs_cache {

/// Threads that wait, for a storage say, in place of event loops. They start when there is something to do.
/// Threads  finish() when nobody calls anything else any more; all else from any thread.
class Waiting_Threads {
  public:
    /// Runs work, and takes it up again where it was awaited.
    template <class Work>
    auto run(Work work) -> boost::asio::awaitable<std::invoke_result_t<Work&>> {
        using Outcome = std::invoke_result_t<Work&>;
        return boost::asio::co_spawn(
            threads(), [work = std::move(work)]() mutable -> boost::asio::awaitable<Outcome> { co_return work(); },
            boost::asio::use_awaitable);
    }
    /// Runs work some time.
    template <class Work>
    void post(Work work) {
        boost::asio::post(threads(), std::move(work));
    }
    /// Waits until all that was given is done.
    void finish() noexcept {
        if (threads_)
            threads_->join();
    }

  private:
    /// Several, as those who wait for a storage at the same time share its writes.
    static constexpr std::size_t thread_count = 8;

    auto threads() -> boost::asio::thread_pool& {
        std::call_once(started_, [this] { threads_.emplace(thread_count); });
        return *threads_;
    }

    std::once_flag started_;
    std::optional<boost::asio::thread_pool> threads_;
};

} // namespace memfs_cache
