// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/events/base_window.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// The levels of the cascade. A level is built from the one below it; half-hours are built from raw events.
enum class Window_Type { half_hour, hourly, daily, weekly, monthly, yearly };

inline constexpr std::array all_window_types{Window_Type::half_hour, Window_Type::hourly,  Window_Type::daily,
                                             Window_Type::weekly,    Window_Type::monthly, Window_Type::yearly};

/// "30min", "hourly", "daily", "weekly", "monthly" or "yearly".
[[nodiscard]] auto to_text(Window_Type type) noexcept -> std::string_view;
/// @errors invalid_argument naming the six words
[[nodiscard]] auto parse_window_type(std::string_view text) -> Result<Window_Type>;
/// The level that a level is built from; nothing for half-hours. Weeks and months are both built from days.
[[nodiscard]] auto child_type(Window_Type type) noexcept -> std::optional<Window_Type>;

/// A window of one level: [start, end) in UTC.
class Window {
  public:
    /// From a key such as 2026-02-13T14:00, 2026-02-13T14, 2026-02-13, 2026-W07, 2026-02 or 2026.
    /// @errors invalid_argument naming the form that the level wants
    [[nodiscard]] static auto parse(Window_Type type, std::string_view key) -> Result<Window>;
    /// The window of a level that holds an instant between 1970 and 2286.
    [[nodiscard]] static auto containing(Window_Type type, Utc_Time time) -> Window;

    [[nodiscard]] auto type() const noexcept -> Window_Type { return type_; }
    [[nodiscard]] auto start() const noexcept -> Utc_Time { return start_; }
    [[nodiscard]] auto end() const noexcept -> Utc_Time { return end_; }
    [[nodiscard]] auto next() const -> Window { return containing(type_, end_); }

    /// The key, as parse() reads it.
    [[nodiscard]] auto key() const -> std::string;
    /// Its file below "aggregations/": "30min/2026/02/13/14-00.json", "hourly/2026/02/13/14.json",
    /// "daily/2026/02/13.json", "weekly/2026-W07.json", "monthly/2026/02.json", "yearly/2026.json".
    [[nodiscard]] auto file() const -> std::string;
    /// The inverse of file(); nothing for any other text.
    [[nodiscard]] static auto from_file(std::string_view file) -> std::optional<Window>;

    friend auto operator==(Window const&, Window const&) -> bool = default;

  private:
    Window(Window_Type type, Utc_Time start, Utc_Time end) noexcept : type_(type), start_(start), end_(end) {}
    Window_Type type_;
    Utc_Time start_, end_;
};

} // namespace memfs_cache
