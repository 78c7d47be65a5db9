// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/events/raw_reader.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// One analytics event as it is stored: borrowed views of values that are fit to be stored. Of a record that was read
/// the views point into the raw event and into `unescaped`; they are good until the next read.
struct Analytics_Record {
    std::string_view event_id;
    std::string_view event_type;
    Utc_Time timestamp;
    std::string_view source;
    std::string_view path;
    std::string_view method;
    int status_code = 0;                     ///< 0 if unknown
    std::optional<std::int64_t> duration_us; ///< stored as milliseconds with a fraction
    std::string_view ip_hash;
    std::string_view user_agent_normalised;
    bool bot = false;
    std::string_view country;
    std::string_view referrer_domain;
    std::uint64_t content_bytes = 0;
    std::string_view transfer_id;
    std::string_view token_id;
    std::string_view extra; ///< a JSON object, or ""

    std::string unescaped; ///< holds the few strings that were stored with escapes

    /// The visitor as a number: equal hashes give equal numbers, and 0 stands for nobody. Ours are 16 hex digits; other
    /// tools store longer hashes.
    [[nodiscard]] auto visitor() const noexcept -> std::uint64_t;

    /// Appends the stored form; members that are empty or unknown are left out.
    void append_json(std::string& out) const;
    /// @errors corrupt_data if it is no JSON object or has no time
    [[nodiscard]] auto read(Raw_Event const& raw) -> Result<void>;
};

/// Longest duration that is kept: longer ones are this long.
inline constexpr std::int64_t most_duration_us = 86'400'000'000;

} // namespace memfs_cache
