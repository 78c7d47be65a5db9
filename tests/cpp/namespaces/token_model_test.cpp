// SPDX-License-Identifier: Apache-2.0
// Holders of leases, the shipped code, in every order of their steps and under every fate of their writes; and in more
// orders than can all be tried, by chance.
#include "namespaces/token_lab.hpp"
#include "support/printers.hpp"
#include "support/turns.hpp"
#include <memfs_cache/namespaces/tokens/token_block.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

using Steady = std::chrono::steady_clock;

enum What : std::size_t {
    interrupted, ///< a holder that could go on has to wait for another one
    faulty,      ///< a write gets lost, late, or its answer does
    landing,     ///< something late lands
    dying,       ///< a holder is no more, and later holders know that
    charging,    ///< somebody charges what a holder has leased that lives
    looking,     ///< a holder looks at the token before its next use
};

/// Says what happens where something may.
struct Fortune {
    std::function<std::size_t(std::size_t)> choose; ///< below n
    std::function<bool(What)> happens;
};

using Budget = std::map<What, int>; ///< how often; of what is not named, never

/// Takes every path there is within a budget of things that happen.
class Every_Way {
  public:
    explicit Every_Way(Budget budget) : budget_(std::move(budget)) {}
    auto fortune() -> Fortune {
        left_ = budget_;
        return {[this](std::size_t n) { return choices_.choose(n); },
                [this](What what) {
                    if (left_[what] == 0 || choices_.choose(2) == 0)
                        return false;
                    --left_[what];
                    return true;
                }};
    }
    auto next() -> bool { return choices_.next(); }

  private:
    Budget const budget_;
    Budget left_;
    Choices choices_;
};

struct Setting {
    std::uint64_t limit = 3;
    std::uint64_t block_size = 2;
    std::size_t holders = 2;
    std::uint64_t uses = 2; ///< that each holder wants
};

/// Everything that must hold after each write that takes effect.
class Watch {
  public:
    explicit Watch(Token_Record const& first) : last_(first) {}
    void operator()(Byte_View bytes) {
        auto const token = Token_Record::parse(bytes).value();
        REQUIRE(token.counted() <= token.usage_limit);          // I1
        REQUIRE(token.usage_count >= last_.usage_count);        // settled never falls
        REQUIRE(nonces_.insert(token.write_ids.back()).second); // I5
        std::uint64_t ended = 0;
        for (auto const& lease : last_.leases)
            if (token.find_lease(lease.id) == nullptr)
                ended += lease.granted;
        REQUIRE(token.usage_count - last_.usage_count <= ended); // settled is what was leased
        for (auto const& lease : token.leases)
            if (last_.find_lease(lease.id) == nullptr)
                REQUIRE(granted_.insert(lease.id).second); // I4: never granted again, so never settled again
        last_ = token;
    }
    [[nodiscard]] auto token() const -> Token_Record const& { return last_; }

  private:
    Token_Record last_;
    std::set<std::string> nonces_, granted_;
};

struct Dead {};

struct Run {
    std::uint64_t granted = 0;
    std::uint64_t exhausted = 0;
    std::uint64_t unknown = 0; ///< uses that ended with an error
    std::uint64_t charged = 0; ///< at most
    std::size_t died = 0;
};

class World {
  public:
    World(Fortune fortune, Setting setting) : fortune_(std::move(fortune)), setting_(setting) {
        Token_Record token;
        token.token_name = "t";
        token.usage_limit = setting.limit;
        token.block_size = setting.block_size;
        token.begin_write("the first");
        REQUIRE(memory_.put(key_, token.to_json(), Precondition::absent()));
        watch_.emplace(token);
        network_.applied = [this](auto const&, auto bytes) { (*watch_)(*bytes); };
        network_.fate = [this] {
            return fortune_.happens(faulty) ? static_cast<Network::Fate>(1 + fortune_.choose(3))
                                            : Network::Fate::answered;
        };
    }

