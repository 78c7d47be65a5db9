// SPDX-License-Identifier: Apache-2.0
#include "crash_lab.hpp"
#include "processes.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <limits>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

using Log = Event_Log<Storage_Disk>;

auto const early = window("2026-02-13T14:00");
auto const later = window("2026-02-13T14:30");

/// What a log has promised of its events.
struct Event_Promises {
    static constexpr auto never = std::numeric_limits<std::size_t>::max();
    struct Moments {
        std::size_t begun;
        std::size_t landed = never; ///< survives the process
        std::size_t safe = never;   ///< survives loss of power
    };
    std::map<std::string, Moments> events;

    void landed(std::size_t now) {
        for (auto& [name, moments] : events)
            moments.landed = std::min(moments.landed, now);
    }
    void synced(std::size_t begun, std::size_t done) {
        for (auto& [name, moments] : events)
            if (moments.landed <= begun)
                moments.safe = std::min(moments.safe, done);
    }
    [[nodiscard]] auto broken_by(Names const& found, Crash const& crash) const -> std::string {
        for (auto const& [name, times] : found) {
            auto const known = events.find(name);
            if (known == events.end() || known->second.begun > crash.changes)
                return "event " + name + " was never recorded";
            if (times != 1)
                return "event " + name + " is there twice";
        }
        for (auto const& [name, moments] : events) {
            auto const kept = crash.kind == Crash::Kind::kill ? moments.landed : moments.safe;
            if (kept <= crash.changes && !found.contains(name))
                return "event " + name.substr(0, 8) + " is lost";
        }
        return {};
    }
};

/// One process that records into a store, and what it was promised.
struct Recorder {
    Recorder(Scratch_Folder const& folder, Recording_Mode recording_mode, Recording& changes, Event_Promises& events)
        : storage(Storage_Disk::open(folder.path())), mode(recording_mode), recording(changes), promises(events) {
        if (storage)
            log = open_disk_log(*storage, clock, mode);
    }

    void record(Utc_Time time, std::string const& name) {
        promises.events[name] = {recording.note()};
        auto const recorded = try_record(*log, time, name);
        if (recorded && mode == Recording_Mode::durable) {
            auto& moments = promises.events[name];
            moments.landed = moments.safe = recording.note();
        }
    }
    void flush() {
        if (log->flush())
            promises.landed(recording.note());
    }
    void sync() {
        auto const begun = recording.note();
        if (storage->sync())
            promises.synced(begun, recording.note());
    }
    auto close() -> bool {
        if (!log->close())
            return false;
        promises.landed(recording.note());
        promises.synced(recording.note(), recording.note());
        return true;
    }

    Result<Storage_Disk> storage;
    Recording_Mode mode;
    Recording& recording;
    Event_Promises& promises;
    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(at("2026-02-13T14:10"));
    std::unique_ptr<Log> log;
};

/// Two half-hours, batches of several sectors, and an event that comes when its half-hour is closed.
void record_a_day(Recorder& recorder) {
    auto const long_name = [](std::string const& name) { return name + std::string(400, 'x'); };
    recorder.record(early.start(), "a");
    recorder.record(early.start(), long_name("b"));
    recorder.flush();
    recorder.record(later.start(), "c");
    for (auto const* name : {"d", "e", "f"})
        recorder.record(early.start(), long_name(name));
    for (auto const* name : {"h", "i", "j", "k"})
        recorder.record(early.start(), name);
    recorder.flush();
    recorder.sync();
    recorder.record(later.start(), long_name("g"));
    recorder.flush();
    recorder.clock->set(at("2026-02-13T15:45"));
    (void)Ledger<Storage_Disk>(*recorder.storage, log_paths().ledger()).close(later.end());
    recorder.record(early.start(), "late");
    recorder.flush();
    recorder.sync();
}

struct Run {
    Scratch_Folder folder{quick_folder()};
    Recording recording{folder.path()};
    Event_Promises promises;
    std::optional<System_Calls> calls{std::in_place, folder.path().string()};

    explicit Run(Tree const& found = {}) {
        write_tree(folder.path(), found);
        recording.before = Disk_Model(folder.path());
        recording.watch(*calls);
    }
};

