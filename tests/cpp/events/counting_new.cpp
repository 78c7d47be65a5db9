// SPDX-License-Identifier: Apache-2.0
#include "events/counting_new.hpp"

#include <cstdlib>
#include <new>

namespace {

thread_local std::uint64_t count = 0;

} // namespace

auto memfs_cache::testing::allocations() noexcept -> std::uint64_t { return count; }

auto operator new(std::size_t size) -> void* {
    ++count;
    if (auto* const memory = std::malloc(size == 0 ? 1 : size))
        return memory;
    throw std::bad_alloc();
}
// A sanitizer's own would not fit to the delete below; std::stable_sort asks for it.
auto operator new(std::size_t size, std::nothrow_t const&) noexcept -> void* {
    ++count;
    return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
