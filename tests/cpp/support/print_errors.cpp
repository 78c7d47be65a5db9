// SPDX-License-Identifier: Apache-2.0
// Prints docs/errors.md from the tables in src/core/error.cpp and src/http/replies.cpp; `make docs` writes it, a test
// compares it.
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/http/replies.hpp>

#include <iostream>

auto main() -> int {
    std::cout
        << "# Errors\n\n"
           "Every call that can fail returns `Result<T>`: a value, or an `Error` with one of these codes and a "
           "sentence about\nwhat it met. Over HTTP it is the status of the answer and the `code` of its body. This "
           "page is made by `make docs` from\nthe tables in `src/core/error.cpp` and `src/http/replies.cpp`.\n\n"
           "| code | Python class | HTTP | meaning | what to do |\n|---|---|---|---|---|\n";
    for (auto const& row : memfs_cache::errc_table())
        std::cout << "| `" << row.name << "` | `" << row.python_class << "` | " << memfs_cache::status_of(row.code)
                  << " | " << row.sentence << " | " << row.advice << " |\n";
    return std::cout.flush() ? 0 : 1;
}
