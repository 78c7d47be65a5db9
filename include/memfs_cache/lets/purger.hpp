// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/process_mark.hpp>
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/saved_question.hpp>
#include <memfs_cache/lets/saved_window.hpp>
#include <memfs_cache/lets/window.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// A second view of a log, which has windows of its own.
struct Log_View {
    Log_Paths windows;                                         ///< where they lie
    std::function<Result<bool>(Raw_Event const&)> counts;      ///< is an event anything to it?
    std::function<Result<Window_Status>(Window const&)> build; ///< builds a window that is not saved yet
};

struct Purge_Options {
    Retention_Policy policy = {};
    bool dry_run = false; ///< changes nothing and reports what would be deleted
    std::string by = {};  ///< who asks, for the record of it; at most 200 bytes
    /// Whose windows are built as well before the raw events go that they count. A view that is not named here answers
    /// afterwards with an error where it had not saved them itself.
    std::vector<Log_View> views = {};
};

/// Something that is old enough and stays, and why.
struct Kept_From_Purge {
    std::string what; ///< the key of a half-hour or of an object
    std::string why;
};

/// What a purge has deleted, or would delete.
struct Purge_Report {
    std::vector<std::string> objects; ///< their keys, in the order in which they go
    std::uint64_t bytes = 0;          ///< of them
    std::uint64_t half_hours = 0;     ///< of which raw events went
    std::uint64_t events = 0;         ///< in them
    std::uint64_t windows = 0;        ///< saved ones
    std::uint64_t questions = 0;      ///< saved answers to filtered questions
    std::vector<std::string> salts;   ///< keys of those that were destroyed; tombstones stay in their place
    std::vector<Kept_From_Purge> kept;

    [[nodiscard]] auto is_empty() const noexcept -> bool { return objects.empty() && salts.empty(); }
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// The record of a purge that lies in the store.
[[nodiscard]] auto
purge_record(Purge_Options const& options, Purge_Report const& report, Utc_Time begun, std::optional<Utc_Time> finished)
    -> std::string;

/// Deletes what the policy lets go of one namespace: raw events of old half-hours, once every saved window that they are
/// counted in is final and current; and, if that is asked for, old saved windows whose raw events are gone.
///
/// Nothing is deleted that a hold touches, that was received less than a day ago, that a writer may still be writing to,
/// or that no saved window counts. What is being deleted is written down before the first object goes; so a purge may be
/// killed anywhere and run again, and whoever asks meanwhile gets the right number or an error, never a smaller one.
///
/// Threads  any number at once, in any number of processes, beside writers and readers
/// Of a second view of a log only saved windows go: the raw events are the log's.
///
/// @tparam Aggregator  the LETS_Aggregator of the namespace
template <StorageBackend Storage, class Aggregator>
class Purger {
  public:
    Purger(Event_Log<Storage>& log, Aggregator& aggregator, Purge_Options options)
        : storage_(log.storage()), log_(log), aggregator_(aggregator), options_(std::move(options)),
          reader_(storage_, log.paths()) {}

