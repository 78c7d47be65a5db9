// SPDX-License-Identifier: Apache-2.0
#include "namespaces/transfer_house.hpp"
#include "support/child_process.hpp"
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/scratch_folder.hpp"
#include "support/test_seed.hpp"
#include <memfs_cache/storage/disk.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <random>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

/// One process on a folder, with the machine's clock or another one.
struct Disk_Process {
    explicit Disk_Process(std::filesystem::path const& folder, Clock_Ptr clock = std::make_shared<System_Clock>())
        : storage(Storage_Disk::open(folder).value()),
          analytics(
              Analytics<Storage_Disk>::open(storage, "cache", Namespace_Name("analytics"), clock, options()).value()),
          transfers(Transfers<Storage_Disk>::open(storage, "cache", Namespace_Name("transfers"), clock, analytics.get())
                        .value()) {}
    static auto options() -> Analytics_Options {
        Analytics_Options options;
        options.log.flush_interval = 1ms;
        options.visitor_key = Visitor_Key::none;
        return options;
    }

    Storage_Disk storage;
    std::unique_ptr<Analytics<Storage_Disk>> analytics;
    std::unique_ptr<Transfers<Storage_Disk>> transfers;
};

/// A record of an event, without a log.
struct Made_Event {
    Analytics_Record record;
    std::string id, event_id;

    Made_Event(std::string transfer_id, Utc_Time time, std::uint64_t number)
        : id(std::move(transfer_id)), event_id(to_hex(number)) {
        record.event_id = event_id;
        record.event_type = event_type_of(Transfer_Act::downloaded);
        record.timestamp = time;
        record.transfer_id = id;
        record.content_bytes = 1;
    }
};

auto text_of(Transfers_Summary const& summary) -> std::string {
    std::string text;
    summary.append_members(text);
    return "{" + text + "}";
}

/// How often whole lines of the log name a transfer and an act.
auto logged(std::filesystem::path const& folder, std::string const& id, Transfer_Act act) -> std::uint64_t {
    auto storage = Storage_Disk::open(folder).value();
    std::uint64_t count = 0;
    for (auto const& [name, text] : stored_files(storage, "cache/analytics/data/raw/"))
        for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
            auto const line = std::string_view(text).substr(begin, end - begin);
            count += line.find("\"transfer_id\":\"" + id + "\"") != std::string_view::npos &&
                     line.find("\"event_type\":\"" + std::string(event_type_of(act)) + "\"") != std::string_view::npos;
        }
    return count;
}

} // namespace

