// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>
#include <memfs_cache/events/adoption.hpp>
#include <memfs_cache/events/late_marks.hpp>
#include <memfs_cache/events/ledger.hpp>
#include <memfs_cache/events/log_settings.hpp>
#include <memfs_cache/events/manifest.hpp>
#include <memfs_cache/events/own_stream.hpp>
#include <memfs_cache/events/recording_mode.hpp>
#include <memfs_cache/events/retention.hpp>
#include <memfs_cache/events/sealer.hpp>

#include <condition_variable>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace memfs_cache {

struct Event_Log_Options {
    Recording_Mode mode = Recording_Mode::buffered;
    /// buffered: the most that a crash of the process loses; 100 ms, and 1 s on a storage that machines share, where
    /// each write is paid
    std::optional<std::chrono::milliseconds> flush_interval = {};
    /// Of looking for events that came late, and of syncing; 1 s, and 10 s on a storage that machines share.
    std::optional<std::chrono::milliseconds> check_interval = {};
    /// buffered: so many are landed at once; 256 KiB, still warm in the cache, and 4 MiB where each landing is an object.
    std::optional<std::size_t> land_bytes = {};
    std::uint64_t piece_bytes = 4 << 20; ///< a stored piece that has as many grows no more
    std::size_t buffer_bytes = 64 << 20; ///< waiting for the storage; beyond it the newest are refused
    /// How long those who read on in an open half-hour may overlook an event of another process that is two minutes
    /// older than the newest one; 0, and 30 s on a storage that machines share, where each thousand names are paid.
    std::optional<std::chrono::milliseconds> whole_list_interval = {};
    std::chrono::milliseconds tidy_interval =
        std::chrono::hours(1); ///< of adopting the dead, sealing, and removing what was sealed
    Seal_Limits seals;
    Log_Settings_Wish settings;
    /// Gives an id of 16 lower-case hex digits that no other writer has.
    std::function<std::string()> new_writer_id = [] { return random_hex(8); };

    /// The same with everything set that depends on the storage.
    [[nodiscard]] auto on(Capabilities const& storage) const -> Event_Log_Options;
};

/// What happened to events since the log was opened in this process.
struct Recording_Counts {
    std::uint64_t recorded = 0;       ///< accepted by record()
    std::uint64_t landed = 0;         ///< of those, on the storage
    std::uint64_t dropped = 0;        ///< refused because the buffer was full
    std::uint64_t too_late = 0;       ///< came to half-hours of which raw events and saved window were purged
    std::uint64_t failed_flushes = 0; ///< tries to land that the storage did not take; what they held is tried again
    std::uint64_t waiting_bytes = 0;  ///< in the buffer now
    std::string last_problem;         ///< what the storage said last; "" after all has landed
};

/// The writing half of an Event_Log, in one process: buffers, background threads, and a writer id of its own. A child
/// after fork() makes a new one and leaves this one alone.
///
/// The order of the steps is the protocol of docs/format.md, "Events": a half-hour stands in the manifest before its
/// first byte lands, the ledger is read after a landing, and what landed in a closed half-hour is marked.
///
/// Locks    `mutex_` guards the buffers and numbers and is never held during I/O. Whoever has the Turn is the one who
///          writes. `check_mutex_`, `sync_mutex_` and `mutex_` are taken in this order.
/// Memory   two buffers for each half-hour that is not over; for each one that is, 64 bytes: a megabyte a year.
template <StorageBackend Storage>
class Log_Writer {
  public:
    /// The own events of a half-hour that have not landed: `lines`, the first of them at `position`.
    struct Unlanded {
        std::string writer;
        std::uint64_t position = 0;
        Bytes lines;
    };

    Log_Writer(Storage& storage,
               Log_Paths const& paths,
               Clock const& clock,
               Event_Log_Options const& options,
               std::function<void()> const& chore,
               Make_Stream_Summary const& make_summary,
               std::optional<Log_Settings> stored_settings)
        : storage_(storage), paths_(paths), clock_(clock), options_(options), chore_(chore),
          make_summary_(make_summary), outlives_process_(storage.capabilities().survives_process),
          appends_(storage.capabilities().append),
          settings_(storage, paths.settings(), options.settings, std::move(stored_settings)),
          ledger_(storage, paths.ledger()), late_marks_(storage, paths), purge_marks_(storage, paths),
          sealer_(storage, paths, clock, options.seals), id_(options.new_writer_id()),
          manifest_(std::in_place, storage, paths.manifest(id_)) {}
    Log_Writer(Log_Writer const&) = delete;
    auto operator=(Log_Writer const&) -> Log_Writer& = delete;
    ~Log_Writer() { (void)close(); }

