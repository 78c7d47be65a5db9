// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/entries/entry_store.hpp>
#include <memfs_cache/lets/newest_events.hpp>
#include <memfs_cache/lets/purger.hpp>
#include <memfs_cache/lets/rebuilding.hpp>
#include <memfs_cache/namespaces/analytics.hpp>
#include <memfs_cache/namespaces/handler.hpp>
#include <memfs_cache/namespaces/transfers/active_transfers.hpp>
#include <memfs_cache/namespaces/transfers/transfer_summary.hpp>
#include <memfs_cache/namespaces/transfers/transfers_summary.hpp>
#include <memfs_cache/storage/update.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

struct Transfers_Options {
    std::size_t summary_cache_bytes = 64 << 20;
    /// How often at most the files are written again that are copies of what is happening now.
    std::chrono::milliseconds copy_interval{60'000};
};

/// What happens to the files that people hand each other: who looked, who downloaded, and when.
///
/// There is no log of its own. An event of a transfer is one record of the analytics that these are the transfers of, with
/// its transfer_id; whoever records a request with one has recorded both. Windows of all transfers that were active in
/// them, and a summary of each transfer, are made from that log.
///
/// Names    ids of transfers are 1 to 128 of A-Z a-z 0-9 _ -
/// Errors   what cannot be written beside an answer keeps nobody from it: it is counted, and shown by health()
/// Threads  every call from any thread
/// Ownership refers to the storage and the analytics, which must outlive it
template <StorageBackend Storage>
class Transfers {
  public:
    /// @param  name       where its windows lie: namespace_of_transfers() of the analytics
    /// @param  analytics  whose log it reads; not null
    /// @errors none
    [[nodiscard]] static auto open(Storage& storage,
                                   std::string_view root,
                                   Namespace_Name const& name,
                                   Clock_Ptr clock,
                                   Analytics<Storage>* analytics,
                                   Transfers_Options options = {}) -> Result<std::unique_ptr<Transfers>> {
        return std::unique_ptr<Transfers>(
            new Transfers(storage, root, name, std::move(clock), *analytics, std::move(options)));
    }

    /// Records that something happened to a transfer: one event of the analytics, and of nothing else.
    /// @return its id; "" where recording is off
    /// @errors invalid_argument for what is no id of a transfer; as Analytics::record
    [[nodiscard]] auto record(std::string_view transfer_id, Transfer_Act act, New_Transfer_Event const& event = {})
        -> Result<std::string> {
        if (auto const checked = check(transfer_id); !checked)
            return checked.error();
        return analytics_.record(event.as_analytics(transfer_id, act));
    }

    /// What happened to a transfer, complete to the moment of the call: from saved windows that name it, and what of today
    /// is in none yet. What of it is over is kept in a file, so that the next question begins there.
    /// @errors invalid_argument for what is no id; not_found if no event names it; as LETS_Aggregator::query
    /// Cost    a list and a read for each month and each day since the last question that may name it; nothing is read
    ///         from raw events but what is in no saved window
    [[nodiscard]] auto summary(std::string_view transfer_id) -> Result<Transfer_Summary> {
        if (auto const checked = check(transfer_id); !checked)
            return checked.error();
        (void)log_.flush(); // what cannot be landed is read from the buffer
        auto cache_id = find_entry(transfer_id);
        if (!cache_id)
            return cache_id.error();
        auto const begin = first_month();
        if (!begin)
            return begin.error();
        // Before anything is read, so that a mark which comes meanwhile leaves the answer behind it.
        auto const marks = log_.late_marks().names(*begin, horizon());
        if (!marks)
            return marks.error();
        auto const kept = cache_id->empty() ? Result<std::optional<Transfer_File>>(std::nullopt) : load(*cache_id);
        if (!kept)
            return kept.error();

        Transfer_Past past{*begin, *begin, 0, 0, {}};
        if (*kept && (*kept)->past.from == *begin &&
            (*kept)->past.revision == revision(*marks, *begin, (*kept)->past.until))
            past = (*kept)->past;
        Transfer_Past present;
        if (auto const done = collect(transfer_id, past, present); !done)
            return done.error();
        if (auto const done = aggregator_.sync(); !done)
            return done.error();
        past.revision = revision(*marks, past.from, past.until);

        Transfer_Summary summary;
        summary.transfer_id = transfer_id;
        summary.figures = past.figures;
        summary.figures.merge(present.figures);
        summary.error = past.error + present.error;
        summary.unique_downloaders_period = log_.settings().salt_period;
        summary.computed_at = log_.clock()->now();
        summary.revision = marks->size();
        if (summary.figures.events == 0)
            return fail(Errc::not_found, "no event names the transfer '" + summary.transfer_id + "'");
        keep(summary, past, *kept, *std::move(cache_id));
        return summary;
    }

