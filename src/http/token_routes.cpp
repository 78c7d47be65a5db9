// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/http/token_routes.hpp>

#include <algorithm>

namespace memfs_cache {

auto member_at_fault(Error const& error) -> std::string_view {
    bool const is_about_an_argument =
        error.code == Errc::invalid_argument || error.code == Errc::already_exists || error.code == Errc::too_large;
    auto const name = std::string_view(error.context).substr(0, error.context.find(": "));
    bool const is_name = std::all_of(name.begin(), name.end(), [](char c) { return is_ascii_letter(c) || c == '_'; });
    return is_about_an_argument && is_name ? name : std::string_view();
}

} // namespace memfs_cache
