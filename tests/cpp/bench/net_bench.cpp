// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/net/request_signer.hpp>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace memfs_cache::bench {

namespace {

/// What no signer can do without: two digests, of the body and of the canonical request, and one authentication.
auto three_digests() -> Work {
    return [text = Bytes(400, 'x'), key = Bytes(32, 'k'),
            sha256 = std::shared_ptr<EVP_MD>(EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free)](
               std::size_t operations) {
        std::array<unsigned char, EVP_MAX_MD_SIZE> out;
        for (std::size_t i = 0; i < operations; ++i) {
            EVP_Digest(text.data(), 200, out.data(), nullptr, sha256.get(), nullptr);
            EVP_Digest(text.data(), 400, out.data(), nullptr, sha256.get(), nullptr);
            keep(HMAC(sha256.get(), key.data(), static_cast<int>(key.size()),
                      reinterpret_cast<unsigned char const*>(text.data()), 150, out.data(), nullptr));
        }
    };
}

auto signing() -> Sides {
    return {
        [signer = std::make_shared<Request_Signer>("us-east-1", "s3"), body = Bytes(200, 'x')](std::size_t operations) {
            Aws_Credentials const keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
            for (std::size_t i = 0; i < operations; ++i) {
                Client_Request request;
                request.method = "PUT";
                request.target = "/bucket/cache/analytics/data/raw/2026/02/13/14/0000000000000001.jsonl";
                request.headers = {{"Content-Type", "application/octet-stream"}, {"If-None-Match", "*"}};
                request.body = body;
                keep(signer->sign(request, "s3.example.com:9000", keys, from_millis(1'771'070'400'000)));
            }
        },
        three_digests()};
}

} // namespace

auto net_rows() -> Rows { return {{"signing a put of 200 bytes", "its three digests by OpenSSL", signing}}; }

} // namespace memfs_cache::bench
