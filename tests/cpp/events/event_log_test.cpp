// SPDX-License-Identifier: Apache-2.0
#include "events/log_world.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Kind = World::Verdict::Kind;
using Operation = World::Operation;

auto const half_past_two = window("2026-02-13T14:30");
auto const two = window("2026-02-13T14:00");

} // namespace

TEST_SUITE("events/event_log") {
    TEST_CASE("what is no event is refused and leaves nothing behind") {
        World world;
        auto const log = world.open();
        auto const record_text = [&](std::string const& text) {
            return log->record(at("2026-02-13T14:00"), [&](std::string& out) { out += text; });
        };
        record(*log, at("2026-02-13T14:00"), "a");
        for (std::string const bad :
             {"", "{}", "{ }", "[]", "\"a\"", "{\"a\":1", " {\"a\":1}", "{\"a\":1}\n", "{\"a\":\n1}", "{a:1}"})
            CHECK(record_text(bad).error().code == Errc::invalid_argument);
        auto const longest = R"({"a":")" + std::string(longest_event_bytes - 8, 'x') + "\"}";
        CHECK(record_text(longest.substr(0, 7) + longest.substr(6)).error().code == Errc::too_large);
        CHECK(try_record(*log, from_millis(-1), "x").error().code == Errc::invalid_argument);
        CHECK(try_record(*log, world.clock->now() + 24h + 1ms, "x").error().code == Errc::invalid_argument);
        CHECK_THROWS_AS((void)log->record(at("2026-02-13T14:00"),
                                          [](std::string& out) {
                                              out += "{\"half";
                                              throw std::runtime_error("no more");
                                          }),
                        std::runtime_error);
        record(*log, at("2026-02-13T14:00"), "b");
        CHECK(log->counts().recorded == 2);
        CHECK(all_names(*log, two) == Names{{"a", 1}, {"b", 1}});
        REQUIRE(log->flush());
        CHECK(stored_names(*log, two) == Names{{"a", 1}, {"b", 1}});
        CHECK(record_text(longest));
        REQUIRE(log->flush());
        std::size_t read_bytes = 0;
        Read_State seen;
        REQUIRE(log->read(two, seen, [&](Raw_Event const& event) -> Result<void> {
            read_bytes = event.json.size();
            return {};
        }));
        CHECK(read_bytes == longest.size() + Line_Seal::tail_bytes - 1);
    }

    TEST_CASE("options that mean nothing are refused before anything is written") {
        World world;
        auto options = World::quiet();
        options.flush_interval = 0ms;
        CHECK(world.try_open(options).error().code == Errc::invalid_argument);
        for (auto const grace : {-1ms, longest_grace + 1ms}) {
            options = World::quiet();
            options.settings.grace = grace;
            CHECK(world.try_open(options).error().code == Errc::invalid_argument);
        }
        options = World::quiet();
        options.settings.salt_period = "day\",\"x\":\"";
        CHECK(world.try_open(options).error().code == Errc::invalid_argument);
        world.store.promised.conditional_put = false;
        CHECK(world.try_open().error().code == Errc::unsupported);
        CHECK(world.files("").empty());
    }

    TEST_CASE("opening, asking and idling write nothing") {
        World world;
        {
            auto const log = world.open();
            CHECK(all_names(*log, two).empty());
            CHECK(log->windows(earliest_time, latest_time).value().empty());
            CHECK_FALSE(log->newest_window().value().has_value());
            REQUIRE(log->flush());
        }
        CHECK(world.memory.counters().writes == 0);
        CHECK(world.files("").empty());
    }

    TEST_CASE("events alternating across :30 and midnight lie in pieces of one half-hour each (H2)") {
        World world;
        world.clock->set(at("2026-02-14T00:10"));
        auto const log = world.open();
        std::map<std::string, Names> expected;
        for (int i = 0; i < 100; ++i)
            for (auto const* edge : {"2026-02-13T14:30", "2026-02-14T00:00"}) {
                // Also out of order, so that a piece is named by its first written event and not by the smallest.
                auto const time = at(edge) + (i % 2 == 0 ? 1 : -1) * std::chrono::milliseconds(1 + 7 * i % 50);
                auto const name = std::string(edge) + "-" + std::to_string(i);
                record(*log, time, name);
                ++expected[Base_Window::containing(time).key()][name];
                if (i % 10 == 0)
                    REQUIRE(log->flush());
            }
        REQUIRE(log->flush());
        CHECK(expected.size() == 4);
        auto const raw = world.files("raw/");
        CHECK(raw.size() == 4);
        for (auto const& [key, names] : expected) {
            auto const found = log->windows(window(key).start(), window(key).end()).value();
            CHECK(found == std::vector{window(key)});
            // Nothing but names decides what is read: the pieces of the others are gone.
            for (auto const& [path, bytes] : raw) {
                auto const full = data_prefix + path;
                if (Raw_Reader<World::Store>(world.store, log->paths()).window_of(full) != window(key))
                    REQUIRE(world.memory.erase(Storage_Key(full), Precondition::none()));
            }
            CHECK(stored_names(*log, window(key)) == names);
            for (auto const& [path, bytes] : raw)
                write(world.memory, data_prefix + path, bytes).value();
        }
    }

    TEST_CASE("in memory an event is in its one file when record returns (H20)") {
        World world;
        world.store.promised.survives_process = false;
        auto const log = world.open();
        for (int i = 0; i < 5; ++i) {
            record(*log, at("2026-02-13T14:00"), std::to_string(i));
            CHECK(world.files("raw/").size() == 1);
            CHECK(stored_names(*log, two).size() == static_cast<std::size_t>(i) + 1);
        }
        for (auto const& [path, bytes] : world.files(""))
            if (!path.starts_with("raw/"))
                CHECK((path.starts_with("state/") || path.starts_with("writers/")));
    }

    TEST_CASE("a process reads its own writes at every moment, none missing and none doubled (H20)") {
        World world;
        auto const log = world.open();
        std::set<std::string> names;
        auto const add = [&](std::string const& name) {
            record(*log, at("2026-02-13T14:00"), name);
            names.insert(name);
        };
        add("landed");
        REQUIRE(log->flush());
        add("in flight");
        Gate before, after;
        world.store.hook = [&](Operation operation, std::string const&) {
            if (operation == Operation::append)
                before.pass();
            return World::Verdict{};
        };
        std::thread flusher([&] { CHECK(log->flush()); });
        before.wait_for_somebody();
        for (int i = 0; i < 20; ++i) {
            add("pending " + std::to_string(i));
            CHECK(all_names(*log, two) == each_once(names));
        }
        before.open();
        for (int i = 0; i < 200; ++i)
            CHECK(all_names(*log, two) == each_once(names));
        flusher.join();
        CHECK(all_names(*log, two) == each_once(names));
    }

    TEST_CASE("what lands between reading the storage and reading the buffer is in the answer (H20)") {
        World world;
        auto const log = world.open();
        record(*log, at("2026-02-13T14:00"), "early");
        REQUIRE(log->flush());
        record(*log, at("2026-02-13T14:01"), "between");
        Read_State seen;
        auto names = stored_names(*log, two, seen);
        REQUIRE(log->flush());
        record(*log, at("2026-02-13T14:02"), "after");
        auto const covers = seen.covers_json();
        REQUIRE(log->read_unlanded(two, seen, [&](Raw_Event const& event) -> Result<void> {
            ++names[name_in(event.json)];
            return {};
        }));
        CHECK(names == each_once({"early", "between", "after"}));
        CHECK(seen.covers_json() == covers);
    }

    TEST_CASE("a half-hour whose events land while half-hours are listed is listed (H20)") {
        World world;
        auto const log = world.open();
        record(*log, at("2026-02-13T14:30"), "stored");
        REQUIRE(log->flush());
        record(*log, at("2026-02-13T14:00"), "waiting");
        CHECK(log->windows(earliest_time, latest_time).value() == std::vector{two, half_past_two});
        CHECK(log->windows(half_past_two.start(), latest_time).value() == std::vector{half_past_two});
        CHECK(log->newest_window().value() == half_past_two);
        int lists = 0;
        world.store.hook = [&](Operation operation, std::string const&) {
            if (operation == Operation::list && ++lists == 2) // the first has gone past its place already
                CHECK(log->flush());
            return World::Verdict{};
        };
        CHECK(log->windows(earliest_time, latest_time).value() == std::vector{two, half_past_two});
        CHECK(lists >= 2);
        world.store.hook = nullptr;
        record(*log, at("2026-02-13T15:00"), "newest");
        CHECK(log->newest_window().value() == window("2026-02-13T15:00"));
    }

    TEST_CASE("durable: everyone whose event a failed write held is told, and nobody else") {
        World world;
        auto options = World::quiet();
        options.mode = Recording_Mode::durable;
        auto const log = world.open(options);
        record(*log, at("2026-02-13T14:00"), "good");
        Gate gate;
        std::atomic<int> appends{0};
        std::atomic<bool> broken{true};
        world.store.hook = [&](Operation operation, std::string const& key) {
            if (operation == Operation::append && ++appends == 1)
                gate.pass();
            bool const fails =
                broken && is_below(key, "raw/") && (operation == Operation::append || operation == Operation::put);
            return World::Verdict{fails ? Kind::fail : Kind::go_on};
        };
        std::atomic<int> told{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&, i] {
                auto const recorded = try_record(*log, at("2026-02-13T14:00"), "bad " + std::to_string(i));
                if (!recorded && recorded.error().code == Errc::indeterminate)
                    ++told;
            });
            if (i == 0)
                gate.wait_for_somebody();
        }
        wait_until([&] { return log->counts().recorded == 9; });
        gate.open();
        for (auto& thread : threads)
            thread.join();
        CHECK(told == 8);
        CHECK(log->counts().failed_flushes == 2); // the first one's write, and one for all the others
        CHECK(log->counts().last_problem != "");
        broken = false;
        record(*log, at("2026-02-13T14:00"), "good again");
        CHECK(log->counts().last_problem == "");
        auto const names = stored_names(*log, two); // what was tried again is there as well, once
        CHECK(names.size() == 10);
        for (auto const& [name, times] : names)
            CHECK(times == 1);
    }

    TEST_CASE("whatever write fails, and however, no event is lost or doubled at any moment") {
        // Fails the Nth write, for N = 1, 2, 3 ... until a whole run meets none.
        for (auto const kind : {Kind::fail, Kind::unknown_before, Kind::unknown_after})
            for (auto const mode : {Recording_Mode::buffered, Recording_Mode::durable})
                for (bool const survives : {true, false})
                    for (int in_a_row : {1, 2, 5}) {
                        int runs = 0;
                        for (int n = 1, injected = 1; injected > 0; ++n, ++runs) {
                            CAPTURE(static_cast<int>(kind));
                            CAPTURE(static_cast<int>(mode));
                            CAPTURE(survives);
                            CAPTURE(in_a_row);
                            CAPTURE(n);
                            injected = 0;
                            World world;
                            world.store.promised.survives_process = survives;
                            auto options = World::quiet();
                            options.mode = mode;
                            auto log = world.open(options);
                            world.close_ledger(at("2026-02-13T13:30"));
                            int writes = 0;
                            world.store.hook = [&](Operation operation, std::string const&) {
                                bool const counts = operation == Operation::put || operation == Operation::append;
                                if (!counts || ++writes < n || writes >= n + in_a_row)
                                    return World::Verdict{};
                                ++injected;
                                return World::Verdict{kind, Errc::no_space};
                            };
                            std::map<Base_Window, std::set<std::string>> recorded;
                            auto const add = [&](char const* time, char const* name) {
                                (void)try_record(*log, at(time), name);
                                recorded[Base_Window::containing(at(time))].insert(name);
                                for (auto const& [in, names] : recorded)
                                    REQUIRE(all_names(*log, in) == each_once(names));
                            };
                            auto const flush = [&] {
                                (void)log->flush();
                                for (auto const& [in, names] : recorded)
                                    REQUIRE(all_names(*log, in) == each_once(names));
                            };
                            add("2026-02-13T14:00", "a");
                            flush();
                            add("2026-02-13T14:01", "b");
                            add("2026-02-13T14:02", "c");
                            flush();
                            add("2026-02-13T13:00", "late");
                            add("2026-02-13T14:03", "d");
                            flush();
                            add("2026-02-13T13:01", "late too");
                            add("2026-02-13T14:04", "e");
                            add("2026-02-13T14:05", "f");
                            int closings = 0;
                            while (!log->close() && ++closings < 100)
                                flush();
                            REQUIRE(closings < 100);
                            auto const reader = world.open();
                            for (auto const& [in, names] : recorded)
                                REQUIRE(in_words(stored_names(*reader, in)) == in_words(each_once(names)));
                            auto const late = world.late(at("2026-02-13T13:00"), at("2026-02-13T13:30"));
                            REQUIRE(late.late_events == 2);
                            REQUIRE(late.revision >= 1);
                            REQUIRE(world.files("writers/").empty());
                        }
                        CHECK(runs > 8);
                    }
    }

    TEST_CASE("one half-hour that cannot be written keeps no other from landing (H3)") {
        World world;
        auto const log = world.open();
        record(*log, at("2026-02-13T14:00"), "stuck");
        record(*log, at("2026-02-13T14:30"), "free");
        world.store.hook = [&](Operation operation, std::string const& key) {
            bool const broken = key.find("/raw/2026/02/13/14/17709912") != std::string::npos &&
                                (operation == Operation::append || operation == Operation::put);
            return World::Verdict{broken ? Kind::fail : Kind::go_on};
        };
        for (int i = 0; i < 3; ++i) {
            CHECK_FALSE(log->flush());
            record(*log, at("2026-02-13T14:30"), "free " + std::to_string(i));
        }
        CHECK(stored_names(*log, half_past_two) == each_once({"free", "free 0", "free 1"}));
        CHECK(all_names(*log, two) == each_once({"stuck"}));
        CHECK(log->counts().failed_flushes == 3);
        world.store.hook = nullptr;
        REQUIRE(log->flush());
        CHECK(stored_names(*log, two) == each_once({"stuck"}));
        CHECK(log->counts().landed == 5);
    }

    TEST_CASE("a full buffer refuses the newest, counts them, and leaves no hole (H3)") {
        World world;
        auto options = World::quiet();
        options.buffer_bytes = 1'000;
        auto const log = world.open(options);
        std::set<std::string> kept;
        std::uint64_t refused = 0;
        for (int i = 0; i < 100; ++i) {
            auto const name = std::to_string(i);
            auto const recorded = try_record(*log, at("2026-02-13T14:00"), name);
            if (recorded)
                kept.insert(name);
            else if (recorded.error().code == Errc::throttled)
                ++refused;
            if (i == 70)
                REQUIRE(log->flush());
        }
        CHECK(refused > 0);
        CHECK(log->counts().dropped == refused);
        CHECK(log->counts().recorded == kept.size());
        CHECK(log->counts().waiting_bytes <= 1'100);
        REQUIRE(log->flush());
        CHECK(stored_names(*log, two) == each_once(kept));
        CHECK(log->counts().waiting_bytes == 0);
    }

    TEST_CASE("two writers forced to one id lose nothing (H5)") {
        for (bool const survives : {true, false}) {
            World world;
            world.store.promised.survives_process = survives;
            std::vector<std::unique_ptr<World::Log>> logs;
            for (int i = 0; i < 3; ++i) {
                auto options = World::quiet();
                options.new_writer_id = [forced = std::make_shared<bool>(true)] {
                    return std::exchange(*forced, false) ? std::string("0123456789abcdef") : random_hex(8);
                };
                logs.push_back(world.open(options));
            }
            std::map<Base_Window, std::set<std::string>> recorded;
            for (int round = 0; round < 4; ++round)
                for (std::size_t i = 0; i < logs.size(); ++i)
                    for (auto const& time : {at("2026-02-13T14:00"), at("2026-02-13T14:30")}) {
                        auto const name = std::to_string(i) + "-" + std::to_string(round);
                        record(*logs[i], time, name);
                        recorded[Base_Window::containing(time)].insert(name);
                        if (round % 2 == 1)
                            REQUIRE(logs[i]->flush());
                    }
            for (auto const& log : logs)
                REQUIRE(log->close());
            for (auto const& [in, names] : recorded)
                CHECK(stored_names(*world.open(), in) == each_once(names));
            CHECK(world.files("writers/").empty());
        }
    }

    TEST_CASE("a writer whose piece somebody else has touched goes on under a new id (H5)") {
        World world;
        auto const log = world.open();
        record(*log, at("2026-02-13T14:00"), "a");
        REQUIRE(log->flush());
        auto const piece = world.files("raw/").begin()->first;
        auto const name = *Segment_Name::parse(piece.substr(piece.rfind('/') + 1));
        // A copy of the process, of a virtual machine started twice, appends its own second event.
        std::string line = event_text("of the copy");
        Line_Seal(name.writer, two).close_line(line, 0, 1);
        auto const bytes = world.files("raw/").begin()->second;
        REQUIRE(world.memory.append(Storage_Key(data_prefix + piece), bytes.size(), line, Durability::buffered));
        record(*log, at("2026-02-13T14:00"), "b");
        REQUIRE(log->flush());
        CHECK(stored_names(*log, two) == each_once({"a", "of the copy", "b"}));
        // The same when it has been taken away.
        for (auto const& [path, ignored] : world.files("raw/"))
            REQUIRE(world.memory.erase(Storage_Key(data_prefix + path), Precondition::none()));
        record(*log, at("2026-02-13T14:00"), "c");
        REQUIRE(log->flush());
        CHECK(all_names(*log, two) == each_once({"c"}));
    }

    TEST_CASE("ids that are always taken are reported, and nothing is lost meanwhile") {
        World world;
        auto options = World::quiet();
        options.new_writer_id = [] { return std::string("0123456789abcdef"); };
        auto const first = world.open(options);
        auto const second = world.open(options);
        record(*first, at("2026-02-13T14:00"), "a");
        REQUIRE(first->flush());
        record(*second, at("2026-02-13T14:00"), "b");
        CHECK(second->flush().error().code == Errc::conflict);
        CHECK(all_names(*second, two).size() == 1); // of one id, a query cannot tell them apart
        CHECK_FALSE(second->close());
        CHECK(second->counts().waiting_bytes > 0);
    }

    TEST_CASE("a process that asks for other settings is refused with both values named (H7)") {
        World world;
        auto with_grace = [&](std::chrono::milliseconds grace) {
            auto options = World::quiet();
            options.settings.grace = grace;
            return world.try_open(options);
        };
        auto const first = with_grace(10min).value();
        auto const second = with_grace(0ms);
        REQUIRE(second.has_error());
        CHECK(second.error().code == Errc::invalid_argument);
        CHECK(second.error().context.find(" 0 ") != std::string::npos);
        CHECK(second.error().context.find("600000") != std::string::npos);
        CHECK(with_grace(10min));
        CHECK(world.open()->settings().grace == 10min);
        auto options = World::quiet();
        options.settings.salt_period = "week";
        auto const other = world.try_open(options);
        REQUIRE(other.has_error());
        CHECK(other.error().context.find("week") != std::string::npos);
        CHECK(other.error().context.find("day") != std::string::npos);
    }

    TEST_CASE("whoever asks for nothing takes the settings that others created meanwhile (H7)") {
        World world;
        auto const open_minded = world.open();
        auto options = World::quiet();
        options.settings.grace = 1h;
        auto const wishful = world.open(options);
        record(*open_minded, at("2026-02-13T14:00"), "a");
        REQUIRE(open_minded->flush());
        CHECK(open_minded->settings().grace == 1h);
    }

    TEST_CASE("a half-hour stands in the manifest before its first byte lands, and until it is over and checked") {
        World world;
        bool unregistered = false;
        std::atomic<int> syncs{0};
        world.store.hook = [&](Operation operation, std::string const& key) {
            if (operation == Operation::sync)
                ++syncs;
            if ((operation == Operation::append || operation == Operation::put) && is_below(key, "raw/")) {
                auto const in = Raw_Reader<World::Store>(world.store, log_paths()).window_of(key);
                auto const manifests = world.files("writers/");
                unregistered = unregistered || manifests.size() != 1 ||
                               !Writer_Manifest::from_json(manifests.begin()->second).value().open.contains(*in);
            }
            return World::Verdict{};
        };
        auto const open_windows = [&] {
            return Writer_Manifest::from_json(world.files("writers/").begin()->second).value().open;
        };
        auto options = World::quiet();
        options.flush_interval = options.check_interval = 1ms;
        auto const log = world.open(options);
        record(*log, at("2026-02-13T14:00"), "a");
        record(*log, at("2026-02-13T14:30"), "b");
        REQUIRE(log->flush());
        CHECK(open_windows() == std::set{two, half_past_two});
        world.clock->set(two.end() + default_grace); // not yet behind it
        for (int i = 0; i < 2; ++i) { // the second sync comes after all that the round of the first one does
            record(*log, at("2026-02-13T14:31"), "c" + std::to_string(i));
            wait_until([&, before = syncs.load()] { return syncs > before; });
        }
        CHECK(open_windows() == std::set{two, half_past_two});
        world.clock->advance(1ms);
        record(*log, at("2026-02-13T14:32"), "d");
        wait_until([&] { return open_windows() == std::set{half_past_two}; });
        record(*log, at("2026-02-13T14:03"), "straggler"); // registered again, at the next position
        REQUIRE(log->flush());
        CHECK(stored_names(*log, two) == each_once({"a", "straggler"}));
        CHECK_FALSE(unregistered);
        REQUIRE(log->close());
        CHECK(world.files("writers/").empty());
    }

    TEST_CASE("a half-hour stays in the manifest while its events could be lost or its mark is not stored (H21)") {
        for (auto const broken : {Operation::sync, Operation::put}) {
            World world;
            auto options = World::quiet();
            options.flush_interval = options.check_interval = 1ms;
            auto const log = world.open(options);
            world.close_ledger(two.end());
            world.clock->set(at("2026-02-13T16:00"));
            std::atomic<int> tries{0};
            std::atomic<bool> works{false};
            world.store.hook = [&](Operation operation, std::string const& key) {
                bool const fails = operation == broken && !works && (key.empty() || is_below(key, "late/"));
                if (fails)
                    ++tries;
                return World::Verdict{fails ? Kind::fail : Kind::go_on};
            };
            record(*log, at("2026-02-13T14:00"), "late");
            auto const is_registered = [&] {
                return world.files("writers/").begin()->second.find("14:00") != std::string::npos;
            };
            wait_until([&] { return tries >= 5; });
            CHECK(is_registered());
            CHECK(log->counts().last_problem.find("injected") != std::string::npos);
            works = true;
            wait_until([&] { return !is_registered(); });
            CHECK(world.late(two.start(), two.end()).late_events == 1);
        }
    }

    TEST_CASE("the background thread lands, marks and retires by itself, then sleeps") {
        World world;
        auto options = World::quiet();
        options.flush_interval = options.check_interval = 1ms;
        auto const log = world.open(options);
        world.close_ledger(two.end());
        std::atomic<int> operations{0};
        world.store.hook = [&](Operation, std::string const&) {
            ++operations;
            return World::Verdict{};
        };
        record(*log, at("2026-02-13T14:00"), "late");
        wait_until([&] { return world.late(two.start(), two.end()).revision > 0; });
        for (int i = 0; i < 3; ++i) {
            record(*log, at("2026-02-13T14:30"), std::to_string(i));
            wait_until([&] { return log->counts().landed == static_cast<std::uint64_t>(i) + 2; });
        }
        // Idle it is when a while has passed in which it could have done much.
        int quiet_rounds = 0;
        while (quiet_rounds < 3) {
            auto const before = operations.load();
            std::this_thread::sleep_for(20ms);
            quiet_rounds = operations == before ? quiet_rounds + 1 : 0;
        }
        CHECK(quiet_rounds == 3);
    }

    TEST_CASE("a batch that has grown to its size is landed before its interval is over") {
        World world;
        auto options = World::quiet(); // an hour between flushes
        options.land_bytes = 1'000;
        auto const log = world.open(options);
        record(*log, at("2026-02-13T14:00"), "a");
        std::this_thread::sleep_for(5ms); // no proof, but a chance to land too early
        CHECK(log->counts().landed == 0);
        record(*log, at("2026-02-13T14:00"), std::string(1'000, 'b'));
        wait_until([&] { return log->counts().landed == 2; });
    }

    TEST_CASE("however long a sync takes, events land meanwhile") {
        World world;
        auto options = World::quiet();
        options.flush_interval = options.check_interval = 1ms;
        auto const log = world.open(options);
        Gate gate;
        world.store.hook = [&](Operation operation, std::string const&) {
            if (operation == Operation::sync)
                gate.pass();
            return World::Verdict{};
        };
        record(*log, at("2026-02-13T14:00"), "before");
        gate.wait_for_somebody();
        record(*log, at("2026-02-13T14:01"), "meanwhile");
        wait_until([&] { return log->counts().landed == 2; });
        CHECK(stored_names(*log, two) == each_once({"before", "meanwhile"}));
        gate.open();
    }

    TEST_CASE("a storage that fails is tried again ever more rarely, and the counts say so") {
        World world;
        auto options = World::quiet();
        options.flush_interval = 1ms;
        auto const log = world.open(options);
        std::atomic<bool> works{false};
        world.store.hook = [&](Operation operation, std::string const&) {
            return World::Verdict{
                (operation != Operation::append && operation != Operation::put) || works ? Kind::go_on : Kind::fail};
        };
        auto const start = std::chrono::steady_clock::now();
        record(*log, at("2026-02-13T14:00"), "a");
        wait_until([&] { return log->counts().failed_flushes >= 7; });
        // Seven tries lie 1 + 2 + 4 + ... + 64 ms apart, however slow the machine is.
        CHECK(std::chrono::steady_clock::now() - start >= 127ms);
        CHECK(log->counts().last_problem.find("injected") != std::string::npos);
        CHECK(log->counts().waiting_bytes > 0);
        works = true;
        wait_until([&] { return log->counts().landed == 1 && log->counts().last_problem.empty(); });
        CHECK(stored_names(*log, two) == each_once({"a"}));
    }

    TEST_CASE("a log that is dropped right after its first event lands it and leaves no thread behind") {
        World world;
        record(*world.open(World::quiet()), at("2026-02-13T14:00"), "a");
        CHECK(stored_names(*world.open(), two) == each_once({"a"}));
    }

    TEST_CASE("closing does not wait out a pause, can be repeated, and is final") {
        World world;
        auto options = World::quiet(); // an hour between flushes
        auto log = world.open(options);
        record(*log, at("2026-02-13T14:00"), "a");
        world.store.hook = [&](Operation operation, std::string const&) {
            return World::Verdict{operation == Operation::append || operation == Operation::put ? Kind::fail
                                                                                                : Kind::go_on};
        };
        CHECK_FALSE(log->close());
        CHECK_FALSE(log->close()); // still not landed, so still no success
        CHECK(try_record(*log, at("2026-02-13T14:00"), "b").error().code == Errc::closed);
        CHECK(all_names(*log, two) == each_once({"a"}));
        world.store.hook = nullptr;
        CHECK(log->close());
        CHECK(log->close());
        CHECK(world.files("writers/").empty());
        log.reset();
        CHECK(stored_names(*world.open(), two) == each_once({"a"}));
    }

    TEST_CASE("a writer that dies between landing and mark is found by the next one (H10)") {
        World world;
        auto options = World::quiet();
        auto writer = world.open(options);
        record(*writer, at("2026-02-13T14:00"), "in time");
        REQUIRE(writer->flush());
        world.close_ledger(two.end());
        record(*writer, at("2026-02-13T14:01"), "late");
        record(*writer, at("2026-02-13T14:31"), "in an open half-hour");
        world.store.hook = [&](Operation operation, std::string const& key) {
            bool const dies = operation == Operation::get && is_below(key, "state/ledger");
            return World::Verdict{dies ? Kind::fail : Kind::go_on};
        };
        CHECK_FALSE(writer->flush()); // landed, but not looked at
        World after;                  // what its death leaves
        for (auto const& [path, bytes] : world.files(""))
            write(after.memory, data_prefix + path, bytes).value();
        auto const next = after.open();
        REQUIRE(next->adopt_dead_writers()); // it still lives: nothing happens
        CHECK(after.files("writers/").size() == 1);
        CHECK(after.late(two.start(), two.end()).revision == 0);
        after.kill_writers();
        for (int twice = 0; twice < 2; ++twice) {
            REQUIRE(next->adopt_dead_writers());
            CHECK(after.files("writers/").empty());
            CHECK(after.late(two.start(), two.end()).revision == 1);
            CHECK(after.late(half_past_two.start(), half_past_two.end()).revision == 0);
            CHECK(after.files("late/").size() == 1);
        }
        CHECK(stored_names(*next, two) == each_once({"in time", "late"}));
    }

    TEST_CASE(
        "a writer on another machine is taken for dead an hour behind its last word and the ends of its half-hours") {
        World world;
        world.close_ledger(at("2026-02-10T15:00"));
        auto const log = world.open();
        auto const of_days_ago = at("2026-02-10T14:00");
        record(*log, of_days_ago, "a");
        REQUIRE(log->flush());
        world.clock->advance(2h);
        record(*log, of_days_ago + 30min, "b"); // another half-hour: the manifest changes
        REQUIRE(log->flush());
        auto const changed = world.clock->now();
        for (auto const& [path, text] : world.files("writers/")) {
            auto manifest = Writer_Manifest::from_json(text).value();
            CHECK(manifest.changed_at == changed);
            CHECK(manifest.started_at == changed - 2h);
            manifest.process.host = "elsewhere";
            write(world.memory, data_prefix + path, manifest.to_json()).value();
        }
        auto const next = world.open();
        world.clock->set(changed + 1h - 1ms);
        REQUIRE(next->adopt_dead_writers());
        CHECK(world.files("writers/").size() == 1);
        world.clock->advance(1ms);
        REQUIRE(next->adopt_dead_writers());
        CHECK(world.files("writers/").empty());

        record(*log, at("2026-02-13T18:30"), "c"); // in a half-hour that is open for long yet
        REQUIRE(log->flush());
        auto const registered = world.files("writers/");
        REQUIRE(registered.size() == 1);
        auto manifest = Writer_Manifest::from_json(registered.begin()->second).value();
        manifest.process.host = "elsewhere";
        write(world.memory, data_prefix + registered.begin()->first, manifest.to_json()).value();
        world.clock->set(at("2026-02-13T20:00") - 1ms);
        REQUIRE(next->adopt_dead_writers());
        CHECK(world.files("writers/").size() == 1);
        world.clock->advance(1ms);
        REQUIRE(next->adopt_dead_writers());
        CHECK(world.files("writers/").empty());
    }

    TEST_CASE("of a machine that fell silent each half-hour is adopted when it is over, and all after a day") {
        World world;
        auto const log = world.open();
        auto const tomorrow = at("2026-02-14T13:00"); // its clock, or that of a client, runs ahead
        record(*log, two.start(), "a");
        record(*log, tomorrow, "b");
        REQUIRE(log->flush());
        auto const changed = world.clock->now();
        auto const path = data_prefix + world.files("writers/").begin()->first;
        auto manifest = Writer_Manifest::from_json(read(world.memory, path).value().value()).value();
        manifest.process.host = "elsewhere";
        REQUIRE(write(world.memory, path, manifest.to_json()));
        auto const next = world.open();
        auto const left = [&] {
            REQUIRE(next->adopt_dead_writers());
            auto const text = read(world.memory, path).value();
            return text ? Writer_Manifest::from_json(*text).value().open : std::set<Base_Window>();
        };
        world.close_ledger(two.end());
        world.clock->set(two.end() + 1h - 1ms);
        CHECK(left().size() == 2);
        world.clock->set(two.end() + 1h);
        CHECK(left() == std::set{Base_Window::containing(tomorrow)});
        CHECK(world.late(two.start(), two.end()).revision == 1);
        world.clock->set(changed + 24h - 1ms); // of the writer's last word, not of the adopter's
        CHECK(left().size() == 1);
        world.clock->set(changed + 24h);
        CHECK(left().empty());
        CHECK(world.files("writers/").empty());

        // It lives after all: the half-hour is entered again before more lands in it, under the same id.
        manifest.process = Process_Identity::current();
        REQUIRE(write(world.memory, path, manifest.to_json()));
        record(*log, two.start() + 1s, "c");
        REQUIRE(log->flush());
        CHECK(data_prefix + world.files("writers/").begin()->first == path);
        CHECK(stored_names(*log, two) == each_once({"a", "c"}));
    }

    TEST_CASE("damage in the events of one dead writer keeps no other from being adopted") {
        World world;
        for (auto const* time : {"2026-02-13T14:00", "2026-02-13T14:30"}) {
            auto options = World::quiet(); // the one that will be damaged is listed first
            options.new_writer_id = [&] { return std::string(16, world.files("kept/").empty() ? '0' : 'f'); };
            auto log = world.open(options);
            for (int i = 0; i < 3; ++i)
                record(*log, at(time), std::to_string(i));
            REQUIRE(log->flush());
            for (auto const& [path, bytes] : world.files(""))
                if (path.starts_with("writers/"))
                    world.memory.put(Storage_Key(data_prefix + "kept/" + path), bytes, Precondition::none()).value();
            REQUIRE(log->close());
        }
        for (auto const& [path, bytes] : world.files("kept/"))
            write(world.memory, data_prefix + path.substr(5), bytes).value();
        world.kill_writers();
        REQUIRE(world.files("writers/").size() == 2);
        auto const [path, bytes] = *world.files("raw/").begin();
        auto damaged = bytes;
        damaged[damaged.find(R"("n":"1")") + 5] = 'x';
        write(world.memory, data_prefix + path, damaged).value();
        world.close_ledger(at("2026-02-13T15:00"));
        auto const next = world.open();
        auto const adopted = next->adopt_dead_writers();
        REQUIRE(adopted.has_error());
        CHECK(adopted.error().code == Errc::corrupt_data);
        CHECK(world.files("writers/").size() == 1);
        CHECK(world.late(half_past_two.start(), half_past_two.end()).revision == 1);
    }

    TEST_CASE("a writer that was taken for dead registers everything again before it lands more") {
        World world;
        auto const log = world.open();
        record(*log, at("2026-02-13T14:00"), "a");
        record(*log, at("2026-02-13T14:30"), "b");
        REQUIRE(log->flush());
        auto const manifest = world.files("writers/").begin()->first;
        REQUIRE(world.memory.erase(Storage_Key(data_prefix + manifest), Precondition::none()));
        world.clock->set(two.end() + default_grace + 1ms);
        record(*log, at("2026-02-13T14:01"), "c");
        REQUIRE(log->flush());
        auto const manifests = world.files("writers/");
        REQUIRE(manifests.size() == 1);
        CHECK(manifests.begin()->first == manifest); // the same writer
        CHECK(Writer_Manifest::from_json(manifests.begin()->second).value().open == std::set{two, half_past_two});
        CHECK(stored_names(*log, two) == each_once({"a", "c"}));
    }

    TEST_CASE("ten thousand late events become one mark by the timer, and each is counted (H12)") {
        World world;
        auto options = World::quiet();
        options.flush_interval = options.check_interval = 1ms;
        auto const log = world.open(options);
        world.close_ledger(at("2026-02-14T00:00"));
        world.clock->set(at("2026-02-14T12:00"));
        std::atomic<int> checks{0};
        world.store.hook = [&](Operation operation, std::string const& key) {
            if (operation == Operation::get && is_below(key, "state/ledger"))
                ++checks;
            return World::Verdict{};
        };
        constexpr int count = 10'000;
        for (int i = 0; i < count; ++i) {
            record(*log, at("2026-02-13T00:00") + std::chrono::seconds(8 * i), std::to_string(i));
            if (i % (count / 20) == 0)
                wait_until([&, before = checks.load()] { return checks > before; });
        }
        wait_until([&, before = checks.load()] { return checks > before + 1; });
        CHECK(checks > 20);
        CHECK(world.files("late/").size() == 1);
        REQUIRE(log->flush());
        CHECK(world.files("late/").size() == 2);
        CHECK(world.late(at("2026-02-13T00:00"), at("2026-02-14T00:00")).late_events == count);
    }

    TEST_CASE("lateness is decided by the ledger alone, and every mark has the number of its events") {
        World world;
        auto const log = world.open();
        record(*log, at("2026-02-13T14:00"), "in time");
        REQUIRE(log->flush());
        world.clock->set(at("2026-02-13T18:00"));
        record(*log, at("2026-02-13T14:01"), "behind the grace, but not closed");
        REQUIRE(log->flush());
        CHECK(world.files("late/").empty());
        world.close_ledger(two.end());
        world.clock->set(at("2026-02-13T14:02")); // what the writer's clock says changes nothing
        for (int i = 0; i < 3; ++i)
            record(*log, at("2026-02-13T14:02"), "late" + std::to_string(i));
        record(*log, at("2026-02-13T14:30"), "open");
        REQUIRE(log->flush());
        auto const marks = world.files("late/");
        REQUIRE(marks.size() == 1);
        CHECK(marks.begin()->first.starts_with("late/2026/02/13__000010000000__"));
        CHECK(world.late(two.start(), two.end()).late_events == 3);
        CHECK(world.late(half_past_two.start(), half_past_two.end()).revision == 0);
    }

    TEST_CASE("an event that lands while a mark's fate is unknown gets a mark of its own") {
        for (auto const kind : {Kind::fail, Kind::unknown_before, Kind::unknown_after}) {
            World world;
            auto const log = world.open();
            world.close_ledger(two.end());
            bool once = true;
            world.store.hook = [&](Operation operation, std::string const& key) {
                if (operation == Operation::put && is_below(key, "late/") && std::exchange(once, false))
                    return World::Verdict{kind};
                return World::Verdict{};
            };
            record(*log, at("2026-02-13T14:00"), "first");
            CHECK_FALSE(log->flush());
            auto const seen_by_a_query = world.late(two.start(), two.end()).revision;
            record(*log, at("2026-02-13T14:01"), "second");
            REQUIRE(log->flush());
            auto const late = world.late(two.start(), two.end());
            CHECK(late.late_events == 2);
            CHECK(late.revision == 2);
            CHECK(late.revision > seen_by_a_query);
        }
    }

    TEST_CASE("what saved windows take from the log is the same whoever reads it, whenever (H16)") {
        World world;
        {
            auto const log = world.open();
            record(*log, at("2026-02-13T14:00"), "in time");
            REQUIRE(log->flush());
            world.close_ledger(two.end());
            world.clock->set(at("2026-02-13T15:00"));
            record(*log, at("2026-02-13T14:01"), "late");
            REQUIRE(log->close());
        }
        auto const facts = [&] {
            Read_State seen;
            auto const log = world.open();
            (void)stored_names(*log, two, seen);
            auto const late = world.late(two.start(), two.end());
            return std::tuple(seen.covers_json(), seen.newest_at, late.revision, late.late_events, late.newest_at);
        };
        auto const now = facts();
        CHECK(std::get<1>(now) == at("2026-02-13T14:10"));
        CHECK(std::get<2>(now) == 1);
        CHECK(std::get<3>(now) == 1);
        CHECK(std::get<4>(now) == at("2026-02-13T15:00"));
        world.clock->advance(24h);
        CHECK(facts() == now);
    }

    TEST_CASE("an import that is repeated, or met by another of the same content, changes nothing") {
        World world;
        auto const log = world.open();
        auto const writer = std::string("fedcba9876543210");
        Bytes lines;
        for (std::uint64_t i = 0; i < 3; ++i) {
            auto const begin = lines.size();
            lines += event_text("i" + std::to_string(i));
            Line_Seal(writer, two).close_line(lines, begin, i);
        }
        Segment_Name const name{two.start(), writer, 0, 3};
        world.close_ledger(two.end());
        auto const run = [&] {
            REQUIRE(log->register_import(writer, {two}));
            REQUIRE(world.files("writers/").size() == 1);
            REQUIRE(log->land_import(name, two, two.start() + 5min, lines));
            REQUIRE(log->finish_import(writer, {{two, 3}}));
        };
        auto const stored = [&] { // but for when it came
            auto files = world.files("");
            CHECK(files.erase("state/received.json") == 1);
            return files;
        };
        run();
        auto const once = stored();
        CHECK(stored_names(*log, two) == each_once({"i0", "i1", "i2"}));
        auto const late = world.late(two.start(), two.end());
        CHECK(late.revision == 1);
        CHECK(late.late_events == 0);
        CHECK(world.files("writers/").empty());
        world.clock->advance(1h);
        run();
        CHECK(stored() == once);
        // What a loss of power left of it is made whole.
        auto const piece = data_prefix + world.files("raw/").begin()->first;
        write(world.memory, piece, once.at("raw/" + piece.substr(data_prefix.size() + 4)).substr(0, 150)).value();
        run();
        CHECK(stored() == once);
    }

    TEST_CASE("an import's events are safe before its mark is put (H21)") {
        World world;
        auto const log = world.open();
        world.close_ledger(two.end());
        world.store.hook = [&](Operation operation, std::string const&) {
            return World::Verdict{operation == Operation::sync ? Kind::fail : Kind::go_on};
        };
        CHECK_FALSE(log->finish_import("fedcba9876543210", {{two, 3}}));
        CHECK(world.files("late/").empty());
    }

    TEST_CASE("random recording, flushing and failing from several threads: each event once") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        World world;
        auto options = World::quiet();
        options.flush_interval = options.check_interval = 1ms;
        auto const log = world.open(options);
        std::mutex dice_mutex;
        std::mt19937 dice(seed);
        auto const roll = [&](unsigned sides) {
            std::unique_lock const lock(dice_mutex);
            return dice() % sides;
        };
        std::atomic<bool> fails{true};
        world.store.hook = [&](Operation operation, std::string const&) {
            if (fails && (operation == Operation::put || operation == Operation::append) && roll(5) == 0)
                return World::Verdict{std::array{Kind::fail, Kind::unknown_before, Kind::unknown_after}.at(roll(3))};
            return World::Verdict{};
        };
        std::vector<std::thread> threads;
        constexpr int thread_count = 4, each = 250;
        for (int t = 0; t < thread_count; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i < each; ++i) {
                    auto const time = at("2026-02-13T14:00") + std::chrono::minutes(roll(60));
                    CHECK(try_record(*log, time, std::to_string(t) + "-" + std::to_string(i)));
                    if (roll(20) == 0)
                        (void)log->flush();
                }
            });
        for (auto& thread : threads)
            thread.join();
        fails = false;
        REQUIRE(log->close());
        auto names = stored_names(*world.open(), two);
        names.merge(stored_names(*world.open(), half_past_two));
        CHECK(names.size() == thread_count * each);
        for (auto const& [name, times] : names)
            CHECK(times == 1);
    }
}
