// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/open.hpp>
#if MEMFS_CACHE_HAS_S3
#include <memfs_cache/storage/s3.hpp>
#endif
#if MEMFS_CACHE_HAS_SQLITE
#include <memfs_cache/storage/sqlite.hpp>
#endif

namespace memfs_cache {
namespace {

template <class S>
auto open_file(std::string_view path) -> Result<Any_Storage> {
    auto opened = S::open(std::filesystem::path(path));
    if (opened.has_error())
        return opened.error();
    return Any_Storage(std::move(*opened));
}

auto open_s3(std::string_view url) -> Result<Any_Storage> {
#if MEMFS_CACHE_HAS_S3
    auto settings = S3_Settings::parse(url);
    if (!settings)
        return settings.error();
    auto opened = Storage_S3::open(*std::move(settings));
    if (!opened)
        return opened.error();
    return Any_Storage(*std::move(opened));
#else
    (void)url;
    return fail(Errc::unsupported, "storage: this build has no S3 backend; use disk:PATH or memory:");
#endif
}

} // namespace

auto open_storage(std::string_view url) -> Result<Any_Storage> {
    constexpr std::string_view disk = "disk:";
    constexpr std::string_view sqlite = "sqlite:";
    if (url == "memory:")
        return Any_Storage(Storage_Memory());
    if (url.starts_with(disk))
        return open_file<Storage_Disk>(url.substr(disk.size()));
    if (url.starts_with(sqlite))
#if MEMFS_CACHE_HAS_SQLITE
        return open_file<Storage_Sqlite>(url.substr(sqlite.size()));
#else
        return fail(Errc::unsupported, "storage: this build has no SQLite backend; use disk:PATH or memory:");
#endif
    if (url.starts_with("s3://"))
        return open_s3(url);
    return fail(Errc::invalid_argument, "storage: give memory:, disk:PATH, sqlite:PATH or "
                                        "s3://bucket/prefix?endpoint_url=...&region=...");
}

} // namespace memfs_cache
