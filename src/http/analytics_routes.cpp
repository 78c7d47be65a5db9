// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/analytics_routes.hpp>

#include <iterator>

namespace memfs_cache::analytics_requests {

auto window_type(std::string name) -> Parameter {
    Parameter parameter{.name = std::move(name), .description = "Length of the window."};
    for (auto const type : all_window_types)
        parameter.one_of.emplace_back(to_text(type));
    return parameter;
}

auto filters() -> std::vector<Parameter> {
    std::vector<Parameter> parameters;
    for (auto const dimension : Analytics_Filter::dimensions()) {
        Parameter parameter{.name = std::string(dimension),
                            .description =
                                "Only events with this one, or one of these; ! before it: all but those; * at "
                                "its end: what begins so; a backslash takes what follows as it is."};
        if (dimension == "status")
            parameter.description =
                "Only events with this status, such as 404, or class, such as 4xx; !: all but those.";
        parameter.is_repeatable = true;
        parameters.push_back(std::move(parameter));
    }
    return parameters;
}

auto format() -> Parameter {
    return {.name = "format",
            .description = "csv: a table as text/csv, which holds the same.",
            .one_of = {"json", "csv"},
            .fallback = "json"};
}

auto series() -> std::vector<Parameter> {
    auto step = window_type("step");
    step.is_required = true;
    std::vector<Parameter> parameters{
        {.name = "start",
         .description = "Milliseconds since 1970, UTC. Every window is answered that touches [start, end).",
         .minimum = 0,
         .maximum = to_millis(latest_time),
         .is_required = true},
        {.name = "end",
         .description = "As start; at most 3660 windows later, and not behind the window of now.",
         .minimum = 0,
         .maximum = to_millis(latest_time),
         .is_required = true},
        std::move(step),
        {.name = "time_zone",
         .description = "Whose calendar the windows are of: an IANA name such as Europe/Lisbon.",
         .fallback = "UTC"},
        {.name = "compare",
         .description = "previous: each row with the one of the stretch before that is as long.",
         .one_of = {"previous"}},
        format()};
    auto more = filters();
    parameters.insert(parameters.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
    return parameters;
}

auto read_filter(Arguments const& arguments) -> Result<Analytics_Filter> {
    Analytics_Filter filter;
    for (auto const dimension : Analytics_Filter::dimensions())
        for (auto const& value : arguments.texts(dimension))
            if (auto const added = filter.add(dimension, value); !added)
                return added.error();
    return filter;
}

auto read_series(Arguments const& arguments) -> Result<Series_Question> {
    Series_Question question;
    question.start = from_millis(arguments.integer("start"));
    question.end = from_millis(arguments.integer("end"));
    question.step = parse_window_type(arguments.text("step")).value();
    question.compares = !arguments.text("compare").empty();
    auto zone = Time_Zone::find(arguments.text("time_zone"));
    if (!zone)
        return zone.error();
    question.time_zone = *std::move(zone);
    auto filter = read_filter(arguments);
    if (!filter)
        return filter.error();
    question.filter = *std::move(filter);
    return question;
}

} // namespace memfs_cache::analytics_requests
