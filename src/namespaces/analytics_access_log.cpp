// SPDX-License-Identifier: Apache-2.0
#include "analytics_access_log_parts.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/namespaces/analytics/access_log.hpp>

#include <optional>

namespace memfs_cache {
namespace {

/// Fields of the format begin with one blank, whatever is in them.
auto parse_fields(log_parts::Reader& line, Access_Log_Format format, Request_View& request) noexcept
    -> Access_Log_Verdict {
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
    request.timestamp = time ? log_parts::parse_server_time(*time) : std::nullopt;
    if (!request.timestamp)
        return bad_time;

    auto const asked = line.skip(' ') ? line.quoted() : std::nullopt;
    if (!asked)
        return bad_quotes;
    if (!log_parts::parse_request(*asked, request))
        return bad_request;

    auto const status = log_parts::parse_status(line.skip(' ') ? line.word() : std::string_view());
    if (!status)
        return bad_status;
    request.status = *status;

    auto const size = line.skip(' ') ? line.word() : std::string_view();
    auto const bytes = size == "-" ? std::optional<std::uint64_t>(0) : log_parts::parse_size(size);
    if (!bytes)
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
    log_parts::Reader reader(line);
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
    case directive:
        return "the line describes the log";
    case bad_json:
        return "the line is not one JSON object";
    case bad_directive:
        return "#Fields: names no columns that tell when, what was asked for, and with which status";
    case no_columns:
        return "no line #Fields: came before it; name the columns yourself";
    case bad_columns:
        return "there are more or fewer columns than named; name them in their order";
    }
    return "unknown";
}

} // namespace memfs_cache
