// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json_count.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace memfs_cache {
namespace {

/// The plain counters, their names in the saved form, in its order.
struct Counter {
    std::string_view name;
    std::uint64_t Analytics_Sums::*value;
};
constexpr std::array counters{
    Counter{"total_requests", &Analytics_Sums::total_requests},
    Counter{"page_views", &Analytics_Sums::page_views},
    Counter{"api_calls", &Analytics_Sums::api_calls},
    Counter{"file_uploads", &Analytics_Sums::file_uploads},
    Counter{"file_downloads", &Analytics_Sums::file_downloads},
    Counter{"token_uses", &Analytics_Sums::token_uses},
    Counter{"bot_requests", &Analytics_Sums::bot_requests},
    Counter{"error_count", &Analytics_Sums::error_count},
    Counter{"total_bytes", &Analytics_Sums::total_bytes},
    Counter{"total_duration_us", &Analytics_Sums::total_duration_us},
};

/// What an answer says beyond that in numbers.
struct Figure {
    std::string_view name;
    std::uint64_t Analytics_Answer::*value;
};
constexpr std::array figures{
    Figure{"timed_requests", &Analytics_Answer::timed_requests},
    Figure{"unique_visitors", &Analytics_Answer::unique_visitors},
    Figure{"unique_visitors_error_ppm", &Analytics_Answer::unique_visitors_error_ppm},
    Figure{"p50_duration_us", &Analytics_Answer::p50_duration_us},
    Figure{"p95_duration_us", &Analytics_Answer::p95_duration_us},
    Figure{"p99_duration_us", &Analytics_Answer::p99_duration_us},
    Figure{"duration_error_ppm", &Analytics_Answer::duration_error_ppm},
};

constexpr std::size_t top_rows = 20;

struct Dimension_Row {
    std::string_view name;
    Name_Counts Analytics_Summary::*counts;
    Name_Ranking Analytics_Answer::*ranking;
    Window_Summary::Rows Window_Summary::*rows;
    std::size_t most_rows = top_rows;
};
constexpr std::array dimension_rows{
    Dimension_Row{"paths", &Analytics_Summary::paths, &Analytics_Answer::paths, &Window_Summary::top_paths},
    Dimension_Row{"countries", &Analytics_Summary::countries, &Analytics_Answer::countries,
                  &Window_Summary::top_countries},
    Dimension_Row{"referrers", &Analytics_Summary::referrers, &Analytics_Answer::referrers,
                  &Window_Summary::top_referrers},
    Dimension_Row{"user_agents", &Analytics_Summary::user_agents, &Analytics_Answer::user_agents,
                  &Window_Summary::top_user_agents},
    Dimension_Row{"status_codes", &Analytics_Summary::status_codes, &Analytics_Answer::status_codes,
                  &Window_Summary::status_codes, SIZE_MAX},
    Dimension_Row{"methods", &Analytics_Summary::methods, &Analytics_Answer::methods, &Window_Summary::methods,
                  SIZE_MAX},
    Dimension_Row{"event_types", &Analytics_Summary::event_types, &Analytics_Answer::event_types,
                  &Window_Summary::event_types, SIZE_MAX},
};

// Whatever names are like, the rankings leave room for the numbers.
constexpr std::size_t most_ranking_bytes = 7 << 10;
static_assert(dimension_rows.size() * most_ranking_bytes + 4096 < most_answer_bytes);

/// Walks the members of an object that stand there in a known order, others between them.
class Ordered_Members {
  public:
    explicit Ordered_Members(std::string_view object) : scanner_(object) {}

    /// Goes on to a member.
    /// @return null if it does not follow
    auto find(std::string_view name) -> Json_Scanner::Member const* {
        while (scanner_.next(member_, name))
            if (member_.name == name)
                return &member_;
        return nullptr;
    }
    auto read_count(std::string_view name, std::uint64_t& count) -> bool {
        auto const* const member = find(name);
        return member != nullptr && memfs_cache::read_count(*member, count);
    }

