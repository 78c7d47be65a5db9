// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/costs.hpp>

#include <boost/json.hpp>

namespace memfs_cache {

auto Cost_Import_Report::to_json() const -> boost::json::object {
    return {{"days", days},
            {"days_revised", days_revised},
            {"entries", entries},
            {"total_usd", total.to_text()},
            {"alerts_raised", alerts_raised}};
}

} // namespace memfs_cache
