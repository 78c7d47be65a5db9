// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/lets/window.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace memfs_cache;

namespace {
auto at(std::string_view half_hour) -> Utc_Time { return Base_Window::parse(half_hour)->start(); }
auto window(Window_Type type, std::string_view key) -> Window { return Window::parse(type, key).value(); }
} // namespace

TEST_SUITE("lets/window") {
    TEST_CASE("every level names its windows and files as documented") {
        auto const time = at("2026-02-13T14:30");
        CHECK(Window::containing(Window_Type::half_hour, time).key() == "2026-02-13T14:30");
        CHECK(Window::containing(Window_Type::half_hour, time).file() == "30min/2026/02/13/14-30.json");
        CHECK(Window::containing(Window_Type::hourly, time).key() == "2026-02-13T14");
        CHECK(Window::containing(Window_Type::hourly, time).file() == "hourly/2026/02/13/14.json");
        CHECK(Window::containing(Window_Type::daily, time).file() == "daily/2026/02/13.json");
        CHECK(Window::containing(Window_Type::weekly, time).key() == "2026-W07");
        CHECK(Window::containing(Window_Type::weekly, time).file() == "weekly/2026-W07.json");
        CHECK(Window::containing(Window_Type::monthly, time).file() == "monthly/2026/02.json");
        CHECK(Window::containing(Window_Type::yearly, time).file() == "yearly/2026.json");
    }

    TEST_CASE("ISO weeks belong to the year of their Thursday, also across years and in years of 53 weeks") {
        CHECK(Window::containing(Window_Type::weekly, at("2024-12-30T00:00")).key() == "2025-W01");
        CHECK(Window::containing(Window_Type::weekly, at("2024-12-29T23:30")).key() == "2024-W52");
        CHECK(Window::containing(Window_Type::weekly, at("2027-01-01T12:00")).key() == "2026-W53");
        CHECK(window(Window_Type::weekly, "2026-W53").start() == at("2026-12-28T00:00"));
        CHECK(window(Window_Type::weekly, "2025-W01").start() == at("2024-12-30T00:00"));
        CHECK(Window::parse(Window_Type::weekly, "2025-W53").has_error());
        CHECK(Window::parse(Window_Type::weekly, "2026-W00").has_error());
        CHECK(Window::parse(Window_Type::weekly, "2026-W54").has_error());
    }

    TEST_CASE("months and years end where the calendar says, leap days included") {
        CHECK(window(Window_Type::monthly, "2024-02").end() == at("2024-03-01T00:00"));
        CHECK(window(Window_Type::monthly, "2023-02").end() - window(Window_Type::monthly, "2023-02").start() ==
              std::chrono::days(28));
        CHECK(window(Window_Type::monthly, "2025-12").end() == at("2026-01-01T00:00"));
        CHECK(window(Window_Type::yearly, "2024").end() - window(Window_Type::yearly, "2024").start() ==
              std::chrono::days(366));
        CHECK(Window::parse(Window_Type::daily, "2024-02-29").has_value());
        CHECK(Window::parse(Window_Type::daily, "2023-02-29").has_error());
    }

    TEST_CASE("windows are half-open: an instant at a boundary belongs to the later one") {
        for (auto const type : all_window_types) {
            auto const one = Window::containing(type, at("2025-12-31T23:30"));
            CHECK(Window::containing(type, one.end() - std::chrono::milliseconds(1)) == one);
            CHECK(Window::containing(type, one.end()) == one.next());
            CHECK(one.next().start() == one.end());
        }
    }

    TEST_CASE("malformed keys, keys of another level and keys with offsets are refused with the right form named") {
        for (std::string const bad : {"",
                                      "2026-02-13T14:00Z",
                                      "2026-02-13T14:00+01:00",
                                      "2026-02-13T14:15",
                                      "2026-2-13",
                                      "2026-02-30",
                                      "2026-13",
                                      "2026-00",
                                      "26",
                                      "20266",
                                      "2026-W7",
                                      "2026-w07",
                                      " 2026",
                                      "2026 ",
                                      "2026-02-13T24",
                                      "1969",
                                      "2287",
                                      "9999",
                                      "../2026",
                                      "2026/02"}) {
            CAPTURE(bad);
            for (auto const type : all_window_types)
                CHECK(Window::parse(type, bad).has_error());
        }
        for (auto const type : all_window_types)
            for (auto const other : all_window_types) {
                auto const key = Window::containing(type, at("2026-02-13T14:00")).key();
                CHECK(Window::parse(other, key).has_value() == (type == other));
            }
        CHECK(Window::parse(Window_Type::daily, "2026-02").error().context.find("2026-02-13") != std::string::npos);
        CHECK(parse_window_type("minutely").error().code == Errc::invalid_argument);
    }

    TEST_CASE("keys and files round-trip for random instants, and children tile their parent") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (int i = 0; i < 2000; ++i) {
            auto const time = from_millis(static_cast<std::int64_t>(random() % 9'999'999'999'999));
            for (auto const type : all_window_types) {
                auto const one = Window::containing(type, time);
                REQUIRE(one.start() <= time);
                REQUIRE(time < one.end());
                if (one.start() < earliest_time)
                    continue; // the first ISO week of 1970 begins in 1969
                REQUIRE(Window::parse(type, one.key()).value() == one);
                REQUIRE(Window::from_file(one.file()) == one);
                if (auto const child = child_type(type)) {
                    auto part = Window::containing(*child, one.start());
                    REQUIRE(part.start() == one.start());
                    while (part.end() < one.end())
                        part = part.next();
                    REQUIRE(part.end() == one.end());
                }
            }
        }
        for (auto const* bad : {"", "30min/2026/02/13/14-15.json", "daily/2026-02-13.json", "daily/2026/02/13.jsonl",
                                "weekly/2026/W07.json", "hourly/2026/02/13/14.json.tmp"})
            CHECK_FALSE(Window::from_file(bad).has_value());
    }
}
