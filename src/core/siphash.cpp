// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/siphash.hpp>

#include <bit>

namespace memfs_cache {
namespace {

/// Up to eight bytes as a number, least significant first; compilers make one load of eight.
template <class Byte>
constexpr auto little_endian(Byte const* bytes, std::size_t size = 8) noexcept -> std::uint64_t {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < size; ++i)
        number |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
    return number;
}

struct Sip_State {
    std::uint64_t v0, v1, v2, v3;

    void round() noexcept {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }

    template <int Rounds>
    void compress(std::uint64_t word) noexcept {
        v3 ^= word;
        for (int i = 0; i < Rounds; ++i)
            round();
        v0 ^= word;
    }
};

template <int Rounds, int Last_Rounds>
auto siphash(Sip_Key const& key, Byte_View bytes) noexcept -> std::uint64_t {
    auto const k0 = little_endian(key.data());
    auto const k1 = little_endian(key.data() + 8);
    // The constants spell "somepseudorandomlygeneratedbytes".
    Sip_State state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};

    auto const* at = bytes.data();
    auto left = bytes.size();
    for (; left >= 8; at += 8, left -= 8)
        state.compress<Rounds>(little_endian(at));
    state.compress<Rounds>(little_endian(at, left) | std::uint64_t{bytes.size()} << 56);

    state.v2 ^= 0xff;
    for (int i = 0; i < Last_Rounds; ++i)
        state.round();
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

} // namespace

auto siphash24(Sip_Key const& key, Byte_View bytes) noexcept -> std::uint64_t { return siphash<2, 4>(key, bytes); }

auto siphash13(Sip_Key const& key, Byte_View bytes) noexcept -> std::uint64_t { return siphash<1, 3>(key, bytes); }

} // namespace memfs_cache
