// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/lets/saved_question.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What chooses among the events of a log. A default-constructed one lets everything pass.
///
/// empty      does it let everything pass?
/// canonical  a JSON object that is equal for equal filters; "{}" if it is empty
/// matches    does it let an event pass? The answer about a stored event and about what was read from it is the same;
///            the first is asked so that most events need not be read.
/// Models     Analytics_Filter
template <class F, class E>
concept EventFilter = std::default_initializable<F> && requires(F const& filter, E const& event, Raw_Event const& raw) {
    { filter.empty() } -> std::same_as<bool>;
    { filter.canonical() } -> std::same_as<std::string>;
    { filter.matches(event) } -> std::same_as<bool>;
    { filter.matches(raw) } -> std::same_as<bool>;
};

/// The answer to a question about a window of a local calendar, or about some events only.
template <class Shown>
struct Local_Result {
    Local_Window window;
    bool recorded = false;                ///< some event was recorded in it, whether it was asked for or not
    bool final = false;                   ///< closed and complete
    Utc_Time computed_at;                 ///< of a final window: from when on these numbers hold; of an open one: now
    std::uint64_t revision = 0;           ///< how many late marks it includes
    std::uint64_t late_events = 0;        ///< of all events, whether they were asked for or not
    std::shared_ptr<Shown const> summary; ///< never null
};

/// Answers what the cascade has no windows for: windows of local calendars, and those of some events only. The question is
/// saved with its answer as soon as that is final, so that it costs a listing and a read when it is asked again.
///
/// There is one way to each answer, so that its bytes follow from the log. Years are put together from their months, months
/// and weeks from their days, each a question of its own. A day or less of everything is put together from the hours and
/// half-hours of the cascade that it consists of; a day or less of some events, or one that begins off the half-hour, from
/// the events themselves, in one pass. What is a window of UTC and has no filter is a question to the cascade and is saved
/// there. When an answer is final, and when it is due again, is settled as for windows: docs/format.md, "When a window is
/// final".
///
/// Threads   every call from any thread.
/// Ownership refers to the log and the aggregator, which must outlive it.
template <StorageBackend Storage, LogEvent Event, WindowSummary<Event> Summary, EventFilter<Event> Filter>
class Question_Desk {
  public:
    using Aggregator = LETS_Aggregator<Storage, Event, Summary>;
    using Shown = Shown_Of<Summary>;
    using Answer = Local_Result<Shown>;

    Question_Desk(Storage& storage, Event_Log<Storage>& log, Aggregator& aggregator)
        : storage_(storage), log_(log), aggregator_(aggregator) {}

    /// The numbers of several windows, in their order.
    /// @param  zone  whose calendar they are of
    /// @errors invalid_argument if one lies in the future; not_found if it is not saved and its events were purged; what
    ///         the storage says; corrupt_data naming the file
    /// Cost    of one that is saved: one list and one get. Of one that is not, with a filter: a read of its events
    [[nodiscard]] auto query(std::vector<Local_Window> const& windows, Time_Zone const& zone, Filter const& filter)
        -> Result<std::vector<Answer>> {
        auto const now = log_.clock()->now();
        for (auto const& window : windows)
            if (window.start() > now)
                return fail(Errc::invalid_argument, "window key: " + window.key() + " lies in the future");
        // What cannot be landed now is read from the buffer below, so a storage that refuses writes stops no query.
        (void)log_.flush();
        std::vector<Answer> answers;
        answers.reserve(windows.size());
        // The newest first: that closes all others with it, where one after the other each would be closed by a write of
        // its own.
        for (auto window = windows.rbegin(); window != windows.rend(); ++window) {
            auto answer = show({*window, zone, filter});
            if (!answer)
                return answer.error();
            answers.push_back(*std::move(answer));
        }
        if (auto const synced = aggregator_.sync(); !synced)
            return synced.error();
        std::reverse(answers.begin(), answers.end());
        return answers;
    }

