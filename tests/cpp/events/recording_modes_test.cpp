// SPDX-License-Identifier: Apache-2.0
#include "events/log_world.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <set>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Kind = World::Verdict::Kind;
using Operation = World::Operation;

auto const two = window("2026-02-13T14:00");
auto const half_past_two = window("2026-02-13T14:30");

/// A log whose background threads, if it had any, would do something at once.
auto options_of(Recording_Mode mode) -> Event_Log_Options {
    Event_Log_Options options;
    options.mode = mode;
    options.flush_interval = options.check_interval = 1ms;
    return options;
}

/// Counts what is asked of the storage, and by whom.
struct Watcher {
    explicit Watcher(World& world) {
        world.store.hook = [this](Operation operation, std::string const&) {
            ++counts[static_cast<std::size_t>(operation)];
            if (std::this_thread::get_id() != own)
                by_others = true;
            return World::Verdict{};
        };
    }
    [[nodiscard]] auto of(Operation operation) const -> int { return counts[static_cast<std::size_t>(operation)]; }
    [[nodiscard]] auto all() const -> int { return std::accumulate(counts.begin(), counts.end(), 0); }

    std::thread::id const own = std::this_thread::get_id();
    std::array<std::atomic<int>, 6> counts{};
    std::atomic<bool> by_others{false};
};

auto threads_of_this_process() -> std::ptrdiff_t {
    std::filesystem::directory_iterator const tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
}

/// An actor that records without a pause until it is told to stop.
template <class Log>
class Restless {
  public:
    explicit Restless(Log& log)
        : thread_([this, &log] {
              for (int i = 0; !stopped_; ++i)
                  (void)try_record(log, at("2026-02-13T14:31"), "restless " + std::to_string(i));
          }) {}
    ~Restless() {
        stopped_ = true;
        thread_.join();
    }

  private:
    std::atomic<bool> stopped_{false};
    std::thread thread_;
};

} // namespace

