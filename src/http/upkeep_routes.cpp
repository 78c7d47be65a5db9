// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/upkeep_routes.hpp>

namespace memfs_cache::upkeep_requests {

auto to_json(std::map<std::string, Purge_Report> const& reports) -> boost::json::object {
    boost::json::object all;
    for (auto const& [name, report] : reports) {
        auto told = report.to_json();
        told["objects"] = report.objects.size();
        told["salts"] = report.salts.size();
        all[name] = std::move(told);
    }
    return all;
}

} // namespace memfs_cache::upkeep_requests
