// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

auto request(std::string_view target) -> Request_View {
    return {.method = "GET", .target = target, .status = 200, .remote = "198.18.0.1"};
}

auto own_event(std::string const& path) -> Analytics_Event {
    Analytics_Event event;
    event.event_type = "probe";
    event.path = path;
    return event;
}

auto health_value(Site& site, char const* name) -> boost::json::value { return site->health().details.at(name); }

} // namespace

TEST_SUITE("namespaces/recording_options") {
    TEST_CASE("recording off: every entrance is open and keeps nothing; what others recorded is answered") {
        Site of_another;
        REQUIRE(of_another->record_request(request("/")));
        Analytics_Options options;
        options.log.mode = Recording_Mode::off;
        Site_Process off(of_another.storage, time_at("2026-02-13T14:11"), options);
        auto const files = stored_files(of_another.memory);
        CHECK_FALSE(off->record_request(request("/")));
        CHECK(off->record_view(request("/")).value().view() == "");
        CHECK(off->record(own_event("/")).value() == "");
        CHECK(off->record_many({own_event("/a"), own_event("/b")}).size() == 2);
        REQUIRE(off->flush());
        CHECK(off->pulse().value().active_requests == 1);
        CHECK(off->aggregation("daily", "2026-02-13").value().total_requests == 1);
        auto const health = off->health();
        CHECK_FALSE(health.degraded);
        CHECK(health.details.at("recording") == "off");
        CHECK(health.details.at("recorded") == 0);
        CHECK(health.details.at("lost_requests") == 0);
        REQUIRE(off->close());
        CHECK(stored_files(of_another.memory) == files);
    }

    TEST_CASE("a host learns when recording may wait for the storage") {
        for (auto const mode : all_recording_modes) {
            CAPTURE(to_text(mode));
            Analytics_Options options;
            options.log.mode = mode;
            Site site("2026-02-13T14:10", options);
            CHECK(site->recording_may_wait() == (mode != Recording_Mode::off)); // for the salt at least
            REQUIRE(site->prepare());
            bool const never = mode == Recording_Mode::buffered || mode == Recording_Mode::off;
            CHECK(site->recording_may_wait() != never);
            site.clock().set(time_at("2026-02-15T00:00")); // a clock that jumps: nobody could prepare
            CHECK(site->recording_may_wait() == (mode != Recording_Mode::off));
        }
        Analytics_Options options;
        options.visitor_key = Visitor_Key::none;
        CHECK_FALSE(Site("2026-02-13T14:10", options)->recording_may_wait());
    }

    TEST_CASE("health says how is recorded") {
        for (auto const mode : all_recording_modes) {
            Analytics_Options options;
            options.log.mode = mode;
            Site site("2026-02-13T14:10", options);
            CHECK(health_value(site, "recording") == boost::json::value(to_text(mode)));
        }
    }

    TEST_CASE("requests of excluded paths are not recorded, but counted as such") {
        Analytics_Options options;
        options.exclude_paths = Excluded_Paths::parse("/health, /static/*\t/a*b").value();
        Site site("2026-02-13T14:10", options);
        for (auto const* target : {"/health", "/health?deep=1", "/health#x", "/static/", "/static/a/b.css?v=1", "/a*b",
                                   "http://example.org/health"}) {
            CAPTURE(target);
            CHECK(site->record_view(request(target)).value().view() == "");
        }
        CHECK(stored_events(site.memory).empty());
        CHECK(health_value(site, "excluded") == 7);
        CHECK(health_value(site, "lost_requests") == 0);
        CHECK_FALSE(site->health().degraded);
        for (auto const* target : {"/healthy", "/health/", "/Health", "/static", "/aXb", "/", "*", ""}) {
            CAPTURE(target);
            CHECK(site->record_view(request(target)).value().view() != "");
        }
        CHECK(health_value(site, "excluded") == 7);
        // What counts is what was asked for, not how the host calls it.
        auto routed = request("/health");
        routed.route = "/{page}";
        CHECK_FALSE(site->record_request(routed));
        // An application that records an event of its own wants it.
        CHECK(site->record(own_event("/health")).value() != "");
    }

    TEST_CASE("excluded paths that are none are refused by their place, and none exclude nothing") {
        for (auto const& [list, place] : {std::pair("health", "item 1"), std::pair("/a, b/*", "item 2"),
                                          std::pair("/a /b?c", "item 2"), std::pair("*", "item 1")}) {
            auto const* const captured = list; // clang 14 captures no structured binding
            CAPTURE(captured);
            auto const parsed = Excluded_Paths::parse(list);
            REQUIRE(parsed.has_error());
            CHECK(parsed.error().code == Errc::invalid_argument);
            CHECK(parsed.error().context.find(place) != std::string::npos);
        }
        CHECK_FALSE(Excluded_Paths::parse("").value().contains("/"));
        CHECK_FALSE(Excluded_Paths::parse(" , ").value().contains(""));
        CHECK(Excluded_Paths::parse("/*").value().contains("/anything"));
    }
}