TEST_SUITE("namespaces/transfers, limits") {
    TEST_CASE("whatever comes, windows of transfers are bounded and say how far they may be off") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        std::map<std::string, std::uint64_t> truth;
        std::uint64_t number = 0;
        Transfers_Summary parts[4];
        auto const start = time_at("2026-02-13T00:00");
        for (auto& part : parts)
            for (int i = 0; i < 25'000; ++i) {
                // A few large ones among many that are hardly ever seen.
                auto const id =
                    random() % 3 == 0 ? "large" + std::to_string(random() % 50) : std::to_string(random() % 40'000);
                part.add(Made_Event(id, start + std::chrono::seconds(random() % 86'400), ++number).record);
                ++truth[id];
            }
        Transfers_Summary all;
        for (auto& part : parts) {
            part.settle();
            CHECK(all.merge_text(text_of(part)));
        }
        all.settle();
        CHECK_FALSE(all.is_exact());
        CHECK(all.transfers().size() <= Transfers_Summary::kept_transfers);
        CHECK(all.error() <= number / (Transfers_Summary::kept_transfers + 1));
        auto const answer = all.answer();
        CHECK(answer.error == all.error());
        CHECK(answer.total.events == number);
        CHECK(answer.total.downloads == number);
        CHECK(answer.total.bytes == number);
        CHECK(static_cast<double>(answer.active_transfers) ==
              doctest::Approx(static_cast<double>(truth.size())).epsilon(0.05));
        std::uint64_t shown = answer.other.events;
        for (auto const& row : answer.transfers)
            shown += row.events;
        CHECK(shown == number);
        std::uint64_t wrong = 0;
        for (auto const& [id, times] : truth) {
            auto const found = all.transfers().find(id);
            auto const known = found == all.transfers().end() ? 0 : found->second.events;
            wrong += known > times || times - known > all.error();
        }
        CHECK(wrong == 0);
        std::string text;
        answer.append_members(text);
        CHECK(text.size() <= most_answer_bytes);
        CHECK(Transfers_Answer::from_text("{" + text + "}").value().total == answer.total);
    }

    TEST_CASE("what is known of transfers stays within its size, also with many downloaders each") {
        Transfers_Summary summary;
        auto const start = time_at("2026-02-13T00:00");
        constexpr std::uint64_t transfers = 1'100, downloaders = 1'900;
        std::string hash;
        for (std::uint64_t i = 0; i < transfers * downloaders; ++i) {
            Made_Event event("t" + std::to_string(i % transfers), start, 0);
            hash = to_hex(i * 0x9e3779b97f4a7c15ULL);
            event.record.ip_hash = hash;
            summary.add(event.record);
        }
        CHECK_FALSE(summary.is_exact());
        CHECK(text_of(summary).size() <= Transfers_Summary::most_text_bytes);
        CHECK(summary.answer().total.events == transfers * downloaders);
        summary.settle();
        CHECK(text_of(summary).size() <= Transfers_Summary::most_text_bytes / 2);
        CHECK(summary.error() <= transfers * downloaders / (summary.transfers().size() + 1));
    }

    TEST_CASE("an answer is of one size, whatever ids and figures are like") {
        Transfers_Summary summary;
        for (int i = 0; i < 200; ++i) {
            auto id = std::to_string(i);
            Made_Event event(id.insert(0, 128 - id.size(), 'x'), time_at("2026-02-13T00:00"), 1);
            event.record.content_bytes = std::numeric_limits<std::int64_t>::max();
            summary.add(event.record);
            summary.add(event.record);
        }
        std::string text;
        summary.answer().append_members(text);
        CHECK(text.size() <= most_answer_bytes);
        CHECK(summary.answer().transfers.size() == Transfers_Answer::most_transfers);
        CHECK(summary.answer().other.events == 200);
    }

    TEST_CASE("what is known of a transfer is the same in any order and by any way of merging") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        std::vector<Made_Event> events;
        for (std::uint64_t i = 0; i < 300; ++i) // many of them of one time
            events.emplace_back("t" + std::to_string(random() % 3),
                                time_at("2026-02-13T00:00") + std::chrono::milliseconds(random() % 40), random() % 200);
        auto const sum = [](auto begin, auto end) {
            Transfers_Summary summary;
            for (auto event = begin; event != end; ++event) {
                auto record = event->record;
                record.event_id = event->event_id;
                record.transfer_id = event->id;
                summary.add(record);
            }
            return summary;
        };
        auto const once = text_of(sum(events.begin(), events.end()));
        for (int i = 0; i < 20; ++i) {
            std::shuffle(events.begin(), events.end(), random);
            auto const middle = events.begin() + static_cast<std::ptrdiff_t>(random() % events.size());
            auto merged = sum(middle, events.end());
            merged.merge(sum(events.begin(), middle));
            CHECK(text_of(merged) == once);
            Transfers_Summary read;
            CHECK(read.merge_text(text_of(sum(events.begin(), middle))));
            CHECK(read.merge_text(text_of(sum(middle, events.end()))));
            CHECK(text_of(read) == once);
        }
        Transfers_Summary damaged;
        CHECK(damaged.merge_text(once.substr(0, once.size() - 2)).error().code == Errc::corrupt_data);
    }

    TEST_CASE("an answer about one transfer is exact, however many others there are") {
        Transfer_House house("2026-02-13T10:00");
        auto const fill = [&](int from, int to) {
            for (int i = from; i < to; ++i)
                house.record("t" + std::to_string(i), Transfer_Act::viewed);
        };
        fill(0, 17'000); // more in a half-hour than it keeps apart
        house.at("2026-02-13T12:00");
        fill(0, 3'000); // and in another one
        house.at("2026-02-15T00:00");
        auto const day = house->aggregation("daily", "2026-02-13").value();
        CHECK(day.answer.error > 0);
        CHECK(day.answer.total.events == 20'000);
        for (int const i : {0, 2'999, 3'000, 16'999}) {
            CAPTURE(i);
            auto const id = "t" + std::to_string(i);
            auto const views = i < 3'000 ? 2U : 1U;
            auto const summary = house->summary(id).value();
            CHECK(summary.figures.views == views);
            CHECK(summary.error == 0);
            CHECK(house->events(id).value().size() == views);
        }
        CHECK(house->summary("t17000").error().code == Errc::not_found);
    }

    TEST_CASE("the summary of a transfer of very many events is small, and answered from saved windows") {
        auto const count = number_from_environment("MEMFS_CACHE_TEST_TRANSFER_EVENTS", 30'000);
        Transfer_House house("2026-02-03T00:00");
        auto const step = std::chrono::milliseconds(20LL * 86'400'000) / static_cast<std::int64_t>(count);
        std::set<std::uint64_t> downloaders;
        for (std::uint64_t i = 0; i < count; ++i) {
            if (i % 3 != 0)
                downloaders.insert(i % 20'000);
            std::string country = "AA";
            country[0] = static_cast<char>('A' + i % 26);
            country[1] = static_cast<char>('A' + i / 26 % 26);
            house.record(
                "t", i % 3 == 0 ? Transfer_Act::viewed : Transfer_Act::downloaded,
                {.ip_hash = to_hex(i % 20'000 * 0x9e3779b97f4a7c15ULL), .country = country, .content_bytes = 1});
            house.site.clock().advance(step);
        }
        auto const expected = house->summary("t").value();
        CHECK(expected.figures.events == count);
        CHECK(expected.figures.views == (count + 2) / 3);
        CHECK(expected.figures.countries.size() == 676);
        auto const unique = static_cast<double>(expected.figures.downloaders.count());
        CHECK(unique == doctest::Approx(static_cast<double>(downloaders.size())).epsilon(0.03));
        house.at("2026-03-05T00:00");
        CHECK(house->summary("t").value().figures.events == count);
        auto const files = stored_files(house.site.memory, std::string(transfers_data) + "aggregations/per-transfer/");
        REQUIRE(files.size() == 1);
        CHECK(files.begin()->second.size() <= 64 << 10);

        house.reopen();
        std::uint64_t raw_reads = 0, operations = 0;
        house.site.storage.hook = [&](auto operation, std::string const& key) {
            ++operations;
            raw_reads += operation == Watched_Memory::Operation::get && key.starts_with("cache/analytics/data/raw/");
            return Watched_Memory::Verdict{};
        };
        auto const before = house.site.memory.counters();
        CHECK(house->summary("t").value().figures.events == count);
        CHECK(raw_reads == 0);
        CHECK(operations <= 40);
        CHECK(house.site.memory.counters().bytes_read - before.bytes_read <= 128 << 10);
        // Also where nothing is kept of it, and its past has to be put together again.
        REQUIRE(house.site.memory.erase(Storage_Key(files.begin()->first), Precondition::none()).value());
        house.reopen();
        operations = 0;
        CHECK(house->summary("t").value().figures.events == count);
        CHECK(raw_reads == 0);
        CHECK(operations <= 80);
        MESSAGE(count << " events: a summary of " << files.begin()->second.size() << " bytes, " << operations
                      << " operations without it");
    }

    TEST_CASE("the newest events are found in half-hours that name the transfer, and no others are read") {
        Transfer_House house("2026-02-13T00:10");
        for (int hour = 0; hour < 24; ++hour) {
            house.record(hour % 6 == 0 ? "t" : "u", Transfer_Act::viewed);
            house.site.clock().advance(1h);
        }
        house.at("2026-02-15T00:00");
        CHECK(house->events("t").value().size() == 4); // and all windows are saved
        std::set<std::string> read;
        house.site.storage.hook = [&](auto operation, std::string const& key) {
            if (operation == Watched_Memory::Operation::get && key.starts_with("cache/analytics/data/raw/"))
                read.insert(key.substr(std::string("cache/analytics/data/raw/").size(), 13));
            return Watched_Memory::Verdict{};
        };
        auto const events = house->events("t", 2).value();
        CHECK(events.size() == 2);
        CHECK(events[0].timestamp == time_at("2026-02-13T18:10"));
        CHECK(events[1].timestamp == time_at("2026-02-13T12:10"));
        CHECK(read == std::set<std::string>{"2026/02/13/12", "2026/02/13/18"});
        read.clear();
        CHECK(house->events("nobody").value().empty());
        CHECK(read.empty());
    }

    TEST_CASE("active transfers are those of the last minutes, to the millisecond") {
        Transfer_House house("2026-02-13T14:10");
        auto const now = time_at("2026-02-13T14:10");
        auto const at = [&](std::string const& id, Utc_Time time, Transfer_Act act = Transfer_Act::viewed) {
            house.record(id, act, {.timestamp = time, .content_bytes = 2});
        };
        at("before", now - 60min);
        at("first", now - 60min + 1ms);
        at("twice", now - 30min, Transfer_Act::downloaded);
        at("twice", now);
        at("ahead", now + 1ms);
        auto const active = house->active().value();
        CHECK(active.computed_at == now);
        CHECK(active.active_transfers == 2);
        REQUIRE(active.transfers.size() == 2);
        CHECK(active.transfers[0].transfer_id == "twice");
        CHECK(active.transfers[0].downloads == 1);
        CHECK(active.transfers[0].views == 1);
        CHECK(active.transfers[0].bytes == 4);
        CHECK(active.transfers[0].last_at == now);
        CHECK(active.transfers[1].transfer_id == "first");
        CHECK(active.total.events == 3);
        CHECK(house->active(1).value().active_transfers == 1);
        house.site.clock().advance(1ms);
        CHECK(house->active().value().active_transfers == 2); // "first" is gone, "ahead" is there
        house.site.clock().advance(2h);
        CHECK(house->active().value().transfers.empty());
        for (int i = 0; i < 150; ++i)
            for (int times = 0; times <= i % 3; ++times)
                house.record("t" + std::to_string(i), Transfer_Act::viewed);
        auto const many = house->active().value();
        CHECK(many.active_transfers == 150);
        CHECK(many.transfers.size() == Active_Transfers::most_transfers);
        CHECK(many.transfers.front().transfer_id == "t101"); // of those with three views the first by name
        CHECK(many.total.views == 300);
        CHECK(many.other.views == 50); // of one view each
    }

    TEST_CASE("the copy of the active transfers moves forward only, and not with every question") {
        Transfer_House house;
        house.record("t", Transfer_Act::viewed);
        auto const copy = [&] {
            return read(house.site.memory, std::string(transfers_data) + "latest/active-transfers.json")
                .value()
                .value();
        };
        REQUIRE(house->active());
        auto const first = copy();
        CHECK(Active_Transfers::time_of_file(first) == time_at("2026-02-13T14:10"));
        house.site.clock().advance(59s);
        REQUIRE(house->active());
        CHECK(copy() == first);
        house.site.clock().advance(1s);
        REQUIRE(house->active());
        auto const second = copy();
        CHECK(Active_Transfers::time_of_file(second) == time_at("2026-02-13T14:11"));
        house.reopen(); // another process, whose clock is behind
        house.at("2026-02-13T14:10:30");
        REQUIRE(house->active());
        CHECK(copy() == second);
    }

    TEST_CASE("what cannot be saved keeps nobody from an answer, and is reported") {
        Transfer_House house;
        house.site.storage.hook = [](auto operation, std::string const& key) {
            bool const is_write = operation == Watched_Memory::Operation::put && key.starts_with("cache/transfers/");
            return is_write ? Watched_Memory::Verdict{Watched_Memory::Verdict::Kind::fail} : Watched_Memory::Verdict{};
        };
        house.record("t", Transfer_Act::downloaded);
        auto const summary = house->summary("t").value();
        CHECK(summary.figures.downloads == 1);
        CHECK(summary.cache_id.empty());
        CHECK(house->health().degraded);
        CHECK(house->health().details.at("failed_copies") == 1);
        CHECK(house->active().value().active_transfers == 1);
        CHECK(house->health().details.at("failed_copies") == 2);
        house.site.storage.hook = nullptr;
        CHECK_FALSE(house->summary("t").value().cache_id.empty());
    }

    TEST_CASE("an event that cannot be stored fails no request, and is reported") {
        Transfer_House house;
        house.site.storage.hook = [](auto operation, std::string const&) {
            bool const is_write =
                operation != Watched_Memory::Operation::get && operation != Watched_Memory::Operation::list;
            return is_write ? Watched_Memory::Verdict{Watched_Memory::Verdict::Kind::fail} : Watched_Memory::Verdict{};
        };
        (void)house.site->record_request({.method = "GET",
                                          .target = "/transfers/t/payload",
                                          .status = 200,
                                          .event_type = event_type_of(Transfer_Act::downloaded),
                                          .transfer_id = "t"});
        CHECK(house.site->health().degraded);
        // What waits for the storage is in the answer already.
        CHECK(house->summary("t").value().figures.downloads == 1);
        house.site.storage.hook = nullptr;
        REQUIRE(house->flush());
        house.reopen();
        CHECK(house->summary("t").value().figures.downloads == 1);
    }

    TEST_CASE("downloads of several threads and processes are all counted") {
        if (!can_fork_with_threads())
            return;
        Scratch_Folder const folder;
        constexpr int processes = 2, threads = 4, each = 100;
        std::vector<pid_t> children;
        for (int i = 0; i < processes; ++i)
            children.push_back(in_child([&] {
                ::alarm(60);
                Disk_Process process(folder.path());
                std::vector<std::thread> workers;
                for (int t = 0; t < threads; ++t)
                    workers.emplace_back([&] {
                        for (int n = 0; n < each; ++n) {
                            (void)process.transfers->record("t", Transfer_Act::downloaded).value();
                            if (n % 25 == 0)
                                (void)process.transfers->summary("t").value();
                        }
                    });
                for (auto& worker : workers)
                    worker.join();
                process.analytics->close().value();
            }));
        for (auto const child : children)
            CHECK(status_of(child) == 0);
        Disk_Process process(folder.path());
        auto const summary = process.transfers->summary("t").value();
        CHECK(summary.figures.downloads == processes * threads * each);
        CHECK(process.transfers->active(1440).value().total.downloads == processes * threads * each);
    }

    TEST_CASE("after processes were killed in the middle of everything, summaries and windows equal the log") {
        if (!can_fork_with_threads())
            return;
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Scratch_Folder const folder;
        auto const rounds = number_from_environment("MEMFS_CACHE_TEST_ROUNDS", 50);
        for (std::uint64_t round = 0; round < rounds; ++round) {
            Pipe began;
            auto const child = in_child([&] {
                ::alarm(60);
                Disk_Process process(folder.path());
                for (std::uint64_t n = 0;; ++n) {
                    auto const act = n % 2 == 0 ? Transfer_Act::viewed : Transfer_Act::downloaded;
                    (void)process.transfers->record(n % 3 == 0 ? "u" : "t", act).value();
                    if (n % 10 == 5)
                        (void)process.transfers->summary("t").value();
                    if (n == 20)
                        began.send('x');
                }
            });
            began.close_end(1);
            char ready = 0;
            CHECK(began.receive(ready));
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 5'000));
            REQUIRE(::kill(child, SIGKILL) == 0);
            (void)status_of(child);
        }
        Disk_Process process(folder.path());
        REQUIRE(process.analytics->log().adopt_dead_writers());
        auto const check = [&](Transfers<Storage_Disk>& transfers) {
            for (std::string const id : {"t", "u"}) {
                auto const figures = transfers.summary(id).value().figures;
                CHECK(figures.views == logged(folder.path(), id, Transfer_Act::viewed));
                CHECK(figures.downloads == logged(folder.path(), id, Transfer_Act::downloaded));
                CHECK(figures.downloads > 0);
            }
        };
        check(*process.transfers);
        // And from final windows, long after.
        Disk_Process later(folder.path(), std::make_shared<Manual_Clock>(System_Clock().now() + 62 * 24h));
        check(*later.transfers);
    }
}
