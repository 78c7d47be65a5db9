// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include <memfs_cache/lets/time_zone.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace memfs_cache;
using memfs_cache::testing::time_at;
using std::chrono::hours, std::chrono::minutes;

namespace {

auto zone(std::string_view name) -> Time_Zone { return Time_Zone::find(name).value(); }

auto day(std::string_view name, std::string const& time) -> Local_Window {
    return zone(name).containing(Window_Type::daily, time_at(time));
}

/// What the zoneinfo module of Python, another reader of the same database, says: one line for each zone and local date
/// that there is, with the seconds at which it begins and ends. Where a clock is set back over midnight, the first of both.
constexpr char const* other_reader = R"(
import sys
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo
def wall(instant, zone):
    return datetime.fromtimestamp(instant, zone).replace(tzinfo=None)
def begin(day, zone):
    midnight = datetime(day.year, day.month, day.day)
    instant = int(midnight.replace(tzinfo=zone).timestamp())
    if wall(instant, zone) == midnight:
        return instant
    low, high = instant - 30 * 3600, instant + 30 * 3600  # the clock was set past midnight between them, once
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wall(middle, zone) < midnight else (low, middle)
    return high
for name in sys.argv[1:]:
    zone, day = ZoneInfo(name), date(1990, 1, 1)
    until = begin(day, zone)
    while day.year < 2041:
        here, day = day, day + timedelta(days=1)
        start, until = until, begin(day, zone)
        if start < until:
            print(name, here, start, until)
)";

struct Day {
    std::string zone, date;
    std::int64_t start = 0, end = 0; ///< seconds since 1970
};

auto days_of_other_reader(std::vector<std::string> const& zones) -> std::vector<Day> {
    std::string command = "python3 -";
    for (auto const& name : zones)
        command += ' ' + name;
    command.append(" <<'END'\n").append(other_reader).append("END");
    auto* const pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string text;
    std::array<char, 65536> some{};
    while (auto const count = std::fread(some.data(), 1, some.size(), pipe))
        text.append(some.data(), count);
    REQUIRE(::pclose(pipe) == 0);
    std::vector<Day> days;
    std::istringstream lines(text);
    for (Day read; lines >> read.zone >> read.date >> read.start >> read.end;)
        days.push_back(read);
    return days;
}

} // namespace

