// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/json_scan.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Percentiles of durations. Exact for up to 256 values; beyond that within 1.1 % of the value (and the rounding to
/// whole microseconds), for every percentile and any order of merging: values are then counted in bins whose edges
/// grow by 2^(1/32).
///
/// Values are whole microseconds and are clamped to [1 us, 24 h], so there are at most 1,200 bins and no two need ever
/// be joined. Integers only: the same values give the same bytes on every machine.
/// @source Masson, Rim, Lee: DDSketch, VLDB 2019; the bins are those of Prometheus' native histograms, schema 5.
class Percentiles {
  public:
    static constexpr std::size_t exact_values = 256;
    /// Greatest relative error of a percentile beyond that, in millionths.
    static constexpr std::uint32_t bin_error_ppm = 11'000;
    static constexpr std::int64_t least_us = 1;
    static constexpr std::int64_t most_us = 86'400'000'000;

    void add(std::int64_t duration_us);
    void merge(Percentiles const& other);
    [[nodiscard]] auto count() const noexcept -> std::uint64_t { return count_; }
    [[nodiscard]] auto is_exact() const noexcept -> bool { return bins_.empty(); }
    /// Greatest relative error of at() in millionths; 0: exact.
    [[nodiscard]] auto error_ppm() const noexcept -> std::uint32_t { return is_exact() ? 0 : bin_error_ppm; }

    /// The value at a percentile by nearest rank, in microseconds; 0 if there are no values.
    /// @param  per_mille  1..1000: 500 is the median, 990 the 99th percentile
    [[nodiscard]] auto at(unsigned per_mille) const -> std::int64_t;

    /// {"values":[...]} in order, or {"bins":{"index":count,...}} in order of the index.
    void append_json(std::string& out) const;
    /// Adds what a text of append_json() holds.
    /// @errors corrupt_data; the percentiles are then of no use
    [[nodiscard]] auto merge_json(std::string_view text) -> Result<void>;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_json(boost::json::object const& object) -> Result<Percentiles>;

    /// The bin of a value, and the least value of a bin.
    [[nodiscard]] static auto bin_of(std::int64_t duration_us) noexcept -> unsigned;
    [[nodiscard]] static auto lower_edge_us(unsigned bin) noexcept -> std::int64_t;

  private:
    void to_bins();
    [[nodiscard]] auto merge_values(Json_Scanner& values) -> bool;
    [[nodiscard]] auto merge_bins(Json_Scanner& bins) -> bool;
    std::uint64_t count_ = 0;
    std::vector<std::int64_t> values_; ///< while exact, in no order
    std::vector<std::uint64_t> bins_;  ///< afterwards, by index
};

} // namespace memfs_cache
