// SPDX-License-Identifier: Apache-2.0
// How a stream is divided into pieces, and what a reader of its newest events need not read.
#include "events/log_world.hpp"
#include "support/format_page.hpp"

#include <algorithm>
#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const two = window("2026-02-13T14:00");

auto small_pieces() -> Event_Log_Options {
    auto options = World::quiet();
    options.piece_bytes = 1'000;
    return options;
}

/// Names of the events that a reader finds who wants those after a time only.
auto names_after(World::Log const& log, Utc_Time after) -> Names {
    Read_State state;
    Names names;
    log.read(two, state,
             [&](Raw_Event const& event) -> Result<void> {
                 ++names[name_in(event.json)];
                 return {};
             },
             {.after = after})
        .value();
    return names;
}

} // namespace

TEST_SUITE("events/pieces") {
    TEST_CASE("a piece of full size grows no more, and every position is read once across all pieces") {
        World world;
        auto const log = world.open(small_pieces());
        Names expected;
        for (int i = 0; i < 200; ++i) {
            record(*log, at("2026-02-13T14:10"), std::to_string(i));
            ++expected[std::to_string(i)];
            REQUIRE(log->flush());
        }
        auto const pieces = world.files("raw/");
        CHECK(pieces.size() > 5);
        for (auto const& [path, text] : pieces)
            CHECK(text.size() < 1'100); // what was there before the last append is below 1,000
        CHECK(stored_names(*log, two) == expected);
    }

    TEST_CASE("the header of a later piece says how new the events before it are") {
        World world;
        auto options = small_pieces();
        options.new_writer_id = [] { return "0123456789abcdef"; };
        auto const log = world.open(options);
        for (auto const offset : {5ms, 900ms, 31ms}) {
            record(*log, two.start() + offset, std::string(900, 'x'));
            REQUIRE(log->flush());
            world.clock->set(two.start() + 40ms);
        }
        auto const pieces = world.files("raw/");
        REQUIRE(pieces.size() == 3);
        auto const header_of = [&](std::string const& base) {
            for (auto const& [path, text] : pieces)
                if (path.ends_with(base + ".jsonl"))
                    return text.substr(0, text.find('\n') + 1);
            return std::string();
        };
        CHECK(header_of("0000000000").find("newest") == std::string::npos);
        CHECK(header_of("0000000001").find(R"("newest":1770991200005})") != std::string::npos);
        CHECK(header_of("0000000002") == documented("later piece"));
    }

    TEST_CASE("who wants the newest events finds all of them, in whatever order times come and pieces lie") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (int round = 0; round < 20; ++round) {
            World world;
            std::map<Utc_Time, std::vector<std::string>> all;
            int number = 0;
            std::vector<std::unique_ptr<World::Log>> logs;
            for (int writer = 0; writer < 2; ++writer)
                logs.push_back(world.open(small_pieces()));
            for (int step = 0; step < 150; ++step) {
                // Mostly in order, some far older, some newer.
                auto offset = static_cast<std::int64_t>(step) * 10'000 + static_cast<std::int64_t>(random() % 3'000);
                if (random() % 10 == 0)
                    offset = static_cast<std::int64_t>(random() % 1'790'000);
                auto const time = two.start() + std::chrono::milliseconds(offset);
                auto const name = std::to_string(number++);
                all[time].push_back(name);
                record(*logs[random() % 2], time, name);
                // A write of which nobody knows whether it happened makes a piece of its own.
                if (random() % 8 == 0)
                    world.store.hook = [&](World::Operation operation, std::string const&) -> World::Verdict {
                        using Kind = World::Verdict::Kind;
                        if (operation != World::Operation::append)
                            return {};
                        return {random() % 2 == 0 ? Kind::unknown_before : Kind::unknown_after};
                    };
                if (random() % 3 == 0)
                    for (auto const& log : logs)
                        REQUIRE(log->flush());
                world.store.hook = nullptr;
            }
            for (auto const& log : logs)
                REQUIRE(log->flush());
            for (auto const minutes : {0, 3, 10, 24, 29}) {
                auto const after = two.start() + std::chrono::minutes(minutes);
                auto const found = names_after(*logs[0], after);
                for (auto const& [time, names] : all)
                    for (auto const& name : names)
                        if (time > after) {
                            CAPTURE(round);
                            CAPTURE(minutes);
                            REQUIRE(found.contains(name));
                        }
                CHECK(std::all_of(found.begin(), found.end(), [](auto const& entry) { return entry.second == 1; }));
            }
        }
    }

    TEST_CASE("a stream that is taken up again after it was over claims nothing about its events") {
        World world;
        auto options = small_pieces();
        options.check_interval = 1ms; // the keeper retires the half-hour
        auto const log = world.open(options);
        record(*log, two.start() + 29min, "newest");
        REQUIRE(log->flush());
        world.clock->set(two.end() + 11min);
        for (auto tries = 0; tries < 60'000; ++tries) {
            auto const manifest = Writer_Manifest::from_json(world.files("writers/").begin()->second).value();
            if (manifest.open.empty())
                break;
            std::this_thread::sleep_for(1ms);
        }
        record(*log, two.start() + 1min, "older");
        REQUIRE(log->flush());
        CHECK(world.files("raw/").size() == 2);
        CHECK(in_words(names_after(*log, two.start() + 20min)) == "newest older ");
    }
}
