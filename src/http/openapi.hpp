// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/router.hpp>

#include <string>
#include <vector>

namespace memfs_cache {

/// OpenAPI 3.1 description of a route table, as JSON text.
/// @source https://spec.openapis.org/oas/v3.1.0
[[nodiscard]] auto describe(std::vector<Route> const& routes, Router_Options const& options) -> std::string;

} // namespace memfs_cache
