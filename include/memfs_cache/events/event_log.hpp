// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>
#include <memfs_cache/events/late_marks.hpp>
#include <memfs_cache/events/ledger.hpp>
#include <memfs_cache/events/log_settings.hpp>
#include <memfs_cache/events/manifest.hpp>
#include <memfs_cache/events/raw_reader.hpp>

#include <atomic>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace memfs_cache {

/// When a recorded event is on the storage.
enum class Recording_Mode {
    buffered, ///< a background thread lands what came in every flush interval, and syncs each second
    durable,  ///< record() returns after the event has survived loss of power; callers share the writes
};

struct Event_Log_Options {
    Recording_Mode mode = Recording_Mode::buffered;
    std::chrono::milliseconds flush_interval{100}; ///< buffered: the most that a crash of the process loses
    std::size_t buffer_bytes = 64 << 20;           ///< events waiting for the storage; beyond it the newest are refused
    Log_Settings_Wish settings;
};

/// What happened to events since the log was opened.
struct Recording_Counts {
    std::uint64_t recorded = 0;       ///< accepted by record()
    std::uint64_t landed = 0;         ///< of those, on the storage
    std::uint64_t dropped = 0;        ///< refused because the buffer was full, or given up after a failed durable write
    std::uint64_t failed_flushes = 0; ///< flushes that the storage did not take; they are tried again
    std::uint64_t waiting_bytes = 0;  ///< in the buffer now
    std::string last_problem;         ///< what the storage said last; "" after a flush that worked
};

/// The log of one namespace: events from many threads go in, half-hours of events come out. N events cost N / batch
/// storage writes. What is stored, in which order, and why nothing is lost or counted twice: docs/format.md and
/// ARCHITECTURE.md, "The event log".
///
/// Threads   every call from any thread. One background thread, begun with the first event.
/// Ownership refers to the storage, which must outlive it. The destructor closes.
/// Backends  needs conditional puts; without them opening it is refused, because no window could ever be final.
template <StorageBackend Storage>
class Event_Log {
  public:
    using Visit = Segment_Scanner::Visit;

    /// @errors invalid_argument if the store was begun with other settings; unsupported without conditional puts
    [[nodiscard]] static auto open(Storage& storage, Log_Paths paths, Clock_Ptr clock, Event_Log_Options options = {})
        -> Result<std::unique_ptr<Event_Log>> {
        if (!storage.capabilities().conditional_put)
            return fail(Errc::unsupported, "events need a storage with conditional writes; choose another backend");
        if (!storage.capabilities().append)
            return fail(Errc::unsupported, "events need a storage that can append; choose another backend");
        auto stored = load_settings(storage, paths);
        if (!stored)
            return stored.error();
        if (*stored)
            if (auto const agreed = options.settings.check(**stored); !agreed)
                return agreed.error();
        std::unique_ptr<Event_Log> log(new Event_Log(storage, std::move(paths), std::move(clock), std::move(options)));
        if (*stored)
            log->settings_ = **stored;
        log->settings_are_stored_ = stored->has_value();
        return log;
    }

    Event_Log(Event_Log const&) = delete;
    auto operator=(Event_Log const&) -> Event_Log& = delete;
    ~Event_Log() { (void)close(); }

