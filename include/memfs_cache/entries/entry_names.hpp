// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <string>
#include <string_view>

/// The names of entries, cleaned as the Python reference cleans them, so that both find each other's files: a character
/// that is not allowed becomes one '_'. Refused is what could leave its folder: empty, "." and ".." parts.
///
/// All take UTF-8, leave out the blanks (of Unicode) around it, and count characters, not bytes.
namespace memfs_cache {

/// A namespace or the id of a file: at most 128 of A-Z a-z 0-9 _ -. The empty name stays empty.
/// @param  what  names the text in the error message
/// @errors invalid_argument if it is too long or no UTF-8
[[nodiscard]] auto clean_entry_name(std::string_view text, std::string_view what) -> Result<std::string>;

/// The id of a file that an entry or its child data lies in: as clean_entry_name, but of more than '_' alone.
/// @errors invalid_argument
[[nodiscard]] auto clean_file_id(std::string_view text, std::string_view what) -> Result<std::string>;

/// The key of a key_based entry: at most 1024 of A-Z a-z 0-9 _ - . / \ and blank, of more than '_' alone; one '/' at
/// its end is allowed and means nothing. The empty key stays empty.
/// @errors invalid_argument, also for empty, "." and ".." parts
[[nodiscard]] auto clean_cache_key(std::string_view text) -> Result<std::string>;

/// The name of a dated file: at most 255 of A-Z a-z 0-9 _ - . and blank, of more than '_' alone, and not "." or "..".
/// @errors invalid_argument, also for the empty name
[[nodiscard]] auto clean_file_name(std::string_view text) -> Result<std::string>;

/// A path of files: at most 1024 of A-Z a-z 0-9 _ - . / \ and blank, of more than '_' alone, with parts of any kind.
/// @errors invalid_argument
[[nodiscard]] auto clean_file_path(std::string_view text, std::string_view what) -> Result<std::string>;

/// The key of child data: cleaned like a file path, since data_folder() makes parts of any kind harmless.
/// @errors invalid_argument
[[nodiscard]] auto clean_data_key(std::string_view text) -> Result<std::string>;

/// The folders that a cleaned data key stands for: runs of what a part may not hold become '-', as does "..", and empty
/// and "." parts are left out. May be empty.
[[nodiscard]] auto data_folder(std::string_view cleaned_data_key) -> std::string;

/// @errors invalid_argument unless it is 10..96 of a-f 0-9
[[nodiscard]] auto check_cache_hash(std::string_view cache_hash) -> Result<void>;

/// "aa/bb" of "aabbcc...", the folders that names are spread over; a name of fewer than five characters has less of it.
[[nodiscard]] auto shard_folders(std::string_view name) -> std::string;

} // namespace memfs_cache
