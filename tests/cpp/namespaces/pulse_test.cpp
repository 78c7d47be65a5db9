// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;
using Operation = Watched_Memory::Operation;
using Verdict = Watched_Memory::Verdict;

namespace {

void record(Site& site, Utc_Time time, std::string_view path = "/", std::string_view remote = {}) {
    REQUIRE(site->record_view({.method = "GET", .target = path, .status = 200, .remote = remote, .timestamp = time}));
}

auto paths(Pulse const& pulse) -> std::vector<std::string> {
    std::vector<std::string> found;
    for (auto const& event : pulse.recent_events)
        found.push_back(event.path);
    return found;
}

/// Folders of hours that were listed or read below raw/.
auto watch_hours(Site& site) -> std::shared_ptr<std::set<std::string>> {
    auto const hours = std::make_shared<std::set<std::string>>();
    site.storage.hook = [hours](Operation, std::string const& key) -> Verdict {
        constexpr std::string_view raw = "cache/analytics/data/raw/";
        if (key.starts_with(raw))
            hours->insert(key.substr(raw.size(), 13));
        return {};
    };
    return hours;
}

} // namespace

TEST_SUITE("namespaces/analytics/pulse") {
    TEST_CASE("ten fresh events are ten active requests") {
        Site site;
        for (int i = 0; i < 10; ++i)
            record(site, site.clock().now());
        auto const pulse = site->pulse().value();
        CHECK(pulse.active_requests == 10);
        CHECK(pulse.window_minutes == 5);
        CHECK(pulse.computed_at == site.clock().now());
        CHECK(pulse.recent_events.size() == 10);
    }

    TEST_CASE("a pulse covers (now - w, now] to the millisecond, across half-hours, hours, midnight and months") {
        for (std::string const now :
             {"2026-02-13T14:10", "2026-02-13T14:32", "2026-02-13T14:30", "2026-02-13T15:02", "2026-02-13T15:00",
              "2026-02-14T00:01:00.500", "2026-03-01T00:00", "2024-02-29T00:04", "2027-01-01T00:03:59.999"}) {
            CAPTURE(now);
            Site site(now);
            auto const at = site.clock().now();
            for (auto const age : {0ms, 1ms, 299'999ms, 300'000ms, 300'001ms, 3'600'000ms, -1ms, -60'000ms})
                record(site, at - age);
            auto const pulse = site->pulse(5).value();
            CHECK(pulse.active_requests == 3);
            CHECK(pulse.future_requests == 2);
            CHECK(pulse.recent_events.size() == 3);
            CHECK(site->pulse(60).value().active_requests == 5);
            CHECK(site->pulse(1'440).value().active_requests == 6);
        }
    }

    TEST_CASE("a pulse equals a recount of events in any order, and follows the clock") {
        std::uint32_t const seed = 37;
        CAPTURE(seed);
        std::mt19937 random(seed);
        Site site("2026-03-01T00:20");
        struct Seen {
            Utc_Time time;
            int visitor, order;
        };
        std::vector<Seen> all;
        for (int round = 0; round < 12; ++round) {
            for (int i = 0; i < 60; ++i) {
                Seen const seen{site.clock().now() - std::chrono::milliseconds(random() % 90 * 60'000 + random() % 3) +
                                    10min,
                                static_cast<int>(random() % 9), static_cast<int>(all.size())};
                all.push_back(seen);
                record(site, seen.time, "/" + std::to_string(seen.order), "198.18.0." + std::to_string(seen.visitor));
            }
            for (int const minutes : {1, 5, 29, 30, 31, 60, 1'440}) {
                CAPTURE(round);
                CAPTURE(minutes);
                auto const now = site.clock().now();
                std::vector<Seen> inside;
                std::uint64_t future = 0;
                std::set<std::pair<int, bool>> visitors; // a day has its own hashes
                for (auto const& seen : all) {
                    future +=
                        seen.time > now && Base_Window::containing(seen.time) <= Base_Window::containing(now).next();
                    if (seen.time > now - std::chrono::minutes(minutes) && seen.time <= now) {
                        inside.push_back(seen);
                        visitors.emplace(seen.visitor, seen.time < time_at("2026-03-01T00:00"));
                    }
                }
                std::stable_sort(inside.begin(), inside.end(),
                                 [](auto const& a, auto const& b) { return a.time > b.time; });
                auto const pulse = site->pulse(minutes).value();
                CHECK(pulse.active_requests == inside.size());
                CHECK(pulse.active_visitors == visitors.size());
                CHECK(pulse.future_requests == future);
                REQUIRE(pulse.recent_events.size() == std::min<std::size_t>(10, inside.size()));
                for (std::size_t i = 0; i < pulse.recent_events.size(); ++i)
                    CHECK(pulse.recent_events[i].timestamp == inside[i].time);
            }
            site.clock().advance(std::chrono::minutes(random() % 20));
        }
    }

    TEST_CASE("the newest events come first, equal times in the order of recording backwards") {
        Site site;
        auto const now = site.clock().now();
        for (int i = 0; i < 12; ++i)
            record(site, now - 1min, "/same/" + std::to_string(i));
        record(site, now, "/newest");
        record(site, now - 2min, "/older");
        CHECK(paths(site->pulse().value()) == std::vector<std::string>{"/newest", "/same/11", "/same/10", "/same/9",
                                                                       "/same/8", "/same/7", "/same/6", "/same/5",
                                                                       "/same/4", "/same/3"});
    }

    TEST_CASE("events from the future do not push out the present, and are shown once it has come to them") {
        Site site;
        auto const now = site.clock().now();
        record(site, now, "/now");
        for (int i = 0; i < 500; ++i)
            record(site, now + 1min, "/soon");
        auto pulse = site->pulse().value();
        CHECK(pulse.active_requests == 1);
        CHECK(pulse.future_requests == 500);
        CHECK(paths(pulse) == std::vector<std::string>{"/now"});
        site.clock().advance(1min);
        pulse = site->pulse().value();
        CHECK(pulse.active_requests == 501);
        CHECK(pulse.future_requests == 0);
        CHECK(paths(pulse) == std::vector<std::string>(10, "/soon"));
        site.clock().set(now); // and back
        CHECK(site->pulse().value().active_requests == 1);
    }

    TEST_CASE("what is shown of an event is sanitised: eight digits of a hash, no ids of transfers") {
        Site site;
        REQUIRE(site->record_view(
            {.method = "GET", .target = "/x?secret", .status = 200, .remote = "198.18.0.1", .transfer_id = "t-1"}));
        auto const pulse = site->pulse().value();
        REQUIRE(pulse.recent_events.size() == 1);
        CHECK(pulse.recent_events.front().ip_hash == site->visitor_hash("198.18.0.1", site.clock().now()).substr(0, 8));
        CHECK(pulse.recent_events.front().path == "/x");
        CHECK(pulse.active_visitors == 1);
        CHECK(pulse.active_transfers == 1);
        auto const json = pulse.to_json();
        for (auto const* name : {"computed_at", "window_minutes", "active_requests", "active_visitors",
                                 "active_transfers", "recent_events"})
            CHECK(json.contains(name));
        CHECK(boost::json::serialize(json).find("t-1") == std::string::npos);
    }

    TEST_CASE("impossible lengths are refused") {
        Site site;
        for (int const minutes : {0, -1, 1'441, 2'147'483'647, -2'147'483'647 - 1})
            CHECK(site->pulse(minutes).error().code == Errc::invalid_argument);
        CHECK(site->pulse(1));
        CHECK(site->pulse(1'440));
    }

    TEST_CASE("near the beginning of time a pulse still answers") {
        Site site("1970-01-01T00:02");
        record(site, from_millis(0));
        record(site, from_millis(1));
        CHECK(site->pulse(1'440).value().active_requests == 1); // (0, now]
    }

    TEST_CASE("a pulse reads only the hours that it needs, and nothing that was saved") {
        Site site("2026-02-13T14:10");
        record(site, time_at("2026-02-13T10:00"));
        record(site, time_at("2026-02-13T13:57"));
        record(site, time_at("2026-02-13T14:05"));
        REQUIRE(site->aggregation("hourly", "2026-02-13T10"));
        auto const hours = watch_hours(site);
        CHECK(site->pulse(5).value().active_requests == 0); // (14:05, 14:10]
        CHECK(*hours == std::set<std::string>{"2026/02/13/14"});
        CHECK(site->pulse(15).value().active_requests == 2);
        CHECK(*hours == std::set<std::string>{"2026/02/13/13", "2026/02/13/14"});

        site.storage.hook = [](Operation, std::string const& key) -> Verdict {
            CHECK(key.find("aggregations") == std::string::npos);
            CHECK(key.find("latest") == std::string::npos);
            return {};
        };
        CHECK(site->pulse(1'440).value().active_requests == 3);
    }

    TEST_CASE("over ten thousand events a pulse is a few operations, and the next one reads what is new") {
        Site site;
        for (int i = 0; i < 10'000; ++i)
            record(site, site.clock().now() - std::chrono::milliseconds(i), "/page");
        auto before = site.memory.counters();
        CHECK(site->pulse().value().active_requests == 10'000);
        auto after = site.memory.counters();
        CHECK(after.lists - before.lists <= 3); // a list a half-hour
        CHECK(after.reads - before.reads <= 8); // and a read of each half MiB
        CHECK(after.writes == before.writes);

        record(site, site.clock().now(), "/new");
        before = site.memory.counters();
        CHECK(site->pulse().value().active_requests == 10'001);
        after = site.memory.counters();
        CHECK(after.lists - before.lists <= 3);
        CHECK(after.bytes_read - before.bytes_read < 1'000);

        before = after;
        CHECK(site->pulse().value().active_requests == 10'001);
        CHECK(site.memory.counters().bytes_read == before.bytes_read);
        CHECK(site.memory.counters().writes == before.writes);
    }

    TEST_CASE("a pulse that could not read answers with the error, and the next one is whole") {
        Site site;
        for (int i = 0; i < 5; ++i)
            record(site, site.clock().now());
        site.storage.hook = [](Operation operation, std::string const&) -> Verdict {
            return operation == Operation::get ? Verdict{Verdict::Kind::fail} : Verdict{};
        };
        CHECK(site->pulse().error().code == Errc::unavailable);
        site.storage.hook = nullptr;
        CHECK(site->pulse().value().active_requests == 5);
    }

    TEST_CASE("what the storage did not take is in the pulse all the same") {
        Site site;
        record(site, site.clock().now(), "/landed");
        site.storage.hook = [](Operation operation, std::string const&) -> Verdict {
            bool const writes = operation == Operation::append || operation == Operation::put;
            return writes ? Verdict{Verdict::Kind::fail} : Verdict{};
        };
        for (int i = 0; i < 3; ++i)
            REQUIRE(site->record_request({.method = "GET", .target = "/waiting", .status = 200}));
        auto const pulse = site->pulse().value();
        CHECK(pulse.active_requests == 4);
        CHECK(paths(pulse) == std::vector<std::string>{"/waiting", "/waiting", "/waiting", "/landed"});
        site.storage.hook = nullptr;
        CHECK(site->pulse().value().active_requests == 4);
    }
}
