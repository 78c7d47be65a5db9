// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/concepts.hpp>
#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>
#include <memfs_cache/lets/percentiles.hpp>
#include <memfs_cache/lets/saved_window.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <boost/json/object.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {

/// What is added up of the requests of a window.
struct Analytics_Sums {
    std::uint64_t total_requests = 0;
    std::uint64_t page_views = 0;
    std::uint64_t api_calls = 0;
    std::uint64_t file_uploads = 0;
    std::uint64_t file_downloads = 0;
    std::uint64_t token_uses = 0;
    std::uint64_t bot_requests = 0;
    std::uint64_t error_count = 0; ///< status 400 and above
    std::uint64_t total_bytes = 0;
    std::uint64_t total_duration_us = 0; ///< of the requests that have a duration
};

/// What an Analytics_Summary says of itself, in a size that does not grow with what it counts.
struct Analytics_Answer : Analytics_Sums {
    static constexpr std::size_t most_names = 100; ///< of each dimension

    std::uint64_t timed_requests = 0; ///< those that have a duration
    std::uint64_t unique_visitors = 0;
    std::uint64_t unique_visitors_error_ppm = 0; ///< relative standard error in millionths; 0: exact
    std::uint64_t p50_duration_us = 0, p95_duration_us = 0, p99_duration_us = 0;
    std::uint64_t duration_error_ppm = 0; ///< greatest relative error of these three in millionths; 0: exact
    Name_Ranking paths, countries, referrers, user_agents, status_codes, methods, event_types;

    void append_members(std::string& out) const;
    /// @param  text  a JSON object; members of others may stand before and behind its own
    /// @errors corrupt_data
    [[nodiscard]] static auto from_text(std::string_view text) -> Result<Analytics_Answer>;
};

/// What is known about the requests of a window: the state that merges. Everything in it is a whole number. It is exact up
/// to the sizes of Distinct_Set, Percentiles and Name_Counts, and bounded beyond them. Models LargeSummary.
struct Analytics_Summary : Analytics_Sums {
    using Answer = Analytics_Answer;

    Distinct_Set visitors;
    Percentiles durations;
    Name_Counts paths, countries, referrers, user_agents, status_codes, methods, event_types;

    void add(Analytics_Record const& event);
    void merge(Analytics_Summary const& other);
    void settle();
    [[nodiscard]] auto answer() const -> Analytics_Answer;
    void append_members(std::string& out) const;
    /// Counts what a text of append_members() says, also as an older version wrote it. Other members may stand between.
    /// @errors corrupt_data; the summary is then of no use
    [[nodiscard]] auto merge_text(std::string_view object) -> Result<void>;
};
static_assert(LargeSummary<Analytics_Summary, Analytics_Record>);

/// The answer about one window, with every field ready to be shown.
struct Window_Summary {
    using Rows = Name_Ranking::Rows; ///< largest first, then by name

    /// What the rows of a dimension are of. The counts of the rows that are shown and `other` are `total`.
    struct Dimension {
        std::string_view name = ""; ///< such as "paths"; never null, since it becomes a key
        std::uint64_t total = 0;
        std::uint64_t other = 0;
        std::uint64_t distinct = 0; ///< how many different names there are
        double distinct_error = 0;  ///< its relative standard error; 0: exact
        std::uint64_t error = 0;    ///< a count may be too small by so much; 0: exact
    };

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
    /// Greatest relative errors of these three; 0: exact.
    double p50_duration_error = 0, p95_duration_error = 0, p99_duration_error = 0;
    std::uint64_t total_bytes = 0;
    Rows top_paths{}, top_countries{}, top_referrers{}, top_user_agents{}; ///< the 20 largest
    Rows status_codes{}, methods{}, event_types{};
    /// Of paths, countries, referrers, user_agents, status_codes, methods and event_types.
    std::array<Dimension, 7> dimensions{};
    std::uint64_t late_events = 0;

    [[nodiscard]] static auto from(Window_Result<Analytics_Answer> const& result, std::string const& salt_period)
        -> Window_Summary;
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
