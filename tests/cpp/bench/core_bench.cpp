// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/crc32c.hpp>

#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <memory>

namespace memfs_cache::bench {

namespace {

auto checksum_of_a_line() -> Sides {
    return {[text = Bytes(200, 'x')](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(crc32c(0, text));
            },
            [text = Bytes(200, 'x')](std::size_t operations) {
                std::array<char, 200> copy;
                for (std::size_t i = 0; i < operations; ++i) {
                    std::memcpy(copy.data(), text.data(), copy.size());
                    keep(copy);
                }
            }};
}

auto hash_of_a_name() -> Sides {
    static constexpr std::string_view name = "community-x";
    return {[hash = Cache_Hash()](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(hash.from_string(name).value());
            },
            [context = std::shared_ptr<EVP_MD_CTX>(EVP_MD_CTX_new(), EVP_MD_CTX_free)](std::size_t operations) {
                std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
                EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
                for (std::size_t i = 0; i < operations; ++i) {
                    EVP_DigestInit_ex(context.get(), nullptr, nullptr);
                    EVP_DigestUpdate(context.get(), name.data(), name.size());
                    EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
                    keep(digest);
                }
            }};
}

} // namespace

auto core_rows() -> Rows {
    return {{"crc32c, 200 bytes", "memcpy", checksum_of_a_line},
            {"Cache_Hash of a name", "OpenSSL's SHA-256, one context", hash_of_a_name}};
}

} // namespace memfs_cache::bench
