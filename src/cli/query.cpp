// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/namespaces/analytics/analytics_csv.hpp>

#include <cstdio>
#include <vector>

using namespace memfs_cache;

namespace {

struct Query_Options {
    Store_Options store;
    std::string name_space, window_type;
    std::vector<std::string> keys, filters;
    bool json = false, csv = false;
};

void show_rows(char const* title, Window_Summary::Rows const& rows) {
    if (rows.empty())
        return;
    std::printf("%s\n", title);
    for (auto const& [name, times] : rows)
        std::printf("  %10llu  %s\n", static_cast<unsigned long long>(times), name.c_str());
}

void show(Window_Summary const& summary) {
    auto const number = [](char const* title, std::uint64_t value) {
        std::printf("%-18s %llu\n", title, static_cast<unsigned long long>(value));
    };
    std::printf("%s %s (UTC), %s\n", std::string(to_text(summary.window_type)).c_str(), summary.window_key.c_str(),
                !summary.recorded ? "nothing recorded"
                : summary.final   ? "final"
                                  : "so far");
    if (!summary.recorded)
        return;
    number("requests", summary.total_requests);
    number("unique visitors", summary.unique_visitors);
    number("page views", summary.page_views);
    number("bot requests", summary.bot_requests);
    number("errors", summary.error_count);
    number("bytes", summary.total_bytes);
    number("late events", summary.late_events);
    std::printf("%-18s avg %.3f  p50 %.3f  p95 %.3f  p99 %.3f\n", "duration ms", summary.avg_duration_ms,
                summary.p50_duration_ms, summary.p95_duration_ms, summary.p99_duration_ms);
    show_rows("status codes", summary.status_codes);
    show_rows("methods", summary.methods);
    show_rows("kinds", summary.event_types);
    show_rows("paths", summary.top_paths);
    show_rows("referrers", summary.top_referrers);
    show_rows("user agents", summary.top_user_agents);
    show_rows("countries", summary.top_countries);
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
