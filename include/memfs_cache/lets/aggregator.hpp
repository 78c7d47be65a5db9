// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/zstd.hpp>
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/read_summary.hpp>
#include <memfs_cache/lets/saved_window.hpp>

#include <list>
#include <mutex>
#include <set>
#include <unordered_map>

namespace memfs_cache {

/// Load, extract, transform, save: turns the raw events of a log into windows of every level, on demand, and keeps
/// what is final. Half-hours are built from raw events, every other level from the final windows of the level below.
///
/// A window is final when the ledger was closed up to its end before its events were listed, and it holds everything
/// that lies in the log; an open window is answered from what is there and never saved. Late events leave marks; a
/// saved window that counts fewer marks than there are is built again. The order of the steps is the protocol of
/// docs/format.md, "Windows": change it only with the simulation in tests/cpp/lets.
///
/// A large summary is saved as an answer and a state. Questions about saved windows read answers, parents are built from
/// states. A state that is missing or damaged is built again when it is needed.
///
/// Threads   every call from any thread; queries of one window wait for each other, so that it is loaded once.
/// Ownership refers to the storage and the log, which must outlive it.
template <StorageBackend Storage, LogEvent Event, WindowSummary<Event> Summary>
class LETS_Aggregator {
    /// What of a window is wanted: what is shown of it, or what its parents are made of.
    enum class Need { answer, state };

  public:
    using Shown = Shown_Of<Summary>;
    using Answer = Window_Result<Shown>;

    /// Made before the first event is recorded: where a half-hour is many objects, the log stores now and then what an
    /// open one adds up to, and learns from here how.
    /// @param  cache_bytes  how much of saved windows is kept decoded, measured by their stored size
    LETS_Aggregator(Storage& storage, Event_Log<Storage>& log, std::size_t cache_bytes = 64 << 20)
        : LETS_Aggregator(storage, log, cache_bytes, log.paths(), true) {
        log_.sum_up_streams([] { return std::make_unique<Own_Stream_Summary>(); });
    }
    /// A second view of a log: it has windows of its own in another namespace, and is no owner of the log. Made at any
    /// time.
    /// @param  windows  where they lie; not where the windows of the log's owner do
    LETS_Aggregator(Storage& storage, Event_Log<Storage>& log, Log_Paths windows, std::size_t cache_bytes = 64 << 20)
        : LETS_Aggregator(storage, log, cache_bytes, std::move(windows), false) {}

    /// The numbers of a window, complete to the moment of the call.
    /// @errors invalid_argument if it lies in the future; what the storage says; corrupt_data naming the file
    /// Cost    saved: one list and one get, of no bytes when it was read before. Open: one list, and a read of what
    ///         is new since the last question; where each landing is an object, the first question of a process about a
    ///         half-hour reads one summary and at most 31 parts for each writer.
    [[nodiscard]] auto query(Window const& window) -> Result<Answer> {
        if (window.start() > log_.clock()->now())
            return fail(Errc::invalid_argument, "window key: " + window.key() + " lies in the future");
        // What cannot be landed now is read from the buffer below, so a storage that refuses writes stops no query.
        (void)log_.flush();
        return synced(part(window));
    }

    /// query() for one of several windows that make up an answer: what was recorded is flushed before the first of them,
    /// and sync() called behind the last. It may lie in the future, where events are a little ahead of the clock.
    [[nodiscard]] auto part(Window const& window) -> Result<Answer> {
        auto const found = find(window, Need::answer);
        if (!found)
            return found.error();
        return to_answer(*found);
    }

    /// The same for what is put together from windows: merges what one of them counts into a summary.
    /// @errors as query(); the summary is then of no use
    /// Cost    of a large summary that is saved: a read of its state, unless it is still known
    [[nodiscard]] auto merge_part(Window const& window, Summary& into) -> Result<Window_Status> {
        auto const found = find(window, Need::state);
        if (!found)
            return found.error();
        if (auto const merged = merge(*found, into); !merged)
            return merged.error();
        return found->status;
    }

    /// Has what was saved on the way to an answer on the disk before it is handed out.
    /// Cost    nothing if that is so
    [[nodiscard]] auto sync() -> Result<void> {
        std::unique_lock const lock(sync_mutex_); // an answer that another thread saved may be among these
        auto const saved = saved_windows_.load();
        if (saved == synced_windows_)
            return {};
        if (auto const done = storage_.sync(); !done)
            return done.error();
        synced_windows_ = saved;
        return {};
    }

