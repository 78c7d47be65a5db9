// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace memfs_cache {
namespace {

/// The plain counters, their names in the saved form, in its order.
struct Counter {
    std::string_view name;
    std::uint64_t Analytics_Summary::*value;
};
constexpr std::array counters{
    Counter{"total_requests", &Analytics_Summary::total_requests},
    Counter{"page_views", &Analytics_Summary::page_views},
    Counter{"api_calls", &Analytics_Summary::api_calls},
    Counter{"file_uploads", &Analytics_Summary::file_uploads},
    Counter{"file_downloads", &Analytics_Summary::file_downloads},
    Counter{"token_uses", &Analytics_Summary::token_uses},
    Counter{"bot_requests", &Analytics_Summary::bot_requests},
    Counter{"error_count", &Analytics_Summary::error_count},
    Counter{"total_bytes", &Analytics_Summary::total_bytes},
    Counter{"total_duration_us", &Analytics_Summary::total_duration_us},
};

struct Dimension {
    std::string_view name;
    Name_Counts Analytics_Summary::*counts;
};
constexpr std::array dimensions{
    Dimension{"paths", &Analytics_Summary::paths},
    Dimension{"countries", &Analytics_Summary::countries},
    Dimension{"referrers", &Analytics_Summary::referrers},
    Dimension{"user_agents", &Analytics_Summary::user_agents},
    Dimension{"status_codes", &Analytics_Summary::status_codes},
    Dimension{"methods", &Analytics_Summary::methods},
    Dimension{"event_types", &Analytics_Summary::event_types},
};

auto rows_of(Name_Counts const& counts, std::size_t most) -> Window_Summary::Rows {
    Window_Summary::Rows rows;
    for (auto const& [name, times] : counts.top(most))
        rows.emplace_back(name, times);
    return rows;
}

auto to_object(Window_Summary::Rows const& rows) -> boost::json::object {
    boost::json::object object;
    object.reserve(rows.size());
    for (auto const& [name, times] : rows)
        object.emplace(name, times);
    return object;
}

auto millis(std::int64_t value_us) -> double { return static_cast<double>(value_us) / 1000.0; }

} // namespace

void Analytics_Summary::add(Analytics_Record const& event) {
    ++total_requests;
    if (event.event_type == "page_view")
        ++page_views;
    else if (event.event_type == "api_call")
        ++api_calls;
    else if (event.event_type == "file_upload")
        ++file_uploads;
    else if (event.event_type == "file_download")
        ++file_downloads;
    else if (event.event_type == "token_use")
        ++token_uses;
    if (event.bot)
        ++bot_requests;
    if (event.status_code >= 400)
        ++error_count;
    add_up(total_bytes, event.content_bytes);
    if (event.duration_us) {
        add_up(total_duration_us, static_cast<std::uint64_t>(*event.duration_us));
        durations.add(*event.duration_us);
    }
    if (auto const visitor = event.visitor(); visitor != 0)
        visitors.add(visitor);
    auto const count = [](Name_Counts& counts, std::string_view name) {
        if (!name.empty())
            counts.add(name);
    };
    count(paths, event.path);
    count(countries, event.country);
    count(referrers, event.referrer_domain);
    count(user_agents, event.user_agent_normalised);
    if (event.status_code > 0) {
        std::array<char, 8> digits{};
        auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), event.status_code).ptr;
        status_codes.add({digits.data(), static_cast<std::size_t>(end - digits.data())});
    }
    count(methods, event.method);
    count(event_types, event.event_type);
}

void Analytics_Summary::merge(Analytics_Summary const& other) {
    for (auto const& counter : counters)
        add_up(this->*counter.value, other.*counter.value);
    visitors.merge(other.visitors);
    durations.merge(other.durations);
    for (auto const& dimension : dimensions)
        (this->*dimension.counts).merge(other.*dimension.counts);
}

void Analytics_Summary::append_members(std::string& out) const {
    for (auto const& counter : counters) {
        out.append("\"").append(counter.name).append("\":");
        append_json_number(out, this->*counter.value);
        out += ',';
    }
    out.append(R"("unique_visitors":)");
    append_json_number(out, visitors.count());
    out.append(R"(,"visitors":")").append(visitors.to_text()).append(R"(","durations_us":)");
    durations.append_json(out);
    for (auto const& dimension : dimensions) {
        out.append(",\"").append(dimension.name).append("\":");
        (this->*dimension.counts).append_json(out);
    }
}

