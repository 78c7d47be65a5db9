// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/analytics_site.hpp"
#include <memfs_cache/namespaces/transfers.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// Transfers as tests open them, and what they have to come to.
namespace memfs_cache::testing {

/// A process with a store of its own, whose operations a test may watch and answer.
struct Transfer_House {
    explicit Transfer_House(std::string const& now = "2026-02-13T14:10", Analytics_Options options = {})
        : site(now, std::move(options)) {
        reopen();
    }

    auto operator->() const -> Transfers<Watched_Memory>* { return transfers.get(); }
    /// As a process would that knows nothing yet of what it is asked for.
    void reopen(Transfers_Options options = {}) {
        transfers = Transfers<Watched_Memory>::open(site.storage, "cache", Namespace_Name("transfers"),
                                                    site.process.clock, site.process.analytics.get(), options)
                        .value();
    }
    void at(std::string const& now) { site.clock().set(time_at(now)); }
    void record(std::string const& id, Transfer_Act act, New_Transfer_Event const& event = {}) {
        (void)transfers->record(id, act, event).value();
    }
    /// What of the answers about a transfer does not depend on when it was asked for.
    auto told(std::string const& id) -> std::string {
        std::string text;
        transfers->summary(id).value().figures.append_json(text);
        return text;
    }

    Site site;
    std::unique_ptr<Transfers<Watched_Memory>> transfers;
};

inline constexpr std::string_view transfers_data = "cache/transfers/data/";

/// An event of a transfer as an oracle remembers it.
struct Told_Event {
    Utc_Time time;
    std::string id;
    Transfer_Act act;
    std::string who; ///< "" for nobody
    std::string country;
    std::uint64_t bytes = 0;
};

/// What events come to, counted one by one and without any of the library's sums.
struct Counted_Transfer {
    std::map<Transfer_Act, std::uint64_t> acts;
    std::uint64_t bytes = 0;
    std::set<Utc_Time> times, downloads, creations;
    std::map<unsigned, std::uint64_t> hours;
    std::map<std::string, std::uint64_t> countries;
    std::set<std::string> downloaders; ///< on each day another one

    void add(Told_Event const& event) {
        auto const day = date_text(event.time);
        ++acts[event.act];
        bytes += event.bytes;
        times.insert(event.time);
        ++hours[static_cast<unsigned>((to_millis(event.time) / 3'600'000) % 24)];
        if (event.act == Transfer_Act::created)
            creations.insert(event.time);
        if (event.act != Transfer_Act::downloaded)
            return;
        downloads.insert(event.time);
        if (!event.country.empty())
            ++countries[event.country];
        if (!event.who.empty())
            downloaders.insert(day + event.who);
    }
    [[nodiscard]] auto all() const -> std::uint64_t {
        std::uint64_t sum = 0;
        for (auto const& entry : acts)
            sum += entry.second;
        return sum;
    }
    [[nodiscard]] auto of(Transfer_Act act) const -> std::uint64_t {
        auto const found = acts.find(act);
        return found == acts.end() ? 0 : found->second;
    }
};

/// The same for every transfer of [start, end).
inline auto counted(std::vector<Told_Event> const& events, Utc_Time start, Utc_Time end)
    -> std::map<std::string, Counted_Transfer> {
    std::map<std::string, Counted_Transfer> all;
    for (auto const& event : events)
        if (event.time >= start && event.time < end)
            all[event.id].add(event);
    return all;
}

/// Where an answer about one transfer differs from the count; "" if nowhere.
inline auto difference(Transfer_Figures const& figures, Counted_Transfer const& counted) -> std::string {
    auto const first = [](std::set<Utc_Time> const& times) {
        return times.empty() ? std::nullopt : std::optional(*times.begin());
    };
    auto const last = [](std::set<Utc_Time> const& times) {
        return times.empty() ? std::nullopt : std::optional(*times.rbegin());
    };
    std::map<unsigned, std::uint64_t> hours;
    for (unsigned hour = 0; hour < 24; ++hour)
        if (figures.active_hours[hour] > 0)
            hours[hour] = figures.active_hours[hour];
    std::vector<std::pair<char const*, bool>> const equal{
        {"events", figures.events == counted.all()},
        {"views", figures.views == counted.of(Transfer_Act::viewed)},
        {"downloads", figures.downloads == counted.of(Transfer_Act::downloaded)},
        {"uploads", figures.uploads == counted.of(Transfer_Act::upload_completed)},
        {"created", figures.created == counted.of(Transfer_Act::created)},
        {"bytes", figures.bytes == counted.bytes},
        {"first_at", figures.first_at == first(counted.times)},
        {"last_at", figures.last_at == last(counted.times)},
        {"created_at", figures.created_at == first(counted.creations)},
        {"first_download_at", figures.first_download_at == first(counted.downloads)},
        {"last_download_at", figures.last_download_at == last(counted.downloads)},
        {"hours", hours == counted.hours},
        {"countries",
         std::map<std::string, std::uint64_t>(figures.countries.begin(), figures.countries.end()) == counted.countries},
        {"downloaders", figures.downloaders.count() == counted.downloaders.size()},
        {"recent", figures.recent.size() == std::min<std::size_t>(counted.all(), Transfer_Figures::most_recent)},
        {"newest", std::is_sorted(figures.recent.rbegin(), figures.recent.rend()) &&
                       figures.recent.front().timestamp == last(counted.times)}};
    for (auto const& [name, is_equal] : equal)
        if (!is_equal)
            return name;
    return {};
}

} // namespace memfs_cache::testing
