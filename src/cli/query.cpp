// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/namespaces/analytics/analytics_csv.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

using namespace memfs_cache;

namespace {

struct Query_Options {
    Store_Options store;
    std::string name_space, window_type;
    std::vector<std::string> keys, filters;
    bool json = false, csv = false;
};

/// How far a number may be off, where it may.
auto give_or_take(double share) -> std::string {
    if (share == 0)
        return {};
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), " \u00b1%.2g %%", 100 * share);
    return text.data();
}

void show_rows(char const* title, Window_Summary const& summary, Window_Summary::Rows const& rows, char const* name) {
    if (rows.empty())
        return;
    auto const& dimension = *std::find_if(summary.dimensions.begin(), summary.dimensions.end(),
                                          [&](auto const& one) { return one.name == name; });
    std::printf("%s, %llu different%s", title, static_cast<unsigned long long>(dimension.distinct),
                give_or_take(dimension.distinct_error).c_str());
    if (dimension.error > 0)
        std::printf(", each up to %llu more", static_cast<unsigned long long>(dimension.error));
    std::printf("\n");
    for (auto const& [row, times] : rows)
        std::printf("  %10llu  %s\n", static_cast<unsigned long long>(times), row.c_str());
    if (dimension.other > 0)
        std::printf("  %10llu  (others)\n", static_cast<unsigned long long>(dimension.other));
}

void show(Window_Summary const& summary) {
    auto const number = [](char const* title, std::uint64_t value, double error = 0) {
        std::printf("%-18s %llu%s\n", title, static_cast<unsigned long long>(value), give_or_take(error).c_str());
    };
    std::printf("%s %s (UTC), %s\n", std::string(to_text(summary.window_type)).c_str(), summary.window_key.c_str(),
                !summary.recorded ? "nothing recorded"
                : summary.final   ? "final"
                                  : "so far");
    if (!summary.recorded)
        return;
    number("requests", summary.total_requests);
    number("unique visitors", summary.unique_visitors, summary.unique_visitors_error);
    number("page views", summary.page_views);
    number("bot requests", summary.bot_requests);
    number("errors", summary.error_count);
    number("bytes", summary.total_bytes);
    number("late events", summary.late_events);
    std::printf("%-18s avg %.3f  p50 %.3f  p95 %.3f  p99 %.3f%s\n", "duration ms", summary.avg_duration_ms,
                summary.p50_duration_ms, summary.p95_duration_ms, summary.p99_duration_ms,
                give_or_take(summary.p99_duration_error).c_str());
    show_rows("status codes", summary, summary.status_codes, "status_codes");
    show_rows("methods", summary, summary.methods, "methods");
    show_rows("kinds", summary, summary.event_types, "event_types");
    show_rows("paths", summary, summary.top_paths, "paths");
    show_rows("referrers", summary, summary.top_referrers, "referrers");
    show_rows("user agents", summary, summary.top_user_agents, "user_agents");
    show_rows("countries", summary, summary.top_countries, "countries");
}

auto run(Query_Options const& options) -> int {
    // Everything is checked before the storage is touched, so that a wrong key is wrong usage whatever the store holds.
    auto const type = or_exit(parse_window_type(options.window_type));
    for (auto const& key : options.keys)
        (void)or_exit(about(key, Window::parse(type, key)));
    auto const filter = parse_filter(options.filters);
    (void)or_exit(Namespace_Name::parse(options.name_space));
    auto const service_options = options.store.service_options();
    Cache_Service<Any_Storage> cache(options.store.open_storage(), service_options);
    auto& analytics = *or_exit(cache.open_analytics(options.name_space));
    auto const answers = analytics.aggregations(options.window_type, options.keys, filter);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        auto const summary = or_exit(about(options.keys[i], answers[i]));
        if (options.json)
            std::printf("%s\n", json_text(summary.to_json()).c_str());
        else if (options.csv)
            std::fputs(to_csv(summary).c_str(), stdout);
        else
            show(summary);
    }
    or_exit(cache.close());
    return done;
}

} // namespace

auto add_query(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Query_Options>();
    auto* command = app.add_subcommand("query", "Say what happened in one or more windows");
    options->store.add_to(*command);
    add_filter_to(*command, options->filters);
    command->add_flag("--json", options->json, "one JSON object a line for each window");
    command->add_flag("--csv", options->csv, "a table of dimension, name and value for each window")
        ->excludes("--json");
    command->add_option("namespace", options->name_space, "such as analytics")->required();
    command->add_option("window_type", options->window_type, "30min, hourly, daily, weekly, monthly or yearly")
        ->required();
    command->add_option("window_key", options->keys, "such as 2026-02-13, in UTC")->required();
    return [options] { return run(*options); };
}
