// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/test_seed.hpp"
#include <memfs_cache/http/cache_api.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace memfs_cache;
namespace json = boost::json;

namespace {

constexpr char const* unknown_id = "00000000-0000-4000-8000-00000000dead";

/// A cache API that asks for no key, and what is done with it.
struct Desk {
    explicit Desk(bool strict = true, std::optional<Cache_Api_Key> key = std::nullopt)
        : api(cache, {std::move(key), strict, {}, {}}) {}

    auto ask(std::string method, std::string target, std::string body = "", Headers headers = {}) const -> Response {
        return api(Request{std::move(method), std::move(target), std::move(headers), std::move(body), {}});
    }
    auto get(std::string target) const -> Response { return ask("GET", std::move(target)); }
    auto post(std::string target, std::string body) const -> Response {
        return ask("POST", std::move(target), std::move(body), {{"Content-Type", "application/json"}});
    }
    auto text(std::string target, std::string body) const -> Response {
        return ask("POST", std::move(target), std::move(body), {{"Content-Type", "text/plain"}});
    }
    static auto json_of(Response const& response) -> json::value {
        CAPTURE(std::get<Bytes>(response.body));
        CHECK(response.status == 200);
        return json::parse(std::get<Bytes>(response.body));
    }
    auto store(std::string target, std::string body) const -> std::string {
        return std::string(json_of(post(std::move(target), std::move(body))).at("cache_id").as_string());
    }

    static auto options() -> Service_Options {
        Service_Options made;
        made.root_prefix = "";
        made.clock = std::make_shared<Manual_Clock>(from_millis(1'771'070'400'000));
        return made;
    }
    Cache_Service<Any_Storage> cache{Storage_Memory(), options()};
    Cache_Api api;
};

} // namespace

TEST_SUITE_BEGIN("http/cache_api");

TEST_CASE("a key that leaves its namespace is refused, strict or not") {
    for (bool const strict : {true, false}) {
        Desk desk(strict);
        for (std::string const key : {"../../out", "a/../b", "%2e%2e/x", "a//b", "./a", "/absolute"})
            CHECK(desk.post("/ns/key_based/store/json/" + key, "{}").status == 400);
        CHECK(files_list(desk.cache.storage()).value().empty());
    }
}

TEST_CASE("deleting one of two entries that share a file leaves the other's content") {
    for (bool const strict : {true, false}) {
        Desk const desk(strict);
        auto const first = desk.store("/ns/key_based/store/json/k?file_id=f", R"({"n":1})");
        auto const second = desk.store("/ns/key_based/store/json/k?file_id=f", R"({"n":2})");
        CHECK(desk.ask("DELETE", "/ns/delete/" + first).status == 200);
        CHECK(Desk::json_of(desk.get("/ns/retrieve/" + second + "/json")) == json::value{{"n", 2}});
    }
}

TEST_CASE("an entry whose first copy is missing is read from the next") {
    Desk desk;
    auto const id = desk.store("/ns/temporal_latest/store/json", R"({"n":1})");
    REQUIRE(remove(desk.cache.storage(), "ns/data/temporal-latest/latest/" + id + ".json").value());
    CHECK(Desk::json_of(desk.get("/ns/retrieve/" + id)).at("data") == json::value{{"n", 1}});
}

TEST_CASE("ids are kept as they are sent") {
    Desk const desk;
    auto const upper = "ABCDEF00-0000-4000-8000-000000000000";
    CHECK(Desk::json_of(desk.get(std::string("/ns/exists/id/") + upper)).at("cache_id") == upper);
}

