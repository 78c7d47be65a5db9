// SPDX-License-Identifier: Apache-2.0
#include "house.hpp"
#include "support/printers.hpp"
#include <memfs_cache/core/json.hpp>

#include <algorithm>

using namespace memfs_cache;
using memfs_cache::testing::House, memfs_cache::testing::names;

namespace {

auto stream_of(Response const& response) -> Body_Stream& {
    return *std::get<std::unique_ptr<Body_Stream>>(response.body);
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
        auto const series = house.json("/analytics/series?start=1771066800000&end=1771070400000&step=30min");
        CHECK(series.at("time_zone").as_string() == "UTC");
        CHECK(series.at("rows").as_array().size() == 2);
        CHECK(series.at("rows").at(1).at("window_key").as_string() == "2026-02-14T11:30");
        CHECK(series.at("rows").at(1).at("total_requests").to_number<int>() == 2);
        CHECK(series.at("rows").at(0).at("recorded").as_bool() == false);
        CHECK(house.json("/ready").at("status").as_string() == "ok");
    }

    TEST_CASE("filters are parameters of windows and series, and may be sent several times") {
        House const house;
        auto const total = [&](std::string const& target) {
            auto const answer = house.json(target);
            auto const& window = answer.contains("rows") ? answer.at("rows").at(0).as_object() : answer;
            return window.at("total_requests").to_number<int>();
        };
        for (std::string const route :
             {"/analytics/daily/2026-02-14?", "/analytics/series?start=1771066800000&end=1771070400000&step=daily&"}) {
            CAPTURE(route);
            CHECK(total(route) == 2);
            CHECK(total(route + "path=%2Fone") == 1);
            CHECK(total(route + "path=/one&path=/two") == 2);
            CHECK(total(route + "path=/one&status=404") == 0);
            CHECK(total(route + "path=/*&status=!4xx&country=") == 1);
        }
    }

    TEST_CASE("windows and series come as tables too, where a name is no formula") {
        House house;
        Request_View view;
        view.method = "GET";
        view.target = "/";
        view.route = "=HYPERLINK(\"x\",1)";
        CHECK(house.cache.analytics().record_request(view));
        auto const window = house.get("/analytics/daily/2026-02-14?format=csv");
        CHECK(window.headers.value("Content-Type") == "text/csv; charset=utf-8");
        auto const& text = std::get<Bytes>(window.body);
        CHECK(text.starts_with("dimension,name,value\r\nsummary,window_start,1771027200000\r\n"));
        CHECK(text.find("\r\nsummary,recorded,true\r\n") != Bytes::npos);
        CHECK(text.find("\r\nstatus_codes,404,1\r\n") != Bytes::npos);
        CHECK(text.find("\r\ntop_paths,\"'=HYPERLINK(\"\"x\"\",1)\",1\r\n") != Bytes::npos);
        auto const series = std::get<Bytes>(
            house.get("/analytics/series?start=1771066800000&end=1771070400000&step=30min&format=csv&compare=previous")
                .body);
        CHECK(series.starts_with("window_start,window_end,window_type,window_key,"));
        CHECK(series.find(",previous_window_start,") != Bytes::npos);
        CHECK(std::count(series.begin(), series.end(), '\n') == 3);
        CHECK(series.find("\r\n1771066800000,1771068600000,30min,2026-02-14T11:00,false,") != Bytes::npos);
        CHECK(series.ends_with(",,,,,,,\r\n")); // nothing is known of the hour before
    }

    TEST_CASE("pulses come as the events of a stream too, each of them of its own time, and every two seconds") {
        House const house;
        auto const answer = house.get("/analytics/live");
        CHECK(answer.headers.value("Content-Type") == "text/event-stream");
        CHECK(answer.headers.value("Cache-Control") == "no-store");
        CHECK(stream_of(answer).pause() == std::chrono::seconds(2));
        auto const event = [&] { return "event: pulse\ndata: " + json_text(house.json("/analytics/pulse")) + "\n\n"; };
        CHECK(stream_of(answer).next().value() == "retry: 2000\n" + event());
        house.clock->advance(std::chrono::minutes(3)); // one of the two requests is no longer of the last five minutes
        CHECK(house.json("/analytics/pulse").at("active_requests") == 1);
        CHECK(stream_of(answer).next().value() == event());
    }

