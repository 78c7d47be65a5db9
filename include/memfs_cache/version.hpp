// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace memfs_cache {

/// Version of the library, the same text that CMake's project(VERSION) holds (a test compares them).
inline constexpr std::string_view version = "0.1.0";

/// Version `v` of every stored object. Raising it costs a reader for the old form that lives for ever.
inline constexpr int format_version = 1;

} // namespace memfs_cache
