// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <boost/json.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace memfs_cache;

namespace {

using Handler = Transfers<Any_Storage>;

struct Transfer_Options {
    Store_Options store;
    bool json = false;

    std::vector<std::string> ids, keys;
    std::string window_type;
    int window_minutes = 60;
    std::size_t most_events = 100;
};

void line(char const* title, std::string const& value) {
    if (!value.empty())
        std::printf("%-16s %s\n", title, value.c_str());
}
void line(char const* title, std::uint64_t value) { line(title, std::to_string(value)); }

auto time_or_nothing(std::optional<Utc_Time> time) -> std::string { return time ? time_text(*time) : std::string(); }

void show(Transfer_Event const& event) {
    std::printf("%s  %-16s %12llu bytes  %s %s\n", time_text(event.timestamp).c_str(),
                std::string(to_text(event.act)).c_str(), static_cast<unsigned long long>(event.content_bytes),
                event.country.c_str(), event.ip_hash.c_str());
}

void show(Transfer_Summary const& summary) {
    auto const& figures = summary.figures;
    line("transfer", summary.transfer_id);
    line("views", figures.views);
    line("downloads", figures.downloads);
    line("downloaders", figures.downloaders.count());
    line("uploads", figures.uploads);
    line("bytes", figures.bytes);
    line("created", time_or_nothing(figures.created_at));
    line("first activity", time_text(figures.first_at));
    line("last activity", time_text(figures.last_at));
    line("first download", time_or_nothing(figures.first_download_at));
    line("last download", time_or_nothing(figures.last_download_at));
    std::string hours, countries;
    for (std::size_t hour = 0; hour < figures.active_hours.size(); ++hour)
        if (auto const times = figures.active_hours[hour]; times > 0)
            hours.append(hours.empty() ? "" : ", ")
                .append(std::to_string(hour))
                .append(": ")
                .append(std::to_string(times));
    for (auto const& [country, times] : figures.countries)
        countries.append(countries.empty() ? "" : ", ").append(country).append(": ").append(std::to_string(times));
    line("hours, UTC", hours);
    line("countries", countries);
    if (summary.error > 0)
        line("missing, up to", summary.error);
    for (auto const& event : figures.recent)
        show(event);
}

template <class Row>
void show_row(Row const& row) {
    std::printf("%10llu views %10llu downloads %14llu bytes  %s\n", static_cast<unsigned long long>(row.views),
                static_cast<unsigned long long>(row.downloads), static_cast<unsigned long long>(row.bytes),
                row.transfer_id.c_str());
}

void show(Active_Transfers const& active) {
    std::printf("%llu transfers active in %d minutes\n", static_cast<unsigned long long>(active.active_transfers),
                active.window_minutes);
    for (auto const& row : active.transfers)
        show_row(row);
}

void show(Transfers_Window const& window) {
    std::printf("%s %s (UTC), %s\n", std::string(to_text(window.window.type())).c_str(), window.window.key().c_str(),
                !window.recorded ? "nothing recorded"
                : window.final   ? "final"
                                 : "so far");
    if (!window.recorded)
        return;
    auto const& answer = window.answer;
    line("transfers", answer.active_transfers);
    line("created", answer.total.created);
    line("uploads", answer.total.uploads);
    line("views", answer.total.views);
    line("downloads", answer.total.downloads);
    line("bytes", answer.total.bytes);
    for (auto const& row : answer.transfers)
        show_row(row);
}

template <class Thing>
void tell(Transfer_Options const& options, Thing const& thing) {
    ::tell(options.json, thing, [](Thing const& it) { show(it); });
}

void show_transfers(Handler& transfers, Transfer_Options const& options) {
    for (auto const& id : options.ids)
        tell(options, or_exit(about(id, transfers.summary(id))));
}

void show_active(Handler& transfers, Transfer_Options const& options) {
    tell(options, or_exit(transfers.active(options.window_minutes)));
}

void list_events(Handler& transfers, Transfer_Options const& options) {
    for (auto const& event : or_exit(transfers.events(options.ids.front(), options.most_events)))
        tell(options, event);
}

void show_windows(Handler& transfers, Transfer_Options const& options) {
    for (auto const& key : options.keys)
        tell(options, or_exit(about(key, transfers.aggregation(options.window_type, key))));
}

using Act = void (*)(Handler&, Transfer_Options const&);

auto run(Act act, Transfer_Options const& options) -> int {
    Cache_Service<Any_Storage> cache(options.store.open_storage(), options.store.service_options());
    act(*or_exit(cache.open_transfers(options.store.name_space)), options);
    or_exit(cache.close());
    return done;
}

} // namespace

auto add_transfers(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Transfer_Options>();
    auto* command = app.add_subcommand("transfers", "Say what happens to transfers: who looked, who downloaded, when");
    command->require_subcommand(1);
    options->store.add_to(*command);
    options->store.add_namespace_to(*command);
    command->add_flag("--json", options->json, "one JSON object a line");

    Acts<Act> acts;
    auto const add_act = [&](char const* name, char const* help, Act act) -> CLI::App& {
        return acts.add(*command, name, help, act);
    };
    add_act("show", "What happened to transfers", &show_transfers)
        .add_option("id", options->ids, "of the transfer")
        ->required();
    add_act("active", "Which transfers are active now", &show_active)
        .add_option("--window-minutes", options->window_minutes, "1 to 1440")
        ->capture_default_str()
        ->check(CLI::Range(1, most_recent_minutes));
    auto& events = add_act("events", "What happened to a transfer last, newest first", &list_events);
    events.add_option("id", options->ids, "of the transfer")->required()->expected(1);
    events.add_option("--limit", options->most_events, "at most so many")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));
    auto& query = add_act("query", "What happened to all transfers in windows", &show_windows);
    query.add_option("window_type", options->window_type, "daily, monthly, or another one")->required();
    query.add_option("window_key", options->keys, "such as 2026-02-13 or 2026-02, in UTC")->required();

    return [options, acts] { return acts.run([&](Act act) { return run(act, *options); }); };
}
