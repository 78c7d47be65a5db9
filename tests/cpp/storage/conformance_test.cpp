// SPDX-License-Identifier: Apache-2.0
#include "support/backends.hpp"

#define MEMFS_CACHE_SUITE_APPENDING_BACKENDS                                                                           \
    MEMFS_CACHE_APPENDING_BACKENDS, memfs_cache::testing::Prefixed_Backend<memfs_cache::testing::Disk_Backend>

#if MEMFS_CACHE_HAS_S3
#define MEMFS_CACHE_PREFIXED_S3_BACKENDS , memfs_cache::testing::Prefixed_Backend<memfs_cache::testing::S3_Backend>
#else
#define MEMFS_CACHE_PREFIXED_S3_BACKENDS
#endif

/// Every backend, and wrappers: below a folder, behind faults and retries, and one that broken_test.cpp breaks to see the
/// suite fail.
#define MEMFS_CACHE_SUITE_BACKENDS                                                                                     \
    MEMFS_CACHE_SUITE_APPENDING_BACKENDS MEMFS_CACHE_SQLITE_BACKENDS MEMFS_CACHE_S3_BACKENDS                           \
        MEMFS_CACHE_PREFIXED_S3_BACKENDS,                                                                              \
        memfs_cache::testing::Retried_Backend, memfs_cache::testing::Broken_Backend

#include "conformance.hpp"
