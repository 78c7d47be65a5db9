// SPDX-License-Identifier: Apache-2.0
#include "observers.hpp"

#include <exception>

namespace memfs_cache {

void Observers::tell(Request_View const& view) noexcept {
    if (!may_wait())
        return hear(view);
    try {
        queue(view);
    } catch (...) { // out of memory or threads: the request goes on without its record
        options_.counters->unrecorded.fetch_add(1, std::memory_order_relaxed);
    }
}

void Observers::tell(Kept_Views const& views) noexcept {
    if (may_wait())
        views.each([this](Request_View const& view) { tell(view); });
    else
        views.each([this](Request_View const& view) { hear(view); });
}

auto Observers::may_wait() const noexcept -> bool {
    try {
        return options_.observer_may_wait && options_.observer_may_wait();
    } catch (...) { // who cannot say so may
        return true;
    }
}

void Observers::queue(Request_View view) {
    if (!view.timestamp)
        view.timestamp = options_.clock->now(); // not when somebody comes to it
    Kept_Views kept;
    kept.add(view);
    auto const size = kept.size_bytes();
    if (waiting_bytes_.load() + size > options_.observer_queue_bytes) {
        options_.counters->unrecorded.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    auto hear_later = [this, size, kept = std::move(kept)] {
        kept.each([this](Request_View const& kept_view) { hear(kept_view); });
        waiting_bytes_.fetch_sub(size);
    };
    waiting_bytes_.fetch_add(size);
    threads_.post(std::move(hear_later));
}

auto Observers::tell_and_wait(Request_View const& view) -> boost::asio::awaitable<void> {
    co_await threads_.run([this, &view] { hear(view); });
}

void Observers::hear(Request_View const& view) noexcept {
    std::string reason;
    try {
        return observe_(view);
    } catch (std::exception const& error) {
        reason = error.what();
    } catch (...) {
        reason = "an exception that is not a std::exception";
    }
    options_.counters->unrecorded.fetch_add(1, std::memory_order_relaxed);
    say(options_.log, "A request was not recorded: " + reason);
}

void Observers::finish() noexcept { threads_.finish(); }

} // namespace memfs_cache
