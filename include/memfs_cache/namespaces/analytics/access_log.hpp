// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/analytics/request_view.hpp>

#include <cstdint>
#include <string_view>

namespace memfs_cache {

/// Which lines a log holds.
enum class Access_Log_Format {
    combined, ///< host ident user [time] "request" status size "referrer" "user agent"; the last two may be missing
    common,   ///< the same without referrer and user agent
};

/// Why a line was refused, or that it was not.
enum class Access_Log_Verdict : std::uint8_t {
    accepted,
    empty_line,
    too_long,
    no_host,
    bad_identity,
    bad_time,
    bad_quotes,
    bad_request,
    bad_status,
    bad_size,
    trailing_text,
};

/// Longest line that is looked at, in bytes; web servers write far shorter ones.
inline constexpr std::size_t max_access_log_line_bytes = 64 * 1024;

/// Reads one line of an access log as Apache and nginx write it. A line is refused rather than half understood.
///
/// Quoted fields end at the first '"' that no backslash escapes; they are handed on as written, with their escapes.
/// The request is METHOD TARGET [HTTP/x.y]; the target may hold blanks. A request of "-" or "" is what a server writes
/// when a connection timed out before it sent anything (status 408): accepted, with no method and no target, since an
/// answer was sent. Time zones are applied; leap days are checked; instants that cannot be stored are refused. A size
/// of "-" is 0; a size above 2^53 - 1 is refused because no reader of JSON keeps it. Statuses are 100..599.
/// @param  line    one line with or without its LF or CRLF; any bytes, they need not be UTF-8.
/// @param  request set whole if the line is accepted, else left as it was. Its views point into `line`; source is
///                 "access_log"; duration, content type and country are unknown.
/// Threads any.
/// Cost    no allocation; below half a microsecond for a usual line.
/// @source https://httpd.apache.org/docs/2.4/logs.html#accesslog
[[nodiscard]] auto parse_access_log_line(std::string_view line,
                                         Access_Log_Format format,
                                         Request_View& request) noexcept -> Access_Log_Verdict;

/// What is wrong with a line, in words that do not repeat any of it.
[[nodiscard]] auto describe(Access_Log_Verdict verdict) noexcept -> std::string_view;

} // namespace memfs_cache