TEST_CASE("answers that mislead are the reference's when strict, and true otherwise") {
    for (bool const strict : {true, false}) {
        CAPTURE(strict);
        Desk const desk(strict);
        auto const status = [&](int when_strict, int otherwise) { return strict ? when_strict : otherwise; };
        CHECK(desk.post(std::string("/ns/update/") + unknown_id + "/json", "{}").status == status(500, 404));
        CHECK(desk.ask("DELETE", std::string("/ns/delete/") + unknown_id).status == status(200, 404));
        CHECK(desk.post("/ns/direct/store/json/k?json_field_path=x", "{}").status == status(500, 400));
        CHECK(desk.get("/admin/storage/file/bytes/none").status == status(200, 404));

        auto const id = desk.store("/ns/direct/store/json", R"({"a":1,"b":2})");
        auto const entry = Desk::json_of(desk.get("/ns/retrieve/" + id));
        CHECK(entry.at("metadata").at("content_size") == (strict ? 0 : 22));
        auto const updated = Desk::json_of(desk.post("/ns/update/" + id + "/json", R"({"c":3})"));
        CHECK(updated.at("size") == (strict ? 1 : 14));
        auto const stats = Desk::json_of(desk.get("/ns/stats"));
        CHECK(stats.at("temporal_files") == (strict ? 5 : 0));
        CHECK(stats.at("total_files") == (strict ? 30 : 5));
        CHECK(Desk::json_of(desk.get("/admin/storage/files/all/")).at("file_count") == (strict ? 0 : 5));
    }
}

TEST_CASE("what is in the way of a key: none, a wrong one, half a key on the server") {
    Cache_Api_Key const key{"x-api-key", "secret"};
    Desk const desk(true, key);
    auto const status = [&](std::string path, Headers headers) {
        return desk.ask("GET", std::move(path), "", std::move(headers)).status;
    };
    CHECK(status("/info/health", {}) == 401);
    CHECK(status("/info/health", {{"X-API-Key", "secreT"}}) == 401);
    CHECK(status("/info/health", {{"x-api-key", "secret"}}) == 200);
    CHECK(status("/info/health", {{"Cookie", "a=b; x-api-key=secret"}}) == 200);
    CHECK(status("/info/health", {{"Cookie", "x-api-key=secret"}, {"x-api-key", "wrong"}}) == 401);
    CHECK(status("/docs", {}) == 200);
    CHECK(status("/redoc", {}) == 401);
    CHECK(status("/nowhere", {}) == 401);
    CHECK(Desk(true, Cache_Api_Key{"", "secret"}).get("/info/health").status == 401);
    CHECK(Desk(true, Cache_Api_Key{"x-api-key", ""}).ask("GET", "/info/health", "", {{"x-api-key", ""}}).status == 401);
}

TEST_CASE("nothing in a cookie's value ends it") {
    Desk const desk(true, Cache_Api_Key{"key", "x"});
    auto const response = desk.post("/auth/set-auth-cookie", R"({"cookie_value":"a\r\nb; \"c"})");
    CHECK(response.headers.value("Set-Cookie") == R"(key="a\015\012b\073 \"c"; HttpOnly; Path=/; SameSite=strict)");
}

TEST_CASE("other origins are told what they may do") {
    Desk const desk(true, Cache_Api_Key{"key", "x"});
    auto const preflight = desk.ask("OPTIONS", "/info/health", "", {{"Origin", "https://app.example"}});
    CHECK(preflight.status == 204);
    CHECK(preflight.headers.value("Access-Control-Allow-Origin") == "https://app.example");
    CHECK(preflight.headers.value("Access-Control-Allow-Headers") == "key, content-type");
    auto const answer = desk.ask("GET", "/info/health", "", {{"Origin", "https://app.example"}, {"key", "x"}});
    CHECK(answer.headers.value("Access-Control-Allow-Credentials") == "true");
}

TEST_CASE("a path that is off by a slash at its end is sent to the one that there is, on this server") {
    Desk const desk;
    CHECK(desk.get("/info/health/").status == 307);
    CHECK(desk.get("/info/health/?x=1").headers.value("Location") == "/info/health?x=1");
    CHECK(desk.get("/admin/storage/folders").headers.value("Location") == "/admin/storage/folders/");
    CHECK(desk.get("//elsewhere.example/").status == 404);
    CHECK(desk.get("/nowhere/").status == 404);
}