    /// @param  salts  (Purge_Report&, may_go) -> Result<void>: destroys, unless it is a dry run, what else belongs to raw
    ///                events of a range [start, end) for which `may_go(start, end)` gives true, a Result<bool>
    /// @errors invalid_argument for a policy that means nothing; what the storage says. What was deleted by then stands
    ///         in the record of the purge, and the next one goes on.
    template <class Salts>
    [[nodiscard]] auto run(Salts&& salts) -> Result<Purge_Report> {
        if (auto const sound = options_.policy.validate(); !sound)
            return sound.error();
        if (options_.by.size() > 200)
            return fail(Errc::invalid_argument, "by: at most 200 bytes");
        now_ = log_.clock()->now();
        (void)log_.flush();
        auto const holds = Holds<Storage>(storage_, aggregator_.paths()).list();
        if (!holds)
            return holds.error();
        holds_ = *holds;
        if (auto const read = read_receipts(); !read)
            return read.error();
        auto const done = [&]() -> Result<void> {
            // Listed before anything is built: what this run saves it does not delete.
            auto const windows = old_windows();
            if (!windows)
                return windows.error();
            auto const questions = old_questions();
            if (!questions)
                return questions.error();
            if (auto const raw = purge_raw(); !raw)
                return raw;
            for (auto const& [window, item] : *windows)
                if (auto const gone = purge_saved(window, item); !gone)
                    return gone;
            for (auto const& question : *questions)
                if (auto const gone = purge_question(question); !gone)
                    return gone;
            return salts(report_, [this](Utc_Time start, Utc_Time end) { return may_go(start, end); });
        }();
        if (record_)
            if (auto const written = write_record(log_.clock()->now()); !written && done)
                return written.error();
        if (!done)
            return done.error();
        return std::move(report_);
    }

  private:
    /// One object of raw events.
    struct Raw_Object {
        std::string key;
        std::uint64_t bytes;
        bool grows;
        Version version;
    };
    struct Due_Window {
        Base_Window window;
        bool is_rest = false; ///< some of it was purged before
        std::string covers;   ///< of what is there now; the saved window has to cover the same
        std::uint64_t revision = 0;
        Purged_Window purged;
        std::uint64_t events = 0;
        std::vector<Raw_Object> objects;

        [[nodiscard]] auto is_nothing_to(Log_View const& view) const -> bool {
            return purged.nothing_for.contains(view.windows.namespace_name());
        }
    };

    // Raw events

    auto purge_raw() -> Result<void> {
        if (options_.policy.raw_days == 0 || !aggregator_.owns_log())
            return {};
        auto const age = std::chrono::hours(24) * options_.policy.raw_days;
        auto const windows = reader_.windows(earliest_time, now_ - age);
        if (!windows)
            return windows.error();
        std::vector<Due_Window> due;
        for (auto const window : *windows) {
            if (window.end() + age > now_)
                continue;
            auto found = examine(window);
            if (!found)
                return found.error();
            if (!*found)
                continue;
            if (!options_.dry_run) {
                auto const built = build(**found);
                if (!built)
                    return built.error();
                if (!*built)
                    continue;
            }
            due.push_back(**std::move(found));
        }
        if (!options_.dry_run)
            if (auto const built = build_ancestors(due); !built)
                return built;
        for (auto const& one : due)
            if (auto const gone = purge(one); !gone)
                return gone;
        return {};
    }

    /// Looks whether a half-hour may be purged.
    /// @return nothing if it may not; then the report says why
    auto examine(Base_Window window) -> Result<std::optional<Due_Window>> {
        auto const keep = [&](std::string why) {
            report_.kept.push_back({window.key(), std::move(why)});
            return std::optional<Due_Window>();
        };
        for (auto const& hold : holds_)
            if (hold.touches(window.start(), window.end()))
                return keep("held by '" + hold.name + "': " + hold.reason);
        for (auto const& receipt : receipts_)
            if (receipt.from < window.end() && window.start() < receipt.until && now_ < receipt.at + fresh_for)
                return keep("brought in less than a day ago");
        auto const writer = writer_of(window);
        if (!writer)
            return writer.error();
        if (*writer)
            return keep("writer " + **writer + " may still be writing to it");

        Due_Window due{window, false, {}, 0, {now_}, 0, {}};
        auto const before = log_.purge_marks().find(window);
        if (!before)
            return before.error();
        Read_State state;
        for (auto const& view : options_.views)
            if (!*before || (*before)->nothing_for.contains(view.windows.namespace_name()))
                due.purged.nothing_for.insert(view.windows.namespace_name());
        if (*before) { // begun by a purge that was killed, or something came late
            auto covered = covers_of(window);
            if (!covered)
                return covered.error();
            if (!*covered)
                return keep("some of it was purged before, and its saved window is gone");
            state = **std::move(covered);
            due.is_rest = true;
        }
        auto const read = reader_.read(window, state, [&](Raw_Event const& raw) -> Result<void> {
            for (auto const& view : options_.views)
                if (due.is_nothing_to(view)) {
                    auto const counts = view.counts(raw);
                    if (!counts)
                        return counts.error();
                    if (*counts)
                        due.purged.nothing_for.erase(view.windows.namespace_name());
                }
            return {};
        });
        if (!read) {
            if (read.error().code != Errc::corrupt_data)
                return read.error();
            return keep(read.error().context);
        }
        auto const late = log_.late_marks().state(window.start(), window.end());
        if (!late)
            return late.error();
        due.revision = late->revision;
        if (now_ < std::max({state.newest_at, late->newest_at, window.end() + log_.settings().grace}) + fresh_for)
            return keep("received less than a day ago");
        auto const listed = list(window, state, *before ? &(*before)->files : nullptr, due);
        if (!listed)
            return listed.error();
        if (!listed->empty())
            return keep("no saved window can count " + *listed + ", as events before it are missing");
        due.covers = state.covers_json();
        return due.objects.empty() ? std::optional<Due_Window>() : std::optional(std::move(due));
    }

