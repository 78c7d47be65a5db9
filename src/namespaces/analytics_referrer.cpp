// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/utf8.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>
#include <memfs_cache/namespaces/analytics/referrer.hpp>

namespace memfs_cache {
namespace {

/// May this code point stand in a domain? Above ASCII everything that is written or combined as a letter passes;
/// controls, blanks, punctuation, symbols, private use and what changes the direction of text do not.
auto is_domain_letter(char32_t point) noexcept -> bool {
    struct Range {
        char32_t first, last;
    };
    constexpr Range refused[] = {{0x80, 0xbf},     {0xd7, 0xd7},     {0xf7, 0xf7},       {0x61c, 0x61c},
                                 {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x2bff},   {0x2e00, 0x2e7f},
                                 {0x3000, 0x3004}, {0x3008, 0x3020}, {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},
                                 {0xfe00, 0xfe6f}, {0xfeff, 0xffff}, {0xe0000, 0x10ffff}};
    return std::none_of(std::begin(refused), std::end(refused),
                        [point](Range const& range) { return point >= range.first && point <= range.last; });
}

/// Browsers read a host whose last label is a number as an IPv4 address (WHATWG URL, "ends in a number").
auto ends_in_number(std::string_view host) noexcept -> bool {
    auto const label = after_last<'.'>(host);
    if (label.starts_with("0x"))
        return label.find_first_not_of("0123456789abcdef", 2) == std::string_view::npos;
    return !label.empty() && std::all_of(label.begin(), label.end(), is_ascii_digit);
}

/// What may stand in a domain, as a small letter; 0 for the rest of ASCII.
constexpr auto domain_characters = [] {
    std::array<char, 0x80> characters{};
    for (char c = 0; c < 0x7f; ++c)
        if (is_ascii_letter(c) || is_ascii_digit(c) || c == '-' || c == '.')
            characters[static_cast<unsigned char>(c)] = ascii_lower(c);
    return characters;
}();

constexpr std::string_view address_domain = "(address)";

/// The domain of host[:port].
auto domain_of(std::string_view authority) noexcept -> Referrer_Domain {
    if (Client_Address::parse(authority))
        return Referrer_Domain(address_domain);
    auto const name = before_any<':'>(authority);
    if (authority.find_first_not_of("0123456789", name.size() + 1) != std::string_view::npos) // the port
        return {};
    authority = name;
    if (authority.ends_with('.'))
        authority.remove_suffix(1);
    if (authority.size() > Referrer_Domain::max_bytes)
        return {};

    std::array<char, Referrer_Domain::max_bytes> lowered;
    char before = '.'; // no label is empty, so a '.' may not come first, last or twice
    int dots = 0;
    for (std::size_t i = 0; i < authority.size();) {
        char const c = authority[i];
        if (static_cast<unsigned char>(c) < 0x80) {
            char const small = domain_characters[static_cast<unsigned char>(c)];
            if (small == 0 || (small == '.' && before == '.'))
                return {};
            lowered[i++] = small;
            dots += small == '.';
        } else {
            auto const point = decode_utf8(authority.substr(i));
            if (point.size_bytes == 0 || !is_domain_letter(point.value))
                return {};
            for (auto const end = i + point.size_bytes; i < end; ++i)
                lowered[i] = authority[i];
        }
        before = c;
    }
    if (before == '.')
        return {};
    std::string_view host(lowered.data(), authority.size());
    if (ends_in_number(host))
        return Referrer_Domain(address_domain);
    // A name that is made of an address, as those of access providers are, is as good as the address.
    if (dots >= 3 && looks_like_address(host))
        return {};
    if (host.starts_with("www.") && host.find('.', 4) != std::string_view::npos)
        host.remove_prefix(4);
    return Referrer_Domain(host);
}

/// Is this the name of a URL scheme (RFC 3986: a letter, then letters, digits, "+", "-", ".")?
auto is_scheme(std::string_view text) noexcept -> bool {
    return !text.empty() && is_ascii_letter(text.front()) && std::all_of(text.begin(), text.end(), [](char c) {
        return is_ascii_letter(c) || is_ascii_digit(c) || c == '+' || c == '-' || c == '.';
    });
}

} // namespace

auto referrer_domain(std::string_view referrer, std::string_view own_host) noexcept -> Referrer_Domain {
    referrer = trim_blanks(referrer);
    auto const scheme_end = referrer.find("://");
    if (scheme_end == std::string_view::npos || !is_scheme(referrer.substr(0, scheme_end)))
        return {};
    auto authority = referrer.substr(scheme_end + 3);
    // Browsers read '\\' as '/'; whoever believes the other reading takes a path for the host.
    authority = before_any<'/', '\\', '?', '#'>(authority);
    authority = after_last<'@'>(authority);

    auto const domain = domain_of(authority);
    own_host = trim_blanks(own_host);
    if (domain.view().empty() || own_host.empty())
        return domain;
    bool const same_domain = domain.view() == domain_of(own_host).view();
    bool const is_own = domain.view() == address_domain
                            ? same_domain && Client_Address::parse(authority) == Client_Address::parse(own_host)
                            : same_domain;
    return is_own ? Referrer_Domain() : domain;
}

} // namespace memfs_cache
