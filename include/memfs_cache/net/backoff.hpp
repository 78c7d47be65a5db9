// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>

#include <algorithm>
#include <chrono>

namespace memfs_cache {

/// Pauses between tries: each is drawn between the shortest and three times the one before, so that those who failed
/// together do not come back together.
class Backoff {
  public:
    [[nodiscard]] auto next() -> std::chrono::milliseconds {
        auto const range = static_cast<std::uint64_t>((last_ * 3 - shortest).count()) + 1;
        last_ = std::min(longest, shortest + std::chrono::milliseconds(random_u64() % range));
        return last_;
    }

  private:
    static constexpr std::chrono::milliseconds shortest{100};
    static constexpr std::chrono::milliseconds longest{15'000};
    std::chrono::milliseconds last_ = shortest;
};

} // namespace memfs_cache
