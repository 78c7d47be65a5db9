// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <boost/json.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

using namespace memfs_cache;

namespace {

struct Cost_Options {
    Store_Options store;
    Costs_Options costs;
    bool json = false;

    std::vector<std::string> files;
    Cost_Import_Options import;
    Collect_Options collect;
    std::string window_type;
    std::vector<std::string> keys;
    std::string date;
    New_Budget budget;
    std::size_t most_alerts = 100;
};

using Cache = Cache_Service<Any_Storage>;

/// A whole file; "-" is the standard input.
auto read_file(std::string const& path) -> Result<Cost_File> {
    if (path == "-")
        return Cost_File{path, std::string(std::istreambuf_iterator<char>(std::cin), {})};
    std::error_code error;
    if (std::filesystem::is_directory(path, error))
        return fail(Errc::invalid_argument, path + " is a folder; give the files in it");
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(text << file.rdbuf())))
        return error_from_errno(errno, "reading", path);
    return Cost_File{path, text.str()};
}

auto usd(Money_Nanos amount) -> std::string { return amount.to_text() + " USD"; }

void line(char const* title, std::string const& value) { std::printf("%-18s %s\n", title, value.c_str()); }

void show(Cost_Report const& report) {
    auto const& costs = report.costs;
    std::printf("%s %s (UTC), %s\n", std::string(to_text(costs.window_type)).c_str(), costs.window_key.c_str(),
                !costs.recorded   ? "nothing known"
                : costs.final     ? "final"
                : costs.estimated ? "estimated"
                                  : "so far");
    if (!costs.recorded)
        return;
    line("total", usd(costs.total_cost));
    if (costs.projected_month)
        line("projected month", usd(*costs.projected_month));
    if (costs.previous_total)
        line("the one before", usd(*costs.previous_total));
    if (report.usage) {
        auto const each = [&](char const* title, std::uint64_t count) {
            auto const cost = count == 0 ? 0.0 : costs.total_cost.in_units() / static_cast<double>(count);
            std::printf("%-18s %.9g USD for each of %llu\n", title, cost, static_cast<unsigned long long>(count));
        };
        each("requests", report.usage->total_requests);
        each("transfers", report.usage->total_transfers);
        each("visitors", report.usage->unique_visitors);
    }
    for (auto const& [service, share] : costs.top_cost_drivers)
        std::printf("  %6.2f %%  %s\n", share / 100.0, harmless(service).c_str());
}

void show(Cost_Entry const& entry) {
    std::printf("%16s  %s", usd(entry.amount).c_str(), harmless(entry.service).c_str());
    for (auto const* const detail : {&entry.usage_type, &entry.region, &entry.account})
        if (!detail->empty())
            std::printf("  %s", harmless(*detail).c_str());
    std::printf("\n");
}

void show(Budget const& budget) {
    std::string thresholds;
    for (auto const threshold : budget.thresholds)
        thresholds.append(thresholds.empty() ? "" : ", ").append(std::to_string(threshold)).append(" %");
    std::printf("%s: %s %s%s%s, alerts at %s\n", budget.name.c_str(), usd(budget.amount).c_str(),
                std::string(to_text(budget.period)).c_str(), budget.service.empty() ? "" : " for ",
                budget.service.empty() ? "" : harmless(budget.service).c_str(), thresholds.c_str());
}

void show(Cost_Alert const& alert) {
    std::printf("%s  %s %s: %u %% of %s reached, %s spent\n", time_text(alert.raised_at).c_str(), alert.budget.c_str(),
                alert.window_key.c_str(), alert.threshold, usd(alert.budgeted).c_str(), usd(alert.spent).c_str());
}

void show(Cost_Import_Report const& report) {
    auto const count = [](char const* title, std::uint64_t number) {
        std::printf("%s %llu, ", title, static_cast<unsigned long long>(number));
    };
    count("days", report.days);
    count("new or revised", report.days_revised);
    count("entries", report.entries);
    if (report.alerts_raised > 0)
        count("alerts raised", report.alerts_raised);
    std::printf("total %s\n", usd(report.total).c_str());
}

void show(Collect_Report const& report) {
    if (!report.asked) {
        std::printf("nothing to collect\n");
        return;
    }
    std::printf("%s until %s: ", date_text(report.asked->start).c_str(), date_text(report.asked->end).c_str());
    show(report.imported);
}

template <class Thing>
void tell(Cost_Options const& options, Thing const& thing) {
    ::tell(options.json, thing, [](Thing const& it) { show(it); });
}

auto costs_of(Cache& cache) -> Costs<Any_Storage>& { return *or_exit(cache.open_costs(cache.ns_costs)); }

void import(Cache& cache, Cost_Options const& options) {
    std::vector<Cost_File> files;
    for (auto const& path : options.files)
        files.push_back(or_exit(read_file(path)));
    auto const report = costs_of(cache).import_files(files, options.import);
    if (!report) // of what the files hold nothing is wrong usage
        throw Failure{failed, report.error()};
    tell(options, *report);
}