    /// Lets one thread at a time build the same thing, of a name that no window's file has: it holds as long as what is
    /// given lives. Whoever holds one may ask for windows.
    [[nodiscard]] auto turn_of(std::string name) { return Guard(*this, std::move(name)); }
    /// How many states were missing or damaged and had to be built again, since opening.
    [[nodiscard]] auto lost_states() const noexcept -> std::uint64_t { return lost_states_.load(); }

    /// Forgets the saved window and builds it again. From the same raw events come the same bytes.
    /// @errors not_found if raw events that it counts were purged; then nothing is forgotten
    [[nodiscard]] auto rebuild(Window const& window) -> Result<Answer> {
        if (auto const there = can_rebuild(window); !there)
            return there.error();
        {
            Guard const guard(*this, window.file());
            if (auto const erased = storage_.erase(key_of(window), Precondition::none()); !erased)
                return erased.error();
            if (auto const erased = erase_states(window); !erased)
                return erased.error();
            cache_.erase(window);
        }
        {
            std::unique_lock const lock(latest_mutex_);
            latest_.erase(window.type()); // the copy may be gone or wrong as well
        }
        return query(window);
    }

    /// Can a window be built again from what is there? Windows below it are built on the way.
    /// @errors not_found if raw events that it counts were purged; as query()
    [[nodiscard]] auto can_rebuild(Window const& window) -> Result<void> {
        if (child_type(window.type())) {
            auto const children = active_children(window);
            if (!children)
                return children.error();
            for (auto const& child : *children)
                if (auto const found = find(child, Need::answer); !found)
                    return found.error();
            return {};
        }
        auto const purged = log_.purged(Base_Window::containing(window.start()));
        if (!purged)
            return purged.error();
        if (*purged)
            return fail(Errc::not_found, "the raw events of " + window.key() +
                                             " were purged; it cannot be built again and stays as it is");
        return {};
    }

    /// The newest window of a level that has events; the current one, empty, if there are none at all.
    [[nodiscard]] auto latest(Window_Type type) -> Result<Answer> {
        (void)log_.flush();
        auto const now = log_.clock()->now();
        auto const newest = log_.newest_window();
        if (!newest)
            return newest.error();
        auto const time = *newest && (*newest)->start() < now ? (*newest)->start() : now;
        return synced(part(Window::containing(type, time)));
    }

    // The four steps, each to be used alone.

    /// Load: visits the raw events of a half-hour that `state` does not hold.
    [[nodiscard]] auto
    load(Base_Window window, Read_State& state, typename Event_Log<Storage>::Visit const& visit) const -> Result<void> {
        return log_.read(window, state, visit);
    }
    /// Extract: a raw event as the event type.
    [[nodiscard]] static auto extract(Raw_Event const& raw, Event& event) -> Result<void> { return event.read(raw); }
    /// Transform: an event into the summary.
    static void transform(Event const& event, Summary& summary) { summary.add(event); }
    /// Save: a final window, only over the version that was looked at. It is on the disk after the next sync of the
    /// storage: a window can be built again, so one sync for all windows of a question is enough. A state that is too
    /// large for the window's file is put first, under a name that follows from what it holds: so no reader sees the
    /// state of one revision beside the answer of another, and without the answer it is nothing.
    /// @return false if another process saved it meanwhile, or nobody knows whether it is there
    [[nodiscard]] auto save(Saved_Window_Head const& head, Summary summary, Precondition const& when) -> Result<bool> {
        if constexpr (is_large) {
            summary.settle();
            std::string answer, state;
            summary.answer().append_members(answer);
            summary.append_members(state);
            auto const texts = saved_window_texts(head, answer, state);
            return store(key_of(head.window), texts, when);
        } else {
            Bytes bytes;
            head.append_to(bytes);
            summary.append_members(bytes);
            bytes += '}';
            return store(key_of(head.window), bytes, when);
        }
    }
    /// The same for what else is built from events and can be built again.
    [[nodiscard]] auto store(Storage_Key const& key, Saved_Texts const& texts, Precondition const& when)
        -> Result<bool> {
        if (!texts.state_file.empty()) {
            Bytes packed;
            Zstd_Packer(state_level).append_frame(packed, texts.state);
            auto const written = storage_.put(beside(key, texts.state_file), packed, Precondition::none(), until_sync);
            if (!written)
                return written.error();
        }
        return store(key, texts.object, when);
    }
    [[nodiscard]] auto store(Storage_Key const& key, Byte_View bytes, Precondition const& when) -> Result<bool> {
        auto const written = storage_.put(key, bytes, when, until_sync);
        if (!written)
            return written.error();
        if (written->state == Put_State::not_applied)
            return false;
        ++saved_windows_; // also if it only may be there: whoever finds it there needs the sync
        return written->state == Put_State::applied;
    }

