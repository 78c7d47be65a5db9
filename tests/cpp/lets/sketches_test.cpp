// SPDX-License-Identifier: Apache-2.0
// The summaries beyond their exact sizes: that they say so, stay within the bounds that they state, and are the same bytes
// on every machine.
#include "support/printers.hpp"
#include "support/test_seed.hpp"
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace memfs_cache;

namespace {

using Recount = std::map<std::string, std::uint64_t, std::less<>>;

auto text_of(Name_Counts const& counts) -> std::string {
    std::string out;
    counts.append_json(out);
    return out;
}
auto saved_and_read(Name_Counts counts) -> Name_Counts {
    counts.settle();
    return Name_Counts::from_json(parse_object(text_of(counts), "test").value()).value();
}

auto sha256(std::string const& text) -> std::string {
    return Cache_Hash::create("sha256", 64).value().from_string(text).value();
}

/// A stream of names: `heavy` follows Zipf's law, flat has each name about as often as any other.
auto names_of(std::mt19937_64& random, std::size_t count, std::size_t different, bool heavy)
    -> std::vector<std::string> {
    std::vector<std::string> names;
    names.reserve(count);
    auto const logarithm = std::log(static_cast<double>(different));
    for (std::size_t i = 0; i < count; ++i) {
        auto const share = static_cast<double>(random() >> 11) * 0x1p-53;
        auto const rank = heavy ? static_cast<std::uint64_t>(std::exp(share * logarithm)) : random() % different;
        names.push_back("/page/" + std::to_string(rank));
    }
    return names;
}

/// That what is counted is what was seen, less at most the stated error, and that everything adds up.
void check_bounds(Name_Counts const& counts, Recount const& recount) {
    std::uint64_t total = 0;
    for (auto const& entry : recount)
        total += entry.second;
    REQUIRE(counts.total() == total);
    REQUIRE(counts.error() <= total / (Name_Counts::kept_names + 1));
    for (auto const& [name, times] : recount) {
        auto const counted = counts.of(name);
        REQUIRE(counted <= times);
        REQUIRE(times <= counted + counts.error());
    }
    auto const distinct = static_cast<double>(recount.size());
    if (counts.is_exact())
        REQUIRE(counts.distinct() == recount.size());
    else // five standard errors: one run in a million
        REQUIRE(std::abs(static_cast<double>(counts.distinct()) - distinct) <= 5 * 0.0081 * distinct);
    auto const ranking = counts.ranking(100, 8'192);
    auto sum = ranking.other;
    for (auto const& row : ranking.rows)
        sum += row.second;
    REQUIRE(sum == total);
    REQUIRE(ranking.total == total);
    REQUIRE(ranking.error == counts.error());
}

} // namespace

TEST_SUITE("lets/sketches") {
    TEST_CASE("visitors are exact up to 2,048, and beyond that registers of any route, which a parent never undoes") {
        Distinct_Set set;
        for (std::uint64_t i = 0; i < Distinct_Set::exact_hashes; ++i)
            set.add(i % 1'024 == 0 ? i : i * 0x9e3779b97f4a7c15);
        CHECK(set.is_exact());
        CHECK(set.count() == 2'048);
        CHECK(set.error_ppm() == 0);
        auto const exact = set;
        set.add(7);
        CHECK_FALSE(set.is_exact());
        CHECK(set.error_ppm() == 8'100);
        auto merged = Distinct_Set::from_text(exact.to_text()).value();
        merged.merge(set);
        CHECK(merged.to_text() == set.to_text());
        merged = set;
        merged.merge(exact);
        CHECK(merged.to_text() == set.to_text());
        CHECK(Distinct_Set::from_text(set.to_text()).value().to_text() == set.to_text());
    }

    TEST_CASE("the registers of 0, 1, 2, .. and their count are those of another implementation, on every machine") {
        // From tests/python/sketches.py, in floating point; here they are whole numbers.
        struct Known {
            std::uint64_t size, count;
            char const* digest_of_text;
        };
        Distinct_Set set;
        std::uint64_t next = 0;
        for (auto const& known : std::initializer_list<Known>{
                 {2'049, 2'054, "cee1b5a0b3565be4f3ae644be54a0c2f341de8a5418c86eaf47533f872f912e1"},
                 {5'000, 5'044, "e7897613cb540f0fe638eecd46b06440b72d952567515800389f4c8b78fa77bc"},
                 {50'000, 49'856, "9a0895ad2b03c75ad3576074a7c228921ecad4908ecdb35cd7ae8360e769c451"},
                 {1'000'000, 997'767, "fdcb8c794c5eb062155ebf6fd6e504cb456777ec5c23ce249b50077c33a6aca8"}}) {
            while (next < known.size)
                set.add(next++);
            CAPTURE(known.size);
            CHECK(set.count() == known.count);
            CHECK(sha256(set.to_text()) == known.digest_of_text);
        }
    }

    TEST_CASE("counts of visitors have the standard error that they state, at every size") {
        std::mt19937_64 random(19); // the bound is one of probability, so the streams are always the same
        for (std::size_t const size : {2'100U, 5'000U, 16'384U, 40'000U, 100'000U}) {
            double squares = 0, sum = 0;
            int const rounds = size > 50'000 ? 20 : 60;
            for (int round = 0; round < rounds; ++round) {
                Distinct_Set set;
                for (std::size_t i = 0; i < size; ++i)
                    set.add(random());
                auto const error = static_cast<double>(set.count()) / static_cast<double>(size) - 1;
                sum += error;
                squares += error * error;
            }
            CAPTURE(size);
            CHECK(std::sqrt(squares / rounds) < 1.25 * 0.0081);
            CHECK(std::abs(sum / rounds) < 4 * 0.0081 / std::sqrt(rounds)); // unbiased
        }
    }

    TEST_CASE("a text of registers that is damaged is refused") {
        std::string const good = "p14:" + std::string(16'384, 'B');
        CHECK(Distinct_Set::from_text(good).has_value());
        for (auto const& bad : {good.substr(1), good + "B", good.substr(0, good.size() - 1) + "0",
                                "p14:" + std::string(16'384, 'A'), "p12:" + good.substr(4)})
            CHECK(Distinct_Set::from_text(bad).error().code == Errc::corrupt_data);
    }

    TEST_CASE("names are exact up to 16,384; one more and the largest 4,096 stay, with what was taken from each") {
        Name_Counts counts;
        for (std::uint64_t i = 1; i <= Name_Counts::exact_names; ++i)
            counts.add("n" + std::to_string(i), i);
        CHECK(counts.is_exact());
        CHECK(counts.distinct() == 16'384);
        auto const total = counts.total();
        CHECK(total == 16'384ULL * 16'385 / 2);
        counts.add("one more", 20'000);
        // 12,289 is the 4,097th largest of 1, 2, .., 16,384, 20,000.
        CHECK(counts.error() == 12'289);
        CHECK(counts.total() == total + 20'000);
        CHECK(counts.of("n16384") == 16'384 - 12'289);
        CHECK(counts.of("one more") == 20'000 - 12'289);
        CHECK(counts.of("n12289") == 0);
        CHECK(counts.top(SIZE_MAX).size() == Name_Counts::kept_names);
        CHECK(std::abs(static_cast<double>(counts.distinct()) - 16'385) < 16'385 * 0.03);
    }

    TEST_CASE("by any route of merging every name is within the stated error, and what is known exactly is the same") {
        auto const seed = testing::seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        for (bool const heavy : {true, false})
            for (std::size_t const different : {16'000U, 40'000U, 200'000U}) {
                CAPTURE(heavy);
                CAPTURE(different);
                auto const names = names_of(random, 200'000, different, heavy);
                Recount recount;
                std::vector<Name_Counts> parts(2 + random() % 20);
                for (auto const& name : names) {
                    ++recount[name];
                    parts[random() % parts.size()].add(name);
                }
                while (parts.size() > 1) {
                    auto const into = random() % (parts.size() - 1);
                    parts[into].merge(random() % 2 == 0 ? saved_and_read(parts.back()) : parts.back());
                    parts.pop_back();
                }
                REQUIRE(parts.front().is_exact() == (recount.size() <= Name_Counts::exact_names));
                check_bounds(parts.front(), recount);
                Name_Counts whole;
                for (auto const& name : names)
                    whole.add(name);
                check_bounds(whole, recount);
                REQUIRE(whole.is_exact() == parts.front().is_exact());
                REQUIRE(whole.distinct() == parts.front().distinct());
                if (whole.is_exact())
                    REQUIRE(text_of(whole) == text_of(parts.front()));
                whole.settle();
                REQUIRE((whole.is_exact() || whole.top(SIZE_MAX).size() <= Name_Counts::kept_names));
                check_bounds(whole, recount);
            }
    }

    TEST_CASE("the same parts merged in the same order give the same bytes, however their tables lie in memory") {
        auto const seed = testing::seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto names = names_of(random, 150'000, 60'000, true);
        std::vector<std::string> results;
        for (int round = 0; round < 3; ++round) {
            Name_Counts parent;
            for (std::size_t from = 0; from < names.size(); from += 10'000) {
                // Within a part that is exact the order is of no account, nor whether it was saved in between.
                std::shuffle(names.begin() + static_cast<std::ptrdiff_t>(from),
                             names.begin() + static_cast<std::ptrdiff_t>(from + 10'000), random);
                Name_Counts part;
                for (auto i = from; i < from + 10'000; ++i)
                    part.add(names[i]);
                REQUIRE(part.is_exact());
                parent.merge(round == 0 ? part : saved_and_read(part));
                if (round == 2)
                    parent = Name_Counts::from_json(parse_object(text_of(parent), "test").value()).value();
            }
            REQUIRE_FALSE(parent.is_exact());
            parent.settle();
            results.push_back(text_of(parent));
        }
        CHECK(results[0] == results[1]);
        CHECK(results[0] == results[2]);
    }

    TEST_CASE("a name of more than 120 bytes is counted under its beginning and a hash of the whole") {
        std::string const fits(120, 'a');
        std::string const a = std::string(120, 'a') + "b", b = std::string(120, 'a') + "c";
        std::string const wide = std::string(102, 'x') + "\xe2\x82\xac" + std::string(40, 'y');
        Name_Counts counts;
        for (auto const& name : {fits, a, a, b, wide})
            counts.add(name);
        // SipHash-2-4 under a key of zeros, from tests/python/sketches.py
        CHECK(counts.of(std::string(103, 'a') + "~1c5b573c33c93516") == 2);
        CHECK(counts.of(a) == 2);
        CHECK(counts.of(b) == 1);
        CHECK(counts.of(fits) == 1);
        CHECK(counts.distinct() == 4);
        CHECK(counts.of(std::string(102, 'x') + "~37b47ef66d7e67bf") == 1); // the sign of three bytes is not cut in two
        for (auto const& row : counts.top(10))
            CHECK(row.first.size() <= Name_Counts::longest_name_bytes);
        CHECK(text_of(saved_and_read(counts)) == text_of(counts));
    }

    TEST_CASE("a ranking has room for no more than it may take, and adds up with any number of rows") {
        Name_Counts counts;
        for (int i = 0; i < 300; ++i)
            counts.add("/a-name-of-some-length/" + std::to_string(1'000 + i), static_cast<std::uint64_t>(i + 1));
        auto const whole = counts.ranking(100, SIZE_MAX);
        REQUIRE(whole.rows.size() == 100);
        CHECK(whole.rows.front().first == "/a-name-of-some-length/1299");
        CHECK(whole.other == 200 * 201 / 2);
        CHECK(whole.distinct == 300);
        CHECK(whole.is_exact());
        auto const small = counts.ranking(100, 1'000);
        CHECK(small.rows.size() == 29); // 27 bytes, two quotes, three digits, a colon and a comma each
        CHECK(small.other + 29 * (300 + 272) / 2 == whole.total);
        auto const few = whole.first(20);
        CHECK(few.rows.size() == 20);
        CHECK(few.other == 280 * 281 / 2);
        std::string text;
        whole.append_json(text);
        std::string again;
        Name_Ranking::from_json(text).value().append_json(again);
        CHECK(again == text);
        CHECK(text.find(R"("total":45150,"other":20100,"distinct":300,"distinct_error_ppm":0,"error":0})") !=
              std::string::npos);
        for (auto const* bad :
             {"{}", R"({"names":[],"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0})",
              R"({"names":{"a":-1},"total":1,"other":0,"distinct":1,"distinct_error_ppm":0,"error":0})",
              R"({"names":{},"other":0,"distinct":1,"distinct_error_ppm":0,"error":0})"})
            CHECK(Name_Ranking::from_json(bad).error().code == Errc::corrupt_data);
    }

    TEST_CASE("the saved form beyond the exact size is these bytes, and what cannot be true of it is refused") {
        Name_Counts counts;
        for (int i = 0; i < 16'384; ++i)
            counts.add("n" + std::to_string(i), 1);
        counts.add("n\"0", 3);
        counts.settle();
        auto const text = text_of(counts);
        CHECK(text.starts_with(R"({"names":{"n\"0":2},"dropped":16385,"error":1,"seen":"p14:)"));
        CHECK(sha256(text) == "6fa8199a50a58c1b1197e7681ad7242b7db4cb14f39d5544b3c3d8578c4ea181");
        auto const refused = [](std::string const& bad) {
            return Name_Counts().merge_json(bad).error().code == Errc::corrupt_data;
        };
        std::string const seen = R"("seen":"p14:)" + std::string(16'384, 'B') + "\"}";
        CHECK(Name_Counts().merge_json(R"({"names":{"a":1},"dropped":8194,"error":2,)" + seen));
        CHECK(refused(R"({"names":{"a":1},"dropped":8193,"error":2,)" + seen));
        CHECK(refused(R"({"names":{"a":1},"dropped":8194,"error":0,)" + seen));
        CHECK(refused(R"({"names":{"a":1.5},"dropped":8194,"error":2,)" + seen));
        CHECK(refused(R"({"counts":{"a":1},"dropped":8194,"error":2,)" + seen));
        CHECK(refused(R"({"names":{"a":1},"dropped":8194,"error":2})"));
        CHECK(refused(R"({"names":{"a":1},"dropped":8194,"error":2,"seen":""})"));
        CHECK(refused(text.substr(0, text.size() - 1)));
        CHECK(refused(text + "}"));
    }
}
