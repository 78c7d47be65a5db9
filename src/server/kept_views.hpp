// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/server/server.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// Views together with what they borrow, in order; but for the memo, which is borrowed on.
/// Cost    of adding, once there is room: a copy of the texts.
class Kept_Views {
  public:
    void add(Request_View const& view) {
        auto const before = text_.size();
        for (auto const member : members)
            if (auto const text = view.*member; !text.empty())
                text_ += text;
        try {
            views_.push_back(view);
        } catch (...) {
            text_.resize(before);
            throw;
        }
    }
    [[nodiscard]] auto count() const noexcept -> std::size_t { return views_.size(); }
    [[nodiscard]] auto size_bytes() const noexcept -> std::size_t {
        return text_.size() + views_.size() * sizeof(Request_View);
    }
    /// Calls visit(Request_View const&) for each. What it is given is good until it returns.
    template <class Visit>
    void each(Visit&& visit) const {
        std::size_t begin = 0;
        for (auto view : views_) {
            for (auto const member : members) {
                auto& text = view.*member;
                text = std::string_view(text_).substr(begin, text.size());
                begin += text.size();
            }
            visit(std::as_const(view));
        }
    }
    /// Forgets them and keeps the room.
    void clear() noexcept {
        views_.clear();
        text_.clear();
    }

  private:
    /// All that borrow.
    static constexpr std::array members{
        &Request_View::method,     &Request_View::target,     &Request_View::remote,       &Request_View::forwarded_for,
        &Request_View::user_agent, &Request_View::referrer,   &Request_View::content_type, &Request_View::country,
        &Request_View::route,      &Request_View::event_type, &Request_View::source,       &Request_View::transfer_id,
        &Request_View::token_id};

    std::vector<Request_View> views_; ///< of their texts only the sizes are good
    std::string text_;                ///< the texts, one behind the other
};

} // namespace memfs_cache
