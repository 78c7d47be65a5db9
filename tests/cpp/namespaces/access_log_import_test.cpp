// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/access_log_import.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using Import = Access_Log_Import<Watched_Memory>;
using Operation = Watched_Memory::Operation;
using Verdict = Watched_Memory::Verdict;

namespace {

constexpr auto now = "2026-02-15T12:00";

/// Gives a text in pieces of a size that no line has.
auto source_of(std::string_view text, std::size_t piece = 97) -> Import::Source {
    return [text, piece](char* out, std::size_t size) mutable -> Result<std::size_t> {
        auto const part = text.substr(0, std::min({size, piece, text.size()}));
        part.copy(out, part.size());
        text.remove_prefix(part.size());
        return part.size();
    };
}

/// Imports with a process of its own, as the command does.
struct Run {
    explicit Run(Watched_Memory& storage, std::string_view log, Import::Options options = {})
        : process(storage, time_at(now)), import(storage, *process.analytics, std::move(options)),
          outcome(import.import("access.log", source_of(log, log.size() > 100'000 ? 1 << 20 : 97))) {}
    auto operator->() const -> Import_Report const* { return &import.report(); }

    Site_Process<Watched_Memory> process;
    Import import;
    Result<void> outcome;
};

struct Store {
    Storage_Memory memory;
    Watched_Memory storage{memory};
    auto run(std::string_view log, Import::Options options = {}) -> Import_Report {
        Run const run(storage, log, std::move(options));
        REQUIRE(run.outcome);
        return run.import.report();
    }
    auto year() -> Window_Summary {
        Site_Process site(storage, time_at(now));
        return site->aggregation("yearly", "2026").value();
    }
    auto raw() const { return stored_files(memory, "cache/analytics/data/raw/"); }
    auto salts() const { return stored_files(memory, "cache/analytics/data/salts/"); }
    void take_salts(std::map<std::string, std::string> const& salts) {
        for (auto const& [name, text] : salts)
            REQUIRE(write(memory, name, text));
    }
};

auto line(std::string const& time, int number, std::string const& end = "\n") -> std::string {
    return "198.18.0." + std::to_string(number % 200) + " - - [" + time + " +0000] \"GET /page/" +
           std::to_string(number) + "?q=x HTTP/1.1\" 200 " + std::to_string(100 + number) +
           " \"https://a.example/\" \"Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0\"" + end;
}

/// Three half-hours of two days, out of order, with damaged lines between.
auto small_log() -> std::string {
    std::string log;
    for (int i = 0; i < 12; ++i) {
        log += line(i % 3 == 0   ? "13/Feb/2026:23:29:59"
                    : i % 3 == 1 ? "13/Feb/2026:23:30:00"
                                 : "14/Feb/2026:00:00:01",
                    i);
        if (i % 5 == 0)
            log += "damaged\n";
    }
    return log;
}
constexpr std::uint64_t small_log_lines = 12;

} // namespace

TEST_SUITE("namespaces/analytics/access_log_import") {
    TEST_CASE("every good line counts once, every bad one is named by its number and never repeated") {
        Store store;
        auto const report = store.run(small_log());
        CHECK(report.accepted == small_log_lines);
        CHECK(report.rejected == 3);
        REQUIRE(report.rejected_lines.size() == 3);
        CHECK(report.rejected_lines[0].line == 2);
        CHECK(report.rejected_lines[1].line == 8);
        CHECK(report.rejected_lines[2].line == 14);
        CHECK(report.rejected_lines[0].file == "access.log");
        CHECK(boost::json::serialize(report.to_json()).find("damaged") == std::string::npos);
        auto const year = store.year();
        CHECK(year.total_requests == small_log_lines);
        CHECK(year.total_bytes == 12 * 100 + 66);
        CHECK(year.late_events == 0);
        CHECK(store.raw().size() == 3); // an object a half-hour
        CHECK(files_list(store.memory, "cache/analytics/data/writers/").value().empty());
    }

    TEST_CASE("importing again adds nothing and writes nothing") {
        Store store;
        store.run(small_log());
        auto const files = stored_files(store.memory);
        auto const again = store.run(small_log());
        CHECK(again.accepted == 0);
        CHECK(again.already_imported == small_log_lines);
        CHECK(again.rejected == 0);
        CHECK(stored_files(store.memory) == files);
        CHECK(store.year().total_requests == small_log_lines);
    }

    TEST_CASE("a log that has grown adds what is new, however often it grows") {
        Store store;
        std::string log;
        for (int i = 0; i < 6; ++i) {
            log += small_log();
            auto const report = store.run(log);
            CHECK(report.accepted == small_log_lines);
            CHECK(report.already_imported == static_cast<std::uint64_t>(i) * small_log_lines);
            CHECK(store.year().total_requests == static_cast<std::uint64_t>(i + 1) * small_log_lines);
        }
        CHECK(store.run(log).accepted == 0);
    }

    TEST_CASE("a log that is imported while its last line is being written counts every line once") {
        for (auto const format : {Access_Log_Format::combined, Access_Log_Format::common}) {
            Import::Options options;
            options.format = format;
            auto last = line("14/Feb/2026:00:00:02", 7);
            if (format == Access_Log_Format::common)
                last = last.substr(0, last.find(" \"https")) + "\n";
            auto first = line("14/Feb/2026:00:00:01", 1);
            if (format == Access_Log_Format::common)
                first = first.substr(0, first.find(" \"https")) + "\n";
            for (std::size_t cut = 0; cut <= last.size(); ++cut) {
                CAPTURE(cut);
                Store store;
                store.run(first + last.substr(0, cut), options);
                store.run(first + last, options);
                store.run(first + last + first, options);
                auto const year = store.year();
                CHECK(year.total_requests == 3);
                CHECK(year.total_bytes == 101 + 107 + 101);
            }
        }
    }

    TEST_CASE("a last line without its end counts if nothing can be missing of it, and is named if something can") {
        Store store;
        CHECK(store.run(line("14/Feb/2026:00:00:01", 1) + line("14/Feb/2026:00:00:02", 2, "")).accepted == 2);
        Store other;
        auto const report = other.run(line("14/Feb/2026:00:00:01", 1) +
                                      "198.18.0.1 - - [14/Feb/2026:00:00:02 +0000] \"GET / HTTP/1.1\" 200 5");
        CHECK(report.accepted == 1);
        REQUIRE(report.rejected == 1);
        CHECK(report.rejected_lines[0].line == 2);
        CHECK(report.rejected_lines[0].reason.find("line end") != std::string::npos);
    }

    TEST_CASE("a log that was read in the wrong format can be read in the right one") {
        Store store;
        Import::Options common;
        common.format = Access_Log_Format::common;
        auto const log = line("14/Feb/2026:00:00:01", 1) + line("14/Feb/2026:00:00:02", 2);
        CHECK(store.run(log, common).rejected == 2);
        CHECK(store.run(log, common).rejected == 2);
        CHECK(store.run(log).accepted == 2);
        CHECK(store.year().total_requests == 2);
    }

    TEST_CASE("on request lines are counted once more") {
        Store store;
        store.run(small_log());
        Import::Options options;
        options.count_again = true;
        CHECK(store.run(small_log(), options).accepted == small_log_lines);
        CHECK(store.year().total_requests == 2 * small_log_lines);
    }

    TEST_CASE("lines more than a day ahead are rejected, and no salt is made for them") {
        Store store;
        auto const report = store.run(line("17/Feb/2026:00:00:00", 1) + line("14/Feb/2026:00:00:00", 2));
        CHECK(report.accepted == 1);
        CHECK(report.rejected == 1);
        CHECK(store.salts().size() == 1);
    }

    TEST_CASE("what is imported into a final window revises it without counting as late") {
        Store store;
        store.run(line("13/Feb/2026:10:00:00", 1));
        CHECK(store.year().total_requests == 1);
        {
            Site_Process site(store.storage, time_at(now));
            CHECK(site->aggregation("daily", "2026-02-13").value().final);
        }
        store.run(line("13/Feb/2026:10:00:01", 2));
        Site_Process site(store.storage, time_at(now));
        auto const day = site->aggregation("daily", "2026-02-13").value();
        CHECK(day.total_requests == 2);
        CHECK(day.late_events == 0);
        CHECK(day.revision == 1);
    }

    TEST_CASE("two imports of one log at the same time count every line once, in the store and in their reports") {
        auto const log = small_log();
        Store clean;
        clean.run(log);
        int operations = 0;
        for (int rival_at = 1; rival_at < 100; ++rival_at) {
            CAPTURE(rival_at);
            Store store;
            store.take_salts(clean.salts());
            Watched_Memory rivals(store.memory);
            std::optional<Import_Report> rival;
            operations = 0;
            store.storage.hook = [&](Operation, std::string const&) -> Verdict {
                if (++operations == rival_at) {
                    Run const run(rivals, log);
                    CHECK(run.outcome);
                    rival = run.import.report();
                }
                return {};
            };
            auto const mine = store.run(log);
            store.storage.hook = nullptr;
            if (!rival)
                break;
            CHECK(mine.accepted + rival->accepted == small_log_lines);
            CHECK(mine.already_imported + rival->already_imported == small_log_lines);
            CHECK(store.raw() == clean.raw());
            CHECK(store.year().total_requests == small_log_lines);
        }
        CHECK(operations > 15);
    }

    TEST_CASE("an import that failed or died between any two operations is made whole by the next one") {
        auto const log = small_log();
        Store clean;
        clean.run(log);
        enum class Fault { fails_once, dies, answer_lost, write_lost };
        for (auto const fault : {Fault::fails_once, Fault::dies, Fault::answer_lost, Fault::write_lost}) {
            CAPTURE(static_cast<int>(fault));
            int at = 1;
            for (bool reached = true; reached; ++at) {
                CAPTURE(at);
                REQUIRE(at < 200);
                Store store;
                store.take_salts(clean.salts());
                reached = false;
                int operations = 0;
                store.storage.hook = [&](Operation operation, std::string const&) -> Verdict {
                    bool const writes = operation == Operation::put || operation == Operation::append;
                    bool const counts = fault == Fault::fails_once || fault == Fault::dies || writes;
                    operations += counts;
                    if (!counts || operations < at || (operations > at && fault != Fault::dies))
                        return {};
                    reached = true;
                    return {fault == Fault::answer_lost  ? Verdict::Kind::unknown_after
                            : fault == Fault::write_lost ? Verdict::Kind::unknown_before
                                                         : Verdict::Kind::fail};
                };
                std::uint64_t accepted = 0;
                try {
                    Run const first(store.storage, log);
                    accepted = first->accepted;
                } catch (Cache_Error const&) { // it could not even be opened
                }
                store.storage.hook = nullptr;
                auto const second = store.run(log);
                CHECK(accepted + second.accepted + second.already_imported >= small_log_lines);
                CHECK(second.accepted + second.already_imported == small_log_lines);
                CHECK(store.raw() == clean.raw());
                CHECK(store.salts() == clean.salts());
                CHECK(files_list(store.memory, "cache/analytics/data/writers/").value().empty());
                auto const year = store.year();
                CHECK(year.total_requests == small_log_lines);
                CHECK(year.unique_visitors == clean.year().unique_visitors);
                CHECK(year.late_events == 0);
            }
            CHECK(at > 8);
        }
    }

    TEST_CASE("while a salt cannot be had an import ends instead of leaving visitors out") {
        Store store;
        store.storage.hook = [](Operation, std::string const& key) -> Verdict {
            return key.find("/salts/") != std::string::npos ? Verdict{Verdict::Kind::fail} : Verdict{};
        };
        {
            Run const failed(store.storage, small_log());
            CHECK(failed.outcome.error().code == Errc::unavailable);
            CHECK(failed->accepted == 0);
        }
        store.storage.hook = nullptr;
        CHECK(store.run(small_log()).accepted == small_log_lines);
        CHECK(store.year().unique_visitors > 0);
    }

    TEST_CASE("a source that fails ends the import, and what was settled stays") {
        Store store;
        Site_Process process(store.storage, time_at(now));
        Import import(store.storage, *process.analytics, {});
        CHECK(
            import
                .import("x", [](char*, std::size_t) -> Result<std::size_t> { return fail(Errc::corrupt_data, "cut"); })
                .error()
                .code == Errc::corrupt_data);
        CHECK(store.raw().empty());
    }

    TEST_CASE("a log of several blocks counts once, grown, shifted in its reads and whole") {
        std::string log;
        int count = 0;
        while (log.size() < (17 << 20)) // a block is 16 MiB
            log += line(count % 2 == 0 ? "13/Feb/2026:23:29:59" : "14/Feb/2026:00:00:01", count), ++count;
        Store store;
        CHECK(store.run(log).accepted == static_cast<std::uint64_t>(count));
        CHECK(store.raw().size() == 4);
        CHECK(store.run(log).accepted == 0);
        CHECK(store.run(log + line("14/Feb/2026:00:00:03", 1)).accepted == 1);
        CHECK(store.year().total_requests == static_cast<std::uint64_t>(count) + 1);
    }

    TEST_CASE("names of blocks come back, and others are nobody's") {
        Import_Block_Name const name{"0011223344556677", 4'711, "8899aabbccddeeff"};
        CHECK(name.text() == "0011223344556677-000000004711-8899aabbccddeeff.json");
        auto const parsed = Import_Block_Name::parse(name.text());
        REQUIRE(parsed);
        CHECK(parsed->chain == name.chain);
        CHECK(parsed->bytes == name.bytes);
        CHECK(parsed->hash == name.hash);
        CHECK(name.writer().size() == 16);
        CHECK(name.writer() != name.next_chain());
        for (auto const* other : {"", "x.json", "0011223344556677-00000000471x-8899aabbccddeeff.json",
                                  "0011223344556677-000000004711-8899aabbccddeeff.jsox"})
            CHECK_FALSE(Import_Block_Name::parse(other));
        CHECK(Import_Record::from_json(Import_Record{true, 5, 4}.to_json()).value().accepted == 4);
        CHECK(Import_Record::from_json(R"({"v":2,"finished":true,"lines":1,"accepted":1})").error().code ==
              Errc::corrupt_data);
        CHECK(Import_Record::from_json(R"({"v":1})").error().code == Errc::corrupt_data);
    }
}
