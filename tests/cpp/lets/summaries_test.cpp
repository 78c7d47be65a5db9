// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>
#include <memfs_cache/lets/percentiles.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace memfs_cache;

namespace {

auto text_of(Distinct_Set const& set) -> std::string { return set.to_text(); }
template <class S>
auto text_of(S const& summary) -> std::string {
    std::string out;
    summary.append_json(out);
    return out;
}

/// Splits the inputs at random into parts, merges the parts in a random tree, and expects the bytes of one pass.
template <class S, class Input>
void check_any_route_gives_the_same_bytes(std::vector<Input> const& inputs, std::mt19937_64& random) {
    S whole;
    for (auto const& input : inputs)
        whole.add(input);
    for (int round = 0; round < 5; ++round) {
        auto shuffled = inputs;
        std::shuffle(shuffled.begin(), shuffled.end(), random);
        std::vector<S> parts(1 + random() % 9);
        for (auto const& input : shuffled)
            parts[random() % parts.size()].add(input);
        while (parts.size() > 1) {
            auto const into = random() % (parts.size() - 1);
            parts[into].merge(parts.back());
            parts.pop_back();
        }
        parts.front().merge(S());
        REQUIRE(text_of(parts.front()) == text_of(whole));
    }
}

auto nearest_rank(std::vector<std::int64_t> values, unsigned per_mille) -> std::int64_t {
    std::sort(values.begin(), values.end());
    auto const rank = static_cast<std::size_t>(std::ceil(static_cast<double>(values.size()) * per_mille / 1000.0));
    return values[std::max<std::size_t>(rank, 1) - 1];
}

} // namespace

