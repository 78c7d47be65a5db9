// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/civil.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// The half-hour [start, end) in UTC that an event belongs to: the unit in which events are stored, closed and counted.
class Base_Window {
  public:
    static constexpr std::chrono::minutes length{30};
    static constexpr unsigned per_day = 48;

    /// The half-hour that holds an instant.
    [[nodiscard]] static constexpr auto containing(Utc_Time time) noexcept -> Base_Window {
        auto const units = std::chrono::floor<std::chrono::duration<std::int64_t, std::ratio<1800>>>(time);
        return Base_Window(std::chrono::time_point_cast<std::chrono::milliseconds>(units));
    }

    /// From "2026-02-13T14:00"; nothing for any other text.
    [[nodiscard]] static auto parse(std::string_view key) noexcept -> std::optional<Base_Window>;

    [[nodiscard]] constexpr auto start() const noexcept -> Utc_Time { return start_; }
    [[nodiscard]] constexpr auto end() const noexcept -> Utc_Time { return start_ + length; }
    [[nodiscard]] constexpr auto contains(Utc_Time time) const noexcept -> bool {
        return time >= start_ && time < end();
    }
    [[nodiscard]] constexpr auto next() const noexcept -> Base_Window { return Base_Window(end()); }

    /// Midnight of its UTC day, and its place in that day, 0..47.
    [[nodiscard]] auto day() const noexcept -> Utc_Time { return day_of(start_); }
    [[nodiscard]] auto index_in_day() const noexcept -> unsigned {
        return static_cast<unsigned>((start_ - day()) / length);
    }

    /// "2026-02-13T14:00"
    [[nodiscard]] auto key() const -> std::string;
    /// "2026/02/13/14": the folder of its hour, shared with its neighbour.
    [[nodiscard]] auto hour_folder() const -> std::string;

    friend constexpr auto operator<=>(Base_Window, Base_Window) = default;

  private:
    constexpr explicit Base_Window(Utc_Time start) noexcept : start_(start) {}
    Utc_Time start_;
};

} // namespace memfs_cache