    auto run() -> Run {
        for (std::size_t i = 0; i < setting_.holders; ++i)
            turns_.add([this, i] {
                try {
                    hold(i);
                } catch (Dead const&) {
                    ++run_.died;
                    dead_.insert(static_cast<std::int64_t>(i));
                }
            });
        turns_.run();
        network_.fate = nullptr;
        while (network_.on_the_way() > 0) // whatever is still late lands after everything else
            network_.land(0);
        finish();
        return run_;
    }

  private:
    void hold(std::size_t own) {
        Step_By_Step storage(network_, [this] { before_step(); });
        Token_Desk desk(storage, key_, clock_);
        Token_Block block(desk, terms(own));
        for (std::uint64_t wanted = setting_.uses; wanted > 0;) {
            if (fortune_.happens(looking))
                (void)block.tend(now_);
            auto taken = block.take(clock_->now(), now_);
            if (!taken) {
                ++run_.unknown; // nobody was told of a use
                --wanted;
            } else if (!*taken) {
                REQUIRE(++starved_ < 1'000); // or it waits for ever
                wait_for_others();
            } else {
                --wanted;
                auto const& outcome = (*taken)->outcome;
                run_.granted += outcome.success ? 1U : 0U;
                REQUIRE(run_.granted <= setting_.limit); // I2, as I1 holds
                if (!outcome.success) {
                    REQUIRE(outcome.rejection_reason == "exhausted");
                    REQUIRE(watch_->token().usage_count == setting_.limit); // H33
                    ++run_.exhausted;
                }
            }
        }
        for (int tries = 0; !block.close(); ++tries)
            REQUIRE(tries < 100);
    }

    auto terms(std::size_t own) -> Block_Terms {
        Block_Terms terms;
        terms.holder = {"a machine", static_cast<std::int64_t>(own), 1};
        terms.is_gone = [this](Token_Lease const& lease, Utc_Time) {
            bool const is_gone = dead_.contains(lease.holder.pid) || (may_charge_ && fortune_.happens(charging));
            if (is_gone && charged_.insert(lease.id).second)
                run_.charged += lease.granted;
            return is_gone;
        };
        return terms;
    }

    void before_step() {
        if (network_.on_the_way() > 0 && fortune_.happens(landing))
            network_.land(fortune_.choose(network_.on_the_way()));
        if (fortune_.happens(dying))
            throw Dead{};
        if (fortune_.happens(interrupted))
            turns_.pause();
    }

    /// The others go on first, each in its turn: who waits has no say in it.
    void wait_for_others() {
        in_turn_ = true;
        turns_.pause();
    }

    /// What must hold in the end. A last holder takes what is left.
    void finish() {
        if (run_.died == 0 && run_.charged == 0 && run_.unknown == 0) {
            REQUIRE(watch_->token().leases.empty());
            REQUIRE(watch_->token().usage_count == run_.granted); // I6
            REQUIRE(run_.granted == std::min(setting_.limit, setting_.uses * setting_.holders));
        }
        may_charge_ = false;
        Token_Desk desk(network_, key_, clock_);
        Token_Block block(desk, terms(setting_.holders));
        for (;;) {
            auto taken = block.take(clock_->now(), now_).value();
            REQUIRE(taken.has_value()); // nobody who lives holds anything
            if (!taken->outcome.success)
                break;
            ++run_.granted;
        }
        REQUIRE(block.close());
        REQUIRE(watch_->token().usage_count == setting_.limit);
        REQUIRE(watch_->token().leases.empty());
        REQUIRE(run_.granted <= setting_.limit);
        REQUIRE(run_.granted + run_.charged >= setting_.limit);
        if (run_.charged == 0)
            REQUIRE(run_.granted == setting_.limit);
    }

    Fortune fortune_;
    Setting const setting_;
    Storage_Memory memory_;
    Network network_{memory_};
    Storage_Key const key_{"cache/tokens/data/direct/id/token.json"};
    std::shared_ptr<Manual_Clock> const clock_ = std::make_shared<Manual_Clock>(from_millis(1'770'991'506'789));
    Steady::time_point const now_{1h};
    std::optional<Watch> watch_;
    bool in_turn_ = false;
    bool may_charge_ = true;
    int starved_ = 0;
    Turns turns_{[this](std::size_t n) { return std::exchange(in_turn_, false) ? 0 : fortune_.choose(n); }};
    std::set<std::int64_t> dead_;
    std::set<std::string> charged_;
    Run run_;
};

/// @return how many runs there were
auto try_every_way(Budget const& budget, Setting setting) -> int {
    Every_Way ways(budget);
    int runs = 0;
    do {
        ++runs;
        CAPTURE(runs);
        World(ways.fortune(), setting).run();
    } while (ways.next());
    return runs;
}

auto number_from(char const* variable, unsigned otherwise) -> unsigned {
    auto const* const text = std::getenv(variable);
    return text == nullptr ? otherwise : static_cast<unsigned>(std::stoul(text));
}

} // namespace

