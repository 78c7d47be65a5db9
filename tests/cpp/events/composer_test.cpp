// SPDX-License-Identifier: Apache-2.0
// Putting parts together, and removing them: whoever reads meanwhile, before or after, finds the same events.
#include "events/log_world.hpp"
#include "support/format_page.hpp"

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

/// One writer that landed parts of one event each, and who composes them.
struct Composed_World : Parts_World {
    explicit Composed_World(int parts) { land(parts); }

    std::unique_ptr<Log> log = [this] {
        auto options = World::quiet();
        options.new_writer_id = [] { return "0123456789abcdef"; };
        return open(options);
    }();
    Log_Paths const paths = log_paths();
    Composer<Store> composer{store, paths, *clock};
    std::set<std::string> landed;

    void land(int parts) {
        for (int i = 0; i < parts; ++i) {
            auto const name = std::to_string(landed.size());
            record(*log, two.start() + 5ms + std::chrono::seconds(landed.size()), name);
            REQUIRE(log->flush());
            landed.insert(name);
        }
    }
    void compose() { REQUIRE(composer.compose(two)); }
    /// Removes what an hour's patience allows.
    auto remove() -> bool { return composer.remove_composed(two).value(); }
    auto names() const -> std::set<std::string> {
        std::set<std::string> names;
        for (auto const& entry : files("raw/"))
            names.insert(entry.first.substr(entry.first.rfind('/') + 1));
        return names;
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

TEST_SUITE("events/composer") {
    TEST_CASE("eight parts become one piece with the same lines, seven stay as they are") {
        Composed_World world(7);
        world.compose();
        CHECK(world.names().size() == 7);
        world.land(1);
        auto const before = world.files("raw/");
        world.compose();
        CHECK(world.names().size() == 9);
        auto const composed = "1770991200005__0123456789abcdef-0000000000-8.jsonl";
        auto const text = read(world.memory, world.key(composed)).value().value();
        CHECK(text.substr(0, text.find('\n') + 1) == documented("composed piece"));
        std::string lines;
        for (auto const& [name, part] : before)
            lines += part.substr(part.find('\n') + 1);
        CHECK(text.substr(text.find('\n') + 1) == lines);
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
        world.compose(); // nothing is left to do
        CHECK(world.names().size() == 9);
    }

    TEST_CASE("a stream is composed up to its first hole or damage, and others beside it") {
        Composed_World world(12);
        auto const other = world.open();
        for (int i = 0; i < 8; ++i) {
            record(*other, two.start(), "other " + std::to_string(i));
            REQUIRE(other->flush());
        }
        auto const tenth = *std::next(world.names().begin(), 8 + 9);
        REQUIRE(tenth.find("-0000000009-1") != std::string::npos);
        auto const text = read(world.memory, world.key(tenth)).value().value();
        REQUIRE(remove(world.memory, world.key(tenth)));
        world.compose();
        auto names = world.names();
        CHECK(names.contains("1770991200005__0123456789abcdef-0000000000-9.jsonl"));
        CHECK(names.size() == 11 + 8 + 2);

        REQUIRE(write(world.memory, world.key(tenth), text.substr(0, text.size() - 5)));
        world.land(8);
        world.compose(); // 9 composed, the damaged one and ten behind it
        CHECK(world.names().size() == names.size() + 1 + 8);
    }

    TEST_CASE("large streams become pieces of 16 MiB at most") {
        Composed_World world(0);
        auto const large = std::string(600'000, 'x');
        for (int i = 0; i < 40; ++i) {
            record(*world.log, two.start(), large + std::to_string(i));
            REQUIRE(world.log->flush());
        }
        world.compose();
        std::size_t composed = 0;
        for (auto const& [name, text] : world.files("raw/")) {
            CHECK(text.size() <= 16 << 20);
            composed += text.size() > 1'000'000;
        }
        CHECK(composed == 2);
        world.clock->advance(1h);
        CHECK(world.remove());
        CHECK(world.names().size() == 2);
        CHECK(stored_names(*world.log, two).size() == 40);
    }

    TEST_CASE("parts, composed prefixes and any subset of them give what they cover, each event once (H1)") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Composed_World world(9);
        world.compose();
        world.land(9);
        world.compose();
        world.land(3);
        auto const all = world.files("raw/");
        REQUIRE(all.size() == 21 + 2);
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

    TEST_CASE("two that compose at once, or know more or less, do each other no harm; the longer one wins (H19)") {
        Composed_World world(9);
        Manual_Clock other_clock(world.clock->now() + 7min);
        Composer<World::Store> other(world.store, world.paths, other_clock);
        bool both = false;
        world.store.hook = [&](World::Operation operation, std::string const&) {
            if (operation == World::Operation::put && !std::exchange(both, true))
                REQUIRE(other.compose(two)); // between the reading and the writing of the first
            return World::Verdict{};
        };
        world.compose();
        REQUIRE(both);
        CHECK(world.names().size() == 10);
        world.land(4);
        REQUIRE(other.compose(two)); // the composed piece and four parts are too few
        world.land(4);
        REQUIRE(other.compose(two));
        CHECK(world.names().contains("1770991200005__0123456789abcdef-0000000000-17.jsonl"));
        auto const before = world.memory.counters().reads;
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
        CHECK(world.memory.counters().reads == before + 1);
    }

    TEST_CASE("a composed piece of which nobody knows whether it is there is composed again") {
        Composed_World world(9);
        using Kind = World::Verdict::Kind;
        for (auto const fate : {Kind::unknown_before, Kind::fail, Kind::unknown_after}) {
            world.store.hook = [&](World::Operation operation, std::string const&) {
                return World::Verdict{operation == World::Operation::put ? fate : Kind::go_on};
            };
            CHECK(world.composer.compose(two).has_error());
            world.store.hook = nullptr;
            CHECK(world.names().size() == (fate == Kind::unknown_after ? 10 : 9));
        }
        world.compose();
        CHECK(world.names().size() == 10);
    }

    TEST_CASE("parts are removed an hour after they were composed, oldest first, then what was summed up (H18)") {
        Composed_World world(10);
        world.log->sum_up_streams([] { return std::unique_ptr<Stream_Summary>(); });
        REQUIRE(write(world.memory, world.paths.partial(two, "0123456789abcdef").str(), "{}"));
        REQUIRE(write(world.memory, world.paths.partial(half_past_two, "0123456789abcdef").str(), "{}"));
        CHECK(Composed_World(10).remove()); // without a composed piece nothing may go, now or later
        world.compose();
        world.land(1);
        std::vector<std::string> gone;
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
        CHECK(world.names().size() == 2); // the composed one and what came behind it
        CHECK(world.files("partial/").size() == 1);
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
    }

    TEST_CASE("nothing is removed for a composed piece that is damaged, or that only looks like one") {
        Composed_World world(10);
        world.compose();
        auto const composed = *std::next(world.names().begin()); // behind the first part, whose number is less
        REQUIRE(composed.find("0000000000-10") != std::string::npos);
        auto const text = read(world.memory, world.key(composed)).value().value();
        world.clock->advance(24h);
        for (auto const at : {text.size() - 2, text.find('\n') + 3, std::size_t{20}}) {
            auto damaged = text;
            damaged[at] ^= 1;
            REQUIRE(write(world.memory, world.key(composed), damaged));
            CHECK(world.remove());
            REQUIRE(write(world.memory, world.key(composed), text.substr(0, at)));
            CHECK(world.remove());
        }
        auto const name = Segment_Name::parse(composed).value();
        auto const not_composed = segment_header(name, two, {two.start(), {}}) + text.substr(text.find('\n') + 1);
        REQUIRE(write(world.memory, world.key(composed), not_composed));
        CHECK(world.remove());
        CHECK(world.names().size() == 11);
    }

    TEST_CASE("a reader between two pages of names finds all events, whatever is composed and removed there (H18)") {
        constexpr int parts = 1'005; // names come in pages of a thousand
        Composed_World world(parts);
        Composer<Storage_Memory> at_once(world.memory, world.paths, *world.clock, {.patience = 0ms});
        int pages = 0;
        world.store.hook = [&](World::Operation operation, std::string const& key) {
            if (operation == World::Operation::list && key == world.paths.raw_folder(two) && ++pages == 2) {
                REQUIRE(at_once.compose(two));
                REQUIRE(at_once.remove_composed(two).value());
            }
            return World::Verdict{};
        };
        CHECK(stored_names(*world.log, two) == each_once(world.landed));
        CHECK(pages > 2);
        CHECK(world.names().size() == 1);
    }

    TEST_CASE("without the hour, who reads on between two pages would miss what is removed there, unnoticed (H18)") {
        for (auto const patience : {std::chrono::milliseconds(1h), 0ms}) {
            Composed_World world(1'000);
            Read_State seen;
            REQUIRE(stored_names(*world.log, two, seen).size() == 1'000);
            world.land(5);
            Composer<Storage_Memory> composer(world.memory, world.paths, *world.clock, {.patience = patience});
            int pages = 0;
            world.store.hook = [&](World::Operation operation, std::string const& key) {
                if (operation == World::Operation::list && key == world.paths.raw_folder(two) && ++pages == 2) {
                    REQUIRE(composer.compose(two));
                    CHECK(composer.remove_composed(two).value() == (patience == 0ms));
                }
                return World::Verdict{};
            };
            CHECK(stored_names(*world.log, two, seen).size() == (patience == 0ms ? 0 : 5));
            CHECK(stored_names(*world.log, two, seen).size() == (patience == 0ms ? 5 : 0)); // the next reading
        }
    }

    TEST_CASE("eight readers find every event while parts come, are composed and removed (H18)") {
        Composed_World world(1);
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
        Composer<Storage_Memory> composer(world.memory, world.paths, *world.clock, {.patience = 0ms});
        for (int round = 0; round < 40 || readings < 200; ++round) {
            world.land(10);
            landed = world.landed.size();
            REQUIRE(composer.compose(two));
            if (round % 3 == 2)
                REQUIRE(composer.remove_composed(two).value());
        }
        ends = true;
        for (auto& reader : readers)
            reader.join();
        CHECK(problems == std::vector<std::string>(8));
    }

    TEST_CASE("in the background a writer adopts others that died, and composes what they left") {
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

    TEST_CASE("in the background a writer composes what is over, and removes it when it has waited its hour") {
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
