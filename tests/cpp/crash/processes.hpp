// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "events/log_world.hpp"
#include <memfs_cache/storage/disk.hpp>

namespace memfs_cache::testing {

/// Makes all manifests those of processes that are no more, as they are after a crash.
inline void bury_writers(Storage_Disk& storage) {
    for (auto const& path : files_list(storage, data_prefix + "writers/").value()) {
        auto manifest = Writer_Manifest::from_json(read(storage, path).value().value()).value();
        ++manifest.process.started;
        write(storage, path, manifest.to_json()).value();
    }
}

inline auto open_disk_log(Storage_Disk& storage, Clock_Ptr clock, Recording_Mode mode)
    -> std::unique_ptr<Event_Log<Storage_Disk>> {
    auto options = World::quiet();
    options.mode = mode;
    auto log = Event_Log<Storage_Disk>::open(storage, log_paths(), std::move(clock), options);
    return log ? *std::move(log) : nullptr;
}

} // namespace memfs_cache::testing
