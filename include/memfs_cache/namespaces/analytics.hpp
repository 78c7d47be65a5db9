// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/lets/question_desk.hpp>
#include <memfs_cache/lets/rebuilding.hpp>
#include <memfs_cache/namespaces/analytics/analytics_event.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>
#include <memfs_cache/namespaces/analytics/client_memo.hpp>
#include <memfs_cache/namespaces/analytics/day_salts.hpp>
#include <memfs_cache/namespaces/analytics/event_intake.hpp>
#include <memfs_cache/namespaces/analytics/excluded_paths.hpp>
#include <memfs_cache/namespaces/analytics/pulse.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>
#include <memfs_cache/namespaces/analytics/request_view.hpp>
#include <memfs_cache/namespaces/analytics/series.hpp>
#include <memfs_cache/namespaces/handler.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What a visitor is counted by.
enum class Visitor_Key {
    ip,    ///< the client address
    ip_ua, ///< address and user agent: people behind one address are told apart, one person with two browsers is two
    none,  ///< nobody is hashed and no visitor is counted
};

struct Analytics_Options {
    Event_Log_Options log;
    Visitor_Key visitor_key = Visitor_Key::ip;
    bool keep_country = true;        ///< false: no country is stored, whoever gives one
    Trusted_Proxies trusted_proxies; ///< whose X-Forwarded-For is believed; nobody's by default
    Excluded_Paths exclude_paths;    ///< whose requests are not recorded; imports and events of one's own are
    std::size_t summary_cache_bytes = 64 << 20;
};

/// Request analytics of one site: records what was requested, and answers what happened in a window or is going on now.
///
/// Privacy  addresses, user agents, referrers and query strings are inputs only. They are hashed or normalised here,
///          whatever entrance they come through, and never reach the storage.
/// Threads  every call from any thread.
/// Ownership refers to the storage, which must outlive it.
template <StorageBackend Storage>
class Analytics {
  public:
    /// @param  root  root prefix of the store, such as "cache"; "" for none
    /// @errors as Event_Log::open
    [[nodiscard]] static auto open(Storage& storage,
                                   std::string_view root,
                                   Namespace_Name const& name,
                                   Clock_Ptr clock,
                                   Analytics_Options options = {}) -> Result<std::unique_ptr<Analytics>> {
        auto log = Event_Log<Storage>::open(storage, Log_Paths(root, name), std::move(clock), options.log);
        if (!log)
            return log.error();
        std::unique_ptr<Analytics> analytics(new Analytics(storage, name, *std::move(log), std::move(options)));
        if (analytics->hashes_visitors())
            analytics->salts_.load(analytics->log_->clock()->now());
        return analytics;
    }

    /// Makes what the first request of a day would otherwise wait for. For hosts, before they begin to listen; later
    /// days are prepared in the background.
    /// @errors what the storage says; then visitors are left out, and counted, until it answers
    [[nodiscard]] auto prepare() -> Result<void> {
        return hashes_visitors() ? salts_.prepare(log_->clock()->now()) : Result<void>();
    }

    /// Records a request that was served. It never fails the request: what could not be recorded is counted and shown
    /// by health().
    /// @return the event's id; empty if it was not recorded
    /// Cost    under a microsecond; nothing is allocated in the steady state. Buffered, it waits for the storage only if
    ///         nobody has prepared the salt of the day: in a process that did not call prepare() and is the first to
    ///         record on a day, or after an hour before midnight without any request.
    auto record_request(Request_View const& request) noexcept -> Event_Id {
        try {
            auto const recorded = record_view(request);
            if (recorded)
                return *recorded;
        } catch (...) { // out of memory: the request goes on without its record
        }
        lost_.fetch_add(1, std::memory_order_relaxed);
        return {};
    }

    /// The same for callers that want to know why it failed.
    /// @errors invalid_argument: time, duration or status out of range; else as Event_Log::record
    [[nodiscard]] auto record_view(Request_View const& request) -> Result<Event_Id> {
        if (!log_->is_recording())
            return Event_Id();
        if (!options_.exclude_paths.empty() && options_.exclude_paths.contains(path_of(request.target))) {
            excluded_.fetch_add(1, std::memory_order_relaxed);
            return Event_Id();
        }
        Event_Intake intake;
        if (auto const taken = intake.take(request); !taken)
            return taken.error();
        auto const id = ids_.next();
        intake.record.event_id = id.view();
        auto const now = log_->clock()->now();
        if (auto const timed = set_time(intake.record, request.timestamp, now); !timed)
            return timed.error();
        set_client(intake, request);
        if (auto const stored = store(intake.record, now); !stored)
            return stored.error();
        return id;
    }

