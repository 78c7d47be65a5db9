// SPDX-License-Identifier: Apache-2.0
#include "request_reader.hpp"

#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/http/replies.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view head_end = "\r\n\r\n";

auto is_control(char c) noexcept -> bool { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

/// Ends each line in CRLF, is none folded, and are there no control characters besides?
auto lines_are_sound(std::string_view head) noexcept -> bool {
    for (std::size_t i = 0; i < head.size(); ++i) {
        if (!is_control(head[i]) || head[i] == '\t')
            continue;
        if (!head.substr(i).starts_with(line_end))
            return false;
        ++i;
        if (i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t'))
            return false;
    }
    return true;
}

/// The second word of the request line.
auto target_of(std::string_view head) noexcept -> std::string_view {
    auto const line = head.substr(0, head.find_first_of(line_end));
    auto const begin = line.find(' ');
    if (begin == std::string_view::npos)
        return {};
    auto const rest = line.substr(begin + 1);
    return rest.substr(0, rest.find(' '));
}

/// The forms of RFC 9112 section 3.2.
auto target_fits(std::string_view method, std::string_view target) noexcept -> bool {
    if (method == "CONNECT")
        return true; // answered without a look at it
    return target.starts_with('/') || (method == "OPTIONS" && target == "*") || starts_with_lower(target, "http://") ||
           starts_with_lower(target, "https://");
}

auto is_host(std::string_view text) noexcept -> bool {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return std::string_view(" \t,/?#@\\\"<>").find(c) != std::string_view::npos; });
}

} // namespace

Request_Reader::Request_Reader(Server_Options const& options)
    : options_(options), limit_{options.body_limit_bytes, "body_limit"} {
    parser_.header_limit(options.header_limit_bytes);
    parser_.body_limit(boost::none); // known after the headers
}

auto Request_Reader::put(std::string_view bytes) -> std::size_t {
    // Nothing is longer on the wire than as a part of the body, so no piece becomes too long.
    return in_body_ ? put_body(bytes.substr(0, piece_bytes_ - piece().size())) : put_head(bytes);
}

void Request_Reader::expect_body(Body_Limit limit, std::size_t piece_bytes) {
    limit_ = limit;
    piece_bytes_ = piece_bytes;
    parser_.body_limit(limit.bytes);
    if (auto const length = parser_.content_length(); length && *length > limit.bytes)
        refuse(Refusal::body_too_large);
}

void Request_Reader::drop_piece() {
    dropped_bytes_ += piece().size();
    parser_.get().body().clear();
}

auto Request_Reader::put_head(std::string_view bytes) -> std::size_t {
    // Empty lines before a request are forgiven, as old clients end a body with one.
    if (held_.empty() && bytes.starts_with(line_end))
        return line_end.size();
    auto const held = held_.size();
    if (held > 0)
        held_ += bytes.substr(0, options_.header_limit_bytes);
    auto const known = held > 0 ? std::string_view(held_) : bytes;
    if (is_control(known.front()) && known.front() != '\r') { // TLS, most likely: it would wait for us in vain
        refuse(Refusal::malformed);
        return bytes.size();
    }

    auto const end = known.find(head_end, held < head_end.size() ? 0 : held - head_end.size());
    auto const size = end == std::string_view::npos ? known.size() : end + head_end.size();
    auto const head = known.substr(0, size);
    auto const target = target_of(head);
    if (target.size() > options_.target_limit_bytes) {
        note_request_line(head);
        refuse(Refusal::target_too_long);
    } else if (size > options_.header_limit_bytes) {
        note_request_line(head);
        refuse(Refusal::headers_too_large);
    } else if (end != std::string_view::npos) {
        read_head(head);
        held_.clear();
    } else if (held == 0) {
        held_ = bytes;
    }
    return size - held;
}

void Request_Reader::read_head(std::string_view head) {
    in_body_ = true;
    note_request_line(head);
    if (!lines_are_sound(head))
        return refuse(Refusal::malformed);
    (void)feed(head);
    for (auto const& field : parser_.get())
        request_.headers.add(std::string(field.name_string()), std::string(field.value()));
    if (!refusal_ && !fields_are_sound())
        refuse(Refusal::malformed);
}

