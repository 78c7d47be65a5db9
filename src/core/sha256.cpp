// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/sha256.hpp>

#include <openssl/evp.h>

#include <new>

namespace memfs_cache {
namespace {

/// OpenSSL fails here for one reason only: there is no memory.
void needs_memory(int outcome) {
    if (outcome != 1)
        throw std::bad_alloc();
}

} // namespace

struct Sha256::Context {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> openssl{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
    needs_memory(EVP_DigestInit_ex(context_->openssl.get(), EVP_sha256(), nullptr));
}
Sha256::Sha256(Sha256&&) noexcept = default;
auto Sha256::operator=(Sha256&&) noexcept -> Sha256& = default;
Sha256::~Sha256() = default;

void Sha256::add(Byte_View bytes) {
    needs_memory(EVP_DigestUpdate(context_->openssl.get(), bytes.data(), bytes.size()));
}

auto Sha256::hex() -> std::string {
    std::string digest(32, '\0');
    needs_memory(EVP_DigestFinal_ex(context_->openssl.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
    return to_hex(digest);
}

} // namespace memfs_cache
