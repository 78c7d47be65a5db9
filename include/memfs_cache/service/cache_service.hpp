// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/entries/dated_files.hpp>
#include <memfs_cache/entries/entry_store.hpp>
#include <memfs_cache/namespaces/costs/cost_collector.hpp>
#include <memfs_cache/service/cost_report.hpp>
#include <memfs_cache/service/options.hpp>
#include <memfs_cache/storage/any.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace memfs_cache {

/// How a service is doing.
struct Service_Health {
    bool degraded = false;
    boost::json::object namespaces; ///< the details of each handler

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// The whole of memfs_cache on one storage: owns the storage, the clock and a handler for each namespace.
///
///     memfs_cache::Cache_Service cache(memfs_cache::Storage_Memory{});
///     cache.analytics().record_request({.method = "GET", .target = "/", .status = 200});
///
/// Threads  every call from any thread, but for closing. A child after fork() may go on using its copy, on any storage
///          that processes share, also when threads of its parent were in the middle of something.
/// Errors   a handler that cannot be opened throws Cache_Error from its accessor, since nothing can go on without it;
///          open_namespace() gives the same as a Result.
template <StorageBackend Storage>
class Cache_Service {
  public:
    static constexpr std::string_view ns_analytics = "analytics";
    static constexpr std::string_view ns_tokens = "tokens";
    static constexpr std::string_view ns_costs = "costs";
    static constexpr std::string_view ns_transfers = "transfers";

    explicit Cache_Service(Storage storage, Service_Options options = {})
        : storage_(std::make_unique<Storage>(std::move(storage))), options_(std::move(options)),
          entries_(*storage_, options_.root_prefix, options_.clock, options_.id_generator),
          dated_files_(*storage_, options_.root_prefix, options_.clock) {}

    /// Closes; what could not be stored by then is lost. Call close() to learn of it.
    ~Cache_Service() { delete served_.load(); }
    Cache_Service(Cache_Service const&) = delete;
    auto operator=(Cache_Service const&) -> Cache_Service& = delete;

    [[nodiscard]] auto storage() noexcept -> Storage& { return *storage_; }
    /// As it was opened.
    [[nodiscard]] auto options() const noexcept -> Service_Options const& { return options_; }
    [[nodiscard]] auto clock() const noexcept -> Clock_Ptr const& { return options_.clock; }
    [[nodiscard]] auto hash_generator() const noexcept -> Cache_Hash const& { return hash_generator_; }

    /// Application values under an id and a hash, in any namespace.
    [[nodiscard]] auto entries() noexcept -> Entry_Store<Storage>& { return entries_; }

    /// Opens the namespaces of the library, so that what is wrong with one shows now and not with its first request.
    /// @errors as add_namespace; those before it are open
    [[nodiscard]] auto setup_namespaces() -> Result<void> {
        if (auto const opened = open_analytics(ns_analytics); !opened)
            return opened.error();
        if (auto const opened = open_tokens(ns_tokens); !opened)
            return opened.error();
        if (auto const opened = open_costs(ns_costs); !opened)
            return opened.error();
        if (auto const opened = open_transfers(); !opened)
            return opened.error();
        return {};
    }

    // Values, ids and files in one line each
    /// @see Entry_Store::create, Entry_Store::lookup, Dated_Files
    [[nodiscard]] auto resolve_cache_hash(Python_Json const& value) const -> Result<std::string> {
        return entries_.hash_of_source(value);
    }
    [[nodiscard]] auto create_cache_entry(std::string_view ns, Python_Json const& source_value) -> Result<Cache_Id> {
        return entries_.create(ns, source_value);
    }
    [[nodiscard]] auto lookup_by_hash(std::string_view ns,
                                      std::string_view cache_hash,
                                      std::optional<Python_Json> const& source_value = std::nullopt) const
        -> Result<std::optional<Cache_Id>> {
        return entries_.lookup(ns, cache_hash, source_value);
    }
    [[nodiscard]] auto write_temporal(std::string_view ns,
                                      std::optional<Cache_Id> const& cache_id,
                                      Byte_View data,
                                      std::string_view filename) -> Result<Dated_Paths> {
        return dated_files_.write(ns, cache_id, data, filename);
    }
    [[nodiscard]] auto read_latest(std::string_view ns,
                                   std::optional<Cache_Id> const& cache_id,
                                   std::string_view filename) const -> Result<std::optional<Bytes>> {
        return dated_files_.read_latest(ns, cache_id, filename);
    }

