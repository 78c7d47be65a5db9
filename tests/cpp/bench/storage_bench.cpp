// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/storage/memory.hpp>

#include <map>

namespace memfs_cache::bench {

namespace {

/// Keys as windows have them, enough that a map does not fit into the first-level cache.
auto window_keys() -> std::vector<Storage_Key> {
    std::vector<Storage_Key> keys;
    for (int day = 10; day < 29; ++day)
        for (int hour = 10; hour < 24; ++hour)
            keys.emplace_back("cache/analytics/data/aggregations/hourly/2026/02/" + std::to_string(day) + "/" +
                              std::to_string(hour) + ".json");
    return keys;
}

auto put_into_memory() -> Pair {
    return {[storage = std::make_shared<Storage_Memory>(), keys = window_keys()](std::size_t operations) {
                Bytes const value(200, 'x');
                for (std::size_t i = 0; i < operations; ++i)
                    storage->put(keys[i % keys.size()], value, Precondition::none()).value();
            },
            [map = std::make_shared<std::map<std::string, Bytes>>(), keys = window_keys()](std::size_t operations) {
                Bytes const value(200, 'x');
                for (std::size_t i = 0; i < operations; ++i)
                    map->insert_or_assign(keys[i % keys.size()].str(), value);
            }};
}

} // namespace

auto storage_rows() -> Rows { return {{"put, memory, 200 bytes", "std::map", put_into_memory}}; }

} // namespace memfs_cache::bench
