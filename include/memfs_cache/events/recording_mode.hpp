// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <array>
#include <string_view>

namespace memfs_cache {

/// When a recorded event is on the storage, and so what a crash can lose.
enum class Recording_Mode {
    buffered,    ///< a background thread lands what came in every flush interval, and syncs each second
    durable,     ///< record() returns after the event has survived loss of power; callers share the writes
    per_request, ///< record() returns after the event has survived the process; callers share the writes. No thread works
                 ///< in the background, so a host may freeze or kill the process between two requests
    off,         ///< nothing is recorded; what is stored can be asked for
};

inline constexpr std::array all_recording_modes{Recording_Mode::buffered, Recording_Mode::durable,
                                                Recording_Mode::per_request, Recording_Mode::off};

/// "buffered", "durable", "per_request" or "off".
[[nodiscard]] auto to_text(Recording_Mode mode) noexcept -> std::string_view;
/// @errors invalid_argument naming the four words
[[nodiscard]] auto parse_recording_mode(std::string_view text) -> Result<Recording_Mode>;

} // namespace memfs_cache
