// SPDX-License-Identifier: Apache-2.0
// Summaries whose state is much larger than their answer: what is saved where, what a question reads of it, and what
// comes of files that are lost, damaged or left over.
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/test_event.hpp"
#include "support/test_seed.hpp"
#include "support/wrapped_storage.hpp"
#include "support/zstd_text.hpp"
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/sha256.hpp>
#include <memfs_cache/lets/purger.hpp>
#include <memfs_cache/lets/window_check.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

/// The names of events; of them an answer shows ten.
struct Names_Summary {
    struct Answer {
        Name_Ranking names;

        void append_members(std::string& out) const {
            out += R"("names":)";
            names.append_json(out);
        }
        static auto from_text(std::string_view text) -> Result<Answer> {
            Json_Scanner scanner(text);
            for (Json_Scanner::Member member; scanner.next(member);) {
                if (member.name != "names")
                    continue;
                auto names = Name_Ranking::from_json(member.text);
                return names ? Result<Answer>(Answer{*std::move(names)}) : names.error();
            }
            return fail(Errc::corrupt_data, "no names");
        }
    };

    Name_Counts names;

    void add(Test_Event const& event) { names.add(event.name); }
    void merge(Names_Summary const& other) { names.merge(other.names); }
    void settle() { names.settle(); }
    [[nodiscard]] auto answer() const -> Answer { return {names.ranking(10, most_answer_bytes / 2)}; }
    void append_members(std::string& out) const {
        out += R"("names":)";
        names.append_json(out);
    }
    auto merge_text(std::string_view text) -> Result<void> {
        Json_Scanner scanner(text);
        for (Json_Scanner::Member member; scanner.next(member);)
            if (member.name == "names")
                return names.merge_json(member.text);
        return fail(Errc::corrupt_data, "no names");
    }
};
static_assert(LargeSummary<Names_Summary, Test_Event>);

using Store = Wrapped_Storage<Storage_Memory>;
using Log = Event_Log<Store>;
using Aggregator = LETS_Aggregator<Store, Test_Event, Names_Summary>;

auto window(Window_Type type, std::string_view key) -> Window { return Window::parse(type, key).value(); }
auto const day = window(Window_Type::daily, "2026-02-13");
auto const hour = window(Window_Type::hourly, "2026-02-13T14");
auto const half_hour = window(Window_Type::half_hour, "2026-02-13T14:00");
auto const long_after = window(Window_Type::daily, "2027-02-01").start();

struct Process {
    explicit Process(Store& store, Utc_Time now = day.start(), Event_Log_Options options = testing::quiet_log())
        : clock(std::make_shared<Manual_Clock>(now)),
          log(Log::open(store, Log_Paths("cache", Namespace_Name("site")), clock, options).value()),
          aggregator(store, *log) {}

