// SPDX-License-Identifier: Apache-2.0
#include "namespaces/cost_house.hpp"
#include "support/printers.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <array>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

auto read_one(std::string text, Cost_Import_Options const& options = {}) -> Result<Cost_Days_Told> {
    Cost_File const file{"f", std::move(text)};
    return read_cost_files({&file, 1}, options);
}

auto read_all(std::vector<std::string> const& texts) -> Result<Cost_Days_Told> {
    std::vector<Cost_File> files;
    for (auto const& text : texts)
        files.push_back({std::string(1, static_cast<char>('a' + files.size())), text});
    return read_cost_files(files);
}

/// "service amount" of the entries of a day, with what else is said of them.
auto shown(Result<Cost_Days_Told> const& told, std::string const& date) -> std::vector<std::string> {
    std::vector<std::string> lines;
    for (auto const& entry : told.value().at(time_at(date)).entries) {
        auto line = entry.service + " " + entry.amount.to_text();
        for (auto const* detail :
             {&entry.usage_quantity, &entry.usage_unit, &entry.usage_type, &entry.region, &entry.account})
            if (!detail->empty())
                line += " " + *detail;
        lines.push_back(std::move(line));
    }
    return lines;
}
using Lines = std::vector<std::string>;

auto fault(Result<Cost_Days_Told> const& told) -> std::string {
    REQUIRE(!told);
    CHECK(told.error().code == Errc::invalid_argument);
    return told.error().context;
}

/// A result of one day as AWS writes it.
auto result_of(std::string const& start, std::string const& end, std::string const& rest) -> std::string {
    return R"({"TimePeriod":{"Start":")" + start + R"(","End":")" + end + R"("},)" + rest + "}";
}
auto metric(std::string const& amount, std::string const& unit = "USD") -> std::string {
    return R"({"UnblendedCost":{"Amount":")" + amount + R"(","Unit":")" + unit + R"("}})";
}
auto group(std::string const& keys, std::string const& metrics) -> std::string {
    return R"({"Keys":[)" + keys + R"(],"Metrics":)" + metrics + "}";
}
auto page(std::string const& results, std::string const& definitions = "", std::string const& rest = "")
    -> std::string {
    return R"({"GroupDefinitions":[)" + definitions + R"(],"ResultsByTime":[)" + results + "]" + rest + "}";
}
auto const by_service = std::string(R"({"Type":"DIMENSION","Key":"SERVICE"})");
auto groups(std::string const& list) -> std::string {
    return R"("Total":{},"Estimated":false,"Groups":[)" + list + "]";
}
auto const more = std::string(R"(,"NextPageToken":"abc")");

} // namespace

