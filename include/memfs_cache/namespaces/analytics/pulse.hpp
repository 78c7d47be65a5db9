// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <boost/json/object.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace memfs_cache {

/// One of the newest requests, as far as it may be shown.
struct Recent_Event {
    Utc_Time timestamp;
    std::string event_id, event_type, path, method;
    int status_code = 0;
    std::string ip_hash; ///< its first 8 digits
    std::string user_agent_normalised, country;
};

/// Who is there now: the requests of (computed_at - window_minutes, computed_at].
struct Pulse {
    Utc_Time computed_at;
    int window_minutes = 0;
    std::uint64_t active_requests = 0;
    std::uint64_t active_visitors = 0;
    std::uint64_t active_transfers = 0;
    std::uint64_t future_requests = 0;       ///< left out, because they are stamped later than now
    std::vector<Recent_Event> recent_events; ///< at most 10, newest first

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// What a pulse keeps of the events of one half-hour, so that the next one reads only what is new.
class Pulse_Window {
  public:
    static constexpr std::size_t shown_events = 10;

    void add(Analytics_Record const& event);
    /// Adds what lies in (from, to] to the sets, and what lies behind `to` to the future.
    struct Count {
        std::uint64_t requests = 0, future = 0;
        boost::unordered_flat_set<std::uint64_t> visitors, transfers;
        std::vector<Recent_Event const*> recent;
    };
    void count(Utc_Time from, Utc_Time to, Count& into) const;

  private:
    struct Seen {
        Utc_Time time;
        std::uint64_t visitor;  ///< 0: unknown
        std::uint64_t transfer; ///< 0: none
    };
    /// More than are shown, since some of them may turn out to be stamped in the future.
    static constexpr std::size_t kept_events = 4 * shown_events;

    std::vector<Seen> seen_;
    std::vector<Recent_Event> recent_; ///< newest first
};

/// Answers pulses from the raw events of the half-hours that the asked minutes touch, never from anything saved.
template <StorageBackend Storage>
class Pulse_Reader {
  public:
    static constexpr int most_minutes = 1440;

    explicit Pulse_Reader(Event_Log<Storage>& log) : log_(log) {}

    /// @param  window_minutes  1..1440
    /// @errors invalid_argument; what the storage says
    /// Cost    one list a half-hour, and a read of what is new since the last pulse; 24 bytes are kept for each event
    ///         of the half-hours asked for
    [[nodiscard]] auto read(int window_minutes) -> Result<Pulse> {
        if (window_minutes < 1 || window_minutes > most_minutes)
            return fail(Errc::invalid_argument, "window_minutes: give 1 to 1440");
        (void)log_.flush(); // what cannot be landed is read from the buffer
        std::unique_lock const lock(mutex_);
        auto const now = log_.clock()->now();
        auto const from = std::max(earliest_time, now - std::chrono::minutes(window_minutes));
        auto const first = Base_Window::containing(from);
        std::erase_if(windows_, [&](auto const& entry) { return entry.first < first; });

        Pulse_Window::Count counted;
        std::vector<std::unique_ptr<Pulse_Window>> waiting; // of the own buffer; alive until the rows are copied
        // Clocks differ: what others stamp a little ahead of this clock lies in the half-hour after the current one.
        for (auto base = first; base <= Base_Window::containing(now).next(); base = base.next()) {
            auto& known = windows_[base];
            auto const fold = [](Pulse_Window& into) {
                return [&into, event = Analytics_Record()](Raw_Event const& raw) mutable -> Result<void> {
                    if (auto const read = event.read(raw); !read)
                        return read.error();
                    into.add(event);
                    return {};
                };
            };
            if (auto const read = log_.read(base, known.state, fold(known.events)); !read) {
                windows_.erase(base); // half read is worthless
                return read.error();
            }
            auto& own = *waiting.emplace_back(std::make_unique<Pulse_Window>());
            if (auto const read = log_.read_unlanded(base, known.state, fold(own)); !read)
                return read.error();
            known.events.count(from, now, counted);
            own.count(from, now, counted);
        }

        Pulse pulse{
            now, window_minutes, counted.requests, counted.visitors.size(), counted.transfers.size(), counted.future,
            {}};
        std::sort(counted.recent.begin(), counted.recent.end(),
                  [](auto const* a, auto const* b) { return a->timestamp > b->timestamp; });
        if (counted.recent.size() > Pulse_Window::shown_events)
            counted.recent.resize(Pulse_Window::shown_events);
        for (auto const* event : counted.recent)
            pulse.recent_events.push_back(*event);
        return pulse;
    }

  private:
    struct Known {
        Read_State state;
        Pulse_Window events;
    };
    Event_Log<Storage>& log_;
    std::mutex mutex_;
    std::map<Base_Window, Known> windows_;
};

} // namespace memfs_cache
