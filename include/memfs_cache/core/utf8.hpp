// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace memfs_cache {

/// The first code point of a text, and how many bytes it takes there.
struct Code_Point {
    char32_t value = 0;
    std::size_t size_bytes = 0; ///< 0: the text is empty or begins with bytes that are no UTF-8
};

[[nodiscard]] constexpr auto is_surrogate(char32_t point) noexcept -> bool { return point >= 0xd800 && point < 0xe000; }

/// Decodes the code point at the beginning of a text. Overlong forms and values above U+10FFFF are refused; surrogates
/// are not, because Python's strings may hold them: who wants strict UTF-8 asks is_surrogate() too.
[[nodiscard]] constexpr auto decode_utf8(std::string_view text) noexcept -> Code_Point {
    if (text.empty())
        return {};
    auto const lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80)
        return {lead, 1};
    std::size_t const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < size)
        return {};
    auto point = static_cast<char32_t>(lead & (0x7fU >> size));
    for (std::size_t i = 1; i < size; ++i) {
        auto const next = static_cast<unsigned char>(text[i]);
        if ((next & 0xc0U) != 0x80)
            return {};
        point = point << 6 | (next & 0x3fU);
    }
    constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < smallest[size] || point > 0x10ffff)
        return {};
    return {point, size};
}

/// The longest beginning of a text that is UTF-8 and does not end inside a character.
[[nodiscard]] constexpr auto whole_characters(std::string_view text) noexcept -> std::string_view {
    std::size_t size = 0;
    for (;;) {
        auto const point = decode_utf8(text.substr(size));
        if (point.size_bytes == 0 || is_surrogate(point.value))
            return text.substr(0, size);
        size += point.size_bytes;
    }
}

/// Appends one code point, at most U+10FFFF; surrogates as decode_utf8 reads them.
inline void append_utf8(std::string& out, char32_t point) {
    auto const append = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (point < 0x80) {
        append(point);
    } else if (point < 0x800) {
        append(0xc0 | point >> 6);
        append(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        append(0xe0 | point >> 12);
        append(0x80 | (point >> 6 & 0x3f));
        append(0x80 | (point & 0x3f));
    } else {
        append(0xf0 | point >> 18);
        append(0x80 | (point >> 12 & 0x3f));
        append(0x80 | (point >> 6 & 0x3f));
        append(0x80 | (point & 0x3f));
    }
}

} // namespace memfs_cache
