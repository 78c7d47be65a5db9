// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/python_json.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

namespace memfs_cache {

/// What an entry or its child data holds: a JSON document, a text or bytes.
class Entry_Value {
  public:
    enum class Kind { json, string, binary };

    [[nodiscard]] static auto json(Python_Json value) -> Entry_Value { return Entry_Value(std::move(value)); }
    [[nodiscard]] static auto string(std::string text) -> Entry_Value { return Entry_Value(Text{std::move(text)}); }
    [[nodiscard]] static auto binary(Bytes bytes) -> Entry_Value { return Entry_Value(Raw{std::move(bytes)}); }

    /// What a content file holds: of a JSON file a text if that is what it holds, otherwise the document.
    /// @errors corrupt_data if a JSON file holds something else
    [[nodiscard]] static auto read(Bytes bytes, bool is_json_file) -> Result<Entry_Value>;

    [[nodiscard]] auto kind() const noexcept -> Kind { return static_cast<Kind>(value_.index()); }
    /// The word for it in answers: "json" for objects and arrays, "binary" for bytes, "string" for everything else.
    [[nodiscard]] auto data_type() const noexcept -> std::string_view;
    /// Does it go into a file of JSON (documents and texts), rather than into one of bytes?
    [[nodiscard]] auto is_json_file() const noexcept -> bool { return kind() != Kind::binary; }

    [[nodiscard]] auto as_json() const noexcept -> Python_Json const* { return std::get_if<Python_Json>(&value_); }
    /// The text or the bytes; null for a document.
    [[nodiscard]] auto as_bytes() const noexcept -> Bytes const*;

    /// An empty text or no bytes: nothing that an entry is made of.
    [[nodiscard]] auto is_empty() const noexcept -> bool { return as_bytes() != nullptr && as_bytes()->empty(); }

    /// The content file: bytes as they are, documents with so many blanks a level, texts as one JSON string.
    [[nodiscard]] auto content(std::size_t indent_blanks) const -> Bytes;

    friend auto operator==(Entry_Value const&, Entry_Value const&) -> bool = default;

  private:
    struct Text {
        std::string text;
        friend auto operator==(Text const&, Text const&) -> bool = default;
    };
    struct Raw {
        Bytes bytes;
        friend auto operator==(Raw const&, Raw const&) -> bool = default;
    };
    using Value = std::variant<Python_Json, Text, Raw>; // in the order of Kind

    explicit Entry_Value(Value value) : value_(std::move(value)) {}
    Value value_;
};

/// Unpacks gzip.
/// @param  most_bytes  unpacked; a few packed bytes can stand for gigabytes
/// @errors corrupt_data if it is damaged, cut or followed by something else; too_large
[[nodiscard]] auto unpack_gzip(Byte_View packed, std::size_t most_bytes = std::size_t{256} << 20) -> Result<Bytes>;

} // namespace memfs_cache
