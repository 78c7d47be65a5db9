// SPDX-License-Identifier: Apache-2.0
// The least that proves a link: one call into the library.
#include <memfs_cache/core/ids.hpp>

auto main() -> int { return memfs_cache::Storage_Key::parse("a/../b").has_error() ? 0 : 1; }
