// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/lets/window.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

namespace memfs_cache {

[[nodiscard]] auto salt_text(Sip_Key const& salt) -> std::string;
/// @return nothing if the salt was destroyed and a tombstone stands in its place
/// @errors corrupt_data
[[nodiscard]] auto parse_salt(std::string_view text) -> Result<std::optional<Sip_Key>>;

/// The secrets under which visitors are hashed: one for each UTC day (or week, or month), random, shared by all
/// processes of a store, readable by its owner only, never exported, shown or logged. Once a salt is destroyed nobody
/// can link its hashes to anybody again.
///
/// Threads  any. Waits for the storage the first time that a period is asked for.
template <StorageBackend Storage>
class Day_Salts {
  public:
    Day_Salts(Storage& storage, Log_Paths const& paths) : storage_(storage), paths_(paths) {}

    /// The salt of the period that an instant lies in; created if nobody did yet.
    /// @param  period  "day", "week" or "month"
    /// @return nothing if it was destroyed: visitors of that period stay unknown
    /// @errors what the storage says; it is asked again after a second at the earliest
    [[nodiscard]] auto salt_of(Utc_Time time, std::string_view period) -> Result<std::optional<Sip_Key>> {
        auto const start = period_start(time, period);
        {
            std::shared_lock const lock(mutex_);
            if (auto const known = known_.find(start); known != known_.end())
                return known->second;
        }
        std::unique_lock const lock(mutex_);
        if (auto const known = known_.find(start); known != known_.end())
            return known->second;
        auto const steady_now = std::chrono::steady_clock::now();
        if (failed_ && steady_now < *failed_ + std::chrono::seconds(1))
            return fail(Errc::unavailable, "the salt of the day could not be read a moment ago");
        auto salt = fetch(start);
        if (!salt) {
            failed_ = steady_now;
            return salt.error();
        }
        failed_.reset();
        known_.emplace(start, *salt);
        return salt;
    }

    /// The same for the period after the one of `now`, if that ends within the hour: so that midnight finds a salt.
    void prepare_next(Utc_Time now, std::string_view period) {
        auto const soon = now + std::chrono::hours(1);
        if (period_start(soon, period) != period_start(now, period))
            (void)salt_of(soon, period);
    }

    [[nodiscard]] static auto period_start(Utc_Time time, std::string_view period) -> Utc_Time {
        if (period == "week")
            return Window::containing(Window_Type::weekly, time).start();
        if (period == "month")
            return Window::containing(Window_Type::monthly, time).start();
        return day_of(time);
    }

  private:
    /// Create if absent, then take what stands there: of two creators both use the winner's.
    auto fetch(Utc_Time start) -> Result<std::optional<Sip_Key>> {
        auto const key = paths_.under("salts/" + date_text(start) + ".json");
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
        return parse_salt((*object)->bytes);
    }

    Storage& storage_;
    Log_Paths const& paths_;
    std::shared_mutex mutex_;
    std::map<Utc_Time, std::optional<Sip_Key>> known_;
    std::optional<std::chrono::steady_clock::time_point> failed_;
};

} // namespace memfs_cache
