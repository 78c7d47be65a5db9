// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/http/live_events.hpp>
#include <memfs_cache/http/replies.hpp>

#include <utility>

namespace memfs_cache {
namespace {

auto event_text(std::string_view name, boost::json::object const& data) -> Bytes {
    return Bytes("event: ").append(name).append("\ndata: ").append(json_text(data)).append("\n\n"); // JSON on one line
}

/// One of so many; given back at the end of its life.
class Place {
  public:
    using Count = std::shared_ptr<std::atomic<std::size_t>>;

    Place(Count held, std::size_t most) : held_(std::move(held)), is_mine_(held_->fetch_add(1) < most) {}
    Place(Place&& other) noexcept : held_(std::move(other.held_)), is_mine_(other.is_mine_) {}
    auto operator=(Place&&) -> Place& = delete;
    ~Place() {
        if (held_)
            held_->fetch_sub(1);
    }
    [[nodiscard]] auto is_mine() const noexcept -> bool { return is_mine_; }

  private:
    Count held_;
    bool is_mine_;
};

class Event_Stream final : public Body_Stream {
  public:
    Event_Stream(Bytes first, std::string name, Live_Events::Ask ask, Place place)
        : first_(std::move(first)), name_(std::move(name)), ask_(std::move(ask)), place_(std::move(place)) {}

    [[nodiscard]] auto next() -> Result<Bytes> override {
        if (!first_.empty())
            return std::exchange(first_, {});
        auto const data = ask_();
        if (!data)
            return data.error();
        return event_text(name_, *data);
    }
    [[nodiscard]] auto pause() const noexcept -> std::chrono::milliseconds override { return Live_Events::interval; }

  private:
    Bytes first_;
    std::string name_;
    Live_Events::Ask ask_;
    Place place_;
};

} // namespace

auto Live_Events::reply() const -> Response {
    auto const data = ask_();
    if (!data)
        return error_reply(data.error());
    auto first = Bytes("retry: ").append(std::to_string(interval.count())).append("\n") + event_text(name_, *data);

    Response response;
    response.headers = {
        {"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
    if (Place place(held_, most_held_); place.is_mine())
        response.body = std::make_unique<Event_Stream>(std::move(first), name_, ask_, std::move(place));
    else
        response.body = std::move(first);
    return response;
}

} // namespace memfs_cache
