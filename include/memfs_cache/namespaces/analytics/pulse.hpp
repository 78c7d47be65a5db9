// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/analytics/recent_reader.hpp>

#include <boost/json/object.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <cstdint>
#include <string>
#include <utility>
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

/// Counts what pulses say, over events that come in any order.
class Pulse_Window {
  public:
    static constexpr std::size_t shown_events = 10;
    /// Events stamped later than the pulse that met them may be shown by a later one. So many are remembered in full.
    static constexpr std::size_t most_waiting_events = 4096;

    /// What a pulse adds up over several windows, in order of time.
    struct Count {
        std::uint64_t requests = 0, future = 0;
        boost::unordered_flat_set<std::uint64_t> visitors, transfers;
        std::vector<Recent_Event> recent; ///< newest first
    };

    /// From now on `now` is the present: what is stamped later waits.
    void advance(Utc_Time now);
    /// @param  event  its views are good during the call only
    void add(Analytics_Record const& event, Raw_Event const& raw);
    /// Adds what lies in (from, the present] and, apart, in the future.
    void count(Utc_Time from, Count& into) const;

  private:
    struct Seen {
        Utc_Time time;
        std::uint64_t visitor;  ///< 0: unknown
        std::uint64_t transfer; ///< 0: none
    };
    /// An event as it was read. Only the few that are shown are ever taken apart, and the text's room is used again.
    struct Kept {
        Utc_Time time;
        std::uint64_t number = 0; ///< in order of reading
        std::string json;
        auto operator<(Kept const& other) const -> bool {
            return time != other.time ? time < other.time : number < other.number;
        }
    };
    void keep_if_recent(Utc_Time time, std::uint64_t number, std::string_view json);

    Utc_Time now_ = earliest_time;
    std::vector<Seen> seen_;
    std::vector<Kept> recent_;  ///< up to now_; a heap, the oldest first
    std::vector<Kept> waiting_; ///< later than now_
};

/// Answers pulses from raw events, never from anything saved.
///
/// Threads  any; one pulse is read after the other.
template <StorageBackend Storage>
class Pulse_Reader {
  public:
    explicit Pulse_Reader(Event_Log<Storage>& log) : recent_(log) {}

    /// @param  window_minutes  1..1440
    /// @errors invalid_argument; what the storage says
    /// Cost    as Recent_Reader::read; 24 bytes are kept for each event read
    [[nodiscard]] auto read(int window_minutes) -> Result<Pulse> {
        Pulse_Window::Count counted;
        auto const now = recent_.read(window_minutes, counted);
        if (!now)
            return now.error();
        return Pulse{*now,
                     window_minutes,
                     counted.requests,
                     counted.visitors.size(),
                     counted.transfers.size(),
                     counted.future,
                     std::move(counted.recent)};
    }

  private:
    Recent_Reader<Storage, Pulse_Window> recent_;
};

} // namespace memfs_cache
