// SPDX-License-Identifier: Apache-2.0
// What a pulse reads. The busy hour of the promise, 3,000,000 events, is made sixty times smaller here, and the pieces
// that events are stored in with it; MEMFS_CACHE_TEST_SCALE=1 makes it whole.
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto scale() -> std::size_t {
    auto const* const text = std::getenv("MEMFS_CACHE_TEST_SCALE");
    return text == nullptr ? 60 : std::stoul(text);
}

auto small_pieces() -> Analytics_Options {
    Analytics_Options options;
    options.log.piece_bytes = Event_Log_Options().piece_bytes / scale();
    return options;
}

/// Records the busy hour up to `now`. One event in a hundred has a time up to an hour older than it is recorded, one in
/// a thousand is up to two minutes ahead.
/// @return stored bytes of the lines within `minutes`, and their number
auto record_busy_hour(Site& site, Utc_Time now, int minutes, std::uint64_t seed)
    -> std::pair<std::uint64_t, std::uint64_t> {
    std::mt19937_64 random(seed);
    auto const events = 3'000'000 / scale();
    auto const pause = std::chrono::duration_cast<std::chrono::milliseconds>(1h) * 1'000 / static_cast<int>(events);
    auto const from = now - std::chrono::minutes(minutes);
    std::uint64_t inside = 0;
    for (std::size_t i = 0; i < events; ++i) {
        auto const recorded = now - 1h + pause * static_cast<int>(i + 1) / 1'000;
        site.clock().set(recorded);
        auto time = recorded;
        if (random() % 100 == 0)
            time -= std::chrono::milliseconds(random() % 3'600'000);
        else if (random() % 1'000 == 0)
            time += std::chrono::milliseconds(random() % 120'000);
        inside += time > from && time <= now;
        REQUIRE(site->record_view({.method = "GET", .target = "/some/page", .status = 200, .timestamp = time}));
    }
    site.clock().set(now);
    auto const one_line = stored_events(site.memory).front().size() + Line_Seal::tail_bytes;
    return {inside * one_line, inside};
}

auto bytes_read(Site const& site) -> std::uint64_t { return site.memory.counters().bytes_read; }

} // namespace

TEST_SUITE("namespaces/analytics/pulse reads") {
    TEST_CASE(
        "a pulse of five minutes in a busy hour reads at most twice their bytes, the first one of a process too") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        for (auto const* const now : {"2026-02-13T14:27:30", "2026-02-13T14:59", "2026-02-13T14:32"}) {
            CAPTURE(now);
            Site site("2026-02-13T13:00", small_pieces());
            auto const [bytes, requests] = record_busy_hour(site, time_at(now), 5, seed);
            Site_Process<Watched_Memory> fresh(site.storage, time_at(now), small_pieces());
            for (auto const* const process : {&site.process, &fresh}) {
                auto const before = bytes_read(site);
                auto const pulse = (*process)->pulse(5).value();
                CHECK(pulse.active_requests == requests);
                CHECK(bytes_read(site) - before <= 2 * bytes);
            }
        }
    }

    TEST_CASE("a longer pulse after a shorter one is exact, and a shorter one after it reads nothing") {
        Site site("2026-02-13T13:00", small_pieces());
        auto const now = time_at("2026-02-13T14:59");
        auto const requests = record_busy_hour(site, now, 25, 7).second;
        REQUIRE(site->pulse(5));
        CHECK(site->pulse(25).value().active_requests == requests);
        auto const before = bytes_read(site);
        REQUIRE(site->pulse(5));
        CHECK(bytes_read(site) == before);
        site.clock().advance(1min);
        CHECK(site->pulse(26).value().active_requests >= requests);
        CHECK(bytes_read(site) == before);
    }

    TEST_CASE("a hundred thousand recorded requests leave the operations of a pulse as they were") {
        auto const now = time_at("2026-02-13T14:20");
        auto const cost_of_a_pulse = [&](int recorded) {
            Site site("2026-02-13T13:00", small_pieces());
            for (int i = 0; i < recorded; ++i)
                REQUIRE(site->record_view({.method = "GET",
                                           .target = "/some/page",
                                           .status = 200,
                                           .timestamp = now - 75min + std::chrono::milliseconds(i % 4'000'000)}));
            site.clock().set(now);
            REQUIRE(site->record_view({.method = "GET", .target = "/now", .status = 200}));
            Site_Process<Watched_Memory> fresh(site.storage, now, small_pieces());
            auto const before = site.memory.counters();
            CHECK(fresh->pulse(5).value().active_requests == 1);
            auto const after = site.memory.counters();
            CHECK(after.bytes_read - before.bytes_read < small_pieces().log.piece_bytes + 2'000);
            return std::pair(after.lists - before.lists, after.reads - before.reads);
        };
        auto const [empty_lists, empty_reads] = cost_of_a_pulse(0);
        auto const [lists, reads] = cost_of_a_pulse(100'000);
        CHECK(lists == empty_lists);
        CHECK(reads <= empty_reads + 1); // the header that says how new the rest is
    }

    TEST_CASE("one event far ahead of its time costs a pulse bytes, never a wrong answer") {
        Site site("2026-02-13T14:00", small_pieces());
        auto const now = time_at("2026-02-13T14:20");
        std::uint64_t inside = 0;
        for (int i = 1; i <= 20'000; ++i) {
            site.clock().set(time_at("2026-02-13T14:00") + i * 60ms);
            auto const time = i == 100 ? now - 1s : site.clock().now();
            inside += time > now - 5min;
            REQUIRE(site->record_view({.method = "GET", .target = "/some/page", .status = 200, .timestamp = time}));
        }
        Site_Process<Watched_Memory> fresh(site.storage, now, small_pieces());
        CHECK(fresh->pulse(5).value().active_requests == inside);
    }
}
