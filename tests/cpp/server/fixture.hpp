// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/server/server.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache::testing {

/// What the observer was told, kept.
struct Told {
    std::string method, target, remote, forwarded_for, user_agent, referrer, content_type, country, route, event_type,
        transfer_id, token_id;
    int status;
    std::uint64_t content_bytes;
    std::int64_t duration_us;
};

/// A server on a free port of the loopback, and everything its observer heard.
class Fixture {
  public:
    explicit Fixture(Handler handler, Server_Options options = {})
        : counters_(options.counters), server_(Server::start(
                                                   {"127.0.0.1", 0},
                                                   std::move(handler),
                                                   [this](Request_View const& view) { hear(view); },
                                                   std::move(options))
                                                   .value()) {}

    [[nodiscard]] auto port() const -> std::uint16_t { return server_.address().port; }
    [[nodiscard]] auto server() -> Server& { return server_; }
    [[nodiscard]] auto server_counters() -> Server_Counters& { return *counters_; }

    /// Waits until so many requests were told of.
    auto told(std::size_t count) -> std::vector<Told> {
        std::unique_lock lock(mutex_);
        REQUIRE(heard_.wait_for(lock, std::chrono::seconds(20), [&] { return told_.size() >= count; }));
        CHECK(told_.size() == count);
        return told_;
    }

  private:
    void hear(Request_View const& view) {
        std::lock_guard const lock(mutex_);
        auto const text = [](std::string_view borrowed) { return std::string(borrowed); };
        told_.push_back({text(view.method), text(view.target), text(view.remote), text(view.forwarded_for),
                         text(view.user_agent), text(view.referrer), text(view.content_type), text(view.country),
                         text(view.route), text(view.event_type), text(view.transfer_id), text(view.token_id),
                         view.status, view.content_bytes, view.duration_us.value()});
        heard_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable heard_;
    std::vector<Told> told_;
    std::shared_ptr<Server_Counters> counters_;
    Server server_; // last: its threads use the others
};

inline auto text_reply(std::string text) -> Response {
    Response response;
    response.headers = {{"Content-Type", "text/plain"}};
    response.body = std::move(text);
    return response;
}

} // namespace memfs_cache::testing
