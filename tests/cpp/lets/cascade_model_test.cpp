// SPDX-License-Identifier: Apache-2.0
// The cascade under every disorder that the protocol of docs/format.md, "Windows", is made for: several processes on
// one storage, each with a clock of its own, whose storage operations are interleaved at random; events that come late;
// writes without an answer that land at once, later or never; processes that die anywhere; streams that are sealed, and
// what they lay in removed, meanwhile. Half of the runs are on a storage where nothing grows. All of it follows from a seed: MEMFS_CACHE_TEST_SEED is the first one, MEMFS_CACHE_TEST_ROUNDS how many.
//
// What must hold is looked at with every answer and with every object that changes. That it is looked at is shown by
// taking away one rule of the protocol at a time, in a storage that does not keep it: then runs go wrong.
#include "support/delayed_storage.hpp"
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/test_event.hpp"
#include "support/turns.hpp"
#include "support/wrapped_storage.hpp"
#include "support/zstd_text.hpp"
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

using Delayed = Delayed_Storage<Storage_Memory>;

/// One rule of the protocol that is not kept, for all objects whose keys have `part` in them.
struct Missing_Rule {
    enum class Kind {
        none,
        condition, ///< puts are done whatever the precondition says
        object,    ///< puts are answered and not done
        listing,   ///< nobody finds them
        // Of a storage where nothing grows:
        sealed_alone,  ///< where a piece is sealed, nobody finds any other of its stream
        all_objects,   ///< every piece is read as a stream of its own, whatever it overlaps
        no_patience,   ///< what was sealed is removed at once
        gone_is_empty, ///< the same, and a piece that is gone reads as an empty one
        partial_final, ///< what a writer has summed up is saved as the window
    } kind = Kind::none;
    std::string_view part;
    std::string_view name;
    bool is_rare = false; ///< it takes thousands of runs to see it

    [[nodiscard]] auto is_of_parts() const noexcept -> bool { return kind >= Kind::sealed_alone; }
    [[nodiscard]] auto removes_at_once() const noexcept -> bool {
        return kind == Kind::no_patience || kind == Kind::gone_is_empty;
    }
};

/// The lines of a piece's events, found without any of the library's readers.
auto event_lines(std::string const& key, std::string const& bytes) -> std::string {
    if (!key.ends_with(".zst"))
        return bytes.substr(bytes.find('\n') + 1);
    auto const text = testing::zstd_text(bytes);
    auto const index = text.rfind('\n', text.size() - 2) + 1;
    return text.substr(text.find('\n') + 1, index - text.find('\n') - 1);
}

/// A storage with a rule missing.
class Careless_Storage {
  public:
    Careless_Storage(Delayed& inner, Missing_Rule const& missing) : inner_(inner), missing_(missing) {}

    auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        if (auto const found = aliases_.find(key.str()); found != aliases_.end())
            return lines_as(key, found->second);
        auto object = inner_.get(key, range);
        if (object && !*object && misses(Missing_Rule::Kind::gone_is_empty, key.str()))
            return std::optional(Object());
        return object;
    }
    auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        if (misses(Missing_Rule::Kind::object, key.str()))
            return Put_Outcome{Put_State::applied, {"never"}};
        if (misses(Missing_Rule::Kind::partial_final, key.str()))
            (void)save_partial(key.str(), bytes);
        return inner_.put(key, bytes, misses(Missing_Rule::Kind::condition, key.str()) ? Precondition::none() : when,
                          options);
    }
    auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        return inner_.append(key, at, bytes, durability);
    }
    auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> { return inner_.erase(key, when); }
    auto list(List_Query const& query) const -> Result<Page> {
        if (misses(Missing_Rule::Kind::listing, query.prefix))
            return Page();
        bool const hides = misses(Missing_Rule::Kind::sealed_alone, query.prefix);
        bool const renames = misses(Missing_Rule::Kind::all_objects, query.prefix);
        if (hides || renames)
            return page_of(query, hides ? sealed_alone(query.prefix) : each_alone(query.prefix));
        auto short_page = query; // so that much happens between two of them
        if (query.prefix.find("/raw/") != std::string::npos)
            short_page.limit = std::min<std::size_t>(query.limit, 3);
        return inner_.list(short_page);
    }
    auto sync() -> Result<void> { return inner_.sync(); }
    auto capabilities() const -> Capabilities { return inner_.capabilities(); }
    auto counters() const -> Operation_Counts { return inner_.counters(); }

  private:
    [[nodiscard]] auto misses(Missing_Rule::Kind kind, std::string_view key) const -> bool {
        return missing_.kind == kind && key.find(missing_.part) != std::string_view::npos;
    }
    [[nodiscard]] auto all(std::string const& prefix) const -> std::map<std::string, List_Item> {
        std::map<std::string, List_Item> items;
        for (auto& item : inner_.list({prefix, {}, 100'000}).value().items)
            items[item.key] = item;
        return items;
    }
    static auto name_of(std::string const& key) -> std::optional<Segment_Name> {
        return Segment_Name::parse(key.substr(key.rfind('/') + 1));
    }
    static auto page_of(List_Query const& query, std::map<std::string, List_Item> const& items) -> Page {
        Page page;
        for (auto at = items.upper_bound(query.start_after); at != items.end(); ++at) {
            if (page.items.size() == query.limit) {
                page.next = page.items.back().key;
                break;
            }
            page.items.push_back(at->second);
        }
        return page;
    }

    [[nodiscard]] auto sealed_alone(std::string const& prefix) const -> std::map<std::string, List_Item> {
        auto items = all(prefix);
        std::map<std::string, Segment_Name> sealed; // by folder, half-hour and writer
        auto const stream_of = [](std::string const& key, Segment_Name const& name) {
            return key.substr(0, key.rfind('/')) + Base_Window::containing(name.first_time).key() + name.writer;
        };
        for (auto const& [key, item] : items) {
            auto const name = name_of(key);
            if (!name || !name->sealed)
                continue;
            auto& longest = sealed.try_emplace(stream_of(key, *name), *name).first->second;
            if (name->end() > longest.end())
                longest = *name;
        }
        std::erase_if(items, [&](auto const& entry) {
            auto const name = name_of(entry.first);
            auto const found = name ? sealed.find(stream_of(entry.first, *name)) : sealed.end();
            return found != sealed.end() && found->second.text() != name->text();
        });
        return items;
    }

    [[nodiscard]] auto each_alone(std::string const& prefix) const -> std::map<std::string, List_Item> {
        std::map<std::string, List_Item> items;
        for (auto& [key, item] : all(prefix)) {
            auto name = name_of(key).value();
            name.writer = to_hex(siphash24(Sip_Key{}, key));
            name.base = 0;
            name.sealed = false;
            auto const alias = key.substr(0, key.rfind('/') + 1) + name.text();
            aliases_[alias] = key;
            item.key = alias;
            items[alias] = item;
        }
        return items;
    }
    /// The events of a piece at the positions of another name.
    [[nodiscard]] auto lines_as(Storage_Key const& key, std::string const& of) const -> Result<std::optional<Object>> {
        auto piece = inner_.get(Storage_Key(of));
        if (!piece || !*piece)
            return piece;
        auto const name = name_of(key.str()).value();
        auto const window = Base_Window::containing(name.first_time);
        auto text = segment_header(name, window, {window.start(), {}});
        auto const lines = event_lines(of, (*piece)->bytes);
        std::uint64_t position = 0;
        for (std::size_t begin = 0; begin < lines.size(); ++position) {
            auto const end = lines.find('\n', begin);
            auto line = lines.substr(begin, end - begin - Line_Seal::tail_bytes) + "}";
            Line_Seal(name.writer, window).close_line(line, 0, position);
            text += line;
            begin = end + 1;
        }
        (*piece)->bytes = text;
        return piece;
    }

    /// cache/model/data/partial/2026/02/13/14-00/{writer}.json as cache/model/data/aggregations/30min/2026/02/13/14-00.json
    auto save_partial(std::string const& key, Byte_View text) -> Result<Put_Outcome> {
        auto const partial = parse_partial(text).value();
        auto const at = key.find("partial/");
        auto const file = "30min/" + key.substr(at + 8, 16) + ".json";
        auto bytes = Bytes();
        Saved_Window_Head{"model", Window::from_file(file).value(), 0, earliest_time, 0, R"("covers":{})"}.append_to(
            bytes);
        Test_Summary::from_object(parse_object(partial.state, "partial").value()).value().append_members(bytes);
        return inner_.put(Storage_Key(key.substr(0, at) + "aggregations/" + file), bytes + "}", Precondition::none());
    }

    Delayed& inner_;
    Missing_Rule const& missing_;
    mutable std::map<std::string, std::string> aliases_; ///< what is read under which other name
};

using Store = Wrapped_Storage<Careless_Storage>;
using Log = Event_Log<Store>;
using Aggregator = LETS_Aggregator<Store, Test_Event, Test_Summary>;
using Events = std::set<std::size_t>; ///< by number; an event's name is its number

/// What the cascade promised and did not keep.
struct Broken_Promise : std::runtime_error {
    using std::runtime_error::runtime_error;
};
void promise(bool kept, std::string const& sentence) {
    if (!kept)
        throw Broken_Promise(sentence);
}

auto is_below(std::string const& key, std::string_view part) -> bool { return key.find(part) != std::string::npos; }

constexpr Missing_Rule no_rule_missing;

/// The seed's choices.
class Dice {
  public:
    explicit Dice(std::uint64_t seed) : generator(seed) {}
    auto below(std::uint64_t end) -> std::uint64_t { return generator() % end; }
    auto per_mille(std::uint64_t chance) -> bool { return below(1000) < chance; }
    template <class T>
    auto one_of(std::initializer_list<T> choices) -> T {
        return choices.begin()[below(choices.size())];
    }
    std::mt19937_64 generator;
};

/// What is known of an event from outside.
struct Known_Event {
    Utc_Time time;
    bool accepted = true; ///< false: refused, it must never be seen
    bool flushed = false; ///< every answer from now on must hold it
};

/// What all processes of a run share, and what must hold of what they answer.
class World {
  public:
    explicit World(std::uint64_t seed, Missing_Rule const& missing_rule)
        : dice(seed), missing(missing_rule), in_parts(seed % 2 == 0 || missing_rule.is_of_parts()),
          turns([this](std::size_t count) { return dice.below(count); }),
          // Before the edge of a year, of a month, and of an ISO week.
          start(at(dice.one_of({"2025-12-31T20:00", "2026-02-28T19:00", "2026-03-01T21:00"}))), now(start) {}

    static auto at(char const* half_hour) -> Utc_Time {
        return Window::parse(Window_Type::half_hour, half_hour).value().start();
    }

    auto new_event(Utc_Time time) -> std::size_t {
        events.push_back({time});
        return events.size() - 1;
    }
    /// Flushed events of a window.
    auto flushed_in(Window const& window) const -> Events {
        Events found;
        for (std::size_t i = 0; i < events.size(); ++i)
            if (events[i].flushed && contains(window, events[i].time))
                found.insert(i);
        return found;
    }
    static auto contains(Window const& window, Utc_Time time) -> bool {
        return time >= window.start() && time < window.end();
    }

    /// Sees every change of an object: what may only move forward does, and what is saved is what was promised.
    void on_change(std::string const& key, std::optional<Byte_View> bytes) {
        bool const latest = is_below(key, "/latest/");
        if (is_below(key, "/raw/")) {
            tally.removed += !bytes;
            tally.sealed += bytes && key.ends_with(".zst");
        }
        tally.partials += bytes && is_below(key, "/partial/");
        if (is_below(key, "/state/ledger.json")) {
            auto const until = bytes ? parse_ledger(*bytes).value() : earliest_time;
            note(until >= closed_until, "the ledger went back");
            closed_until = until;
        }
        if (!latest && !is_below(key, "/aggregations/"))
            return;
        if (!bytes) {
            newest_put.erase(key);
            return;
        }
        auto const object = parse_object(*bytes, key).value();
        Member_Reader reader(object);
        auto const position =
            std::pair(latest ? reader.signed_number("window_start") : 0, reader.unsigned_number("revision"));
        auto& newest = newest_put[key];
        note(position >= newest, key + " went back");
        newest = std::max(newest, position);
        check_saved(object, key);
    }

    /// Not thrown: writes arrive also while a process is being destroyed.
    void note(bool kept, std::string const& sentence) {
        if (!kept && problem.empty())
            problem = sentence;
    }

    /// A window that is put: final, closed before, and full of events that landed in it, each once.
    void check_saved(boost::json::object const& object, std::string const& key) {
        Member_Reader reader(object);
        auto const type = parse_window_type(reader.text("window_type")).value();
        auto const window = Window::parse(type, reader.text("window_key")).value();
        note(reader.flag("final"), key + " is saved and not final");
        note(closed_until >= window.end(), key + " is saved and was never closed");
        auto const summary = Test_Summary::from_object(object).value();
        auto const landed = landed_events();
        for (auto const& [name, times] : summary.names.top(SIZE_MAX)) {
            auto const number = std::stoul(std::string(name));
            note(times == 1, key + " is saved with an event twice");
            note(landed.contains(number), key + " is saved with an event that never landed");
            note(number < events.size() && contains(window, events[number].time),
                 key + " is saved with an event of another window");
        }
    }

    /// Events whose whole line lies in the store, found without any of the library's readers.
    auto landed_events() const -> Events {
        Events found;
        for (auto const& path : files_list(memory, "cache/model/data/raw/").value()) {
            auto const text = event_lines(path, read(memory, path).value().value());
            for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
                auto const name = text.substr(at, end - at).find(R"("name":")");
                if (name != std::string::npos)
                    found.insert(std::stoul(text.substr(at + name + 8)));
            }
        }
        return found;
    }

    struct Answered {
        bool final = false;
        std::uint64_t revision = 0;
    };
    Dice dice;
    Missing_Rule const& missing;
    bool const in_parts; ///< nothing can grow: each landing is an object
    Turns turns;
    Storage_Memory memory;
    Utc_Time const start;
    Utc_Time now;
    std::vector<Known_Event> events;
    std::map<std::string, Answered> answered; ///< by file of the window: the most that was ever answered
    std::map<std::string, std::pair<std::int64_t, std::uint64_t>> newest_put;
    Utc_Time closed_until = earliest_time;
    std::string problem;
    struct Tally {
        int finals = 0, open = 0, revised = 0, deaths = 0, sealed = 0, removed = 0, partials = 0;
    } tally; ///< what came about: a test of nothing would be green, too
};

/// One process from its start to its end or death: a log and an aggregator with a clock that is wrong by `skew`.
class Process {
  public:
    enum class Weather { fair, foul };

    Process(World& world, std::chrono::minutes skew, Weather weather)
        : world_(world), skew_(skew), delayed_(world.memory),
          careless_(delayed_, weather == Weather::foul ? world.missing : no_rule_missing), store_(careless_),
          careful_(delayed_, no_rule_missing), sealing_store_(careful_),
          clock_(std::make_shared<Manual_Clock>(world.now + skew)) {
        delayed_.applied = [this](Storage_Key const& key, std::optional<Byte_View> bytes) {
            world_.on_change(key.str(), bytes);
        };
        auto options = testing::quiet_log(); // everything is done by the actor, nothing in the background
        options.new_writer_id = [this] { return to_hex(world_.dice.generator()); };
        options.seals = limits_;
        store_.promised.append = !world.in_parts;
        if (weather == Weather::foul) {
            delayed_.fate = [this] { return fate(); };
            store_.hook = sealing_store_.hook = [this](Store::Operation operation, std::string const& key) {
                return before(operation, key);
            };
            mode_ = world.dice.one_of({Mode::straight_through, Mode::buffered, Mode::durable});
            store_.promised.survives_process = mode_ != Mode::straight_through;
            if (mode_ == Mode::durable)
                options.mode = Recording_Mode::durable;
        }
        auto opened = Log::open(store_, Log_Paths("cache", Namespace_Name("model")), clock_, options);
        if (opened) {
            log_ = *std::move(opened);
            aggregator_ = std::make_unique<Aggregator>(store_, *log_);
        } else {
            died_ = true;
        }
    }
    ~Process() { end(); }
    Process(Process const&) = delete;
    auto operator=(Process const&) -> Process& = delete;

    [[nodiscard]] auto died() const noexcept -> bool { return died_; }
    [[nodiscard]] auto aggregator() -> Aggregator& { return *aggregator_; }
    [[nodiscard]] auto log() -> Log& { return *log_; }

    void record() {
        auto& dice = world_.dice;
        auto const age =
            dice.per_mille(150) ? std::chrono::minutes(dice.below(300)) : std::chrono::minutes(dice.below(4));
        auto const number = world_.new_event(std::max(world_.start, clock_->now() - age));
        Test_Event const event{world_.events[number].time, std::to_string(number)};
        auto const recorded = log_->record(event.timestamp, [&](std::string& out) { event.append_json(out); });
        // In durable mode an event whose fate is unknown stays in the buffer and is tried again.
        if (recorded || recorded.error().code == Errc::indeterminate)
            unflushed_.insert(number);
        else
            world_.events[number].accepted = false;
    }

    void flush() {
        auto const before = unflushed_;
        if (log_->flush())
            know_flushed(before);
    }

    void ask() {
        check([&](Window const& window) { return aggregator_->query(window); });
    }
    void rebuild() {
        check([&](Window const& window) { return aggregator_->rebuild(window); });
    }
    void adopt() { (void)tolerate(log_->adopt_dead_writers()); }
    /// Seals and removes what may be in a half-hour.
    void tidy(Base_Window window) {
        if (tolerate(sealer_.seal(window)) && !died_)
            (void)tolerate(sealer_.remove_sealed(window));
    }
    void tidy() {
        auto const windows = log_->windows(earliest_time, latest_time);
        if (tolerate(windows) && !died_ && !windows->empty())
            tidy((*windows)[world_.dice.below(windows->size())]);
    }

    /// Ends in an orderly way, as far as the storage lets it.
    void close() {
        auto const before = unflushed_;
        if (log_->close())
            know_flushed(before);
        died_ = true;
    }

  private:
    enum class Mode { straight_through, buffered, durable };

    void know_flushed(Events const& events) {
        for (auto const number : events) {
            world_.events[number].flushed = true;
            unflushed_.erase(number);
        }
    }

    /// Only one kind of failure is expected here: a write whose outcome stayed unknown. The dead may fail as they like.
    template <class T>
    auto tolerate(Result<T> const& result) -> bool {
        if (!result && !died_)
            promise(result.error().code == Errc::indeterminate, result.error().message());
        return result.has_value();
    }

    template <class Ask>
    void check(Ask&& ask) {
        auto const type = all_window_types[world_.dice.below(all_window_types.size())];
        auto const window = Window::containing(
            type, std::max(world_.start, clock_->now() - world_.dice.one_of({0min, 30min, 60min, 120min, 300min})));
        if (window.start() > clock_->now())
            return; // this clock has not reached the start of the run
        auto wanted = world_.flushed_in(window);
        auto const own = unflushed_;
        auto const floor = world_.answered[window.file()];
        auto const answer = ask(window);
        if (!tolerate(answer) || died_)
            return;
        auto const where = window.file() + (answer->final ? " (final): " : " (open): ");
        if (!answer->final && type == Window_Type::half_hour)
            for (auto const number : own)
                if (World::contains(window, world_.events[number].time))
                    wanted.insert(number);
        auto const got = events_of(*answer->summary, where);
        for (auto const number : got)
            promise(number < world_.events.size() && world_.events[number].accepted &&
                        World::contains(window, world_.events[number].time),
                    where + "has an event that was not recorded in it");
        for (auto const number : wanted)
            promise(got.contains(number), where + "misses a flushed event");
        promise(answer->final || !floor.final, where + "was final before");
        promise(answer->revision >= floor.revision, where + "had a higher revision before");
        promise(answer->late_events <= got.size(), where + "counts more late events than events");
        auto& known = world_.answered[window.file()];
        known = {known.final || answer->final, std::max(known.revision, answer->revision)};
        ++(answer->final ? world_.tally.finals : world_.tally.open);
        world_.tally.revised += answer->revision > 0;
    }

  public:
    static auto events_of(Test_Summary const& summary, std::string const& where) -> Events {
        Events found;
        auto const names = summary.names.top(summary.names.distinct());
        for (auto const& [name, times] : names) {
            promise(times == 1, where + "has an event twice");
            found.insert(std::stoul(std::string(name)));
        }
        promise(summary.total == found.size(), where + "has a wrong total");
        return found;
    }

  private:
    /// One write in seven has an unknown outcome.
    auto fate() -> Delayed::Fate {
        auto& dice = world_.dice;
        if (!dice.per_mille(150))
            return Delayed::Fate::answered;
        return dice.one_of({Delayed::Fate::answer_lost, Delayed::Fate::answer_lost, Delayed::Fate::late,
                            Delayed::Fate::late, Delayed::Fate::lost});
    }

    /// Before each storage operation the world goes on: time passes, writes arrive, others run, another thread of this
    /// process records, and now and then that was it.
    auto before(Store::Operation operation, std::string const& key) -> Store::Verdict {
        using Kind = Store::Verdict::Kind;
        auto& dice = world_.dice;
        if (died_)
            return {Kind::fail};
        if (dice.per_mille(20))
            world_.now += std::chrono::minutes(1 + dice.below(25));
        if (dice.per_mille(400))
            world_.turns.pause();
        clock_->set(std::max(clock_->now(), world_.now + skew_));
        if (delayed_.on_the_way() > 0 && dice.per_mille(100))
            delayed_.land(dice.below(delayed_.on_the_way()));
        if (mode_ == Mode::buffered && log_ && dice.per_mille(30))
            record();
        if (operation == Store::Operation::get && is_below(key, "/raw/") && dice.per_mille(30) &&
            !std::exchange(tidies_, true)) {
            tidy(Raw_Reader(store_, paths_)
                     .window_of(key)
                     .value()); // and another one seals and removes what is being read
            tidies_ = false;
        }
        bool const writes = operation == Store::Operation::put || operation == Store::Operation::append;
        if (writes && is_below(key, "/writers/"))
            manifests_.insert(key);
        if (dice.per_mille(2)) {
            died_ = true;
            ++world_.tally.deaths;
            return {writes && dice.per_mille(500) ? Kind::unknown_after : Kind::fail};
        }
        return {};
    }

    /// What a death leaves behind. What was on the way has arrived, or never will, before anybody can know of it.
    void end() {
        died_ = true;
        aggregator_.reset();
        log_.reset();
        while (delayed_.on_the_way() > 0)
            if (world_.dice.per_mille(500))
                delayed_.land(world_.dice.below(delayed_.on_the_way()));
            else
                delayed_.drop_all();
        for (auto const& path : manifests_) {
            // All processes of the model are one to the system. The dead one shall be known by its start time.
            auto const text = read(world_.memory, path).value();
            if (!text)
                continue;
            auto manifest = Writer_Manifest::from_json(*text).value();
            ++manifest.process.started;
            write(world_.memory, path, manifest.to_json()).value();
        }
    }

    World& world_;
    std::chrono::minutes const skew_;
    Delayed delayed_;
    Careless_Storage careless_;
    Store store_;
    Careless_Storage careful_; ///< for those who seal: a rule that readers miss is not theirs
    Store sealing_store_;
    std::shared_ptr<Manual_Clock> clock_;
    Log_Paths const paths_{"cache", Namespace_Name("model")};
    /// Clocks are wrong by more than an hour here, and a listing may take as long.
    Seal_Limits const limits_{5, 3, 300, 500, world_.missing.removes_at_once() ? 0h : 24h};
    Sealer<Store> sealer_{sealing_store_, paths_, *clock_, limits_};
    Mode mode_ = Mode::straight_through;
    bool died_ = false;
    bool tidies_ = false;
    std::set<std::string> manifests_;
    Events unflushed_;
    std::unique_ptr<Log> log_;
    std::unique_ptr<Aggregator> aggregator_;
};

/// A machine on which one process runs after the other, until so many steps are done.
void run_machine(World& world, bool writes, std::chrono::minutes skew, int steps) {
    while (steps > 0) {
        Process process(world, skew, Process::Weather::foul);
        while (steps-- > 0 && !process.died()) {
            auto const what = world.dice.below(100);
            if (writes && what < 40)
                process.record();
            else if (writes && what < 65)
                process.flush();
            else if (what < 90)
                process.ask();
            else if (what < 94)
                process.tidy();
            else if (what < 96)
                process.rebuild();
            else if (what < 99)
                process.adopt();
            else
                process.close();
        }
        if (!process.died() && world.dice.per_mille(500))
            process.close();
    }
}

auto saved_windows(World const& world) -> std::map<std::string, std::string> {
    std::map<std::string, std::string> found;
    for (auto const& path : files_list(world.memory, "cache/model/data/aggregations/").value())
        found[path] = read(world.memory, path).value().value();
    return found;
}

/// When all is over: every level holds exactly what landed, and can be made again to the byte.
void check_at_rest(World& world) {
    world.now += std::chrono::hours(24 * 800);
    auto const landed = world.landed_events();
    for (std::size_t i = 0; i < world.events.size(); ++i)
        promise(!world.events[i].flushed || landed.contains(i), "a flushed event is not on the storage");

    std::map<std::string, Events> expected;
    for (auto const number : landed)
        for (auto const type : all_window_types)
            expected[Window::containing(type, world.events[number].time).file()].insert(number);
    auto const ask_all = [&](Process& process) {
        std::vector<std::string> files;
        for (auto const& entry : expected)
            files.push_back(entry.first);
        std::shuffle(files.begin(), files.end(), world.dice.generator);
        for (auto const& file : files) {
            auto const answer = process.aggregator().query(*Window::from_file(file)).value();
            auto const where = file + " at rest ";
            promise(answer.final, where + "is not final");
            promise(Process::events_of(*answer.summary, where) == expected[file], where + "is not what landed");
            promise(answer.late_events <= expected[file].size(), where + "counts more late events than events");
        }
    };
    Process first(world, 0min, Process::Weather::fair);
    first.log().adopt_dead_writers().value();
    promise(files_list(world.memory, "cache/model/data/writers/").value().empty(), "a dead writer was not adopted");
    ask_all(first);
    auto const before = saved_windows(world);
    for (auto const& entry : before)
        remove(world.memory, entry.first).value();
    Process second(world, 0min, Process::Weather::fair);
    for (auto const base : second.log().windows(earliest_time, latest_time).value()) { // a day after they were sealed
        Manual_Clock const later(world.now + 48h);
        Log_Paths const paths("cache", Namespace_Name("model"));
        promise(Sealer<Storage_Memory>(world.memory, paths, later).remove_sealed(base).value(),
                "what was sealed cannot be removed");
    }
    ask_all(second);
    promise(saved_windows(world) == before, "windows that were deleted came back with other bytes");
}

/// One run; what was wrong, or nothing.
auto problem_of(std::uint64_t seed, Missing_Rule const& missing, World::Tally& total) -> std::string {
    World world(seed, missing);
    try {
        auto& dice = world.dice;
        for (auto writers = 1 + dice.below(4); writers > 0; --writers)
            world.turns.add([&world, skew = dice.one_of({0min, 0min, -90min, 35min}),
                             steps = 20 + static_cast<int>(dice.below(60))] { run_machine(world, true, skew, steps); });
        for (auto readers = 1 + dice.below(3); readers > 0; --readers)
            world.turns.add(
                [&world, skew = dice.one_of({0min, 0min, -45min, 45min}),
                 steps = 20 + static_cast<int>(dice.below(40))] { run_machine(world, false, skew, steps); });
        world.turns.run();
        check_at_rest(world);
        promise(world.problem.empty(), world.problem);
    } catch (std::exception const& broken) {
        return broken.what();
    }
    total.finals += world.tally.finals;
    total.open += world.tally.open;
    total.revised += world.tally.revised;
    total.deaths += world.tally.deaths;
    total.sealed += world.tally.sealed;
    total.removed += world.tally.removed;
    total.partials += world.tally.partials;
    return {};
}

#ifdef __SANITIZE_THREAD__
constexpr std::uint64_t usual_rounds = 30; // one actor runs at a time, so there is no race to find
#else
constexpr std::uint64_t usual_rounds = 200;
#endif

auto number_from_environment(char const* name, std::uint64_t otherwise) -> std::uint64_t {
    auto const* const text = std::getenv(name);
    return text == nullptr ? otherwise : std::stoull(text);
}

} // namespace

