// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/net/http_client.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

constexpr std::uint16_t port_of_http = 80;
constexpr std::uint16_t port_of_https = 443;

auto is_host_character(char c, bool is_ipv6) -> bool {
    bool const is_hex_digit = is_ascii_digit(c) || (c >= 'a' && c <= 'f');
    return is_ipv6 ? is_hex_digit || c == ':' || c == '.'
                   : is_ascii_digit(c) || is_ascii_letter(c) || c == '-' || c == '.' || c == '_';
}

} // namespace

auto Http_Endpoint::parse(std::string_view url) -> Result<Http_Endpoint> {
    auto const refuse = [] {
        return fail(Errc::invalid_argument, "endpoint_url: give http://host, https://host or one of them with :port, "
                                            "without user, path and query");
    };
    Http_Endpoint endpoint;
    if (starts_with_lower(url, "https://")) {
        url.remove_prefix(8);
    } else if (starts_with_lower(url, "http://")) {
        url.remove_prefix(7);
        endpoint.tls = false;
        endpoint.port = port_of_http;
    } else {
        return refuse();
    }
    if (url.ends_with('/')) // the empty path, as people copy it from a browser
        url.remove_suffix(1);

    bool const is_ipv6 = url.starts_with('[');
    if (is_ipv6)
        url.remove_prefix(1);
    auto const host = url.substr(0, url.find(is_ipv6 ? ']' : ':'));
    endpoint.host.resize(host.size());
    std::transform(host.begin(), host.end(), endpoint.host.begin(), ascii_lower);
    url.remove_prefix(host.size());
    if (is_ipv6) {
        if (!url.starts_with(']'))
            return refuse();
        url.remove_prefix(1);
    }
    bool const is_host = !host.empty() && std::all_of(endpoint.host.begin(), endpoint.host.end(),
                                                      [&](char c) { return is_host_character(c, is_ipv6); });
    if (!is_host)
        return refuse();
    if (!url.empty()) {
        auto const port = url.starts_with(':') ? parse_decimal(url.substr(1)) : std::nullopt;
        if (!port || *port == 0 || *port > 65'535)
            return refuse();
        endpoint.port = static_cast<std::uint16_t>(*port);
    }
    return endpoint;
}

auto Http_Endpoint::host_header() const -> std::string {
    auto text = host.find(':') == std::string::npos ? host : '[' + host + ']';
    if (port != (tls ? port_of_https : port_of_http))
        text.append(":").append(std::to_string(port));
    return text;
}

auto Client_Response::header(std::string_view name) const noexcept -> std::string_view {
    auto const is_same = [](char left, char right) { return ascii_lower(left) == ascii_lower(right); };
    for (auto const& header : headers) {
        if (std::equal(header.name.begin(), header.name.end(), name.begin(), name.end(), is_same))
            return header.value;
    }
    return {};
}

void throw_exception_from_error(No_Answer const& failure, boost::source_location const&) {
    throw Cache_Error(failure.error);
}

} // namespace memfs_cache
