// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/service/cost_report.hpp>

#include <boost/json.hpp>

namespace memfs_cache {

auto Cost_Report::of(Cost_Window costs, Window_Summary const& analytics) -> Cost_Report {
    Cost_Report report{std::move(costs), std::nullopt};
    if (analytics.recorded)
        report.usage = Usage{analytics.total_requests, analytics.file_uploads, analytics.unique_visitors};
    return report;
}

auto Cost_Report::to_json() const -> boost::json::object {
    auto shown = costs.to_json();
    auto const show = [&](char const* total_name, char const* cost_name, std::uint64_t Usage::*count) {
        shown[total_name] = usage ? boost::json::value(*usage.*count) : boost::json::value(nullptr);
        auto& cost = shown[cost_name];
        if (usage && costs.recorded)
            cost = *usage.*count == 0 ? 0.0 : costs.total_cost.in_units() / static_cast<double>(*usage.*count);
    };
    show("total_requests", "cost_per_request", &Usage::total_requests);
    show("total_transfers", "cost_per_transfer", &Usage::total_transfers);
    show("unique_visitors", "cost_per_active_user", &Usage::unique_visitors);
    return shown;
}

} // namespace memfs_cache
