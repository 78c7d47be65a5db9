// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/siphash.hpp>

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>
#include <random>
#include <string>

using namespace memfs_cache;

namespace {

/// The same function by OpenSSL.
class Openssl_Siphash {
  public:
    Openssl_Siphash(unsigned rounds, unsigned last_rounds) : rounds_(rounds), last_rounds_(last_rounds) {}

    auto operator()(Sip_Key const& key, std::string_view bytes) -> std::uint64_t {
        std::size_t size = 8;
        OSSL_PARAM const params[] = {OSSL_PARAM_construct_size_t("size", &size),
                                     OSSL_PARAM_construct_uint("c-rounds", &rounds_),
                                     OSSL_PARAM_construct_uint("d-rounds", &last_rounds_), OSSL_PARAM_construct_end()};
        REQUIRE(EVP_MAC_init(context_.get(), key.data(), key.size(), params) == 1);
        REQUIRE(EVP_MAC_update(context_.get(), reinterpret_cast<unsigned char const*>(bytes.data()), bytes.size()) ==
                1);
        std::array<unsigned char, 8> out{};
        REQUIRE(EVP_MAC_final(context_.get(), out.data(), &size, out.size()) == 1);
        REQUIRE(size == 8);
        std::uint64_t number = 0;
        for (std::size_t i = 8; i-- > 0;)
            number = number << 8 | out[i];
        return number;
    }

  private:
    struct Free {
        void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
        void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
    };
    unsigned rounds_;
    unsigned last_rounds_;
    std::unique_ptr<EVP_MAC, Free> mac_{EVP_MAC_fetch(nullptr, "SIPHASH", nullptr)};
    std::unique_ptr<EVP_MAC_CTX, Free> context_{EVP_MAC_CTX_new(mac_.get())};
};

} // namespace

TEST_SUITE("core/siphash") {
    TEST_CASE("the first published test vectors") {
        Sip_Key key{};
        for (std::size_t i = 0; i < key.size(); ++i)
            key[i] = static_cast<std::uint8_t>(i);
        std::uint64_t const expected[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
                                          0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
                                          0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462};
        std::string input;
        for (auto const hash : expected) {
            CAPTURE(input.size());
            CHECK(siphash24(key, input) == hash);
            input.push_back(static_cast<char>(input.size()));
        }
        while (input.size() < 15)
            input.push_back(static_cast<char>(input.size()));
        CHECK(siphash24(key, input.substr(0, 15)) == 0xa129ca6149be45e5); // the example of the paper, appendix A
    }

    TEST_CASE("OpenSSL agrees on random keys and inputs of every length") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Openssl_Siphash openssl24(2, 4);
        Openssl_Siphash openssl13(1, 3);
        for (std::size_t length = 0; length <= 300; ++length) {
            CAPTURE(length);
            Sip_Key key{};
            for (auto& byte : key)
                byte = static_cast<std::uint8_t>(random() & 255U);
            std::string input(length, '\0');
            for (auto& byte : input)
                byte = static_cast<char>(random() & 255U);
            REQUIRE(siphash24(key, input) == openssl24(key, input));
            REQUIRE(siphash13(key, input) == openssl13(key, input));
        }
    }
}
