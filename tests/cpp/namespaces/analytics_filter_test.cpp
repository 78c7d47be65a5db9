// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/test_seed.hpp"
#include <memfs_cache/namespaces/analytics/analytics_filter.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace memfs_cache;
using memfs_cache::testing::seed_of_run;

namespace {

using Words = std::vector<std::pair<std::string, std::string>>;

auto filter(Words const& words) -> Analytics_Filter {
    Analytics_Filter made;
    for (auto const& [dimension, value] : words)
        REQUIRE(made.add(dimension, value));
    return made;
}

auto event(std::string_view path, int status = 200, std::string_view country = "PT") -> Analytics_Record {
    Analytics_Record made;
    made.timestamp = from_millis(1'771'000'000'000);
    made.path = path;
    made.status_code = status;
    made.country = country;
    return made;
}

/// What it says about an event, asked in both forms, which must agree.
auto passes(Analytics_Filter const& asked, Analytics_Record const& record) -> bool {
    std::string line;
    record.append_json(line);
    CAPTURE(line);
    auto const answer = asked.matches(record);
    CHECK(asked.matches(Raw_Event{line, std::nullopt}) == answer);
    return answer;
}

} // namespace

TEST_SUITE("namespaces/analytics_filter") {
    TEST_CASE("an empty filter lets everything pass") {
        CHECK(Analytics_Filter().empty());
        CHECK(passes({}, event("/")));
        CHECK(Analytics_Filter().canonical() == "{}");
    }

    TEST_CASE("values of one dimension are alternatives, dimensions are conditions") {
        auto const asked = filter({{"path", "/a"}, {"path", "/b"}, {"country", "pt"}});
        CHECK(!asked.empty());
        CHECK(passes(asked, event("/a")));
        CHECK(passes(asked, event("/b")));
        CHECK(!passes(asked, event("/c")));
        CHECK(!passes(asked, event("/a/")));
        CHECK(!passes(asked, event("/a", 200, "GB")));
        CHECK(!passes(asked, event("/a", 200, "")));
    }

    TEST_CASE("a star at the end stands for anything, and only there") {
        auto const asked = filter({{"path", "/blog/*"}});
        CHECK(passes(asked, event("/blog/")));
        CHECK(passes(asked, event("/blog/2026/a")));
        CHECK(!passes(asked, event("/blog")));
        CHECK(passes(filter({{"path", "/a*b"}}), event("/a*b")));
        CHECK(!passes(filter({{"path", "/a*b"}}), event("/axb")));
        CHECK(passes(filter({{"user_agent", "Firefox*"}}), [] {
            auto made = event("/");
            made.user_agent_normalised = "Firefox on Linux";
            return made;
        }()));
    }

    TEST_CASE("an exclamation mark excludes, what events do not have included") {
        auto const asked = filter({{"country", "!PT"}});
        CHECK(!passes(asked, event("/")));
        CHECK(passes(asked, event("/", 200, "GB")));
        CHECK(passes(asked, event("/", 200, "")));
        auto const both = filter({{"path", "/blog/*"}, {"path", "!/blog/draft/*"}});
        CHECK(passes(both, event("/blog/a")));
        CHECK(!passes(both, event("/blog/draft/a")));
        CHECK(!passes(both, event("/")));
    }

    TEST_CASE("an empty value is what events have that have nothing") {
        CHECK(passes(filter({{"country", ""}}), event("/", 200, "")));
        CHECK(!passes(filter({{"country", ""}}), event("/")));
        CHECK(passes(filter({{"country", "!"}}), event("/")));
        CHECK(!passes(filter({{"referrer", "!"}}), event("/")));
    }

    TEST_CASE("a status is one or a class of them") {
        CHECK(passes(filter({{"status", "404"}}), event("/", 404)));
        CHECK(!passes(filter({{"status", "404"}}), event("/", 403)));
        CHECK(passes(filter({{"status", "4xx"}}), event("/", 499)));
        CHECK(!passes(filter({{"status", "4xx"}}), event("/", 500)));
        CHECK(!passes(filter({{"status", "4XX"}}), event("/", 40)));
        CHECK(!passes(filter({{"status", "4xx"}}), event("/", 0)));
        CHECK(passes(filter({{"status", "!4xx"}}), event("/", 0)));
        CHECK(!passes(filter({{"status", "!4xx"}, {"status", "!5xx"}}), event("/", 503)));
    }

    TEST_CASE("a backslash takes what follows as it is") {
        CHECK(passes(filter({{"path", "/a\\*"}}), event("/a*")));
        CHECK(!passes(filter({{"path", "/a\\*"}}), event("/ab")));
        CHECK(passes(filter({{"event_type", "\\!odd"}}), [] {
            auto made = event("/");
            made.event_type = "!odd";
            return made;
        }()));
        CHECK(passes(filter({{"path", "/a\\\\*"}}), event("/a\\b")));
        CHECK(passes(filter({{"path", "/%2A"}}), event("/%2A"))); // percent escapes are stored as they were sent
    }

    TEST_CASE("filters that mean the same are spelled the same, whatever the order") {
        CHECK(filter({{"status", "404"}, {"path", "/b"}, {"path", "/a"}, {"path", "/b"}, {"country", "pt"}})
                  .canonical() == R"({"country":["PT"],"path":["/a","/b"],"status":["404"]})");
        CHECK(filter({{"status", "4XX"}, {"referrer", "News.Example"}, {"method", "!GET"}}).canonical() ==
              R"({"method":["!GET"],"referrer":["news.example"],"status":["4xx"]})");
        CHECK(filter({{"path", "/a\\b"}}) == filter({{"path", "/ab"}}));
    }

    TEST_CASE("what can never fit is refused, led by the dimension") {
        struct Row {
            std::string dimension, value, begin;
        };
        for (auto const& row : {Row{"status", "99", "status: give"},
                                {"status", "4x", "status: give"},
                                {"status", "", "status: give"},
                                {"status", "40*", "status: give"},
                                {"status", "4*x", "status: give"},
                                {"status", "!abc", "status: give"},
                                {"country", "PRT", "country: give"},
                                {"country", "P*", "country: give"},
                                {"country", "1!", "country: give"},
                                {"path", "/a?b", "path: leave out"},
                                {"path", "/a#b", "path: leave out"},
                                {"path", "/a\\", "path: write"},
                                {"path", "/\n", "path: give"},
                                {"path", "/\xff", "path: give"},
                                {"path", std::string(2049, 'a'), "path: give"},
                                {"ip_hash", "0", "filter: give one of country, event_type,"}}) {
            CAPTURE(row.dimension);
            CAPTURE(row.value);
            Analytics_Filter made;
            auto const added = made.add(row.dimension, row.value);
            REQUIRE(!added);
            CHECK(added.error().code == Errc::invalid_argument);
            CHECK(added.error().context.starts_with(row.begin));
            CHECK(made.empty());
        }
    }

    TEST_CASE("a filter has at most 64 values") {
        Analytics_Filter made;
        for (int i = 0; i < 64; ++i)
            REQUIRE(made.add("path", "/" + std::to_string(i)));
        CHECK(!made.add("path", "/more"));
    }

    TEST_CASE("what is stored in another layout or with escapes is judged as what is read from it") {
        auto const asked = filter({{"path", "/\xc3\xa4/b"}, {"status", "200"}});
        for (std::string_view const line :
             {R"({ "status_code" : 200 , "timestamp":1, "path":"\/\u00e4\/b" })",
              R"({"timestamp":1,"path":"/a","status_code":200})", R"({"timestamp":1,"path":7,"status_code":"200"})",
              R"({"timestamp":1,"status_code":200.0,"path":"/\u00e4/b"})"}) {
            CAPTURE(line);
            Analytics_Record record;
            REQUIRE(record.read({line, std::nullopt}));
            CHECK(asked.matches(Raw_Event{line, std::nullopt}) == asked.matches(record));
        }
    }

    TEST_CASE("random filters say the same about an event and its stored form") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const one_of = [&](std::vector<std::string> const& words) { return words[random() % words.size()]; };
        std::vector<std::string> const texts{"",   "/",         "/a",    "/a/b", "a*", "!a",
                                             "\\", "/\xc3\xa4", "\"q\"", "/a,b", "*",  "**"};
        std::vector<std::string> const countries{"", "PT", "GB"};
        int passed = 0;
        for (int round = 0; round < 2000; ++round) {
            Analytics_Filter asked;
            for (auto n = random() % 4; n > 0; --n)
                (void)asked.add(one_of({"path", "referrer", "user_agent", "event_type", "method", "token", "transfer"}),
                                one_of({"", "!"}) + one_of({"", "\\"}) + one_of(texts) + one_of({"", "*"}));
            if (random() % 2 == 0)
                (void)asked.add("status", one_of({"200", "4xx", "!404", "!5xx"}));
            if (random() % 3 == 0)
                (void)asked.add("country", one_of({"", "!"}) + one_of(countries));
            CAPTURE(asked.canonical());
            std::vector<std::string> kept;
            for (int i = 0; i < 8; ++i)
                kept.push_back(one_of(texts));
            auto const status = static_cast<int>(random() % 600);
            auto const country = one_of(countries);
            auto record = event(kept[0], status, country);
            record.referrer_domain = kept[1];
            record.user_agent_normalised = kept[2];
            record.event_type = kept[3];
            record.method = kept[4];
            record.token_id = kept[5];
            record.transfer_id = kept[6];
            passed += passes(asked, record) ? 1 : 0;
        }
        CHECK(passed > 100);
        CHECK(passed < 1900);
    }
}
