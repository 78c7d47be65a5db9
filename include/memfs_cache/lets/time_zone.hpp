// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/lets/window.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace memfs_cache {

/// A window of a local calendar: [start, end) as instants, never empty. Windows of one type follow each other without a
/// gap, whatever the clocks of the zone do.
class Local_Window {
  public:
    /// One of UTC.
    explicit Local_Window(Window const& window)
        : Local_Window(window.type(), window.start(), window.end(), window.key()) {}
    Local_Window(Window_Type type, Utc_Time start, Utc_Time end, std::string key)
        : type_(type), start_(start), end_(end), key_(std::move(key)) {}

    [[nodiscard]] auto type() const noexcept -> Window_Type { return type_; }
    [[nodiscard]] auto start() const noexcept -> Utc_Time { return start_; }
    [[nodiscard]] auto end() const noexcept -> Utc_Time { return end_; }
    /// As a key of UTC, read off the local calendar; of a half-hour or hour with the offset behind it, since a local time
    /// may come twice: 2026-10-25T01+01:00, 2026-10-25, 2026-W43, 2026-10, 2026.
    [[nodiscard]] auto key() const noexcept -> std::string const& { return key_; }

    /// The window of UTC that is the same stretch of time, if there is one.
    [[nodiscard]] auto in_utc() const -> std::optional<Window>;
    /// The whole half-hours that hold it: wider than itself where it begins or ends off the half-hour.
    [[nodiscard]] auto half_hours() const -> std::pair<Utc_Time, Utc_Time>;

    friend auto operator==(Local_Window const&, Local_Window const&) -> bool = default;

  private:
    Window_Type type_;
    Utc_Time start_, end_;
    std::string key_;
};

/// The local calendar of a place, by the time zone database of the system. What zone the host itself lies in changes
/// nothing.
/// Threads  every call from any thread. Copies are cheap.
class Time_Zone {
  public:
    /// UTC, which needs no database.
    Time_Zone() = default;

    /// @param  name  "UTC", or an IANA name such as Europe/Lisbon
    /// @errors invalid_argument if there is no such zone; unsupported if this library was built without time zones
    /// Cost    a read of a small file, once in a process
    [[nodiscard]] static auto find(std::string_view name) -> Result<Time_Zone>;

    [[nodiscard]] auto name() const noexcept -> std::string const& { return name_; }

    /// The window of a type that holds an instant. Days begin at the first instant of their date, which is not 00:00
    /// where the clocks are set forward at midnight; weeks on Monday. A half-hour or an hour is one of the local clock and
    /// never spans a change of the offset, so that it is shorter where clocks are changed by half an hour.
    /// @param  time  1970 to 2286
    /// Cost    about a microsecond
    [[nodiscard]] auto containing(Window_Type type, Utc_Time time) const -> Local_Window;

  private:
    struct Rules;
    std::string name_ = "UTC";
    std::shared_ptr<Rules const> rules_; ///< null: UTC
};

} // namespace memfs_cache
