// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/http/admin_gate.hpp>
#include <memfs_cache/http/rate_limiter.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

auto from(std::string remote, std::string forwarded_for = "") -> Request {
    return {"GET", "/", {{"X-Forwarded-For", std::move(forwarded_for)}}, {}, std::move(remote)};
}

struct Limited {
    explicit Limited(Rate rate, std::string_view proxies = "")
        : limiter(rate, Trusted_Proxies::parse(proxies).value(), clock) {}

    auto may(Request const& request) -> bool { return !limiter.spend(request); }
    /// How many of so many tries in a row are granted.
    auto granted(Request const& request, int tries) -> int {
        int count = 0;
        for (int i = 0; i < tries; ++i)
            count += may(request) ? 1 : 0;
        return count;
    }

    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(from_millis(1'771'070'400'000));
    Rate_Limiter limiter;
};

} // namespace

TEST_SUITE("http/rate_limiter") {
    TEST_CASE("so many at once, and then as many a period, evenly spread") {
        Limited limited({30, 60s});
        auto const client = from("192.0.2.1");
        CHECK(limited.granted(client, 100) == 30);
        limited.clock->advance(1999ms);
        CHECK(!limited.may(client));
        limited.clock->advance(1ms);
        CHECK(limited.granted(client, 100) == 1);
        limited.clock->advance(60s);
        CHECK(limited.granted(client, 100) == 30);
        limited.clock->advance(24h);
        CHECK(limited.granted(client, 100) == 30);
    }

    TEST_CASE("whatever the pace, nobody is granted more than the rate, and waiting as long as told is enough") {
        auto const* const chosen = std::getenv("MEMFS_CACHE_TEST_SEED");
        auto const seed = chosen ? std::strtoull(chosen, nullptr, 10) : std::random_device()();
        CAPTURE(seed);
        std::mt19937_64 chance(seed);
        for (int round = 0; round < 50; ++round) {
            auto const count = static_cast<std::uint32_t>(1 + chance() % 20);
            auto const interval = std::chrono::milliseconds(1 + chance() % 1000);
            Limited limited({count, interval * count});
            auto const client = from("192.0.2.1");
            std::vector<Utc_Time> granted;
            for (int i = 0; i < 200; ++i) {
                limited.clock->advance(std::chrono::milliseconds(chance() % 500));
                auto const wait = limited.limiter.spend(client);
                if (wait) {
                    limited.clock->advance(std::chrono::floor<std::chrono::milliseconds>(*wait - 1us));
                    CHECK(!limited.may(client));
                    limited.clock->advance(1ms);
                    REQUIRE(limited.may(client));
                }
                granted.push_back(limited.clock->now());
            }
            for (std::size_t i = 0; i < granted.size(); ++i)
                for (auto j = i; j < granted.size(); ++j) {
                    auto const most = count + static_cast<std::uint64_t>((granted[j] - granted[i]) / interval);
                    REQUIRE(j - i + 1 <= most);
                }
        }
    }

    TEST_CASE("many threads together are granted what one would be") {
        Limited limited({100, 60s});
        std::atomic<int> granted{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] { granted += limited.granted(from("192.0.2.1"), 50); });
        for (auto& thread : threads)
            thread.join();
        CHECK(granted == 100);
    }

    TEST_CASE("asking how long to wait costs nothing, and nor does being refused") {
        Limited limited({2, 60s});
        auto const client = from("192.0.2.1");
        for (int i = 0; i < 10; ++i)
            CHECK(!limited.limiter.wait(client));
        CHECK(limited.granted(client, 50) == 2);
        CHECK(limited.limiter.wait(client) == std::optional<std::chrono::microseconds>(30s));
        limited.clock->advance(30s);
        CHECK(!limited.limiter.wait(client));
        CHECK(limited.granted(client, 50) == 1);
    }

    TEST_CASE("clients are told apart by their address, networks of 64 bits by theirs, and the unknown are one") {
        Limited limited({1, 60s}, "10.0.0.0/8");
        CHECK(limited.may(from("192.0.2.1")));
        CHECK(!limited.may(from("::ffff:192.0.2.1")));
        CHECK(limited.may(from("192.0.2.2")));
        CHECK(limited.may(from("2001:db8:0:1::1")));
        CHECK(!limited.may(from("2001:db8:0:1:ffff::9")));
        CHECK(limited.may(from("2001:db8:0:2::1")));
        CHECK(limited.may(from("")));
        CHECK(!limited.may(from("somewhere")));
        // Behind a trusted proxy its clients are told apart; what others write there is not believed.
        CHECK(limited.may(from("10.0.0.1", "198.51.100.1")));
        CHECK(limited.may(from("10.0.0.1", "198.51.100.2")));
        CHECK(!limited.may(from("10.0.0.2", "198.51.100.1")));
        CHECK(!limited.may(from("192.0.2.1", "198.51.100.3")));
        CHECK(!limited.may(from("10.0.0.1", "198.51.100.4, 198.51.100.1")));
    }

    TEST_CASE("a clock that is turned back locks nobody out") {
        Limited limited({3, 60s});
        auto const client = from("192.0.2.1");
        CHECK(limited.granted(client, 9) == 3);
        limited.clock->advance(-24h);
        CHECK(!limited.limiter.wait(client));
        CHECK(limited.granted(client, 9) == 3);
    }

    TEST_CASE("of more clients than there is room for, those that have used most are remembered") {
        Limited limited({30, 60s});
        auto const busy = from("192.0.2.1");
        CHECK(limited.granted(busy, 30) == 30);
        for (std::size_t i = 0; i < 3 * Rate_Limiter::most_clients; ++i) {
            auto const other = "198." + std::to_string(18 + i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                               std::to_string(i % 256);
            REQUIRE(limited.may(from(other)));
        }
        CHECK(!limited.may(busy));
    }
}

