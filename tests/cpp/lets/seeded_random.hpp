// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>

namespace memfs_cache::testing {

/// While it lives, what this thread asks of the system's random numbers comes from a generator instead, so that ids of
/// writers and nonces are the same in every run of a seed.
class Seeded_Random {
  public:
    explicit Seeded_Random(std::mt19937_64& generator);
    Seeded_Random(Seeded_Random const&) = delete;
    auto operator=(Seeded_Random const&) -> Seeded_Random& = delete;
    ~Seeded_Random();
};

} // namespace memfs_cache::testing
