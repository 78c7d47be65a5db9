// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace memfs_cache::testing {

/// The project's top folder.
auto project_folder() -> std::string;

/// The text of a file of the project, by its path below the top folder; the test that asks ends if there is none.
auto project_file(std::string const& path) -> std::string;

} // namespace memfs_cache::testing
