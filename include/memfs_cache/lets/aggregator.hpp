// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/concepts.hpp>
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
/// Threads   every call from any thread; queries of one window wait for each other, so that it is loaded once.
/// Ownership refers to the storage and the log, which must outlive it.
template <StorageBackend Storage, LogEvent Event, WindowSummary<Event> Summary>
class LETS_Aggregator {
  public:
    using Answer = Window_Result<Summary>;

    /// Made before the first event is recorded: where a half-hour is many objects, the log stores now and then what an
    /// open one adds up to, and learns from here how.
    /// @param  cache_bytes  how much of saved windows is kept decoded, measured by their stored size
    LETS_Aggregator(Storage& storage, Event_Log<Storage>& log, std::size_t cache_bytes = 64 << 20)
        : storage_(storage), log_(log), cache_(cache_bytes) {
        log_.sum_up_streams([] { return std::make_unique<Own_Stream_Summary>(); });
    }

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
        return synced(answer(window));
    }

    /// query() for one of several windows that make up an answer: what was recorded is flushed before the first of them,
    /// and sync() called behind the last. It may lie in the future, where events are a little ahead of the clock.
    [[nodiscard]] auto part(Window const& window) -> Result<Answer> { return answer(window); }

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

    /// Forgets the saved window and builds it again. From the same raw events come the same bytes.
    [[nodiscard]] auto rebuild(Window const& window) -> Result<Answer> {
        {
            Guard const guard(*this, window.file());
            if (auto const erased = storage_.erase(key_of(window), Precondition::none()); !erased)
                return erased.error();
            cache_.erase(window);
        }
        {
            std::unique_lock const lock(latest_mutex_);
            latest_.erase(window.type()); // the copy may be gone or wrong as well
        }
        return query(window);
    }

    /// The newest window of a level that has events; the current one, empty, if there are none at all.
    [[nodiscard]] auto latest(Window_Type type) -> Result<Answer> {
        (void)log_.flush();
        auto const now = log_.clock()->now();
        auto const newest = log_.newest_window();
        if (!newest)
            return newest.error();
        auto const time = *newest && (*newest)->start() < now ? (*newest)->start() : now;
        return synced(answer(Window::containing(type, time)));
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
    /// storage: a window can be built again, so one sync for all windows of a question is enough.
    /// @return false if another process saved it meanwhile, or nobody knows whether it is there
    [[nodiscard]] auto save(Saved_Window_Head const& head, Summary const& summary, Precondition const& when)
        -> Result<bool> {
        Bytes bytes;
        head.append_to(bytes);
        summary.append_members(bytes);
        bytes += '}';
        return store(key_of(head.window), bytes, when);
    }
    /// The same for what else is built from events and can be built again.
    [[nodiscard]] auto store(Storage_Key const& key, Byte_View bytes, Precondition const& when) -> Result<bool> {
        auto const written = storage_.put(key, bytes, when, until_sync);
        if (!written)
            return written.error();
        if (written->state == Put_State::not_applied)
            return false;
        ++saved_windows_; // also if it only may be there: whoever finds it there needs the sync
        return written->state == Put_State::applied;
    }

    /// Windows of a type that touch [start, end) and have raw events, a mark, or are saved, also those below them; in
    /// order. Found by listing, so that a year with three active days costs three days.
    [[nodiscard]] auto active_windows(Window_Type type, Utc_Time start, Utc_Time end) const
        -> Result<std::vector<Window>> {
        std::set<Utc_Time> starts;
        auto const raw = log_.windows(start, end);
        if (!raw)
            return raw.error();
        for (auto const base : *raw)
            starts.insert(Window::containing(type, base.start()).start());
        auto const marked = log_.late_marks().marked_windows(start, end);
        if (!marked)
            return marked.error();
        for (auto const base : *marked)
            starts.insert(Window::containing(type, base.start()).start());
        for (auto level = std::optional(type); level; level = child_type(*level)) {
            auto const prefix = log_.paths().data_prefix() + "aggregations/";
            auto from = Window::containing(*level, start);
            for (;;) {
                auto const file = from.file();
                auto page = storage_.list({prefix + std::string(to_text(*level)) + "/",
                                           prefix + file.substr(0, file.size() - 5), 1}); // just before its .json
                if (!page)
                    return page.error();
                if (page->items.empty())
                    break;
                auto const saved = Window::from_file(std::string_view(page->items.front().key).substr(prefix.size()));
                if (!saved || saved->start() >= end)
                    break;
                auto const child = Window::containing(type, saved->start());
                starts.insert(child.start());
                if (child.end() >= end)
                    break;
                from = Window::containing(*level, child.end());
            }
        }
        std::vector<Window> found;
        found.reserve(starts.size());
        for (auto const begin : starts)
            found.push_back(Window::containing(type, begin));
        return found;
    }

    /// The key of a saved window.
    [[nodiscard]] auto key_of(Window const& window) const -> Storage_Key {
        return log_.paths().under("aggregations/" + window.file());
    }

  private:
    struct Saved {
        Saved(Saved_Window_Head const& head, std::shared_ptr<Summary const> summary, Version seen)
            : answer{head.window, true, true, head.computed_at, head.revision, head.late_events, std::move(summary)},
              version(std::move(seen)) {}
        Answer answer;
        Version version;
    };
    using Saved_Ptr = std::shared_ptr<Saved const>;

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
            auto const file = saved->answer.window.file();
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

    auto answer(Window const& window) -> Result<Answer> {
        Guard const guard(*this, window.file());
        auto const revision = log_.late_marks().revision(window.start(), window.end());
        if (!revision)
            return revision.error();
        auto saved = load_saved(window);
        if (!saved)
            return saved.error();
        if (*saved && (*saved)->answer.revision >= *revision) {
            forget_open(window); // somebody else may have built it
            return (*saved)->answer;
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
        return build(window);
    }

    /// Builds and saves a closed window. Marks are counted before anything is listed, so that a mark which comes
    /// during the work leaves the result behind it, and never unnoticed.
    auto build(Window const& window) -> Result<Answer> {
        constexpr int most_tries = 60;
        for (int tries = 0; tries < most_tries; ++tries) {
            auto const late = log_.late_marks().state(window.start(), window.end());
            if (!late)
                return late.error();
            auto const saved = load_saved(window);
            if (!saved)
                return saved.error();
            if (*saved && (*saved)->answer.revision >= late->revision)
                return (*saved)->answer;

            Summary summary;
            Saved_Window_Head head{log_.paths().namespace_name(),
                                   window,
                                   late->revision,
                                   std::max(window.end() + log_.settings().grace, late->newest_at),
                                   late->late_events,
                                   {}};
            auto const found = child_type(window.type()) ? sum_children(window, head, summary) : sum_raw(head, summary);
            if (!found)
                return found.error();
            if (!*found) {
                auto const again = load_saved(window);
                if (!again)
                    return again.error();
                if (*again)
                    continue;
                return Answer{window,           false, true, head.computed_at, head.revision, head.late_events,
                              shared(Summary())};
            }
            auto const when = *saved ? Precondition::only_if((*saved)->version) : Precondition::absent();
            auto const written = save(head, summary, when);
            if (!written)
                return written.error();
            forget_open(window);
            // Read back what stands there: it is what every other process will answer, and what the cache may hold.
            if (*written) {
                auto const stored = load_saved(window);
                if (!stored)
                    return stored.error();
                if (*stored)
                    return (*stored)->answer;
            }
        }
        return fail(Errc::conflict, "window " + window.key() + " is being rebuilt by others; try again");
    }

    /// @return whether any event was found
    auto sum_raw(Saved_Window_Head& head, Summary& summary) -> Result<bool> {
        Read_State state;
        auto const base = Base_Window::containing(head.window.start());
        (void)log_.compose(base); // where that fails it is read as it is
        auto const any = fold(base, state, summary);
        if (!any)
            return any.error();
        // What is saved must not outlast the events that it counts.
        if (auto const safe = log_.sync(); !safe)
            return safe.error();
        head.computed_at = std::max(head.computed_at, state.newest_at);
        head.sources = "\"covers\":" + state.covers_json();
        return *any;
    }

    auto sum_children(Window const& window, Saved_Window_Head& head, Summary& summary) -> Result<bool> {
        auto const children = active_children(window);
        if (!children)
            return children.error();
        bool found = false;
        head.sources = "\"children\":{";
        for (auto const& child : *children) {
            auto const part = answer(child);
            if (!part)
                return part.error();
            if (!part->final)
                return fail(Errc::internal, "window " + child.key() + " is open inside a closed one");
            if (!part->recorded)
                continue;
            if (found)
                head.sources += ',';
            head.sources.append("\"").append(child.key()).append("\":").append(std::to_string(part->revision));
            head.computed_at = std::max(head.computed_at, part->computed_at);
            summary.merge(*part->summary);
            found = true;
        }
        head.sources += '}';
        return found;
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
    auto live(Window const& window) -> Result<Answer> {
        Answer open{window, false, false, log_.clock()->now(), 0, 0, nullptr};
        auto const late = log_.late_marks().state(window.start(), window.end());
        if (!late)
            return late.error();
        open.revision = late->revision;
        open.late_events = late->late_events;
        if (!child_type(window.type()))
            return live_half_hour(std::move(open));
        auto const children = active_children(window);
        if (!children)
            return children.error();
        Summary summary;
        for (auto const& child : *children) {
            auto const part = answer(child);
            if (!part)
                return part.error();
            summary.merge(*part->summary);
            open.recorded = open.recorded || part->recorded;
        }
        open.summary = shared(std::move(summary));
        return open;
    }

    auto live_half_hour(Answer open) -> Result<Answer> {
        auto const base = Base_Window::containing(open.window.start());
        auto const half_hour = open_half_hour(base);
        Summary summary;
        {
            std::unique_lock const lock(half_hour->mutex);
            auto const begun = begin_with_partials(base, *half_hour);
            auto const any = begun ? fold(base, half_hour->state, half_hour->summary) : begun.error();
            if (!any) {
                // What was read half is worthless; the next question begins anew.
                forget_open(open.window);
                return any.error();
            }
            half_hour->any = half_hour->any || *any;
            open.recorded = half_hour->any;
            summary = half_hour->summary;
            Event event;
            auto const own = log_.read_unlanded(base, half_hour->state, [&](Raw_Event const& raw) -> Result<void> {
                if (auto const read = extract(raw, event); !read)
                    return read.error();
                transform(event, summary);
                open.recorded = true;
                return {};
            });
            if (!own)
                return own.error();
        }
        open.summary = shared(std::move(summary));
        return open;
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
        if (std::exchange(half_hour.begun, true))
            return {};
        auto const partials = log_.partials(base);
        if (!partials)
            return partials.error();
        for (auto const& partial : *partials) {
            auto const summary = Summary::from_object(partial.state);
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

    auto active_children(Window const& window) -> Result<std::vector<Window>> {
        return active_windows(*child_type(window.type()), window.start(), window.end());
    }

    /// The saved window; null if there is none.
    auto load_saved(Window const& window) -> Result<Saved_Ptr> {
        auto const key = key_of(window);
        if (auto const cached = cache_.find(window)) {
            // No bytes, only the version: somebody may have deleted the file or saved a newer revision.
            auto const present = storage_.get(key, Byte_Range{0, 0});
            if (!present)
                return present.error();
            if (*present && (*present)->version == cached->version)
                return cached;
            cache_.erase(window);
        }
        auto object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return Saved_Ptr();
        auto const parsed = parse_object((*object)->bytes, key.str());
        if (!parsed) {
            // Not even JSON: what a loss of power left of a file that was not synced yet. It is built again.
            auto const erased = storage_.erase(key, Precondition::only_if((*object)->version));
            if (!erased)
                return erased.error();
            return Saved_Ptr();
        }
        auto const head = read_saved_head(*parsed, window);
        if (!head)
            return head.error();
        auto summary = Summary::from_object(*parsed);
        if (!summary)
            return fail(summary.error().code, key.str() + ": " + summary.error().context);
        // Here and not after saving: a process that died in between is made up for by whoever reads the window next.
        if (auto const moved = move_latest(*head, (*object)->bytes); !moved)
            return moved.error();
        auto const saved = std::make_shared<Saved const>(*head, shared(*std::move(summary)), (*object)->version);
        constexpr std::size_t least_decoded_bytes = 4096; // the tables of a summary, however few names are in them
        cache_.insert(saved, (*object)->bytes.size() + least_decoded_bytes);
        return saved;
    }

    /// latest/current-{level}.json: a copy for those who read files, moved forward only.
    auto move_latest(Saved_Window_Head const& head, Bytes const& bytes) -> Result<void> {
        std::unique_lock const lock(latest_mutex_);
        Window_Position const here{head.window.start(), head.revision};
        auto& known = latest_[head.window.type()];
        if (known >= here) // most questions are about the past
            return {};
        auto const key = log_.paths().under("latest/current-" + std::string(to_text(head.window.type())) + ".json");
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

    static auto shared(Summary summary) -> std::shared_ptr<Summary const> {
        return std::make_shared<Summary const>(std::move(summary));
    }

    static constexpr Put_Options until_sync{.durability = Durability::buffered};

    Storage& storage_;
    Event_Log<Storage>& log_;
    std::atomic<std::uint64_t> saved_windows_{0}; ///< how many were saved,
    std::mutex sync_mutex_;
    std::uint64_t synced_windows_ = 0; ///< and how many of them are on the disk for certain
    Cache cache_;
    std::mutex turns_mutex_;
    std::condition_variable turns_changed_;
    std::set<std::string> turns_;
    std::mutex latest_mutex_;
    std::map<Window_Type, Window_Position> latest_; ///< what is known to stand there, or to have been passed
    std::mutex open_mutex_;
    std::map<Base_Window, std::shared_ptr<Open_Half_Hour>> open_;
};

} // namespace memfs_cache