    /// What record_request would store, for those who land events themselves: calls use(Analytics_Record const&). It
    /// differs in one thing: while the salt cannot be had this fails instead of leaving the visitor out, since an import
    /// can be done again.
    /// @errors invalid_argument: time, duration or status out of range; what the storage says
    template <class Use>
    [[nodiscard]] auto with_record(Request_View const& request, std::string_view event_id, Use&& use) -> Result<void> {
        Event_Intake intake;
        if (auto const taken = intake.take(request); !taken)
            return taken.error();
        intake.record.event_id = event_id;
        if (auto const timed = set_time(intake.record, request.timestamp, log_->clock()->now()); !timed)
            return timed.error();
        intake.take_client(request, options_.trusted_proxies, agents_);
        auto const known = set_visitor(intake, [&] { return salts_.period_of(intake.record.timestamp); });
        if (!known)
            return known.error();
        return use(std::as_const(intake.record));
    }

    /// Records an event of an application's own.
    /// @return its id; "" where recording is off
    /// @errors invalid_argument and too_large naming the field; else as Event_Log::record
    [[nodiscard]] auto record(Analytics_Event const& event) -> Result<std::string> {
        if (!log_->is_recording())
            return std::string();
        Event_Intake intake;
        if (auto const taken = intake.take(event); !taken)
            return taken.error();
        auto const made_id = ids_.next();
        if (intake.record.event_id.empty())
            intake.record.event_id = made_id.view();
        auto const now = log_->clock()->now();
        if (auto const timed = set_time(intake.record, event.timestamp, now); !timed)
            return timed.error();
        set_visitor_if_known(intake);
        if (auto const stored = store(intake.record, now); !stored)
            return stored.error();
        return std::string(intake.record.event_id);
    }

    /// Records several events; each has its own outcome.
    [[nodiscard]] auto record_many(std::vector<Analytics_Event> const& events) -> std::vector<Result<std::string>> {
        std::vector<Result<std::string>> outcomes;
        outcomes.reserve(events.size());
        for (auto const& event : events)
            outcomes.push_back(record(event));
        return outcomes;
    }

    /// Who is there now.
    /// @param  window_minutes  1..1440
    [[nodiscard]] auto pulse(int window_minutes = 5) -> Result<Pulse> { return pulse_.read(window_minutes); }

    /// What happened in a window, such as ("daily", "2026-02-13").
    /// @param  filter  which of its events; all of them by default
    /// @errors invalid_argument for an unknown type, a malformed key or a window in the future; else as
    ///         LETS_Aggregator::query
    [[nodiscard]] auto aggregation(std::string_view window_type,
                                   std::string_view window_key,
                                   Analytics_Filter const& filter = {}) -> Result<Window_Summary> {
        auto const window = parse_window(window_type, window_key);
        if (!window)
            return window.error();
        if (filter.empty())
            return shown(aggregator_.query(*window));
        auto const answers = desk_.query({Local_Window(*window)}, Time_Zone(), filter);
        if (!answers)
            return answers.error();
        return shown(answers->front());
    }
    /// Several windows of one type, in the order of the keys, each with its own outcome. The newest is built first: that
    /// closes all others with it, where one after the other each would be closed by a write of its own.
    [[nodiscard]] auto aggregations(std::string_view window_type,
                                    std::vector<std::string> const& window_keys,
                                    Analytics_Filter const& filter = {}) -> std::vector<Result<Window_Summary>> {
        std::vector<std::pair<Utc_Time, std::size_t>> order;
        for (std::size_t i = 0; i < window_keys.size(); ++i) {
            auto const window = parse_window(window_type, window_keys[i]);
            order.emplace_back(window ? window->start() : earliest_time, i);
        }
        std::sort(order.rbegin(), order.rend());
        std::vector<Result<Window_Summary>> answers(window_keys.size(), Error{});
        for (auto const& [start, i] : order)
            answers[i] = aggregation(window_type, window_keys[i], filter);
        return answers;
    }
    /// Windows of one type that follow each other, of UTC or a local calendar, and with `compares` those before them.
    /// @errors as Series_Question::windows; as aggregation()
    [[nodiscard]] auto series(Series_Question const& question) -> Result<Series> {
        auto const windows = question.windows(log_->clock()->now());
        if (!windows)
            return windows.error();
        auto const before =
            question.compares ? question.windows_before(*windows) : Result<std::vector<Local_Window>>({});
        if (!before)
            return before.error();
        auto asked = *before;
        asked.insert(asked.end(), windows->begin(), windows->end());
        auto const answers = desk_.query(asked, question.time_zone, question.filter);
        if (!answers)
            return answers.error();
        Series series{question.step, question.time_zone.name(), question.compares, {}};
        for (std::size_t i = 0; i < windows->size(); ++i) {
            series.rows.push_back({shown((*answers)[before->size() + i]), std::nullopt});
            if (question.compares && (*answers)[i].recorded)
                series.rows.back().previous = shown((*answers)[i]);
        }
        return series;
    }
    /// The newest window of a type that has events.
    [[nodiscard]] auto latest(std::string_view window_type) -> Result<Window_Summary> {
        auto const type = parse_window_type(window_type);
        if (!type)
            return type.error();
        return shown(aggregator_.latest(*type));
    }
    /// Forgets what was saved of a window and builds it again.
    [[nodiscard]] auto rebuild(std::string_view window_type, std::string_view window_key) -> Result<Window_Summary> {
        auto const window = parse_window(window_type, window_key);
        if (!window)
            return window.error();
        return shown(aggregator_.rebuild(*window));
    }

