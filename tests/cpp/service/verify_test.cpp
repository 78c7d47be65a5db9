// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/backends.hpp"
#include "support/printers.hpp"
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/service/verify.hpp>
#include <memfs_cache/storage/copy.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

constexpr auto half_hour = "cache/analytics/data/aggregations/30min/2026/02/13/14-00.json";
constexpr auto hour = "cache/analytics/data/aggregations/hourly/2026/02/13/14.json";
constexpr auto day = "cache/analytics/data/aggregations/daily/2026/02/13.json";

constexpr std::array strategies{Entry_Strategy::direct, Entry_Strategy::temporal, Entry_Strategy::temporal_latest,
                                Entry_Strategy::temporal_versioned, Entry_Strategy::key_based};

/// A store with entries of every strategy, tokens and events of both kinds, and windows that are final.
struct Kept_Store {
    Kept_Store() {
        Service_Options options;
        options.clock = clock;
        Cache_Service<Any_Storage> cache(storage, options);
        for (int i = 0; i < 3; ++i) {
            Entry_Options named;
            named.cache_key = "a/b";
            for (auto const strategy : strategies)
                REQUIRE(
                    cache.entries().store("files", strategy, Entry_Value::string("value " + std::to_string(i)), named));
        }
        REQUIRE(cache.create_cache_entry("files", Python_Json("a source")));
        New_Token wanted;
        wanted.limit = 5;
        REQUIRE(cache.create_token("community-x", wanted));
        REQUIRE(cache.use_token("community-x"));
        for (int minute = 0; minute < 60; minute += 10) {
            Request_View request{.method = "GET", .target = "/page", .status = 200};
            request.remote = "192.0.2." + std::to_string(minute);
            cache.analytics().record_request(request);
            clock->advance(std::chrono::minutes(10));
        }
        clock->advance(std::chrono::hours(24));
        REQUIRE(cache.analytics().aggregation("daily", "2026-02-13")->final);
        REQUIRE(cache.tokens().aggregation("community-x", "daily", "2026-02-13")->accepted == 1);
        REQUIRE(cache.close());
    }

    auto verify(bool repair = false) -> Verify_Report {
        Verify_Options options;
        options.clock = clock;
        options.repair = repair;
        return verify_store(storage, options).value();
    }
    /// "path: what" of all that is wrong.
    auto problems() -> std::vector<std::string> {
        std::vector<std::string> found;
        for (auto const& problem : verify().problems)
            found.push_back(problem.path + ": " + problem.what);
        return found;
    }
    auto first(std::string const& prefix, std::string const& suffix = "") -> std::string {
        for (auto const& name : files_list(storage, prefix).value())
            if (name.ends_with(suffix))
                return name;
        return "";
    }
    auto text(std::string const& path) -> std::string { return read(storage, path).value().value(); }
    void change(std::string const& path, std::string const& from, std::string const& to) {
        auto bytes = text(path);
        auto const at = bytes.find(from);
        REQUIRE(at != std::string::npos);
        REQUIRE(write(storage, path, bytes.replace(at, from.size(), to)));
    }

    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(time_at("2026-02-13T14:05"));
    Any_Storage storage = Storage_Memory();
};

using Texts = std::vector<std::string>;

} // namespace

