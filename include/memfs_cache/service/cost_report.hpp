// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>
#include <memfs_cache/namespaces/costs/cost_summary.hpp>

#include <boost/json/object.hpp>

#include <optional>

namespace memfs_cache {

/// What a window cost, and what each thing that happened in it cost: costs joined with the analytics of the same UTC window.
struct Cost_Report {
    /// What the costs were for.
    struct Usage {
        std::uint64_t total_requests = 0;
        std::uint64_t total_transfers = 0; ///< files that were uploaded
        std::uint64_t unique_visitors = 0; ///< active users: within a longer window, visitor-days
    };

    Cost_Window costs;
    std::optional<Usage> usage; ///< nothing if nothing was recorded in the window: unknown is not zero

    [[nodiscard]] static auto of(Cost_Window costs, Window_Summary const& analytics) -> Cost_Report;

    /// The costs' own members; `total_requests`, `total_transfers` and `unique_visitors`; and `cost_per_request`,
    /// `cost_per_transfer` and `cost_per_active_user` in USD: 0 where there were none, null where costs or usage are not
    /// known.
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
