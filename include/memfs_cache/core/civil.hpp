// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// First and last instant that can be stored: 1970 up to thirteen digits of milliseconds (November 2286), so that
/// times in file names sort as text.
inline constexpr Utc_Time earliest_time = from_millis(0);
inline constexpr Utc_Time latest_time = from_millis(9'999'999'999'999);

[[nodiscard]] constexpr auto is_storable(Utc_Time time) noexcept -> bool {
    return time >= earliest_time && time <= latest_time;
}

/// An instant as calendar fields, in UTC.
struct Civil_Time {
    int year = 1970;
    unsigned month = 1, day = 1, hour = 0, minute = 0, second = 0, millisecond = 0;
};

[[nodiscard]] inline auto to_civil(Utc_Time time) noexcept -> Civil_Time {
    auto const day = std::chrono::floor<std::chrono::days>(time);
    std::chrono::year_month_day const date(day);
    std::chrono::hh_mm_ss const clock(time - day);
    return {static_cast<int>(date.year()),
            static_cast<unsigned>(date.month()),
            static_cast<unsigned>(date.day()),
            static_cast<unsigned>(clock.hours().count()),
            static_cast<unsigned>(clock.minutes().count()),
            static_cast<unsigned>(clock.seconds().count()),
            static_cast<unsigned>(clock.subseconds().count())};
}

/// Midnight of a calendar day; nothing if there is no such day.
[[nodiscard]] inline auto day_from_civil(int year, unsigned month, unsigned day) noexcept -> std::optional<Utc_Time> {
    std::chrono::year_month_day const date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
    if (!date.ok())
        return std::nullopt;
    return Utc_Time(std::chrono::sys_days(date));
}

/// Midnight of the UTC day that holds an instant.
[[nodiscard]] inline auto day_of(Utc_Time time) noexcept -> Utc_Time {
    return std::chrono::floor<std::chrono::days>(time);
}

/// Appends a number in decimal, padded with zeros to `width` digits.
inline void append_padded(std::string& out, std::uint64_t number, int width) {
    char digits[20];
    int length = 0;
    do {
        digits[length++] = static_cast<char>('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (int i = length; i < width; ++i)
        out += '0';
    while (length > 0)
        out += digits[--length];
}

/// "2026-02-13" with the separator given.
[[nodiscard]] inline auto date_text(Utc_Time time, char separator = '-') -> std::string {
    auto const civil = to_civil(time);
    std::string out;
    append_padded(out, static_cast<std::uint64_t>(civil.year), 4);
    out += separator;
    append_padded(out, civil.month, 2);
    out += separator;
    append_padded(out, civil.day, 2);
    return out;
}

} // namespace memfs_cache
