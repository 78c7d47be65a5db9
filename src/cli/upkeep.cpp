// SPDX-License-Identifier: Apache-2.0
// What a scheduler runs now and then: purge, rebuild; and hold, which keeps events from being purged.
#include "command.hpp"
#include <memfs_cache/core/json.hpp>

#include <boost/json/array.hpp>

#include <cstdio>
#include <memory>
#include <optional>

using namespace memfs_cache;

namespace {

using Service = Cache_Service<Any_Storage>;

/// "2026-02-13" or "2026-02-13T14:30"
auto parse_time(std::string const& option, std::string const& text, Utc_Time otherwise) -> Utc_Time {
    if (text.empty())
        return otherwise;
    auto const window = Base_Window::parse(text.size() == 10 ? text + "T00:00" : text);
    if (!window)
        throw Failure{wrong_usage,
                      fail(Errc::invalid_argument, option + ": give 2026-02-13, or 2026-02-13T14:30, in UTC")};
    return window->start();
}

/// A namespace of the library, or one of analytics.
void open_namespace(Service& service, std::string const& name) {
    if (name == Service::ns_tokens)
        or_exit(service.open_tokens(name));
    else
        or_exit(service.open_analytics(name));
}

void show(std::vector<Kept_From_Purge> const& stays) {
    for (auto const& one : stays)
        std::printf("  kept %s: %s\n", one.what.c_str(), one.why.c_str());
}

struct Purge_Command {
    Store_Options store;
    std::string name_space;
    std::string by;
    Retention_Policy policy;
    bool dry_run = false;
    bool json = false;

    [[nodiscard]] auto run() const -> int {
        Service service(store.open_storage(), store.service_options());
        if (!name_space.empty())
            open_namespace(service, name_space);
        auto const reports = or_exit(service.purge(
            name_space.empty() ? std::nullopt : std::optional<std::string_view>(name_space), dry_run, policy, by));
        or_exit(service.close());
        boost::json::object all;
        for (auto const& [name, report] : reports) {
            if (json) {
                all[name] = report.to_json();
                continue;
            }
            std::printf(
                "%s: %s %llu objects, %llu bytes: %llu events of %llu half-hours, %llu windows, %llu saved answers, "
                "%zu salts\n",
                name.c_str(), dry_run ? "would delete" : "deleted",
                static_cast<unsigned long long>(report.objects.size()), static_cast<unsigned long long>(report.bytes),
                static_cast<unsigned long long>(report.events), static_cast<unsigned long long>(report.half_hours),
                static_cast<unsigned long long>(report.windows), static_cast<unsigned long long>(report.questions),
                report.salts.size());
            show(report.kept);
        }
        if (json)
            std::printf("%s\n", json_text(all).c_str());
        return done;
    }
};

struct Rebuild_Command {
    Store_Options store;
    std::string name_space = "analytics";
    std::string from, to;
    std::size_t limit = 1000;
    bool due = false;
    bool dry_run = false;
    bool json = false;

    [[nodiscard]] auto run() const -> int {
        Service service(store.open_storage(), store.service_options());
        open_namespace(service, name_space);
        if (due) {
            auto const report = or_exit(service.refresh_due(limit));
            or_exit(service.close());
            std::printf(json ? "{\"rebuilt\":%llu,\"more\":%s}\n" : "rebuilt %llu windows%s\n",
                        static_cast<unsigned long long>(report.rebuilt),
                        json ? (report.more ? "true" : "false") : (report.more ? "; there may be more" : ""));
            return done;
        }
        auto const start = parse_time("--from", from, earliest_time);
        auto const end = parse_time("--to", to, latest_time);
        auto const report = or_exit(service.rebuild(name_space, start, end, dry_run));
        or_exit(service.close());
        if (json) {
            std::printf("%s\n", json_text(report.to_json()).c_str());
            return done;
        }
        std::printf("%s %zu windows\n", dry_run ? "would rebuild" : "rebuilt", report.rebuilt.size());
        show(report.refused);
        return done;
    }
};

struct Hold_Command {
    Store_Options store;
    std::string name_space = "analytics";
    std::string name, reason, from, to;

