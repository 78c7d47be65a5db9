// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>

#include <boost/unordered/unordered_flat_set.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// How many different things were seen, given as 64-bit keyed hashes. Exact for up to 2,048 of them; beyond that a
/// HyperLogLog sketch of 16,384 registers, whose count has a standard error of 0.81 %: 19 of 20 counts are within 1.6 %,
/// 997 of 1,000 within 2.4 %. Which of the two it is, and every byte of it, follows from the set of hashes alone: not
/// from their order, nor from the way in which parts were merged.
///
/// Memory  at most 32 KiB
/// Cost    about 20 ns for each different hash while exact, 3 ns for each hash afterwards
/// @source Flajolet and others, "HyperLogLog", 2007; Ertl, "New cardinality estimation algorithms for HyperLogLog
///         sketches", 2017, whose improved raw estimator needs no tables and is unbiased over the whole range
class Distinct_Set {
  public:
    static constexpr std::size_t exact_hashes = 2'048;
    static constexpr unsigned index_bits = 14;
    static constexpr std::size_t register_count = std::size_t{1} << index_bits;
    /// Relative standard error of an estimated count, 1.04 / sqrt(16,384), in millionths.
    static constexpr std::uint32_t estimate_error_ppm = 8'100;

    void add(std::uint64_t hash) {
        if (registers_.empty()) {
            hashes_.insert(hash);
            if (hashes_.size() > exact_hashes)
                to_registers();
        } else {
            raise_register_of(hash);
        }
    }
    void merge(Distinct_Set const& other);

    [[nodiscard]] auto is_exact() const noexcept -> bool { return registers_.empty(); }
    /// Exact or estimated.
    /// Cost    estimated, about 5 us
    [[nodiscard]] auto count() const noexcept -> std::uint64_t;
    /// Relative standard error of count() in millionths; 0: exact.
    [[nodiscard]] auto error_ppm() const noexcept -> std::uint32_t { return is_exact() ? 0 : estimate_error_ppm; }

    /// Exact: the hashes in order, 16 hex digits each, nothing between them. Else "p14:" and a letter for each register,
    /// 'A' to 'Z' for 0 to 25 and 'a' to 'z' for 26 to 51. It needs no escapes in JSON.
    [[nodiscard]] auto to_text() const -> std::string;
    /// Adds what a text of to_text() holds.
    /// @errors corrupt_data; the set is then of no use
    [[nodiscard]] auto merge_text(std::string_view text) -> Result<void>;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_text(std::string_view text) -> Result<Distinct_Set>;

  private:
    void to_registers();
    void raise_register_of(std::uint64_t hash) noexcept;

    boost::unordered_flat_set<std::uint64_t> hashes_; ///< while exact
    std::vector<std::uint8_t> registers_;             ///< afterwards
};

} // namespace memfs_cache
