// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/process_mark.hpp>

#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace memfs_cache {
namespace {

constexpr std::size_t page_bytes = 4096; // the kernel rounds up to what its pages are

} // namespace

Process_Mark::Process_Mark() : pid_(::getpid()) {
    auto* const page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (::madvise(page, page_bytes, MADV_WIPEONFORK) == 0)
        wiped_by_fork_ = new (page) std::atomic<bool>(true);
    else
        ::munmap(page, page_bytes);
}

Process_Mark::~Process_Mark() {
    if (wiped_by_fork_ != nullptr)
        ::munmap(wiped_by_fork_, page_bytes);
}

auto Process_Mark::is_own_pid() const noexcept -> bool { return pid_ == ::getpid(); }

} // namespace memfs_cache
