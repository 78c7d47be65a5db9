// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/http/message.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {

/// The HTTP status of every error of the library; the only such table.
[[nodiscard]] auto status_of(Errc code) noexcept -> int;

/// A JSON body that no cache keeps and no browser takes for something else.
[[nodiscard]] auto json_reply(boost::json::object const& body, int status = 200) -> Response;

/// A table in a body that no cache keeps.
[[nodiscard]] auto csv_reply(std::string table) -> Response;

/// `{"error": {"code", "message", "field"?}}`.
/// @param code     word that programs compare
/// @param message  sentence for the person who sent the request; never repeats what was sent
/// @param field    name of the parameter or member that is wrong; "" if it is none
[[nodiscard]] auto error_reply(int status, std::string_view code, std::string_view message, std::string_view field = {})
    -> Response;

/// The same for an Error of the library. The context of `internal` stays inside.
[[nodiscard]] auto error_reply(Error const& error, std::string_view field = {}) -> Response;

/// The parameter or member that an error is about: what is said of an argument begins with its name. "" for other errors.
[[nodiscard]] auto member_at_fault(Error const& error) -> std::string_view;

/// 413: a body is longer than it may be.
/// @param  option  that sets the limit; "" if none does
[[nodiscard]] auto body_too_large(std::uint64_t limit_bytes, std::string_view option = {}) -> Response;

/// What was asked for, or the error with the member that it is about.
/// @param result  of something that shows itself as JSON
template <class T>
[[nodiscard]] auto reply_with(Result<T> const& result, int status = 200) -> Response {
    return result ? json_reply(result->to_json(), status)
                  : error_reply(result.error(), member_at_fault(result.error()));
}

/// The same for many of them, as an array under a name.
template <class List>
[[nodiscard]] auto list_reply(std::string_view name, Result<List> const& result) -> Response {
    if (!result)
        return error_reply(result.error());
    boost::json::array list;
    for (auto const& item : *result)
        list.push_back(item.to_json());
    boost::json::object body;
    body[name] = std::move(list);
    return json_reply(body);
}

/// 401: the admin key is missing or wrong.
[[nodiscard]] auto unauthorized() -> Response;

/// 429 with Retry-After.
[[nodiscard]] auto too_many_requests(std::chrono::microseconds wait) -> Response;

/// 405 with the methods that there are.
[[nodiscard]] auto method_not_allowed(std::string allow) -> Response;

} // namespace memfs_cache
