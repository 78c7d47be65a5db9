// SPDX-License-Identifier: Apache-2.0
// Sealing streams, and removing what they lay in before: whoever reads meanwhile, before or after, finds the same events.
#include "events/log_world.hpp"
#include "support/zstd_text.hpp"

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const two = window("2026-02-13T14:00");
auto const half_past_two = window("2026-02-13T14:30");

/// One writer that landed parts of one event each, and who seals them.
struct Sealed_World : Parts_World {
    explicit Sealed_World(int parts) { land(parts); }

    std::unique_ptr<Log> log = [this] {
        auto options = World::quiet();
        options.new_writer_id = [] { return "0123456789abcdef"; };
        return open(options);
    }();
    Log_Paths const paths = log_paths();
    Sealer<Store> sealer{store, paths, *clock};
    std::set<std::string> landed;

    void land(int parts) {
        for (int i = 0; i < parts; ++i) {
            auto const name = std::to_string(landed.size());
            record(*log, two.start() + 5ms + std::chrono::seconds(landed.size()), name);
            REQUIRE(log->flush());
            landed.insert(name);
        }
    }
    void seal() { REQUIRE(sealer.seal(two)); }
    /// Removes what an hour's patience allows.
    auto remove() -> bool { return sealer.remove_sealed(two).value(); }
    auto names() const -> std::set<std::string> {
        std::set<std::string> names;
        for (auto const& entry : files("raw/"))
            names.insert(entry.first.substr(entry.first.rfind('/') + 1));
        return names;
    }
    /// What becomes of its parts.
    auto sealed_files() -> std::map<std::string, std::string> {
        seal();
        auto found = files("raw/");
        std::erase_if(found, [](auto const& entry) { return !entry.first.ends_with(".zst"); });
        return found;
    }
    auto key(std::string const& name) const -> std::string { return paths.raw_folder(two) + name; }
};

auto numbers(std::size_t count) -> std::set<std::string> {
    std::set<std::string> all;
    for (std::size_t i = 0; i < count; ++i)
        all.insert(std::to_string(i));
    return all;
}

} // namespace

