// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/any.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace memfs_cache {

struct Probe_Options {
    std::size_t clients = 8; ///< that race each other, each with a handle of its own; 2 to 256
    std::size_t rounds = 20; ///< how often; 1 to 10,000
};

/// One promise of StorageBackend, and whether the storage kept it every time.
struct Probe_Check {
    std::string promise;
    std::string seen; ///< in figures
    bool kept = false;
};

/// How long one kind of operation took.
struct Probe_Timing {
    std::string operation;
    std::size_t count = 0;
    std::chrono::microseconds median{0};
    std::chrono::microseconds p99{0};
};

struct Probe_Report {
    std::vector<Probe_Check> checks;
    std::vector<Probe_Timing> timings;

    [[nodiscard]] auto all_kept() const noexcept -> bool;
};

/// Races clients against each other on a storage and looks whether it keeps what limits and final windows are built
/// upon: one creator wins, no increment is lost, nothing is written over a version that was not seen, everybody sees at
/// once what was written. What it finds kept may still break in rarer races; what it finds broken is broken.
///
/// Works below a folder of its own with a random name, and removes it.
/// @param  open  another handle on the storage; called once for each client
/// @errors invalid_argument for options out of range; what the storage says
[[nodiscard]] auto probe_storage(std::function<Result<Any_Storage>()> const& open, Probe_Options const& options = {})
    -> Result<Probe_Report>;

} // namespace memfs_cache
