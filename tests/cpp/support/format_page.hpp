// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace memfs_cache::testing {

/// A block of docs/format.md between the line "<!-- {name} -->" and the end of the code block behind it.
inline auto documented(std::string const& name) -> std::string {
    std::ifstream file(std::string(MEMFS_CACHE_TEST_DATA) + "/../docs/format.md");
    std::string const text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    auto const mark = text.find("<!-- " + name + " -->\n```\n");
    REQUIRE(mark != std::string::npos);
    auto const begin = text.find("```\n", mark) + 4;
    return text.substr(begin, text.find("```", begin) - begin);
}

} // namespace memfs_cache::testing