TEST_SUITE("lets/time_zone") {
    TEST_CASE("every local day of 1990 to 2040 begins and ends where another reader of the database says") {
        // Changes at midnight, over midnight, by half an hour, in Ramadan, of a whole day; off the hour and the half-hour;
        // and rules that go on behind the last change that is listed.
        std::vector<std::string> const zones{"America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe",
                                             "Africa/Casablanca", "Pacific/Apia",     "Asia/Kathmandu",
                                             "Pacific/Chatham",   "America/New_York", "Africa/Cairo",
                                             "Asia/Beirut",       "America/Havana",   "America/Scoresbysund"};
        auto const days = days_of_other_reader(zones);
        CHECK(days.size() > zones.size() * 18'600);
        std::size_t wrong = 0;
        Time_Zone local;
        for (auto const& expected : days) {
            if (local.name() != expected.zone)
                local = zone(expected.zone);
            Local_Window const wanted(Window_Type::daily, from_millis(expected.start * 1000),
                                      from_millis(expected.end * 1000), expected.date);
            if (local.containing(Window_Type::daily, wanted.start()) == wanted &&
                local.containing(Window_Type::daily, wanted.end() - std::chrono::milliseconds(1)) == wanted)
                continue;
            ++wrong;
            MESSAGE(expected.zone, " ", expected.date, " is [", expected.start, ", ", expected.end, ")");
        }
        CHECK(wrong == 0);
    }

    TEST_CASE("windows of a calendar follow each other without gap or overlap, and hold what they are asked for") {
        for (std::string const name :
             {"America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"})
            for (auto const type : all_window_types) {
                auto const local = zone(name);
                auto const end = time_at("2012-02-01T00:00");
                auto window = local.containing(type, time_at("2005-10-01T00:00"));
                int seen = 0;
                while (window.end() < end && seen < 10'000) {
                    auto const next = local.containing(type, window.end());
                    auto const last = local.containing(type, window.end() - std::chrono::milliseconds(1));
                    if (next.start() != window.end() || next.end() <= next.start() || !(last == window)) {
                        CAPTURE(name);
                        CAPTURE(window.key());
                        CAPTURE(next.key());
                        CHECK(next.start() == window.end());
                        CHECK(next.end() > next.start());
                        CHECK(last == window);
                    }
                    window = next;
                    ++seen;
                }
                CHECK(seen >= 6);
            }
    }

    TEST_CASE("a day without midnight begins when its date does") {
        auto const set_forward = day("America/Sao_Paulo", "2018-11-04T12:00");
        CHECK(set_forward.key() == "2018-11-04");
        CHECK(set_forward.start() == time_at("2018-11-04T03:00"));
        CHECK(set_forward.end() - set_forward.start() == hours(23));
        auto const set_back = day("America/Sao_Paulo", "2018-02-17T12:00");
        CHECK(set_back.key() == "2018-02-17");
        CHECK(set_back.end() - set_back.start() == hours(25));
        CHECK(day("Australia/Lord_Howe", "2026-04-05T00:00").end() -
                  day("Australia/Lord_Howe", "2026-04-05T00:00").start() ==
              hours(24) + minutes(30));
    }

    TEST_CASE("an hour before midnight that comes again after it belongs to the date that has begun") {
        auto const begun = day("America/St_Johns", "2005-10-30T02:30:30"); // 00:00:30; at 00:01 it is 23:01 again
        CHECK(begun.key() == "2005-10-30");
        CHECK(begun.start() == time_at("2005-10-30T02:30"));
        CHECK(day("America/St_Johns", "2005-10-30T02:45") == begun);
        CHECK(day("America/St_Johns", "2005-10-30T03:45") == begun);
    }

    TEST_CASE("a date that a place has skipped is no window") {
        auto const before = day("Pacific/Apia", "2011-12-30T09:59");
        auto const after = day("Pacific/Apia", "2011-12-30T10:00");
        CHECK(before.key() == "2011-12-29");
        CHECK(after.key() == "2011-12-31");
        CHECK(before.end() == after.start());
    }

    TEST_CASE("weeks, months and years are of the local calendar") {
        auto const lisbon = zone("Europe/Lisbon");
        auto const week = lisbon.containing(Window_Type::weekly, time_at("2026-03-29T22:59")); // Sunday, 23:59
        CHECK(week.key() == "2026-W13");
        CHECK(week.start() == time_at("2026-03-23T00:00"));
        CHECK(week.end() == time_at("2026-03-29T23:00"));
        auto const month = lisbon.containing(Window_Type::monthly, time_at("2026-03-31T23:00"));
        CHECK(month.key() == "2026-04");
        CHECK(month.start() == time_at("2026-03-31T23:00"));
        auto const year = zone("Asia/Tokyo").containing(Window_Type::yearly, time_at("2025-12-31T15:00"));
        CHECK(year.key() == "2026");
        CHECK(year.end() == time_at("2026-12-31T15:00"));
    }

    TEST_CASE("hours that a clock shows twice have two keys, and one that is cut by a change is shorter") {
        auto const lisbon = zone("Europe/Lisbon");
        CHECK(lisbon.containing(Window_Type::hourly, time_at("2026-10-25T00:30")).key() == "2026-10-25T01+01:00");
        CHECK(lisbon.containing(Window_Type::hourly, time_at("2026-10-25T01:30")).key() == "2026-10-25T01+00:00");
        auto const lord_howe = zone("Australia/Lord_Howe");
        auto const cut =
            lord_howe.containing(Window_Type::hourly, time_at("2026-04-04T15:10")); // 01:40 for the second time
        CHECK(cut.key() == "2026-04-05T01+10:30");
        CHECK(cut.start() == time_at("2026-04-04T15:00"));
        CHECK(cut.end() == time_at("2026-04-04T15:30"));
        CHECK(zone("Asia/Kathmandu").containing(Window_Type::half_hour, time_at("2026-01-01T00:00")).key() ==
              "2026-01-01T05:30+05:45");
        CHECK(Time_Zone().containing(Window_Type::hourly, time_at("2026-01-01T00:00")).key() == "2026-01-01T00");
    }

    TEST_CASE("a stretch that is a window of UTC as well is known as one, and half-hours are counted whole") {
        auto const winter = day("Europe/Lisbon", "2026-01-10T12:00");
        REQUIRE(winter.in_utc());
        CHECK(winter.in_utc()->key() == "2026-01-10");
        CHECK(!day("Europe/Lisbon", "2026-07-10T12:00").in_utc());
        auto const off = day("Asia/Kathmandu", "2026-01-10T12:00");
        CHECK(off.half_hours() == std::pair(off.start() - minutes(15), off.end() + minutes(15)));
        CHECK(winter.half_hours() == std::pair(winter.start(), winter.end()));
    }

    TEST_CASE("what is no name of a zone is refused with a sentence that shows one, and no other file is read") {
        for (std::string_view const name :
             {"", "utc", "localtime", "/usr/share/zoneinfo/Europe/Lisbon", "../zoneinfo/Europe/Lisbon",
              "Europe/../Europe/Lisbon", "posix/Europe/Lisbon", "right/Europe/Lisbon", "libc:localtime", "Europe",
              "Mars/Olympus", "Europe/Lisbon\n", "file:Europe/Lisbon", "UTC+1", "Fixed/UTC+01:00:00"}) {
            CAPTURE(name);
            auto const found = Time_Zone::find(name);
            REQUIRE(!found);
            CHECK(found.error().code == Errc::invalid_argument);
            CHECK(found.error().context.find("Europe/Lisbon") != std::string::npos);
        }
    }

    TEST_CASE("the zone of the host changes nothing") {
        auto const here = day("Europe/Lisbon", "2026-07-10T12:00");
        auto const* const before = std::getenv("TZ");
        std::string const kept = before == nullptr ? "" : before;
        ::setenv("TZ", "Asia/Tokyo", 1);
        ::tzset();
        CHECK(day("Europe/Lisbon", "2026-07-10T12:00") == here);
        CHECK(Time_Zone().containing(Window_Type::daily, time_at("2026-07-10T12:00")).start() ==
              time_at("2026-07-10T00:00"));
        if (before == nullptr)
            ::unsetenv("TZ");
        else
            ::setenv("TZ", kept.c_str(), 1);
        ::tzset();
    }
}
