// SPDX-License-Identifier: Apache-2.0
// Threads that record, ask and rebuild at once, on one log: by numbers of operations, so that it ends, and with what
// must hold of each answer. Under the thread sanitizer it shows races, too.
#include "support/backends.hpp"
#include "support/printers.hpp"
#include "support/test_event.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/lets/aggregator.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

auto const start = Window::parse(Window_Type::daily, "2026-02-13").value().start() + 20h;

/// Nothing grows here: each landing is an object.
struct Part_Backend {
    using Storage = Wrapped_Storage<Storage_Memory>;
    Part_Backend() {
        storage.promised.append = false;
        storage.promised.survives_process = true;
    }
    Storage_Memory memory;
    Storage storage{memory};
};

/// How many events of each half-hour have begun to be recorded, and of how many that is over.
class Tally {
  public:
    void begin(Utc_Time time) { ++begun_.at(place(time)); }
    void end(Utc_Time time) { ++done_.at(place(time)); }
    [[nodiscard]] auto begun(Window const& window) const -> std::uint64_t { return sum(begun_, window); }
    [[nodiscard]] auto done(Window const& window) const -> std::uint64_t { return sum(done_, window); }

  private:
    using Counts = std::array<std::atomic<std::uint64_t>, 96>; ///< two days from the start on
    static auto place(Utc_Time time) -> std::size_t { return static_cast<std::size_t>((time - start) / 30min); }
    static auto sum(Counts const& counts, Window const& window) -> std::uint64_t {
        std::uint64_t total = 0;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            auto const time = start + i * Base_Window::length;
            if (time >= window.start() && time < window.end())
                total += counts[i].load();
        }
        return total;
    }
    Counts begun_{}, done_{};
};

template <StorageBackend Storage>
void run_threads(Storage& storage, std::uint64_t seed) {
    using Aggregator = LETS_Aggregator<Storage, Test_Event, Test_Summary>;
    auto const clock = std::make_shared<Manual_Clock>(start);
    Event_Log_Options options;
    options.flush_interval = options.check_interval = options.tidy_interval = 1ms;
    options.piece_bytes = 2'000;
    auto const paths = Log_Paths("cache", Namespace_Name("threads"));
    auto const log = Event_Log<Storage>::open(storage, paths, clock, options).value();
    Aggregator aggregator(storage, *log);
    Tally tally;
    std::atomic<int> number{0}, failed{0};
    std::atomic<std::uint64_t> finals{0};

    auto const record = [&](std::mt19937_64& random) {
        auto const now = clock->now();
        auto const age = random() % 4 == 0 ? std::chrono::minutes(random() % 240) : 0min;
        auto const time = std::max(start, now - age);
        Test_Event const event{time, std::to_string(++number)};
        tally.begin(time);
        failed += !log->record(time, [&](std::string& out) { event.append_json(out); });
        tally.end(time);
        if (random() % 16 == 0)
            clock->advance(7min); // 42 hours if every step of the three did so
    };
    auto const ask = [&](std::mt19937_64& random) {
        auto const type = all_window_types[random() % all_window_types.size()];
        auto const window =
            Window::containing(type, std::max(start, clock->now() - std::chrono::minutes(random() % 240)));
        auto const least = tally.done(window);
        auto const answer = random() % 8 == 0 ? aggregator.rebuild(window) : aggregator.query(window);
        auto const most = tally.begun(window);
        auto const total = answer ? answer->summary->total : 0;
        failed += !answer || total < least || total > most || answer->summary->names.distinct() != total;
        finals += answer && answer->final;
    };

    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&, i] {
            std::mt19937_64 random(seed + static_cast<std::uint64_t>(i));
            for (int step = 0; step < 120; ++step)
                if (i < 3)
                    record(random);
                else
                    ask(random);
        });
    for (auto& thread : threads)
        thread.join();
    CHECK(failed == 0);
    CHECK(finals > 0);

    // At rest every level holds all, in this process and in one that knows nothing.
    REQUIRE(log->flush());
    auto const last = clock->now();
    clock->set(start + 24h * 800);
    auto const other = Event_Log<Storage>::open(storage, paths, clock, options).value();
    Aggregator fresh(storage, *other);
    for (auto* const asked : {&aggregator, &fresh})
        for (auto const type : all_window_types)
            for (auto time = start; time <= last; time = Window::containing(type, time).end()) {
                auto const window = Window::containing(type, time);
                auto const answer = asked->query(window);
                REQUIRE(answer.has_value());
                CHECK(answer->final);
                CHECK(answer->summary->total == tally.done(window));
                CHECK(answer->summary->names.distinct() == answer->summary->total);
            }
}

} // namespace

TEST_SUITE("lets/threads") {
    TEST_CASE_TEMPLATE("eight threads record, ask and rebuild at once, and each answer is whole", Backend,
                       testing::Memory_Backend, testing::Disk_Backend, Part_Backend MEMFS_CACHE_SQLITE_BACKENDS) {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        Backend backend;
        run_threads(backend.storage, seed);
    }
}
