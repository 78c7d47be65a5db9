// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// Exit codes of the command.
enum Exit_Code : int { done = 0, failed = 1, wrong_usage = 2 };

/// What to run when a subcommand was chosen; gives the exit code, or throws Failure or Cache_Error.
using Subcommand = std::function<int()>;

auto add_serve(CLI::App& app) -> Subcommand;
auto add_import(CLI::App& app) -> Subcommand;
auto add_query(CLI::App& app) -> Subcommand;
auto add_series(CLI::App& app) -> Subcommand;
auto add_pulse(CLI::App& app) -> Subcommand;
auto add_tokens(CLI::App& app) -> Subcommand;
auto add_costs(CLI::App& app) -> Subcommand;
auto add_transfers(CLI::App& app) -> Subcommand;
auto add_export(CLI::App& app) -> Subcommand;
auto add_probe(CLI::App& app) -> Subcommand;
auto add_verify(CLI::App& app) -> Subcommand;
auto add_purge(CLI::App& app) -> Subcommand;
auto add_rebuild(CLI::App& app) -> Subcommand;
auto add_hold(CLI::App& app) -> Subcommand;

/// How a storage is named, for help texts.
inline constexpr char storage_urls[] = "memory: | disk:PATH | sqlite:PATH | s3://bucket/prefix?...";

/// Ends the subcommand: main() says the error on stderr and exits with the code.
struct Failure {
    Exit_Code exit_code;
    memfs_cache::Error error;
};

/// The value, or the end of the subcommand: wrong usage where the error is about a value that the caller gave.
template <class T>
auto or_exit(memfs_cache::Result<T> result) -> T {
    using memfs_cache::Errc;
    if (!result) {
        auto const code = result.error().code;
        throw Failure{code == Errc::invalid_argument || code == Errc::unsupported ? wrong_usage : failed,
                      result.error()};
    }
    if constexpr (!std::is_void_v<T>)
        return *std::move(result);
}

/// The result with its error, if any, led by the option or key that it is about.
template <class T>
auto about(std::string const& subject, memfs_cache::Result<T> result) -> memfs_cache::Result<T> {
    if (!result)
        return memfs_cache::fail(result.error().code, subject + ": " + result.error().context);
    return result;
}

/// Says on stderr what went wrong.
void complain(std::string_view sentence);

/// A text that anybody may have written, in quotes and without effect on a terminal.
auto harmless(std::string_view text) -> std::string;
/// "2026-02-13 14:05:09", in UTC; "" for never.
auto time_text(memfs_cache::Utc_Time time) -> std::string;

/// One thing as one JSON object in a line, or as people read it.
template <class Thing, class Show>
void tell(bool json, Thing const& thing, Show const& in_words) {
    if (json)
        std::printf("%s\n", memfs_cache::json_text(thing.to_json()).c_str());
    else
        in_words(thing);
}

/// An option with its variable in the environment and its default in the help.
template <class T>
auto add(CLI::App& command, std::string const& name, T& value, std::string const& help) -> CLI::Option* {
    auto variable = "MEMFS_CACHE_" + name;
    std::transform(variable.begin(), variable.end(), variable.begin(), [](char c) {
        return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return command.add_option("--" + name, value, help)->capture_default_str()->envname(variable);
}

/// What the subcommands below a subcommand do.
/// @tparam Act  a pointer to the function that does it
template <class Act>
class Acts {
  public:
    auto add(CLI::App& parent, char const* name, char const* help, Act act) -> CLI::App& {
        auto& leaf = *parent.add_subcommand(name, help);
        leaf.fallthrough(); // the options of the parent may stand anywhere
        acts_.emplace_back(&leaf, act);
        return leaf;
    }
    /// Does what was asked for: run(Act) -> int.
    template <class Run>
    auto run(Run const& run) const -> int {
        for (auto const& [leaf, act] : acts_)
            if (leaf->parsed())
                return run(act);
        return wrong_usage;
    }

  private:
    std::vector<std::pair<CLI::App*, Act>> acts_;
};

/// --filter dimension=value, any number of times.
void add_filter_to(CLI::App& command, std::vector<std::string>& filters);
[[nodiscard]] auto parse_filter(std::vector<std::string> const& words) -> memfs_cache::Analytics_Filter;

/// The options that every subcommand takes: where the store is and how its log was begun.
struct Store_Options {
    std::string url;
    std::string root_prefix = "cache";
    std::string name_space = "analytics";
    std::string grace_ms, salt_period; ///< "" leaves the choice to the store

    void add_to(CLI::App& command);
    /// For commands that take the namespace as an option.
    void add_namespace_to(CLI::App& command);

    [[nodiscard]] auto service_options() const -> memfs_cache::Service_Options;
    /// A URL that names no storage is wrong usage; a storage that cannot be used is a failure.
    [[nodiscard]] auto open_storage() const -> memfs_cache::Any_Storage;
};
