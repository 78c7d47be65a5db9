// SPDX-License-Identifier: Apache-2.0
// Tokens with blocks, as processes use them.
#include "namespaces/token_house.hpp"
#include "support/backends.hpp"
#include "support/child_process.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/wait_until.hpp"
#include "support/wrapped_storage.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto system_clock() -> Clock_Ptr { return std::make_shared<System_Clock>(); }

/// In this process no lease goes back by itself.
auto never_idle() -> Tokens_Options {
    Tokens_Options options;
    options.lease_idle = 1h;
    return options;
}

template <class Storage>
auto stored(Tokens<Storage>& tokens, std::string_view name = "t") -> Token {
    return tokens.lookup(name).value().value();
}

/// Uses a token until it is refused.
/// @return how often it was granted, if it was refused as exhausted
template <class Storage>
auto use_up(Tokens<Storage>& tokens, std::string_view name = "t") -> std::uint64_t {
    for (std::uint64_t granted = 0;; ++granted) {
        auto const use = tokens.use(name).value();
        if (use.success)
            continue;
        CHECK(use.rejection_reason == "exhausted");
        return granted;
    }
}

} // namespace

TEST_SUITE("namespaces/tokens/leases") {
    TEST_CASE("a token with blocks, its event and its charge are those of docs/format.md, byte by byte") {
        auto text = documented("token with blocks");
        std::erase(text, '\n'); // its line breaks are there for the reader's eye
        auto const token = Token_Record::parse(text).value();
        CHECK(token.to_json() == text);
        CHECK(token.counted() == 3'250);
        CHECK(token.remaining() == 6'750);
        CHECK(Token::of(token, start, "").usage_count_min == 3'000);
        Tokens_Summary window;
        for (auto const* name : {"leased use", "charge"}) {
            auto const line = documented(name);
            auto const known = std::string_view(line).substr(0, line.size() - 1);
            Token_Event event;
            REQUIRE(event.read({known, {}}));
            std::string out;
            event.append_json(out);
            CHECK(out == known);
            window.add(event);
        }
        std::string out;
        window.append_members(out);
        CHECK(out + "\n" == documented("charged window"));
        CHECK(Tokens_Summary::from_object(boost::json::parse("{" + out + "}").as_object()).value().tokens ==
              window.tokens);
    }

    TEST_CASE("a damaged lease is an error, and no part of a token") {
        auto text = documented("token with blocks");
        std::erase(text, '\n');
        struct Damage {
            std::string_view good, bad;
        };
        for (auto const& damage :
             {Damage{R"("granted":250)", R"("granted":0)"}, Damage{R"("granted":250)", R"("granted":-1)"},
              Damage{R"("pid":4711)", R"("pid":"x")"}, Damage{R"("block_size":1000)", R"("block_size":0)"},
              Damage{R"("leases":[{)", R"("leases":[7,{)"}, Damage{R"("recall":false,)", ""}}) {
            CAPTURE(damage.bad);
            auto damaged = text;
            damaged.replace(damaged.find(damage.good), damage.good.size(), damage.bad);
            CHECK(Token_Record::parse(damaged).error().code == Errc::corrupt_data);
        }
    }

    TEST_CASE_TEMPLATE("a token with blocks is granted as often as its limit says, and every use is an event", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto const tokens = open_tokens(backend.storage, system_clock());
        REQUIRE(tokens->create("t", {.limit = 100, .block_size = 16}));
        for (std::uint64_t i = 1; i <= 100; ++i) {
            auto const use = tokens->use("t").value();
            CHECK(use.success);
            CHECK(use.usage_count == i);
            CHECK(use.remaining == 100 - i);
        }
        CHECK(reason(tokens->use("t")) == "exhausted");
        CHECK(stored(*tokens).usage_count_min == 100);
        CHECK(stored(*tokens).status == Token_Status::exhausted);
        CHECK(this_month(*tokens, "t") == Token_Figures{.accepted = 100, .exhausted = 1});
        CHECK_FALSE(tokens->events("t").value().back().lease.empty());
    }

    TEST_CASE("what is leased shows as the difference of two counts, and goes back when it is idle") {
        Storage_Memory storage;
        auto const patient = open_tokens(storage, system_clock(), never_idle());
        Tokens_Options options;
        options.lease_idle = 1ms;
        auto const hasty = open_tokens(storage, system_clock(), options);
        REQUIRE(patient->create("t", {.limit = 1'000, .block_size = 50}));
        for (int i = 0; i < 3; ++i)
            CHECK(patient->use("t").value().success);
        CHECK(stored(*patient).usage_count == 50);
        CHECK(stored(*patient).usage_count_min == 0);
        CHECK(stored(*patient).remaining == 950);
        CHECK(patient->close());
        CHECK(hasty->use("t").value().success);
        wait_until([&] { return stored(*hasty).usage_count == 4; });
        CHECK(stored(*hasty).usage_count_min == 4);
        CHECK(this_month(*hasty, "t").accepted == 4);
    }

    TEST_CASE("an idle holder gives way at once to one who finds nothing left, and nobody hears exhausted too early") {
        Storage_Memory storage;
        auto const idle = open_tokens(storage, system_clock(), never_idle());
        auto const busy = open_tokens(storage, system_clock());
        REQUIRE(idle->create("t", {.limit = 100, .block_size = 50}));
        CHECK(idle->use("t").value().success);
        CHECK(stored(*idle).usage_count == 50);
        CHECK(use_up(*busy) == 99);
        CHECK(reason(idle->use("t")) == "exhausted");
        CHECK(this_month(*busy, "t").accepted == 100);
    }

    TEST_CASE("a use that finds all leased out and given back by nobody is unavailable, not exhausted") {
        Storage_Memory storage;
        Tokens_Options options;
        options.lease_patience = 20ms;
        auto const tokens = open_tokens(storage, system_clock(), options);
        REQUIRE(tokens->create("t", {.limit = 10, .block_size = 10}));
        auto const path = "cache/tokens/data/direct/" + stored(*tokens).cache_id + "/token.json";
        auto record = Token_Record::parse(*read(storage, path).value()).value();
        record.leases.push_back({"0123456789abcd", 10, start, {"another machine", 1, 1}});
        REQUIRE(write(storage, path, record.to_json()));
        auto const use = tokens->use("t");
        CHECK(use.error().code == Errc::unavailable);
        CHECK(Token_Record::parse(*read(storage, path).value()).value().recall);
        CHECK(tokens->check("t").value().success); // it may come back

        CHECK(tokens->settle("t").value().usage_count_min == 0); // of another machine nobody knows
        CHECK(tokens->settle("t", 24h).value().usage_count_min == 10);
        CHECK(reason(tokens->use("t")) == "exhausted");
        CHECK(this_month(*tokens, "t") == Token_Figures{.exhausted = 1, .charged = 10});
        auto const events = tokens->events("t").value();
        REQUIRE(events.size() == 2);
        CHECK(std::any_of(events.begin(), events.end(), [](auto const& event) {
            return event.charged == 10 && event.lease == "0123456789abcd" && !event.accepted();
        }));
        CHECK(tokens->settle("nobody").error().code == Errc::not_found);
    }

    TEST_CASE("a charge accounts for the uses that no event speaks of, and a holder that lives takes another lease") {
        Storage_Memory storage;
        auto const holder = open_tokens(storage, system_clock(), never_idle());
        auto const admin = open_tokens(storage, system_clock());
        REQUIRE(holder->create("t", {.limit = 20, .block_size = 10}));
        for (int i = 0; i < 3; ++i)
            CHECK(holder->use("t").value().success);
        CHECK(admin->settle("t").value().usage_count_min == 0); // its process lives
        CHECK(admin->settle("t", 0ms).value().usage_count_min == 10);
        CHECK(this_month(*admin, "t") == Token_Figures{.accepted = 3, .charged = 7});
        CHECK(holder->close());
        CHECK(stored(*admin).usage_count == 10);
        CHECK(use_up(*admin) == 10);
        CHECK(this_month(*admin, "t") == Token_Figures{.accepted = 13, .exhausted = 1, .charged = 7});
    }

    TEST_CASE("uses are settled after their events have landed, so that no kill leaves settled uses without events") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto options = never_idle();
        options.log = quiet_log();
        auto const tokens = open_tokens(storage, system_clock(), options);
        auto const other = open_tokens(storage, system_clock());
        REQUIRE(tokens->create("t", {.limit = 1'000, .block_size = 10}));
        for (int i = 0; i < 30; ++i)
            CHECK(tokens->use("t").value().success);
        auto const settled = stored(*other).usage_count_min;
        CHECK(settled >= 10);
        CHECK(this_month(*other, "t").accepted >= settled);
    }

    TEST_CASE("revoking, limiting and reactivating a token bind those who hold leases of it") {
        Storage_Memory storage;
        auto const holder = open_tokens(storage, system_clock(), never_idle());
        auto const admin = open_tokens(storage, system_clock());
        REQUIRE(holder->create("t", {.limit = 100, .block_size = 10}));
        CHECK(holder->use("t").value().success);
        SUBCASE("revoked") {
            CHECK(admin->revoke("t").value().status == Token_Status::revoked);
            wait_until([&] { return stored(*admin).usage_count == 1; }); // the lease is back
            CHECK(reason(holder->use("t")) == "revoked");
            CHECK(admin->reactivate("t", 2).value().remaining == 1);
            CHECK(use_up(*holder) == 1);
        }
        SUBCASE("a limit must leave uses beside those that are leased, or nothing is reactivated") {
            CHECK(admin->reactivate("t", 10).error().code == Errc::invalid_argument);
            CHECK(admin->reactivate("t", 11).value().remaining == 1);
            CHECK(use_up(*holder) == 10);
        }
        SUBCASE("a lower limit takes leases back, and no use that was granted") {
            CHECK(admin->set_limit("t", 5).value().status == Token_Status::active);
            wait_until([&] { return stored(*admin).usage_count <= 5; });
            CHECK(use_up(*holder) == 4);
        }
        CHECK(stored(*admin).status == Token_Status::exhausted);
        CHECK(stored(*admin).usage_count == this_month(*admin, "t").accepted);
    }

    TEST_CASE("a token expires for those who hold a lease of it") {
        Storage_Memory storage;
        auto const clock = std::make_shared<Manual_Clock>(start);
        auto const tokens = open_tokens(storage, clock, never_idle());
        REQUIRE(tokens->create("t", {.expires_at = start + 1h, .block_size = 10}));
        CHECK(tokens->use("t").value().success);
        clock->advance(1h - 1ms);
        CHECK(tokens->use("t").value().success);
        clock->advance(1ms);
        CHECK(reason(tokens->use("t")) == "expired");
        CHECK(tokens->close());
        CHECK(stored(*tokens).usage_count == 2);
    }

    TEST_CASE("the same action from four processes is granted by all and counts once, and the others' uses go back") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, system_clock());
        REQUIRE(tokens->create("t", {.limit = 100, .block_size = 10}));
        auto const granted = in_processes(4, folder.path(), [](auto& own, auto const& report) {
            from_threads(4, [&] {
                if (own.use("t", {.action_id = "one click"}).value().success)
                    report();
            });
            return true;
        });
        CHECK(granted == 16);
        CHECK(stored(*tokens).usage_count == 1);
        CHECK(stored(*tokens).usage_count_min == 1);
        CHECK(this_month(*tokens, "t") == Token_Figures{.accepted = 1});
    }

    TEST_CASE("an action whose answer got lost counts once, though it is tried again in another process") {
        Storage_Memory memory;
        Wrapped_Storage storage(memory);
        using Kind = decltype(storage)::Verdict::Kind;
        auto const first = open_tokens(storage, system_clock(), {.log = quiet_log()});
        auto const second = open_tokens(memory, system_clock());
        REQUIRE(first->create("t", {.limit = 10, .block_size = 5}));
        storage.hook = [](auto operation, std::string const& key) {
            bool const is_claim = operation == decltype(storage)::Operation::put && key.find("/actions/") != key.npos;
            return decltype(storage)::Verdict{is_claim ? Kind::unknown_after : Kind::go_on};
        };
        CHECK(first->use("t", {.action_id = "a click"}).value().success);
        CHECK(second->use("t", {.action_id = "a click"}).value().success);
        CHECK(first->close());
        CHECK(second->close());
        CHECK(stored(*second).usage_count == 1);
    }

    TEST_CASE(
        "eight threads in each of four processes use a limit of ten thousand exactly up, and all leases go back") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, system_clock());
        REQUIRE(tokens->create("t", {.limit = 10'000, .block_size = 300}));
        auto const granted = in_processes(4, folder.path(), [](auto& own, auto const& report) {
            from_threads(8, [&] {
                for (auto left = use_up(own); left > 0; --left)
                    report();
            });
            return true;
        });
        CHECK(granted == 10'000);
        CHECK(stored(*tokens).usage_count_min == 10'000);
        CHECK(this_month(*tokens, "t") == Token_Figures{.accepted = 10'000, .exhausted = 32});
    }

    TEST_CASE("of two hundred uses at once, from threads of two processes with blocks, exactly the limit is granted") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, system_clock());
        REQUIRE(tokens->create("t", {.limit = 77, .block_size = 10}));
        auto const granted = in_processes(2, folder.path(), [](auto& own, auto const& report) {
            from_threads(100, [&] {
                if (own.use("t").value().success)
                    report();
            });
            return true;
        });
        CHECK(granted == 77);
        CHECK(stored(*tokens).usage_count == 77);
    }

    TEST_CASE("a child after a fork holds no lease of its parent") {
        if (!can_fork_with_threads())
            return;
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, system_clock(), never_idle());
        REQUIRE(tokens->create("t", {.limit = 100, .block_size = 10}));
        CHECK(tokens->use("t").value().success);
        CHECK(is_well_in_child([&] {
            bool const used = tokens->use("t").value().success;
            return used && stored(*tokens).usage_count == 20 && tokens->close() && stored(*tokens).usage_count == 11;
        }));
        CHECK(tokens->use("t").value().success);
        CHECK(stored(*tokens).usage_count == 11);
        CHECK(tokens->close());
        CHECK(stored(*tokens).usage_count == 3);
    }

    TEST_CASE(
        "with holders that are killed never more than the limit is granted, and the rest is charged to the last use") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937 dice(seed);
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, system_clock());
        constexpr std::uint64_t limit = 10'000;
        REQUIRE(tokens->create("t", {.limit = limit, .block_size = 400}));
        Pipe told;
        std::vector<pid_t> children;
        for (int i = 0; i < 4; ++i)
            children.push_back(in_child([&] {
                ::alarm(60);
                auto own = Storage_Disk::open(folder.path()).value();
                auto const mine = open_tokens(own, system_clock());
                from_threads(8, [&] {
                    while (mine->use("t").value().success)
                        told.send('x');
                });
                if (!mine->close())
                    throw std::runtime_error("a lease was not given back");
            }));
        told.close_end(1);
        std::uint64_t granted = 0;
        char one = 0;
        for (auto const wanted = 1 + dice() % 5'000; granted < wanted && told.receive(one);)
            ++granted;
        auto const first_to_live = children.begin() + 1 + static_cast<std::ptrdiff_t>(dice() % 3);
        for (auto child = children.begin(); child != first_to_live; ++child)
            REQUIRE(::kill(*child, SIGKILL) == 0);
        while (told.receive(one))
            ++granted;
        for (auto child = children.begin(); child != first_to_live; ++child)
            CHECK(WIFSIGNALED(status_of(*child)));
        for (auto child = first_to_live; child != children.end(); ++child)
            CHECK(status_of(*child) == 0);
        auto const token = tokens->settle("t").value(); // as a rule one of the others has done it
        auto const figures = this_month(*tokens, "t");
        CHECK(granted <= limit);
        CHECK(token.usage_count == limit);
        CHECK(token.usage_count_min == limit);
        CHECK(figures.accepted + figures.charged == limit);
        CHECK(granted <= figures.accepted + figures.charged);
        CHECK(reason(tokens->use("t")) == "exhausted");
    }
}
