// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/transfers/transfer_figures.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {

/// What of a transfer is over: the figures of [from, until), which only late events can change.
struct Transfer_Past {
    Utc_Time from, until;
    std::uint64_t revision = 0; ///< how many late marks it includes
    std::uint64_t error = 0;    ///< how many events may be missing, of half-hours whose raw events are gone
    Transfer_Figures figures;   ///< no events: nothing happened in it

    [[nodiscard]] auto is_of_the_same_time(Transfer_Past const& other) const noexcept -> bool {
        return from == other.from && until == other.until && revision == other.revision;
    }
};

/// What happened to one transfer.
struct Transfer_Summary {
    std::string transfer_id;
    std::string cache_id; ///< of its entry; "" while the storage refuses to make one
    Transfer_Figures figures;
    std::string unique_downloaders_period; ///< day, week or month: within it a downloader is counted once
    std::uint64_t error = 0;               ///< how many events may be missing; 0: exact
    Utc_Time computed_at;
    std::uint64_t revision = 0; ///< how many late marks it includes

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// The file of a transfer: its summary as it was when it was last asked for, and what of it need not be asked again. At
/// most 64 KiB, whatever the transfer's traffic.
struct Transfer_File {
    Utc_Time computed_at;
    std::uint64_t events = 0;
    Transfer_Past past;

    [[nodiscard]] static auto text(Transfer_Summary const& summary, Transfer_Past const& past) -> std::string;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Transfer_File>;
};

} // namespace memfs_cache