    /// The analytics of a namespace; any name can be one. Opened at the first call.
    [[nodiscard]] auto analytics(std::string_view name = ns_analytics) -> Analytics<Storage>& {
        return *open_analytics(name).value();
    }
    /// The same for names that come from outside.
    /// @errors as add_namespace
    [[nodiscard]] auto open_analytics(std::string_view name) -> Result<Analytics<Storage>*> {
        return add_namespace<Analytics<Storage>>(name, options_.analytics);
    }

    /// Invitation tokens with exact limits. Opened at the first call.
    [[nodiscard]] auto tokens(std::string_view name = ns_tokens) -> Tokens<Storage>& {
        return *open_tokens(name).value();
    }
    /// @errors as add_namespace; unsupported if no limit would hold on this storage
    [[nodiscard]] auto open_tokens(std::string_view name) -> Result<Tokens<Storage>*> {
        return add_namespace<Tokens<Storage>>(name, options_.tokens);
    }

    /// What things cost, by day, week and month. Opened at the first call.
    [[nodiscard]] auto costs(std::string_view name = ns_costs) -> Costs<Storage>& { return *open_costs(name).value(); }
    /// @errors as add_namespace; unsupported on a storage without conditional writes
    [[nodiscard]] auto open_costs(std::string_view name) -> Result<Costs<Storage>*> {
        return add_namespace<Costs<Storage>>(name, options_.costs);
    }
    /// What happens to transfers, as the analytics of a namespace tell it. Opened at the first call, with those.
    [[nodiscard]] auto transfers(std::string_view of = ns_analytics) -> Transfers<Storage>& {
        return *open_transfers(of).value();
    }
    /// @errors as add_namespace and namespace_of_transfers
    [[nodiscard]] auto open_transfers(std::string_view of = ns_analytics) -> Result<Transfers<Storage>*> {
        auto const name = namespace_of_transfers(of);
        if (!name)
            return name.error();
        auto const analytics = open_analytics(of);
        if (!analytics)
            return analytics.error();
        return add_namespace<Transfers<Storage>>(name->str(), *analytics, options_.transfers);
    }

    /// What a window cost, and each request, upload and visitor in it.
    /// @param  ns  of the costs; what happened is asked of the namespace "analytics"
    /// @errors as Costs::aggregation and Analytics::aggregation
    [[nodiscard]] auto cost_report(std::string_view window_type,
                                   std::string_view window_key,
                                   std::string_view ns = ns_costs) -> Result<Cost_Report> {
        return with(open_costs(ns), [&](auto& handler) { return join(handler.aggregation(window_type, window_key)); });
    }
    /// The same of this month, as far as it has come.
    [[nodiscard]] auto current_cost_report(std::string_view ns = ns_costs) -> Result<Cost_Report> {
        return with(open_costs(ns), [&](auto& handler) { return join(handler.current()); });
    }

    /// Asks AWS Cost Explorer for the days that are missing, a cent a page, with the credentials that the environment or
    /// the profile files of AWS have.
    /// @errors as collect_costs and Cost_Explorer::fetch; not_found: no credentials; unsupported in a library that was
    ///         built without its HTTP client
    /// Cost    waits for AWS: seconds, and at most a few minutes
    [[nodiscard]] auto collect_costs(Collect_Options const& wanted = {}, std::string_view ns = ns_costs)
        -> Result<Collect_Report> {
        return with(open_costs(ns), [&](auto& handler) -> Result<Collect_Report> {
            auto const fetch = from_cost_explorer(handler.options(), wanted.metric, options_.clock);
            if (!fetch)
                return fetch.error();
            return memfs_cache::collect_costs(*storage_, handler, *fetch, wanted);
        });
    }

