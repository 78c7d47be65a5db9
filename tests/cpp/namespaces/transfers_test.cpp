// SPDX-License-Identifier: Apache-2.0
#include "namespaces/transfer_house.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/test_seed.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <random>
#include <tuple>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const acts = {Transfer_Act::created, Transfer_Act::upload_completed, Transfer_Act::viewed,
                   Transfer_Act::downloaded};

auto names_of(boost::json::object const& object) -> std::vector<std::string> {
    std::vector<std::string> names;
    for (auto const& [name, value] : object)
        names.emplace_back(name);
    return names;
}

/// Events of a few transfers over some weeks, in any order of time.
auto random_events(std::mt19937_64& random, Utc_Time start, Utc_Time end, std::size_t count)
    -> std::vector<Told_Event> {
    auto const pick = [&](auto most) { return random() % static_cast<std::uint64_t>(most); };
    std::vector<Told_Event> events;
    auto const length = static_cast<std::uint64_t>((end - start).count());
    for (std::size_t i = 0; i < count; ++i)
        events.push_back({start + std::chrono::milliseconds(random() % length), "t" + std::to_string(pick(7) * pick(3)),
                          *(acts.begin() + static_cast<std::ptrdiff_t>(pick(4))),
                          pick(4) == 0 ? "" : "203.0.113." + std::to_string(pick(9)),
                          pick(3) == 0 ? "" : (pick(2) == 0 ? "GB" : "PT"), pick(5000)});
    return events;
}

void record(Transfer_House& house, Told_Event const& event) {
    house.record(event.id, event.act,
                 {.timestamp = event.time, .country = event.country, .content_bytes = event.bytes, .ip = event.who});
}

} // namespace

