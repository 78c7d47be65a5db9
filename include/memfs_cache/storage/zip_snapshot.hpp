// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/memory.hpp>

#include <filesystem>

/// A store as one zip archive, in the form of the zip provider of Memory-FS: a member for each object, by its key. For moving
/// and keeping a store: all of it is in memory at once.
namespace memfs_cache {

/// The objects of an archive; none if there is no such file, or one of no bytes, which that provider leaves of an empty store.
/// @errors corrupt_data if it is no archive, or names something that is no key; too_large, unsupported as read_zip();
///         what the system says
[[nodiscard]] auto read_zip_snapshot(std::filesystem::path const& file) -> Result<Storage_Memory>;

/// Writes the archive of a storage, for the owner alone to read: beside its place, and put there when it is whole.
/// @errors unsupported as write_zip(); what the system says, and what was there before stays
[[nodiscard]] auto write_zip_snapshot(Storage_Memory const& storage, std::filesystem::path const& file) -> Result<void>;

} // namespace memfs_cache
