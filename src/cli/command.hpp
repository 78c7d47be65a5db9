// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/service/cache_service.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <functional>
#include <string>

/// Exit codes of the command.
enum Exit_Code : int { done = 0, failed = 1, wrong_usage = 2 };

/// One subcommand: declares its options and gives what to run when it was chosen.
using Subcommand = std::function<int()>;

auto add_serve(CLI::App& app) -> Subcommand;
auto add_import(CLI::App& app) -> Subcommand;
auto add_query(CLI::App& app) -> Subcommand;
auto add_pulse(CLI::App& app) -> Subcommand;

/// The options that every subcommand takes: where the store is and how its log was begun.
struct Store_Options {
    std::string url;
    std::string root_prefix = "cache";
    std::string name_space = "analytics";
    std::string grace_ms, salt_period; ///< "" leaves the choice to the store

    void add_to(CLI::App& command);
    /// @param  with_namespace  for commands that work on one namespace and take it as an option
    void add_namespace_to(CLI::App& command);
    [[nodiscard]] auto service_options() const -> memfs_cache::Result<memfs_cache::Service_Options>;
    [[nodiscard]] auto open_storage() const -> memfs_cache::Result<memfs_cache::Any_Storage>;
    /// As report(), for a storage that could not be opened: a URL that names no storage is wrong usage, a folder that
    /// cannot be used is a failure.
    [[nodiscard]] auto report_unopened(memfs_cache::Error const& error) const -> int;
};

/// Says on stderr what went wrong, and gives the exit code: wrong usage for values that the caller gave.
auto report(memfs_cache::Error const& error) -> int;
