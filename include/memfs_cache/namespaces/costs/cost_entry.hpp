// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/money.hpp>

#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// The only currency that is taken: totals of several would mean nothing.
inline constexpr std::string_view cost_currency = "USD";

/// What one service cost on one UTC day.
struct Cost_Entry {
    Utc_Time date{};     ///< midnight of the day
    std::string service; ///< 1 to 256 bytes of UTF-8, such as "Amazon Simple Storage Service"
    Money_Nanos amount;
    std::string currency = std::string(cost_currency);
    std::string usage_quantity; ///< decimal text, kept as it was given; "" if it is not known
    std::string usage_unit;     ///< these four at most 256 bytes each; "" if it is not known
    std::string usage_type;
    std::string region;
    std::string account;

    /// What tells it from the other entries of its day: service, usage type, region and account.
    [[nodiscard]] auto is_of_same_thing(Cost_Entry const& other) const noexcept -> bool;
    /// In byte order of what tells them apart.
    [[nodiscard]] static auto comes_before(Cost_Entry const& a, Cost_Entry const& b) noexcept -> bool;
    friend auto operator==(Cost_Entry const&, Cost_Entry const&) -> bool = default;

    /// As it is shown: `date`, `amount_usd` as decimal text, and the rest.
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// A day such as 2026-02-13.
/// @errors invalid_argument
[[nodiscard]] auto parse_cost_date(std::string_view text) -> Result<Utc_Time>;

/// Everything that is known of the costs of one day: one stored object, revised in place.
struct Cost_Day {
    /// So much imports may tell of a day, counted without signs, and so much may be recorded beside: then no sum of days
    /// overflows.
    static constexpr Money_Nanos largest_total{10'000'000 * Money_Nanos::unit};
    static constexpr std::size_t most_entries = 10'000; ///< likewise

    Utc_Time date{};
    std::string nonce;                ///< another one each time it is written
    std::uint64_t revision = 0;       ///< how often it was written
    Utc_Time collected_at{};          ///< when it was written last
    bool estimated = false;           ///< who charges says that the figures will change
    std::vector<Cost_Entry> imported; ///< sorted, as told by the last import of the day
    std::vector<Cost_Entry> recorded; ///< sorted, recorded one by one

    [[nodiscard]] auto total() const noexcept -> Money_Nanos;
    /// From when on nothing is expected to change: the end of the day, two weeks later for one that is estimated.
    [[nodiscard]] auto settled_at() const noexcept -> Utc_Time;

    /// Puts one entry in the place of the one of the same thing, or beside the others.
    void record(Cost_Entry entry);
    /// Takes these figures for all that imports told before. What was recorded stays, unless they tell of the same thing.
    void import(std::vector<Cost_Entry> entries, bool is_estimated);
    /// @errors too_large: more entries or money than a day may have
    [[nodiscard]] auto check_size() const -> Result<void>;

    [[nodiscard]] auto to_json() const -> std::string;
    /// @errors corrupt_data naming the member
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Cost_Day>;
};

/// What an entry must be to be kept.
/// @param  accept_credits  amounts below zero are taken
/// @errors invalid_argument naming the member
[[nodiscard]] auto check_cost_entry(Cost_Entry const& entry, bool accept_credits, Utc_Time now) -> Result<void>;

} // namespace memfs_cache