    [[nodiscard]] auto settings() noexcept -> Shared_Settings<Storage>& { return settings_; }

    template <class Append>
    [[nodiscard]] auto record(Utc_Time time, Append&& append) -> Result<void> {
        Lock lock(mutex_);
        if (closed_)
            return fail(Errc::closed, "the event log is closed; open a new service");
        if (waiting_bytes_ >= options_.buffer_bytes) {
            ++counts_.dropped;
            return fail(Errc::throttled, "the recording buffer is full because the storage does not keep up; "
                                         "see health, or raise buffer_bytes");
        }
        auto& stream = stream_of(Base_Window::containing(time));
        auto const added = stream.add(time, append);
        if (!added)
            return added.error();
        waiting_bytes_ += *added;
        auto const window = stream.window;
        auto const number = ++counts_.recorded;
        stream.pending.last_number = number;
        bool const is_large = stream.pending.lines.size() >= *options_.land_bytes;
        if (!outlives_process_)
            land_straight(lock, stream); // afterwards there may be another stream in its place
        if (waiting_bytes_ > 0)
            wake(lander_, &Log_Writer::run_lander);
        if (is_large || waiting_bytes_ > options_.buffer_bytes / 2)
            hurry(lander_);
        if (options_.mode == Recording_Mode::buffered)
            return {};
        auto const landed = land(lock, [&] { return has_landed(window, number); });
        if (!works_in_background())
            keep_if_due(lock);
        if (!landed)
            return fail(Errc::indeterminate,
                        "the event is not known to be stored, and is tried again: " + landed.error().message());
        return {};
    }

    [[nodiscard]] auto flush() -> Result<void> {
        {
            Lock lock(mutex_);
            if (auto const landed = land_all(lock); !landed)
                return landed.error();
        }
        return check(Marking::at_once);
    }

    /// Makes everything that landed before the call survive loss of power.
    [[nodiscard]] auto sync() -> Result<void> {
        std::unique_lock const one_at_a_time(sync_mutex_); // who comes while one runs needs what that one does
        std::vector<Base_Window> windows;
        {
            Lock const lock(mutex_);
            windows.reserve(streams_.size());
            for (auto& [window, stream] : streams_)
                if (std::exchange(stream.unsynced, false))
                    windows.push_back(window);
        }
        if (windows.empty())
            return {};
        auto const synced = guarded([&] { return storage_.sync(); });
        if (!synced) {
            Lock const lock(mutex_);
            for (auto const window : windows)
                if (auto const found = streams_.find(window); found != streams_.end())
                    found->second.unsynced = true;
        }
        return synced;
    }

    [[nodiscard]] auto close() -> Result<void> {
        std::unique_lock const one_at_a_time(close_mutex_);
        {
            Lock const lock(mutex_);
            closed_ = true;
        }
        for (auto* const worker : {&lander_, &keeper_}) {
            worker->woken.notify_one();
            if (worker->thread.joinable())
                worker->thread.join();
        }
        if (auto const flushed = flush(); !flushed)
            return flushed.error();
        if (auto const synced = sync(); !synced)
            return synced.error();
        return manifest_->erase();
    }

    [[nodiscard]] auto unlanded(Base_Window window) const -> Unlanded {
        Lock const lock(mutex_);
        auto const found = streams_.find(window);
        if (found == streams_.end()) {
            auto const ended = ended_.find(window);
            return {id_, ended == ended_.end() ? 0 : ended->second, {}};
        }
        auto const& stream = found->second;
        return {id_, stream.landed, stream.in_flight.lines + stream.pending.lines};
    }

    /// Half-hours with events that have not landed, in order.
    [[nodiscard]] auto unlanded_windows() const -> std::vector<Base_Window> {
        Lock const lock(mutex_);
        std::vector<Base_Window> windows;
        for (auto const& [window, stream] : streams_)
            if (stream.waiting() > 0)
                windows.push_back(window);
        return windows;
    }