    /// Everything that lies in a half-hour and has been read.
    /// @param  known_files  of a half-hour of which something was purged: those that went into its saved window
    /// @return the first key that was not; "" if all were
    auto
    list(Base_Window window, Read_State const& state, std::set<std::string> const* known_files, Due_Window& due) const
        -> Result<std::string> {
        auto const folder = log_.paths().raw_folder(window);
        std::map<std::string, std::uint64_t> first; // of each stream: the position from which on it is there
        List_Query query{folder, {}, 1000};
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto& item : page->items) {
                if (reader_.window_of(item.key) != window)
                    continue;
                auto const file = item.key.substr(folder.size());
                if (auto const piece = Segment_Name::parse(file)) {
                    auto const position = state.position(piece->writer);
                    if (piece->base > position || piece->end() > position)
                        return item.key;
                    auto& begin = first.try_emplace(piece->writer, position).first->second;
                    begin = std::min(begin, piece->base);
                    due.objects.push_back({item.key, item.size_bytes, !piece->count, item.version});
                } else if (known_files == nullptr ? state.files.contains(file) : known_files->contains(file)) {
                    due.purged.files.insert(file);
                    due.objects.push_back({item.key, item.size_bytes, false, item.version});
                } else if (known_files == nullptr) {
                    return item.key;
                }
            }
            query.start_after = page->next;
        } while (!query.start_after.empty());
        due.events = due.purged.files.size();
        for (auto const& [writer, begin] : first) {
            due.purged.positions[writer] = state.position(writer);
            due.events += state.position(writer) - begin;
        }
        return std::string();
    }

    /// The writer whose manifest names a half-hour, if there is one.
    auto writer_of(Base_Window window) const -> Result<std::optional<std::string>> {
        auto const keys = files_list(storage_, log_.paths().writers_prefix());
        if (!keys)
            return keys.error();
        for (auto const& key : *keys) {
            auto const object = storage_.get(Storage_Key(key));
            if (!object)
                return object.error();
            if (!*object)
                continue;
            auto const manifest = Writer_Manifest::from_json((*object)->bytes);
            if (!manifest)
                return fail(manifest.error().code, key + ": " + manifest.error().context);
            if (manifest->open.contains(window))
                return log_.paths().writer_of_manifest(key);
        }
        return std::optional<std::string>();
    }

    auto read_receipts() -> Result<void> {
        auto const object = storage_.get(log_.paths().received());
        if (!object)
            return object.error();
        if (!*object)
            return {};
        auto receipts = parse_receipts((*object)->bytes);
        if (!receipts)
            return fail(receipts.error().code, log_.paths().received().str() + ": " + receipts.error().context);
        receipts_ = *std::move(receipts);
        return {};
    }

    /// What the saved window of a half-hour covers; nothing if there is none.
    auto covers_of(Base_Window window) const -> Result<std::optional<Read_State>> {
        return covers_of(window, log_.paths());
    }
    auto covers_of(Base_Window window, Log_Paths const& windows) const -> Result<std::optional<Read_State>> {
        auto const key = windows.saved_half_hour(window);
        auto const object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return std::optional<Read_State>();
        auto const saved = parse_object((*object)->bytes, key.str());
        if (!saved)
            return saved.error();
        Member_Reader reader(*saved);
        auto state = Read_State::of_purged(reader.object("covers"));
        if (!state)
            return fail(state.error().code, key.str() + ": " + state.error().context);
        return std::optional(*std::move(state));
    }

    /// @return whether the saved windows that count what is to be deleted do so, and are current
    auto build(Due_Window& due) -> Result<bool> {
        auto const window = Window::containing(Window_Type::half_hour, due.window.start());
        auto const answer = aggregator_.query(window);
        if (!answer)
            return answer.error();
        auto is_built = counts_all(*answer, log_.paths(), due);
        for (auto const& view : options_.views)
            if (is_built && *is_built && !due.is_nothing_to(view)) {
                auto const built = view.build(window);
                if (!built && built.error().code == Errc::not_found) { // it has lost what went before
                    report_.kept.push_back({due.window.key(), built.error().context});
                    return false;
                }
                if (!built)
                    return built.error();
                is_built = counts_all(*built, view.windows, due);
            }
        if (is_built && !*is_built)
            report_.kept.push_back({due.window.key(), "it is changing; the next purge finds it again"});
        return is_built;
    }
    auto counts_all(Window_Status const& status, Log_Paths const& windows, Due_Window const& due) const
        -> Result<bool> {
        auto const covered = covers_of(due.window, windows);
        if (!covered)
            return covered.error();
        if (!status.final || status.revision < due.revision || !*covered)
            return false;
        if ((*covered)->covers_json() == due.covers)
            return true;
        // What went before may have been nothing to a view, and is not in its windows then.
        auto const& positions = due.purged.positions;
        return due.is_rest && windows.namespace_name() != log_.paths().namespace_name() &&
               std::all_of(positions.begin(), positions.end(),
                           [&](auto const& one) { return (*covered)->position(one.first) >= one.second; });
    }

    /// All windows that contain what is to be deleted, as far as they are over: later ones are built from those below.
    /// What lies in one that cannot be built stays.
    auto build_ancestors(std::vector<Due_Window>& due) -> Result<void> {
        for (auto const type : all_window_types) {
            std::map<Utc_Time, std::optional<Error>> asked;
            std::vector<Due_Window> left;
            for (auto& one : due) {
                auto const window = Window::containing(type, one.window.start());
                auto const [known, is_new] = asked.try_emplace(window.start());
                if (is_new && window.end() + log_.settings().grace <= now_)
                    if (auto const answer = aggregator_.query(window); !answer)
                        known->second = answer.error();
                auto const& problem = known->second;
                if (!problem)
                    left.push_back(std::move(one));
                else if (problem->code == Errc::corrupt_data || problem->code == Errc::not_found)
                    report_.kept.push_back({one.window.key(), window.key() + " cannot be built: " + problem->context});
                else
                    return *problem;
            }
            due = std::move(left);
        }
        return {};
    }

    auto purge(Due_Window const& due) -> Result<void> {
        if (!options_.dry_run) {
            // Looked at again after everything was built: a writer that has come back registers before it lands.
            auto const writer = writer_of(due.window);
            if (!writer)
                return writer.error();
            auto const revision = log_.late_marks().revision(due.window.start(), due.window.end());
            if (!revision)
                return revision.error();
            if (*writer || *revision != due.revision) {
                report_.kept.push_back({due.window.key(), "it is changing; the next purge finds it again"});
                return {};
            }
            if (auto const begun = begin_record(); !begun)
                return begun;
            if (auto const marked = log_.purge_marks().add(due.window, due.purged); !marked)
                return marked;
        }
        for (auto const& object : due.objects) {
            if (!options_.dry_run) {
                auto const when = object.grows ? Precondition::only_if(object.version) : Precondition::none();
                auto const erased = storage_.erase(Storage_Key(object.key), when);
                if (!erased)
                    return erased.error();
                if (object.grows && !*erased) {
                    report_.kept.push_back({object.key, "its writer has added to it; the next purge finds it again"});
                    continue;
                }
            }
            report_.objects.push_back(object.key);
            report_.bytes += object.bytes;
        }
        gone_.insert(due.window);
        ++report_.half_hours;
        report_.events += due.events;
        return {};
    }

    // Saved windows

    /// Saved windows that are old enough, lower levels first.
    auto old_windows() const -> Result<std::vector<std::pair<Window, List_Item>>> {
        std::vector<std::pair<Window, List_Item>> found;
        if (options_.policy.windows_days == 0)
            return found;
        auto const age = std::chrono::hours(24) * options_.policy.windows_days;
        auto const folder = aggregator_.paths().data_prefix() + "aggregations/";
        for (auto const type : all_window_types) {
            List_Query query{folder + std::string(to_text(type)) + "/", {}, 1000};
            do {
                auto page = storage_.list(query);
                if (!page)
                    return page.error();
                for (auto& item : page->items) {
                    auto const window = window_of(std::string_view(item.key).substr(folder.size()));
                    if (window && window->end() + age <= now_)
                        found.emplace_back(*window, std::move(item));
                }
                query.start_after = page->next;
            } while (!query.start_after.empty());
        }
        return found;
    }

    /// Also of the state that lies beside a saved window.
    static auto window_of(std::string_view file) -> std::optional<Window> {
        if (auto window = Window::from_file(file))
            return window;
        auto const dot = file.find('.');
        return Window::from_file(std::string(file.substr(0, dot)).append(".json"));
    }

    auto purge_saved(Window const& window, List_Item const& item) -> Result<void> {
        for (auto const& hold : holds_)
            if (hold.touches(window.start(), window.end())) {
                report_.kept.push_back({item.key, "held by '" + hold.name + "': " + hold.reason});
                return {};
            }
        auto const raw_is_gone = is_gone(window.start(), window.end());
        if (!raw_is_gone)
            return raw_is_gone.error();
        if (!*raw_is_gone) {
            report_.kept.push_back({item.key, "raw events of it are left, from which it would come back"});
            return {};
        }
        if (!options_.dry_run) {
            if (auto const built = build_parents_of(window); !built)
                return built;
            if (auto const begun = begin_record(); !begun)
                return begun;
            // So that nobody takes the half-hour for one that never had an event.
            if (window.type() == Window_Type::half_hour)
                if (auto const marked = log_.purge_marks().add(Base_Window::containing(window.start()), {now_});
                    !marked)
                    return marked;
            auto const erased = storage_.erase(Storage_Key(item.key), Precondition::only_if(item.version));
            if (!erased)
                return erased.error();
            if (!*erased) {
                report_.kept.push_back({item.key, "it was built again meanwhile; the next purge finds it again"});
                return {};
            }
        }
        report_.objects.push_back(item.key);
        report_.bytes += item.size_bytes;
        ++report_.windows;
        return {};
    }

    auto build_parents_of(Window const& window) -> Result<void> {
        for (auto const type : all_window_types) {
            auto const parent = Window::containing(type, window.start());
            if (parent.end() - parent.start() <= window.end() - window.start() ||
                parent.end() + log_.settings().grace > now_ || !built_.emplace(type, parent.start()).second)
                continue;
            if (auto const answer = aggregator_.query(parent); !answer)
                return answer.error();
        }
        return {};
    }

    // Saved answers

    auto old_questions() const -> Result<std::vector<List_Item>> {
        std::vector<List_Item> found;
        if (options_.policy.windows_days == 0)
            return found;
        auto const age = std::chrono::hours(24) * options_.policy.windows_days;
        List_Query query{aggregator_.paths().data_prefix() + "queries/", {}, 1000};
        std::string staying; // the last one that stays: its state is listed behind it, and stays with it
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto& item : page->items) {
                if (auto const answer = answer_of_state(item.key)) {
                    if (*answer != staying)
                        found.push_back(std::move(item));
                    continue;
                }
                auto const head = storage_.get(Storage_Key(item.key), Byte_Range{0, longest_answer_window});
                if (!head)
                    return head.error();
                auto const end = *head ? end_of_saved_answer((*head)->bytes) : std::nullopt;
                bool const is_held = end && std::any_of(holds_.begin(), holds_.end(), [&](Hold const& hold) {
                                         return hold.touches(earliest_time, *end); // where it begins it does not say
                                     });
                if (end && *end + age <= now_ && !is_held)
                    found.push_back(std::move(item));
                else
                    staying = std::move(item.key);
            }
            query.start_after = page->next;
        } while (!query.start_after.empty());
        return found;
    }

    auto purge_question(List_Item const& item) -> Result<void> {
        if (!options_.dry_run) {
            if (auto const begun = begin_record(); !begun)
                return begun;
            if (auto const erased = storage_.erase(Storage_Key(item.key), Precondition::none()); !erased)
                return erased.error();
        }
        report_.objects.push_back(item.key);
        report_.bytes += item.size_bytes;
        report_.questions += answer_of_state(item.key) ? 0U : 1U;
        return {};
    }

    /// May what belongs to the raw events of a range be destroyed?
    auto may_go(Utc_Time start, Utc_Time end) -> Result<bool> {
        auto const days = options_.policy.raw_days;
        bool const is_due = days > 0 && end + std::chrono::hours(24) * days <= now_;
        if (!is_due ||
            std::any_of(holds_.begin(), holds_.end(), [&](Hold const& hold) { return hold.touches(start, end); }))
            return false;
        auto const gone = is_gone(start, end);
        if (gone && *gone && !options_.dry_run)
            if (auto const begun = begin_record(); !begun)
                return begun.error();
        return gone;
    }

    /// Are no raw events left in a range, but for those that go in this run?
    auto is_gone(Utc_Time start, Utc_Time end) const -> Result<bool> {
        auto const left = reader_.windows(start, end);
        if (!left)
            return left.error();
        return std::all_of(left->begin(), left->end(), [this](auto window) { return gone_.contains(window); });
    }

    // The record

    auto begin_record() -> Result<void> {
        if (record_)
            return {};
        std::string name;
        append_padded(name, static_cast<std::uint64_t>(to_millis(now_)), 13);
        record_ = aggregator_.paths().under("purges/" + name + "-" + random_hex(4) + ".json");
        return write_record(std::nullopt);
    }
    auto write_record(std::optional<Utc_Time> finished) -> Result<void> {
        auto const text = purge_record(options_, report_, now_, finished);
        auto const written = update_object(
            storage_, *record_, [&](Object const*) -> Result<std::optional<Bytes>> { return std::optional(text); });
        if (!written)
            return written.error();
        return {};
    }

    Storage& storage_;
    Event_Log<Storage>& log_;
    Aggregator& aggregator_;
    Purge_Options const options_;
    Raw_Reader<Storage> reader_;
    Utc_Time now_ = earliest_time;
    std::vector<Hold> holds_;
    std::vector<Receipt> receipts_;
    std::set<Base_Window> gone_;                       ///< in this run
    std::set<std::pair<Window_Type, Utc_Time>> built_; ///< parents that are current
    std::optional<Storage_Key> record_;
    Purge_Report report_;
};

} // namespace memfs_cache
