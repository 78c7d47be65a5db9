// SPDX-License-Identifier: Apache-2.0
#include "namespaces/cost_house.hpp"
#include "support/backends.hpp"
#include "support/delayed_storage.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <random>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

template class memfs_cache::Costs<Watched_Memory>;

namespace {

using Verdict = Watched_Memory::Verdict;
using Operation = Watched_Memory::Operation;
using Shares = std::vector<std::pair<std::string, std::uint32_t>>;

constexpr auto raw_day = "cache/costs/data/raw/2026/02/13/cost-data.json";
constexpr auto saved_day = "cache/costs/data/aggregations/daily/2026/02/13.json";
constexpr auto saved_month = "cache/costs/data/aggregations/monthly/2026/02.json";

auto without_line_ends(std::string text) -> std::string {
    std::erase(text, '\n');
    return text;
}

auto seed_of_this_run() -> std::uint64_t {
    auto const* const given = std::getenv("MEMFS_CACHE_TEST_SEED");
    return given == nullptr ? random_u64() : std::strtoull(given, nullptr, 10);
}

/// Costs of a month: the same on each of its first days.
auto month_of(std::string const& month, unsigned known_days, std::string const& amount) -> Cost_Summary {
    Cost_Summary summary;
    for (unsigned day = 1; day <= known_days; ++day) {
        auto date = month + (day < 10 ? "-0" : "-") + std::to_string(day);
        Cost_Day one;
        one.date = time_at(date);
        one.record(cost_entry(date, "S3", amount));
        summary.add(one);
    }
    return summary;
}

auto projected(std::string const& month, unsigned known_days, std::string const& amount, std::string const& now)
    -> std::string {
    auto const window = Window::parse(Window_Type::monthly, month).value();
    auto const cost = projected_cost(window, month_of(month, known_days, amount), time_at(now));
    return cost ? cost->to_text() : "nothing";
}

} // namespace

