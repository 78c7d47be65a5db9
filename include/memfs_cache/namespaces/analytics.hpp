// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/namespaces/analytics/analytics_event.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>
#include <memfs_cache/namespaces/analytics/day_salts.hpp>
#include <memfs_cache/namespaces/analytics/pulse.hpp>
#include <memfs_cache/namespaces/analytics/referrer.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>
#include <memfs_cache/namespaces/analytics/request_view.hpp>
#include <memfs_cache/namespaces/analytics/user_agent.hpp>
#include <memfs_cache/namespaces/handler.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <string>
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
    Trusted_Proxies trusted_proxies; ///< whose X-Forwarded-For is believed; nobody's by default
    std::size_t summary_cache_bytes = 64 << 20;
};

/// Id of a recorded event, 16 hex digits held in place; empty if nothing was recorded.
class Event_Id {
  public:
    Event_Id() = default;
    explicit Event_Id(std::uint64_t number) noexcept : size_(16) { write_hex(text_.data(), number, 16); }
    [[nodiscard]] auto view() const noexcept -> std::string_view { return {text_.data(), size_}; }
    [[nodiscard]] explicit operator bool() const noexcept { return size_ > 0; }

  private:
    std::array<char, 16> text_{};
    std::uint8_t size_ = 0;
};

/// Makes event ids: distinct within a process by construction, between processes by 64 random bits to begin with.
/// Threads any.
class Event_Ids {
  public:
    [[nodiscard]] auto next() noexcept -> Event_Id;

