// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include "support/test_seed.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

/// The stored form but for the id, which differs always.
auto without_id(std::string const& event) -> std::string { return event.substr(event.find(',')); }

auto from_a_proxy() -> Analytics_Options {
    Analytics_Options options;
    options.trusted_proxies = Trusted_Proxies::parse("10.0.0.0/8").value();
    return options;
}

auto visit(std::string_view remote, Client_Memo* memo) -> Request_View {
    return {.method = "GET", .target = "/", .status = 200, .remote = remote, .country = "pt", .memo = memo};
}

} // namespace

TEST_SUITE("namespaces/client_memo") {
    TEST_CASE("whatever changes from one request to the next, what is stored with a memo is what is stored without") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (auto const key : {Visitor_Key::ip, Visitor_Key::ip_ua, Visitor_Key::none}) {
            auto options = from_a_proxy();
            options.visitor_key = key;
            Site site("2026-02-13T14:10", options);
            Client_Memo memo;
            Request_View request{.method = "GET", .target = "/a", .status = 200};
            auto const one_of = [&](std::initializer_list<std::string_view> texts) {
                return texts.begin()[random() % texts.size()];
            };
            for (int i = 0; i < 200; ++i) {
                // One thing at a time, so that each is at times the only one that differs.
                switch (random() % 6) {
                case 0:
                    request.remote = one_of({"10.0.0.1", "10.0.0.2", "198.18.0.1", ""});
                    break;
                case 1:
                    request.forwarded_for = one_of({"198.18.0.2", "198.18.0.3", "198.18.0.3, 198.18.0.2", ""});
                    break;
                case 2:
                    request.user_agent = one_of({"curl/8.1", "Wget/1.2", "Mozilla/5.0 (X11; Linux) Firefox/121.0", ""});
                    break;
                case 3:
                    request.referrer = one_of({"https://a.example/x", "https://b.example/x", ""});
                    break;
                case 4:
                    request.country = one_of({"pt", "de", "no country", ""});
                    break;
                default:
                    request.timestamp = time_at(std::string(one_of({"2026-02-12T23:59", "2026-02-13T00:00"})));
                }
                request.memo = nullptr;
                auto const expected = without_id(site.stored(request));
                request.memo = &memo;
                CHECK(without_id(site.stored(request)) == expected);
                CHECK(without_id(site.stored(request)) == expected);
            }
        }
    }

    TEST_CASE("texts that are the same only when put together are told apart") {
        Site site("2026-02-13T14:10", from_a_proxy());
        Client_Memo memo;
        auto request = visit("10.0.0.1", &memo);
        request.forwarded_for = "198.18.0.1";
        request.user_agent = "1";
        auto const first = member(site.stored(request), "ip_hash");
        request.forwarded_for = "198.18.0.11";
        request.user_agent = "";
        auto const second = member(site.stored(request), "ip_hash");
        CHECK(first == '"' + site->visitor_hash("198.18.0.1", site.clock().now()) + '"');
        CHECK(second == '"' + site->visitor_hash("198.18.0.11", site.clock().now()) + '"');
    }

    TEST_CASE("two who record the same request with one memo hash under their own salts") {
        Site one, other;
        Client_Memo memo;
        for (int i = 0; i < 2; ++i)
            for (auto* const site : {&one, &other})
                CHECK(member(site->stored(visit("198.18.0.1", &memo)), "ip_hash") ==
                      '"' + (*site)->visitor_hash("198.18.0.1", site->clock().now()) + '"');
        auto const now = one.clock().now();
        CHECK(one->visitor_hash("198.18.0.1", now) != other->visitor_hash("198.18.0.1", now));
    }

    TEST_CASE("a country that is not to be kept is not remembered either") {
        Analytics_Options options;
        options.keep_country = false;
        Site site("2026-02-13T14:10", options);
        Client_Memo memo;
        for (int i = 0; i < 2; ++i)
            CHECK(member(site.stored(visit("198.18.0.1", &memo)), "country").empty());
    }

    TEST_CASE("a visitor who is left out because the salt cannot be had is counted each time, and found later") {
        Site site;
        Client_Memo memo;
        bool fails = true;
        site.storage.hook = [&](auto, std::string_view key) {
            return Watched_Memory::Verdict{fails && is_salt_key(key) ? Watched_Memory::Verdict::Kind::fail
                                                                     : Watched_Memory::Verdict::Kind::go_on,
                                           Errc::unavailable};
        };
        for (int i = 1; i <= 2; ++i) {
            CHECK(member(site.stored(visit("198.18.0.1", &memo)), "ip_hash").empty());
            CHECK(site->health().details.at("without_visitor") == i);
        }
        fails = false;
        REQUIRE(site->prepare());
        CHECK(member(site.stored(visit("198.18.0.1", &memo)), "ip_hash") != "");
        CHECK(site->health().details.at("without_visitor") == 2);
    }

    TEST_CASE("it gives back what it was given, to whoever gave it, for the same client and as long as it holds") {
        auto const start = time_at("2026-02-13T00:00");
        auto const end = time_at("2026-02-14T00:00");
        auto const request = visit("198.18.0.1", nullptr);
        Client_Facts facts;
        facts.visitor = Hex_Number(7);
        Client_Memo memo;
        CHECK(memo.find(request, 0, Utc_Time()) == nullptr);
        memo.keep(request, 1, start, end, facts);
        REQUIRE(memo.find(request, 1, start) != nullptr);
        CHECK(memo.find(request, 1, start)->visitor.view() == "0000000000000007");
        CHECK(memo.find(request, 1, end - 1ms) != nullptr);
        CHECK(memo.find(request, 1, end) == nullptr);
        CHECK(memo.find(request, 1, start - 1ms) == nullptr);
        CHECK(memo.find(request, 2, start) == nullptr);
        CHECK(memo.find(visit("198.18.0.2", nullptr), 1, start) == nullptr);
    }

    TEST_CASE("of a client that sends more than it has room for it remembers nothing") {
        auto const start = time_at("2026-02-13T00:00");
        auto const end = time_at("2026-02-14T00:00");
        auto request = visit("198.18.0.1", nullptr);
        Client_Memo memo;
        std::string const agent(512 - request.remote.size() - request.country.size(), 'x');
        request.user_agent = agent;
        memo.keep(request, 1, start, end, {});
        CHECK(memo.find(request, 1, start) != nullptr);
        auto longer = request;
        longer.referrer = "xxx";
        memo.keep(longer, 1, start, end, {});
        CHECK(memo.find(longer, 1, start) == nullptr);
        CHECK(memo.find(request, 1, start) == nullptr);
    }
}