TEST_CASE("a body is read as its content type says") {
    Desk const desk;
    auto const stored = [&](std::string kind, std::string body, Headers headers) {
        auto const response = desk.ask("POST", "/ns/direct/store/" + kind, std::move(body), std::move(headers));
        if (response.status != 200)
            return std::to_string(response.status);
        auto const id = json::parse(std::get<Bytes>(response.body)).at("cache_id").as_string();
        return std::get<Bytes>(desk.get("/ns/retrieve/" + std::string(id) + "/binary").body);
    };
    CHECK(stored("string", "\"a\"", {{"Content-Type", "application/json"}}) == "a");
    CHECK(stored("string", "\"a\"", {{"Content-Type", "text/plain"}}) == "\"a\"");
    CHECK(stored("string", "\"a\"", {}) == "a");
    CHECK(stored("string", "a", {}) == "a");
    CHECK(stored("string", "5", {{"Content-Type", "application/json; charset=utf-8"}}) == "400");
    CHECK(stored("string", "\xff", {{"Content-Type", "text/plain"}}) == "400");
    CHECK(stored("binary", "\"a\"", {{"Content-Type", "application/json"}}) == "a");
    CHECK(stored("binary", "\xff\"", {{"Content-Type", "application/octet-stream"}}) == "\xff\"");
    CHECK(stored("json", "{}", {{"Content-Type", "text/plain"}}) == "400");
    CHECK(stored("json", "{}", {{"Content-Type", "application/vnd.x+json"}}) == "{}");
    CHECK(stored("binary", "no gzip", {{"Content-Type", "a/b"}, {"Content-Encoding", "gzip"}}) == "500");
}

TEST_CASE("what JSON cannot say is stored, and told as a text only") {
    Desk const desk;
    auto const id = desk.store("/ns/direct/store/json", R"({"n":NaN,"s":"\ud800"})");
    CHECK(desk.get("/ns/retrieve/" + id).status == 500);
    CHECK(std::get<Bytes>(desk.get("/ns/retrieve/" + id + "/string").body) == R"({"n": NaN, "s": "\ud800"})");
}

TEST_CASE("salts are not shown, and files of the analytics are not deleted one by one") {
    Desk desk;
    for (auto const path : {"analytics/data/salts/2026-02-14.json", "analytics/data/raw/a.jsonl", "ns/data/direct/a"})
        REQUIRE(write(desk.cache.storage(), path, "x"));
    CHECK(Desk::json_of(desk.get("/admin/storage/file/exists/analytics/data/salts/2026-02-14.json")).at("exists") ==
          false);
    CHECK(Desk::json_of(desk.get("/admin/storage/files/all/analytics")).at("files") ==
          json::array{"analytics/data/raw/a.jsonl"});
    auto const deleted = [&](std::string const& path) {
        return Desk::json_of(desk.ask("DELETE", "/admin/storage/file/delete/" + path)).at("deleted") == true;
    };
    CHECK_FALSE(deleted("analytics/data/raw/a.jsonl"));
    CHECK(deleted("ns/data/direct/a"));
    CHECK(Desk::json_of(desk.ask("DELETE", "/test-data/clear/analytics")).at("success") == false);
    CHECK(files_list(desk.cache.storage()).value().size() == 2);
}

TEST_CASE("a page that somebody stored acts in nobody's name") {
    Desk const desk;
    REQUIRE(desk.post("/ns/direct/store/json/k?file_id=page", R"({"html":"<script>1</script>"})").status == 200);
    auto const page = desk.get("/admin/storage/file/html/ns/data/direct/pa/ge/page.json");
    CHECK(std::get<Bytes>(page.body) == "<script>1</script>");
    CHECK(page.headers.value("Content-Security-Policy") == "sandbox");
}

