// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace memfs_cache {

/// Lets this process open as many files as servers with so many connections need, as far as the system allows: each
/// connection takes a descriptor, and another one while it is sent a file.
/// @param  servers      1 or more
/// @param  connections  wanted for each
/// @return connections that each may have: as wanted, or fewer if the hard limit is too low (ulimit -Hn)
/// Threads  call it before there are others
[[nodiscard]] auto allow_connections(std::size_t servers, std::size_t connections) noexcept -> std::size_t;

} // namespace memfs_cache
