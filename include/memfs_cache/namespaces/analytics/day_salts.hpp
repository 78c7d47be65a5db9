// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/per_process.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/events/event_log.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

namespace memfs_cache {

/// Is this where any namespace keeps a salt? For whoever handles whole stores, so that salts stay with their owner.
[[nodiscard]] inline auto is_salt_key(std::string_view key) noexcept -> bool {
    return key.find("/data/salts/") != std::string_view::npos;
}

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
/// What takes the place of a salt that was destroyed.
inline constexpr std::string_view salt_tombstone = R"({"tombstone":true})";
/// @return nothing if the salt was destroyed and a tombstone stands in its place
/// @errors corrupt_data
[[nodiscard]] auto parse_salt(std::string_view text) -> Result<std::optional<Sip_Key>>;

/// The secrets under which visitors are hashed: one for each UTC day (or week, or month, as the settings of the log
/// say), random, shared by all processes of a store, readable by its owner only, never shown or logged, and copied only
/// where a whole store moves. Once a
/// salt is destroyed nobody can link its hashes to anybody again.
///
/// Threads  any. A period whose salt is known waits for nobody. For another one the storage is asked, by one caller while
///          the others wait. A child after fork() fetches anew what it needs, also when a thread of its parent was
///          fetching.
/// Cost     of the period that was asked for last: two comparisons. Of another known one: a shared lock.
template <StorageBackend Storage>
class Day_Salts {
  public:
    Day_Salts(Storage& storage, Event_Log<Storage>& log)
        : storage_(storage), log_(log), mine_([] { return std::make_unique<Known_Salts>(); }) {}

    /// The period that an instant lies in, with its salt; that is created if nobody did yet.
    /// @return good as long as this object, and in this process
    /// @errors what the storage says
    [[nodiscard]] auto period_of(Utc_Time time) -> Result<Salt_Period const*> {
        auto& mine = mine_.get();
        auto const* period = mine.last_used.load(std::memory_order_acquire);
        if (period == nullptr || !period->contains(time)) {
            auto const found = find(mine, time);
            if (!found)
                return found.error();
            period = *found;
            mine.last_used.store(period, std::memory_order_release);
        }
        return period;
    }

    /// The same for those who must not wait for a storage that fails: then it is left to prepare() to try again.
    /// @errors what the storage says; unavailable if the last try failed
    [[nodiscard]] auto period_unless_failing(Utc_Time time) -> Result<Salt_Period const*> {
        if (auto const& mine = mine_.get(); mine.failing.load(std::memory_order_relaxed) && !mine.knows(time))
            return fail(Errc::unavailable, "the salt of the day could not be read a moment ago");
        return period_of(time);
    }

    /// Does period_unless_failing() answer without asking the storage?
    [[nodiscard]] auto is_at_hand(Utc_Time time) const -> bool {
        auto const& mine = mine_.get();
        return mine.knows(time) || mine.failing.load(std::memory_order_relaxed);
    }

    /// Fetches what live events need next: the salt of the period of `now`, and in the last hour before the next period
    /// begins that one's, so that its first request finds it known.
    /// @errors the first that the storage says
    auto prepare(Utc_Time now) -> Result<void> {
        auto& mine = mine_.get();
        auto const current = find(mine, now);
        auto const next = find(mine, now + std::chrono::hours(1));
        mine.failing = !current || !next;
        if (!current)
            return current.error();
        if (!next)
            return next.error();
        return {};
    }

    /// Destroys the salts of periods that nobody needs any more: a tombstone takes the place of each, for ever.
    /// @param  may_go   (start, end) -> Result<bool>: is that so of a period?
    /// @param  dry_run  destroys none
    /// @return the keys of those that were, or would be, destroyed
    /// @errors what the storage and `may_go` say; conflict if somebody else changes a salt
    template <class MayGo>
    auto destroy(MayGo&& may_go, bool dry_run) -> Result<std::vector<std::string>> {
        std::vector<std::string> destroyed;
        auto const prefix = log_.paths().under("salts/x").str();
        auto const folder = prefix.substr(0, prefix.size() - 1);
        auto const keys = files_list(storage_, folder);
        if (!keys)
            return keys.error();
        for (auto const& key : *keys) {
            auto const first = Base_Window::parse(key.substr(folder.size(), 10).append("T00:00"));
            auto const period = first ? std::optional(period_at(first->start())) : std::nullopt;
            if (!period || key_of(*period).str() != key)
                continue;
            auto const object = storage_.get(Storage_Key(key));
            if (!object)
                return object.error();
            auto const salt = *object ? parse_salt((*object)->bytes) : std::optional<Sip_Key>();
            if (!salt)
                return fail(salt.error().code, key + ": " + salt.error().context);
            if (!*salt)
                continue;
            auto const goes = may_go(period->start, period->end);
            if (!goes)
                return goes.error();
            if (!*goes)
                continue;
            if (!dry_run) {
                auto const written = storage_.put(Storage_Key(key), salt_tombstone,
                                                  Precondition::only_if((*object)->version), {.owner_only = true});
                if (!written)
                    return written.error();
                if (written->state != Put_State::applied)
                    return fail(Errc::conflict, key + " is being changed; purge again");
            }
            destroyed.push_back(key);
        }
        return destroyed;
    }

