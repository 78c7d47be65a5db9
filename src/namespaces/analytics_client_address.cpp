// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>

#include <algorithm>
#include <string>

namespace memfs_cache {
namespace {

using Address_Bytes = std::array<std::uint8_t, 16>;

constexpr Address_Bytes v4_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t v4_prefix_bytes = 12;

/// The value of a hexadecimal digit, or -1.
constexpr auto hex_value(char c) noexcept -> int {
    if (is_ascii_digit(c))
        return c - '0';
    char const lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Writes the four bytes of a.b.c.d, the whole of `text`, to `out`.
auto parse_v4(std::string_view text, std::uint8_t* out) noexcept -> bool {
    unsigned value = 0;
    int digits = 0;
    int parts = 0;
    for (char const c : text) {
        if (is_ascii_digit(c)) {
            value = value * 10 + static_cast<unsigned>(c - '0');
            if (++digits > 3 || value > 255)
                return false;
        } else if (c == '.' && digits > 0 && parts < 3) {
            out[parts++] = static_cast<std::uint8_t>(value);
            value = 0;
            digits = 0;
        } else {
            return false;
        }
    }
    out[parts] = static_cast<std::uint8_t>(value);
    return parts == 3 && digits > 0;
}

/// The 16 bytes of an IPv6 address without zone, brackets or port, the whole of `text`.
auto parse_v6(std::string_view text) noexcept -> std::optional<Address_Bytes> {
    Address_Bytes bytes{};
    std::size_t filled = 0;
    std::optional<std::size_t> gap; // where "::" stands
    if (text.starts_with("::")) {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        auto const group = text.substr(0, text.find(':'));
        text.remove_prefix(group.size());
        if (text.empty() && group.find('.') != std::string_view::npos) {
            if (filled > bytes.size() - 4 || !parse_v4(group, &bytes[filled]))
                return std::nullopt;
            filled += 4;
            break;
        }
        if (group.empty() || group.size() > 4 || filled == bytes.size())
            return std::nullopt;
        unsigned value = 0;
        for (char const c : group) {
            int const digit = hex_value(c);
            if (digit < 0)
                return std::nullopt;
            value = value << 4 | static_cast<unsigned>(digit);
        }
        bytes[filled++] = static_cast<std::uint8_t>(value >> 8);
        bytes[filled++] = static_cast<std::uint8_t>(value & 0xff);
        if (text.empty())
            break;
        text.remove_prefix(1); // the ':' after the group: another one makes the gap, the end makes it wrong
        if (text.empty())
            return std::nullopt;
        if (text.front() == ':') {
            if (gap)
                return std::nullopt;
            gap = filled;
            text.remove_prefix(1);
        }
    }
    if (!gap)
        return filled == bytes.size() ? std::optional(bytes) : std::nullopt;
    if (filled == bytes.size())
        return std::nullopt; // "::" stands for one group at least
    auto const from = bytes.begin() + static_cast<std::ptrdiff_t>(*gap);
    auto const end = bytes.begin() + static_cast<std::ptrdiff_t>(filled);
    std::fill(from, std::move_backward(from, end, bytes.end()), std::uint8_t{0});
    return bytes;
}

auto has_times(int least, char c, std::string_view text) noexcept -> bool {
    for (auto at = text.find(c); at != std::string_view::npos; at = text.find(c, at + 1))
        if (--least == 0)
            return true;
    return false;
}

/// Does a.b.c.d stand in a text, whatever letters and single dots are around it? Five numbers are a version.
auto holds_v4(std::string_view text) noexcept -> bool {
    while (!text.empty()) {
        auto const begin = std::min(text.find_first_of("0123456789"), text.size());
        text.remove_prefix(begin);
        auto const run = text.substr(0, text.find_first_not_of("0123456789."));
        text.remove_prefix(run.size());
        std::uint8_t bytes[4];
        if (parse_v4(run.substr(0, run.find_last_not_of('.') + 1), bytes))
            return true;
    }
    return false;
}

/// Is a text an IPv6 address but for dots and single colons around it, as sentences and lists put them there?
auto holds_v6(std::string_view text) noexcept -> bool {
    while (!text.empty() && (text.front() == '.' || (text.front() == ':' && !text.starts_with("::"))))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == '.' || (text.back() == ':' && !text.ends_with("::"))))
        text.remove_suffix(1);
    return parse_v6(text).has_value();
}

auto is_port(std::string_view text) noexcept -> bool {
    auto const value = text.size() <= 5 ? parse_decimal(text) : std::nullopt;
    return value && *value <= 65535;
}

auto is_zone(std::string_view text) noexcept -> bool {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '[' && c != ']'; });
}

/// Splits at the first character of a set; the text is whole if there is none.
auto cut(std::string_view text, std::string_view at_any_of) noexcept -> std::string_view {
    return text.substr(0, text.find_first_of(at_any_of));
}

} // namespace

