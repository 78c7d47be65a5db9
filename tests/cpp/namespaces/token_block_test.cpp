// SPDX-License-Identifier: Apache-2.0
// Leases of one token as their holders see them, one step after the other: whatever may come between two steps, comes
// where the test says.
#include "support/delayed_storage.hpp"
#include "support/printers.hpp"
#include <memfs_cache/namespaces/tokens/token_block.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

using Network = Delayed_Storage<Storage_Memory>;
using Block = Token_Block<Network>;
using Steady = std::chrono::steady_clock;

auto const start = from_millis(1'770'991'506'789);

/// A token in a storage that several holders share.
struct Bank {
    explicit Bank(std::uint64_t limit, std::uint64_t block_size = 10) {
        Token_Record token;
        token.token_name = "t";
        token.usage_limit = limit;
        token.block_size = block_size;
        token.begin_write("the first");
        REQUIRE(memory.put(key, token.to_json(), Precondition::absent()));
    }
    [[nodiscard]] auto token() const -> Token_Record {
        return Token_Record::parse(memory.get(key).value()->bytes).value();
    }
    /// What somebody without a lease does to the token.
    template <class Change>
    void change(Change const& to_do) {
        auto it = token();
        to_do(it);
        it.begin_write(random_hex(7));
        REQUIRE(memory.put(key, it.to_json(), Precondition::none()).value().state == Put_State::applied);
    }

    Storage_Memory memory;
    Network network{memory};
    Storage_Key const key{"cache/tokens/data/direct/id/token.json"};
    std::shared_ptr<Manual_Clock> const clock = std::make_shared<Manual_Clock>(start);
    Steady::time_point now{1h};
    std::int64_t holders = 0;
};

/// One process.
struct Holder {
    explicit Holder(Bank& its_bank, Block_Terms terms = {}) : bank(its_bank), block(desk, with_own_name(terms)) {}
    auto with_own_name(Block_Terms terms) -> Block_Terms {
        terms.holder = {"a machine", ++bank.holders, 1};
        return terms;
    }
    /// @return "" if a use is granted, the reason if it is refused, "starving", or the name of an error
    auto take() -> std::string {
        auto taken = block.take(bank.clock->now(), bank.now);
        if (!taken)
            return std::string(info(taken.error().code).name);
        if (!*taken)
            return "starving";
        used += (*taken)->outcome.success ? 1U : 0U;
        return std::string((*taken)->outcome.rejection_reason);
    }
    auto take(int times) -> std::string {
        for (int i = 0; i + 1 < times; ++i)
            REQUIRE(take() == "");
        return take();
    }
    void tend() { REQUIRE(block.tend(bank.now)); }

    Bank& bank;
    Token_Desk<Network> desk{bank.network, bank.key, bank.clock};
    Block block;
    std::uint64_t used = 0;
};

} // namespace

