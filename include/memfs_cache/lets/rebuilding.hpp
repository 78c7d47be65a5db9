// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/lets/purger.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What became of windows that were to be built again.
struct Rebuild_Report {
    std::vector<std::string> rebuilt;     ///< their files, as Window::file(); lower levels first
    std::vector<Kept_From_Purge> refused; ///< that cannot be: raw events of them were purged, or are damaged

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// Deletes the windows that touch [start, end) and are over, and builds them again, each from what it is made of.
/// @param  dry_run  only tells which ones
/// @errors what the storage says
/// Cost    a read of all raw events of the range, and of the children of windows that reach beyond it
template <StorageBackend Storage, class Aggregator>
[[nodiscard]] auto
rebuild_windows(Event_Log<Storage>& log, Aggregator& aggregator, Utc_Time start, Utc_Time end, bool dry_run)
    -> Result<Rebuild_Report> {
    (void)log.flush();
    Rebuild_Report report;
    for (auto const type : all_window_types) {
        auto const windows = aggregator.active_windows(type, start, end);
        if (!windows)
            return windows.error();
        for (auto const& window : *windows) {
            if (log.clock()->now() < window.end() + log.settings().grace)
                continue; // is not saved
            auto outcome = aggregator.can_rebuild(window);
            if (outcome && !dry_run)
                if (auto const built = aggregator.rebuild(window); !built)
                    outcome = built.error();
            if (outcome)
                report.rebuilt.push_back(window.file());
            else if (outcome.error().code == Errc::not_found || outcome.error().code == Errc::corrupt_data)
                report.refused.push_back({window.file(), outcome.error().context});
            else
                return outcome.error();
        }
    }
    return report;
}

/// How many windows are looked at by one call of refresh_due(), the newest first. Those beyond are built again when they
/// are asked for.
inline constexpr std::size_t most_due_windows = 4096;

struct Refresh_Report {
    std::uint64_t rebuilt = 0;
    bool more = false; ///< the limit was reached before all were looked at
};

/// Builds saved windows again that late marks have overtaken, before anybody asks for them: the newest first, each once,
/// however many marks there are. For a scheduler; what is left over is found again by the next call.
/// @param  limit  at most so many
/// @errors what the storage says. A window that cannot be built is left as it is.
/// Cost    a list for each thousand marks, a get of 512 bytes of each window that has some, and the building
template <StorageBackend Storage, class Aggregator>
[[nodiscard]] auto refresh_due(Event_Log<Storage>& log, Aggregator& aggregator, std::size_t limit)
    -> Result<Refresh_Report> {
    (void)log.flush();
    auto const marks = log.late_marks().names(earliest_time, log.clock()->now() + fresh_for);
    if (!marks)
        return marks.error();
    // How many marks touch a window; by its start, and of one start the lowest level is the greatest.
    constexpr auto levels = all_window_types.size();
    std::map<std::pair<Utc_Time, std::size_t>, std::uint64_t> revisions;
    for (auto const& mark : *marks)
        for (std::size_t level = 0; level < levels; ++level) {
            auto const type = all_window_types[level];
            std::optional<Utc_Time> last;
            for (unsigned i = 0; i < Base_Window::per_day; ++i) {
                if ((mark.bits >> i & 1) == 0)
                    continue;
                auto const start = Window::containing(type, mark.day + i * Base_Window::length).start();
                if (last != start)
                    ++revisions[{start, levels - level}];
                last = start;
            }
        }
    Refresh_Report report;
    std::size_t looked_at = 0;
    for (auto at = revisions.rbegin(); at != revisions.rend(); ++at) {
        auto const& [of, revision] = *at;
        auto const window = Window::containing(all_window_types[levels - of.second], of.first);
        if (report.rebuilt == limit || ++looked_at > most_due_windows) {
            report.more = true;
            break;
        }
        auto const saved = log.storage().get(aggregator.key_of(window), Byte_Range{0, Window_Position::longest_text});
        if (!saved)
            return saved.error();
        auto const there = *saved ? Window_Position::read((*saved)->bytes, window.type()) : std::nullopt;
        if (!there || there->revision >= revision)
            continue;
        auto const built = aggregator.query(window);
        if (built)
            ++report.rebuilt;
        else if (built.error().code != Errc::not_found && built.error().code != Errc::corrupt_data)
            return built.error();
    }
    return report;
}

} // namespace memfs_cache
