// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/analytics.hpp>

namespace memfs_cache {

auto Event_Ids::next() noexcept -> Event_Id {
    // A bijection of the counter: ids of one process never meet, and neighbours do not look alike (SplitMix64).
    auto number = start_ + 0x9e3779b97f4a7c15ULL * (1 + count_.fetch_add(1, std::memory_order_relaxed));
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9ULL;
    number = (number ^ number >> 27) * 0x94d049bb133111ebULL;
    return Event_Id(number ^ number >> 31);
}

} // namespace memfs_cache