  private:
    Json_Scanner scanner_;
    Json_Scanner::Member member_;
};

void append_number_member(std::string& out, std::string_view name, std::uint64_t value) {
    out.append("\"").append(name).append("\":");
    append_json_number(out, value);
    out += ',';
}

auto to_object(Window_Summary::Rows const& rows) -> boost::json::object {
    boost::json::object object;
    object.reserve(rows.size());
    for (auto const& [name, times] : rows)
        object.emplace(name, times);
    return object;
}

auto damaged(std::string_view member) -> Error {
    return fail(Errc::corrupt_data, "member '" + std::string(member) + "' is missing or wrong");
}

auto millis(std::uint64_t value_us) -> double { return static_cast<double>(value_us) / 1000.0; }
auto share(std::uint64_t ppm) -> double { return static_cast<double>(ppm) / 1e6; }

} // namespace

void Analytics_Summary::add(Analytics_Record const& event) {
    ++total_requests;
    if (event.event_type == "page_view")
        ++page_views;
    else if (event.event_type == "api_call" || event.event_type == "transfer_created" ||
             event.event_type == "transfer_viewed")
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
    for (auto const& dimension : dimension_rows)
        (this->*dimension.counts).merge(other.*dimension.counts);
}

void Analytics_Summary::settle() {
    for (auto const& dimension : dimension_rows)
        (this->*dimension.counts).settle();
}

auto Analytics_Summary::answer() const -> Analytics_Answer {
    Analytics_Answer answer;
    static_cast<Analytics_Sums&>(answer) = *this;
    answer.timed_requests = durations.count();
    answer.unique_visitors = visitors.count();
    answer.unique_visitors_error_ppm = visitors.error_ppm();
    answer.p50_duration_us = static_cast<std::uint64_t>(durations.at(500));
    answer.p95_duration_us = static_cast<std::uint64_t>(durations.at(950));
    answer.p99_duration_us = static_cast<std::uint64_t>(durations.at(990));
    answer.duration_error_ppm = durations.error_ppm();
    for (auto const& dimension : dimension_rows)
        answer.*dimension.ranking = (this->*dimension.counts).ranking(Analytics_Answer::most_names, most_ranking_bytes);
    return answer;
}

void Analytics_Summary::append_members(std::string& out) const {
    for (auto const& counter : counters)
        append_number_member(out, counter.name, this->*counter.value);
    out.append(R"("visitors":")").append(visitors.to_text()).append(R"(","durations_us":)");
    durations.append_json(out);
    for (auto const& dimension : dimension_rows) {
        out.append(",\"").append(dimension.name).append("\":");
        (this->*dimension.counts).append_json(out);
    }
}

auto Analytics_Summary::merge_text(std::string_view object) -> Result<void> {
    Ordered_Members members(object);
    for (auto const& counter : counters) {
        std::uint64_t more = 0;
        if (!members.read_count(counter.name, more))
            return damaged(counter.name);
        add_up(this->*counter.value, more);
    }
    auto const* member = members.find("visitors");
    if (member == nullptr || member->kind != Json_Scanner::Kind::string)
        return damaged("visitors");
    if (auto const merged = visitors.merge_text(member->text); !merged)
        return merged;
    member = members.find("durations_us");
    if (member == nullptr)
        return damaged("durations_us");
    if (auto const merged = durations.merge_json(member->text); !merged)
        return merged;
    for (auto const& row : dimension_rows) {
        member = members.find(row.name);
        if (member == nullptr || !(this->*row.counts).merge_json(member->text))
            return damaged(row.name);
    }
    return {};
}

void Analytics_Answer::append_members(std::string& out) const {
    auto const append_exact = [&out](std::string_view name, bool exact) {
        out.append("\"").append(name).append(exact ? "\":true," : "\":false,");
    };
    out.append(R"("exact":{)");
    append_exact("unique_visitors", unique_visitors_error_ppm == 0);
    append_exact("durations", duration_error_ppm == 0);
    for (auto const& dimension : dimension_rows)
        append_exact(dimension.name, (this->*dimension.ranking).is_exact());
    out.back() = '}';
    out += ',';
    for (auto const& counter : counters)
        append_number_member(out, counter.name, this->*counter.value);
    for (auto const& figure : figures)
        append_number_member(out, figure.name, this->*figure.value);
    for (auto const& dimension : dimension_rows) {
        out.append("\"").append(dimension.name).append("\":");
        (this->*dimension.ranking).append_json(out);
        out += ',';
    }
    out.pop_back();
}

