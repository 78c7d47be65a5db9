// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/utf8.hpp>

#include <array>
#include <bit>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// Writing JSON text straight into a string, for records that are written once per request. The only allocation is
/// the growth of that string. Documents that are read, changed or hashed are Boost.JSON or Python_Json.
namespace memfs_cache {

namespace detail {

/// Does a byte stand in a JSON string as it is: printable ASCII but for the quote and the backslash?
[[nodiscard]] constexpr auto is_plain_in_json(unsigned char byte) noexcept -> bool {
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/// The same for eight bytes at once, by the usual arithmetic: `word - n` borrows into the top bit of a byte below n.
[[nodiscard]] constexpr auto are_plain_in_json(std::uint64_t word) noexcept -> bool {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr auto has_zero = [](std::uint64_t bytes) { return (bytes - ones) & ~bytes; };
    auto const quotes = has_zero(word ^ ones * '"');
    auto const backslashes = has_zero(word ^ ones * '\\');
    auto const controls = (word - ones * 0x20) & ~word;
    auto const deletes = has_zero(word ^ ones * 0x7f);
    return ((quotes | backslashes | controls | deletes | word) & ones * 0x80) == 0;
}

[[nodiscard]] inline auto plain_prefix_bytes(std::string_view text) noexcept -> std::size_t {
    auto const plain_at = [&](std::size_t at) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + at, 8);
        return are_plain_in_json(word);
    };
    std::size_t at = 0;
    while (at + 8 <= text.size() && plain_at(at))
        at += 8;
    if (text.size() >= 8 && at + 8 > text.size() && plain_at(text.size() - 8)) // some of them a second time
        return text.size();
    while (at < text.size() && is_plain_in_json(static_cast<unsigned char>(text[at])))
        ++at;
    return at;
}

/// Sixteen bytes at once; what is compared with them becomes 0 or 0xff, byte by byte.
using Byte_Block [[gnu::vector_size(16)]] = unsigned char;

[[nodiscard]] inline auto odd_bytes(Byte_Block block) noexcept -> Byte_Block {
    return reinterpret_cast<Byte_Block>((block - 0x20 > 0x7e - 0x20) | (block == '"') | (block == '\\'));
}

/// Copies a text, last bytes of it twice where that saves a loop over them.
/// @param  out  has room for the text
/// @return whether all of it is plain in JSON; only then is it of use
[[nodiscard]] inline auto copy_if_plain(char* out, std::string_view text) noexcept -> bool {
    auto const copied = [&](auto word, std::size_t at) {
        std::memcpy(&word, text.data() + at, sizeof word);
        std::memcpy(out + at, &word, sizeof word);
        return word;
    };
    auto const size = text.size();
    if (size >= sizeof(Byte_Block)) {
        auto const last = size - sizeof(Byte_Block);
        auto odd = odd_bytes(copied(Byte_Block{}, last));
        for (std::size_t at = 0; at < last; at += sizeof(Byte_Block))
            odd |= odd_bytes(copied(Byte_Block{}, at));
        auto const halves = std::bit_cast<std::array<std::uint64_t, 2>>(odd);
        return (halves[0] | halves[1]) == 0;
    }
    if (size >= 8)
        return are_plain_in_json(copied(std::uint64_t{}, 0)) && are_plain_in_json(copied(std::uint64_t{}, size - 8));
    if (size >= 4)
        return are_plain_in_json(std::uint64_t{copied(std::uint32_t{}, 0)} << 32 | copied(std::uint32_t{}, size - 4));
    bool plain = true;
    for (std::size_t at = 0; at < size; ++at)
        plain &= is_plain_in_json(copied(static_cast<unsigned char>(0), at));
    return plain;
}

/// Appends \uxxxx for one UTF-16 unit.
inline void append_json_unit(std::string& out, char32_t unit) {
    char text[6] = {'\\', 'u'};
    write_hex(text + 2, unit, 4);
    out.append(text, sizeof text);
}

/// Appends the escaped form of a quote, a backslash or a control character.
inline void append_json_escape(std::string& out, char c) {
    switch (c) {
    case '"':
        out += "\\\"";
        break;
    case '\\':
        out += "\\\\";
        break;
    case '\b':
        out += "\\b";
        break;
    case '\f':
        out += "\\f";
        break;
    case '\n':
        out += "\\n";
        break;
    case '\r':
        out += "\\r";
        break;
    case '\t':
        out += "\\t";
        break;
    default:
        append_json_unit(out, static_cast<unsigned char>(c));
        break;
    }
}

} // namespace detail

/// Appends a JSON string, quotes included. The text should be UTF-8 and is kept as it is; each byte that is no part of
/// UTF-8 becomes U+FFFD, so that the result is always valid JSON.
inline void append_json_string(std::string& out, std::string_view text) {
    out.push_back('"');
    for (;;) {
        auto const plain = detail::plain_prefix_bytes(text);
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty())
            break;
        auto const [point, size_bytes] = decode_utf8(text);
        bool const sound = size_bytes > 0 && !is_surrogate(point);
        if (!sound)
            append_utf8(out, 0xfffd);
        else if (size_bytes == 1)
            detail::append_json_escape(out, text.front());
        else
            out.append(text.substr(0, size_bytes));
        text.remove_prefix(sound ? size_bytes : 1);
    }
    out.push_back('"');
}

/// Appends a JSON string of ASCII alone, as Python's json.dumps does: everything else is escaped, also unpaired
/// surrogates in their three-byte form. Bytes that are no part of UTF-8 become U+FFFD.
inline void append_ascii_json_string(std::string& out, std::string_view text) {
    out.push_back('"');
    for (;;) {
        auto const plain = detail::plain_prefix_bytes(text);
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty())
            break;
        auto const [point, size_bytes] = decode_utf8(text);
        if (size_bytes == 0)
            detail::append_json_unit(out, 0xfffd);
        else if (size_bytes == 1)
            detail::append_json_escape(out, text.front());
        else if (point < 0x10000)
            detail::append_json_unit(out, point);
        else {
            detail::append_json_unit(out, 0xd800 + ((point - 0x10000) >> 10));
            detail::append_json_unit(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
        }
        text.remove_prefix(size_bytes == 0 ? 1 : size_bytes);
    }
    out.push_back('"');
}

/// Appends a whole number.
template <std::integral Integer>
void append_json_number(std::string& out, Integer number) {
    char digits[20]; // of the longest, -9223372036854775808
    auto const end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

} // namespace memfs_cache
