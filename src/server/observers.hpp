// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kept_views.hpp"
#include "waiting_threads.hpp"
#include <memfs_cache/server/server.hpp>

#include <boost/asio/awaitable.hpp>

#include <atomic>

namespace memfs_cache {

/// Tells the observer of requests: at once, or on threads apart while it may wait.
/// Threads  tell() from any thread, finish() when nobody calls tell() any more.
class Observers {
  public:
    /// @param  options  must outlive it
    Observers(Observer observe, Server_Options const& options) : observe_(std::move(observe)), options_(options) {}
    Observers(Observers const&) = delete;
    auto operator=(Observers const&) -> Observers& = delete;
    ~Observers() { finish(); }

    [[nodiscard]] auto are_there() const noexcept -> bool { return static_cast<bool>(observe_); }
    /// Never waits for the observer if that may wait. What could not be told is counted.
    void tell(Request_View const& view) noexcept;
    void tell(Kept_Views const& views) noexcept;
    /// Waits for the observer, but holds no thread of the caller's executor up.
    auto tell_and_wait(Request_View const& view) -> boost::asio::awaitable<void>;
    /// Waits until all that was told is heard.
    void finish() noexcept;

  private:
    [[nodiscard]] auto may_wait() const noexcept -> bool;
    void hear(Request_View const& view) noexcept;
    void queue(Request_View view);

    Observer observe_;
    Server_Options const& options_;
    std::atomic<std::uint64_t> waiting_bytes_{0};
    Waiting_Threads threads_;
};

} // namespace memfs_cache
