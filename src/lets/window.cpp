// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/lets/window.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

using std::chrono::days;
using std::chrono::hours;

struct Level {
    Window_Type type;
    std::string_view text;
    std::string_view form; ///< of a key, for messages
};

constexpr std::array<Level, 6> levels{{
    {Window_Type::half_hour, "30min", "2026-02-13T14:00 or 2026-02-13T14:30"},
    {Window_Type::hourly, "hourly", "2026-02-13T14"},
    {Window_Type::daily, "daily", "2026-02-13"},
    {Window_Type::weekly, "weekly", "2026-W07"},
    {Window_Type::monthly, "monthly", "2026-02"},
    {Window_Type::yearly, "yearly", "2026"},
}};

auto level(Window_Type type) noexcept -> Level const& { return levels[static_cast<std::size_t>(type)]; }

/// Monday of the ISO week that holds a day, and the week's year and number.
struct Iso_Week {
    Utc_Time monday;
    int year;
    unsigned week;
};

auto iso_week(Utc_Time time) -> Iso_Week {
    auto const day = std::chrono::floor<days>(time);
    auto const weekday = std::chrono::weekday(day).iso_encoding();
    auto const monday = day - days(weekday - 1);
    // A week belongs to the year of its Thursday.
    auto const year = std::chrono::year_month_day(monday + days(3)).year();
    auto const first_thursday_week = std::chrono::sys_days(year / std::chrono::January / 4);
    auto const first_monday = first_thursday_week - days(std::chrono::weekday(first_thursday_week).iso_encoding() - 1);
    return {monday, static_cast<int>(year), static_cast<unsigned>((monday - first_monday).count() / 7 + 1)};
}

/// Fixed-width decimal fields of a key or file: 'd' stands for a digit, everything else for itself.
auto matches(std::string_view text, std::string_view pattern) noexcept -> bool {
    return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(),
                      [](char c, char p) { return p == 'd' ? c >= '0' && c <= '9' : c == p; });
}

auto number(std::string_view text, std::size_t at, std::size_t digits) -> unsigned {
    return static_cast<unsigned>(parse_decimal(text.substr(at, digits)).value_or(0));
}

/// The start of the window that a key names; nothing if the key is not of the level.
auto start_of_key(Window_Type type, std::string_view key) -> std::optional<Utc_Time> {
    switch (type) {
    case Window_Type::half_hour: {
        auto const window = Base_Window::parse(key);
        return window ? std::optional(window->start()) : std::nullopt;
    }
    case Window_Type::hourly: {
        if (!matches(key, "dddd-dd-ddTdd") || number(key, 11, 2) > 23)
            return std::nullopt;
        auto const day = start_of_key(Window_Type::daily, key.substr(0, 10));
        return day ? std::optional(*day + hours(number(key, 11, 2))) : std::nullopt;
    }
    case Window_Type::daily:
        if (!matches(key, "dddd-dd-dd"))
            return std::nullopt;
        return day_from_civil(static_cast<int>(number(key, 0, 4)), number(key, 5, 2), number(key, 8, 2));
    case Window_Type::weekly: {
        if (!matches(key, "dddd-Wdd") || number(key, 6, 2) == 0)
            return std::nullopt;
        auto const year = static_cast<int>(number(key, 0, 4));
        auto const fourth = day_from_civil(year, 1, 4); // always in week 1
        auto const week = iso_week(iso_week(*fourth).monday + days(7 * (number(key, 6, 2) - 1)));
        if (week.year != year || week.week != number(key, 6, 2))
            return std::nullopt;
        return week.monday;
    }
    case Window_Type::monthly:
        if (!matches(key, "dddd-dd"))
            return std::nullopt;
        return day_from_civil(static_cast<int>(number(key, 0, 4)), number(key, 5, 2), 1);
    case Window_Type::yearly:
        if (!matches(key, "dddd"))
            return std::nullopt;
        return day_from_civil(static_cast<int>(number(key, 0, 4)), 1, 1);
    }
    return std::nullopt;
}

} // namespace

auto to_text(Window_Type type) noexcept -> std::string_view { return level(type).text; }

