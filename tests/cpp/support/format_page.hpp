// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/project_files.hpp"

#include <doctest/doctest.h>

#include <string>

namespace memfs_cache::testing {

/// A block of docs/format.md between the line "<!-- {name} -->" and the end of the code block behind it.
inline auto documented(std::string const& name) -> std::string {
    auto const text = project_file("docs/format.md");
    auto const mark = text.find("<!-- " + name + " -->\n```\n");
    REQUIRE(mark != std::string::npos);
    auto const begin = text.find("```\n", mark) + 4;
    return text.substr(begin, text.find("```", begin) - begin);
}

} // namespace memfs_cache::testing