    /// Deletes what the policy lets go: raw events with the salts of their visitors, and saved windows. What raw events are
    /// left is sealed, as far as that can be done.
    /// @see Purger
    [[nodiscard]] auto purge(Purge_Options const& options) -> Result<Purge_Report> {
        Purger purger(*log_, aggregator_, options);
        auto report = purger.run([&](Purge_Report& so_far, auto const& may_go) -> Result<void> {
            auto destroyed = salts_.destroy(may_go, options.dry_run);
            if (!destroyed)
                return destroyed.error();
            so_far.salts = *std::move(destroyed);
            return {};
        });
        if (report && !options.dry_run)
            (void)log_->seal(earliest_time, latest_time);
        return report;
    }
    /// Builds all saved windows again that touch [start, end).
    /// @see rebuild_windows
    [[nodiscard]] auto rebuild_range(Utc_Time start, Utc_Time end, bool dry_run = false) -> Result<Rebuild_Report> {
        return rebuild_windows(*log_, aggregator_, start, end, dry_run);
    }
    /// Builds saved windows again that late events have overtaken.
    /// @see memfs_cache::refresh_due
    [[nodiscard]] auto refresh_due(std::size_t limit) -> Result<Refresh_Report> {
        return memfs_cache::refresh_due(*log_, aggregator_, limit);
    }

    /// The hash under which an address is counted at a time; "" if it is no address, visitors are not counted, or the
    /// salt cannot be had. With Visitor_Key::ip_ua it is that of a client without a user agent.
    [[nodiscard]] auto visitor_hash(std::string_view address, Utc_Time timestamp) -> std::string {
        auto const client = Client_Address::parse(address);
        if (!client || !is_storable(timestamp) || !hashes_visitors())
            return {};
        auto const period = salts_.period_of(timestamp);
        if (!period || !(*period)->salt)
            return {};
        return to_hex(visitor_number(*(*period)->salt, *client, {}));
    }

    /// May recording a request of now wait for the storage? A host that must not wait records it on another thread then.
    [[nodiscard]] auto recording_may_wait() const -> bool {
        switch (log_->recording()) {
        case Recording_Mode::off:
            return false;
        case Recording_Mode::buffered:
            return hashes_visitors() && !salts_.is_at_hand(log_->clock()->now());
        default:
            return true;
        }
    }

    [[nodiscard]] auto name() const -> Namespace_Name const& { return name_; }
    [[nodiscard]] auto flush() -> Result<void> { return log_->flush(); }
    [[nodiscard]] auto close() -> Result<void> { return log_->close(); }
    [[nodiscard]] auto health() const -> Handler_Health {
        auto const counts = log_->counts();
        auto const lost = lost_.load(std::memory_order_relaxed);
        return {counts.dropped > 0 || lost > 0 || !counts.last_problem.empty(),
                {{"recording", to_text(log_->recording())},
                 {"recorded", counts.recorded},
                 {"landed", counts.landed},
                 {"dropped", counts.dropped},
                 {"lost_requests", lost},
                 {"excluded", excluded_.load(std::memory_order_relaxed)},
                 {"without_visitor", without_visitor_.load(std::memory_order_relaxed)},
                 {"failed_flushes", counts.failed_flushes},
                 {"waiting_bytes", counts.waiting_bytes},
                 {"rebuilt_states", aggregator_.lost_states()},
                 {"last_problem", counts.last_problem}}};
    }
    /// For imports and tests: the log below.
    [[nodiscard]] auto log() noexcept -> Event_Log<Storage>& { return *log_; }

  private:
    Analytics(Storage& storage, Namespace_Name name, std::unique_ptr<Event_Log<Storage>> log, Analytics_Options options)
        : name_(std::move(name)), options_(std::move(options)), salts_(storage, *log), log_(std::move(log)),
          aggregator_(storage, *log_, options_.summary_cache_bytes), desk_(storage, *log_, aggregator_), pulse_(*log_) {
        if (hashes_visitors())
            log_->also_in_background([this] { (void)salts_.prepare(log_->clock()->now()); });
    }

