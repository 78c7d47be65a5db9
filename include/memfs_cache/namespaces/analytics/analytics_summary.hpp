// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>
#include <memfs_cache/lets/percentiles.hpp>
#include <memfs_cache/lets/saved_window.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What is known about the requests of a window: the state that merges. Everything in it is a whole number or exact.
struct Analytics_Summary {
    std::uint64_t total_requests = 0;
    std::uint64_t page_views = 0;
    std::uint64_t api_calls = 0;
    std::uint64_t file_uploads = 0;
    std::uint64_t file_downloads = 0;
    std::uint64_t token_uses = 0;
    std::uint64_t bot_requests = 0;
    std::uint64_t error_count = 0; ///< status 400 and above
    std::uint64_t total_bytes = 0;
    std::uint64_t total_duration_us = 0; ///< of the requests that have a duration; their number is that of `durations`
    Distinct_Set visitors;
    Percentiles durations;
    Name_Counts paths, countries, referrers, user_agents, status_codes, methods, event_types;

    void add(Analytics_Record const& event);
    void merge(Analytics_Summary const& other);
    void append_members(std::string& out) const;
    [[nodiscard]] static auto from_object(boost::json::object const& object) -> Result<Analytics_Summary>;
};

/// The answer about one window, with every field ready to be shown.
struct Window_Summary {
    using Rows = std::vector<std::pair<std::string, std::uint64_t>>; ///< largest first, then by name

    Utc_Time window_start, window_end;
    Window_Type window_type = Window_Type::half_hour;
    std::string window_key;
    bool recorded = false; ///< some request was recorded in it; false is "nothing known"
    bool final = false;
    Utc_Time computed_at;
    std::uint64_t revision = 0;
    std::uint64_t total_requests = 0;
    std::uint64_t unique_visitors = 0;
    double unique_visitors_error = 0;   ///< relative standard error; 0: exact
    std::string unique_visitors_period; ///< day, week or month: within it a visitor is counted once
    std::uint64_t page_views = 0, api_calls = 0, file_uploads = 0, file_downloads = 0, token_uses = 0;
    std::uint64_t bot_requests = 0;
    std::uint64_t error_count = 0;
    double avg_duration_ms = 0; ///< over the requests that have a duration
    double p50_duration_ms = 0, p95_duration_ms = 0, p99_duration_ms = 0;
    std::uint64_t total_bytes = 0;
    Rows top_paths, top_countries, top_referrers, top_user_agents; ///< the 20 largest
    Rows status_codes, methods, event_types;
    std::uint64_t late_events = 0;

    [[nodiscard]] static auto from(Window_Result<Analytics_Summary> const& result, std::string const& salt_period)
        -> Window_Summary;
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