    void record(Utc_Time time, std::string const& name) {
        Test_Event const event{time, name};
        REQUIRE(log->record(time, [&](std::string& out) { event.append_json(out); }));
    }
    /// Events of so many names, in the first half of the hour, 40 bytes each.
    void record_names(int from, int to, Utc_Time time = half_hour.start()) {
        for (int i = from; i < to; ++i)
            record(time + std::chrono::milliseconds(i), "/a-name-of-about-forty-bytes/" + std::to_string(100'000 + i));
    }
    /// Of raw events that are older than the policy that comes with the library says.
    void purge() {
        REQUIRE(log->flush());
        Purger<Store, Aggregator> purger(*log, aggregator, {});
        REQUIRE(purger.run([](Purge_Report&, auto const&) -> Result<void> { return {}; }).value().half_hours == 1);
    }
    auto ask(Window const& window) -> Name_Ranking { return aggregator.query(window).value().summary->names; }

    std::shared_ptr<Manual_Clock> clock;
    std::unique_ptr<Log> log;
    Aggregator aggregator;
};

struct World {
    Storage_Memory memory;
    Store store{memory};

    using Files = std::map<std::string, std::string>;
    auto files(std::string const& part = "", std::string const& below = "aggregations/") -> Files {
        Files found;
        auto const folder = "cache/site/data/" + below;
        for (auto const& path : files_list(memory, folder).value())
            if (path.find(part) != std::string::npos)
                found[path.substr(folder.size())] = read(memory, path).value().value();
        return found;
    }
    auto states() -> Files { return files(".state-"); }
    /// The one state whose name begins so.
    auto state(std::string const& begin) -> std::pair<std::string const, std::string> {
        auto const found = files(begin + ".state-");
        REQUIRE(found.size() == 1);
        return *found.begin();
    }
    void put(std::string const& file, std::string const& bytes) {
        REQUIRE(write(memory, "cache/site/data/aggregations/" + file, bytes));
    }
    void remove(std::string const& file) {
        REQUIRE(memory.erase(Storage_Key("cache/site/data/aggregations/" + file), Precondition::none()).value());
    }
    auto check() -> Window_Check_Report {
        wrong.clear();
        auto const clock = std::make_shared<Manual_Clock>(long_after);
        Log_Paths const paths("cache", Namespace_Name("site"));
        return check_windows<Storage_Memory, Test_Event, Names_Summary>(
                   memory, paths, paths, clock,
                   [&](Window const& window, std::string const& what) -> Result<void> {
                       wrong[window.file()] = what;
                       return {};
                   })
            .value();
    }
    std::map<std::string, std::string> wrong; ///< of the last check
};

auto sha256(std::string const& text) -> std::string {
    Sha256 hash;
    hash.add(text);
    return hash.hex();
}

/// A day in one hour of which there are 3,000 names: 117 KB.
struct Busy_Day : World {
    Busy_Day() : process(store) {
        process.record_names(0, 3'000);
        process.clock->set(long_after);
        for (auto const type : all_window_types)
            REQUIRE(process.ask(Window::containing(type, half_hour.start())).total == 3'000);
    }
    Process process;
};

} // namespace

TEST_SUITE("lets/large summaries") {
    TEST_CASE(
        "a small state stands in its window; a large one beside it, under a name that follows from what it holds") {
        World world;
        Process process(world.store);
        process.record_names(0, 600);
        process.record_names(0, 900, half_hour.start() + 1h);
        process.clock->set(long_after);
        CHECK(process.ask(half_hour).total == 600);
        CHECK(process.ask(window(Window_Type::half_hour, "2026-02-13T15:00")).total == 900);
        CHECK(process.ask(day).distinct == 900);

        auto const inside = world.files().at("30min/2026/02/13/14-00.json");
        auto const object = boost::json::parse(inside).as_object();
        CHECK(object.at("v") == 2);
        CHECK(object.at("state").at("names").as_object().size() == 600);
        CHECK_FALSE(object.contains("state_file"));
        CHECK(object.at("names").at("names").as_object().size() == 10);

        auto const outside = boost::json::parse(world.files().at("30min/2026/02/13/15-00.json")).as_object();
        CHECK_FALSE(outside.contains("state"));
        auto const [name, packed] = world.state("30min/2026/02/13/15-00");
        auto const text = testing::zstd_text(packed);
        auto const digest = sha256(text);
        CHECK(name == "30min/2026/02/13/15-00.state-" + digest.substr(0, 16) + ".zst");
        CHECK(std::string_view(outside.at("state_file").as_string()) == name.substr(name.rfind('/') + 1));
        CHECK(std::string_view(outside.at("state_sha256").as_string()) == digest);
        CHECK(boost::json::parse(text).at("names").as_object().size() == 900);
        for (auto const& [path, bytes] : world.files(".json"))
            CHECK(bytes.size() <= most_saved_bytes);
        CHECK(world.check().right == 5); // two half-hours, two hours, the day
        CHECK(world.wrong.empty());
    }

    TEST_CASE("a question about a saved window reads its answer alone; a parent reads the states of its children") {
        Busy_Day world;
        Process fresh(world.store, long_after);
        std::map<std::string, int> gets;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            if (operation == Store::Operation::get && key.find("/aggregations/") != std::string::npos)
                ++gets[key.substr(key.find("aggregations/") + 13)];
            return Store::Verdict{};
        };
        CHECK(fresh.ask(day).total == 3'000);
        CHECK(gets == std::map<std::string, int>{{"daily/2026/02/13.json", 1}});
        world.store.hook = nullptr;
        world.remove("monthly/2026/02.json");
        auto const state = world.state("daily/2026/02/13").first;
        bool read_state = false;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            read_state = read_state || (operation == Store::Operation::get && key.ends_with(state));
            CHECK(key.find("/raw/2026") == std::string::npos);
            return Store::Verdict{};
        };
        CHECK(fresh.ask(window(Window_Type::monthly, "2026-02")).distinct == 3'000);
        CHECK(read_state);
        CHECK(fresh.aggregator.lost_states() == 0);
    }

    TEST_CASE("a state that is lost or damaged is built again when it is needed, with the same bytes, and is counted") {
        Busy_Day world;
        auto const whole = world.files();
        auto const [name, packed] = world.state("daily/2026/02/13");
        auto flipped = packed;
        flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
        auto const of_another = world.state("hourly/2026/02/13/14").second;
        for (auto const& damage : {std::string("gone"), std::string(), packed.substr(0, packed.size() / 2), flipped,
                                   std::string(packed.size(), '\0'), packed + "x"}) {
            CAPTURE(damage.size());
            if (damage == "gone")
                world.remove(name);
            else
                world.put(name, damage);
            CHECK(world.check().right == 5);
            CHECK(world.wrong.size() == 1);
            CHECK(world.wrong.at("daily/2026/02/13.json").find("state") != std::string::npos);
            Process fresh(world.store, long_after);
            CHECK(fresh.ask(day).total == 3'000); // needs no state
            CHECK(fresh.aggregator.lost_states() == 0);
            world.remove("weekly/2026-W07.json");
            world.remove("monthly/2026/02.json");
            CHECK(fresh.ask(window(Window_Type::monthly, "2026-02")).total == 3'000);
            CHECK(fresh.aggregator.lost_states() == 1);
            CHECK(fresh.ask(window(Window_Type::weekly, "2026-W07")).total == 3'000);
            CHECK(fresh.aggregator.lost_states() == 1);
            CHECK(world.files() == whole);
        }
    }

    TEST_CASE("an event that comes after the purge is added to the state that lies beside its half-hour") {
        Busy_Day world;
        REQUIRE(world.process.log->close()); // whoever writes a half-hour keeps it from being purged
        Process process(world.store, long_after);
        process.purge();
        REQUIRE(world.files("", "raw/").empty());
        process.record_names(2'999, 3'001); // one of them is known
        auto const more = process.ask(half_hour);
        CHECK(more.total == 3'002);
        CHECK(more.distinct == 3'001);
        CHECK(process.ask(day).distinct == 3'001);
        for (auto const type : all_window_types)
            if (type != Window_Type::half_hour)
                world.remove(Window::containing(type, half_hour.start()).file());
        Process fresh(world.store, long_after + 1h);
        CHECK(fresh.ask(window(Window_Type::yearly, "2026")).distinct == 3'001);
        auto const report = world.check();
        CHECK(world.wrong == std::map<std::string, std::string>{});
        CHECK(report.purged == 1);
    }

    TEST_CASE("without the state of a purged half-hour an event that comes late is never all there was") {
        Busy_Day world;
        REQUIRE(world.process.log->close()); // whoever writes a half-hour keeps it from being purged
        Process process(world.store, long_after);
        process.purge();
        auto const name = world.state("30min/2026/02/13/14-00").first;
        world.remove(name);
        process.record_names(0, 1);
        auto const refused = process.aggregator.query(half_hour);
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == Errc::corrupt_data);
        CHECK(refused.error().context.find(name) != std::string::npos);
    }

    TEST_CASE("a state that is lost with the events it was made of is an error that names it, and the answer stays") {
        Busy_Day world;
        auto const name = world.state("30min/2026/02/13/14-00").first;
        world.remove(name);
        for (auto const& file : world.files("", "raw/"))
            REQUIRE(world.memory.erase(Storage_Key("cache/site/data/raw/" + file.first), Precondition::none()));
        for (auto const& file : world.files("hourly/"))
            world.remove(file.first);
        Process fresh(world.store, long_after);
        CHECK(fresh.ask(half_hour).total == 3'000);
        auto const refused = fresh.aggregator.query(hour);
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == Errc::corrupt_data);
        CHECK(refused.error().context.find(name) != std::string::npos);
        CHECK(fresh.ask(half_hour).total == 3'000);
    }

    TEST_CASE(
        "a late event gives each window a new state, and the old ones go; what a crash leaves goes with a rebuild") {
        Busy_Day world;
        auto const before = world.states();
        REQUIRE(before.size() == 6);
        world.process.record_names(3'000, 3'001);
        CHECK(world.process.ask(window(Window_Type::yearly, "2026")).total == 3'001);
        CHECK(world.process.ask(window(Window_Type::weekly, "2026-W07")).total == 3'001);
        auto const after = world.states();
        CHECK(after.size() == 6);
        for (auto const& file : before)
            CHECK_FALSE(after.contains(file.first));
        CHECK(world.check().right == 6);

        for (auto const& file : before)
            world.put(file.first, file.second); // nobody names it
        CHECK(world.process.ask(window(Window_Type::yearly, "2026")).total == 3'001);
        for (auto const type : all_window_types)
            REQUIRE(world.process.aggregator.rebuild(Window::containing(type, half_hour.start())));
        CHECK(world.states() == after);
    }

    TEST_CASE("states that nobody names hide no window from those who list them") {
        Busy_Day world;
        world.process.record_names(0, 5, half_hour.start() + 24h);
        for (auto const& file : world.files())
            if (file.first.ends_with(".json"))
                world.remove(file.first);
        Process fresh(world.store, long_after);
        CHECK(fresh.ask(window(Window_Type::weekly, "2026-W07")).total == 3'005);
        for (auto const& file : world.files("", "raw/"))
            REQUIRE(world.memory.erase(Storage_Key("cache/site/data/raw/" + file.first), Precondition::none()));
        world.put("daily/2026/02/12.state-0123456789abcdef.zst", "");
        CHECK(Process(world.store, long_after).ask(window(Window_Type::monthly, "2026-02")).total == 3'005);
    }

    TEST_CASE("whoever reads an answer while the window is revised never merges the state of another revision") {
        Busy_Day world;
        world.remove("monthly/2026/02.json");
        Process rival(world.store, long_after);
        auto const name = world.state("daily/2026/02/13").first;
        bool done = false;
        world.store.hook = [&](Store::Operation operation, std::string const& key) {
            if (!done && operation == Store::Operation::get && key.ends_with(name)) {
                done = true; // between the reader's answer and its state
                rival.record_names(3'000, 3'100);
                CHECK(rival.ask(day).total == 3'100);
                CHECK_FALSE(world.files().contains(name));
            }
            return Store::Verdict{};
        };
        Process reader(world.store, long_after);
        auto const total = reader.ask(window(Window_Type::monthly, "2026-02")).total;
        CHECK(done);
        CHECK((total == 3'000 || total == 3'100));
        CHECK(reader.ask(window(Window_Type::monthly, "2026-02")).total == 3'100);
        CHECK(reader.aggregator.lost_states() == 0);
        CHECK(world.check().right >= 4);
        CHECK(world.wrong.empty());
    }

    TEST_CASE("any saved answers and states may be gone: asked again, every level has the same bytes") {
        auto const seed = testing::seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        World world;
        auto const first = window(Window_Type::daily, "2026-01-30").start();
        Process process(world.store, first + 96h);
        for (int i = 0; i < 12; ++i) { // two months, some busy half-hours among quiet ones
            auto const time = first + std::chrono::minutes(random() % (4 * 1'440));
            auto const from = static_cast<int>(random() % 1'000);
            process.record_names(from, from + (i % 3 == 0 ? 900 : 30), time);
        }
        process.clock->set(long_after);
        std::vector<Window> windows;
        for (auto const type : all_window_types) {
            auto const found = process.aggregator.active_windows(type, window(Window_Type::yearly, "2026").start(),
                                                                 window(Window_Type::yearly, "2026").end());
            for (auto const& one : found.value()) {
                REQUIRE(process.aggregator.query(one));
                windows.push_back(one);
            }
        }
        auto const whole = world.files();
        REQUIRE(world.states().size() > 8);
        for (auto rounds = testing::number_from_environment("MEMFS_CACHE_TEST_ROUNDS", 30); rounds > 0; --rounds) {
            std::set<std::string> states_gone;
            for (auto const& file : whole)
                if (random() % 3 == 0) {
                    world.remove(file.first);
                    if (!file.first.ends_with(".json"))
                        states_gone.insert(file.first);
                }
            Process fresh(world.store, long_after);
            std::shuffle(windows.begin(), windows.end(), random);
            for (auto const& one : windows)
                REQUIRE(fresh.aggregator.query(one));
            auto expected = whole;
            for (auto const& name : states_gone)
                if (!world.files().contains(name))
                    expected.erase(name); // needed by nobody: its window and all above it were there
            REQUIRE(world.files() == expected);
            (void)world.check();
            for (auto const& found : world.wrong)
                REQUIRE(fresh.aggregator.rebuild(*Window::from_file(found.first)));
            REQUIRE(world.files() == whole);
        }
    }

    TEST_CASE(
        "beyond the exact size the bytes are those of the canonical way, and no count is off by more than stated") {
        auto const seed = testing::seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        World world;
        Process process(world.store);
        std::map<std::string, std::uint64_t> recount;
        for (int i = 0; i < 60'000; ++i) {
            // A few that are seen often, in all hours, among many that are seen once or twice.
            auto const name = "/" + std::to_string(random() % 3 == 0 ? random() % 50 : 1'000 + random() % 40'000);
            process.record(day.start() + std::chrono::milliseconds(random() % (6 * 3'600'000)), name);
            ++recount[name];
        }
        process.clock->set(long_after);
        auto const answer = process.ask(day);
        CHECK_FALSE(answer.is_exact());
        CHECK(answer.total == 60'000);
        CHECK(answer.error <= 60'000 / 4'097);
        for (auto const& [name, times] : answer.rows) {
            CHECK(times <= recount.at(name));
            CHECK(recount.at(name) <= times + answer.error);
        }
        auto const distinct = static_cast<double>(recount.size());
        CHECK(std::abs(static_cast<double>(answer.distinct) - distinct) < 5 * 0.0081 * distinct);
        auto const whole = world.files();
        CHECK(testing::zstd_text(world.state("daily/2026/02/13").second).find(R"("dropped":)") != std::string::npos);
        for (auto const& file : whole)
            world.remove(file.first);
        Process fresh(world.store, long_after);
        CHECK(fresh.ask(day).total == 60'000);
        CHECK(world.files() == whole);
    }

    TEST_CASE("windows of the first version are read, merged with others, and counted apart by a check") {
        World world;
        Process process(world.store);
        process.record_names(0, 3);
        process.record_names(0, 5, half_hour.start() + 30min);
        process.clock->set(long_after);
        CHECK(process.ask(hour).total == 8);
        auto const hourly = world.files().at("hourly/2026/02/13/14.json");
        auto const today = boost::json::parse(world.files().at("30min/2026/02/13/14-00.json")).as_object();
        std::string first = R"({"v":1)";
        for (auto const* const name : {"namespace", "window_type", "window_key", "window_start", "window_end", "final",
                                       "revision", "computed_at", "late_events", "covers"})
            first += ",\"" + std::string(name) + "\":" + boost::json::serialize(today.at(name));
        first += R"(,"names":)" + boost::json::serialize(today.at("state").at("names")) + "}";
        world.put("30min/2026/02/13/14-00.json", first);
        world.remove("hourly/2026/02/13/14.json");
        Process fresh(world.store, long_after);
        CHECK(fresh.ask(half_hour).total == 3);
        CHECK(fresh.ask(half_hour).rows.size() == 3);
        CHECK(fresh.ask(hour).total == 8);
        CHECK(world.files().at("hourly/2026/02/13/14.json") == hourly);
        auto const report = world.check();
        CHECK(report.older == 1);
        CHECK(report.right == 2);
        CHECK(world.wrong.empty());
        CHECK(world.files().at("30min/2026/02/13/14-00.json") == first); // as it was, until it is rebuilt
        REQUIRE(fresh.aggregator.rebuild(half_hour));
        CHECK(world.check().older == 0);
    }

    TEST_CASE("however many processes wrote in a half-hour, its window is small; who they were lies in its state") {
        World world;
        int number = 0;
        auto options = testing::quiet_log();
        options.new_writer_id = [&] {
            return to_hex(std::uint64_t{0xabc0000000000000} + static_cast<unsigned>(number++));
        };
        for (int i = 0; i < 400; ++i) {
            Process process(world.store, half_hour.start() + 1min, options);
            process.record_names(i, i + 1);
            REQUIRE(process.log->close());
        }
        Process process(world.store, long_after);
        CHECK(process.ask(half_hour).total == 400);
        auto const saved = world.files().at("30min/2026/02/13/14-00.json");
        CHECK(saved.size() < 4'096);
        CHECK(saved.find("covers") == std::string::npos);
        auto const state =
            boost::json::parse(testing::zstd_text(world.state("30min/2026/02/13/14-00").second)).as_object();
        CHECK(state.at("covers").as_object().size() == 400);
        CHECK(world.check().right == 1);
    }
}
