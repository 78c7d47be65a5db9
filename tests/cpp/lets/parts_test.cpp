// SPDX-License-Identifier: Apache-2.0
// Windows over a log in which each landing is an object: what they cost, and what sealing and removing leaves of them.
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/test_event.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Store = Wrapped_Storage<Storage_Memory>;

auto const two = Window::parse(Window_Type::half_hour, "2026-02-13T14:00").value();

/// A bucket: nothing grows, and machines share it.
struct Bucket {
    Bucket() {
        store.promised.append = false;
        store.promised.survives_process = store.promised.shared_between_machines = true;
    }
    Storage_Memory memory;
    Store store{memory};

    auto files(std::string const& below) const -> std::map<std::string, std::string> {
        std::map<std::string, std::string> found;
        for (auto const& path : files_list(memory, "cache/site/data/" + below).value())
            found[path] = read(memory, path).value().value();
        return found;
    }
};

template <LogEvent Event, WindowSummary<Event> Summary>
struct Process_Of {
    explicit Process_Of(Bucket& bucket, Utc_Time now = two.start() + 1min)
        : clock(std::make_shared<Manual_Clock>(now)),
          log(Event_Log<Store>::open(bucket.store, Log_Paths("cache", Namespace_Name("site")), clock, quiet_log())
                  .value()),
          aggregator(bucket.store, *log) {}

    void record(Utc_Time time, std::string const& name = {}) {
        Event const event{time, name};
        REQUIRE(log->record(time, [&](std::string& out) { event.append_json(out); }));
    }
    /// One landing of one event.
    void land(Utc_Time time, std::string const& name) {
        record(time, name);
        REQUIRE(log->flush());
    }
    auto ask(Window const& window = two) -> Window_Result<Summary> { return aggregator.query(window).value(); }

    std::shared_ptr<Manual_Clock> clock;
    std::unique_ptr<Event_Log<Store>> log;
    LETS_Aggregator<Store, Event, Summary> aggregator;
};
using Process = Process_Of<Test_Event, Test_Summary>;

/// An event that is read for nothing, for tests of a million.
struct Plain_Event {
    Utc_Time timestamp;
    std::string name;
    static void append_json(std::string& out) { out += R"({"a":1})"; }
    static auto read(Raw_Event const& /*raw*/) -> Result<void> { return {}; }
};
struct Plain_Summary {
    std::uint64_t total = 0;
    void add(Plain_Event const& /*event*/) { ++total; }
    void merge(Plain_Summary const& other) { total += other.total; }
    void append_members(std::string& out) const { out += R"("total":)" + std::to_string(total); }
    static auto from_object(boost::json::object const& object) -> Result<Plain_Summary> {
        Member_Reader reader(object);
        return Plain_Summary{reader.unsigned_number("total")};
    }
};

} // namespace

