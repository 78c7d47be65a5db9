// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/admin_key.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/lets/window.hpp>
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/version.hpp>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// JSON Schemas of the bodies that Admin_Api answers with: Health, Pulse, Window_Summary.
[[nodiscard]] auto admin_schemas() -> std::map<std::string, std::string>;

/// How the servers are doing that a program runs beside its service; never waits.
using Host_Health = std::function<Handler_Health()>;

/// The admin routes of a Cache_Service, for any host: a Server, or an ASGI adapter. GET /openapi.json describes them.
///
/// Threads    answers from any thread at once.
/// Ownership  refers to the service, which must outlive it and its copies.
template <StorageBackend Storage>
class Admin_Api {
  public:
    /// @param  log   is told why a route answered 500; may be empty
    /// @param  host  is shown by /health as "servers"; may be empty
    Admin_Api(Cache_Service<Storage>& cache, Admin_Key key, Log log = {}, Host_Health host = {})
        : router_(routes(cache, key, std::move(host)), options(key, std::move(log))) {}

    [[nodiscard]] auto operator()(Request const& request) const -> Response { return router_(request); }
    [[nodiscard]] auto openapi() const -> std::string const& { return router_.openapi(); }

  private:
    using Cache = Cache_Service<Storage>;

    static auto options(Admin_Key key, Log log) -> Router_Options {
        Router_Options options;
        options.title = "memfs_cache admin";
        options.version = version;
        options.admits = [key = std::move(key)](Request const& request) { return key.admits(request); };
        options.schemas = admin_schemas();
        options.log = std::move(log);
        return options;
    }

    static auto routes(Cache& cache, Admin_Key const& key, Host_Health host) -> std::vector<Route> {
        Parameter minutes{"window_minutes", "How far back to look."};
        minutes.minimum = 1;
        minutes.maximum = 1440;
        minutes.fallback = "5";
        Parameter window_type{"window_type", "Length of the window."};
        for (auto const type : all_window_types)
            window_type.one_of.emplace_back(to_text(type));
        Parameter const window_key{"window_key",
                                   "Which window, in UTC, such as 2026-02-13T14:30, 2026-02-13 or 2026-W07."};

        return {
            {"GET",
             "/health",
             "Is it well?",
             Access::open,
             {},
             "How it is doing; with the key also in detail.",
             "Health",
             [&cache, key, host](Request const& request, Arguments const&) {
                 auto service = cache.health();
                 auto servers = host ? host() : Handler_Health();
                 service.degraded = service.degraded || servers.degraded;
                 auto health = service.to_json();
                 if (host)
                     health["servers"] = std::move(servers.details);
                 if (!key.admits(request)) // how much happens is not for everybody
                     health = {{"status", health.at("status")}};
                 return json_reply(health);
             }},
            {"GET",
             "/ready",
             "Does the storage answer?",
             Access::with_key,
             {},
             "It does; 503 if not.",
             "Health",
             [&cache](Request const&, Arguments const&) {
                 auto const page = std::as_const(cache.storage()).list({"", "", 1});
                 return page ? json_reply(cache.health().to_json()) : error_reply(page.error());
             }},
            {"GET",
             "/analytics/pulse",
             "Who is there now?",
             Access::with_key,
             {minutes},
             "The last minutes.",
             "Pulse",
             [&cache](Request const&, Arguments const& arguments) {
                 return answer_of(cache, "", [&](auto& analytics) {
                     return analytics.pulse(static_cast<int>(arguments.integer("window_minutes")));
                 });
             }},
            {"GET",
             "/analytics/latest/{window_type}",
             "What happened in the newest window with events?",
             Access::with_key,
             {window_type},
             "The window.",
             "Window_Summary",
             [&cache](Request const&, Arguments const& arguments) {
                 return answer_of(cache, "",
                                  [&](auto& analytics) { return analytics.latest(arguments.text("window_type")); });
             }},
            {"GET",
             "/analytics/{window_type}/{window_key}",
             "What happened in a window?",
             Access::with_key,
             {window_type, window_key},
             "The window; recorded is false if nothing is known.",
             "Window_Summary",
             [&cache](Request const&, Arguments const& arguments) {
                 return answer_of(cache, "window_key", [&](auto& analytics) {
                     return analytics.aggregation(arguments.text("window_type"), arguments.text("window_key"));
                 });
             }},
        };
    }

    /// Asks the analytics. `field` is the parameter that is at fault when the argument was invalid.
    template <class Ask>
    static auto answer_of(Cache& cache, std::string_view field, Ask const& ask) -> Response {
        auto const analytics = cache.open_analytics(Cache::ns_analytics);
        if (!analytics)
            return error_reply(analytics.error());
        auto const result = ask(**analytics);
        if (result)
            return json_reply(result->to_json());
        return error_reply(result.error(), result.error().code == Errc::invalid_argument ? field : std::string_view{});
    }

    Router router_;
};

} // namespace memfs_cache
