// SPDX-License-Identifier: Apache-2.0
#include "namespaces/cost_house.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include <memfs_cache/namespaces/costs/cost_collector.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <functional>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Operation = Watched_Memory::Operation;
using Verdict = Watched_Memory::Verdict;

/// A source that charges a dollar a day, and what it was asked for.
struct Source {
    std::vector<std::string> asked;
    std::string amount = "1";

    auto operator()(Utc_Time start, Utc_Time end) -> Result<std::vector<Cost_File>> {
        asked.push_back(date_text(start) + " " + date_text(end));
        std::string csv = "date,service,amount_usd\n";
        for (auto day = start; day < end; day += 24h)
            csv += date_text(day) + ",S3," + amount + "\n";
        return std::vector<Cost_File>{{"source", csv}};
    }
};
using Asked = std::vector<std::string>;

auto run(Cost_House& house, Source& source, Collect_Options const& options = {}) -> Result<Collect_Report> {
    return collect_costs(house.storage, *house->costs, std::ref(source), options);
}

constexpr auto mark_file = "cache/costs/data/collector/high-water-mark.json";

} // namespace

TEST_SUITE("namespaces/costs collector") {
    TEST_CASE("a day that is over is fetched once and today three times, across days, months and leap days") {
        Cost_House house("2024-02-28T10:00");
        Source source;
        Collect_Options const options{.backfill_days = 2};
        for (int i = 0; i < 5; ++i)
            REQUIRE(run(house, source, options));
        CHECK(source.asked == Asked{"2024-02-26 2024-02-29", "2024-02-28 2024-02-29", "2024-02-28 2024-02-29"});
        source.asked.clear();
        house->at("2024-03-02T00:00"); // nobody ran it for two days
        for (int i = 0; i < 5; ++i)
            REQUIRE(run(house, source, options));
        CHECK(source.asked == Asked{"2024-02-28 2024-03-03", "2024-03-02 2024-03-03", "2024-03-02 2024-03-03"});
        auto const mark = Collector_Mark::parse(read(house.memory, mark_file).value().value()).value();
        CHECK(mark.last_collected == time_at("2024-03-01"));
        CHECK(mark.days_collected_total == 5);
        CHECK(house->told("monthly", "2024-02") == "4, final");
        house->at("2024-03-01T00:00"); // a clock that went back
        REQUIRE(run(house, source, options));
        CHECK(source.asked.size() == 3);
        CHECK(read(house.memory, mark_file).value()->find(R"("last_collected_date":"2024-03-01")") !=
              std::string::npos);
    }

    TEST_CASE("days are read again once a day where that is wanted, and then reach every level") {
        Cost_House house("2026-03-10T10:00");
        Source source;
        REQUIRE(run(house, source, {.backfill_days = 20}));
        CHECK(house->told("monthly", "2026-02") == "11, final");
        house->at("2026-03-11T10:00");
        source.amount = "2";
        source.asked.clear();
        auto const report = run(house, source, {.reread_days = 14}).value();
        CHECK(report.imported.days_revised == 15);
        REQUIRE(run(house, source, {.reread_days = 14}));
        CHECK(source.asked == Asked{"2026-02-25 2026-03-12", "2026-03-11 2026-03-12"});
        CHECK(house->told("monthly", "2026-02") == "15, final");
        CHECK(house->told("weekly", "2026-W09") == "12, final");
        CHECK(house->told("daily", "2026-02-28") == "2, final");
    }

    TEST_CASE("whatever operation of the storage fails, the next run makes up for it") {
        auto const collected = [](std::size_t failing) {
            Cost_House house("2026-02-13T10:00");
            Source source;
            std::size_t operations = 0;
            house.storage.hook = [&](Operation, std::string const&) {
                return ++operations == failing ? Verdict{Verdict::Kind::fail} : Verdict();
            };
            bool const went_well = run(house, source, {.backfill_days = 3}).has_value();
            CHECK(went_well == (failing > operations));
            house.storage.hook = nullptr;
            REQUIRE(run(house, source));
            auto const mark = Collector_Mark::parse(read(house.memory, mark_file).value().value()).value();
            CHECK(mark.last_collected == time_at("2026-02-12"));
            for (auto const* const day : {"2026-02-12", "2026-02-13"})
                CHECK(house->told("daily", day).substr(0, 2) == "1,");
            return went_well;
        };
        std::size_t failing = 1;
        while (!collected(failing) && failing < 100)
            ++failing;
        CHECK(failing > 10);
        CHECK(failing < 100);
    }

    TEST_CASE("an answer that is wrong or leaves a day out moves nothing") {
        Cost_House house;
        auto const answer = [&](std::string const& text) {
            return collect_costs(house.storage, *house->costs,
                                 [&](Utc_Time, Utc_Time) -> Result<std::vector<Cost_File>> {
                                     return std::vector<Cost_File>{{"source", text}};
                                 });
        };
        CHECK(answer("date,service,amount_usd\n2026-02-20,S3,1\n").error().code == Errc::corrupt_data);
        CHECK(answer("nonsense").error().code == Errc::invalid_argument);
        auto const failed =
            collect_costs(house.storage, *house->costs, [](Utc_Time, Utc_Time) -> Result<std::vector<Cost_File>> {
                return fail(Errc::unavailable, "not there");
            });
        CHECK(failed.error().code == Errc::unavailable);
        CHECK(stored_files(house.memory).empty());
    }

    TEST_CASE("the mark is that of docs/format.md, byte by byte") {
        auto text = documented("collector mark");
        std::erase(text, '\n');
        auto const mark = Collector_Mark::parse(text).value();
        CHECK(mark.last_collected == time_at("2026-02-13"));
        CHECK(mark.reread_on == earliest_time);
        auto again = mark.stored_text();
        CHECK(again.replace(again.find("nonce") + 8, 16, "90b6d2c41f73e85a") == text);
    }

    TEST_CASE("a mark that is damaged is reported and not written over") {
        Cost_House house;
        Source source;
        REQUIRE(write(house.memory, mark_file, R"({"v":1,"nonce":""})"));
        auto const ran = run(house, source);
        REQUIRE(!ran);
        CHECK(ran.error().code == Errc::corrupt_data);
        CHECK(ran.error().context.find(mark_file) == 0);
        CHECK(source.asked.empty());
    }

    TEST_CASE("of two that collect at once neither moves the mark back") {
        Cost_House house("2026-02-13T23:59");
        Cost_House late("2026-02-14T00:01");
        Source source;
        auto const other =
            Costs<Watched_Memory>::open(house.storage, "cache", Namespace_Name("costs"), late.process.clock).value();
        Collect_Options const options{.backfill_days = 3};
        auto const slow = collect_costs(
            house.storage, *house->costs,
            [&](Utc_Time start, Utc_Time end) {
                auto files = source(start, end);
                CHECK(collect_costs(house.storage, *other, std::ref(source), options)); // a day later, and done before
                return files;
            },
            options);
        REQUIRE(slow);
        auto const mark = Collector_Mark::parse(read(house.memory, mark_file).value().value()).value();
        CHECK(mark.last_collected == time_at("2026-02-13"));
    }
}
