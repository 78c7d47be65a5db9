// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>

#include <array>
#include <cstdint>

namespace memfs_cache {

/// The secret of a keyed hash; random, or the result says nothing.
using Sip_Key = std::array<std::uint8_t, 16>;

/// SipHash-2-4 with 64 bits: a keyed hash of short inputs that nobody can reverse or steer without the key.
/// As bytes the result is least significant first, as the paper prints it.
/// Cost    about 20 ns for an address.
/// @source Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012
[[nodiscard]] auto siphash24(Sip_Key const& key, Byte_View bytes) noexcept -> std::uint64_t;

/// SipHash-1-3, its quicker variant for tables: nobody can make entries meet in them, but nothing else is promised.
[[nodiscard]] auto siphash13(Sip_Key const& key, Byte_View bytes) noexcept -> std::uint64_t;

} // namespace memfs_cache
