// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/analytics_routes.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <string>
#include <vector>

namespace memfs_cache {

/// The admin routes of the transfers of a service.
/// Ownership  they refer to the service, which must outlive them.
template <StorageBackend Storage>
[[nodiscard]] auto transfer_routes(Cache_Service<Storage>& cache) -> std::vector<Route> {
    // ask: (Transfers&, Arguments const&) -> Response
    auto const asking = [&cache](auto ask) {
        return [&cache, ask](Request const&, Arguments const& arguments) {
            auto const transfers = cache.open_transfers();
            return transfers ? ask(**transfers, arguments) : error_reply(transfers.error());
        };
    };
    Parameter const id{.name = "id", .description = "The transfer's id: 1 to 128 of A-Z a-z 0-9 _ -."};
    return {
        {.method = "GET",
         .path = "/transfers/{id}/summary",
         .summary = "What happened to this transfer?",
         .parameters = {id},
         .result = "Its figures and its newest events.",
         .schema = "Transfer_Summary",
         .refusals = {404},
         .handler = asking([](auto& transfers, Arguments const& arguments) {
             return reply_with(transfers.summary(arguments.text("id")));
         })},
        {.method = "GET",
         .path = "/transfers/{id}/events",
         .summary = "What happened to it last?",
         .parameters =
             {id,
              {.name = "limit", .description = "At most so many.", .minimum = 1, .maximum = 10'000, .fallback = "100"}},
         .result = "Its events, newest first; none if no event names it.",
         .schema = "Transfer_Events",
         .handler = asking([](auto& transfers, Arguments const& arguments) {
             return list_reply("events", transfers.events(arguments.text("id"),
                                                          static_cast<std::size_t>(arguments.integer("limit"))));
         })},
        {.method = "GET",
         .path = "/transfers/active",
         .summary = "Which transfers are active now?",
         .parameters = {{.name = "window_minutes",
                         .description = "How many minutes count as now.",
                         .minimum = 1,
                         .maximum = most_recent_minutes,
                         .fallback = "60"}},
         .result = "The most active ones of these minutes.",
         .schema = "Active_Transfers",
         .handler = asking([](auto& transfers, Arguments const& arguments) {
             return reply_with(transfers.active(static_cast<int>(arguments.integer("window_minutes"))));
         })},
        {.method = "GET",
         .path = "/transfers/{window_type}/{window_key}",
         .summary = "What happened to all transfers in a window?",
         .parameters = {analytics_requests::window_type("window_type"),
                        {.name = "window_key", .description = "Which one, in UTC: 2026-02-13, 2026-02."}},
         .result = "The window; recorded is false if nothing is known.",
         .schema = "Transfers_Window",
         .handler = asking([](auto& transfers, Arguments const& arguments) {
             auto const window = transfers.aggregation(arguments.text("window_type"), arguments.text("window_key"));
             if (window || window.error().code != Errc::invalid_argument)
                 return reply_with(window);
             return error_reply(window.error(), "window_key");
         })},
    };
}

} // namespace memfs_cache
