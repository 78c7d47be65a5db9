// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Where a server listens.
struct Listen_Address {
    std::string host = "127.0.0.1"; ///< IPv4 or IPv6 address in figures
    std::uint16_t port = 0;         ///< 0: any free port; Server::address() tells which
    std::string option = {};        ///< option that it came from, such as --public, for messages; "" if none

    /// As it stands in a URL: "127.0.0.1:8080", "[::1]:8080".
    [[nodiscard]] auto str() const -> std::string;
};

/// Reads "127.0.0.1:8080", "[::1]:8080", "localhost:8080", or "off", which gives nothing.
/// @param  option  names the option for messages, such as "--public"
/// @errors invalid_argument, naming the option and what it accepts. A missing host is refused too: whether a server is
///         open to the network is never left to a default.
[[nodiscard]] auto parse_listen_address(std::string_view text, std::string_view option)
    -> Result<std::optional<Listen_Address>>;

} // namespace memfs_cache
