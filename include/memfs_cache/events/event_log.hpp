// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/per_process.hpp>
#include <memfs_cache/events/adoption.hpp>
#include <memfs_cache/events/log_writer.hpp>
#include <memfs_cache/events/raw_reader.hpp>
#include <memfs_cache/events/retention.hpp>
#include <memfs_cache/events/sealer.hpp>

#include <functional>
#include <memory>

namespace memfs_cache {

/// The log of one namespace: events from many threads go in, half-hours of events come out. N events cost N / batch
/// storage writes: appends where the storage can, and otherwise objects that never change, of which each half-hour's are
/// put together once it is over. What is stored, in which order, and why nothing is lost or counted twice: docs/format.md and
/// ARCHITECTURE.md, "The event log".
///
/// Threads   every call from any thread. Up to two background threads, begun when there is something to do; none in the
///           mode per_request, where recording does what they do elsewhere.
/// Processes any number on one storage. A child after fork() may go on using its copy: it writes as a process of its
///           own, and leaves to its parent what the parent had in its buffer.
/// Ownership refers to the storage, which must outlive it. The destructor closes.
/// Backends  needs conditional puts; without them opening it is refused, because no window could ever be final.
template <StorageBackend Storage>
class Event_Log {
  public:
    using Visit = Segment_Scanner::Visit;

    /// Writes nothing, unless settings are asked for that the store does not have yet.
    /// @errors invalid_argument if the store was begun with other settings, or an option means nothing; unsupported
    ///         without conditional puts; what the storage says
    [[nodiscard]] static auto open(Storage& storage, Log_Paths paths, Clock_Ptr clock, Event_Log_Options options = {})
        -> Result<std::unique_ptr<Event_Log>> {
        auto const offered = storage.capabilities();
        if (!offered.conditional_put)
            return fail(Errc::unsupported, "events need a storage with conditional writes; choose another backend");
        options = options.on(offered);
        if (options.flush_interval->count() < 1 || options.check_interval->count() < 1)
            return fail(Errc::invalid_argument, "flush_interval_ms: give 1 or more");
        if (auto const sound = options.settings.validate(); !sound)
            return sound.error();
        auto stored = load_settings(storage, paths.settings());
        if (!stored)
            return stored.error();
        if (*stored)
            if (auto const agreed = options.settings.check(**stored); !agreed)
                return agreed.error();
        std::unique_ptr<Event_Log> log(
            new Event_Log(storage, std::move(paths), std::move(clock), std::move(options), *std::move(stored)));
        // Of two processes that ask for different settings at once, one has to learn it now and not when it writes.
        if (log->options_.settings.asks_for_something())
            if (auto const agreed = log->store_settings(); !agreed)
                return agreed.error();
        return log;
    }

    /// Has something else done where the log does what need not be done at once: after events have landed, at most each
    /// check interval. For the owner of the log, before anything is recorded.
    void also_in_background(std::function<void()> chore) { chore_ = std::move(chore); }

    /// Has the events of each own stream summed up while they land, and that stored now and then, where a half-hour is
    /// many objects. For the owner of the log, before anything is recorded.
    void sum_up_streams(Make_Stream_Summary make) { make_summary_ = std::move(make); }
    /// What others, and this process, have summed up of a half-hour; nothing where pieces grow.
    /// Cost    as read_partials
    [[nodiscard]] auto partials(Base_Window window) const -> Result<std::vector<Partial_Summary>> {
        if (appends_)
            return std::vector<Partial_Summary>();
        return read_partials(storage_, paths_, window);
    }
    /// Makes few pieces of the many that a half-hour consists of where nothing grows, before they are all read; those
    /// are removed when they have been of no use for an hour.
    /// Cost    as Sealer::seal; nothing where pieces grow
    [[nodiscard]] auto compose(Base_Window window) -> Result<void> {
        if (appends_)
            return {};
        writer().tidy_later({window});
        return sealer().seal(window);
    }

    Event_Log(Event_Log const&) = delete;
    auto operator=(Event_Log const&) -> Event_Log& = delete;
    ~Event_Log() = default;

