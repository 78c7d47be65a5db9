// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/storage/concept.hpp>

namespace memfs_cache {

auto check_list_query(List_Query const& query) -> Result<void> {
    if (query.limit == 0)
        return fail(Errc::invalid_argument, "listing limit: 0; ask for at least one key");
    if (auto good = check_prefix(query.prefix); good.has_error())
        return good;
    return check_prefix(query.start_after);
}

} // namespace memfs_cache