    [[nodiscard]] auto set() const -> int {
        Service service(store.open_storage(), store.service_options());
        Hold const hold{name, reason, parse_time("--from", from, earliest_time), parse_time("--to", to, latest_time),
                        service.clock()->now()};
        or_exit(or_exit(service.holds(name_space)).set(hold));
        std::printf("'%s' holds %s\n", name.c_str(), name_space.c_str());
        return done;
    }
    [[nodiscard]] auto release() const -> int {
        Service service(store.open_storage(), store.service_options());
        bool const was_there = or_exit(or_exit(service.holds(name_space)).release(name));
        std::printf(was_there ? "'%s' is released\n" : "there is no hold '%s'\n", name.c_str());
        return was_there ? done : failed;
    }
    [[nodiscard]] auto list() const -> int {
        Service service(store.open_storage(), store.service_options());
        boost::json::array all;
        for (auto const& hold : or_exit(or_exit(service.holds(name_space)).list()))
            all.push_back(hold.to_object());
        std::printf("%s\n", json_text({{"holds", std::move(all)}}).c_str());
        return done;
    }
};

} // namespace

auto add_purge(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Purge_Command>();
    auto* command = app.add_subcommand("purge", "Delete events and windows that are old enough; safe at any time");
    options->store.add_to(*command);
    command->add_option("--namespace", options->name_space, "this one alone");
    command
        ->add_option("--raw-days,--retention-raw-days", options->policy.raw_days, "delete raw events so old; 0: none")
        ->capture_default_str()
        ->envname("MEMFS_CACHE_RETENTION_RAW_DAYS");
    command
        ->add_option("--windows-days,--retention-windows-days", options->policy.windows_days,
                     "delete saved windows and answers so old; 0: none")
        ->capture_default_str()
        ->envname("MEMFS_CACHE_RETENTION_WINDOWS_DAYS");
    command->add_option("--by", options->by, "who asks, for the record in the store");
    command->add_flag("--dry-run", options->dry_run, "change nothing, say what would be deleted");
    command->add_flag("--json", options->json, "every object, as one JSON object");
    return [options] { return options->run(); };
}

auto add_rebuild(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Rebuild_Command>();
    auto* command = app.add_subcommand("rebuild", "Build saved windows again from what they are made of");
    options->store.add_to(*command);
    command->add_option("namespace", options->name_space, "analytics, tokens or one of analytics")
        ->capture_default_str();
    command->add_option("--from", options->from, "windows that touch this time and later ones, such as 2026-02-13");
    command->add_option("--to", options->to, "up to this time, not included");
    command->add_flag("--due", options->due, "instead: those of all namespaces that late events have overtaken");
    command->add_option("--limit", options->limit, "with --due: at most so many")->capture_default_str();
    command->add_flag("--dry-run", options->dry_run, "change nothing, say which windows");
    command->add_flag("--json", options->json, "the report as one JSON object");
    return [options] { return options->run(); };
}

auto add_hold(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Hold_Command>();
    auto* command = app.add_subcommand("hold", "Keep events from being purged until they are released");
    command->require_subcommand(1);
    auto const add_one = [&](char const* word, char const* help) {
        auto* one = command->add_subcommand(word, help);
        options->store.add_to(*one);
        one->add_option("--namespace", options->name_space, "of the events")->capture_default_str();
        return one;
    };
    auto* set = add_one("set", "Hold the windows of a range, or all");
    set->add_option("name", options->name, "of the hold")->required();
    set->add_option("--reason", options->reason, "why")->required();
    set->add_option("--from", options->from, "windows that touch this time and later ones, such as 2026-02-13");
    set->add_option("--to", options->to, "up to this time, not included");
    auto* release = add_one("release", "Let a hold go");
    release->add_option("name", options->name, "of the hold")->required();
    add_one("list", "Show all holds as one JSON object");
    return [options, set, release] {
        return set->parsed() ? options->set() : release->parsed() ? options->release() : options->list();
    };
}
