// SPDX-License-Identifier: Apache-2.0
#include "events/log_world.hpp"
#include "support/format_page.hpp"

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

auto line(std::string const& name) -> std::string {
    auto text = documented(name);
    text.pop_back();
    return text;
}
/// The same text with the nonce of the page in place of the random one.
auto with_nonce_of(std::string const& page, std::string written) -> std::string {
    auto const at = page.find("\"nonce\":\"") + 9;
    return written.replace(at, 16, page, at, 16);
}
auto const day = day_from_civil(2026, 2, 13).value();

} // namespace

TEST_SUITE("events/retention") {
    TEST_CASE("marks, holds and receipts have their documented forms") {
        auto const mark = Purge_Mark::from_json(line("purge mark")).value();
        REQUIRE(mark.windows.size() == 2);
        CHECK(mark.windows.at(28).files.empty());
        CHECK(mark.windows.at(29).files == std::set<std::string>{"1770993000007__x.json"});
        CHECK(mark.windows.at(29).positions.at("0123456789abcdef") == 6);
        CHECK(mark.windows.at(29).nothing_for.contains("transfers"));
        CHECK(with_nonce_of(line("purge mark"), mark.to_json()) == line("purge mark"));
        auto const hold = Hold::from_json("case", line("hold")).value();
        CHECK(hold.reason == "a lawyer asked");
        CHECK(hold.touches(day, day + std::chrono::hours(1)));
        CHECK_FALSE(hold.touches(day - std::chrono::hours(1), day));
        CHECK_FALSE(hold.touches(day + std::chrono::hours(24), day + std::chrono::hours(25)));
        CHECK(with_nonce_of(line("hold"), hold.to_json()) == line("hold"));
        auto const receipts = parse_receipts(line("receipts")).value();
        REQUIRE(receipts.size() == 1);
        CHECK(with_nonce_of(line("receipts"), receipts_text(receipts)) == line("receipts"));
        for (std::string const text : {"", "{}", R"({"v":2,"windows":{}})", R"({"v":1,"windows":{"14:15":{"at":0}}})",
                                       R"({"v":1,"windows":{"14:00":{}}})", R"({"v":1,"reason":"x"})"}) {
            CHECK(Purge_Mark::from_json(text).error().code == Errc::corrupt_data);
            CHECK(Hold::from_json("case", text).error().code == Errc::corrupt_data);
            CHECK(parse_receipts(text).error().code == Errc::corrupt_data);
        }
    }

    TEST_CASE("what goes of a half-hour later is added to what went, and is nothing to a view only if all of it was") {
        World world;
        auto const paths = log_paths();
        Purge_Marks<World::Store> marks(world.store, paths);
        auto const half_hour = window("2026-02-13T14:30");
        auto const now = world.clock->now();
        REQUIRE(marks.add(half_hour, {now, {"a"}, {{"w", 5}, {"v", 9}}, {"one", "other"}}));
        REQUIRE(marks.add(half_hour, {now, {}, {}, {}})); // of which nothing went but its saved window
        REQUIRE(marks.add(half_hour, {now, {"b"}, {{"w", 7}, {"v", 8}}, {"one"}}));
        auto const found = marks.find(half_hour).value().value();
        CHECK(found.files == std::set<std::string>{"a", "b"});
        CHECK(found.positions.at("w") == 7);
        CHECK(found.positions.at("v") == 9);
        CHECK(found.nothing_for.size() == 1);
        CHECK(found.nothing_for.contains("one"));
    }

    TEST_CASE("purged half-hours are found by range; where only days are asked for, whole ones are not read") {
        World world;
        auto const paths = log_paths();
        Purge_Marks<World::Store> marks(world.store, paths);
        for (auto const* key : {"2026-02-13T14:00", "2026-02-13T14:30", "2026-02-14T09:00", "2026-03-01T00:00"})
            REQUIRE(marks.add(window(key), {world.clock->now()}));
        REQUIRE(write(world.memory, data_prefix + "purged/notes.txt", "a stranger's"));
        CHECK(marks.find(window("2026-02-13T14:30")).value().has_value());
        CHECK_FALSE(marks.find(window("2026-02-13T15:00")).value().has_value());
        auto const found = [&](char const* from, char const* to) { return marks.windows(at(from), at(to)).value(); };
        CHECK(found("2026-02-13T00:00", "2026-02-14T00:00") ==
              std::vector{window("2026-02-13T14:00"), window("2026-02-13T14:30")});
        CHECK(found("2026-02-13T14:30", "2026-02-13T15:00") == std::vector{window("2026-02-13T14:30")});
        CHECK(found("2026-02-01T00:00", "2026-03-01T00:00") ==
              std::vector{window("2026-02-13T14:00"), window("2026-02-13T14:30"), window("2026-02-14T09:00")});
        auto const reads = world.memory.counters().reads;
        CHECK(marks.windows(at("2026-02-01T00:00"), at("2026-03-01T00:00"), true).value() ==
              std::vector{window("2026-02-13T00:00"), window("2026-02-14T00:00")});
        CHECK(world.memory.counters().reads == reads);
        CHECK(found("2026-02-13T15:00", "2026-02-14T09:00").empty());
    }

    TEST_CASE("receipts of the last day are kept, and one of a range takes the place of those within it") {
        World world;
        auto const paths = log_paths();
        auto const note = [&](char const* now, char const* from, char const* until) {
            REQUIRE(note_receipt(world.store, paths, {at(now), at(from), at(until)}));
            return parse_receipts(read(world.memory, paths.received().str()).value().value()).value().size();
        };
        CHECK(note("2026-02-13T14:00", "2025-01-01T00:00", "2025-01-01T01:00") == 1);
        CHECK(note("2026-02-13T15:00", "2025-02-01T00:00", "2025-02-01T01:00") == 2);
        CHECK(note("2026-02-13T16:00", "2025-02-01T00:00", "2025-02-02T00:00") == 2);
        CHECK(note("2026-02-14T14:30", "2025-03-01T00:00", "2025-03-02T00:00") == 2);
    }
}
