// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/lets/concepts.hpp>

#include <string_view>

namespace memfs_cache {

/// Merges the state that stands in the text of an object, as append_members() wrote it; of others beside it.
/// @errors corrupt_data; the summary is then of no use
template <class Summary>
[[nodiscard]] auto merge_state(std::string_view object, Summary& into) -> Result<void> {
    if constexpr (requires { into.merge_text(object); }) {
        return into.merge_text(object);
    } else {
        auto const parsed = parse_object(object, "a summary");
        if (!parsed)
            return parsed.error();
        auto const summary = Summary::from_object(*parsed);
        if (!summary)
            return summary.error();
        into.merge(*summary);
        return {};
    }
}

} // namespace memfs_cache