  private:
    struct Question {
        Local_Window window;
        Time_Zone const& zone;
        Filter const& filter;
    };

    enum class Need { answer, state };

    /// An answer, and what merges it with others: the summary if it was put together now, else its saved state. What is
    /// not needed of a saved one is not there.
    struct Part {
        Answer answer;
        std::shared_ptr<Summary const> summary = nullptr;
        std::shared_ptr<Bytes const> text = nullptr; ///< that holds the state,
        std::string_view state = {};                 ///< and the state in it

        [[nodiscard]] auto merge_into(Summary& sum) const -> Result<void> {
            if (!summary)
                return merge_state(state, sum);
            sum.merge(*summary);
            return {};
        }
    };

    /// What stands in the place of a saved answer.
    struct Stored {
        std::optional<Part> part;
        std::optional<Version> version; ///< nothing: no object is there
        bool is_of_another = false;     ///< the answer to another question that has the same hash
        std::string state_file = {};    ///< beside it; "" if there is none
    };
    static constexpr auto form = saved_form<Summary, Event>;

    /// The window of the cascade whose numbers are the answer, if there is one.
    static auto window_of_cascade(Question const& question) -> std::optional<Window> {
        return question.filter.empty() ? question.window.in_utc() : std::nullopt;
    }

    auto show(Question const& question) -> Result<Answer> {
        auto const& window = question.window;
        if (auto const same = window_of_cascade(question)) {
            auto const found = aggregator_.part(*same);
            if (!found)
                return found.error();
            return Answer{window,          found->recorded,    found->final,  found->computed_at,
                          found->revision, found->late_events, found->summary};
        }
        auto part = answer(question, Need::answer);
        if (!part)
            return part.error();
        if (part->summary)
            part->answer.summary = shown(part->summary);
        return std::move(part->answer);
    }

    auto answer(Question const& question, Need need) -> Result<Part> {
        auto const& window = question.window;
        bool const has_local_parts = window.type() > Window_Type::daily;
        Saved_Question const place(log_.paths(), window,
                                   has_local_parts ? std::string_view(question.zone.name()) : std::string_view(),
                                   question.filter.canonical());
        auto const turn = aggregator_.turn_of(place.key().str());
        auto const [start, end] = window.half_hours();
        auto const revision = log_.late_marks().revision(start, end);
        if (!revision)
            return revision.error();
        auto stored = load(place, window, need);
        if (!stored)
            return stored.error();
        if (stored->part && stored->part->answer.revision >= *revision)
            return *std::move(stored->part);

        auto const closed = log_.ledger().closed_until();
        if (!closed)
            return closed.error();
        if (*closed < end) {
            if (log_.clock()->now() < end + log_.settings().grace)
                return live(question);
            // Closing is a promise to every writer, also to those that wake up later with other settings.
            if (auto const settings = log_.store_settings(); !settings)
                return settings.error();
            if (auto const moved = log_.ledger().close(end); !moved)
                return moved.error();
        }
        return build(question, place, need);
    }

    auto live(Question const& question) -> Result<Part> {
        auto const [start, end] = question.window.half_hours();
        auto const late = log_.late_marks().state(start, end);
        if (!late)
            return late.error();
        auto const sum = sum_up(question);
        if (!sum)
            return sum.error();
        return Part{{question.window, sum->recorded, false, log_.clock()->now(), late->revision, late->late_events, {}},
                    sum->summary};
    }

