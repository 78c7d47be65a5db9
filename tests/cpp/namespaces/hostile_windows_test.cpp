// SPDX-License-Identifier: Apache-2.0
// Saved windows from a hostile hand: an error that names the file, or numbers; never anything worse.
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

std::string const first_half = "cache/analytics/data/aggregations/30min/2026/02/13/14-00.json";
std::string const second_half = "cache/analytics/data/aggregations/30min/2026/02/13/14-30.json";

/// A closed hour whose half-hours are saved.
struct Closed_Hour : Site {
    explicit Closed_Hour(int events = 3) {
        clock().set(time_at("2026-02-13T15:00"));
        for (auto const* const half : {"2026-02-13T14:10", "2026-02-13T14:40"})
            for (int i = 0; i < events; ++i)
                REQUIRE((*this)->record_view({.method = "GET",
                                              .target = "/p" + std::to_string(i),
                                              .status = 200,
                                              .duration_us = i + 1,
                                              .remote = "198.18.0." + std::to_string(i % 200),
                                              .timestamp = time_at(half)}));
        clock().set(time_at("2026-02-14T00:00"));
        for (auto const* const key : {"2026-02-13T14:00", "2026-02-13T14:30"})
            REQUIRE((*this)->aggregation("30min", key));
    }
    void put(std::string const& path, std::string const& text) { REQUIRE(write(memory, path, text)); }
    auto text(std::string const& path) const -> std::string { return read(memory, path).value().value(); }
};

/// Asks for all that is made of a half-hour. Whatever it says, it says so.
void ask_everything(Closed_Hour& site) {
    for (auto const& [type, key] : {std::pair("30min", "2026-02-13T14:00"), std::pair("hourly", "2026-02-13T14"),
                                    std::pair("daily", "2026-02-13")}) {
        auto const answer = site->aggregation(type, key);
        if (answer) {
            CHECK(boost::json::serialize(answer->to_json()).size() > 100);
        } else {
            CHECK(answer.error().code == Errc::corrupt_data);
            CHECK(answer.error().context.find("30min/2026/02/13/14-00.json") != std::string::npos);
        }
    }
    for (auto const* const type : {"30min", "hourly", "daily"}) {
        auto const latest = site->latest(type);
        CHECK((latest || latest.error().code == Errc::corrupt_data));
    }
}

} // namespace

