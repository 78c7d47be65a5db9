// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <string>
#include <vector>

using namespace memfs_cache;

namespace {

auto text_of(Analytics_Summary const& summary) -> std::string {
    std::string out = "{";
    summary.append_members(out);
    return out + "}";
}

auto from_text(std::string_view text) -> Result<Analytics_Summary> {
    Analytics_Summary summary;
    if (auto const merged = summary.merge_text(text); !merged)
        return merged.error();
    return summary;
}
auto text_of(Analytics_Answer const& answer) -> std::string {
    std::string out = "{";
    answer.append_members(out);
    return out + "}";
}

/// The answer that is shown of a state.
auto shown(Analytics_Summary const& summary) -> Window_Summary {
    auto const window = Window::parse(Window_Type::daily, "2026-02-13").value();
    return Window_Summary::from(
        {{window, true, true, window.end(), 0, 0}, std::make_shared<Analytics_Answer const>(summary.answer())}, "day");
}

auto event(std::string_view path, std::string_view visitor = {}) -> Analytics_Record {
    Analytics_Record record;
    record.event_type = "page_view";
    record.path = path;
    record.ip_hash = visitor;
    return record;
}

auto of_two_events() -> Analytics_Summary {
    Analytics_Summary summary;
    Analytics_Record record = event("/b", "00000000000000ff");
    record.status_code = 404;
    record.duration_us = 1'500;
    record.content_bytes = 10;
    record.country = "DE";
    record.referrer_domain = "a.example";
    record.user_agent_normalised = "Googlebot";
    record.bot = true;
    record.method = "GET";
    summary.add(record);
    summary.add(event("/a\"", "00000000000000fe"));
    return summary;
}

/// Random events; their texts live in it.
class Random_Events {
  public:
    explicit Random_Events(std::uint32_t seed) : random(seed) {}
    auto next() -> Analytics_Record {
        static constexpr std::array<std::string_view, 7> types{"page_view", "api_call", "file_upload", "file_download",
                                                               "token_use", "asset",    "other"};
        Analytics_Record record;
        record.event_type = types[random() % types.size()];
        record.path = text("/p", 300);
        record.ip_hash = random() % 4 == 0 ? std::string_view() : text("00000000000000", 90, 10);
        record.country = random() % 3 == 0 ? "DE" : "GB";
        record.referrer_domain = random() % 2 == 0 ? text("site", 40) : std::string_view();
        record.user_agent_normalised = text("Browser ", 12);
        record.bot = random() % 10 == 0;
        record.status_code = std::array{200, 301, 404, 503, 0}[random() % 5];
        record.method = random() % 2 == 0 ? "GET" : "POST";
        record.content_bytes = random() % 100'000;
        if (random() % 5 != 0)
            record.duration_us = static_cast<std::int64_t>(random() % 2'000'000);
        return record;
    }
    std::mt19937 random;

  private:
    auto text(std::string const& begin, unsigned different, unsigned from = 0) -> std::string_view {
        return texts_.emplace_back(begin + std::to_string(from + random() % different));
    }
    std::deque<std::string> texts_;
};

} // namespace