TEST_SUITE("namespaces/transfers") {
    TEST_CASE("one upload, one view and one download are one record of the analytics each, and of the transfer") {
        Transfer_House house;
        house.record("abc123", Transfer_Act::upload_completed);
        house.record("abc123", Transfer_Act::viewed);
        house.record("abc123", Transfer_Act::downloaded, {.country = "gb", .content_bytes = 9, .ip = "203.0.113.7"});
        CHECK(stored_events(house.site.memory).size() == 3);
        auto const day = house.site->aggregation("daily", "2026-02-13").value();
        CHECK(day.total_requests == 3);
        CHECK(day.file_uploads == 1);
        CHECK(day.api_calls == 1);
        CHECK(day.file_downloads == 1);
        auto const summary = house->summary("abc123").value();
        CHECK(summary.figures.events == 3);
        CHECK(summary.figures.uploads == 1);
        CHECK(summary.figures.views == 1);
        CHECK(summary.figures.downloads == 1);
        CHECK(summary.error == 0);
        CHECK(house->events("abc123").value().size() == 3);
        auto const window = house->aggregation("daily", "2026-02-13").value();
        CHECK(window.answer.total.events == 3);
        CHECK(window.answer.active_transfers == 1);
    }

    TEST_CASE("what is recorded as one of the four acts is told as that act") {
        Transfer_House house;
        for (auto const act : acts) {
            house.site.clock().advance(1ms);
            house.record("t", act);
            CHECK(parse_transfer_act(to_text(act)).value() == act);
            CHECK(house->events("t", 1).value().front().act == act);
        }
        CHECK(parse_transfer_act("upload").error().code == Errc::invalid_argument);
        CHECK(house.site->aggregation("daily", "2026-02-13").value().api_calls == 2); // created and viewed
    }

    TEST_CASE("only what happened to a transfer counts: no failure, no other kind of request, no odd id") {
        Transfer_House house;
        auto const request = [&](std::string_view id, std::string_view type, int status) {
            return house.site->record_view(
                {.method = "GET", .target = "/transfers/x", .status = status, .event_type = type, .transfer_id = id});
        };
        REQUIRE(request("x", "transfer_viewed", 404));
        REQUIRE(request("x", "file_download", 503));
        REQUIRE(request("x", "api_call", 200));
        REQUIRE(request("x y", "file_download", 200));
        REQUIRE(request("", "file_download", 200));
        CHECK(house->summary("x").error().code == Errc::not_found);
        CHECK(house->aggregation("daily", "2026-02-13").value().answer.total.events == 0);
        REQUIRE(request("x", "page_view", 200)); // a page that shows it
        REQUIRE(request("x", "file_download", 206));
        CHECK(house->summary("x").value().figures.views == 1);
        CHECK(house->summary("x").value().figures.downloads == 1);
    }

    TEST_CASE("ids are 1 to 128 of A-Z a-z 0-9 _ -, and every call refuses others") {
        Transfer_House house;
        for (std::string const& id : {std::string(), std::string("a b"), std::string("a/b"), std::string("../x"),
                                      std::string("a.b"), std::string("\xc3\xa9"), std::string(129, 'a')}) {
            CAPTURE(id);
            CHECK(house->record(id, Transfer_Act::viewed).error().code == Errc::invalid_argument);
            CHECK(house->summary(id).error().code == Errc::invalid_argument);
            CHECK(house->events(id).error().code == Errc::invalid_argument);
        }
        auto const longest = std::string(126, 'a') + "_-";
        house.record(longest, Transfer_Act::viewed);
        CHECK(house->summary(longest).value().transfer_id == longest);
        CHECK(house->events("t", 0).error().code == Errc::invalid_argument);
        CHECK(house->active(0).error().code == Errc::invalid_argument);
        CHECK(house->active(1441).error().code == Errc::invalid_argument);
        CHECK(house->aggregation("fortnightly", "2026-02-13").error().code == Errc::invalid_argument);
        CHECK(house->aggregation("daily", "2026-02-14").error().code == Errc::invalid_argument); // tomorrow
        CHECK(house->aggregation("daily", "2026-2-13").error().code == Errc::invalid_argument);
    }

    TEST_CASE("answers have the fields of the schema, and no address") {
        Transfer_House house;
        house.record("t", Transfer_Act::downloaded, {.ip_hash = "203.0.113.7", .country = "GB", .content_bytes = 7});
        auto const summary = house->summary("t").value().to_json();
        CHECK(names_of(summary) == std::vector<std::string>{"transfer_id",
                                                            "cache_id",
                                                            "total_events",
                                                            "total_views",
                                                            "total_downloads",
                                                            "total_uploads",
                                                            "total_bytes",
                                                            "created_at",
                                                            "first_activity_at",
                                                            "last_activity_at",
                                                            "first_download_at",
                                                            "last_download_at",
                                                            "unique_downloaders",
                                                            "unique_downloaders_error",
                                                            "unique_downloaders_period",
                                                            "active_hours",
                                                            "active_countries",
                                                            "events",
                                                            "error",
                                                            "computed_at",
                                                            "revision"});
        CHECK(boost::json::serialize(summary.at("active_hours")) == R"({"14":1})");
        CHECK(boost::json::serialize(summary.at("active_countries")) == R"({"GB":1})");
        CHECK(summary.at("unique_downloaders") == 1);
        CHECK(names_of(summary.at("events").at(0).as_object()) ==
              std::vector<std::string>{"timestamp", "event_id", "event_type", "country", "ip_hash", "content_bytes"});
        CHECK(summary.at("events").at(0).at("ip_hash").as_string().size() == 8);
        for (auto const& file : stored_files(house.site.memory))
            CHECK_MESSAGE(file.second.find("203.0.113.7") == std::string::npos, file.first);
    }

    TEST_CASE("the entry of a transfer is found by the hash of its name, and made once") {
        Transfer_House house;
        house.record("t", Transfer_Act::viewed);
        CHECK(house->summary("u").error().code == Errc::not_found);
        CHECK(stored_files(house.site.memory, "cache/transfers/refs/").empty()); // to ask makes none
        auto const id = house->summary("t").value().cache_id;
        house.reopen();
        CHECK(house->summary("t").value().cache_id == id);
        Entry_Store<Watched_Memory> entries(house.site.storage, "cache", house.site.process.clock);
        CHECK(entries.create("transfers", Python_Json(std::string("transfer:t"))).value().str() == id);
        CHECK(stored_files(house.site.memory, "cache/transfers/data/aggregations/per-transfer/" + id).size() == 1);
    }

    TEST_CASE("answers about windows and about transfers equal a count of the events, whenever they are asked for") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Transfer_House house("2026-03-21T12:00");
        auto const start = time_at("2026-02-20T00:00"), end = time_at("2026-03-21T12:00");
        auto const events = random_events(random, start, end, 400);
        for (std::size_t i = 0; i < events.size(); ++i) {
            record(house, events[i]);
            if (random() % 25 != 0)
                continue;
            // Asked in between, so that much is saved before what is still to come.
            auto const so_far =
                std::vector<Told_Event>(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(i) + 1);
            auto const& id = events[i].id;
            CHECK(difference(house->summary(id).value().figures, counted(so_far, start, end).at(id)) == "");
            if (random() % 4 == 0)
                house.reopen();
        }
        auto const all = counted(events, start, end);
        for (auto const& entry : all) {
            CAPTURE(entry.first);
            CHECK(difference(house->summary(entry.first).value().figures, entry.second) == "");
        }
        for (auto const& asked : {std::pair{"daily", "2026-02-28"},
                                  {"daily", "2026-03-21"},
                                  {"monthly", "2026-02"},
                                  {"monthly", "2026-03"},
                                  {"yearly", "2026"}}) {
            auto const [type, key] = asked;
            CAPTURE(asked.second);
            auto const window = Window::parse(parse_window_type(type).value(), key).value();
            auto const expected = counted(events, window.start(), window.end());
            auto const answer = house->aggregation(type, key).value().answer;
            CHECK(answer.active_transfers == expected.size());
            CHECK(answer.transfers.size() == expected.size());
            CHECK(answer.other == Transfer_Sums());
            CHECK(answer.error == 0);
            Transfer_Sums total;
            for (auto const& row : answer.transfers) {
                auto const& count = expected.at(row.transfer_id);
                CHECK(row.events == count.all());
                CHECK(row.downloads == count.of(Transfer_Act::downloaded));
                CHECK(row.bytes == count.bytes);
                CHECK(row.first_at == *count.times.begin());
                CHECK(row.last_at == *count.times.rbegin());
                CHECK(row.unique_downloaders == count.downloaders.size());
                total.add(row);
            }
            CHECK(total == answer.total);
        }
    }

    TEST_CASE("a window of transfers and a summary are those of docs/format.md, byte by byte") {
        Storage_Memory memory;
        Watched_Memory storage{memory};
        REQUIRE(write(memory, "cache/analytics/data/salts/2026-02-13.json",
                      R"({"v":1,"salt":"000102030405060708090a0b0c0d0e0f"})"));
        Analytics_Options options;
        options.log.new_writer_id = [] { return "0123456789abcdef"; };
        Site_Process<Watched_Memory> process(storage, time_at("2026-02-13T14:05"), options);
        auto const transfers = Transfers<Watched_Memory>::open(storage, "cache", Namespace_Name("transfers"),
                                                               process.clock, process.analytics.get())
                                   .value();
        std::string const id = "5f0c2a9be417";
        for (auto const& [act, event_id, bytes, ip] :
             {std::tuple{Transfer_Act::upload_completed, "00000000000000a1", 120U, "203.0.113.7"},
              std::tuple{Transfer_Act::downloaded, "00000000000000a2", 5120U, "2001:db8::1"}}) {
            auto event = New_Transfer_Event{.country = "PT", .content_bytes = bytes, .ip = ip}.as_analytics(id, act);
            event.event_id = event_id;
            REQUIRE(process->record(event));
            process.clock->advance(1min);
        }
        process.clock->set(time_at("2026-02-14T12:00"));
        REQUIRE(transfers->aggregation("daily", "2026-02-13").value().final); // and so it is known to be closed
        auto const cache_id = transfers->summary(id).value().cache_id;
        auto const one_line = [](std::string text) {
            std::erase(text, '\n');
            return text;
        };
        auto const saved = [&](std::string const& path) {
            return read(memory, std::string(transfers_data).append("aggregations/").append(path)).value().value();
        };
        CHECK(saved("30min/2026/02/13/14-00.json") == one_line(documented("transfers window")));
        auto text = saved("per-transfer/" + cache_id + "/summary.json");
        auto wanted = one_line(documented("transfer summary"));
        for (auto* const one : {&text, &wanted}) // what is random
            for (std::string const name : {"nonce", "cache_id"})
                one->replace(one->find(member(*one, name)), member(*one, name).size(), "\"random\"");
        CHECK(text == wanted);
        CHECK(Transfer_File::parse(text).value().past.figures.events == 2);
        CHECK(Transfer_File::parse(text.substr(1)).error().code == Errc::corrupt_data);
    }

    TEST_CASE("windows of transfers lie in their own namespace and are built again with the same bytes") {
        Transfer_House house;
        for (int i = 0; i < 30; ++i) {
            house.record("t" + std::to_string(i % 4), Transfer_Act::downloaded, {.country = "GB", .ip = "203.0.113.7"});
            house.site.clock().advance(7min);
        }
        house.at("2026-03-02T00:00");
        REQUIRE(house->aggregation("monthly", "2026-02"));
        auto const windows = stored_files(house.site.memory, std::string(transfers_data) + "aggregations/");
        CHECK(windows.contains("cache/transfers/data/aggregations/daily/2026/02/13.json"));
        CHECK(windows.contains("cache/transfers/data/aggregations/monthly/2026/02.json"));
        CHECK(
            windows.at("cache/transfers/data/aggregations/daily/2026/02/13.json").find(R"("namespace":"transfers")") !=
            std::string::npos);
        CHECK(stored_files(house.site.memory, "cache/analytics/data/aggregations/").empty());
        for (auto const& entry : windows)
            REQUIRE(house.site.memory.erase(Storage_Key(entry.first), Precondition::none()).value());
        house.reopen();
        REQUIRE(house->aggregation("monthly", "2026-02"));
        CHECK(stored_files(house.site.memory, std::string(transfers_data) + "aggregations/") == windows);
        auto const rebuilt = house->rebuild_range(time_at("2026-02-01T00:00"), time_at("2026-03-01T00:00")).value();
        CHECK(rebuilt.refused.empty());
        CHECK(rebuilt.rebuilt.size() == windows.size() + 1); // the week, which nobody had asked for
    }

    TEST_CASE("a late event is in the window, in its parents, and in the summary of its transfer") {
        Transfer_House house;
        house.record("t", Transfer_Act::downloaded);
        house.at("2026-03-05T00:00");
        CHECK(house->summary("t").value().figures.downloads == 1);
        CHECK(house->aggregation("monthly", "2026-02").value().final);
        house.record("t", Transfer_Act::downloaded, {.timestamp = time_at("2026-02-13T14:11")});
        CHECK(house->aggregation("monthly", "2026-02").value().answer.total.downloads == 2);
        CHECK(house->summary("t").value().figures.downloads == 2);
        CHECK(house->summary("t").value().revision == 1);
        house.record("t", Transfer_Act::viewed, {.timestamp = time_at("2026-01-02T03:04")}); // before all others
        CHECK(house->summary("t").value().figures.views == 1);
        CHECK(house->summary("t").value().figures.downloads == 2);
    }

    TEST_CASE("an event that lands in a gap while a summary is made, before the gap is closed, is in the next one") {
        Transfer_House house("2026-04-05T12:00");
        Watched_Memory beside{house.site.memory};
        Site_Process<Watched_Memory> other(beside, house.site.clock().now());
        auto const of_t = [](std::string const& time) {
            return New_Transfer_Event{.timestamp = time_at(time)}.as_analytics("t", Transfer_Act::downloaded);
        };
        REQUIRE(other->record(of_t("2026-01-10T12:00")));
        REQUIRE(other->record(of_t("2026-03-10T12:00")));
        REQUIRE(other->flush());
        // February has been listed as empty when March is to be closed, and February with it: then one comes.
        int closings = 0;
        bool landed = false;
        house.site.storage.hook = [&](auto operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::put && key == "cache/analytics/data/state/ledger.json" &&
                ++closings == 2)
                landed = other->record(of_t("2026-02-10T12:00")) && other->flush();
            return Watched_Memory::Verdict{};
        };
        CHECK(house->summary("t").value().figures.downloads == 2);
        house.site.storage.hook = nullptr;
        REQUIRE(landed);
        CHECK(stored_files(house.site.memory, "cache/analytics/data/late/").empty()); // it came in time
        CHECK(house->summary("t").value().figures.downloads == 3);
    }

    TEST_CASE("a transfer's past is not asked for again") {
        Transfer_House house("2026-02-01T10:00");
        for (int day = 0; day < 20; ++day) {
            house.record(day % 2 == 0 ? "t" : "u", Transfer_Act::downloaded);
            house.site.clock().advance(24h);
        }
        auto const expected = house.told("t");
        house.reopen();
        std::size_t raw_reads = 0, windows = 0;
        house.site.storage.hook = [&](auto operation, std::string const& key) {
            raw_reads += operation == Watched_Memory::Operation::get && key.starts_with("cache/analytics/data/raw/");
            windows +=
                operation == Watched_Memory::Operation::get && key.find("aggregations/daily/") != std::string::npos;
            return Watched_Memory::Verdict{};
        };
        CHECK(house.told("t") == expected);
        CHECK(raw_reads == 0);
        CHECK(windows <= 24); // those of the open month, for its own answer, and what is not over; none before it
        house.at("2026-06-01T10:00");
        CHECK(house.told("t") == expected);
        house.reopen();
        windows = 0;
        CHECK(house.told("t") == expected);
        CHECK(windows == 0);
        CHECK(raw_reads == 0);
    }
}
