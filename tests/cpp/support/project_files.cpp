// SPDX-License-Identifier: Apache-2.0
#include "support/project_files.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

namespace memfs_cache::testing {

// Known to this file alone, so that what one checkout has compiled serves another one.
auto project_folder() -> std::string { return MEMFS_CACHE_PROJECT_FOLDER; }

auto project_file(std::string const& path) -> std::string {
    std::ifstream file(project_folder() + "/" + path, std::ios::binary);
    INFO(path);
    REQUIRE(file);
    return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace memfs_cache::testing