    /// What is shown of a summary whose saved form is in a text.
    [[nodiscard]] static auto parse_shown(std::string_view text, std::uint64_t version)
        -> Result<std::shared_ptr<Shown const>> {
        if constexpr (is_large)
            if (version > 1) {
                auto answer = Shown::from_text(text);
                if (!answer)
                    return answer.error();
                return std::make_shared<Shown const>(*std::move(answer));
            }
        auto summary = parse_summary(text);
        if (!summary)
            return summary.error();
        return shown(std::make_shared<Summary const>(*std::move(summary)));
    }

    /// A state that lies beside its answer; null if it is missing or damaged.
    [[nodiscard]] auto state_beside(Storage_Key const& answer, std::string_view file)
        -> Result<std::shared_ptr<Bytes const>> {
        std::shared_ptr<Bytes const> const none;
        auto const object = storage_.get(beside(answer, file));
        if (!object)
            return object.error();
        if (!*object)
            return none;
        auto const text = std::make_shared<Bytes>();
        std::unique_lock const lock(unpacker_mutex_);
        return unpacker_.unpack((*object)->bytes, most_state_bytes, *text) ? text : none;
    }
    /// Removes a state that its answer does not name any more. Where that fails it lies there for nothing, until the
    /// answer is rebuilt or purged.
    void erase_state(Storage_Key const& answer, std::string_view file) {
        if (!file.empty())
            (void)storage_.erase(beside(answer, file), Precondition::none());
    }

    /// Windows of a type that touch [start, end) and have raw events, had some that were purged, a mark, or are saved,
    /// also those below them; in order. Found by listing, so that a year with three active days costs three days.
    /// Cost    one listing for all that are saved of that type, and of each level below one for each that is not
    [[nodiscard]] auto active_windows(Window_Type type, Utc_Time start, Utc_Time end) const
        -> Result<std::vector<Window>> {
        std::set<Utc_Time> starts;
        auto const add = [&](Utc_Time time) { starts.insert(Window::containing(type, time).start()); };
        // What is known to be active need not be looked for below.
        auto const behind_known = [&](Utc_Time time) {
            for (auto known = starts.find(Window::containing(type, time).start());
                 known != starts.end() && time < end && *known <= time; ++known)
                time = Window::containing(type, *known).end();
            return time;
        };
        auto const marked = log_.late_marks().marked_windows(start, end);
        if (!marked)
            return marked.error();
        for (auto const base : *marked)
            add(base.start());
        auto const purged = log_.purged_windows(start, end, type >= Window_Type::daily);
        if (!purged)
            return purged.error();
        for (auto const base : *purged)
            add(base.start());
        auto const saved = visit_saved(type, start, end, [&](Window const& window) {
            add(window.start());
            return window.end();
        });
        if (!saved)
            return saved.error();
        for (auto level = child_type(type); level; level = child_type(*level)) {
            auto const below = visit_saved(*level, behind_known(start), end, [&](Window const& window) {
                add(window.start());
                return behind_known(Window::containing(type, window.start()).end());
            });
            if (!below)
                return below.error();
        }
        if (auto const from = behind_known(start); from < end) {
            auto const raw = log_.windows(from, end, [&](Base_Window found) {
                add(found.start());
                return behind_known(Window::containing(type, found.start()).end());
            });
            if (!raw)
                return raw.error();
            for (auto const base : *raw)
                add(base.start());
        }
        std::vector<Window> found;
        found.reserve(starts.size());
        for (auto const begin : starts)
            found.push_back(Window::containing(type, begin));
        return found;
    }

    /// Where its windows lie.
    [[nodiscard]] auto paths() const noexcept -> Log_Paths const& { return paths_; }
    /// Is it no second view of the log?
    [[nodiscard]] auto owns_log() const noexcept -> bool { return owns_log_; }
    /// The key of a saved window.
    [[nodiscard]] auto key_of(Window const& window) const -> Storage_Key {
        return paths_.under("aggregations/" + window.file());
    }

  private:
    LETS_Aggregator(
        Storage& storage, Event_Log<Storage>& log, std::size_t cache_bytes, Log_Paths windows, bool owns_log)
        : storage_(storage), log_(log), paths_(std::move(windows)), owns_log_(owns_log), cache_(cache_bytes) {}

