// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>

#include <cstdio>

using namespace memfs_cache;

namespace {

struct Pulse_Options {
    Store_Options store;
    int window_minutes = 5;
    bool json = false;
};

void show(Pulse const& pulse) {
    std::printf("last %d minutes: %llu requests, %llu visitors, %llu transfers\n", pulse.window_minutes,
                static_cast<unsigned long long>(pulse.active_requests),
                static_cast<unsigned long long>(pulse.active_visitors),
                static_cast<unsigned long long>(pulse.active_transfers));
    for (auto const& event : pulse.recent_events)
        std::printf("  %lld  %d %s %s\n", static_cast<long long>(to_millis(event.timestamp)), event.status_code,
                    event.method.c_str(), event.path.c_str());
}

auto run(Pulse_Options const& options) -> int {
    (void)or_exit(Namespace_Name::parse(options.store.name_space));
    auto const service_options = options.store.service_options();
    Cache_Service<Any_Storage> cache(options.store.open_storage(), service_options);
    auto& analytics = *or_exit(cache.open_analytics(options.store.name_space));
    auto const pulse = or_exit(analytics.pulse(options.window_minutes));
    if (options.json)
        std::printf("%s\n", json_text(pulse.to_json()).c_str());
    else
        show(pulse);
    return done;
}

} // namespace

auto add_pulse(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Pulse_Options>();
    auto* command = app.add_subcommand("pulse", "Say who is there now");
    options->store.add_to(*command);
    options->store.add_namespace_to(*command);
    command->add_option("--window-minutes", options->window_minutes, "1 to 1440")
        ->capture_default_str()
        ->check(CLI::Range(1, most_recent_minutes));
    command->add_flag("--json", options->json, "as one JSON object");
    return [options] { return run(*options); };
}
