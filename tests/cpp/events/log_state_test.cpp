// SPDX-License-Identifier: Apache-2.0
#include "events/log_world.hpp"
#include "support/format_page.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <sys/wait.h>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const two = window("2026-02-13T14:00");

/// A storage whose puts can be held back and applied later, when the one who put them has long gone on.
class Delaying_Storage {
  public:
    explicit Delaying_Storage(Storage_Memory& inner) : inner_(inner) {}

    bool hold_next = false;
    /// Lets the puts that were held back arrive.
    void deliver() {
        for (auto const& put : std::exchange(held_, {}))
            put();
    }
    [[nodiscard]] auto held() const -> std::size_t { return held_.size(); }

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const { return inner_.get(key, range); }
    auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        if (!std::exchange(hold_next, false))
            return inner_.put(key, bytes, when, options);
        held_.push_back([this, key, text = Bytes(bytes), when] { (void)inner_.put(key, text, when); });
        return Put_Outcome{Put_State::unknown, {}};
    }
    auto erase(Storage_Key const& key, Precondition const& when) { return inner_.erase(key, when); }
    [[nodiscard]] auto list(List_Query const& query) const { return inner_.list(query); }
    auto append(Storage_Key const& key, std::uint64_t offset, Byte_View bytes, Durability durability) {
        return inner_.append(key, offset, bytes, durability);
    }
    auto sync() { return inner_.sync(); }
    [[nodiscard]] auto capabilities() const { return inner_.capabilities(); }
    [[nodiscard]] auto counters() const { return inner_.counters(); }

  private:
    Storage_Memory& inner_;
    std::vector<std::function<void()>> held_;
};
static_assert(StorageBackend<Delaying_Storage>);

} // namespace

