// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

namespace memfs_cache {

/// An instant in UTC with millisecond resolution; the only time type that is stored.
using Utc_Time = std::chrono::sys_time<std::chrono::milliseconds>;

[[nodiscard]] constexpr auto to_millis(Utc_Time time) noexcept -> std::int64_t {
    return time.time_since_epoch().count();
}
[[nodiscard]] constexpr auto from_millis(std::int64_t millis) noexcept -> Utc_Time {
    return Utc_Time(std::chrono::milliseconds(millis));
}

/// Where "now" comes from. Everything that stamps or judges an event asks the clock it was given; only timers
/// (flush intervals, waits) use the steady clock of the machine.
/// Threads: now() may be called from any thread.
class Clock {
  public:
    Clock() = default;
    Clock(Clock const&) = delete;
    auto operator=(Clock const&) -> Clock& = delete;
    virtual ~Clock() = default;
    [[nodiscard]] virtual auto now() const noexcept -> Utc_Time = 0;
};

using Clock_Ptr = std::shared_ptr<Clock const>;

/// The machine's clock.
class System_Clock final : public Clock {
  public:
    [[nodiscard]] auto now() const noexcept -> Utc_Time override {
        return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    }
};

/// A clock that stands still until it is told to move; for tests and replays.
class Manual_Clock final : public Clock {
  public:
    explicit Manual_Clock(Utc_Time start) : millis_(to_millis(start)) {}
    [[nodiscard]] auto now() const noexcept -> Utc_Time override { return from_millis(millis_.load()); }
    void set(Utc_Time time) noexcept { millis_.store(to_millis(time)); }
    void advance(std::chrono::milliseconds by) noexcept { millis_.fetch_add(by.count()); }

  private:
    std::atomic<std::int64_t> millis_;
};

} // namespace memfs_cache