TEST_SUITE("namespaces/costs") {
    TEST_CASE("a day, a window, a budget and an alert are those of docs/format.md, byte by byte") {
        auto const day_text = without_line_ends(documented("cost day"));
        auto const day = Cost_Day::parse(day_text).value();
        CHECK(day.to_json() == day_text);
        Storage_Memory storage;
        REQUIRE(write(storage, raw_day, day_text));
        Cost_Process const process(storage, "2026-03-01T00:00");
        CHECK(process.told("daily", "2026-02-13") == "12.34001234, final");
        CHECK(read(storage, saved_day).value() == without_line_ends(documented("cost window")));
        auto const budget_text = without_line_ends(documented("budget"));
        auto const budget = Budget::parse(budget_text).value();
        auto rewritten = budget.stored_text();
        CHECK(rewritten.replace(rewritten.find("nonce") + 8, 16, "2f8e0c91d4b7a653") == budget_text);
        auto const alert_text = without_line_ends(documented("alert"));
        CHECK(Cost_Alert::parse(alert_text)->stored_text() == alert_text);
    }

    TEST_CASE(
        "an entry recorded again changes nothing, another amount revises it, and another region stands beside it") {
        Cost_House house;
        CHECK(house->record("2026-02-13", "S3", "1.5"));
        auto const before = stored_files(house.memory);
        CHECK(!house->record("2026-02-13", "S3", "1.50"));
        CHECK(stored_files(house.memory) == before);
        CHECK(house->record("2026-02-13", "S3", "2"));
        CHECK(house->told("daily", "2026-02-13") == "2, final");
        auto elsewhere = cost_entry("2026-02-13", "S3", "0.25");
        elsewhere.region = "eu-west-1";
        CHECK(house->costs->record(elsewhere).value());
        CHECK(house->told("daily", "2026-02-13") == "2.25, final");
        auto const entries = house->costs->entries("2026-02-13").value();
        REQUIRE(entries.size() == 2);
        CHECK(entries[1] == elsewhere);
        CHECK(house->costs->entries("2026-02-14")->empty());
    }

    TEST_CASE("an entry that is wrong is refused, names the member, and writes nothing") {
        Cost_House house;
        auto const refused = [&](auto const& spoil) {
            auto entry = cost_entry("2026-02-13", "S3", "1");
            spoil(entry);
            auto const recorded = house->costs->record(entry);
            REQUIRE(!recorded);
            CHECK(recorded.error().code == Errc::invalid_argument);
            return recorded.error().context.substr(0, recorded.error().context.find(':'));
        };
        CHECK(refused([](auto& entry) { entry.date += 1h; }) == "date");
        CHECK(refused([](auto& entry) { entry.date = time_at("2026-02-22"); }) == "date");
        CHECK(refused([](auto& entry) { entry.date = earliest_time - 24h; }) == "date");
        CHECK(refused([](auto& entry) { entry.service.clear(); }) == "service");
        CHECK(refused([](auto& entry) { entry.amount.nanos = -1; }) == "amount_usd");
        CHECK(refused([](auto& entry) { entry.currency = "EUR"; }) == "currency");
        CHECK(refused([](auto& entry) { entry.usage_quantity = "many"; }) == "usage_quantity");
        CHECK(refused([](auto& entry) { entry.usage_unit = "\x1b[2J"; }) == "usage_unit");
        CHECK(refused([](auto& entry) { entry.account = std::string(257, '1'); }) == "account");
        CHECK(stored_files(house.memory).empty());
        CHECK(house->record("2026-02-21", "S3", "1")); // where it is tomorrow already
    }

    TEST_CASE("an import tells a day whole, and what was recorded stays but for the same thing") {
        Cost_House house;
        house->record("2026-02-13", "Hetzner", "5");
        house->record("2026-02-13", "S3", "7");
        auto const report =
            house->import("date,service,amount_usd\n2026-02-13,S3,1\n2026-02-13,EC2,2\n2026-02-14,EC2,2\n").value();
        CHECK(json_text(report.to_json()) ==
              R"({"days":2,"days_revised":2,"entries":3,"total_usd":"5","alerts_raised":0})");
        CHECK(house->told("daily", "2026-02-13") == "8, final");
        CHECK(house->import("date,service,amount_usd\n2026-02-13,EC2,3\n")->days_revised == 1);
        CHECK(house->told("daily", "2026-02-13") == "8, final");
        CHECK(house->import("date,service,amount_usd\n2026-02-13,EC2,3.0\n")->days_revised == 0);
        CHECK(house->record("2026-02-13", "EC2", "4"));
        CHECK(house->told("daily", "2026-02-13") == "9, final");
        CHECK(house->import("date,service,amount_usd\n2026-02-13,EC2,1\n")->days_revised == 1);
        CHECK(house->told("daily", "2026-02-13") == "6, final");
    }

    TEST_CASE("each day, week and month is the sum of its days, across months, years and ISO years") {
        auto const seed = seed_of_this_run();
        INFO("MEMFS_CACHE_TEST_SEED=" << seed);
        std::mt19937_64 chance(seed);
        Cost_House house("2028-06-01T00:00");
        std::map<Utc_Time, std::int64_t> by_day;
        auto const first = time_at("2026-12-20"); // 2026 has 53 weeks, 2028 a leap day
        std::array const services{"S3", "EC2", "Lambda"};
        std::string csv = "date,service,amount_usd\n";
        for (int i = 0; i < 450; ++i) {
            auto const day = first + std::chrono::days(i);
            if (chance() % 4 == 0)
                continue;
            for (auto const* const service : services) {
                auto const nanos = static_cast<std::int64_t>(chance() % 5'000'000'000'000);
                csv += date_text(day) + "," + service + "," + Money_Nanos{nanos}.to_text() + "\n";
                by_day[day] += nanos;
            }
        }
        REQUIRE(house->import(csv)->days == by_day.size());
        for (auto const type : {Window_Type::daily, Window_Type::weekly, Window_Type::monthly}) {
            for (auto window = Window::containing(type, first); window.start() < first + std::chrono::days(450);
                 window = window.next()) {
                CAPTURE(window.key());
                std::int64_t sum = 0;
                for (auto day = by_day.lower_bound(window.start()); day != by_day.end() && day->first < window.end();
                     ++day)
                    sum += day->second;
                auto const answer = house->costs->aggregation(to_text(type), window.key()).value();
                CHECK(answer.total_cost.nanos == sum);
                std::int64_t of_services = 0;
                for (auto const& [service, amount] : answer.cost_by_service)
                    of_services += amount.nanos;
                CHECK(of_services == sum);
                CHECK(answer.recorded == (sum > 0));
            }
        }
    }

    TEST_CASE("a day that is revised reaches every level at once, also those that were saved") {
        Cost_House house("2026-04-20T12:00");
        house->record("2026-02-12", "S3", "1");
        house->record("2026-02-13", "S3", "1");
        auto const all = [&](std::string const& day, std::string const& month) {
            CHECK(house->told("daily", "2026-02-13") == day);
            CHECK(house->told("weekly", "2026-W07") == month);
            CHECK(house->told("monthly", "2026-02") == month);
        };
        all("1, final", "2, final");
        auto const before = house->costs->aggregation("monthly", "2026-02").value();
        house->record("2026-02-13", "S3", "1.25");
        all("1.25, final", "2.25, final");
        CHECK(house->costs->aggregation("monthly", "2026-02")->revision == before.revision + 1);
        house->record("2026-02-14", "S3", "4"); // one that was not known at all
        all("1.25, final", "6.25, final");
        CHECK(read(house.memory, saved_month).value()->find(R"("total_nanos":6250000000)") != std::string::npos);
    }

    TEST_CASE("a window is final once it is over and its days have settled, and only then it is saved") {
        Cost_House house("2026-02-13T23:59:59.999");
        house->record("2026-02-13", "S3", "1");
        CHECK(house->told("daily", "2026-02-13") == "1, open");
        CHECK(!exists(house.memory, saved_day).value());
        house->at("2026-02-14T00:00");
        CHECK(house->told("daily", "2026-02-13") == "1, final");
        CHECK(house->told("weekly", "2026-W07") == "1, open");
        CHECK(exists(house.memory, saved_day).value());

        Cost_House estimated("2026-02-14T00:00");
        REQUIRE(estimated->import(R"({"ResultsByTime":[{"TimePeriod":{"Start":"2026-02-13","End":"2026-02-14"},
            "Estimated":true,"Groups":[],"Total":{"UnblendedCost":{"Amount":"1","Unit":"USD"}}}]})"));
        CHECK(estimated->told("daily", "2026-02-13") == "1, open");
        CHECK(estimated->costs->aggregation("daily", "2026-02-13")->estimated);
        estimated->at("2026-02-27T23:59");
        CHECK(estimated->told("daily", "2026-02-13") == "1, open");
        CHECK(!exists(estimated.memory, saved_day).value());
        estimated->at("2026-02-28T00:00");
        CHECK(estimated->told("daily", "2026-02-13") == "1, final");
    }

    TEST_CASE("saved windows that are deleted come back with the same bytes, also elsewhere and a year later") {
        Cost_House house("2026-04-20T12:00");
        for (auto const* const day : {"2026-01-31", "2026-02-01", "2026-02-13", "2026-02-28"})
            house->record(day, "S3", "1.000000001");
        auto const ask_all = [](auto const& process) {
            for (auto const& [type, key] : {std::pair("daily", "2026-02-13"),
                                            {"weekly", "2026-W05"},
                                            {"weekly", "2026-W07"},
                                            {"monthly", "2026-02"}})
                CHECK(process.costs->aggregation(type, key)->final);
        };
        ask_all(house.process);
        auto const prefix = "cache/costs/data/aggregations/";
        auto const before = stored_files(house.memory, prefix);
        CHECK(before.size() == 5); // the asked ones, and January before one of them
        for (auto const& [name, text] : before)
            REQUIRE(remove(house.memory, name));
        Cost_Process const other(house.memory, "2027-05-01T00:00");
        ask_all(other);
        CHECK(stored_files(house.memory, prefix) == before);
        CHECK(other.costs->windows().rebuild(Window::parse(Window_Type::monthly, "2026-02").value())->final);
        CHECK(stored_files(house.memory, prefix) == before);
    }

    TEST_CASE("whoever builds from a day that is revised meanwhile leaves nothing that is taken for current") {
        Cost_House house("2026-04-20T12:00");
        house->record("2026-02-13", "S3", "1");
        Cost_Process rival(house.memory, "2026-04-20T12:00");
        bool done = false;
        house.storage.hook = [&](Operation operation, std::string const& key) {
            if (operation == Operation::put && key == saved_month && !std::exchange(done, true)) {
                rival.record("2026-02-13", "S3", "2");
                CHECK(rival.told("monthly", "2026-02") == "2, final"); // and saves it first
            }
            return Verdict();
        };
        CHECK(house->told("monthly", "2026-02") == "1, final"); // as it was when it was asked
        CHECK(done);
        CHECK(read(house.memory, saved_month).value()->find(R"("total_nanos":2000000000)") != std::string::npos);
        CHECK(house->told("monthly", "2026-02") == "2, final");
        CHECK(Cost_Process(house.memory, "2026-04-20T12:00").told("monthly", "2026-02") == "2, final");
    }

    TEST_CASE("a window that was saved meanwhile is never written over with older days") {
        Cost_House house("2026-04-20T12:00");
        house->record("2026-02-13", "S3", "1");
        Cost_Process rival(house.memory, "2026-04-20T12:00");
        bool done = false;
        house.storage.hook = [&](Operation operation, std::string const& key) {
            bool const is_between =
                operation == Operation::get && key == saved_month; // the other question may be first
            if (is_between && !std::exchange(done, true)) {
                rival.record("2026-02-13", "S3", "2");
                CHECK(rival.told("monthly", "2026-02") == "2, final");
            }
            return Verdict();
        };
        (void)house->told("monthly", "2026-02");
        CHECK(done);
        CHECK(read(house.memory, saved_month).value()->find(R"("total_nanos":2000000000)") != std::string::npos);
    }

    TEST_CASE("an old write of a day that arrives late changes nothing") {
        using Delayed = Delayed_Storage<Storage_Memory>;
        Storage_Memory memory;
        Delayed network(memory);
        Cost_Process const slow(network, "2026-04-20T12:00");
        Cost_Process const fast(memory, "2026-04-20T12:00");
        fast.record("2026-02-13", "S3", "1");
        network.fate = [puts = 0]() mutable { return puts++ == 0 ? Delayed::Fate::late : Delayed::Fate::answered; };
        CHECK(slow.record("2026-02-13", "EC2", "5")); // sent twice: the first one is still on its way
        fast.record("2026-02-13", "S3", "3");
        REQUIRE(network.on_the_way() == 1);
        network.land(0);
        CHECK(fast.told("daily", "2026-02-13") == "8, final");
    }

    TEST_CASE("entries that many record on one day at once are all kept") {
        Storage_Memory memory;
        Cost_Process const process(memory, "2026-02-20T12:00");
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 4; ++thread)
            threads.emplace_back([&process, thread] {
                for (int i = 0; i < 5; ++i)
                    process.record("2026-02-13", "service " + std::to_string(thread * 5 + i), "1");
            });
        for (auto& thread : threads)
            thread.join();
        CHECK(process.told("daily", "2026-02-13") == "20, final");
    }

    TEST_CASE("a day that is gone stays in the windows that hold it, and no sum without it is ever given") {
        Cost_House house("2026-04-20T12:00");
        house->record("2026-02-12", "S3", "1");
        house->record("2026-02-13", "S3", "2");
        CHECK(house->told("monthly", "2026-02") == "3, final");
        REQUIRE(remove(house.memory, raw_day));
        CHECK(house->told("monthly", "2026-02") == "3, final");
        house->record("2026-02-12", "S3", "1.5");
        CHECK(house->costs->aggregation("monthly", "2026-02").error().code == Errc::not_found);
        REQUIRE(remove(house.memory, saved_month));
        CHECK(house->told("monthly", "2026-02") == "1.5, final");
    }

    TEST_CASE("days that are damaged are reported with the name of the file, and never counted") {
        Cost_House house;
        house->record("2026-02-13", "S3", "1");
        auto const good = read(house.memory, raw_day).value().value();
        for (auto const& [from, to] : {std::pair(R"("v":1)", R"("v":2)"),
                                       {R"("total_nanos":1)", R"("total_nanos":2)"},
                                       {"2026-02-13", "2026-02-14"},
                                       {R"("service":"S3")", R"("service":"")"},
                                       {R"("amount_nanos":1000000000)", R"("amount_nanos":"1")"},
                                       {"}]}", "}]"}}) {
            auto bad = good;
            REQUIRE(bad.find(from) != std::string::npos);
            bad.replace(bad.find(from), std::string(from).size(), to);
            REQUIRE(write(house.memory, raw_day, bad));
            auto const answer = house->costs->aggregation("daily", "2026-02-13");
            REQUIRE(!answer);
            CHECK(answer.error().code == Errc::corrupt_data);
            CHECK(answer.error().context.find(raw_day) == 0);
            CHECK(house->costs->record(cost_entry("2026-02-13", "S3", "2")).error().code == Errc::corrupt_data);
            CHECK(read(house.memory, raw_day).value() == bad);
        }
    }

    TEST_CASE("latest follows the newest final window, and no question about the past moves it back") {
        Cost_House house;
        auto const latest = [&] {
            auto const text = read(house.memory, "cache/costs/data/latest/current-daily.json").value();
            return text ? Window_Position::read(*text, Window_Type::daily)->start : earliest_time;
        };
        house->record("2026-02-12", "S3", "1");
        house->record("2026-02-13", "S3", "1");
        CHECK(house->told("daily", "2026-02-13") == "1, final");
        CHECK(latest() == time_at("2026-02-13"));
        house->record("2026-02-12", "S3", "2");
        CHECK(house->told("daily", "2026-02-12") == "2, final");
        CHECK(latest() == time_at("2026-02-13"));
        house->record("2026-02-13", "S3", "2");
        CHECK(house->told("daily", "2026-02-13") == "2, final");
        CHECK(read(house.memory, "cache/costs/data/latest/current-daily.json").value() ==
              read(house.memory, saved_day).value());
    }

    TEST_CASE("windows of other lengths, malformed keys and the future are refused") {
        Cost_House house;
        for (auto const& [type, key] : {std::pair("hourly", "2026-02-13T14"),
                                        {"yearly", "2026"},
                                        {"", ""},
                                        {"daily", "2026-02"},
                                        {"weekly", "2026-W54"},
                                        {"monthly", "2026-03"}})
            CHECK(house->costs->aggregation(type, key).error().code == Errc::invalid_argument);
        CHECK(house->told("monthly", "2026-01") == "nothing");
        CHECK(stored_files(house.memory).empty());
    }

    TEST_CASE("a process reads a day again only when it was changed") {
        Cost_House house("2026-04-20T12:00");
        for (auto const* const day : {"2026-02-11", "2026-02-12", "2026-02-13"})
            house->record(day, "S3", "1");
        CHECK(house->told("monthly", "2026-02") == "3, final");
        house->record("2026-02-13", "S3", "2");
        std::vector<std::string> read_days;
        house.storage.hook = [&](Operation operation, std::string const& key) {
            if (operation == Operation::get && key.find("/raw/") != std::string::npos)
                read_days.push_back(key);
            return Verdict();
        };
        CHECK(house->told("monthly", "2026-02") == "4, final");
        CHECK(read_days == std::vector<std::string>{raw_day});
    }

    // Figures of months

    TEST_CASE("a month is projected from what is known of it") {
        CHECK(projected("2026-02", 1, "2", "2026-02-01T10:00") == "56"); // day 1: 28 such days
        CHECK(projected("2024-02", 1, "2", "2024-02-01T10:00") == "58"); // of 29 in a leap year
        CHECK(projected("2026-02", 14, "2", "2026-02-14T10:00") == "56");
        CHECK(projected("2024-02", 28, "1", "2024-02-29T23:59") == "29"); // the leap day is still to come
        CHECK(projected("2024-02", 29, "1", "2024-02-29T23:59") == "29"); // it is known
        CHECK(projected("2026-01", 31, "1", "2026-01-31T23:59") == "31");
        CHECK(projected("2026-01", 20, "1", "2026-02-01T00:00") == "20"); // over: nothing is made up
        CHECK(projected("2026-02", 0, "1", "2026-02-01T10:00") == "nothing");
        CHECK(projected("2026-02", 3, "0.000000001", "2026-02-03T10:00") == "0.000000028");
        // Begun in the middle of the month: the days before cost nothing.
        Cost_House house("2026-02-21T12:00");
        house->record("2026-02-19", "S3", "1");
        house->record("2026-02-21", "S3", "2");
        auto const month = house->costs->current().value();
        CHECK(month.total_cost.to_text() == "3");
        CHECK(month.projected_month->to_text() == "13.5"); // 3, and seven days of 1.5
        CHECK(month.to_json().at("month_to_date_usd") == 3.0);
        CHECK(month.to_json().at("projected_month_usd") == 13.5);
        auto const day = house->costs->aggregation("daily", "2026-02-21")->to_json();
        CHECK(day.at("month_to_date_usd").is_null());
        CHECK(day.at("projected_month_usd").is_null());
    }

    TEST_CASE("the largest costs that are taken make no month overflow") {
        Cost_House house("2026-01-31T12:00", {.accept_credits = true});
        std::string csv = "date,service,amount_usd\n";
        for (int day = 1; day <= 30; ++day) {
            auto const date = date_text(time_at("2026-01-01") + std::chrono::days(day - 1));
            csv += date + ",S3,9999999\n" + date + ",EC2,1\n";
            house->record(date, "Other", "10000000");
        }
        REQUIRE(house->import(csv));
        auto const month = house->costs->current().value();
        CHECK(month.total_cost.to_text() == "600000000");
        CHECK(month.projected_month->to_text() == "620000000");
        CHECK(month.top_cost_drivers == Shares{{"Other", 5000}, {"S3", 5000}, {"EC2", 0}});
        CHECK(house->costs->record(cost_entry("2026-01-01", "More", "0.000000001")).error().code == Errc::too_large);
    }

    TEST_CASE("shares are rounded so that they make a hundred percent") {
        auto const shares = [](std::map<std::string, std::int64_t> const& nanos) {
            std::map<std::string, Money_Nanos, std::less<>> costs;
            for (auto const& [name, amount] : nanos)
                costs[name] = {amount};
            return cost_shares(costs);
        };
        CHECK(shares({{"a", 1}, {"b", 1}, {"c", 1}}) == Shares{{"a", 3334}, {"b", 3333}, {"c", 3333}});
        CHECK(shares({{"a", 2}, {"b", 1}}) == Shares{{"a", 6667}, {"b", 3333}});
        CHECK(shares({{"a", 7}}) == Shares{{"a", 10'000}});
        CHECK(shares({{"a", 0}, {"b", -3}}).empty());
        CHECK(shares({{"tiny", 1}, {"huge", 620'000'000'000'000'000}}) == Shares{{"huge", 10'000}, {"tiny", 0}});
        auto const seed = seed_of_this_run();
        INFO("MEMFS_CACHE_TEST_SEED=" << seed);
        std::mt19937_64 chance(seed);
        for (int round = 0; round < 500; ++round) {
            std::map<std::string, std::int64_t> costs;
            std::int64_t total = 0;
            for (auto services = chance() % 30 + 1; services > 0; --services) {
                auto& cost = costs["service " + std::to_string(services)];
                cost = static_cast<std::int64_t>(chance() % (std::uint64_t{1} << (chance() % 54))) + 1;
                total += cost;
            }
            std::uint32_t sum = 0;
            for (auto const& [service, share] : shares(costs)) {
                sum += share;
                auto const exact = 10'000 * static_cast<long double>(costs[service]) / static_cast<long double>(total);
                CHECK(std::abs(static_cast<long double>(share) - exact) < 1);
            }
            CHECK(sum == 10'000);
        }
    }

    TEST_CASE("of many services the largest are named, and the others make the rest of a hundred percent") {
        Cost_House house;
        std::string csv = "date,service,amount_usd\n";
        for (int i = 10; i < 35; ++i)
            csv += "2026-02-13,s" + std::to_string(i) + "," + std::to_string(i) + "\n";
        REQUIRE(house->import(csv));
        auto const drivers = house->costs->aggregation("daily", "2026-02-13")->top_cost_drivers;
        REQUIRE(drivers.size() == 20);
        CHECK(drivers.front().first == "s34");
        CHECK(drivers.back().first == "(others)");
        std::uint32_t sum = 0;
        for (auto const& driver : drivers)
            sum += driver.second;
        CHECK(sum == 10'000);
    }

    TEST_CASE("a window is compared with the one before, where that is known") {
        Cost_House house("2026-03-20T12:00");
        house->record("2026-01-31", "S3", "4");
        house->record("2026-02-01", "S3", "5");
        auto const february = house->costs->aggregation("monthly", "2026-02")->to_json();
        CHECK(february.at("previous_total_usd") == 4.0);
        CHECK(february.at("delta_usd") == 1.0);
        CHECK(february.at("delta_percent") == 25.0);
        auto const january = house->costs->aggregation("monthly", "2026-01")->to_json();
        for (auto const* const member : {"previous_total_usd", "delta_usd", "delta_percent"})
            CHECK(january.at(member).is_null());
        auto const march = house->costs->aggregation("monthly", "2026-03")->to_json(); // nothing is known of it
        CHECK(march.at("previous_total_usd") == 5.0);
        CHECK(march.at("delta_usd").is_null());
        house->record("2026-02-02", "S3", "0");
        house->record("2026-02-03", "S3", "1");
        auto const after_free = house->costs->aggregation("daily", "2026-02-03")->to_json();
        CHECK(after_free.at("delta_usd") == 1.0);
        CHECK(after_free.at("delta_percent").is_null());
        auto const first = Cost_House("2026-03-20T12:00")->costs->aggregation("daily", "1970-01-01").value();
        CHECK(!first.previous_total);
    }

    // Budgets

    TEST_CASE("a budget raises one alert for each threshold and period, and never another") {
        Cost_House house("2026-02-13T12:00");
        CHECK(house->costs->set_budget({"total", "10", "monthly", "50,80,100"}));
        auto const alerts = [&] {
            std::vector<std::string> shown;
            for (auto const& alert : house->costs->alerts().value())
                shown.push_back(alert.budget + " " + alert.window_key + " " + std::to_string(alert.threshold) + " " +
                                alert.spent.to_text());
            return shown;
        };
        using Alerts = std::vector<std::string>;
        house->record("2026-02-12", "S3", "4.999999999");
        CHECK(alerts().empty());
        house->record("2026-02-13", "S3", "0.000000001");
        CHECK(alerts() == Alerts{"total 2026-02 50 5"});
        house->clock->advance(1min);
        CHECK(house->import("date,service,amount_usd\n2026-02-11,S3,5\n")->alerts_raised == 2);
        CHECK(alerts() == Alerts{"total 2026-02 100 10", "total 2026-02 80 10", "total 2026-02 50 5"});
        auto const before = stored_files(house.memory, "cache/costs/data/alerts/");
        house->record("2026-02-13", "S3", "9");
        CHECK(house->costs->set_budget({"total", "8", "monthly", "50,80,100"}));
        CHECK(Cost_Process(house.memory, "2026-02-14T00:00").costs->alerts()->size() == 3);
        CHECK(stored_files(house.memory, "cache/costs/data/alerts/") == before);
        house->at("2026-03-01T00:00");
        house->record("2026-03-01", "S3", "4");
        CHECK(alerts().front() == "total 2026-03 50 4"); // another month begins anew
    }

    TEST_CASE("a budget may be of one service and of a day, is changed by its name, and can be removed") {
        Cost_House house("2026-02-13T12:00");
        house->record("2026-02-13", "S3", "3");
        auto const set = house->costs->set_budget({"s3", "2.5", "daily", "100", "S3"}).value();
        CHECK(set.amount.to_text() == "2.5");
        CHECK(house->costs->alerts()->size() == 1); // this day is held against it at once
        house->record("2026-02-13", "EC2", "100");
        house->record("2026-02-12", "EC2", "100");
        CHECK(house->costs->alerts()->size() == 1);
        CHECK(house->costs->set_budget({"all", "250", "monthly", "100"}));
        CHECK(house->costs->set_budget({"all", "500", "monthly", "100"}));
        auto const budgets = house->costs->budgets().value();
        REQUIRE(budgets.size() == 2);
        CHECK(budgets[0].name == "all");
        CHECK(budgets[0].amount.to_text() == "500");
        CHECK(budgets[1].service == "S3");
        CHECK(house->costs->remove_budget("s3").value());
        CHECK(!house->costs->remove_budget("s3").value());
        CHECK(!house->costs->remove_budget("../raw").value());
        CHECK(house->costs->budgets()->size() == 1);
        CHECK(house->costs->alerts()->size() == 1);
    }

    TEST_CASE("budgets that cannot be are refused with the member, and nothing is written") {
        Cost_House house;
        auto const member = [&](New_Budget const& wanted) {
            auto const set = house->costs->set_budget(wanted);
            REQUIRE(!set);
            CHECK(set.error().code == Errc::invalid_argument);
            return set.error().context.substr(0, set.error().context.find(':'));
        };
        for (auto const* const name : {"", "A", "-a", "a/b", "..", "a b"})
            CHECK(member({name, "1"}) == "name");
        CHECK(member({std::string(129, 'a'), "1"}) == "name");
        for (auto const* const amount : {"", "0", "-1", "x", "100000000.000000001"})
            CHECK(member({"a", amount}) == "amount_usd");
        for (auto const* const period : {"", "weekly", "hourly"})
            CHECK(member({"a", "1", period}) == "period");
        for (auto const* const thresholds : {"", "0", "1001", "50,", "50,,80", "50%"})
            CHECK(member({"a", "1", "daily", thresholds}) == "thresholds");
        CHECK(member({"a", "1", "daily", "50", "\n"}) == "service");
        CHECK(stored_files(house.memory).empty());
        CHECK(house->costs->set_budget({"a", "100000000", "daily", "1000, 1"}));
        CHECK(house->costs->budgets()->front().at(1000).to_text() == "1000000000");
        CHECK(house->costs->budgets()->front().at(1).to_text() == "1000000");
    }

    TEST_CASE("an alert that could not be written is raised by the next look") {
        Cost_House house("2026-02-13T12:00");
        CHECK(house->costs->set_budget({"total", "1", "monthly", "100"}));
        house.storage.hook = [](Operation operation, std::string const& key) {
            bool const is_alert = operation == Operation::put && key.find("/alerts/") != std::string::npos;
            return is_alert ? Verdict{Verdict::Kind::fail} : Verdict();
        };
        CHECK(house->costs->record(cost_entry("2026-02-13", "S3", "2")).error().code == Errc::unavailable);
        house.storage.hook = nullptr;
        CHECK(house->told("daily", "2026-02-13") == "2, open"); // the costs were kept
        CHECK(house->costs->alerts()->size() == 1);
    }

    TEST_CASE("an alert is raised once by many who write at once, also where answers are lost") {
        Storage_Memory memory;
        Delayed_Storage<Storage_Memory> network(memory);
        Cost_Process const process(network, "2026-02-13T12:00");
        REQUIRE(process.costs->set_budget({"total", "1", "monthly", "100"}));
        using Fate = Delayed_Storage<Storage_Memory>::Fate;
        network.fate = [writes = 0]() mutable { return writes++ % 2 == 0 ? Fate::answer_lost : Fate::answered; };
        CHECK(process.record("2026-02-13", "S3", "2"));
        CHECK(process.record("2026-02-13", "S3", "3"));
        CHECK(process.costs->alerts()->size() == 1);
        CHECK(process.costs->health().details.at("alerts_raised") == 1);
    }

    // The handler

    TEST_CASE("costs are kept on every storage that has conditional writes, and on no other") {
        Cost_House house;
        house.storage.promised.conditional_put = false;
        auto const opened = Costs<Watched_Memory>::open(house.storage, "cache", Namespace_Name("costs"),
                                                        std::make_shared<System_Clock>());
        REQUIRE(!opened);
        CHECK(opened.error().code == Errc::unsupported);
    }

    TEST_CASE("after closing nothing is kept any more, and what is stored can still be asked for") {
        Cost_House house;
        house->record("2026-02-13", "S3", "1");
        REQUIRE(house->costs->close());
        REQUIRE(house->costs->close());
        CHECK(house->costs->record(cost_entry("2026-02-13", "S3", "2")).error().code == Errc::closed);
        CHECK(house->import("date,service,amount_usd\n2026-02-13,S3,2\n").error().code == Errc::closed);
        CHECK(house->costs->set_budget({"a", "1"}).error().code == Errc::closed);
        CHECK(house->told("daily", "2026-02-13") == "1, final");
    }
}

TEST_CASE_TEMPLATE("costs are the same on every backend", Backend, MEMFS_CACHE_BACKENDS) {
    Backend backend;
    Any_Storage storage = std::move(backend.storage); // one class for all of them: it takes long to compile
    Cost_Process const process(storage, "2026-03-20T12:00");
    REQUIRE(process.import("date,service,amount_usd\n2026-02-12,S3,1\n2026-02-13,S3,2\n2026-02-13,EC2,3\n"));
    CHECK(process.told("monthly", "2026-02") == "6, final");
    process.record("2026-02-13", "S3", "2.5");
    CHECK(process.told("weekly", "2026-W07") == "6.5, final");
    CHECK(process.told("monthly", "2026-02") == "6.5, final");
    CHECK(process.costs->set_budget({"total", "1", "monthly", "100"}));
    CHECK(process.record("2026-02-13", "EC2", "4"));
    CHECK(process.costs->alerts()->size() == 1);
    CHECK(process.costs->remove_budget("total").value());
}
