// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/analytics/series.hpp>

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache {

auto Series_Question::windows(Utc_Time now) const -> Result<std::vector<Local_Window>> {
    if (end <= start)
        return fail(Errc::invalid_argument, "end: must be later than start");
    if (!is_storable(start) || !is_storable(time_zone.containing(step, start).start()))
        return fail(Errc::invalid_argument, "start: give a time from 1970 on, in milliseconds, with all of its window");
    std::vector<Local_Window> found;
    for (auto time = start; time < end; time = found.back().end()) {
        if (time > now)
            return fail(Errc::invalid_argument, "end: lies in the future; the window of now is the last to ask for");
        if (found.size() == most_windows)
            return fail(Errc::invalid_argument, "end: more than " + std::to_string(most_windows) +
                                                    " windows lie between start and end; ask for less or longer ones");
        found.push_back(time_zone.containing(step, time));
    }
    return found;
}

auto Series_Question::windows_before(std::vector<Local_Window> const& windows) const
    -> Result<std::vector<Local_Window>> {
    std::vector<Local_Window> found;
    found.reserve(windows.size());
    for (auto later = windows.front().start(); found.size() < windows.size(); later = found.back().start()) {
        auto const before = later - std::chrono::milliseconds(1);
        if (!is_storable(before) || !is_storable(time_zone.containing(step, before).start()))
            return fail(Errc::invalid_argument, "start: what it is compared with lies before 1970");
        found.push_back(time_zone.containing(step, before));
    }
    std::reverse(found.begin(), found.end());
    return found;
}

auto Series::Row::to_json() const -> boost::json::object {
    auto object = summary.to_json();
    object["previous"] = previous ? boost::json::value(previous->to_json()) : nullptr;
    return object;
}

auto Series::to_json() const -> boost::json::object {
    boost::json::array all;
    all.reserve(rows.size());
    for (auto const& row : rows)
        all.push_back(row.to_json());
    return {{"step", to_text(step)}, {"time_zone", time_zone}, {"rows", std::move(all)}};
}

} // namespace memfs_cache
