// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/events/base_window.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Which process is which: enough to tell, on the same machine, whether a writer still lives.
struct Process_Identity {
    std::string host; ///< hash of the machine's name; the name itself is nobody's business
    std::int64_t pid = 0;
    std::uint64_t started = 0; ///< the system's start time of the process, so that a reused pid is another process

    [[nodiscard]] static auto current() -> Process_Identity;
    /// Does it certainly not run any more? Of another machine nothing is certain.
    [[nodiscard]] auto is_surely_dead() const -> bool;
    friend auto operator==(Process_Identity const&, Process_Identity const&) -> bool = default;
};

/// The half-hours that a writer may have landed events in without having checked yet whether they were closed. Stored
/// before the first byte of a half-hour lands; what a crash leaves behind is found through it.
struct Writer_Manifest {
    Process_Identity process;
    Utc_Time started_at;
    std::set<Base_Window> open;

    /// With a fresh nonce, because it is overwritten in place.
    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Writer_Manifest>;
};

} // namespace memfs_cache
