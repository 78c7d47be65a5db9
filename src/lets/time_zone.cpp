// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/lets/time_zone.hpp>

#include <algorithm>

#if MEMFS_CACHE_HAS_TIME_ZONES
#include <cctz/time_zone.h>
#endif

namespace memfs_cache {

auto Local_Window::in_utc() const -> std::optional<Window> {
    auto const window = Window::containing(type_, start_);
    return window.start() == start_ && window.end() == end_ ? std::optional(window) : std::nullopt;
}

auto Local_Window::half_hours() const -> std::pair<Utc_Time, Utc_Time> {
    auto const last = Base_Window::containing(end_);
    return {Base_Window::containing(start_).start(), last.start() == end_ ? end_ : last.end()};
}

#if MEMFS_CACHE_HAS_TIME_ZONES

struct Time_Zone::Rules {
    cctz::time_zone zone;
};

namespace {

using std::chrono::seconds;

/// What a clock on the wall shows, as if it were a clock of UTC.
struct Wall_Time {
    Utc_Time shown;
};

auto to_wall(Utc_Time time, seconds offset) -> Wall_Time { return {time + offset}; }

auto to_civil_second(Wall_Time wall) -> cctz::civil_second {
    auto const civil = to_civil(wall.shown);
    return cctz::civil_second(civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second);
}

/// The first instant at which a clock shows a time, or has been set past it.
auto first_instant(cctz::time_zone const& zone, Wall_Time wall) -> Utc_Time {
    auto const found = zone.lookup(to_civil_second(wall));
    return found.kind == cctz::time_zone::civil_lookup::SKIPPED ? found.trans : found.pre;
}

/// The instants around `time` at which the offset changes; far away if it never does.
auto change_before(cctz::time_zone const& zone, Utc_Time time) -> Utc_Time {
    // The database counts in seconds and looks before an instant, so a change at `time` itself is looked for as well.
    cctz::time_zone::civil_transition change;
    if (!zone.prev_transition(std::chrono::floor<seconds>(time) + seconds(1), &change))
        return Utc_Time::min();
    return zone.lookup(change.to).trans;
}
auto change_after(cctz::time_zone const& zone, Utc_Time time) -> Utc_Time {
    cctz::time_zone::civil_transition change;
    if (!zone.next_transition(std::chrono::floor<seconds>(time), &change))
        return Utc_Time::max();
    return zone.lookup(change.to).trans;
}

/// "+01:00", or with seconds where there are some.
auto offset_text(seconds offset) -> std::string {
    std::string out(offset < seconds(0) ? "-" : "+");
    std::chrono::hh_mm_ss const parts(std::chrono::abs(offset));
    append_padded(out, static_cast<std::uint64_t>(parts.hours().count()), 2);
    out += ':';
    append_padded(out, static_cast<std::uint64_t>(parts.minutes().count()), 2);
    if (parts.seconds() == seconds(0))
        return out;
    out += ':';
    append_padded(out, static_cast<std::uint64_t>(parts.seconds().count()), 2);
    return out;
}

/// Is it a name as the database has them? Others, such as paths and the word for the host's own zone, are never looked up.
auto is_zone_name(std::string_view name) -> bool {
    if (name.empty() || name.size() > 64 || !(name.front() >= 'A' && name.front() <= 'Z'))
        return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return is_ascii_letter(c) || is_ascii_digit(c) || c == '/' || c == '_' || c == '-' || c == '+';
    });
}

} // namespace

auto Time_Zone::find(std::string_view name) -> Result<Time_Zone> {
    Time_Zone found;
    if (name == found.name_)
        return found;
    found.name_ = name;
    auto const rules = std::make_shared<Rules>();
    if (!is_zone_name(name) || !cctz::load_time_zone(found.name_, &rules->zone))
        return fail(Errc::invalid_argument,
                    "time_zone: not in the time zone database of this system; give an IANA name such as Europe/Lisbon");
    found.rules_ = rules;
    return found;
}

auto Time_Zone::containing(Window_Type type, Utc_Time time) const -> Local_Window {
    if (!rules_)
        return Local_Window(Window::containing(type, time));
    auto const& zone = rules_->zone;
    seconds const offset(zone.lookup(std::chrono::floor<seconds>(time)).offset);
    // The calendar is the same everywhere: the window that the wall shows, as one of UTC.
    auto window = Window::containing(type, to_wall(time, offset).shown);
    if (type == Window_Type::half_hour || type == Window_Type::hourly)
        return {type, std::max(window.start() - offset, change_before(zone, time)),
                std::min(window.end() - offset, change_after(zone, time)), window.key() + offset_text(offset)};
    // Where clocks are set back over midnight, the end of a date comes again after the next one has begun.
    auto end = first_instant(zone, {window.end()});
    while (end <= time) {
        window = window.next();
        end = first_instant(zone, {window.end()});
    }
    return {type, first_instant(zone, {window.start()}), end, window.key()};
}

#else

struct Time_Zone::Rules {};

auto Time_Zone::find(std::string_view name) -> Result<Time_Zone> {
    if (name == "UTC")
        return Time_Zone();
    return fail(Errc::unsupported,
                "time_zone: this library was built without time zones (MEMFS_CACHE_TIME_ZONES, which "
                "needs cctz); ask in UTC");
}

auto Time_Zone::containing(Window_Type type, Utc_Time time) const -> Local_Window {
    return Local_Window(Window::containing(type, time));
}

#endif

} // namespace memfs_cache
