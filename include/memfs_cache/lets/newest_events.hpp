// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/window.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace memfs_cache {

/// Finds the newest events of one thing that a log tells of: in half-hours whose windows, and those above them, say that
/// they may hold some. The raw events of no other half-hour are read.
/// @tparam Event  what is found; has a timestamp
template <class Event, StorageBackend Storage>
class Newest_Events {
  public:
    /// Does a window know of any?
    using Names = std::function<Result<bool>(Window const&)>;
    /// An event as what it is, if it is one of them.
    using Take = std::function<Result<std::optional<Event>>(Raw_Event const&)>;

    /// @param  wanted  lets pieces of raw events be passed over that hold none of them
    Newest_Events(Event_Log<Storage>& log, Wanted_Events wanted, Names names, Take take)
        : log_(log), wanted_(wanted), names_(std::move(names)), take_(std::move(take)) {}

    /// @param  since  looks no further back than the month that holds this
    /// @return at most `most`, newest first
    [[nodiscard]] auto find(Utc_Time since, std::size_t most) -> Result<std::vector<Event>> {
        std::vector<Event> found;
        for (auto month = Window::containing(Window_Type::monthly, log_.clock()->now());;) {
            if (auto const done = collect(month, found, most); !done)
                return done.error();
            if (found.size() >= most || month.start() <= since)
                return found;
            month = Window::containing(Window_Type::monthly, month.start() - std::chrono::milliseconds(1));
        }
    }

  private:
    auto collect(Window const& window, std::vector<Event>& found, std::size_t most) -> Result<void> {
        auto const named = names_(window);
        if (!named)
            return named.error();
        if (!*named)
            return {};
        auto const child = child_type(window.type());
        if (!child)
            return collect_raw(Base_Window::containing(window.start()), found, most);
        std::vector<Window> children;
        auto const end = std::min(window.end(), log_.clock()->now() + std::chrono::milliseconds(1));
        for (auto part = Window::containing(*child, window.start()); part.start() < end; part = part.next())
            children.push_back(part);
        for (auto part = children.rbegin(); part != children.rend() && found.size() < most; ++part)
            if (auto const done = collect(*part, found, most); !done)
                return done.error();
        return {};
    }

    auto collect_raw(Base_Window base, std::vector<Event>& found, std::size_t most) -> Result<void> {
        std::vector<Event> here; // of equal times the later one is newer
        auto const sort = [&here] {
            std::stable_sort(here.begin(), here.end(),
                             [](auto const& a, auto const& b) { return a.timestamp < b.timestamp; });
        };
        auto const visit = [&](Raw_Event const& raw) -> Result<void> {
            auto event = take_(raw);
            if (!event)
                return event.error();
            if (!*event)
                return {};
            here.push_back(**std::move(event));
            if (here.size() >= 2 * most + 1024) { // whatever happened in this half-hour
                sort();
                here.erase(here.begin(), here.end() - static_cast<std::ptrdiff_t>(most));
            }
            return {};
        };
        Read_State state;
        if (auto const read = log_.read(base, state, visit, wanted_); !read)
            return read.error();
        if (auto const read = log_.read_unlanded(base, state, visit); !read)
            return read.error();
        sort();
        for (auto event = here.rbegin(); event != here.rend() && found.size() < most; ++event)
            found.push_back(std::move(*event));
        return {};
    }

    Event_Log<Storage>& log_;
    Wanted_Events wanted_;
    Names names_;
    Take take_;
};

} // namespace memfs_cache
