// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/time_zone.hpp>
#include <memfs_cache/namespaces/analytics/analytics_filter.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>

#include <boost/json/object.hpp>

#include <cstddef>
#include <optional>
#include <vector>

namespace memfs_cache {

/// What happened in each of several windows that follow each other?
struct Series_Question {
    static constexpr std::size_t most_windows = 3660; ///< ten years of days

    Utc_Time start, end; ///< every window is part of the answer that has an instant of [start, end)
    Window_Type step = Window_Type::daily;
    Time_Zone time_zone;
    Analytics_Filter filter;
    bool compares = false; ///< also with the same number of windows before the first

    /// The windows asked for, in order.
    /// @errors invalid_argument, led by the name of the member that is at fault: an empty or too long stretch, one that
    ///         begins before 1970, and one that goes on behind the window of `now`
    [[nodiscard]] auto windows(Utc_Time now) const -> Result<std::vector<Local_Window>>;
    /// As many windows as `windows` has, of the same calendar, up to its first.
    /// @errors invalid_argument if they begin before 1970
    [[nodiscard]] auto windows_before(std::vector<Local_Window> const& windows) const
        -> Result<std::vector<Local_Window>>;
};

/// The answer to a Series_Question.
struct Series {
    struct Row {
        Window_Summary summary;
        std::optional<Window_Summary> previous; ///< as long before; nothing if not asked for, or not recorded

        /// Members of the summary, and `previous`.
        [[nodiscard]] auto to_json() const -> boost::json::object;
    };

    Window_Type step;
    std::string time_zone;
    bool is_compared = false;
    std::vector<Row> rows; ///< in the order of time

    /// {"step", "time_zone", "rows": [...]}
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
