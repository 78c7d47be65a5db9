// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/any.hpp>

#include <string_view>

namespace memfs_cache {

/// Opens the storage that a URL names: `memory:` (a new one each time), `disk:PATH`, `sqlite:PATH` or
/// `s3://bucket/prefix?endpoint_url=...&region=...`. The same text in C++, Python, the server and the command line.
/// @errors invalid_argument: none of these forms, or no path; unsupported: this build lacks the backend; else as the
///         backend's own open. The text of the URL is never repeated, because people put credentials into URLs.
[[nodiscard]] auto open_storage(std::string_view url) -> Result<Any_Storage>;

} // namespace memfs_cache
