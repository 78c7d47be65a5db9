// SPDX-License-Identifier: Apache-2.0
#include "analytics_access_log_parts.hpp"

#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace memfs_cache::log_parts {
namespace {

constexpr std::uint64_t max_size_bytes = (std::uint64_t{1} << 53) - 1;
constexpr std::size_t max_method_bytes = 32;

/// A number of `count` digits at `text[at]`, or -1. The caller has checked that they are there.
auto digits(std::string_view text, std::size_t at, std::size_t count) noexcept -> int {
    int number = 0;
    for (auto const c : text.substr(at, count)) {
        if (!is_ascii_digit(c))
            return -1;
        number = number * 10 + (c - '0');
    }
    return number;
}

/// 1..12, or 0 for anything that is not a month's English abbreviation.
auto month_of(std::string_view name) noexcept -> unsigned {
    constexpr std::array<std::string_view, 12> names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (unsigned i = 0; i < names.size(); ++i) {
        if (names[i] == name)
            return i + 1;
    }
    return 0;
}

/// From the midnight of 1970 on, of "hh:mm:ss" or "hh:mm:ss.fraction"; finer than milliseconds is cut off.
auto parse_time_of_day(std::string_view text) noexcept -> std::optional<Utc_Time> {
    if (text.size() < 8 || text[2] != ':' || text[5] != ':' || (text.size() > 8 && text[8] != '.'))
        return std::nullopt;
    auto const hour = digits(text, 0, 2);
    auto const minute = digits(text, 3, 2);
    auto const second = digits(text, 6, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return std::nullopt;
    int millis = 0;
    int unit = 100;
    for (auto const c : text.substr(std::min<std::size_t>(text.size(), 9))) {
        if (!is_ascii_digit(c))
            return std::nullopt;
        millis += unit * (c - '0');
        unit /= 10;
    }
    return from_millis(((hour * 60 + minute) * 60 + second) * std::int64_t{1000} + millis);
}

/// How far a zone such as Z, +0200 or -07:30 is ahead of UTC.
auto parse_zone(std::string_view text) noexcept -> std::optional<std::chrono::minutes> {
    using namespace std::chrono;
    if (text.empty() || text == "Z" || text == "z")
        return minutes(0);
    bool const has_colon = text.size() == 6 && text[3] == ':';
    if ((text[0] != '+' && text[0] != '-') || (text.size() != 5 && !has_colon))
        return std::nullopt;
    auto const hour = digits(text, 1, 2);
    auto const minute = digits(text, has_colon ? 4 : 3, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
        return std::nullopt;
    auto const ahead = hours(hour) + minutes(minute);
    return text[0] == '+' ? ahead : -ahead;
}

/// "2015-05-17T10:05:03.123+02:00"
auto parse_iso_time(std::string_view text) noexcept -> std::optional<Utc_Time> {
    auto const day =
        text.size() > 10 && (text[10] == 'T' || text[10] == ' ') ? parse_day(text.substr(0, 10)) : std::nullopt;
    if (!day)
        return std::nullopt;
    text.remove_prefix(11);
    auto const zone_at = std::min(text.find_first_of("Zz+-"), text.size());
    auto const time = parse_time_of_day(text.substr(0, zone_at));
    auto const zone = parse_zone(text.substr(zone_at));
    if (!time || !zone)
        return std::nullopt;
    return *day + time->time_since_epoch() - *zone;
}

/// A number without sign or exponent.
auto parse_fraction(std::string_view text) noexcept -> std::optional<double> {
    double number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || end != text.data() + text.size() || !(number >= 0) || !std::isfinite(number))
        return std::nullopt;
    return number;
}

auto is_method(std::string_view text) noexcept -> bool {
    if (text.empty() || text.size() > max_method_bytes)
        return false;
    for (char const c : text) {
        // RFC 9110's token, without the characters that no method was ever registered with.
        if (!is_ascii_letter(c) && !is_ascii_digit(c) && c != '-' && c != '_')
            return false;
    }
    return true;
}

/// Is this HTTP/1, HTTP/1.1 and the like?
auto is_protocol(std::string_view text) noexcept -> bool {
    if (!text.starts_with("HTTP/"))
        return false;
    text.remove_prefix(5);
    return (text.size() == 1 && is_ascii_digit(text[0])) ||
           (text.size() == 3 && is_ascii_digit(text[0]) && text[1] == '.' && is_ascii_digit(text[2]));
}

} // namespace

auto parse_server_time(std::string_view text) noexcept -> std::optional<Utc_Time> {
    using namespace std::chrono;
    constexpr std::string_view shape = "dd/mmm/yyyy:hh:mm:ss +hhmm";
    if (text.size() != shape.size() || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' ||
        text[17] != ':' || text[20] != ' ' || (text[21] != '+' && text[21] != '-'))
        return std::nullopt;
    auto const day = digits(text, 0, 2);
    auto const year = digits(text, 7, 4);
    auto const hour = digits(text, 12, 2);
    auto const minute = digits(text, 15, 2);
    auto const second = digits(text, 18, 2);
    auto const offset_hours = digits(text, 22, 2);
    auto const offset_minutes = digits(text, 24, 2);
    if (day < 0 || year < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
        offset_hours < 0 || offset_hours > 23 || offset_minutes < 0 || offset_minutes > 59)
        return std::nullopt;
    auto const midnight = day_from_civil(year, month_of(text.substr(3, 3)), static_cast<unsigned>(day));
    if (!midnight)
        return std::nullopt;
    auto const offset = hours(offset_hours) + minutes(offset_minutes);
    auto const local = *midnight + hours(hour) + minutes(minute) + seconds(second);
    auto const time = text[21] == '+' ? local - offset : local + offset;
    return is_storable(time) ? std::optional(time) : std::nullopt;
}

auto parse_day(std::string_view text) noexcept -> std::optional<Utc_Time> {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-')
        return std::nullopt;
    auto const year = digits(text, 0, 4);
    auto const month = digits(text, 5, 2);
    auto const day = digits(text, 8, 2);
    if (year < 0 || month < 0 || day < 0)
        return std::nullopt;
    return day_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
}

auto parse_instant(std::string_view text) noexcept -> std::optional<Utc_Time> {
    // A status or a size in the column of the time is a number as well, but a far smaller one.
    constexpr double first_second = 1e8;  // of 1973
    constexpr double first_millis = 1e11; // of 1973 too; as seconds that is the year 5138
    std::optional<Utc_Time> time;
    if (auto const number = parse_fraction(text); number && *number >= first_second && *number < 1e15)
        time = from_millis(std::llround(*number >= first_millis ? *number : *number * 1000));
    else if (text.size() > 2 && text[2] == '/')
        time = parse_server_time(text);
    else
        time = parse_iso_time(text);
    return time && is_storable(*time) ? time : std::nullopt;
}

auto parse_request(std::string_view text, Request_View& request) noexcept -> bool {
    if (text.empty() || text == "-")
        return true;
    auto const first_blank = text.find(' ');
    if (first_blank == std::string_view::npos)
        return false;
    request.method = text.substr(0, first_blank);
    request.target = text.substr(first_blank + 1);
    auto const last_blank = request.target.rfind(' ');
    if (last_blank != std::string_view::npos && is_protocol(request.target.substr(last_blank + 1)))
        request.target = request.target.substr(0, last_blank);
    return is_method(request.method) && !request.target.empty() && request.target.front() != ' ' &&
           !is_protocol(request.target);
}

auto parse_status(std::string_view text) noexcept -> std::optional<int> {
    auto const status = text.size() == 3 ? digits(text, 0, 3) : -1;
    return status >= 100 && status <= 599 ? std::optional(status) : std::nullopt;
}

auto parse_size(std::string_view text) noexcept -> std::optional<std::uint64_t> {
    auto const size = parse_decimal(text);
    return size && *size <= max_size_bytes ? size : std::nullopt;
}

auto Request_Of_Line::take(Meaning meaning, std::string_view value) noexcept -> Access_Log_Verdict {
    using enum Access_Log_Verdict;
    using enum Log_Columns::Meaning;
    bool const is_empty = value.empty() || value == "-";
    if (meaning == status) {
        has_status_ = true; // though it may be unknown
        if (is_empty || value == "000")
            return accepted;
        auto const read = parse_status(value);
        request_.status = read.value_or(0);
        return read ? accepted : bad_status;
    }
    if (meaning == part_of_time_taken)
        take_time_taken(value, true);
    if (is_empty)
        return accepted;
    switch (meaning) {
    case nothing:
    case status:
    case part_of_time_taken:
        break;
    case date:
        day_ = parse_day(value);
        return day_ ? accepted : bad_time;
    case time:
        return take_time(value) ? accepted : bad_time;
    case remote:
        request_.remote = value;
        break;
    case remote_and_port:
        request_.remote = value.substr(0, value.rfind(':'));
        break;
    case forwarded_for:
        request_.forwarded_for = value;
        break;
    case method:
        request_.method = value;
        return is_method(value) ? accepted : bad_request;
    case target:
        request_.target = value;
        break;
    case request_line:
        return parse_request(value, request_) ? accepted : bad_request;
    case Log_Columns::Meaning::size:
    case size_with_header: {
        auto const bytes = parse_size(value);
        if (!bytes)
            return bad_size;
        if (meaning == size_with_header && has_size_)
            break;
        has_size_ = meaning == Log_Columns::Meaning::size;
        request_.content_bytes = *bytes;
        break;
    }
    case user_agent:
        request_.user_agent = value;
        break;
    case referrer:
        request_.referrer = value;
        break;
    case content_type:
        request_.content_type = value;
        break;
    case country:
        request_.country = value;
        break;
    case time_taken:
        take_time_taken(value, false);
        break;
    }
    return accepted;
}

auto Request_Of_Line::take_time(std::string_view value) noexcept -> bool {
    time_of_day_ = parse_time_of_day(value);
    if (!time_of_day_)
        request_.timestamp = parse_instant(value);
    return time_of_day_ || request_.timestamp;
}

/// How long it took is worth having and no reason to refuse a line.
void Request_Of_Line::take_time_taken(std::string_view value, bool is_part) noexcept {
    constexpr double longest_s = 1e9;
    auto const number = parse_fraction(value);
    bool const in_millis = whole_is_millis_ && value.find('.') == std::string_view::npos;
    if (!number || *number > longest_s) {
        a_part_is_missing_ = a_part_is_missing_ || is_part;
        return;
    }
    auto const us = std::llround(*number * (in_millis ? 1e3 : 1e6));
    request_.duration_us = is_part ? request_.duration_us.value_or(0) + us : us;
}

auto Request_Of_Line::finish(std::string_view source, Request_View& request) noexcept -> Access_Log_Verdict {
    using enum Access_Log_Verdict;
    if (time_of_day_ && day_)
        request_.timestamp = *day_ + time_of_day_->time_since_epoch();
    if (!request_.timestamp || !is_storable(*request_.timestamp))
        return bad_time;
    if (!has_status_)
        return bad_status;
    if (request_.method.empty() != request_.target.empty())
        return bad_request;
    if (a_part_is_missing_)
        request_.duration_us.reset();
    request_.source = source;
    request = request_;
    return accepted;
}

} // namespace memfs_cache::log_parts
