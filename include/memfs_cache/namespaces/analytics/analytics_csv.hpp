// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/analytics/series.hpp>

#include <string>

namespace memfs_cache {

// Answers as tables for spreadsheets and scripts: RFC 4180, UTF-8, a first line of names, lines end with CR LF. A text that
// a spreadsheet would take for a formula, because it begins with = + - @ or a tab, has an apostrophe before it: names come
// from whoever sends requests. Who needs the texts byte for byte takes the JSON.

/// One line for each window, a column for each member that is one value; of a comparison the same again, each with
/// `previous_` before its name, and empty where nothing is known.
[[nodiscard]] auto to_csv(Series const& series) -> std::string;

/// Lines of dimension, name and value: first the members that are one value, with the dimension "summary", then the rows
/// of each dimension, such as top_paths,/index.html,12.
[[nodiscard]] auto to_csv(Window_Summary const& summary) -> std::string;

} // namespace memfs_cache