    [[nodiscard]] auto hashes_visitors() const noexcept -> bool { return options_.visitor_key != Visitor_Key::none; }

    auto store(Analytics_Record const& record, Utc_Time now) -> Result<void> {
        return log_->record(record.timestamp, now, [&](std::string& out) { record.append_json(out); });
    }

    /// Sets who sent a request: as it is remembered, or found out now.
    void set_client(Event_Intake& intake, Request_View const& request) {
        if (request.memo != nullptr)
            if (auto const* known = request.memo->find(request, memo_owner_, intake.record.timestamp))
                return intake.set_client(*known);
        intake.take_client(request, options_.trusted_proxies, agents_);
        auto const* const period = set_visitor_if_known(intake);
        if (request.memo != nullptr && period != nullptr)
            request.memo->keep(request, memo_owner_, period->start, period->end, intake.facts());
    }

    /// The log would refuse a wrong time too, but only after a salt was made for it.
    static auto set_time(Analytics_Record& record, std::optional<Utc_Time> time, Utc_Time now) -> Result<void> {
        record.timestamp = time.value_or(now);
        if (!is_storable(record.timestamp))
            return fail(Errc::invalid_argument, "timestamp: give 1970 to 2286");
        if (record.timestamp > now + std::chrono::hours(24))
            return fail(Errc::invalid_argument, "timestamp: more than 24 hours ahead of the clock");
        return {};
    }

    /// Sets the visitor's hash, and leaves out who and where from if that is switched off.
    /// @param  find_period  () -> Result<Salt_Period const*>, of its time
    /// @return the period, whose salt may have been destroyed; nullptr if there is nobody to count
    template <class Find>
    auto set_visitor(Event_Intake& intake, Find&& find_period) -> Result<Salt_Period const*> {
        constexpr Salt_Period const* nobody = nullptr;
        if (!options_.keep_country)
            intake.leave_out_country();
        if (!hashes_visitors()) {
            intake.record.ip_hash = {};
            return nobody;
        }
        if (!intake.client)
            return nobody;
        auto const period = find_period();
        if (period && (*period)->salt)
            intake.set_visitor(visitor_number(*(*period)->salt, *intake.client, intake.user_agent));
        return period;
    }
    /// The same for live events: a visitor whose salt cannot be had is left out, and counted.
    /// @return the period for which the visitor is counted; nullptr for nobody
    auto set_visitor_if_known(Event_Intake& intake) -> Salt_Period const* {
        auto const period = set_visitor(intake, [&] { return salts_.period_unless_failing(intake.record.timestamp); });
        if (period && (*period == nullptr || (*period)->salt))
            return *period;
        without_visitor_.fetch_add(1, std::memory_order_relaxed);
        return nullptr;
    }

    [[nodiscard]] auto visitor_number(Sip_Key const& salt,
                                      Client_Address const& client,
                                      std::string_view user_agent) const noexcept -> std::uint64_t {
        auto const of_address = memfs_cache::visitor_hash(salt, client);
        return options_.visitor_key == Visitor_Key::ip_ua ? visitor_hash_with_agent(salt, of_address, user_agent)
                                                          : of_address;
    }

    static auto parse_window(std::string_view type_text, std::string_view key) -> Result<Window> {
        auto const type = parse_window_type(type_text);
        if (!type)
            return type.error();
        return Window::parse(*type, key);
    }

    auto shown(Result<Window_Result<Analytics_Answer>> const& result) -> Result<Window_Summary> {
        if (!result)
            return result.error();
        return Window_Summary::from(*result, log_->settings().salt_period);
    }

    auto shown(Local_Result<Analytics_Answer> const& result) const -> Window_Summary {
        auto const& window = result.window;
        auto summary = Window_Summary::from({{Window::containing(window.type(), window.start()), result.recorded,
                                              result.final, result.computed_at, result.revision, result.late_events},
                                             result.summary},
                                            log_->settings().salt_period);
        summary.window_start = window.start();
        summary.window_end = window.end();
        summary.window_key = window.key();
        return summary;
    }

    Namespace_Name name_;
    Analytics_Options options_;
    Day_Salts<Storage> salts_; // before the log, whose background thread uses it to the end
    std::unique_ptr<Event_Log<Storage>> log_;
    LETS_Aggregator<Storage, Analytics_Record, Analytics_Summary> aggregator_;
    Question_Desk<Storage, Analytics_Record, Analytics_Summary, Analytics_Filter> desk_;
    Pulse_Reader<Storage> pulse_;
    Event_Ids ids_;
    std::uint64_t const memo_owner_ = random_u64();
    User_Agent_Cache agents_;
    std::atomic<std::uint64_t> lost_{0};
    std::atomic<std::uint64_t> excluded_{0};
    std::atomic<std::uint64_t> without_visitor_{0};
};

} // namespace memfs_cache
