// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/costs.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace memfs_cache {

/// How far the costs of a source were collected; one stored object.
struct Collector_Mark {
    std::optional<Utc_Time> last_collected; ///< all days up to this one were fetched after they were over
    Utc_Time last_run_at{};
    std::uint64_t last_run_duration_ms = 0;
    std::uint64_t days_collected_total = 0;
    Utc_Time today{};                ///< the day that `fetched_today` counts for
    std::uint64_t fetched_today = 0; ///< how often that day was fetched before it was over
    Utc_Time reread_on{};            ///< when days that had been collected were fetched again

    /// The stored form, with a fresh nonce, because it is overwritten in place.
    [[nodiscard]] auto stored_text() const -> std::string;
    /// @errors corrupt_data
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Collector_Mark>;
};

struct Collect_Options {
    unsigned backfill_days = 365; ///< how far the first run goes back
    /// How many days that were collected are fetched again, once a day; 0: none. AWS settles its figures for about two
    /// weeks, so 14 leaves none as it was estimated first.
    unsigned reread_days = 0;
    std::string metric = Cost_Import_Options().metric;
};

/// The days of one question: [start, end).
struct Collect_Plan {
    static constexpr std::uint64_t most_fetches_of_today = 3;

    Utc_Time start{};
    Utc_Time end{};
    bool has_today = false;
    bool rereads = false;

    /// What to ask for now: days that are over and were not fetched, today up to three times, and what is to be read again.
    /// @return nothing if there is nothing to ask for
    [[nodiscard]] static auto of(Collector_Mark const& mark, Collect_Options const& options, Utc_Time now)
        -> std::optional<Collect_Plan>;
    /// The mark after it was carried out.
    [[nodiscard]] auto done(Collector_Mark mark, Utc_Time now) const -> Collector_Mark;
};

/// What a run of the collector did.
struct Collect_Report {
    std::optional<Collect_Plan> asked; ///< nothing if there was nothing to ask for
    Cost_Import_Report imported;

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// (start, end): answers about each day of [start, end).
using Fetch_Costs = std::function<Result<std::vector<Cost_File>>(Utc_Time, Utc_Time)>;

/// Asks AWS Cost Explorer, with the credentials that the environment or the profile files of AWS have.
/// @param  metric  which cost is asked for
/// @param  clock   for signatures
/// @errors as Cost_Explorer::create; unsupported in a library that was built without its HTTP client
[[nodiscard]] auto from_cost_explorer(Costs_Options const& options, std::string metric, Clock_Ptr clock)
    -> Result<Fetch_Costs>;

/// Brings costs from where they are known to where they are kept: data/collector/high-water-mark.json says how far it has
/// come. Days that are over are fetched once, today up to three times. A run that breaks off anywhere leaves the mark
/// behind what it has kept, so the next one fetches the same again, which changes nothing.
/// @param  fetch  called at most once
/// @errors what `fetch` says; corrupt_data: an answer without one of the days; those of Costs::import_files. The mark is
///         then where it was.
/// Threads  two at once, also of two machines, may both ask; what is kept is the same
template <StorageBackend Storage>
[[nodiscard]] auto
collect_costs(Storage& storage, Costs<Storage>& costs, Fetch_Costs const& fetch, Collect_Options const& options = {})
    -> Result<Collect_Report> {
    auto const begun = std::chrono::steady_clock::now();
    auto const now = costs.clock()->now();
    auto const key = costs.collector_key();
    auto const mark_in = [&](Object const* object) -> Result<Collector_Mark> {
        auto mark = object == nullptr ? Result<Collector_Mark>(Collector_Mark()) : Collector_Mark::parse(object->bytes);
        return mark ? mark : fail(mark.error().code, key.str() + ": " + mark.error().context);
    };
    auto const stored = storage.get(key);
    if (!stored)
        return stored.error();
    auto const mark = mark_in(*stored ? &**stored : nullptr);
    if (!mark)
        return mark.error();
    Collect_Report report;
    report.asked = Collect_Plan::of(*mark, options, now);
    if (!report.asked)
        return report;
    auto const& plan = *report.asked;

    auto const files = fetch(plan.start, plan.end);
    if (!files)
        return files.error();
    auto const told = read_cost_files(*files, {options.metric});
    if (!told)
        return told.error();
    for (auto day = plan.start; day < plan.end; day += std::chrono::days(1))
        if (!told->contains(day))
            return fail(Errc::corrupt_data, "the answer tells nothing of " + date_text(day) + "; collect again later");
    auto const imported = costs.import_days(*told);
    if (!imported)
        return imported.error();
    report.imported = *imported;

    auto const moved = update_object(storage, key, [&](Object const* object) -> Result<std::optional<Bytes>> {
        auto const newest = mark_in(object); // somebody else may have run meanwhile
        if (!newest)
            return newest.error();
        auto next = plan.done(*newest, now);
        next.last_run_duration_ms = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count());
        return std::optional(next.stored_text());
    });
    if (!moved)
        return moved.error();
    return report;
}

} // namespace memfs_cache
