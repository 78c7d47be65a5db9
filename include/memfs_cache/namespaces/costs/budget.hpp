// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/money.hpp>
#include <memfs_cache/lets/window.hpp>

#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// A budget as it is asked for, in words.
struct New_Budget {
    std::string name;
    std::string amount_usd; ///< decimal text
    std::string period = "monthly";
    std::string thresholds = "50,80,100"; ///< percents
    std::string service = {};
};

/// What a day or a month may cost before somebody wants to know.
struct Budget {
    std::string name;                          ///< a letter or digit, then at most 127 of a-z 0-9 _ -
    Money_Nanos amount;                        ///< more than 0
    Window_Type period = Window_Type::monthly; ///< or daily
    std::vector<unsigned> thresholds;          ///< percent of the amount, 1 to 1000
    std::string service;                       ///< "" for the costs of all

    static constexpr Money_Nanos largest_amount{100'000'000 * Money_Nanos::unit};

    /// How much is a threshold of it, rounded up.
    [[nodiscard]] auto at(unsigned threshold) const noexcept -> Money_Nanos;
    [[nodiscard]] static auto is_name(std::string_view text) -> bool;
    /// @errors invalid_argument naming the member
    [[nodiscard]] static auto of(New_Budget const& wanted) -> Result<Budget>;

    [[nodiscard]] auto to_json() const -> boost::json::object;
    /// The stored form, with a fresh nonce, because it is overwritten in place.
    [[nodiscard]] auto stored_text() const -> std::string;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Budget>;

  private:
    [[nodiscard]] auto check() const -> Result<void>;
};

/// Says that costs of a period have reached a threshold of a budget. Written once for each of the three, and never
/// changed.
struct Cost_Alert {
    std::string budget;
    Window_Type period = Window_Type::monthly;
    std::string window_key;
    unsigned threshold = 0; ///< percent
    std::string service;    ///< "" for the costs of all
    Money_Nanos budgeted;   ///< as the budget stood then
    Money_Nanos spent;      ///< when it was noticed
    Utc_Time raised_at;

    [[nodiscard]] auto to_json() const -> boost::json::object;
    [[nodiscard]] auto stored_text() const -> std::string;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Cost_Alert>;
};

} // namespace memfs_cache