    /// Visits saved windows of a level that touch [from, end), in order. Many that follow each other are listed at once;
    /// where the visit says to go on further ahead, what lies between is not listed.
    /// @param  go_on_at  (Window) -> Utc_Time, the end of it or later
    template <class Go_On_At>
    auto visit_saved(Window_Type level, Utc_Time from, Utc_Time end, Go_On_At const& go_on_at) const -> Result<void> {
        auto const prefix = paths_.data_prefix() + "aggregations/";
        auto const just_before = [&](Utc_Time time) {
            auto const file = Window::containing(level, time).file();
            return prefix + file.substr(0, file.size() - 5); // without its .json
        };
        constexpr std::size_t most_at_once = 128; // the days of two months, each with a state
        List_Query query{prefix + std::string(to_text(level)) + "/", just_before(from), 1};
        while (from < end) {
            auto const page = storage_.list(query);
            if (!page)
                return page.error();
            if (page->items.empty())
                return {};
            bool far = false;
            for (auto const& item : page->items) {
                query.start_after = item.key;
                auto const window = Window::from_file(std::string_view(item.key).substr(prefix.size()));
                if (!window || window->end() <= from)
                    continue; // a state, a stranger's file, or passed over
                if (window->start() >= end)
                    return {};
                from = go_on_at(*window);
                far = from > window->end();
            }
            if (far)
                query.start_after = std::max(query.start_after, just_before(from));
            query.limit = far ? 1 : most_at_once;
        }
        return {};
    }

    static constexpr bool is_large = LargeSummary<Summary, Event>;
    static constexpr int state_level = 3; ///< of zstd: states are written once and read with every parent

    /// A saved window as it was read. The state of a large summary is kept as text: to merge it is all that is done with
    /// it, and that is as quick from there.
    struct Saved {
        Window_Status status;
        Version version;
        std::shared_ptr<Shown const> shown;
        std::string state_file = {};                 ///< of a large summary, beside the window; "" if it stands in it
        std::shared_ptr<Bytes const> text = nullptr; ///< that holds the state, if it is known,
        std::string_view state = {};                 ///< and the state in it

        [[nodiscard]] auto has(Need need) const -> bool { return !is_large || need == Need::answer || text; }
    };
    using Saved_Ptr = std::shared_ptr<Saved const>;

    /// What is known of a window.
    struct Found {
        Window_Status status;
        Saved_Ptr saved;                     ///< if it was saved
        std::shared_ptr<Summary const> open; ///< if it was put together now; neither: nothing was recorded
    };

    /// What the log keeps of each stream that it writes.
    class Own_Stream_Summary final : public Stream_Summary {
      public:
        [[nodiscard]] auto add(Raw_Event const& raw) -> Result<void> override {
            if (auto const read = extract(raw, event_); !read)
                return read.error();
            transform(event_, summary_);
            return {};
        }
        void append_members(std::string& out) const override { summary_.append_members(out); }

      private:
        Event event_;
        Summary summary_;
    };

    /// Decoded saved windows, the least recently used of them dropped first.
    class Cache {
      public:
        explicit Cache(std::size_t most_bytes) : most_bytes_(most_bytes) {}

        auto find(Window const& window) -> Saved_Ptr {
            std::unique_lock const lock(mutex_);
            auto const found = index_.find(window.file());
            if (found == index_.end())
                return nullptr;
            order_.splice(order_.begin(), order_, found->second);
            return found->second->saved;
        }
        void insert(Saved_Ptr const& saved, std::size_t bytes) {
            std::unique_lock const lock(mutex_);
            auto const file = saved->status.window.file();
            drop(file);
            order_.push_front({file, saved, bytes});
            index_[file] = order_.begin();
            bytes_ += bytes;
            while (bytes_ > most_bytes_ && !order_.empty())
                drop(std::string(order_.back().file));
        }
        void erase(Window const& window) {
            std::unique_lock const lock(mutex_);
            drop(window.file());
        }

      private:
        struct Entry {
            std::string file;
            Saved_Ptr saved;
            std::size_t bytes;
        };
        void drop(std::string const& file) {
            auto const found = index_.find(file);
            if (found == index_.end())
                return;
            bytes_ -= found->second->bytes;
            order_.erase(found->second);
            index_.erase(found);
        }
        std::mutex mutex_;
        std::size_t const most_bytes_;
        std::size_t bytes_ = 0;
        std::list<Entry> order_;
        std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
    };

    /// Holds the turn of one window, or of a question that windows are a part of. Parents ask their children while holding their own turn, never the reverse.
    class Guard {
      public:
        Guard(LETS_Aggregator& owner, std::string file) : owner_(owner), file_(std::move(file)) {
            std::unique_lock lock(owner_.turns_mutex_);
            owner_.turns_changed_.wait(lock, [&] { return !owner_.turns_.contains(file_); });
            owner_.turns_.insert(file_);
        }
        Guard(Guard const&) = delete;
        auto operator=(Guard const&) -> Guard& = delete;
        ~Guard() {
            std::unique_lock const lock(owner_.turns_mutex_);
            owner_.turns_.erase(file_);
            owner_.turns_changed_.notify_all();
        }

