// SPDX-License-Identifier: Apache-2.0
#include "events/log_world.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const two = window("2026-02-13T14:00");
auto const writer = std::string("0123456789abcdef");

auto line(std::uint64_t position, std::string const& stream = writer) -> std::string {
    auto text = event_text("e" + std::to_string(position));
    Line_Seal(stream, two).close_line(text, 0, position);
    return text;
}
auto lines(std::uint64_t from, std::uint64_t to) -> std::string {
    std::string all;
    for (auto i = from; i < to; ++i)
        all += line(i);
    return all;
}

/// Pieces of one stream, and what a reader makes of them.
struct Pieces {
    Storage_Memory memory;
    Log_Paths const paths = log_paths();
    Raw_Reader<Storage_Memory> reader{memory, paths};

    static auto name(std::uint64_t base, std::optional<std::uint64_t> count, std::string const& stream = writer) {
        return Segment_Name{two.start() + std::chrono::milliseconds(base), stream, base, count};
    }
    [[nodiscard]] auto key(Segment_Name const& of) const -> Storage_Key {
        return Storage_Key(paths.raw_folder(two) + of.text());
    }
    auto put(Segment_Name const& of, std::string const& events) -> Storage_Key {
        auto const text = segment_header(of, two, {two.start(), {}}) + events;
        memory.put(key(of), text, Precondition::none()).value();
        return key(of);
    }
    auto put_growing(std::uint64_t base, std::string const& events) { return put(name(base, std::nullopt), events); }
    auto put_whole(std::uint64_t from, std::uint64_t to) { return put(name(from, to - from), lines(from, to)); }
    auto bytes(Storage_Key const& of) -> std::string { return memory.get(of).value()->bytes; }

    /// The positions that are read, in order; by design the names say them.
    auto read(Read_State& seen) -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        auto const done = reader.read(two, seen, [&](Raw_Event const& event) -> Result<void> {
            names.push_back(name_in(event.json));
            return {};
        });
        if (!done)
            return done.error();
        return names;
    }
    auto count() -> std::size_t {
        Read_State seen;
        auto const names = read(seen).value();
        for (std::size_t i = 0; i < names.size(); ++i)
            REQUIRE(names[i] == "e" + std::to_string(i));
        return names.size();
    }
};

} // namespace