auto Request_Reader::put_body(std::string_view bytes) -> std::size_t {
    if (held_.empty()) {
        auto const used = feed(bytes);
        if (!is_over())
            held_ = bytes.substr(used);
        return is_over() ? used : bytes.size();
    }
    auto const held = held_.size();
    held_ += bytes;
    auto const used = feed(held_);
    held_.erase(0, used);
    if (!is_over() && held_.size() > options_.header_limit_bytes)
        refuse(Refusal::headers_too_large);
    return is_over() ? std::max(used, held) - held : bytes.size();
}

/// Gives the parser all that it takes.
auto Request_Reader::feed(std::string_view bytes) -> std::size_t {
    std::size_t used = 0;
    while (used < bytes.size() && !parser_.is_done()) {
        error_code state;
        used += parser_.put(boost::asio::buffer(bytes.substr(used)), state);
        if (state == http::error::need_more)
            break;
        if (state) {
            refuse(state == http::error::body_limit     ? Refusal::body_too_large
                   : state == http::error::header_limit ? Refusal::headers_too_large
                                                        : Refusal::malformed);
            break;
        }
    }
    return used;
}

auto Request_Reader::fields_are_sound() const -> bool {
    auto const& message = parser_.get();
    bool const is_new = message.version() >= 11;

    auto const hosts = message.count(http::field::host);
    if (hosts > 1 || (is_new && hosts == 0) || !is_host(message[http::field::host]))
        return false;

    auto const lengths = message.count(http::field::content_length);
    auto const length = message[http::field::content_length];
    if (lengths > 1 || !std::all_of(length.begin(), length.end(), is_ascii_digit))
        return false;

    auto const codings = message.count(http::field::transfer_encoding);
    if (codings > 0 &&
        (codings > 1 || lengths > 0 || !is_new || !equals_lower(message[http::field::transfer_encoding], "chunked")))
        return false;

    return target_fits(request_.method, request_.target);
}

/// Keeps what a refused request may be recorded by, unless it is no request at all.
void Request_Reader::note_request_line(std::string_view head) {
    auto const is_visible = [](char c) { return c != ' ' && !is_control(c); };
    auto const keep = [&](std::string_view word) {
        return std::all_of(word.begin(), word.end(), is_visible) ? std::string(word) : std::string();
    };
    auto const target = target_of(head);
    if (target.empty())
        return;
    request_.method = keep(head.substr(0, head.find(' ')));
    request_.target = keep(target);
}

void Request_Reader::refuse(Refusal reason) {
    if (!in_body_)
        note_request_line(held_);
    refusal_ = reason;
}

auto Request_Reader::waits_for_leave() const -> bool {
    return in_body_ && !is_over() && body_bytes() == 0 && held_.empty() && !is_old() &&
           equals_lower(parser_.get()[http::field::expect], "100-continue");
}

auto Request_Reader::take_request() -> Request {
    request_.body = std::move(parser_.get().body());
    return std::move(request_);
}

auto refusal_reply(Refusal reason, Server_Options const& options, Body_Limit body_limit) -> Response {
    auto const longer = [](char const* what, std::uint64_t limit, char const* option) {
        return std::string(what) + " longer than the limit of " + std::to_string(limit) + " bytes (" + option + ").";
    };
    switch (reason) {
    case Refusal::malformed:
        break;
    case Refusal::target_too_long:
        return error_reply(414, "target_too_long",
                           longer("The request target is", options.target_limit_bytes, "target_limit"));
    case Refusal::headers_too_large:
        return error_reply(431, "headers_too_large",
                           longer("The request line and headers are", options.header_limit_bytes, "header_limit"));
    case Refusal::body_too_large:
        return body_too_large(body_limit.bytes, body_limit.option);
    case Refusal::timed_out:
        return error_reply(408, "timed_out", "The request did not arrive in time; send it again on a new connection.");
    case Refusal::crowded_out:
        return error_reply(fail(Errc::unavailable, "The server has no room for this request now; send it again."));
    }
    return error_reply(fail(Errc::invalid_argument, "This is not a well-formed HTTP/1.1 request."));
}

} // namespace memfs_cache
