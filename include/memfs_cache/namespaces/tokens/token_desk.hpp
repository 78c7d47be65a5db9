// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace memfs_cache {

/// One change of a token that a caller waits for.
class Token_Change {
  public:
    Token_Change() = default;
    Token_Change(Token_Change const&) = delete;
    auto operator=(Token_Change const&) -> Token_Change& = delete;
    virtual ~Token_Change() = default;

    /// Looks at the token and may change it. Called again, with the newest state, whenever a write did not take effect;
    /// what the last call made of it holds if the caller is told that all is well.
    /// @return whether it changed anything
    virtual auto apply(Token_Record& token, Utc_Time now) -> bool = 0;
};

/// Changes one token exactly: each write is conditional on the state that it was derived from, and nobody is told of a
/// change before its write is known to have taken effect. So a limit holds across threads, processes and machines, on
/// any storage with conditional puts, whatever answers get lost or late; an outcome that stays unknown may cost uses, and
/// never grants one too many.
///
/// Callers that come while a write is under way share the next one.
/// Threads  any
/// Cost     one put for all callers of a moment; one get more after somebody else has changed the token, and before a
///          refusal, which is never given on the strength of a state that may be old
template <StorageBackend Storage>
class Token_Desk {
  public:
    Token_Desk(Storage& storage, Storage_Key key, Clock_Ptr clock)
        : storage_(storage), key_(std::move(key)), clock_(std::move(clock)) {}

    /// @return whether there is such a token
    /// @errors what the storage says; unavailable if the outcome is not known or others change the token all the time
    [[nodiscard]] auto change(Token_Change& change) -> Result<bool> {
        Ticket ticket{&change, std::nullopt};
        std::unique_lock lock(mutex_);
        waiting_.push_back(&ticket);
        // A write to memory is over before a thread has fallen asleep.
        for (int turns = 0; turns < patience && busy_ && !ticket.outcome; ++turns)
            give_way(lock);
        while (busy_ && !ticket.outcome)
            served_.wait(lock);
        if (!ticket.outcome)
            lead(lock);
        return *std::move(ticket.outcome);
    }

    /// The token as it is now. One get.
    [[nodiscard]] auto read() const -> Result<std::optional<Token_Record>> {
        auto const state = load();
        if (!state)
            return state.error();
        return *state ? std::optional((*state)->token) : std::nullopt;
    }

  private:
    using Outcome = Result<bool>; ///< whether there is such a token
    struct Ticket {
        Token_Change* change;
        std::optional<Outcome> outcome;
    };
    struct State {
        Token_Record token;
        Version version;
    };
    enum class Fate { applied, never, unknown };
    using Steady = std::chrono::steady_clock;
    static constexpr int patience = 16;

    static void give_way(std::unique_lock<std::mutex>& lock) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
    }

    /// Serves all who wait.
    void lead(std::unique_lock<std::mutex>& lock) {
        busy_ = true;
        // Those who were served together come back together: to wait for them a little costs less than one more write.
        auto const started = Steady::now();
        while (waiting_.size() < last_served_ && Steady::now() - started < last_took_ / 8)
            give_way(lock);
        auto const batch = std::exchange(waiting_, {});
        last_served_ = batch.size();
        lock.unlock();
        auto const begun = Steady::now();
        auto const outcome = serve_guarded(batch);
        last_took_ = Steady::now() - begun;
        lock.lock();
        for (auto* const one : batch)
            one->outcome = outcome;
        busy_ = false;
        served_.notify_all();
    }

    auto load() const -> Result<std::optional<State>> {
        auto const found = storage_.get(key_);
        if (!found)
            return found.error();
        if (!*found)
            return std::optional<State>();
        auto token = Token_Record::parse((*found)->bytes);
        if (!token)
            return fail(token.error().code, key_.str() + ": " + token.error().context);
        return std::optional(State{*std::move(token), (*found)->version});
    }

    /// Whatever goes wrong, those who wait are told.
    auto serve_guarded(std::vector<Ticket*> const& batch) -> Outcome {
        try {
            return serve(batch);
        } catch (std::exception const& error) {
            known_.reset();
            return fail(Errc::internal, key_.str() + ": " + error.what());
        }
    }

    auto serve(std::vector<Ticket*> const& batch) -> Outcome {
        constexpr int most_tries = 64;
        for (int tries = 0; tries < most_tries; ++tries) {
            bool const is_fresh = !known_;
            if (is_fresh) {
                auto loaded = load();
                if (!loaded)
                    return loaded.error();
                if (!*loaded)
                    return false;
                known_ = std::move(*loaded);
            }
            auto const now = clock_->now();
            bool changed = false;
            for (auto* const ticket : batch)
                changed = ticket->change->apply(known_->token, now) || changed;
            if (!changed) {
                if (is_fresh)
                    return true;
                known_.reset(); // a refusal needs the newest state
                continue;
            }
            switch (write(*std::exchange(known_, std::nullopt))) {
            case Fate::applied:
                return true;
            case Fate::never:
                continue;
            case Fate::unknown:
                return fail(Errc::unavailable, key_.str() + " may or may not be changed; try again");
            }
        }
        known_.reset();
        return fail(Errc::unavailable, key_.str() + " was changed by others 64 times in a row; try again");
    }

    /// Writes a changed token over the version that it was derived from. Afterwards the known state is the newest, or
    /// none.
    auto write(State next) -> Fate {
        constexpr int most_tries = 8;
        auto const base_version = next.version;
        auto const base_write = next.token.write_ids.empty() ? std::string() : next.token.write_ids.back();
        auto const write_id = random_hex(7);
        next.token.begin_write(write_id);
        auto const bytes = next.token.to_json();
        for (int tries = 0; tries < most_tries; ++tries) {
            auto put = storage_.put(key_, bytes, Precondition::only_if(base_version));
            if (put && put->state == Put_State::applied) {
                next.version = std::move(put->version);
                known_ = std::move(next);
                return Fate::applied;
            }
            if (tries == 0 && put && put->state == Put_State::not_applied)
                return Fate::never;
            // An error, no answer, or a refusal of what may already be there.
            auto found = load();
            if (!found)
                continue;
            if (!*found)
                return Fate::unknown; // somebody has taken the token away
            auto& now = **found;
            if (now.token.was_written_by(write_id)) {
                known_ = std::move(now);
                return Fate::applied;
            }
            if (now.version == base_version)
                continue; // it may still land: nothing else may be written before it is known, but the same bytes may
            // A version never comes back, so the write named one that is gone. That the state which it was derived from
            // is still among the last ones shows that no trace of it has been forgotten.
            if (!base_write.empty() && !now.token.was_written_by(base_write))
                return Fate::unknown;
            known_ = std::move(now);
            return Fate::never;
        }
        return Fate::unknown;
    }

    Storage& storage_;
    Storage_Key const key_;
    Clock_Ptr const clock_;

    std::mutex mutex_;
    std::condition_variable served_;
    std::vector<Ticket*> waiting_;
    bool busy_ = false;            ///< somebody leads
    std::size_t last_served_ = 0;  ///< how many at once; like the next two it belongs to whoever leads
    Steady::duration last_took_{}; ///< for all of them
    std::optional<State> known_;   ///< the newest state that this process has seen
};

} // namespace memfs_cache
