// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/storage/open.hpp>
#include <memfs_cache/version.hpp>

#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

using namespace memfs_cache;

void Store_Options::add_to(CLI::App& command) {
    command.add_option("--storage", url, storage_urls)->required()->envname("MEMFS_CACHE_STORAGE");
    command.add_option("--root-prefix", root_prefix, "where in the storage everything lies")
        ->capture_default_str()
        ->envname("MEMFS_CACHE_ROOT_PREFIX");
    command.add_option("--grace-ms", grace_ms, "how long windows wait for stragglers; fixed when a store is begun")
        ->envname("MEMFS_CACHE_GRACE_MS");
    command.add_option("--salt-period", salt_period, "day, week or month; fixed when a store is begun")
        ->envname("MEMFS_CACHE_SALT_PERIOD");
}

void Store_Options::add_namespace_to(CLI::App& command) {
    command.add_option("--namespace", name_space, "analytics namespace")->capture_default_str();
}

auto Store_Options::service_options() const -> Service_Options {
    auto const refuse = [](std::string sentence) -> Failure {
        return {wrong_usage, fail(Errc::invalid_argument, std::move(sentence))};
    };
    Service_Options options;
    options.root_prefix = root_prefix;
    if (!root_prefix.empty())
        if (auto const key = Storage_Key::parse(root_prefix); !key)
            throw refuse("--root-prefix: " + key.error().context);
    auto& settings = options.analytics.log.settings;
    if (!grace_ms.empty()) {
        auto const grace = parse_decimal(grace_ms);
        if (!grace || *grace > 86'400'000)
            throw refuse("--grace-ms: give 0 to 86400000");
        settings.grace = std::chrono::milliseconds(*grace);
    }
    if (!salt_period.empty()) {
        if (salt_period != "day" && salt_period != "week" && salt_period != "month")
            throw refuse("--salt-period: give day, week or month");
        settings.salt_period = salt_period;
    }
    return options;
}

auto Store_Options::open_storage() const -> Any_Storage {
    auto storage = memfs_cache::open_storage(url);
    bool const names_a_folder = url.starts_with("disk:") && url.size() > 5;
    if (!storage && names_a_folder)
        throw Failure{failed, storage.error()};
    return or_exit(std::move(storage));
}

void complain(std::string_view sentence) {
    std::fprintf(stderr, "memfs-cache: %.*s\n", static_cast<int>(sentence.size()), sentence.data());
}

auto harmless(std::string_view text) -> std::string {
    std::string out;
    append_ascii_json_string(out, text);
    return out;
}

auto time_text(Utc_Time time) -> std::string {
    if (time == earliest_time)
        return {};
    auto const civil = to_civil(time);
    auto text = date_text(time);
    for (auto const& [before, part] : {std::pair(' ', civil.hour), {':', civil.minute}, {':', civil.second}}) {
        text += before;
        append_padded(text, part, 2);
    }
    return text;
}

int main(int argc, char** argv) {
    try {
        CLI::App app("Analytics, tokens, transfers, costs and entries on plain files", "memfs-cache");
        app.set_version_flag("--version", std::string(version));
        app.require_subcommand(1);
        std::vector<std::pair<CLI::App*, Subcommand>> commands;
        for (auto* add : {&add_serve, &add_import, &add_query, &add_series, &add_pulse, &add_tokens, &add_transfers,
                          &add_costs, &add_export, &add_probe, &add_verify, &add_purge, &add_rebuild, &add_hold}) {
            auto run = (*add)(app);
            commands.emplace_back(app.get_subcommands({}).back(), std::move(run));
        }
        try {
            app.parse(argc, argv);
        } catch (CLI::ParseError const& error) {
            auto const code = app.exit(error);
            return code == 0 ? done : wrong_usage;
        }
        for (auto const& [command, run] : commands)
            if (command->parsed())
                return run();
    } catch (Failure const& failure) {
        complain(failure.error.context);
        return failure.exit_code;
    } catch (std::exception const& error) {
        complain(error.what());
    }
    return failed;
}