    /// Records one event.
    /// @param  time    of the event itself; decides its half-hour
    /// @param  append  (std::string& out): appends one JSON object with at least one member, no blank before the first
    ///                 and no line break
    /// @errors invalid_argument for a time before 1970 or more than 24 h ahead of the clock, or text that is no such
    ///         object; too_large; throttled if the buffer is full (counted as dropped); closed. In the modes durable and
    ///         per_request also indeterminate: the event is not known to be stored, stays in the buffer and is tried
    ///         again, at the latest with the next one. None where recording is off: nothing happens
    /// Cost    buffered: one lock and a copy into the buffer, nothing allocated in the steady state
    template <class Append>
    [[nodiscard]] auto record(Utc_Time time, Append&& append) -> Result<void> {
        if (!is_recording())
            return {};
        return record(time, clock_->now(), append);
    }
    /// The same for callers that have just asked the clock.
    template <class Append>
    [[nodiscard]] auto record(Utc_Time time, Utc_Time now, Append&& append) -> Result<void> {
        if (!is_recording())
            return {};
        if (time < earliest_time)
            return fail(Errc::invalid_argument, "timestamp: before 1970");
        if (time > latest_time || time > now + std::chrono::hours(24))
            return fail(Errc::invalid_argument, "timestamp: more than 24 hours ahead of the clock");
        return writer().record(time, append);
    }

    [[nodiscard]] auto recording() const noexcept -> Recording_Mode { return options_.mode; }
    [[nodiscard]] auto is_recording() const noexcept -> bool { return options_.mode != Recording_Mode::off; }

    /// Lands everything that was recorded before the call, and looks whether it came late.
    /// @errors what the storage says; what could not be landed stays in the buffer and is tried again
    [[nodiscard]] auto flush() -> Result<void> { return writer().flush(); }

    /// Makes everything of this process that has landed survive loss of power.
    /// Cost    nothing unless something landed since the last time
    [[nodiscard]] auto sync() -> Result<void> { return writer().sync(); }

    /// Flushes, gives back the manifest and ends the background thread. Later calls of record() are refused. After an
    /// error it may be called again; what the storage has not taken then is lost with the log.
    [[nodiscard]] auto close() -> Result<void> { return writer().close(); }

    /// Visits every stored event of a half-hour that `seen` does not hold. Call flush() first, and read_unlanded()
    /// after: then everything recorded before is found, even while the storage takes no more writes.
    /// @param  seen    as in Raw_Reader::read
    /// @param  wanted  likewise
    [[nodiscard]] auto
    read(Base_Window window, Read_State& seen, Visit const& visit, Wanted_Events const& wanted = {}) const
        -> Result<void> {
        return reader_.read(window, seen, visit, wanted);
    }
    /// Visits what `seen` misses of the own events of a half-hour: those that the storage has not taken, and those that
    /// it took after `seen` was read. They are not entered in `seen`; the next read finds them.
    [[nodiscard]] auto read_unlanded(Base_Window window, Read_State const& seen, Visit const& visit) const
        -> Result<void> {
        auto own = writer().unlanded(window);
        auto position = seen.position(own.writer);
        if (position < own.position) {
            auto now_seen = seen;
            now_seen.listed_whole.reset(); // the own ones must not be overlooked, however old
            for (bool moved = true; moved && position < own.position;) {
                if (auto const read = reader_.read(window, now_seen, visit); !read)
                    return read.error();
                own = writer().unlanded(window);
                moved = now_seen.position(own.writer) > position;
                position = now_seen.position(own.writer);
            }
        }
        for (std::size_t begin = 0; begin < own.lines.size(); ++own.position) {
            auto const end = own.lines.find('\n', begin);
            if (own.position >= position)
                if (auto const visited = visit({std::string_view(own.lines).substr(begin, end - begin), std::nullopt});
                    !visited)
                    return visited.error();
            begin = end + 1;
        }
        return {};
    }

