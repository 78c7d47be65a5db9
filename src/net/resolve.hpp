// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace memfs_cache {

struct Socket_Address {
    sockaddr_storage bytes{};
    socklen_t size = 0;
};

/// Where a host can be reached, best first. An address needs no name service and no thread; a name is looked up by a
/// thread of its own, because the system's call knows no time limit: it is left behind if it does not answer in time.
/// @errors unavailable: there is no such name, or the name service fails; timed_out
[[nodiscard]] auto resolve(std::string const& host, std::uint16_t port, std::chrono::steady_clock::time_point deadline)
    -> Result<std::vector<Socket_Address>>;

} // namespace memfs_cache