/// Does a good line lie behind bytes that were lost? Only then something was damaged rather than torn off.
auto is_damaged(std::string const& left, std::string const& seen) -> bool {
    auto const common = std::min(left.size(), seen.size());
    auto const [bad, unused] =
        std::mismatch(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(common), seen.begin());
    auto const first_bad = static_cast<std::size_t>(bad - left.begin());
    for (auto end = seen.find('\n', first_bad); end != std::string::npos; end = seen.find('\n', end + 1)) {
        auto const line = end + 1;
        auto const line_end = seen.find('\n', line);
        if (line_end == std::string::npos || line_end >= left.size())
            return false;
        if (left.compare(end, line_end - end + 1, seen, end, line_end - end + 1) == 0)
            return true;
    }
    return false;
}

/// Is any piece of a half-hour damaged?
auto is_damaged(Storage_Disk const& storage, Crash const& crash, Base_Window window) -> bool {
    for (auto const& path : files_list(storage, log_paths().raw_folder(window)).value()) {
        auto const seen = crash.seen.find(path);
        auto const name = Segment_Name::parse(path.substr(path.rfind('/') + 1));
        if (seen != crash.seen.end() && seen->second && name && window.contains(name->first_time) &&
            is_damaged(read(storage, path).value().value(), *seen->second))
            return true;
    }
    return false;
}

/// How many of the states that were looked at were damaged, not only torn.
int damaged_states = 0;

/// Opens what a crash has left as the next process does, and reads everything.
auto inspect(Event_Promises const& promises, Crash const& crash, std::filesystem::path const& left) -> std::string {
    auto storage = Storage_Disk::open(left).value();
    bury_writers(storage);
    auto const clock = std::make_shared<Manual_Clock>(at("2026-02-13T16:00"));
    auto const log = open_disk_log(storage, clock, Recording_Mode::durable);
    if (log == nullptr)
        return "the log cannot be opened";
    auto const adopted = log->adopt_dead_writers();
    bool any_damage = false;
    Names found;
    for (auto const window : {early, later}) {
        Read_State state;
        auto const visited = log->read(window, state, [&](Raw_Event const& event) -> Result<void> {
            ++found[name_in(event.json)];
            return {};
        });
        bool const damaged = is_damaged(storage, crash, window);
        any_damage = any_damage || damaged;
        if (damaged != (visited.has_error() && visited.error().code == Errc::corrupt_data))
            return damaged ? "damage was passed over" : "damage was reported where there is none";
    }
    if (auto broken = promises.broken_by(found, crash); !broken.empty())
        return broken;
    if (any_damage) {
        ++damaged_states;
        return {};
    }
    if (!adopted)
        return "a dead writer is not adopted: " + adopted.error().message();
    if (!files_list(storage, data_prefix + "writers/").value().empty())
        return "a manifest of the dead is left";
    if (found.contains("late") && log->ledger().closed_until().value() >= early.end() &&
        log->late_marks().state(early.start(), early.end()).value().revision == 0)
        return "nobody says that an event came late";

    // And life goes on.
    if (!try_record(*log, early.start(), "after") || stored_names(*log, early)["after"] != 1)
        return "nothing can be recorded any more";
    return log->close() ? "" : "the log cannot be closed";
}

auto lab_of(Run& run, std::uint64_t seed) -> Crash_Lab {
    run.calls.reset();
    return {run.recording, seed,
            [&](Crash const& crash, std::filesystem::path const& left) { return inspect(run.promises, crash, left); }};
}

constexpr std::array modes{Recording_Mode::buffered, Recording_Mode::durable};

} // namespace

