// SPDX-License-Identifier: Apache-2.0
#include "observers.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <exception>

namespace memfs_cache {
namespace {

namespace asio = boost::asio;

/// Several, as those who wait for a storage at the same time share its writes.
constexpr std::size_t thread_count = 8;

/// A view together with what it borrows.
class Kept_View {
  public:
    explicit Kept_View(Request_View const& view) : view_(view) {
        text_.reserve(size_of(view));
        for (auto const member : members)
            text_ += view.*member;
    }
    [[nodiscard]] static auto size_of(Request_View const& view) noexcept -> std::size_t {
        std::size_t size = sizeof(Kept_View);
        for (auto const member : members)
            size += (view.*member).size();
        return size;
    }
    /// Valid as long as this is neither moved nor gone.
    [[nodiscard]] auto view() -> Request_View const& {
        std::size_t begin = 0;
        for (auto const member : members) {
            auto& word = view_.*member;
            word = std::string_view(text_).substr(begin, word.size());
            begin += word.size();
        }
        return view_;
    }

  private:
    static constexpr std::array members{
        &Request_View::method,     &Request_View::target,     &Request_View::remote,       &Request_View::forwarded_for,
        &Request_View::user_agent, &Request_View::referrer,   &Request_View::content_type, &Request_View::country,
        &Request_View::route,      &Request_View::event_type, &Request_View::source,       &Request_View::transfer_id,
        &Request_View::token_id};

    std::string text_;
    Request_View view_;
};

} // namespace

void Observers::tell(Request_View const& view) noexcept {
    if (!observe_)
        return;
    try {
        if (!options_.observer_may_wait || !options_.observer_may_wait())
            return hear(view);
        queue(view);
    } catch (...) { // out of memory or threads: the request goes on without its record
        options_.counters->unrecorded.fetch_add(1, std::memory_order_relaxed);
    }
}

void Observers::queue(Request_View view) {
    auto const size = Kept_View::size_of(view);
    if (waiting_bytes_.load() + size > options_.observer_queue_bytes) {
        options_.counters->unrecorded.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    if (!view.timestamp)
        view.timestamp = options_.clock->now(); // not when somebody comes to it
    auto hear_later = [this, size, kept = Kept_View(view)]() mutable {
        hear(kept.view());
        waiting_bytes_.fetch_sub(size);
    };
    waiting_bytes_.fetch_add(size);
    asio::post(threads(), std::move(hear_later));
}

auto Observers::tell_and_wait(Request_View const& view) -> asio::awaitable<void> {
    co_await asio::co_spawn(
        threads(),
        [this, &view]() -> asio::awaitable<void> {
            hear(view);
            co_return;
        },
        asio::use_awaitable);
}

auto Observers::threads() -> asio::thread_pool& {
    std::call_once(started_, [this] { threads_.emplace(thread_count); });
    return *threads_;
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

void Observers::finish() noexcept {
    if (threads_)
        threads_->join();
}

} // namespace memfs_cache
