// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>

#include <boost/unordered/unordered_flat_set.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {

/// How many different things were seen, given as 64-bit keyed hashes. Exact.
/// Cost    8 bytes and about 20 ns for each different hash.
class Distinct_Set {
  public:
    void add(std::uint64_t hash) { hashes_.insert(hash); }
    void merge(Distinct_Set const& other) { hashes_.insert(other.hashes_.begin(), other.hashes_.end()); }
    [[nodiscard]] auto count() const noexcept -> std::uint64_t { return hashes_.size(); }

    /// The hashes in order, 16 hex digits each, nothing between them.
    [[nodiscard]] auto to_text() const -> std::string;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_text(std::string_view text) -> Result<Distinct_Set>;

  private:
    boost::unordered_flat_set<std::uint64_t> hashes_;
};

} // namespace memfs_cache
