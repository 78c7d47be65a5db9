// SPDX-License-Identifier: Apache-2.0
// Prints docs/errors.md from the table in src/core/error.cpp; `make docs` writes it, a test compares it.
#include <memfs_cache/core/error.hpp>

#include <iostream>

auto main() -> int {
    std::cout << "# Errors\n\n"
                 "Every call that can fail returns `Result<T>`: a value, or an `Error` with one of these codes and a "
                 "sentence about\nwhat it met. This page is made by `make docs` from the table in "
                 "`src/core/error.cpp`.\n\n"
                 "| code | Python class | meaning | what to do |\n|---|---|---|---|\n";
    for (auto const& row : memfs_cache::errc_table())
        std::cout << "| `" << row.name << "` | `" << row.python_class << "` | " << row.sentence << " | " << row.advice
                  << " |\n";
    return std::cout.flush() ? 0 : 1;
}