TEST_SUITE("events/recording_modes") {
    TEST_CASE("every mode has its word, and no other word means one") {
        for (auto const mode : all_recording_modes)
            CHECK(parse_recording_mode(to_text(mode)).value() == mode);
        CHECK(to_text(Recording_Mode::per_request) == "per_request");
        for (std::string const word : {"", "Buffered", "per-request", "none", "on"})
            CHECK(parse_recording_mode(word).error().code == Errc::invalid_argument);
    }

    TEST_CASE(
        "per_request: each event is stored by the time record returns, by the caller alone, and with one append") {
        World world;
        auto const log = world.open(options_of(Recording_Mode::per_request));
        Watcher const watcher(world);
        auto const threads = threads_of_this_process();
        constexpr int count = 50;
        for (int i = 0; i < count; ++i) {
            record(*log, at("2026-02-13T14:00"), std::to_string(i));
            REQUIRE(watcher.of(Operation::append) == i + 1);
            REQUIRE(world.files("raw/").begin()->second.find("\"n\":\"" + std::to_string(i) + '"') !=
                    std::string::npos);
        }
        CHECK(watcher.of(Operation::sync) == 0);
        CHECK(threads_of_this_process() == threads);
        std::this_thread::sleep_for(20ms); // time that a host would not give; nobody would use it
        CHECK_FALSE(watcher.by_others);
        CHECK(log->counts().waiting_bytes == 0);
    }

    TEST_CASE(
        "durable and per_request: callers that come during a write share the next one, and nobody waits for two") {
        for (auto const mode : {Recording_Mode::durable, Recording_Mode::per_request}) {
            CAPTURE(to_text(mode));
            World world;
            auto const log = world.open(options_of(mode));
            Gate first;
            std::atomic<int> appends{0};
            world.store.hook = [&](Operation operation, std::string const&) {
                if (operation == Operation::append && ++appends == 1)
                    first.pass();
                return World::Verdict{};
            };
            std::vector<std::thread> threads;
            threads.emplace_back([&] { CHECK(try_record(*log, at("2026-02-13T14:00"), "first")); });
            first.wait_for_somebody();
            constexpr int others = 24;
            for (int i = 0; i < others; ++i)
                threads.emplace_back(
                    [&, i] { CHECK(try_record(*log, at("2026-02-13T14:00"), "other " + std::to_string(i))); });
            wait_until([&] { return log->counts().recorded == others + 1; });
            first.open();
            for (auto& thread : threads)
                thread.join();
            CHECK(appends == 2);
            CHECK(stored_names(*log, two).size() == others + 1);
        }
    }

    TEST_CASE("per_request: what the storage did not take is told, and lands with the next event") {
        World world;
        auto const log = world.open(options_of(Recording_Mode::per_request));
        world.store.hook = [&](Operation operation, std::string const&) {
            bool const writes = operation == Operation::append || operation == Operation::put;
            return World::Verdict{writes ? Kind::fail : Kind::go_on};
        };
        CHECK(try_record(*log, at("2026-02-13T14:00"), "a").error().code == Errc::indeterminate);
        CHECK(log->counts().last_problem != "");
        world.store.hook = nullptr;
        record(*log, at("2026-02-13T14:00"), "b");
        CHECK(stored_names(*log, two) == each_once({"a", "b"}));
        CHECK(log->counts().last_problem == "");
    }

    TEST_CASE(
        "per_request: those who record mark late events and retire half-hours, and sync no more than that needs") {
        World world;
        auto options = options_of(Recording_Mode::per_request);
        auto const log = world.open(options);
        world.close_ledger(two.end());
        Watcher const watcher(world);
        record(*log, at("2026-02-13T14:00"), "late");
        CHECK(world.late(two.start(), two.end()).late_events == 1);
        CHECK(watcher.of(Operation::sync) == 0);
        record(*log, at("2026-02-13T14:30"), "in time");
        auto const manifest = [&] { return world.files("writers/").begin()->second; };
        CHECK(manifest().find("14:00") != std::string::npos);
        world.clock->set(two.end() + default_grace + 1ms);
        for (int i = 0; manifest().find("14:00") != std::string::npos; ++i) {
            REQUIRE(i < 1'000);
            std::this_thread::sleep_for(1ms); // a check interval
            record(*log, at("2026-02-13T14:30"), std::to_string(i));
        }
        CHECK(watcher.of(Operation::sync) == 1);
        CHECK_FALSE(watcher.by_others);
    }

    TEST_CASE("off: nothing is recorded, nothing asked of the storage, and what is stored can be read") {
        World world;
        record(*world.open(), at("2026-02-13T14:00"), "of another process");
        auto const log = world.open(options_of(Recording_Mode::off));
        auto const files = world.files("");
        Watcher const watcher(world);
        auto const threads = threads_of_this_process();
        bool asked_for_text = false;
        for (int i = 0; i < 100; ++i)
            CHECK(log->record(at("2026-02-13T14:00"), [&](std::string&) { asked_for_text = true; }));
        REQUIRE(log->flush());
        CHECK_FALSE(asked_for_text);
        CHECK(watcher.all() == 0);
        CHECK(threads_of_this_process() == threads);
        CHECK(log->counts().recorded == 0);
        CHECK(stored_names(*log, two) == each_once({"of another process"}));
        CHECK(log->newest_window().value() == two);
        REQUIRE(log->close());
        CHECK(world.files("") == files);
    }

    TEST_CASE("durable: every write is safe by itself, so that nothing is synced beside") {
        World world;
        auto const log = world.open(options_of(Recording_Mode::durable));
        Watcher const watcher(world);
        for (int i = 0; i < 20; ++i)
            record(*log, at("2026-02-13T14:00"), std::to_string(i));
        REQUIRE(log->flush());
        wait_until([&] { return watcher.of(Operation::get) > 2; }); // the background thread has looked at the ledger
        REQUIRE(log->close());
        CHECK(watcher.of(Operation::sync) == 0);
    }

    TEST_CASE("durable: an event is acknowledged when it has landed, whatever becomes of another half-hour's") {
        World world;
        auto options = World::quiet();
        options.mode = Recording_Mode::durable;
        auto const log = world.open(options);
        world.store.hook = [&](Operation operation, std::string const& key) {
            bool const broken = key.find("/raw/2026/02/13/14/17709912") != std::string::npos &&
                                (operation == Operation::append || operation == Operation::put);
            return World::Verdict{broken ? Kind::fail : Kind::go_on};
        };
        CHECK(try_record(*log, at("2026-02-13T14:00"), "stuck").error().code == Errc::indeterminate);
        for (int i = 0; i < 3; ++i)
            CHECK(try_record(*log, at("2026-02-13T14:30"), "free " + std::to_string(i)));
        CHECK(try_record(*log, at("2026-02-13T14:01"), "stuck too").error().code == Errc::indeterminate);
        world.store.hook = nullptr;
        record(*log, at("2026-02-13T14:02"), "free at last");
        CHECK(stored_names(*log, two) == each_once({"stuck", "stuck too", "free at last"}));
        CHECK(stored_names(*log, half_past_two).size() == 3);
    }

    TEST_CASE("buffered: a buffer that fills up is landed before its interval is over, but a failing storage is not "
              "hurried") {
        for (bool const begins_failing : {false, true}) {
            std::atomic<bool> fails{begins_failing};
            World world;
            auto options = World::quiet();
            options.buffer_bytes = 10'000;
            auto const log = world.open(options);
            world.store.hook = [&](Operation operation, std::string const&) {
                bool const writes = operation == Operation::append || operation == Operation::put;
                return World::Verdict{fails && writes ? Kind::fail : Kind::go_on};
            };
            int recorded = 0;
            auto const fill_half = [&] {
                while (log->counts().waiting_bytes <= options.buffer_bytes / 2)
                    record(*log, at("2026-02-13T14:00"), std::to_string(recorded++));
            };
            record(*log, at("2026-02-13T14:00"), std::to_string(recorded++));
            CHECK(log->counts().landed == 0);
            fill_half();
            wait_until([&] { return log->counts().landed + log->counts().failed_flushes > 0; });
            if (!begins_failing) {
                fill_half();
                wait_until([&] { return log->counts().waiting_bytes == 0; });
                CHECK(stored_names(*log, two).size() == static_cast<std::size_t>(recorded));
            } else {
                for (int i = 0; i < 10; ++i)
                    record(*log, at("2026-02-13T14:00"), std::to_string(recorded++));
                std::this_thread::sleep_for(20ms);
                CHECK(log->counts().failed_flushes == 1);
                fails = false;
                REQUIRE(log->close());
                CHECK(stored_names(*log, two).size() == static_cast<std::size_t>(recorded));
            }
        }
    }

    TEST_CASE("flush and the keeper get their turn while others record durably without a pause") {
        World world;
        auto options = options_of(Recording_Mode::durable);
        auto const log = world.open(options);
        world.store.hook = [&](Operation operation, std::string const&) {
            if (operation == Operation::append)
                std::this_thread::sleep_for(1ms); // nearly always somebody writes
            return World::Verdict{};
        };
        record(*log, at("2026-02-13T14:00"), "over");
        world.clock->set(two.end() + default_grace + 1ms);
        Restless const restless(*log);
        std::atomic<bool> flushed{false};
        std::thread flusher([&] {
            CHECK(log->flush());
            flushed = true;
        });
        wait_until([&] { return flushed.load(); });
        flusher.join();
        wait_until([&] { return world.files("writers/").begin()->second.find("14:00") == std::string::npos; });
        CHECK(stored_names(*log, two) == each_once({"over"}));
    }
}