TEST_SUITE("lets/parts") {
    TEST_CASE("a first question about an open half-hour reads one summary and at most 31 parts a writer (H17)") {
        Bucket bucket;
        std::vector<std::unique_ptr<Process>> writers;
        for (int i = 0; i < 4; ++i)
            writers.push_back(std::make_unique<Process>(bucket));
        std::uint64_t total = 0;
        for (int part = 1; part <= 96; ++part) {
            for (auto const& writer : writers) {
                writer->land(two.start() + std::chrono::seconds(part), std::to_string(total));
                ++total;
            }
            if (part != 31 && part != 63 && part != 96)
                continue;
            Process fresh(bucket);
            std::uint64_t gets = 0;
            bucket.store.hook = [&](Store::Operation operation, std::string const& key) {
                gets += operation == Store::Operation::get &&
                        (key.find("/raw/") != std::string::npos || key.find("/partial/") != std::string::npos);
                return Store::Verdict{};
            };
            auto const answer = fresh.ask();
            CHECK(answer.summary->total == total);
            CHECK(answer.summary->names.distinct() == total);
            CHECK_FALSE(answer.final);
            CHECK(gets == 4 * (part == 31 ? 31 : part == 63 ? 1 + 31 : 1));
            // What comes then costs a list, and a get of each new part.
            for (auto const& writer : writers)
                writer->land(two.start() + std::chrono::seconds(part), std::to_string(total++));
            gets = 0;
            auto const lists = bucket.memory.counters().lists;
            CHECK(fresh.ask().summary->total == total);
            CHECK(gets == 4);
            CHECK(bucket.memory.counters().lists - lists == 3); // late marks twice, names of parts once
            bucket.store.hook = nullptr;
            ++part;
        }
    }

    TEST_CASE("a partial summary that is newer or older than the names counts each event once (H17)") {
        Bucket bucket;
        Process writer(bucket);
        std::string at_32;
        for (int part = 1; part <= 70; ++part) {
            writer.land(two.start() + std::chrono::seconds(part), std::to_string(part));
            if (part == 32)
                at_32 = bucket.files("partial/").begin()->second;
        }
        auto const key = bucket.files("partial/").begin()->first;
        auto const at_64 = read(bucket.memory, key).value().value();
        for (auto const& partial : {at_32, at_64}) {
            REQUIRE(write(bucket.memory, key, partial));
            CHECK(Process(bucket).ask().summary->names.distinct() == 70);
            CHECK(Process(bucket).ask().summary->total == 70);
        }
        // Newer: its writer lands 32 parts more between the listing of the names and the reading of the summary.
        Process fresh(bucket);
        bool lands = true;
        bucket.store.hook = [&](Store::Operation operation, std::string const& asked) {
            if (operation == Store::Operation::get && asked == key && std::exchange(lands, false))
                for (int part = 71; part <= 102; ++part)
                    writer.land(two.start() + std::chrono::seconds(part), std::to_string(part));
            return Store::Verdict{};
        };
        auto const answer = fresh.ask();
        CHECK(answer.summary->total == 102);
        CHECK(answer.summary->names.distinct() == 102);
    }

    TEST_CASE("a final window is built from parts, whatever a partial summary says") {
        Bucket bucket;
        Process writer(bucket);
        for (int part = 0; part < 40; ++part)
            writer.land(two.start() + std::chrono::seconds(part), std::to_string(part));
        auto const key = bucket.files("partial/").begin()->first;
        REQUIRE(write(bucket.memory, key, R"({"v":1,"n":40,"state":{"total":7,"names":{"x":7}}})"));
        CHECK(Process(bucket).ask().summary->total == 7); // it is believed where nothing is saved
        writer.clock->set(two.end() + default_grace);
        auto const answer = writer.ask();
        CHECK(answer.final);
        CHECK(answer.summary->total == 40);
    }

    TEST_CASE("whoever builds a final window seals its parts, and windows come out the same before and after") {
        Bucket bucket;
        Process writer(bucket);
        Process other(bucket);
        for (int part = 0; part < 20; ++part) {
            writer.land(two.start() + std::chrono::seconds(part), std::to_string(part));
            if (part < 5)
                other.land(two.start() + 7s, "other " + std::to_string(part));
        }
        Bucket kept; // the same store, in which nothing is sealed
        for (auto const& [path, text] : bucket.files(""))
            REQUIRE(write(kept.memory, path, text));
        kept.store.hook = [&](Store::Operation operation, std::string const& key) {
            bool const seals = operation == Store::Operation::put && key.find("/raw/") != std::string::npos;
            return Store::Verdict{seals ? Store::Verdict::Kind::fail : Store::Verdict::Kind::go_on};
        };
        auto const now = two.end() + default_grace;
        auto const hour = Window::containing(Window_Type::hourly, two.start());
        auto const saved_by = [&](Bucket& in, Utc_Time when) {
            CHECK(Process(in, when).ask(hour).summary->total == 25);
            return in.files("aggregations/");
        };
        auto const without = saved_by(kept, now + 31min);
        CHECK(kept.files("raw/").size() == 25);
        auto const with = saved_by(bucket, now + 32min);
        CHECK(with == without);
        CHECK(with.size() == 2);
        CHECK(bucket.files("raw/").size() == 26);

        for (bool removed : {false, true}) {
            if (removed) {
                auto const later = std::make_shared<Manual_Clock>(now + 3h);
                Log_Paths const paths("cache", Namespace_Name("site"));
                REQUIRE(Sealer<Store>(bucket.store, paths, *later)
                            .remove_sealed(Base_Window::containing(two.start()))
                            .value());
                CHECK(bucket.files("raw/").size() == 6);
            }
            for (auto const& entry : with)
                REQUIRE(remove(bucket.memory, entry.first));
            CHECK(saved_by(bucket, now + 4h) == with);
        }
        // And what comes late is added, and sealed with the rest once it is worth it.
        other.clock->set(now + 5h);
        for (int part = 0; part < 3; ++part)
            other.land(two.start() + 8s, "late " + std::to_string(part));
        auto const revised = Process(bucket, now + 5h).ask();
        CHECK(revised.summary->total == 28);
        CHECK(revised.summary->names.distinct() == 28);
        CHECK(bucket.files("raw/").size() == 6 + 3 + 1);
    }

    TEST_CASE("a part that arrives a second time, after it was sealed and removed, changes no byte (H13)") {
        Bucket bucket;
        Process writer(bucket);
        for (int part = 0; part < 10; ++part)
            writer.land(two.start() + std::chrono::seconds(part), std::to_string(part));
        auto const parts = bucket.files("raw/");
        auto const partial =
            writer.log->paths().partial(Base_Window::containing(two.start()), "0123456789abcdef").str();
        REQUIRE(write(bucket.memory, partial, R"({"v":1,"n":3,"state":{"total":9,"names":{"x":9}}})"));
        writer.clock->set(two.end() + 2h);
        CHECK(writer.ask().summary->total == 10);
        auto const saved = bucket.files("aggregations/");
        Manual_Clock const later(two.end() + 4h);
        Sealer<Store> sealer(bucket.store, writer.log->paths(), later);
        REQUIRE(sealer.remove_sealed(Base_Window::containing(two.start())).value());
        CHECK(bucket.files("raw/").size() == 1);
        CHECK(bucket.files("partial/").empty());

        REQUIRE(write(bucket.memory, partial, R"({"v":1,"n":3,"state":{"total":9,"names":{"x":9}}})"));
        for (auto const& [path, text] : parts) {
            REQUIRE(write(bucket.memory, path, text));
            for (auto const& entry : saved)
                REQUIRE(remove(bucket.memory, entry.first));
            CHECK(Process(bucket, two.end() + 5h).ask().summary->names.distinct() == 10);
            CHECK(bucket.files("aggregations/") == saved);
        }
    }

    TEST_CASE("a million events at a thousand a second cost one writer at most 1,100 writes of all kinds") {
        Bucket bucket;
        Process_Of<Plain_Event, Plain_Summary> writer(bucket, two.start() + 20min);
        constexpr int seconds = 1'000, a_second = 1'000; // across the end of a half-hour
        for (int second = 0; second < seconds; ++second) {
            for (int i = 0; i < a_second; ++i)
                writer.record(writer.clock->now());
            writer.clock->advance(1s);
            REQUIRE(writer.log->flush());
        }
        writer.clock->advance(1h);
        CHECK(writer.ask(Window::containing(Window_Type::daily, two.start())).summary->total == seconds * a_second);
        REQUIRE(writer.log->close());
        auto const counts = bucket.memory.counters();
        MESSAGE(counts.writes << " writes, " << counts.reads << " reads, " << counts.lists << " lists");
        CHECK(counts.writes <= 1'100);
        CHECK(counts.writes > seconds);
        CHECK(counts.appends == 0);
    }
}
