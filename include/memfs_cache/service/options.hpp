// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/namespaces/analytics.hpp>
#include <memfs_cache/namespaces/costs.hpp>
#include <memfs_cache/namespaces/tokens.hpp>
#include <memfs_cache/namespaces/transfers.hpp>

#include <functional>
#include <memory>
#include <string>

namespace memfs_cache {

/// How a Cache_Service is opened. One spelling everywhere: member here, keyword in Python, --flag with dashes on the
/// command line, MEMFS_CACHE_ variable in the environment.
struct Service_Options {
    std::string root_prefix = "cache"; ///< everything the service writes lies below it; "" for the root itself
    Clock_Ptr clock = std::make_shared<System_Clock>();
    std::function<Cache_Id()> id_generator = &Cache_Id::generate; ///< of entries; called from any thread
    /// `recording` is analytics.log.mode, a Recording_Mode; flush_interval_ms and buffer_bytes stand beside it, grace_ms and
    /// salt_period in analytics.log.settings; visitor_key, trusted_proxies, exclude_paths, keep_country and
    /// summary_cache_bytes in analytics itself. What is a text elsewhere has a parse function of its own.
    Analytics_Options analytics;
    Tokens_Options tokens;
    Costs_Options costs;
    Transfers_Options transfers;
    /// retention_raw_days and retention_windows_days: what purge() goes by, unless it is told otherwise
    Retention_Policy retention;
};

} // namespace memfs_cache
