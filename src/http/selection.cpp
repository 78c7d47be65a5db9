// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/selection.hpp>

#include <algorithm>
#include <string>

namespace memfs_cache {
namespace {

/// Does a list of entity tags name this one? Weak and strong count alike.
auto names_tag(std::string_view list, std::string_view tag) -> bool {
    while (!list.empty()) {
        auto const comma = list.find(',');
        auto item = trim_blanks(list.substr(0, comma));
        if (item.starts_with("W/"))
            item.remove_prefix(2);
        if (item == tag || item == "*")
            return true;
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
    return false;
}

/// A single range of a body, empty if nothing of it is there; nothing for what RFC 9110 lets a server ignore: several
/// ranges, other units, bad syntax.
auto parse_range(std::string_view text, std::uint64_t whole) -> std::optional<Selection> {
    if (!text.starts_with("bytes="))
        return std::nullopt;
    text.remove_prefix(6);
    auto const dash = text.find('-');
    if (dash == std::string_view::npos)
        return std::nullopt;
    auto const first = parse_decimal(text.substr(0, dash));
    auto const last = parse_decimal(text.substr(dash + 1));
    bool const from_end = dash == 0;
    bool const to_end = dash + 1 == text.size();
    if (from_end ? !last : !first || (!to_end && (!last || *last < *first)))
        return std::nullopt;

    if (from_end) {
        auto const size = std::min(*last, whole);
        return Selection{whole - size, size};
    }
    if (*first >= whole)
        return Selection{};
    return Selection{*first, (to_end ? whole - 1 : std::min(*last, whole - 1)) - *first + 1};
}

} // namespace

auto select_bytes(Request const& request, Response& response, std::uint64_t size_bytes) -> std::optional<Selection> {
    auto const tag = std::string(response.headers.value("ETag"));
    auto const date = std::string(response.headers.value("Last-Modified"));
    // A date that is not ours, letter by letter, only costs the client a transfer.
    auto const known_tags = request.headers.value("If-None-Match");
    auto const known_date = request.headers.value("If-Modified-Since");
    if (known_tags.empty() ? !date.empty() && known_date == date : names_tag(known_tags, tag)) {
        response.status = 304;
        return std::nullopt;
    }

    response.headers.add("Accept-Ranges", "bytes");
    auto const if_range = request.headers.value("If-Range");
    if (request.method != "GET" || !(if_range.empty() || if_range == tag || if_range == date))
        return Selection{0, size_bytes};
    auto const asked = parse_range(request.headers.value("Range"), size_bytes);
    if (!asked)
        return Selection{0, size_bytes};
    auto const total = "/" + std::to_string(size_bytes);
    if (asked->size_bytes == 0) {
        response = error_reply(416, "range_not_satisfiable", "The range lies outside the file.");
        response.headers.add("Content-Range", "bytes *" + total);
        return std::nullopt;
    }
    response.status = 206;
    auto const last = asked->first + asked->size_bytes - 1;
    response.headers.add("Content-Range", "bytes " + std::to_string(asked->first) + "-" + std::to_string(last) + total);
    return asked;
}

} // namespace memfs_cache
