// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/open.hpp>

namespace memfs_cache {

auto open_storage(std::string_view url) -> Result<Any_Storage> {
    constexpr std::string_view disk = "disk:";
    if (url == "memory:")
        return Any_Storage(Storage_Memory());
    if (url.starts_with(disk)) {
        auto opened = Storage_Disk::open(std::filesystem::path(url.substr(disk.size())));
        if (opened.has_error())
            return opened.error();
        return Any_Storage(std::move(*opened));
    }
    if (url.starts_with("sqlite:"))
        return fail(Errc::unsupported, "storage: this build has no SQLite backend; use disk:PATH or memory:");
    if (url.starts_with("s3://"))
        return fail(Errc::unsupported, "storage: this build has no S3 backend; use disk:PATH or memory:");
    return fail(Errc::invalid_argument, "storage: give memory:, disk:PATH, sqlite:PATH or "
                                        "s3://bucket/prefix?endpoint_url=...&region=...");
}

} // namespace memfs_cache
