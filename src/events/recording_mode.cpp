// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/events/recording_mode.hpp>

namespace memfs_cache {

auto to_text(Recording_Mode mode) noexcept -> std::string_view {
    constexpr std::array<std::string_view, all_recording_modes.size()> words{"buffered", "durable", "per_request",
                                                                             "off"};
    return words[static_cast<std::size_t>(mode)];
}

auto parse_recording_mode(std::string_view text) -> Result<Recording_Mode> {
    for (auto const mode : all_recording_modes)
        if (to_text(mode) == text)
            return mode;
    return fail(Errc::invalid_argument, "recording: give buffered, durable, per_request or off");
}

} // namespace memfs_cache
