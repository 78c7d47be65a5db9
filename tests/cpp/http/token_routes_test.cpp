// SPDX-License-Identifier: Apache-2.0
#include "house.hpp"
#include "support/printers.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/http/public_api.hpp>
#include <memfs_cache/storage/memory.hpp>

using namespace memfs_cache;
using memfs_cache::testing::House;

namespace {

auto body_of(Response const& response) -> std::string { return std::get<Bytes>(response.body); }

/// Status, headers and body: everything that a client sees.
auto all_of(Response const& response) -> std::string {
    auto all = std::to_string(response.status);
    for (auto const& [name, value] : response.headers)
        all.append("\n").append(name).append(": ").append(value);
    return all + "\n" + body_of(response);
}

/// What everybody may ask, over the store of a house.
struct Door {
    explicit Door(House& over) : house(over) {}

    House& house;
    std::vector<std::string> logged;
    Public_Api<Any_Storage> api{house.cache,
                                [](Request const&) { return error_reply(404, "not_found", "Behind the door."); },
                                [this](std::string_view sentence) { logged.emplace_back(sentence); }, 5};

    auto get(std::string target, std::string client = "192.0.2.1", std::string method = "GET") const -> Response {
        return api(Request{std::move(method), std::move(target), {}, {}, std::move(client)});
    }
};

} // namespace

