// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/server/listen_address.hpp>

#include <arpa/inet.h>

namespace memfs_cache {

auto Listen_Address::str() const -> std::string {
    bool const is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

auto parse_listen_address(std::string_view text, std::string_view option) -> Result<std::optional<Listen_Address>> {
    if (text == "off")
        return std::nullopt;

    auto const refuse = [&] {
        return fail(Errc::invalid_argument,
                    std::string(option) + " takes an address and a port, such as 127.0.0.1:8080 for this machine only, "
                                          "0.0.0.0:8080 or [::]:8080 for the network, or off.");
    };
    auto const colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return refuse();
    auto const port = parse_decimal(text.substr(colon + 1));
    if (!port || *port > UINT16_MAX)
        return refuse();

    Listen_Address address{std::string(text.substr(0, colon)), static_cast<std::uint16_t>(*port), std::string(option)};
    auto& host = address.host;
    if (host == "localhost")
        host = "127.0.0.1";
    bool const bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed)
        host = host.substr(1, host.size() - 2);
    in6_addr parsed{};
    if (::inet_pton(bracketed ? AF_INET6 : AF_INET, host.c_str(), &parsed) != 1)
        return refuse();
    return address;
}

} // namespace memfs_cache
