// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/money.hpp>

#include <optional>

namespace memfs_cache {
namespace {

/// A decimal number in pieces: its value is `digits` with a point behind the first `point` of them.
struct Decimal {
    bool is_negative = false;
    std::string digits; ///< without zeros in front, so "" is zero
    std::int64_t point = 0;
};

auto take_sign(std::string_view& text) -> bool {
    bool const is_negative = text.starts_with('-');
    if (is_negative || text.starts_with('+'))
        text.remove_prefix(1);
    return is_negative;
}

auto take_digits(std::string_view& text) -> std::string_view {
    auto const digits = text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
    text.remove_prefix(digits.size());
    return digits;
}

auto read_decimal(std::string_view text) -> std::optional<Decimal> {
    Decimal number;
    number.is_negative = take_sign(text);
    auto const whole = take_digits(text);
    if (whole.empty())
        return std::nullopt;
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = take_digits(text);
        if (fraction.empty())
            return std::nullopt;
    }
    number.digits.append(whole).append(fraction);
    number.point = static_cast<std::int64_t>(whole.size());
    if (!text.empty() && ascii_lower(text.front()) == 'e') {
        text.remove_prefix(1);
        bool const shrinks = take_sign(text);
        auto const digits = take_digits(text);
        constexpr std::size_t most_digits = 6; // of an exponent; larger ones mean nothing but a longer loop
        if (digits.empty() || digits.size() > most_digits)
            return std::nullopt;
        auto const exponent = static_cast<std::int64_t>(*parse_decimal(digits));
        number.point += shrinks ? -exponent : exponent;
    }
    if (!text.empty())
        return std::nullopt;
    auto const zeros = std::min(number.digits.find_first_not_of('0'), number.digits.size());
    number.digits.erase(0, zeros);
    number.point -= static_cast<std::int64_t>(zeros);
    return number;
}

/// Is the part behind the first `kept` digits more than half of the last one kept, or half of an odd one?
auto rounds_up(std::string_view digits, std::size_t kept) -> bool {
    if (kept >= digits.size() || digits[kept] != '5')
        return kept < digits.size() && digits[kept] > '5';
    bool const is_exact_half = digits.find_first_not_of('0', kept + 1) == std::string_view::npos;
    bool const is_odd = kept > 0 && (digits[kept - 1] - '0') % 2 == 1;
    return !is_exact_half || is_odd;
}

} // namespace

auto is_decimal(std::string_view text) -> bool { return read_decimal(text).has_value(); }

auto Money_Nanos::parse(std::string_view text) -> Result<Money_Nanos> {
    auto const number = read_decimal(text);
    if (!number)
        return fail(Errc::invalid_argument, "give an amount in decimal digits, such as 12.34");
    constexpr std::int64_t most_digits = 19; // of a number of 64 bits
    auto const kept = number->point + decimals;
    if (number->digits.empty() || kept < 0) // zero, or less than a tenth of the finest
        return Money_Nanos{};
    auto const too_large = fail(Errc::invalid_argument, "the amount is too large: give less than 9223372036");
    if (kept > most_digits)
        return too_large;
    auto const size = static_cast<std::size_t>(kept);
    auto whole = number->digits.substr(0, size);
    whole.resize(size, '0');
    auto nanos = whole.empty() ? std::optional<std::uint64_t>(0) : parse_decimal(whole);
    if (nanos && rounds_up(number->digits, size))
        ++*nanos;
    if (!nanos || *nanos > INT64_MAX)
        return too_large;
    auto const magnitude = static_cast<std::int64_t>(*nanos);
    return Money_Nanos{number->is_negative ? -magnitude : magnitude};
}

auto Money_Nanos::to_text() const -> std::string {
    std::string text = nanos < 0 ? "-" : "";
    // The least number has no positive counterpart of its type.
    auto const magnitude =
        nanos < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(nanos) : static_cast<std::uint64_t>(nanos);
    text += std::to_string(magnitude / unit);
    if (auto const fraction = magnitude % unit; fraction != 0) {
        text += '.';
        append_padded(text, fraction, decimals);
        text.erase(text.find_last_not_of('0') + 1);
    }
    return text;
}

} // namespace memfs_cache