    /// Half-hours in [start, end) that have events, stored or waiting, in order.
    /// @param  goes_on_at  as of Raw_Reader::windows; of those that wait none is passed over
    template <class Goes_On_At = End_Of_Half_Hour>
    [[nodiscard]] auto windows(Utc_Time start, Utc_Time end, Goes_On_At const& goes_on_at = {}) const
        -> Result<std::vector<Base_Window>> {
        // The own ones first, so that what lands meanwhile is found in one place or in the other.
        auto own = writer().unlanded_windows();
        std::erase_if(own, [&](auto window) { return window.start() < start || window.start() >= end; });
        auto const stored = reader_.windows(start, end, goes_on_at);
        if (!stored)
            return stored.error();
        std::vector<Base_Window> all;
        all.reserve(own.size() + stored->size());
        std::set_union(own.begin(), own.end(), stored->begin(), stored->end(), std::back_inserter(all));
        return all;
    }
    /// The newest half-hour that has events, stored or waiting, if there is one.
    [[nodiscard]] auto newest_window() const -> Result<std::optional<Base_Window>> {
        auto const own = writer().unlanded_windows();
        auto newest = reader_.newest_window();
        if (newest && !own.empty())
            newest = std::max(*newest, std::optional(own.back()));
        return newest;
    }

    [[nodiscard]] auto settings() const -> Log_Settings { return writer().settings().get(); }
    /// Makes sure that what every process must agree on lies in the store; done by whoever writes first.
    [[nodiscard]] auto store_settings() -> Result<void> { return writer().settings().store(); }
    [[nodiscard]] auto storage() const noexcept -> Storage& { return storage_; }
    [[nodiscard]] auto paths() const noexcept -> Log_Paths const& { return paths_; }
    [[nodiscard]] auto ledger() noexcept -> Ledger<Storage>& { return ledger_; }
    [[nodiscard]] auto late_marks() noexcept -> Late_Marks<Storage>& { return late_marks_; }
    /// What was purged of a half-hour; nothing if nothing was.
    /// Cost    one get; nothing for half-hours that are too young
    [[nodiscard]] auto purged(Base_Window window) const -> Result<std::optional<Purged_Window>> {
        if (clock_->now() < window.end() + fresh_for)
            return std::optional<Purged_Window>();
        return purge_marks_.find(window);
    }
    /// As Purge_Marks::windows.
    /// Cost    likewise; nothing for ranges that are too young
    [[nodiscard]] auto purged_windows(Utc_Time start, Utc_Time end, bool days_only = false) const
        -> Result<std::vector<Base_Window>> {
        if (clock_->now() < start + Base_Window::length + fresh_for)
            return std::vector<Base_Window>();
        return purge_marks_.windows(start, end, days_only);
    }
    [[nodiscard]] auto purge_marks() noexcept -> Purge_Marks<Storage>& { return purge_marks_; }
    [[nodiscard]] auto clock() const noexcept -> Clock_Ptr const& { return clock_; }
    [[nodiscard]] auto counts() const -> Recording_Counts { return writer().counts(); }

    /// Registers half-hours for a writer id of an import, before its first event lands.
    [[nodiscard]] auto register_import(std::string const& writer, std::set<Base_Window> const& windows)
        -> Result<void> {
        if (auto const stored = store_settings(); !stored)
            return stored.error();
        return add_to_manifest(storage_, paths_.manifest(writer), windows, clock_->now());
    }
    /// Lands the events of an import: one half-hour's events of one block of a log, as a piece that never changes. The
    /// writer id is derived from the block's content, so that doing it again, or twice at once, changes nothing.
    /// @param  lines  what sealed lines look like on the storage, `count` of them from position 0, without the header
    [[nodiscard]] auto land_import(Segment_Name const& name, Base_Window window, Utc_Time at, Bytes const& lines)
        -> Result<void> {
        constexpr int most_tries = 8;
        auto const bytes = segment_header(name, window, {at, {}}).append(lines);
        auto const key = Storage_Key(paths_.raw_folder(window) + name.text());
        auto when = Precondition::absent();
        for (int tries = 0; tries < most_tries; ++tries) {
            auto const written = storage_.put(key, bytes, when, {.durability = Durability::buffered});
            if (!written)
                return written.error();
            if (written->state == Put_State::applied)
                return {};
            auto const present = storage_.get(key);
            if (!present)
                return present.error();
            if (*present && (*present)->bytes == bytes)
                return {};
            // Only this very import uses this name, so other bytes are what a loss of power left of it.
            when = *present ? Precondition::only_if((*present)->version) : Precondition::absent();
        }
        return fail(Errc::conflict, key.str() + " is being changed by others; import again");
    }
    /// Makes an import's events safe, puts the marks of those that came into closed windows, and forgets its
    /// registration.
    [[nodiscard]] auto finish_import(std::string const& writer, std::map<Base_Window, std::uint64_t> const& landed)
        -> Result<void> {
        if (auto const synced = storage_.sync(); !synced)
            return synced.error();
        auto const closed_until = ledger_.closed_until();
        if (!closed_until)
            return closed_until.error();
        auto const now = clock_->now();
        auto const marks = marks_of(landed, *closed_until, now, true);
        if (auto const put = late_marks_.put_backfill(marks, writer, "0"); !put)
            return put.error();
        if (!landed.empty()) {
            Receipt const receipt{now, landed.begin()->first.start(), landed.rbegin()->first.end()};
            if (auto const noted = note_receipt(storage_, paths_, receipt); !noted)
                return noted.error();
        }
        if (auto const erased = storage_.erase(paths_.manifest(writer), Precondition::none()); !erased)
            return erased.error();
        return {};
    }

