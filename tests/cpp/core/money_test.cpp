// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/money.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace memfs_cache;

TEST_SUITE("core/money") {
    TEST_CASE("decimal text becomes whole billionths, however it is written") {
        std::vector<std::pair<std::string, std::int64_t>> const known{
            {"0", 0},
            {"12.34", 12'340'000'000},
            {"-0.5", -500'000'000},
            {"+1", 1'000'000'000},
            {"0.0000123400", 12'340},
            {"0.1", 100'000'000},
            {"000012.3400000000000000", 12'340'000'000},
            {"1.2E-7", 120},
            {"1e3", 1'000'000'000'000},
            {"0E-10", 0},
            {"0e999999", 0},
            {"9223372036.854775807", INT64_MAX},
            {"-9223372036.854775807", -INT64_MAX},
            {"123456789e-17", 1},
            {"1e-999999", 0},
        };
        for (auto const& one : known) {
            CAPTURE(one.first);
            CHECK(Money_Nanos::parse(one.first).value().nanos == one.second);
        }
    }

    TEST_CASE("what is finer than nine decimals is rounded once, from the middle to the even one") {
        std::vector<std::pair<std::string, std::int64_t>> const known{
            {"0.0000000004", 0},
            {"0.0000000005", 0},
            {"0.00000000050001", 1},
            {"0.0000000015", 2},
            {"0.0000000025", 2},
            {"0.00000000250", 2},
            {"0.000000002500000000001", 3},
            {"-0.0000000015", -2},
            {"0.00000000149999999999", 1},
            {"0.9999999996", 1'000'000'000},
            {"5e-10", 0},
            {"6e-10", 1},
            {"9e-11", 0},
        };
        for (auto const& one : known) {
            CAPTURE(one.first);
            CHECK(Money_Nanos::parse(one.first).value().nanos == one.second);
        }
    }

    TEST_CASE("what is no decimal number, or does not fit, is refused and not repeated") {
        for (std::string const text : {"",
                                       "-",
                                       "abc",
                                       "1.",
                                       ".5",
                                       "1.2.3",
                                       "1,5",
                                       " 1",
                                       "1 ",
                                       "0x10",
                                       "1e",
                                       "1e+",
                                       "1e1234567",
                                       "nan",
                                       "inf",
                                       "--1",
                                       "1_000",
                                       "9223372036.854775808",
                                       "9223372036.8547758075",
                                       "1e10",
                                       "10000000000",
                                       "1e999999"}) {
            CAPTURE(text);
            auto const parsed = Money_Nanos::parse(text);
            REQUIRE(!parsed);
            CHECK(parsed.error().code == Errc::invalid_argument);
            if (text.size() > 3)
                CHECK(parsed.error().context.find(text) == std::string::npos);
        }
    }

    TEST_CASE("text of an amount is short and reads back") {
        std::vector<std::pair<std::int64_t, std::string>> const known{
            {0, "0"},
            {1, "0.000000001"},
            {-1, "-0.000000001"},
            {12'340, "0.00001234"},
            {100'000'000'000, "100"},
            {-12'340'000'000, "-12.34"},
            {INT64_MAX, "9223372036.854775807"},
        };
        for (auto const& [nanos, text] : known) {
            CHECK(Money_Nanos{nanos}.to_text() == text);
            CHECK(Money_Nanos::parse(text).value().nanos == nanos);
        }
        CHECK(Money_Nanos{INT64_MIN}.to_text() == "-9223372036.854775808");
        CHECK(Money_Nanos{12'340'000'000}.in_units() == 12.34);
    }
}
