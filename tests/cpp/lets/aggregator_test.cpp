// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/test_event.hpp"
#include "support/test_seed.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <thread>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

using Store = Wrapped_Storage<Storage_Memory>;
using Log = Event_Log<Store>;
using Aggregator = LETS_Aggregator<Store, Test_Event, Test_Summary>;

/// "2026-02-13T14:10"
auto at(std::string const& minute) -> Utc_Time {
    return Window::parse(Window_Type::hourly, minute.substr(0, 13)).value().start() +
           std::chrono::minutes(std::stoi(minute.substr(14)));
}
auto window(Window_Type type, std::string_view key) -> Window { return Window::parse(type, key).value(); }

/// One process: a log and an aggregator with a clock of their own on a store that may be shared.
struct Process {
    explicit Process(Store& store, Utc_Time now, Event_Log_Options options = testing::quiet_log())
        : clock(std::make_shared<Manual_Clock>(now)),
          log(Log::open(store, Log_Paths("cache", Namespace_Name("analytics")), clock, options).value()),
          aggregator(store, *log) {}

    void record(Utc_Time time, std::string const& name) {
        Test_Event const event{time, name};
        REQUIRE(log->record(time, [&](std::string& out) { event.append_json(out); }));
    }
    auto ask(Window_Type type, std::string_view key) -> Aggregator::Answer {
        return aggregator.query(window(type, key)).value();
    }
    auto total(Window_Type type, std::string_view key) -> std::uint64_t { return ask(type, key).summary->total; }

    std::shared_ptr<Manual_Clock> clock;
    std::unique_ptr<Log> log;
    Aggregator aggregator;
};

struct World {
    Storage_Memory memory;
    Store store{memory};
    auto files(std::string const& below) -> std::map<std::string, std::string> {
        std::map<std::string, std::string> found;
        for (auto const& path : files_list(memory, "cache/analytics/data/" + below).value())
            found[path] = read(memory, path).value().value();
        return found;
    }
    void remove_all(std::string const& below) {
        for (auto const& entry : files(below))
            REQUIRE(memory.erase(Storage_Key(entry.first), Precondition::none()));
    }
};

} // namespace

