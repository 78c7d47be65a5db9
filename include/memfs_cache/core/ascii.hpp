// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace memfs_cache {

/// Letters and digits of ASCII and nothing else: the host's locale changes nothing, bytes above 0x7f are never letters.
[[nodiscard]] constexpr auto is_ascii_digit(char c) noexcept -> bool { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr auto is_ascii_letter(char c) noexcept -> bool {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
[[nodiscard]] constexpr auto ascii_lower(char c) noexcept -> char {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// Are the texts equal when ASCII capitals are read as small letters? `lower` has no capitals.
[[nodiscard]] constexpr auto equals_lower(std::string_view text, std::string_view lower) noexcept -> bool {
    if (text.size() != lower.size())
        return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (ascii_lower(text[i]) != lower[i])
            return false;
    }
    return true;
}

[[nodiscard]] constexpr auto starts_with_lower(std::string_view text, std::string_view lower) noexcept -> bool {
    return equals_lower(text.substr(0, lower.size()), lower);
}
[[nodiscard]] constexpr auto ends_with_lower(std::string_view text, std::string_view lower) noexcept -> bool {
    return text.size() >= lower.size() && equals_lower(text.substr(text.size() - lower.size()), lower);
}

/// The text without the blanks and tabs around it.
[[nodiscard]] constexpr auto trim_blanks(std::string_view text) noexcept -> std::string_view {
    constexpr auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

/// The text before the first of some characters; all of it if none is there. For short texts, where a call of memchr, or
/// one for each character as find_first_of makes, costs more than the look itself.
template <char... AnyOf>
[[nodiscard]] constexpr auto before_any(std::string_view text) noexcept -> std::string_view {
    std::size_t size = 0;
    while (size < text.size() && ((text[size] != AnyOf) && ...))
        ++size;
    return text.substr(0, size);
}

/// The text behind the last character of this kind; all of it if there is none. For short texts, likewise.
template <char Mark>
[[nodiscard]] constexpr auto after_last(std::string_view text) noexcept -> std::string_view {
    auto begin = text.size();
    while (begin > 0 && text[begin - 1] != Mark)
        --begin;
    return text.substr(begin);
}

} // namespace memfs_cache
