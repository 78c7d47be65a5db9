// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <boost/json.hpp>

#include <vector>

namespace memfs_cache {

/// The admin routes of the costs of a service.
/// Ownership  they refer to the service, which must outlive them.
template <StorageBackend Storage>
[[nodiscard]] auto cost_routes(Cache_Service<Storage>& cache) -> std::vector<Route> {
    // ask: (Costs&, Arguments const&) -> Response
    auto const asking = [&cache](auto ask) {
        return [&cache, ask](Request const&, Arguments const& arguments) {
            auto const costs = cache.open_costs(cache.ns_costs);
            return costs ? ask(**costs, arguments) : error_reply(costs.error());
        };
    };
    Parameter const budget_name{.name = "name", .description = "Of the budget."};
    return {
        {.method = "GET",
         .path = "/costs/current",
         .summary = "What has this month cost so far, and what will it?",
         .result = "The month.",
         .schema = "Cost_Report",
         .handler = [&cache](Request const&, Arguments const&) { return reply_with(cache.current_cost_report()); }},
        {.method = "GET",
         .path = "/costs/{window_type}/{window_key}",
         .summary = "What did a day, a week or a month cost?",
         .parameters = {{.name = "window_type",
                         .description = "Length of the window.",
                         .one_of = {"daily", "weekly", "monthly"}},
                        {.name = "window_key", .description = "Which one, in UTC: 2026-02-13, 2026-W07, 2026-02."}},
         .result = "The window; recorded is false if nothing is known.",
         .schema = "Cost_Report",
         .handler =
             [&cache](Request const&, Arguments const& arguments) {
                 auto const report = cache.cost_report(arguments.text("window_type"), arguments.text("window_key"));
                 if (report || report.error().code != Errc::invalid_argument)
                     return reply_with(report);
                 return error_reply(report.error(), "window_key");
             }},
        {.method = "POST",
         .path = "/costs/import",
         .summary = "Take over costs from the body: answers of AWS to GetCostAndUsage, or CSV.",
         .parameters = {{.name = "metric",
                         .description = "Which cost of AWS is taken.",
                         .fallback = Cost_Import_Options().metric}},
         .body_types = {"application/json", "text/csv"},
         .result = "What it told, and what of it is new.",
         .schema = "Cost_Import_Report",
         .refusals = {413},
         .handler =
             [&cache](Request const& request, Arguments const& arguments) {
                 auto const costs = cache.open_costs(cache.ns_costs);
                 if (!costs)
                     return error_reply(costs.error());
                 return reply_with((*costs)->import_file({"the body", request.body}, {arguments.text("metric")}));
             }},
        {.method = "POST",
         .path = "/costs/collect",
         .summary = "Ask AWS Cost Explorer for the days that are missing, with the server's own keys.",
         .body = {{.name = "backfill_days",
                   .description = "How far the first run goes back.",
                   .minimum = 0,
                   .maximum = 400,
                   .fallback = std::to_string(Collect_Options().backfill_days)},
                  {.name = "reread_days",
                   .description = "Fetch so many past days again, once a day.",
                   .minimum = 0,
                   .maximum = 400,
                   .fallback = std::to_string(Collect_Options().reread_days)},
                  {.name = "metric", .description = "Which cost is asked for.", .fallback = Collect_Options().metric}},
         .result = "What was asked for, and what of it is new.",
         .schema = "Collect_Report",
         .refusals = {503},
         .handler =
             [&cache](Request const&, Arguments const& arguments) {
                 auto const report = cache.collect_costs({static_cast<unsigned>(arguments.integer("backfill_days")),
                                                          static_cast<unsigned>(arguments.integer("reread_days")),
                                                          arguments.text("metric")});
                 // What AWS says of the server's keys is nothing about those of the client.
                 if (!report && (report.error().code == Errc::permission_denied ||
                                 report.error().code == Errc::not_found || report.error().code == Errc::throttled))
                     return error_reply(fail(Errc::unavailable, report.error().context));
                 return reply_with(report);
             }},
        {.method = "GET",
         .path = "/costs/budgets",
         .summary = "Which budgets are there?",
         .result = "Every budget, by name.",
         .schema = "Budgets",
         .handler = asking([](auto& costs, Arguments const&) { return list_reply("budgets", costs.budgets()); })},
        {.method = "POST",
         .path = "/costs/budgets",
         .summary = "Make a budget, or put it in the place of the one of the same name.",
         .body = {{.name = "name",
                   .description = "A letter or digit, then at most 127 of a-z 0-9 _ -.",
                   .is_required = true},
                  {.name = "amount_usd", .description = "Decimal text, such as \"100.50\".", .is_required = true},
                  {.name = "period",
                   .description = "What may cost so much.",
                   .one_of = {"daily", "monthly"},
                   .fallback = "monthly"},
                  {.name = "thresholds",
                   .description = "Percents that raise an alert, separated by commas.",
                   .fallback = "50,80,100"},
                  {.name = "service", .description = "Only its costs; empty for all."}},
         .result = "The budget.",
         .schema = "Budget",
         .handler = asking([](auto& costs, Arguments const& arguments) {
             return reply_with(
                 costs.set_budget({arguments.text("name"), arguments.text("amount_usd"), arguments.text("period"),
                                   arguments.text("thresholds"), arguments.text("service")}));
         })},
        {.method = "POST",
         .path = "/costs/budgets/{name}/remove",
         .summary = "Remove a budget; its alerts stay.",
         .parameters = {budget_name},
         .result = "Whether there was one.",
         .schema = "Removed",
         .handler = asking([](auto& costs, Arguments const& arguments) {
             auto const removed = costs.remove_budget(arguments.text("name"));
             return removed ? json_reply({{"removed", *removed}}) : error_reply(removed.error());
         })},
        {.method = "GET",
         .path = "/costs/alerts",
         .summary = "Which budgets were used up, and how far?",
         .parameters =
             {{.name = "limit", .description = "At most so many.", .minimum = 1, .maximum = 10'000, .fallback = "100"}},
         .result = "Alerts, newest first.",
         .schema = "Cost_Alerts",
         .handler = asking([](auto& costs, Arguments const& arguments) {
             return list_reply("alerts", costs.alerts(static_cast<std::size_t>(arguments.integer("limit"))));
         })},
    };
}

} // namespace memfs_cache