TEST_SUITE("http/admin_gate") {
    struct Gate {
        std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(from_millis(1'771'070'400'000));
        std::vector<std::string> logged;
        Admin_Gate gate{Admin_Key::from_text("right-key").value(), Trusted_Proxies(), clock,
                        [this](std::string_view sentence) { logged.emplace_back(sentence); }};

        /// The status of the refusal; 200 for a request that may pass.
        auto status(std::string const& key, std::string const& client = "192.0.2.1") -> int {
            Headers headers;
            if (!key.empty())
                headers.add("X-API-Key", key);
            auto const refusal = gate.refusal({"GET", "/", headers, {}, client});
            return refusal ? refusal->status : 200;
        }
    };

    TEST_CASE("whoever has tried a hundred wrong keys waits, for the right one too, and goes on every six seconds") {
        Gate gate;
        for (int i = 0; i < 100; ++i)
            REQUIRE(gate.status("wrong") == 401);
        CHECK(gate.status("wrong") == 429);
        CHECK(gate.status("right-key") == 429);
        auto const refusal = gate.gate.refusal({"GET", "/", {{"Authorization", "Bearer wrong"}}, {}, "192.0.2.1"});
        REQUIRE(refusal);
        CHECK(refusal->headers.value("Retry-After") == "6");
        gate.clock->advance(6s);
        CHECK(gate.status("right-key") == 200);
        CHECK(gate.status("wrong") == 401);
        CHECK(gate.status("right-key") == 429);
    }

    TEST_CASE("the right key is locked out neither by others, nor by its own use, nor by requests without a key") {
        Gate gate;
        for (int i = 0; i < 300; ++i) {
            (void)gate.status("wrong", "192.0.2.2");
            REQUIRE(gate.status("") == 401);
            REQUIRE(gate.status("right-key") == 200);
        }
        CHECK(gate.status("wrong", "192.0.2.2") == 429);
    }

    TEST_CASE("the log hears of each wrong key that was tried, and neither the key nor from whom") {
        Gate gate;
        for (int i = 0; i < 150; ++i)
            (void)gate.status("secret-wrong", "192.0.2.77");
        (void)gate.status("");
        (void)gate.status("right-key", "192.0.2.78");
        CHECK(gate.logged.size() == 100);
        for (auto const& sentence : gate.logged) {
            CHECK(sentence.find("wrong admin key") != std::string::npos);
            CHECK(sentence.find("secret") == std::string::npos);
            CHECK(sentence.find("192.0.2") == std::string::npos);
        }
    }
}
