// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/router.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>

#include <boost/json/object.hpp>

#include <vector>

namespace memfs_cache {

/// What GET /tokens may be asked for: which tokens, in which order, and which part of them.
[[nodiscard]] auto token_listing_parameters() -> std::vector<Parameter>;

/// The part of all tokens that was asked for, with how many there are of what was looked for, in all and by status.
/// @param  all  by name, which decides between those that are equal otherwise
/// Cost    all of them are compared; those of the part are turned into JSON
[[nodiscard]] auto token_listing(std::vector<Token> all, Arguments const& arguments) -> boost::json::object;

} // namespace memfs_cache
