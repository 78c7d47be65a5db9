// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>

namespace memfs_cache {

/// How far back a Recent_Reader looks: a day.
inline constexpr int most_recent_minutes = 1440;

/// Reads the raw events of the last minutes, never anything saved: of the half-hours that these minutes touch, and only
/// what is new since the last question.
///
/// Threads  any; one question is answered after the other.
/// @tparam Seen  what is kept of the events of a half-hour that were read: add(Analytics_Record const&, Raw_Event const&),
///               advance(Utc_Time now), which what is stamped later has to wait for, and count(Utc_Time from, into)
template <StorageBackend Storage, class Seen>
class Recent_Reader {
  public:
    explicit Recent_Reader(Event_Log<Storage>& log) : log_(log) {}

    /// @param  window_minutes  1..1440
    /// @param  into            what Seen::count() counts into, half-hour after half-hour, those that nobody has read yet
    ///                         apart and last
    /// @return now: what was counted lies in (now - window_minutes, now]
    /// @errors invalid_argument; what the storage says
    /// Cost    one list a half-hour, and a read of what is new since the last question, or of the asked minutes and a few
    ///         MiB for each writer if none asked for as many before
    template <class Count>
    [[nodiscard]] auto read(int window_minutes, Count& into) -> Result<Utc_Time> {
        if (window_minutes < 1 || window_minutes > most_recent_minutes)
            return fail(Errc::invalid_argument, "window_minutes: give 1 to 1440");
        (void)log_.flush(); // what cannot be landed is read from the buffer
        std::unique_lock const lock(mutex_);
        auto const now = log_.clock()->now();
        auto const from = std::max(earliest_time, now - std::chrono::minutes(window_minutes));
        auto const first = Base_Window::containing(from);
        // Clocks differ: what others stamp a little ahead of this clock lies in the half-hour after the current one.
        auto const last = Base_Window::containing(now).next();
        std::erase_if(windows_, [&](auto const& entry) { return entry.first < first || entry.first > last; });
        for (auto base = first; base <= last; base = base.next()) {
            auto& known = windows_.try_emplace(base, Known{from, {}, {}}).first->second;
            if (from < known.since)
                known = {from, {}, {}};
            known.events.advance(now);
            if (auto const read = log_.read(base, known.state, adding_to(known.events), {.after = known.since});
                !read) {
                windows_.erase(base); // half read is worthless
                return read.error();
            }
            Seen unlanded; // of the own buffer; newer than all that has landed
            unlanded.advance(now);
            if (auto const read = log_.read_unlanded(base, known.state, adding_to(unlanded)); !read)
                return read.error();
            known.events.count(from, into);
            unlanded.count(from, into);
        }
        return now;
    }

  private:
    struct Known {
        Utc_Time since; ///< all newer events are known, older ones perhaps
        Read_State state;
        Seen events;
    };

    static auto adding_to(Seen& seen) -> typename Event_Log<Storage>::Visit {
        return [&seen, event = Analytics_Record()](Raw_Event const& raw) mutable -> Result<void> {
            if (auto const read = event.read(raw); !read)
                return read.error();
            seen.add(event, raw);
            return {};
        };
    }

    Event_Log<Storage>& log_;
    std::mutex mutex_;
    std::map<Base_Window, Known> windows_; ///< what was read, so that the next question reads only what is new
};

} // namespace memfs_cache
