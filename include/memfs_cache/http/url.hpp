// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// A request target taken apart. Everything is decoded after it was split, so an encoded '/', '?' or '&' stays inside
/// the part in which it came.
struct Url {
    std::vector<std::string> segments; ///< of the path: "/" is {""}, "/a/b" is {"a", "b"}, "/a/" is {"a", ""}
    std::vector<std::pair<std::string, std::string>> query; ///< in order, repeated names included; '+' is a blank
};

/// Reads a target in origin form (/path?query) or absolute form (http://host/path?query).
/// @errors invalid_argument: another form, a broken percent escape, a NUL, or bytes that are not UTF-8.
/// @source RFC 9112 section 3.2, RFC 3986 section 2.1
[[nodiscard]] auto parse_target(std::string_view target) -> Result<Url>;

/// One segment of a path, with every byte escaped that is not unreserved.
[[nodiscard]] auto percent_encode(std::string_view segment) -> std::string;

} // namespace memfs_cache
