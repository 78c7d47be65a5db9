// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/lets/add_up.hpp>

#include <boost/json/object.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// How often each name was seen. Exact.
/// Cost    one hash look-up a name; nothing is allocated for a name that is known.
class Name_Counts {
  public:
    using Row = std::pair<std::string_view, std::uint64_t>;

    void add(std::string_view name, std::uint64_t times = 1) {
        auto const found = counts_.find(name);
        if (found != counts_.end())
            add_up(found->second, times);
        else
            counts_.emplace(name, times);
    }
    void merge(Name_Counts const& other) {
        for (auto const& [name, times] : other.counts_)
            add(name, times);
    }
    [[nodiscard]] auto distinct() const noexcept -> std::size_t { return counts_.size(); }
    [[nodiscard]] auto of(std::string_view name) const -> std::uint64_t {
        auto const found = counts_.find(name);
        return found == counts_.end() ? 0 : found->second;
    }

    /// At most `most` rows, largest count first, then by name in byte order.
    [[nodiscard]] auto top(std::size_t most) const -> std::vector<Row>;

    /// {"name":count,...} sorted by name in byte order.
    void append_json(std::string& out) const;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_json(boost::json::object const& object) -> Result<Name_Counts>;

  private:
    struct Hash {
        using is_transparent = void;
        auto operator()(std::string_view text) const noexcept -> std::size_t {
            return boost::hash<std::string_view>()(text);
        }
    };
    boost::unordered_flat_map<std::string, std::uint64_t, Hash, std::equal_to<>> counts_;
};

} // namespace memfs_cache
