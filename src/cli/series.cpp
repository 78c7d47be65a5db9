// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/namespaces/analytics/analytics_csv.hpp>

#include <cstdio>
#include <optional>

using namespace memfs_cache;

namespace {

struct Series_Options {
    Store_Options store;
    std::string start, end, step = "daily", time_zone = "UTC", compare;
    std::vector<std::string> filters;
    bool json = false, csv = false;
};

/// Milliseconds since 1970, or the first instant of a local date.
auto parse_time(std::string const& option, std::string const& text, Time_Zone const& zone) -> Utc_Time {
    if (auto const millis = parse_decimal(text);
        millis && *millis <= static_cast<std::uint64_t>(to_millis(latest_time)))
        return from_millis(static_cast<std::int64_t>(*millis));
    auto const date = Window::parse(Window_Type::daily, text);
    if (!date)
        throw Failure{wrong_usage, fail(Errc::invalid_argument,
                                        option + ": give a date such as 2026-02-13, or milliseconds since 1970")};
    // Noon of that date in UTC lies on it or next to it everywhere.
    auto day = zone.containing(Window_Type::daily, date->start() + std::chrono::hours(12));
    if (day.key() > text)
        day = zone.containing(Window_Type::daily, day.start() - std::chrono::milliseconds(1));
    return day.key() < text ? day.end() : day.start();
}

void show(Series const& series) {
    std::printf("%s windows, %s\n%-28s %12s %12s %12s %12s %16s %12s\n", std::string(to_text(series.step)).c_str(),
                series.time_zone.c_str(), "window", "requests", "visitors", "page views", "errors", "bytes", "before");
    auto const number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    for (auto const& row : series.rows) {
        auto const& summary = row.summary;
        std::printf("%-28s %12llu %12llu %12llu %12llu %16llu %12s%s\n", summary.window_key.c_str(),
                    number(summary.total_requests), number(summary.unique_visitors), number(summary.page_views),
                    number(summary.error_count), number(summary.total_bytes),
                    row.previous ? std::to_string(row.previous->total_requests).c_str() : "-",
                    !summary.recorded ? "  nothing recorded"
                    : summary.final   ? ""
                                      : "  so far");
    }
}

auto run(Series_Options const& options) -> int {
    Series_Question question;
    question.step = or_exit(parse_window_type(options.step));
    question.time_zone = or_exit(Time_Zone::find(options.time_zone));
    question.start = parse_time("--start", options.start, question.time_zone);
    question.end = parse_time("--end", options.end, question.time_zone);
    question.filter = parse_filter(options.filters);
    question.compares = !options.compare.empty();
    (void)or_exit(Namespace_Name::parse(options.store.name_space));
    auto const service_options = options.store.service_options();
    Cache_Service<Any_Storage> cache(options.store.open_storage(), service_options);
    auto const series = or_exit(or_exit(cache.open_analytics(options.store.name_space))->series(question));
    if (options.json)
        for (auto const& row : series.rows)
            std::printf("%s\n", json_text(row.to_json()).c_str());
    else if (options.csv)
        std::fputs(to_csv(series).c_str(), stdout);
    else
        show(series);
    or_exit(cache.close());
    return done;
}

} // namespace

auto parse_filter(std::vector<std::string> const& words) -> Analytics_Filter {
    Analytics_Filter filter;
    for (auto const& word : words) {
        auto const equals = word.find('=');
        if (equals == std::string::npos)
            throw Failure{wrong_usage,
                          fail(Errc::invalid_argument, "--filter: give dimension=value, such as path=/blog/*")};
        or_exit(about("--filter", filter.add(word.substr(0, equals), word.substr(equals + 1))));
    }
    return filter;
}

void add_filter_to(CLI::App& command, std::vector<std::string>& filters) {
    std::string names;
    for (auto const dimension : Analytics_Filter::dimensions())
        names.append(names.empty() ? "" : ", ").append(dimension);
    command
        .add_option("--filter", filters,
                    "only events that fit, as often as wanted: path=/blog/*, status=!4xx; of " + names)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

auto add_series(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Series_Options>();
    auto* command = app.add_subcommand("series", "Say what happened in each of several windows that follow each other");
    options->store.add_to(*command);
    options->store.add_namespace_to(*command);
    command->add_option("--start", options->start, "a local date, or milliseconds since 1970")->required();
    command->add_option("--end", options->end, "the same; not included")->required();
    command->add_option("--step", options->step, "30min, hourly, daily, weekly, monthly or yearly")
        ->capture_default_str();
    command->add_option("--time-zone", options->time_zone, "whose calendar, such as Europe/Lisbon")
        ->capture_default_str();
    command->add_option("--compare", options->compare, "previous: also the stretch before that is as long")
        ->check(CLI::IsMember({"previous"}));
    add_filter_to(*command, options->filters);
    command->add_flag("--json", options->json, "one JSON object a line for each window");
    command->add_flag("--csv", options->csv, "a table with a line for each window")->excludes("--json");
    return [options] { return run(*options); };
}