    TEST_CASE("only so many streams of pulses are held, whoever comes later has one event and comes back for more") {
        House const house;
        std::vector<Response> held;
        for (std::size_t i = 0; i < Live_Events::usual_most_held; ++i) {
            held.push_back(house.get("/analytics/live"));
            REQUIRE(!held.back().has_length());
        }
        auto const one = house.get("/analytics/live");
        CHECK(one.status == 200);
        CHECK(std::get<Bytes>(one.body) ==
              "retry: 2000\nevent: pulse\ndata: " + json_text(house.json("/analytics/pulse")) + "\n\n");
        held.pop_back();
        CHECK(!house.get("/analytics/live").has_length());
    }

    TEST_CASE("a stream of events that cannot begin says why, and ends when it cannot go on") {
        bool is_gone = true;
        Live_Events const events("thing", [&]() -> Result<boost::json::object> {
            if (is_gone)
                return fail(Errc::unavailable, "the storage has gone");
            return boost::json::object{{"n", 1}};
        });
        CHECK(events.reply().status == 503);
        is_gone = false;
        auto const answer = events.reply();
        CHECK(stream_of(answer).next().value() == "retry: 2000\nevent: thing\ndata: {\"n\":1}\n\n");
        is_gone = true;
        CHECK(stream_of(answer).next().error().code == Errc::unavailable);
    }

    TEST_CASE("upkeep only tells what it would do, until it is told to do it") {
        auto const storage = open_storage("memory:").value();
        { // a writer of long ago, who is gone
            Service_Options options;
            options.clock = std::make_shared<Manual_Clock>(memfs_cache::testing::noon - std::chrono::hours(24 * 200));
            Cache_Service<Any_Storage> before(storage, options);
            Request_View view;
            view.method = "GET";
            view.target = "/long-ago";
            view.status = 200;
            CHECK(before.analytics().record_request(view));
            CHECK(before.close());
        }
        House const house(storage);
        CHECK(house.json("/analytics/daily/2025-07-29").at("final").as_bool());
        CHECK(house.json("/analytics/yearly/2025").at("final").as_bool());
        auto const told = house.json_of(house.post("/upkeep/purge"));
        CAPTURE(json_text(told));
        CHECK(told.at("analytics").at("events") == 1);
        CHECK(told.at("analytics").at("objects").to_number<int>() > 0);
        CHECK(house.json_of(house.post("/upkeep/purge", R"({"raw_days":0})")).at("analytics").at("events") == 0);
        auto const rebuilt = house.json_of(house.post("/upkeep/rebuild"));
        CHECK(rebuilt.at("rebuilt").as_array().size() > 0);
        CHECK(
            house.json_of(house.post("/upkeep/rebuild", R"({"from":1756684800000})")).at("rebuilt").as_array().size() <
            rebuilt.at("rebuilt").as_array().size());
        CHECK(house.json_of(house.post("/upkeep/purge")) == told);

        CHECK(house.json_of(house.post("/upkeep/rebuild", R"({"dry_run":false})")) == rebuilt);
        auto const done = house.json_of(house.post("/upkeep/purge", R"({"dry_run":false,"by":"ann"})"));
        CHECK(done.at("analytics").at("events") == 1);
        CHECK(house.json_of(house.post("/upkeep/purge")).at("analytics").at("events") == 0);
        CHECK(house.json("/analytics/daily/2025-07-29").at("total_requests") == 1);
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
        CHECK(paths.size() >= 18);
        for (auto const& path : paths) {
            for (auto const& operation : path.value().as_object()) {
                std::string const target(path.key());
                auto const method = operation.key() == "get" ? "GET" : "POST";
                CAPTURE(target);
                for (auto const& headers : {Headers(), {{"X-API-Key", "wrong"}}, {{"Authorization", "Bearer keys"}}})
                    CHECK(house.api({method, target, headers, {}, {}}).status == (target == "/health" ? 200 : 401));
            }
        }
    }

