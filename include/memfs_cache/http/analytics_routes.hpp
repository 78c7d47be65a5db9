// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/live_events.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/namespaces/analytics/analytics_csv.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// What the routes of analytics have in common that does not depend on the storage.
namespace analytics_requests {

[[nodiscard]] auto window_type(std::string name) -> Parameter;
/// One for each dimension of Analytics_Filter.
[[nodiscard]] auto filters() -> std::vector<Parameter>;
/// json or csv.
[[nodiscard]] auto format() -> Parameter;
/// The parameters of a series, and of the parts that they may ask for.
[[nodiscard]] auto series() -> std::vector<Parameter>;

/// @errors invalid_argument, led by the name of the parameter, as those below
[[nodiscard]] auto read_filter(Arguments const& arguments) -> Result<Analytics_Filter>;
[[nodiscard]] auto read_series(Arguments const& arguments) -> Result<Series_Question>;

} // namespace analytics_requests

/// The routes of the analytics of a service.
template <StorageBackend Storage>
[[nodiscard]] auto analytics_routes(Cache_Service<Storage>& cache) -> std::vector<Route> {
    namespace requests = analytics_requests;
    // Asks the analytics, and shows the answer.
    auto const answer_of = [&cache](std::string_view field, auto const& ask, auto const& show) -> Response {
        auto const analytics = cache.open_analytics(Cache_Service<Storage>::ns_analytics);
        if (!analytics)
            return error_reply(analytics.error());
        auto const result = ask(**analytics);
        if (result)
            return show(*result);
        bool const is_invalid = result.error().code == Errc::invalid_argument;
        return error_reply(result.error(), is_invalid && !field.empty() ? field : member_at_fault(result.error()));
    };
    auto const as_json = [](auto const& answer) { return json_reply(answer.to_json()); };
    auto const as_asked = [](Arguments const& arguments) {
        return [is_csv = arguments.text("format") == "csv"](auto const& answer) {
            return is_csv ? csv_reply(to_csv(answer)) : json_reply(answer.to_json());
        };
    };

    Live_Events const pulses("pulse", [&cache]() -> Result<boost::json::object> {
        auto const analytics = cache.open_analytics(Cache_Service<Storage>::ns_analytics);
        if (!analytics)
            return analytics.error();
        auto const pulse = (*analytics)->pulse();
        if (!pulse)
            return pulse.error();
        return pulse->to_json();
    });

    auto of_a_window = requests::filters();
    of_a_window.insert(
        of_a_window.begin(),
        {requests::window_type("window_type"),
         {.name = "window_key", .description = "Which one, in UTC: 2026-02-13T14:30, 2026-02-13, 2026-W07."},
         requests::format()});
    return {
        {.method = "GET",
         .path = "/analytics/pulse",
         .summary = "Who is there now?",
         .parameters = {{.name = "window_minutes",
                         .description = "How far back to look.",
                         .minimum = 1,
                         .maximum = 1440,
                         .fallback = "5"}},
         .result = "The last minutes.",
         .schema = "Pulse",
         .handler =
             [=](Request const&, Arguments const& arguments) {
                 auto const minutes = static_cast<int>(arguments.integer("window_minutes"));
                 return answer_of(
                     "window_minutes", [&](auto& analytics) { return analytics.pulse(minutes); }, as_json);
             }},
        {.method = "GET",
         .path = "/analytics/live",
         .summary = "Who is there now? As an event stream; a client comes back by itself when it ends.",
         .result = "The last five minutes, now and every two seconds, as events of the stream.",
         .media_type = "text/event-stream",
         .handler = [pulses](Request const&, Arguments const&) { return pulses.reply(); }},
        {.method = "GET",
         .path = "/analytics/latest/{window_type}",
         .summary = "What happened in the newest window with events?",
         .parameters = {requests::window_type("window_type")},
         .result = "The window.",
         .schema = "Window_Summary",
         .handler =
             [=](Request const&, Arguments const& arguments) {
                 return answer_of(
                     "window_type", [&](auto& analytics) { return analytics.latest(arguments.text("window_type")); },
                     as_json);
             }},
        {.method = "GET",
         .path = "/analytics/series",
         .summary = "What happened in each of several windows?",
         .parameters = requests::series(),
         .result = "The windows in order.",
         .schema = "Series",
         .handler =
             [=](Request const&, Arguments const& arguments) {
                 auto const question = requests::read_series(arguments);
                 if (!question)
                     return error_reply(question.error(), member_at_fault(question.error()));
                 return answer_of(
                     "", [&](auto& analytics) { return analytics.series(*question); }, as_asked(arguments));
             }},
        {.method = "GET",
         .path = "/analytics/{window_type}/{window_key}",
         .summary = "What happened in a window?",
         .parameters = std::move(of_a_window),
         .result = "The window; recorded is false if nothing is known.",
         .schema = "Window_Summary",
         .handler =
             [=](Request const&, Arguments const& arguments) {
                 auto const filter = requests::read_filter(arguments);
                 if (!filter)
                     return error_reply(filter.error(), member_at_fault(filter.error()));
                 return answer_of(
                     "window_key",
                     [&](auto& analytics) {
                         return analytics.aggregation(arguments.text("window_type"), arguments.text("window_key"),
                                                      *filter);
                     },
                     as_asked(arguments));
             }},
    };
}

} // namespace memfs_cache
