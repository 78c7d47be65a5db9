// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

namespace memfs_cache::testing {

/// Waits for what a background thread has to do sooner or later; a minute is as good as never.
template <class Condition>
void wait_until(Condition&& holds) {
    auto const never = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    bool held = holds();
    for (; !held && std::chrono::steady_clock::now() < never; held = holds())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    REQUIRE(held);
}

} // namespace memfs_cache::testing