TEST_CASE("a zip batch matches patterns, keeps to conditions and goes back as a whole") {
    Desk const desk;
    auto const made = Desk::json_of(desk.post("/ns/temporal/zip/create/k/f", ""));
    auto const id = std::string(made.at("cache_id").as_string());
    auto const batch = [&](std::string const& of, std::string const& body) {
        return Desk::json_of(desk.post("/ns/zip/" + of + "/batch/operations", body));
    };
    auto const filled = batch(id, R"({"operations":[{"action":"add","path":"a/1.txt","content":"x"},
        {"action":"add","path":"a/2.log","content":"y"},
        {"action":"add","path":"a/1.txt","content":"z","condition":"if_not_exists"}]})");
    CHECK(filled.at("operations_applied") == 3);
    CHECK(filled.at("files_added") == json::array{"a/1.txt", "a/2.log"});
    auto const next = std::string(filled.at("cache_id").as_string());
    CHECK(std::get<Bytes>(desk.get("/ns/zip/" + next + "/file/retrieve/a/1.txt").body) == "x");
    CHECK(batch(next, R"({"operations":[{"action":"remove","pattern":"a/*.log"}]})").at("files_removed") ==
          json::array{"a/2.log"});
    auto const back = batch(next, R"({"operations":[{"action":"move","path":"a/1.txt","new_path":"b"},
        {"action":"fly"}]})");
    CHECK(back.at("rollback_performed") == true);
    CHECK(back.at("cache_id").as_string() == next);
    CHECK(batch(unknown_id, R"({"operations":[]})").at("success") == false);
    CHECK(desk.post("/ns/zip/" + next + "/batch/operations", R"({"operations":[7]})").status == 400);
}

TEST_CASE(
    "a star of a zip batch's pattern stands for any characters, and a hundred of them cost no more than their number") {
    Desk const desk;
    auto const made = Desk::json_of(desk.post("/ns/direct/zip/create/k/f", ""));
    std::string const many(200, 'a');
    auto const removed = [&](std::string const& name, std::string const& pattern) {
        auto const answer = Desk::json_of(
            desk.post("/ns/zip/" + std::string(made.at("cache_id").as_string()) + "/batch/operations",
                      json::serialize(json::object{
                          {"operations", json::array{json::object{{"action", "add"}, {"path", name}, {"content", "x"}},
                                                     json::object{{"action", "remove"}, {"pattern", pattern}}}}})));
        return answer.at("success").as_bool();
    };
    std::string stars;
    for (int i = 0; i < 100; ++i)
        stars += "a*";
    CHECK(removed(many, stars));
    CHECK_FALSE(removed(many, stars + "b"));
    CHECK(removed(many + "b", stars + "b"));
    for (auto const* fits : {"*", "**", "a*", "*c", "a*c", "*b*", "ab/c", "ab/c*", "*ab/c", "a**/*"})
        CHECK_MESSAGE(removed("ab/c", fits), fits);
    for (auto const* differs : {"ab/", "b*", "*b", "a*b", "ab/c/*", "*c*c", "ab/cc"})
        CHECK_MESSAGE(!removed("ab/c", differs), differs);
}

// Requests of every operation with parts that are well-formed, odd or hostile

namespace {

/// The statuses of each operation, by its method and path as the OpenAPI text has them.
auto documented(Cache_Api const& api) -> std::map<std::string, std::set<int>> {
    std::map<std::string, std::set<int>> statuses;
    auto const openapi = json::parse(api.openapi());
    for (auto const& path : openapi.at("paths").as_object())
        for (auto const& method : path.value().as_object())
            for (auto const& response : method.value().at("responses").as_object())
                statuses[std::string(method.key()) + " " + std::string(path.key())].insert(
                    std::stoi(std::string(response.key())));
    return statuses;
}

class Fuzzer {
  public:
    Fuzzer(Desk const& desk, bool strict, std::uint64_t seed)
        : desk_(desk), strict_(strict), random_(seed), statuses_(documented(desk.api)) {}

    void run(std::size_t rounds) {
        CHECK(statuses_.size() == operations + 3); // and /docs, /redoc and the start page
        for (std::size_t round = 0; round < rounds; ++round)
            for (auto const& [name, ignored] : statuses_)
                ask(name);
    }
    static constexpr std::size_t operations = 92;

  private:
    auto any(std::vector<std::string> const& from) -> std::string const& {
        return from[std::uniform_int_distribution<std::size_t>(0, from.size() - 1)(random_)];
    }

    void ask(std::string const& name) {
        auto const blank = name.find(' ');
        auto method = name.substr(0, blank);
        std::transform(method.begin(), method.end(), method.begin(), [](char c) { return static_cast<char>(c - 32); });
        std::string target;
        for (auto rest = std::string_view(name).substr(blank + 1); !rest.empty();) {
            auto const open = std::min(rest.find('{'), rest.size());
            auto const close = std::min(rest.find('}', open), rest.size() - 1) + 1;
            target += rest.substr(0, open);
            if (open < rest.size())
                target += part(rest.substr(open, close - open));
            rest.remove_prefix(open < rest.size() ? close : open);
        }
        target += any({"", "", "?file_id=f", "?file_id=..%2f", "?json_field_path=a", "?json_field_path=..",
                       "?recursive=true", "?recursive=x&return_full_path=1", "?&=&%"});
        auto const response = desk_.ask(method, target, any(bodies_), {{"Content-Type", any(types_)}});
        CAPTURE(method);
        CAPTURE(target);
        CAPTURE(std::get<Bytes>(response.body));
        auto key = name.substr(0, blank + 1) + response.route;
        for (auto at = key.find(":path"); at != key.npos; at = key.find(":path"))
            key.erase(at, 5);
        if (response.route.empty())
            CHECK(std::set<int>{307, 404, 405}.contains(response.status));
        else
            CHECK(statuses_[key].contains(response.status));
        auto const& body = std::get<Bytes>(response.body);
        bool const is_the_references = body.find(R"("error_type":"UPDATE_FAILED")") != body.npos ||
                                       body.find("' not found in data\"") != body.npos;
        CHECK((response.status != 500 || (strict_ && is_the_references)));
        CHECK(response.status != 503);
        if (response.headers.value("Content-Type") == "application/json") {
            auto const parsed = json::parse(std::get<Bytes>(response.body));
            if (auto const* object = parsed.if_object(); object != nullptr && object->contains("cache_id"))
                if (auto const* id = object->at("cache_id").if_string(); id != nullptr && !id->empty())
                    ids_.emplace_back(*id); // to go on with
        }
    }

    auto part(std::string_view name) -> std::string {
        if (name == "{cache_id}" && std::uniform_int_distribution<int>(0, 3)(random_) > 0)
            return any(ids_);
        if (name == "{strategy}")
            return any({"direct", "temporal", "temporal_latest", "temporal_versioned", "key_based", "none"});
        if (name == "{data_type}")
            return any({"json", "string", "binary", "type-safe", "all", "x"});
        return any(parts_);
    }

    Desk const& desk_;
    bool strict_;
    std::mt19937_64 random_;
    std::map<std::string, std::set<int>> statuses_;
    std::vector<std::string> ids_{unknown_id};
    std::vector<std::string> const parts_{"a",
                                          "a.json",
                                          "ns",
                                          "default",
                                          "44136fa355b3678a",
                                          "..",
                                          "%2e%2e%2fx",
                                          "%2F",
                                          "a//b",
                                          "%00",
                                          "%",
                                          "%zz",
                                          "%ff%fe",
                                          "caf%C3%A9",
                                          "%F0%9F%98%80",
                                          "_",
                                          "%20",
                                          "...",
                                          "a%20b",
                                          std::string(129, 'n'),
                                          std::string(1025, 'p'),
                                          "-",
                                          "hash",
                                          "all",
                                          "data",
                                          "ns/data/direct",
                                          "ABCDEF00-0000-4000-8000-000000000000"};
    std::vector<std::string> const bodies_{
        "",
        "{}",
        R"({"a":"x"})",
        R"({"a":{"b":[1,2.5,null]}})",
        "[1]",
        "\"text\"",
        "\"\"",
        "{bad",
        "7",
        "null",
        "plain",
        "\xff\xfe",
        Bytes("PK\5\6") + Bytes(18, '\0'),
        Bytes("PK\3\4"),
        std::string(600, '['),
        R"({"operations":[{"action":"add"}]})",
        R"({"operations":[{"action":"remove","path":"a","pattern":"*"}],"atomic":false})",
        R"({"operations":{},"cookie_value":"v"})",
        R"({"cookie_value":7})"};
    std::vector<std::string> const types_{"", "application/json", "text/plain", "application/octet-stream", "x"};
};

} // namespace

TEST_CASE("no request gets an answer that its operation does not name, and none breaks anything") {
    auto const seed = testing::seed_of_run();
    CAPTURE(seed);
    for (bool const strict : {true, false}) {
        CAPTURE(strict);
        Desk desk(strict);
        Fuzzer(desk, strict, seed).run(testing::number_from_environment("MEMFS_CACHE_TEST_ROUNDS", 15));
        for (auto const& path : files_list(desk.cache.storage()).value())
            CHECK(("/" + path + "/").find("/../") == std::string::npos);
    }
}

TEST_SUITE_END();