TEST_SUITE("namespaces/costs import") {
    TEST_CASE("CSV is read with a byte-order mark, CRLF, quoted fields and columns in any order") {
        auto const told = read_one("\xef\xbb\xbf"
                                   "service,date,amount_usd,region,usage_quantity,usage_unit,account\r\n"
                                   "\"S3, \"\"Standard\"\"\",2026-02-13,0.0000123400,eu-west-1,12.50,GB-Mo,42\r\n"
                                   "\r\n"
                                   "EC2,2026-02-13,1.5,,,,\r\n"
                                   "\"Two\nlines\",2026-02-14,2,,,,");
        CHECK(shown(told, "2026-02-13") == Lines{"EC2 1.5", R"(S3, "Standard" 0.00001234 12.50 GB-Mo eu-west-1 42)"});
        CHECK(told->at(time_at("2026-02-14")).entries.front().service == "Two\nlines");
        CHECK(told->size() == 2);
        CHECK(!told->begin()->second.estimated);
    }

    TEST_CASE("CSV that is wrong is refused with the line, and lines within fields count") {
        auto const rows = [](std::string const& text) { return fault(read_one("date,service,amount_usd\n" + text)); };
        CHECK(rows("2026-02-13,S3,abc").find("f, line 2: amount_usd: ") == 0);
        CHECK(rows("2026-02-13,\"a\nb\",1\n2026-02-30,S3,1").find("f, line 4: date: ") == 0);
        CHECK(rows("2026-02-13,S3").find("f, line 2: it has 2 fields") == 0);
        CHECK(rows("2026-02-13,S3,1,2").find("f, line 2: it has 4 fields") == 0);
        CHECK(rows("2026-02-13,\"S3,1\n").find("f, line 2: a quoted field does not end") == 0);
        CHECK(rows("2026-02-13,\"S3\"x,1\n").find("f, line 2: something follows") == 0);
        CHECK(rows("2026-02-13,S\"3,1\n").find("f, line 2: a quote stands within") == 0);
        CHECK(rows("2026-02-13,S3,1\n2026-02-13,S3,1\n").find("f, line 3: a line above") == 0);
        CHECK(rows("").find("f: there are no costs") == 0);
        CHECK(fault(read_one("")).find("f, line 1: ") == 0);
        CHECK(fault(read_one("date,service\n")).find("f, line 1: the first line names") == 0);
        CHECK(fault(read_one("date,service,amount\n")).find("f, line 1: name each of") == 0);
        CHECK(fault(read_one("date,date,service,amount_usd\n")).find("f, line 1: name each of") == 0);
    }

    TEST_CASE("an answer of AWS is read with its groups, its metrics and what is estimated") {
        auto const both = by_service + R"(,{"Type":"DIMENSION","Key":"REGION"})";
        auto const metrics =
            R"({"AmortizedCost":{"Amount":"9","Unit":"USD"},"UnblendedCost":{"Amount":"0.0000123400","Unit":"USD"},)"
            R"("UsageQuantity":{"Amount":"1234567890123.5","Unit":"GB-Mo"}})";
        auto const text =
            page(result_of("2026-02-13", "2026-02-14",
                           R"("Total":{},"Estimated":true,"Groups":[)" + group(R"("Amazon S3","eu-west-1")", metrics) +
                               "," + group(R"("Amazon S3","us-east-1")", metrics) + "]") +
                     "," + result_of("2026-02-14", "2026-02-15", groups("")),
                 both);
        auto const told = read_one(text);
        CHECK(shown(told, "2026-02-13") == Lines{"Amazon S3 0.00001234 1234567890123.5 GB-Mo eu-west-1",
                                                 "Amazon S3 0.00001234 1234567890123.5 GB-Mo us-east-1"});
        CHECK(told->at(time_at("2026-02-13")).estimated);
        CHECK(!told->at(time_at("2026-02-14")).estimated);
        CHECK(told->at(time_at("2026-02-14")).entries.empty()); // known to be nothing
        CHECK(shown(read_one(text, {"AmortizedCost"}), "2026-02-13").front().find("Amazon S3 9 ") == 0);
        CHECK(fault(read_one(text, {"BlendedCost"})) ==
              "f, 2026-02-13: there is no metric BlendedCost, only AmortizedCost, UnblendedCost, UsageQuantity; choose "
              "one of them");
    }

    TEST_CASE("an answer without groups, or without services among them, is of the service AWS") {
        CHECK(shown(read_one(page(result_of("2026-02-13", "2026-02-14",
                                            R"("Groups":[],"Estimated":false,"Total":)" + metric("12.34")))),
                    "2026-02-13") == Lines{"AWS 12.34"});
        CHECK(shown(read_one(page(result_of("2026-02-13", "2026-02-14", groups(group(R"("123")", metric("1")))),
                                  R"({"Type":"DIMENSION","Key":"LINKED_ACCOUNT"})")),
                    "2026-02-13") == Lines{"AWS 1 123"});
    }

    TEST_CASE("pages of one answer are one, in an array and in files one behind the other, also within a day") {
        auto const day = [](std::string const& service) {
            return result_of("2026-02-13", "2026-02-14", groups(group('"' + service + '"', metric("1"))));
        };
        auto const first = page(day("S3"), by_service, more);
        auto const last = page(day("EC2"), by_service);
        Lines const all{"EC2 1", "S3 1"};
        CHECK(shown(read_one("[" + first + "," + last + "]"), "2026-02-13") == all);
        CHECK(shown(read_all({first, last}), "2026-02-13") == all);
        CHECK(fault(read_all({first})).find("a: it goes on with NextPageToken") == 0);
        CHECK(fault(read_all({last, first})).find("b: it goes on with NextPageToken") == 0);
        CHECK(fault(read_all({first, "date,service,amount_usd\n2026-02-13,S3,1\n", last})).find("a: it goes on") == 0);
        CHECK(fault(read_one("[" + first + "," + page(day("S3"), by_service) + "]"))
                  .find("f, 2026-02-13: a group comes "
                        "twice") == 0);
    }

    TEST_CASE("what is by month or hour, grouped by something else, or no answer at all is refused with what to do") {
        auto const one = groups(group(R"("S3")", metric("1")));
        auto const period = [&](char const* start, char const* end) {
            return fault(read_one(page(result_of(start, end, one), by_service)));
        };
        for (auto const& [start, end] : {std::pair("2026-02-01", "2026-03-01"),
                                         {"2026-02-13T00:00:00Z", "2026-02-13T01:00:00Z"},
                                         {"2026-02-13", "2026-02-13"},
                                         {"2026-02-14", "2026-02-13"}})
            CHECK(period(start, end).find("f: a result is not of one day; ask AWS with Granularity DAILY") == 0);
        CHECK(fault(read_one(page(result_of("2026-02-13", "2026-02-14", one), R"({"Type":"TAG","Key":"team"})")))
                  .find("f: ask AWS for groups by SERVICE") == 0);
        CHECK(
            fault(read_one(page(result_of("2026-02-13", "2026-02-14", one)))).find("f, 2026-02-13: a group has not") ==
            0);
        CHECK(fault(read_one(R"({"ResultsByTime":)")).find("f: it is no JSON; is the file cut short?") == 0);
        for (std::string const text : {"[]", "[1]", "{}", R"({"ResultsByTime":[1]})", R"({"ResultsByTime":[{}]})"})
            CHECK(fault(read_one(text)).find("f: ") == 0);
        auto const amount_as_number = R"({"UnblendedCost":{"Amount":1.5,"Unit":"USD"}})";
        CHECK(fault(read_one(page(result_of("2026-02-13", "2026-02-14", groups(group(R"("S3")", amount_as_number))),
                                  by_service))) == "f, 2026-02-13: Amount is no text");
    }

    TEST_CASE("an answer that is cut anywhere is refused, and never half taken") {
        auto const text =
            page(result_of("2026-02-13", "2026-02-14", groups(group(R"("S3")", metric("1")))), by_service);
        for (std::size_t size = 0; size < text.size(); ++size)
            CHECK(!read_one(text.substr(0, size)));
    }

    TEST_CASE("other currencies and several of them are refused by name") {
        auto const with = [](std::string const& a, std::string const& b) {
            return read_one(
                page(result_of("2026-02-13", "2026-02-14",
                               groups(group(R"("S3")", metric("1", a)) + "," + group(R"("EC2")", metric("1", b)))),
                     by_service));
        };
        CHECK(fault(with("USD", "EUR")) == "currency: there are amounts in EUR, and only those in USD are taken");
        CHECK(fault(with("GBP", "EUR")) == "currency: there are amounts in EUR, GBP, and only those in USD are taken");
        CHECK(fault(with("USD", "dollars of\\u0007")).find("one that is no code of three capitals") !=
              std::string::npos);
        CHECK(fault(read_one("date,service,amount_usd,currency\n2026-02-13,S3,1,GBP\n")).find("amounts in GBP") !=
              std::string::npos);
        CHECK(shown(read_one("date,service,amount_usd,currency\n2026-02-13,S3,1,USD\n"), "2026-02-13") ==
              Lines{"S3 1"});
    }

    TEST_CASE("two files may tell of a day if they tell the same") {
        std::string const header = "date,service,amount_usd\n";
        auto const first = header + "2026-02-13,S3,1\n2026-02-14,S3,1\n";
        CHECK(read_all({first, header + "2026-02-14,S3,1.0\n2026-02-15,S3,1\n"})->size() == 3);
        CHECK(fault(read_all({first, header + "2026-02-14,S3,2\n"})).find("2026-02-14: a and b tell different") == 0);
    }

    TEST_CASE("an import that is wrong anywhere leaves the store as it was, and the sentence says why") {
        Cost_House house;
        REQUIRE(house->import("date,service,amount_usd\n2026-02-13,S3,1\n"));
        auto const before = stored_files(house.memory);
        std::string const header = "date,service,amount_usd\n2026-02-12,S3,5\n";
        struct Wrong {
            std::string row;
            Errc code;
            std::string sentence;
        };
        for (auto const& wrong :
             {Wrong{"2026-02-13,S3,-0.01\n", Errc::invalid_argument, "accept_credits (2026-02-13)"},
              Wrong{"2026-02-22,S3,1\n", Errc::invalid_argument, "date: give a UTC day"},
              Wrong{"2026-02-13,,1\n", Errc::invalid_argument, "service: give 1 to 256 bytes"},
              Wrong{"2026-02-13," + std::string(257, 'x') + ",1\n", Errc::invalid_argument, "service: give 1 to 256"},
              Wrong{"2026-02-13,\xff,1\n", Errc::invalid_argument, "service: give 1 to 256"},
              Wrong{"2026-02-13,a\tb,1\n", Errc::invalid_argument, "service: give 1 to 256"},
              Wrong{"2026-02-13,S3,10000001\n", Errc::too_large, "2026-02-13 would cost more"},
              Wrong{"2026-02-13,S3,9999999\n2026-02-13,EC2,1.000000001\n", Errc::too_large, "2026-02-13 would cost"},
              Wrong{"2026-02-13,S3,nan\n", Errc::invalid_argument, "costs.csv, line 3"},
              Wrong{"2026-02-13,S3\n", Errc::invalid_argument, "costs.csv, line 3"}}) {
            auto const report = house->import(header + wrong.row);
            REQUIRE(!report);
            CHECK(report.error().code == wrong.code);
            CHECK_MESSAGE(report.error().context.find(wrong.sentence) != std::string::npos, report.error().context);
            CHECK(stored_files(house.memory) == before);
        }
        std::string many = header;
        for (std::size_t i = 0; i <= Cost_Day::most_entries; ++i)
            many += "2026-02-13,s" + std::to_string(i) + ",1\n";
        CHECK(house->import(many).error().code == Errc::too_large);
        CHECK(stored_files(house.memory) == before);
    }

    TEST_CASE("credits are taken where they are accepted, and make totals smaller") {
        Cost_House house("2026-02-20T12:00", {.accept_credits = true});
        REQUIRE(house->import("date,service,amount_usd\n2026-02-13,S3,3\n2026-02-13,Refund,-1.5\n2026-02-13,EC2,1\n"));
        auto const day = house->costs->aggregation("daily", "2026-02-13").value();
        CHECK(day.total_cost.to_text() == "2.5");
        CHECK(day.top_cost_drivers == std::vector<std::pair<std::string, std::uint32_t>>{{"S3", 7500}, {"EC2", 2500}});
        CHECK(day.cost_by_service.back() == std::pair<std::string, Money_Nanos>("Refund", {-1'500'000'000}));
    }
}
