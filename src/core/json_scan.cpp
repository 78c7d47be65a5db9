// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/utf8.hpp>

#include <bit>
#include <charconv>
#include <cstring>

namespace memfs_cache {

Json_Scanner::Json_Scanner(std::string_view object) noexcept
    : Json_Scanner(object.data(), object.data() + object.size(), false) {}

Json_Scanner::Json_Scanner(char const* at, char const* end, bool is_nested) noexcept
    : at_(at), end_(end), is_nested_(is_nested) {
    skip_blanks();
    if (take('{'))
        return;
    close_ = ']';
    if (!is_nested || !take('['))
        state_ = State::bad;
}

namespace {

/// The next quote or backslash in [at, end), or `end`. Most strings are a few bytes long, so eight bytes at once by plain
/// arithmetic are faster than a call of memchr.
auto find_quote_or_backslash(char const* at, char const* end) noexcept -> char const* {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr auto zeros_in = [](std::uint64_t bytes) { return (bytes - ones) & ~bytes & ones * 0x80; };
    if constexpr (std::endian::native == std::endian::little) {
        for (; end - at >= 8; at += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, at, 8);
            // The lowest mark is exact; those above it may be wrong.
            if (auto const found = zeros_in(word ^ ones * '"') | zeros_in(word ^ ones * '\\'); found != 0)
                return at + std::countr_zero(found) / 8;
        }
    }
    while (at < end && *at != '"' && *at != '\\')
        ++at;
    return at;
}

/// Are as many bytes the same? For names, which are so short that a call of memcmp costs more than the comparison.
auto are_same(char const* a, char const* b, std::size_t size) noexcept -> bool {
    auto const differ = [&](auto word, std::size_t at) {
        auto other = word;
        std::memcpy(&word, a + at, sizeof word);
        std::memcpy(&other, b + at, sizeof other);
        return word != other;
    };
    if (size < 4) {
        for (std::size_t at = 0; at < size; ++at)
            if (a[at] != b[at])
                return false;
        return true;
    }
    if (size < 8)
        return !differ(std::uint32_t{}, 0) && !differ(std::uint32_t{}, size - 4);
    for (std::size_t at = 0; at + 8 < size; at += 8)
        if (differ(std::uint64_t{}, at))
            return false;
    return !differ(std::uint64_t{}, size - 8); // some of them a second time
}

} // namespace

auto Json_Scanner::take_string(std::string_view& text, bool& escaped) noexcept -> bool {
    if (!take('"'))
        return false;
    auto const* const begin = at_;
    escaped = false;
    for (;;) {
        at_ = find_quote_or_backslash(at_, end_);
        if (at_ == end_)
            return false;
        if (*at_ == '"')
            break;
        escaped = true;
        at_ = end_ - at_ > 1 ? at_ + 2 : end_; // the escaped character ends nothing
    }
    text = {begin, static_cast<std::size_t>(at_ - begin)};
    ++at_;
    return true;
}

auto Json_Scanner::take_nested(std::string_view& text) noexcept -> bool {
    auto const* const begin = at_;
    int depth = 0;
    while (at_ < end_) {
        char const c = *at_;
        if (c == '"') {
            std::string_view ignored;
            bool escaped = false;
            if (!take_string(ignored, escaped))
                return false;
            continue;
        }
        ++at_;
        if (c == '{' || c == '[')
            ++depth;
        if ((c == '}' || c == ']') && --depth == 0) {
            text = {begin, static_cast<std::size_t>(at_ - begin)};
            return true;
        }
    }
    return false;
}

auto Json_Scanner::take_likely_name(std::string_view& name, std::string_view likely) noexcept -> bool {
    // "name": without a blank, as this library writes it
    auto const size = likely.size();
    if (size == 0 || static_cast<std::size_t>(end_ - at_) < size + 3 || *at_ != '"' || at_[size + 1] != '"' ||
        at_[size + 2] != ':' || !are_same(at_ + 1, likely.data(), size))
        return false;
    name = {at_ + 1, size};
    at_ += size + 3;
    return true;
}

auto Json_Scanner::take_name(Member& member, std::string_view likely) noexcept -> bool {
    member.likely = take_likely_name(member.name, likely);
    if (member.likely)
        return true;
    bool name_escaped = false;
    if (!take_string(member.name, name_escaped))
        return false;
    skip_blanks();
    return take(':');
}

