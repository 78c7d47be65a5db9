// SPDX-License-Identifier: Apache-2.0
#include "namespaces/token_house.hpp"
#include "support/backends.hpp"
#include "support/delayed_storage.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/namespaces/tokens.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto names_of(boost::json::object const& object) -> std::vector<std::string> {
    std::vector<std::string> names;
    for (auto const& [name, value] : object)
        names.emplace_back(name);
    return names;
}

} // namespace

TEST_SUITE("namespaces/tokens") {
    TEST_CASE("a token, its events and its windows are those of docs/format.md, byte by byte") {
        auto text = documented("token");
        std::erase(text, '\n'); // its line breaks are there for the reader's eye
        auto const token = Token_Record::parse(text).value();
        CHECK(token.to_json() == text);
        CHECK(token.cache_hash == Cache_Hash().from_string("community-x").value());
        CHECK(token.status_at(start) == Token_Status::active);
        auto const line = documented("token event");
        Token_Event event;
        auto const known = std::string_view(line).substr(0, line.size() - 1);
        REQUIRE(event.read({known, {}}));
        std::string out;
        event.append_json(out);
        CHECK(out == known);
        Tokens_Summary window;
        window.add(event);
        event.rejection_reason.clear();
        for (int i = 0; i < 3; ++i)
            window.add(event);
        out.clear();
        window.append_members(out);
        CHECK(out + "\n" == documented("token window"));
        CHECK(Tokens_Summary::from_object(boost::json::parse("{" + out + "}").as_object()).value().tokens ==
              window.tokens);
    }

    TEST_CASE("tokens, events and windows keep their names and values, and pass over members that they do not know") {
        auto text = documented("token");
        std::erase(text, '\n');
        auto const with_more = [](std::string object) {
            return object.replace(object.size() - 1, 1, R"(,"later":[{"a":"}"}],"more":null})");
        };
        auto const record = Token_Record::parse(with_more(text)).value();
        CHECK(record.to_json() == text);
        auto other_version = text;
        other_version.replace(text.find(R"("v":1)"), 5, R"("v":2)");
        CHECK(Token_Record::parse(other_version).error().code == Errc::corrupt_data);
        auto const shown = Token::of(record, start, "https://files.example/t/").to_json();
        CHECK(names_of(shown) == std::vector<std::string>{"cache_id", "cache_hash", "token_name", "usage_limit",
                                                          "usage_count", "usage_count_min", "remaining", "status",
                                                          "created_at", "created_by", "expires_at", "revoked_at",
                                                          "last_used_at", "metadata", "share_url"});
        CHECK(shown.at("status") == "active");
        CHECK(shown.at("metadata") == record.metadata);
        Token_Event event;
        auto const line = documented("token event");
        auto const known = line.substr(0, line.size() - 1);
        auto const more = with_more(known);
        REQUIRE(event.read({more, {}}));
        std::string out;
        event.append_json(out);
        CHECK(out == known);
        for (auto const* name : {"timestamp", "ip_hash", "action", "transfer_id", "rejection_reason"})
            CHECK(event.to_json().contains(name));
        auto const window = "{" + documented("token window") + "}";
        auto const summary = Tokens_Summary::from_object(boost::json::parse(window).as_object()).value();
        CHECK(Tokens_Summary::from_object(boost::json::parse(with_more(window)).as_object()).value().tokens ==
              summary.tokens);
    }

    TEST_CASE("listing a thousand tokens with all they hold is one list and a read of each") {
        Storage_Memory storage;
        auto const tokens = open_tokens(storage);
        for (int i = 0; i < 1'000; ++i)
            REQUIRE(tokens->create("token-" + std::to_string(i), {.limit = 5, .created_by = "ann"}));
        auto const before = storage.counters();
        auto const all = tokens->list().value();
        auto const after = storage.counters();
        CHECK(all.size() == 1'000);
        CHECK(std::is_sorted(all.begin(), all.end(),
                             [](Token const& a, Token const& b) { return a.token_name < b.token_name; }));
        CHECK(std::all_of(all.begin(), all.end(), [](Token const& token) { return token.remaining == 5; }));
        CHECK(after.lists - before.lists == 1);
        CHECK(after.reads - before.reads == 1'000);
        CHECK(after.writes == before.writes);
    }

    TEST_CASE_TEMPLATE("a token of limit ten is granted ten times, and the eleventh use is refused as exhausted",
                       Backend, MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto const tokens = open_tokens(backend.storage);
        auto const made = tokens->create("Community-X", {.limit = 10, .created_by = "ann"}).value();
        CHECK(made.token_name == "community-x");
        CHECK(made.remaining == 10);
        for (int i = 1; i <= 3; ++i)
            CHECK(tokens->use("community-x").value().usage_count == static_cast<std::uint64_t>(i));
        CHECK(tokens->lookup("COMMUNITY-X ").value()->usage_count == 3);
        for (int i = 4; i <= 10; ++i)
            CHECK(tokens->use("community-X").value().success);
        auto const eleventh = tokens->use("community-x").value();
        CHECK_FALSE(eleventh.success);
        CHECK(eleventh.rejection_reason == "exhausted");
        CHECK(eleventh.remaining == 0);
        CHECK(tokens->lookup("community-x").value()->status == Token_Status::exhausted);
        CHECK(tokens->events("community-x").value().size() == 11);
        CHECK(tokens->aggregation("community-x", "daily", "2026-02-13").value() ==
              Token_Figures{.accepted = 10, .exhausted = 1});
    }

    TEST_CASE("names are put in small letters and never changed any further") {
        CHECK(parse_token_name(" A-b_9 ").value() == "a-b_9");
        CHECK(parse_token_name(std::string(128, 'x')).value().size() == 128);
        for (auto const& bad :
             {std::string(), std::string("a b"), std::string("a/b"), std::string("_a"), std::string("-a"),
              std::string("a.b"), std::string("<script>"), std::string("a\nb"), std::string("\u00e9"),
              std::string(129, 'x'), std::string(10'000, 'x'), std::string("..")}) {
            CAPTURE(bad);
            CHECK(parse_token_name(bad).error().code == Errc::invalid_argument);
            Storage_Memory storage;
            auto const tokens = open_tokens(storage);
            CHECK(tokens->create(bad).error().code == Errc::invalid_argument);
            CHECK(reason(tokens->use(bad)) == "not_found");
            CHECK(reason(tokens->check(bad)) == "not_found");
            CHECK_FALSE(tokens->lookup(bad).value());
        }
    }

    TEST_CASE_TEMPLATE("of many who create one name at once exactly one wins", Backend, MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        std::atomic<int> won{0}, lost{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&, t] {
                auto const tokens = open_tokens(other && t % 2 == 1 ? *other : backend.storage);
                auto const made = tokens->create("one", {.limit = static_cast<std::uint64_t>(t + 1)});
                if (made)
                    ++won;
                else if (made.error().code == Errc::already_exists)
                    ++lost;
            });
        for (auto& thread : threads)
            thread.join();
        CHECK(won == 1);
        CHECK(lost == 7);
        CHECK(open_tokens(backend.storage)->list().value().size() == 1);
    }

    TEST_CASE("expired, revoked, exhausted and unknown are told apart, and each refusal of a token is an event") {
        Storage_Memory storage;
        auto const clock = std::make_shared<Manual_Clock>(start);
        auto const tokens = open_tokens(storage, clock);
        REQUIRE(tokens->create("t", {.limit = 1, .expires_at = start + 1h}));
        CHECK(tokens->use("t", {.ip_hash = "3f9a1c0b5d7e8f42", .action = "opened", .transfer_id = "tr-1"})
                  .value()
                  .success);
        CHECK(reason(tokens->use("t")) == "exhausted");
        CHECK(tokens->set_limit("t", 0).value().status == Token_Status::active);
        clock->set(start + 1h - 1ms);
        CHECK(tokens->use("t").value().success);
        clock->set(start + 1h);
        CHECK(reason(tokens->use("t")) == "expired");
        CHECK(tokens->lookup("t").value()->status == Token_Status::expired);
        CHECK(tokens->list().value().front().status == Token_Status::expired);
        CHECK(tokens->revoke("t").value().revoked_at == start + 1h);
        clock->advance(1s);
        CHECK(tokens->revoke("t").value().revoked_at == start + 1h);
        CHECK(reason(tokens->use("t")) == "revoked");
        CHECK(reason(tokens->use("another")) == "not_found");
        auto const events = tokens->events("t").value();
        REQUIRE(events.size() == 5);
        CHECK(events[0].rejection_reason == "revoked");
        CHECK(events[1].rejection_reason == "expired");
        CHECK(events[2].accepted());
        CHECK(events[3].rejection_reason == "exhausted");
        CHECK(events[4].ip_hash == "3f9a1c0b5d7e8f42");
        CHECK(events[4].action == "opened");
        CHECK(events[4].transfer_id == "tr-1");
        CHECK(tokens->events("t", 2).value().size() == 2);
        CHECK(tokens->aggregation("t", "daily", "2026-02-13").value() ==
              Token_Figures{.accepted = 2, .exhausted = 1, .expired = 1, .revoked = 1});
        CHECK(tokens->lookup("t").value()->last_used_at == start + 1h - 1ms);
    }

    TEST_CASE("no limit is no limit, a lower limit shows at once, and reactivating needs uses that are left") {
        Storage_Memory storage;
        auto const clock = std::make_shared<Manual_Clock>(start);
        auto const tokens = open_tokens(storage, clock);
        auto const made = tokens->create("free").value();
        CHECK(made.usage_limit == 0);
        CHECK_FALSE(made.remaining);
        for (int i = 0; i < 20; ++i)
            CHECK(tokens->use("free").value().success);
        CHECK(tokens->set_limit("free", 5).value().status == Token_Status::exhausted);
        CHECK(tokens->lookup("free").value()->remaining == 0);
        CHECK(tokens->reactivate("free", 20).error().code == Errc::invalid_argument);
        CHECK(tokens->reactivate("free", 21).value().remaining == 1);
        CHECK(tokens->revoke("free").value().status == Token_Status::revoked);
        auto const again = tokens->reactivate("free", 0).value();
        CHECK(again.status == Token_Status::active);
        CHECK(again.usage_count == 20);
        CHECK(again.revoked_at == Token_Record::never);
        REQUIRE(tokens->create("short", {.limit = 1, .expires_at = start + 1s}));
        clock->advance(1s);
        CHECK(tokens->reactivate("short", 9).error().code == Errc::invalid_argument);
        CHECK(tokens->revoke("no such").error().code == Errc::not_found);
        CHECK(tokens->set_limit("nobody", 1).error().code == Errc::not_found);
    }

    TEST_CASE("a check consumes nothing, and an action counts once a day however often it is tried") {
        Storage_Memory storage;
        auto const clock = std::make_shared<Manual_Clock>(start);
        auto const tokens = open_tokens(storage, clock);
        REQUIRE(tokens->create("t", {.limit = 2}));
        for (int i = 0; i < 5; ++i)
            CHECK(tokens->check("t").value().success);
        CHECK(tokens->lookup("t").value()->usage_count == 0);
        Use_Of_Token const use{.action_id = "click 1"};
        for (int i = 0; i < 5; ++i) {
            CHECK(tokens->use("t", use).value().success);
            CHECK(tokens->lookup("t").value()->usage_count == 1);
        }
        clock->set(start + 24h - 1ms);
        CHECK(tokens->use("t", use).value().usage_count == 1);
        clock->set(start + 24h);
        CHECK(tokens->use("t", use).value().usage_count == 2);
        CHECK(reason(tokens->use("t", {.action_id = "click 2"})) == "exhausted");
        CHECK(tokens->use("t", use).value().success); // this one is paid for
        CHECK(tokens->events("t").value().size() == 3);
    }

    TEST_CASE_TEMPLATE("the same action from many at once counts once", Backend, MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        auto const first = open_tokens(backend.storage);
        auto const second = other ? open_tokens(*other) : nullptr;
        REQUIRE(first->create("t", {.limit = 3}));
        std::atomic<int> granted{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&, t] {
                auto& tokens = second && t % 2 == 1 ? *second : *first;
                granted += tokens.use("t", {.action_id = "one click"}).value().success ? 1 : 0;
            });
        for (auto& thread : threads)
            thread.join();
        CHECK(granted == 8);
        CHECK(first->lookup("t").value()->usage_count == 1);
    }

    TEST_CASE("what may be an address is not kept, and a share URL holds the name") {
        Storage_Memory storage;
        auto const tokens =
            open_tokens(storage, std::make_shared<Manual_Clock>(start), {.share_url_base = "https://files.example/t/"});
        CHECK(tokens->create("abc").value().share_url == "https://files.example/t/abc");
        CHECK(tokens->lookup("abc").value()->share_url == "https://files.example/t/abc");
        for (auto const* address : {"198.18.0.7", "2001:db8::7", "::ffff:198.18.0.7"})
            CHECK(tokens->use("abc", {.ip_hash = address}).value().success);
        REQUIRE(tokens->flush());
        for (auto const& path : files_list(storage).value()) {
            auto const bytes = *read(storage, path).value();
            CHECK(bytes.find("198.18") == std::string::npos);
            CHECK(bytes.find("2001:db8") == std::string::npos);
        }
    }

    TEST_CASE("a storage without conditions is refused, and one that fails grants nothing") {
        Storage_Memory memory;
        Wrapped_Storage storage(memory);
        using Kind = decltype(storage)::Verdict::Kind;
        storage.promised.conditional_put = false;
        auto const refused = Tokens<decltype(storage)>::open(storage, "cache", Namespace_Name("tokens"),
                                                             std::make_shared<Manual_Clock>(start));
        CHECK(refused.error().code == Errc::unsupported);
        storage.promised.conditional_put = true;
        auto const tokens = open_tokens(storage);
        REQUIRE(tokens->create("t", {.limit = 1}));
        bool fails = true;
        storage.hook = [&](auto, std::string const&) {
            return decltype(storage)::Verdict{fails ? Kind::fail : Kind::go_on};
        };
        CHECK(tokens->use("t").has_error());
        CHECK(tokens->check("t").has_error());
        fails = false;
        CHECK(tokens->use("t").value().success);
    }

    TEST_CASE("a damaged token is an error that names its file, and is not granted") {
        Storage_Memory storage;
        auto const tokens = open_tokens(storage);
        auto const made = tokens->create("t", {.limit = 1}).value();
        auto const path = "cache/tokens/data/direct/" + made.cache_id + "/token.json";
        auto const whole = *read(storage, path).value();
        for (std::size_t size = 0; size < whole.size(); size += 5) {
            REQUIRE(write(storage, path, whole.substr(0, size)));
            auto const use = tokens->use("t");
            CHECK(use.error().code == Errc::corrupt_data);
            CHECK(use.error().context.find(path) != std::string::npos);
        }
        REQUIRE(write(storage, path, whole));
        CHECK(tokens->use("t").value().success);
    }

    TEST_CASE("eight threads in each of four processes use a limit of a thousand exactly up") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, std::make_shared<System_Clock>());
        REQUIRE(tokens->create("t", {.limit = 1'000}));
        auto const granted = in_processes(4, folder.path(), [](auto& own, auto const& report) {
            std::atomic<int> exhausted{0};
            from_threads(8, [&] {
                for (;;) {
                    auto const use = own.use("t").value();
                    if (!use.success) {
                        exhausted += use.rejection_reason == "exhausted" ? 1 : 0;
                        return;
                    }
                    report();
                }
            });
            return exhausted == 8;
        });
        CHECK(granted == 1'000);
        CHECK(tokens->lookup("t").value()->usage_count == 1'000);
        CHECK(this_month(*tokens, "t") == Token_Figures{.accepted = 1'000, .exhausted = 32});
    }

    TEST_CASE("of two hundred uses at once, from threads of two processes, exactly the limit is granted") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, std::make_shared<System_Clock>());
        REQUIRE(tokens->create("t", {.limit = 77}));
        auto const granted = in_processes(2, folder.path(), [](auto& own, auto const& report) {
            from_threads(100, [&] {
                if (own.use("t").value().success)
                    report();
            });
            return true;
        });
        CHECK(granted == 77);
        CHECK(tokens->lookup("t").value()->usage_count == 77);
        CHECK(this_month(*tokens, "t") == Token_Figures{.accepted = 77, .exhausted = 123});
    }

    TEST_CASE("behind a network that loses answers and delays writes a limit of a thousand is never exceeded") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937 dice(seed);
        using Network = Delayed_Storage<Storage_Memory>;
        Storage_Memory memory;
        Network network(memory);
        std::vector<std::unique_ptr<Tokens<Network>>> processes;
        for (int i = 0; i < 8; ++i)
            processes.push_back(open_tokens(network, std::make_shared<Manual_Clock>(start), {.log = quiet_log()}));
        constexpr std::uint64_t limit = 1'000;
        REQUIRE(processes.front()->create("t", {.limit = limit}));
        for (auto& process : processes)
            REQUIRE(process->lookup("t").value()); // from here on nothing but the token is bad to reach
        network.fate = [&] {
            auto const roll = dice() % 10;
            return roll < 7 ? Network::Fate::answered : static_cast<Network::Fate>(roll - 6);
        };
        std::uint64_t granted = 0, unknown = 0;
        for (bool left = true; left;) {
            if (network.on_the_way() > 0 && dice() % 2 == 0)
                network.land(dice() % network.on_the_way());
            auto const use = processes[dice() % processes.size()]->use("t");
            granted += use && use->success ? 1U : 0U;
            unknown += use ? 0U : 1U;
            left = !use || use->rejection_reason != "exhausted";
        }
        while (network.on_the_way() > 0)
            network.land(0);
        auto const counted = processes.front()->lookup("t").value()->usage_count;
        CHECK(counted == limit);
        CHECK(granted <= limit);
        CHECK(granted + unknown >= limit); // only who is told that nobody knows may have cost a use
        CHECK(granted > 0);
        network.fate = nullptr;
    }

    TEST_CASE(
        "processes that are killed in the middle never grant one too many, and what they did not tell is counted") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937 dice(seed);
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        auto const tokens = open_tokens(storage, std::make_shared<System_Clock>());
        constexpr std::uint64_t limit = 300;
        REQUIRE(tokens->create("t", {.limit = limit}));
        std::uint64_t told = 0;
        int kills = 0;
        while (tokens->lookup("t").value()->usage_count < limit) {
            int grants[2];
            REQUIRE(::pipe(grants) == 0);
            std::array<pid_t, 2> children{};
            for (auto& child : children) {
                child = ::fork();
                if (child == 0) {
                    auto own = Storage_Disk::open(folder.path()).value();
                    auto const mine = open_tokens(own, std::make_shared<System_Clock>());
                    while (mine->use("t").value().success)
                        (void)!::write(grants[1], "x", 1);
                    ::_exit(0);
                }
            }
            ::close(grants[1]);
            char byte = 0;
            auto const wanted = 1 + dice() % 60;
            for (unsigned i = 0; i < wanted && ::read(grants[0], &byte, 1) == 1; ++i)
                ++told;
            for (auto const child : children)
                ::kill(child, SIGKILL);
            while (::read(grants[0], &byte, 1) == 1)
                ++told;
            ::close(grants[0]);
            for (auto const child : children) {
                int status = 0;
                CHECK(::waitpid(child, &status, 0) == child);
                kills += WIFSIGNALED(status) ? 1 : 0;
            }
        }
        CAPTURE(kills);
        CHECK(told <= limit);
        CHECK(told + static_cast<std::uint64_t>(kills) >= limit); // each may take one grant along that nobody heard of
        CHECK(tokens->lookup("t").value()->usage_count == limit);
        CHECK(reason(tokens->use("t")) == "exhausted");
    }
}
