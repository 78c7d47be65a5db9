// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Owned bytes. Stored values are text far more often than not, so the text type is used for both.
using Bytes = std::string;
/// Borrowed bytes; never outlives what it was made from.
using Byte_View = std::string_view;

inline constexpr char hex_digits[] = "0123456789abcdef";

/// Lower-case hex of bytes, two digits a byte.
[[nodiscard]] inline auto to_hex(Byte_View bytes) -> std::string {
    std::string out(bytes.size() * 2, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto const byte = static_cast<unsigned char>(bytes[i]);
        out[2 * i] = hex_digits[byte >> 4];
        out[2 * i + 1] = hex_digits[byte & 15];
    }
    return out;
}

/// Writes `digits` lower-case hex digits of a number, most significant first, to `out`.
inline void write_hex(char* out, std::uint64_t number, int digits) noexcept {
    for (int i = digits - 1; i >= 0; --i, number >>= 4)
        out[i] = hex_digits[number & 15];
}

/// Sixteen lower-case hex digits of a 64-bit number.
[[nodiscard]] inline auto to_hex(std::uint64_t number) -> std::string {
    std::string out(16, '\0');
    write_hex(out.data(), number, 16);
    return out;
}

namespace detail {
/// What a lower-case hex digit stands for, by its byte; 16 for every other byte.
inline constexpr auto hex_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(16);
    for (std::uint8_t i = 0; i < 16; ++i)
        values[static_cast<unsigned char>(hex_digits[i])] = i;
    return values;
}();
} // namespace detail

/// A number from 1..16 lower-case hex digits; nothing for any other text.
[[nodiscard]] inline auto parse_hex(std::string_view text) noexcept -> std::optional<std::uint64_t> {
    if (text.empty() || text.size() > 16)
        return std::nullopt;
    std::uint64_t number = 0;
    unsigned seen = 0; // asked once at the end: a branch for each digit costs more than the digit
    for (char const c : text) {
        unsigned const digit = detail::hex_values[static_cast<unsigned char>(c)];
        seen |= digit;
        number = number << 4 | (digit & 15);
    }
    return seen < 16 ? std::optional(number) : std::nullopt;
}

/// A number from decimal digits only (no sign, no blank); nothing for any other text or on overflow.
[[nodiscard]] inline auto parse_decimal(std::string_view text) noexcept -> std::optional<std::uint64_t> {
    if (text.empty() || text.size() > 20)
        return std::nullopt;
    std::uint64_t number = 0;
    for (char const c : text) {
        if (c < '0' || c > '9')
            return std::nullopt;
        auto const digit = static_cast<std::uint64_t>(c - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return std::nullopt;
        number = number * 10 + digit;
    }
    return number;
}

} // namespace memfs_cache
