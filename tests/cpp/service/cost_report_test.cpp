// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include <memfs_cache/service/cache_service.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

/// A service whose clock stands where the test puts it.
struct Firm {
    explicit Firm(std::string const& now) : clock(std::make_shared<Manual_Clock>(time_at(now))) {}

    /// A request of a visitor, as it was then.
    void visit(std::string const& when, std::string const& client, std::string const& event_type = "page_view") {
        Analytics_Event event;
        event.event_type = event_type;
        event.timestamp = time_at(when);
        event.ip = client;
        REQUIRE(cache.record_analytics_event(event));
    }
    void cost(std::string const& day, std::string const& amount) {
        Cost_Entry entry;
        entry.date = time_at(day);
        entry.service = "S3";
        entry.amount = Money_Nanos::parse(amount).value();
        REQUIRE(cache.costs().record(entry));
    }
    auto report(std::string const& type, std::string const& key) -> boost::json::object {
        return cache.cost_report(type, key).value().to_json();
    }

    std::shared_ptr<Manual_Clock> clock;
    Cache_Service<Any_Storage> cache{Any_Storage(Storage_Memory()), [this] {
                                         Service_Options options;
                                         options.clock = clock;
                                         return options;
                                     }()};
};

constexpr auto unit_figures = {"total_requests",   "total_transfers",   "unique_visitors",
                               "cost_per_request", "cost_per_transfer", "cost_per_active_user"};

} // namespace

TEST_SUITE("service/cost report") {
    TEST_CASE("costs are shared out among requests, uploads and visitors of the same window") {
        Firm firm("2026-02-14T12:00");
        firm.cost("2026-02-13", "10");
        firm.cost("2026-02-14", "2");
        for (auto const* const client : {"192.0.2.1", "192.0.2.2"})
            firm.visit("2026-02-13T23:59", client);
        firm.visit("2026-02-13T12:00", "192.0.2.1", "file_upload");
        firm.visit("2026-02-13T12:01", "192.0.2.1", "file_upload");
        firm.visit("2026-02-14T00:00", "192.0.2.1"); // of the next day
        auto const day = firm.report("daily", "2026-02-13");
        CHECK(day.at("total_requests") == 4);
        CHECK(day.at("total_transfers") == 2);
        CHECK(day.at("unique_visitors") == 2);
        CHECK(day.at("cost_per_request") == 2.5);
        CHECK(day.at("cost_per_transfer") == 5.0);
        CHECK(day.at("cost_per_active_user") == 5.0);
        auto const next = firm.report("daily", "2026-02-14");
        CHECK(next.at("cost_per_request") == 2.0);
        CHECK(next.at("cost_per_transfer") == 0.0); // there were none
        auto const month = firm.cache.current_cost_report().value().to_json();
        CHECK(month.at("window_key") == "2026-02");
        CHECK(month.at("cost_per_request") == 2.4);     // 12 USD, 5 requests
        CHECK(month.at("cost_per_active_user") == 4.0); // each day a visitor is another one
    }

    TEST_CASE("joins hold at day 1, at the end of a month, on a leap day and in a week across years") {
        Firm firm("2025-02-01T00:00");
        for (auto const* const day : {"2024-02-01", "2024-02-29", "2024-03-01", "2024-12-30", "2025-01-05"}) {
            firm.cost(day, "3");
            firm.visit(std::string(day) + "T23:59:59.999", "192.0.2.1");
            firm.visit(std::string(day) + "T00:00", "192.0.2.2");
        }
        CHECK(firm.report("daily", "2024-02-29").at("cost_per_request") == 1.5);
        auto const february = firm.report("monthly", "2024-02");
        CHECK(february.at("total_requests") == 4);
        CHECK(february.at("cost_per_request") == 1.5);
        CHECK(february.at("projected_month_usd") == 6.0);
        CHECK(firm.report("monthly", "2024-03").at("total_requests") == 2);
        auto const week = firm.report("weekly", "2025-W01");
        CHECK(week.at("total_cost_usd") == 6.0);
        CHECK(week.at("cost_per_request") == 1.5);
    }

    TEST_CASE("where nothing was recorded what a request cost is not known, and asking makes no namespace") {
        Firm firm("2026-02-14T12:00");
        firm.cost("2026-02-13", "10");
        for (auto const* const figure : unit_figures)
            CHECK(firm.report("daily", "2026-02-13").at(figure).is_null());
        CHECK(firm.cache.namespaces().value() == std::vector<std::string>{"costs"});
        firm.visit("2026-02-12T12:00", "192.0.2.1");
        for (auto const* const figure : unit_figures)
            CHECK(firm.report("daily", "2026-02-13").at(figure).is_null());
        auto const without_costs = firm.report("daily", "2026-02-12");
        CHECK(without_costs.at("total_requests") == 1);
        CHECK(without_costs.at("cost_per_request").is_null());
        CHECK(without_costs.at("recorded") == false);
    }

    TEST_CASE("a window that cannot be is refused, and the costs of another namespace are asked for by its name") {
        Firm firm("2026-02-14T12:00");
        CHECK(firm.cache.cost_report("hourly", "2026-02-13T14").error().code == Errc::invalid_argument);
        CHECK(firm.cache.cost_report("daily", "2026-02-15").error().code == Errc::invalid_argument);
        firm.cost("2026-02-13", "10");
        CHECK(firm.cache.cost_report("daily", "2026-02-13", "lab").value().costs.recorded == false);
        CHECK(firm.cache.cost_report("daily", "2026-02-13", "../x").error().code == Errc::invalid_argument);
        CHECK(firm.cache.setup_namespaces());
        CHECK(firm.cache.health().namespaces.contains("costs"));
    }
}