    /// Records one event.
    /// @param  time    of the event itself; decides its half-hour
    /// @param  append  (std::string& out): appends one JSON object with at least one member and no line break
    /// @errors invalid_argument for a time before 1970 or more than 24 h ahead of the clock, or text that is no such
    ///         object; throttled if the buffer is full (counted as dropped); closed; in durable mode also what the
    ///         storage says (the event may or may not be found later, and is not retried)
    /// Cost    buffered: one lock and a copy into the buffer, nothing allocated in the steady state
    template <class Append>
    [[nodiscard]] auto record(Utc_Time time, Append&& append) -> Result<void> {
        if (time < earliest_time)
            return fail(Errc::invalid_argument, "timestamp: before 1970");
        if (time > latest_time || time > clock_->now() + std::chrono::hours(24))
            return fail(Errc::invalid_argument, "timestamp: more than 24 hours ahead of the clock");
        std::unique_lock lock(mutex_);
        if (closed_)
            return fail(Errc::closed, "the event log is closed; open a new service");
        if (waiting_bytes_ >= options_.buffer_bytes) {
            ++counts_.dropped;
            return fail(Errc::throttled, "the recording buffer is full because the storage does not keep up; "
                                         "see health, or raise buffer_bytes");
        }
        auto& stream = stream_of(Base_Window::containing(time));
        auto const size_before = stream.pending.size();
        append(stream.pending);
        auto const text = std::string_view(stream.pending).substr(size_before);
        if (text.size() < 4 || text.front() != '{' || text.back() != '}' || text.find('\n') != std::string_view::npos) {
            stream.pending.resize(size_before);
            return fail(Errc::invalid_argument, "event: give one JSON object with at least one member, on one line");
        }
        stream.pending.pop_back();
        auto const checksum = Line_Seal::text_checksum(std::string_view(stream.pending).substr(size_before));
        Line_Seal::append_tail(stream.pending);
        stream.seal.fill(stream.pending.data() + stream.pending.size(), checksum, stream.next_position());
        stream.pending += '\n';
        if (stream.pending_count++ == 0)
            stream.pending_first = time;
        waiting_bytes_ += stream.pending.size() - size_before;
        ++counts_.recorded;
        ++stream.unchecked;
        wake_background();
        if (straight_through_)
            return land_straight(lock, stream);
        if (options_.mode == Recording_Mode::durable)
            return wait_until_landed(lock);
        return {};
    }

    /// Lands everything that was recorded before the call, and looks whether it came late.
    /// @errors what the storage says; what could not be landed stays in the buffer and is tried again
    [[nodiscard]] auto flush() -> Result<void> {
        std::unique_lock lock(mutex_);
        if (auto const landed = land(lock); !landed)
            return landed.error();
        lock.unlock();
        return check(true);
    }

    /// Flushes, gives back the manifest and ends the background thread. Later calls of record() are refused.
    [[nodiscard]] auto close() -> Result<void> {
        {
            std::unique_lock const lock(mutex_);
            if (closed_)
                return {};
            closed_ = true;
            wake_.notify_all();
        }
        if (background_.joinable())
            background_.join();
        auto const flushed = flush();
        if (!flushed)
            return flushed.error();
        if (auto const synced = storage_.sync(); !synced)
            return synced.error();
        return give_back_manifest();
    }

    /// Visits every event of a half-hour that `state` does not hold, from the storage and then from the own buffer.
    /// Call flush() first; then everything recorded before is found, even while the storage takes no more writes.
    /// @param  seen  as in Raw_Reader::read; events from the buffer are not marked in it, they will be read again
    [[nodiscard]] auto read(Base_Window window, Read_State& state, Visit const& visit) const -> Result<void> {
        return reader_.read(window, state, visit);
    }
    /// Visits the own events of a half-hour that the storage has not taken and `state` does not hold.
    [[nodiscard]] auto read_unlanded(Base_Window window, Read_State const& state, Visit const& visit) const
        -> Result<void> {
        std::unique_lock const lock(mutex_);
        auto const found = streams_.find(window);
        if (found == streams_.end())
            return {};
        auto const& stream = found->second;
        auto position = stream.landed;
        auto const from = state.position(writer_);
        for (auto const* lines : {&stream.in_flight, &stream.pending}) {
            for (std::size_t at = 0; at < lines->size();) {
                auto const end = lines->find('\n', at);
                if (position++ >= from)
                    if (auto const visited = visit({std::string_view(*lines).substr(at, end - at), std::nullopt});
                        !visited)
                        return visited.error();
                at = end + 1;
            }
        }
        return {};
    }

    /// Half-hours in [start, end) that have events, stored or waiting, in order.
    [[nodiscard]] auto windows(Utc_Time start, Utc_Time end) const -> Result<std::vector<Base_Window>> {
        auto stored = reader_.windows(start, end);
        if (!stored)
            return stored.error();
        std::unique_lock const lock(mutex_);
        for (auto const& [window, stream] : streams_) {
            if (stream.waiting() == 0 || window.start() < start || window.start() >= end)
                continue;
            auto const at = std::lower_bound(stored->begin(), stored->end(), window);
            if (at == stored->end() || *at != window)
                stored->insert(at, window);
        }
        return stored;
    }
    [[nodiscard]] auto newest_window() const { return reader_.newest_window(); }