TEST_SUITE("events/raw_reader") {
    TEST_CASE(
        "every set of pieces that covers the positions gives each once, also on top of a part that was read (H1)") {
        struct Range {
            std::uint64_t from, to;
            bool grows;
        };
        // Parts, a sealed prefix, an older one, a resent overlap, and growing pieces that were given up.
        std::vector<Range> const ranges = {{0, 2, false}, {2, 4, false}, {4, 6, false}, {0, 4, false},
                                           {0, 6, false}, {3, 5, false}, {0, 3, true},  {4, 6, true}};
        int covering = 0;
        for (unsigned set = 0; set < 1U << ranges.size(); ++set) {
            Pieces pieces;
            for (std::size_t i = 0; i < ranges.size(); ++i)
                if ((set >> i & 1) != 0) {
                    auto const& [from, to, grows] = ranges[i];
                    if (grows)
                        pieces.put_growing(from, lines(from, to));
                    else
                        pieces.put_whole(from, to);
                }
            // What a reader can reach from position 0 without a hole.
            std::uint64_t reachable = 0;
            for (bool moved = true; moved;) {
                moved = false;
                for (std::size_t i = 0; i < ranges.size(); ++i) {
                    auto const& [from, to, grows] = ranges[i];
                    if ((set >> i & 1) != 0 && from <= reachable && to > reachable) {
                        reachable = to;
                        moved = true;
                    }
                }
            }
            CAPTURE(set);
            REQUIRE(pieces.count() == reachable);
            covering += reachable == 6 ? 1 : 0;
            for (std::uint64_t had = 0; had <= reachable; ++had) {
                Read_State seen;
                seen.streams[writer].position = had;
                REQUIRE(pieces.read(seen).value().size() == reachable - had);
                REQUIRE(seen.position(writer) == reachable);
            }
        }
        CHECK(covering > 50);
    }

    TEST_CASE("a tail torn at every byte is not yet there, and comes when it is whole (H4)") {
        auto const whole = lines(0, 3);
        Pieces full;
        auto const key = full.put_growing(0, whole);
        auto const bytes = full.bytes(key);
        auto const header = bytes.find('\n') + 1;
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            CAPTURE(cut);
            Pieces pieces;
            auto const torn = bytes.substr(0, cut);
            REQUIRE(pieces.memory.put(key, torn, Precondition::none()));
            Read_State seen;
            auto const now = pieces.read(seen).value().size();
            REQUIRE(now == (cut < header ? 0 : (cut - header) / line(0).size()));
            REQUIRE(pieces.bytes(key) == torn); // nobody but its writer changes a piece
            REQUIRE(pieces.memory.append(key, cut, bytes.substr(cut), Durability::buffered));
            REQUIRE(pieces.read(seen).value().size() == 3 - now);
        }
    }

    TEST_CASE("a tail of NULs or of noise is not yet there") {
        std::mt19937 dice(20260213);
        for (std::size_t size : {1UL, 7UL, 511UL, 4096UL, 5'000'000UL}) {
            CAPTURE(size);
            for (bool const noise : {false, true}) {
                std::string tail(size, '\0');
                if (noise)
                    for (auto& byte : tail)
                        byte = static_cast<char>(dice());
                Pieces pieces;
                auto const key = pieces.put_growing(0, lines(0, 3) + tail);
                CHECK(pieces.count() == 3);
                pieces.put_growing(3, lines(3, 5)); // the writer went on elsewhere
                CHECK(pieces.count() == 5);
                REQUIRE(pieces.memory.put(key, tail, Precondition::none()));
                CHECK(pieces.count() == 0);
            }
        }
    }

    TEST_CASE("an empty piece and one that has only its header are nothing") {
        Pieces pieces;
        auto const key = pieces.put_growing(0, "");
        CHECK(pieces.count() == 0);
        REQUIRE(pieces.memory.put(key, "", Precondition::none()));
        CHECK(pieces.count() == 0);
        CHECK(pieces.reader.windows(two.start(), two.end()).value() == std::vector{two});
    }

    TEST_CASE("any bit flipped before a good line is reported with file and event") {
        Pieces pieces;
        auto const key = pieces.put_growing(0, lines(0, 4));
        auto const good = pieces.bytes(key);
        auto const last_line = good.size() - line(3).size();
        for (std::size_t i = 0; i < good.size(); ++i)
            for (unsigned bit = 0; bit < 8; ++bit) {
                auto damaged = good;
                damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ (1U << bit));
                REQUIRE(pieces.memory.put(key, damaged, Precondition::none()));
                Read_State seen;
                auto const names = pieces.read(seen);
                CAPTURE(i);
                if (i + 1 < last_line) {
                    REQUIRE(names.has_error());
                    REQUIRE(names.error().code == Errc::corrupt_data);
                    REQUIRE(names.error().context.find(key.str()) == 0);
                    auto const header = good.find('\n') + 1;
                    auto const event = i < header ? 0 : (i - header) / line(0).size();
                    REQUIRE(names.error().context.find("event " + std::to_string(event) + " is damaged") !=
                            std::string::npos);
                } else {
                    // The last line cannot be told from one being written, nor what lost its end from being part of it.
                    REQUIRE(names.value().size() == (i < last_line ? 2 : 3));
                }
            }
    }

    TEST_CASE("a block that was lost in the middle is reported, however many events it held") {
        auto const all = lines(0, 2'000);
        for (auto const block : {512UL, 4096UL, 60'000UL})
            for (bool const zeros : {true, false}) {
                auto damaged = all;
                if (zeros)
                    damaged.replace(5'000, block, std::string(block, '\0'));
                else
                    damaged.erase(5'000, block);
                Pieces pieces;
                pieces.put_growing(0, damaged);
                Read_State seen;
                CHECK(pieces.read(seen).error().code == Errc::corrupt_data);
            }
    }

    TEST_CASE("lines of another stream, place or order are not taken, good as they are") {
        for (auto const& stranger : {line(1, "fedcba9876543210"), line(2), line(0)}) {
            Pieces pieces;
            pieces.put_growing(0, line(0) + stranger);
            Read_State seen;
            auto const names = pieces.read(seen);
            CHECK((names.has_error() || names->size() == 1));
        }
    }

    TEST_CASE("reading a huge piece holds a small part of it at a time, and reads again only lines that were cut") {
        Pieces pieces;
        constexpr std::uint64_t count = 200'000;
        auto const key = pieces.put_growing(0, lines(0, count));
        auto const size = pieces.bytes(key).size();
        Read_State seen;
        auto const before = pieces.memory.counters();
        std::uint64_t read = 0;
        REQUIRE(pieces.reader.read(two, seen, [&](Raw_Event const&) -> Result<void> {
            ++read;
            return {};
        }));
        auto const after = pieces.memory.counters();
        CHECK(read == count);
        auto const reads = after.reads - before.reads;
        CHECK(reads >= size / (4 << 20));
        CHECK(after.bytes_read - before.bytes_read >= size);
        CHECK(after.bytes_read - before.bytes_read < size + reads * line(count).size());
        REQUIRE(pieces.read(seen).value().empty());
        CHECK(pieces.memory.counters().bytes_read == after.bytes_read);
        REQUIRE(pieces.memory.append(key, size, line(count), Durability::buffered));
        CHECK(pieces.read(seen).value() == std::vector{"e" + std::to_string(count)});
        CHECK(pieces.memory.counters().bytes_read == after.bytes_read + line(count).size());
    }

    TEST_CASE("of a line without end no more is held than the longest event has") {
        auto const name = Pieces::name(0, std::nullopt);
        Segment_Scanner scanner(name, two, 0, false);
        std::string fed(longest_event_bytes, 'x');
        auto const none = [](Raw_Event const&) -> Result<void> { return {}; };
        CHECK(scanner.feed(fed, 0, none).value() == 0); // it may still become a line
        CHECK_FALSE(scanner.torn());
        fed.resize(fed.size() + 100, 'x');
        CHECK(scanner.feed(fed, 0, none).value() == fed.size());
        CHECK(scanner.torn());
        CHECK(scanner.good_bytes() == 0);
    }

    TEST_CASE("a piece that was given up is not read again and again") {
        Pieces pieces;
        pieces.put_growing(0, lines(0, 3) + "{\"torn");
        pieces.put_whole(3, 5);
        auto const growing = pieces.put_growing(5, lines(5, 7));
        Read_State seen;
        CHECK(pieces.read(seen).value().size() == 7);
        auto const before = pieces.memory.counters().bytes_read;
        CHECK(pieces.read(seen).value().empty());
        CHECK(pieces.memory.counters().bytes_read == before);
        REQUIRE(pieces.memory.append(growing, pieces.bytes(growing).size(), line(7), Durability::buffered));
        auto const all = pieces.memory.counters().bytes_read;
        CHECK(pieces.read(seen).value().size() == 1);
        CHECK(pieces.memory.counters().bytes_read == all + line(7).size());
    }

    TEST_CASE("a piece that vanishes under the reader is looked for anew, and missed in the end") {
        Pieces pieces;
        auto const part = pieces.put_whole(0, 3);
        Wrapped_Storage<Storage_Memory> store(pieces.memory);
        Raw_Reader<Wrapped_Storage<Storage_Memory>> reader(store, pieces.paths);
        using Store = Wrapped_Storage<Storage_Memory>;
        int gets = 0;
        store.hook = [&](Store::Operation operation, std::string const&) {
            if (operation == Store::Operation::get && ++gets == 1) { // sealed meanwhile
                pieces.put_whole(0, 5);
                REQUIRE(pieces.memory.erase(part, Precondition::none()));
            }
            return Store::Verdict{};
        };
        Read_State seen;
        std::size_t read = 0;
        auto const count = [&](Raw_Event const&) -> Result<void> {
            ++read;
            return {};
        };
        REQUIRE(reader.read(two, seen, count));
        CHECK(read == 5);
        std::uint64_t turn = 0;
        store.hook = [&](Store::Operation operation, std::string const& key) {
            if (operation == Store::Operation::get) { // always one step ahead
                REQUIRE(pieces.memory.erase(Storage_Key(key), Precondition::none()));
                pieces.put(Pieces::name(0, 100 + ++turn), lines(0, 5));
            }
            return Store::Verdict{};
        };
        Read_State anew;
        CHECK(reader.read(two, anew, count).error().code == Errc::unavailable);
    }

    TEST_CASE("half-hours are found by names, over strangers and gaps") {
        Pieces pieces;
        auto const folder = pieces.paths.raw_prefix();
        auto const put = [&](std::string const& path) { write(pieces.memory, folder + path, "{}").value(); };
        CHECK_FALSE(pieces.reader.newest_window().value().has_value());
        put("2026/02/13/14/1770991200007__evt-1.json");
        put("2026/02/13/14/1770993000000__0123456789abcdef-0000000000.jsonl");
        put("2026/02/13/14/1770993000001__0123456789abcdee-0000000000.jsonl");
        put("2026/02/13/15/1770991200007__in-the-wrong-folder.json");
        put("2026/02/13/cost-data.json");
        put("2025/12/31/23/1767225599999__0123456789abcdef-0000000000.jsonl");
        put("2024/02/29/00/README");
        put("notes/2099/x");
        auto const all = pieces.reader.windows(earliest_time, latest_time).value();
        CHECK(all == std::vector{window("2025-12-31T23:30"), two, window("2026-02-13T14:30")});
        CHECK(pieces.reader.windows(two.start(), two.end()).value() == std::vector{two});
        CHECK(pieces.reader.windows(two.start() + 1ms, latest_time).value() == std::vector{window("2026-02-13T14:30")});
        CHECK(pieces.reader.newest_window().value() == window("2026-02-13T14:30"));
    }

    TEST_CASE("one-event files count once each, whatever else is read") {
        Pieces pieces;
        pieces.put_growing(0, lines(0, 2));
        write(pieces.memory, pieces.paths.raw_folder(two) + "1770991200123__evt-1.json", event_text("file")).value();
        Read_State seen;
        CHECK(pieces.read(seen).value().size() == 3);
        CHECK(pieces.read(seen).value().empty());
        write(pieces.memory, pieces.paths.raw_folder(two) + "1770991200122__evt-0.json", event_text("older")).value();
        CHECK(pieces.read(seen).value() == std::vector<std::string>{"older"});
        CHECK(seen.covers_json().starts_with(R"({"0123456789abcdef":2,"files":{"count":2,"hash":")"));
    }
}
