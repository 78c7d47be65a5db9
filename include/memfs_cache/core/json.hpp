// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Parses a stored JSON object.
/// @param  what  names the object for the error message, such as its key
/// @errors corrupt_data if the text is not one JSON object
[[nodiscard]] auto parse_object(std::string_view text, std::string_view what) -> Result<boost::json::object>;

/// A JSON object as compact text.
[[nodiscard]] auto json_text(boost::json::object const& object) -> std::string;

/// Reads members of a stored object and remembers whether all were there with the right type and range, so that a
/// decoder asks once at its end instead of after each member.
class Member_Reader {
  public:
    explicit Member_Reader(boost::json::object const& object) : object_(object) {}

    [[nodiscard]] auto unsigned_number(std::string_view name) -> std::uint64_t;
    [[nodiscard]] auto signed_number(std::string_view name) -> std::int64_t;
    [[nodiscard]] auto text(std::string_view name) -> std::string_view;
    [[nodiscard]] auto flag(std::string_view name) -> bool;
    [[nodiscard]] auto object(std::string_view name) -> boost::json::object const&;
    [[nodiscard]] auto array(std::string_view name) -> boost::json::array const&;

    [[nodiscard]] auto good() const noexcept -> bool { return first_bad_.empty(); }
    /// The first member that was missing or wrong; "" if none.
    [[nodiscard]] auto first_bad() const noexcept -> std::string_view { return first_bad_; }
    /// Marks the object as damaged for a reason that only the decoder knows.
    void refuse(std::string_view name) {
        if (first_bad_.empty())
            first_bad_ = name;
    }

  private:
    [[nodiscard]] auto find(std::string_view name) -> boost::json::value const*;

    boost::json::object const& object_;
    std::string first_bad_;
};

} // namespace memfs_cache