    [[nodiscard]] auto settings() const -> Log_Settings {
        std::unique_lock const lock(mutex_);
        return settings_;
    }
    [[nodiscard]] auto paths() const noexcept -> Log_Paths const& { return paths_; }
    [[nodiscard]] auto ledger() noexcept -> Ledger<Storage>& { return ledger_; }
    [[nodiscard]] auto late_marks() noexcept -> Late_Marks<Storage>& { return late_marks_; }
    [[nodiscard]] auto clock() const noexcept -> Clock_Ptr const& { return clock_; }

    /// Makes sure that what every process must agree on lies in the store; done by whoever writes first.
    [[nodiscard]] auto store_settings() -> Result<void> {
        {
            std::unique_lock const lock(mutex_);
            if (settings_are_stored_)
                return {};
        }
        auto created = create_settings(storage_, paths_, options_.settings);
        if (!created)
            return created.error();
        std::unique_lock const lock(mutex_);
        settings_ = *created;
        settings_are_stored_ = true;
        return {};
    }

    /// Lands the events of an import: one half-hour's events of one block of a log, as a piece that never changes. The
    /// writer id is derived from the block's content, so that doing it again, or twice at once, changes nothing.
    /// @param  lines  what sealed lines look like on the storage, `count` of them from position 0, without the header
    [[nodiscard]] auto land_import(Segment_Name const& name, Base_Window window, Utc_Time at, Bytes const& lines)
        -> Result<void> {
        auto const bytes = segment_header(name, window, at).append("\n").append(lines);
        auto const key = Storage_Key(paths_.raw_folder(window) + name.text());
        for (int tries = 0; tries < 8; ++tries) {
            auto written = storage_.put(key, bytes, Precondition::absent(), {.durability = Durability::buffered});
            if (!written)
                return written.error();
            if (written->state == Put_State::applied)
                return {};
            auto present = storage_.get(key);
            if (!present)
                return present.error();
            if (*present && (*present)->bytes == bytes)
                return {};
            if (!*present)
                continue;
            // Only this very import uses this name, so other bytes are what a loss of power left of it.
            written = storage_.put(key, bytes, Precondition::only_if((*present)->version));
            if (!written)
                return written.error();
            if (written->state == Put_State::applied)
                return {};
        }
        return fail(Errc::conflict, key.str() + " is being changed by others; import again");
    }

    /// Registers half-hours for a writer id of an import, before its first event lands.
    [[nodiscard]] auto register_import(std::string const& writer, std::set<Base_Window> const& windows)
        -> Result<void> {
        if (auto const stored = store_settings(); !stored)
            return stored.error();
        return change_manifest(
            writer, [&](Writer_Manifest& manifest) { manifest.open.insert(windows.begin(), windows.end()); });
    }
    /// Puts the marks of an import's events that came into closed windows, and forgets its registration.
    [[nodiscard]] auto finish_import(std::string const& writer, std::map<Base_Window, std::uint64_t> const& landed)
        -> Result<void> {
        if (auto const marked = mark_backfill(writer, "0", landed); !marked)
            return marked.error();
        return forget_manifest(writer);
    }

