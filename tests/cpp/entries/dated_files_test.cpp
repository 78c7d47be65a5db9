// SPDX-License-Identifier: Apache-2.0
#include "support/backends.hpp"
#include "support/printers.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/entries/dated_files.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const start = from_millis(1'770'991'506'789); // 2026-02-13T14:05:06.789Z
auto const an_id = Cache_Id::parse("2c15e5f1-0000-4000-8000-000000000041").value();

} // namespace

TEST_SUITE("entries/dated_files") {
    TEST_CASE_TEMPLATE("a file lies under its hour and as the latest, of the namespace and of an entry", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto const clock = std::make_shared<Manual_Clock>(start);
        Dated_Files files(backend.storage, "cache", clock);
        auto const first = files.write("notes", std::nullopt, "one", "report v1.json").value();
        CHECK(first.dated == "notes/data/temporal/2026/02/13/14/report v1.json");
        CHECK(first.latest == "notes/data/latest/report v1.json");
        auto const of_entry = files.write("notes", an_id, "two", "a/b").value();
        CHECK(of_entry.dated == "notes/data/temporal/" + an_id.str() + "/2026/02/13/14/a_b");
        CHECK(of_entry.latest == "notes/data/latest/" + an_id.str() + "/a_b");
        CHECK(read(backend.storage, "cache/" + first.dated).value() == "one");
        CHECK(files.read_latest("notes", std::nullopt, "report v1.json").value() == "one");
        CHECK(files.read_latest("notes", an_id, "a/b").value() == "two");
        CHECK_FALSE(files.read_latest("notes", an_id, "other").value());
        for (auto const* bad : {"", ".", "..", "__", "\xff"}) {
            CHECK(files.write("notes", {}, "x", bad).error().code == Errc::invalid_argument);
            CHECK(files.read_latest("notes", {}, bad).error().code == Errc::invalid_argument);
        }
        CHECK(files.write(std::string(129, 'n'), {}, "x", "a").error().code == Errc::invalid_argument);
    }

    TEST_CASE_TEMPLATE("the latest copy moves forward only, whatever else lies beside it", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto const clock = std::make_shared<Manual_Clock>(start);
        Dated_Files files(backend.storage, "", clock);
        auto const latest = [&] { return files.read_latest("notes", {}, "a").value().value(); };
        auto const write = [&](Utc_Time time, Byte_View bytes) {
            clock->set(time);
            CHECK(files.write("notes", {}, bytes, "a"));
        };
        write(start, "14:00");
        write(start + 30min, "14:30");
        CHECK(latest() == "14:30");
        clock->set(start + 1h);
        CHECK(files.write("notes", an_id, "of an entry", "a"));
        CHECK(files.write("notes", {}, "another file", "aa"));
        write(start + 40min, "14:40"); // neither of these is a later "a"
        CHECK(latest() == "14:40");
        auto const new_year = from_millis(1'798'761'600'000); // 2027-01-01T00:00Z
        write(new_year, "2027");
        write(new_year - 1s, "2026");
        write(start, "early");
        CHECK(latest() == "2027");
    }

    TEST_CASE("an older write that is overtaken at any of its steps does not move the latest copy back") {
        using Wrapped = Wrapped_Storage<Storage_Memory>;
        bool overtaken = true;
        for (int nth = 1; overtaken; ++nth) {
            CAPTURE(nth);
            Storage_Memory memory;
            Wrapped storage(memory);
            auto const early = std::make_shared<Manual_Clock>(start);
            auto const late = std::make_shared<Manual_Clock>(start + 1h);
            Dated_Files mine(storage, "cache", early);
            Dated_Files theirs(memory, "cache", late);
            CHECK(mine.write("notes", {}, "oldest", "a"));
            int count = 0;
            storage.hook = [&](Wrapped::Operation, std::string const&) {
                if (++count == nth)
                    CHECK(theirs.write("notes", {}, "late", "a"));
                return Wrapped::Verdict{};
            };
            CHECK(mine.write("notes", {}, "early", "a"));
            overtaken = count >= nth;
            storage.hook = nullptr;
            CHECK(mine.read_latest("notes", {}, "a").value() == (overtaken ? "late" : "early"));
        }
    }

    TEST_CASE("a failed write says so and leaves the old copy or the new one") {
        using Wrapped = Wrapped_Storage<Storage_Memory>;
        using Kind = Wrapped::Verdict::Kind;
        for (auto const kind : {Kind::fail, Kind::unknown_before, Kind::unknown_after})
            for (int nth = 1;; ++nth) {
                Storage_Memory memory;
                Wrapped storage(memory);
                Dated_Files files(storage, "cache", std::make_shared<Manual_Clock>(start));
                CHECK(files.write("notes", {}, "old", "a"));
                int count = 0;
                storage.hook = [&](Wrapped::Operation, std::string const&) {
                    return Wrapped::Verdict{++count == nth ? kind : Kind::go_on};
                };
                auto const done = files.write("notes", {}, "new", "a");
                storage.hook = nullptr;
                auto const latest = files.read_latest("notes", {}, "a").value();
                CHECK((latest == "new" || (latest == "old" && !done)));
                if (count < nth) {
                    CHECK(count == 5);
                    break;
                }
            }
    }
}
