// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/log_writer.hpp>

#include <chrono>

namespace memfs_cache::testing {

/// Options of a log in which nothing happens in the background while a test looks, however slow the machine is.
inline auto quiet_log() -> Event_Log_Options {
    Event_Log_Options options;
    options.flush_interval = options.check_interval = std::chrono::hours(24);
    return options;
}

} // namespace memfs_cache::testing
