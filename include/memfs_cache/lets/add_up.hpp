// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace memfs_cache {

/// Adds to a sum that stays where signed readers still read it: what overflows is not believed, but spoils nothing.
inline void add_up(std::uint64_t& sum, std::uint64_t more) noexcept {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    sum = std::min(std::min(sum, most) + std::min(more, most), most);
}

} // namespace memfs_cache