TEST_SUITE("crash/events") {
    TEST_CASE("whatever the moment of a crash, no event is lost that was promised, none is doubled, none invented") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        for (auto const mode : modes) {
            CAPTURE((mode == Recording_Mode::durable));
            Run run;
            {
                Recorder recorder(run.folder, mode, run.recording, run.promises);
                record_a_day(recorder);
                CHECK(recorder.close());
            }
            damaged_states = 0;
            auto lab = lab_of(run, seed);
            CHECK(lab.run() == "");
            CHECK(lab.inspected > run.recording.changes.size());
            CHECK((damaged_states > 0) == (mode == Recording_Mode::buffered)); // only there several events land at once
        }
    }

    TEST_CASE("whichever call fails, before or after its effect, every event lands once in the end") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        for (auto const mode : modes)
            for (bool const is_done : {false, true})
                // Every other call; another run of the test takes the rest.
                for (auto number = (seed + is_done) % 2;; number += 2) {
                    Run run;
                    auto const files = open_files();
                    Armed_Fault fault(*run.calls, {number, EIO, is_done});
                    Names found;
                    Recording_Counts counts;
                    bool is_open = false;
                    bool is_closed = false;
                    {
                        Recorder recorder(run.folder, mode, run.recording, run.promises);
                        is_open = recorder.log != nullptr;
                        if (is_open) {
                            record_a_day(recorder);
                            fault.disarm();
                            is_closed = recorder.close();
                            found = all_names(*recorder.log, early);
                            found.merge(all_names(*recorder.log, later));
                            counts = recorder.log->counts();
                        }
                    }
                    fault.disarm();
                    if (!fault.met())
                        break;
                    CAPTURE((mode == Recording_Mode::durable));
                    CAPTURE(number);
                    CAPTURE(*fault.met());
                    CAPTURE(is_done);
                    CHECK(open_files() == files);
                    if (!is_open)
                        continue;
                    for (auto const& [name, moments] : run.promises.events)
                        CHECK(found[name] == 1);
                    CHECK(counts.recorded == run.promises.events.size());
                    CHECK(counts.dropped == 0);
                    if (is_closed)
                        CHECK(counts.landed == counts.recorded);
                    // What is left of a flush that failed is nothing to build upon; the next process finds the rest.
                    if (!is_closed)
                        CHECK(fault.met()->find("sync") != std::string::npos);
                    auto lab = lab_of(run, seed);
                    lab.first_moment = run.recording.changes.size();
                    lab.exhaustive_limit = 3;
                    CHECK(lab.run() == "");
                }
    }

    TEST_CASE("wherever sealing and removing stop, every event is there once, and whoever does it again ends it") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        auto const paths = log_paths();
        auto const seal = [&](Storage_Disk& storage) -> Result<void> {
            Manual_Clock const clock(at("2026-02-13T17:00"));
            Sealer<Storage_Disk> sealer(storage, paths, clock, {.least_pieces = 1, .patience = std::chrono::hours(0)});
            for (auto const window : {early, later}) {
                if (auto const sealed = sealer.seal(window); !sealed)
                    return sealed;
                if (auto const removed = sealer.remove_sealed(window); !removed)
                    return removed.error();
            }
            return {};
        };
        auto const end_it = [&](std::filesystem::path const& left) -> std::string {
            auto storage = Storage_Disk::open(left).value();
            if (auto const sealed = seal(storage); !sealed)
                return "cannot be sealed: " + sealed.error().message();
            for (auto const& path : files_list(storage, paths.raw_prefix()).value())
                if (!path.ends_with(".zst"))
                    return path + " is left";
            return {};
        };
        Run run;
        Recorder recorder(run.folder, Recording_Mode::buffered, run.recording, run.promises);
        record_a_day(recorder);
        REQUIRE(recorder.close());
        auto const recorded = run.recording.changes.size();
        REQUIRE(seal(*recorder.storage));
        REQUIRE(run.recording.changes.size() > recorded + 8);
        run.calls.reset();
        Crash_Lab lab(run.recording, seed, [&](Crash const& crash, std::filesystem::path const& left) {
            auto broken = end_it(left);
            return broken.empty() ? inspect(run.promises, crash, left) : broken;
        });
        lab.first_moment = recorded;
        CHECK(lab.run() == "");

        for (bool const is_done : {false, true})
            for (std::size_t number = 0;; ++number) {
                Run again;
                Recorder other(again.folder, Recording_Mode::buffered, again.recording, again.promises);
                record_a_day(other);
                REQUIRE(other.close());
                Armed_Fault fault(*again.calls, {number, EIO, is_done});
                (void)seal(*other.storage);
                fault.disarm();
                if (!fault.met())
                    break;
                CAPTURE(number);
                CAPTURE(*fault.met());
                CAPTURE(is_done);
                Crash const nothing{Crash::Kind::kill, again.recording.changes.size(), {}};
                again.calls.reset();
                CHECK(end_it(again.folder.path()) == "");
                CHECK(inspect(again.promises, nothing, again.folder.path()) == "");
            }
    }

    TEST_CASE(
        "a bit that flips in a stored piece is reported, or ends the piece like a torn tail, and invents nothing") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Run run;
        {
            Recorder recorder(run.folder, Recording_Mode::buffered, run.recording, run.promises);
            record_a_day(recorder);
        }
        run.calls.reset();
        for (auto& [name, moments] : run.promises.events) // whether the last line was torn or flipped nobody can tell
            moments.landed = moments.safe = Event_Promises::never;
        Crash const crash{Crash::Kind::power, run.recording.changes.size(),
                          Disk_Model(run.folder.path()).seen_by_processes()};
        damaged_states = 0;
        for (auto const& [path, bytes] : crash.seen) {
            if (!bytes || path.find("/raw/") == std::string::npos)
                continue;
            for (int flips = 0; flips < 60; ++flips) {
                auto tree = crash.seen;
                auto& flipped = tree[path]->at(random() % bytes->size());
                flipped = static_cast<char>(flipped ^ 1 << random() % 8);
                Scratch_Folder const left(quick_folder());
                write_tree(left.path(), tree);
                CHECK(inspect(run.promises, crash, left.path()) == "");
            }
        }
        CHECK(damaged_states > 0);
    }

    TEST_CASE("on a full disk recording goes on and says so, and everything lands once there is room") {
        for (auto const mode : modes) {
            CAPTURE((mode == Recording_Mode::durable));
            Run run;
            Recorder recorder(run.folder, mode, run.recording, run.promises);
            auto const stored = [&] { return in_words(stored_names(*recorder.log, early)); };
            record(*recorder.log, early.start(), "a");
            REQUIRE(recorder.log->flush());

            int writes = 0;
            run.calls->write_at_most = [](auto const&, std::size_t) { return std::size_t{7}; };
            run.calls->before = [&](std::string const& call) { // every file takes a few bytes more, and then no more
                return call.starts_with("write ") && ++writes % 2 == 0 ? ENOSPC : 0;
            };
            for (auto const* name : {"b", "c", "d"})
                CHECK(try_record(*recorder.log, early.start(), name).has_value() == (mode == Recording_Mode::buffered));
            CHECK(recorder.log->flush().error().code == Errc::no_space);
            CHECK(stored() == "a ");
            CHECK(in_words(all_names(*recorder.log, early)) == "a b c d ");
            auto counts = recorder.log->counts();
            CHECK(counts.recorded == 4);
            CHECK(counts.landed == 1);
            CHECK(counts.failed_flushes > 0);
            CHECK(counts.last_problem.find("no_space") != std::string::npos);

            run.calls->write_at_most = nullptr;
            run.calls->before = nullptr;
            CHECK(recorder.log->flush());
            CHECK(stored() == "a b c d ");
            counts = recorder.log->counts();
            CHECK(counts.landed == 4);
            CHECK(counts.dropped == 0);
            CHECK(counts.last_problem.empty());
        }
    }

    TEST_CASE("after a failed flush what is held goes to a new piece, and the old one is never touched again") {
        Run run;
        Recorder recorder(run.folder, Recording_Mode::durable, run.recording, run.promises);
        record(*recorder.log, early.start(), "a");
        auto const old_piece = files_list(*recorder.storage, log_paths().raw_folder(early)).value().front();
        run.calls->before = [&](std::string const& call) { return call == "fdatasync " + old_piece ? EIO : 0; };
        record(*recorder.log, early.start(), "b");
        CHECK(std::count(run.calls->seen.begin(), run.calls->seen.end(), "fdatasync " + old_piece) == 2);
        run.calls->before = nullptr;
        run.calls->seen.clear();
        for (auto const* name : {"c", "d"})
            record(*recorder.log, early.start(), name);
        CHECK(recorder.close());
        for (auto const& call : run.calls->seen)
            CHECK_FALSE((call.ends_with(old_piece) && !call.starts_with("open ")));
        CHECK(in_words(stored_names(*recorder.log, early)) == "a b c d ");
        CHECK(files_list(*recorder.storage, log_paths().raw_folder(early)).value().size() == 3);
    }
}
