// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/crc32c.hpp>

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace memfs_cache {
namespace {

constexpr std::uint32_t reflected_polynomial = 0x82F63B78;

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

/// tables[k][b] carries byte b over k further zero bytes, so eight bytes are eight independent look-ups.
constexpr auto make_tables() -> Tables {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ (reflected_polynomial & (0U - (crc & 1U)));
        tables[0][byte] = crc;
    }
    for (std::size_t k = 1; k < tables.size(); ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            auto const before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 255U];
        }
    }
    return tables;
}

constexpr Tables tables = make_tables();

constexpr auto little_endian_bytes(std::uint64_t number) noexcept -> std::array<char, 8> {
    std::array<char, 8> bytes{};
    for (auto& byte : bytes) {
        byte = static_cast<char>(number & 255U);
        number >>= 8;
    }
    return bytes;
}

#if defined(__x86_64__)

#define MEMFS_CACHE_CRC32C_TARGET __attribute__((target("sse4.2")))
auto has_instruction() noexcept -> bool { return __builtin_cpu_supports("sse4.2") != 0; }
MEMFS_CACHE_CRC32C_TARGET auto step(std::uint32_t crc, std::uint64_t eight) noexcept -> std::uint32_t {
    return static_cast<std::uint32_t>(_mm_crc32_u64(crc, eight));
}
MEMFS_CACHE_CRC32C_TARGET auto step(std::uint32_t crc, std::uint8_t one) noexcept -> std::uint32_t {
    return _mm_crc32_u8(crc, one);
}

#elif defined(__ARM_FEATURE_CRC32)

#define MEMFS_CACHE_CRC32C_TARGET
constexpr auto has_instruction() noexcept -> bool { return true; }
auto step(std::uint32_t crc, std::uint64_t eight) noexcept -> std::uint32_t { return __crc32cd(crc, eight); }
auto step(std::uint32_t crc, std::uint8_t one) noexcept -> std::uint32_t { return __crc32cb(crc, one); }

#endif

#if defined(MEMFS_CACHE_CRC32C_TARGET)

MEMFS_CACHE_CRC32C_TARGET auto by_instruction(std::uint32_t crc, Byte_View bytes) noexcept -> std::uint32_t {
    crc = ~crc;
    auto const* at = bytes.data();
    auto left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        std::uint64_t eight = 0; // loaded as it lies: both processors run little-endian
        std::memcpy(&eight, at, 8);
        crc = step(crc, eight);
    }
    for (; left > 0; ++at, --left)
        crc = step(crc, static_cast<std::uint8_t>(*at));
    return ~crc;
}

MEMFS_CACHE_CRC32C_TARGET auto by_instruction(std::uint32_t crc, std::uint64_t number) noexcept -> std::uint32_t {
    return ~step(~crc, number);
}

#endif

} // namespace

auto detail::crc32c_by_table(std::uint32_t crc, Byte_View bytes) noexcept -> std::uint32_t {
    crc = ~crc;
    auto const* at = reinterpret_cast<unsigned char const*>(bytes.data());
    auto left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        auto const first = crc ^ (static_cast<std::uint32_t>(at[0]) | static_cast<std::uint32_t>(at[1]) << 8 |
                                  static_cast<std::uint32_t>(at[2]) << 16 | static_cast<std::uint32_t>(at[3]) << 24);
        crc = tables[7][first & 255U] ^ tables[6][(first >> 8) & 255U] ^ tables[5][(first >> 16) & 255U] ^
              tables[4][first >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
    }
    for (; left > 0; ++at, --left)
        crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 255U];
    return ~crc;
}

auto crc32c(std::uint32_t crc, Byte_View bytes) noexcept -> std::uint32_t {
#if defined(MEMFS_CACHE_CRC32C_TARGET)
    if (has_instruction())
        return by_instruction(crc, bytes);
#endif
    return detail::crc32c_by_table(crc, bytes);
}

auto crc32c(std::uint32_t crc, std::uint64_t number) noexcept -> std::uint32_t {
#if defined(MEMFS_CACHE_CRC32C_TARGET)
    if (has_instruction())
        return by_instruction(crc, number);
#endif
    auto const bytes = little_endian_bytes(number);
    return detail::crc32c_by_table(crc, {bytes.data(), bytes.size()});
}

} // namespace memfs_cache
