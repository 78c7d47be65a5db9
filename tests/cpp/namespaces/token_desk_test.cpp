// SPDX-License-Identifier: Apache-2.0
// The limit, with everything that can happen between a caller and the storage.
#include "namespaces/token_lab.hpp"
#include "support/delayed_storage.hpp"
#include "support/printers.hpp"
#include "support/turns.hpp"
#include <memfs_cache/namespaces/tokens/token_desk.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

class Use_Once final : public Token_Change {
  public:
    auto apply(Token_Record& token, Utc_Time now) -> bool override {
        granted = token.status_at(now) == Token_Status::active;
        if (granted)
            ++token.usage_count;
        return granted;
    }
    bool granted = false;
};

struct Budget {
    int interruptions; ///< how often a caller that could go on has to wait for another one
    int faults;        ///< how many writes get lost, late, or have their answer lost
};

struct Run {
    std::uint64_t granted = 0;
    std::uint64_t counted = 0;
    std::uint64_t failed = 0;
    bool faulty = false;
};

/// Callers that share nothing but the storage, as three processes would, use a token of limit 2 once each.
auto run_callers(Choices& choices, Budget budget, std::size_t callers) -> Run {
    Storage_Memory memory;
    Storage_Key const key("cache/tokens/data/direct/id/token.json");
    auto const clock = std::make_shared<Manual_Clock>(from_millis(1'770'991'506'789));
    Token_Record token;
    token.token_name = "t";
    token.usage_limit = 2;
    token.begin_write("the first");
    REQUIRE(memory.put(key, token.to_json(), Precondition::absent()));

    Network network(memory);
    Run run;
    network.fate = [&] {
        if (budget.faults == 0)
            return Network::Fate::answered;
        auto const fate = static_cast<Network::Fate>(choices.choose(4));
        budget.faults -= fate == Network::Fate::answered ? 0 : 1;
        run.faulty = run.faulty || fate != Network::Fate::answered;
        return fate;
    };
    Turns turns([&](std::size_t n) { return choices.choose(n); });
    auto const before_step = [&] {
        if (network.on_the_way() > 0 && choices.choose(2) == 1)
            network.land(choices.choose(network.on_the_way()));
        if (budget.interruptions > 0 && choices.choose(2) == 1) {
            --budget.interruptions;
            turns.pause();
        }
    };
    Step_By_Step storage(network, before_step);
    for (std::size_t i = 0; i < callers; ++i)
        turns.add([&] {
            Token_Desk desk(storage, key, clock);
            Use_Once use;
            auto const outcome = desk.change(use);
            run.failed += outcome ? 0U : 1U;
            run.granted += outcome && use.granted ? 1U : 0U;
        });
    turns.run();
    while (network.on_the_way() > 0) // whatever is still late lands after everything else
        network.land(0);
    run.counted = Token_Record::parse(memory.get(key).value()->bytes).value().usage_count;
    return run;
}

/// Every run within a budget.
/// @return how many
auto check_all(Budget budget, std::size_t callers) -> int {
    Choices choices;
    int runs = 0;
    do {
        auto const run = run_callers(choices, budget, callers);
        ++runs;
        CAPTURE(runs);
        REQUIRE(run.granted <= 2);
        REQUIRE(run.counted <= 2);
        REQUIRE(run.granted <= run.counted);
        REQUIRE(run.counted <= run.granted + run.failed); // only who is told that nobody knows may have cost a use
        if (!run.faulty) {
            REQUIRE(run.failed == 0);
            REQUIRE(run.granted == std::min<std::size_t>(callers, 2));
            REQUIRE(run.counted == run.granted);
        }
    } while (choices.next());
    return runs;
}

} // namespace

TEST_SUITE("namespaces/tokens/desk") {
    TEST_CASE("a limit holds in every order of three callers, and under every fate of their writes") {
        // With more: every pair of faults, three interruptions, some ten minutes.
        bool const thorough = std::getenv("MEMFS_CACHE_TEST_ROUNDS") != nullptr;
        CHECK(check_all({.interruptions = 4, .faults = 0}, 3) > 100);
        CHECK(check_all({.interruptions = 2, .faults = 1}, 3) > 1'000);
        CHECK(check_all({.interruptions = 0, .faults = 3}, 3) > 1'000);
        if (thorough)
            CHECK(check_all({.interruptions = 3, .faults = 2}, 3) > 10'000);
    }

    TEST_CASE("an answer that never came is found among the last writes, also when others have written since") {
        Storage_Memory memory;
        Storage_Key const key("token.json");
        auto const clock = std::make_shared<Manual_Clock>(from_millis(1'770'991'506'789));
        Token_Record token;
        token.token_name = "t";
        REQUIRE(memory.put(key, token.to_json(), Precondition::absent()));
        for (int const others : {31, 32}) {
            bool const granted = others < 32;
            CAPTURE(others);
            Network network(memory);
            int puts = 0;
            network.fate = [&] { return ++puts == 1 ? Network::Fate::answer_lost : Network::Fate::answered; };
            Step_By_Step storage(network, [&] {
                if (puts != 1)
                    return;
                ++puts;
                Token_Desk rival(memory, key, clock);
                for (int i = 0; i < others; ++i) {
                    Use_Once use;
                    CHECK(rival.change(use));
                }
            });
            Token_Desk desk(storage, key, clock);
            Use_Once use;
            auto const outcome = desk.change(use);
            CHECK(outcome.has_value() == granted);
            if (!granted)
                CHECK(outcome.error().code == Errc::unavailable);
        }
    }

    TEST_CASE("a refusal is never given on the strength of an old state") {
        Storage_Memory memory;
        Storage_Key const key("token.json");
        auto const clock = std::make_shared<Manual_Clock>(from_millis(1'770'991'506'789));
        Token_Record token;
        token.token_name = "t";
        token.usage_limit = 1;
        REQUIRE(memory.put(key, token.to_json(), Precondition::absent()));
        Token_Desk desk(memory, key, clock);
        Use_Once first;
        CHECK(desk.change(first));
        token.usage_limit = 5;
        token.usage_count = 1;
        REQUIRE(memory.put(key, token.to_json(), Precondition::none()));
        Use_Once second;
        CHECK(desk.change(second));
        CHECK(second.granted);
    }
}
