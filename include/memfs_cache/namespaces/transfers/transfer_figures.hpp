// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/namespaces/transfers/transfer_event.hpp>

#include <boost/json/object.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// What is added up of transfers.
struct Transfer_Sums {
    std::uint64_t events = 0; ///< of the four kinds together
    std::uint64_t views = 0;
    std::uint64_t downloads = 0;
    std::uint64_t uploads = 0; ///< completed ones
    std::uint64_t created = 0;
    std::uint64_t bytes = 0;

    void count(Transfer_Act act, std::uint64_t content_bytes) noexcept;
    void add(Transfer_Sums const& other) noexcept;
    void subtract(Transfer_Sums const& part) noexcept;
    void append_members(std::string& out) const;
    /// @return false if a member is missing or wrong
    [[nodiscard]] auto read(boost::json::object const& object) -> bool;
    [[nodiscard]] auto to_json() const -> boost::json::object;
    friend auto operator==(Transfer_Sums const&, Transfer_Sums const&) -> bool = default;
};

/// What is known of one transfer, in a size that its traffic does not move: at most 40 KiB as text, some hundred bytes
/// for most. It follows from the set of its events alone, whatever the order in which they and parts of them come.
struct Transfer_Figures : Transfer_Sums {
    static constexpr std::size_t most_recent = 20;

    Utc_Time first_at, last_at;         ///< of all its events
    std::optional<Utc_Time> created_at; ///< the first event that says so
    std::optional<Utc_Time> first_download_at, last_download_at;
    std::array<std::uint64_t, 24> active_hours{};                ///< events by hour of the day, UTC
    std::map<std::string, std::uint64_t, std::less<>> countries; ///< downloads by country
    Distinct_Set downloaders;
    std::vector<Transfer_Event> recent; ///< the newest events, newest first
    /// How many of its events have been set off against other transfers, in a window of more than can be kept.
    std::uint64_t set_off = 0;

    void add(Analytics_Record const& event, Transfer_Act act);
    void merge(Transfer_Figures const& other);
    /// About how many bytes of text it takes.
    [[nodiscard]] auto text_bytes() const noexcept -> std::size_t;

    /// One JSON object.
    void append_json(std::string& out) const;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Transfer_Figures>;

  private:
    void keep_recent(Transfer_Event event);
};

} // namespace memfs_cache