    TEST_CASE("health tells nobody who tries out keys which one is right") {
        House const house;
        auto const asked = [&](std::string key) {
            return std::get<Bytes>(house.get("/health", {{"X-API-Key", key}}).body);
        };
        auto const told_everybody = asked("wrong");
        CHECK(asked("key") != told_everybody);
        for (int i = 0; i < 100; ++i)
            CHECK(asked("wrong") == told_everybody);
        CHECK(asked("key") == told_everybody);
        house.clock->advance(std::chrono::seconds(6));
        CHECK(asked("key") != told_everybody);
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
                                {"/analytics/daily/..%2F..%2Fsecret", "window_key"},
                                {"/analytics/daily/2026-02-14?status=secret", "status"},
                                {"/analytics/daily/2026-02-14?path=/a%3Fsecret", "path"},
                                {"/analytics/daily/2026-02-14?format=secret", "format"},
                                {"/analytics/series?start=0&end=1&step=daily&country=secret", "country"},
                                {"/analytics/series?end=1&step=daily", "start"},
                                {"/analytics/series?start=0&step=daily", "end"},
                                {"/analytics/series?start=0&end=1", "step"},
                                {"/analytics/series?start=0&end=1&step=day", "step"},
                                {"/analytics/series?start=-1&end=1&step=daily", "start"},
                                {"/analytics/series?start=0&end=1&step=weekly", "start"},
                                {"/analytics/series?start=5&end=5&step=daily", "end"},
                                {"/analytics/series?start=0&end=1771027200001&step=daily", "end"},
                                {"/analytics/series?start=1771000000000&end=1779999999999&step=daily", "end"},
                                {"/analytics/series?start=0&end=1&step=daily&time_zone=Moon%2Fsecret", "time_zone"},
                                {"/analytics/series?start=0&end=1&step=daily&compare=next", "compare"},
                                {"/analytics/series?start=0&end=1&step=daily&compare=previous", "start"}}) {
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

    TEST_CASE("every schema is the answer of a route or a part of one, and every route with JSON has one") {
        House const house;
        auto const document = boost::json::parse(house.api.openapi());
        std::string const text = house.api.openapi();
        for (auto const& schema : document.at("components").at("schemas").as_object()) {
            CAPTURE(schema.key());
            CHECK(text.find("\"$ref\":\"#/components/schemas/" + std::string(schema.key()) + '"') != std::string::npos);
        }
        for (auto const& path : document.at("paths").as_object()) {
            for (auto const& operation : path.value().as_object()) {
                CAPTURE(path.key());
                auto const& responses = operation.value().at("responses").as_object();
                auto const& success = responses.contains("201") ? responses.at("201") : responses.at("200");
                auto const* const json = success.at("content").as_object().if_contains("application/json");
                bool const has_own_form =
                    path.key() == "/openapi.json" || path.key() == "/storage/file" || path.key() == "/analytics/live";
                CHECK((json != nullptr && json->at("schema").as_object().contains("$ref")) != has_own_form);
            }
        }
    }

    TEST_CASE("the schemas name exactly the members of the answers") {
        House const house;
        CHECK(house.post("/tokens/create", R"({"token_name":"t","usage_limit":3})").status == 201);
        CHECK(house.post("/tokens/t/use").status == 200);
        auto const described = [&](std::string const& name) {
            return names(boost::json::parse(admin_schemas().at(name)).at("properties").as_object());
        };
        auto const first = [](boost::json::object const& object, std::string_view list) {
            return names(object.at(list).at(0).as_object());
        };
        CHECK(described("Health") == names(house.json("/health")));
        CHECK(described("Pulse") == names(house.json("/analytics/pulse")));
        CHECK(described("Window_Summary") == names(house.json("/analytics/daily/2026-02-14")));
        auto const series = house.json("/analytics/series?start=1771066800000&end=1771070400000&step=daily");
        CHECK(described("Series") == names(series));
        auto row = described("Window_Summary");
        row.merge(described("Series_Row"));
        CHECK(row == first(series, "rows"));
        CHECK(described("Token") == names(house.json("/tokens/t")));
        CHECK(described("Tokens") == names(house.json("/tokens")));
        CHECK(described("Token") == first(house.json("/tokens"), "tokens"));
        CHECK(described("Token_Use") == names(house.json_of(house.post("/tokens/t/use"))));
        CHECK(described("Token_Events") == names(house.json("/tokens/t/events")));
        CHECK(described("Token_Event") == first(house.json("/tokens/t/events"), "events"));
        CHECK(described("Namespaces") == names(house.json("/namespaces")));
        CHECK(described("Stored_Files") == names(house.json("/storage/files")));
        CHECK(described("Stored_File") == first(house.json("/storage/files"), "files"));
    }
}
