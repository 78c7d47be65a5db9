// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/base64.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>

namespace memfs_cache {

auto to_base64(Byte_View bytes) -> std::string {
    constexpr std::size_t part_bytes = std::size_t{3} << 20; // of what an int can count, and whole groups of three
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4 + 1);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(part_bytes, bytes.size()))) {
        auto const part = bytes.substr(0, part_bytes);
        auto const begin = text.size();
        text.resize(begin + (part.size() + 2) / 3 * 4 + 1); // OpenSSL ends it with a NUL
        auto* const out = reinterpret_cast<unsigned char*>(text.data() + begin);
        auto const size =
            EVP_EncodeBlock(out, reinterpret_cast<unsigned char const*>(part.data()), static_cast<int>(part.size()));
        text.resize(begin + static_cast<std::size_t>(size));
    }
    return text;
}

} // namespace memfs_cache
