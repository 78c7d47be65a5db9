// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/lets/distinct_set.hpp>

#include <boost/json/object.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// The largest counts of many names, and what is known of all the others. The counts of `rows` and `other` are `total`.
struct Name_Ranking {
    using Rows = std::vector<std::pair<std::string, std::uint64_t>>;

    Rows rows;                            ///< largest count first, then by name in byte order
    std::uint64_t total = 0;              ///< how often any name was seen
    std::uint64_t other = 0;              ///< how often those were seen that are not in `rows`
    std::uint64_t distinct = 0;           ///< how many different names were seen
    std::uint32_t distinct_error_ppm = 0; ///< its relative standard error in millionths; 0: exact
    std::uint64_t error = 0;              ///< a count may be too small by so much; 0: exact

    [[nodiscard]] auto is_exact() const noexcept -> bool { return error == 0; }
    /// The same with fewer rows.
    [[nodiscard]] auto first(std::size_t most_rows) const -> Name_Ranking;

    /// {"names":{...},"total":..,"other":..,"distinct":..,"distinct_error_ppm":..,"error":..}
    void append_json(std::string& out) const;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Name_Ranking>;
};

/// How often each name was seen. Exact for up to 16,384 names; beyond that a Misra-Gries summary, which counts the 4,096
/// largest when it is saved: a name was seen at least as often as it says, and more often by at most error(), which never
/// exceeds total() / 4,097 whichever way parts were merged. So no name that makes up more than that is ever lost. What
/// was seen in all, and whether it is exact, follows from the names alone; what is counted of each beyond the exact size
/// also from the order of adding, merging and settling.
///
/// A name over 120 bytes is counted under its beginning, `~` and 16 hex digits of a hash of the whole.
/// Memory  at most 16,384 names, and 16 KiB once it is not exact any more
/// Cost    one hash look-up a name; nothing is allocated for a name that is known.
/// @source Misra, Gries, 1982; Agarwal and others, "Mergeable summaries", 2012
class Name_Counts {
  public:
    using Row = std::pair<std::string_view, std::uint64_t>;
    static constexpr std::size_t exact_names = 16'384;
    static constexpr std::size_t kept_names = 4'096; ///< once it is not exact any more
    static constexpr std::size_t longest_name_bytes = 120;

    void add(std::string_view name, std::uint64_t times = 1) {
        count(name, times);
        keep_within(exact_names);
    }
    void merge(Name_Counts const& other);
    /// Brings what is not exact any more to the 4,096 largest names, as it is saved.
    void settle() {
        if (!is_exact())
            keep_within(kept_names);
    }

    [[nodiscard]] auto is_exact() const noexcept -> bool { return error_ == 0; }
    /// How much too small a count may be; 0: exact.
    [[nodiscard]] auto error() const noexcept -> std::uint64_t { return error_; }
    /// How often any name was seen, always exact.
    [[nodiscard]] auto total() const noexcept -> std::uint64_t;
    /// How many different names were seen; beyond the exact size an estimate of Distinct_Set.
    [[nodiscard]] auto distinct() const noexcept -> std::uint64_t {
        return is_exact() ? counts_.size() : seen_.count();
    }
    /// How often a name was seen, or up to error() less.
    [[nodiscard]] auto of(std::string_view name) const -> std::uint64_t;

    /// At most `most` rows, largest count first, then by name in byte order.
    [[nodiscard]] auto top(std::size_t most) const -> std::vector<Row>;
    /// The same with what is known of all names.
    /// @param  most_text_bytes  that the rows may take as JSON, so that a document of known size has room for them
    [[nodiscard]] auto ranking(std::size_t most, std::size_t most_text_bytes) const -> Name_Ranking;

    /// {"name":count,...} sorted by name in byte order; beyond the exact size
    /// {"names":{"name":count,...},"dropped":..,"error":..,"seen":"..."}, where `dropped` is total() less all counts and
    /// `seen` the Distinct_Set of all names.
    void append_json(std::string& out) const;
    /// Adds what a text of append_json() holds, as merge() does.
    /// @errors corrupt_data; the counts are then of no use
    [[nodiscard]] auto merge_json(std::string_view text) -> Result<void>;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_json(boost::json::object const& object) -> Result<Name_Counts>;

  private:
    struct Hash {
        using is_transparent = void;
        auto operator()(std::string_view text) const noexcept -> std::size_t {
            return boost::hash<std::string_view>()(text);
        }
    };

    void count(std::string_view name, std::uint64_t times) {
        if (name.size() > longest_name_bytes) {
            count(cut(name), times);
            return;
        }
        auto const found = counts_.find(name);
        if (found != counts_.end()) {
            add_up(found->second, times);
            return;
        }
        if (times == 0)
            return;
        counts_.emplace(name, times);
        if (!is_exact())
            see(name);
    }
    void keep_within(std::size_t most) {
        if (counts_.size() > most)
            reduce();
    }
    [[nodiscard]] static auto cut(std::string_view name) -> std::string;
    void see(std::string_view name);
    void stop_being_exact();
    void reduce();
    [[nodiscard]] auto count_members(std::string_view object) -> Result<void>;

    boost::unordered_flat_map<std::string, std::uint64_t, Hash, std::equal_to<>> counts_;
    std::uint64_t dropped_ = 0; ///< total() less all counts
    std::uint64_t error_ = 0;
    Distinct_Set seen_; ///< hashes of all names, once it is not exact any more
};

} // namespace memfs_cache
