// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/concepts.hpp>
#include <memfs_cache/lets/saved_window.hpp>
#include <memfs_cache/namespaces/transfers/transfer_figures.hpp>

#include <boost/json/object.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// What Transfers_Summary says of itself, in a size that does not grow with what it counts.
struct Transfers_Answer {
    static constexpr std::size_t most_transfers = 100;

    struct Row : Transfer_Sums {
        std::string transfer_id;
        Utc_Time first_at, last_at;
        std::uint64_t unique_downloaders = 0;
        std::uint64_t unique_downloaders_error_ppm = 0; ///< relative standard error in millionths; 0: exact

        void append_json(std::string& out) const;
    };

    Transfer_Sums total;
    std::uint64_t active_transfers = 0;           ///< how many different ones
    std::uint64_t active_transfers_error_ppm = 0; ///< likewise
    Transfer_Sums other;                          ///< of those that are not in `transfers`
    std::uint64_t error = 0;                      ///< a transfer may have had so many events more; 0: exact
    std::vector<Row> transfers;                   ///< the most active, then by id

    void append_members(std::string& out) const;
    /// @param  text  a JSON object that holds these members
    /// @errors corrupt_data
    [[nodiscard]] static auto from_text(std::string_view text) -> Result<Transfers_Answer>;
};

/// The figures of every transfer that was active in a window. Exact for up to 16,384 transfers, as long as what is known
/// of them stays within 32 MiB of text, which with ten downloaders each it does. Beyond that it is a Misra-Gries summary of
/// the 4,096 most active, or as many of them as take 16 MiB: of each of N that are kept, and of any that it does not
/// name, at most `error` events are missing, which never exceeds the events of all divided by N + 1. What happened in all is
/// always exact. Models LargeSummary.
/// @source Misra, Gries, 1982; Agarwal and others, "Mergeable summaries", 2012
class Transfers_Summary {
  public:
    using Answer = Transfers_Answer;
    using Figures = std::map<std::string, Transfer_Figures, std::less<>>;
    static constexpr std::size_t exact_transfers = 16'384;
    static constexpr std::size_t kept_transfers = 4'096; ///< once it is not exact any more
    static constexpr std::size_t most_text_bytes = 32 << 20;

    Transfers_Summary() = default;
    /// One that counts a single transfer and passes over all others.
    [[nodiscard]] static auto of_one(std::string transfer_id) -> Transfers_Summary;

    void add(Analytics_Record const& event);
    void merge(Transfers_Summary const& other);
    void settle();
    [[nodiscard]] auto answer() const -> Transfers_Answer;
    void append_members(std::string& out) const;
    /// @errors corrupt_data; the summary is then of no use
    [[nodiscard]] auto merge_text(std::string_view object) -> Result<void>;

    [[nodiscard]] auto is_exact() const noexcept -> bool { return error_ == 0; }
    /// How many events of a transfer may be missing.
    [[nodiscard]] auto error() const noexcept -> std::uint64_t { return error_; }
    /// By id.
    [[nodiscard]] auto transfers() const noexcept -> Figures const& { return transfers_; }

  private:
    [[nodiscard]] auto counts(std::string_view transfer_id) const noexcept -> bool {
        return only_.empty() || transfer_id == only_;
    }
    /// What is known of a transfer, to be changed.
    template <class Change>
    void change(std::string_view transfer_id, Change&& change);
    void see(std::string_view transfer_id);
    void stop_being_exact();
    void keep_within(std::size_t most_transfers, std::size_t text_bytes);

    std::string only_; ///< the one that it counts; "" for all
    Figures transfers_;
    std::size_t text_bytes_ = 0; ///< of them, about
    Transfer_Sums dropped_;      ///< of those that were let go
    std::uint64_t error_ = 0;
    Distinct_Set seen_; ///< hashes of all ids, once it is not exact any more
};
static_assert(LargeSummary<Transfers_Summary, Analytics_Record>);

/// The answer about one window, with every field ready to be shown.
struct Transfers_Window : Window_Status {
    Transfers_Answer answer;

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

} // namespace memfs_cache
