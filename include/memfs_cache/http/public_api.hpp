// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/rate_limiter.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <boost/json.hpp>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What everybody may ask a Cache_Service, without a key: whether a token may be used, and what routes of the program
/// answer. A name that no token can have is answered as one that no token has, byte for byte, and each client may ask so
/// often a minute: nobody finds names by trying. What is recorded of it is the template of the path, not the name in it.
///
/// Threads    answers from any thread at once.
/// Ownership  refers to the service, which must outlive it and its copies.
template <StorageBackend Storage>
class Public_Api {
  public:
    /// @param  otherwise               answers all other paths, such as Static_Files
    /// @param  log                     is told why a token could not be checked; may be empty
    /// @param  token_check_per_minute  of each client, 1..1,000,000
    /// @param  more                    routes of the program
    Public_Api(Cache_Service<Storage>& cache,
               Handler otherwise,
               Log const& log = {},
               std::uint32_t token_check_per_minute = 30,
               std::vector<Route> more = {})
        : router_(with(std::move(more), check_route(cache, log, token_check_per_minute)),
                  {.otherwise = std::move(otherwise), .log = log}) {}

    [[nodiscard]] auto operator()(Request const& request) const -> Response { return router_(request); }
    /// @see Router::receive
    [[nodiscard]] auto receive(Request const& request) const -> Reception { return router_.receive(request); }
    /// May the answer have to wait for a storage? Not that of `otherwise`.
    [[nodiscard]] auto may_wait(Request const& request) const -> bool {
        return !router_.route_of(path_of(request.target)).empty();
    }

    /// Records a request of the public, for its host. Also what is wrong with a request, so that it was refused before it
    /// came here, brings no name of a token into the records.
    void record(Analytics<Storage>& analytics, Request_View request) const {
        auto const route =
            request.route.empty() && request.status >= 400 ? router_.route_of(path_of(request.target)) : std::string();
        if (!route.empty())
            request.route = route;
        analytics.record_request(request);
    }

  private:
    static auto with(std::vector<Route> routes, Route one) -> std::vector<Route> {
        routes.push_back(std::move(one));
        return routes;
    }

    static auto check_route(Cache_Service<Storage>& cache, Log log, std::uint32_t per_minute) -> Route {
        auto const limiter = std::make_shared<Rate_Limiter>(Rate{per_minute, std::chrono::minutes(1)},
                                                            cache.options().analytics.trusted_proxies, cache.clock());
        return {.method = "GET",
                .path = "/tokens/{name}/check",
                .summary = "May this token be used?",
                .access = Access::open,
                .parameters = {{.name = "name", .description = "The token's name, in any case."}},
                .handler = [&cache, limiter, log = std::move(log)](Request const& request, Arguments const& arguments) {
                    if (auto const wait = limiter->spend(request))
                        return too_many_requests(*wait);
                    auto const answer = check(cache, arguments.text("name"));
                    if (!answer) { // what is wrong with the storage is nothing for everybody
                        say(log, "A token could not be checked: " + answer.error().message());
                        return error_reply(fail(answer.error().code, {}));
                    }
                    auto const remaining = answer->remaining;
                    return json_reply(
                        {{"valid", answer->success},
                         {"status", answer->success ? to_text(Token_Status::active) : answer->rejection_reason},
                         {"remaining", remaining ? boost::json::value(*remaining) : boost::json::value(nullptr)}});
                }};
    }

    static auto check(Cache_Service<Storage>& cache, std::string_view name) -> Result<Token_Use> {
        auto const tokens = cache.open_tokens(cache.ns_tokens);
        if (!tokens)
            return tokens.error();
        return (*tokens)->check(name);
    }

    Router router_;
};

} // namespace memfs_cache
