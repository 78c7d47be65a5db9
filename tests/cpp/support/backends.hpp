// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/broken_storage.hpp"
#include "support/retried_storage.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/any.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/prefixed.hpp>
#if MEMFS_CACHE_HAS_S3
#include "support/fake_s3.hpp"
#include <memfs_cache/storage/s3.hpp>
#endif
#if MEMFS_CACHE_HAS_SQLITE
#include <memfs_cache/storage/sqlite.hpp>
#endif

#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

/// A fixture for each backend: makes a fresh empty storage and, where the backend can, another handle on the same
/// objects. A new backend joins every suite by its fixture and one name in MEMFS_CACHE_BACKENDS.
namespace memfs_cache::testing {

struct Memory_Backend {
    using Storage = Storage_Memory;
    /// May an object and a folder of objects share a name ("a" beside "a/b")?
    static constexpr bool has_folders = false;
    /// Does each operation go over a network, to a server that runs in threads of the test?
    static constexpr bool is_remote = false;

    Storage storage;
    [[nodiscard]] auto another() const -> std::optional<Storage> { return std::nullopt; }
};

struct Disk_Backend {
    using Storage = Storage_Disk;
    static constexpr bool has_folders = true;
    static constexpr bool is_remote = false;

    Scratch_Folder folder;
    Storage storage = Storage_Disk::open(folder.path()).value();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return Storage_Disk::open(folder.path()).value(); }
};

#if MEMFS_CACHE_HAS_SQLITE
struct Sqlite_Backend {
    using Storage = Storage_Sqlite;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = false;

    Scratch_Folder folder;
    std::filesystem::path file = folder.path() / "cache.db";
    Storage storage = Storage_Sqlite::open(file).value();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return Storage_Sqlite::open(file).value(); }
};
#endif

#if MEMFS_CACHE_HAS_S3
/// How to reach a fake server. Retries do not wait.
inline auto settings_for(Fake_S3 const& server) -> S3_Settings {
    S3_Settings settings;
    settings.bucket = server.options().bucket;
    settings.endpoint_url = server.url();
    settings.region = server.options().region;
    settings.credentials = Aws_Credentials{server.options().access_key_id, server.options().secret_access_key,
                                           server.options().session_token};
    settings.wait = [](std::chrono::milliseconds) {};
    return settings;
}

/// With the habits of Amazon. Where MEMFS_CACHE_TEST_S3 names one or two storages by their URLs, doors of one bucket on a
/// real server, it is that one, in a place of its own.
struct S3_Backend {
    using Storage = Storage_S3;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = true;

    Fake_S3 server{};
    std::vector<S3_Settings> doors = real_doors(settings_for(server));
    Storage storage = Storage_S3::open(doors.front()).value();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return Storage_S3::open(doors.back()).value(); }

  private:
    static auto real_doors(S3_Settings const& of_the_fake) -> std::vector<S3_Settings> {
        auto const* const urls = std::getenv("MEMFS_CACHE_TEST_S3");
        if (urls == nullptr)
            return {of_the_fake};
        std::vector<S3_Settings> found;
        auto const place = "/" + random_hex(8);
        std::istringstream words(urls);
        for (std::string url; words >> url;) {
            found.push_back(S3_Settings::parse(url).value());
            found.back().prefix = found.back().prefix.empty() ? place.substr(1) : found.back().prefix + place;
        }
        return found;
    }
};

/// Two gateways of one cluster with the habits of Ceph.
struct S3_Ceph_Backend {
    using Storage = Storage_S3;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = true;