TEST_SUITE("namespaces/tokens/model") {
    // With MEMFS_CACHE_TEST_ROUNDS all of them go one step deeper; that takes minutes.
    TEST_CASE("holders use a limit of three exactly up, in every order of their steps") {
        int const deeper = std::getenv("MEMFS_CACHE_TEST_ROUNDS") != nullptr ? 1 : 0;
        CHECK(try_every_way({{interrupted, 4 + deeper}}, {}) > 2'000);
        CHECK(try_every_way({{interrupted, 2 + deeper}}, {.holders = 3}) > 1'000);
    }
    TEST_CASE("holders grant three uses at most under every fate of their writes") {
        int const deeper = std::getenv("MEMFS_CACHE_TEST_ROUNDS") != nullptr ? 1 : 0;
        CHECK(try_every_way({{faulty, 2}, {landing, 2 + deeper}}, {}) > 1'000);
        CHECK(try_every_way({{interrupted, 1 + deeper}, {faulty, 1}, {landing, 1}}, {}) > 1'000);
    }
    TEST_CASE("holders grant three uses at most, whenever one of them dies or is charged though it lives") {
        int const deeper = std::getenv("MEMFS_CACHE_TEST_ROUNDS") != nullptr ? 1 : 0;
        CHECK(try_every_way({{interrupted, 3 + deeper}, {dying, 1}}, {}) > 2'000);
        CHECK(try_every_way({{interrupted, 2 + deeper}, {charging, 1}, {looking, 1}}, {}) > 1'000);
    }
    TEST_CASE("whatever happens to many holders by chance, no use is granted too many and none is lost for good") {
        auto const rounds = number_from("MEMFS_CACHE_TEST_ROUNDS", 1'500);
        auto const first = number_from("MEMFS_CACHE_TEST_SEED", std::random_device{}() % 1'000'000'000);
        std::uint64_t died = 0, charged = 0, unknown = 0;
        for (auto seed = first; seed != first + rounds; ++seed) {
            CAPTURE(seed);
            std::mt19937 dice(seed);
            std::map<What, unsigned> const percent{{interrupted, 40},
                                                   {faulty, std::array{0U, 15U, 0U, 95U}[seed % 4]},
                                                   {landing, seed % 4 == 3 ? 2 : 30},
                                                   {dying, seed % 3 == 0 ? 1 : 0},
                                                   {charging, seed % 5 == 0 ? 3 : 0},
                                                   {looking, 30}};
            Fortune const fortune{[&](std::size_t n) { return dice() % n; },
                                  [&](What what) { return dice() % 100 < percent.at(what); }};
            auto const run = World(fortune, {.limit = 1 + dice() % 30,
                                             .block_size = 1 + dice() % 8,
                                             .holders = 2 + dice() % 3,
                                             .uses = 1 + dice() % 12})
                                 .run();
            died += run.died;
            charged += run.charged;
            unknown += run.unknown;
        }
        CAPTURE(first);
        CHECK(died > 0); // or this has shown nothing
        CHECK(charged > 0);
        CHECK(unknown > 0);
    }
}