TEST_SUITE("lets/summaries") {
    TEST_CASE("sets, counts and percentiles are the same bytes by every route of merging") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (std::size_t const size : {0U, 1U, 200U, 256U, 257U, 3000U}) {
            std::vector<std::uint64_t> hashes(size);
            for (auto& hash : hashes)
                hash = random() % (size + 1);
            check_any_route_gives_the_same_bytes<Distinct_Set>(hashes, random);
            std::vector<std::string> names(size);
            for (auto& name : names)
                name = "/p" + std::to_string(random() % (size / 2 + 1)) + "\"\xc3\xa9";
            check_any_route_gives_the_same_bytes<Name_Counts>(names, random);
            std::vector<std::int64_t> durations(size);
            for (auto& duration : durations)
                duration = static_cast<std::int64_t>(random() >> (random() % 64)) - 5;
            check_any_route_gives_the_same_bytes<Percentiles>(durations, random);
        }
    }

    TEST_CASE("a set counts what std::set counts and its text is sorted hex") {
        Distinct_Set set;
        set.add(255);
        set.add(1);
        set.add(255);
        CHECK(set.count() == 2);
        CHECK(set.to_text() == "000000000000000100000000000000ff");
        CHECK(Distinct_Set::from_text(set.to_text()).value().to_text() == set.to_text());
        CHECK(Distinct_Set::from_text("0123").has_error());
        CHECK(Distinct_Set::from_text("000000000000000G").has_error());
    }

    TEST_CASE("the top rows are the largest, equal ones by name in byte order") {
        Name_Counts counts;
        counts.add("b", 2);
        counts.add("a", 2);
        counts.add("\xc3\xa9", 2);
        counts.add("z", 3);
        counts.add("rare");
        auto const top = counts.top(4);
        REQUIRE(top.size() == 4);
        CHECK(top[0].first == "z");
        CHECK(top[1].first == "a");
        CHECK(top[2].first == "b");
        CHECK(top[3].first == "\xc3\xa9");
        CHECK(text_of(counts) == "{\"a\":2,\"b\":2,\"rare\":1,\"z\":3,\"\xc3\xa9\":2}");
        auto const back = Name_Counts::from_json(parse_object(text_of(counts), "test").value());
        CHECK(text_of(back.value()) == text_of(counts));
        CHECK(Name_Counts::from_json(parse_object(R"({"a":-1})", "test").value()).has_error());
        CHECK(Name_Counts::from_json(parse_object(R"({"a":1.5})", "test").value()).has_error());
    }

    TEST_CASE("percentiles are exact up to 256 values") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (std::size_t size = 1; size <= Percentiles::exact_values; size += 5) {
            Percentiles percentiles;
            std::vector<std::int64_t> values;
            for (std::size_t i = 0; i < size; ++i) {
                values.push_back(1 + static_cast<std::int64_t>(random() % 5'000'000));
                percentiles.add(values.back());
            }
            for (unsigned const per_mille : {1U, 500U, 950U, 990U, 1000U})
                REQUIRE(percentiles.at(per_mille) == nearest_rank(values, per_mille));
        }
        CHECK(Percentiles().at(500) == 0);
    }

    TEST_CASE("beyond that every percentile stays within 1.1 % of the exact one, for any distribution") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        std::lognormal_distribution<double> log_normal(8, 2);
        for (int kind = 0; kind < 3; ++kind) {
            Percentiles percentiles;
            std::vector<std::int64_t> values;
            for (int i = 0; i < 20'000; ++i) {
                auto const value = kind == 0   ? static_cast<std::int64_t>(log_normal(random)) + 1
                                   : kind == 1 ? 1 + static_cast<std::int64_t>(random() % 300)
                                               : 1 + static_cast<std::int64_t>(random() % 86'400'000'000);
                values.push_back(std::min(value, Percentiles::most_us));
                percentiles.add(value);
            }
            CHECK_FALSE(percentiles.is_exact());
            for (unsigned per_mille = 1; per_mille <= 1000; per_mille += 27) {
                auto const exact = static_cast<double>(nearest_rank(values, per_mille));
                auto const error = std::abs(static_cast<double>(percentiles.at(per_mille)) - exact);
                CAPTURE(per_mille);
                CAPTURE(exact);
                CHECK(error <= 0.0109 * exact + 0.5); // half a microsecond of rounding
            }
        }
    }

    TEST_CASE("bin edges are those of the integer table: every value lies between its edges") {
        CHECK(Percentiles::lower_edge_us(0) == 1);
        CHECK(Percentiles::lower_edge_us(32) == 2);
        CHECK(Percentiles::lower_edge_us(320) == 1024);
        CHECK(Percentiles::lower_edge_us(321) == 1047); // 1024 * 2^(1/32) = 1046.42..
        CHECK(Percentiles::bin_of(1046) == 320);
        CHECK(Percentiles::bin_of(1047) == 321);
        CHECK(Percentiles::bin_of(-7) == 0);
        CHECK(Percentiles::bin_of(Percentiles::most_us + 1) == Percentiles::bin_of(Percentiles::most_us));
        std::mt19937_64 random(7);
        for (int i = 0; i < 100'000; ++i) {
            auto const value = 1 + static_cast<std::int64_t>((random() >> (random() % 64)) % 86'400'000'000ULL);
            auto const bin = Percentiles::bin_of(value);
            REQUIRE(Percentiles::lower_edge_us(bin) <= value);
            REQUIRE(value < Percentiles::lower_edge_us(bin + 1));
        }
    }

    TEST_CASE("the state of 300 values is these bytes, on every machine") {
        Percentiles percentiles;
        for (std::int64_t i = 0; i < 300; ++i)
            percentiles.add(1000 + i % 3 * 1000);
        CHECK(text_of(percentiles) == R"({"bins":{"318":100,"350":100,"369":100}})");
        auto const back = Percentiles::from_json(parse_object(text_of(percentiles), "test").value());
        CHECK(text_of(back.value()) == text_of(percentiles));
        for (auto const* bad : {R"({})", R"({"bins":{"1200":300}})", R"({"bins":{"1":3}})", R"({"values":[0]})",
                                R"({"values":[1.5]})", R"({"values":["1"]})"})
            CHECK(Percentiles::from_json(parse_object(bad, "test").value()).has_error());
    }
}
