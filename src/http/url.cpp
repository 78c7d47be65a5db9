// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/http/url.hpp>

#include <optional>

namespace memfs_cache {
namespace {

auto hex_value(char c) noexcept -> int {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/// Nothing for a broken escape, a NUL, or bytes that are not UTF-8.
auto decode(std::string_view text, bool plus_is_blank) -> std::optional<std::string> {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (text.size() - i < 3)
                return std::nullopt;
            int const high = hex_value(text[i + 1]);
            int const low = hex_value(text[i + 2]);
            if (high < 0 || low < 0)
                return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c == '\0')
            return std::nullopt;
        out += c;
    }
    if (!is_utf8(out))
        return std::nullopt;
    return out;
}

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
        auto text = decode(part, false);
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
        auto name = decode(part.substr(0, equals), true);
        auto value = decode(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
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
