// SPDX-License-Identifier: Apache-2.0
// What questions cost, counted in operations and bytes, alone and many at once.
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include "support/test_event.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

auto const noon = Window::parse(Window_Type::hourly, "2026-02-13T12").value().start();

template <StorageBackend Storage>
struct Process {
    using Aggregator = LETS_Aggregator<Storage, Test_Event, Test_Summary>;

    Process(Storage& storage, Utc_Time now)
        : clock(std::make_shared<Manual_Clock>(now)),
          log(Event_Log<Storage>::open(storage, Log_Paths("cache", Namespace_Name("site")), clock).value()),
          aggregator(storage, *log) {}

    void record(Utc_Time time, std::string const& name) {
        Test_Event const event{time, name};
        REQUIRE(log->record(time, [&](std::string& out) { event.append_json(out); }));
    }
    auto ask(Window_Type type, Utc_Time time) -> typename Aggregator::Answer {
        return aggregator.query(Window::containing(type, time)).value();
    }

    std::shared_ptr<Manual_Clock> clock;
    std::unique_ptr<Event_Log<Storage>> log;
    Aggregator aggregator;
};

/// The saved form of the numbers of an answer.
auto members_of(Test_Summary const& summary) -> std::string {
    std::string text;
    summary.append_members(text);
    return text;
}

/// Sixteen threads ask at once; gives what each was told.
template <class Ask>
auto answers_of_sixteen(Ask&& ask) -> std::vector<std::string> {
    std::vector<std::string> answers(16);
    std::vector<std::thread> threads;
    for (auto& answer : answers)
        threads.emplace_back([&] { answer = ask(); });
    for (auto& thread : threads)
        thread.join();
    return answers;
}

template <StorageBackend Storage>
auto largest_saved_bytes(Storage const& storage) -> std::uint64_t {
    std::uint64_t most = 0;
    for (auto const& path : files_list(storage, "cache/site/data/aggregations/").value())
        most = std::max<std::uint64_t>(most, read(storage, path).value()->size());
    return most;
}

} // namespace

