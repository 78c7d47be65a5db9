// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/storage/open.hpp>
#include <memfs_cache/storage/probe.hpp>

#include <boost/json.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

using namespace memfs_cache;

namespace {

struct Options {
    std::vector<std::string> urls;
    Probe_Options probe;
    bool json = false;
};

auto to_json(Probe_Report const& report) -> boost::json::object {
    boost::json::array checks, timings;
    for (auto const& check : report.checks)
        checks.push_back({{"promise", check.promise}, {"seen", check.seen}, {"kept", check.kept}});
    for (auto const& timing : report.timings)
        timings.push_back({{"operation", timing.operation},
                           {"count", timing.count},
                           {"median_us", timing.median.count()},
                           {"p99_us", timing.p99.count()}});
    return {{"all_kept", report.all_kept()}, {"checks", std::move(checks)}, {"timings", std::move(timings)}};
}

void show(Probe_Report const& report) {
    for (auto const& check : report.checks)
        std::printf("%-7s %s\n        %s\n", check.kept ? "kept" : "BROKEN", check.promise.c_str(), check.seen.c_str());
    for (auto const& timing : report.timings)
        std::printf("%-10s %8zu times  median %8lld us  p99 %8lld us\n", timing.operation.c_str(), timing.count,
                    static_cast<long long>(timing.median.count()), static_cast<long long>(timing.p99.count()));
}

auto run(Options const& options) -> int {
    // Memory has no second handle: what one URL opens is another storage each time.
    auto const first = or_exit(about("--storage", open_storage(options.urls.front())));
    std::size_t next = 0;
    auto const open = [&]() -> Result<Any_Storage> {
        if (!first.capabilities().shared_between_processes)
            return first;
        return open_storage(options.urls[next++ % options.urls.size()]);
    };
    auto const report = or_exit(probe_storage(open, options.probe));
    if (options.json)
        std::printf("%s\n", json_text(to_json(report)).c_str());
    else
        show(report);
    return report.all_kept() ? done : failed;
}

} // namespace

auto add_probe(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Options>();
    auto* command = app.add_subcommand("probe", "Race clients on a storage: does it keep what exact limits need?");
    command->add_option("--storage", options->urls, storage_urls)->required()->envname("MEMFS_CACHE_STORAGE");
    command->footer(
        "--storage may be given several times, for the doors of one store: clients go through each in turn.");
    command->add_option("--clients", options->probe.clients, "how many race each other")->capture_default_str();
    command->add_option("--rounds", options->probe.rounds, "how often")->capture_default_str();
    command->add_flag("--json", options->json, "the report as one JSON object");
    return [options] { return run(*options); };
}