    /// The last events of a transfer, newest first. Looks only into half-hours whose windows name it; there is nothing of
    /// those whose raw events were purged.
    /// @param  most  1..10000
    /// @errors invalid_argument; as LETS_Aggregator::query
    [[nodiscard]] auto events(std::string_view transfer_id, std::size_t most = 100)
        -> Result<std::vector<Transfer_Event>> {
        if (auto const checked = check(transfer_id); !checked)
            return checked.error();
        if (most < 1 || most > 10'000)
            return fail(Errc::invalid_argument, "limit: give 1 to 10000");
        (void)log_.flush();
        auto const begin = first_month();
        if (!begin)
            return begin.error();
        auto const names = [&](Window const& window) -> Result<bool> {
            auto one = Transfers_Summary::of_one(std::string(transfer_id));
            if (auto const status = aggregator_.merge_part(window, one); !status)
                return status.error();
            return !one.transfers().empty() || !one.is_exact();
        };
        auto const take =
            [&, record = Analytics_Record()](Raw_Event const& raw) mutable -> Result<std::optional<Transfer_Event>> {
            std::optional<Transfer_Event> event;
            if (auto const read = record.read(raw); !read)
                return read.error();
            if (auto const act = act_of(record); act && record.transfer_id == transfer_id)
                event = Transfer_Event::of(record, *act);
            return event;
        };
        auto found = Newest_Events<Transfer_Event, Storage>(log_, wanted(transfer_id), names, take).find(*begin, most);
        if (auto const done = aggregator_.sync(); !done)
            return done.error();
        return found;
    }

    /// The most active transfers of the last minutes, read from raw events as a pulse is. Now and then a copy is left in
    /// data/latest/active-transfers.json, and never an older one in the place of a newer one.
    /// @param  window_minutes  1..1440
    /// @errors as Recent_Reader::read
    [[nodiscard]] auto active(int window_minutes = 60) -> Result<Active_Transfers> {
        Recent_Transfers::Count counted;
        auto const now = recent_.read(window_minutes, counted);
        if (!now)
            return now.error();
        auto answer = counted.answer(*now, window_minutes);
        if (is_copy_due(*now))
            note(put_newer(paths_.under("latest/active-transfers.json"), answer.to_file(), *now,
                           &Active_Transfers::time_of_file));
        return answer;
    }

    /// What happened to all transfers in a window, such as ("daily", "2026-02-13").
    /// @errors invalid_argument for an unknown type, a malformed key or a window in the future; as LETS_Aggregator::query
    [[nodiscard]] auto aggregation(std::string_view window_type, std::string_view window_key)
        -> Result<Transfers_Window> {
        auto const type = parse_window_type(window_type);
        if (!type)
            return type.error();
        auto const window = Window::parse(*type, window_key);
        if (!window)
            return window.error();
        auto const result = aggregator_.query(*window);
        if (!result)
            return result.error();
        return Transfers_Window{*result, *result->summary};
    }

    /// Deletes saved windows that the policy lets go. Raw events are those of the analytics, whose purge takes them.
    /// @see Purger
    [[nodiscard]] auto purge(Purge_Options const& options) -> Result<Purge_Report> {
        return Purger(log_, aggregator_, options).run([](Purge_Report&, auto const&) -> Result<void> { return {}; });
    }
    /// What a purge of the analytics has to know of it, so that what goes is in its windows. Refers to it.
    [[nodiscard]] auto view() -> Log_View {
        return {paths_,
                [record = Analytics_Record()](Raw_Event const& raw) mutable -> Result<bool> {
                    if (auto const read = record.read(raw); !read)
                        return read.error();
                    return act_of(record).has_value();
                },
                [this](Window const& window) -> Result<Window_Status> {
                    auto const answer = aggregator_.query(window);
                    return answer ? Result<Window_Status>(*answer) : answer.error();
                }};
    }
    /// Builds all saved windows again that touch [start, end).
    /// @see rebuild_windows
    [[nodiscard]] auto rebuild_range(Utc_Time start, Utc_Time end, bool dry_run = false) -> Result<Rebuild_Report> {
        return rebuild_windows(log_, aggregator_, start, end, dry_run);
    }
    /// Builds saved windows again that late events have overtaken.
    /// @see memfs_cache::refresh_due
    [[nodiscard]] auto refresh_due(std::size_t limit) -> Result<Refresh_Report> {
        return memfs_cache::refresh_due(log_, aggregator_, limit);
    }

    [[nodiscard]] auto name() const -> Namespace_Name const& { return name_; }
    [[nodiscard]] auto flush() -> Result<void> { return log_.flush(); }
    /// What comes later is refused by whoever closes the analytics.
    [[nodiscard]] auto close() -> Result<void> { return log_.flush(); }
    [[nodiscard]] auto health() const -> Handler_Health {
        auto const failed = failed_copies_.load(std::memory_order_relaxed);
        return {failed > 0, {{"failed_copies", failed}, {"rebuilt_states", aggregator_.lost_states()}}};
    }

  private:
    Transfers(Storage& storage,
              std::string_view root,
              Namespace_Name name,
              Clock_Ptr clock,
              Analytics<Storage>& analytics,
              Transfers_Options options)
        : storage_(storage), paths_(root, name), name_(std::move(name)), options_(options), analytics_(analytics),
          log_(analytics.log()), entries_(storage, std::string(root), std::move(clock)), reader_(storage, log_.paths()),
          aggregator_(storage, log_, paths_, options_.summary_cache_bytes), recent_(log_) {}

    static auto check(std::string_view transfer_id) -> Result<void> {
        if (!is_transfer_id(transfer_id))
            return fail(Errc::invalid_argument, "transfer_id: give 1 to 128 of A-Z a-z 0-9 _ -");
        return {};
    }
    static auto wanted(std::string_view transfer_id) -> Wanted_Events {
        return {.member = "transfer_id", .value = transfer_id};
    }
    /// No event is stamped later.
    [[nodiscard]] auto horizon() const -> Utc_Time { return log_.clock()->now() + std::chrono::hours(24); }

    // The parts of a summary

    /// The start of the month in which the first event that may be known lies.
    /// Cost    four lists
    auto first_month() const -> Result<Utc_Time> {
        auto first = log_.clock()->now();
        auto const see = [&](std::string const& prefix, auto const& time_of) -> Result<void> {
            for (List_Query query{prefix, {}, 1};;) {
                auto page = std::as_const(storage_).list(query);
                if (!page)
                    return page.error();
                if (page->items.empty())
                    return {};
                query.start_after = page->items.front().key;
                if (auto const time = time_of(page->items.front().key)) { // not a stranger's file
                    first = std::min(first, *time);
                    return {};
                }
            }
        };
        auto const folder = paths_.data_prefix() + "aggregations/";
        auto const of_saved = [&](std::string const& key) -> std::optional<Utc_Time> {
            auto const window = Window::from_file(std::string_view(key).substr(folder.size()));
            return window ? std::optional(window->start()) : std::nullopt;
        };
        auto const of_raw = [&](std::string const& key) -> std::optional<Utc_Time> {
            auto const window = reader_.window_of(key);
            return window ? std::optional(window->start()) : std::nullopt;
        };
        auto const of_mark = [&](std::string const& key) { return log_.paths().day_of_purge_mark(key); };
        auto seen = see(log_.paths().raw_prefix(), of_raw);
        if (seen)
            seen = see(log_.paths().purged_prefix(), of_mark);
        for (auto const type : {Window_Type::daily, Window_Type::monthly})
            if (seen)
                seen = see(folder + std::string(to_text(type)) + "/", of_saved);
        if (!seen)
            return seen.error();
        return Window::containing(Window_Type::monthly, first).start();
    }

    static auto revision(std::vector<Late_Mark_Name> const& marks, Utc_Time start, Utc_Time end) -> std::uint64_t {
        return static_cast<std::uint64_t>(
            std::count_if(marks.begin(), marks.end(), [&](auto const& mark) { return mark.touches(start, end); }));
    }

    /// Adds what happened to a transfer since past.until: to the past as far as it is over, else to the present.
    auto collect(std::string_view transfer_id, Transfer_Past& past, Transfer_Past& present) -> Result<void> {
        auto const end = horizon();
        // Before anything is listed: up to there nothing comes any more without a mark.
        auto const closed = log_.ledger().closed_until();
        if (!closed)
            return closed.error();
        bool is_over = true;
        auto const pass_to = [&](Utc_Time time) { // nothing is there until then
            is_over = is_over && (time <= past.until || time <= *closed);
        };
        auto const take = [&](Window const& window, bool is_final, Transfer_Past const& part) {
            pass_to(window.start());
            is_over = is_over && is_final;
            auto& into = is_over ? past : present;
            into.figures.merge(part.figures);
            into.error += part.error;
            if (is_over)
                past.until = window.end();
        };
        auto const months = aggregator_.active_windows(Window_Type::monthly, past.until, end);
        if (!months)
            return months.error();
        for (auto const& month : *months) {
            auto one = Transfers_Summary::of_one(std::string(transfer_id));
            auto const status = aggregator_.merge_part(month, one);
            if (!status)
                return status.error();
            // A month that is over is its days; and in one that does not name the transfer there is nothing to look for.
            bool const is_whole = past.until <= month.start();
            if (one.is_exact() && ((is_whole && status->final) || one.transfers().empty())) {
                take(month, status->final, part_of(one));
                continue;
            }
            auto const days = aggregator_.active_windows(Window_Type::daily, std::max(month.start(), past.until),
                                                         std::min(month.end(), end));
            if (!days)
                return days.error();
            for (auto const& day : *days) {
                Transfer_Past part;
                auto const final = add_part(day, transfer_id, part);
                if (!final)
                    return final.error();
                take(day, *final, part);
            }
            if (is_over && status->final)
                past.until = month.end();
        }
        return {};
    }

    /// What a summary of one transfer counts.
    static auto part_of(Transfers_Summary const& one) -> Transfer_Past {
        Transfer_Past part;
        for (auto const& entry : one.transfers())
            part.figures.merge(entry.second);
        return part;
    }

    /// Adds what happened to a transfer in a window. What a window does not know, since more transfers were active in it
    /// than it keeps apart, its parts do, and in the end the raw events.
    /// @return whether the window is final
    auto add_part(Window const& window, std::string_view transfer_id, Transfer_Past& part) -> Result<bool> {
        auto one = Transfers_Summary::of_one(std::string(transfer_id));
        auto const status = aggregator_.merge_part(window, one);
        if (!status)
            return status.error();
        auto const add = [&part](Transfers_Summary const& from) {
            for (auto const& [id, figures] : from.transfers())
                part.figures.merge(figures);
        };
        if (one.is_exact()) {
            add(one);
            return status->final;
        }
        if (auto const child = child_type(window.type())) {
            for (auto below = Window::containing(*child, window.start()); below.start() < window.end();
                 below = below.next())
                if (auto const added = add_part(below, transfer_id, part); !added)
                    return added;
            return status->final;
        }
        auto const base = Base_Window::containing(window.start());
        auto const purged = log_.purged(base);
        if (!purged)
            return purged.error();
        if (*purged) {
            add(one);
            part.error += one.error();
            return status->final;
        }
        auto all = Transfers_Summary::of_one(std::string(transfer_id));
        auto const visit = [&, record = Analytics_Record()](Raw_Event const& raw) mutable -> Result<void> {
            if (auto const read = record.read(raw); !read)
                return read.error();
            all.add(record);
            return {};
        };
        Read_State state;
        if (auto const read = log_.read(base, state, visit, wanted(transfer_id)); !read)
            return read.error();
        if (auto const read = log_.read_unlanded(base, state, visit); !read)
            return read.error();
        add(all);
        return status->final;
    }

    // Files

    static auto source_of(std::string_view transfer_id) -> Python_Json {
        return Python_Json(std::string("transfer:").append(transfer_id));
    }
    /// The id of a transfer's entry; "" if it has none.
    auto find_entry(std::string_view transfer_id) const -> Result<std::string> {
        auto const source = source_of(transfer_id);
        auto const hash = entries_.hash_of_source(source);
        if (!hash)
            return hash.error();
        auto const known = entries_.lookup(name_.str(), *hash, source);
        if (!known)
            return known.error();
        return *known ? (*known)->str() : std::string();
    }
    [[nodiscard]] auto key_of(std::string const& cache_id) const -> Storage_Key {
        return paths_.under("aggregations/per-transfer/" + cache_id + "/summary.json");
    }
    /// What is kept of a transfer; nothing if there is nothing, or nothing of use.
    auto load(std::string const& cache_id) const -> Result<std::optional<Transfer_File>> {
        auto const object = std::as_const(storage_).get(key_of(cache_id));
        if (!object)
            return object.error();
        auto file = *object ? Transfer_File::parse((*object)->bytes) : fail(Errc::not_found, "");
        return file ? std::optional(*std::move(file)) : std::nullopt; // a damaged one is made again
    }

    /// Writes down what was found, unless what is there will do.
    void keep(Transfer_Summary& summary,
              Transfer_Past const& past,
              std::optional<Transfer_File> const& there,
              std::string cache_id) {
        if (cache_id.empty()) {
            auto made = entries_.create(name_.str(), source_of(summary.transfer_id));
            if (!made)
                return note(made.error());
            cache_id = made->str();
        }
        summary.cache_id = cache_id;
        if (there && there->past.is_of_the_same_time(past) &&
            (there->events == summary.figures.events ||
             summary.computed_at < there->computed_at + options_.copy_interval))
            return;
        auto const time_of = [](std::string_view text) -> std::optional<Utc_Time> {
            auto const file = Transfer_File::parse(text);
            return file ? std::optional(file->computed_at) : std::nullopt;
        };
        note(put_newer(key_of(cache_id), Transfer_File::text(summary, past), summary.computed_at, time_of));
    }

    /// Puts a file in the place of an older one.
    template <class Time_Of>
    auto put_newer(Storage_Key const& key, std::string const& text, Utc_Time time, Time_Of const& time_of)
        -> Result<void> {
        auto const put = update_object(storage_, key, [&](Object const* current) -> Result<std::optional<Bytes>> {
            auto const known = current == nullptr ? std::nullopt : time_of(current->bytes);
            return known && *known >= time ? std::nullopt : std::optional(text);
        });
        return put ? Result<void>() : put.error();
    }
    void note(Result<void> const& done) {
        if (!done)
            failed_copies_.fetch_add(1, std::memory_order_relaxed);
    }
    auto is_copy_due(Utc_Time now) -> bool {
        auto next = next_copy_.load();
        return to_millis(now) >= next &&
               next_copy_.compare_exchange_strong(next, to_millis(now + options_.copy_interval));
    }

    Storage& storage_;
    Log_Paths const paths_;
    Namespace_Name const name_;
    Transfers_Options const options_;
    Analytics<Storage>& analytics_;
    Event_Log<Storage>& log_;
    Entry_Store<Storage> entries_;
    Raw_Reader<Storage> const reader_;
    LETS_Aggregator<Storage, Analytics_Record, Transfers_Summary> aggregator_;
    Recent_Reader<Storage, Recent_Transfers> recent_;
    std::atomic<std::int64_t> next_copy_{0};
    std::atomic<std::uint64_t> failed_copies_{0};
};

} // namespace memfs_cache