    // The handlers in one line each
    /// @see Analytics, Tokens. compute_aggregation() asks any namespace of analytics; a token's is Tokens::aggregation
    [[nodiscard]] auto record_analytics_event(Analytics_Event const& event) -> Result<std::string> {
        return with(open_analytics(ns_analytics), [&](auto& handler) { return handler.record(event); });
    }
    [[nodiscard]] auto compute_pulse(int window_minutes = 5) -> Result<Pulse> {
        return with(open_analytics(ns_analytics), [&](auto& handler) { return handler.pulse(window_minutes); });
    }
    [[nodiscard]] auto compute_aggregation(std::string_view ns,
                                           std::string_view window_type,
                                           std::string_view window_key) -> Result<Window_Summary> {
        return with(open_analytics(ns), [&](auto& handler) { return handler.aggregation(window_type, window_key); });
    }
    [[nodiscard]] auto create_token(std::string_view name, New_Token const& wanted = {}) -> Result<Token> {
        return with(open_tokens(ns_tokens), [&](auto& handler) { return handler.create(name, wanted); });
    }
    [[nodiscard]] auto lookup_token(std::string_view name) -> Result<std::optional<Token>> {
        return with(open_tokens(ns_tokens), [&](auto& handler) { return handler.lookup(name); });
    }
    [[nodiscard]] auto use_token(std::string_view name, Use_Of_Token const& use = {}) -> Result<Token_Use> {
        return with(open_tokens(ns_tokens), [&](auto& handler) { return handler.use(name, use); });
    }
    [[nodiscard]] auto revoke_token(std::string_view name) -> Result<Token> {
        return with(open_tokens(ns_tokens), [&](auto& handler) { return handler.revoke(name); });
    }
    [[nodiscard]] auto list_tokens() -> Result<std::vector<Token>> {
        return with(open_tokens(ns_tokens), [](auto& handler) { return handler.list(); });
    }

    // Upkeep, for a scheduler; any number of processes may do it at once

    /// Deletes what the policy lets go of one namespace, or of all those that are open and those of the library that the
    /// store has.
    /// @param  by  who asks, for the record in the store
    /// @return what was deleted, or would be in a dry run, of each namespace that keeps events
    /// @errors as Purger::run; not_found for a namespace that is not open
    [[nodiscard]] auto purge(std::optional<std::string_view> ns = std::nullopt,
                             bool dry_run = false,
                             std::optional<Retention_Policy> const& policy = std::nullopt,
                             std::string const& by = {}) -> Result<std::map<std::string, Purge_Report>> {
        Purge_Options const options{policy.value_or(options_.retention), dry_run, by};
        if (auto const sound = options.policy.validate(); !sound)
            return sound.error();
        return of_each<Purge_Report>(ns, [&](auto& handler, std::string const& name) -> Result<Purge_Report> {
            // Of what goes that is told of transfers, their windows are built as well.
            auto const known = find_handler<Analytics<Storage>>(name);
            auto const name_of_view = namespace_of_transfers(name);
            if (!known || !*known || !name_of_view)
                return handler.purge(options);
            auto const transfers = Transfers<Storage>::open(*storage_, options_.root_prefix, *name_of_view,
                                                            options_.clock, **known, options_.transfers);
            if (!transfers)
                return transfers.error();
            auto of_analytics = options;
            of_analytics.views.push_back((*transfers)->view());
            return handler.purge(of_analytics);
        });
    }
    /// Builds the saved windows of a namespace again that touch [start, end).
    /// @errors as rebuild_windows; not_found for a namespace that is not open, or keeps no events
    [[nodiscard]] auto rebuild(std::string_view ns, Utc_Time start, Utc_Time end, bool dry_run = false)
        -> Result<Rebuild_Report> {
        auto reports = of_each<Rebuild_Report>(
            ns, [&](auto& handler, auto&) { return handler.rebuild_range(start, end, dry_run); });
        if (!reports)
            return reports.error();
        return std::move(reports->begin()->second);
    }
    /// Builds at most `limit` saved windows again that late events have overtaken, of all namespaces together.
    /// @errors as memfs_cache::refresh_due
    [[nodiscard]] auto refresh_due(std::size_t limit = 1000) -> Result<Refresh_Report> {
        Refresh_Report total;
        auto const done = of_each<Refresh_Report>(std::nullopt, [&](auto& handler, auto&) -> Result<Refresh_Report> {
            auto part = handler.refresh_due(limit - total.rebuilt);
            if (part) {
                total.rebuilt += part->rebuilt;
                total.more = total.more || part->more;
            }
            return part;
        });
        if (!done)
            return done.error();
        return total;
    }
    /// The holds of a namespace, which keep its events from being purged.
    /// @errors invalid_argument for what is no namespace name
    [[nodiscard]] auto holds(std::string_view ns) -> Result<Holds<Storage>> {
        auto const name = Namespace_Name::parse(ns);
        if (!name)
            return name.error();
        return Holds<Storage>(*storage_, Log_Paths(options_.root_prefix, *name));
    }