    /// Has half-hours sealed that are over, and removed what was sealed, once an hour is over.
    void tidy_later(std::set<Base_Window> windows) {
        Lock const lock(mutex_);
        to_tidy_.merge(windows);
    }

    [[nodiscard]] auto counts() const -> Recording_Counts {
        Lock const lock(mutex_);
        auto counts = counts_;
        counts.waiting_bytes = waiting_bytes_;
        return counts;
    }

  private:
    using Lock = std::unique_lock<std::mutex>;
    using Steady = std::chrono::steady_clock;
    using Batch = std::vector<Own_Stream*>;
    using Streams = std::map<Base_Window, Own_Stream>; ///< what is in it stays where it is
    struct Worker {
        std::thread thread;
        std::condition_variable woken;
        bool sleeps = true;   ///< until it is told of something to do
        bool hurries = false; ///< is not to wait for the end of its interval
    };
    /// The turn to write: of one at a time, who gives the lock back while it lasts.
    class Turn {
      public:
        /// Whoever holds the lock takes it when nobody has it.
        Turn(Log_Writer& writer, Lock& lock) : writer_(writer), lock_(lock) { writer_.landing_ = true; }
        Turn(Turn const&) = delete;
        auto operator=(Turn const&) -> Turn& = delete;
        ~Turn() {
            if (!lock_.owns_lock())
                lock_.lock();
            writer_.landing_ = false;
            writer_.landing_over_.notify_all();
        }

      private:
        Log_Writer& writer_;
        Lock& lock_;
    };
    enum class Marking {
        at_once,
        by_timer, ///< leaves a minute between marks, so that no storm of late events becomes one of revisions
    };

    auto stream_of(Base_Window window) -> Own_Stream& {
        if (last_stream_ == nullptr || last_stream_->window != window) {
            auto found = streams_.find(window);
            if (found == streams_.end()) {
                auto const ended = ended_.find(window);
                auto const landed = ended == ended_.end() ? 0 : ended->second;
                found = begin_stream(window, landed);
                found->second.last_landed_number = counts_.recorded; // whatever of it came before has landed
            }
            last_stream_ = &found->second;
        }
        return *last_stream_;
    }

    auto begin_stream(Base_Window window, std::uint64_t landed) -> typename Streams::iterator {
        auto const begun = streams_.try_emplace(window, id_, window, landed).first;
        if (!appends_ && landed == 0 && make_summary_)
            begun->second.summary = make_summary_();
        return begun;
    }

    // Landing

    /// Lands everything recorded before the call, or at least until `is_enough`. Callers that come while another lands
    /// share the next landing and its outcome; so nobody waits for more than two.
    template <class Enough>
    auto land(Lock& lock, Enough&& is_enough) -> Result<void> {
        auto const mine = landings_begun_ + 1; // the first that takes everything
        while (!is_enough()) {
            if (landings_over_ >= mine)
                return landed_;
            if (landing_ || keeper_waits_)
                landing_over_.wait(lock);
            else
                land_once(lock);
        }
        return {};
    }

    auto land_all(Lock& lock) -> Result<void> {
        return land(lock, [this, wanted = counts_.recorded] { return landed_to_ >= wanted; });
    }

    void land_once(Lock& lock) {
        Turn const turn(*this, lock);
        ++landings_begun_;
        landed_ = guarded([&] { return land_waiting(lock); });
        if (!lock.owns_lock())
            lock.lock();
        ++landings_over_;
        if (landed_) {
            counts_.last_problem.clear();
        } else {
            ++counts_.failed_flushes;
            counts_.last_problem = landed_.error().message();
        }
    }

    /// Makes an exception, such as of too little memory, a failure like that of a storage: it can be tried again.
    template <class Work>
    static auto guarded(Work&& work) -> Result<void> {
        try {
            return work();
        } catch (std::exception const& error) {
            return fail(Errc::internal, error.what());
        }
    }

    auto land_waiting(Lock& lock) -> Result<void> {
        constexpr int most_ids = 4;
        for (int ids = 0; ids < most_ids;) {
            auto const taken_to = counts_.recorded;
            bool all_taken = true; // false: something is pending behind a batch that failed before
            Batch batch;
            for (auto& [window, stream] : streams_) {
                if (stream.waiting() == 0)
                    continue;
                if (stream.in_flight.count == 0)
                    stream.send_pending();
                else if (stream.pending.count > 0)
                    all_taken = false;
                batch.push_back(&stream);
            }
            lock.unlock();
            auto const result = land_batch(batch);
            lock.lock();
            if (!result)
                return result.error();
            if (!*result) {
                begin_new_identity();
                ++ids;
            } else if (all_taken) {
                landed_to_ = taken_to;
                return {};
            }
        }
        return fail(Errc::conflict, "other writers use every writer id that is tried; ids must be random");
    }