      private:
        LETS_Aggregator& owner_;
        std::string file_;
    };

    auto find(Window const& window, Need need) -> Result<Found> {
        Guard const guard(*this, window.file());
        auto const revision = log_.late_marks().revision(window.start(), window.end());
        if (!revision)
            return revision.error();
        auto const saved = load_saved(window, need);
        if (!saved)
            return saved.error();
        if (*saved && (*saved)->status.revision >= *revision && (*saved)->has(need)) {
            forget_open(window); // somebody else may have built it
            return of_saved(*saved);
        }

        auto const closed = log_.ledger().closed_until();
        if (!closed)
            return closed.error();
        if (*closed < window.end()) {
            if (log_.clock()->now() < window.end() + log_.settings().grace)
                return live(window);
            // Closing is a promise to every writer, also to those that wake up later with other settings.
            if (auto const stored = log_.store_settings(); !stored)
                return stored.error();
            if (auto const moved = log_.ledger().close(window.end()); !moved)
                return moved.error();
        }
        return build(window, need);
    }

    static auto of_saved(Saved_Ptr const& saved) -> Found { return {saved->status, saved, nullptr}; }
    static auto of_open(Window_Status const& status, Summary summary) -> Found {
        return {status, nullptr, std::make_shared<Summary const>(std::move(summary))};
    }
    static auto to_answer(Found const& found) -> Answer {
        if (found.saved)
            return {found.status, found.saved->shown};
        return {found.status, shown(found.open ? found.open : std::make_shared<Summary const>())};
    }

    auto merge(Found const& found, Summary& into) -> Result<void> {
        if (found.open)
            into.merge(*found.open);
        if (!found.saved)
            return {};
        if constexpr (is_large) {
            if (auto const merged = into.merge_text(found.saved->state); !merged)
                return fail(merged.error().code,
                            key_of(found.status.window).str() + ": its state: " + merged.error().context);
        } else {
            into.merge(*found.saved->shown);
        }
        return {};
    }

    /// Builds and saves a closed window. Marks are counted before anything is listed, so that a mark which comes
    /// during the work leaves the result behind it, and never unnoticed.
    auto build(Window const& window, Need need) -> Result<Found> {
        constexpr int most_tries = 60;
        for (int tries = 0; tries < most_tries; ++tries) {
            auto const late = log_.late_marks().state(window.start(), window.end());
            if (!late)
                return late.error();
            auto const saved = load_saved(window, need);
            if (!saved)
                return saved.error();
            bool const is_current = *saved && (*saved)->status.revision >= late->revision;
            if (is_current && (*saved)->has(need))
                return of_saved(*saved);

            Summary summary;
            Saved_Window_Head head{
                paths_.namespace_name(), window,
                late->revision,          std::max(window.end() + log_.settings().grace, late->newest_at),
                late->late_events,       {}};
            auto const any = child_type(window.type()) ? sum_children(window, head, summary) : sum_raw(head, summary);
            if (!any)
                return any.error();
            if (!*any) {
                auto const again = load_saved(window, need);
                if (!again)
                    return again.error();
                if (*again && !(*again)->has(need))
                    return fail(Errc::corrupt_data, beside(key_of(window), (*again)->state_file).str() +
                                                        " is missing or damaged, and the events that it was made of "
                                                        "are gone; restore the file from a copy");
                if (*again)
                    continue;
                return Found{
                    {window, false, true, head.computed_at, head.revision, head.late_events}, nullptr, nullptr};
            }
            auto const when = *saved ? Precondition::only_if((*saved)->version) : Precondition::absent();
            auto const written = save(head, std::move(summary), when);
            if (!written)
                return written.error();
            forget_open(window);
            if (!*written)
                continue;
            if (is_current)
                ++lost_states_;
            // Read back what stands there: it is what every other process will answer, and what the cache may hold.
            auto const stored = load_saved(window, need);
            if (!stored)
                return stored.error();
            if (*stored && *saved && (*saved)->state_file != (*stored)->state_file)
                erase_state(key_of(window), (*saved)->state_file);
            if (*stored && (*stored)->has(need))
                return of_saved(*stored);
        }
        return fail(Errc::conflict, "window " + window.key() + " is being rebuilt by others; try again");
    }