    /// Builds and saves what is closed. Marks are counted before anything is listed, so that a mark which comes during the
    /// work leaves the result behind it, and never unnoticed.
    auto build(Question const& question, Saved_Question const& place, Need need) -> Result<Part> {
        auto const [start, end] = question.window.half_hours();
        constexpr int most_tries = 60;
        for (int tries = 0; tries < most_tries; ++tries) {
            auto const late = log_.late_marks().state(start, end);
            if (!late)
                return late.error();
            auto stored = load(place, question.window, need);
            if (!stored)
                return stored.error();
            if (stored->part && stored->part->answer.revision >= late->revision)
                return *std::move(stored->part);
            auto const sum = sum_up(question);
            if (!sum)
                return sum.error();
            if (!sum->is_final)
                return fail(Errc::internal, "a part of " + question.window.key() + " is open inside a closed one");
            Saved_Answer_Head const head{late->revision,
                                         std::max({end + log_.settings().grace, late->newest_at, sum->computed_at}),
                                         late->late_events};
            if constexpr (LargeSummary<Summary, Event>)
                sum->summary->settle();
            Part const built{
                {question.window, sum->recorded, true, head.computed_at, head.revision, head.late_events, {}},
                sum->summary};
            // Nothing costs little to find out again.
            if (!sum->recorded || stored->is_of_another)
                return built;
            // What is saved must not outlast the events that it counts.
            if (auto const safe = log_.sync(); !safe)
                return safe.error();
            auto const texts = texts_of(place, head, *sum->summary);
            auto const when = stored->version ? Precondition::only_if(*stored->version) : Precondition::absent();
            auto const saved = aggregator_.store(place.key(), texts, when);
            if (!saved)
                return saved.error();
            if (!*saved)
                continue;
            if (stored->state_file != texts.state_file)
                aggregator_.erase_state(place.key(), stored->state_file);
            return built;
        }
        return fail(Errc::conflict, place.key().str() + " is being rebuilt by others; try again");
    }

    static auto texts_of(Saved_Question const& place, Saved_Answer_Head const& head, Summary const& summary)
        -> Saved_Texts {
        std::string state;
        summary.append_members(state);
        if constexpr (form == 1) {
            return {place.opening(form, head).append(state).append("}"), {}, {}};
        } else {
            std::string answer;
            summary.answer().append_members(answer);
            return place.texts(head, answer, state);
        }
    }

    auto load(Saved_Question const& place, Local_Window const& window, Need need) const -> Result<Stored> {
        auto object = storage_.get(place.key());
        if (!object)
            return object.error();
        if (!*object)
            return Stored();
        auto const text = std::make_shared<Bytes const>(std::move((*object)->bytes));
        auto const view = place.read(*text, form);
        if (!view)
            return view.error();
        Stored stored{std::nullopt, (*object)->version};
        if (!*view) // what a loss of power left of a file that was not synced yet: it is built again
            return stored;
        stored.is_of_another = (*view)->is_of_another;
        if (stored.is_of_another)
            return stored;
        stored.state_file = (*view)->state_file;
        auto const& head = (*view)->head;
        Part part{
            {window, true, true, head.computed_at, head.revision, head.late_events, {}}, nullptr, text, (*view)->state};
        if (need == Need::answer) {
            auto summary = Aggregator::parse_shown(*text, (*view)->version);
            if (!summary)
                return fail(summary.error().code, place.key().str() + ": " + summary.error().context);
            part.answer.summary = *std::move(summary);
        } else if (!stored.state_file.empty()) {
            auto const state = aggregator_.state_beside(place.key(), stored.state_file);
            if (!state)
                return state.error();
            if (!*state)
                return stored; // is built again
            part.text = *state;
            part.state = **state;
        }
        stored.part = std::move(part);
        return stored;
    }

    /// What the parts of a window add up to.
    struct Sum {
        bool recorded = false;
        bool is_final = true;
        Utc_Time computed_at = earliest_time; ///< newest of the parts
        std::shared_ptr<Summary> summary = std::make_shared<Summary>();

        /// Of a part whose numbers are merged.
        template <class Status>
        void count(Status const& part) {
            recorded = recorded || part.recorded;
            is_final = is_final && part.final;
            if (part.recorded)
                computed_at = std::max(computed_at, part.computed_at);
        }
    };

    auto sum_up(Question const& question) -> Result<Sum> {
        auto const& window = question.window;
        if (window.type() > Window_Type::daily)
            return sum_local_windows(question);
        bool const is_whole = window.half_hours() == std::pair(window.start(), window.end());
        return question.filter.empty() && is_whole ? sum_cascade(window) : sum_events(question);
    }

