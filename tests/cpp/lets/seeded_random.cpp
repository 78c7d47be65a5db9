// SPDX-License-Identifier: Apache-2.0
#include "seeded_random.hpp"

#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {
thread_local std::mt19937_64* source = nullptr;
} // namespace

memfs_cache::testing::Seeded_Random::Seeded_Random(std::mt19937_64& generator) { source = &generator; }
memfs_cache::testing::Seeded_Random::~Seeded_Random() { source = nullptr; }

/// The program's own definition comes before the C library's.
extern "C" auto getrandom(void* out, std::size_t size, unsigned flags) -> ssize_t {
    if (source == nullptr)
        return static_cast<ssize_t>(::syscall(SYS_getrandom, out, size, flags));
    auto* const bytes = static_cast<unsigned char*>(out);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<unsigned char>((*source)());
    return static_cast<ssize_t>(size);
}