    /// @return whether any event was found
    auto sum_raw(Saved_Window_Head& head, Summary& summary) -> Result<bool> {
        Read_State state;
        auto const base = Base_Window::containing(head.window.start());
        (void)log_.compose(base); // where that fails it is read as it is
        auto any = fold(base, state, summary);
        if (!any)
            return any.error();
        // Asked behind the reading: what a purge deletes it has written down before.
        auto const purged = log_.purged(base);
        if (!purged)
            return purged.error();
        if (*purged) {
            if (auto const begun = begin_with_saved(**purged, head, state, summary); !begun)
                return begun.error();
            if (auto const added = fold(base, state, summary); !added)
                return added.error();
            any = true;
        }
        // What is saved must not outlast the events that it counts.
        if (auto const safe = log_.sync(); !safe)
            return safe.error();
        head.computed_at = std::max(head.computed_at, state.newest_at);
        head.sources = "\"covers\":" + state.covers_json();
        return *any;
    }

    /// Of a half-hour whose raw events were purged only the saved window knows, unless they were nothing to this view:
    /// what came since is added to it.
    auto begin_with_saved(Purged_Window const& purged, Saved_Window_Head& head, Read_State& state, Summary& summary)
        -> Result<void> {
        auto const key = key_of(head.window);
        bool const was_nothing = purged.nothing_for.contains(paths_.namespace_name());
        auto const object = storage_.get(key);
        if (!object)
            return object.error();
        auto const lost = [&](std::string const& why) {
            return fail(Errc::not_found, "the raw events of " + head.window.key() +
                                             " were purged and its saved window " + why + "; restore " + key.str() +
                                             " from a copy");
        };
        auto const pass_over_what_went = [&]() -> Result<void> {
            for (auto const& [writer, position] : purged.positions)
                if (state.position(writer) < position) {
                    if (!was_nothing)
                        return lost("counts only some of them");
                    state.streams[writer].position = position;
                }
            return {};
        };
        if (!*object) {
            if (!was_nothing)
                return lost("is gone");
            state = Read_State();
            state.purged_files = "";
            summary = Summary();
            return pass_over_what_went();
        }
        auto const damaged = [](std::string const& file) {
            return fail(Errc::corrupt_data, file + " cannot be read, and the events that it was made of were purged; "
                                                   "restore it from a copy");
        };
        auto const view = read_saved_window((*object)->bytes, head.window, saved_form<Summary, Event>);
        if (!view)
            return view.error();
        if (!*view)
            return damaged(key.str());
        std::shared_ptr<Bytes const> beside_it;
        if (auto const file = (*view)->state_file; !file.empty()) {
            auto const found = state_beside(key, file);
            if (!found)
                return found.error();
            if (!*found)
                return damaged(beside(key, file).str());
            beside_it = *found;
        }
        auto const text = beside_it                ? std::string_view(*beside_it)
                          : (*view)->state.empty() ? std::string_view((*object)->bytes)
                                                   : (*view)->state;
        // Long ones stand with the state.
        auto const sources = (*view)->head.sources.empty() ? parse_object(text, key.str())
                                                           : parse_object("{" + (*view)->head.sources + "}", key.str());
        if (!sources)
            return sources.error();
        Member_Reader reader(*sources);
        auto covered = Read_State::of_purged(reader.object("covers"));
        summary = Summary();
        if (!covered || !reader.good() || !merge_state(text, summary))
            return damaged(key.str());
        head.computed_at = std::max(head.computed_at, (*view)->head.computed_at);
        state = *std::move(covered);
        return pass_over_what_went();
    }

    auto sum_children(Window const& window, Saved_Window_Head& head, Summary& summary) -> Result<bool> {
        auto const children = active_children(window);
        if (!children)
            return children.error();
        bool any = false;
        head.sources = "\"children\":{";
        for (auto const& child : *children) {
            auto const part = find(child, Need::state);
            if (!part)
                return part.error();
            auto const& status = part->status;
            if (!status.final)
                return fail(Errc::internal, "window " + child.key() + " is open inside a closed one");
            if (!status.recorded)
                continue;
            if (any)
                head.sources += ',';
            head.sources.append("\"").append(child.key()).append("\":").append(std::to_string(status.revision));
            head.computed_at = std::max(head.computed_at, status.computed_at);
            if (auto const merged = merge(*part, summary); !merged)
                return merged.error();
            any = true;
        }
        head.sources += '}';
        return any;
    }

    /// Raw events of a half-hour that `state` does not hold, into the summary.
    auto fold(Base_Window base, Read_State& state, Summary& summary) -> Result<bool> {
        Event event;
        bool any = false;
        auto const loaded = load(base, state, [&](Raw_Event const& raw) -> Result<void> {
            if (auto const read = extract(raw, event); !read)
                return fail(read.error().code, "event in " + base.key() + ": " + read.error().context);
            transform(event, summary);
            any = true;
            return {};
        });
        if (!loaded)
            return loaded.error();
        return any;
    }

