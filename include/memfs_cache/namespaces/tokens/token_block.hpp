// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/tokens/token_desk.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What a holder of leases needs to know, and whom it tells.
struct Block_Terms {
    Process_Identity holder = Process_Identity::current();
    /// Does the holder of a lease certainly not come back, or is it to be treated so?
    std::function<bool(Token_Lease const&, Utc_Time now)> is_gone = [](auto const&, Utc_Time) { return false; };
    std::function<void()> before_settling = [] {}; ///< makes safe what was recorded about uses from leases
    std::function<void(std::vector<Token_Lease> const&)> after_charging = [](auto const&) {};
    std::chrono::milliseconds idle{1'000};  ///< unused for so long, leases go back
    std::chrono::milliseconds stale{2'000}; ///< no use without a look at the token for so long
};

/// The uses of one token that this process has leased. Leases are written to the token by conditional writes and spent
/// here, without any: docs/format.md, "Blocks", has the protocol, docs/decisions/0018 the reasons.
///
/// What holds, whatever answers get lost or late and whoever dies:
/// - A use is granted only from a lease that is known to stand in the token. What is settled and what is leased are
///   together never more than the limit, so neither are the uses.
/// - A lease is ended once: by its holder with the uses that it granted, or by others with all of it. Whoever comes
///   second finds it gone and changes nothing.
/// - "Exhausted" is said only when all uses are settled. While others hold the rest they are asked to give it back.
///
/// Threads  any. Uses go on from what is leased while more is being leased.
/// Cost     of a use: a lock and no I/O; of a lease: one put, which also settles the one before; a get more when
///          somebody else has written meanwhile
template <StorageBackend Storage>
class Token_Block {
    struct Held {
        std::string id;
        std::uint64_t granted = 0;
        std::uint64_t spent = 0;
        std::uint64_t under_way = 0; ///< of those spent: nobody has said yet what came of them
        bool frozen = false;         ///< nothing more is spent
        [[nodiscard]] auto left() const noexcept -> std::uint64_t { return frozen ? 0 : granted - spent; }
        [[nodiscard]] auto is_drained() const noexcept -> bool { return left() == 0 && under_way == 0; }
    };

  public:
    using Steady = std::chrono::steady_clock;

    /// One use out of a lease. While it exists the lease is not settled; it counts unless it is given back.
    class Unit {
      public:
        Unit(Token_Block& block, Held& held) : block_(&block), held_(&held) {}
        Unit(Unit&& other) noexcept : block_(std::exchange(other.block_, nullptr)), held_(other.held_) {}
        auto operator=(Unit&&) -> Unit& = delete;
        ~Unit() {
            if (block_ != nullptr)
                block_->finish(*held_, true);
        }
        [[nodiscard]] auto lease_id() const noexcept -> std::string const& { return held_->id; }
        /// Nobody was told of it.
        void give_back() && { std::exchange(block_, nullptr)->finish(*held_, false); }

      private:
        Token_Block* block_;
        Held* held_;
    };
    struct Taken {
        Token_Use outcome;
        std::optional<Unit> unit; ///< if it was granted
        bool is_first = false;    ///< of a new lease: from now on tend() has something to do
        bool runs_low = false;    ///< time to lease ahead: call tend() soon
    };

    Token_Block(Token_Desk<Storage>& desk, Block_Terms terms) : desk_(desk), terms_(std::move(terms)) {}
    Token_Block(Token_Block const&) = delete;
    auto operator=(Token_Block const&) -> Token_Block& = delete;

    /// Takes one use.
    /// @return nothing while others hold all that is left: they are asked to give back what they do not need
    /// @errors what the storage says; unavailable if it is not known what was leased: the next call finds out; closed
    [[nodiscard]] auto take(Utc_Time now, Steady::time_point at) -> Result<std::optional<Taken>> {
        if (auto taken = take_leased(now, at))
            return taken;
        std::lock_guard const leading(lead_mutex_);
        if (auto taken = take_leased(now, at)) // somebody else has leased meanwhile
            return taken;
        if (holds() && is_stale(at)) {
            if (auto const looked = look(at); !looked)
                return looked.error();
            if (auto taken = take_leased(now, at))
                return taken;
        }
        for (;;) {
            Round round(*this, Wish::a_lease);
            if (auto const done = go_round(round, at); !done)
                return done.error();
            if (round.made.lease)
                return std::optional(take_from_newest(at, now));
            if (round.made.refusal)
                return std::optional(Taken{*round.made.refusal, std::nullopt, false, false});
            if (round.made.is_starving)
                return std::optional<Taken>();
            // This round went into making sure that a lost lease is lost.
        }
    }

    /// For a background thread, each time the token is to be looked at: gives back what is idle, recalled, over the limit
    /// or of no more use, and leases ahead. Does nothing while somebody else is at it.
    /// @errors what the storage says; call it again
    /// Cost     a get; a put if something changes
    [[nodiscard]] auto tend(Steady::time_point at) -> Result<void> {
        std::unique_lock const leading(lead_mutex_, std::try_to_lock);
        if (!leading || !holds())
            return {};
        if (is_idle(at))
            return give_back(at);
        if (auto const looked = look(at); !looked)
            return looked;
        if (!takes_wish_to_lease_ahead())
            return {};
        Round round(*this, Wish::ahead);
        return go_round(round, at);
    }

    /// Gives everything back, once what is under way is over. Nothing is leased afterwards.
    /// @errors what the storage says; then the leases stand until the next call, or until they are charged
    [[nodiscard]] auto close() -> Result<void> {
        std::lock_guard const leading(lead_mutex_);
        {
            std::unique_lock lock(mutex_);
            closed_ = true;
            freeze_all();
            over_.wait(lock, [&] {
                return std::all_of(held_.begin(), held_.end(), [](auto const& held) { return held.under_way == 0; });
            });
        }
        return holds() ? give_back({}) : Result<void>();
    }

    /// Is there a lease that this process has to give back some day?
    [[nodiscard]] auto holds() const -> bool {
        std::lock_guard const lock(mutex_);
        return !held_.empty() || !doubt_.empty();
    }

  private:
    enum class Wish {
        nothing, ///< but to settle
        a_lease, ///< of any size
        ahead,   ///< of full size, if nobody else has to go without
    };

    /// One conditional write: settles what is drained, and leases.
    class Round final : public Token_Change {
      public:
        Round(Token_Block const& block, Wish wish) : block_(block), wish_(wish) {}

        auto apply(Token_Record& token, Utc_Time now) -> bool override {
            made = {};
            bool changed = settle(token);
            if (auto const& doubt = block_.doubt_; !doubt.empty()) {
                if (wish_ == Wish::nothing)
                    (void)token.settle(doubt, 0);
                else if (auto const* const there = token.find_lease(doubt))
                    made.lease = *there;
                // Once anything else is written, a write that has not landed by now names a version that is gone.
                made.after = token;
                return changed || !made.lease;
            }
            if (wish_ != Wish::nothing)
                changed = lease_more(token, now) || changed;
            made.after = token;
            return changed;
        }

        [[nodiscard]] auto only_settles() const noexcept -> bool { return wish_ == Wish::nothing; }

        std::vector<Held> drained; ///< nobody can take from them or give back to them any more
        Utc_Time last_used = Token_Record::never;
        std::vector<std::string> own; ///< leases that stand, drained ones included

        struct Made {
            std::optional<Token_Lease> lease; ///< a new one, or the one that was in doubt
            std::optional<Token_Use> refusal;
            std::vector<Token_Lease> charged;
            bool is_starving = false;
            std::optional<Token_Record> after;
        };
        Made made; ///< by the last call

      private:
        auto settle(Token_Record& token) const -> bool {
            bool changed = false;
            for (auto const& held : drained)
                changed = token.settle(held.id, held.spent) || changed;
            if (changed)
                token.last_used_at = std::max(token.last_used_at, last_used);
            return changed;
        }

        auto lease_more(Token_Record& token, Utc_Time now) -> bool {
            made.charged =
                token.charge([&](Token_Lease const& it) { return !is_own(it) && block_.terms_.is_gone(it, now); });
            bool changed = !made.charged.empty();
            if (auto const status = token.status_at(now); status != Token_Status::active) {
                made.refusal = Token_Use{false, to_text(status), token.counted(), token.remaining()};
                return changed;
            }
            auto const size = block_for(token);
            if (size == 0) {
                made.is_starving = true;
                bool const others_hold =
                    std::any_of(token.leases.begin(), token.leases.end(), [&](auto const& it) { return !is_own(it); });
                if (!others_hold || token.recall)
                    return changed;
                return token.recall = true;
            }
            if (wish_ == Wish::ahead && (size < token.block_size || token.recall))
                return changed;
            token.recall = false;
            made.lease = token.leases.emplace_back(Token_Lease{id_, size, now, block_.terms_.holder});
            return true;
        }

        /// Half of what is left for this holder, and half for each other one: so blocks shrink as the limit comes near,
        /// and nobody takes the last ones away from all others.
        [[nodiscard]] auto block_for(Token_Record const& token) const -> std::uint64_t {
            auto const remaining = token.remaining();
            if (!remaining)
                return token.block_size;
            std::set<std::pair<std::string, std::int64_t>> holders{identity(block_.terms_.holder)};
            for (auto const& it : token.leases)
                holders.insert(identity(it.holder));
            auto const fair = std::max<std::uint64_t>(*remaining / (2 * holders.size()), 1);
            return std::min({*remaining, fair, token.block_size});
        }
        static auto identity(Process_Identity const& holder) -> std::pair<std::string, std::int64_t> {
            return {holder.host, holder.pid};
        }
        [[nodiscard]] auto is_own(Token_Lease const& it) const -> bool {
            return std::find(own.begin(), own.end(), it.id) != own.end();
        }

        Token_Block const& block_;
        Wish const wish_;
        std::string const id_ = random_hex(7);
    };

    // Taking; all under mutex_

    auto take_leased(Utc_Time now, Steady::time_point at) -> std::optional<Taken> {
        std::lock_guard const lock(mutex_);
        if (at - looked_at_ > terms_.stale || (expires_at_ != Token_Record::never && now >= expires_at_))
            return std::nullopt;
        for (auto& held : held_)
            if (held.left() > 0)
                return grant(held, now, at);
        return std::nullopt;
    }

    /// Of the lease that was just made: whoever made it does not go without.
    auto take_from_newest(Steady::time_point at, Utc_Time now) -> Taken {
        std::lock_guard const lock(mutex_);
        return grant(held_.back(), now, at);
    }

    auto grant(Held& held, Utc_Time now, Steady::time_point at) -> Taken {
        ++held.spent;
        ++held.under_way;
        ++own_spent_;
        --left_;
        last_used_ = std::max(last_used_, now);
        last_taken_ = std::max(last_taken_, at);
        auto const count = others_ + own_spent_;
        bool const runs_low = left_ <= low_ && ahead_ == Ahead::not_yet;
        if (runs_low)
            ahead_ = Ahead::wished;
        auto const remaining =
            limit_ == Token_Record::no_limit ? std::nullopt : std::optional(limit_ - std::min(limit_, count));
        return {{true, {}, count, remaining}, Unit(*this, held), held.spent == 1, runs_low};
    }

    void finish(Held& held, bool counts) {
        std::lock_guard const lock(mutex_);
        --held.under_way;
        if (!counts) {
            --held.spent;
            --own_spent_;
            left_ += held.frozen ? 0 : 1;
        }
        if (closed_)
            over_.notify_all();
    }

    void freeze(Held& held) {
        left_ -= held.left();
        held.frozen = true;
    }
    void freeze_all() {
        for (auto& held : held_)
            freeze(held);
    }

    // Leasing and giving back; whoever does has lead_mutex_

    [[nodiscard]] auto is_stale(Steady::time_point at) const -> bool {
        std::lock_guard const lock(mutex_);
        return at - looked_at_ > terms_.stale;
    }
    [[nodiscard]] auto is_idle(Steady::time_point at) const -> bool {
        std::lock_guard const lock(mutex_);
        return at - last_taken_ >= terms_.idle;
    }
    [[nodiscard]] auto takes_wish_to_lease_ahead() -> bool {
        std::lock_guard const lock(mutex_);
        return ahead_ == Ahead::wished && std::exchange(ahead_, Ahead::asked) == Ahead::wished;
    }

    /// Has the token changed in a way that leases must go back for?
    [[nodiscard]] auto look(Steady::time_point at) -> Result<void> {
        auto const token = desk_.read();
        if (!token)
            return token.error();
        if (!*token) {
            forget_all();
            return {};
        }
        auto const& now = **token;
        bool has_frozen = false;
        {
            std::lock_guard const lock(mutex_);
            see(now, at);
            bool const goes_back = now.recall || now.revoked_at != Token_Record::never ||
                                   (now.usage_limit != Token_Record::no_limit && now.counted() > now.usage_limit);
            for (auto& held : held_) {
                if (goes_back || now.find_lease(held.id) == nullptr) // gone: somebody has charged it
                    freeze(held);
                has_frozen = has_frozen || (held.frozen && held.under_way == 0);
            }
        }
        if (!has_frozen)
            return {};
        Round round(*this, Wish::nothing);
        return go_round(round, at);
    }

    [[nodiscard]] auto give_back(Steady::time_point at) -> Result<void> {
        {
            std::lock_guard const lock(mutex_);
            freeze_all();
        }
        Round round(*this, Wish::nothing);
        return go_round(round, at);
    }

    /// Writes a round, and enters what is known afterwards.
    [[nodiscard]] auto go_round(Round& round, Steady::time_point at) -> Result<void> {
        bool has_spent = false;
        {
            std::lock_guard const lock(mutex_);
            if (closed_ && !round.only_settles())
                return fail(Errc::closed, "the tokens are closed; open a new service");
            for (auto& held : held_) {
                round.own.push_back(held.id);
                if (!held.is_drained())
                    continue;
                round.drained.push_back(held);
                has_spent = has_spent || held.spent > 0;
            }
            round.last_used = last_used_;
        }
        if (has_spent)
            terms_.before_settling();
        auto const is_there = desk_.change(round);
        if (!is_there) {
            std::lock_guard const lock(mutex_);
            if (round.made.lease)
                doubt_ = round.made.lease->id;
            return is_there.error();
        }
        if (!*is_there) {
            forget_all();
            round.made.lease.reset();
            round.made.refusal = Token_Use{false, "not_found", 0, std::nullopt};
            return {};
        }
        {
            std::lock_guard const lock(mutex_);
            for (auto const& done : round.drained)
                erase(done.id);
            doubt_.clear();
            if (round.made.lease) {
                held_.push_back({round.made.lease->id, round.made.lease->granted});
                left_ += round.made.lease->granted;
                low_ = round.made.lease->granted / 2;
                ahead_ = Ahead::not_yet;
            }
            see(*round.made.after, at);
        }
        if (!round.made.charged.empty())
            terms_.after_charging(round.made.charged);
        return {};
    }

    void erase(std::string const& id) {
        auto const found = std::find_if(held_.begin(), held_.end(), [&](auto const& held) { return held.id == id; });
        own_spent_ -= found->spent;
        held_.erase(found);
    }

    /// The token is gone, and with it every lease.
    void forget_all() {
        std::lock_guard const lock(mutex_);
        freeze_all();
        doubt_.clear();
        for (auto held = held_.begin(); held != held_.end();) {
            own_spent_ -= held->under_way == 0 ? held->spent : 0;
            held = held->under_way == 0 ? held_.erase(held) : std::next(held);
        }
    }

    /// Under mutex_. @param  at  not later than the look
    void see(Token_Record const& token, Steady::time_point at) {
        looked_at_ = std::max(looked_at_, at);
        limit_ = token.usage_limit;
        expires_at_ = token.expires_at;
        others_ = token.counted();
        for (auto const& held : held_) {
            auto const* const lease = token.find_lease(held.id);
            // A lease that is gone was charged: what is spent of it stands in the count and among our own.
            others_ -= std::min(others_, lease != nullptr ? lease->granted : held.spent);
        }
    }

    enum class Ahead { not_yet, wished, asked };

    Token_Desk<Storage>& desk_;
    Block_Terms const terms_;

    std::mutex lead_mutex_;    ///< of whoever reads or writes the token; taken before mutex_
    mutable std::mutex mutex_; ///< never held during I/O; guards all below
    std::condition_variable over_;
    std::list<Held> held_;   ///< in the order in which they were leased
    std::string doubt_;      ///< a lease that may stand in the token, or may come to; written with lead_mutex_, too
    std::uint64_t left_ = 0; ///< in all of held_
    std::uint64_t own_spent_ = 0; ///< from all of held_
    std::uint64_t low_ = 0;       ///< so few left, and it is time to lease ahead
    Ahead ahead_ = Ahead::not_yet;
    std::uint64_t others_ = 0; ///< uses counted, when last seen, but for those leased here
    std::uint64_t limit_ = 0;
    Utc_Time expires_at_ = Token_Record::never;
    Utc_Time last_used_ = Token_Record::never;
    Steady::time_point looked_at_{}, last_taken_{};
    bool closed_ = false;
};

} // namespace memfs_cache
