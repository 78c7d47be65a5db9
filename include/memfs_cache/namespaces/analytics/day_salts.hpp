// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/events/event_log.hpp>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

namespace memfs_cache {

/// The time during which one salt is used, [start, end) in UTC, and the salt; nothing in its place once it has been
/// destroyed: visitors of that period stay unknown.
struct Salt_Period {
    Utc_Time start, end;
    std::optional<Sip_Key> salt;

    /// The period that holds an instant.
    /// @param  length  "day", "week" or "month"
    [[nodiscard]] static auto containing(Utc_Time time, std::string_view length) -> Salt_Period;
    [[nodiscard]] auto contains(Utc_Time time) const noexcept -> bool { return time >= start && time < end; }
};

[[nodiscard]] auto salt_text(Sip_Key const& salt) -> std::string;
/// @return nothing if the salt was destroyed and a tombstone stands in its place
/// @errors corrupt_data
[[nodiscard]] auto parse_salt(std::string_view text) -> Result<std::optional<Sip_Key>>;

/// The secrets under which visitors are hashed: one for each UTC day (or week, or month, as the settings of the log
/// say), random, shared by all processes of a store, readable by its owner only, never exported, shown or logged. Once a
/// salt is destroyed nobody can link its hashes to anybody again.
///
/// Threads  any. A period whose salt is known waits for nobody. For a new one the storage is asked, by one caller while
///          the others wait; while the storage fails nobody waits for another's try.
/// Cost     of the period that was asked for last: two comparisons. Of another known one: a shared lock.
template <StorageBackend Storage>
class Day_Salts {
  public:
    Day_Salts(Storage& storage, Event_Log<Storage>& log) : storage_(storage), log_(log) {}

    /// The salt of the period that an instant lies in; created if nobody did yet.
    /// @errors what the storage says; it is asked again after a second at the earliest
    [[nodiscard]] auto salt_of(Utc_Time time) -> Result<std::optional<Sip_Key>> {
        auto const* period = last_used_.load(std::memory_order_acquire);
        if (period == nullptr || !period->contains(time)) {
            auto const found = find(time);
            if (!found)
                return found.error();
            period = *found;
            last_used_.store(period, std::memory_order_release);
        }
        return period->salt;
    }

    /// Fetches the salt of the period behind the one of `now` in the last hour before it begins, so that its first
    /// request finds it known.
    void prepare_next(Utc_Time now) {
        auto const soon = to_millis(now + std::chrono::hours(1));
        if (soon < prepared_until_.load(std::memory_order_relaxed))
            return;
        if (auto const next = find(from_millis(soon)); next)
            prepared_until_.store(to_millis((*next)->end), std::memory_order_relaxed);
    }

  private:
    using Steady = std::chrono::steady_clock;
    static constexpr std::chrono::seconds pause_after_failure{1};

    auto known(Utc_Time time) const -> Salt_Period const* {
        std::shared_lock const lock(mutex_);
        auto const after = periods_.upper_bound(time);
        if (after == periods_.begin())
            return nullptr;
        auto const& period = std::prev(after)->second;
        return period.contains(time) ? &period : nullptr;
    }

    auto find(Utc_Time time) -> Result<Salt_Period const*> {
        if (auto const* period = known(time))
            return period;
        std::unique_lock const one_at_a_time =
            failing_.load() ? std::unique_lock(fetch_mutex_, std::try_to_lock) : std::unique_lock(fetch_mutex_);
        if (!one_at_a_time || Steady::now() < next_try_)
            return fail(Errc::unavailable, "the salt of the day could not be read a moment ago");
        if (auto const* period = known(time)) // somebody else's fetch
            return period;
        auto fetched = fetch(time);
        failing_ = !fetched;
        if (!fetched) {
            next_try_ = Steady::now() + pause_after_failure;
            return fetched.error();
        }
        std::unique_lock const lock(mutex_);
        auto const start = fetched->start;
        return &periods_.emplace(start, *std::move(fetched)).first->second;
    }

    /// Create if absent, then take what stands there: of two creators both use the winner's. The settings are stored
    /// first, since a period is what all processes agree on.
    auto fetch(Utc_Time time) -> Result<Salt_Period> {
        if (auto const stored = log_.store_settings(); !stored)
            return stored.error();
        auto period = Salt_Period::containing(time, log_.settings().salt_period);
        auto const key = log_.paths().under("salts/" + date_text(period.start) + ".json");
        auto object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object) {
            Sip_Key fresh{};
            fill_random(fresh.data(), fresh.size());
            auto const written = storage_.put(key, salt_text(fresh), Precondition::absent(), {.owner_only = true});
            if (!written)
                return written.error();
            object = storage_.get(key);
            if (!object)
                return object.error();
            if (!*object)
                return fail(Errc::indeterminate, key.str() + " may not be stored yet; try again");
        }
        auto const salt = parse_salt((*object)->bytes);
        if (!salt)
            return fail(salt.error().code, key.str() + ": " + salt.error().context);
        period.salt = *salt;
        return period;
    }

    Storage& storage_;
    Event_Log<Storage>& log_;

    std::atomic<Salt_Period const*> last_used_{nullptr};
    std::atomic<std::int64_t> prepared_until_{0};
    mutable std::shared_mutex mutex_;
    std::map<Utc_Time, Salt_Period> periods_; ///< by start; entries stay where they are

    std::mutex fetch_mutex_;
    std::atomic<bool> failing_{false};
    Steady::time_point next_try_{}; ///< guarded by fetch_mutex_
};

} // namespace memfs_cache
