// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/namespaces/analytics/pulse.hpp>

#include <boost/json.hpp>

namespace memfs_cache {
namespace {

/// A text as a number that is never 0, which stands for "none".
auto number_of(std::string_view text) -> std::uint64_t { return text.empty() ? 0 : siphash24(Sip_Key{}, text) | 1; }

} // namespace

void Pulse_Window::add(Analytics_Record const& event) {
    seen_.push_back({event.timestamp, number_of(event.ip_hash), number_of(event.transfer_id)});
    if (recent_.size() == kept_events && recent_.back().timestamp >= event.timestamp)
        return;
    auto const place = std::find_if(recent_.begin(), recent_.end(),
                                    [&](auto const& other) { return other.timestamp <= event.timestamp; });
    recent_.insert(place, {event.timestamp, std::string(event.event_id), std::string(event.event_type),
                           std::string(event.path), std::string(event.method), event.status_code,
                           std::string(event.ip_hash.substr(0, 8)), std::string(event.user_agent_normalised),
                           std::string(event.country)});
    if (recent_.size() > kept_events)
        recent_.pop_back();
}

void Pulse_Window::count(Utc_Time from, Utc_Time to, Count& into) const {
    for (auto const& event : seen_) {
        if (event.time > to)
            ++into.future;
        if (event.time <= from || event.time > to)
            continue;
        ++into.requests;
        if (event.visitor != 0)
            into.visitors.insert(event.visitor);
        if (event.transfer != 0)
            into.transfers.insert(event.transfer);
    }
    for (auto const& event : recent_)
        if (event.timestamp > from && event.timestamp <= to)
            into.recent.push_back(&event);
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
