// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/percent.hpp>

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

} // namespace

auto percent_decode(std::string_view text, bool plus_is_blank) -> std::optional<std::string> {
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

} // namespace memfs_cache
