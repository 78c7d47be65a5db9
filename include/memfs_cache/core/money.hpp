// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {

/// An amount of money in billionths of its currency's unit: a whole number, so that sums are exact and the same in any
/// order. About 9.2 billion units fit; whoever adds amounts keeps them below that.
struct Money_Nanos {
    std::int64_t nanos = 0;

    static constexpr int decimals = 9;
    static constexpr std::int64_t unit = 1'000'000'000;

    /// From decimal text, as people and AWS write it: "12.34", "-0.5", "0.0000123400", "1.2E-7". It never becomes a
    /// floating-point number on the way. What is finer than nine decimals is rounded once, to the nearest and from the
    /// middle to the even one.
    /// @errors invalid_argument: no decimal number, or one that does not fit; the text is not repeated
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Money_Nanos>;

    /// Decimal text without an exponent and without needless zeros, which parse() reads back: "12.34".
    [[nodiscard]] auto to_text() const -> std::string;
    /// The nearest floating-point number of units; to be shown, never to be added.
    [[nodiscard]] auto in_units() const noexcept -> double {
        return static_cast<double>(nanos) / static_cast<double>(unit);
    }

    auto operator+=(Money_Nanos other) noexcept -> Money_Nanos& {
        nanos += other.nanos;
        return *this;
    }
    [[nodiscard]] friend constexpr auto operator-(Money_Nanos a, Money_Nanos b) noexcept -> Money_Nanos {
        return {a.nanos - b.nanos};
    }
    friend auto operator==(Money_Nanos, Money_Nanos) -> bool = default;
    friend auto operator<=>(Money_Nanos, Money_Nanos) = default;
};

/// Is this decimal text as Money_Nanos::parse() reads it, of any size: digits with at most one point among them, perhaps a
/// sign before and an exponent behind?
[[nodiscard]] auto is_decimal(std::string_view text) -> bool;

} // namespace memfs_cache
