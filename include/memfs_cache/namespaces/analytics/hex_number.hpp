// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>

#include <array>
#include <cstdint>
#include <string_view>

namespace memfs_cache {

/// A 64-bit number as 16 hex digits held in place, or nothing: ids of events, and hashes of visitors.
class Hex_Number {
  public:
    Hex_Number() = default;
    explicit Hex_Number(std::uint64_t number) noexcept : size_(16) { write_hex(text_.data(), number, 16); }
    [[nodiscard]] auto view() const noexcept -> std::string_view { return {text_.data(), size_}; }
    [[nodiscard]] explicit operator bool() const noexcept { return size_ > 0; }

  private:
    std::array<char, 16> text_;
    std::uint8_t size_ = 0;
};

} // namespace memfs_cache
