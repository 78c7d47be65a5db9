// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/storage/open.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace memfs_cache;

namespace {

constexpr Utc_Time noon = from_millis(1'771'070'400'000); // 2026-02-14T12:00:00Z

/// Two requests on a store in memory, at 11:58 and 11:59, and the admin routes over it.
struct House {
    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(noon - std::chrono::minutes(2));
    Cache_Service<Any_Storage> cache{open_storage("memory:").value(), options()};
    Handler_Health servers{false, {{"public", boost::json::object{{"connections", 7}}}}};
    Admin_Api<Any_Storage> api{cache, Admin_Key::from_text("key").value(), {}, [this] { return servers; }};

    House() {
        record("/one?secret=1", 200);
        record("/two", 404);
    }

    auto get(std::string target, Headers headers = {{"X-API-Key", "key"}}) const -> Response {
        return api(Request{"GET", std::move(target), std::move(headers), {}, {}});
    }
    auto json(std::string target) const -> boost::json::object {
        auto const response = get(std::move(target));
        CHECK(response.status == 200);
        return boost::json::parse(std::get<Bytes>(response.body)).as_object();
    }

  private:
    auto options() const -> Service_Options {
        Service_Options made;
        made.clock = clock;
        return made;
    }
    void record(std::string_view target, int status) {
        Request_View view;
        view.method = "GET";
        view.target = target;
        view.status = status;
        view.content_bytes = 100;
        view.remote = "192.0.2.1";
        CHECK(cache.analytics().record_request(view));
        clock->advance(std::chrono::minutes(1));
    }
};

auto names(boost::json::object const& object) -> std::set<std::string> {
    std::set<std::string> found;
    for (auto const& member : object)
        found.insert(std::string(member.key()));
    return found;
}

} // namespace

TEST_SUITE("http/admin_api") {
    TEST_CASE("every route answers from what was recorded") {
        House const house;
        auto const pulse = house.json("/analytics/pulse");
        CHECK(pulse.at("window_minutes").to_number<int>() == 5);
        CHECK(pulse.at("active_requests").to_number<int>() == 2);
        CHECK(house.json("/analytics/pulse?window_minutes=1").at("active_requests").to_number<int>() == 0);
        CHECK(house.json("/analytics/pulse?window_minutes=2").at("active_requests").to_number<int>() == 1);

        auto const hour = house.json("/analytics/hourly/2026-02-14T11");
        CHECK(hour.at("total_requests").to_number<int>() == 2);
        CHECK(hour.at("total_bytes").to_number<int>() == 200);
        CHECK(hour.at("error_count").to_number<int>() == 1);
        CHECK(house.json("/analytics/30min/2026-02-14T11%3A30").at("total_requests").to_number<int>() == 2);
        CHECK(house.json("/analytics/30min/2026-02-14T11:00").at("recorded").as_bool() == false);
        CHECK(house.json("/analytics/latest/daily").at("window_key").as_string() == "2026-02-14");
        CHECK(house.json("/ready").at("status").as_string() == "ok");
    }

    TEST_CASE("health is for everybody, its details are not") {
        House const house;
        CHECK(names(house.json("/health")) == std::set<std::string>{"status", "namespaces", "servers"});
        auto const open = house.get("/health", {});
        CHECK(open.status == 200);
        CHECK(std::get<Bytes>(open.body) == R"({"status":"ok"})");
    }

    TEST_CASE("every other route needs the key, also those that the description will list one day") {
        House const house;
        auto const paths = boost::json::parse(house.api.openapi()).at("paths").as_object();
        CHECK(paths.size() >= 6);
        for (auto const& path : paths) {
            std::string const target(path.key());
            CAPTURE(target);
            CHECK(house.get(target, {}).status == (target == "/health" ? 200 : 401));
            CHECK(house.get(target, {{"X-API-Key", "wrong"}}).status == (target == "/health" ? 200 : 401));
        }
    }

    TEST_CASE("what cannot be asked is 400 and names the parameter") {
        House const house;
        struct Row {
            std::string target, field;
        };
        for (auto const& row : {Row{"/analytics/pulse?window_minutes=0", "window_minutes"},
                                {"/analytics/pulse?window_minutes=1441", "window_minutes"},
                                {"/analytics/minutely/2026-02-14", "window_type"},
                                {"/analytics/latest/Daily", "window_type"},
                                {"/analytics/daily/2026-02-30", "window_key"},
                                {"/analytics/daily/2026-02-14T12", "window_key"},
                                {"/analytics/daily/2999-01-01", "window_key"},
                                {"/analytics/daily/..%2F..%2Fsecret", "window_key"}}) {
            CAPTURE(row.target);
            auto const response = house.get(row.target);
            CHECK(response.status == 400);
            auto const& body = std::get<Bytes>(response.body);
            CHECK(body.find("\"field\":\"" + row.field + "\"") != std::string::npos);
            CHECK(body.find("secret") == std::string::npos);
        }
    }

    TEST_CASE("how the servers are doing is part of health: the word for all, the numbers with the key") {
        House house;
        CHECK(house.json("/health").at("servers").at("public").at("connections") == 7);
        CHECK(house.json("/health").at("status") == "ok");
        house.servers.degraded = true;
        CHECK(house.json("/health").at("status") == "degraded");
        auto const open = std::get<Bytes>(house.get("/health", {}).body);
        CHECK(open == R"({"status":"degraded"})");
    }

    TEST_CASE("the schemas name exactly the members of the answers") {
        House const house;
        auto const described = [&](std::string const& name) {
            return names(boost::json::parse(admin_schemas().at(name)).at("properties").as_object());
        };
        CHECK(described("Health") == names(house.json("/health")));
        CHECK(described("Pulse") == names(house.json("/analytics/pulse")));
        CHECK(described("Window_Summary") == names(house.json("/analytics/daily/2026-02-14")));
    }
}