    /// Seals the half-hours of [start, end) that have been over for an hour, and removes what was sealed an hour ago: at
    /// once what is otherwise done by and by.
    /// @errors the first that was met; it keeps no other half-hour from it
    /// Cost    a few lists for each half-hour with events, and a read of what is not sealed yet
    [[nodiscard]] auto seal(Utc_Time start, Utc_Time end) -> Result<void> {
        auto const ripe = clock_->now() - settings().grace - options_.seals.patience - Base_Window::length;
        auto const windows = reader_.windows(start, std::min(end, ripe));
        if (!windows)
            return windows.error();
        Result<void> outcome;
        auto by = sealer();
        for (auto const window : *windows) {
            auto const sealed = by.seal(window);
            auto const removed = sealed ? by.remove_sealed(window) : sealed.error();
            if (!removed && outcome)
                outcome = removed.error();
        }
        return outcome;
    }

    /// Finds what writers that died left unmarked, marks it and forgets them. Safe on a living writer.
    [[nodiscard]] auto adopt_dead_writers() -> Result<void> {
        Adoption<Storage> adoption(storage_, paths_, *clock_);
        auto const adopted = adoption.run();
        writer().tidy_later(adoption.windows());
        return adopted;
    }

  private:
    Event_Log(Storage& storage,
              Log_Paths paths,
              Clock_Ptr clock,
              Event_Log_Options options,
              std::optional<Log_Settings> stored_settings)
        : storage_(storage), paths_(std::move(paths)), clock_(std::move(clock)), options_(std::move(options)),
          stored_settings_(std::move(stored_settings)), appends_(storage.capabilities().append),
          reader_(storage_, paths_, *options_.whole_list_interval), ledger_(storage_, paths_.ledger()),
          late_marks_(storage_, paths_), purge_marks_(storage_, paths_), writer_([this] { return new_writer(); }) {}

    [[nodiscard]] auto new_writer() const -> std::unique_ptr<Log_Writer<Storage>> {
        return std::make_unique<Log_Writer<Storage>>(storage_, paths_, *clock_, options_, chore_, make_summary_,
                                                     stored_settings_);
    }

    [[nodiscard]] auto writer() const -> Log_Writer<Storage>& { return writer_.get(); }
    [[nodiscard]] auto sealer() const -> Sealer<Storage> { return {storage_, paths_, *clock_, options_.seals}; }

    Storage& storage_;
    Log_Paths const paths_;
    Clock_Ptr const clock_;
    Event_Log_Options const options_;
    std::function<void()> chore_;
    Make_Stream_Summary make_summary_;
    std::optional<Log_Settings> const stored_settings_; ///< when it was opened
    bool const appends_;
    Raw_Reader<Storage> reader_;
    Ledger<Storage> ledger_;
    Late_Marks<Storage> late_marks_;
    Purge_Marks<Storage> purge_marks_;
    mutable Per_Process<Log_Writer<Storage>> writer_;
};

} // namespace memfs_cache