TEST_SUITE("lets/cascade model") {
    TEST_CASE("whatever happens in between, no event is missed, doubled or forgotten at any level") {
        auto const first = number_from_environment("MEMFS_CACHE_TEST_SEED", 1);
        auto const rounds = number_from_environment("MEMFS_CACHE_TEST_ROUNDS", usual_rounds);
        World::Tally total;
        for (auto seed = first; seed < first + rounds; ++seed) {
            auto const problem = problem_of(seed, no_rule_missing, total);
            CHECK_MESSAGE(problem.empty(), "seed " << seed << ": " << problem);
        }
        CHECK(std::min({total.finals, total.open, total.revised, total.deaths}) > 0);
        CHECK(std::min({total.sealed, total.removed, total.partials}) > 0);
    }

    TEST_CASE("without a rule of the protocol runs go wrong") {
        using enum Missing_Rule::Kind;
        constexpr std::array rules{
            Missing_Rule{object, "/state/ledger.json", "what is closed is remembered"},
            Missing_Rule{condition, "/state/ledger.json", "the ledger is moved over the version that was read"},
            Missing_Rule{condition, "/aggregations/", "windows are saved over the version that was read"},
            Missing_Rule{condition, "/latest/", "latest/ is moved over the version that was read"},
            Missing_Rule{condition, "/writers/", "manifests are changed over the version that was read", true},
            Missing_Rule{object, "/writers/", "half-hours are registered before events land"},
            Missing_Rule{object, "/late/", "what lands behind the closing leaves a mark"},
            Missing_Rule{listing, "/late/", "marks are counted"},
            Missing_Rule{sealed_alone, "/raw/", "a sealed segment stands for nothing but the positions that it holds"},
            Missing_Rule{all_objects, "/raw/", "each position is taken once, in however many pieces it lies"},
            Missing_Rule{no_patience, "/raw/", "what was sealed stays for those who have listed it", true},
            Missing_Rule{gone_is_empty, "/raw/", "who misses a piece that was listed lists anew"},
            Missing_Rule{partial_final, "/partial/", "what is saved is built from parts only"},
        };
        auto const first = number_from_environment("MEMFS_CACHE_TEST_SEED", 1);
        auto const rounds = number_from_environment("MEMFS_CACHE_TEST_ROUNDS", 0);
        for (auto const& rule : rules) {
            if (rule.is_rare && rounds < 3000)
                continue;
            World::Tally ignored;
            std::uint64_t wrong = 0;
            for (auto seed = first; seed < first + (rounds > 0 ? rounds : usual_rounds); ++seed) {
                if (!problem_of(seed, rule, ignored).empty())
                    ++wrong;
                if (wrong > 0 && rounds == 0)
                    break; // all counted only when asked for
            }
            CHECK_MESSAGE(wrong > 0, "no run went wrong without the rule: " << rule.name);
            if (rounds > 0)
                MESSAGE(wrong << " of " << rounds << " went wrong without the rule: " << rule.name);
        }
    }
}
