// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/service/verify.hpp>

#include <boost/json.hpp>

#include <cstdio>
#include <memory>
#include <unistd.h>

using namespace memfs_cache;

namespace {

struct Options {
    Store_Options store;
    bool repair = false;
    bool json = false;
};

auto to_json(Verify_Report const& report) -> boost::json::object {
    boost::json::array problems;
    for (auto const& problem : report.problems)
        problems.push_back({{"path", problem.path}, {"what", problem.what}, {"repaired", problem.repaired}});
    return {{"sound", report.sound()},
            {"namespaces", report.namespaces},
            {"entries", report.entries},
            {"tokens", report.tokens},
            {"events", report.events},
            {"cost_days", report.cost_days},
            {"windows", report.windows},
            {"windows_due", report.windows_due},
            {"windows_older", report.windows_older},
            {"unknown_windows", report.unknown_windows},
            {"problem_count", report.problem_count},
            {"repaired_count", report.repaired_count},
            {"problems", std::move(problems)}};
}

void show(Verify_Report const& report) {
    auto const number = [](char const* title, std::uint64_t value) {
        std::printf("%-16s %llu\n", title, static_cast<unsigned long long>(value));
    };
    number("namespaces", report.namespaces);
    number("entries", report.entries);
    number("tokens", report.tokens);
    number("events", report.events);
    number("cost days", report.cost_days);
    number("windows", report.windows);
    number("windows due", report.windows_due);
    if (report.windows_older > 0)
        number("windows older", report.windows_older);
    if (report.unknown_windows > 0)
        number("windows unknown", report.unknown_windows);
    for (auto const& problem : report.problems)
        std::printf("%s%s: %s\n", problem.repaired ? "repaired: " : "", problem.path.c_str(), problem.what.c_str());
    if (report.problem_count > report.problems.size())
        std::printf("... and %llu more\n",
                    static_cast<unsigned long long>(report.problem_count - report.problems.size()));
    std::printf(report.sound() ? "sound\n" : "NOT sound\n");
}

auto run(Options const& options) -> int {
    Verify_Options wanted;
    wanted.root_prefix = options.store.service_options().root_prefix;
    wanted.repair = options.repair;
    bool const terminal = ::isatty(STDERR_FILENO) == 1;
    if (terminal)
        wanted.progress = [](std::string const& folder) { std::fprintf(stderr, "\r\033[K%s", folder.c_str()); };
    auto storage = options.store.open_storage();
    auto const report = verify_store(storage, wanted);
    if (terminal)
        std::fputs("\r\033[K", stderr);
    auto const& verified = or_exit(report);
    if (options.json)
        std::printf("%s\n", json_text(to_json(verified)).c_str());
    else
        show(verified);
    return verified.sound() ? done : failed;
}

} // namespace

auto add_verify(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Options>();
    auto* command = app.add_subcommand("verify", "Look at everything in a store: references, events, windows");
    options->store.add_to(*command);
    command->add_flag("--repair", options->repair, "adopt what dead writers left, and build wrong windows again");
    command->add_flag("--json", options->json, "the report as one JSON object");
    return [options] { return run(*options); };
}