TEST_SUITE("http/token_routes") {
    TEST_CASE("a token with blocks shows what is leased as used, and how much of that is certain") {
        House house;
        auto const made = house.json_of(
            house.post("/tokens/create", R"({"token_name":"hot","usage_limit":1000,"block_size":100})"), 201);
        CHECK(made.at("usage_count_min") == 0);
        auto const use = house.json_of(house.post("/tokens/hot/use"));
        CHECK(use.at("usage_count") == 1);
        CHECK(use.at("remaining") == 999);
        CHECK(house.json("/tokens/hot").at("usage_count") == 100);
        CHECK(house.json("/tokens/hot").at("usage_count_min") == 0);
        CHECK(house.cache.tokens().close());
        CHECK(house.json("/tokens/hot").at("usage_count") == 1);
        CHECK(house.json("/tokens/hot").at("usage_count_min") == 1);
        for (auto const* size : {"-1", "1000000001", "\"x\""})
            CHECK(house
                      .post("/tokens/create",
                            std::string(R"({"token_name":"x","usage_limit":1,"block_size":)") + size + "}")
                      .status == 400);
    }

    TEST_CASE("a token lives through its routes: made, used, used up, raised, revoked, reactivated, told of") {
        House const house;
        auto const made = house.json_of(
            house.post(
                "/tokens/create",
                R"({"token_name":"Community-X","usage_limit":2,"created_by":"ann","metadata":{"plan":["a",1]}})"),
            201);
        CHECK(made.at("token_name") == "community-x");
        CHECK(made.at("share_url") == "https://files.example/t/community-x");
        CHECK(made.at("metadata") == boost::json::parse(R"({"plan":["a",1]})"));
        CHECK(house.json("/tokens/COMMUNITY-x") == made);

        auto const use = [&](std::string const& body = "") {
            return house.json_of(house.post("/tokens/community-x/use", body));
        };
        CHECK(use(R"({"ip_hash":"0123456789abcdef","action":"opened","transfer_id":"t1","action_id":"a"})") ==
              boost::json::parse(R"({"success":true,"rejection_reason":"","usage_count":1,"remaining":1})"));
        CHECK(use(R"({"action_id":"a"})").at("usage_count") == 1);
        CHECK(use().at("remaining") == 0);
        CHECK(use() ==
              boost::json::parse(R"({"success":false,"rejection_reason":"exhausted","usage_count":2,"remaining":0})"));
        CHECK(house.json("/tokens/community-x").at("status") == "exhausted");

        CHECK(house.json_of(house.post("/tokens/community-x/limit", R"({"usage_limit":3})")).at("status") == "active");
        CHECK(house.json_of(house.post("/tokens/community-x/revoke")).at("status") == "revoked");
        CHECK(use().at("rejection_reason") == "revoked");
        auto const again = house.json_of(house.post("/tokens/community-x/reactivate", R"({"usage_limit":9})"));
        CHECK(again.at("status") == "active");
        CHECK(again.at("usage_count") == 2);
        CHECK(again.at("revoked_at") == 0);

        auto const events = house.json("/tokens/community-x/events").at("events").as_array();
        REQUIRE(events.size() == 4);
        CHECK(events[0].at("rejection_reason") == "revoked");
        CHECK(events[1].at("rejection_reason") == "exhausted");
        CHECK(events[3].at("accepted") == true);
        CHECK(events[3].at("action") == "opened");
        CHECK(events[3].at("transfer_id") == "t1");
        CHECK(events[3].at("ip_hash") == "01234567");
        CHECK(house.json("/tokens/community-x/events?limit=1").at("events").as_array().size() == 1);

        CHECK(house.post("/tokens/create", R"({"token_name":"b","usage_limit":0})").status == 201);
        auto const list = house.json("/tokens").at("tokens").as_array();
        REQUIRE(list.size() == 2);
        CHECK(list[0].at("token_name") == "b");
        CHECK(list[1] == again);
    }

    TEST_CASE("no limit is no limit through every route, also after a limit was used up") {
        House const house;
        auto const made = house.json_of(house.post("/tokens/create", R"({"token_name":"free","usage_limit":0})"), 201);
        CHECK(made.at("remaining").is_null());
        for (int i = 1; i <= 100; ++i) {
            auto const used = house.json_of(house.post("/tokens/free/use"));
            REQUIRE(used.at("success") == true);
            REQUIRE(used.at("usage_count") == i);
            REQUIRE(used.at("remaining").is_null());
        }
        auto const limited = house.json_of(house.post("/tokens/free/limit", R"({"usage_limit":40})"));
        CHECK(limited.at("status") == "exhausted");
        CHECK(limited.at("remaining") == 0);
        CHECK(house.json_of(house.post("/tokens/free/use")).at("success") == false);
        CHECK(house.json_of(house.post("/tokens/free/reactivate", R"({"usage_limit":0})")).at("remaining").is_null());
        CHECK(house.json_of(house.post("/tokens/free/use")).at("success") == true);
    }

    TEST_CASE("a token that is there stays as it is when somebody makes it again") {
        House const house;
        CHECK(house.post("/tokens/create", R"({"token_name":"one","usage_limit":5})").status == 201);
        CHECK(house.post("/tokens/one/use").status == 200);
        auto const before = house.json("/tokens/one");
        auto const again = house.post("/tokens/create", R"({"token_name":" ONE ","usage_limit":500})");
        CHECK(again.status == 409);
        CHECK(house.error_of(again, "code") == "already_exists");
        CHECK(house.error_of(again, "field") == "token_name");
        CHECK(house.json("/tokens/one") == before);
    }

    TEST_CASE("what a token cannot be is 400, names the member and repeats nothing of it") {
        House const house;
        struct Row {
            std::string body, field;
        };
        auto const named = [](std::string const& name) {
            return Row{R"({"token_name":")" + name + R"(","usage_limit":1})", "token_name"};
        };
        for (auto const& row :
             {named(""),
              named("a b"),
              named("a/b"),
              named("_secret"),
              named("-secret"),
              named("<b>secret</b>"),
              named("secret\\u0000"),
              named("secret\\n.x"),
              named("gehe\xc3\xadm"),
              named("../secret"),
              named("secret%20x"),
              named(std::string(129, 's')),
              named(std::string(10'000, 's')),
              Row{R"({"usage_limit":1})", "token_name"},
              Row{R"({"token_name":"n"})", "usage_limit"},
              Row{R"({"token_name":"n","usage_limit":-1})", "usage_limit"},
              Row{R"({"token_name":"n","usage_limit":9007199254740992})", "usage_limit"},
              Row{R"({"token_name":"n","usage_limit":"1"})", "usage_limit"},
              Row{R"({"token_name":"n","usage_limit":1,"expires_at":-1})", "expires_at"},
              Row{R"({"token_name":"n","usage_limit":1,"expires_at":9007199254740991})", "expires_at"},
              Row{R"({"token_name":"n","usage_limit":1,"created_by":")" + std::string(257, 'x') + R"("})",
                  "created_by"},
              Row{R"({"token_name":"n","usage_limit":1,"metadata":"secret"})", "metadata"}}) {
            CAPTURE(row.body.substr(0, 200));
            auto const response = house.post("/tokens/create", row.body);
            CHECK(response.status == 400);
            CHECK(house.error_of(response, "field") == row.field);
            CHECK(body_of(response).find("secret") == std::string::npos);
        }
        auto const large = house.post("/tokens/create", R"({"token_name":"n","usage_limit":1,"metadata":{"x":")" +
                                                            std::string(70'000, 'x') + R"("}})");
        CHECK(large.status == 413);
        CHECK(house.error_of(large, "field") == "metadata");
        CHECK(house.json("/tokens").at("tokens").as_array().empty());

        CHECK(house.post("/tokens/create", R"({"token_name":"n","usage_limit":1})").status == 201);
        auto const action = house.post("/tokens/n/use", R"({"action":")" + std::string(65, 'x') + R"("})");
        CHECK(action.status == 400);
        CHECK(house.error_of(action, "field") == "action");
        CHECK(house.json_of(house.post("/tokens/n/use")).at("success") == true);
        auto const too_low = house.post("/tokens/n/reactivate", R"({"usage_limit":1})");
        CHECK(too_low.status == 400);
        CHECK(house.error_of(too_low, "field") == "usage_limit");
        CHECK(house.get("/tokens/n/events?limit=0").status == 400);
        CHECK(house.get("/tokens/n/events?limit=10001").status == 400);
    }

    TEST_CASE("a token that is not there is 404, and its use a refusal") {
        House const house;
        for (std::string const name : {"none", "a%20b", "a%2Fb", "A_b", "%3Cscript%3E", "_", "gehe%C3%ADm"}) {
            CAPTURE(name);
            CHECK(house.get("/tokens/" + name).status == 404);
            CHECK(house.get("/tokens/" + name + "/events").status == 404);
            CHECK(house.post("/tokens/" + name + "/revoke").status == 404);
            CHECK(house.post("/tokens/" + name + "/limit", R"({"usage_limit":1})").status == 404);
            CHECK(house.post("/tokens/" + name + "/reactivate", R"({"usage_limit":1})").status == 404);
            CHECK(house.json_of(house.post("/tokens/" + name + "/use")) ==
                  boost::json::parse(
                      R"({"success":false,"rejection_reason":"not_found","usage_count":0,"remaining":null})"));
        }
        CHECK(house.json("/tokens").at("tokens").as_array().empty());
    }

    TEST_CASE("markup in what belongs to a token comes back as text in JSON") {
        House const house;
        std::string const markup = "<img src=x onerror=alert(1)>\x1b[2J";
        auto const quoted = boost::json::serialize(boost::json::string(markup));
        auto const response = house.post("/tokens/create", R"({"token_name":"n","usage_limit":1,"created_by":)" +
                                                               quoted + R"(,"metadata":{"m":)" + quoted + "}}");
        CHECK(house.json_of(response, 201).at("created_by") == boost::json::string(markup));
        CHECK(house.json("/tokens/n").at("metadata").at("m") == boost::json::string(markup));
        CHECK(house.post("/tokens/n/use", R"({"action":)" + quoted + "}").status == 200);
        auto const events = house.get("/tokens/n/events");
        CHECK(house.json_of(events).at("events").at(0).at("action") == boost::json::string(markup));
        auto const list = house.get("/tokens");
        for (auto const* const answer : {&response, &list, &events}) {
            CHECK(answer->headers.value("Content-Type") == "application/json");
            CHECK(answer->headers.value("X-Content-Type-Options") == "nosniff");
            CHECK(body_of(*answer).find('\x1b') == std::string::npos);
        }
    }

    TEST_CASE("on a storage where no limit would hold the routes say so, and all others answer") {
        Storage_Memory memory;
        Wrapped_Storage<Storage_Memory> without(memory);
        without.promised.conditional_put = false;
        Cache_Service<Any_Storage> cache{Any_Storage(std::move(without))};
        Admin_Api const api(cache, Admin_Key::from_text("key").value());
        auto const ask = [&](std::string method, std::string target) {
            return api({std::move(method), std::move(target), {{"X-API-Key", "key"}}, R"({"usage_limit":1})", {}});
        };
        struct Row {
            char const *method, *target;
        };
        for (auto const& row : {Row{"GET", "/tokens"},
                                {"GET", "/tokens/a"},
                                {"GET", "/tokens/a/events"},
                                {"POST", "/tokens/a/use"},
                                {"POST", "/tokens/a/revoke"},
                                {"POST", "/tokens/a/limit"},
                                {"POST", "/tokens/a/reactivate"}}) {
            CAPTURE(row.target);
            auto const response = ask(row.method, row.target);
            CHECK(response.status == 500);
            CHECK(House::error_of(response, "code") == "unsupported");
        }
        CHECK(ask("GET", "/namespaces").status == 200);
    }
}

TEST_SUITE("http/public_api") {
    TEST_CASE("a check says whether a token may be used, and uses nothing") {
        House house;
        Door const door(house);
        CHECK(house.post("/tokens/create", R"({"token_name":"two","usage_limit":2})").status == 201);
        CHECK(house.post("/tokens/create", R"({"token_name":"free","usage_limit":0})").status == 201);
        CHECK(body_of(door.get("/tokens/two/check")) == R"({"valid":true,"status":"active","remaining":2})");
        CHECK(body_of(door.get("/tokens/TWO/check")) == R"({"valid":true,"status":"active","remaining":2})");
        CHECK(body_of(door.get("/tokens/free/check")) == R"({"valid":true,"status":"active","remaining":null})");
        CHECK(house.json("/tokens/two").at("usage_count") == 0);
        CHECK(house.json("/tokens/two/events").at("events").as_array().empty());

        (void)house.post("/tokens/two/use");
        (void)house.post("/tokens/two/use");
        CHECK(body_of(door.get("/tokens/two/check")) == R"({"valid":false,"status":"exhausted","remaining":0})");
        (void)house.post("/tokens/two/revoke");
        CHECK(body_of(door.get("/tokens/two/check")) == R"({"valid":false,"status":"revoked","remaining":0})");
    }

    TEST_CASE("names that no token has and names that no token can have are answered alike, byte for byte") {
        House house;
        Door const door(house);
        auto const unknown = all_of(door.get("/tokens/unknown/check"));
        CHECK(unknown.find(R"({"valid":false,"status":"not_found","remaining":null})") != std::string::npos);
        int client = 1;
        std::vector<std::string> const impossible{"a%20b",
                                                  "a%2Fb",
                                                  "_a",
                                                  "%3Cscript%3E",
                                                  "..%2F..",
                                                  "%C3%AD",
                                                  "%01",
                                                  "%0A",
                                                  "%7F",
                                                  std::string(128, '-'),
                                                  std::string(4'000, 'x')};
        for (auto const& name : impossible) {
            CAPTURE(name.substr(0, 40));
            CHECK(all_of(door.get("/tokens/" + name + "/check", "192.0.2." + std::to_string(++client))) == unknown);
        }
        CHECK(house.json("/namespaces").at("namespaces") == boost::json::parse(R"(["analytics","tokens"])"));
    }

    TEST_CASE("each client may check so often a minute, whatever it asks for, and then waits alone") {
        House house;
        Door const door(house);
        CHECK(house.post("/tokens/create", R"({"token_name":"two","usage_limit":2})").status == 201);
        for (std::string const name : {"two", "unknown", "a%20b", "two", "two"})
            CHECK(door.get("/tokens/" + name + "/check").status == 200);
        auto const refused = door.get("/tokens/two/check");
        CHECK(refused.status == 429);
        CHECK(refused.headers.value("Retry-After") == "12");
        CHECK(all_of(door.get("/tokens/a%20b/check", "192.0.2.1", "HEAD")) == all_of(refused));
        CHECK(door.get("/tokens/two/check", "192.0.2.2").status == 200);
        CHECK(door.get("/elsewhere").status == 404);
        house.clock->advance(std::chrono::seconds(12));
        CHECK(door.get("/tokens/two/check").status == 200);
        CHECK(door.get("/tokens/two/check").status == 429);
    }

    TEST_CASE("what is recorded of a check names the route and never the token, whatever the method") {
        House house;
        Door const door(house);
        for (std::string const method : {"GET", "HEAD", "POST", "DELETE"})
            CHECK(door.get("/tokens/secret-name/check", "192.0.2.1", method).route == "/tokens/{name}/check");
    }

    TEST_CASE(
        "a check that was refused before it came here is recorded by its route as well, and other paths as sent") {
        House house;
        Door const door(house);
        struct Row {
            std::string target, route, recorded;
            int status;
        };
        for (auto const& row : {Row{"/tokens/secret/check?x=%zz", "", "/tokens/{name}/check", 400},
                                {"http://host/tokens/secret/check#secret", "", "/tokens/{name}/check", 431},
                                {"/tokens/secret/check", "/tokens/{name}/check", "/tokens/{name}/check", 200},
                                {"/pages/tokens/check?secret", "", "/pages/tokens/check", 404},
                                {"/index.html", "", "/index.html", 200}}) {
            CAPTURE(row.target);
            Request_View view;
            view.method = "GET";
            view.target = row.target;
            view.route = row.route;
            view.status = row.status;
            house.clock->advance(std::chrono::minutes(2));
            door.api.record(house.cache.analytics(), view);
            auto const pulse = house.json("/analytics/pulse?window_minutes=1");
            CHECK(pulse.at("recent_events").as_array().at(0).at("path") == boost::json::string(row.recorded));
        }
    }

    TEST_CASE("only the check is public: every other path is answered by what stands behind") {
        House house;
        Door const door(house);
        for (std::string const target : {"/tokens", "/tokens/two", "/tokens/two/use", "/tokens/two/check/", "/health",
                                         "/", "/openapi.json", "/namespaces", "/storage/files", "/tokens//check"}) {
            CAPTURE(target);
            CHECK(body_of(door.get(target)).find("Behind the door.") != std::string::npos);
        }
        CHECK(door.get("/tokens/two/check", "192.0.2.1", "POST").status == 405);
    }

    TEST_CASE("a token that cannot be checked is not valid, and only the log hears why") {
        Storage_Memory memory;
        Wrapped_Storage<Storage_Memory> wrapped(memory);
        bool broken = false;
        using Verdict = Wrapped_Storage<Storage_Memory>::Verdict;
        wrapped.hook = [&](auto, auto const&) {
            return broken ? Verdict{Verdict::Kind::fail, Errc::unavailable} : Verdict{};
        };
        House house{Any_Storage(std::move(wrapped))};
        Door const door(house);
        CHECK(house.post("/tokens/create", R"({"token_name":"two","usage_limit":2})").status == 201);
        broken = true;
        auto const response = door.get("/tokens/two/check");
        CHECK(response.status == 503);
        CHECK(body_of(response).find("injected") == std::string::npos);
        REQUIRE(door.logged.size() == 1);
        CHECK(door.logged.front().find("injected") != std::string::npos);
        broken = false;
        CHECK(door.get("/tokens/two/check").status == 200);
    }
}