    /// An open window: finals of what is closed, everything else from what is there now.
    auto live(Window const& window) -> Result<Found> {
        auto const late = log_.late_marks().state(window.start(), window.end());
        if (!late)
            return late.error();
        Window_Status const status{window, false, false, log_.clock()->now(), late->revision, late->late_events};
        return child_type(window.type()) ? live_parent(status) : live_half_hour(status);
    }

    auto live_parent(Window_Status status) -> Result<Found> {
        auto const children = active_children(status.window);
        if (!children)
            return children.error();
        Summary summary;
        for (auto const& child : *children) {
            auto const part = find(child, Need::state);
            if (!part)
                return part.error();
            if (auto const merged = merge(*part, summary); !merged)
                return merged.error();
            status.recorded = status.recorded || part->status.recorded;
        }
        return of_open(status, std::move(summary));
    }

    auto live_half_hour(Window_Status status) -> Result<Found> {
        auto const base = Base_Window::containing(status.window.start());
        auto const half_hour = open_half_hour(base);
        Summary summary;
        {
            std::unique_lock const lock(half_hour->mutex);
            auto const begun = begin_with_partials(base, *half_hour);
            auto const any = begun ? fold(base, half_hour->state, half_hour->summary) : begun.error();
            if (!any) {
                // What was read half is worthless; the next question begins anew.
                forget_open(status.window);
                return any.error();
            }
            half_hour->any = half_hour->any || *any;
            status.recorded = half_hour->any;
            summary = half_hour->summary;
            Event event;
            auto const own = log_.read_unlanded(base, half_hour->state, [&](Raw_Event const& raw) -> Result<void> {
                if (auto const read = extract(raw, event); !read)
                    return read.error();
                transform(event, summary);
                status.recorded = true;
                return {};
            });
            if (!own)
                return own.error();
        }
        return of_open(status, std::move(summary));
    }

    /// What is known of an open half-hour, so that the next question reads only what is new.
    struct Open_Half_Hour {
        std::mutex mutex;
        Read_State state;
        Summary summary;
        bool any = false;
        bool begun = false; ///< with what others have summed up
    };

    /// The first question about an open half-hour does not read what its writers have summed up. Finals never do it.
    auto begin_with_partials(Base_Window base, Open_Half_Hour& half_hour) -> Result<void> {
        if (std::exchange(half_hour.begun, true) || !owns_log_)
            return {};
        auto const partials = log_.partials(base);
        if (!partials)
            return partials.error();
        for (auto const& partial : *partials) {
            auto const summary = parse_summary(partial.state);
            if (!summary)
                continue; // the events are there as well
            half_hour.summary.merge(*summary);
            half_hour.state.streams[partial.writer].position = partial.positions;
            half_hour.any = true;
        }
        return {};
    }

    auto open_half_hour(Base_Window base) -> std::shared_ptr<Open_Half_Hour> {
        std::unique_lock const lock(open_mutex_);
        // What was over long ago without being asked for again is not answered from here any more.
        std::erase_if(open_, [&](auto const& known) {
            return known.first != base && known.first.end() + log_.settings().grace <= log_.clock()->now();
        });
        auto& entry = open_[base];
        if (!entry)
            entry = std::make_shared<Open_Half_Hour>();
        return entry;
    }
    void forget_open(Window const& window) {
        std::unique_lock const lock(open_mutex_);
        if (!child_type(window.type()))
            open_.erase(Base_Window::containing(window.start()));
    }

    auto active_children(Window const& window) const -> Result<std::vector<Window>> {
        return active_windows(*child_type(window.type()), window.start(), window.end());
    }

    auto erase_states(Window const& window) -> Result<void> {
        if constexpr (is_large) {
            auto const names = files_list(storage_, paths_.under("aggregations/" + state_files_of(window)).str());
            if (!names)
                return names.error();
            for (auto const& name : *names)
                if (auto const erased = storage_.erase(Storage_Key(name), Precondition::none()); !erased)
                    return erased.error();
        }
        return {};
    }

