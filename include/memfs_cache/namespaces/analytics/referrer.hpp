// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace memfs_cache {

/// The domain that a visitor came from, held in place: it stays valid without its referrer and allocates nothing.
class Referrer_Domain {
  public:
    static constexpr std::size_t max_bytes = 253; ///< of a domain name (RFC 1035)

    Referrer_Domain() = default;
    /// @param  text  at most max_bytes; what is longer is no domain and becomes "".
    explicit Referrer_Domain(std::string_view text) noexcept
        : size_(static_cast<std::uint8_t>(text.size() > max_bytes ? 0 : text.size())) {
        std::copy_n(text.begin(), size_, text_.begin());
    }

    Referrer_Domain(Referrer_Domain const& other) noexcept : Referrer_Domain(other.view()) {}
    auto operator=(Referrer_Domain const& other) noexcept -> Referrer_Domain& {
        size_ = other.size_;
        std::copy_n(other.text_.begin(), size_, text_.begin()); // of a name, not of all the room
        return *this;
    }
    ~Referrer_Domain() = default;

    [[nodiscard]] auto view() const noexcept -> std::string_view { return {text_.data(), size_}; }

  private:
    std::array<char, max_bytes> text_;
    std::uint8_t size_ = 0;
};

/// What may be stored of a referrer: the domain, without scheme, user, port, path, query and a leading "www.".
///
/// A domain is of a-z, 0-9, '-' and '.' (capitals are lowered, a final '.' goes), or the letters of other scripts in
/// UTF-8, kept as they are. Of android-app://com.example/... and the like the host part is kept: com.example. A host
/// that is an address, also in a spelling that only browsers read (0x7f.1, 2130706433), is "(address)"; a name that is
/// made of one, as those of access providers are, is not kept.
/// @param  referrer  header as sent; "" and "-" are none
/// @param  own_host  Host header of the request or the site's name, with or without port; "" if unknown
/// @return "" for no referrer, one from the own host, and everything that is not such a URL.
/// Threads any.  Cost one pass over scheme and host, no allocation.
[[nodiscard]] auto referrer_domain(std::string_view referrer, std::string_view own_host) noexcept -> Referrer_Domain;

} // namespace memfs_cache