    /// Lands as much of a batch as the storage takes.
    /// @return false if the writer id is used by somebody else, too; what has not landed needs another one
    auto land_batch(Batch& batch) -> Result<bool> {
        if (auto const refused = refuse_too_late(batch); !refused)
            return refused.error();
        if (!id_is_taken_)
            if (auto const registered = register_windows(batch); !registered)
                return registered.error();
        std::optional<Error> first_problem;
        for (auto* const stream : batch) {
            bool landed = appends_ && !stream->in_doubt && !id_is_taken_ && append(*stream);
            bool const is_first_try = !appends_ && !id_is_taken_;
            if (stream->in_doubt || is_first_try) { // in doubt also under a taken id: the events may be there already
                auto const put = put_apart(*stream);
                if (!put && !first_problem)
                    first_problem = put.error();
                landed = put && *put;
            }
            if (landed) {
                if (!appends_)
                    stream->sum_up();
                {
                    Lock const lock(mutex_);
                    settle(*stream);
                }
                put_partial_if_due(*stream);
            }
        }
        if (first_problem)
            return *first_problem;
        return !id_is_taken_;
    }

    /// Drops what comes to a half-hour of which nothing is left to add it to: a window made of it alone would pass for
    /// the whole.
    auto refuse_too_late(Batch& batch) -> Result<void> {
        for (auto at = batch.begin(); at != batch.end();) {
            auto const window = (*at)->window;
            bool const may_be_purged = !(*at)->registered && clock_.now() >= window.end() + fresh_for;
            auto const mark = may_be_purged ? purge_marks_.find(window) : std::optional<Purged_Window>();
            if (!mark)
                return mark.error();
            auto const saved =
                *mark ? storage_.get(paths_.saved_half_hour(window), Byte_Range{0, 0}) : std::optional(Object());
            if (!saved)
                return saved.error();
            if (*saved) {
                ++at;
                continue;
            }
            Lock const lock(mutex_);
            auto const& stream = **at;
            counts_.too_late += stream.waiting();
            waiting_bytes_ -= stream.in_flight.lines.size() + stream.pending.lines.size();
            last_stream_ = nullptr;
            streams_.erase(window);
            at = batch.erase(at);
        }
        return {};
    }

    /// Makes sure that the manifest names the half-hours of a batch before anything of them lands.
    auto register_windows(Batch const& batch) -> Result<void> {
        if (auto const stored = settings_.store(); !stored)
            return stored.error();
        auto const now = clock_.now();
        auto const grace = settings_.get().grace;
        // Past its grace a half-hour may have been taken for abandoned by others: look again.
        bool const known = std::all_of(batch.begin(), batch.end(), [&](auto const* stream) {
            return stream->registered && now <= stream->window.end() + grace;
        });
        if (known)
            return {};
        std::set<Base_Window> open;
        {
            Lock const lock(mutex_);
            for (auto const& [window, stream] : streams_)
                if (stream.registered)
                    open.insert(window);
        }
        for (auto const* stream : batch)
            open.insert(stream->window);
        auto const is_ours = manifest_->set(open, now);
        if (!is_ours)
            return is_ours.error();
        id_is_taken_ = !*is_ours;
        Lock const lock(mutex_);
        for (auto* const stream : batch)
            stream->registered = *is_ours;
        return {};
    }