    /// Finds what writers that died left unmarked, marks it and forgets them. Safe on a living writer.
    [[nodiscard]] auto adopt_dead_writers() -> Result<void> {
        List_Query query{paths_.writers_prefix(), {}, 1000};
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto const& item : page->items)
                if (auto const adopted = adopt(item); !adopted)
                    return adopted.error();
            query.start_after = page->next;
        } while (!query.start_after.empty());
        return {};
    }

    [[nodiscard]] auto counts() const -> Recording_Counts {
        std::unique_lock const lock(mutex_);
        auto counts = counts_;
        counts.waiting_bytes = waiting_bytes_;
        return counts;
    }

  private:
    /// The own events of one half-hour. Positions: [0, landed) stored, then those in flight, then those pending.
    struct Stream {
        Stream(std::string_view writer, Base_Window window) : seal(writer, window) {}
        Line_Seal seal;
        std::uint64_t landed = 0;
        Bytes in_flight; ///< being written, or to be written again; never changed while a write runs
        std::uint64_t in_flight_count = 0;
        Utc_Time in_flight_first;
        Bytes pending;
        std::uint64_t pending_count = 0;
        Utc_Time pending_first;
        std::optional<Storage_Key> object; ///< the piece that grows now
        std::uint64_t object_bytes = 0;
        bool as_part = false;    ///< the batch in flight failed once: it goes into a piece of its own
        bool registered = false; ///< the manifest names this half-hour
        std::uint64_t unchecked = 0;
        [[nodiscard]] auto waiting() const noexcept -> std::uint64_t { return in_flight_count + pending_count; }
        [[nodiscard]] auto next_position() const noexcept -> std::uint64_t { return landed + waiting(); }
    };
    using Lock = std::unique_lock<std::mutex>;
    using Batch = std::vector<std::pair<Base_Window, Stream*>>;

    Event_Log(Storage& storage, Log_Paths paths, Clock_Ptr clock, Event_Log_Options options)
        : storage_(storage), paths_(std::move(paths)), clock_(std::move(clock)), options_(std::move(options)),
          settings_(options_.settings.or_default()), straight_through_(!storage.capabilities().survives_process),
          reader_(storage_, paths_), ledger_(storage_, paths_.ledger()), late_marks_(storage_, paths_),
          writer_(random_hex(8)) {}

    auto stream_of(Base_Window window) -> Stream& {
        if (last_stream_ != nullptr && last_window_ == window)
            return *last_stream_;
        auto& stream = streams_.try_emplace(window, writer_, window).first->second;
        last_window_ = window;
        last_stream_ = &stream;
        return stream;
    }

    /// Lands everything waiting when it is called. One at a time; the lock is not held during I/O.
    auto land(Lock& lock) -> Result<void> {
        auto const wanted = counts_.recorded;
        while (landing_)
            landed_.wait(lock);
        if (settled_ >= wanted && waiting_bytes_ == 0)
            return {};
        landing_ = true;
        auto const result = land_rounds(lock);
        if (result) {
            counts_.last_problem.clear();
        } else {
            ++counts_.failed_flushes;
            counts_.last_problem = result.error().message();
        }
        landing_ = false;
        landed_.notify_all();
        return result;
    }

    auto land_rounds(Lock& lock) -> Result<void> {
        for (;;) {
            auto const recorded = counts_.recorded;
            bool complete = true; // false: pending events stand behind a batch that failed before
            Batch batch;
            for (auto& [window, stream] : streams_) {
                if (stream.waiting() == 0)
                    continue;
                if (stream.in_flight_count == 0)
                    take_pending(stream);
                else if (stream.pending_count > 0)
                    complete = false;
                batch.emplace_back(window, &stream); // nodes of a map stay where they are
            }
            lock.unlock();
            auto result = land_batch(batch);
            lock.lock();
            if (!result)
                return result.error();
            if (*result && complete) {
                settled_ = recorded;
                return {};
            }
        }
    }

    /// @return false if the log goes on under a new writer id and everything has to be gathered again
    auto land_batch(Batch const& batch) -> Result<bool> {
        if (auto const registered = register_windows(batch); !registered)
            return registered.error();
        for (auto const& [window, stream] : batch) {
            auto const landed = land_stream(window, *stream);
            if (!landed || !*landed)
                return landed;
        }
        return true;
    }

    /// Memory keeps nothing beyond the process, so nothing is gained by waiting: the event goes straight through, and
    /// the lock is held because there is no I/O to wait for.
    auto land_straight(Lock& lock, Stream& stream) -> Result<void> {
        if (landing_ || !stream.object || stream.in_flight_count > 0)
            return land(lock);
        auto const written = storage_.append(*stream.object, stream.object_bytes, stream.pending, Durability::buffered);
        if (!written || written->state != Put_State::applied)
            return land(lock);
        stream.object_bytes += stream.pending.size();
        stream.landed += stream.pending_count;
        counts_.landed += stream.pending_count;
        waiting_bytes_ -= stream.pending.size();
        stream.pending_count = 0;
        stream.pending.clear();
        settled_ = counts_.recorded;
        return {};
    }

    static void take_pending(Stream& stream) {
        stream.in_flight.swap(stream.pending);
        stream.in_flight_count = std::exchange(stream.pending_count, 0);
        stream.in_flight_first = stream.pending_first;
    }

    auto wait_until_landed(Lock& lock) -> Result<void> {
        auto const ticket = counts_.recorded;
        while (settled_ < ticket) {
            if (landing_) {
                landed_.wait(lock);
                if (given_up_ >= ticket)
                    return fail(Errc::indeterminate, "the event may not be stored: " + counts_.last_problem);
                continue;
            }
            if (auto const landed = land(lock); !landed) {
                give_up(landed.error());
                return fail(Errc::indeterminate, "the event may not be stored: " + landed.error().message());
            }
        }
        return given_up_ >= ticket ? Result<void>(fail(Errc::indeterminate, "the event may not be stored"))
                                   : Result<void>();
    }

    /// Durable mode, after a failed write: the callers are told, so the events must not land later. Their positions may
    /// be readable already and must never hold anything else: the log goes on under a new writer id.
    void give_up(Error const& problem) {
        for (auto& [window, stream] : streams_) {
            counts_.dropped += stream.waiting();
            waiting_bytes_ -= stream.in_flight.size() + stream.pending.size();
        }
        counts_.last_problem = problem.message();
        settled_ = given_up_ = counts_.recorded;
        begin_new_identity({});
        landed_.notify_all();
    }

    /// Goes on under a new writer id with the waiting lines of the streams given; the old id is left to adoption.
    void begin_new_identity(std::map<Base_Window, Stream> keep) {
        abandoned_.push_back(writer_);
        writer_ = random_hex(8);
        last_stream_ = nullptr;
        streams_.clear();
        for (auto& [window, old] : keep) {
            auto& stream = streams_.try_emplace(window, writer_, window).first->second;
            stream.pending = std::move(old.in_flight) + old.pending;
            stream.pending_count = old.waiting();
            stream.pending_first = old.in_flight_count > 0 ? old.in_flight_first : old.pending_first;
            stream.unchecked = stream.pending_count;
            std::uint64_t position = 0;
            for (std::size_t at = 0; at < stream.pending.size(); ++position) {
                auto const end = stream.pending.find('\n', at);
                auto const open_text = std::string_view(stream.pending).substr(at, end - at - Line_Seal::tail_bytes);
                stream.seal.fill(stream.pending.data() + end, Line_Seal::text_checksum(open_text), position);
                at = end + 1;
            }
        }
    }

    auto register_windows(Batch const& batch) -> Result<void> {
        auto const now = clock_->now();
        std::set<Base_Window> fresh;
        for (auto const& [window, stream] : batch)
            // Past its grace an adopter may have taken the half-hour for abandoned: register again.
            if (!stream->registered || now > window.end() + settings_.grace)
                fresh.insert(window);
        if (fresh.empty())
            return {};
        if (auto const stored = store_settings(); !stored)
            return stored.error();
        auto const changed = change_manifest(
            writer_, [&](Writer_Manifest& manifest) { manifest.open.insert(fresh.begin(), fresh.end()); });
        if (!changed)
            return changed.error();
        Lock const lock(mutex_);
        for (auto const& [window, stream] : batch)
            stream->registered = true;
        return {};
    }

    /// Takes half-hours that are over and checked out of the manifest, and gives their buffers back.
    auto retire_windows(Lock& lock) -> Result<void> {
        while (landing_)
            landed_.wait(lock);
        auto const now = clock_->now();
        std::set<Base_Window> over;
        for (auto const& [window, stream] : streams_)
            if (stream.registered && stream.waiting() == 0 && stream.unchecked == 0 &&
                now > window.end() + settings_.grace)
                over.insert(window);
        if (over.empty())
            return {};
        landing_ = true;
        auto const writer = writer_;
        lock.unlock();
        auto const changed = change_manifest(writer, [&](Writer_Manifest& manifest) {
            std::erase_if(manifest.open, [&](auto w) { return over.contains(w); });
        });
        lock.lock();
        landing_ = false;
        landed_.notify_all();
        if (!changed)
            return changed.error();
        for (auto const window : over) {
            auto& stream = streams_.at(window);
            stream.registered = false;
            Bytes().swap(stream.in_flight);
            if (stream.pending_count == 0)
                Bytes().swap(stream.pending);
        }
        return {};
    }

    /// @return false if another process was found to use the same writer id
    auto land_stream(Base_Window window, Stream& stream) -> Result<bool> {
        auto const durability = options_.mode == Recording_Mode::durable ? Durability::durable : Durability::buffered;
        if (!stream.as_part) {
            Bytes first;
            if (!stream.object) {
                Segment_Name const name{stream.in_flight_first, writer_, stream.landed, std::nullopt};
                stream.object = Storage_Key(paths_.raw_folder(window) + name.text());
                stream.object_bytes = 0;
                first = segment_header(name, window, clock_->now()).append("\n").append(stream.in_flight);
            }
            auto const& bytes = first.empty() ? stream.in_flight : first;
            auto const written = storage_.append(*stream.object, stream.object_bytes, bytes, durability);
            if (written && written->state == Put_State::applied) {
                stream.object_bytes += bytes.size();
                settle(stream);
                return true;
            }
            // How much of it lies there nobody can say. The same events go, at the same positions, into a piece of
            // their own; where both hold an event, readers take it once. Nothing is ever appended behind the damage.
            stream.object.reset();
            stream.as_part = true;
        }
        Segment_Name const name{stream.in_flight_first, writer_, stream.landed, stream.in_flight_count};
        auto const key = Storage_Key(paths_.raw_folder(window) + name.text());
        auto const bytes = segment_header(name, window, stream.in_flight_first).append("\n").append(stream.in_flight);
        auto const written = storage_.put(key, bytes, Precondition::absent(), {.durability = durability});
        if (!written)
            return written.error();
        if (written->state == Put_State::not_applied) {
            auto present = storage_.get(key);
            if (!present)
                return present.error();
            if (!*present || (*present)->bytes != bytes) {
                Lock lock(mutex_);
                begin_new_identity(std::exchange(streams_, {}));
                return false;
            }
        } else if (written->state == Put_State::unknown) {
            return fail(Errc::indeterminate, key.str() + " may not be stored yet; it is put again");
        }
        stream.as_part = false;
        settle(stream);
        return true;
    }

    void settle(Stream& stream) {
        Lock const lock(mutex_);
        stream.landed += stream.in_flight_count;
        counts_.landed += stream.in_flight_count;
        waiting_bytes_ -= stream.in_flight.size();
        stream.in_flight_count = 0;
        stream.in_flight.clear();
        unsynced_ = true;
    }

    using Landed = std::map<Base_Window, std::uint64_t>; ///< how many events
    using Marks = std::vector<std::pair<Late_Mark_Name, Late_Mark>>;
    /// What check() found and has not finished: a mark without an answer may be stored, so the very same is put again
    /// before any other. Were it made anew, with what has landed since, it would pass for the one that is there.
    struct Marking {
        std::string writer;
        Landed landed;
        Marks marks;
    };

    /// Marks what landed in closed windows, then forgets that it was unchecked. The ledger is read after the landing.
    /// @param  at_once  false: from the timer, which leaves marks 60 s apart
    auto check(bool at_once) -> Result<void> {
        std::unique_lock const checking(check_mutex_);
        if (auto const adopted = adopt_abandoned(); !adopted)
            return adopted.error();
        if (auto const finished = finish_marking(); !finished)
            return finished.error();
        Marking marking;
        {
            Lock const lock(mutex_);
            marking.writer = writer_;
            for (auto const& [window, stream] : streams_)
                if (stream.unchecked > stream.waiting())
                    marking.landed[window] = stream.unchecked - stream.waiting();
        }
        if (marking.landed.empty())
            return {};
        auto const closed = ledger_.closed_until();
        if (!closed)
            return closed.error();
        auto const steady_now = std::chrono::steady_clock::now();
        // Events of open windows need no mark and may be forgotten; late ones may have to wait for the next round.
        if (!at_once && steady_now - last_marked_ < std::chrono::seconds(60))
            std::erase_if(marking.landed, [&](auto const& entry) { return entry.first.end() <= *closed; });
        marking.marks = marks_of(marking.writer, std::to_string(mark_serial_), marking.landed, *closed, false);
        if (!marking.marks.empty()) {
            ++mark_serial_;
            last_marked_ = steady_now;
        }
        marking_ = std::move(marking);
        return finish_marking();
    }

    auto finish_marking() -> Result<void> {
        if (!marking_)
            return {};
        if (auto const put = put_marks(marking_->marks); !put)
            return put.error();
        Lock const lock(mutex_);
        if (marking_->writer == writer_)
            for (auto const& [window, count] : marking_->landed) {
                auto const found = streams_.find(window);
                if (found != streams_.end())
                    found->second.unchecked -= count;
            }
        marking_.reset();
        return {};
    }

    /// One mark for each day that has events in closed windows.
    auto marks_of(std::string const& writer,
                  std::string const& serial,
                  Landed const& landed,
                  Utc_Time closed_until,
                  bool backfill) const -> Marks {
        std::map<Utc_Time, Late_Mark> days;
        for (auto const& [window, count] : landed) {
            if (count == 0 || window.end() > closed_until)
                continue;
            auto& mark = days[window.day()];
            mark.at = clock_->now();
            mark.backfill = backfill;
            mark.windows[window.index_in_day()] = {count, backfill ? 0 : count};
        }
        Marks marks;
        for (auto const& [day, mark] : days)
            marks.push_back({{day, mark.bits(), writer, serial}, mark});
        return marks;
    }

    auto put_marks(Marks const& marks) -> Result<void> {
        for (auto const& [name, mark] : marks)
            if (auto const put = late_marks_.put(name, mark); !put)
                return put.error();
        return {};
    }

    /// Marks events of another writer id than the own; under the same serial always the same events.
    auto mark_backfill(std::string const& writer, std::string const& serial, Landed const& landed) -> Result<void> {
        auto const closed = ledger_.closed_until();
        if (!closed)
            return closed.error();
        return put_marks(marks_of(writer, serial, landed, *closed, true));
    }

    template <class Change>
    auto change_manifest(std::string const& writer, Change&& change) -> Result<void> {
        auto const updated = update_object(storage_, paths_.manifest(writer),
                                           [&](Object const* current) -> Result<std::optional<Bytes>> {
                                               Writer_Manifest manifest{Process_Identity::current(), clock_->now(), {}};
                                               if (current != nullptr) {
                                                   auto stored = Writer_Manifest::from_json(current->bytes);
                                                   if (!stored)
                                                       return stored.error();
                                                   manifest = *std::move(stored);
                                               }
                                               auto const before = manifest.open;
                                               change(manifest);
                                               if (current != nullptr && manifest.open == before)
                                                   return std::optional<Bytes>();
                                               return std::optional(manifest.to_json());
                                           });
        if (!updated)
            return updated.error();
        return {};
    }

    auto forget_manifest(std::string const& writer) -> Result<void> {
        auto const erased = storage_.erase(paths_.manifest(writer), Precondition::none());
        if (!erased)
            return erased.error();
        return {};
    }

    auto give_back_manifest() -> Result<void> {
        std::string writer;
        {
            Lock const lock(mutex_);
            bool registered = false;
            for (auto const& [window, stream] : streams_) {
                if (stream.unchecked > 0)
                    return {}; // left for an adopter to find
                registered = registered || stream.registered;
            }
            if (!registered)
                return {};
            writer = writer_;
        }
        return forget_manifest(writer);
    }

    auto adopt_abandoned() -> Result<void> {
        std::vector<std::string> ids;
        {
            Lock const lock(mutex_);
            ids = abandoned_;
        }
        for (auto const& id : ids) {
            auto object = storage_.get(paths_.manifest(id));
            if (!object)
                return object.error();
            if (*object)
                if (auto const adopted = adopt_manifest(id, **object); !adopted)
                    return adopted.error();
            Lock const lock(mutex_);
            std::erase(abandoned_, id);
        }
        return {};
    }

    auto adopt(List_Item const& item) -> Result<void> {
        auto writer = std::string_view(item.key).substr(paths_.writers_prefix().size());
        if (writer.size() != 21 || !parse_hex(writer.substr(0, 16)))
            return {};
        writer = writer.substr(0, 16);
        auto object = storage_.get(Storage_Key(item.key));
        if (!object)
            return object.error();
        if (!*object)
            return {};
        auto const manifest = Writer_Manifest::from_json((*object)->bytes);
        if (!manifest)
            return fail(manifest.error().code, item.key + ": " + manifest.error().context);
        auto const own = Process_Identity::current();
        if (manifest->process == own)
            return {};
        if (!manifest->process.is_surely_dead()) {
            // Of a process elsewhere silence is all there is to go by: a day without a change of its manifest, or an
            // hour behind the end of everything that it had open.
            bool const same_host = manifest->process.host == own.host;
            auto newest = manifest->started_at;
            for (auto const window : manifest->open)
                newest = std::max(newest, window.end());
            if (same_host || clock_->now() < newest + std::chrono::hours(1))
                return {};
        }
        return adopt_manifest(std::string(writer), **object);
    }

    auto adopt_manifest(std::string const& writer, Object const& object) -> Result<void> {
        auto const manifest = Writer_Manifest::from_json(object.bytes);
        if (!manifest)
            return manifest.error();
        for (auto const window : manifest->open) {
            Read_State state;
            std::uint64_t count = 0;
            auto const read = reader_.read(window, state, [](Raw_Event const&) -> Result<void> { return {}; });
            if (!read)
                return read.error();
            count = state.position(writer);
            // Always marked, also where a summary seems to hold it all: that summary's parents may be older.
            // Whether they were late when they landed nobody can tell any more, so none is counted as late.
            auto const marked = mark_backfill(writer, "a" + std::to_string(count), {{window, count}});
            if (!marked)
                return marked.error();
        }
        auto const erased = storage_.erase(paths_.manifest(writer), Precondition::only_if(object.version));
        if (!erased)
            return erased.error();
        return {};
    }

    void wake_background() {
        if (!background_.joinable())
            background_ = std::thread([this] { run_background(); });
        if (!background_busy_) {
            background_busy_ = true;
            wake_.notify_one();
        }
    }

    void run_background() {
        using Steady = std::chrono::steady_clock;
        auto next_sync = Steady::now() + std::chrono::seconds(1);
        Lock lock(mutex_);
        while (!closed_) {
            if (!background_busy_) {
                wake_.wait(lock, [&] { return closed_ || background_busy_; });
                continue;
            }
            wake_.wait_for(lock, options_.flush_interval, [&] { return closed_; });
            if (closed_)
                return;
            (void)land(lock); // a failure is counted, and tried again in the next round
            bool idle = waiting_bytes_ == 0;
            if (Steady::now() >= next_sync) {
                auto const sync_now = std::exchange(unsynced_, false);
                lock.unlock();
                if (sync_now)
                    (void)storage_.sync();
                (void)check(false);
                lock.lock();
                (void)retire_windows(lock);
                next_sync = Steady::now() + std::chrono::seconds(1);
            }
            for (auto const& [window, stream] : streams_)
                idle = idle && stream.unchecked == 0;
            if (idle && !unsynced_)
                background_busy_ = false;
        }
    }

    Storage& storage_;
    Log_Paths const paths_;
    Clock_Ptr const clock_;
    Event_Log_Options const options_;
    Log_Settings settings_;
    bool settings_are_stored_ = false;
    bool const straight_through_;

    Raw_Reader<Storage> reader_;
    Ledger<Storage> ledger_;
    Late_Marks<Storage> late_marks_;

    std::mutex mutable mutex_;
    std::condition_variable landed_, wake_;
    std::string writer_;
    std::vector<std::string> abandoned_;
    std::map<Base_Window, Stream> streams_;
    Base_Window last_window_ = Base_Window::containing(earliest_time);
    Stream* last_stream_ = nullptr;
    Recording_Counts counts_;
    std::uint64_t waiting_bytes_ = 0;
    std::uint64_t settled_ = 0;  ///< events up to this number of counts_.recorded are landed or given up
    std::uint64_t given_up_ = 0; ///< the newest event that was given up
    bool landing_ = false;
    bool unsynced_ = false;
    bool closed_ = false;
    bool background_busy_ = false;
    std::thread background_;

    std::mutex check_mutex_;
    std::optional<Marking> marking_; ///< with the two below: of whoever holds check_mutex_
    std::uint64_t mark_serial_ = 0;
    std::chrono::steady_clock::time_point last_marked_{};
};

} // namespace memfs_cache