auto Analytics_Summary::from_object(boost::json::object const& object) -> Result<Analytics_Summary> {
    Member_Reader reader(object);
    Analytics_Summary summary;
    for (auto const& counter : counters)
        summary.*counter.value = reader.unsigned_number(counter.name);
    auto visitors = Distinct_Set::from_text(reader.text("visitors"));
    if (!visitors)
        return visitors.error();
    summary.visitors = *std::move(visitors);
    if (summary.visitors.count() != reader.unsigned_number("unique_visitors"))
        reader.refuse("unique_visitors");
    auto durations = Percentiles::from_json(reader.object("durations_us"));
    if (!durations && reader.good())
        return durations.error();
    if (durations)
        summary.durations = *std::move(durations);
    for (auto const& dimension : dimensions) {
        auto counts = Name_Counts::from_json(reader.object(dimension.name));
        if (!counts)
            return counts.error();
        summary.*dimension.counts = *std::move(counts);
    }
    if (!reader.good())
        return fail(Errc::corrupt_data, "member '" + std::string(reader.first_bad()) + "' is missing or wrong");
    return summary;
}

auto Window_Summary::from(Window_Result<Analytics_Summary> const& result, std::string const& salt_period)
    -> Window_Summary {
    constexpr std::size_t top_rows = 20;
    constexpr std::size_t all_rows = SIZE_MAX;
    auto const& state = *result.summary;
    auto const timed = state.durations.count();
    return {.window_start = result.window.start(),
            .window_end = result.window.end(),
            .window_type = result.window.type(),
            .window_key = result.window.key(),
            .recorded = result.recorded,
            .final = result.final,
            .computed_at = result.computed_at,
            .revision = result.revision,
            .total_requests = state.total_requests,
            .unique_visitors = state.visitors.count(),
            .unique_visitors_error = 0,
            .unique_visitors_period = salt_period,
            .page_views = state.page_views,
            .api_calls = state.api_calls,
            .file_uploads = state.file_uploads,
            .file_downloads = state.file_downloads,
            .token_uses = state.token_uses,
            .bot_requests = state.bot_requests,
            .error_count = state.error_count,
            .avg_duration_ms =
                timed == 0 ? 0 : static_cast<double>(state.total_duration_us) / static_cast<double>(timed) / 1000.0,
            .p50_duration_ms = millis(state.durations.at(500)),
            .p95_duration_ms = millis(state.durations.at(950)),
            .p99_duration_ms = millis(state.durations.at(990)),
            .total_bytes = state.total_bytes,
            .top_paths = rows_of(state.paths, top_rows),
            .top_countries = rows_of(state.countries, top_rows),
            .top_referrers = rows_of(state.referrers, top_rows),
            .top_user_agents = rows_of(state.user_agents, top_rows),
            .status_codes = rows_of(state.status_codes, all_rows),
            .methods = rows_of(state.methods, all_rows),
            .event_types = rows_of(state.event_types, all_rows),
            .late_events = result.late_events};
}

auto Window_Summary::to_json() const -> boost::json::object {
    return {{"window_start", to_millis(window_start)},
            {"window_end", to_millis(window_end)},
            {"window_type", to_text(window_type)},
            {"window_key", window_key},
            {"recorded", recorded},
            {"final", final},
            {"computed_at", to_millis(computed_at)},
            {"revision", revision},
            {"total_requests", total_requests},
            {"unique_visitors", unique_visitors},
            {"unique_visitors_error", unique_visitors_error},
            {"unique_visitors_period", unique_visitors_period},
            {"page_views", page_views},
            {"api_calls", api_calls},
            {"file_uploads", file_uploads},
            {"file_downloads", file_downloads},
            {"token_uses", token_uses},
            {"bot_requests", bot_requests},
            {"error_count", error_count},
            {"avg_duration_ms", avg_duration_ms},
            {"p50_duration_ms", p50_duration_ms},
            {"p95_duration_ms", p95_duration_ms},
            {"p99_duration_ms", p99_duration_ms},
            {"total_bytes", total_bytes},
            {"top_paths", to_object(top_paths)},
            {"top_countries", to_object(top_countries)},
            {"top_referrers", to_object(top_referrers)},
            {"top_user_agents", to_object(top_user_agents)},
            {"status_codes", to_object(status_codes)},
            {"methods", to_object(methods)},
            {"event_types", to_object(event_types)},
            {"late_events", late_events}};
}

} // namespace memfs_cache
