// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The XML of S3, read and written. What a server sends is only ever looked at one and two levels deep, no entity but
/// the five of XML is expanded, and its size is bounded by whoever fetched it.
namespace memfs_cache::s3 {

/// ETag without the quotes around it, which some services leave out in some places.
[[nodiscard]] auto bare_etag(std::string_view etag) -> std::string;

struct Error_Text {
    std::string code;   ///< such as NoSuchKey; "" if the text is no error of S3
    std::string region; ///< the one that the bucket lies in, where the error says so
};
[[nodiscard]] auto parse_error(Byte_View xml) -> Error_Text;

struct Listing {
    struct Item {
        std::string name;
        std::uint64_t size_bytes = 0;
        std::string etag; ///< bare
    };
    std::vector<Item> items;
    bool is_truncated = false;
    std::string next_token;
};
[[nodiscard]] auto parse_listing(Byte_View xml) -> std::optional<Listing>;

struct Upload {
    std::string name;
    std::string id;
    std::string begun_at; ///< as 2026-02-13T14:05:09.000Z
};
[[nodiscard]] auto parse_uploads(Byte_View xml) -> std::optional<std::vector<Upload>>;
[[nodiscard]] auto parse_upload_id(Byte_View xml) -> std::optional<std::string>;
/// Bare ETag of an object that was put together from parts.
[[nodiscard]] auto parse_completed(Byte_View xml) -> std::optional<std::string>;
/// @param  etags  of the parts, bare, in order
[[nodiscard]] auto completion_text(std::vector<std::string> const& etags) -> std::string;

} // namespace memfs_cache::s3