TEST_SUITE("namespaces/tokens/blocks") {
    TEST_CASE("a lease is one write, its uses are none, and what is left goes back when it is closed") {
        Bank bank(100);
        Holder one(bank);
        auto const before = bank.memory.counters();
        CHECK(one.take(7) == "");
        CHECK(bank.memory.counters().writes - before.writes == 1);
        CHECK(bank.token().leased() == 10);
        CHECK(bank.token().usage_count == 0);
        CHECK(bank.token().counted() == 10);
        CHECK(one.block.close());
        CHECK(bank.token().usage_count == 7);
        CHECK(bank.token().leases.empty());
        CHECK(bank.token().last_used_at == start);
        CHECK(one.take() == "closed");
    }

    TEST_CASE(
        "a lease in the middle of which a use is under way waits for it, and takes back what nobody was told of") {
        Bank bank(100);
        Holder one(bank);
        auto taken = one.block.take(start, bank.now).value();
        auto& unit = *taken->unit;
        bank.now += 1s;
        one.tend(); // idle, but not over
        CHECK(bank.token().leased() == 10);
        std::move(unit).give_back();
        one.tend();
        CHECK(bank.token().leases.empty());
        CHECK(bank.token().usage_count == 0);
        CHECK_FALSE(one.block.holds());
    }

    TEST_CASE("when half is spent the next lease is made ahead, and the one before is settled with the same write") {
        Bank bank(1'000);
        Holder one(bank);
        for (int i = 1; i <= 25; ++i) {
            auto const writes = bank.memory.counters().writes;
            CHECK(one.take() == "");
            CHECK(bank.memory.counters().writes == writes + (i == 1 ? 1U : 0U)); // those who use never wait for a write
            one.tend();
        }
        CHECK(bank.token().leases.size() == 2); // of 10 each; 5 of the first are spent and 20 were settled
        CHECK(bank.token().usage_count == 20);
        CHECK(one.block.close());
        CHECK(bank.token().usage_count == 25);
    }

    TEST_CASE("blocks shrink as the limit comes near, so that a holder never takes all that is left") {
        Bank bank(40, 1'000);
        Holder one(bank), other(bank);
        CHECK(one.take() == "");
        CHECK(bank.token().leased() == 20);
        CHECK(other.take() == "");
        CHECK(bank.token().leased() == 25); // a quarter of 20
        for (int i = 2; i <= 35; ++i)
            CHECK(one.take() == "");
        CHECK(bank.token().counted() == 40);
        CHECK(one.take() == "starving");
        CHECK(bank.token().recall);
        other.tend();
        CHECK_FALSE(other.block.holds());
        CHECK(one.take(4) == "");
        CHECK(one.take() == "exhausted");
        CHECK(other.take() == "exhausted");
        CHECK(bank.token().usage_count == 40);
        CHECK_FALSE(bank.token().recall);
    }

    TEST_CASE("holders on two machines are two, though their processes have one number") {
        Bank bank(40, 1'000);
        Holder one(bank);
        bank.change([&](Token_Record& token) {
            token.leases.push_back({random_hex(7), 20, start, {"another machine", bank.holders, 1}});
        });
        CHECK(one.take() == "");
        CHECK(bank.token().leased() == 25); // a quarter of the 20 that were left
    }

    TEST_CASE("nothing is leased ahead near the limit, nor while somebody asks for what is left") {
        SUBCASE("a block would not be a full one") {
            Bank bank(15);
            Holder one(bank);
            CHECK(one.take(4) == "");
            one.tend();
            CHECK(bank.token().leased() == 7);
            auto const reads = bank.memory.counters().reads;
            one.tend(); // has tried once
            CHECK(bank.memory.counters().reads - reads == 1);
        }
        SUBCASE("somebody asks") {
            Bank bank(100);
            Holder one(bank);
            CHECK(one.take(5) == "");
            bank.change([](Token_Record& token) { token.recall = true; });
            one.tend();
            CHECK(bank.token().leases.empty());
            CHECK(bank.token().recall);
        }
    }

    TEST_CASE("the last half of a lease is announced once, and its first use too") {
        Bank bank(100);
        Holder one(bank);
        for (int i = 1; i <= 10; ++i) {
            auto const taken = one.block.take(start, bank.now).value();
            CHECK(taken->is_first == (i == 1));
            CHECK(taken->runs_low == (i == 5));
        }
    }

    TEST_CASE("a use knows how many were counted before it, whoever has given back or settled what") {
        Bank bank(100);
        Holder one(bank), other(bank);
        auto const count_and_left = [&] {
            auto const taken = one.block.take(start, bank.now).value();
            return std::pair(taken->outcome.usage_count, taken->outcome.remaining.value());
        };
        auto taken = one.block.take(start, bank.now).value();
        std::move(*taken->unit).give_back();
        taken.reset();
        for (std::uint64_t i = 1; i <= 10; ++i)
            CHECK(count_and_left() == std::pair(i, 100 - i));
        CHECK(other.take() == "");                                                  // leases ten
        CHECK(count_and_left() == std::pair<std::uint64_t, std::uint64_t>(21, 79)); // those count, and ten of its own
        bank.change([](Token_Record& token) { token.usage_limit = 5; });
        one.tend();
        bank.change([](Token_Record& token) { token.usage_limit = 22; });
        CHECK(count_and_left() == std::pair<std::uint64_t, std::uint64_t>(22, 0));
    }

    TEST_CASE("a look costs a read, whatever is under way, and no write") {
        Bank bank(100);
        Holder one(bank);
        auto const taken = one.block.take(start, bank.now).value();
        auto const before = bank.memory.counters();
        one.tend();
        CHECK(bank.memory.counters().reads - before.reads == 1);
        bank.change([](Token_Record& token) { token.recall = true; });
        auto const then = bank.memory.counters();
        one.tend(); // frozen, but a use is under way
        CHECK(bank.memory.counters().reads - then.reads == 1);
        CHECK(bank.memory.counters().writes == then.writes);
    }

    TEST_CASE("who has all that is left in use asks nobody for it") {
        Bank bank(1, 1);
        Holder one(bank);
        auto const taken = one.block.take(start, bank.now).value();
        CHECK(one.take() == "starving");
        CHECK_FALSE(bank.token().recall);
    }

    TEST_CASE("a refusal by a state that is old does not outlive it") {
        Bank bank(1, 1);
        Holder one(bank), other(bank);
        CHECK(one.take() == "");
        CHECK(one.take() == "exhausted");
        bank.change([](Token_Record& token) { token.usage_limit = 2; });
        CHECK(other.take() == "");
        CHECK(one.take() == "starving");
    }

    TEST_CASE("the last use is the latest, however clocks and holders come in turn") {
        Bank bank(100);
        Holder one(bank), other(bank);
        bank.clock->advance(1h);
        CHECK(one.take() == "");
        bank.clock->set(start);
        CHECK(one.take() == "");
        CHECK(other.take() == "");
        CHECK(one.block.close());
        CHECK(bank.token().last_used_at == start + 1h);
        CHECK(other.block.close());
        CHECK(bank.token().last_used_at == start + 1h);
    }

    TEST_CASE("a lease is idle from its latest use on, whichever caller came last") {
        Bank bank(100);
        Holder one(bank);
        bank.now += 1s;
        CHECK(one.take() == "");
        bank.now -= 1s; // asked for the time before, and came after
        CHECK(one.take() == "");
        bank.now += 1'500ms;
        one.tend();
        CHECK(bank.token().leased() == 10);
    }

    TEST_CASE("a look is as new as the latest one, whichever caller came last") {
        Bank bank(100);
        Holder one(bank);
        bank.now += 1s;
        CHECK(one.take() == "");
        bank.now -= 1s;
        one.tend();
        bank.now += 2'500ms;
        auto const reads = bank.memory.counters().reads;
        CHECK(one.take() == "");
        CHECK(bank.memory.counters().reads == reads);
    }

    TEST_CASE("closing waits for what is under way") {
        Bank bank(100);
        Holder one(bank);
        auto taken = one.block.take(start, bank.now).value();
        std::atomic<bool> is_closed{false};
        std::thread closing([&] {
            CHECK(one.block.close());
            is_closed = true;
        });
        for (int turns = 0; turns < 10'000 && !is_closed; ++turns) // time enough to do it wrongly
            std::this_thread::yield();
        CHECK_FALSE(is_closed);
        taken.reset();
        closing.join();
        CHECK(bank.token().leases.empty());
    }

    TEST_CASE("a lease that goes back leaves nothing behind in the count of what is left") {
        Bank bank(1'000);
        Holder one(bank);
        auto taken = one.block.take(start, bank.now).value();
        bank.change([](Token_Record& token) { token.recall = true; });
        one.tend();
        std::move(*taken->unit).give_back();
        one.tend();
        REQUIRE_FALSE(one.block.holds());
        for (int i = 1; i <= 10; ++i)
            CHECK(one.block.take(start, bank.now).value()->runs_low == (i == 5));
    }

    TEST_CASE("what was charged while a use was under way is counted once") {
        Bank bank(20, 20);
        Holder one(bank);
        auto const taken = one.block.take(start, bank.now).value();
        CHECK(one.take(9) == "");
        bank.change([](Token_Record& token) { (void)token.charge([](auto const&) { return true; }); });
        one.tend();
        auto const next = one.block.take(start, bank.now).value();
        CHECK(next->outcome.usage_count == 11);
        CHECK(next->outcome.remaining == 9);
    }

    TEST_CASE("when a token is gone its leases are too, and a new one of its name begins at nothing") {
        Bank bank(100);
        Holder one(bank);
        CHECK(one.take(3) == "");
        std::optional<Block::Taken> under_way;
        auto const first_state = bank.token();
        SUBCASE("seen by a look") { bank.now += 2'001ms; }
        SUBCASE("seen by a look, with a use under way") {
            under_way.emplace(*one.block.take(start, bank.now).value());
            bank.now += 2'001ms;
        }
        SUBCASE("seen by who wants the next lease") { CHECK(one.take(7) == ""); }
        bool is_tended = false;
        SUBCASE("seen in the background, with a use under way") {
            under_way.emplace(*one.block.take(start, bank.now).value());
            is_tended = true;
        }
        REQUIRE(bank.memory.erase(bank.key, Precondition::none()).value());
        if (is_tended)
            one.tend();
        CHECK(one.take() == "not_found");
        CHECK(one.block.holds() == under_way.has_value());
        CHECK(one.take() == "not_found");
        under_way.reset();
        auto again = first_state;
        again.leases.clear();
        REQUIRE(bank.memory.put(bank.key, again.to_json(), Precondition::absent()));
        CHECK(one.take() == "");
        CHECK(one.block.take(start, bank.now).value()->outcome.usage_count == 2);
    }

    TEST_CASE("when a token is gone no lease is in doubt any more") {
        Bank bank(100);
        Holder one(bank);
        bank.network.fate = [] { return Network::Fate::lost; };
        CHECK(one.take() == "unavailable");
        CHECK(one.block.holds());
        bank.network.fate = nullptr;
        REQUIRE(bank.memory.erase(bank.key, Precondition::none()).value());
        one.tend();
        CHECK_FALSE(one.block.holds());
    }

    TEST_CASE("an old lease is not charged by its own holder") {
        Bank bank(100);
        Block_Terms terms;
        terms.is_gone = [](auto const&, Utc_Time) { return true; };
        Holder one(bank, terms);
        CHECK(one.take(5) == "");
        one.tend(); // leases ahead
        CHECK(bank.token().leases.size() == 2);
        CHECK(bank.token().usage_count == 0);
    }

    TEST_CASE("callers that wait for one lease share it") {
        Bank bank(1'000, 100);
        Holder one(bank);
        constexpr int callers = 8;
        std::atomic<int> begun{0};
        bank.network.fate = [&] { // the first lease takes until all others have asked for one
            for (int turns = 0; turns < 100'000 && begun < callers; ++turns)
                std::this_thread::yield();
            return Network::Fate::answered;
        };
        std::vector<std::thread> threads;
        for (int i = 0; i < callers; ++i)
            threads.emplace_back([&] {
                ++begun;
                CHECK(one.block.take(start, bank.now).value().has_value());
            });
        for (auto& thread : threads)
            thread.join();
        CHECK(bank.token().leases.size() == 1);
    }

    TEST_CASE("uses are made safe before they are settled, and only if there are any") {
        Bank bank(100);
        int made_safe = 0;
        Block_Terms terms;
        terms.before_settling = [&] {
            ++made_safe;
            CHECK(bank.token().usage_count == 0);
        };
        Holder one(bank, terms);
        auto taken = one.block.take(start, bank.now).value();
        std::move(*taken->unit).give_back();
        bank.now += 1s;
        one.tend();
        CHECK(bank.token().leases.empty());
        CHECK(made_safe == 0);
        CHECK(one.take() == "");
        CHECK(one.block.close());
        CHECK(made_safe == 1);
    }

    TEST_CASE("who charged nothing has nothing to tell") {
        Bank bank(100);
        Block_Terms terms;
        terms.after_charging = [](auto const& leases) { CHECK(leases.size() == 1); };
        terms.is_gone = [](Token_Lease const& lease, Utc_Time) { return lease.holder.host == "a dead machine"; };
        Holder one(bank, terms);
        CHECK(one.take(11) == "");
        bank.change([](Token_Record& token) {
            token.leases.push_back({random_hex(7), 7, start, {"a dead machine", 1, 1}});
        });
        CHECK(one.take(10) == "");
        CHECK(bank.token().counted() == 37);
    }

    TEST_CASE("two holders that pass for one process have leases of their own") {
        Bank bank(100);
        Holder one(bank);
        bank.holders = 0;
        Holder twin(bank);
        CHECK(one.take(3) == "");
        CHECK(twin.take(4) == "");
        CHECK(bank.token().leases.size() == 2);
        CHECK(one.block.close());
        CHECK(bank.token().usage_count == 3);
        CHECK(twin.block.close());
        CHECK(bank.token().usage_count == 7);
    }

    TEST_CASE("nobody is refused as exhausted while others hold leases, used or not") {
        Bank bank(3, 1);
        Holder one(bank), other(bank), third(bank);
        CHECK(one.take() == "");
        CHECK(other.take() == "");
        CHECK(third.take() == "");
        CHECK(third.take() == "starving"); // its own is settled; those of the others may come back
        CHECK(bank.token().usage_count == 1);
        auto const writes = bank.memory.counters().writes;
        CHECK(third.take() == "starving"); // who has asked once need not ask again
        CHECK(bank.memory.counters().writes == writes);
        one.tend();
        CHECK(third.take() == "starving");
        other.tend();
        CHECK(third.take() == "exhausted");
    }

    TEST_CASE("a lease that nobody uses for a second goes back") {
        Bank bank(100);
        Holder one(bank);
        CHECK(one.take() == "");
        bank.now += 999ms;
        one.tend();
        CHECK(bank.token().leased() == 10);
        bank.now += 1ms;
        one.tend();
        CHECK(bank.token().leased() == 0);
        CHECK(bank.token().usage_count == 1);
        auto const reads = bank.memory.counters().reads;
        one.tend(); // nothing to look after any more
        CHECK(one.block.close());
        CHECK(bank.memory.counters().reads == reads);
    }

    TEST_CASE("a lease whose answer got lost is found again, though others have written more than anybody remembers") {
        Bank bank(100);
        Holder one(bank);
        int puts = 0;
        bank.network.fate = [&] { return ++puts == 1 ? Network::Fate::answer_lost : Network::Fate::answered; };
        bank.network.applied = [&](auto const&, auto) {
            if (puts == 1)
                for (std::size_t i = 0; i < Token_Record::most_write_ids + 1; ++i)
                    bank.change([](Token_Record&) {});
        };
        CHECK(one.take() == "unavailable");
        CHECK(bank.token().leased() == 10);
        auto const writes = bank.memory.counters().writes;
        CHECK(one.take() == "");
        CHECK(bank.token().leased() == 10); // the same one, not another
        CHECK(bank.memory.counters().writes == writes);
        CHECK(one.block.close());
        CHECK(bank.token().usage_count == 1);
        CHECK(bank.token().leases.empty());
    }

    TEST_CASE("a lease that lands long after its holder has given up is never spent twice and never left behind") {
        for (bool const lands_first : {true, false}) {
            CAPTURE(lands_first);
            Bank bank(100);
            Holder one(bank);
            bool all_late = true;
            bank.network.fate = [&] { return all_late ? Network::Fate::late : Network::Fate::answered; };
            CHECK(one.take() == "unavailable");
            CHECK(bank.network.on_the_way() > 0);
            all_late = false;
            if (lands_first)
                bank.network.land(0);
            CHECK(one.take() == "");
            while (bank.network.on_the_way() > 0)
                bank.network.land(0);
            CHECK(bank.token().leases.size() == 1);
            CHECK(one.block.close());
            CHECK(bank.token().usage_count == 1);
            CHECK(bank.token().leases.empty());
        }
    }

    TEST_CASE("closing makes sure that a lease in doubt does not come to stand in the token") {
        Bank bank(100);
        Holder one(bank);
        bool all_late = true;
        bank.network.fate = [&] { return all_late ? Network::Fate::late : Network::Fate::answered; };
        CHECK(one.take() == "unavailable");
        all_late = false;
        SUBCASE("it has landed") { bank.network.land(0); }
        SUBCASE("it lands afterwards") {}
        CHECK(one.block.close());
        while (bank.network.on_the_way() > 0)
            bank.network.land(0);
        CHECK(bank.token().leases.empty());
        CHECK(bank.token().usage_count == 0);
    }

    TEST_CASE("a return whose answer got lost is not made twice") {
        Bank bank(100);
        Holder one(bank);
        CHECK(one.take(3) == "");
        bank.network.fate = [&] { return Network::Fate::answer_lost; };
        bank.network.applied = [&](auto const&, auto) { // and nobody remembers the write
            bank.network.applied = nullptr;
            for (std::size_t i = 0; i < Token_Record::most_write_ids + 1; ++i)
                bank.change([](Token_Record&) {});
        };
        CHECK(one.block.close().error().code == Errc::unavailable);
        bank.network.fate = nullptr;
        CHECK(bank.token().usage_count == 3);
        CHECK(one.block.close());
        CHECK(bank.token().usage_count == 3);
        CHECK_FALSE(one.block.holds());
    }

    TEST_CASE("a delayed write that lands after a newer one changes nothing") {
        Bank bank(100);
        Holder one(bank), other(bank);
        bool late = true;
        bank.network.fate = [&] { return std::exchange(late, false) ? Network::Fate::late : Network::Fate::answered; };
        CHECK(one.take(10) == ""); // the same bytes were put again, and landed
        CHECK(other.take() == "");
        auto const before = bank.token();
        REQUIRE(bank.network.on_the_way() == 1);
        bank.network.land(0);
        CHECK(bank.token().to_json() == before.to_json());
        CHECK(one.take() == "");
    }

    TEST_CASE("a lease whose holder is gone is charged in full by whoever leases next, and only that one") {
        Bank bank(30);
        Holder dead(bank), living(bank);
        std::vector<Token_Lease> charged;
        Block_Terms terms;
        terms.is_gone = [](Token_Lease const& lease, Utc_Time) { return lease.holder.pid == 1; };
        terms.after_charging = [&](auto const& leases) { charged = leases; };
        Holder one(bank, terms);
        CHECK(dead.take(2) == "");
        CHECK(living.take() == "");
        auto const lost = bank.token().leases.front();
        CHECK(one.take() == "");
        CHECK(charged == std::vector{lost});
        CHECK(bank.token().usage_count == lost.granted);
        CHECK(bank.token().leases.size() == 2);
    }

    TEST_CASE("a holder that wakes after it was charged gets nothing back and grants no use from that lease again") {
        Bank bank(20, 20);
        Holder sleeper(bank);
        CHECK(sleeper.take(3) == "");
        CHECK(bank.token().leased() == 10);
        bank.change([](Token_Record& token) { CHECK(token.charge([](auto const&) { return true; }).size() == 1); });
        CHECK(bank.token().usage_count == 10);
        SUBCASE("it looks") { sleeper.tend(); }
        SUBCASE("it is used after so long that it has to look first") { bank.now += 2'001ms; }
        SUBCASE("it is closed") {
            CHECK(sleeper.block.close());
            CHECK(bank.token().usage_count == 10);
            return;
        }
        CHECK(sleeper.take() == "");
        CHECK(bank.token().usage_count == 10);
        CHECK(bank.token().leased() == 5); // another one
        for (int i = 1; i < 10; ++i)
            CHECK(sleeper.take() == "");
        CHECK(sleeper.take() == "exhausted");
        CHECK(sleeper.used == 13); // within the ten that were charged, and the ten left
    }

    TEST_CASE("a revocation, a lower limit and the loss of the token bind a holder when it looks") {
        Bank bank(100);
        Holder one(bank);
        CHECK(one.take(4) == "");
        SUBCASE("revoked") {
            bank.change([](Token_Record& token) { token.revoked_at = start; });
            one.tend();
            CHECK(one.take() == "revoked");
            CHECK(bank.token().usage_count == 4);
        }
        SUBCASE("a limit below what is settled and leased gives new leases below it, and takes nothing back") {
            bank.change([](Token_Record& token) { token.usage_limit = 6; });
            CHECK(one.take() == ""); // was leased before
            one.tend();
            CHECK(bank.token().usage_count == 5);
            CHECK(one.take() == "");
            CHECK(one.take() == "exhausted");
        }
        SUBCASE("a limit below what is used") {
            bank.change([](Token_Record& token) { token.usage_limit = 2; });
            one.tend();
            CHECK(one.take() == "exhausted");
            CHECK(bank.token().usage_count == 4);
        }
        SUBCASE("deleted by an outsider") {
            REQUIRE(bank.memory.erase(bank.key, Precondition::none()).value());
            one.tend();
            CHECK(one.take() == "not_found");
        }
        SUBCASE("not heard of for too long") {
            bank.change([](Token_Record& token) { token.revoked_at = start; });
            bank.now += 2'001ms;
            CHECK(one.take() == "revoked");
        }
        CHECK(one.block.close());
        CHECK_FALSE(one.block.holds());
    }

    TEST_CASE("a holder stops by its own clock when the token expires, whatever the clock did before") {
        Bank bank(100);
        bank.change([](Token_Record& token) { token.expires_at = start + 1min; });
        Holder one(bank);
        CHECK(one.take(2) == "");
        bank.clock->set(start - 24h);
        CHECK(one.take() == "");
        bank.clock->set(start + 1min);
        CHECK(one.take() == "expired");
        bank.clock->set(start + 1min - 1ms); // and backwards again
        CHECK(one.take() == "");
    }

    TEST_CASE("without a limit every block has its full size, and a limit that is set later binds") {
        Bank bank(0, 50);
        Holder one(bank), other(bank);
        CHECK(one.take() == "");
        CHECK(other.take() == "");
        one.tend();
        CHECK(bank.token().leased() == 100);
        bank.change([](Token_Record& token) { token.usage_limit = 5; });
        one.tend();
        other.tend();
        CHECK(one.take() == "");
        CHECK(other.take() == "");
        CHECK(one.take() == "");
        CHECK(one.take() != "");
        CHECK(bank.token().counted() == 5);
    }

    TEST_CASE("while the storage fails uses go on from what is leased for two seconds, and then are refused") {
        Bank bank(100);
        Holder one(bank);
        CHECK(one.take() == "");
        bank.change([](Token_Record&) {});
        auto const good = *read(bank.memory, bank.key.str()).value();
        REQUIRE(write(bank.memory, bank.key.str(), "damaged"));
        CHECK(one.take() == "");
        bank.now += 2'001ms;
        CHECK(one.take() == "corrupt_data");
        REQUIRE(write(bank.memory, bank.key.str(), good));
        CHECK(one.take() == "");
    }

    TEST_CASE("a token with hundreds of leases that nobody gives back still works, and is short again when they are "
              "charged") {
        Bank bank(0, 5);
        bank.change([](Token_Record& token) {
            for (std::int64_t i = 0; i < 500; ++i)
                token.leases.push_back({random_hex(7), 5, start, {"another machine", i, 1}});
        });
        Block_Terms terms;
        terms.is_gone = [](auto const& lease, Utc_Time now) { return now - lease.at >= 1h; };
        Holder one(bank, terms);
        CHECK(one.take(6) == "");
        CHECK(bank.token().leases.size() == 501);
        bank.clock->advance(1h);
        CHECK(one.take(6) == "");
        CHECK(bank.token().leases.size() == 1);
        CHECK(one.block.close());
        CHECK(bank.token().usage_count == 2'500 + 12);
        CHECK(bank.token().to_json().size() < 2'048);
    }
}
