// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include "support/test_seed.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace memfs_cache;
using memfs_cache::testing::Site, memfs_cache::testing::time_at, memfs_cache::testing::Watched_Memory;
using memfs_cache::testing::stored_files, memfs_cache::testing::seed_of_run;
using std::chrono::hours;

namespace {

auto question(std::string const& start, std::string const& end, Window_Type step, std::string const& zone = "UTC")
    -> Series_Question {
    Series_Question asked;
    asked.start = time_at(start);
    asked.end = time_at(end);
    asked.step = step;
    asked.time_zone = Time_Zone::find(zone).value();
    return asked;
}

void visit(Site& site, std::string const& time, std::string const& path = "/", int status = 200) {
    Request_View view;
    view.method = "GET";
    view.target = path;
    view.status = status;
    view.remote = "192.0.2.1";
    view.timestamp = time_at(time);
    REQUIRE(site->record_view(view));
}

/// So many paths that what is kept of them does not fit into the file of an answer.
constexpr std::uint64_t many = 2'000;
void visit_many(Site& site, std::string const& time) {
    for (std::uint64_t i = 0; i < many; ++i)
        visit(site, time, "/path/of/a/page/that/somebody/reads/" + std::to_string(i));
}

/// "key total", of each row in order; "key -" where nothing was recorded.
auto totals(Series const& series) -> std::vector<std::string> {
    std::vector<std::string> found;
    for (auto const& row : series.rows)
        found.push_back(row.summary.window_key + " " +
                        (row.summary.recorded ? std::to_string(row.summary.total_requests) : "-"));
    return found;
}
using Totals = std::vector<std::string>;

auto filtered(Series_Question asked, std::string_view dimension, std::string_view value) -> Series_Question {
    REQUIRE(asked.filter.add(dimension, value));
    return asked;
}

/// The saved questions, their names and bytes.
auto saved(Site const& site) -> std::map<std::string, std::string> {
    return stored_files(site.memory, "cache/analytics/data/queries/");
}

/// What the storage is asked for while `work` runs: "get raw/...", in order.
template <class Work>
auto operations(Site& site, Work const& work) -> std::vector<std::string> {
    std::vector<std::string> seen;
    site.storage.hook = [&](Watched_Memory::Operation operation, std::string const& key) {
        using enum Watched_Memory::Operation;
        std::string const data = "cache/analytics/data/";
        if (operation == get || operation == list)
            seen.push_back((operation == get ? "get " : "list ") +
                           (key.starts_with(data) ? key.substr(data.size()) : key));
        else
            seen.push_back("write " + key);
        return Watched_Memory::Verdict{};
    };
    work();
    site.storage.hook = nullptr;
    return seen;
}
auto count(std::vector<std::string> const& operations, std::string_view beginning) -> std::ptrdiff_t {
    return std::count_if(operations.begin(), operations.end(),
                         [&](std::string const& operation) { return operation.starts_with(beginning); });
}

} // namespace

