// SPDX-License-Identifier: Apache-2.0
#include "analytics_access_log_parts.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/percent.hpp>

#include <algorithm>
#include <array>

namespace memfs_cache {
namespace {

using Meaning = Log_Columns::Meaning;
using log_parts::Request_Of_Line;

struct Named_Meaning {
    std::string_view name; ///< in small letters
    Meaning meaning;
};

template <std::size_t N>
auto meaning_of(std::array<Named_Meaning, N> const& all, std::string_view name) noexcept -> Meaning {
    auto const found =
        std::find_if(all.begin(), all.end(), [&](auto const& one) { return equals_lower(name, one.name); });
    return found == all.end() ? Meaning::nothing : found->meaning;
}

/// The columns of W3C, CloudFront and load balancers.
constexpr auto column_names = std::to_array<Named_Meaning>({
    {"date", Meaning::date},
    {"time", Meaning::time},
    {"timestamp", Meaning::time},
    {"c-ip", Meaning::remote},
    {"client:port", Meaning::remote_and_port},
    {"x-forwarded-for", Meaning::forwarded_for},
    {"cs(x-forwarded-for)", Meaning::forwarded_for},
    {"cs-method", Meaning::method},
    {"cs-uri-stem", Meaning::target},
    {"request", Meaning::request_line},
    {"sc-status", Meaning::status},
    {"elb_status_code", Meaning::status},
    {"sc-bytes", Meaning::size_with_header},
    {"sent_bytes", Meaning::size_with_header},
    {"cs(user-agent)", Meaning::user_agent},
    {"cs-user-agent", Meaning::user_agent},
    {"user_agent", Meaning::user_agent},
    {"cs(referer)", Meaning::referrer},
    {"cs-referer", Meaning::referrer},
    {"sc-content-type", Meaning::content_type},
    {"c-country", Meaning::country},
    {"time-taken", Meaning::time_taken},
    {"request_processing_time", Meaning::part_of_time_taken},
    {"target_processing_time", Meaning::part_of_time_taken},
    {"response_processing_time", Meaning::part_of_time_taken},
});

/// The members of nginx's logs, which are as whoever configured it named them: mostly as its variables.
constexpr auto member_names = std::to_array<Named_Meaning>({
    {"ts", Meaning::time},
    {"time", Meaning::time},
    {"timestamp", Meaning::time},
    {"@timestamp", Meaning::time},
    {"time_iso8601", Meaning::time},
    {"time_local", Meaning::time},
    {"msec", Meaning::time},
    {"remote_addr", Meaning::remote},
    {"remote_ip", Meaning::remote},
    {"client_ip", Meaning::remote},
    {"http_x_forwarded_for", Meaning::forwarded_for},
    {"request", Meaning::request_line},
    {"request_method", Meaning::method},
    {"method", Meaning::method},
    {"request_uri", Meaning::target},
    {"uri", Meaning::target},
    {"path", Meaning::target},
    {"status", Meaning::status},
    {"body_bytes_sent", Meaning::size},
    {"bytes_sent", Meaning::size_with_header},
    {"size", Meaning::size},
    {"http_user_agent", Meaning::user_agent},
    {"user_agent", Meaning::user_agent},
    {"http_referer", Meaning::referrer},
    {"referer", Meaning::referrer},
    {"referrer", Meaning::referrer},
    {"sent_http_content_type", Meaning::content_type},
    {"content_type", Meaning::content_type},
    {"geoip_country_code", Meaning::country},
    {"geoip2_country_code", Meaning::country},
    {"request_time", Meaning::time_taken},
    {"duration", Meaning::time_taken},
});

/// What of Caddy's headers counts; those of the answer have a table of their own.
constexpr auto request_headers = std::to_array<Named_Meaning>({
    {"user-agent", Meaning::user_agent},
    {"referer", Meaning::referrer},
    {"x-forwarded-for", Meaning::forwarded_for},
});
constexpr auto answer_headers = std::to_array<Named_Meaning>({{"content-type", Meaning::content_type}});

constexpr auto formats = std::to_array<std::pair<std::string_view, Access_Log_Format>>({
    {"auto", Access_Log_Format::detect},
    {"combined", Access_Log_Format::combined},
    {"common", Access_Log_Format::common},
    {"json", Access_Log_Format::json},
    {"w3c", Access_Log_Format::w3c},
    {"cloudfront", Access_Log_Format::cloudfront},
    {"alb", Access_Log_Format::alb},
});

/// Without its line end.
auto trimmed(std::string_view line) noexcept -> std::string_view {
    if (line.ends_with('\n'))
        line.remove_suffix(1);
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    return line;
}

auto separator_of(std::string_view line) noexcept -> char {
    return line.find('\t') == std::string_view::npos ? ' ' : '\t';
}

/// Does a line begin as a load balancer's do: with a protocol and an instant?
auto is_of_load_balancer(std::string_view line) noexcept -> bool {
    constexpr std::array<std::string_view, 6> protocols{"http", "https", "h2", "grpcs", "ws", "wss"};
    log_parts::Reader reader(line);
    bool const protocol = std::find(protocols.begin(), protocols.end(), reader.word()) != protocols.end();
    return protocol && reader.skip(' ') && log_parts::parse_instant(reader.word());
}

auto is_of_cloudfront(std::string_view line) noexcept -> bool {
    auto const separators = static_cast<std::size_t>(std::count(line.begin(), line.end(), '\t'));
    return separators + 1 == Log_Columns::cloudfront().meanings().size() &&
           log_parts::parse_instant(line.substr(0, line.find('\t')));
}

/// Walks one JSON object of a log.
class Object_Walk {
  public:
    Object_Walk(Request_Of_Line& request, std::string& decoded) : request_(request), decoded_(decoded) {}

