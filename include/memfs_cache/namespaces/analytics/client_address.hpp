// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/siphash.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// The address of a client in its one canonical form: 16 bytes in network order, an IPv4 address as ::ffff:a.b.c.d.
/// Two spellings of one address are equal. It lives as long as one request and is never stored or shown.
class Client_Address {
  public:
    /// Reads an address as headers and logs spell it: IPv4 (zero-padded parts are decimal); IPv6 in either case, with
    /// "::", padded groups or an IPv4 tail; a zone (%eth0), a port (1.2.3.4:80, [::1]:80), brackets, the quotes of
    /// Forwarded, and blanks around it are accepted and dropped.
    /// @return nothing for any other text, also for a list of addresses.
    /// Threads any.  Cost one pass over at most max_text_bytes.
    [[nodiscard]] static auto parse(std::string_view text) noexcept -> std::optional<Client_Address>;

    [[nodiscard]] auto bytes() const noexcept -> std::array<std::uint8_t, 16> const& { return bytes_; }
    [[nodiscard]] auto is_v4() const noexcept -> bool;
    friend auto operator==(Client_Address const&, Client_Address const&) -> bool = default;

    /// No spelling of an address is longer, whatever its zone is.
    static constexpr std::size_t max_text_bytes = 256;

  private:
    explicit Client_Address(std::array<std::uint8_t, 16> const& bytes) : bytes_(bytes) {}
    std::array<std::uint8_t, 16> bytes_;
};

/// Does a text hold an address in any of its spellings, alone or inside something else (a list, a URL, a network)?
/// The guard of fields that claim to be a hash: what looks like an address is hashed, never stored.
/// Threads any.  Cost one pass, no allocation.
[[nodiscard]] auto looks_like_address(std::string_view text) noexcept -> bool;

/// The machines whose X-Forwarded-For is believed.
class Trusted_Proxies {
  public:
    /// Nobody is trusted.
    Trusted_Proxies() = default;

    /// @param  list  addresses and networks (10.0.0.0/8, fd00::/8) separated by commas, blanks or both; "" trusts
    /// nobody.
    ///               Bits of an address beyond its network's length are ignored.
    /// @errors invalid_argument, naming the position of the bad item (from 1) and never the item.
    [[nodiscard]] static auto parse(std::string_view list) -> Result<Trusted_Proxies>;

    /// Threads any.  Cost linear in the number of networks.
    [[nodiscard]] auto contains(Client_Address const& address) const noexcept -> bool;
    [[nodiscard]] auto empty() const noexcept -> bool { return networks_.empty(); }

  private:
    struct Network {
        Client_Address base;
        unsigned prefix_bits; ///< of the 128 of the canonical form
    };
    std::vector<Network> networks_;
};

/// Who made a request. X-Forwarded-For is walked from its right end, the entry that the nearest proxy wrote, and only
/// while the hop reached so far is trusted: what a client writes itself is never believed.
/// @param  remote         address of the peer
/// @param  forwarded_for  the header as sent; several headers are joined with commas by the host
/// @return the first hop that is not trusted, or the leftmost if all are; nothing if `remote`, or the entry that would
///         answer, is no address ("unknown", "_hidden"): a proxy is never taken for its clients.
/// Threads any.  Cost linear in the trusted part of the header, no allocation.
[[nodiscard]] auto client_of(std::string_view remote,
                             std::string_view forwarded_for,
                             Trusted_Proxies const& trusted) noexcept -> std::optional<Client_Address>;

/// Who visited, as long as the key lives: the same for one address under one key, unrelated under the next.
/// @param  day_key  the secret of the period; without it nobody can try out all addresses.
[[nodiscard]] inline auto visitor_hash(Sip_Key const& day_key, Client_Address const& address) noexcept
    -> std::uint64_t {
    auto const& bytes = address.bytes();
    return siphash24(day_key, Byte_View(reinterpret_cast<char const*>(bytes.data()), bytes.size()));
}

} // namespace memfs_cache