auto Json_Scanner::next(Member& member, std::string_view likely) noexcept -> bool {
    return next_or_enter(member, likely) && (member.kind != Kind::nested || skip(member));
}

auto Json_Scanner::leave(Json_Scanner const& nested) noexcept -> bool {
    at_ = nested.at_;
    return nested.good() || fail();
}

auto Json_Scanner::next_or_enter(Member& member, std::string_view likely) noexcept -> bool {
    if (state_ == State::done || state_ == State::bad)
        return false;
    skip_blanks();
    if (take(close_)) {
        if (!is_nested_) {
            skip_blanks();
            if (at_ != end_)
                return fail();
        }
        state_ = State::done;
        return false;
    }
    if (state_ == State::later) {
        if (!take(','))
            return fail();
        skip_blanks();
    }
    state_ = State::later;
    if (close_ == '}' && !take_name(member, likely))
        return fail();
    skip_blanks();
    if (at_ >= end_)
        return fail();
    member.escaped = false;
    if (*at_ == '"') {
        member.kind = Kind::string;
        return take_string(member.text, member.escaped) || fail();
    }
    if (*at_ == '{' || *at_ == '[') {
        member.kind = Kind::nested;
        member.text = {};
        return true;
    }
    // What follows it, a comma, a brace or a blank, is checked when the next member is asked for.
    if (*at_ == '-' || (*at_ >= '0' && *at_ <= '9')) {
        auto const* const begin = at_;
        while (at_ < end_ && ((*at_ >= '0' && *at_ <= '9') || *at_ == '.' || *at_ == '-' || *at_ == '+' ||
                              *at_ == 'e' || *at_ == 'E'))
            ++at_;
        member.kind = Kind::number;
        member.text = {begin, static_cast<std::size_t>(at_ - begin)};
        return true;
    }
    for (std::string_view const word : {"true", "false", "null"}) {
        if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word))
            continue;
        member.kind = word == "null" ? Kind::null : Kind::boolean;
        member.text = word;
        at_ += word.size();
        return true;
    }
    return fail();
}

auto append_unescaped(std::string& out, std::string_view content) -> bool {
    auto const unit = [&](std::size_t at) -> std::optional<std::uint64_t> {
        if (at + 6 > content.size() || content[at] != '\\' || content[at + 1] != 'u')
            return std::nullopt;
        std::string digits(content.substr(at + 2, 4));
        for (auto& digit : digits)
            if (digit >= 'A' && digit <= 'F')
                digit = static_cast<char>(digit - 'A' + 'a');
        return parse_hex(digits);
    };
    for (std::size_t at = 0; at < content.size();) {
        auto const slash = std::min(content.find('\\', at), content.size());
        out.append(content.substr(at, slash - at));
        at = slash;
        if (at == content.size())
            break;
        if (at + 1 == content.size())
            return false;
        switch (content[at + 1]) {
        case '"':
            out += '"';
            break;
        case '\\':
            out += '\\';
            break;
        case '/':
            out += '/';
            break;
        case 'b':
            out += '\b';
            break;
        case 'f':
            out += '\f';
            break;
        case 'n':
            out += '\n';
            break;
        case 'r':
            out += '\r';
            break;
        case 't':
            out += '\t';
            break;
        case 'u': {
            auto const first = unit(at);
            if (!first)
                return false;
            auto point = static_cast<char32_t>(*first);
            at += 6;
            if (point >= 0xd800 && point < 0xdc00) {
                auto const second = unit(at);
                if (second && *second >= 0xdc00 && *second < 0xe000) {
                    point = 0x10000 + ((point - 0xd800) << 10) + static_cast<char32_t>(*second - 0xdc00);
                    at += 6;
                }
            }
            append_utf8(out, is_surrogate(point) ? 0xfffd : point);
            continue;
        }
        default:
            return false;
        }
        at += 2;
    }
    return true;
}

auto parse_json_integer(std::string_view text) noexcept -> std::optional<std::int64_t> {
    std::int64_t number = 0;
    constexpr std::size_t always_fits = 18;
    if (text.size() <= always_fits) { // nearly always, and without a question of overflow for each digit
        std::size_t digits = 0;
        for (; digits < text.size() && is_ascii_digit(text[digits]); ++digits)
            number = number * 10 + (text[digits] - '0');
        if (digits > 0 && digits == text.size())
            return number;
        number = 0;
    }
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

} // namespace memfs_cache