TEST_SUITE("namespaces/hostile windows") {
    TEST_CASE("members of wrong types, huge numbers and doubled members are an error that names the file, or numbers") {
        Closed_Hour site;
        auto const good = boost::json::parse(site.text(first_half)).as_object();
        std::vector<boost::json::value> const values{nullptr,
                                                     true,
                                                     -1,
                                                     1.5,
                                                     1e300,
                                                     "x",
                                                     "",
                                                     INT64_MAX,
                                                     INT64_MIN,
                                                     UINT64_MAX,
                                                     boost::json::array(),
                                                     boost::json::object(),
                                                     boost::json::object{{"values", {1, 0}}},
                                                     boost::json::object{{"values", {"1"}}},
                                                     boost::json::object{{"bins", {{"0", -5}}}},
                                                     boost::json::object{{"bins", {{"99999", 5}}}},
                                                     boost::json::object{{"bins", {{"0", UINT64_MAX}, {"1", 300}}}},
                                                     boost::json::object{{"bins", {{"0", INT64_MAX}}}},
                                                     boost::json::object{{"/p0", UINT64_MAX}},
                                                     boost::json::object{{"/p0", INT64_MAX}},
                                                     boost::json::object{{"/p0", -1}}};
        std::vector<std::pair<bool, std::string>> members; // of the state, or of the window
        for (bool const of_state : {false, true})
            for (auto const& member : of_state ? good.at("state").as_object() : good)
                members.emplace_back(of_state, std::string(member.key()));
        members.emplace_back(false, "state_file");
        for (auto const& [of_state, name] : members)
            for (auto const& value : values) {
                auto changed = good;
                (of_state ? changed.at("state").as_object() : changed)[name] = value;
                auto const text = boost::json::serialize(changed);
                CAPTURE(text);
                site.put(first_half, text);
                site.memory
                    .erase(Storage_Key("cache/analytics/data/aggregations/hourly/2026/02/13/14.json"),
                           Precondition::none())
                    .value();
                site.memory
                    .erase(Storage_Key("cache/analytics/data/aggregations/daily/2026/02/13.json"), Precondition::none())
                    .value();
                ask_everything(site);
                auto doubled = site.text(second_half);
                doubled.insert(1, "\"" + name + "\":" + boost::json::serialize(value) + ",");
                site.put(first_half, doubled);
                ask_everything(site);
            }
    }

    TEST_CASE("a saved window that names a file elsewhere as its state is refused, and that file is not touched") {
        Closed_Hour site;
        auto const good = boost::json::parse(site.text(first_half)).as_object();
        std::string const secret = "cache/analytics/data/salts/2026-02-13.json";
        auto const salt = site.text(secret);
        for (auto const* const name : {"../../../../../salts/2026-02-13.json", "/etc/passwd", "..", "14-00.json",
                                       "14-00.state-.zst", "14-30.state-0123456789abcdef.zst",
                                       "14-00.state-0123456789abcdeF.zst", "14-00.state-0123456789abcdef.zst/"}) {
            CAPTURE(name);
            auto changed = good;
            changed.erase("state");
            changed["state_file"] = name;
            site.put(first_half, boost::json::serialize(changed));
            CHECK(site->aggregation("hourly", "2026-02-13T14").error().code == Errc::corrupt_data);
            CHECK(site->aggregation("30min", "2026-02-13T14:00").error().code == Errc::corrupt_data);
            CHECK(site.text(secret) == salt);
        }
    }

    TEST_CASE("a saved window with any bytes changed is an error that names the file, numbers, or built again") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Closed_Hour site(300); // durations in bins, too
        auto const good = site.text(first_half);
        for (int round = 0; round < 300; ++round) {
            auto text = good;
            for (auto changes = 1 + random() % 3; changes > 0; --changes) {
                auto const at = random() % text.size();
                if (random() % 3 == 0)
                    text.erase(at, random() % 20);
                else
                    text[at] = R"({}[]",:0-9.eE\un)"[random() % 16];
            }
            site.put(first_half, text);
            ask_everything(site);
        }
    }

    TEST_CASE("counts that no two can be added up stay readable: hours of hostile half-hours have numbers") {
        Closed_Hour site;
        for (auto const& path : {first_half, second_half}) {
            auto changed = boost::json::parse(site.text(path)).as_object();
            auto& state = changed.at("state").as_object();
            state["durations_us"] = {{"bins", {{"0", INT64_MAX / 2 + 200}}}};
            state["total_requests"] = INT64_MAX;
            state["paths"] = {{"/p0", INT64_MAX}};
            site.put(path, boost::json::serialize(changed));
        }
        auto const hour = site->aggregation("hourly", "2026-02-13T14").value();
        CHECK(hour.total_requests == INT64_MAX);
        CHECK(hour.top_paths.front().second == INT64_MAX);
        CHECK(hour.p99_duration_ms == 0.001);
        Site_Process<Watched_Memory> fresh(site.storage, time_at("2026-02-14T00:00"));
        CHECK(fresh->aggregation("hourly", "2026-02-13T14").value().total_requests == INT64_MAX);
    }

    TEST_CASE("a hostile copy in latest/ is replaced") {
        Closed_Hour site;
        std::string const copy = "cache/analytics/data/latest/current-30min.json";
        auto const whole = site.text(copy);
        CHECK(whole == site.text(second_half));
        for (auto const* const text :
             {"", "{}", "[]", R"({"window_key":"2026-13-99T99:99","revision":1})", R"({"revision":7,"window_key":1})",
              R"({"window_key":"2026-02-13T14:30"})", R"({"window_key":"2026-02-13T14:30","revision":-1})"}) {
            CAPTURE(text);
            site.put(copy, text);
            Site_Process<Watched_Memory> fresh(site.storage, time_at("2026-02-14T00:00"));
            REQUIRE(fresh->aggregation("30min", "2026-02-13T14:30"));
            CHECK(site.text(copy) == whole);
        }
    }
}
