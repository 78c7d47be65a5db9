// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything that an embedding program needs, except memfs_cache::server (memfs_cache/server/server.hpp).
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/entries/dated_files.hpp>
#include <memfs_cache/entries/entry_store.hpp>
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/namespaces/analytics.hpp>
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/storage/any.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/open.hpp>
#include <memfs_cache/storage/prefixed.hpp>
#include <memfs_cache/storage/words.hpp>
#include <memfs_cache/version.hpp>
#if MEMFS_CACHE_HAS_S3
#include <memfs_cache/storage/s3.hpp>
#endif
#if MEMFS_CACHE_HAS_SQLITE
#include <memfs_cache/storage/sqlite.hpp>
#endif