TEST_SUITE("namespaces/analytics/summary") {
    TEST_CASE("the saved form of a summary, byte by byte") {
        auto const summary = of_two_events();
        CHECK(text_of(summary) ==
              R"({"total_requests":2,"page_views":2,"api_calls":0,"file_uploads":0,"file_downloads":0,"token_uses":0,)"
              R"("bot_requests":1,"error_count":1,"total_bytes":10,"total_duration_us":1500,)"
              R"("visitors":"00000000000000fe00000000000000ff","durations_us":{"values":[1500]},)"
              R"("paths":{"/a\"":1,"/b":1},"countries":{"DE":1},"referrers":{"a.example":1},)"
              R"("user_agents":{"Googlebot":1},"status_codes":{"404":1},"methods":{"GET":1},)"
              R"("event_types":{"page_view":2}})");
        CHECK(text_of(from_text(text_of(summary)).value()) == text_of(summary));
        CHECK(
            text_of(summary.answer()) ==
            R"({"exact":{"unique_visitors":true,"durations":true,"paths":true,"countries":true,"referrers":true,)"
            R"("user_agents":true,"status_codes":true,"methods":true,"event_types":true},)"
            R"("total_requests":2,"page_views":2,"api_calls":0,"file_uploads":0,"file_downloads":0,"token_uses":0,)"
            R"("bot_requests":1,"error_count":1,"total_bytes":10,"total_duration_us":1500,"timed_requests":1,)"
            R"("unique_visitors":2,"unique_visitors_error_ppm":0,"p50_duration_us":1500,"p95_duration_us":1500,)"
            R"("p99_duration_us":1500,"duration_error_ppm":0,)"
            R"("paths":{"names":{"/a\"":1,"/b":1},"total":2,"other":0,"distinct":2,"distinct_error_ppm":0,"error":0},)"
            R"("countries":{"names":{"DE":1},"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0},)"
            R"("referrers":{"names":{"a.example":1},"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0},)"
            R"("user_agents":{"names":{"Googlebot":1},"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0},)"
            R"("status_codes":{"names":{"404":1},"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0},)"
            R"("methods":{"names":{"GET":1},"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0},)"
            R"("event_types":{"names":{"page_view":2},"total":2,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0}})");
        CHECK(text_of(Analytics_Answer::from_text(text_of(summary.answer())).value()) == text_of(summary.answer()));
    }

    TEST_CASE(
        "a summary as the first version saved it is read: of its members, in its order, those of today are taken") {
        auto const first = from_text(
            R"({"v":1,"window_key":"2026-02-13","total_requests":2,"page_views":2,"api_calls":0,"file_uploads":0,)"
            R"("file_downloads":0,"token_uses":0,"bot_requests":1,"error_count":1,"total_bytes":10,)"
            R"("total_duration_us":1500,"unique_visitors":2,"visitors":"00000000000000fe00000000000000ff",)"
            R"("durations_us":{"values":[1500]},"paths":{"/a\"":1,"/b":1},"countries":{"DE":1},)"
            R"("referrers":{"a.example":1},"user_agents":{"Googlebot":1},"status_codes":{"404":1},)"
            R"("methods":{"GET":1},"event_types":{"page_view":2}})");
        CHECK(text_of(first.value()) == text_of(of_two_events()));
    }

    TEST_CASE("what is estimated says so and by how much, and the rows of every dimension add up to its total") {
        Analytics_Summary summary;
        std::deque<std::string> names;
        for (unsigned i = 0; i < 20'000; ++i) {
            names.push_back("/" + std::to_string(i % 17'000));
            names.push_back(to_hex(i * 0x9e3779b97f4a7c15));
            auto record = event(names[names.size() - 2], names.back());
            record.duration_us = 1 + i;
            record.country = i % 2 == 0 ? "DE" : "GB";
            summary.add(record);
        }
        auto const answer = shown(summary);
        CHECK(answer.unique_visitors_error == doctest::Approx(0.0081));
        CHECK(std::abs(static_cast<double>(answer.unique_visitors) - 20'000) < 5 * 0.0081 * 20'000);
        CHECK(answer.p50_duration_error == doctest::Approx(0.011));
        CHECK(answer.p99_duration_error == doctest::Approx(0.011));
        CHECK(std::abs(answer.p50_duration_ms - 10.0) <= 0.011 * 10.0);
        auto const json = answer.to_json();
        auto const& paths = json.at("dimensions").at("paths");
        CHECK(paths.at("total") == 20'000);
        std::int64_t rows = 0;
        for (auto const& row : json.at("top_paths").as_object())
            rows += row.value().to_number<std::int64_t>();
        CHECK(rows + paths.at("other").to_number<std::int64_t>() == 20'000);
        CHECK(paths.at("error").to_number<std::int64_t>() >= 1);
        CHECK(paths.at("distinct_error").as_double() == doctest::Approx(0.0081));
        CHECK(std::abs(paths.at("distinct").to_number<double>() - 17'000) < 5 * 0.0081 * 17'000);
        CHECK(boost::json::serialize(json.at("dimensions").at("countries")) ==
              R"({"total":20000,"other":0,"distinct":2,"distinct_error":0E0,"error":0})");
        CHECK(boost::json::serialize(json.at("exact")) ==
              R"({"unique_visitors":false,"durations":false,"paths":false,"countries":true,"referrers":true,)"
              R"("user_agents":true,"status_codes":true,"methods":true,"event_types":true})");
    }

    TEST_CASE("an answer is small whatever the names are like, and its largest are the largest") {
        Analytics_Summary summary;
        std::deque<std::string> names;
        auto const name = [&](char const* begin, unsigned i) -> std::string_view {
            // Names that are long in JSON: of each byte six are made.
            return names.emplace_back(std::string(100, '\x01') + begin + std::to_string(1'000 + i));
        };
        for (unsigned i = 0; i < 500; ++i)
            for (unsigned times = 0; times <= i / 100; ++times) {
                auto record = event(name("/", i));
                record.country = name("c", i);
                record.referrer_domain = name("r", i);
                record.user_agent_normalised = name("u", i);
                record.method = name("m", i);
                record.event_type = name("e", i);
                record.status_code = static_cast<int>(i + 100);
                summary.add(record);
            }
        auto const answer = summary.answer();
        CHECK(text_of(answer).size() < most_answer_bytes);
        CHECK(answer.paths.rows.size() >= 10);
        CHECK(answer.paths.rows.front().first == std::string(100, '\x01') + "/1400");
        CHECK(answer.status_codes.rows.size() == 100);
        auto sum = answer.paths.other;
        for (auto const& row : answer.paths.rows)
            sum += row.second;
        CHECK(sum == summary.total_requests);
    }

    TEST_CASE("merging by any route gives the same bytes, and nothing added is nothing changed") {
        std::uint32_t const seed = 22;
        CAPTURE(seed);
        Random_Events events(seed);
        for (int round = 0; round < 20; ++round) {
            std::vector<Analytics_Record> all;
            for (auto count = events.random() % 600; count > 0; --count)
                all.push_back(events.next());
            Analytics_Summary whole;
            for (auto const& one : all)
                whole.add(one);

            std::shuffle(all.begin(), all.end(), events.random);
            std::vector<Analytics_Summary> parts(1 + events.random() % 9);
            for (auto const& one : all)
                parts[events.random() % parts.size()].add(one);
            while (parts.size() > 1) { // a random tree
                auto const left = events.random() % parts.size();
                auto taken = parts.back();
                parts.pop_back();
                if (left < parts.size()) {
                    if (events.random() % 2 == 0)
                        taken = from_text(text_of(taken)).value();
                    parts[left].merge(taken);
                } else {
                    parts.push_back(taken);
                    std::swap(parts.front(), parts.back());
                }
            }
            CHECK(text_of(parts.front()) == text_of(whole));

            auto again = whole;
            again.merge(Analytics_Summary());
            CHECK(text_of(again) == text_of(whole));
            Analytics_Summary nothing;
            nothing.merge(whole);
            CHECK(text_of(nothing) == text_of(whole));
        }
    }

    TEST_CASE("damage is refused, whatever is missing, negative or of another type") {
        Analytics_Summary summary;
        summary.add(event("/a", "00000000000000ff"));
        auto const check = [](std::string const& good, auto const& read) {
            auto const object = parse_object(good, "test").value();
            for (auto const& member : object) {
                std::string const name(member.key().data(), member.key().size());
                CAPTURE(name);
                if (name == "exact") // follows from the others
                    continue;
                auto without = object;
                without.stable_erase(without.find(member.key()));
                CHECK(read(json_text(without)).error().code == Errc::corrupt_data);
                for (auto const& wrong :
                     {boost::json::value(-1), boost::json::value("no hash"), boost::json::value(true),
                      boost::json::value({{"x", -1}}), boost::json::value({{"x", "y"}}), boost::json::value(1.5)}) {
                    auto damaged = object;
                    damaged[member.key()] = wrong;
                    CHECK(read(json_text(damaged)).error().code == Errc::corrupt_data);
                }
            }
            auto newer = json_text(object);
            newer.insert(1, R"("of_a_later_version":{"total_requests":7},)");
            CHECK(text_of(read(newer).value()) == good);
        };
        check(text_of(summary), from_text);
        check(text_of(summary.answer()), &Analytics_Answer::from_text);
    }

    TEST_CASE("averages are weighted by requests and count only those with a duration") {
        Analytics_Summary busy, quiet;
        auto record = event("/");
        record.duration_us = 1'000;
        for (int i = 0; i < 99; ++i)
            busy.add(record);
        record.duration_us = 101'000;
        quiet.add(record);
        quiet.add(event("/")); // no duration
        busy.merge(quiet);
        auto const answer = shown(busy);
        CHECK(answer.avg_duration_ms == 2.0); // (99 * 1 + 101) / 100, not (1 + 101) / 2
        CHECK(answer.p50_duration_ms == 1.0);
        CHECK(answer.p99_duration_ms == 1.0);
        CHECK(shown({}).avg_duration_ms == 0);
    }

    TEST_CASE("a sum that is too large for a reader stays at the largest, and the window can still be read") {
        Analytics_Summary summary;
        auto record = event("/");
        record.content_bytes = INT64_MAX;
        summary.add(record);
        summary.add(record);
        auto again = from_text(text_of(summary)).value();
        CHECK(again.total_bytes == INT64_MAX);
        again.merge(summary);
        CHECK(from_text(text_of(again)).value().total_bytes == INT64_MAX);
        CHECK(again.total_requests == 4);
    }

    TEST_CASE("the top 20 of a parent hold a path that is in the top 20 of no child") {
        Analytics_Summary parent;
        std::deque<std::string> names;
        for (int child = 0; child < 10; ++child) {
            Analytics_Summary summary;
            for (int path = 0; path < 25; ++path) {
                names.push_back("/of/" + std::to_string(child) + "/" + std::to_string(path));
                for (int i = 0; i < 10; ++i)
                    summary.add(event(names.back()));
            }
            for (int i = 0; i < 9; ++i)
                summary.add(event("/everywhere"));
            for (auto const& [name, times] : shown(summary).top_paths)
                CHECK(name != "/everywhere");
            parent.merge(summary);
        }
        auto const top = shown(parent).top_paths;
        REQUIRE(top.size() == 20);
        CHECK(top.front() == std::pair<std::string, std::uint64_t>("/everywhere", 90));
        CHECK(top[1] == std::pair<std::string, std::uint64_t>("/of/0/0", 10)); // equal ones by name
    }

    TEST_CASE("unique visitors of a parent are not the sum of its children") {
        Analytics_Summary first, second;
        first.add(event("/", "00000000000000f1"));
        first.add(event("/", "00000000000000f2"));
        second.add(event("/", "00000000000000f2"));
        second.add(event("/", "00000000000000f3"));
        second.add(event("/"));
        first.merge(second);
        CHECK(shown(first).unique_visitors == 3);
        CHECK(shown(first).unique_visitors_error == 0);
        CHECK(shown(first).unique_visitors_period == "day");
    }

    TEST_CASE("errors are the statuses from 400 on; kinds and bots are counted apart") {
        Analytics_Summary summary;
        auto record = event("/");
        for (int const status : {0, 200, 399, 400, 404, 500, 599}) {
            record.status_code = status;
            record.bot = status == 200;
            summary.add(record);
        }
        record.status_code = 200;
        record.bot = false;
        for (std::string_view const type :
             {"api_call", "api_call", "file_upload", "file_download", "token_use", "odd"}) {
            record.event_type = type;
            summary.add(record);
        }
        auto const answer = shown(summary);
        CHECK(answer.total_requests == 13);
        CHECK(answer.error_count == 4);
        CHECK(answer.page_views == 7);
        CHECK(answer.api_calls == 2);
        CHECK(answer.file_uploads == 1);
        CHECK(answer.file_downloads == 1);
        CHECK(answer.token_uses == 1);
        CHECK(answer.bot_requests == 1);
        CHECK(answer.status_codes.front() == std::pair<std::string, std::uint64_t>("200", 7));
        CHECK(answer.status_codes.size() == 6); // an unknown status has no row
    }

    TEST_CASE("an answer has every field of the contract, mappings largest first") {
        Analytics_Summary summary;
        summary.add(event("/few"));
        summary.add(event("/many"));
        summary.add(event("/many"));
        auto const json = shown(summary).to_json();
        for (std::string_view const name : {"window_start",
                                            "window_end",
                                            "window_type",
                                            "window_key",
                                            "recorded",
                                            "final",
                                            "computed_at",
                                            "revision",
                                            "total_requests",
                                            "unique_visitors",
                                            "unique_visitors_error",
                                            "unique_visitors_period",
                                            "page_views",
                                            "api_calls",
                                            "file_uploads",
                                            "file_downloads",
                                            "token_uses",
                                            "bot_requests",
                                            "error_count",
                                            "avg_duration_ms",
                                            "p50_duration_ms",
                                            "p95_duration_ms",
                                            "p99_duration_ms",
                                            "total_bytes",
                                            "p50_duration_error",
                                            "p95_duration_error",
                                            "p99_duration_error",
                                            "dimensions",
                                            "exact",
                                            "top_paths",
                                            "top_countries",
                                            "top_referrers",
                                            "top_user_agents",
                                            "status_codes",
                                            "methods",
                                            "event_types",
                                            "late_events"}) {
            CAPTURE(name);
            CHECK(json.contains({name.data(), name.size()}));
        }
        CHECK(json.size() == 37);
        CHECK(boost::json::serialize(json.at("top_paths")) == R"({"/many":2,"/few":1})");
        CHECK(json.at("window_type") == "daily");
        CHECK(json.at("window_key") == "2026-02-13");
    }
}