auto Client_Address::parse(std::string_view text) noexcept -> std::optional<Client_Address> {
    text = trim_blanks(text);
    if (text.size() > max_text_bytes)
        return std::nullopt;
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
        text = trim_blanks(text.substr(1, text.size() - 2));

    // Most of what is no address ends here: of IPv4 the first character is a digit, in IPv6 there are colons.
    auto const colon = text.find(':');
    if (colon == std::string_view::npos && (text.empty() || !is_ascii_digit(text.front())))
        return std::nullopt;

    if (text.starts_with('[')) {
        auto const close = text.find(']');
        if (close == std::string_view::npos)
            return std::nullopt;
        auto const after = text.substr(close + 1);
        if (!after.empty() && !(after.front() == ':' && is_port(after.substr(1))))
            return std::nullopt;
        text = text.substr(1, close - 1);
    } else if (colon != std::string_view::npos && colon == text.rfind(':')) {
        // One colon only: a port, since every IPv6 address has two at least.
        if (!is_port(text.substr(colon + 1)))
            return std::nullopt;
        text = text.substr(0, colon);
    }

    Address_Bytes bytes = v4_prefix;
    if (parse_v4(text, &bytes[v4_prefix_bytes]))
        return Client_Address(bytes);
    auto const percent = text.find('%');
    if (percent != std::string_view::npos && !is_zone(text.substr(percent + 1)))
        return std::nullopt;
    auto const v6 = parse_v6(text.substr(0, percent));
    return v6 ? std::optional(Client_Address(*v6)) : std::nullopt;
}

auto Client_Address::is_v4() const noexcept -> bool {
    return std::equal(v4_prefix.begin(), v4_prefix.begin() + v4_prefix_bytes, bytes_.begin());
}

auto looks_like_address(std::string_view text) noexcept -> bool {
    // Nearly every text ends here: an address has three dots or two colons at least.
    if (!has_times(3, '.', text) && !has_times(2, ':', text))
        return false;
    auto const is_part = [](char c) { return hex_value(c) >= 0 || c == '.' || c == ':'; };
    for (std::size_t at = 0; at < text.size();) {
        if (!is_part(text[at])) {
            ++at;
            continue;
        }
        auto end = at;
        while (end < text.size() && is_part(text[end]))
            ++end;
        auto const run = text.substr(at, end - at);
        at = end;
        if (Client_Address::parse(run) || holds_v4(run) || holds_v6(run))
            return true;
    }
    return false;
}

auto Trusted_Proxies::parse(std::string_view list) -> Result<Trusted_Proxies> {
    constexpr std::string_view separators = ", \t\r\n";
    Trusted_Proxies proxies;
    int position = 0;
    while (true) {
        list.remove_prefix(std::min(list.find_first_not_of(separators), list.size()));
        if (list.empty())
            return proxies;
        ++position;
        auto const item = cut(list, separators);
        list.remove_prefix(item.size());

        auto const refuse = [&](char const* why) {
            return fail(Errc::invalid_argument, "trusted_proxies: item " + std::to_string(position) + " " + why +
                                                    "; give addresses or networks such as 10.0.0.0/8 or fd00::/8");
        };
        auto const address_text = cut(item, "/");
        auto const address = Client_Address::parse(address_text);
        if (!address)
            return refuse("is not an address or network");
        // The form is checked as in the text: ::ffff:10.0.0.0/104 counts its bits as IPv6 does.
        bool const written_as_v4 = address_text.find('.') != std::string_view::npos &&
                                   std::count(address_text.begin(), address_text.end(), ':') < 2;
        unsigned const written_bits = written_as_v4 ? 32 : 128;
        auto length = std::uint64_t{written_bits};
        if (address_text.size() < item.size()) {
            auto const given = parse_decimal(item.substr(address_text.size() + 1));
            if (!given || *given > written_bits)
                return refuse("has a network length that its address does not have");
            length = *given;
        }
        proxies.networks_.push_back({*address, 128 - written_bits + static_cast<unsigned>(length)});
    }
}

auto Trusted_Proxies::contains(Client_Address const& address) const noexcept -> bool {
    return std::any_of(networks_.begin(), networks_.end(), [&](Network const& network) {
        auto const& base = network.base.bytes();
        auto const& bytes = address.bytes();
        auto const whole = network.prefix_bits / 8;
        auto const rest = network.prefix_bits % 8;
        if (!std::equal(base.begin(), base.begin() + whole, bytes.begin()))
            return false;
        return rest == 0 || ((base[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
    });
}

auto client_of(std::string_view remote, std::string_view forwarded_for, Trusted_Proxies const& trusted) noexcept
    -> std::optional<Client_Address> {
    auto client = Client_Address::parse(remote);
    while (client && trusted.contains(*client)) {
        auto const last = forwarded_for.find_last_not_of(" \t,");
        if (last == std::string_view::npos)
            break;
        forwarded_for = forwarded_for.substr(0, last + 1);
        auto const comma = forwarded_for.rfind(',');
        auto const entry = comma == std::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1);
        forwarded_for.remove_suffix(entry.size());
        client = Client_Address::parse(entry);
    }
    return client;
}

} // namespace memfs_cache
