// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/namespaces/analytics/pulse.hpp>

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

/// Makes heaps whose first is the oldest, and sorts the newest to the front.
constexpr auto newer = [](auto const& a, auto const& b) { return b < a; };

auto shown(std::string_view json, Utc_Time time) -> Recent_Event {
    Analytics_Record event;
    (void)event.read({json, time}); // it was read before
    return {time,
            std::string(event.event_id),
            std::string(event.event_type),
            std::string(event.path),
            std::string(event.method),
            event.status_code,
            std::string(event.ip_hash.substr(0, 8)),
            std::string(event.user_agent_normalised),
            std::string(event.country)};
}

} // namespace

void Pulse_Window::advance(Utc_Time now) {
    now_ = now;
    auto const still =
        std::partition(waiting_.begin(), waiting_.end(), [&](auto const& kept) { return kept.time > now; });
    for (auto at = still; at != waiting_.end(); ++at)
        keep_if_recent(at->time, at->number, at->json);
    waiting_.erase(still, waiting_.end());
}

void Pulse_Window::add(Analytics_Record const& event, Raw_Event const& raw) {
    auto const number = seen_.size();
    auto const transfer = event.transfer_id.empty() ? 0 : siphash24(Sip_Key{}, event.transfer_id) | 1;
    seen_.push_back({event.timestamp, event.visitor(), transfer});
    if (event.timestamp <= now_)
        keep_if_recent(event.timestamp, number, raw.json);
    else if (waiting_.size() < most_waiting_events)
        waiting_.push_back({event.timestamp, number, std::string(raw.json)});
}

void Pulse_Window::keep_if_recent(Utc_Time time, std::uint64_t number, std::string_view json) {
    Kept kept{time, number, {}};
    if (recent_.size() == shown_events) {
        if (kept < recent_.front())
            return;
        std::pop_heap(recent_.begin(), recent_.end(), newer);
        kept.json = std::move(recent_.back().json);
        recent_.pop_back();
    }
    kept.json.assign(json);
    recent_.push_back(std::move(kept));
    std::push_heap(recent_.begin(), recent_.end(), newer);
}

void Pulse_Window::count(Utc_Time from, Count& into) const {
    for (auto const& event : seen_) {
        if (event.time > now_)
            ++into.future;
        if (event.time <= from || event.time > now_)
            continue;
        ++into.requests;
        if (event.visitor != 0)
            into.visitors.insert(event.visitor);
        if (event.transfer != 0)
            into.transfers.insert(event.transfer);
    }
    auto newest = recent_;
    std::sort(newest.begin(), newest.end(), newer);
    auto& rows = into.recent;
    auto place = rows.begin();
    for (auto const& kept : newest) {
        if (kept.time <= from)
            break;
        if (kept.time > now_) // the clock was set back
            continue;
        // Windows come in order of time, and what has not landed comes last: equal times are newer here.
        place = std::find_if(place, rows.end(), [&](auto const& row) { return row.timestamp <= kept.time; });
        place = std::next(rows.insert(place, shown(kept.json, kept.time)));
    }
    if (rows.size() > shown_events)
        rows.resize(shown_events);
}

auto Pulse::to_json() const -> boost::json::object {
    boost::json::array recent;
    for (auto const& event : recent_events)
        recent.push_back({{"timestamp", to_millis(event.timestamp)},
                          {"event_id", event.event_id},
                          {"event_type", event.event_type},
                          {"path", event.path},
                          {"method", event.method},
                          {"status_code", event.status_code},
                          {"ip_hash", event.ip_hash},
                          {"user_agent_normalised", event.user_agent_normalised},
                          {"country", event.country}});
    return {{"computed_at", to_millis(computed_at)}, {"window_minutes", window_minutes},
            {"active_requests", active_requests},    {"active_visitors", active_visitors},
            {"active_transfers", active_transfers},  {"future_requests", future_requests},
            {"recent_events", std::move(recent)}};
}

} // namespace memfs_cache