    [[nodiscard]] auto object(Json_Scanner& scanner) -> Access_Log_Verdict {
        return walk(scanner, [this](Json_Scanner& outer, Json_Scanner::Member& member) {
            if (member.kind != Json_Scanner::Kind::nested)
                return value(meaning_of(member_names, member.name), member);
            if (member.name == "request")
                return inside(outer, [this](Json_Scanner& nested) { return object(nested); });
            if (member.name == "headers")
                return inside(outer, [this](Json_Scanner& nested) { return headers(nested, request_headers); });
            if (member.name == "resp_headers")
                return inside(outer, [this](Json_Scanner& nested) { return headers(nested, answer_headers); });
            return outer.skip(member) ? Access_Log_Verdict::accepted : Access_Log_Verdict::bad_json;
        });
    }

  private:
    template <class Take>
    auto walk(Json_Scanner& scanner, Take&& take) -> Access_Log_Verdict {
        for (Json_Scanner::Member member; scanner.next_or_enter(member);)
            if (auto const taken = take(scanner, member); taken != Access_Log_Verdict::accepted)
                return taken;
        return Access_Log_Verdict::accepted;
    }
    template <class Walk>
    auto inside(Json_Scanner& outer, Walk&& into) -> Access_Log_Verdict {
        auto nested = outer.enter();
        auto const walked = into(nested);
        if (walked != Access_Log_Verdict::accepted)
            return walked;
        return outer.leave(nested) ? walked : Access_Log_Verdict::bad_json;
    }
    /// Each header is an array of its values, of which the first one counts.
    template <class Table>
    auto headers(Json_Scanner& scanner, Table const& table) -> Access_Log_Verdict {
        return walk(scanner, [&](Json_Scanner& outer, Json_Scanner::Member& header) {
            auto const meaning = meaning_of(table, header.name);
            if (header.kind != Json_Scanner::Kind::nested)
                return value(meaning, header);
            return inside(outer, [&](Json_Scanner& values) {
                bool first = true;
                return walk(values, [&](Json_Scanner& all, Json_Scanner::Member& one) {
                    if (one.kind == Json_Scanner::Kind::nested)
                        return all.skip(one) ? Access_Log_Verdict::accepted : Access_Log_Verdict::bad_json;
                    return std::exchange(first, false) ? value(meaning, one) : Access_Log_Verdict::accepted;
                });
            });
        });
    }
    auto value(Meaning meaning, Json_Scanner::Member const& member) -> Access_Log_Verdict {
        if (meaning == Meaning::nothing || member.kind == Json_Scanner::Kind::null)
            return Access_Log_Verdict::accepted;
        if (!member.escaped)
            return request_.take(meaning, member.text);
        auto const begin = decoded_.size();
        if (!append_unescaped(decoded_, member.text))
            return Access_Log_Verdict::bad_json;
        return request_.take(meaning, std::string_view(decoded_).substr(begin));
    }

