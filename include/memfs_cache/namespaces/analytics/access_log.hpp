// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/namespaces/analytics/request_view.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Which lines a log holds.
enum class Access_Log_Format : std::uint8_t {
    detect,     ///< by what its first lines look like, whatever its name; combined if nothing is recognised
    combined,   ///< host ident user [time] "request" status size "referrer" "user agent"; the last two may be missing
    common,     ///< the same without referrer and user agent
    json,       ///< an object a line: as Caddy writes it, or with the names of nginx's variables
    w3c,        ///< columns that a line "#Fields:" names: IIS, and CloudFront's standard logs
    cloudfront, ///< CloudFront's real-time logs: 27 columns between tabs, if Log_Columns do not say otherwise
    alb,        ///< access logs of an AWS application load balancer
};

/// The format of that name; nothing if there is none.
[[nodiscard]] auto parse_access_log_format(std::string_view name) noexcept -> std::optional<Access_Log_Format>;

/// Why a line was refused, or that it was not.
enum class Access_Log_Verdict : std::uint8_t {
    accepted,
    directive, ///< nothing is wrong with it: it says something of the log and tells of no request
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
    bad_json,
    bad_directive,
    no_columns,
    bad_columns,
};

/// Longest line that is looked at, in bytes; web servers write far shorter ones.
inline constexpr std::size_t max_access_log_line_bytes = 64 * 1024;

/// What stands in the columns of a log, one after the other.
class Log_Columns {
  public:
    /// What a column means to analytics.
    enum class Meaning : std::uint8_t {
        nothing,
        date,
        time, ///< of a day, or an instant in any of the spellings that logs have
        remote,
        remote_and_port,
        forwarded_for,
        method,
        target,
        request_line,
        status,
        size,
        size_with_header, ///< counts where the body's own size is not told
        user_agent,
        referrer,
        content_type,
        country,
        time_taken,
        part_of_time_taken,
    };

    /// @param  names  as a line "#Fields:" has them, between blanks or commas, such as "date time cs-method cs-uri-stem
    ///                sc-status"; names that mean nothing to analytics are columns that are passed over
    /// @errors invalid_argument naming what analytics cannot do without: when, what and with which status
    [[nodiscard]] static auto parse(std::string_view names) -> Result<Log_Columns>;
    /// The 27 columns of CloudFront's real-time logs, in the order in which the console offers them.
    [[nodiscard]] static auto cloudfront() -> Log_Columns;
    /// The columns of a load balancer's log that were there from the beginning.
    [[nodiscard]] static auto alb() -> Log_Columns;

    [[nodiscard]] auto meanings() const noexcept -> std::vector<Meaning> const& { return meanings_; }
    /// May more columns follow than are named here?
    [[nodiscard]] auto may_go_on() const noexcept -> bool { return may_go_on_; }

  private:
    std::vector<Meaning> meanings_;
    bool may_go_on_ = false;
};

/// Reads one line of an access log as Apache and nginx write it. A line is refused rather than half understood.
///
/// Quoted fields end at the first '"' that no backslash escapes; they are handed on as written, with their escapes.
/// The request is METHOD TARGET [HTTP/x.y]; the target may hold blanks. A request of "-" or "" is what a server writes
/// when a connection timed out before it sent anything (status 408): accepted, with no method and no target, since an
/// answer was sent. Time zones are applied; leap days are checked; instants that cannot be stored are refused. A size
/// of "-" is 0; a size above 2^53 - 1 is refused because no reader of JSON keeps it. Statuses are 100..599.
/// @param  line    one line with or without its LF or CRLF; any bytes, they need not be UTF-8.
/// @param  format  combined or common
/// @param  request set whole if the line is accepted, else left as it was. Its views point into `line`; source is
///                 "access_log"; duration, content type and country are unknown.
/// Threads any.
/// Cost    no allocation; below half a microsecond for a usual line.
/// @source https://httpd.apache.org/docs/2.4/logs.html#accesslog
[[nodiscard]] auto parse_access_log_line(std::string_view line,
                                         Access_Log_Format format,
                                         Request_View& request) noexcept -> Access_Log_Verdict;

/// Reads the lines of one log in any of the formats, from the first one on: what a line says of those behind it counts.
///
/// What the formats have in common: "-" stands for nothing; a status of 000 or "-", which CloudFront and load balancers
/// write when no answer could be sent, is unknown. Times without a zone are UTC. Of JSON, members that analytics has no
/// use for are passed over. User agents are decoded where the format encodes them (%20, or + for a blank).
/// Threads one reader, one thread.
/// Cost    as parse_access_log_line; formats with columns or JSON allocate where a user agent or text is encoded.
/// @source https://www.w3.org/TR/WD-logfile.html; the chapters on access logs in the manuals of CloudFront, Elastic Load
///         Balancing, Caddy and nginx
class Access_Log_Reader {
  public:
    /// @param  columns  for w3c and cloudfront: what the columns are until the log itself says so
    explicit Access_Log_Reader(Access_Log_Format format, std::optional<Log_Columns> columns = std::nullopt);

    /// @param  request  as with parse_access_log_line, but that its views are good until the next call
    [[nodiscard]] auto read(std::string_view line, Request_View& request) -> Access_Log_Verdict;

    /// Takes what whole lines of the log say of those behind them, for who need not read them once more.
    void pass_over(std::string_view lines);

    /// Can nothing be missing of a line that no line end follows?
    [[nodiscard]] auto is_whole(std::string_view line) -> bool;

    /// detect until a line was recognised.
    [[nodiscard]] auto format() const noexcept -> Access_Log_Format { return format_; }

  private:
    [[nodiscard]] auto has_directives() const noexcept -> bool {
        return format_ == Access_Log_Format::w3c || format_ == Access_Log_Format::cloudfront;
    }
    void choose_columns();
    void detect(std::string_view line);
    auto take_directive(std::string_view line) -> Access_Log_Verdict;
    auto read_columns(std::string_view line, Request_View& request) -> Access_Log_Verdict;
    auto read_json(std::string_view line, Request_View& request) -> Access_Log_Verdict;

    Access_Log_Format format_;
    std::optional<Log_Columns> columns_;
    std::string decoded_; ///< what views of the last request point into
};

/// What is wrong with a line, in words that do not repeat any of it.
[[nodiscard]] auto describe(Access_Log_Verdict verdict) noexcept -> std::string_view;

} // namespace memfs_cache
