// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/admin_gate.hpp>
#include <memfs_cache/http/admin_page.hpp>
#include <memfs_cache/http/analytics_routes.hpp>
#include <memfs_cache/http/cost_routes.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/http/storage_routes.hpp>
#include <memfs_cache/http/token_routes.hpp>
#include <memfs_cache/http/transfer_routes.hpp>
#include <memfs_cache/http/upkeep_routes.hpp>
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/version.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// JSON Schemas of the bodies that Admin_Api answers with, by their names.
[[nodiscard]] auto admin_schemas() -> std::map<std::string, std::string>;

/// How the servers are doing that a program runs beside its service; never waits.
using Host_Health = std::function<Handler_Health()>;

/// The admin routes of a Cache_Service, for any host: a Server, or an ASGI adapter. GET /openapi.json describes them, and
/// the dashboard, which asks them, lies at "/".
/// Who comes without the key is told so, and who tries out keys has to wait (Admin_Gate).
///
/// Threads    answers from any thread at once.
/// Ownership  refers to the service, which must outlive it and its copies.
template <StorageBackend Storage>
class Admin_Api {
  public:
    /// @param  log   is told why a route answered 500, and of wrong keys; may be empty
    /// @param  host  is shown by /health as "servers"; may be empty
    Admin_Api(Cache_Service<Storage>& cache, Admin_Key key, Log log = {}, Host_Health host = {})
        : Admin_Api(cache,
                    std::make_shared<Admin_Gate>(
                        std::move(key), cache.options().analytics.trusted_proxies, cache.clock(), log),
                    log,
                    std::move(host)) {}

    [[nodiscard]] auto operator()(Request const& request) const -> Response { return router_(request); }
    [[nodiscard]] auto openapi() const -> std::string const& { return router_.openapi(); }

  private:
    using Cache = Cache_Service<Storage>;
    using Gate = std::shared_ptr<Admin_Gate>;

    Admin_Api(Cache& cache, Gate gate, Log log, Host_Health host)
        : router_(routes(cache, gate, std::move(host)), options(gate, std::move(log))) {}

    static auto options(Gate gate, Log log) -> Router_Options {
        Router_Options options;
        options.title = "memfs_cache admin";
        options.version = version;
        options.gate = [gate = std::move(gate)](Request const& request) { return gate->refusal(request); };
        options.otherwise = Admin_Page();
        options.schemas = admin_schemas();
        options.log = std::move(log);
        return options;
    }

    static auto routes(Cache& cache, Gate const& gate, Host_Health host) -> std::vector<Route> {
        auto all = health_routes(cache, gate, std::move(host));
        for (auto&& some : {analytics_routes(cache), token_routes(cache), transfer_routes(cache), cost_routes(cache),
                            storage_routes(cache), upkeep_routes(cache)})
            all.insert(all.end(), some.begin(), some.end());
        return all;
    }

    static auto health_routes(Cache& cache, Gate const& gate, Host_Health host) -> std::vector<Route> {
        return {
            {.method = "GET",
             .path = "/health",
             .summary = "Is it well?",
             .access = Access::open,
             .result = "How it is doing; with the key also in detail.",
             .schema = "Health",
             .handler =
                 [&cache, gate, host](Request const& request, Arguments const&) {
                     auto service = cache.health();
                     auto servers = host ? host() : Handler_Health();
                     service.degraded = service.degraded || servers.degraded;
                     auto health = service.to_json();
                     if (host)
                         health["servers"] = std::move(servers.details);
                     if (gate->refusal(request)) // how much happens is not for everybody
                         health = {{"status", health.at("status")}};
                     return json_reply(health);
                 }},
            {.method = "GET",
             .path = "/ready",
             .summary = "Does the storage answer?",
             .result = "It does.",
             .schema = "Health",
             .refusals = {503},
             .handler =
                 [&cache](Request const&, Arguments const&) {
                     auto const page = std::as_const(cache.storage()).list({"", "", 1});
                     return page ? json_reply(cache.health().to_json()) : error_reply(page.error());
                 }},
        };
    }

    Router router_;
};

} // namespace memfs_cache
