// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/events/base_window.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace memfs_cache {

/// Where one namespace keeps what belongs to its event log; the only place that knows these names.
class Log_Paths {
  public:
    /// @param  root  root prefix, "" or without a slash at its end
    Log_Paths(std::string_view root, Namespace_Name const& name)
        : prefix_(std::string(root).append(root.empty() ? "" : "/").append(name.str()).append("/data/")),
          name_(name.str()) {}

    [[nodiscard]] auto namespace_name() const noexcept -> std::string const& { return name_; }
    /// "cache/analytics/data/"
    [[nodiscard]] auto data_prefix() const noexcept -> std::string const& { return prefix_; }

    [[nodiscard]] auto settings() const -> Storage_Key { return under("state/settings.json"); }
    [[nodiscard]] auto ledger() const -> Storage_Key { return under("state/ledger.json"); }
    [[nodiscard]] auto raw_prefix() const -> std::string { return prefix_ + "raw/"; }
    /// Folder of the hour of a half-hour, with a slash at its end.
    [[nodiscard]] auto raw_folder(Base_Window window) const -> std::string {
        return raw_prefix() + window.hour_folder() + "/";
    }
    [[nodiscard]] auto writers_prefix() const -> std::string { return prefix_ + "writers/"; }
    [[nodiscard]] auto manifest(std::string_view writer) const -> Storage_Key {
        return under(std::string("writers/").append(writer).append(".json"));
    }
    /// The writer id of a manifest's key; nothing for keys that are none.
    [[nodiscard]] auto writer_of_manifest(std::string_view key) const -> std::optional<std::string> {
        auto const prefix = writers_prefix();
        constexpr std::string_view suffix = ".json";
        if (!key.starts_with(prefix) || !key.ends_with(suffix) || key.size() != prefix.size() + 16 + suffix.size())
            return std::nullopt;
        auto const writer = key.substr(prefix.size(), 16);
        if (!parse_hex(writer))
            return std::nullopt;
        return std::string(writer);
    }
    /// Folder of the partial summaries of a half-hour, with a slash at its end.
    [[nodiscard]] auto partials_folder(Base_Window window) const -> std::string {
        auto const folder = window.hour_folder(); // 2026/02/13/14
        return prefix_ + "partial/" + folder + (window.index_in_day() % 2 == 0 ? "-00/" : "-30/");
    }
    [[nodiscard]] auto partial(Base_Window window, std::string_view writer) const -> Storage_Key {
        return Storage_Key(partials_folder(window).append(writer).append(".json"));
    }
    /// Of the saved window of a half-hour.
    [[nodiscard]] auto saved_half_hour(Base_Window window) const -> Storage_Key {
        auto const folder = window.hour_folder(); // 2026/02/13/14
        return under("aggregations/30min/" + folder + (window.index_in_day() % 2 == 0 ? "-00.json" : "-30.json"));
    }
    [[nodiscard]] auto purged_prefix() const -> std::string { return prefix_ + "purged/"; }
    /// What was purged of a UTC day.
    [[nodiscard]] auto purge_mark(Utc_Time day) const -> Storage_Key {
        return Storage_Key(purged_prefix().append(date_text(day, '/')).append(".json"));
    }
    /// The day of a purge mark's key; nothing for keys that are none.
    [[nodiscard]] auto day_of_purge_mark(std::string_view key) const -> std::optional<Utc_Time> {
        auto const prefix = purged_prefix();
        if (!key.starts_with(prefix) || key.size() != prefix.size() + 15)
            return std::nullopt;
        auto midnight = std::string(key.substr(prefix.size(), 10)).append("T00:00"); // 2026/02/13
        midnight[4] = midnight[7] = '-';
        auto const window = Base_Window::parse(midnight);
        if (!window || key != purge_mark(window->start()).str())
            return std::nullopt;
        return window->start();
    }
    /// What was brought in lately.
    [[nodiscard]] auto received() const -> Storage_Key { return under("state/received.json"); }
    [[nodiscard]] auto late_prefix() const -> std::string { return prefix_ + "late/"; }
    [[nodiscard]] auto under(std::string_view rest) const -> Storage_Key {
        return Storage_Key(std::string(prefix_).append(rest));
    }

  private:
    std::string prefix_;
    std::string name_;
};

} // namespace memfs_cache