    /// Opens a namespace with a handler, also one of an application's own, or gives the one that is open.
    /// @tparam Handler  a NamespaceHandler with open(Storage&, std::string_view root, Namespace_Name const&, Clock_Ptr,
    ///                  arguments...) -> Result<std::unique_ptr<Handler>>
    /// @errors invalid_argument for what is no namespace name, and for a namespace that another kind of handler serves;
    ///         closed after close(); what Handler::open and the storage say
    template <NamespaceHandler Handler, class... Arguments>
    [[nodiscard]] auto add_namespace(std::string_view name, Arguments const&... arguments) -> Result<Handler*> {
        if (auto known = find_handler<Handler>(name))
            return *known;
        auto const checked = Namespace_Name::parse(name);
        if (!checked)
            return checked.error();
        std::unique_lock const one_at_a_time(opening_.get());
        if (auto known = find_handler<Handler>(name))
            return *known;
        if (closed_)
            return fail(Errc::closed, "the service is closed; open a new one");
        auto opened = Handler::open(*storage_, options_.root_prefix, *checked, options_.clock, arguments...);
        if (!opened)
            return opened.error();
        auto& handler = **opened;
        if constexpr (requires { handler.log().adopt_dead_writers(); }) {
            // What crashed processes left behind is found now; a storage that refuses it refuses nothing else.
            (void)handler.log().adopt_dead_writers();
        }
        serve(name, std::make_shared<Handler_Of<Handler>>(*std::move(opened)));
        return &handler;
    }

    /// Names of the namespaces in the store and of those in use, in byte order.
    [[nodiscard]] auto namespaces() const -> Result<std::vector<std::string>> {
        auto const folders = folders_list(*storage_, options_.root_prefix.empty() ? "" : options_.root_prefix + "/");
        if (!folders)
            return folders.error();
        std::set<std::string> names;
        for (auto const& folder : *folders)
            if (Namespace_Name::parse(folder))
                names.insert(folder);
        for (auto const& entry : handlers())
            names.insert(entry.first);
        return std::vector<std::string>(names.begin(), names.end());
    }

    /// Everything that was accepted before is on the storage when it returns.
    /// @errors the first that a namespace reports; the others are flushed all the same
    [[nodiscard]] auto flush() -> Result<void> {
        return each([](auto& handler) { return handler.flush(); });
    }
    /// Flushes and refuses what comes later; what is stored can still be asked for.
    [[nodiscard]] auto close() -> Result<void> {
        {
            std::unique_lock const lock(opening_.get());
            closed_ = true;
        }
        return each([](auto& handler) { return handler.close(); });
    }