    auto sum_local_windows(Question const& question) -> Result<Sum> {
        auto const& window = question.window;
        auto const type = *child_type(window.type());
        auto const active = aggregator_.active_windows(type, window.start(), window.end());
        if (!active)
            return active.error();
        std::map<Utc_Time, Local_Window> parts; // two windows of UTC may touch the same local one
        for (auto const& some : *active) {
            auto const end = std::min(some.end(), window.end());
            for (auto time = std::max(some.start(), window.start()); time < end;) {
                auto const part = question.zone.containing(type, time);
                time = part.end();
                parts.emplace(part.start(), part);
            }
        }
        Sum sum;
        for (auto const& [start, part] : parts) {
            if (auto const added = add({part, question.zone, question.filter}, sum); !added)
                return added.error();
        }
        return sum;
    }

    auto add(Question const& question, Sum& sum) -> Result<void> {
        if (auto const same = window_of_cascade(question))
            return add(*same, sum);
        auto const part = answer(question, Need::state);
        if (!part)
            return part.error();
        sum.count(part->answer);
        return part->merge_into(*sum.summary);
    }
    auto add(Window const& window, Sum& sum) -> Result<void> {
        auto const status = aggregator_.merge_part(window, *sum.summary);
        if (!status)
            return status.error();
        sum.count(*status);
        return {};
    }

    auto sum_cascade(Local_Window const& window) -> Result<Sum> {
        auto const active = aggregator_.active_windows(Window_Type::hourly, window.start(), window.end());
        if (!active)
            return active.error();
        Sum sum;
        for (auto const& hour : *active) {
            bool const is_whole = hour.start() >= window.start() && hour.end() <= window.end();
            auto const half = Window::containing(Window_Type::half_hour, std::max(hour.start(), window.start()));
            if (auto const added = add(is_whole ? hour : half, sum); !added)
                return added.error();
        }
        return sum;
    }

    auto sum_events(Question const& question) -> Result<Sum> {
        auto const& window = question.window;
        auto const [start, end] = window.half_hours();
        auto const active = log_.windows(start, end);
        if (!active)
            return active.error();
        auto const known = aggregator_.active_windows(Window_Type::half_hour, start, end);
        if (!known)
            return known.error();
        for (auto const& half_hour : *known)
            if (!std::binary_search(active->begin(), active->end(), Base_Window::containing(half_hour.start())))
                return fail(Errc::not_found, "the events of " + half_hour.key() +
                                                 " were purged, and this was not asked "
                                                 "before; ask without a filter, for windows of UTC");
        bool const is_whole = std::pair(start, end) == std::pair(window.start(), window.end());
        Sum sum;
        Event event;
        auto const add = [&](Raw_Event const& raw) -> Result<void> {
            if (is_whole) {
                sum.recorded = true;
                if (!question.filter.matches(raw))
                    return {};
            }
            if (auto const read = event.read(raw); !read)
                return read.error();
            if (event.timestamp < window.start() || event.timestamp >= window.end())
                return {};
            sum.recorded = true;
            if (question.filter.matches(event))
                sum.summary->add(event);
            return {};
        };
        for (auto const base : *active) {
            Read_State state;
            if (auto const read = log_.read(base, state, add); !read)
                return read.error();
            if (auto const read = log_.read_unlanded(base, state, add); !read)
                return read.error();
            sum.computed_at = std::max(sum.computed_at, state.newest_at);
        }
        // Asked behind the reading: what a purge deletes it has written down before.
        auto const purged = log_.purged_windows(start, end, true);
        if (!purged)
            return purged.error();
        if (!purged->empty())
            return fail(Errc::not_found, "raw events of " + window.key() +
                                             " were purged: what was not asked about them before nobody can answer");
        return sum;
    }

    Storage& storage_;
    Event_Log<Storage>& log_;
    Aggregator& aggregator_;
};

} // namespace memfs_cache
