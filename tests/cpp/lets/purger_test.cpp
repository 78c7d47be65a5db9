// SPDX-License-Identifier: Apache-2.0
// Deleting raw events that are old enough: what goes and what stays, and that nobody ever gets a smaller number for it.
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/test_event.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/lets/purger.hpp>
#include <memfs_cache/lets/rebuilding.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

using Store = Wrapped_Storage<Storage_Memory>;
using Log = Event_Log<Store>;
using Aggregator = LETS_Aggregator<Store, Test_Event, Test_Summary>;

auto at(std::string const& minute) -> Utc_Time {
    return Window::parse(Window_Type::hourly, minute.substr(0, 13)).value().start() +
           std::chrono::minutes(std::stoi(minute.substr(14)));
}
auto const february = Window::parse(Window_Type::monthly, "2026-02").value();
auto const thirteenth = Window::parse(Window_Type::daily, "2026-02-13").value();
auto const two = Window::parse(Window_Type::half_hour, "2026-02-13T14:00").value();

/// A store in which events of two days of February lie, and a process in July.
struct World {
    Storage_Memory memory;
    Store store{memory};
    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(at("2026-02-13T14:10"));
    Log_Paths const paths{"cache", Namespace_Name("site")};

    /// One process: a log and an aggregator, closed at its end.
    struct Process {
        explicit Process(World& world)
            : log(Log::open(world.store, world.paths, world.clock, options(world)).value()),
              aggregator(world.store, *log) {}

        auto try_record(std::string const& minute, std::string const& name) -> Result<void> {
            Test_Event const event{at(minute), name};
            return log->record(event.timestamp, [&](std::string& out) { event.append_json(out); });
        }
        void record(std::string const& minute, std::string const& name) {
            REQUIRE(try_record(minute, name));
            REQUIRE(log->flush());
        }
        auto try_purge(Purge_Options options = {}) -> Result<Purge_Report> {
            Purger<Store, Aggregator> purger(*log, aggregator, std::move(options));
            return purger.run([](Purge_Report&, auto const&) -> Result<void> { return {}; });
        }
        auto purge(Purge_Options options = {}) -> Purge_Report { return try_purge(std::move(options)).value(); }
        auto total(Window const& window) -> std::uint64_t { return aggregator.query(window).value().summary->total; }

        std::unique_ptr<Log> log;
        Aggregator aggregator;

      private:
        static auto options(World& world) -> Event_Log_Options {
            auto options = testing::quiet_log();
            options.new_writer_id = [&world] { return to_hex(world.writers++); };
            return options;
        }
    };
    std::uint64_t writers = 1;

    World() {
        Process process(*this);
        for (int i = 0; i < 5; ++i)
            process.record("2026-02-13T14:0" + std::to_string(i), "a" + std::to_string(i));
        process.record("2026-02-13T14:40", "b");
        clock->set(at("2026-02-14T09:00"));
        process.record("2026-02-14T08:59", "c");
        REQUIRE(process.log->close());
        clock->set(at("2026-07-01T00:00"));
    }

    auto files(std::string const& below = "") const -> std::set<std::string> {
        auto const found = files_list(memory, paths.data_prefix() + below).value();
        return {found.begin(), found.end()};
    }
    auto contents(std::string const& below) const -> std::map<std::string, std::string> {
        std::map<std::string, std::string> found;
        for (auto const& path : files(below))
            found[path] = read(memory, path).value().value();
        return found;
    }
};

auto as_set(std::vector<std::string> const& keys) -> std::set<std::string> { return {keys.begin(), keys.end()}; }

} // namespace