    /// Never waits for the storage.
    [[nodiscard]] auto health() const -> Service_Health {
        Service_Health health;
        for (auto const& [name, handler] : handlers()) {
            auto part = handler->health();
            health.degraded = health.degraded || part.degraded;
            health.namespaces[name] = std::move(part.details);
        }
        return health;
    }

  private:
    /// A handler of any kind.
    class Any_Handler {
      public:
        Any_Handler() = default;
        Any_Handler(Any_Handler const&) = delete;
        auto operator=(Any_Handler const&) -> Any_Handler& = delete;
        virtual ~Any_Handler() = default;
        virtual auto flush() -> Result<void> = 0;
        virtual auto close() -> Result<void> = 0;
        [[nodiscard]] virtual auto keeps_events() const -> bool = 0; ///< only then the next three mean something
        virtual auto purge(Purge_Options const& options) -> Result<Purge_Report> = 0;
        virtual auto rebuild_range(Utc_Time start, Utc_Time end, bool dry_run) -> Result<Rebuild_Report> = 0;
        virtual auto refresh_due(std::size_t limit) -> Result<Refresh_Report> = 0;
        [[nodiscard]] virtual auto health() const -> Handler_Health = 0;
    };
    template <NamespaceHandler Handler>
    class Handler_Of final : public Any_Handler {
      public:
        explicit Handler_Of(std::unique_ptr<Handler> handler) : handler_(std::move(handler)) {}
        [[nodiscard]] auto get() const noexcept -> Handler* { return handler_.get(); }
        auto flush() -> Result<void> override { return handler_->flush(); }
        auto close() -> Result<void> override { return handler_->close(); }
        [[nodiscard]] auto keeps_events() const -> bool override { return has_upkeep; }
        auto purge(Purge_Options const& options) -> Result<Purge_Report> override {
            if constexpr (has_upkeep)
                return handler_->purge(options);
            else
                return Purge_Report();
        }
        auto rebuild_range(Utc_Time start, Utc_Time end, bool dry_run) -> Result<Rebuild_Report> override {
            if constexpr (has_upkeep)
                return handler_->rebuild_range(start, end, dry_run);
            else
                return Rebuild_Report();
        }
        auto refresh_due(std::size_t limit) -> Result<Refresh_Report> override {
            if constexpr (has_upkeep)
                return handler_->refresh_due(limit);
            else
                return Refresh_Report();
        }
        [[nodiscard]] auto health() const -> Handler_Health override { return handler_->health(); }

      private:
        static constexpr bool has_upkeep = requires(Handler & handler) {
            handler.purge(Purge_Options());
            handler.rebuild_range(Utc_Time(), Utc_Time(), true);
            handler.refresh_due(std::size_t{1});
        };
        std::unique_ptr<Handler> handler_;
    };

    /// What a call gives for each namespace that keeps events, or for one. Views of a log come before it: what a dry run
    /// tells of them must not depend on what it leaves there.
    /// @param  run  (Any_Handler&, std::string const& name) -> Result<Report>
    template <class Report, class Do>
    auto of_each(std::optional<std::string_view> ns, Do&& run) -> Result<std::map<std::string, Report>> {
        auto const stored = namespaces();
        if (!stored)
            return stored.error();
        auto const has = [&](std::string_view name) {
            return std::find(stored->begin(), stored->end(), name) != stored->end();
        };
        auto const wants = [&](std::string_view name) { return ns ? *ns == name : has(name); };
        if (wants(ns_analytics))
            if (auto const opened = open_analytics(ns_analytics); !opened)
                return opened.error();
        if (wants(ns_tokens))
            if (auto const opened = open_tokens(ns_tokens); !opened)
                return opened.error();
        if (wants(ns_transfers))
            if (auto const opened = open_transfers(); !opened)
                return opened.error();
        std::map<std::string, Report> reports;
        auto const& open = handlers();
        for (bool const are_views : {true, false})
            for (auto const& [name, handler] : open) {
                bool const is_view = analytics_of_transfers(Namespace_Name(name)).has_value();
                if ((ns && name != *ns) || !handler->keeps_events() || is_view != are_views)
                    continue;
                auto report = run(*handler, name);
                if (!report)
                    return fail(report.error().code, name + ": " + report.error().context);
                reports.emplace(name, *std::move(report));
            }
        if (ns && reports.empty())
            return fail(Errc::not_found, "namespace '" + std::string(*ns) + "' is not open here, or keeps no events");
        return reports;
    }

