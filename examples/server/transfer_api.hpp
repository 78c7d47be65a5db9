// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "transfer_store.hpp"
#include <memfs_cache/http/rate_limiter.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace example {

using Cache = Cache_Service<Any_Storage>;

struct Transfer_Options {
    std::uint64_t upload_limit_bytes = std::uint64_t{16} << 30;
    bool needs_token = false; ///< may a transfer be created only with a token? One that is given is checked anyway
    std::uint32_t wrong_tokens_per_minute = 30; ///< of each client
    Log log = {};
};

/// The routes of transfers, for everybody who knows an id:
///
///     POST   /transfers                 {file_name?, content_type?, max_downloads?, expires_at?, auto_delete?} -> 201
///     PUT    /transfers/{id}/payload    the bytes; again until it is complete, the last whole upload counts
///     POST   /transfers/{id}/complete   {size_bytes?, sha256?}
///     GET    /transfers/{id}
///     GET    /transfers/{id}/payload    with single ranges
///     DELETE /transfers/{id}            with the X-Delete-Key that POST gave
///
/// A token that came with POST as X-Access-Token is used up by one when the transfer is completed.
/// An answer that holds the last byte of a payload is a download. It is promised before its first byte leaves, and given
/// back if the client goes away before the last one. The other bytes can be had while a download is left or under way.
/// What is recorded: what Transfers counts as created, upload_completed (by POST .../complete), viewed (by GET) and
/// downloaded, `other` for a part of a download, and api_call for all else; each with the id of the transfer.
///
/// Ownership  refers to the cache, which must outlive the routes and their copies.
[[nodiscard]] auto transfer_routes(Cache& cache, std::shared_ptr<Transfer_Store> transfers, Transfer_Options options)
    -> std::vector<Route>;

} // namespace example