    Request_Of_Line& request_;
    std::string& decoded_;
};

} // namespace

auto parse_access_log_format(std::string_view name) noexcept -> std::optional<Access_Log_Format> {
    auto const found = std::find_if(formats.begin(), formats.end(), [&](auto const& one) { return one.first == name; });
    return found == formats.end() ? std::nullopt : std::optional(found->second);
}

auto Log_Columns::parse(std::string_view names) -> Result<Log_Columns> {
    Log_Columns parsed;
    for (std::size_t at = 0; (at = names.find_first_not_of(" \t,", at)) != std::string_view::npos;) {
        auto const end = std::min(names.find_first_of(" \t,", at), names.size());
        parsed.meanings_.push_back(meaning_of(column_names, names.substr(at, end - at)));
        at = end;
    }
    auto const has = [&](Meaning meaning) {
        return std::find(parsed.meanings_.begin(), parsed.meanings_.end(), meaning) != parsed.meanings_.end();
    };
    if (!has(Meaning::time))
        return fail(Errc::invalid_argument, "the columns do not tell when: name date and time, or timestamp");
    if (!has(Meaning::request_line) && !(has(Meaning::method) && has(Meaning::target)))
        return fail(Errc::invalid_argument,
                    "the columns do not tell what was asked for: name cs-method and cs-uri-stem");
    if (!has(Meaning::status))
        return fail(Errc::invalid_argument, "the columns do not tell how it was answered: name sc-status");
    return parsed;
}

auto Log_Columns::cloudfront() -> Log_Columns {
    return parse("timestamp sc-status sc-bytes cs-method cs-uri-stem cs-uri-query cs-protocol cs-protocol-version "
                 "sc-content-type sc-content-len cs-user-agent cs-referer x-edge-location x-edge-result-type "
                 "x-edge-response-result-type x-edge-request-id time-taken time-to-first-byte sc-range-start "
                 "sc-range-end ssl-protocol ssl-cipher cs-accept cs-accept-encoding cs-host origin-fbl origin-lbl")
        .value();
}

auto Log_Columns::alb() -> Log_Columns {
    auto all = parse("type time elb client:port target:port request_processing_time target_processing_time "
                     "response_processing_time elb_status_code target_status_code received_bytes sent_bytes request "
                     "user_agent")
                   .value();
    all.may_go_on_ = true; // with columns that were added over the years
    return all;
}

Access_Log_Reader::Access_Log_Reader(Access_Log_Format format, std::optional<Log_Columns> columns)
    : format_(format), columns_(std::move(columns)) {
    if (format_ == Access_Log_Format::detect && columns_)
        format_ = Access_Log_Format::w3c;
    choose_columns();
}

void Access_Log_Reader::choose_columns() {
    if (format_ == Access_Log_Format::cloudfront && !columns_)
        columns_ = Log_Columns::cloudfront();
    if (format_ == Access_Log_Format::alb)
        columns_ = Log_Columns::alb();
}

void Access_Log_Reader::detect(std::string_view line) {
    Request_View request;
    if (line.starts_with('{'))
        format_ = Access_Log_Format::json;
    else if (line.starts_with('#'))
        format_ = Access_Log_Format::w3c;
    else if (is_of_cloudfront(line))
        format_ = Access_Log_Format::cloudfront;
    else if (is_of_load_balancer(line))
        format_ = Access_Log_Format::alb;
    else if (parse_access_log_line(line, Access_Log_Format::combined, request) == Access_Log_Verdict::accepted)
        format_ = Access_Log_Format::combined;
    choose_columns();
}

auto Access_Log_Reader::read(std::string_view line, Request_View& request) -> Access_Log_Verdict {
    line = trimmed(line);
    if (line.empty())
        return Access_Log_Verdict::empty_line;
    if (line.size() > max_access_log_line_bytes)
        return Access_Log_Verdict::too_long;
    if (format_ == Access_Log_Format::detect)
        detect(line);
    switch (format_) {
    case Access_Log_Format::json:
        return read_json(line, request);
    case Access_Log_Format::w3c:
    case Access_Log_Format::cloudfront:
    case Access_Log_Format::alb:
        return has_directives() && line.front() == '#' ? take_directive(line) : read_columns(line, request);
    case Access_Log_Format::common:
        return parse_access_log_line(line, Access_Log_Format::common, request);
    case Access_Log_Format::detect:
    case Access_Log_Format::combined:
        break;
    }
    return parse_access_log_line(line, Access_Log_Format::combined, request);
}

void Access_Log_Reader::pass_over(std::string_view lines) {
    for (std::size_t at = 0; at < lines.size();) {
        auto const end = std::min(lines.find('\n', at), lines.size());
        auto const line = trimmed(lines.substr(at, end - at));
        if (format_ == Access_Log_Format::detect && !line.empty())
            detect(line);
        bool const is_known = format_ != Access_Log_Format::detect;
        if (is_known && !has_directives())
            return;
        if (is_known && line.starts_with('#'))
            (void)take_directive(line);
        at = (is_known ? std::min(lines.find("\n#", at), lines.size()) : end) + 1;
    }
}

auto Access_Log_Reader::is_whole(std::string_view line) -> bool {
    auto trial = *this;
    Request_View request;
    if (trial.read(line, request) != Access_Log_Verdict::accepted)
        return false;
    // A size that was cut off is a smaller size; the quote behind a user agent and the brace of an object tell the end.
    auto const format = trial.format();
    return (format == Access_Log_Format::json && line.ends_with('}')) ||
           (format == Access_Log_Format::combined && line.ends_with('"'));
}

auto Access_Log_Reader::take_directive(std::string_view line) -> Access_Log_Verdict {
    constexpr std::string_view fields = "#Fields:";
    if (!line.starts_with(fields))
        return Access_Log_Verdict::directive;
    auto parsed = Log_Columns::parse(line.substr(fields.size()));
    columns_ = parsed ? std::optional(*std::move(parsed)) : std::nullopt;
    return columns_ ? Access_Log_Verdict::directive : Access_Log_Verdict::bad_directive;
}

auto Access_Log_Reader::read_columns(std::string_view line, Request_View& request) -> Access_Log_Verdict {
    if (!columns_)
        return Access_Log_Verdict::no_columns;
    auto const separator = separator_of(line);
    Request_Of_Line built(separator == ' '); // IIS tells whole milliseconds, CloudFront seconds
    log_parts::Reader reader(line);
    bool first = true;
    for (auto const meaning : columns_->meanings()) {
        if (!std::exchange(first, false) && !reader.skip(separator))
            return Access_Log_Verdict::bad_columns;
        bool const is_quoted = separator == ' ' && reader.rest().starts_with('"');
        auto const quoted = is_quoted ? reader.quoted() : std::nullopt;
        if (is_quoted && !quoted)
            return Access_Log_Verdict::bad_quotes;
        auto value = is_quoted ? *quoted : reader.word(separator);
        if (meaning == Meaning::user_agent && !is_quoted)
            if (auto decoded = percent_decode(value, separator == ' ')) {
                decoded_ = *std::move(decoded);
                value = decoded_;
            }
        if (auto const taken = built.take(meaning, value); taken != Access_Log_Verdict::accepted)
            return taken;
    }
    if (!columns_->may_go_on() && !trim_blanks(reader.rest()).empty())
        return Access_Log_Verdict::bad_columns;
    return built.finish(format_ == Access_Log_Format::cloudfront ? "cloudfront" : "access_log", request);
}

auto Access_Log_Reader::read_json(std::string_view line, Request_View& request) -> Access_Log_Verdict {
    decoded_.clear();
    decoded_.reserve(line.size()); // unescaping only shortens, so views into it stay good
    Request_Of_Line built(false);
    Json_Scanner scanner(line);
    auto const walked = Object_Walk(built, decoded_).object(scanner);
    if (walked != Access_Log_Verdict::accepted)
        return walked;
    return scanner.good() ? built.finish("access_log", request) : Access_Log_Verdict::bad_json;
}

} // namespace memfs_cache
