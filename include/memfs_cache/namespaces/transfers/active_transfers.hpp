// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/transfers/transfer_figures.hpp>

#include <boost/json/object.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Which transfers are active now: in (computed_at - window_minutes, computed_at].
struct Active_Transfers {
    static constexpr std::size_t most_transfers = 100;

    struct Row : Transfer_Sums {
        std::string transfer_id;
        Utc_Time last_at;
    };

    Utc_Time computed_at;
    int window_minutes = 0;
    Transfer_Sums total;
    std::uint64_t active_transfers = 0; ///< how many different ones
    std::vector<Row> transfers;         ///< the most active, of those the latest first, then by id
    Transfer_Sums other;                ///< of those that are not in `transfers`

    [[nodiscard]] auto to_json() const -> boost::json::object;
    /// The same as it is saved.
    [[nodiscard]] auto to_file() const -> std::string;
    /// When a file was computed; nothing if it cannot be told.
    [[nodiscard]] static auto time_of_file(std::string_view text) -> std::optional<Utc_Time>;
};

/// Counts what transfers do, over events that come in any order. Seen by a Recent_Reader.
class Recent_Transfers {
  public:
    /// What several half-hours add up to.
    class Count {
      public:
        void add(std::string const& transfer_id, Active_Transfers::Row const& row);
        /// The most active of all.
        [[nodiscard]] auto answer(Utc_Time now, int window_minutes) const -> Active_Transfers;

      private:
        boost::unordered_flat_map<std::string, Active_Transfers::Row> rows_;
    };

    void advance(Utc_Time now) noexcept { now_ = now; }
    void add(Analytics_Record const& event, Raw_Event const& raw);
    /// Adds what lies in (from, now].
    void count(Utc_Time from, Count& into) const;

  private:
    struct Seen {
        Utc_Time time;
        std::uint64_t bytes;
        std::uint32_t transfer; ///< its place in ids_
        Transfer_Act act;
    };

    Utc_Time now_;
    std::vector<std::string> ids_;
    boost::unordered_flat_map<std::string, std::uint32_t> places_;
    std::vector<Seen> seen_;
};

} // namespace memfs_cache
