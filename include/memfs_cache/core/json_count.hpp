// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json_scan.hpp>

#include <cstdint>

namespace memfs_cache {

/// Reads the count that a member holds.
/// @return false if it is none: no number, negative, or with a fraction
[[nodiscard]] inline auto read_count(Json_Scanner::Member const& member, std::uint64_t& count) noexcept -> bool {
    if (member.kind != Json_Scanner::Kind::number)
        return false;
    auto const number = parse_json_integer(member.text).value_or(-1);
    count = static_cast<std::uint64_t>(number);
    return number >= 0;
}

} // namespace memfs_cache
