// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace memfs_cache {

/// How a document is laid out as text, in the words of Python's json.dumps.
struct Json_Layout {
    bool sort_members = false;     ///< by code point, at every depth
    std::size_t indent_blanks = 0; ///< per level; 0: everything on one line
};

/// A JSON document with everything that Python's json module keeps and other parsers lose: the order of members,
/// integers of any size, the difference between 1 and 1.0, NaN and the infinities, unpaired surrogates. It exists so
/// that what is hashed and stored here is byte for byte what the Python reference hashes and stores; for anything
/// else Boost.JSON is the better choice.
///
/// Strings are UTF-8, in which unpaired surrogates are allowed in their three-byte form.
class Python_Json {
  public:
    /// A whole number of any size, as canonical decimal text: no leading zero, no "-0".
    class Integer {
      public:
        template <std::integral Number>
        Integer(Number number) : digits_(std::to_string(number)) {}
        /// @param  decimal  an optional '-' and 1..4300 digits; leading zeros are refused, "-0" becomes 0
        /// @errors invalid_argument
        [[nodiscard]] static auto parse(std::string_view decimal) -> Result<Integer>;
        [[nodiscard]] auto str() const noexcept -> std::string const& { return digits_; }
        friend auto operator==(Integer const&, Integer const&) -> bool = default;

      private:
        struct Checked {};
        Integer(Checked, std::string digits) : digits_(std::move(digits)) {}
        std::string digits_;
    };

    using Member = std::pair<std::string, Python_Json>; ///< name and value
    using Array = std::vector<Python_Json>;
    using Object = std::vector<Member>;

    static constexpr std::size_t max_depth = 500;

    Python_Json() = default; ///< null
    Python_Json(std::same_as<bool> auto flag) : value_(flag) {}
    template <std::integral Number>
    requires(!std::same_as<Number, bool>) Python_Json(Number number) : value_(Integer(number)) {}
    Python_Json(Integer number) : value_(std::move(number)) {}
    Python_Json(double number) : value_(number) {}
    Python_Json(std::string text) : value_(std::move(text)) {}
    Python_Json(std::string_view text) : value_(std::string(text)) {}
    Python_Json(char const* text) : value_(std::string(text)) {}
    Python_Json(Array items) : value_(std::move(items)) {}
    /// Of members with the same name one stays: at the place of the first, with the value of the last.
    Python_Json(Object members);

    /// Reads one JSON text, as Python's json.loads reads a str: NaN, Infinity and -Infinity are values, a byte order
    /// mark is refused.
    /// @errors invalid_argument, saying at which byte and what was expected there, never the text itself; also for
    ///         more than max_depth nested containers and for integers above 4300 digits (Python's own limit)
    /// Cost    n log n in the members of the widest object, linear in everything else
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Python_Json>;

    /// The text of json.dumps: ASCII only, ", " and ": " between things, with an indent each item on its own line.
    [[nodiscard]] auto render(Json_Layout layout = {}) const -> std::string;
    /// The text for other programs: JSON as the standard has it, in UTF-8, without blanks between things.
    /// @errors invalid_argument for what that JSON cannot say: NaN, an infinity, an unpaired surrogate
    [[nodiscard]] auto standard_text() const -> Result<std::string>;

    [[nodiscard]] auto is_null() const noexcept -> bool { return std::holds_alternative<std::monostate>(value_); }
    /// The value if it is of this kind (bool, Integer, double, std::string, Array, Object), else null.
    template <class Kind>
    [[nodiscard]] auto get_if() const noexcept -> Kind const* {
        return std::get_if<Kind>(&value_);
    }
    /// The member of an object by its exact name; null where there is none, or no object.
    /// Cost    linear in the members.
    [[nodiscard]] auto find(std::string_view name) const noexcept -> Python_Json const*;

    /// Same kind and same value, members in the same order. As in the text, NaN equals NaN and 0.0 differs from -0.0.
    friend auto operator==(Python_Json const& left, Python_Json const& right) -> bool;

  private:
    std::variant<std::monostate, bool, Integer, double, std::string, Array, Object> value_;
};

/// Python's repr() of a float: the shortest digits that read back as the same number, `1.0`, `1e-05`, `inf`, `nan`.
[[nodiscard]] auto python_repr(double number) -> std::string;

} // namespace memfs_cache
