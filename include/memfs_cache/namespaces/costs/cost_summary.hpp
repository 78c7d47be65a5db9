// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/saved_window.hpp>
#include <memfs_cache/namespaces/costs/cost_entry.hpp>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What the days of a window cost: the state that merges. Whole numbers only.
struct Cost_Summary {
    std::map<Utc_Time, Money_Nanos> by_day;
    std::map<std::string, Money_Nanos, std::less<>> by_service;
    std::uint64_t estimated_days = 0;

    [[nodiscard]] auto total() const noexcept -> Money_Nanos;
    void add(Cost_Day const& day);
    void merge(Cost_Summary const& other);
    void append_members(std::string& out) const;
    [[nodiscard]] static auto from_object(boost::json::object const& object) -> Result<Cost_Summary>;
    friend auto operator==(Cost_Summary const&, Cost_Summary const&) -> bool = default;
};

/// Costs with the share that each service has in them, in hundredths of a percent.
///
/// Shares are of what was charged: services with a sum of zero or less have none, and none is listed for them. They are
/// rounded by largest remainder, so that they make 10,000 together. Largest first, then by name.
[[nodiscard]] auto cost_shares(std::map<std::string, Money_Nanos, std::less<>> const& by_service)
    -> std::vector<std::pair<std::string, std::uint32_t>>;

/// What a month will cost if it goes on like this: what is known, and for each day behind the newest one that is known
/// the average of those that are. A month that is over costs what it did.
/// @param  month  with the costs of at least one day; nothing otherwise, and for windows that are no months
/// Rounding  toward zero, to a billionth
[[nodiscard]] auto projected_cost(Window const& month, Cost_Summary const& costs, Utc_Time now)
    -> std::optional<Money_Nanos>;

/// The answer about one window, with every figure ready to be shown.
struct Cost_Window {
    using Rows = std::vector<std::pair<std::string, Money_Nanos>>; ///< largest first, then by name

    Utc_Time window_start, window_end;
    Window_Type window_type;
    std::string window_key;
    bool recorded = false; ///< the costs of some day in it are known; false is "nothing known", not "free"
    bool final = false;    ///< over, and none of its days is an estimate that may still change
    bool estimated = false;
    Utc_Time computed_at;
    std::uint64_t revision = 0; ///< how often its days were written
    Money_Nanos total_cost;
    Rows cost_by_service;
    std::vector<std::pair<std::string, Money_Nanos>> cost_by_day;        ///< in order of days
    std::vector<std::pair<std::string, std::uint32_t>> top_cost_drivers; ///< cost_shares(); 20 rows at most
    std::optional<Money_Nanos> projected_month;                          ///< of a month
    std::optional<Money_Nanos> previous_total; ///< of the window before; nothing if nothing is known of it

    [[nodiscard]] static auto from(Window_Result<Cost_Summary> const& result,
                                   std::optional<Money_Nanos> previous_total,
                                   Utc_Time now) -> Cost_Window;
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