    /// Appends what is in flight to the growing piece.
    /// @return whether it landed; otherwise it is in doubt, or the writer id is taken
    auto append(Own_Stream& stream) -> bool {
        auto const& batch = stream.in_flight;
        auto piece = std::exchange(stream.piece, std::nullopt);
        auto at = stream.piece_bytes;
        Bytes with_header;
        if (!piece || at >= options_.piece_bytes) {
            Segment_Name const name{batch.first_time, id_, stream.landed, std::nullopt};
            piece.emplace(paths_.raw_folder(stream.window) + name.text());
            at = 0;
            with_header =
                segment_header(name, stream.window, {clock_.now(), stream.latest_before()}).append(batch.lines);
        }
        auto const& bytes = with_header.empty() ? batch.lines : with_header;
        // Nothing is appended behind bytes that are not known, and they are not known until the storage says so.
        stream.in_doubt = true;
        auto const written = storage_.append(*piece, at, bytes, durability());
        if (!written || written->state == Put_State::unknown)
            return false;
        stream.in_doubt = false;
        // If the piece has another size than this writer gave it, somebody else writes it.
        id_is_taken_ = written->state == Put_State::not_applied;
        if (id_is_taken_)
            return false;
        stream.piece = std::move(piece);
        stream.piece_bytes = at + bytes.size();
        return true;
    }

    /// Puts what is in flight into a piece of its own, the same bytes under the same name until it is known to be
    /// there. Where an append has left some of these events as well, readers take each position once.
    /// @return whether it landed; otherwise the writer id is taken
    auto put_apart(Own_Stream& stream) -> Result<bool> {
        auto const& batch = stream.in_flight;
        Segment_Name const name{batch.first_time, id_, stream.landed, batch.count};
        auto const key = Storage_Key(paths_.raw_folder(stream.window) + name.text());
        auto const bytes =
            segment_header(name, stream.window, {batch.first_time, stream.latest_before()}).append(batch.lines);
        stream.in_doubt = true;
        auto const written = storage_.put(key, bytes, Precondition::absent(), {.durability = durability()});
        if (!written)
            return written.error();
        if (written->state == Put_State::applied)
            return true;
        if (written->state == Put_State::unknown)
            return fail(Errc::indeterminate, key.str() + " may not be stored yet; it is put again");
        auto const present = storage_.get(key);
        if (!present)
            return present.error();
        if (*present && (*present)->bytes == bytes)
            return true; // by an earlier try
        id_is_taken_ = true;
        return false;
    }

    /// Stores what a stream adds up to so far, so that nobody who asks about its half-hour has to read more than the
    /// newest of its parts. Whether that succeeds matters to nobody: it is done again with the next part.
    void put_partial_if_due(Own_Stream& stream) {
        if (!stream.summary || stream.parts_since_partial < options_.seals.parts_a_partial ||
            is_over(stream.window, clock_.now()))
            return;
        auto const written =
            storage_.put(paths_.partial(stream.window, id_), partial_text(stream.landed, *stream.summary),
                         Precondition::none(), {.durability = Durability::buffered});
        if (written && written->state == Put_State::applied)
            stream.parts_since_partial = 0;
    }

    /// Memory keeps nothing beyond the process, so nothing is gained by waiting. The lock stays held: there is no I/O
    /// to wait for.
    void land_straight(Lock& lock, Own_Stream& stream) {
        if (!landing_ && stream.registered && stream.piece && stream.in_flight.count == 0) {
            stream.send_pending();
            if (append(stream)) {
                settle(stream);
                if (waiting_bytes_ == 0) // nor does anything of another half-hour wait
                    landed_to_ = counts_.recorded;
                return;
            }
        }
        (void)land_all(lock); // what it could not land is counted, and tried again
    }

    void settle(Own_Stream& stream) {
        counts_.landed += stream.in_flight.count;
        waiting_bytes_ -= stream.in_flight.lines.size();
        stream.settle();
        stream.unsynced = durability() == Durability::buffered;
        wake(keeper_, &Log_Writer::run_keeper);
    }

    /// Has the event of this number landed? Whatever becomes of events of other half-hours.
    [[nodiscard]] auto has_landed(Base_Window window, std::uint64_t number) const -> bool {
        auto const found = streams_.find(window);
        return found == streams_.end() || found->second.last_landed_number >= number;
    }

    /// Goes on under a new writer id with all that waits. What landed under the old one stays where it is.
    void begin_new_identity() {
        id_is_taken_ = false;
        id_ = options_.new_writer_id();
        manifest_.emplace(storage_, paths_.manifest(id_));
        last_stream_ = nullptr;
        ended_.clear();
        for (auto& [window, old] : std::exchange(streams_, {}))
            if (!old.is_done())
                begin_stream(window, 0)->second.inherit(std::move(old));
    }

    [[nodiscard]] auto durability() const noexcept -> Durability {
        return options_.mode == Recording_Mode::durable ? Durability::durable : Durability::buffered;
    }

    // Checking

