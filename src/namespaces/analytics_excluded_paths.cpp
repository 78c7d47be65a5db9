// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/analytics/excluded_paths.hpp>

#include <algorithm>

namespace memfs_cache {

auto Excluded_Paths::parse(std::string_view list) -> Result<Excluded_Paths> {
    constexpr std::string_view separators = ", \t\r\n";
    Excluded_Paths paths;
    for (int position = 1;; ++position) {
        list.remove_prefix(std::min(list.find_first_not_of(separators), list.size()));
        if (list.empty())
            return paths;
        auto const item = list.substr(0, list.find_first_of(separators));
        list.remove_prefix(item.size());
        if (item.front() != '/' || item.find_first_of("?#") != std::string_view::npos)
            return fail(Errc::invalid_argument, "exclude_paths: item " + std::to_string(position) +
                                                    " is no path; give such as /health or /static/*, without a query");
        if (item.back() == '*')
            paths.beginnings_.emplace_back(item.substr(0, item.size() - 1));
        else
            paths.whole_.emplace_back(item);
    }
}

auto Excluded_Paths::contains(std::string_view path) const noexcept -> bool {
    return std::any_of(whole_.begin(), whole_.end(), [&](auto const& whole) { return path == whole; }) ||
           std::any_of(beginnings_.begin(), beginnings_.end(),
                       [&](auto const& start) { return path.starts_with(start); });
}

} // namespace memfs_cache
