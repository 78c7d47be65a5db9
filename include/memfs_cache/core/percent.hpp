// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Text with its percent escapes undone.
/// @param  plus_is_blank  as in the query of a form
/// @return nothing for a broken escape, a NUL, or bytes that are not UTF-8
/// @source RFC 3986 section 2.1
[[nodiscard]] auto percent_decode(std::string_view text, bool plus_is_blank) -> std::optional<std::string>;

} // namespace memfs_cache