TEST_SUITE("lets/purger") {
    TEST_CASE("raw events go when they are as old as the policy says, and every answer stays what it was") {
        World world;
        World::Process process(world);
        auto const before = world.files("raw/");
        CHECK(before.size() == 3);
        world.clock->set(at("2026-05-14T14:29")); // 90 days behind the end of the first half-hour, but for a minute
        CHECK(process.purge().is_empty());
        world.clock->set(at("2026-05-14T14:30"));
        auto const first = process.purge({.by = "a test"});
        CHECK(first.half_hours == 1);
        CHECK(first.events == 5);
        CHECK(first.objects.size() == 1);
        CHECK(first.bytes > 100);
        CHECK(world.files("raw/").size() == 2);
        world.clock->set(at("2026-07-01T00:00"));
        CHECK(process.purge().half_hours == 2);
        CHECK(world.files("raw/").empty());
        CHECK(process.purge().is_empty());

        World untouched;
        World::Process other(untouched);
        for (auto const& window : {two, thirteenth, february, Window::parse(Window_Type::weekly, "2026-W07").value()})
            CHECK(process.total(window) == other.total(window));
        CHECK(world.contents("aggregations/") == untouched.contents("aggregations/"));

        auto const records = world.contents("purges/");
        REQUIRE(records.size() == 2);
        auto const record = parse_object(records.begin()->second, "record").value();
        CHECK(record.at("by") == "a test");
        CHECK(record.at("half_hours") == 1);
        CHECK(record.at("events") == 5);
        CHECK(record.at("objects") == 1);
        CHECK(record.at("bytes") == first.bytes);
        CHECK(record.at("raw_days") == 90);
        CHECK(record.contains("finished_at"));
    }

    TEST_CASE("a dry run changes nothing and lists exactly what the purge deletes, in its order") {
        for (auto const& policy : {Retention_Policy{90, 0}, Retention_Policy{137, 0}, Retention_Policy{90, 100}}) {
            World world;
            CHECK(World::Process(world).total(february) == 7);
            auto const before = world.contents("");
            auto const dry = World::Process(world).purge({policy, true, {}});
            CHECK(world.contents("") == before);
            auto const real = World::Process(world).purge({policy, false, {}});
            CHECK(dry.objects == real.objects);
            CHECK(dry.events == real.events);
            CHECK(dry.bytes == real.bytes);
            CHECK_FALSE(real.objects.empty());
            auto const after = world.contents("");
            std::set<std::string> gone;
            for (auto const& [path, text] : before)
                if (!after.contains(path))
                    gone.insert(path);
            CHECK(gone == as_set(real.objects));
        }
    }

    TEST_CASE("without a policy nothing goes, and a policy that means nothing is refused") {
        World world;
        World::Process process(world);
        CHECK(process.purge({.policy = {0, 0}}).is_empty());
        CHECK(process.try_purge({.policy = {-1, 0}}).error().code == Errc::invalid_argument);
        CHECK(process.try_purge({.policy = {90, 100'001}}).error().code == Errc::invalid_argument);
        CHECK(process.try_purge({.by = std::string(201, 'x')}).error().code == Errc::invalid_argument);
        CHECK(world.files("purges/").empty());
    }

    TEST_CASE("nothing of a range that is held goes, whoever purges, until the hold is released") {
        World world;
        Holds<Store> holds(world.store, world.paths);
        REQUIRE(holds.set({"case-7", "a lawyer asked", two.start(), two.end(), world.clock->now()}));
        auto const held = World::Process(world).purge({.policy = {90, 100}});
        CHECK(held.half_hours == 2);
        CHECK(world.files("raw/").size() == 1);
        REQUIRE_FALSE(held.kept.empty());
        CHECK(held.kept.front().what == "2026-02-13T14:00");
        CHECK(held.kept.front().why == "held by 'case-7': a lawyer asked");
        for (auto const& path : {"30min/2026/02/13/14-00.json", "hourly/2026/02/13/14.json", "monthly/2026/02.json"})
            CHECK(world.files("aggregations/").contains(world.paths.data_prefix() + "aggregations/" + path));
        REQUIRE(holds.list().value().size() == 1);
        CHECK(holds.list().value().front().reason == "a lawyer asked");
        CHECK(holds.release("case-7").value());
        CHECK_FALSE(holds.release("case-7").value());
        CHECK(World::Process(world).purge().half_hours == 1);
    }

    TEST_CASE("a hold that cannot be read holds everything") {
        World world;
        REQUIRE(write(world.memory, world.paths.data_prefix() + "holds/broken.json", "{"));
        CHECK(World::Process(world).try_purge().error().code == Errc::corrupt_data);
        CHECK(world.files("raw/").size() == 3);
        Holds<Store> holds(world.store, world.paths);
        for (auto const* name : {"", "A", "../x", "-a", "a b"})
            CHECK(holds.set({name, "why", earliest_time, latest_time, {}}).error().code == Errc::invalid_argument);
        CHECK(holds.set({"a", "", earliest_time, latest_time, {}}).error().code == Errc::invalid_argument);
        CHECK(holds.set({"a", "why", two.end(), two.end(), {}}).error().code == Errc::invalid_argument);
    }

    TEST_CASE("what was received less than a day ago stays, however old its half-hour is") {
        World world;
        World::Process process(world);
        CHECK(process.total(february) == 7);
        process.record("2026-02-13T14:07", "late");
        REQUIRE(process.log->close());
        World::Process purging(world);
        auto const kept = purging.purge();
        CHECK(kept.half_hours == 2);
        REQUIRE(kept.kept.size() == 1);
        CHECK(kept.kept.front().why == "received less than a day ago");
        world.clock->advance(24h);
        CHECK(purging.purge().half_hours == 1);
        CHECK(purging.total(february) == 8);
    }

    TEST_CASE("an import of old events is kept for a day, also into half-hours that nobody ever asked for") {
        World world;
        {
            World::Process importing(world);
            auto const window = Base_Window::containing(at("2026-02-20T10:00"));
            Test_Event const event{window.start(), "imported"};
            Bytes line;
            event.append_json(line);
            Line_Seal("00000000000000aa", window).close_line(line, 0, 0);
            REQUIRE(importing.log->register_import("00000000000000aa", {window}));
            Segment_Name const name{window.start(), "00000000000000aa", 0, 1};
            REQUIRE(importing.log->land_import(name, window, window.start(), line));
            auto const named = World::Process(world).purge();
            CHECK(named.half_hours == 3);
            REQUIRE(named.kept.size() == 1);
            CHECK(named.kept.front().why == "writer 00000000000000aa may still be writing to it");
            REQUIRE(importing.log->finish_import("00000000000000aa", {{window, 1}}));
        }
        auto const fresh = World::Process(world).purge();
        CHECK(fresh.is_empty());
        REQUIRE(fresh.kept.size() == 1);
        CHECK(fresh.kept.front().why == "brought in less than a day ago");
        world.clock->advance(24h);
        CHECK(World::Process(world).purge().half_hours == 1);
        CHECK(World::Process(world).total(february) == 8);
    }

    TEST_CASE("what is damaged or behind a hole stays and is named") {
        World world;
        auto const raw = world.contents("raw/");
        auto damaged = raw.begin()->second;
        damaged[damaged.find("a1") + 1] = '9';
        REQUIRE(write(world.memory, raw.begin()->first, damaged));
        auto const hidden = world.paths.raw_folder(Base_Window::containing(at("2026-02-14T08:30"))) +
                            "1771057800000__00000000000000bb-0000000003-1.jsonl";
        REQUIRE(write(world.memory, hidden, "{}"));
        auto const report = World::Process(world).purge();
        CHECK(report.half_hours == 0);
        REQUIRE(report.kept.size() == 3);
        CHECK(report.kept[0].why.find(raw.begin()->first) != std::string::npos);
        CHECK(report.kept[1].why.find(hidden) != std::string::npos);
        CHECK(report.kept[2].why.find("2026-02-13T14 cannot be built") == 0); // so what shares its hour stays as well
        CHECK(world.files("raw/").size() == 4);
    }

    TEST_CASE("a window that was purged and is gone as well is an error at every level, never a number") {
        World world;
        World::Process process(world);
        CHECK(process.purge().half_hours == 3);
        CHECK(process.aggregator.rebuild(two).error().code == Errc::not_found);
        CHECK(process.total(two) == 5); // nothing was forgotten
        auto const saved = world.contents("aggregations/");
        REQUIRE(remove(world.memory, process.aggregator.key_of(two).str()));
        CHECK(process.aggregator.query(two).error().code == Errc::not_found);
        CHECK(process.total(february) == 7);                     // is saved itself
        CHECK(process.aggregator.rebuild(february).has_value()); // its days are
        CHECK(process.aggregator.rebuild(Window::parse(Window_Type::hourly, "2026-02-13T14").value()).error().code ==
              Errc::not_found);
        for (auto const& entry : saved)
            (void)remove(world.memory, entry.first);
        for (auto const type : all_window_types)
            CHECK(process.aggregator.query(Window::containing(type, two.start())).error().code == Errc::not_found);
        for (auto const& [path, text] : saved)
            REQUIRE(write(world.memory, path, text));
        CHECK(process.total(february) == 7);
    }

    TEST_CASE("with raw events gone, lower levels that are saved still feed those above them") {
        World world;
        World::Process process(world);
        CHECK(process.purge().half_hours == 3);
        auto const saved = world.contents("aggregations/");
        for (auto const& entry : saved)
            if (entry.first.find("/30min/") == std::string::npos)
                REQUIRE(remove(world.memory, entry.first));
        CHECK(process.total(february) == 7);
        CHECK(process.total(Window::parse(Window_Type::weekly, "2026-W07").value()) == 7);
        CHECK(world.contents("aggregations/") == saved);
    }

    TEST_CASE("an event that comes after the purge is added to what is saved, and purged a day later (H23)") {
        World world;
        {
            World::Process process(world);
            CHECK(process.purge().half_hours == 3);
            process.record("2026-02-13T14:09", "very late");
        }
        World::Process process(world);
        CHECK(process.total(two) == 6);
        CHECK(process.total(february) == 8);
        auto const answer = process.aggregator.query(two).value();
        CHECK(answer.revision == 1);
        CHECK(answer.late_events == 1);
        CHECK(world.files("raw/").size() == 1);
        CHECK(process.purge().half_hours == 0);
        world.clock->advance(24h);
        auto const again = process.purge();
        CHECK(again.half_hours == 1);
        CHECK(again.events == 1);
        CHECK(world.files("raw/").empty());
        CHECK(process.total(two) == 6);
        CHECK(process.total(february) == 8);
    }

    TEST_CASE("an event for a half-hour of which nothing is left is refused and counted as too late (H23)") {
        World world;
        World::Process process(world);
        CHECK(process.purge().half_hours == 3);
        REQUIRE(remove(world.memory, process.aggregator.key_of(two).str()));
        process.record("2026-02-13T14:09", "too late");
        CHECK(process.log->counts().too_late == 1);
        CHECK(process.log->counts().waiting_bytes == 0);
        CHECK(world.files("raw/").empty());
        process.record("2026-02-13T14:39", "late");
        CHECK(process.log->counts().too_late == 1);
        CHECK(process.total(Window::parse(Window_Type::half_hour, "2026-02-13T14:30").value()) == 2);
    }

    TEST_CASE("killed before or behind any of its writes a purge does no harm, and the next one ends it (H24)") {
        int died = 0;
        int errors = 0;
        for (unsigned way = 0; way < 4; ++way)
            for (int number = 0;; ++number) {
                bool const is_done = way % 2 == 1;
                bool const forgets = way >= 2;
                World world;
                bool dead = false;
                {
                    World::Process process(world);
                    int count = 0;
                    world.store.hook = [&](Store::Operation operation, std::string const&) {
                        using Kind = Store::Verdict::Kind;
                        bool const writes = operation == Store::Operation::put || operation == Store::Operation::erase;
                        if (dead || (writes && count++ == number)) {
                            auto const kind = !dead && is_done && operation == Store::Operation::put
                                                  ? Kind::unknown_after
                                                  : Kind::fail;
                            dead = true;
                            return Store::Verdict{kind};
                        }
                        return Store::Verdict{};
                    };
                    (void)process.try_purge();
                }
                world.store.hook = nullptr;
                if (!dead)
                    break;
                ++died;
                CAPTURE(number);
                CAPTURE(way);
                if (forgets) { // the saved window: then it is all of the events, or an error
                    World::Process asking(world);
                    (void)remove(world.memory, asking.aggregator.key_of(two).str()).value();
                    auto const answer = asking.aggregator.query(two);
                    if (answer)
                        CHECK(answer->summary->total == 5);
                    else
                        CHECK(answer.error().code == Errc::not_found);
                    errors += answer.has_error();
                    continue;
                }
                {
                    World::Process asking(world);
                    CHECK(asking.total(two) == 5);
                    CHECK(asking.total(february) == 7);
                }
                {
                    World::Process again(world);
                    CHECK(again.purge().kept.empty());
                }
                CHECK(world.files("raw/").empty());
                World::Process asking(world);
                CHECK(asking.total(two) == 5);
                CHECK(asking.total(february) == 7);
            }
        CHECK(died > 80);
        CHECK(errors > 4);
    }

    TEST_CASE("two that purge at once delete what one of them would") {
        int steps = 0;
        for (int meet_at = 0; meet_at <= steps; ++meet_at) {
            World shared;
            World::Process one(shared);
            int step = 0;
            bool met = false;
            shared.store.hook = [&](Store::Operation operation, std::string const&) {
                bool const writes = operation == Store::Operation::put || operation == Store::Operation::erase;
                if (writes && step++ == meet_at && !std::exchange(met, true)) {
                    World::Process rival(shared);
                    (void)rival.purge();
                }
                return Store::Verdict{};
            };
            (void)one.purge();
            shared.store.hook = nullptr;
            steps = std::max(steps, std::min(step, 40));
            CAPTURE(meet_at);
            CHECK(shared.files("raw/").empty());
            CHECK(World::Process(shared).total(february) == 7);
        }
        CHECK(steps > 20);
    }

    TEST_CASE("files of one event each go as well, and one that comes later is not taken for all there was") {
        World world;
        auto const folder = world.paths.raw_folder(Base_Window::containing(two.start()));
        auto const put = [&](std::string const& name) {
            Test_Event const event{two.start() + 7ms, name};
            Bytes text;
            event.append_json(text);
            REQUIRE(write(world.memory, folder + "1770991200007__" + name + ".json", text));
        };
        put("x");
        put("y");
        CHECK(World::Process(world).total(two) == 7);
        CHECK(World::Process(world).purge().half_hours == 3);
        CHECK(world.files("raw/").empty());
        put("z");
        World::Process process(world);
        CHECK(process.total(two) == 7);
        world.clock->advance(24h);
        CHECK(process.purge().is_empty());
        CHECK(process.total(two) == 7);
    }

    TEST_CASE("windows go by a policy of their own, once their raw events are gone, and then they are an error") {
        World world;
        auto const only_windows = World::Process(world).purge({.policy = {0, 30}});
        CHECK(only_windows.is_empty());
        CHECK(World::Process(world).total(february) == 7);
        CHECK(World::Process(world).purge({.policy = {0, 30}}).is_empty()); // they would come back
        auto const both = World::Process(world).purge({.policy = {30, 30}});
        CHECK(both.half_hours == 3);
        CHECK(both.windows == 8);
        World::Process process(world);
        CHECK(process.aggregator.query(february).error().code == Errc::not_found);
        CHECK(process.aggregator.query(two).error().code == Errc::not_found);
        CHECK(process.total(Window::parse(Window_Type::daily, "2026-02-12").value()) == 0);
    }

    TEST_CASE(
        "a range is rebuilt from its raw events to the same bytes, and what was purged of it is named and stays") {
        World world;
        World::Process process(world);
        CHECK(process.total(february) == 7);
        auto const saved = world.contents("aggregations/");
        auto const rebuild = [&](bool dry_run) {
            return rebuild_windows(*process.log, process.aggregator, thirteenth.start(), thirteenth.end(), dry_run)
                .value();
        };
        auto const expected = std::vector<std::string>{"30min/2026/02/13/14-00.json", "30min/2026/02/13/14-30.json",
                                                       "hourly/2026/02/13/14.json",   "daily/2026/02/13.json",
                                                       "weekly/2026-W07.json",        "monthly/2026/02.json"};
        CHECK(rebuild(true).rebuilt == expected);
        CHECK(world.contents("aggregations/") == saved);
        auto const path = process.aggregator.key_of(two).str();
        auto wrong = saved.at(path);
        wrong.replace(wrong.find("\"total\":5"), 9, "\"total\":9");
        REQUIRE(write(world.memory, path, wrong));
        CHECK(rebuild(false).rebuilt == expected);
        for (auto const& [file, text] : saved)
            CHECK(world.contents("aggregations/").at(file) == text);

        world.clock->set(at("2026-05-14T14:30")); // the first half-hour alone is old enough
        CHECK(process.purge().half_hours == 1);
        auto const after = rebuild(false);
        REQUIRE(after.refused.size() == 1);
        CHECK(after.refused.front().what == expected.front());
        CHECK(after.refused.front().why.find("were purged") != std::string::npos);
        CHECK(after.rebuilt == std::vector(expected.begin() + 1, expected.end()));
        for (auto const& [file, text] : saved)
            CHECK(world.contents("aggregations/").at(file) == text);
        REQUIRE(remove(world.memory, path)); // and with it the windows above cannot be built, and stay
        auto const without = rebuild(false);
        CHECK(without.refused.size() == 2);
        CHECK(world.contents("aggregations/").size() == saved.size());
    }

    TEST_CASE("ten thousand late marks cost one rebuild of each window, the newest first, as many as are wanted") {
        World world;
        World::Process process(world);
        CHECK(process.total(february) == 7);
        CHECK(process.total(Window::parse(Window_Type::weekly, "2026-W07").value()) == 7);
        Late_Marks<Store> marks(world.store, world.paths);
        auto const put_marks = [&](std::string const& writer, int count) {
            auto const made =
                marks_of({{Base_Window::containing(two.start()), 1}}, two.end(), world.clock->now(), true);
            for (int i = 0; i < count; ++i)
                REQUIRE(marks.put({thirteenth.start(), made.begin()->second.bits(), writer, std::to_string(i)},
                                  made.begin()->second));
        };
        put_marks("00000000000000cc", 10'000);
        std::map<std::string, int> saved;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            if (operation == Store::Operation::put && key.find("/aggregations/") != std::string::npos)
                ++saved[key];
            return Store::Verdict{};
        };
        auto const refresh = [&](std::size_t limit) {
            return refresh_due(*process.log, process.aggregator, limit).value();
        };
        auto const first = refresh(1);
        CHECK(first.rebuilt == 1);
        CHECK(first.more);
        CHECK(saved == std::map<std::string, int>{{process.aggregator.key_of(two).str(), 1}});
        auto const rest = refresh(100);
        CHECK_FALSE(rest.more);
        CHECK(saved.size() == 5); // half-hour, hour, day, week and month; the year is not over
        for (auto const& [key, times] : saved)
            CHECK(times == 1);
        CHECK(refresh(100).rebuilt == 0);
        put_marks("00000000000000dd", 1); // nothing is forgotten
        CHECK(refresh(100).rebuilt == 5);
        CHECK(process.aggregator.query(february).value().revision == 10'001);
    }
}
