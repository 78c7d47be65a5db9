// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <boost/json.hpp>

#include <map>
#include <string>
#include <vector>

namespace memfs_cache {

/// What the routes of upkeep have in common that does not depend on the storage.
namespace upkeep_requests {

/// Of a purge, without the keys of all that goes: of each namespace how many there are.
[[nodiscard]] auto to_json(std::map<std::string, Purge_Report> const& reports) -> boost::json::object;

} // namespace upkeep_requests

/// The admin routes that build windows again and let go of what is old. Without `dry_run: false` they only tell.
/// Ownership  they refer to the service, which must outlive them.
template <StorageBackend Storage>
[[nodiscard]] auto upkeep_routes(Cache_Service<Storage>& cache) -> std::vector<Route> {
    using Service = Cache_Service<Storage>;
    Parameter const dry_run{
        .name = "dry_run", .description = "true: nothing is changed.", .fallback = "true", .is_flag = true};
    auto const instant = [](std::string name, std::string description, Utc_Time fallback) -> Parameter {
        return {.name = std::move(name),
                .description = std::move(description),
                .minimum = 0,
                .maximum = to_millis(latest_time),
                .fallback = std::to_string(to_millis(fallback))};
    };
    auto const days = [](std::string name, std::string description, int fallback) -> Parameter {
        return {.name = std::move(name),
                .description = std::move(description),
                .minimum = 0,
                .maximum = 100'000,
                .fallback = std::to_string(fallback)};
    };
    auto const& policy = cache.options().retention;
    // Upkeep is of the namespaces that are open.
    auto const opened = [&cache]() -> Result<void> {
        if (auto const analytics = cache.open_analytics(Service::ns_analytics); !analytics)
            return analytics.error();
        if (auto const tokens = cache.open_tokens(Service::ns_tokens); !tokens)
            return tokens.error();
        return {};
    };

    return {
        {.method = "POST",
         .path = "/upkeep/rebuild",
         .summary = "Build saved windows again from what they are made of.",
         .body = {{.name = "namespace",
                   .description = "Whose windows.",
                   .one_of = {std::string(Service::ns_analytics), std::string(Service::ns_tokens)},
                   .fallback = std::string(Service::ns_analytics)},
                  instant("from", "Windows that touch this millisecond since 1970, UTC, and later ones.", Utc_Time()),
                  instant("to", "Up to this one, not included.", latest_time),
                  dry_run},
         .result = "Which windows.",
         .schema = "Rebuild_Report",
         .handler =
             [&cache, opened](Request const&, Arguments const& arguments) {
                 if (auto const ready = opened(); !ready)
                     return error_reply(ready.error());
                 return reply_with(cache.rebuild(arguments.text("namespace"), from_millis(arguments.integer("from")),
                                                 from_millis(arguments.integer("to")), arguments.flag("dry_run")));
             }},
        {.method = "POST",
         .path = "/upkeep/purge",
         .summary = "Delete events and windows that are old enough; never before all that counts them is final.",
         .body = {days("raw_days", "Raw events so old; 0: none.", policy.raw_days),
                  days("windows_days", "Saved windows so old, and their raw events gone; 0: none.",
                       policy.windows_days),
                  {.name = "by", .description = "Who asks, for the record in the store."},
                  dry_run},
         .result = "What goes, of each namespace that keeps events.",
         .schema = "Purge_Reports",
         .handler =
             [&cache, opened](Request const&, Arguments const& arguments) {
                 if (auto const ready = opened(); !ready)
                     return error_reply(ready.error());
                 Retention_Policy const asked{static_cast<int>(arguments.integer("raw_days")),
                                              static_cast<int>(arguments.integer("windows_days"))};
                 auto const reports = cache.purge(std::nullopt, arguments.flag("dry_run"), asked, arguments.text("by"));
                 return reports ? json_reply(upkeep_requests::to_json(*reports)) : error_reply(reports.error());
             }},
    };
}

} // namespace memfs_cache