TEST_SUITE("events/log_state") {
    TEST_CASE("the bytes of docs/format.md are those that are written") {
        CHECK(documented("settings") == Log_Settings().to_json() + "\n");
        auto const ledger = ledger_text(at("2026-02-13T14:30"));
        auto const nonce = ledger.substr(ledger.find("nonce") + 8, 16);
        auto ledger_shown = documented("ledger");
        CHECK(ledger_shown.replace(ledger_shown.find("nonce") + 8, 16, nonce) == ledger + "\n");
        auto manifest = Writer_Manifest::begin(at("2026-02-13T14:10"));
        manifest.nonce = "00f1e2d3c4b5a697";
        manifest.process = {"8c1d2e3f4a5b6c7d", 4711, 123456};
        manifest.changed_at = two.end() + 1'250ms;
        manifest.open = {two, two.next()};
        CHECK(documented("manifest") == manifest.to_json() + "\n");
        Late_Mark const mark{at("2026-02-13T15:10"), false, {{28, {3, 3}}, {29, {1, 1}}}};
        CHECK(documented("late mark") == mark.to_json() + "\n");
        CHECK(documented("late mark name") ==
              "cache/analytics/data/late/" + Late_Mark_Name{two.day(), mark.bits(), "0123456789abcdef", "0"}.text() +
                  "\n");

        Segment_Name const name{two.start() + 5ms, "0123456789abcdef", 0, std::nullopt};
        auto text = segment_header(name, two, {at("2026-02-13T14:00") + 40ms, {}});
        for (std::uint64_t i = 0; i < 2; ++i) {
            auto const begin = text.size();
            text += i == 0 ? R"({"timestamp":1770991200005,"path":"/"})" : R"({"timestamp":1770991200031,"path":"/a"})";
            Line_Seal(name.writer, two).close_line(text, begin, i);
        }
        CHECK(documented("segment") == text);
        CHECK(documented("segment name") == "cache/analytics/data/raw/2026/02/13/14/" + name.text() + "\n");
        auto part = name;
        part.count = 2;
        CHECK(documented("part name") == "cache/analytics/data/raw/2026/02/13/14/" + part.text() + "\n");
    }

    TEST_CASE("every small object round-trips, and none is read when it is damaged") {
        auto manifest = Writer_Manifest::begin(two.start());
        manifest.nonce = "00f1e2d3c4b5a697";
        manifest.changed_at = two.end();
        manifest.open = {two, two.next()};
        auto const read = Writer_Manifest::from_json(manifest.to_json()).value();
        CHECK(read.nonce == manifest.nonce);
        CHECK(read.process == manifest.process);
        CHECK(read.started_at == manifest.started_at);
        CHECK(read.changed_at == manifest.changed_at);
        CHECK(read.open == manifest.open);
        Late_Mark const mark{two.end(), true, {{0, {1, 0}}, {47, {2, 0}}}};
        auto const marked = Late_Mark::from_json(mark.to_json()).value();
        CHECK(marked.to_json() == mark.to_json());
        CHECK(marked.bits() == mark.bits());
        CHECK(parse_ledger(ledger_text(two.end())).value() == two.end());
        Log_Settings const settings{1h, "week"};
        CHECK(Log_Settings::from_json(settings.to_json()).value() == settings);

        auto const with = [](std::string text, std::string const& from, std::string const& to) {
            return text.replace(text.find(from), from.size(), to);
        };
        auto const all_refused = [&](std::string const& good, auto const& parse) {
            for (std::size_t cut = 0; cut < good.size(); ++cut)
                REQUIRE(parse(good.substr(0, cut)).error().code == Errc::corrupt_data);
            REQUIRE(parse(with(good, R"("v":1)", R"("v":2)")).error().code == Errc::corrupt_data);
        };
        all_refused(manifest.to_json(), [](std::string const& text) { return Writer_Manifest::from_json(text); });
        all_refused(mark.to_json(), [](std::string const& text) { return Late_Mark::from_json(text); });
        all_refused(ledger_text(two.end()), [](std::string const& text) { return parse_ledger(text); });
        all_refused(settings.to_json(), [](std::string const& text) { return Log_Settings::from_json(text); });
        CHECK(Writer_Manifest::from_json(with(manifest.to_json(), "14:30", "14:31")).has_error());
        CHECK(Late_Mark::from_json(with(mark.to_json(), "23:30", "24:00")).has_error());
        CHECK(Log_Settings::from_json(with(settings.to_json(), "3600000", "-3600000")).has_error());
        CHECK(Log_Settings::from_json(with(settings.to_json(), "week", "year")).has_error());
    }

    TEST_CASE("names of late marks say what they touch, and prefixes find them all") {
        Late_Mark_Name const name{two.day(), 1ULL << 28 | 1ULL << 47, "0123456789abcdef", "a12"};
        auto const parsed = Late_Mark_Name::parse(name.text()).value();
        CHECK(parsed.text() == name.text());
        CHECK(name.touches(two.start(), two.end()));
        CHECK_FALSE(name.touches(two.end(), two.end() + 1h));
        CHECK(name.touches(two.end(), two.day() + 24h));
        CHECK_FALSE(name.touches(two.day() + 24h, two.day() + 48h));
        for (std::string const bad :
             {"", "2026/02/13__000080000000__0123456789abcdef-.json",
              "2026/02/30__000080000000__0123456789abcdef-1.json", "2026/02/13__00008000000g__0123456789abcdef-1.json",
              "2026/02/13__000080000000__0123456789abcdeX-1.json",
              "2026/02/13__000080000000__0123456789abcdef-1.jsonl"})
            CHECK_FALSE(Late_Mark_Name::parse(bad).has_value());

        World world;
        Late_Marks<World::Store> marks(world.store, log_paths());
        std::map<std::string, std::uint64_t> days;
        for (auto const* day : {"2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "2024-12-31", "2025-01-01"})
            REQUIRE(marks
                        .put({window(std::string(day) + "T00:00").day(), 1, "0123456789abcdef", "0"},
                             {two.start(), false, {{0, {1, 1}}}})
                        .value());
        auto const count = [&](char const* from, char const* to) {
            return marks.revision(at(std::string(from) + "T00:00"), at(std::string(to) + "T00:00")).value();
        };
        CHECK(count("2024-01-01", "2025-01-01") == 4);
        CHECK(count("2024-02-29", "2024-03-01") == 1);
        CHECK(count("2024-02-26", "2024-03-04") == 2);
        CHECK(count("2023-12-31", "2025-01-02") == 6);
        CHECK(count("2024-04-01", "2024-12-31") == 0);
        CHECK(marks.revision(two.start(), two.start()).value() == 0);
    }

    TEST_CASE("a mark is put once, and a name that is taken is told") {
        World world;
        Late_Marks<World::Store> marks(world.store, log_paths());
        Late_Mark_Name const name{two.day(), 1ULL << 28, "0123456789abcdef", "0"};
        Late_Mark const mark{two.end(), false, {{28, {1, 1}}}};
        CHECK(marks.put(name, mark).value());
        CHECK(marks.put(name, mark).value());
        auto other = mark;
        other.windows[28].landed = 2;
        CHECK_FALSE(marks.put(name, other).value());
        CHECK(world.late(two.start(), two.end()).revision == 1);
    }

    TEST_CASE("a mark whose name another writer has taken goes under the next one (H5)") {
        World world;
        auto options = World::quiet();
        options.new_writer_id = [] { return std::string("0123456789abcdef"); };
        auto const log = world.open(options);
        world.close_ledger(two.end());
        Late_Marks<World::Store> marks(world.store, log_paths());
        Late_Mark const theirs{at("2026-02-13T15:00"), false, {{28, {7, 7}}}};
        REQUIRE(marks.put({two.day(), theirs.bits(), "0123456789abcdef", "0"}, theirs).value());
        record(*log, at("2026-02-13T14:00"), "late");
        REQUIRE(log->flush());
        CHECK(world.late(two.start(), two.end()).revision == 2);
        CHECK(world.late(two.start(), two.end()).late_events == 8);
    }

    TEST_CASE("the ledger only grows, whoever closes and however late an old write arrives (H13)") {
        Storage_Memory memory;
        Delaying_Storage storage(memory);
        Ledger<Delaying_Storage> ledger(storage, log_paths().ledger());
        CHECK(ledger.closed_until().value() == earliest_time);
        storage.hold_next = true;
        CHECK(ledger.close(two.end()).value() == two.end()); // tried again, since its fate is unknown
        CHECK(storage.held() == 1);
        storage.deliver();
        CHECK(ledger.closed_until().value() == two.end());
        storage.hold_next = true;
        CHECK(ledger.close(two.end() + 30min).value() == two.end() + 30min);
        CHECK(ledger.close(two.end() + 1h).value() == two.end() + 1h);
        CHECK(storage.held() == 1);
        storage.deliver();
        CHECK(ledger.closed_until().value() == two.end() + 1h);
        CHECK(ledger.close(two.end()).value() == two.end() + 1h);
        CHECK(ledger.closed_until().value() == two.end() + 1h);
        write(memory, data_prefix + "state/ledger.json", "{}").value();
        CHECK(ledger.closed_until().error().code == Errc::corrupt_data);
        CHECK(ledger.close(two.end()).error().code == Errc::corrupt_data);
    }

    TEST_CASE("a manifest holds what its writer said last, however late an old write arrives (H13)") {
        Storage_Memory memory;
        Delaying_Storage storage(memory);
        auto const key = log_paths().manifest("0123456789abcdef");
        Own_Manifest<Delaying_Storage> manifest(storage, key);
        auto const stored = [&] { return Writer_Manifest::from_json(memory.get(key).value()->bytes).value().open; };
        storage.hold_next = true;
        REQUIRE(manifest.set({two}, two.start()).value());
        REQUIRE(manifest.set({two, two.next()}, two.start()).value());
        storage.deliver();
        CHECK(stored() == std::set{two, two.next()});
        storage.hold_next = true;
        REQUIRE(manifest.set({two.next()}, two.start()).value());
        REQUIRE(manifest.set({two.next(), two.next().next()}, two.start()).value());
        storage.deliver();
        CHECK(stored() == std::set{two.next(), two.next().next()});
        auto const before = memory.counters().writes;
        REQUIRE(manifest.set({two.next(), two.next().next()}, two.start()).value());
        CHECK(memory.counters().writes == before); // nothing new, nothing written

        // Another writer with the same id says so, and its manifest is left alone.
        Own_Manifest<Delaying_Storage> other(storage, key);
        CHECK_FALSE(other.set({two}, two.start()).value());
        REQUIRE(other.erase());
        CHECK(stored() == std::set{two.next(), two.next().next()});
        REQUIRE(manifest.erase());
        CHECK_FALSE(memory.get(key).value().has_value());
        REQUIRE(manifest.erase());
    }

    TEST_CASE("a process is dead for sure when it has ended, or when its id belongs to another one") {
        auto const self = Process_Identity::current();
        CHECK_FALSE(self.is_surely_dead());
        CHECK(self == Process_Identity::current());
        auto other = self;
        ++other.started;
        CHECK(other.is_surely_dead());
        other.started = 0; // a system that does not tell
        CHECK_FALSE(other.is_surely_dead());
        other = self;
        other.host = "elsewhere";
        ++other.started;
        CHECK_FALSE(other.is_surely_dead());

        int ready[2], go[2];
        REQUIRE(::pipe(ready) == 0);
        REQUIRE(::pipe(go) == 0);
        auto const child = ::fork();
        if (child == 0) {
            auto const own = Process_Identity::current();
            (void)!::write(ready[1], &own.started, sizeof own.started);
            char byte = 0;
            (void)!::read(go[0], &byte, 1);
            ::_exit(0);
        }
        Process_Identity identity{self.host, child, 0};
        REQUIRE(::read(ready[0], &identity.started, sizeof identity.started) == sizeof identity.started);
        CHECK_FALSE(identity.is_surely_dead());
        REQUIRE(::write(go[1], "x", 1) == 1);
        siginfo_t info;
        REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
        CHECK(identity.is_surely_dead()); // ended, though nobody has asked yet
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        CHECK(identity.is_surely_dead());
        for (int const end : {ready[0], ready[1], go[0], go[1]})
            ::close(end);
    }
}
