// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/python_json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The documents beside the content of an entry, byte for byte those of the Python reference: docs/format.md,
/// "Entries". Paths in them are relative to the root prefix.
namespace memfs_cache {

/// "YYYY/MM/DD/HH" in UTC, the folders of dated files.
[[nodiscard]] auto hour_folders(Utc_Time time) -> std::string;

/// How an entry's files are laid out.
enum class Entry_Strategy { direct, temporal, temporal_latest, temporal_versioned, key_based };

/// "direct", ...
[[nodiscard]] auto to_text(Entry_Strategy strategy) noexcept -> std::string_view;
/// @errors invalid_argument, naming the five
[[nodiscard]] auto parse_entry_strategy(std::string_view text) -> Result<Entry_Strategy>;

/// Where the files of an entry lie.
struct Entry_Folders {
    std::vector<std::string> folders; ///< one to three, each with a copy of the files; lookups go to the first
    std::string file_id;
    bool is_json = true; ///< the content file ends in .json, otherwise in .bin

    /// @param  ns         cleaned, "" for none
    /// @param  cache_key  cleaned; shapes only the path of key_based entries
    [[nodiscard]] static auto of(Entry_Strategy strategy,
                                 std::string_view ns,
                                 std::string_view cache_key,
                                 std::string_view file_id,
                                 bool is_json,
                                 Utc_Time stored_at) -> Entry_Folders;

    /// Of each folder, in its order.
    [[nodiscard]] auto content_files() const -> std::vector<std::string>;
    /// Where the child data of each copy lies.
    [[nodiscard]] auto data_folders() const -> std::vector<std::string>;
};

/// "X.config", which says what kind of file X is.
[[nodiscard]] auto config_document(Entry_Folders const& folders, std::string_view cache_key) -> Bytes;

inline constexpr std::string_view config_suffix = ".config";
inline constexpr std::string_view metadata_suffix = ".metadata";

/// "X.metadata", which says what X holds and whose it is.
struct Entry_Metadata {
    std::string content_hash; ///< first ten hex digits of the MD5 of the content file
    std::uint64_t content_size_bytes = 0;
    Utc_Time written_at; ///< of the content file
    std::string cache_hash;
    std::string cache_key;
    std::string cache_id;
    std::optional<std::string> content_encoding;
    std::string file_id;
    std::string file_type; ///< "json" or "binary"
    std::optional<std::string> json_field_path;
    std::string ns;
    Utc_Time stored_at;
    std::string strategy;

    [[nodiscard]] auto document() const -> Bytes;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(Byte_View text) -> Result<Entry_Metadata>;
};

/// "refs/by-hash/...": the ids of everything that was stored under one hash, oldest first.
struct Hash_Ref {
    struct Version {
        std::string cache_id;
        Utc_Time stored_at;
    };
    std::string cache_hash;
    std::vector<Version> versions;
    std::string latest_id;
    std::int64_t total_versions = 0;

    /// Adds a version; the same one again changes nothing, so that an uncertain write may be repeated.
    void add(std::string_view cache_id, Utc_Time stored_at);
    /// @return whether anything is left to keep the document for
    [[nodiscard]] auto remove(std::string_view cache_id) -> bool;

    [[nodiscard]] static auto path(std::string_view ns, std::string_view cache_hash) -> std::string;
    [[nodiscard]] auto document() const -> Bytes;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(Byte_View text) -> Result<Hash_Ref>;
};

/// Every file of an entry but for its child data.
struct Entry_Paths {
    std::vector<std::string> data; ///< content, config and metadata of each folder, sorted
    std::string by_hash;
    std::string by_id;
};

/// "refs/by-id/...": where an entry lies.
struct Id_Ref {
    Entry_Paths all_paths;
    std::string cache_id;
    std::string cache_hash;
    std::vector<std::string> content_files;
    std::vector<std::string> data_folders;
    std::string file_type;
    std::string ns;
    std::string strategy;
    Utc_Time stored_at;
    std::optional<Python_Json> source_value; ///< of entries without content: what they were made for

    [[nodiscard]] static auto path(std::string_view ns, std::string_view cache_id) -> std::string;
    [[nodiscard]] auto document() const -> Bytes;
    /// @errors corrupt_data; also if a path leads out of the namespace, so that nothing foreign is ever read or erased
    [[nodiscard]] static auto parse(Byte_View text) -> Result<Id_Ref>;
    /// Of the document of a namespace the content files alone, for who looks for nothing else.
    /// @errors as parse()
    [[nodiscard]] static auto parse_content_files(Byte_View text, std::string_view ns)
        -> Result<std::vector<std::string>>;
};

/// "ns/" or "" for the namespace without a name.
[[nodiscard]] auto namespace_prefix(std::string_view ns) -> std::string;

} // namespace memfs_cache