    /// Looks whether events that landed came into closed half-hours, and marks those. The ledger is read after the
    /// landing, so whoever closes a half-hour later than that finds the events.
    auto check(Marking marking) -> Result<void> {
        std::unique_lock const one_at_a_time(check_mutex_);
        if (auto const put = put_marks(); !put)
            return put.error();
        std::map<Base_Window, std::uint64_t> landed;
        {
            Lock const lock(mutex_);
            for (auto const& [window, stream] : streams_)
                if (stream.unchecked > 0)
                    landed.emplace(window, stream.unchecked);
        }
        if (landed.empty())
            return {};
        auto const closed_until = ledger_.closed_until();
        if (!closed_until)
            return closed_until.error();
        constexpr std::chrono::seconds between_marks(60);
        auto const now = Steady::now();
        if (marking == Marking::by_timer && last_marked_ && now < *last_marked_ + between_marks)
            std::erase_if(landed, [&](auto const& entry) { return entry.first.end() <= *closed_until; });
        decltype(marks_) made;
        for (auto& [day, mark] : marks_of(landed, *closed_until, clock_.now(), false))
            made.emplace_back(Late_Mark_Name{day, mark.bits(), {}, {}}, std::move(mark));
        {
            Lock const lock(mutex_);
            for (auto& [name, mark] : made) {
                name.writer = id_;
                name.serial = std::to_string(next_mark_++);
                last_marked_ = now;
            }
            marks_.splice(marks_.end(), made);
            for (auto const& [window, count] : landed)
                if (auto const found = streams_.find(window); found != streams_.end())
                    found->second.unchecked -= count;
        }
        return put_marks();
    }

    /// Stores the marks that are made. One whose fate is unknown is put again as it is: were its events to go into
    /// another mark, they would be counted as late twice.
    auto put_marks() -> Result<void> {
        Lock lock(mutex_);
        while (!marks_.empty()) {
            auto& [name, mark] = marks_.front(); // stays where it is while others are added behind it
            lock.unlock();
            auto const stored = late_marks_.put(name, mark);
            lock.lock();
            if (!stored)
                return stored.error();
            if (*stored)
                marks_.pop_front();
            else
                name.serial = std::to_string(next_mark_++);
        }
        return {};
    }

    /// Takes half-hours out of the manifest that are over, checked and safe, and gives their buffers back.
    auto retire_windows() -> Result<void> {
        std::unique_lock const no_checks(check_mutex_);
        std::unique_lock const no_syncs(sync_mutex_); // one that runs has not made anything safe yet
        Lock lock(mutex_);
        auto const now = clock_.now();
        if (!marks_.empty() || !has_window_to_retire(now))
            return {};
        keeper_waits_ = true; // those who land come again at once and would never let it in
        while (landing_)
            landing_over_.wait(lock);
        keeper_waits_ = false;
        Turn const turn(*this, lock);
        std::set<Base_Window> open;
        std::set<Base_Window> over;
        for (auto const& [window, stream] : streams_)
            if (stream.registered)
                (stream.is_done() && is_over(window, now) ? over : open).insert(window);
        lock.unlock();
        auto const is_ours = manifest_->set(open, now);
        if (!is_ours)
            return is_ours.error();
        lock.lock();
        for (auto const window : over) {
            auto const found = streams_.find(window);
            found->second.registered = false;
            if (!found->second.is_done())
                continue; // something came meanwhile
            ended_[window] = found->second.landed;
            if (appends_)
                to_tidy_.insert(window);
            else
                retired_[window] = id_;
            streams_.erase(found);
            last_stream_ = nullptr;
        }
        return {};
    }

    /// Seals the own parts of half-hours that are over: the sooner, the fewer objects there are to be listed and read.
    auto seal_retired() -> Result<void> {
        Lock lock(mutex_);
        while (!retired_.empty()) {
            auto const [window, own_id] = *retired_.begin();
            lock.unlock();
            if (auto const sealed = sealer_.seal(window, own_id); !sealed)
                return sealed.error();
            lock.lock();
            retired_.erase(window);
            to_tidy_.insert(window);
        }
        return {};
    }

