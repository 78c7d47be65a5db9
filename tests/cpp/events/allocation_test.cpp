// SPDX-License-Identifier: Apache-2.0
#include "events/counting_new.hpp"
#include "events/log_world.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/storage/disk.hpp>

#include <doctest/doctest.h>

#include <array>
#include <new>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

constexpr int count = 100'000;
constexpr std::uint64_t few_for_doctest = 2; // of the one REQUIRE

/// Allocations of `count` events of 200 bytes, after as many to warm up.
template <class Storage>
auto allocations_of_recording(Storage& storage, bool flush_between) -> std::uint64_t {
    auto const clock = std::make_shared<Manual_Clock>(at("2026-02-13T14:10"));
    auto options = World::quiet();
    options.land_bytes = 1 << 30; // what lands in the background allocates, and how much of it is counted is chance
    auto const log = Event_Log<Storage>::open(storage, log_paths(), clock, options).value();
    auto const time = at("2026-02-13T14:00");
    auto const text = event_text(std::string(192, 'x'));
    auto const record_all = [&] {
        bool good = true; // asked once: doctest allocates
        for (int i = 0; i < count; ++i)
            good = log->record(time, [&](std::string& out) { out += text; }).has_value() && good;
        REQUIRE(good);
    };
    for (int i = 0; flush_between && i < 2; ++i) { // both buffers grow once
        record_all();
        REQUIRE(log->flush());
    }
    record_all();
    if (flush_between)
        REQUIRE(log->flush());
    auto const before = allocations();
    record_all();
    auto const needed = allocations() - before;
    REQUIRE(log->close());
    Read_State seen;
    std::uint64_t stored = 0;
    REQUIRE(log->read(Base_Window::containing(at("2026-02-13T14:00")), seen, [&](Raw_Event const&) -> Result<void> {
        ++stored;
        return {};
    }));
    CHECK(stored == static_cast<std::uint64_t>(count) * (flush_between ? 4 : 2));
    return needed;
}

} // namespace

TEST_SUITE("events/allocation") {
    TEST_CASE("recording to disk allocates nothing once its buffers have grown") {
        auto const before = allocations();
        ::operator delete(::operator new(1)); // called by name, since compilers may leave a new-expression out
        REQUIRE(allocations() == before + 1); // the counter counts
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        CHECK(allocations_of_recording(storage, true) <= few_for_doctest);
    }

    TEST_CASE("recording into memory allocates only when the store grows or a piece begins") {
        Storage_Memory storage;
        CHECK(allocations_of_recording(storage, false) < count / 200);
    }

    TEST_CASE("whichever allocation fails, no event is lost or doubled, and the log goes on") {
        for (auto const mode : {Recording_Mode::buffered, Recording_Mode::durable, Recording_Mode::per_request})
            for (bool const survives : {true, false}) {
                CAPTURE(to_text(mode));
                CAPTURE(survives);
                bool failed = true;
                std::uint64_t n = 0;
                while (failed) {
                    failed = false;
                    World world;
                    world.store.promised.survives_process = survives;
                    auto options = World::quiet();
                    options.mode = mode;
                    auto const log = world.open(options);
                    world.close_ledger(at("2026-02-13T13:30"));
                    Names least, most; // an event whose recording failed may be there or not
                    auto const guarded = [&](auto&& work) {
                        try {
                            return static_cast<bool>(work());
                        } catch (std::bad_alloc const&) {
                            failed = true;
                            return false;
                        }
                    };
                    auto const add = [&](Utc_Time time, std::string const& name) {
                        ++most[name];
                        if (guarded([&] { return try_record(*log, time, name); }))
                            ++least[name];
                    };
                    auto const late = at("2026-02-13T13:00"), now = at("2026-02-13T14:00");
                    std::array<std::string, 8> const names{"a", "b", "c", "d", "e", "f", "g", "h"};
                    for (auto const& name : names)
                        least[name] = most[name] = 0;
                    auto const before = allocations();
                    fail_allocation(++n);
                    for (auto const& name : names) {
                        add(name < "c" ? late : now, name);
                        if (name == "b" || name == "f")
                            (void)guarded([&] { return log->flush(); });
                    }
                    (void)guarded([&] { return log->close(); });
                    failed =
                        failed || allocations() - before >= n; // also where it was met inside, and told as an error
                    fail_allocation(0);
                    REQUIRE(log->close());
                    auto stored = stored_names(*world.open(), window("2026-02-13T14:00"));
                    stored.merge(stored_names(*world.open(), window("2026-02-13T13:00")));
                    for (auto const& [name, times] : stored)
                        REQUIRE(times <= most[name]);
                    for (auto const& [name, times] : least)
                        REQUIRE(stored[name] >= times);
                    auto const marked = world.late(late, at("2026-02-13T13:30"));
                    REQUIRE(marked.late_events == stored["a"] + stored["b"]);
                    REQUIRE(world.files("writers/").empty());
                }
                CHECK(n > 20);
            }
    }
}
