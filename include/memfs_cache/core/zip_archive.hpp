// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>

#include <cstddef>
#include <string>
#include <vector>

/// Zip archives in memory. A build without libzip answers `unsupported` to both.
namespace memfs_cache {

struct Zip_Member {
    std::string name; ///< UTF-8, with '/' between folders
    Bytes content;
    bool is_packed = true; ///< deflated, rather than as it is
};

/// The members of an archive in its order. Of those with one name the last is given, as other programs read them.
/// @param  most_bytes  of all contents together; a few packed bytes can stand for gigabytes
/// @errors corrupt_data if it is no archive, damaged or encrypted; too_large; unsupported
[[nodiscard]] auto read_zip(Byte_View archive, std::size_t most_bytes = std::size_t{256} << 20)
    -> Result<std::vector<Zip_Member>>;

/// An archive of members with distinct names.
/// @errors invalid_argument for a name that is empty or no UTF-8; unsupported
[[nodiscard]] auto write_zip(std::vector<Zip_Member> const& members) -> Result<Bytes>;

} // namespace memfs_cache
