// SPDX-License-Identifier: Apache-2.0
// kill -9 of processes on one store: in the middle of a chosen system call, while they record, close, adopt each other
// and answer questions. What they were promised came through a pipe and is compared with what is left.
#include "events/log_world.hpp"
#include "support/child_process.hpp"
#include "support/scratch_folder.hpp"
#include "support/system_calls.hpp"
#include "support/test_event.hpp"
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Log = Event_Log<Storage_Disk>;
using Aggregator = LETS_Aggregator<Storage_Disk, Test_Event, Test_Summary>;

auto const start = at("2026-02-13T12:00");
auto const long_after = at("2027-02-01T00:00"); // every window of that year is over

auto from_environment(char const* name, std::uint64_t otherwise) -> std::uint64_t {
    auto const* const text = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
    return text == nullptr ? otherwise : std::stoull(text);
}

auto quick_folder() -> std::filesystem::path {
    std::filesystem::path const memory = "/dev/shm";
    return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

/// One event: the nth of a thread of a process. Everything about it follows from these numbers.
struct Origin {
    unsigned process, thread, number;

    [[nodiscard]] auto event() const -> Test_Event {
        auto const late = number % 5 == 4 ? 45min : 0min; // for a half-hour that others may have closed
        return {start + std::chrono::seconds(20 * number + thread) - late,
                std::to_string(process) + "-" + std::to_string(thread) + "-" + std::to_string(number)};
    }
    friend auto operator<=>(Origin const&, Origin const&) = default;
};

/// What a process tells its parent; short enough to come through a pipe whole.
struct Message {
    enum class Kind : std::uint8_t {
        recorded, ///< record() has returned for events [0, number) of this thread
        promised, ///< these survive a kill
        landed,   ///< so many of the process do, by the log's own account
        killed,   ///< it dies now, and number events wait to be landed
    } kind;
    std::uint8_t process, thread;
    std::uint32_t number;
};

struct Plan {
    enum class Death { none, recording, closing, idle } death = Death::none;
    Recording_Mode mode = Recording_Mode::buffered;
    unsigned threads = 1;
    unsigned call = 0;  ///< it dies in this system call, counted from where its kind of death begins
    bool tears = false; ///< and if that is a write, it writes half of it

    static auto roll(std::mt19937& dice, bool may_live) -> Plan {
        auto const of = [&](unsigned sides) { return static_cast<unsigned>(dice() % sides); };
        constexpr std::array modes{Recording_Mode::buffered, Recording_Mode::buffered, Recording_Mode::durable,
                                   Recording_Mode::per_request};
        Plan plan;
        plan.mode = modes.at(of(4));
        plan.threads = 1 + of(3);
        plan.tears = of(2) == 0;
        if (may_live && of(2) == 0)
            return plan;
        plan.death = std::array{Death::recording, Death::recording, Death::recording, Death::closing}.at(of(4));
        plan.call = 1 + of(plan.death == Death::recording ? 120 : 10);
        if (plan.death == Death::closing)
            plan.mode = Recording_Mode::buffered; // there is nothing to be lost in closing otherwise
        if (of(20) == 0)
            plan.death = Death::idle;
        return plan;
    }
};

/// One process of a round.
class Writer {
  public:
    Writer(std::filesystem::path const& folder, Plan const& plan, unsigned process, Pipe const& pipe)
        : plan_(plan), process_(process), pipe_(pipe), storage_(Storage_Disk::open(folder).value()),
          calls_(folder.string()) {
        Event_Log_Options options;
        options.mode = plan.mode;
        options.flush_interval = plan.death == Plan::Death::closing ? 1h : 1ms; // closing has something to do
        options.check_interval = 2ms;
        log_ = Log::open(storage_, log_paths(), clock_, options).value();
        calls_.before = [this](std::string const& call) {
            bool const here = armed_ && ++calls_made_ == plan_.call;
            if (here && !(plan_.tears && call.starts_with("write ")))
                die();
            return 0;
        };
        calls_.write_at_most = [this](std::string const&, std::size_t bytes) {
            bool const here = armed_ && plan_.tears && calls_made_ + 1 == plan_.call && bytes > 1;
            return here ? bytes / 2 : bytes;
        };
        calls_.after = [this](std::string const&) {
            if (armed_ && calls_made_ >= plan_.call)
                die();
            return 0;
        };
    }

    void run() {
        armed_ = plan_.death == Plan::Death::recording;
        std::vector<std::thread> others;
        for (unsigned t = 1; t < plan_.threads; ++t)
            others.emplace_back([this, t] { record(t); });
        record(0);
        for (auto& other : others)
            other.join();
        if (plan_.death == Plan::Death::idle)
            die();
        armed_ = plan_.death == Plan::Death::closing;
        log_->close().value();
        if (plan_.death != Plan::Death::none)
            die(); // it was faster than its death
    }

  private:
    void record(unsigned thread) {
        constexpr std::uint32_t enough = 60;
        bool const promises_each = plan_.mode != Recording_Mode::buffered;
        for (std::uint32_t n = 0; plan_.death == Plan::Death::recording || n < enough; ++n) {
            if (n > 100'000)
                throw std::runtime_error("it cannot die");
            auto const event = Origin{process_, thread, n}.event();
            if (thread == 0)
                clock_->set(start + std::chrono::seconds(20 * n) + process_ * 10min);
            log_->record(event.timestamp, [&](std::string& out) { event.append_json(out); }).value();
            tell(Message::Kind::recorded, thread, n + 1);
            if (promises_each)
                tell(Message::Kind::promised, thread, n + 1);
            else
                std::this_thread::sleep_for(50us); // some events for each landing, not thousands
            if (thread == 0 && n % 10 == 9)
                live(n);
        }
    }

    /// What else a process does: it counts what is safe, adopts the dead, asks and so closes windows.
    void live(std::uint32_t n) {
        tell(Message::Kind::landed, 0, static_cast<std::uint32_t>(log_->counts().landed));
        switch (n / 10 % 4) {
        case 0:
            if (plan_.death != Plan::Death::closing) {
                log_->flush().value();
                tell(Message::Kind::promised, 0, n + 1);
            }
            break;
        case 1:
            log_->adopt_dead_writers().value();
            break;
        default:
            auto const type = all_window_types.at(n % all_window_types.size());
            (void)Aggregator(storage_, *log_).query(Window::containing(type, clock_->now() - 2h)).value();
        }
    }

    void tell(Message::Kind kind, unsigned thread, std::uint32_t number) const {
        pipe_.send(Message{kind, static_cast<std::uint8_t>(process_), static_cast<std::uint8_t>(thread), number});
    }

    [[noreturn]] void die() {
        if (!dying_.exchange(true)) {
            auto const counts = log_->counts();
            tell(Message::Kind::killed, 0, static_cast<std::uint32_t>(counts.recorded - counts.landed));
            ::kill(::getpid(), SIGKILL);
        }
        for (;;)
            ::pause();
    }

    Plan const plan_;
    unsigned const process_;
    Pipe const& pipe_;
    Storage_Disk storage_;
    std::shared_ptr<Manual_Clock> const clock_ = std::make_shared<Manual_Clock>(start);
    System_Calls calls_;
    std::atomic<bool> armed_{false};
    std::atomic<bool> dying_{false};
    std::atomic<unsigned> calls_made_{0};
    std::unique_ptr<Log> log_;
};

/// What was heard of one round.
struct Heard {
    std::map<std::pair<unsigned, unsigned>, std::uint32_t> recorded, promised; ///< by process and thread
    std::map<unsigned, std::uint32_t> landed;
    unsigned kills = 0;
    unsigned kills_with_unflushed = 0;

    void take(Message const& message) {
        std::pair<unsigned, unsigned> const thread(message.process, message.thread);
        switch (message.kind) {
        case Message::Kind::recorded:
            recorded[thread] = message.number;
            break;
        case Message::Kind::promised:
            promised[thread] = message.number;
            break;
        case Message::Kind::landed:
            landed[message.process] = message.number;
            break;
        case Message::Kind::killed:
            ++kills;
            kills_with_unflushed += message.number > 0 ? 1 : 0;
        }
    }
};

/// Processes that do not outlive their test.
struct Children {
    std::vector<pid_t> running;
    ~Children() {
        for (auto const child : running) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
    }
};

/// Runs the processes of a round to their ends, and listens.
auto run_round(std::filesystem::path const& folder, std::vector<Plan> const& plans) -> Heard {
    Pipe pipe;
    Children children;
    for (unsigned p = 0; p < plans.size(); ++p)
        children.running.push_back(in_child([&] {
            pipe.close_end(0);
            Writer(folder, plans[p], p, pipe).run();
        }));
    pipe.close_end(1);
    Heard heard;
    Message message{};
    while (pipe.receive(message))
        heard.take(message);
    auto const ended = std::exchange(children.running, {}); // all have closed their ends of the pipe
    for (std::size_t p = 0; p < plans.size(); ++p) {
        auto const status = status_of(ended[p]);
        if (plans[p].death == Plan::Death::none)
            CHECK(status == 0);
        else
            CHECK(WIFSIGNALED(status));
    }
    return heard;
}

/// Every stored event, and what is wrong with the store in words; "" if nothing is.
class Inspection {
  public:
    explicit Inspection(std::filesystem::path const& folder)
        : storage_(Storage_Disk::open(folder).value()),
          log_(Log::open(storage_, log_paths(), std::make_shared<Manual_Clock>(long_after), World::quiet()).value()) {}

    auto run(Heard const& heard) -> std::string {
        if (auto const adopted = log_->adopt_dead_writers(); !adopted)
            return "adoption: " + adopted.error().message();
        if (auto const manifests = files_list(storage_, log_->paths().writers_prefix()).value(); !manifests.empty())
            return "adoption leaves " + manifests.front();
        for (auto const& step : {read_raw(), compare(heard), check_small_objects(), check_windows()})
            if (!step.empty())
                return step;
        return {};
    }

  private:
    auto read_raw() -> std::string {
        for (auto const window : log_->windows(earliest_time, latest_time).value()) {
            Read_State seen;
            auto const read = log_->read(window, seen, [&](Raw_Event const& raw) -> Result<void> {
                Test_Event event;
                if (auto const good = event.read(raw); !good)
                    return good.error();
                ++raw_[window][event.name];
                return {};
            });
            if (!read)
                return window.key() + ": " + read.error().message();
        }
        return {};
    }

    auto compare(Heard const& heard) -> std::string {
        std::set<Origin> stored;
        for (auto const& [window, names] : raw_)
            for (auto const& [name, times] : names) {
                Origin origin{};
                char dash = 0;
                std::istringstream(name) >> origin.process >> dash >> origin.thread >> dash >> origin.number;
                auto const known = heard.recorded.find({origin.process, origin.thread});
                auto const returned = known == heard.recorded.end() ? 0 : known->second;
                if (origin.event().name != name || !window.contains(origin.event().timestamp))
                    return "event " + name + " of " + window.key() + " is invented";
                if (origin.number > returned) // the one behind the last may have landed before it could be told
                    return "event " + name + " is invented: only " + std::to_string(returned) + " were recorded";
                if (times != 1)
                    return "event " + name + " is there twice";
                stored.insert(origin);
            }
        for (auto const& [thread, promised] : heard.promised)
            for (std::uint32_t n = 0; n < promised; ++n)
                if (!stored.contains({thread.first, thread.second, n}))
                    return "promised event " + Origin{thread.first, thread.second, n}.event().name + " is lost";
        for (auto const& [process, landed] : heard.landed) {
            auto const of_it = std::count_if(stored.begin(), stored.end(),
                                             [&, p = process](auto const& origin) { return origin.process == p; });
            if (of_it < landed)
                return "process " + std::to_string(process) + " had landed " + std::to_string(landed) + ", and " +
                       std::to_string(of_it) + " are there";
        }
        // Of what was recorded into one half-hour, what is missing is its end.
        for (auto const& [thread, recorded] : heard.recorded) {
            std::set<Base_Window> ended;
            for (std::uint32_t n = 0; n <= recorded; ++n) {
                Origin const origin{thread.first, thread.second, n};
                auto const window = Base_Window::containing(origin.event().timestamp);
                if (!stored.contains(origin))
                    ended.insert(window);
                else if (ended.contains(window))
                    return "event " + origin.event().name + " is there, and an earlier one of its half-hour is not";
            }
        }
        return {};
    }

    auto check_small_objects() -> std::string {
        for (auto const& path : files_list(storage_, log_->paths().data_prefix()).value())
            if (!path.starts_with(log_->paths().raw_prefix()))
                if (auto const object = parse_object(read(storage_, path).value().value(), path); !object)
                    return "partial JSON: " + object.error().message();
        return {};
    }

    auto check_windows() -> std::string {
        Aggregator aggregator(storage_, *log_);
        for (auto const type : all_window_types) {
            std::map<std::string, std::pair<Window, Name_Counts>> expected;
            for (auto const& [base, names] : raw_) {
                auto const window = Window::containing(type, base.start());
                auto& counts = expected.try_emplace(window.key(), window, Name_Counts()).first->second.second;
                for (auto const& [name, times] : names)
                    counts.add(name, static_cast<std::uint64_t>(times));
            }
            for (auto const& [key, wanted] : expected) {
                auto const answer = aggregator.query(wanted.first);
                if (!answer)
                    return key + ": " + answer.error().message();
                if (!answer->final)
                    return key + " is not final";
                if (in_json(answer->summary->names) != in_json(wanted.second))
                    return key + " counts " + std::to_string(answer->summary->total) + " events, and there are " +
                           std::to_string(wanted.second.distinct());
            }
        }
        return {};
    }

    static auto in_json(Name_Counts const& counts) -> std::string {
        std::string out;
        counts.append_json(out);
        return out;
    }

    Storage_Disk storage_;
    std::unique_ptr<Log> log_;
    std::map<Base_Window, Names> raw_;
};

} // namespace

TEST_SUITE("events/kill") {
    TEST_CASE("kill -9 at any system call loses nothing that was promised, invents nothing and doubles nothing") {
        auto const kills_wanted = from_environment("MEMFS_CACHE_TEST_ROUNDS", is_sanitized ? 40 : 200);
        auto const seed = from_environment("MEMFS_CACHE_TEST_SEED", std::random_device{}());
        unsigned kills = 0, unflushed = 0, rounds = 0;
        for (; kills < kills_wanted; ++rounds) {
            std::mt19937 dice(static_cast<std::mt19937::result_type>(seed + rounds));
            std::vector<Plan> plans{Plan::roll(dice, false)};
            for (auto others = std::array{0, 0, 1, 3}.at(dice() % 4); others > 0; --others)
                plans.push_back(Plan::roll(dice, true));
            CAPTURE(seed);
            CAPTURE(rounds);
            Scratch_Folder const folder(quick_folder());
            auto const heard = run_round(folder.path(), plans);
            kills += heard.kills;
            unflushed += heard.kills_with_unflushed;
            auto const wrong = Inspection(folder.path()).run(heard);
            REQUIRE(wrong == "");
        }
        MESSAGE("seed " << seed << ": " << kills << " kills in " << rounds << " rounds, " << unflushed
                        << " of them while events were unflushed");
        CHECK(unflushed * 4 >= kills * 3);
    }
}