auto Analytics_Answer::from_text(std::string_view text) -> Result<Analytics_Answer> {
    Analytics_Answer answer;
    Ordered_Members members(text);
    for (auto const& counter : counters)
        if (!members.read_count(counter.name, answer.*counter.value))
            return damaged(counter.name);
    for (auto const& figure : figures)
        if (!members.read_count(figure.name, answer.*figure.value))
            return damaged(figure.name);
    for (auto const& row : dimension_rows) {
        auto const* const member = members.find(row.name);
        auto ranking = member != nullptr ? Name_Ranking::from_json(member->text) : damaged(row.name);
        if (!ranking)
            return damaged(row.name);
        answer.*row.ranking = *std::move(ranking);
    }
    return answer;
}

auto Window_Summary::from(Window_Result<Analytics_Answer> const& result, std::string const& salt_period)
    -> Window_Summary {
    auto const& answer = *result.summary;
    auto const timed = answer.timed_requests;
    Window_Summary summary{.window_start = result.window.start(),
                           .window_end = result.window.end(),
                           .window_type = result.window.type(),
                           .window_key = result.window.key(),
                           .recorded = result.recorded,
                           .final = result.final,
                           .computed_at = result.computed_at,
                           .revision = result.revision,
                           .total_requests = answer.total_requests,
                           .unique_visitors = answer.unique_visitors,
                           .unique_visitors_error = share(answer.unique_visitors_error_ppm),
                           .unique_visitors_period = salt_period,
                           .page_views = answer.page_views,
                           .api_calls = answer.api_calls,
                           .file_uploads = answer.file_uploads,
                           .file_downloads = answer.file_downloads,
                           .token_uses = answer.token_uses,
                           .bot_requests = answer.bot_requests,
                           .error_count = answer.error_count,
                           .avg_duration_ms =
                               timed == 0 ? 0 : millis(answer.total_duration_us) / static_cast<double>(timed),
                           .p50_duration_ms = millis(answer.p50_duration_us),
                           .p95_duration_ms = millis(answer.p95_duration_us),
                           .p99_duration_ms = millis(answer.p99_duration_us),
                           .p50_duration_error = share(answer.duration_error_ppm),
                           .p95_duration_error = share(answer.duration_error_ppm),
                           .p99_duration_error = share(answer.duration_error_ppm),
                           .total_bytes = answer.total_bytes,
                           .late_events = result.late_events};
    auto dimension = summary.dimensions.begin();
    for (auto const& row : dimension_rows) {
        auto ranking = (answer.*row.ranking).first(row.most_rows);
        summary.*row.rows = std::move(ranking.rows);
        *dimension++ = {row.name,     ranking.total, ranking.other, ranking.distinct, share(ranking.distinct_error_ppm),
                        ranking.error};
    }
    return summary;
}

auto Window_Summary::to_json() const -> boost::json::object {
    boost::json::object exact{{"unique_visitors", unique_visitors_error == 0}, {"durations", p50_duration_error == 0}};
    boost::json::object sums;
    for (auto const& dimension : dimensions) {
        exact.emplace(dimension.name, dimension.error == 0);
        sums.emplace(dimension.name, boost::json::object{{"total", dimension.total},
                                                         {"other", dimension.other},
                                                         {"distinct", dimension.distinct},
                                                         {"distinct_error", dimension.distinct_error},
                                                         {"error", dimension.error}});
    }
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
            {"p50_duration_error", p50_duration_error},
            {"p95_duration_error", p95_duration_error},
            {"p99_duration_error", p99_duration_error},
            {"total_bytes", total_bytes},
            {"top_paths", to_object(top_paths)},
            {"top_countries", to_object(top_countries)},
            {"top_referrers", to_object(top_referrers)},
            {"top_user_agents", to_object(top_user_agents)},
            {"status_codes", to_object(status_codes)},
            {"methods", to_object(methods)},
            {"event_types", to_object(event_types)},
            {"dimensions", std::move(sums)},
            {"exact", std::move(exact)},
            {"late_events", late_events}};
}

} // namespace memfs_cache