TEST_SUITE("lets/reads") {
    TEST_CASE("the second question about an open window reads what was appended since, and one summary at most") {
        Storage_Memory storage;
        Process process(storage, noon - 10h);
        int number = 0;
        auto const next_name = [&] { return std::string(100, 'x') + std::to_string(number++); };
        for (auto time = noon - 10h; time < noon + 10min; time += 7min) {
            process.clock->set(time);
            process.record(time, next_name());
        }
        for (auto const type : all_window_types)
            (void)process.ask(type, noon);
        auto const one_summary = largest_saved_bytes(storage);
        for (auto const type : all_window_types) {
            CAPTURE(to_text(type));
            auto const before = storage.counters();
            process.record(noon + 10min, next_name());
            auto const written = storage.counters().bytes_written - before.bytes_written;
            REQUIRE(written > 0);
            auto const answer = process.ask(type, noon);
            CHECK_FALSE(answer.final);
            CHECK(storage.counters().bytes_read - before.bytes_read <= written + one_summary);
        }
    }

    TEST_CASE("sixteen that ask for one window at once load it once: to be built, saved, and open") {
        using Store = Wrapped_Storage<Storage_Memory>;
        Storage_Memory memory;
        Store store(memory);
        Process<Store> process(store, noon);
        for (int i = 0; i < 5'000; ++i)
            process.record(noon, std::to_string(i));
        auto const path = process.aggregator.key_of(Window::containing(Window_Type::half_hour, noon)).str();
        std::atomic<int> raw_reads{0}, puts{0};
        store.hook = [&](Store::Operation operation, std::string const& key) {
            raw_reads += operation == Store::Operation::get && key.find("/raw/") != std::string::npos;
            puts += operation == Store::Operation::put && key.find("/aggregations/") != std::string::npos;
            return Store::Verdict{};
        };
        auto const all_equal = [](std::vector<std::string> const& answers) {
            return std::count(answers.begin(), answers.end(), answers.front()) == 16;
        };
        auto const half_hour_of = [](Process<Store>& asked) {
            return [&] { return members_of(*asked.ask(Window_Type::half_hour, noon).summary); };
        };

        // Open: it is read once; who comes behind finds nothing new.
        auto bytes_before = memory.counters().bytes_read;
        auto const open = answers_of_sixteen(half_hour_of(process));
        CHECK(all_equal(open));
        auto const raw_bytes = memory.counters().bytes_read - bytes_before;
        std::uint64_t stored = 0;
        for (auto const& raw : files_list(memory, "cache/site/data/raw/").value())
            stored += read(memory, raw).value()->size();
        CHECK(raw_bytes < stored + 5'000); // a chunk's last line is read twice

        // To be built.
        process.clock->set(noon + 10h);
        raw_reads = 0;
        auto const built = answers_of_sixteen(half_hour_of(process));
        CHECK(built == open);
        CHECK(puts == 1);
        CHECK(raw_reads == 1);

        // Saved, and asked of a process that knows nothing.
        Process<Store> fresh(store, noon + 10h);
        raw_reads = 0;
        auto const saved_bytes = read(memory, path).value()->size();
        bytes_before = memory.counters().bytes_read;
        CHECK(answers_of_sixteen(half_hour_of(fresh)) == open);
        CHECK(raw_reads == 0);
        CHECK(puts == 1);
        CHECK(memory.counters().bytes_read - bytes_before < saved_bytes + 1'000);
    }

    TEST_CASE("two processes of eight threads each get equal answers and leave one valid file") {
        testing::Scratch_Folder folder;
        auto const day = Window::containing(Window_Type::daily, noon);
        std::string path;
        {
            auto storage = Storage_Disk::open(folder.path() / "store").value();
            Process process(storage, noon);
            for (int i = 0; i < 2'000; ++i)
                process.record(noon - std::chrono::seconds(i * 17), std::to_string(i));
            REQUIRE(process.log->close());
            path = process.aggregator.key_of(day).str();
        }
        constexpr int processes = 2, threads = 8;
        auto const answer_file = [&](int process, int thread) {
            return folder.path() / (std::to_string(process) + "-" + std::to_string(thread));
        };
        std::vector<pid_t> children;
        for (int process = 0; process < processes; ++process) {
            auto const child = ::fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                ::alarm(60); // whatever hangs ends
                auto storage = Storage_Disk::open(folder.path() / "store").value();
                {
                    Process asked(storage, noon + 48h);
                    std::vector<std::thread> all;
                    for (int thread = 0; thread < threads; ++thread)
                        all.emplace_back([&, thread] {
                            auto const answer = asked.aggregator.query(day);
                            std::ofstream(answer_file(process, thread))
                                << (answer && answer->final ? members_of(*answer->summary) : "no final answer");
                        });
                    for (auto& thread : all)
                        thread.join();
                }
                ::_exit(0);
            }
            children.push_back(child);
        }
        for (auto const child : children) {
            int status = 0;
            REQUIRE(::waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }
        std::vector<std::string> answers;
        for (int process = 0; process < processes; ++process)
            for (int thread = 0; thread < threads; ++thread) {
                std::ifstream in(answer_file(process, thread));
                answers.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
            }
        CHECK(answers.front().starts_with(R"("total":2000,)"));
        CHECK(std::count(answers.begin(), answers.end(), answers.front()) == processes * threads);

        auto storage = Storage_Disk::open(folder.path() / "store").value();
        CHECK(files_list(storage, "cache/site/data/aggregations/daily/").value() == std::vector<std::string>{path});
        auto const saved = read(storage, path).value().value();
        CHECK(saved.find(answers.front()) != std::string::npos);
        CHECK(parse_object(saved, path).has_value());
        CHECK(read(storage, "cache/site/data/latest/current-daily.json").value() == saved);
    }
}
