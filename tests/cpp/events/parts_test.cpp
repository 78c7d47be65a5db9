// SPDX-License-Identifier: Apache-2.0
// The log where nothing grows: each landing is an object, which is put again until it is known to be there.
#include "events/log_world.hpp"
#include "support/format_page.hpp"

#include <set>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const two = window("2026-02-13T14:00");
auto const half_past_two = window("2026-02-13T14:30");

/// Counts events, and remembers of which writers' summaries it was asked.
class Counting final : public Stream_Summary {
  public:
    auto add(Raw_Event const& event) -> Result<void> override {
        if (name_in(event.json) == "unknown kind")
            return fail(Errc::corrupt_data, "no event that counts");
        ++count_;
        return {};
    }
    void append_members(std::string& out) const override { out += "\"count\":" + std::to_string(count_); }

  private:
    int count_ = 0;
};

auto make_counting() -> std::unique_ptr<Stream_Summary> { return std::make_unique<Counting>(); }

auto with_id(std::string const& id) -> Event_Log_Options {
    auto options = World::quiet();
    options.new_writer_id = [id] { return id; };
    return options;
}

} // namespace

TEST_SUITE("events/parts") {
    TEST_CASE("each landing is one object for each half-hour, and nothing is ever appended") {
        Parts_World world;
        auto const log = world.open(with_id("0123456789abcdef"));
        std::set<std::string> first, second;
        for (int flush = 0; flush < 3; ++flush) {
            for (int i = 0; i <= flush; ++i) {
                auto const name = std::to_string(flush) + "-" + std::to_string(i);
                record(*log, two.start() + 5ms, name);
                first.insert(name);
            }
            record(*log, half_past_two.start() + 7ms, std::to_string(flush));
            second.insert(std::to_string(flush));
            REQUIRE(log->flush());
        }
        std::set<std::string> names;
        for (auto const& entry : world.files("raw/"))
            names.insert(entry.first);
        auto const in = "raw/2026/02/13/14/";
        CHECK(names == std::set<std::string>{in + std::string("1770991200005__0123456789abcdef-0000000000-1.jsonl"),
                                             in + std::string("1770991200005__0123456789abcdef-0000000001-2.jsonl"),
                                             in + std::string("1770991200005__0123456789abcdef-0000000003-3.jsonl"),
                                             in + std::string("1770993000007__0123456789abcdef-0000000000-1.jsonl"),
                                             in + std::string("1770993000007__0123456789abcdef-0000000001-1.jsonl"),
                                             in + std::string("1770993000007__0123456789abcdef-0000000002-1.jsonl")});
        CHECK(stored_names(*log, two) == each_once(first));
        CHECK(stored_names(*log, half_past_two) == each_once(second));
        CHECK(world.memory.counters().appends == 0);
    }

    TEST_CASE("intervals are longer where each write is paid, unless they are asked for") {
        Capabilities disk, database, bucket;
        disk.append = true;
        bucket.shared_between_machines = true;
        Event_Log_Options const standard;
        CHECK(*standard.on(disk).flush_interval == 100ms);
        CHECK(*standard.on(database).flush_interval == 100ms);
        CHECK(*standard.on(bucket).flush_interval == 1s);
        CHECK(*standard.on(database).check_interval == 1s);
        CHECK(*standard.on(bucket).check_interval == 10s);
        CHECK(*standard.on(disk).land_bytes < *standard.on(database).land_bytes);
        CHECK(*standard.on(database).whole_list_interval == 0s);
        CHECK(*standard.on(bucket).whole_list_interval == 30s);
        Event_Log_Options asked;
        asked.flush_interval = 5ms;
        CHECK(*asked.on(bucket).flush_interval == 5ms);
    }

    TEST_CASE("a writer that has nothing to land writes nothing, however often it is asked") {
        Parts_World world;
        auto const log = world.open();
        record(*log, two.start(), "a");
        REQUIRE(log->flush());
        auto const before = world.memory.counters();
        for (int i = 0; i < 100; ++i) {
            world.clock->advance(1s);
            REQUIRE(log->flush());
        }
        CHECK(world.memory.counters().writes == before.writes);
        CHECK(world.memory.counters().deletes == before.deletes);
    }

    TEST_CASE("a part of unknown fate is put under the same name until it is there, and later ones wait (H3)") {
        using Kind = World::Verdict::Kind;
        for (auto const fate : {Kind::fail, Kind::unknown_before, Kind::unknown_after}) {
            Parts_World world;
            auto const log = world.open();
            std::vector<std::string> tried;
            world.store.hook = [&](World::Operation operation, std::string const& key) {
                if (operation != World::Operation::put || !is_below(key, "raw/"))
                    return World::Verdict{};
                tried.push_back(key);
                return World::Verdict{tried.size() < 5 ? fate : Kind::go_on};
            };
            record(*log, two.start(), "a");
            CHECK(log->flush().has_error());
            for (auto const* const name : {"b", "c"}) {
                record(*log, two.start() + 1s, name);
                CHECK(log->flush().has_error());
                CHECK(all_names(*log, two).size() == (*name == 'b' ? 2 : 3));
            }
            (void)log->flush();
            REQUIRE(log->flush());
            CHECK(std::set(tried.begin(), tried.begin() + 2).size() == 1);
            CHECK(stored_names(*log, two) == each_once({"a", "b", "c"}));
            CHECK(log->counts().landed == 3);
        }
    }

    TEST_CASE("while a part cannot be stored the newest are refused and counted, and no position is lost (H3)") {
        Parts_World world;
        auto options = World::quiet();
        options.buffer_bytes = 1'000;
        auto const log = world.open(options);
        bool refuses = true;
        world.store.hook = [&](World::Operation operation, std::string const& key) {
            bool const is_part = operation == World::Operation::put && is_below(key, "raw/");
            return World::Verdict{is_part && refuses ? World::Verdict::Kind::unknown_before
                                                     : World::Verdict::Kind::go_on};
        };
        std::set<std::string> accepted;
        std::uint64_t refused = 0;
        for (int i = 0; i < 100; ++i) {
            auto const name = std::to_string(i);
            if (try_record(*log, two.start(), name))
                accepted.insert(name);
            else
                ++refused;
            if (i % 10 == 0)
                CHECK(log->flush().has_error());
        }
        CHECK(refused > 50);
        CHECK(log->counts().dropped == refused);
        refuses = false;
        REQUIRE(log->flush());
        for (auto const* const name : {"later", "latest"}) {
            record(*log, two.start(), name);
            accepted.insert(name);
            REQUIRE(log->flush());
        }
        CHECK(stored_names(*world.open(), two) == each_once(accepted));
    }

    TEST_CASE("two writers forced to one id lose nothing where nothing grows (H5)") {
        Parts_World world;
        std::vector<std::unique_ptr<World::Log>> logs;
        std::set<std::string> recorded;
        for (int i = 0; i < 3; ++i) {
            auto options = World::quiet();
            options.new_writer_id = [forced = std::make_shared<bool>(true)] {
                return std::exchange(*forced, false) ? std::string("0123456789abcdef") : random_hex(8);
            };
            logs.push_back(world.open(options));
        }
        for (int round = 0; round < 3; ++round)
            for (std::size_t i = 0; i < logs.size(); ++i) {
                auto const name = std::to_string(i) + "-" + std::to_string(round);
                record(*logs[i], two.start(), name);
                recorded.insert(name);
                REQUIRE(logs[i]->flush());
            }
        CHECK(stored_names(*world.open(), two) == each_once(recorded));
    }

    TEST_CASE("a part of this name with other bytes is another writer's: the events go under a new id (H5)") {
        Parts_World world;
        auto ids = std::make_shared<std::vector<std::string>>(
            std::vector<std::string>{"fedcba9876543210", "0123456789abcdef"});
        auto options = World::quiet();
        options.new_writer_id = [ids] {
            auto id = ids->back();
            if (ids->size() > 1)
                ids->pop_back();
            return id;
        };
        auto const log = world.open(options);
        auto const foreign = data_prefix + "raw/2026/02/13/14/1770991200000__0123456789abcdef-0000000000-1.jsonl";
        REQUIRE(write(world.memory, foreign, "of somebody else"));
        record(*log, two.start(), "a");
        REQUIRE(log->flush());
        REQUIRE(read(world.memory, foreign).value() == "of somebody else");
        REQUIRE(world.memory.erase(Storage_Key(foreign), Precondition::none()));
        CHECK(stored_names(*log, two) == each_once({"a"}));
        CHECK(world.files("raw/").begin()->first.find("fedcba9876543210") != std::string::npos);
    }

    TEST_CASE("a part that may lie under an id that somebody else has taken is looked for there first (H5)") {
        Parts_World world;
        auto const log = world.open();
        bool answers = false;
        world.store.hook = [&](World::Operation operation, std::string const& key) {
            bool const is_part = operation == World::Operation::put && is_below(key, "raw/");
            return World::Verdict{is_part && !answers ? World::Verdict::Kind::unknown_after
                                                      : World::Verdict::Kind::go_on};
        };
        record(*log, two.start(), "a"); // is stored, but nobody says so
        CHECK(log->flush().has_error());
        auto const manifest = data_prefix + world.files("writers/").begin()->first;
        auto foreign = Writer_Manifest::from_json(read(world.memory, manifest).value().value()).value();
        foreign.nonce = "0123456789abcdef";
        REQUIRE(write(world.memory, manifest, foreign.to_json()));
        answers = true;
        record(*log, two.start(), "b");
        record(*log, half_past_two.start(), "c"); // is to be entered in the manifest
        REQUIRE(log->flush());
        CHECK(world.files("writers/").size() == 2);
        CHECK(stored_names(*log, two) == each_once({"a", "b"}));
        CHECK(stored_names(*log, half_past_two) == each_once({"c"}));
    }

    TEST_CASE("every 32 parts their writer stores what they add up to, and says how many events that are (H17)") {
        Parts_World world;
        auto const log = world.open(with_id("0123456789abcdef"));
        log->sum_up_streams(make_counting);
        for (int part = 1; part <= 70; ++part) {
            record(*log, two.start(), "a");
            record(*log, two.start(), "b");
            REQUIRE(log->flush());
            auto const partials = world.files("partial/");
            CHECK(partials.size() == (part < 32 ? 0 : 1));
            if (part == 63) {
                CHECK("cache/analytics/data/" + partials.begin()->first + "\n" == documented("partial name"));
                CHECK(partials.begin()->second + "\n" == documented("partial"));
            }
        }
        auto const partials = log->partials(two).value();
        REQUIRE(partials.size() == 1);
        CHECK(partials[0].writer == "0123456789abcdef");
        CHECK(partials[0].positions == 128);
        CHECK(partials[0].state == R"({"count":128})");
    }

    TEST_CASE("a partial summary that could not be stored is tried with the next part; damaged ones are passed over") {
        Parts_World world;
        auto const log = world.open();
        log->sum_up_streams(make_counting);
        using Kind = World::Verdict::Kind;
        std::vector<Kind> fates{Kind::go_on, Kind::unknown_before, Kind::fail};
        world.store.hook = [&](World::Operation operation, std::string const& key) {
            World::Verdict verdict;
            if (operation == World::Operation::put && is_below(key, "partial/")) {
                verdict.kind = fates.back();
                fates.pop_back();
            }
            return verdict;
        };
        for (int part = 0; part < 34; ++part) {
            record(*log, two.start(), "a");
            REQUIRE(log->flush());
        }
        CHECK(fates.empty());
        CHECK(log->partials(two).value().at(0).positions == 34);
        auto const key = data_prefix + world.files("partial/").begin()->first;
        for (auto const* const damaged : {"", "{", R"({"v":2,"n":1,"state":{}})", R"({"v":1,"state":{}})"}) {
            REQUIRE(write(world.memory, key, damaged));
            CHECK(log->partials(two).value().empty());
        }
    }

    TEST_CASE("no partial summary of a half-hour that is over, nor of a stream with an event that does not count") {
        Parts_World world;
        auto const log = world.open();
        log->sum_up_streams(make_counting);
        for (int part = 0; part < 40; ++part) {
            record(*log, at("2026-02-13T13:00"), "a"); // over since 13:40
            record(*log, two.start(), part == 3 ? "unknown kind" : "a");
            REQUIRE(log->flush());
        }
        CHECK(world.files("partial/").empty());
    }

    TEST_CASE("who reads on lists the newest names only, and all of them once they may hide something") {
        Parts_World world;
        auto options = World::quiet();
        options.whole_list_interval = 24h;
        auto const one = world.open(options);
        auto const other = world.open(options);
        Read_State seen;
        std::set<std::string> all;
        for (int i = 0; i < 1'100; ++i) {
            auto const name = std::to_string(i);
            record(*one, two.start() + std::chrono::seconds(i), name);
            REQUIRE(one->flush());
            all.insert(name);
        }
        auto const lists = [&](auto&& read) {
            auto const before = world.memory.counters().lists;
            read();
            return world.memory.counters().lists - before;
        };
        CHECK(lists([&] { CHECK(stored_names(*other, two, seen) == each_once(all)); }) == 2); // a thousand names each
        record(*one, two.start() + 1'101s, "new");
        REQUIRE(one->flush());
        auto const before = world.memory.counters().reads;
        CHECK(lists([&] { CHECK(stored_names(*other, two, seen) == each_once({"new"})); }) == 1);
        CHECK(world.memory.counters().reads == before + 1);

        // Older than two minutes before the newest name: overlooked, but not by who wrote it, ...
        record(*one, two.start(), "old");
        REQUIRE(one->flush());
        auto own = seen;
        CHECK(stored_names(*other, two, seen).empty());
        CHECK(all_names(*one, two).size() == 1'102);
        Names unlanded;
        REQUIRE(one->read_unlanded(two, own, [&](Raw_Event const& event) -> Result<void> {
            ++unlanded[name_in(event.json)];
            return {};
        }));
        CHECK(unlanded == each_once({"old"}));
        // ... nor once something follows it, ...
        record(*one, two.start() + 1'102s, "newest");
        REQUIRE(one->flush());
        CHECK(stored_names(*other, two, seen) == each_once({"old", "newest"}));
        // ... nor longer than the interval.
        record(*one, two.start(), "older");
        REQUIRE(one->flush());
        seen.listed_whole = *seen.listed_whole - 24h;
        CHECK(stored_names(*other, two, seen) == each_once({"older"}));
    }

    TEST_CASE(
        "who wants the newest minute of a long stream reads little more than its parts, and then the new ones (H31)") {
        Parts_World world;
        auto const log = world.open();
        auto const land = [&](int second) {
            record(*log, two.start() + std::chrono::seconds(second), std::to_string(second));
            REQUIRE(log->flush());
        };
        for (int second = 0; second < 1'500; ++second)
            land(second);
        Read_State seen;
        auto const newest = [&](int after) {
            Names names;
            auto const before = world.memory.counters().reads;
            log->read(two, seen,
                      [&](Raw_Event const& event) -> Result<void> {
                          ++names[name_in(event.json)];
                          return {};
                      },
                      {.after = two.start() + std::chrono::seconds(after)})
                .value();
            return std::pair(std::move(names), world.memory.counters().reads - before);
        };
        auto const [names, reads] = newest(1'439);
        for (int second = 1'440; second < 1'500; ++second)
            CHECK(names.at(std::to_string(second)) == 1);
        CHECK(reads < 60 + 20);
        for (int second = 1'500; second < 1'505; ++second)
            land(second);
        CHECK(newest(1'444) == std::pair(each_once({"1500", "1501", "1502", "1503", "1504"}), std::uint64_t{5}));
    }

    TEST_CASE("a piece in a form of later versions is refused by its name, never passed over") {
        Parts_World world;
        auto const log = world.open();
        record(*log, two.start(), "a");
        REQUIRE(log->flush());
        auto const name = world.files("raw/").begin()->first;
        REQUIRE(write(world.memory, data_prefix + name + ".next", "in another form"));
        REQUIRE(world.memory.erase(Storage_Key(data_prefix + name), Precondition::none()));
        CHECK(log->windows(earliest_time, latest_time).value() == std::vector{two});
        Read_State seen;
        auto const read = log->read(two, seen, [](Raw_Event const&) -> Result<void> { return {}; });
        REQUIRE(read.has_error());
        CHECK(read.error().code == Errc::unsupported);
        CHECK(read.error().context.find(name) != std::string::npos);
    }
}
