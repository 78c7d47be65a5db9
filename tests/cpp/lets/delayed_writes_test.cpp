// SPDX-License-Identifier: Apache-2.0
#include "support/delayed_storage.hpp"
#include "support/printers.hpp"
#include "support/test_event.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace std::chrono_literals;

TEST_SUITE("lets/delayed writes") {
    TEST_CASE("an append that arrives when its events lie elsewhere changes no byte of a window that is built again") {
        using Delayed = Delayed_Storage<Storage_Memory>;
        using Store = Wrapped_Storage<Delayed>;
        Storage_Memory memory;
        Delayed delayed(memory);
        Store store(delayed);
        bool appends = false;
        store.hook = [&](Store::Operation operation, std::string const&) {
            appends = operation == Store::Operation::append;
            return Store::Verdict{};
        };
        delayed.fate = [&] { return appends ? Delayed::Fate::late : Delayed::Fate::answered; };

        // Long after its end, but before anybody has closed the window: the piece begins at a time behind the grace.
        auto const window = Window::parse(Window_Type::half_hour, "2026-02-13T14:00").value();
        auto const clock = std::make_shared<Manual_Clock>(window.end() + 1h);
        auto const log = Event_Log<Store>::open(store, Log_Paths("cache", Namespace_Name("model")), clock).value();
        Test_Event const event{window.start(), "1"};
        REQUIRE(log->record(event.timestamp, [&](std::string& out) { event.append_json(out); }));
        REQUIRE(log->flush());
        REQUIRE(delayed.on_the_way() == 1);

        LETS_Aggregator<Store, Test_Event, Test_Summary> aggregator(store, *log);
        auto const path = aggregator.key_of(window).str();
        REQUIRE(aggregator.query(window).value().summary->total == 1);
        auto const saved = read(memory, path).value();
        REQUIRE(saved);
        delayed.land(0);
        REQUIRE(aggregator.rebuild(window).value().summary->total == 1);
        CHECK(read(memory, path).value() == saved);
    }
}
