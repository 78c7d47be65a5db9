// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>

#include <string>

namespace memfs_cache {

/// Bytes in the 64 characters A-Z a-z 0-9 + /, with '=' up to a multiple of four.
/// @source RFC 4648 section 4
[[nodiscard]] auto to_base64(Byte_View bytes) -> std::string;

} // namespace memfs_cache
