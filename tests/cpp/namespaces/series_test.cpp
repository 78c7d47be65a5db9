// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace memfs_cache;
using memfs_cache::testing::Site, memfs_cache::testing::time_at, memfs_cache::testing::Watched_Memory;
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

/// "key total", of each row in order; "key -" where nothing was recorded.
auto totals(Series const& series) -> std::vector<std::string> {
    std::vector<std::string> found;
    for (auto const& row : series.rows)
        found.push_back(row.summary.window_key + " " +
                        (row.summary.recorded ? std::to_string(row.summary.total_requests) : "-"));
    return found;
}
using Totals = std::vector<std::string>;

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
}
