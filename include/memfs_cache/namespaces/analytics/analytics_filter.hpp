// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Which events a question is about. Each dimension that has values must let an event pass: it does if one of its values
/// fits, or it has only excluding ones, and no excluding one fits. An empty filter lets everything pass.
///
///     filter.add("path", "/blog/*");    // what begins with /blog/
///     filter.add("status", "!4xx");     // and did not fail for what the client asked
///     filter.add("referrer", "");       // and came from nowhere
///
/// A value is a text that has to be equal; a `*` at its end stands for anything, and a `!` before it excludes. A backslash
/// takes the character behind it as it is: `\*` at the end, `\!` at the beginning, and `\\` for itself.
class Analytics_Filter {
  public:
    static constexpr std::size_t most_values = 64;
    static constexpr std::size_t longest_value_bytes = 2048;
    /// country, event_type, method, path, referrer, status, token, transfer and user_agent.
    static constexpr std::size_t dimension_count = 9;
    [[nodiscard]] static auto dimensions() noexcept -> std::array<std::string_view, dimension_count>;

    /// @param  dimension  one of dimensions()
    /// @param  value      status: 404 or 4xx; country: two letters, in any case; referrer: a domain, in any case; "" where
    ///                    events have nothing, but not for a status
    /// @errors invalid_argument, led by the name of the dimension
    [[nodiscard]] auto add(std::string_view dimension, std::string_view value) -> Result<void>;

    [[nodiscard]] auto empty() const noexcept -> bool;
    /// One spelling for one meaning: a JSON object of the dimensions in byte order, each with its values in a
    /// fixed order, as add() reads them.
    [[nodiscard]] auto canonical() const -> std::string;

    [[nodiscard]] auto matches(Analytics_Record const& event) const -> bool;
    /// The same of an event as it is stored, looking no further than the dimensions that have values. Of text that is no
    /// event it says what it likes.
    /// Cost    about 100 ns; nothing is allocated
    [[nodiscard]] auto matches(Raw_Event const& event) const -> bool;

    friend auto operator==(Analytics_Filter const&, Analytics_Filter const&) -> bool = default;

  private:
    struct Value {
        std::string text;
        bool is_beginning = false; ///< anything may follow it
        bool excludes = false;

        friend auto operator==(Value const&, Value const&) -> bool = default;
    };
    using Values = std::vector<Value>;

    static auto lets_pass(Values const& values, std::string_view found) noexcept -> bool;

    std::array<Values, dimension_count> values_; ///< of each dimension, in order
};

} // namespace memfs_cache
