// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/ids.hpp>

#include <boost/json/object.hpp>

#include <concepts>

namespace memfs_cache {

/// How a namespace is doing, for whoever runs the service.
struct Handler_Health {
    bool degraded = false; ///< something is lost, waits, or fails; `details` says what
    boost::json::object details;
};

/// What serves one namespace of a Cache_Service.
///
/// name    the namespace it serves.
/// flush   everything that was accepted before is on the storage when it returns.
/// close   flushes and refuses what comes later; may be called twice.
/// health  never waits for the storage.
/// Threads every call from any thread.
/// Models  Analytics, Tokens, Costs, Transfers.
template <class H>
concept NamespaceHandler = std::destructible<H> && requires(H& handler, H const& stored) {
    { stored.name() } -> std::convertible_to<Namespace_Name>;
    { handler.flush() } -> std::same_as<Result<void>>;
    { handler.close() } -> std::same_as<Result<void>>;
    { stored.health() } -> std::same_as<Handler_Health>;
};

} // namespace memfs_cache
