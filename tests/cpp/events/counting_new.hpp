// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace memfs_cache::testing {

/// Allocations of the calling thread so far. This test program's operator new counts them; what the background thread
/// of a log needs is not paid by those who record.
[[nodiscard]] auto allocations() noexcept -> std::uint64_t;

/// Makes the nth allocation from now on of the calling thread fail, and no other; 0: none.
void fail_allocation(std::uint64_t nth) noexcept;

} // namespace memfs_cache::testing
