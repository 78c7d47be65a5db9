// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace memfs_cache {

/// Fills memory with random bytes of the operating system. Aborts the process if the system has none to give, because
/// ids and salts that repeat are worse than no process.
void fill_random(void* out, std::size_t size_bytes) noexcept;

[[nodiscard]] auto random_u64() noexcept -> std::uint64_t;

/// Lower-case hex of `size_bytes` random bytes.
[[nodiscard]] auto random_hex(std::size_t size_bytes) -> std::string;

} // namespace memfs_cache
