// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/crc32c.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace memfs_cache;

namespace {

auto random_bytes(std::mt19937_64& random, std::size_t size) -> std::string {
    std::string bytes(size, '\0');
    for (auto& byte : bytes)
        byte = static_cast<char>(random() & 255U);
    return bytes;
}

/// The definition, bit by bit: shares nothing with the implementations under test.
auto bit_by_bit(std::string_view bytes) -> std::uint32_t {
    std::uint32_t remainder = 0xFFFFFFFF;
    for (char const byte : bytes) {
        remainder ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            auto const odd = (remainder & 1U) != 0;
            remainder >>= 1;
            if (odd)
                remainder ^= 0x82F63B78;
        }
    }
    return ~remainder;
}

} // namespace

TEST_SUITE("core/crc32c") {
    TEST_CASE("the examples of RFC 3720 B.4 and the usual check value") {
        std::string up, down;
        for (int i = 0; i < 32; ++i)
            up.push_back(static_cast<char>(i));
        down.assign(up.rbegin(), up.rend());
        // The RFC prints the bytes in the order of transmission: aa 36 91 8a is 0x8A9136AA.
        CHECK(crc32c(0, std::string(32, '\0')) == 0x8A9136AA);
        CHECK(crc32c(0, std::string(32, '\xff')) == 0x62A8AB43);
        CHECK(crc32c(0, up) == 0x46DD794E);
        CHECK(crc32c(0, down) == 0x113FDB5C);
        std::string read_command(48, '\0');
        read_command.replace(0, 4, "\x01\xc0\0\0", 4);
        read_command[16] = '\x14';
        read_command.replace(20, 12, "\0\0\x04\0\0\0\0\x14\0\0\0\x18", 12);
        read_command[32] = '\x28';
        read_command[40] = '\x02';
        CHECK(crc32c(0, read_command) == 0xD9963A56);
        CHECK(crc32c(0, "123456789") == 0xE3069283);
        CHECK(crc32c(0, "") == 0);
    }

    TEST_CASE("instruction, table and definition agree at every length and alignment") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const bytes = random_bytes(random, 308);
        for (std::size_t length = 0; length <= 300; ++length) {
            for (std::size_t offset = 0; offset < 8; ++offset) {
                CAPTURE(length);
                CAPTURE(offset);
                auto const part = std::string_view(bytes).substr(offset, length);
                auto const expected = bit_by_bit(part);
                REQUIRE(crc32c(0, part) == expected);
                REQUIRE(detail::crc32c_by_table(0, part) == expected);
            }
        }
    }

    TEST_CASE("continuing from any cut equals one call over everything") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const bytes = random_bytes(random, 200);
        auto const whole = crc32c(0, bytes);
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            CAPTURE(cut);
            auto const head = std::string_view(bytes).substr(0, cut);
            auto const tail = std::string_view(bytes).substr(cut);
            REQUIRE(crc32c(crc32c(0, head), tail) == whole);
            REQUIRE(detail::crc32c_by_table(detail::crc32c_by_table(0, head), tail) == whole);
        }
    }

    TEST_CASE("a number counts as its eight bytes, least significant first") {
        CHECK(crc32c(0, std::uint64_t{0x0807060504030201}) == crc32c(0, "\x01\x02\x03\x04\x05\x06\x07\x08"));
        CHECK(crc32c(0xE3069283, std::uint64_t{0x31}) == crc32c(0, std::string("1234567891\0\0\0\0\0\0\0", 17)));
    }
}
