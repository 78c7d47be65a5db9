// SPDX-License-Identifier: Apache-2.0
#pragma once

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
    auto const first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

} // namespace memfs_cache
