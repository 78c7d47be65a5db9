// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/namespaces/analytics/access_log.hpp>

#include <array>
#include <chrono>
#include <optional>

namespace memfs_cache {
namespace {

constexpr std::uint64_t max_size_bytes = (std::uint64_t{1} << 53) - 1;
constexpr std::size_t max_method_bytes = 32;

/// Takes a text apart from its front.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    [[nodiscard]] auto rest() const noexcept -> std::string_view { return rest_; }

    auto skip(char expected) noexcept -> bool {
        if (rest_.empty() || rest_.front() != expected)
            return false;
        rest_.remove_prefix(1);
        return true;
    }

    /// Everything before the next blank or the end; the blank stays.
    auto word() noexcept -> std::string_view {
        auto const text = rest_.substr(0, rest_.find(' '));
        rest_.remove_prefix(text.size());
        return text;
    }

    /// Everything before `mark`, and the mark itself is skipped; nothing if it does not come.
    auto until(std::string_view mark) noexcept -> std::optional<std::string_view> {
        auto const end = rest_.find(mark);
        if (end == std::string_view::npos)
            return std::nullopt;
        auto const text = rest_.substr(0, end);
        rest_.remove_prefix(end + mark.size());
        return text;
    }

    /// The inside of a quoted field; nothing if it does not begin here or does not end.
    auto quoted() noexcept -> std::optional<std::string_view> {
        if (!skip('"'))
            return std::nullopt;
        for (auto end = rest_.find('"'); end != std::string_view::npos; end = rest_.find('"', end + 1)) {
            auto first_backslash = end;
            while (first_backslash > 0 && rest_[first_backslash - 1] == '\\')
                --first_backslash;
            if ((end - first_backslash) % 2 != 0)
                continue; // escaped: an even number of backslashes is only escaped backslashes
            auto const text = rest_.substr(0, end);
            rest_.remove_prefix(end + 1);
            return text;
        }
        return std::nullopt;
    }

  private:
    std::string_view rest_;
};

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

/// The instant of "17/May/2015:10:05:03 +0000".
auto parse_time(std::string_view text) noexcept -> std::optional<Utc_Time> {
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

/// Fields of the format begin with one blank, whatever is in them.
auto parse_fields(Reader& line, Access_Log_Format format, Request_View& request) noexcept -> Access_Log_Verdict {
    using enum Access_Log_Verdict;
    request.remote = line.word();
    if (request.remote.empty())
        return no_host;

    // A user name may hold blanks, so the time is found by its bracket: " ident user [".
    auto const identity = line.until(" [");
    if (!identity)
        return bad_identity;
    auto const user_at = identity->find(' ', 1);
    if (user_at == std::string_view::npos || user_at == 1 || user_at + 1 == identity->size())
        return bad_identity;

    auto const time = line.until("]");
    request.timestamp = time ? parse_time(*time) : std::nullopt;
    if (!request.timestamp)
        return bad_time;

    auto const asked = line.skip(' ') ? line.quoted() : std::nullopt;
    if (!asked)
        return bad_quotes;
    if (!parse_request(*asked, request))
        return bad_request;

    auto const status = line.skip(' ') ? line.word() : std::string_view();
    request.status = status.size() == 3 ? digits(status, 0, 3) : -1;
    if (request.status < 100 || request.status > 599)
        return bad_status;

    auto const size = line.skip(' ') ? line.word() : std::string_view();
    auto const bytes = size == "-" ? std::optional<std::uint64_t>(0) : parse_decimal(size);
    if (!bytes || *bytes > max_size_bytes)
        return bad_size;
    request.content_bytes = *bytes;

    if (format == Access_Log_Format::combined && !trim_blanks(line.rest()).empty()) {
        auto const referrer = line.skip(' ') ? line.quoted() : std::nullopt;
        auto const user_agent = referrer && line.skip(' ') ? line.quoted() : std::nullopt;
        if (!user_agent)
            return bad_quotes;
        request.referrer = *referrer;
        request.user_agent = *user_agent;
    }
    return trim_blanks(line.rest()).empty() ? accepted : trailing_text;
}

} // namespace

auto parse_access_log_line(std::string_view line, Access_Log_Format format, Request_View& request) noexcept
    -> Access_Log_Verdict {
    if (line.ends_with('\n'))
        line.remove_suffix(1);
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    if (line.empty())
        return Access_Log_Verdict::empty_line;
    if (line.size() > max_access_log_line_bytes)
        return Access_Log_Verdict::too_long;
    Request_View read;
    read.source = "access_log";
    Reader reader(line);
    auto const verdict = parse_fields(reader, format, read);
    if (verdict == Access_Log_Verdict::accepted)
        request = read;
    return verdict;
}

auto describe(Access_Log_Verdict verdict) noexcept -> std::string_view {
    using enum Access_Log_Verdict;
    switch (verdict) {
    case accepted:
        return "accepted";
    case empty_line:
        return "the line is empty";
    case too_long:
        return "the line is longer than 64 KiB";
    case no_host:
        return "the client's host or address is missing at the start of the line";
    case bad_identity:
        return "after the host come not ident, user and [time]";
    case bad_time:
        return "the time is not a valid [day/Mon/year:hour:minute:second +zone] since 1970";
    case bad_quotes:
        return "a quoted field is missing or its closing quote is";
    case bad_request:
        return "the request is not METHOD TARGET PROTOCOL";
    case bad_status:
        return "the status is not a number from 100 to 599";
    case bad_size:
        return "the size is neither a number of bytes nor -";
    case trailing_text:
        return "text follows after the last field of the format";
    }
    return "unknown";
}

} // namespace memfs_cache