    /// Each hour: takes over what other writers left that died, seals half-hours that are over, and removes what was
    /// sealed an hour ago.
    auto tidy_if_due() -> Result<void> {
        auto const now = Steady::now();
        if (now < next_tidying_)
            return {};
        next_tidying_ = now + options_.tidy_interval;
        Adoption<Storage> adoption(storage_, paths_, clock_);
        auto outcome = adoption.run();
        if (!std::exchange(swept_, true))
            if (auto const left = leave_nothing_behind(); !left && outcome)
                outcome = left;
        std::set<Base_Window> windows;
        {
            Lock const lock(mutex_);
            to_tidy_.insert(adoption.windows().begin(), adoption.windows().end());
            windows = to_tidy_;
        }
        for (auto const window : windows) {
            // What grows takes few objects as it is, and may still grow.
            auto const grown_up = appends_ ? options_.seals.patience : std::chrono::milliseconds(0);
            if (clock_.now() < window.end() + settings_.get().grace + grown_up)
                continue;
            auto const sealed = sealer_.seal(window);
            auto const is_tidy = sealed ? sealer_.remove_sealed(window) : sealed.error();
            if (!is_tidy && outcome)
                outcome = is_tidy.error(); // and keeps no other half-hour from it
            Lock const lock(mutex_);
            if (closed_)
                return outcome;
            if (is_tidy && *is_tidy)
                to_tidy_.erase(window);
        }
        return outcome;
    }

    /// Once: what processes before this one have not come to, of the last week. All of it is sealed by a purge.
    auto leave_nothing_behind() -> Result<void> {
        auto const now = clock_.now();
        auto const windows = Raw_Reader<Storage>(storage_, paths_).windows(now - std::chrono::hours(7 * 24), now);
        if (!windows)
            return windows.error();
        tidy_later({windows->begin(), windows->end()});
        return {};
    }

    [[nodiscard]] auto is_over(Base_Window window, Utc_Time now) const -> bool {
        return now > window.end() + settings_.get().grace;
    }
    /// One that nothing but a sync may be left to be done for.
    [[nodiscard]] auto has_window_to_retire(Utc_Time now) const -> bool {
        return std::any_of(streams_.begin(), streams_.end(), [&](auto const& entry) {
            auto const& stream = entry.second;
            return stream.waiting() == 0 && stream.unchecked == 0 && is_over(entry.first, now);
        });
    }

    // In the background
    //
    // Two threads, each begun when it first has something to do: one lands, the other does what may take long, such as
    // a sync, so that no landing waits for it. Neither where a process may be frozen: those who record do it all.

    [[nodiscard]] auto works_in_background() const noexcept -> bool {
        return options_.mode != Recording_Mode::per_request;
    }

    void wake(Worker& worker, void (Log_Writer::*work)()) {
        if (closed_ || !works_in_background() || !std::exchange(worker.sleeps, false))
            return; // closing does by itself what is left
        if (worker.thread.joinable()) {
            worker.woken.notify_one();
            return;
        }
        try {
            worker.thread = std::thread(work, this);
        } catch (std::exception const& error) {
            worker.sleeps = true; // flush() and close() still do everything, and the next event tries again
            counts_.last_problem = std::string("no thread to work in the background: ") + error.what();
        }
    }

    /// Has it begin before its interval is over, unless it failed and is on its way to try again.
    void hurry(Worker& worker) {
        if (landed_ && !std::exchange(worker.hurries, true))
            worker.woken.notify_one();
    }

    /// Works each interval while it is needed, more and more rarely while that fails, and sleeps in between.
    template <class Needed, class Work>
    void run(Worker& self, std::chrono::milliseconds interval, Needed&& is_needed, Work&& work) {
        auto const longest_pause = std::max<std::chrono::milliseconds>(interval, longest_retry_pause);
        auto pause = interval;
        Lock lock(mutex_);
        for (;;) {
            if (!is_needed()) {
                self.sleeps = true;
                self.woken.wait(lock, [&] { return closed_ || !self.sleeps; });
            }
            self.woken.wait_for(lock, pause, [&] { return closed_ || self.hurries; });
            if (closed_)
                return;
            self.hurries = false;
            auto const worked = guarded([&] { return work(lock); });
            if (!lock.owns_lock())
                lock.lock();
            pause = worked ? interval : std::min(pause * 2, longest_pause);
        }
    }

    void run_lander() {
        auto const is_needed = [&] { return landed_to_ < counts_.recorded; };
        run(lander_, *options_.flush_interval, is_needed, [&](Lock& lock) { return land_all(lock); });
    }

