// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/percent.hpp>
#include <memfs_cache/http/url.hpp>

namespace memfs_cache {
namespace {

/// Calls `visit` with each part between separators; stops when it returns false.
template <class Visit>
auto split(std::string_view text, char separator, Visit visit) -> bool {
    for (;;) {
        auto const end = text.find(separator);
        if (!visit(text.substr(0, end)))
            return false;
        if (end == std::string_view::npos)
            return true;
        text.remove_prefix(end + 1);
    }
}

/// The target from its path on; a target in absolute form names this server again.
auto without_authority(std::string_view target) -> std::string_view {
    for (std::string_view const scheme : {"http://", "https://"}) {
        if (!starts_with_lower(target, scheme))
            continue;
        auto const path = target.find_first_of("/?", scheme.size());
        return path == std::string_view::npos ? "/" : target.substr(path);
    }
    return target;
}

} // namespace

auto parse_target(std::string_view target) -> Result<Url> {
    target = without_authority(target);
    auto const mark = target.find('?');
    auto const path = target.substr(0, mark);
    if (path.empty() || path.front() != '/')
        return fail(Errc::invalid_argument, "The path must begin with '/'.");

    Url url;
    bool const path_is_good = split(path.substr(1), '/', [&](std::string_view part) {
        auto text = percent_decode(part, false);
        if (text)
            url.segments.push_back(std::move(*text));
        return text.has_value();
    });
    if (!path_is_good) {
        return fail(Errc::invalid_argument, "The path must be UTF-8 with complete percent escapes and without %00.");
    }
    if (mark == std::string_view::npos)
        return url;

    bool const query_is_good = split(target.substr(mark + 1), '&', [&](std::string_view part) {
        if (part.empty())
            return true;
        auto const equals = part.find('=');
        auto name = percent_decode(part.substr(0, equals), true);
        auto value =
            percent_decode(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
        if (!name || !value)
            return false;
        url.query.emplace_back(std::move(*name), std::move(*value));
        return true;
    });
    if (!query_is_good) {
        return fail(Errc::invalid_argument, "The query must be UTF-8 with complete percent escapes and without %00.");
    }
    return url;
}

auto percent_encode(std::string_view segment) -> std::string {
    std::string out;
    for (char const c : segment) {
        bool const unreserved =
            is_ascii_letter(c) || is_ascii_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos;
        if (unreserved) {
            out += c;
        } else {
            out += '%';
            out += to_hex(Byte_View(&c, 1));
        }
    }
    return out;
}

} // namespace memfs_cache