    static auto options() -> Fake_S3_Options {
        Fake_S3_Options options;
        options.quirks = Fake_S3_Quirks::ceph();
        return options;
    }
    /// Who loses a race is told to try again; without a pause in between that may happen often in a row.
    static auto open(Fake_S3 const& gateway) -> Storage {
        auto settings = settings_for(gateway);
        settings.most_tries = 10'000;
        settings.retry_budget = std::chrono::hours(100); // which pauses use up though nobody makes them
        return Storage_S3::open(std::move(settings)).value();
    }
    Fake_S3 server{options()};
    Fake_S3 second{options(), server.objects()};
    Storage storage = open(server);
    [[nodiscard]] auto another() const -> std::optional<Storage> { return open(second); }
};
#endif

/// As good as memory, unless a test that runs this program anew breaks it by an environment variable.
struct Broken_Backend {
    using Storage = Broken_Storage;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = false;

    Storage storage;
    [[nodiscard]] auto another() const -> std::optional<Storage> { return std::nullopt; }
};

/// Memory behind faults and the rule that makes up for them.
struct Retried_Backend {
    using Storage = Retried_Storage;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = false;

    Storage storage;
    [[nodiscard]] auto another() const -> std::optional<Storage> { return storage; }
};

/// The same behind Any_Storage.
template <class Backend>
struct Any_Backend {
    using Storage = Any_Storage;
    static constexpr bool has_folders = Backend::has_folders;
    static constexpr bool is_remote = Backend::is_remote;

    Backend inner;
    Storage storage = std::move(inner.storage);
    [[nodiscard]] auto another() const -> std::optional<Storage> {
        if (auto handle = inner.another())
            return Any_Storage(std::move(*handle));
        return storage;
    }
};

/// A folder of one, beside keys of others that begin and end like those of the folder.
template <class Backend>
struct Prefixed_Backend {
    using Storage = Prefixed_Storage<typename Backend::Storage>;
    static constexpr bool has_folders = Backend::has_folders;
    static constexpr bool is_remote = Backend::is_remote;

    Backend inner;
    Storage storage = below(with_strangers(inner.storage));
    [[nodiscard]] auto another() const -> std::optional<Storage> {
        if (auto handle = inner.another())
            return below(std::move(*handle));
        return std::nullopt;
    }

  private:
    static auto with_strangers(typename Backend::Storage& whole) -> typename Backend::Storage {
        for (auto const* const stranger :
             {"a", "services/a/b", "services/one-a/b", "services/one0", "services/two/a/b"})
            (void)whole.put(Storage_Key(stranger), "of another", Precondition::none()).value();
        return std::move(whole);
    }
    static auto below(typename Backend::Storage whole) -> Storage {
        return Storage(std::move(whole), Storage_Key("services/one"));
    }
};

} // namespace memfs_cache::testing

#if MEMFS_CACHE_HAS_SQLITE
#define MEMFS_CACHE_SQLITE_BACKENDS                                                                                    \
    , memfs_cache::testing::Sqlite_Backend, memfs_cache::testing::Any_Backend<memfs_cache::testing::Sqlite_Backend>
#else
#define MEMFS_CACHE_SQLITE_BACKENDS
#endif

#if MEMFS_CACHE_HAS_S3
#define MEMFS_CACHE_S3_BACKENDS                                                                                        \
    , memfs_cache::testing::S3_Backend, memfs_cache::testing::S3_Ceph_Backend,                                         \
        memfs_cache::testing::Any_Backend<memfs_cache::testing::S3_Backend>
#else
#define MEMFS_CACHE_S3_BACKENDS
#endif

/// Those that can append.
#define MEMFS_CACHE_APPENDING_BACKENDS                                                                                 \
    memfs_cache::testing::Memory_Backend, memfs_cache::testing::Disk_Backend,                                          \
        memfs_cache::testing::Any_Backend<memfs_cache::testing::Memory_Backend>,                                       \
        memfs_cache::testing::Any_Backend<memfs_cache::testing::Disk_Backend>

#define MEMFS_CACHE_BACKENDS MEMFS_CACHE_APPENDING_BACKENDS MEMFS_CACHE_SQLITE_BACKENDS MEMFS_CACHE_S3_BACKENDS
