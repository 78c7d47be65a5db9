// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/service/cache_service.hpp>

#include <boost/json.hpp>

namespace memfs_cache {

auto Service_Health::to_json() const -> boost::json::object {
    return {{"status", degraded ? "degraded" : "ok"}, {"namespaces", namespaces}};
}

static_assert(NamespaceHandler<Analytics<Any_Storage>>);
static_assert(NamespaceHandler<Tokens<Any_Storage>>);
static_assert(NamespaceHandler<Costs<Any_Storage>>);
static_assert(NamespaceHandler<Transfers<Any_Storage>>);

template class Analytics<Any_Storage>;
template class Tokens<Any_Storage>;
template class Costs<Any_Storage>;
template class Transfers<Any_Storage>;
template class Cache_Service<Any_Storage>;

} // namespace memfs_cache