TEST_SUITE("lets/aggregator") {
    TEST_CASE("one recorded event is one file below the raw path of its own hour, without any flush") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:30") + 5ms, "e1");
        auto const raw = world.files("raw/");
        REQUIRE(raw.size() == 1);
        CHECK(raw.begin()->first.find("cache/analytics/data/raw/2026/02/13/14/1770993000005__") == 0);
        process.record(at("2026-02-13T14:30") + 6ms, "e2");
        CHECK(world.files("raw/").size() == 1);
    }

    TEST_CASE("every level of a random history equals a recount, live and final, and is stored once final") {
        auto const seed = testing::seed_of_run();
        INFO("MEMFS_CACHE_TEST_SEED=", seed);
        std::mt19937_64 random(seed);
        World world;
        Process process(world.store, at("2024-03-10T00:00"));
        std::map<std::string, std::map<std::string, std::uint64_t>> expected; // level/key -> name -> count
        for (int i = 0; i < 400; ++i) {
            // Around a leap day, a month edge and an ISO week edge.
            auto const time = at("2024-02-24T00:00") + std::chrono::milliseconds(random() % (14 * 86'400'000ULL));
            auto const name = "n" + std::to_string(random() % 50);
            process.record(time, name);
            for (auto const type : all_window_types)
                ++expected[Window::containing(type, time).file()][name];
        }
        for (bool const final : {false, true}) {
            if (final)
                process.clock->set(at("2025-01-02T00:00"));
            for (auto const& entry : expected) {
                auto const& file = entry.first;
                auto const& names = entry.second;
                CAPTURE(file);
                auto const answer = process.aggregator.query(*Window::from_file(file)).value();
                std::map<std::string, std::uint64_t> got;
                for (auto const& [name, times] : answer.summary->names.top(1000))
                    got[std::string(name)] = times;
                REQUIRE(got == names);
                REQUIRE(answer.recorded);
                if (final)
                    REQUIRE(answer.final);
                REQUIRE(answer.late_events == 0);
                REQUIRE(read(world.memory, "cache/analytics/data/aggregations/" + file).value().has_value() ==
                        answer.final);
            }
        }
    }

    TEST_CASE("a window asked while open and again after it closed gives the complete total at every level") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T14:00") + 1s, "early");
        for (auto const type : all_window_types) {
            auto const open = process.aggregator.query(Window::containing(type, at("2026-02-13T14:00"))).value();
            CHECK(open.summary->total == 1);
            CHECK_FALSE(open.final);
        }
        CHECK(world.files("aggregations/").empty());
        process.clock->set(at("2026-02-13T14:00") + 29min);
        process.record(at("2026-02-13T14:00") + 28min, "late in the window");
        process.clock->set(at("2027-01-01T00:00") + default_grace);
        for (auto const type : all_window_types) {
            auto const closed = process.aggregator.query(Window::containing(type, at("2026-02-13T14:00"))).value();
            CHECK(closed.summary->total == 2);
            CHECK(closed.final);
        }
    }

    TEST_CASE("a window is final only after its end and the grace, and a parent only with all its children") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T14:00"), "a");
        process.clock->set(at("2026-02-13T14:30") + default_grace - 1ms);
        CHECK_FALSE(process.ask(Window_Type::half_hour, "2026-02-13T14:00").final);
        process.clock->advance(1ms);
        auto const final = process.ask(Window_Type::half_hour, "2026-02-13T14:00");
        CHECK(final.final);
        CHECK(final.computed_at == at("2026-02-13T14:30") + default_grace);
        CHECK_FALSE(process.ask(Window_Type::hourly, "2026-02-13T14").final);
        process.clock->set(at("2026-02-13T15:00") + default_grace);
        CHECK(process.ask(Window_Type::hourly, "2026-02-13T14").final);
    }

    TEST_CASE("the second question about a final window reads no raw event") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T14:00"), "a");
        process.clock->set(at("2026-03-02T00:00"));
        for (auto const* key : {"2026-02-13"})
            CHECK(process.total(Window_Type::daily, key) == 1);
        Process other(world.store, at("2026-03-02T00:00")); // nothing remembered
        std::uint64_t raw_reads = 0;
        world.store.hook = [&](Store::Operation, std::string const& key) {
            if (key.find("/raw/") != std::string::npos)
                ++raw_reads;
            return Store::Verdict{};
        };
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 1);
        CHECK(other.total(Window_Type::daily, "2026-02-13") == 1);
        CHECK(raw_reads == 0);
    }

    TEST_CASE("events are synced before what counts them, that once before it is answered, and nothing without need") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:00"), "a");
        process.record(at("2026-02-13T15:40"), "b");
        REQUIRE(process.log->flush());
        process.clock->set(at("2026-03-02T00:00"));
        std::string order; // of the writes of windows and of the syncs
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            if (operation == Store::Operation::put && key.find("/aggregations/") != std::string::npos)
                order += 'w';
            if (operation == Store::Operation::sync)
                order += 's';
            return Store::Verdict{};
        };
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 2);
        CHECK(order == "swwwwws"); // between the syncs two half-hours, two hours and the day
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 2);
        CHECK(order == "swwwwws");
    }

    TEST_CASE("an answer that could not be synced is an error, and the next one tries again") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:00"), "a");
        REQUIRE(process.log->flush());
        process.clock->set(at("2026-03-02T00:00"));
        bool broken = true;
        std::string order; // of the writes of windows and of the syncs
        world.store.hook = [&](Store::Operation operation, std::string const& key) -> Store::Verdict {
            if (operation == Store::Operation::put && key.find("/aggregations/") != std::string::npos)
                order += 'w';
            if (operation != Store::Operation::sync)
                return {};
            order += 's';
            bool const of_events = order == "ss";
            return {broken && !of_events ? Store::Verdict::Kind::fail : Store::Verdict::Kind::go_on};
        };
        for (auto const* expected : {"s", "sswwws", "sswwwss"}) { // the events, then what counts them, then that again
            auto const answer = process.aggregator.query(window(Window_Type::daily, "2026-02-13"));
            REQUIRE(answer.has_error());
            CHECK(answer.error().code == Errc::unavailable);
            CHECK(order == expected);
        }
        broken = false;
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 1);
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 1);
        CHECK(order == "sswwwsss");
    }

    TEST_CASE("deleting any saved windows and asking again gives identical bytes, also elsewhere and a day later") {
        auto const seed = testing::seed_of_run();
        INFO("MEMFS_CACHE_TEST_SEED=", seed);
        std::mt19937_64 random(seed);
        World world;
        Process process(world.store, at("2026-02-14T00:00"));
        for (int i = 0; i < 200; ++i)
            process.record(at("2026-02-13T00:00") + std::chrono::milliseconds(random() % 86'400'000ULL),
                           "n" + std::to_string(random() % 9));
        process.clock->set(at("2027-02-01T00:00"));
        CHECK(process.total(Window_Type::yearly, "2026") == 200);
        CHECK(process.total(Window_Type::weekly, "2026-W07") == 200);
        auto const before = world.files("aggregations/");
        CHECK(before.size() > 50);
        for (int round = 0; round < 5; ++round) {
            for (auto const& entry : before)
                if (random() % 3 == 0)
                    REQUIRE(world.memory.erase(Storage_Key(entry.first), Precondition::none()));
            Process other(world.store, at("2027-02-02T00:00"));
            auto& asked = round % 2 == 0 ? process : other;
            for (auto const& entry : before) {
                auto const file = entry.first.substr(std::string("cache/analytics/data/aggregations/").size());
                REQUIRE(asked.aggregator.query(*Window::from_file(file)));
            }
            CHECK(world.files("aggregations/") == before);
        }
        CHECK(process.aggregator.rebuild(window(Window_Type::daily, "2026-02-13")).value().summary->total == 200);
        CHECK(world.files("aggregations/") == before);
    }

    TEST_CASE("with raw events gone, saved lower levels still feed their parents") {
        World world;
        Process process(world.store, at("2026-02-13T20:00"));
        for (int i = 0; i < 20; ++i)
            process.record(at("2026-02-13T00:00") + i * 47min, "n");
        process.clock->set(at("2027-02-01T00:00"));
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 20);
        world.remove_all("raw/");
        world.remove_all("aggregations/30min/");
        world.remove_all("aggregations/daily/");
        CHECK(process.total(Window_Type::yearly, "2026") == 20);
    }

    TEST_CASE("a window without events is said to be unrecorded and leaves no file; future windows are refused") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        auto const empty = process.ask(Window_Type::daily, "2026-02-12");
        CHECK_FALSE(empty.recorded);
        CHECK(empty.final);
        CHECK(world.files("aggregations/").empty());
        CHECK_FALSE(process.ask(Window_Type::daily, "2026-02-13").final);
        CHECK(process.aggregator.query(window(Window_Type::daily, "2026-02-14")).error().code ==
              Errc::invalid_argument);
    }

    TEST_CASE("a year with three active days costs operations for three days") {
        World world;
        Process process(world.store, at("2026-01-01T00:00"));
        for (auto const* day : {"2025-01-31T12:00", "2025-05-17T10:00", "2025-12-31T23:30"})
            process.record(at(day), "n");
        process.clock->set(at("2026-02-01T00:00"));
        auto const before = world.memory.counters();
        CHECK(process.total(Window_Type::yearly, "2025") == 3);
        auto const after = world.memory.counters();
        CHECK(after.lists - before.lists < 300);
        CHECK(after.reads - before.reads < 300);
        CHECK(after.writes - before.writes < 60);
        CHECK(world.files("aggregations/").size() == 3 * 4 + 1); // half-hour, hour, day, month of each, and the year
    }

    TEST_CASE("a month of saved days is listed at once, and each of them is asked for late events alone") {
        World world;
        Process process(world.store, at("2026-01-01T00:00"));
        auto const start = at("2025-03-01T00:00");
        for (int half_hour = 0; half_hour < 31 * 48; half_hour += 7)
            process.record(start + half_hour * 30min, "n");
        process.clock->set(at("2026-02-01T00:00"));
        auto const total = process.total(Window_Type::monthly, "2025-03");
        world.remove_all("aggregations/monthly/");
        Process other(world.store, at("2026-02-01T00:00"));
        auto const before = world.memory.counters();
        CHECK(other.total(Window_Type::monthly, "2025-03") == total);
        CHECK(world.memory.counters().lists - before.lists <= 31 + 10);
    }

    TEST_CASE("windows are active that have events, or are saved, or have saved ones below them, and no others") {
        World world;
        Process process(world.store, at("2026-01-01T00:00"));
        auto const seed = testing::seed_of_run();
        INFO("MEMFS_CACHE_TEST_SEED=", seed);
        std::mt19937_64 random(seed);
        auto const half_hours = [&](int below) {
            return std::chrono::minutes(30 * static_cast<int>(random() % static_cast<unsigned>(below)));
        };
        auto const start = at("2024-01-01T00:00");
        for (int i = 0; i < 200; ++i) // more in the first year, down to each half-hour of a day
            process.record(start + half_hours(i < 100 ? 366 * 48 : i < 150 ? 48 : 731 * 48), "n");
        process.clock->set(at("2026-02-01T00:00"));
        for (auto const* year : {"2024", "2025"})
            (void)process.ask(Window_Type::yearly, year);
        for (auto const* kind : {"raw/", "aggregations/"})
            for (auto const& entry : world.files(kind))
                if (random() % 3 == 0)
                    REQUIRE(world.memory.erase(Storage_Key(entry.first), Precondition::none()));

        std::vector<Window> present;
        for (auto const& entry : world.files("aggregations/"))
            if (auto const saved = Window::from_file(entry.first.substr(entry.first.find("aggregations/") + 13)))
                present.push_back(*saved);
        for (auto const base : process.log->windows(earliest_time, latest_time).value())
            present.push_back(Window::containing(Window_Type::half_hour, base.start()));
        auto const is_at_or_below = [](Window_Type some, Window_Type type) {
            for (auto level = std::optional(type); level; level = child_type(*level))
                if (*level == some)
                    return true;
            return false;
        };
        for (int round = 0; round < 60; ++round) {
            auto const type = all_window_types[static_cast<std::size_t>(round) % all_window_types.size()];
            auto const begin = Window::containing(type, start + half_hours(731 * 48));
            auto const end = Window::containing(type, begin.start() + half_hours(400 * 48)).end();
            std::map<Utc_Time, Window> wanted;
            for (auto const& some : present)
                if (is_at_or_below(some.type(), type) && some.end() > begin.start() && some.start() < end)
                    wanted.emplace(Window::containing(type, some.start()).start(),
                                   Window::containing(type, some.start()));
            std::vector<Window> all;
            for (auto const& entry : wanted)
                all.push_back(entry.second);
            INFO(begin.key(), " ", to_text(type));
            CHECK(process.aggregator.active_windows(type, begin.start(), end).value() == all);
        }
    }

    TEST_CASE("latest follows the newest window and no question about the past moves it back") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T12:00"), "old");
        process.record(at("2026-02-13T13:00"), "new");
        process.clock->set(at("2026-03-02T00:00"));
        CHECK(process.aggregator.latest(Window_Type::hourly).value().window.key() == "2026-02-13T13");
        CHECK(process.aggregator.latest(Window_Type::daily).value().summary->total == 2);
        for (auto const type : {Window_Type::half_hour, Window_Type::hourly, Window_Type::daily})
            REQUIRE(process.aggregator.query(Window::containing(type, at("2026-02-13T13:00"))));
        auto const latest = world.files("latest/");
        CHECK(latest.at("cache/analytics/data/latest/current-30min.json") ==
              read(world.memory, "cache/analytics/data/aggregations/30min/2026/02/13/13-00.json").value().value());
        for (auto const type : {Window_Type::half_hour, Window_Type::hourly})
            REQUIRE(process.aggregator.query(Window::containing(type, at("2026-02-13T12:00"))));
        CHECK(world.files("latest/") == latest);
        CHECK(latest.contains("cache/analytics/data/latest/current-hourly.json"));
        CHECK(latest.contains("cache/analytics/data/latest/current-daily.json"));
    }

    TEST_CASE("latest/ that a dead process left behind is moved by the next question about the window") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T12:00"), "old");
        process.record(at("2026-02-13T13:00"), "new");
        process.clock->set(at("2026-03-02T00:00"));
        CHECK(process.total(Window_Type::hourly, "2026-02-13T12") == 1);
        world.store.hook = [](Store::Operation operation, std::string const& key) -> Store::Verdict {
            bool const moves =
                operation == Store::Operation::put && key.find("/latest/current-hourly") != std::string::npos;
            return {moves ? Store::Verdict::Kind::fail : Store::Verdict::Kind::go_on};
        };
        CHECK(process.aggregator.query(window(Window_Type::hourly, "2026-02-13T13")).has_error());
        world.store.hook = nullptr;
        auto const saved = "cache/analytics/data/aggregations/hourly/2026/02/13/13.json";
        auto const copy = "cache/analytics/data/latest/current-hourly.json";
        REQUIRE(read(world.memory, saved).value());
        CHECK(read(world.memory, copy).value() != read(world.memory, saved).value());
        Process next(world.store, at("2026-03-02T00:00"));
        CHECK(next.total(Window_Type::hourly, "2026-02-13T13") == 1);
        CHECK(read(world.memory, copy).value() == read(world.memory, saved).value());
        auto const before = world.memory.counters();
        CHECK(next.total(Window_Type::hourly, "2026-02-13T13") == 1);
        CHECK(next.total(Window_Type::hourly, "2026-02-13T12") == 1);
        CHECK(world.memory.counters().writes == before.writes);
    }

    TEST_CASE("an event inside the grace is counted, and one behind it revises the window and all its ancestors") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T14:00"), "first");
        process.clock->set(at("2026-02-13T14:35"));
        process.record(at("2026-02-13T14:20"), "in the grace");
        process.clock->set(at("2027-02-01T00:00"));
        for (auto const type : all_window_types) {
            auto const answer = process.aggregator.query(Window::containing(type, at("2026-02-13T14:00"))).value();
            CHECK(answer.summary->total == 2);
            CHECK(answer.late_events == 0);
            CHECK(answer.revision == 0);
        }
        process.record(at("2026-02-13T14:25"), "late");
        for (auto const type : all_window_types) {
            auto const answer = process.aggregator.query(Window::containing(type, at("2026-02-13T14:00"))).value();
            CHECK(answer.summary->total == 3);
            CHECK(answer.final);
            CHECK(answer.late_events == 1);
            CHECK(answer.revision == 1);
        }
    }

    TEST_CASE("an event that comes late into an empty hour of a final year reaches every level (H11)") {
        World world;
        Process process(world.store, at("2026-02-13T14:10"));
        process.record(at("2026-02-13T14:00"), "first");
        process.clock->set(at("2027-02-01T00:00"));
        CHECK(process.total(Window_Type::yearly, "2026") == 1);
        CHECK(process.total(Window_Type::weekly, "2026-W07") == 1);
        process.record(at("2026-02-13T09:00"), "late");
        CHECK(process.total(Window_Type::yearly, "2026") == 2);
        CHECK(process.total(Window_Type::monthly, "2026-02") == 2);
        CHECK(process.total(Window_Type::weekly, "2026-W07") == 2);
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 2);
        CHECK(process.total(Window_Type::hourly, "2026-02-13T09") == 1);
    }

    TEST_CASE("a writer whose clock is slow lands in a closed window and marks it (H8)") {
        World world;
        Process slow(world.store, at("2026-02-13T14:25"));
        Process fast(world.store, at("2026-02-13T14:40"));
        slow.record(at("2026-02-13T14:24"), "one");
        CHECK(fast.total(Window_Type::half_hour, "2026-02-13T14:00") == 1);
        slow.record(at("2026-02-13T14:24"), "two");
        REQUIRE(slow.log->flush());
        auto const answer = fast.ask(Window_Type::half_hour, "2026-02-13T14:00");
        CHECK(answer.summary->total == 2);
        CHECK(answer.revision == 1);
    }

    TEST_CASE("closing comes before listing: a writer that lands between the two is seen or sees it (H9)") {
        World world;
        Process writer(world.store, at("2026-02-13T14:25"));
        Process reader(world.store, at("2026-02-13T14:40"));
        writer.record(at("2026-02-13T14:10"), "first");
        bool done = false;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            // Just before the reader lists raw events, the writer lands another one and looks at the ledger.
            if (!done && operation == Store::Operation::list && key.find("/raw/") != std::string::npos) {
                done = true;
                writer.record(at("2026-02-13T14:11"), "second");
                CHECK(writer.log->flush());
            }
            return Store::Verdict{};
        };
        (void)reader.ask(Window_Type::half_hour, "2026-02-13T14:00");
        CHECK(done);
        CHECK(reader.total(Window_Type::half_hour, "2026-02-13T14:00") == 2);
    }

    TEST_CASE("a slower builder never puts an older revision over a newer one (H14)") {
        World world;
        Process writer(world.store, at("2026-02-13T14:25"));
        writer.record(at("2026-02-13T14:10"), "first");
        writer.clock->set(at("2026-02-13T14:40"));
        Process slow(world.store, at("2026-02-13T14:40"));
        bool done = false;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            if (!done && operation == Store::Operation::put && key.find("/aggregations/") != std::string::npos) {
                done = true;
                writer.record(at("2026-02-13T14:11"), "late");
                CHECK(writer.total(Window_Type::half_hour, "2026-02-13T14:00") == 2);
            }
            return Store::Verdict{};
        };
        CHECK(slow.total(Window_Type::half_hour, "2026-02-13T14:00") == 2);
        CHECK(done);
        CHECK(writer.total(Window_Type::half_hour, "2026-02-13T14:00") == 2);
    }

    TEST_CASE("a mark that comes while children are read leaves the parent behind, not unnoticed (H15)") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:00"), "a");
        process.record(at("2026-02-13T14:30"), "b");
        process.clock->set(at("2026-02-14T12:00"));
        int gets = 0;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            if (operation == Store::Operation::get && key.find("/30min/2026/02/13/14-30") != std::string::npos &&
                ++gets == 1)
                process.record(at("2026-02-13T14:00"), "late"); // its half-hour has been read already
            return Store::Verdict{};
        };
        (void)process.ask(Window_Type::hourly, "2026-02-13T14");
        CHECK(gets > 0);
        CHECK(process.total(Window_Type::hourly, "2026-02-13T14") == 3);
    }

    TEST_CASE("sixteen threads and two processes asking for one window get equal answers and leave one valid file") {
        World world;
        Process first(world.store, at("2026-02-13T16:00"));
        for (int i = 0; i < 500; ++i)
            first.record(at("2026-02-13T14:00") + std::chrono::seconds(i), "n" + std::to_string(i % 7));
        first.clock->set(at("2026-02-15T00:00"));
        Process second(world.store, at("2026-02-15T00:00"));
        std::vector<std::thread> threads;
        std::atomic<int> right{0};
        for (int i = 0; i < 16; ++i)
            threads.emplace_back([&, i] {
                auto& process = i % 2 == 0 ? first : second;
                auto const answer = process.aggregator.query(window(Window_Type::daily, "2026-02-13"));
                if (answer && answer->summary->total == 500 && answer->final)
                    ++right;
            });
        for (auto& thread : threads)
            thread.join();
        CHECK(right == 16);
        CHECK(world.files("aggregations/daily/").size() == 1);
        Process third(world.store, at("2026-02-15T00:00"));
        CHECK(third.total(Window_Type::daily, "2026-02-13") == 500);
    }

    TEST_CASE("events of the one-file-each layout are read beside segments") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:00"), "segment");
        auto const folder = std::string("cache/analytics/data/raw/2026/02/13/14/");
        REQUIRE(write(world.memory, folder + "1770991200123__evt-1.json",
                      "{\n  \"timestamp\": 1770991200123,\n  \"name\": \"file\"\n}"));
        CHECK(process.total(Window_Type::half_hour, "2026-02-13T14:00") == 2);
        CHECK(process.total(Window_Type::half_hour, "2026-02-13T14:00") == 2);
        process.clock->set(at("2026-02-15T00:00"));
        CHECK(process.total(Window_Type::daily, "2026-02-13") == 2);
        CHECK(read(world.memory, "cache/analytics/data/aggregations/30min/2026/02/13/14-00.json")
                  .value()
                  ->find(R"("files":{"count":1)") != std::string::npos);
    }

    TEST_CASE("a saved window whose end was lost with the power is built again") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:00"), "a");
        process.clock->set(at("2026-02-15T00:00"));
        CHECK(process.total(Window_Type::hourly, "2026-02-13T14") == 1);
        auto const path = std::string("cache/analytics/data/aggregations/hourly/2026/02/13/14.json");
        auto const whole = read(world.memory, path).value().value();
        for (auto const& torn : {std::string(), whole.substr(0, whole.size() - 1), std::string(whole.size(), '\0')}) {
            REQUIRE(write(world.memory, path, torn));
            CHECK(process.total(Window_Type::hourly, "2026-02-13T14") == 1);
            CHECK(read(world.memory, path).value().value() == whole);
        }
    }

    TEST_CASE("a damaged saved window is reported with its name, not answered") {
        World world;
        Process process(world.store, at("2026-02-13T16:00"));
        process.record(at("2026-02-13T14:00"), "a");
        process.clock->set(at("2026-02-15T00:00"));
        CHECK(process.total(Window_Type::hourly, "2026-02-13T14") == 1);
        auto const path = std::string("cache/analytics/data/aggregations/hourly/2026/02/13/14.json");
        for (auto const* bytes : {"{}", R"({"v":2})", R"({"v":1,"window_type":"daily"})"}) {
            REQUIRE(write(world.memory, path, bytes));
            auto const answer = process.aggregator.query(window(Window_Type::hourly, "2026-02-13T14"));
            REQUIRE(answer.has_error());
            CHECK(answer.error().code == Errc::corrupt_data);
            CHECK(answer.error().context.find("hourly/2026/02/13/14.json") != std::string::npos);
        }
    }
}
