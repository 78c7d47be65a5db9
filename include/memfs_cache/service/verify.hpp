// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/storage/any.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace memfs_cache {

/// Something in a store that is not as it has to be.
struct Store_Problem {
    std::string path;
    std::string what;
    bool repaired = false;
};

/// What lies in a store, and what is wrong with it.
struct Verify_Report {
    std::uint64_t namespaces = 0;
    std::uint64_t entries = 0;
    std::uint64_t tokens = 0;
    std::uint64_t events = 0;
    std::uint64_t cost_days = 0;
    std::uint64_t windows = 0; ///< saved ones that hold exactly what their events or days make
    /// That late events or revised days have overtaken; built again when they are asked for.
    std::uint64_t windows_due = 0;
    std::uint64_t windows_older = 0;   ///< in the form of an older version: read, but not compared
    std::uint64_t unknown_windows = 0; ///< of handlers that this program does not know; not compared

    std::vector<Store_Problem> problems; ///< the first thousand
    std::uint64_t problem_count = 0;
    std::uint64_t repaired_count = 0; ///< of them

    [[nodiscard]] auto sound() const noexcept -> bool { return problem_count == repaired_count; }
};

struct Verify_Options {
    std::string root_prefix = "cache";
    Clock_Ptr clock = std::make_shared<System_Clock>();
    /// Adopts what dead writers left, and builds wrong windows again.
    bool repair = false;
    /// Told what is looked at now, a few times for each namespace.
    std::function<void(std::string const& folder)> progress = {};
};

/// Looks at everything that a service keeps in a store: the references of entries and the files they name, tokens, every
/// raw event with its checksum, every day of costs, events that cannot be reached behind a missing piece, and every saved window against a
/// new computation from its events. What is being written meanwhile may be reported and be right a moment later.
/// @errors what the storage says; what is wrong with the store is in the report
/// Writes  nothing, unless it repairs
/// Cost    a read of all references and of all raw events
[[nodiscard]] auto verify_store(Any_Storage& storage, Verify_Options const& options = {}) -> Result<Verify_Report>;

} // namespace memfs_cache