void collect(Cache& cache, Cost_Options const& options) {
    auto const report = cache.collect_costs(options.collect);
    if (!report)
        throw Failure{failed, report.error()};
    tell(options, *report);
}

void show_windows(Cache& cache, Cost_Options const& options) {
    if (options.window_type.empty())
        tell(options, or_exit(cache.current_cost_report()));
    for (auto const& key : options.keys)
        tell(options, or_exit(about(key, cache.cost_report(options.window_type, key))));
}

void show_entries(Cache& cache, Cost_Options const& options) {
    for (auto const& entry : or_exit(costs_of(cache).entries(options.date)))
        tell(options, entry);
}

void set_budget(Cache& cache, Cost_Options const& options) {
    tell(options, or_exit(costs_of(cache).set_budget(options.budget)));
}

void list_budgets(Cache& cache, Cost_Options const& options) {
    for (auto const& budget : or_exit(costs_of(cache).budgets()))
        tell(options, budget);
}

void remove_budget(Cache& cache, Cost_Options const& options) {
    if (!or_exit(costs_of(cache).remove_budget(options.budget.name)))
        throw Failure{failed, fail(Errc::not_found, "there is no such budget")};
}

void list_alerts(Cache& cache, Cost_Options const& options) {
    for (auto const& alert : or_exit(costs_of(cache).alerts(options.most_alerts)))
        tell(options, alert);
}

using Act = void (*)(Cache&, Cost_Options const&);

auto run(Act act, Cost_Options const& options) -> int {
    auto service_options = options.store.service_options();
    service_options.costs = options.costs;
    Cache cache(options.store.open_storage(), std::move(service_options));
    act(cache, options);
    or_exit(cache.close());
    return done;
}

} // namespace

auto add_costs(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Cost_Options>();
    auto* command = app.add_subcommand("costs", "Say what things cost: by day, week and month, and for each request");
    command->require_subcommand(1);
    options->store.add_to(*command);
    command->add_flag("--accept-credits", options->costs.accept_credits, "take amounts below zero, such as refunds")
        ->envname("MEMFS_CACHE_ACCEPT_CREDITS");
    command->add_flag("--json", options->json, "one JSON object a line");

    Acts<Act> acts;

    auto& import_act = acts.add(*command, "import", "Take over answers of AWS to GetCostAndUsage, or CSV", &import);
    import_act.add_option("files", options->files, "JSON or CSV; - for the standard input")->required();
    import_act.add_option("--metric", options->import.metric, "which cost of AWS is taken")->capture_default_str();

    auto& collect_act =
        acts.add(*command, "collect", "Ask AWS Cost Explorer for the days that are missing, a cent a time", &collect);
    collect_act.add_option("--endpoint-url", options->costs.costs_endpoint_url, "other than that of Amazon");
    collect_act.add_option("--region", options->costs.costs_region, "of the endpoint")->capture_default_str();
    collect_act.add_option("--metric", options->collect.metric, "which cost is asked for")->capture_default_str();
    collect_act.add_option("--backfill-days", options->collect.backfill_days, "how far the first run goes back")
        ->capture_default_str()
        ->check(CLI::Range(0, 400));
    collect_act
        .add_option("--reread-days", options->collect.reread_days,
                    "fetch so many past days again, once a day: AWS settles its figures for about 14")
        ->capture_default_str()
        ->check(CLI::Range(0, 400));

    auto& show_act = acts.add(*command, "show", "What windows cost; this month if none is named", &show_windows);
    auto* const type = show_act.add_option("window_type", options->window_type, "daily, weekly or monthly");
    auto* const keys =
        show_act.add_option("window_key", options->keys, "such as 2026-02-13, 2026-W07, 2026-02, in UTC");
    type->needs(keys);
    acts.add(*command, "entries", "What a day cost, entry by entry", &show_entries)
        .add_option("date", options->date, "such as 2026-02-13")
        ->required();

    auto& budget = *command->add_subcommand("budget", "What a day or a month may cost before an alert is raised");
    budget.require_subcommand(1);
    budget.fallthrough();
    auto& set_act = acts.add(budget, "set", "Make a budget, or change it", &set_budget);
    set_act.add_option("name", options->budget.name, "letters and digits, _ and -")->required();
    set_act.add_option("amount_usd", options->budget.amount_usd, "such as 100.50")->required();
    set_act.add_option("--period", options->budget.period, "daily or monthly")->capture_default_str();
    set_act.add_option("--thresholds", options->budget.thresholds, "percents")->capture_default_str();
    set_act.add_option("--service", options->budget.service, "only the costs of this one");
    acts.add(budget, "list", "Every budget, by name", &list_budgets);
    acts.add(budget, "remove", "Remove a budget; its alerts stay", &remove_budget)
        .add_option("name", options->budget.name, "of the budget")
        ->required();
    acts.add(*command, "alerts", "Which budgets were used up, and how far; newest first", &list_alerts)
        .add_option("--limit", options->most_alerts, "at most so many")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));

    return [options, acts] { return acts.run([&](Act act) { return run(act, *options); }); };
}
