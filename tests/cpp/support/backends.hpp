// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/scratch_folder.hpp"
#include <memfs_cache/storage/any.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#if MEMFS_CACHE_HAS_SQLITE
#include <memfs_cache/storage/sqlite.hpp>
#endif

#include <optional>

/// A fixture for each backend: makes a fresh empty storage and, where the backend can, another handle on the same
/// objects. A new backend joins every suite by its fixture and one name in MEMFS_CACHE_BACKENDS.
namespace memfs_cache::testing {

struct Memory_Backend {
    using Storage = Storage_Memory;
    /// May an object and a folder of objects share a name ("a" beside "a/b")?
    static constexpr bool has_folders = false;

    Storage storage;
    [[nodiscard]] auto another() const -> std::optional<Storage> { return std::nullopt; }
};

struct Disk_Backend {
    using Storage = Storage_Disk;
    static constexpr bool has_folders = true;

    Scratch_Folder folder;
    Storage storage = Storage_Disk::open(folder.path()).value();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return Storage_Disk::open(folder.path()).value(); }
};

#if MEMFS_CACHE_HAS_SQLITE
struct Sqlite_Backend {
    using Storage = Storage_Sqlite;
    static constexpr bool has_folders = false;

    Scratch_Folder folder;
    std::filesystem::path file = folder.path() / "cache.db";
    Storage storage = Storage_Sqlite::open(file).value();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return Storage_Sqlite::open(file).value(); }
};
#endif

/// The same behind Any_Storage.
template <class Backend>
struct Any_Backend {
    using Storage = Any_Storage;
    static constexpr bool has_folders = Backend::has_folders;

    Backend inner;
    Storage storage = std::move(inner.storage);
    [[nodiscard]] auto another() const -> std::optional<Storage> {
        if (auto handle = inner.another())
            return Any_Storage(std::move(*handle));
        return storage;
    }
};

} // namespace memfs_cache::testing

#if MEMFS_CACHE_HAS_SQLITE
#define MEMFS_CACHE_SQLITE_BACKENDS                                                                                    \
    , memfs_cache::testing::Sqlite_Backend, memfs_cache::testing::Any_Backend<memfs_cache::testing::Sqlite_Backend>
#else
#define MEMFS_CACHE_SQLITE_BACKENDS
#endif

/// Those that can append.
#define MEMFS_CACHE_APPENDING_BACKENDS                                                                                 \
    memfs_cache::testing::Memory_Backend, memfs_cache::testing::Disk_Backend,                                          \
        memfs_cache::testing::Any_Backend<memfs_cache::testing::Memory_Backend>,                                       \
        memfs_cache::testing::Any_Backend<memfs_cache::testing::Disk_Backend>

#define MEMFS_CACHE_BACKENDS MEMFS_CACHE_APPENDING_BACKENDS MEMFS_CACHE_SQLITE_BACKENDS
