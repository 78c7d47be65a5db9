// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Walks the members of one JSON object without building anything: for the millions of small flat objects that a log
/// holds. Each value is handed out as the text it is; who needs it converts it.
///
/// It finds the members of well-formed objects in any layout and stops, with good() false, at text that is none. It is
/// no validator: what is inside of nested values is skipped by brackets and quotes, not checked.
/// Threads  one scanner, one thread.
/// Cost     one pass, no allocation.
class Json_Scanner {
  public:
    enum class Kind : std::uint8_t { string, number, boolean, null, nested };

    struct Member {
        std::string_view name; ///< as written between the quotes; ours need no escapes
        Kind kind = Kind::null;
        std::string_view text; ///< a string without its quotes and with its escapes, anything else as it stands
        bool escaped = false;  ///< the string has escapes
        bool likely = false;   ///< its name is the one that was thought likely
    };

    explicit Json_Scanner(std::string_view object) noexcept;

    /// The next member; false at the end of the object and at the first fault.
    /// @param  likely  the name that it may well have, without escapes: so the name is compared where it stands instead of looked at
    ///                 byte by byte
    [[nodiscard]] auto next(Member& member, std::string_view likely = {}) noexcept -> bool;
    /// The same, but stops before what a nested value holds: walk enter() to its end and leave() it, or skip() it.
    [[nodiscard]] auto next_or_enter(Member& member, std::string_view likely = {}) noexcept -> bool;
    /// A walk over the nested value; the items of an array are members without names.
    [[nodiscard]] auto enter() const noexcept -> Json_Scanner { return {at_, end_, true}; }
    /// @return whether the walk over the nested value came to a good end
    auto leave(Json_Scanner const& nested) noexcept -> bool;
    /// @return whether the nested value ends
    auto skip(Member& member) noexcept -> bool { return take_nested(member.text) || fail(); }
    /// After next() gave false: was the whole text one object?
    [[nodiscard]] auto good() const noexcept -> bool { return state_ == State::done; }

  private:
    enum class State : std::uint8_t { first, later, done, bad };
    Json_Scanner(char const* at, char const* end, bool is_nested) noexcept;
    auto fail() noexcept -> bool {
        state_ = State::bad;
        return false;
    }
    void skip_blanks() noexcept {
        while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r'))
            ++at_;
    }
    [[nodiscard]] auto take(char c) noexcept -> bool {
        if (at_ >= end_ || *at_ != c)
            return false;
        ++at_;
        return true;
    }
    [[nodiscard]] auto take_name(Member& member, std::string_view likely) noexcept -> bool;
    [[nodiscard]] auto take_likely_name(std::string_view& name, std::string_view likely) noexcept -> bool;
    [[nodiscard]] auto take_string(std::string_view& text, bool& escaped) noexcept -> bool;
    [[nodiscard]] auto take_nested(std::string_view& text) noexcept -> bool;

    char const* at_;
    char const* end_;
    bool is_nested_;
    char close_ = '}';
    State state_ = State::first;
};

/// Appends the text that a string's content stands for. Escapes of lone surrogates become U+FFFD.
/// @return false if the content is not that of a JSON string; what was appended is then of no use
[[nodiscard]] auto append_unescaped(std::string& out, std::string_view content) -> bool;

/// A whole number as JSON writes it; nothing for fractions, exponents and what does not fit.
[[nodiscard]] auto parse_json_integer(std::string_view text) noexcept -> std::optional<std::int64_t>;

} // namespace memfs_cache