    /// The handler of a namespace, or why it cannot be had; nothing if the namespace is not open.
    template <class Handler>
    auto find_handler(std::string_view name) -> std::optional<Result<Handler*>> {
        auto const& open = handlers();
        auto const found = open.find(name);
        if (found == open.end())
            return std::nullopt;
        if (auto* const known = dynamic_cast<Handler_Of<Handler>*>(found->second.get()))
            return Result<Handler*>(known->get());
        return Result<Handler*>(fail(Errc::invalid_argument, "namespace '" + std::string(name) +
                                                                 "' is served by a handler of another kind here"));
    }

    auto join(Result<Cost_Window> costs) -> Result<Cost_Report> {
        if (!costs)
            return costs.error();
        // To ask a namespace makes it, and whoever keeps costs alone has no use for one of analytics.
        auto const there = namespaces();
        if (!there)
            return there.error();
        if (!std::binary_search(there->begin(), there->end(), ns_analytics))
            return Cost_Report{*std::move(costs), std::nullopt};
        auto const analytics = compute_aggregation(ns_analytics, to_text(costs->window_type), costs->window_key);
        if (!analytics)
            return analytics.error();
        return Cost_Report::of(*std::move(costs), *analytics);
    }

    template <class Do>
    auto each(Do&& run) -> Result<void> {
        Result<void> outcome;
        for (auto const& entry : handlers())
            if (auto const done = run(*entry.second); !done && outcome)
                outcome = done.error();
        return outcome;
    }

    /// What a handler says, or why it cannot be had.
    template <class Handler, class Do>
    static auto with(Result<Handler*> const& handler, Do&& run) -> decltype(run(**handler)) {
        if (!handler)
            return handler.error();
        return run(**handler);
    }

    /// The handlers that are open, by namespace. They are looked at without a lock, and so also in a child after fork():
    /// a state never changes once it is seen, and goes with the service.
    using Handlers = std::map<std::string, std::shared_ptr<Any_Handler>, std::less<>>;
    struct Served {
        Handlers handlers;
        std::unique_ptr<Served const> before;
    };
    [[nodiscard]] auto handlers() const noexcept -> Handlers const& {
        return served_.load(std::memory_order_acquire)->handlers;
    }
    /// For whoever holds the lock of opening.
    void serve(std::string_view name, std::shared_ptr<Any_Handler> handler) {
        auto next = std::make_unique<Served>(Served{handlers(), nullptr});
        next->handlers.emplace(name, std::move(handler));
        next->before.reset(served_.load());
        served_.store(next.release(), std::memory_order_release);
    }

    std::unique_ptr<Storage> storage_; // before the handlers, which refer to it
    Service_Options options_;
    Cache_Hash hash_generator_;
    Entry_Store<Storage> entries_;
    Dated_Files<Storage> dated_files_;
    /// One at a time opens a namespace.
    Per_Process<std::mutex> opening_{[] { return std::make_unique<std::mutex>(); }};
    std::atomic<bool> closed_{false};
    std::atomic<Served const*> served_{new Served};
};

/// The one for a storage that is chosen at run time; compiled once, in the library.
extern template class Cache_Service<Any_Storage>;

} // namespace memfs_cache
