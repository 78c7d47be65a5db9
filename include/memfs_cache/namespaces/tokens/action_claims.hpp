// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>
#include <memfs_cache/storage/words.hpp>

#include <condition_variable>
#include <mutex>
#include <set>

namespace memfs_cache {

/// Remembers for a day which actions a token was used for, so that a use that is tried again counts once, in any process:
/// `{token}/{day}/{hash of the action}.json`, created only if absent by whoever has spent a use on it.
/// Threads  any
/// Cost     of a new action: three reads and a write; of a known one: one or two reads
template <StorageBackend Storage>
class Action_Claims {
  public:
    /// @param  folder  root of all claims, with a '/' at its end
    Action_Claims(Storage& storage, std::string folder) : storage_(storage), folder_(std::move(folder)) {}

    /// Spends a use on an action, unless one has been spent already.
    /// @param  spend     () -> Result<Token_Use>
    /// @param  give_back () -> Result<void>: somebody else has spent one on the same action just now
    /// @param  already   () -> Result<Token_Use>: the answer for an action that is paid for
    template <class Spend, class Give_Back, class Already>
    auto once(std::string const& cache_id,
              std::string_view action_id,
              Utc_Time now,
              Spend&& spend,
              Give_Back&& give_back,
              Already&& already) -> Result<Token_Use> {
        auto const action = hash_.from_bytes(action_id);
        One_At_A_Time const alone(*this, cache_id + "/" + action);
        auto const known = is_claimed(cache_id, action, now);
        if (!known)
            return known.error();
        if (*known)
            return already();
        auto const used = spend();
        if (!used)
            return used;
        if (!used->success) { // the last use may just have gone to this very action, in another process
            auto const claimed = is_claimed(cache_id, action, now);
            if (claimed && *claimed)
                return already();
            return used;
        }
        auto const mine = claim(cache_id, action, now);
        if (mine && !*mine) {
            if (auto const done = give_back(); !done)
                return done.error();
            return already();
        }
        return used; // a claim that could not be stored may let a later try count again, never grant beyond the limit
    }

  private:
    static constexpr std::chrono::hours remembered{24};

    /// Within the process the same action waits for itself.
    class One_At_A_Time {
      public:
        One_At_A_Time(Action_Claims& claims, std::string action) : claims_(claims) {
            std::unique_lock lock(claims_.mutex_);
            claims_.over_.wait(lock, [&] { return !claims_.running_.contains(action); });
            here_ = claims_.running_.insert(std::move(action)).first;
        }
        One_At_A_Time(One_At_A_Time const&) = delete;
        auto operator=(One_At_A_Time const&) -> One_At_A_Time& = delete;
        ~One_At_A_Time() {
            std::lock_guard const lock(claims_.mutex_);
            claims_.running_.erase(here_);
            claims_.over_.notify_all();
        }

      private:
        Action_Claims& claims_;
        std::set<std::string>::iterator here_;
    };

    [[nodiscard]] auto path(std::string const& cache_id, std::string_view action, Utc_Time day) const -> std::string {
        return (folder_ + cache_id + "/" + date_text(day) + "/").append(action).append(".json");
    }

    /// Within the last 24 hours.
    auto is_claimed(std::string const& cache_id, std::string_view action, Utc_Time now) const -> Result<bool> {
        for (auto const day : {day_of(now), day_of(now) - std::chrono::days(1)}) {
            auto const found = read(storage_, path(cache_id, action, day));
            if (!found)
                return found.error();
            if (!*found)
                continue;
            auto const object = parse_object(**found, "the claim of an action");
            if (!object)
                return object.error();
            Member_Reader reader(*object);
            auto const at = from_millis(reader.signed_number("at"));
            if (!reader.good())
                return fail(Errc::corrupt_data, "the claim of an action: member 'at' is wrong");
            if (now < at + remembered)
                return true;
        }
        return false;
    }

    /// @return whether it is this caller's
    auto claim(std::string const& cache_id, std::string_view action, Utc_Time now) -> Result<bool> {
        auto const bytes = json_text({{"v", 1}, {"at", to_millis(now)}, {"nonce", random_hex(7)}});
        Storage_Key const key(path(cache_id, action, day_of(now)));
        auto const put = storage_.put(key, bytes, Precondition::absent());
        if (put && put->state == Put_State::applied)
            return true;
        auto const there = storage_.get(key);
        if (!there)
            return there.error();
        return !*there || (*there)->bytes == bytes;
    }

    Storage& storage_;
    std::string folder_;
    Cache_Hash hash_ = Cache_Hash::create("sha256", 32).value();
    std::mutex mutex_;
    std::condition_variable over_;
    std::set<std::string> running_; ///< guarded by mutex_
};

} // namespace memfs_cache