TEST_SUITE("service/verify") {
    TEST_CASE("a store that is as it was left is sound, and everything in it is counted") {
        Kept_Store store;
        auto const before = stored_files(store.storage);
        auto const report = store.verify();
        CHECK(store.problems() == Texts{});
        CHECK(report.sound());
        CHECK(report.namespaces == 3);
        CHECK(report.entries == 3 * strategies.size() + 2); // a token is one, too
        CHECK(report.tokens == 1);
        CHECK(report.events == 6 + 1);
        CHECK(report.windows == 2 + 1 + 1 + 3); // half-hours, hour and day of analytics; one of each of tokens
        CHECK(report.windows_due == 0);
        CHECK(report.unknown_windows == 0);
        CHECK(stored_files(store.storage) == before);
    }

    TEST_CASE("each damage is found where it is, and nothing else is blamed") {
        Kept_Store store;
        auto const by_id = store.first("cache/files/refs/by-id/");
        auto const by_hash = store.first("cache/files/refs/by-hash/");
        auto const content = store.first("cache/files/data/direct/", ".json");

        SUBCASE("a content file that is gone") {
            REQUIRE(remove(store.storage, content).value());
            auto const found = store.problems();
            REQUIRE(found.size() == 1);
            CHECK(found[0].ends_with("names " + content.substr(6) + ", which is not there"));
        }
        SUBCASE("a reference by id that is no JSON") {
            REQUIRE(write(store.storage, by_id, "{"));
            auto const found = store.problems();
            REQUIRE(found.size() == 1);
            CHECK(found[0].starts_with(by_id + ": "));
        }
        SUBCASE("a reference by id that is gone") {
            REQUIRE(remove(store.storage, by_id).value());
            auto const found = store.problems();
            REQUIRE(found.size() == 1);
            CHECK(found[0].ends_with("which is not there"));
            CHECK(found[0].starts_with("cache/files/refs/by-hash/"));
        }
        SUBCASE("a reference by hash that is gone") {
            REQUIRE(remove(store.storage, by_hash).value());
            for (auto const& one : store.problems())
                CHECK(one.find("is not found by its hash: " + by_hash.substr(6)) != std::string::npos);
            CHECK_FALSE(store.problems().empty());
        }
        SUBCASE("a token that says something else") {
            auto const token = store.first("cache/tokens/data/direct/", "/token.json");
            store.change(token, "\"usage_count\":", "\"usage_count\":-");
            auto const found = store.problems();
            REQUIRE(found.size() == 1);
            CHECK(found[0].starts_with(token + ": "));
        }
        SUBCASE("a bit of an event that turned") {
            auto const raw = store.first("cache/analytics/data/raw/");
            store.change(raw, "/page", "/pagE");
            auto const found = store.problems();
            REQUIRE(found.size() >= 1);
            CHECK(found[0].starts_with("cache/analytics/data/raw/2026/02/13/14/: "));
        }
        SUBCASE("a window that counts one request too many") {
            store.change(half_hour, "\"total_requests\":3", "\"total_requests\":4");
            CHECK(store.problems() == Texts{std::string(half_hour) + ": is not what its events make"});
            auto const repaired = store.verify(true);
            CHECK(repaired.sound());
            CHECK(repaired.repaired_count == 1);
            CHECK(store.problems() == Texts{});
        }
        SUBCASE("a wrong half-hour, and the hour and day that were made of it") {
            for (auto const* path : {half_hour, hour, day})
                store.change(path, "\"page_views\":", "\"page_views\":1");
            CHECK(store.verify().problem_count == 3);
            CHECK(store.verify(true).repaired_count == 3);
            CHECK(store.verify().problem_count == 0);
        }
        SUBCASE("a window without events") {
            REQUIRE(
                write(store.storage, "cache/analytics/data/aggregations/hourly/2026/02/13/03.json", store.text(hour)));
            auto const found = store.problems();
            REQUIRE(found.size() == 1);
            CHECK(found[0].starts_with("cache/analytics/data/aggregations/hourly/2026/02/13/03.json: "));
        }
        SUBCASE("a piece of the log whose beginning is lost") {
            auto const raw = store.first("cache/analytics/data/raw/");
            auto const slash = raw.rfind('/');
            auto name = Segment_Name::parse(raw.substr(slash + 1)).value();
            name.base = 100;
            name.count = 1;
            auto const lost = raw.substr(0, slash + 1) + name.text();
            REQUIRE(write(store.storage, lost, "whatever it holds"));
            CHECK(store.problems() ==
                  Texts{lost + ": cannot be reached: events are missing from position 3 of its writer on"});
        }
    }

    TEST_CASE(
        "a purge by the service builds what it needs of transfers, a dry run tells the same, and the store is sound") {
        Kept_Store store;
        Service_Options options;
        options.clock = store.clock;
        Cache_Service<Any_Storage> cache(store.storage, options);
        store.clock->set(time_at("2026-02-15T10:10"));
        for (auto const act : {Transfer_Act::created, Transfer_Act::upload_completed, Transfer_Act::downloaded})
            REQUIRE(cache.transfers().record("abc", act));
        Request_View page;
        page.target = "/";
        REQUIRE(cache.analytics("site").record_view(page));
        REQUIRE(cache.close());
        Cache_Service<Any_Storage> next(store.storage, options);
        (void)next.analytics("site");
        store.clock->set(time_at("2026-09-01T00:00"));
        auto const told = next.purge(std::nullopt, true).value();
        CHECK(told.at("analytics").half_hours == 3);
        CHECK(told.at("site").half_hours == 1);
        auto const done = next.purge().value();
        for (auto const& [ns, report] : told)
            CHECK(done.at(ns).objects == report.objects);
        CHECK(stored_files(store.storage, "cache/analytics/data/raw/").empty());
        CHECK(stored_files(store.storage, "cache/transfers/data/aggregations/30min/").size() == 1);
        CHECK(stored_files(store.storage, "cache/transfers-site/").empty());
        CHECK(next.transfers().summary("abc").value().figures.downloads == 1);
        CHECK(next.transfers().aggregation("monthly", "2026-02").value().answer.total.events == 3);
        CHECK(next.transfers("site").aggregation("daily", "2026-02-15").value().answer.total.events == 0);
        CHECK(store.problems() == Texts{});
        CHECK(store.verify().windows_purged > 0);
        CHECK(
            next.rebuild("transfers", time_at("2026-02-01T00:00"), time_at("2026-03-01T00:00")).value().rebuilt.size() >
            0);
        CHECK(next.transfers().aggregation("monthly", "2026-02").value().answer.total.events == 3);
        CHECK(store.problems() == Texts{});
    }

    TEST_CASE("a window that a late event has overtaken is due and not wrong") {
        Kept_Store store;
        {
            Service_Options options;
            options.clock = store.clock;
            Cache_Service<Any_Storage> cache(store.storage, options);
            Analytics_Event late;
            late.event_type = "page_view";
            late.timestamp = time_at("2026-02-13T14:12");
            REQUIRE(cache.analytics().record(late));
            REQUIRE(cache.close());
        }
        auto const report = store.verify();
        CHECK(report.sound());
        CHECK(report.windows_due == 3);
        CHECK(report.events == 8);
    }

    TEST_CASE_TEMPLATE(
        "a store that was moved to another backend is sound there, and all windows come out of its events", Backend,
        MEMFS_CACHE_BACKENDS) {
        Kept_Store store;
        Backend backend;
        REQUIRE(copy_objects(store.storage, backend.storage).value().verified());
        Storage_Memory back;
        REQUIRE(copy_objects(backend.storage, back).value().verified());
        auto const kept = stored_files(store.storage);
        CHECK(stored_files(back) == kept);

        Any_Storage moved = std::move(back);
        for (auto const& [name, bytes] : kept)
            if (name.find("/aggregations/") != std::string::npos)
                REQUIRE(remove(moved, name).value());
        Service_Options options;
        options.clock = store.clock;
        Cache_Service<Any_Storage> cache(moved, options);
        REQUIRE(cache.analytics().aggregation("daily", "2026-02-13")->final);
        REQUIRE(cache.tokens().aggregation("community-x", "daily", "2026-02-13")->accepted == 1);
        REQUIRE(cache.close());
        CHECK(stored_files(moved, "cache/analytics/data/aggregations/") ==
              stored_files(store.storage, "cache/analytics/data/aggregations/"));
    }

    TEST_CASE_TEMPLATE("sealed events and the states beside windows and saved answers move as everything else does",
                       Backend, MEMFS_CACHE_BACKENDS) {
        auto const clock = std::make_shared<Manual_Clock>(time_at("2026-02-13T14:05"));
        Service_Options options;
        options.clock = clock;
        Analytics_Filter filter;
        REQUIRE(filter.add("status", "2xx"));
        auto const ask = [&](Any_Storage& storage) {
            Cache_Service<Any_Storage> cache(storage, options);
            REQUIRE(cache.analytics().aggregation("monthly", "2026-02")->final);
            REQUIRE(cache.analytics().aggregation("daily", "2026-02-13", filter)->total_requests == 2'000);
            REQUIRE(cache.close());
        };
        Any_Storage storage = Storage_Memory();
        {
            Cache_Service<Any_Storage> cache(storage, options);
            for (int i = 0; i < 2'000; ++i) {
                auto const path = "/path/of/a/page/that/somebody/reads/" + std::to_string(i);
                Request_View request{.method = "GET", .target = path, .status = 200};
                request.remote = "192.0.2.1";
                cache.analytics().record_request(request);
            }
            REQUIRE(cache.close());
        }
        clock->advance(std::chrono::hours(24 * 30));
        auto const window = Base_Window::containing(time_at("2026-02-13T14:05"));
        Log_Paths const paths("cache", Namespace_Name("analytics"));
        Sealer sealer(storage, paths, *clock);
        REQUIRE(sealer.seal(window));
        clock->advance(std::chrono::hours(2));
        REQUIRE(sealer.remove_sealed(window).value());
        ask(storage);
        auto const kept = stored_files(storage);
        auto const ending = [&](std::string_view end) {
            return std::count_if(kept.begin(), kept.end(), [&](auto const& file) { return file.first.ends_with(end); });
        };
        REQUIRE(ending(".jsonl") == 0);
        REQUIRE(ending(".jsonl.zst") == 1);
        REQUIRE(ending(".zst") == 1 + 4 + 1); // half-hour, hour, day and month, and the saved answer

        Backend backend;
        REQUIRE(copy_objects(storage, backend.storage).value().verified());
        Storage_Memory back;
        REQUIRE(copy_objects(backend.storage, back).value().verified());
        CHECK(stored_files(back) == kept);

        Any_Storage moved = std::move(back);
        for (auto const& [name, bytes] : kept)
            if (name.find("/aggregations/") != std::string::npos || name.find("/queries/") != std::string::npos)
                REQUIRE(remove(moved, name).value());
        ask(moved);
        for (auto const& file : kept) {
            INFO(file.first);
            CHECK((read(moved, file.first).value() == file.second));
        }
        Verify_Options checked;
        checked.clock = clock;
        CHECK(verify_store(moved, checked).value().sound());
    }
}