    /// The saved window; null if there is none. Its state is there if it is needed, unless it is lost.
    auto load_saved(Window const& window, Need need) -> Result<Saved_Ptr> {
        auto const key = key_of(window);
        if (auto const cached = cache_.find(window)) {
            // No bytes, only the version: somebody may have deleted the file or saved a newer revision.
            auto const present = storage_.get(key, Byte_Range{0, 0});
            if (!present)
                return present.error();
            if (*present && (*present)->version == cached->version)
                return cached->has(need) ? Result<Saved_Ptr>(cached) : with_state(*cached);
            cache_.erase(window);
        }
        auto object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return Saved_Ptr();
        auto const text = std::make_shared<Bytes const>(std::move((*object)->bytes));
        auto const view = read_saved_window(*text, window, saved_form<Summary, Event>);
        if (!view)
            return view.error();
        if (!*view) {
            // Not even JSON: what a loss of power left of a file that was not synced yet. It is built again.
            auto const erased = storage_.erase(key, Precondition::only_if((*object)->version));
            if (!erased)
                return erased.error();
            return Saved_Ptr();
        }
        auto const& head = (*view)->head;
        auto what_is_shown = parse_shown(*text, head.version);
        if (!what_is_shown)
            return fail(what_is_shown.error().code, key.str() + ": " + what_is_shown.error().context);
        // Here and not after saving: a process that died in between is made up for by whoever reads the window next.
        if (auto const moved = move_latest(head, *text); !moved)
            return moved.error();
        Saved saved{head.status(), (*object)->version, *std::move(what_is_shown)};
        if constexpr (is_large) {
            saved.state_file = (*view)->state_file;
            if (saved.state_file.empty()) {
                saved.text = text;
                saved.state = (*view)->state;
            }
        }
        auto const kept = remember(std::move(saved), text->size());
        return kept->has(need) ? Result<Saved_Ptr>(kept) : with_state(*kept);
    }

    /// A saved window with the state that lies beside it, if it does.
    auto with_state(Saved saved) -> Result<Saved_Ptr> {
        auto const text = state_beside(key_of(saved.status.window), saved.state_file);
        if (!text)
            return text.error();
        if (!*text)
            return std::make_shared<Saved const>(std::move(saved));
        saved.text = *text;
        saved.state = **text;
        return remember(std::move(saved), (*text)->size());
    }

    auto remember(Saved saved, std::size_t bytes) -> Saved_Ptr {
        constexpr std::size_t least_decoded_bytes = 4096; // the tables of a summary, however few names are in them
        auto const kept = std::make_shared<Saved const>(std::move(saved));
        cache_.insert(kept, bytes + least_decoded_bytes);
        return kept;
    }

    static auto parse_summary(std::string_view text) -> Result<Summary> {
        Summary summary;
        if (auto const merged = merge_state(text, summary); !merged)
            return merged.error();
        return summary;
    }

    /// latest/current-{level}.json: a copy for those who read files, moved forward only.
    auto move_latest(Saved_Window_Head const& head, Bytes const& bytes) -> Result<void> {
        std::unique_lock const lock(latest_mutex_);
        Window_Position const here{head.window.start(), head.revision};
        auto& known = latest_[head.window.type()];
        if (known >= here) // most questions are about the past
            return {};
        auto const key = paths_.under("latest/current-" + std::string(to_text(head.window.type())) + ".json");
        constexpr int most_tries = 64;
        for (int tries = 0; tries < most_tries; ++tries) {
            auto const current = storage_.get(key, Byte_Range{0, Window_Position::longest_text});
            if (!current)
                return current.error();
            // An unreadable copy is replaced; the window itself lies where it belongs.
            auto const there = *current ? Window_Position::read((*current)->bytes, head.window.type()) : std::nullopt;
            if (there && *there >= here) {
                known = *there;
                return {};
            }
            auto const when = *current ? Precondition::only_if((*current)->version) : Precondition::absent();
            if (auto const written = storage_.put(key, bytes, when, until_sync); !written)
                return written.error();
            // Whatever became of it, the next look tells.
        }
        return fail(Errc::conflict, key.str() + " was changed by others 64 times in a row; try again");
    }

    /// Hands an answer out once what was saved on the way to it is on the disk.
    auto synced(Result<Answer> answer) -> Result<Answer> {
        if (!answer)
            return answer;
        if (auto const done = sync(); !done)
            return done.error();
        return answer;
    }

    static constexpr Put_Options until_sync{.durability = Durability::buffered};

    Storage& storage_;
    Event_Log<Storage>& log_;
    Log_Paths const paths_;                       ///< where its windows lie
    bool const owns_log_;                         ///< and so the partial summaries of it
    std::atomic<std::uint64_t> saved_windows_{0}; ///< how many were saved,
    std::mutex sync_mutex_;
    std::uint64_t synced_windows_ = 0; ///< and how many of them are on the disk for certain
    Cache cache_;
    std::mutex turns_mutex_;
    std::condition_variable turns_changed_;
    std::set<std::string> turns_;
    std::mutex latest_mutex_;
    std::map<Window_Type, Window_Position> latest_; ///< what is known to stand there, or to have been passed
    std::mutex unpacker_mutex_;
    Zstd_Unpacker unpacker_;
    std::atomic<std::uint64_t> lost_states_{0};
    std::mutex open_mutex_;
    std::map<Base_Window, std::shared_ptr<Open_Half_Hour>> open_;
};

} // namespace memfs_cache
