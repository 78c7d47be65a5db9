// SPDX-License-Identifier: Apache-2.0
// The raw events that tell of transfers are the analytics': their purge must leave every answer about transfers as it was.
#include "namespaces/transfer_house.hpp"
#include "support/printers.hpp"
#include "support/test_seed.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto raw = "cache/analytics/data/raw/";

/// The process ends and another one begins, since what somebody may be writing to is not purged.
void restart(Transfer_House& house) {
    auto const now = house.site.clock().now();
    REQUIRE(house.site->close());
    house.transfers.reset();
    house.site.process = Site_Process<Watched_Memory>(house.site.storage, now);
    house.reopen();
}
/// Lets so much time pass that what was received by now may go.
void let_it_age(Transfer_House& house) {
    restart(house);
    house.site.clock().advance(25h);
}
auto purge(Transfer_House& house, bool knows_of_transfers = true, bool dry_run = false) -> Purge_Report {
    restart(house);
    Purge_Options options{{.raw_days = 90}, dry_run, {}, {}};
    if (knows_of_transfers)
        options.views.push_back(house->view());
    return house.site->purge(options).value();
}
auto saved(Transfer_House const& house) -> std::size_t {
    return stored_files(house.site.memory, std::string(transfers_data) + "aggregations/30min/").size();
}
void record_page(Transfer_House& house, std::string const& time) {
    Analytics_Event page;
    page.event_type = "page_view";
    page.timestamp = time_at(time);
    page.path = "/";
    REQUIRE(house.site->record(page));
}
void record(Transfer_House& house, std::string const& time, std::string const& id = "t") {
    house.record(id, Transfer_Act::downloaded, {.timestamp = time_at(time)});
}
auto downloads(Transfer_House& house, std::string const& day) -> std::uint64_t {
    return house->aggregation("daily", day).value().answer.total.downloads;
}

} // namespace