auto parse_window_type(std::string_view text) -> Result<Window_Type> {
    for (auto const& row : levels)
        if (row.text == text)
            return row.type;
    return fail(Errc::invalid_argument, "window type: give 30min, hourly, daily, weekly, monthly or yearly");
}

auto child_type(Window_Type type) noexcept -> std::optional<Window_Type> {
    switch (type) {
    case Window_Type::half_hour:
        return std::nullopt;
    case Window_Type::hourly:
        return Window_Type::half_hour;
    case Window_Type::daily:
        return Window_Type::hourly;
    case Window_Type::weekly:
    case Window_Type::monthly:
        return Window_Type::daily;
    case Window_Type::yearly:
        return Window_Type::monthly;
    }
    return std::nullopt;
}

auto Window::parse(Window_Type type, std::string_view key) -> Result<Window> {
    auto const start = start_of_key(type, key);
    if (!start || !is_storable(*start))
        return fail(Errc::invalid_argument, std::string("window key: a ") + std::string(level(type).text) +
                                                " window is named like " + std::string(level(type).form) + ", in UTC");
    return containing(type, *start);
}

auto Window::containing(Window_Type type, Utc_Time time) -> Window {
    auto const civil = to_civil(time);
    switch (type) {
    case Window_Type::half_hour: {
        auto const base = Base_Window::containing(time);
        return {type, base.start(), base.end()};
    }
    case Window_Type::hourly: {
        Utc_Time const start = std::chrono::floor<hours>(time);
        return {type, start, start + hours(1)};
    }
    case Window_Type::daily:
        return {type, day_of(time), day_of(time) + days(1)};
    case Window_Type::weekly: {
        auto const monday = iso_week(time).monday;
        return {type, monday, monday + days(7)};
    }
    case Window_Type::monthly: {
        auto const next_year = civil.month == 12 ? civil.year + 1 : civil.year;
        auto const next_month = civil.month == 12 ? 1U : civil.month + 1;
        return {type, *day_from_civil(civil.year, civil.month, 1), *day_from_civil(next_year, next_month, 1)};
    }
    case Window_Type::yearly:
        break;
    }
    return {Window_Type::yearly, *day_from_civil(civil.year, 1, 1), *day_from_civil(civil.year + 1, 1, 1)};
}

auto Window::key() const -> std::string {
    auto const date = date_text(start_);
    switch (type_) {
    case Window_Type::half_hour:
        return Base_Window::containing(start_).key();
    case Window_Type::hourly:
        return Base_Window::containing(start_).key().substr(0, 13);
    case Window_Type::daily:
        return date;
    case Window_Type::weekly: {
        auto const week = iso_week(start_);
        std::string out;
        append_padded(out, static_cast<std::uint64_t>(week.year), 4);
        out += "-W";
        append_padded(out, week.week, 2);
        return out;
    }
    case Window_Type::monthly:
        return date.substr(0, 7);
    case Window_Type::yearly:
        break;
    }
    return date.substr(0, 4);
}

auto Window::file() const -> std::string {
    // A key with its separators turned into folders; the colon of half-hours into a dash.
    auto path = key();
    if (type_ != Window_Type::weekly) {
        std::replace(path.begin(), path.end(), '-', '/');
        std::replace(path.begin(), path.end(), 'T', '/');
        std::replace(path.begin(), path.end(), ':', '-');
    }
    return std::string(to_text(type_)).append("/").append(path).append(".json");
}

auto Window::from_file(std::string_view file) -> std::optional<Window> {
    auto const slash = file.find('/');
    if (slash == std::string_view::npos || file.size() < slash + 6)
        return std::nullopt;
    auto const type = parse_window_type(file.substr(0, slash));
    if (!type)
        return std::nullopt;
    std::string key(file.substr(slash + 1, file.size() - slash - 6));
    if (*type != Window_Type::weekly) {
        std::replace(key.begin(), key.end(), '-', ':');
        std::replace(key.begin(), key.end(), '/', '-');
        if (key.size() > 10)
            key[10] = 'T';
    }
    auto const window = parse(*type, key);
    // Comparing the whole text settles the suffix and every separator at once.
    if (!window || window->file() != file)
        return std::nullopt;
    return *window;
}

} // namespace memfs_cache
