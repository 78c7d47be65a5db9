// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

namespace memfs_cache {

/// Remembers for a day which actions a token was used for, so that a use that is tried again counts once, in any process:
/// `{day}/{token}/{hash of the action}.json`, created only if absent by whoever has spent a use on it. Whoever tries one
/// action in two processes at the same moment on either side of midnight may have it counted twice.
///
/// Of each token most_remembered actions are remembered, and soon after there are more, those of the older day are
/// forgotten first.
/// Threads  any
/// Cost     of a new action: two reads and a write; of a known one: one or two reads. What is forgotten is looked for
///          in tidy() alone.
template <StorageBackend Storage>
class Action_Claims {
  public:
    /// @param  folder  root of all claims, with a '/' at its end
    Action_Claims(Storage& storage, std::string folder, std::size_t most_remembered = 65'536)
        : storage_(storage), folder_(std::move(folder)), most_remembered_(most_remembered) {}

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
        count_claim(cache_id);
        if (mine && !*mine) {
            if (auto const done = give_back(); !done)
                return done.error();
            return already();
        }
        return used; // a claim that could not be stored may let a later try count again, never grant beyond the limit
    }

    /// Forgets what is old or too much. For a background thread, now and then.
    /// @errors what the storage says; what is left is tried again by the next call
    /// Cost    mostly nothing; once a day, and as long as there is something to forget, a list and at most a page of
    ///         erases; a list of a token's claims each time that this process has added an eighth of what is remembered
    [[nodiscard]] auto tidy(Utc_Time now) -> Result<void> {
        if (auto const done = forget_old(now); !done)
            return done;
        for (auto const& cache_id : grown_tokens())
            if (auto const done = forget_excess(cache_id, now); !done)
                return done;
        return {};
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

    [[nodiscard]] auto token_folder(std::string const& cache_id, Utc_Time day) const -> std::string {
        return (folder_ + date_text(day) + "/" + cache_id).append("/");
    }
    [[nodiscard]] auto path(std::string const& cache_id, std::string_view action, Utc_Time day) const -> std::string {
        return token_folder(cache_id, day).append(action).append(".json");
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

    /// Erases claims of days that nobody asks about any more: the first ones, as days are listed in their order.
    auto forget_old(Utc_Time now) -> Result<void> {
        auto const today = day_of(now);
        {
            std::lock_guard const lock(mutex_);
            if (forgotten_on_ == today)
                return {};
        }
        auto const first_kept = folder_ + date_text(today - std::chrono::days(1));
        auto const page = storage_.list({folder_, {}, page_items});
        if (!page)
            return page.error();
        for (auto const& item : page->items) {
            if (item.key >= first_kept)
                break;
            if (auto const gone = storage_.erase(Storage_Key(item.key), Precondition::none()); !gone)
                return gone.error();
        }
        if (page->items.size() == page_items && page->items.back().key < first_kept)
            return {}; // there may be more; the next call goes on
        std::lock_guard const lock(mutex_);
        forgotten_on_ = today;
        return {};
    }

    void count_claim(std::string const& cache_id) {
        std::lock_guard const lock(mutex_);
        ++added_[cache_id];
    }

    /// Tokens to which this process has added so many claims that it is time to look how many there are.
    auto grown_tokens() -> std::vector<std::string> {
        std::lock_guard const lock(mutex_);
        std::vector<std::string> grown;
        for (auto& [cache_id, count] : added_)
            if (count > most_remembered_ / 8)
                grown.push_back(cache_id);
        return grown;
    }

    auto forget_excess(std::string const& cache_id, Utc_Time now) -> Result<void> {
        std::vector<std::string> all;
        for (auto const day : {day_of(now) - std::chrono::days(1), day_of(now)}) {
            auto paths = files_list(storage_, token_folder(cache_id, day));
            if (!paths)
                return paths.error();
            all.insert(all.end(), paths->begin(), paths->end());
        }
        auto const excess = all.size() - std::min(all.size(), most_remembered_);
        for (std::size_t i = 0; i < excess; ++i)
            if (auto const gone = storage_.erase(Storage_Key(all[i]), Precondition::none()); !gone)
                return gone.error();
        std::lock_guard const lock(mutex_);
        added_.erase(cache_id);
        return {};
    }

    static constexpr std::size_t page_items = 1'000;

    Storage& storage_;
    std::string const folder_;
    std::size_t const most_remembered_;
    Cache_Hash hash_ = Cache_Hash::create("sha256", 32).value();
    std::mutex mutex_;
    std::condition_variable over_;
    std::set<std::string> running_;            ///< guarded by mutex_, as the two below
    std::map<std::string, std::size_t> added_; ///< by token: claims since it was last looked how many there are
    std::optional<Utc_Time> forgotten_on_;     ///< the day that nothing older than its eve is left on
};

} // namespace memfs_cache
