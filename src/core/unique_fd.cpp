// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/unique_fd.hpp>

#include <unistd.h>

namespace memfs_cache {

Unique_Fd::~Unique_Fd() {
    if (fd_ >= 0)
        ::close(fd_);
}

} // namespace memfs_cache