TEST_SUITE("namespaces/transfers_purge") {
    TEST_CASE("what nobody had asked about is answered after the raw events are purged") {
        Transfer_House house;
        record(house, "2026-02-13T14:05");
        record(house, "2026-02-13T14:40", "u");
        house.at("2026-07-01T00:00");
        auto const listed = purge(house, true, true).objects;
        CHECK(saved(house) == 0);
        CHECK(purge(house).objects == listed);
        CHECK(stored_files(house.site.memory, raw).empty());
        CHECK(saved(house) == 2);
        house.reopen();
        CHECK(house->summary("t").value().figures.downloads == 1);
        CHECK(house->summary("u").value().figures.downloads == 1);
        CHECK(house->aggregation("monthly", "2026-02").value().answer.total.downloads == 2);
        CHECK(downloads(house, "2026-02-13") == 2);
    }

    TEST_CASE("half-hours without transfers cost a purge no window, and are answered as empty") {
        Transfer_House house;
        record_page(house, "2026-02-13T14:05");
        house.at("2026-07-01T00:00");
        CHECK(purge(house).half_hours == 1);
        CHECK(stored_files(house.site.memory, "cache/transfers/").empty());
        auto const day = house->aggregation("daily", "2026-02-13").value();
        CHECK(day.recorded);
        CHECK(day.final);
        CHECK(day.answer.total.events == 0);
    }

    TEST_CASE("a purge that was not told of the transfers leaves an error where they had saved nothing, and no zero") {
        Transfer_House house;
        record(house, "2026-02-13T14:05");
        house.at("2026-07-01T00:00");
        CHECK(purge(house, false).half_hours == 1);
        CHECK(house->aggregation("daily", "2026-02-13").error().code == Errc::not_found);
        CHECK(house->summary("t").error().code == Errc::not_found);
        CHECK(house->summary("t").error().context.find("purged") != std::string::npos);
        CHECK(house.site->aggregation("daily", "2026-02-13").value().file_downloads == 1);
    }

    TEST_CASE("late events behind a purge are counted, and purged a day later, whatever went before") {
        for (bool const had_transfers : {true, false}) {
            CAPTURE(had_transfers);
            Transfer_House house;
            record_page(house, "2026-02-13T14:05");
            if (had_transfers)
                record(house, "2026-02-13T14:06");
            auto const before = had_transfers ? 1U : 0U;
            house.at("2026-07-01T00:00");
            CHECK(purge(house).half_hours == 1);
            record(house, "2026-02-13T14:07");
            CHECK(downloads(house, "2026-02-13") == before + 1);
            record(house, "2026-02-13T14:08");
            record_page(house, "2026-02-13T14:09");
            let_it_age(house);
            CHECK(purge(house).events == 3);
            CHECK(stored_files(house.site.memory, raw).empty());
            CHECK(downloads(house, "2026-02-13") == before + 2);
            record_page(house, "2026-02-13T14:10");
            let_it_age(house);
            CHECK(purge(house).events == 1);
            CHECK(downloads(house, "2026-02-13") == before + 2);
            CHECK(house->summary("t").value().figures.downloads == before + 2);
        }
    }

    TEST_CASE("what a purge without the transfers took of late events is missed, and no smaller number is given") {
        Transfer_House house;
        record(house, "2026-02-13T14:05");
        house.at("2026-07-01T00:00");
        CHECK(purge(house).half_hours == 1);
        CHECK(downloads(house, "2026-02-13") == 1);
        record(house, "2026-02-13T14:06");
        let_it_age(house);
        CHECK(purge(house, false).half_hours == 1);
        auto const answer = house->aggregation("daily", "2026-02-13");
        REQUIRE(!answer);
        CHECK(answer.error().context.find("counts only some of them") != std::string::npos);
        record(house, "2026-02-13T14:07");
        let_it_age(house);
        auto const kept = purge(house).kept;
        REQUIRE(kept.size() == 1);
        CHECK(kept[0].why.find("counts only some of them") != std::string::npos);
    }

    TEST_CASE("windows of transfers go by the policy of windows once the raw events are gone, with a record of it") {
        Transfer_House house;
        record(house, "2026-02-13T14:05");
        house.at("2027-07-01T00:00");
        Purge_Options options{{.raw_days = 90, .windows_days = 365}, false, "ann", {}};
        CHECK(house->aggregation("daily", "2026-02-13").value().final);
        auto const kept = house->purge(options).value();
        CHECK(kept.is_empty());
        CHECK(kept.kept.size() == 3); // half-hour, hour and day
        CHECK(purge(house).half_hours == 1);
        auto const gone = house->purge(options).value();
        CHECK(gone.half_hours == 0);
        CHECK(gone.windows >= 3);
        CHECK(saved(house) == 0);
        CHECK(stored_files(house.site.memory, std::string(transfers_data) + "purges/").size() == 1);
        CHECK(house->aggregation("daily", "2026-02-13").error().code == Errc::not_found);
    }

    TEST_CASE("whatever is recorded, asked and purged in between, every answer equals a count of the events") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Transfer_House house("2026-02-01T00:00");
        std::vector<Told_Event> events;
        auto const start = time_at("2026-02-01T00:00");
        auto const check_one = [&](std::string const& id) {
            auto const all = counted(events, start, start + 24h * 400);
            CHECK(difference(house->summary(id).value().figures, all.at(id)) == "");
        };
        for (int step = 0; step < 150; ++step) {
            auto const now = house.site.clock().now();
            // Half of what is told lies in the few hours with which all began, however long ago that is.
            auto const time = random() % 2 == 0 ? std::min(now, start + std::chrono::minutes(random() % 180)) : now;
            Told_Event const event{time,        "t" + std::to_string(random() % 3), Transfer_Act::downloaded, "", "",
                                   random() % 9};
            if (random() % 3 == 0) {
                record_page(house, date_text(time) + "T00:00");
            } else {
                house.record(event.id, event.act, {.timestamp = event.time, .content_bytes = event.bytes});
                events.push_back(event);
            }
            if (random() % 4 == 0)
                house.site.clock().advance(std::chrono::hours(random() % 400));
            if (random() % 6 == 0)
                (void)purge(house);
            if (random() % 5 == 0)
                house.reopen();
            if (random() % 8 == 0 && !events.empty())
                check_one(events[random() % events.size()].id);
        }
        restart(house);
        house.site.clock().advance(24h * 100);
        CHECK(purge(house).kept.empty());
        CHECK(stored_files(house.site.memory, raw).empty());
        house.reopen();
        for (auto const& entry : counted(events, start, start + 24h * 400)) {
            check_one(entry.first);
            CHECK(house->summary(entry.first).value().error == 0);
        }
        auto const first_day = counted(events, start, start + 24h);
        auto const answer = house->aggregation("daily", "2026-02-01").value().answer;
        CHECK(answer.transfers.size() == first_day.size());
        for (auto const& row : answer.transfers)
            CHECK(row.downloads == first_day.at(row.transfer_id).of(Transfer_Act::downloaded));
    }
}