    void run_keeper() {
        auto const is_needed = [&] { return has_to_keep(); };
        run(keeper_, *options_.check_interval, is_needed, [&](Lock& lock) { return keep_in_order(lock); });
    }

    /// Looks for late events, syncs, and retires what is over.
    auto keep_in_order(Lock& lock) -> Result<void> {
        bool const syncs =
            works_in_background() || has_window_to_retire(clock_.now()); // a request does not wait for it
        lock.unlock();
        auto const kept = [&]() -> Result<void> {
            if (chore_)
                chore_();
            if (auto const checked = check(Marking::by_timer); !checked)
                return checked.error();
            if (syncs)
                if (auto const synced = sync(); !synced)
                    return synced.error();
            if (auto const retired = retire_windows(); !retired || !works_in_background())
                return retired;
            if (auto const sealed = seal_retired(); !sealed)
                return sealed;
            return tidy_if_due();
        }();
        lock.lock();
        if (!kept)
            counts_.last_problem = kept.error().message();
        return kept;
    }

    /// Without a background thread: by those who record, as often. Its failures are shown and concern no event.
    void keep_if_due(Lock& lock) {
        auto const now = Steady::now();
        if (now < next_keeping_ || !has_to_keep())
            return;
        next_keeping_ = now + *options_.check_interval; // whoever comes meanwhile passes by
        (void)guarded([&] { return keep_in_order(lock); });
    }

    [[nodiscard]] auto has_to_keep() const -> bool {
        return !marks_.empty() || std::any_of(streams_.begin(), streams_.end(), [](auto const& entry) {
            return entry.second.unchecked > 0 || entry.second.unsynced;
        });
    }

    static constexpr std::chrono::milliseconds longest_retry_pause{5'000};

    Storage& storage_;
    Log_Paths const& paths_;
    Clock const& clock_;
    Event_Log_Options const& options_;
    std::function<void()> const& chore_; ///< of the log's owner, done along with the own ones
    Make_Stream_Summary const& make_summary_;
    bool const outlives_process_;
    bool const appends_; ///< otherwise each landing is a part of its own
    Shared_Settings<Storage> settings_;
    Ledger<Storage> ledger_;
    Late_Marks<Storage> late_marks_;
    Purge_Marks<Storage> purge_marks_;
    Sealer<Storage> sealer_;

    mutable std::mutex mutex_;
    std::condition_variable landing_over_;
    std::string id_;
    Streams streams_;                            ///< those that anything may still have to be done for
    std::map<Base_Window, std::uint64_t> ended_; ///< of all others: how many events have landed
    Own_Stream* last_stream_ = nullptr;          ///< the one of the last event; most come to the same
    Recording_Counts counts_;                    ///< but for waiting_bytes
    std::uint64_t waiting_bytes_ = 0;            ///< of all that waits in streams_
    std::uint64_t landed_to_ = 0;                ///< of the events numbered by counts_.recorded: all have landed
    bool landing_ = false;                       ///< somebody has the turn
    bool keeper_waits_ = false;                  ///< for the turn, which is its next
    std::uint64_t landings_begun_ = 0;
    std::uint64_t landings_over_ = 0;
    Result<void> landed_;      ///< outcome of the last landing
    bool id_is_taken_ = false; ///< by another writer; touched by whoever has the turn
    bool closed_ = false;
    std::optional<Own_Manifest<Storage>> manifest_; ///< touched by whoever has the turn
    Worker lander_;
    Worker keeper_;
    Steady::time_point next_keeping_{};          ///< where there is no keeper
    std::map<Base_Window, std::string> retired_; ///< half-hours to be sealed at once, and the own writer id in them
    std::set<Base_Window> to_tidy_; ///< half-hours that may have to be sealed, or something in them removed
    Steady::time_point next_tidying_ = Steady::now() + options_.tidy_interval; ///< touched by the keeper
    bool swept_ = false;                                                       ///< likewise

    std::list<std::pair<Late_Mark_Name, Late_Mark>> marks_; ///< made, but not yet known to be stored

    std::mutex check_mutex_; ///< one at a time makes marks and stores them
    std::uint64_t next_mark_ = 0;
    std::optional<Steady::time_point> last_marked_;

    std::mutex sync_mutex_; ///< one at a time syncs
    std::mutex close_mutex_;
};

} // namespace memfs_cache