TEST_SUITE("namespaces/series") {
    TEST_CASE("a series has every window that touches the stretch asked for, in order, also the empty ones") {
        Site site("2026-02-13T14:10");
        visit(site, "2026-02-10T23:59:59.999");
        visit(site, "2026-02-11T00:00");
        visit(site, "2026-02-13T14:10");
        auto const series =
            site->series(question("2026-02-10T12:00", "2026-02-13T00:00:00.001", Window_Type::daily)).value();
        CHECK(totals(series) == Totals{"2026-02-10 1", "2026-02-11 1", "2026-02-12 -", "2026-02-13 1"});
        CHECK(series.rows[0].summary.final);
        CHECK(!series.rows[3].summary.final);
        CHECK(series.step == Window_Type::daily);
        CHECK(series.time_zone == "UTC");
    }

    TEST_CASE("a row is the window that is asked for alone") {
        Site site("2026-02-13T14:10");
        visit(site, "2026-02-11T00:00");
        visit(site, "2026-02-13T14:10");
        auto const series = site->series(question("2026-01-01T00:00", "2026-02-13T00:00:00.001", Window_Type::monthly));
        CHECK(series.value().rows.at(1).summary.to_json() == site->aggregation("monthly", "2026-02").value().to_json());
    }

    TEST_CASE("each row of a comparison has the row of the stretch before that is as long, or nothing") {
        Site site("2026-02-13T14:10");
        visit(site, "2026-02-07T10:00");
        visit(site, "2026-02-07T11:00");
        visit(site, "2026-02-10T12:00");
        auto asked = question("2026-02-09T00:00", "2026-02-11T00:00", Window_Type::daily);
        CHECK(!site->series(asked).value().rows.at(0).previous);
        asked.compares = true;
        auto const series = site->series(asked).value();
        CHECK(totals(series) == Totals{"2026-02-09 -", "2026-02-10 1"});
        REQUIRE(series.rows[0].previous);
        CHECK(series.rows[0].previous->window_key == "2026-02-07");
        CHECK(series.rows[0].previous->total_requests == 2);
        CHECK(!series.rows[1].previous);
    }

    TEST_CASE("a question that has no answer is refused with the member that is at fault") {
        Site site("2026-02-13T14:10");
        struct Row {
            Series_Question question;
            std::string begin;
        };
        auto too_old = question("1970-01-01T00:00", "1970-01-02T00:00", Window_Type::daily);
        too_old.compares = true;
        for (auto const& row :
             {Row{question("2026-02-13T00:00", "2026-02-13T00:00", Window_Type::daily), "end: must be later"},
              {question("2026-02-13T00:00", "2026-02-14T00:00:00.001", Window_Type::daily), "end: lies in the future"},
              {question("2026-02-14T00:00", "2026-02-15T00:00", Window_Type::daily), "end: lies in the future"},
              {question("2016-01-01T00:00", "2026-02-13T00:00", Window_Type::daily), "end: more than 3660"},
              {question("1970-01-01T00:00", "1970-01-02T00:00", Window_Type::weekly), "start: give a time"},
              {too_old, "start: what it is compared with"}}) {
            CAPTURE(row.begin);
            auto const answer = site->series(row.question);
            REQUIRE(!answer);
            CHECK(answer.error().code == Errc::invalid_argument);
            CHECK(answer.error().context.starts_with(row.begin));
        }
    }

    TEST_CASE("all windows of a series that are over are closed by one write") {
        Site site("2026-02-13T14:10");
        for (auto const* const day : {"2026-02-10T12:00", "2026-02-11T12:00", "2026-02-12T12:00"})
            visit(site, day);
        REQUIRE(site->flush());
        int writes = 0;
        site.storage.hook = [&](Watched_Memory::Operation operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::put && key.find("ledger") != std::string::npos)
                ++writes;
            return Watched_Memory::Verdict{};
        };
        REQUIRE(site->series(question("2026-02-10T00:00", "2026-02-13T00:00", Window_Type::daily)));
        CHECK(writes == 1);
    }

    TEST_CASE("local days are of 46, 48 or 50 half-hours, and what they hold is in the month and the year as well") {
        Site site("2026-12-01T00:00");
        for (auto const* const time :
             {"2026-03-28T23:59", "2026-03-29T00:00", "2026-03-29T22:59:59.999", "2026-03-29T23:00", "2026-10-24T22:59",
              "2026-10-24T23:00", "2026-10-25T23:59:59.999", "2026-10-26T00:00"})
            visit(site, time);
        auto const days = [&](std::string const& start, std::string const& end) {
            return totals(site->series(question(start, end, Window_Type::daily, "Europe/Lisbon")).value());
        };
        CHECK(days("2026-03-28T12:00", "2026-03-30T12:00") == Totals{"2026-03-28 1", "2026-03-29 2", "2026-03-30 1"});
        CHECK(days("2026-10-24T12:00", "2026-10-26T12:00") == Totals{"2026-10-24 1", "2026-10-25 2", "2026-10-26 1"});
        for (auto const type : {Window_Type::monthly, Window_Type::yearly}) {
            auto const series =
                site->series(question("2026-01-01T00:00", "2026-11-30T00:00", type, "Europe/Lisbon")).value();
            std::uint64_t sum = 0;
            for (auto const& row : series.rows)
                sum += row.summary.total_requests;
            CHECK(sum == 8);
        }
        CHECK(
            totals(site->series(question("2026-03-23T12:00", "2026-03-29T23:30", Window_Type::weekly, "Europe/Lisbon"))
                       .value()) == Totals{"2026-W13 3", "2026-W14 1"});
    }

    TEST_CASE("windows off the half-hour are counted from the events themselves") {
        Site site("2026-03-01T00:00");
        for (auto const* const time :
             {"2026-02-10T18:14:59.999", "2026-02-10T18:15", "2026-02-11T18:14:59.999", "2026-02-11T18:15"})
            visit(site, time);
        CHECK(
            totals(site->series(question("2026-02-10T12:00", "2026-02-11T18:16", Window_Type::daily, "Asia/Kathmandu"))
                       .value()) == Totals{"2026-02-10 1", "2026-02-11 2", "2026-02-12 1"});
        CHECK(totals(site->series(
                             question("2026-02-11T18:00", "2026-02-11T18:16", Window_Type::half_hour, "Asia/Kathmandu"))
                         .value()) == Totals{"2026-02-11T23:30+05:45 1", "2026-02-12T00:00+05:45 1"});
    }

    TEST_CASE("a local window that is one of UTC is that window, and nothing else is saved") {
        Site site("2026-02-13T14:10");
        visit(site, "2026-02-11T12:00");
        auto const series =
            site->series(question("2026-02-11T00:00", "2026-02-12T00:00", Window_Type::daily, "Europe/Lisbon")).value();
        CHECK(series.rows.at(0).summary.to_json() == site->aggregation("daily", "2026-02-11").value().to_json());
        CHECK(saved(site).empty());
    }

    TEST_CASE("an open window holds what was recorded a moment ago, and is complete once it is over") {
        Site site("2026-07-13T22:50");
        visit(site, "2026-07-13T22:45", "/a");
        auto const asked = question("2026-07-13T22:00", "2026-07-13T22:50", Window_Type::daily, "Europe/Lisbon");
        auto const with_path = filtered(asked, "path", "/a");
        for (auto const& each : {asked, with_path}) {
            auto const open = site->series(each).value().rows.at(0).summary;
            CHECK(!open.final);
            CHECK(open.total_requests == 1);
        }
        CHECK(saved(site).empty());
        visit(site, "2026-07-13T22:55", "/a");
        visit(site, "2026-07-13T22:55", "/b");
        CHECK(site->series(asked).value().rows.at(0).summary.total_requests == 3);
        CHECK(site->series(with_path).value().rows.at(0).summary.total_requests == 2);
        site.clock().set(time_at("2026-07-13T23:10"));
        auto const over = site->series(asked).value().rows.at(0).summary;
        CHECK(over.final);
        CHECK(over.total_requests == 3);
        CHECK(over.computed_at == time_at("2026-07-13T23:10"));
        CHECK(site->series(with_path).value().rows.at(0).summary.total_requests == 2);
        CHECK(saved(site).size() == 2);
    }

    TEST_CASE("a filter counts what fits, in a window and in a series") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/blog/a");
        visit(site, "2026-02-10T11:00", "/blog/b", 404);
        visit(site, "2026-02-10T12:00", "/");
        visit(site, "2026-02-11T12:00", "/");
        Analytics_Filter blog;
        REQUIRE(blog.add("path", "/blog/*"));
        CHECK(site->aggregation("daily", "2026-02-10", blog).value().total_requests == 2);
        CHECK(site->aggregation("daily", "2026-02-10", blog).value().error_count == 1);
        CHECK(site->aggregation("hourly", "2026-02-10T10", blog).value().total_requests == 1);
        CHECK(site->aggregation("weekly", "2026-W07", blog).value().total_requests == 2);
        CHECK(site->aggregation("yearly", "2026", blog).value().total_requests == 2);
        auto asked = filtered(question("2026-02-10T00:00", "2026-02-13T00:00", Window_Type::daily), "status", "!4xx");
        CHECK(totals(site->series(asked).value()) == Totals{"2026-02-10 2", "2026-02-11 1", "2026-02-12 -"});
    }

    TEST_CASE("a day on which nothing fits is known to have none, and one without events is not known at all") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        auto const asked = filtered(question("2026-02-10T00:00", "2026-02-12T00:00", Window_Type::daily), "path", "/b");
        CHECK(totals(site->series(asked).value()) == Totals{"2026-02-10 0", "2026-02-11 -"});
        CHECK(saved(site).size() == 1);
    }

    TEST_CASE("what is asked again costs a listing of marks and a read of its answer, however long it is") {
        Site site("2027-01-02T00:00");
        for (int day = 0; day < 40; ++day)
            visit(site, "2026-05-" + std::string(day % 31 < 9 ? "0" : "") + std::to_string(day % 31 + 1) + "T10:00",
                  "/a");
        for (auto const& asked :
             {filtered(question("2026-01-01T00:00", "2026-12-31T00:00", Window_Type::yearly), "path", "/a"),
              filtered(question("2026-05-02T00:00", "2026-05-02T01:00", Window_Type::daily), "path", "/b"),
              question("2026-05-02T05:00", "2026-05-02T06:00", Window_Type::daily, "Europe/Lisbon"),
              question("2026-05-02T05:00", "2026-05-02T06:00", Window_Type::monthly, "America/New_York")}) {
            auto const first = site->series(asked).value();
            std::optional<Series> second;
            auto const seen = operations(site, [&] { second = site->series(asked).value(); });
            CHECK(second->to_json() == first.to_json());
            CAPTURE(boost::json::serialize(boost::json::value_from(seen)));
            CHECK(count(seen, "list late/") == static_cast<std::ptrdiff_t>(seen.size()) - 1);
            CHECK(count(seen, "get queries/") == 1);
        }
    }

    TEST_CASE("a year with three active days costs work for these, and not for the others") {
        Site site("2027-01-02T00:00");
        for (auto const* const day : {"2026-02-03T10:00", "2026-07-04T10:00", "2026-11-05T10:00"})
            visit(site, day, "/a");
        auto const asked = filtered(
            question("2026-01-01T05:00", "2026-12-31T00:00", Window_Type::yearly, "America/New_York"), "path", "/a");
        auto const seen = operations(site, [&] { CHECK(totals(site->series(asked).value()) == Totals{"2026 3"}); });
        CHECK(seen.size() < 200);
        CHECK(saved(site).size() == 3 + 3 + 1); // days, months, the year
    }

    TEST_CASE("a late event makes every saved question due that its half-hour touches, and no other") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        visit(site, "2026-02-20T10:00", "/a");
        auto const of = [&](std::string const& start, Window_Type type, std::string const& zone) {
            return filtered(question(start, start + ":00.001", type, zone), "path", "/a");
        };
        auto const day = of("2026-02-10T10:00", Window_Type::daily, "Asia/Kathmandu");
        auto const month = of("2026-02-10T10:00", Window_Type::monthly, "Asia/Tokyo");
        auto const other = of("2026-02-20T10:00", Window_Type::daily, "Asia/Tokyo");
        for (auto const& asked : {day, month, other})
            CHECK(site->series(asked).value().rows.at(0).summary.revision == 0);
        visit(site, "2026-02-10T10:05", "/a");
        visit(site, "2026-02-10T10:05", "/b");
        auto const row = [&](Series_Question const& asked) { return site->series(asked).value().rows.at(0).summary; };
        CHECK(row(day).total_requests == 2);
        CHECK(row(day).revision == 1);
        CHECK(row(day).late_events == 2); // whether they fit or not
        CHECK(row(month).total_requests == 3);
        CHECK(row(month).revision == 1);
        auto const seen = operations(site, [&] { CHECK(row(other).revision == 0); });
        CHECK(count(seen, "get raw/") == 0);
    }

    TEST_CASE("saved questions that are deleted come back with the same bytes, on another day and in another process") {
        Site site("2027-01-02T00:00");
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const spring = time_at("2026-03-27T00:00");
        for (int i = 0; i < 400; ++i) {
            Request_View view;
            auto const path = "/" + std::to_string(random() % 7);
            auto const remote = "192.0.2." + std::to_string(random() % 200);
            view.method = "GET";
            view.target = path;
            view.status = random() % 5 == 0 ? 404 : 200;
            view.remote = remote;
            view.duration_us = static_cast<std::int64_t>(random() % 100'000);
            view.timestamp = spring + std::chrono::minutes(random() % (5 * 24 * 60));
            REQUIRE(site->record_view(view));
        }
        std::vector<Series_Question> asked;
        for (auto const type : all_window_types)
            for (std::string const zone : {"UTC", "Europe/Lisbon", "Asia/Kathmandu", "America/St_Johns"}) {
                asked.push_back(question("2026-03-28T00:00", "2026-03-30T00:00", type, zone));
                asked.push_back(filtered(asked.back(), "status", "404"));
            }
        auto const ask_all = [&](auto const& process) {
            std::vector<boost::json::value> answers;
            for (auto const& each : asked)
                answers.push_back(process->series(each).value().to_json());
            return answers;
        };
        auto const answers = ask_all(site.process);
        auto const files = saved(site);
        CHECK(files.size() > 100);
        for (int round = 0; round < 3; ++round) {
            for (auto const& entry : files)
                if (round == 0 || random() % 2 == 0)
                    REQUIRE(remove(site.memory, entry.first));
            memfs_cache::testing::Site_Process<Watched_Memory> later(site.storage,
                                                                     time_at("2027-01-03T00:00") + hours(round));
            CHECK(ask_all(later) == answers);
            // A year that is still there is not put together again from months that are not.
            auto const now = saved(site);
            CHECK(std::includes(files.begin(), files.end(), now.begin(), now.end()));
            CHECK((round > 0 || now == files));
        }
    }

    TEST_CASE("an answer to another question that has the same hash is left alone, and its place is not believed") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        auto const asked = filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "path", "/a");
        auto const first = site->series(asked).value().to_json();
        REQUIRE(saved(site).size() == 1);
        auto const [key, bytes] = *saved(site).begin();
        auto other = bytes;
        other.replace(other.find("/a"), 2, "/z");
        other.replace(other.find(R"("total_requests":1)"), 18, R"("total_requests":7)");
        REQUIRE(write(site.memory, key, other));
        CHECK(site->series(asked).value().to_json() == first);
        CHECK(saved(site).at(key) == other);
        REQUIRE(write(site.memory, key, bytes.substr(0, bytes.size() / 2))); // what a loss of power leaves
        CHECK(site->series(asked).value().to_json() == first);
        CHECK(saved(site).at(key) == bytes);
    }

    TEST_CASE("a mark that is put while an answer is built makes it due again") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        auto const asked = filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "path", "/a");
        REQUIRE(site->flush());
        memfs_cache::testing::Site_Process<Storage_Memory> rival(site.memory, time_at("2026-03-01T00:00"));
        bool is_done = false;
        site.storage.hook = [&](Watched_Memory::Operation operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::get && key.find("/raw/") != std::string::npos &&
                !std::exchange(is_done, true)) {
                Analytics_Event late;
                late.event_type = "page_view";
                late.path = "/a";
                late.timestamp = time_at("2026-02-10T11:00");
                REQUIRE(rival->record(late));
                REQUIRE(rival->flush());
            }
            return Watched_Memory::Verdict{};
        };
        (void)site->series(asked);
        site.storage.hook = nullptr;
        CHECK(is_done);
        auto const row = site->series(asked).value().rows.at(0).summary;
        CHECK(row.total_requests == 2);
        CHECK(row.revision == 1);
    }

    TEST_CASE("of two processes that build one answer, the slower one never puts an older answer over a newer one") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        auto const asked = filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "path", "/a");
        REQUIRE(site->flush());
        memfs_cache::testing::Site_Process<Storage_Memory> rival(site.memory, time_at("2026-03-01T00:00"));
        bool is_done = false;
        site.storage.hook = [&](Watched_Memory::Operation operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::put && key.find("/queries/") != std::string::npos &&
                !std::exchange(is_done, true)) {
                Analytics_Event late;
                late.event_type = "page_view";
                late.path = "/a";
                late.timestamp = time_at("2026-02-10T11:00");
                REQUIRE(rival->record(late));
                REQUIRE(rival->flush());
                CHECK(rival->series(asked).value().rows.at(0).summary.revision == 1);
            }
            return Watched_Memory::Verdict{};
        };
        auto const row = site->series(asked).value().rows.at(0).summary;
        site.storage.hook = nullptr;
        CHECK(is_done);
        CHECK(row.revision == 1);
        CHECK(row.total_requests == 2);
    }

    TEST_CASE("local days of a zone that is half an hour off are counted in half-hours at their edges") {
        Site site("2026-03-01T00:00");
        for (auto const* const time : {"2026-02-10T18:00", "2026-02-10T18:29:59.999", "2026-02-10T18:30",
                                       "2026-02-11T18:29:59.999", "2026-02-11T18:30"})
            visit(site, time);
        CHECK(totals(site->series(question("2026-02-10T12:00", "2026-02-11T18:31", Window_Type::daily, "Asia/Kolkata"))
                         .value()) == Totals{"2026-02-10 2", "2026-02-11 2", "2026-02-12 1"});
    }

    TEST_CASE("what the storage does not take is counted all the same") {
        Site site("2026-02-13T14:10");
        visit(site, "2026-02-13T14:00", "/a");
        REQUIRE(site->flush());
        site.storage.hook = [](Watched_Memory::Operation operation, std::string const&) {
            using Verdict = Watched_Memory::Verdict;
            return operation == Watched_Memory::Operation::append || operation == Watched_Memory::Operation::put
                       ? Verdict{Verdict::Kind::fail}
                       : Verdict{};
        };
        Analytics_Event waiting;
        waiting.event_type = "page_view";
        waiting.path = "/a";
        (void)site->record(waiting);
        auto const asked = filtered(question("2026-02-13T00:00", "2026-02-13T14:10", Window_Type::daily), "path", "/a");
        CHECK(site->series(asked).value().rows.at(0).summary.total_requests == 2);
        site.storage.hook = nullptr;
    }

    TEST_CASE(
        "where the events are gone, a question that was not asked before is refused, and one that was is answered") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        visit(site, "2026-02-11T10:00", "/a");
        auto const of = [](Window_Type type, std::string const& path) {
            return filtered(question("2026-02-10T00:00", "2026-02-11T00:00", type), "path", path);
        };
        auto const all = question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily);
        for (auto const& asked : {of(Window_Type::daily, "/a"), all})
            CHECK(site->series(asked).value().rows.at(0).summary.total_requests == 1);
        for (auto const& entry : stored_files(site.memory, "cache/analytics/data/raw/2026/02/10/"))
            REQUIRE(remove(site.memory, entry.first));
        for (auto const& asked : {of(Window_Type::daily, "/a"), all})
            CHECK(site->series(asked).value().rows.at(0).summary.total_requests == 1);
        CHECK(site->series(of(Window_Type::weekly, "/a")).value().rows.at(0).summary.total_requests == 2);
        for (auto const type : {Window_Type::daily, Window_Type::monthly, Window_Type::yearly}) {
            auto const answer = site->series(of(type, "/b"));
            REQUIRE(!answer);
            CHECK(answer.error().code == Errc::not_found);
            CHECK(answer.error().context.find("2026-02-10T10:00") != std::string::npos);
        }
    }

    TEST_CASE("an answer is saved after the events that it counts are safe, and handed out after it is") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        auto const asked = filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "path", "/a");
        std::vector<std::string> order;
        site.storage.hook = [&](Watched_Memory::Operation operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::sync)
                order.push_back("sync");
            if (operation == Watched_Memory::Operation::put && key.find("/queries/") != std::string::npos)
                order.push_back("put");
            return Watched_Memory::Verdict{};
        };
        REQUIRE(site->series(asked));
        CHECK(order == std::vector<std::string>{"sync", "put", "sync"});
        REQUIRE(site->series(asked));
        CHECK(order.size() == 3);
        site.storage.hook = nullptr;
    }

    TEST_CASE("threads that ask the same at once read the events once and have the same answer") {
        Site site("2026-03-01T00:00");
        for (int i = 0; i < 100; ++i)
            visit(site, "2026-02-10T10:00", "/" + std::to_string(i % 3));
        REQUIRE(site->flush());
        auto const asked = filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "path", "/1");
        std::atomic<int> reads{0};
        site.storage.hook = [&](Watched_Memory::Operation operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::get && key.find("/raw/") != std::string::npos) {
                ++reads;
                std::this_thread::sleep_for(std::chrono::milliseconds(50)); // time for others to come here too
            }
            return Watched_Memory::Verdict{};
        };
        std::vector<std::uint64_t> found(8);
        {
            std::vector<std::jthread> threads;
            for (auto& total : found)
                threads.emplace_back([&] { total = site->series(asked).value().rows.at(0).summary.total_requests; });
        }
        site.storage.hook = nullptr;
        CHECK(found == std::vector<std::uint64_t>(8, 33));
        CHECK(reads == 1);
        CHECK(saved(site).size() == 1);
    }

    TEST_CASE("saved answers are purged by the end of their windows with their states, and nothing else is") {
        Site site("2026-03-01T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        visit(site, "2026-02-12T10:00", "/a");
        visit_many(site, "2026-02-10T11:00");
        visit_many(site, "2026-02-12T11:00");
        auto const of = [](std::string const& day, std::string const& path) {
            return filtered(question(day + "T00:00", day + "T00:00:00.001", Window_Type::daily), "path", path);
        };
        for (std::string const day : {"2026-02-10", "2026-02-12"})
            for (auto const& path : {std::string("/a"), std::string(1000, '/'), std::string("/p*")})
                REQUIRE(site->series(of(day, path)));
        auto const before = saved(site);
        REQUIRE(before.size() == 4 + 2 * 2);
        REQUIRE(write(site.memory, "cache/analytics/data/queries/note.txt", "a stranger's"));
        auto const purge = [&](int days) {
            Purge_Options options;
            options.policy.windows_days = days;
            return site->purge(options).value();
        };
        CHECK(purge(19).is_empty());
        auto const report = purge(18);
        CHECK(report.questions == 3);
        CHECK(report.objects.size() == 4);
        CHECK(saved(site).size() == 4 + 1);
        for (auto const& path : {std::string("/a"), std::string(1000, '/'), std::string("/p*")})
            REQUIRE(site->series(of("2026-02-10", path)));
        REQUIRE(remove(site.memory, "cache/analytics/data/queries/note.txt"));
        for (auto const& again : saved(site)) {
            INFO(again.first);
            REQUIRE(before.contains(again.first));
            CHECK(again.second == before.at(again.first));
        }
        CHECK(saved(site).size() == before.size());
    }

    TEST_CASE("the state of a saved answer lies beside it where it is large, and only those that merge it read it") {
        Site site("2026-03-02T00:00");
        visit_many(site, "2026-02-10T10:00");
        visit_many(site, "2026-02-11T10:00");
        auto const day =
            filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "status", "2xx");
        auto const month =
            filtered(question("2026-02-01T00:00", "2026-03-01T00:00", Window_Type::monthly), "status", "2xx");
        auto const of_day = site->series(day).value().to_json();
        auto const of_month = site->series(month).value();
        CHECK(of_month.rows.at(0).summary.total_requests == 2 * many);
        CHECK(of_month.rows.at(0).summary.unique_visitors == 2); // one, and another salt a day;
        auto const before = saved(site);
        REQUIRE(before.size() == 3 * 2);
        for (auto const& [key, bytes] : before)
            if (key.ends_with(".json"))
                CHECK(bytes.size() <= most_saved_bytes);

        memfs_cache::testing::Site_Process<Watched_Memory> later(site.storage, time_at("2026-03-02T01:00"));
        auto const seen = operations(site, [&] { CHECK(later->series(day).value().to_json() == of_day); });
        CHECK(count(seen, "get queries/") == 1);

        auto const ask_again = [&] {
            for (auto const& entry : before) // the month's, so that it has to be merged again
                if (entry.second.find(R"("monthly")") != std::string::npos)
                    REQUIRE(remove(site.memory, entry.first));
            CHECK(later->series(month).value().to_json() == of_month.to_json());
            CHECK(later->series(day).value().to_json() == of_day);
            CHECK(saved(site) == before);
        };
        auto const states = [&] {
            std::vector<std::string> found;
            for (auto const& entry : before)
                if (!entry.first.ends_with(".json"))
                    found.push_back(entry.first);
            return found;
        }();
        ask_again();
        for (auto const& state : states)
            REQUIRE(remove(site.memory, state));
        ask_again();
        for (auto const& state : states)
            REQUIRE(write(site.memory, state, "no zstd"));
        ask_again();
    }

    TEST_CASE("a late event leaves one state beside a saved answer, and that is the new one") {
        Site site("2026-03-02T00:00");
        visit_many(site, "2026-02-10T10:00");
        auto const day =
            filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "status", "2xx");
        REQUIRE(site->series(day));
        auto const before = saved(site);
        REQUIRE(before.size() == 2);
        visit(site, "2026-02-10T10:00", "/late");
        CHECK(site->series(day).value().rows.at(0).summary.total_requests == many + 1);
        auto const after = saved(site);
        CHECK(after.size() == 2);
        CHECK(after.rbegin()->first != before.rbegin()->first);
    }

    TEST_CASE("answers that were saved in the first form are read, shown and merged") {
        Site site("2026-03-02T00:00");
        visit(site, "2026-02-10T10:00", "/a");
        visit(site, "2026-02-11T10:00", "/b", 404);
        auto const day =
            filtered(question("2026-02-10T00:00", "2026-02-11T00:00", Window_Type::daily), "status", "2xx");
        auto const month =
            filtered(question("2026-02-01T00:00", "2026-03-01T00:00", Window_Type::monthly), "status", "2xx");
        auto const of_day = site->series(day).value().to_json();
        auto const of_month = site->series(month).value().to_json();
        for (auto const& [key, bytes] : saved(site)) {
            std::string const state = R"("state":{"v":2,)", late = R"("late_events":0,)";
            auto const begin = bytes.find(state), head = bytes.find(late);
            REQUIRE(begin != std::string::npos);
            REQUIRE(head != std::string::npos);
            auto first = bytes.substr(0, head + late.size()) + bytes.substr(begin + state.size());
            first.pop_back();
            first.replace(first.find(R"("v":2)"), 5, R"("v":1)");
            if (bytes.find(R"("monthly")") == std::string::npos)
                REQUIRE(write(site.memory, key, first));
            else
                REQUIRE(remove(site.memory, key));
        }
        memfs_cache::testing::Site_Process<Watched_Memory> later(site.storage, time_at("2026-03-02T01:00"));
        auto const seen = operations(site, [&] {
            CHECK(later->series(day).value().to_json() == of_day);
            CHECK(later->series(month).value().to_json() == of_month);
        });
        CHECK(count(seen, "get raw/") == 0);
    }
}