    /// Takes the salt of the period of `now` from the storage if it is there; writes nothing.
    void load(Utc_Time now) {
        if (auto const stored = read(period_at(now)); stored && *stored)
            (void)mine_.get().keep(**stored);
    }

  private:
    /// What a process has fetched so far.
    class Known_Salts {
      public:
        std::atomic<Salt_Period const*> last_used{nullptr};
        std::mutex fetch_mutex;
        std::atomic<bool> failing{false}; ///< the last try to fetch did

        [[nodiscard]] auto knows(Utc_Time time) const -> bool {
            auto const* const period = last_used.load(std::memory_order_acquire);
            return (period != nullptr && period->contains(time)) || find(time) != nullptr;
        }
        [[nodiscard]] auto find(Utc_Time time) const -> Salt_Period const* {
            std::shared_lock const lock(mutex_);
            auto const after = periods_.upper_bound(time);
            if (after == periods_.begin())
                return nullptr;
            auto const& period = std::prev(after)->second;
            return period.contains(time) ? &period : nullptr;
        }
        auto keep(Salt_Period const& period) -> Salt_Period const* {
            std::unique_lock const lock(mutex_);
            return &periods_.emplace(period.start, period).first->second;
        }

      private:
        mutable std::shared_mutex mutex_;
        std::map<Utc_Time, Salt_Period> periods_; ///< by start; entries stay where they are
    };

    auto find(Known_Salts& mine, Utc_Time time) -> Result<Salt_Period const*> {
        if (auto const* period = mine.find(time))
            return period;
        std::unique_lock const one_at_a_time(mine.fetch_mutex);
        if (auto const* period = mine.find(time)) // somebody else's fetch
            return period;
        auto fetched = fetch(time);
        mine.failing = !fetched;
        if (!fetched)
            return fetched.error();
        return mine.keep(*fetched);
    }

    /// Create if absent, then take what stands there: of two creators both use the winner's. The settings are stored
    /// first, since a period is what all processes agree on.
    auto fetch(Utc_Time time) -> Result<Salt_Period> {
        if (auto const stored = log_.store_settings(); !stored)
            return stored.error();
        auto const period = period_at(time);
        auto stored = read(period);
        if (!stored)
            return stored.error();
        if (!*stored) {
            Sip_Key fresh{};
            fill_random(fresh.data(), fresh.size());
            auto const key = key_of(period);
            auto const written = storage_.put(key, salt_text(fresh), Precondition::absent(), {.owner_only = true});
            if (!written)
                return written.error();
            stored = read(period);
            if (!stored)
                return stored.error();
            if (!*stored)
                return fail(Errc::indeterminate, key.str() + " may not be stored yet; try again");
        }
        return **stored;
    }

    [[nodiscard]] auto period_at(Utc_Time time) const -> Salt_Period {
        return Salt_Period::containing(time, log_.settings().salt_period);
    }
    [[nodiscard]] auto key_of(Salt_Period const& period) const -> Storage_Key {
        return log_.paths().under("salts/" + date_text(period.start) + ".json");
    }

    /// The period with what is stored for it; nothing if nothing is.
    auto read(Salt_Period period) const -> Result<std::optional<Salt_Period>> {
        auto const key = key_of(period);
        auto const object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return std::optional<Salt_Period>();
        auto const salt = parse_salt((*object)->bytes);
        if (!salt)
            return fail(salt.error().code, key.str() + ": " + salt.error().context);
        period.salt = *salt;
        return std::optional(period);
    }

    Storage& storage_;
    Event_Log<Storage>& log_;
    mutable Per_Process<Known_Salts> mine_;
};

} // namespace memfs_cache