  private:
    std::uint64_t const start_ = random_u64();
    std::atomic<std::uint64_t> count_{0};
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
        return std::unique_ptr<Analytics>(new Analytics(storage, name, *std::move(log), std::move(options)));
    }

    /// Records a request that was served. It never fails the request: what could not be recorded is counted and shown
    /// by health().
    /// @return the event's id; empty if it was not recorded
    /// Cost    under a microsecond; nothing is allocated in the steady state. The first request of a day waits for the
    ///         storage to give the day's salt.
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
        auto const id = ids_.next();
        auto const recorded = with_record(request, id.view(), [&](Analytics_Record const& record) {
            return log_->record(record.timestamp, [&](std::string& out) { record.append_json(out); });
        });
        if (!recorded)
            return recorded.error();
        return id;
    }

    /// What record_request would store, for those who land events themselves: calls use(Analytics_Record const&).
    template <class Use>
    [[nodiscard]] auto with_record(Request_View const& request, std::string_view event_id, Use&& use) -> Result<void> {
        if (request.duration_us && *request.duration_us < 0)
            return fail(Errc::invalid_argument, "duration: negative; give microseconds from 0");
        if (request.status < 0 || request.status > 999)
            return fail(Errc::invalid_argument, "status: give 100 to 599");
        Analytics_Record record;
        record.event_id = event_id;
        record.timestamp = request.timestamp ? *request.timestamp : log_->clock()->now();
        record.path = path_of(request.target).substr(0, longest_path_bytes);
        record.event_type = request.event_type.empty()
                                ? classify_request(request.method, record.path, request.status, request.content_type)
                                : request.event_type;
        if (!request.route.empty())
            record.path = request.route;
        record.source = request.source.empty() ? "application" : request.source;
        record.method = request.method;
        record.status_code = request.status;
        if (request.duration_us)
            record.duration_us = std::min(*request.duration_us, most_duration_us);
        record.content_bytes = request.content_bytes;
        auto const agent = classify_user_agent(request.user_agent);
        record.user_agent_normalised = agent.normalised;
        record.bot = agent.bot;
        auto const referrer = referrer_domain(request.referrer, {});
        record.referrer_domain = referrer.view();
        auto const country = country_of(request.country);
        record.country = {country.data(), country[0] == '\0' ? 0U : 2U};
        record.transfer_id = request.transfer_id;
        record.token_id = request.token_id;
        Event_Id visitor;
        if (auto const client = client_of(request.remote, request.forwarded_for, options_.trusted_proxies))
            visitor = visitor_of(*client, request.user_agent, record.timestamp);
        record.ip_hash = visitor.view();
        return guard_and_use(record, use);
    }

    /// Records an event of an application's own.
    /// @return its id
    /// @errors invalid_argument naming the field; else as Event_Log::record
    [[nodiscard]] auto record(Analytics_Event const& event) -> Result<std::string> {
        if (event.event_type.empty())
            return fail(Errc::invalid_argument, "event_type: give one, such as page_view");
        if (event.duration_ms && !(*event.duration_ms >= 0))
            return fail(Errc::invalid_argument, "duration_ms: give a number from 0");
        if (event.status_code < 0 || event.status_code > 999)
            return fail(Errc::invalid_argument, "status_code: give 100 to 599");
        auto const made_id = ids_.next();
        Analytics_Record record;
        record.event_id = event.event_id.empty() ? made_id.view() : std::string_view(event.event_id);
        record.event_type = event.event_type;
        record.timestamp = event.timestamp ? *event.timestamp : log_->clock()->now();
        record.source = event.source;
        record.path = event.path.empty() ? path_of(event.url) : without_query(event.path);
        record.path = record.path.substr(0, longest_path_bytes);
        record.method = event.method;
        record.status_code = event.status_code;
        if (event.duration_ms)
            record.duration_us = static_cast<std::int64_t>(
                std::min(*event.duration_ms * 1000 + 0.5, static_cast<double>(most_duration_us)));
        auto const agent = is_normalised_user_agent(event.user_agent_normalised)
                               ? User_Agent{event.user_agent_normalised, false}
                               : classify_user_agent(event.user_agent_normalised);
        auto const agent_of_input = classify_user_agent(event.user_agent);
        record.user_agent_normalised = agent.normalised.empty() ? agent_of_input.normalised : agent.normalised;
        record.bot = agent.bot || agent_of_input.bot;
        auto const country = country_of(event.country);
        record.country = {country.data(), country[0] == '\0' ? 0U : 2U};
        auto const given = event.referrer_domain.empty()                            ? event.referrer
                           : event.referrer_domain.find("://") == std::string::npos ? "https://" + event.referrer_domain
                                                                                    : event.referrer_domain;
        auto const referrer = referrer_domain(given, {});
        record.referrer_domain = referrer.view();
        record.content_bytes = event.content_bytes;
        record.transfer_id = event.transfer_id;
        record.token_id = event.token_id;
        Event_Id visitor;
        if (auto const client = Client_Address::parse(event.ip_hash.empty() ? event.ip : event.ip_hash)) {
            visitor = visitor_of(*client, event.user_agent, record.timestamp);
            record.ip_hash = visitor.view();
        } else if (options_.visitor_key != Visitor_Key::none) {
            record.ip_hash = event.ip_hash;
        }
        std::string extra;
        if (!event.extra.empty()) {
            auto own = event.extra;
            remove_private_fields(own);
            if (!own.empty())
                extra = json_text(own);
            if (extra.size() > most_extra_bytes)
                return fail(Errc::too_large, "event: its own fields are longer than 4096 bytes of JSON");
            record.extra = extra;
        }
        auto const recorded = guard_and_use(record, [&](Analytics_Record const& safe) {
            return log_->record(safe.timestamp, [&](std::string& out) { safe.append_json(out); });
        });
        if (!recorded)
            return recorded.error();
        return std::string(record.event_id);
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
    /// @errors invalid_argument for an unknown type, a malformed key or a window in the future; else as
    ///         LETS_Aggregator::query
    [[nodiscard]] auto aggregation(std::string_view window_type, std::string_view window_key)
        -> Result<Window_Summary> {
        auto const window = parse_window(window_type, window_key);
        if (!window)
            return window.error();
        return shown(aggregator_.query(*window));
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

    /// The hash under which an address is counted at a time; "" if it is no address or visitors are not counted.
    [[nodiscard]] auto visitor_hash(std::string_view address, Utc_Time timestamp) -> std::string {
        auto const client = Client_Address::parse(address);
        return client ? std::string(visitor_of(*client, {}, timestamp).view()) : std::string();
    }

    [[nodiscard]] auto name() const -> Namespace_Name const& { return name_; }
    [[nodiscard]] auto flush() -> Result<void> { return log_->flush(); }
    [[nodiscard]] auto close() -> Result<void> { return log_->close(); }
    [[nodiscard]] auto health() const -> Handler_Health {
        auto const counts = log_->counts();
        auto const lost = lost_.load(std::memory_order_relaxed);
        return {counts.dropped > 0 || lost > 0 || !counts.last_problem.empty(),
                {{"recorded", counts.recorded},
                 {"landed", counts.landed},
                 {"dropped", counts.dropped},
                 {"lost_requests", lost},
                 {"without_visitor", without_visitor_.load(std::memory_order_relaxed)},
                 {"failed_flushes", counts.failed_flushes},
                 {"waiting_bytes", counts.waiting_bytes},
                 {"last_problem", counts.last_problem}}};
    }
    /// For imports and tests: the log below.
    [[nodiscard]] auto log() noexcept -> Event_Log<Storage>& { return *log_; }

  private:
    static constexpr std::size_t longest_path_bytes = 2048;
    static constexpr std::size_t most_extra_bytes = 4096;

    Analytics(Storage& storage, Namespace_Name name, std::unique_ptr<Event_Log<Storage>> log, Analytics_Options options)
        : name_(std::move(name)), options_(std::move(options)), log_(std::move(log)), salts_(storage, log_->paths()),
          aggregator_(storage, *log_, options_.summary_cache_bytes), pulse_(*log_) {}

    /// No field may hold an address, whatever the host put there: it becomes the visitor's hash.
    template <class Use>
    auto guard_and_use(Analytics_Record& record, Use&& use) -> Result<void> {
        std::array<Event_Id, 8> hashes;
        std::size_t used = 0;
        for (auto* field : {&record.event_id, &record.event_type, &record.source, &record.path, &record.method,
                            &record.ip_hash, &record.transfer_id, &record.token_id}) {
            if (!looks_like_address(*field))
                continue;
            // What only nearly is an address has no hash; it is not kept either.
            if (auto const client = Client_Address::parse(*field))
                hashes[used] = visitor_of(*client, {}, record.timestamp);
            *field = hashes[used++].view();
        }
        return use(std::as_const(record));
    }

    auto visitor_of(Client_Address const& client, std::string_view user_agent, Utc_Time time) -> Event_Id {
        if (options_.visitor_key == Visitor_Key::none || !is_storable(time))
            return {};
        auto const period = log_->settings().salt_period;
        auto const salt = salts_.salt_of(time, period);
        salts_.prepare_next(log_->clock()->now(), period);
        if (!salt || !*salt) {
            without_visitor_.fetch_add(1, std::memory_order_relaxed);
            return {};
        }
        auto hash = memfs_cache::visitor_hash(**salt, client);
        if (options_.visitor_key == Visitor_Key::ip_ua)
            hash ^= siphash24(**salt, user_agent);
        return Event_Id(hash);
    }

    static auto without_query(std::string_view path) -> std::string_view {
        auto const origin = path.substr(0, path.find_first_of("?#"));
        return origin.find("://") == std::string_view::npos ? origin : path_of(origin);
    }

    static auto country_of(std::string_view text) noexcept -> std::array<char, 2> {
        auto const letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
        if (text.size() != 2 || !letter(text[0]) || !letter(text[1]))
            return {};
        return {static_cast<char>(text[0] & ~0x20), static_cast<char>(text[1] & ~0x20)};
    }

    static auto parse_window(std::string_view type_text, std::string_view key) -> Result<Window> {
        auto const type = parse_window_type(type_text);
        if (!type)
            return type.error();
        return Window::parse(*type, key);
    }

    auto shown(Result<Window_Result<Analytics_Summary>> const& result) -> Result<Window_Summary> {
        if (!result)
            return result.error();
        return Window_Summary::from(*result, log_->settings().salt_period);
    }

    Namespace_Name name_;
    Analytics_Options options_;
    std::unique_ptr<Event_Log<Storage>> log_;
    Day_Salts<Storage> salts_;
    LETS_Aggregator<Storage, Analytics_Record, Analytics_Summary> aggregator_;
    Pulse_Reader<Storage> pulse_;
    Event_Ids ids_;
    std::atomic<std::uint64_t> lost_{0};
    std::atomic<std::uint64_t> without_visitor_{0};
};

} // namespace memfs_cache
