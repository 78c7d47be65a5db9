// SPDX-License-Identifier: Apache-2.0
// Real processes on a real disk: forks, kills, and several that begin at once.
#include "events/log_world.hpp"
#include "support/child_process.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/storage/disk.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <random>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Log = Event_Log<Storage_Disk>;

auto const two = window("2026-02-13T14:00");
auto const clock_at_two = std::make_shared<Manual_Clock>(at("2026-02-13T14:10"));

auto open_log(Storage_Disk& storage, Event_Log_Options options = World::quiet()) -> std::unique_ptr<Log> {
    return Log::open(storage, log_paths(), clock_at_two, std::move(options)).value();
}

} // namespace

TEST_SUITE("events/processes") {
    TEST_CASE("a child drops the buffer that it inherits, and writes as a writer of its own (H5)") {
        if (!can_fork_with_threads())
            return;
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const log = open_log(storage);
        for (int i = 0; i < 50; ++i)
            record(*log, at("2026-02-13T14:00"), "parent " + std::to_string(i));
        auto const child = in_child([&] {
            try_record(*log, at("2026-02-13T14:01"), "child").value();
            if (log->counts().recorded != 1)
                throw 1;
            log->flush().value();
            log->close().value();
        });
        auto const silent = in_child([&] {}); // one that does nothing with it at all
        REQUIRE(status_of(child) == 0);
        REQUIRE(status_of(silent) == 0);
        CHECK(stored_names(*log, two) == Names{{"child", 1}});
        record(*log, at("2026-02-13T14:00"), "parent 50");
        REQUIRE(log->flush());
        auto const names = stored_names(*log, two);
        CHECK(names.size() == 52);
        for (auto const& [name, times] : names)
            CHECK(times == 1);
        CHECK(files_list(storage, log->paths().raw_prefix()).value().size() == 2);
    }

    TEST_CASE("a child of a process whose other threads are recording can record, flush and fork itself") {
        if (!can_fork_with_threads())
            return;
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto options = World::quiet();
        options.flush_interval = options.check_interval = 1ms;
        auto const log = open_log(storage, options);
        std::atomic<bool> done{false};
        std::atomic<int> recorded{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 2; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; !done; ++i) {
                    try_record(*log, at("2026-02-13T14:00"), std::to_string(t) + "-" + std::to_string(i)).value();
                    ++recorded;
                }
            });
        constexpr int children = 20;
        for (int i = 0; i < children; ++i) {
            auto const name = "child " + std::to_string(i);
            auto const child = in_child([&] {
                try_record(*log, at("2026-02-13T14:00"), name).value();
                log->flush().value();
                auto const grandchild = in_child([&] {
                    try_record(*log, at("2026-02-13T14:00"), "grand" + name).value();
                    log->close().value();
                });
                int status = 1;
                if (::waitpid(grandchild, &status, 0) != grandchild || status != 0)
                    throw 1;
                log->close().value();
            });
            REQUIRE(status_of(child) == 0);
        }
        done = true;
        for (auto& thread : threads)
            thread.join();
        REQUIRE(log->close());
        auto const names = stored_names(*log, two);
        CHECK(names.size() == static_cast<std::size_t>(recorded) + 2 * children);
        for (auto const& [name, times] : names)
            REQUIRE(times == 1);
    }

    TEST_CASE("two processes write while a third reads: nothing lost, nothing doubled") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const log = open_log(storage);
        constexpr int each = 3'000;
        std::vector<pid_t> children;
        for (auto const* who : {"a", "b"})
            children.push_back(in_child([&] {
                auto own_storage = Storage_Disk::open(folder.path()).value();
                auto options = World::quiet();
                options.flush_interval = 1ms;
                auto const own = open_log(own_storage, options);
                for (int i = 0; i < each; ++i) {
                    try_record(*own, at("2026-02-13T14:00"), who + std::to_string(i)).value();
                    if (i % 100 == 0)
                        std::this_thread::sleep_for(1ms);
                }
                own->close().value();
            }));
        Read_State seen;
        std::map<char, int> next; // events of one writer come in order and without a gap, in every answer
        auto const read = [&] {
            REQUIRE(log->read(two, seen, [&](Raw_Event const& event) -> Result<void> {
                auto const name = name_in(event.json);
                REQUIRE(name.substr(1) == std::to_string(next[name[0]]++));
                return {};
            }));
        };
        for (auto const child : children) {
            int status = 0;
            while (::waitpid(child, &status, WNOHANG) == 0)
                read();
            CHECK(status == 0);
        }
        read();
        CHECK(next == std::map<char, int>{{'a', each}, {'b', each}});
        CHECK(files_list(storage, log->paths().writers_prefix()).value().empty());
    }

    TEST_CASE("a buffered writer that is killed loses at most what it recorded within its last flush interval") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937 dice(seed);
        for (int round = 0; round < 20; ++round) {
            Scratch_Folder folder;
            Pipe landed;
            auto const child = in_child([&] {
                landed.close_end(0);
                auto storage = Storage_Disk::open(folder.path()).value();
                auto options = World::quiet();
                options.flush_interval = 5ms;
                auto const log = open_log(storage, options);
                // By the log's own account: `landed` of the events recorded are safe from a kill.
                for (int i = 0;; ++i) {
                    try_record(*log, at("2026-02-13T14:00"), std::to_string(i)).value();
                    if (i % 20 == 0) {
                        landed.send(log->counts().landed);
                        std::this_thread::sleep_for(1ms);
                    }
                }
            });
            landed.close_end(1);
            std::uint64_t safe = 0;
            auto const reports = 3 + dice() % 30;
            for (unsigned i = 0; i < reports || safe == 0; ++i)
                REQUIRE(landed.receive(safe));
            ::kill(child, SIGKILL);
            (void)status_of(child);
            while (landed.receive(safe)) {
            }
            auto storage = Storage_Disk::open(folder.path()).value();
            auto const log = open_log(storage);
            auto const names = stored_names(*log, two);
            REQUIRE(names.size() >= safe);
            for (std::size_t i = 0; i < names.size(); ++i) { // the first ones, each once
                auto const found = names.find(std::to_string(i));
                REQUIRE(found != names.end());
                REQUIRE(found->second == 1);
            }
            REQUIRE(log->adopt_dead_writers());
            REQUIRE(files_list(storage, log->paths().writers_prefix()).value().empty());
        }
    }

    TEST_CASE("a durable writer that is killed loses nothing that it acknowledged") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937 dice(seed);
        for (int round = 0; round < 20; ++round) {
            Scratch_Folder folder;
            Pipe acknowledged;
            auto const child = in_child([&] {
                acknowledged.close_end(0);
                auto storage = Storage_Disk::open(folder.path()).value();
                auto options = World::quiet();
                options.mode = Recording_Mode::durable;
                auto const log = open_log(storage, options);
                std::vector<std::thread> threads;
                for (int t = 0; t < 3; ++t)
                    threads.emplace_back([&, t] {
                        for (int i = t;; i += 3)
                            if (try_record(*log, at("2026-02-13T14:00"), std::to_string(i)))
                                acknowledged.send(i);
                    });
                for (auto& thread : threads)
                    thread.join();
            });
            acknowledged.close_end(1);
            std::set<int> promised;
            int number = 0;
            auto const wanted = 1 + dice() % 60;
            while (promised.size() < wanted) {
                REQUIRE(acknowledged.receive(number));
                promised.insert(number);
            }
            ::kill(child, SIGKILL);
            (void)status_of(child);
            while (acknowledged.receive(number))
                promised.insert(number);
            auto storage = Storage_Disk::open(folder.path()).value();
            auto const names = stored_names(*open_log(storage), two);
            for (auto const i : promised)
                REQUIRE(names.contains(std::to_string(i)));
            for (auto const& [name, times] : names)
                REQUIRE(times == 1);
        }
    }

    TEST_CASE("per_request: a process that is frozen as soon as record returns, and never woken, has lost nothing") {
        Scratch_Folder folder;
        constexpr std::size_t requests = 20;
        auto const child = in_child([&] {
            auto storage = Storage_Disk::open(folder.path()).value();
            auto options = World::quiet();
            options.mode = Recording_Mode::per_request;
            auto const log = open_log(storage, options);
            for (int i = 0;; ++i) {
                try_record(*log, at("2026-02-13T14:00"), std::to_string(i)).value();
                ::raise(SIGSTOP); // all threads of the process, as a host does between two requests
            }
        });
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const log = open_log(storage);
        std::vector<std::size_t> found;
        for (int status = 0; found.size() < requests; ::kill(child, SIGCONT)) {
            if (::waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
                break;
            found.push_back(stored_names(*log, two).size());
        }
        ::kill(child, SIGKILL);
        (void)status_of(child);
        REQUIRE(found.size() == requests);
        for (std::size_t i = 0; i < requests; ++i)
            CHECK(found[i] == i + 1);
        CHECK(stored_names(*log, two).size() >= requests); // it was woken once more
        REQUIRE(log->adopt_dead_writers());
        CHECK(files_list(storage, log->paths().writers_prefix()).value().empty());
    }

    TEST_CASE("a hundred openings and readings leave a writer that stands in the middle of a line untouched (H4)") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const log = open_log(storage);
        for (int i = 0; i < 10; ++i)
            record(*log, at("2026-02-13T14:00"), std::to_string(i));
        REQUIRE(log->flush());
        auto const piece = Storage_Key(files_list(storage, log->paths().raw_prefix()).value().at(0));
        auto const whole = storage.get(piece).value()->bytes;
        auto const half = whole.substr(0, whole.size() - 10);
        REQUIRE(storage.put(piece, half, Precondition::none()));
        for (int i = 0; i < 100; ++i) {
            auto other = Storage_Disk::open(folder.path()).value();
            auto const reader = open_log(other);
            REQUIRE(reader->adopt_dead_writers());
            REQUIRE(stored_names(*reader, two).size() == 9);
        }
        CHECK(storage.get(piece).value()->bytes == half);
        REQUIRE(storage.append(piece, half.size(), whole.substr(half.size()), Durability::buffered));
        CHECK(stored_names(*log, two).size() == 10);
    }

    TEST_CASE("of processes that open a new store at once with different settings, one wins and the others say so") {
        Scratch_Folder folder;
        Pipe start, outcome;
        constexpr int count = 6;
        std::vector<pid_t> children;
        for (int i = 0; i < count; ++i)
            children.push_back(in_child([&] {
                start.close_end(1);
                auto storage = Storage_Disk::open(folder.path()).value();
                char byte = 0;
                (void)start.receive(byte); // ends when the parent closes: all at once
                auto options = World::quiet();
                options.settings.grace = std::chrono::minutes(i + 1);
                auto const log = Log::open(storage, log_paths(), clock_at_two, options);
                if (log.has_error() && log.error().code != Errc::invalid_argument)
                    throw 1;
                outcome.send(log ? i + 1 : 0);
            }));
        start.close_end(0);
        start.close_end(1);
        for (auto const child : children)
            CHECK(status_of(child) == 0);
        outcome.close_end(1);
        int winner = 0, refused = 0, grace = 0;
        while (outcome.receive(grace)) {
            refused += grace == 0 ? 1 : 0;
            winner += grace;
        }
        CHECK(refused == count - 1);
        auto storage = Storage_Disk::open(folder.path()).value();
        CHECK(open_log(storage)->settings().grace == std::chrono::minutes(winner));
    }
}