TEST_SUITE("events/sealer") {
    TEST_CASE("eight parts become one segment with the same lines, seven stay as they are") {
        Sealed_World world(7);
        world.seal();
        CHECK(world.names().size() == 7);
        world.land(1);
        auto const before = world.files("raw/");
        world.seal();
        CHECK(world.names().size() == 9);
        auto const sealed = "1770991200000__0123456789abcdef-0000000000-8.jsonl.zst";
        auto const text = zstd_text(read(world.memory, world.key(sealed)).value().value());
        CHECK(text.substr(0, text.find('\n') + 1) ==
              segment_header(*Segment_Name::parse(sealed), two, {two.start() + 7005ms, {}, world.clock->now()}));
        std::string lines;
        for (auto const& [name, part] : before)
            lines += part.substr(part.find('\n') + 1);
        auto const index = text.rfind('\n', text.size() - 2) + 1;
        CHECK(text.substr(text.find('\n') + 1, index - text.find('\n') - 1) == lines);
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
        world.seal(); // nothing is left to do
        CHECK(world.names().size() == 9);
    }

    TEST_CASE("a stream is sealed up to its first hole or torn part, and others beside it") {
        Sealed_World world(12);
        auto const other = world.open();
        for (int i = 0; i < 8; ++i) {
            record(*other, two.start(), "other " + std::to_string(i));
            REQUIRE(other->flush());
        }
        auto const tenth = *std::next(world.names().begin(), 8 + 9);
        REQUIRE(tenth.find("-0000000009-1") != std::string::npos);
        auto const text = read(world.memory, world.key(tenth)).value().value();
        REQUIRE(remove(world.memory, world.key(tenth)));
        world.seal();
        auto names = world.names();
        CHECK(names.contains("1770991200000__0123456789abcdef-0000000000-9.jsonl.zst"));
        CHECK(names.size() == 11 + 8 + 2);

        REQUIRE(write(world.memory, world.key(tenth), text.substr(0, text.size() - 5)));
        world.land(8);
        world.seal();
        CHECK(world.names().size() == names.size() + 1 + 8);
    }

    TEST_CASE("a stream with damage is reported and not sealed, and those beside it are") {
        Sealed_World world(0);
        auto const large = std::string(100'000, 'x');
        for (auto const* name : {"damaged", "good"}) {
            auto options = World::quiet();
            options.new_writer_id = [&] {
                return name == std::string_view("good") ? "ffffffffffffffff" : "0000000000000000";
            };
            auto const log = world.open(options);
            record(*log, two.start(), large);
            record(*log, two.start(), "b");
            REQUIRE(log->close());
        }
        auto const damaged = world.key(*world.names().begin());
        auto text = read(world.memory, damaged).value().value();
        text[500] ^= 1;
        REQUIRE(write(world.memory, damaged, text));
        auto const sealed = world.sealer.seal(two);
        CHECK(sealed.error().code == Errc::corrupt_data);
        CHECK(sealed.error().context.find(damaged) != std::string::npos);
        CHECK(world.names().size() == 3);
        CHECK(world.names().contains("1770991200000__ffffffffffffffff-0000000000-2.jsonl.zst"));
    }

    TEST_CASE("what grew is sealed and removed as well, wherever its writer began new pieces") {
        Sealed_World world(0);
        world.store.promised.append = true;
        auto options = World::quiet();
        options.piece_bytes = 3'000;
        auto const log = world.open(options);
        std::set<std::string> recorded;
        for (int i = 0; i < 200; ++i) {
            recorded.insert(std::to_string(i));
            record(*log, two.start(), std::to_string(i));
            REQUIRE(log->flush());
        }
        auto const pieces = world.names().size();
        REQUIRE(pieces > 2);
        Sealer<World::Store> in_threes(world.store, world.paths, *world.clock,
                                       {.least_pieces = 3, .most_line_bytes = 5'000});
        REQUIRE(in_threes.seal(two));
        CHECK(world.names().size() > pieces + 1); // two segments at least
        CHECK(stored_names(*log, two) == each_once(recorded));
        CHECK_FALSE(in_threes.remove_sealed(two).value());
        world.clock->advance(1h);
        CHECK(in_threes.remove_sealed(two).value());
        for (auto const& name : world.names())
            CHECK(name.ends_with(".zst"));
        CHECK(stored_names(*log, two) == each_once(recorded));
        recorded.insert("late"); // its piece is gone: it goes on under a new writer id
        record(*log, two.start(), "late");
        REQUIRE(log->flush());
        CHECK(stored_names(*log, two) == each_once(recorded));
    }

    TEST_CASE("a growing piece to which its writer appends while it is being removed stays") {
        Sealed_World world(0);
        world.store.promised.append = true;
        auto const log = world.open();
        std::set<std::string> recorded{std::string(70'000, 'x')};
        record(*log, two.start(), *recorded.begin());
        REQUIRE(log->flush());
        world.seal();
        world.clock->advance(1h);
        world.store.hook = [&](World::Operation operation, std::string const&) {
            if (operation == World::Operation::erase && recorded.insert("just now").second) {
                record(*log, two.start(), "just now");
                REQUIRE(log->flush());
            }
            return World::Verdict{};
        };
        CHECK_FALSE(world.remove()); // to be looked at again
        world.store.hook = nullptr;
        CHECK(recorded.size() == 2);
        CHECK(world.names().size() == 2);
        CHECK(stored_names(*log, two) == each_once(recorded));
    }

    TEST_CASE("large streams become several segments, of which each but the first says how new its forerunners are") {
        Sealed_World world(0);
        auto const large = std::string(60'000, 'x');
        for (int i = 0; i < 40; ++i) {
            record(*world.log, two.start(), large + std::to_string(i));
            REQUIRE(world.log->flush());
        }
        Sealer<World::Store> small(world.store, world.paths, *world.clock, {.most_line_bytes = 1 << 20});
        REQUIRE(small.seal(two));
        std::vector<Sealed_Index> indexes;
        for (auto const& [path, bytes] : world.files("raw/"))
            if (auto const name = Segment_Name::parse(path.substr(path.rfind('/') + 1)); name && name->sealed) {
                CHECK(zstd_text(bytes).size() < (1 << 20) + 70'000);
                auto const segment =
                    Sealed_Segment<World::Store>::open(world.store, data_prefix + path, *name, two, bytes.size())
                        .value();
                indexes.push_back(segment.value().index());
            }
        REQUIRE(indexes.size() == 3);
        CHECK_FALSE(indexes[0].header.newest_before.has_value());
        for (std::size_t i = 1; i < indexes.size(); ++i)
            CHECK(indexes[i].header.newest_before == two.end() - 1ms); // these events do not say their times
        world.clock->advance(1h);
        CHECK(small.remove_sealed(two).value());
        CHECK(world.names().size() == 3);
        CHECK(stored_names(*world.log, two).size() == 40);
    }

    TEST_CASE("parts, sealed prefixes and any subset of them give what they cover, each event once (H1)") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Sealed_World world(9);
        world.seal();
        world.land(9);
        world.seal();
        world.land(3);
        auto all = world.files("raw/");
        all.merge(Sealed_World(12).sealed_files()); // by somebody who did not know of the shorter one
        REQUIRE(all.size() == 21 + 3);
        for (int round = 0; round < 300; ++round) {
            Parts_World subset;
            std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
            for (auto const& [path, text] : all)
                if (random() % 8 != 0) {
                    REQUIRE(write(subset.memory, data_prefix + path, text));
                    auto const name = Segment_Name::parse(path.substr(path.rfind('/') + 1)).value();
                    ranges.emplace_back(name.base, name.end());
                }
            std::uint64_t covered = 0; // ranges come in any order
            for (std::size_t i = 0; i < ranges.size(); ++i)
                for (auto const& [from, to] : ranges)
                    covered = from <= covered ? std::max(covered, to) : covered;
            CAPTURE(round);
            REQUIRE(stored_names(*subset.open(), two) == each_once(numbers(covered)));
        }
    }

    TEST_CASE("two that seal at once, or know more or less, do each other no harm; the longer one wins (H19)") {
        Sealed_World world(9);
        Manual_Clock other_clock(world.clock->now() + 7min);
        Sealer<World::Store> other(world.store, world.paths, other_clock);
        bool both = false;
        world.store.hook = [&](World::Operation operation, std::string const&) {
            if (operation == World::Operation::put && !std::exchange(both, true))
                REQUIRE(other.seal(two)); // between the reading and the writing of the first
            return World::Verdict{};
        };
        world.seal();
        REQUIRE(both);
        CHECK(world.names().size() == 10);
        world.land(4);
        REQUIRE(other.seal(two)); // four parts are too few
        CHECK(world.names().size() == 14);
        for (auto const& [path, bytes] : Sealed_World(13).sealed_files()) // by one that knows more
            REQUIRE(write(world.memory, data_prefix + path, bytes));
        auto const before = world.memory.counters().reads;
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
        CHECK(world.memory.counters().reads == before + 2); // its index and its lines
        world.clock->advance(1h);
        CHECK(world.remove());
        CHECK(world.names() == std::set<std::string>{"1770991200000__0123456789abcdef-0000000000-13.jsonl.zst"});
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
    }

    TEST_CASE("a segment of which nobody knows whether it is there is sealed again") {
        Sealed_World world(9);
        using Kind = World::Verdict::Kind;
        for (auto const fate : {Kind::unknown_before, Kind::fail, Kind::unknown_after}) {
            world.store.hook = [&](World::Operation operation, std::string const&) {
                return World::Verdict{operation == World::Operation::put ? fate : Kind::go_on};
            };
            CHECK(world.sealer.seal(two).has_error());
            world.store.hook = nullptr;
            CHECK(world.names().size() == (fate == Kind::unknown_after ? 10 : 9));
        }
        world.seal();
        CHECK(world.names().size() == 10);
    }

    TEST_CASE("parts are removed an hour after they were sealed, oldest first, then what was summed up (H18)") {
        std::vector<std::string> gone; // outlives the world, whose log erases its manifest when it ends
        Sealed_World world(10);
        world.log->sum_up_streams([] { return std::unique_ptr<Stream_Summary>(); });
        REQUIRE(write(world.memory, world.paths.partial(two, "0123456789abcdef").str(), "{}"));
        REQUIRE(write(world.memory, world.paths.partial(half_past_two, "0123456789abcdef").str(), "{}"));
        CHECK(Sealed_World(10).remove()); // without a sealed segment nothing may go, now or later
        world.seal();
        world.land(1);
        world.store.hook = [&](World::Operation operation, std::string const& key) {
            if (operation == World::Operation::erase)
                gone.push_back(key);
            return World::Verdict{};
        };
        world.clock->advance(1h - 1ms);
        CHECK_FALSE(world.remove());
        CHECK(gone.empty());
        world.clock->advance(1ms);
        CHECK(world.remove());
        REQUIRE(gone.size() == 11);
        CHECK(std::is_sorted(gone.begin(), gone.end() - 1));
        CHECK(gone.back() == world.paths.partial(two, "0123456789abcdef").str());
        CHECK(world.names().size() == 2); // the sealed one and what came behind it
        CHECK(world.files("partial/").size() == 1);
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
    }

    TEST_CASE("nothing is removed for a sealed segment that is damaged or holds other lines, and it is named") {
        Sealed_World world(10);
        auto const sealed = world.sealed_files().begin()->first;
        auto const path = data_prefix + sealed;
        auto const bytes = read(world.memory, path).value().value();
        world.clock->advance(24h);
        auto const refused = [&](std::string const& damaged) {
            REQUIRE(write(world.memory, path, damaged));
            auto const removed = world.sealer.remove_sealed(two);
            CHECK(removed.error().code == Errc::corrupt_data);
            CHECK(removed.error().context.find(path) != std::string::npos);
        };
        for (auto const at : {bytes.size() - 1, bytes.size() - 20, bytes.size() / 2, std::size_t{20}}) {
            auto damaged = bytes;
            damaged[at] ^= 1;
            refused(damaged);
            refused(bytes.substr(0, at));
        }
        // Whole, with all its checksums right, but of other events.
        Segment_Sealer other("0123456789abcdef", two, 0, {});
        Segment_Sealer good("0123456789abcdef", two, 0, {});
        for (int i = 0; i < 10; ++i)
            for (auto* const into : {&other, &good}) {
                auto line = event_text(std::to_string(i) + (into == &other ? " not" : ""));
                Line_Seal("0123456789abcdef", two).close_line(line, 0, static_cast<std::uint64_t>(i));
                line.pop_back();
                into->add(line);
            }
        auto const made = two.end() + 1h;
        auto const mixed = [&] { // the lines of one under the index of the other
            auto const lines = other.finish(two.start(), made).bytes;
            auto const index = good.finish(two.start(), made).bytes;
            auto const of_index = [](Bytes const& file) { return *index_frame_bytes(file) + sealed_end_bytes; };
            return lines.substr(0, lines.size() - of_index(lines)) + index.substr(index.size() - of_index(index));
        }();
        refused(mixed);
        CHECK(world.names().size() == 11);
    }

    TEST_CASE("a reader between two pages of names finds all events, whatever is sealed and removed there (H18)") {
        constexpr int parts = 1'005; // names come in pages of a thousand
        Sealed_World world(parts);
        Sealer<Storage_Memory> at_once(world.memory, world.paths, *world.clock, {.patience = 0ms});
        int pages = 0;
        world.store.hook = [&](World::Operation operation, std::string const& key) {
            if (operation == World::Operation::list && key == world.paths.raw_folder(two) && ++pages == 2) {
                REQUIRE(at_once.seal(two));
                REQUIRE(at_once.remove_sealed(two).value());
            }
            return World::Verdict{};
        };
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
        CHECK(pages > 2);
        CHECK(world.names().size() == 1);
    }

    TEST_CASE("without the hour, who reads on between two pages would miss what is removed there, unnoticed (H18)") {
        for (auto const patience : {std::chrono::milliseconds(1h), 0ms}) {
            Sealed_World world(1'000);
            Read_State seen;
            REQUIRE(stored_names(*world.log, two, seen).size() == 1'000);
            world.land(5);
            Sealer<Storage_Memory> sealer(world.memory, world.paths, *world.clock, {.patience = patience});
            int pages = 0;
            world.store.hook = [&](World::Operation operation, std::string const& key) {
                if (operation == World::Operation::list && key == world.paths.raw_folder(two) && ++pages == 2) {
                    REQUIRE(sealer.seal(two));
                    CHECK(sealer.remove_sealed(two).value() == (patience == 0ms));
                }
                return World::Verdict{};
            };
            CHECK(stored_names(*world.log, two, seen).size() == (patience == 0ms ? 0 : 5));
            CHECK(stored_names(*world.log, two, seen).size() == (patience == 0ms ? 5 : 0)); // the next reading
        }
    }

    TEST_CASE("eight readers find every event while parts come, are sealed and removed (H18)") {
        Sealed_World world(1);
        std::atomic<std::size_t> landed{1};
        std::atomic<bool> ends{false};
        std::atomic<int> readings{0};
        std::vector<std::string> problems(8);
        std::vector<std::thread> readers;
        for (auto& problem : problems)
            readers.emplace_back([&] {
                Raw_Reader<Storage_Memory> reader(world.memory, world.paths);
                Read_State going_on;
                std::size_t seen = 0;
                while (problem.empty() && !ends) {
                    auto const least = landed.load();
                    std::size_t anew = 0;
                    Read_State fresh;
                    auto const count_anew = reader.read(two, fresh, [&](Raw_Event const& event) -> Result<void> {
                        return name_in(event.json) == std::to_string(anew++) ? Result<void>()
                                                                             : fail(Errc::internal, "out of order");
                    });
                    auto const count_on = reader.read(two, going_on, [&](Raw_Event const&) -> Result<void> {
                        ++seen;
                        return {};
                    });
                    if (!count_anew || !count_on || anew < least || seen < least)
                        problem = "of " + std::to_string(least) + " events " + std::to_string(anew) + " were found";
                    ++readings;
                }
            });
        Sealer<Storage_Memory> sealer(world.memory, world.paths, *world.clock, {.patience = 0ms});
        for (int round = 0; round < 40 || readings < 200; ++round) {
            world.land(10);
            landed = world.landed.size();
            REQUIRE(sealer.seal(two));
            if (round % 3 == 2)
                REQUIRE(sealer.remove_sealed(two).value());
        }
        ends = true;
        for (auto& reader : readers)
            reader.join();
        CHECK(problems == std::vector<std::string>(8));
    }

    TEST_CASE("in the background a writer adopts others that died, and seals what they left") {
        Parts_World world;
        {
            auto const dead = world.open();
            for (int i = 0; i < 8; ++i) {
                record(*dead, two.start(), std::to_string(i));
                REQUIRE(dead->flush());
            }
            world.kill_writers();
            world.store.hook = [](World::Operation operation, std::string const&) { // it closes no more
                return World::Verdict{operation == World::Operation::erase ? World::Verdict::Kind::fail
                                                                           : World::Verdict::Kind::go_on};
            };
        }
        world.store.hook = nullptr;
        world.close_ledger(two.end());
        world.clock->set(two.end() + default_grace);
        auto options = World::quiet();
        options.flush_interval = options.check_interval = options.tidy_interval = 1ms;
        auto const log = world.open(options);
        record(*log, world.clock->now(), "x");
        wait_until([&] { return world.files("raw/2026/02/13/14/").size() == 8 + 1 + 1; });
        CHECK(world.files("writers/").size() == 1);
        CHECK(world.late(two.start(), two.end()).revision == 1);
        CHECK(stored_names(*log, two) == each_once(numbers(8)));
    }

    TEST_CASE("in the background a writer seals what is over, and removes it when it has waited its hour") {
        Parts_World world;
        auto options = World::quiet();
        options.check_interval = options.flush_interval = 1ms;
        options.tidy_interval = 1ms;
        auto const log = world.open(options);
        std::set<std::string> names;
        for (int i = 0; i < 10; ++i) {
            record(*log, two.start(), std::to_string(i));
            names.insert(std::to_string(i));
            REQUIRE(log->flush());
        }
        world.clock->set(two.end() + default_grace + 1ms);
        auto const pieces = [&] { return world.files("raw/2026/02/13/14/").size(); };
        wait_until([&] { return pieces() == 11; });
        world.clock->advance(1h);
        for (int i = 0; pieces() != 1; ++i) { // the background works while there is something to work for
            REQUIRE(i < 60'000);
            record(*log, at("2026-02-13T15:30"), "x");
            std::this_thread::sleep_for(1ms);
        }
        CHECK(stored_names(*log, two) == each_once(names));
    }
}
