// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/python_json.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_st; // OpenSSL's digest; its headers stay in src

namespace memfs_cache {

/// Turns a value into the name it is found by: the first characters of the lower-case hex digest of its text. Equal to
/// the Python reference for every input, so that entries can be exchanged with it.
/// Threads  one object may be used from any number of threads at once.
/// Cost     about 150 ns for a short string.
class Cache_Hash {
  public:
    static constexpr std::size_t default_length = 16;
    static constexpr std::size_t min_length = 10;

    /// sha256, 16 characters.
    Cache_Hash() : Cache_Hash(create().value()) {}

    /// @param  algorithm  md5, sha256 or sha384
    /// @param  length     characters of a result, at least 10; beyond those of the digest (32, 64, 96) all of them
    /// @errors invalid_argument; unsupported if this OpenSSL offers no such digest
    [[nodiscard]] static auto create(std::string_view algorithm = "sha256", std::size_t length = default_length)
        -> Result<Cache_Hash>;

    /// @param  text  UTF-8, taken as it is: no trimming, no normalisation
    /// @errors invalid_argument if it is empty or not UTF-8
    [[nodiscard]] auto from_string(std::string_view text) const -> Result<std::string>;

    [[nodiscard]] auto from_bytes(Byte_View bytes) const -> std::string;

    /// Hash of the text of `json.dumps(value, sort_keys=True)`.
    /// @param  exclude_fields  names of members of the outermost object to leave out; unknown ones change nothing
    /// @errors invalid_argument if fields are to be left out of something that is no object
    [[nodiscard]] auto from_json(Python_Json const& value, std::span<std::string const> exclude_fields = {}) const
        -> Result<std::string>;

    /// from_json of the value that a JSON text holds.
    /// @errors also those of Python_Json::parse
    [[nodiscard]] auto from_json_text(std::string_view text, std::span<std::string const> exclude_fields = {}) const
        -> Result<std::string>;

    /// Hash of one value within a document: of a string its own text, of anything else the text that Python's str()
    /// gives for scalars and json.dumps for objects and arrays.
    /// @param  field_path  names joined by '.', at most 256 characters; those outside A-Z a-z 0-9 _ . - count as '_'
    /// @errors invalid_argument for a malformed path, a field that is missing or null, and an empty string
    [[nodiscard]] auto from_json_field(Python_Json const& value, std::string_view field_path) const
        -> Result<std::string>;

  private:
    using Digest = std::shared_ptr<evp_md_st const>;
    Cache_Hash(Digest digest, std::size_t length) : digest_(std::move(digest)), length_(length) {}

    Digest digest_; // fetched once: looking it up by name costs more than a hash
    std::size_t length_;
};

/// The path of a field of a document as the Python reference cleans it: trimmed, at most 256 characters, '_' for each
/// outside A-Z a-z 0-9 _ . -
/// @errors invalid_argument if it is empty, begins or ends with '.', or has ".."
[[nodiscard]] auto clean_json_field_path(std::string_view path) -> Result<std::string>;

} // namespace memfs_cache
