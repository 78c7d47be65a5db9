// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace memfs_cache::testing {

inline auto number_from_environment(char const* name, std::uint64_t otherwise) -> std::uint64_t {
    auto const* const text = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
    return text == nullptr ? otherwise : std::stoull(text);
}

/// Random, unless MEMFS_CACHE_TEST_SEED repeats a run.
inline auto seed_of_run() -> std::uint64_t { return number_from_environment("MEMFS_CACHE_TEST_SEED", random_u64()); }

} // namespace memfs_cache::testing
