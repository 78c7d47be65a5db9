// SPDX-License-Identifier: Apache-2.0
#include "events/counting_new.hpp"

#include <cstdlib>
#include <new>

namespace {

thread_local std::uint64_t count = 0;
thread_local std::uint64_t fails_at = 0;

auto allocate(std::size_t size) noexcept -> void* {
    return ++count == fails_at ? nullptr : std::malloc(size == 0 ? 1 : size);
}

} // namespace

auto memfs_cache::testing::allocations() noexcept -> std::uint64_t { return count; }
void memfs_cache::testing::fail_allocation(std::uint64_t nth) noexcept { fails_at = nth == 0 ? 0 : count + nth; }

auto operator new(std::size_t size) -> void* {
    if (auto* const memory = allocate(size))
        return memory;
    throw std::bad_alloc();
}
// A sanitizer's own would not fit to the delete below; std::stable_sort asks for it.
auto operator new(std::size_t size, std::nothrow_t const&) noexcept -> void* { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
