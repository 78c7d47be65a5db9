// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/random.hpp>

#include <cerrno>
#include <cstdlib>
#include <sys/random.h>

namespace memfs_cache {

void fill_random(void* out, std::size_t size_bytes) noexcept {
    auto* at = static_cast<unsigned char*>(out);
    while (size_bytes > 0) {
        auto const got = ::getrandom(at, size_bytes, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            std::abort();
        }
        at += got;
        size_bytes -= static_cast<std::size_t>(got);
    }
}

auto random_u64() noexcept -> std::uint64_t {
    std::uint64_t number = 0;
    fill_random(&number, sizeof number);
    return number;
}

auto random_hex(std::size_t size_bytes) -> std::string {
    std::string bytes(size_bytes, '\0');
    fill_random(bytes.data(), bytes.size());
    return to_hex(Byte_View(bytes));
}

} // namespace memfs_cache
