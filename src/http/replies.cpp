// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/http/replies.hpp>

#include <algorithm>

namespace memfs_cache {

auto status_of(Errc code) noexcept -> int {
    switch (code) {
    case Errc::invalid_argument:
        return 400;
    case Errc::permission_denied:
        return 403;
    case Errc::not_found:
        return 404;
    case Errc::already_exists:
    case Errc::conflict:
        return 409;
    case Errc::too_large:
        return 413;
    case Errc::throttled:
        return 429;
    case Errc::corrupt_data:
    case Errc::unsupported:
    case Errc::internal:
        return 500;
    case Errc::indeterminate:
    case Errc::no_space:
    case Errc::unavailable:
    case Errc::timed_out:
    case Errc::closed:
        return 503;
    }
    return 500;
}

namespace {

auto fresh_reply(std::string media_type, std::string body, int status) -> Response {
    Response response;
    response.status = status;
    response.headers = {
        {"Content-Type", std::move(media_type)}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
    response.body = std::move(body);
    return response;
}

} // namespace

auto json_reply(boost::json::object const& body, int status) -> Response {
    return fresh_reply("application/json", json_text(body), status);
}

auto csv_reply(std::string table) -> Response { return fresh_reply("text/csv; charset=utf-8", std::move(table), 200); }

auto error_reply(int status, std::string_view code, std::string_view message, std::string_view field) -> Response {
    boost::json::object error{{"code", code}, {"message", message}};
    if (!field.empty())
        error["field"] = field;
    return json_reply(boost::json::object{{"error", std::move(error)}}, status);
}

auto error_reply(Error const& error, std::string_view field) -> Response {
    auto const& row = info(error.code);
    bool const tell = error.code != Errc::internal && !error.context.empty();
    return error_reply(status_of(error.code), row.name, tell ? std::string_view(error.context) : row.sentence, field);
}

auto member_at_fault(Error const& error) -> std::string_view {
    bool const is_about_an_argument =
        error.code == Errc::invalid_argument || error.code == Errc::already_exists || error.code == Errc::too_large;
    auto const name = std::string_view(error.context).substr(0, error.context.find(": "));
    bool const is_name = std::all_of(name.begin(), name.end(), [](char c) { return is_ascii_letter(c) || c == '_'; });
    return is_about_an_argument && is_name ? name : std::string_view();
}

auto body_too_large(std::uint64_t limit_bytes, std::string_view option) -> Response {
    auto sentence = "The body is longer than the limit of " + std::to_string(limit_bytes) + " bytes";
    if (!option.empty())
        sentence.append(" (").append(option).append(")");
    return error_reply(fail(Errc::too_large, sentence + "."));
}

auto unauthorized() -> Response {
    auto response = error_reply(401, "unauthorized", "Send the admin key as X-API-Key or as Authorization: Bearer.");
    response.headers.add("WWW-Authenticate", "Bearer");
    return response;
}

auto too_many_requests(std::chrono::microseconds wait) -> Response {
    auto const seconds = std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count());
    auto response = error_reply(fail(Errc::throttled, "Too many requests; try again in " + seconds + " s."));
    response.headers.add("Retry-After", seconds);
    return response;
}

auto method_not_allowed(std::string allow) -> Response {
    auto response = error_reply(405, "method_not_allowed", "This path answers only " + allow + ".");
    response.headers.add("Allow", std::move(allow));
    return response;
}

} // namespace memfs_cache
