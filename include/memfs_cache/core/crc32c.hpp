// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>

#include <cstdint>

namespace memfs_cache {

/// CRC-32C (Castagnoli) of bytes: finds damaged records, protects against no one.
/// @param  crc  0 to start, or the result so far: continuing equals one call over all bytes in a row.
/// Cost    about 8 bytes in 3 cycles where the processor has the instruction (SSE 4.2, ARMv8), about 8 in 8 elsewhere.
/// @source RFC 3720, section 12.1 and appendix B.4
[[nodiscard]] auto crc32c(std::uint32_t crc, Byte_View bytes) noexcept -> std::uint32_t;

/// The same over the 8 bytes of a number, least significant first.
[[nodiscard]] auto crc32c(std::uint32_t crc, std::uint64_t number) noexcept -> std::uint32_t;

namespace detail {

/// What crc32c does on a processor without the instruction; apart so that a test can compare the two.
[[nodiscard]] auto crc32c_by_table(std::uint32_t crc, Byte_View bytes) noexcept -> std::uint32_t;

} // namespace detail

} // namespace memfs_cache
