// SPDX-License-Identifier: Apache-2.0
// Clocks of machines are set, forwards and backwards, while events come in and windows are asked for.
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <optional>
#include <random>
#include <string>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

/// The zone of the host is another one during a test.
class Host_Zone {
  public:
    explicit Host_Zone(char const* name) {
        if (auto const* const before = std::getenv("TZ"))
            before_ = before;
        ::setenv("TZ", name, 1);
        ::tzset();
    }
    Host_Zone(Host_Zone const&) = delete;
    auto operator=(Host_Zone const&) -> Host_Zone& = delete;
    ~Host_Zone() {
        before_ ? ::setenv("TZ", before_->c_str(), 1) : ::unsetenv("TZ");
        ::tzset();
    }

  private:
    std::optional<std::string> before_;
};

void visit(Site& site) { REQUIRE(site->record_view({.method = "GET", .target = "/", .status = 200})); }

} // namespace

TEST_SUITE("namespaces/clock_jumps") {
    TEST_CASE("a clock that runs two hours ahead closes windows early, and set back it loses and doubles nothing") {
        Host_Zone const zone("Asia/Kathmandu");
        Site site("2026-02-13T14:10");
        visit(site);
        site.clock().advance(2h);
        visit(site); // of 16:10, as far as anybody can know
        auto const early = site->aggregation("30min", "2026-02-13T14:00").value();
        CHECK(early.final);
        CHECK(early.total_requests == 1);

        site.clock().set(time_at("2026-02-13T14:12"));
        visit(site); // of a half-hour that was closed meanwhile
        auto const right = site->aggregation("30min", "2026-02-13T14:00").value();
        CHECK(right.total_requests == 2);
        CHECK(right.late_events == 1);
        CHECK(right.revision > early.revision);

        site.clock().set(time_at("2026-02-14T01:00"));
        CHECK(site->aggregation("30min", "2026-02-13T16:00").value().total_requests == 1);
        auto const day = site->aggregation("daily", "2026-02-13").value();
        CHECK(day.final);
        CHECK(day.total_requests == 3);
    }

    TEST_CASE("a window that lies ahead of a clock that was set back is refused, and kept") {
        Site site("2026-02-13T18:00");
        visit(site);
        site.clock().set(time_at("2026-02-13T19:00"));
        REQUIRE(site->aggregation("30min", "2026-02-13T18:00").value().final);
        site.clock().set(time_at("2026-02-13T14:00"));
        CHECK(site->aggregation("30min", "2026-02-13T18:00").error().code == Errc::invalid_argument);
        site.clock().set(time_at("2026-02-13T20:00"));
        CHECK(site->aggregation("30min", "2026-02-13T18:00").value().total_requests == 1);
    }

    TEST_CASE(
        "however a clock jumps, every level counts every event once when it has settled, and again after deletion") {
        Host_Zone const zone("America/St_Johns");
        auto const* const given = std::getenv("MEMFS_CACHE_TEST_SEED");
        auto const seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (int history = 0; history < 20; ++history) {
            CAPTURE(history);
            Site site("2026-02-28T12:00");                 // a month's end and a weekend lie within reach
            std::map<std::string, std::uint64_t> recorded; // by level and key
            std::string const levels[] = {"30min", "hourly", "daily", "weekly", "monthly", "yearly"};
            for (int step = 0; step < 60; ++step) {
                switch (random() % 6) {
                case 0: // jumps by up to a day and a half, either way, but not before it began
                    site.clock().set(
                        std::max(time_at("2026-02-28T00:00"),
                                 site.clock().now() + std::chrono::minutes(static_cast<int>(random() % 4320) - 2160)));
                    break;
                case 1: // somebody looks
                    for (auto const& level : levels) {
                        auto const type = parse_window_type(level).value();
                        auto const key = Window::containing(type, site.clock().now()).key();
                        auto const known = recorded.find(level + " " + key);
                        REQUIRE(site->aggregation(level, key).value().total_requests ==
                                (known == recorded.end() ? 0 : known->second));
                    }
                    break;
                default:
                    site.clock().advance(std::chrono::minutes(random() % 20));
                    visit(site);
                    for (auto const& level : levels)
                        ++recorded[level + " " +
                                   Window::containing(parse_window_type(level).value(), site.clock().now()).key()];
                }
            }
            site.clock().set(time_at("2028-01-01T00:00"));
            auto const count_again = [&] {
                for (auto const& [window, times] : recorded) {
                    CAPTURE(window);
                    auto const space = window.find(' ');
                    auto const answer = site->aggregation(window.substr(0, space), window.substr(space + 1)).value();
                    REQUIRE(answer.final);
                    REQUIRE(answer.total_requests == times);
                }
                return stored_files(site.memory, "cache/analytics/data/aggregations/");
            };
            auto const saved = count_again();
            for (auto const& entry : saved)
                if (random() % 2 == 0)
                    REQUIRE(site.memory.erase(Storage_Key(entry.first), Precondition::none()));
            Site_Process<Watched_Memory> other(site.storage, time_at("2028-01-02T00:00"));
            for (auto const& [window, times] : recorded) {
                auto const space = window.find(' ');
                REQUIRE(other->aggregation(window.substr(0, space), window.substr(space + 1)).value().total_requests ==
                        times);
            }
            REQUIRE(stored_files(site.memory, "cache/analytics/data/aggregations/") == saved);
        }
    }
}
