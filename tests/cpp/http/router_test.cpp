// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/http/url.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace memfs_cache;

namespace {

auto says(std::string text) -> std::function<Response(Request const&, Arguments const&)> {
    return [text = std::move(text)](Request const&, Arguments const&) {
        Response response;
        response.body = text;
        return response;
    };
}

auto body_of(Response const& response) -> std::string { return std::get<Bytes>(response.body); }

/// A member of the error in a body; "" when it is not there.
auto error_of(Response const& response, std::string_view member) -> std::string {
    auto const error = boost::json::parse(body_of(response)).at("error").as_object();
    auto const* const value = error.if_contains(member);
    return value == nullptr ? std::string() : std::string(value->as_string());
}

auto send(Router const& router, std::string method, std::string target, Headers headers = {}) -> Response {
    return router(Request{std::move(method), std::move(target), std::move(headers), {}, {}});
}

auto open_route(std::string method,
                std::string path,
                std::function<Response(Request const&, Arguments const&)> handler,
                std::vector<Parameter> parameters = {}) -> Route {
    Route route;
    route.method = std::move(method);
    route.path = std::move(path);
    route.summary = "A route of the test.";
    route.access = Access::open;
    route.parameters = std::move(parameters);
    route.result = "What it says.";
    route.handler = std::move(handler);
    return route;
}

auto name_parameter() -> Parameter { return {"name", "A name."}; }

auto echo_name(Request const&, Arguments const& arguments) -> Response {
    Response response;
    response.body = arguments.text("name");
    return response;
}

} // namespace

TEST_SUITE("http/router") {
    TEST_CASE("literal segments win over parameters, in whatever order the table is written") {
        Router const router({open_route("GET", "/a/{x}/{y}", says("both"), {{"x", "."}, {"y", "."}}),
                             open_route("GET", "/a/{x}/c", says("first"), {{"x", "."}}),
                             open_route("GET", "/a/b/{y}", says("second"), {{"y", "."}}),
                             open_route("GET", "/a/b/c", says("none"))},
                            {"T", "1"});
        CHECK(body_of(send(router, "GET", "/a/b/c")) == "none");
        CHECK(body_of(send(router, "GET", "/a/b/z")) == "second");
        CHECK(body_of(send(router, "GET", "/a/z/c")) == "first");
        CHECK(body_of(send(router, "GET", "/a/z/z")) == "both");
        CHECK(body_of(send(router, "GET", "/%61/b/%63")) == "none");
        CHECK(body_of(send(router, "GET", "http://elsewhere:80/a/b/c?q")) == "none");
    }

    TEST_CASE("a path that no route has is 404, also with one slash too many or too few") {
        Router const router({open_route("GET", "/a/{name}", echo_name, {name_parameter()})}, {"T", "1"});
        for (std::string const target : {"/", "/a", "/a/", "/a/b/", "//a/b", "/a/b/c", "/A/b", "/a%2Fb"}) {
            CAPTURE(target);
            auto const response = send(router, "GET", target);
            CHECK(response.status == 404);
            CHECK(error_of(response, "code") == "not_found");
        }
    }

    TEST_CASE("another method on a known path is 405 and says which there are") {
        Router const router({open_route("GET", "/tokens/{name}", echo_name, {name_parameter()}),
                             open_route("POST", "/tokens/create", says("made"))},
                            {"T", "1"});
        auto const response = send(router, "DELETE", "/tokens/create");
        CHECK(response.status == 405);
        CHECK(response.headers.value("allow") == "GET, HEAD, POST");
        CHECK(error_of(response, "code") == "method_not_allowed");
        CHECK(body_of(send(router, "GET", "/tokens/create")) == "create");
        CHECK(send(router, "get", "/tokens/create").status == 405);
    }

    TEST_CASE("HEAD is answered by the GET route") {
        Router const router({open_route("GET", "/a", says("text"))}, {"T", "1"});
        auto const response = send(router, "HEAD", "/a");
        CHECK(response.status == 200);
        CHECK(response.body_bytes() == 4);
    }

    TEST_CASE("parameters are decoded after the path was split") {
        Router const router({open_route("GET", "/a/{name}", echo_name, {name_parameter()})}, {"T", "1"});
        CHECK(body_of(send(router, "GET", "/a/x%2Fy")) == "x/y");
        CHECK(body_of(send(router, "GET", "/a/2026-02-13T14%3a00")) == "2026-02-13T14:00");
        CHECK(body_of(send(router, "GET", "/a/caf%C3%A9+x")) == "caf\xc3\xa9+x");
        CHECK(body_of(send(router, "GET", "/a/%252e")) == "%2e");
    }

    TEST_CASE("broken escapes, NUL and bytes that are not UTF-8 are 400 and are not repeated") {
        Router const router({open_route("GET", "/a/{name}", echo_name, {name_parameter()})}, {"T", "1"});
        for (std::string const target : {"/a/secret%", "/a/secret%2", "/a/secret%zz", "/a/secret%00", "/a/secret%ff",
                                         "/a/secret%c0%af", "/a/x?q=secret%00", "/a/x?secret%ff", "secret", "", "*"}) {
            CAPTURE(target);
            auto const response = send(router, "GET", target);
            CHECK(response.status == 400);
            CHECK(body_of(response).find("secret") == std::string::npos);
        }
    }

    TEST_CASE("query parameters are checked as the table declares them") {
        Parameter minutes{"minutes", "How many."};
        minutes.minimum = 1;
        minutes.maximum = 1440;
        minutes.fallback = "5";
        Parameter unit{"unit", "Which."};
        unit.one_of = {"day", "week"};
        auto const shows = [](Request const&, Arguments const& arguments) {
            Response response;
            response.body = std::to_string(arguments.integer("minutes")) + arguments.text("unit");
            return response;
        };
        Router const router({open_route("GET", "/pulse", shows, {minutes, unit})}, {"T", "1"});

        CHECK(body_of(send(router, "GET", "/pulse")) == "5");
        CHECK(body_of(send(router, "GET", "/pulse?minutes=1&unit=week")) == "1week");
        CHECK(body_of(send(router, "GET", "/pulse?minutes=1440&other=1&other=2")) == "1440");
        CHECK(body_of(send(router, "GET", "/pulse?&minutes=%37&")) == "7");
        for (std::string const query : {"minutes=0", "minutes=1441", "minutes=-1", "minutes=", "minutes=5.0",
                                        "minutes=x", "minutes=99999999999999999999", "minutes=18446744073709551615",
                                        "minutes", "minutes=5&minutes=5", "unit=month", "unit="}) {
            CAPTURE(query);
            auto const response = send(router, "GET", "/pulse?" + query);
            CHECK(response.status == 400);
            CHECK(error_of(response, "code") == "invalid_argument");
            CHECK(error_of(response, "field") == std::string(query[0] == 'm' ? "minutes" : "unit"));
        }
    }

    TEST_CASE("a query cannot take the place of a path parameter") {
        Router const router({open_route("GET", "/a/{name}", echo_name, {name_parameter()})}, {"T", "1"});
        CHECK(body_of(send(router, "GET", "/a/right?name=wrong")) == "right");
    }

    TEST_CASE("a handler that throws is a 500 that tells the log why and the client nothing") {
        std::string logged;
        Router_Options options{"T", "1"};
        options.log = [&](std::string_view text) { logged = text; };
        Router const router(
            {open_route("GET", "/a",
                        [](Request const&, Arguments const&) -> Response { throw std::runtime_error("secret"); }),
             open_route("GET", "/b", [](Request const&, Arguments const&) -> Response { throw 7; })},
            std::move(options));
        auto const response = send(router, "GET", "/a");
        CHECK(response.status == 500);
        CHECK(error_of(response, "code") == "internal");
        CHECK(body_of(response).find("secret") == std::string::npos);
        CHECK(logged.find("secret") != std::string::npos);
        CHECK(response.route == "/a");
        CHECK(send(router, "GET", "/b").status == 500);
    }

    TEST_CASE("routes with a key are refused without it before anything else is looked at") {
        auto route = open_route("GET", "/a", says("in"), {{"n", ".", {"x"}}});
        route.access = Access::with_key;
        Router const nobody({route}, {"T", "1"});
        CHECK(send(nobody, "GET", "/a").status == 401);

        Router_Options options{"T", "1"};
        options.gate = [](Request const& request) {
            return request.headers.value("X-Api-Key") == "k" ? std::nullopt : std::optional(unauthorized());
        };
        Router const router({route}, std::move(options));
        CHECK(send(router, "GET", "/a", {{"x-api-key", "k"}}).status == 200);
        auto const refused = send(router, "GET", "/a?n=wrong", {{"x-api-key", "wrong"}});
        CHECK(refused.status == 401);
        CHECK(error_of(refused, "code") == "unauthorized");
        CHECK(refused.headers.value("WWW-Authenticate") == "Bearer");
        CHECK(send(router, "GET", "/openapi.json").status == 401);
    }

    TEST_CASE("the recorded route is the template, so that what people put into paths is not kept") {
        Router const router({open_route("GET", "/a/{name}", echo_name, {name_parameter()})}, {"T", "1"});
        CHECK(send(router, "GET", "/a/secret").route == "/a/{name}");
        CHECK(send(router, "POST", "/a/secret").route == "/a/{name}");
        CHECK(send(router, "GET", "/nowhere").route.empty());
        CHECK(router.route_of("/a/secret") == "/a/{name}");
        CHECK(router.route_of("http://host/a/secret") == "/a/{name}");
        CHECK(router.route_of("/a/secret/x").empty());
        CHECK(router.route_of("/a/secret%zz").empty());
        CHECK(router.route_of("").empty());
    }

    TEST_CASE("members of a body are checked as the table declares them") {
        auto route = open_route("POST", "/a/{name}", {}, {name_parameter()});
        route.body = {{.name = "text", .description = ".", .is_required = true},
                      {.name = "number", .description = ".", .minimum = 0, .maximum = 9, .fallback = "3"},
                      {.name = "word", .description = ".", .one_of = {"x", "y"}, .fallback = "x"},
                      {.name = "things", .description = ".", .is_json_object = true}};
        route.handler = [](Request const&, Arguments const& arguments) {
            Response response;
            response.body = arguments.text("name") + arguments.text("text") +
                            std::to_string(arguments.integer("number")) + arguments.text("word") +
                            boost::json::serialize(arguments.object("things"));
            return response;
        };
        Router const router({route}, {"T", "1"});
        auto const post = [&](std::string body) { return router(Request{"POST", "/a/n", {}, std::move(body), {}}); };

        CHECK(body_of(post(R"({"text":"t"})")) == "nt3x{}");
        CHECK(body_of(post(R"({"things":{"a":[1]},"word":"y","number":9,"text":"\u00e9"})")) == "n\xc3\xa9"
                                                                                                R"(9y{"a":[1]})");
        CHECK(body_of(post(R"({"text":"","number":null,"word":null,"things":null,"other":1,"name":"x"})")) == "n3x{}");
        for (std::string const body : {"", "{", "[]", "1", "null", R"({"text":"t"}x)", "{\"text\":\"\xff\"}"}) {
            CAPTURE(body);
            CHECK(post(body).status == 400);
            CHECK(error_of(post(body), "code") == "invalid_argument");
        }
        struct Row {
            std::string body, field;
        };
        for (auto const& row : {Row{R"({})", "text"},
                                {R"({"text":null})", "text"},
                                {R"({"text":1})", "text"},
                                {R"({"text":["t"]})", "text"},
                                {R"({"text":"t","number":"3"})", "number"},
                                {R"({"text":"t","number":10})", "number"},
                                {R"({"text":"t","number":-1})", "number"},
                                {R"({"text":"t","number":1.5})", "number"},
                                {R"({"text":"t","number":18446744073709551615})", "number"},
                                {R"({"text":"t","number":true})", "number"},
                                {R"({"text":"t","word":"secret"})", "word"},
                                {R"({"text":"t","things":"secret"})", "things"},
                                {R"({"text":"t","things":[]})", "things"}}) {
            CAPTURE(row.body);
            auto const response = post(row.body);
            CHECK(response.status == 400);
            CHECK(error_of(response, "field") == row.field);
            CHECK(body_of(response).find("secret") == std::string::npos);
        }
    }

    TEST_CASE("a query parameter that must be given is missed by its name") {
        Router const router(
            {open_route("GET", "/a", echo_name, {{.name = "name", .description = ".", .is_required = true}})},
            {"T", "1"});
        CHECK(body_of(send(router, "GET", "/a?name=x")) == "x");
        CHECK(send(router, "GET", "/a").status == 400);
        CHECK(error_of(send(router, "GET", "/a?other=x"), "field") == "name");
    }

    TEST_CASE("what no route has may be answered by somebody else, who also gets targets that cannot be read") {
        auto const elsewhere = [](Request const& request) {
            Response response;
            response.body = "elsewhere " + request.target;
            return response;
        };
        Router const router({open_route("GET", "/a/{name}", echo_name, {name_parameter()})}, {.otherwise = elsewhere});
        CHECK(body_of(send(router, "GET", "/a/x")) == "x");
        CHECK(send(router, "POST", "/a/x").status == 405);
        for (std::string const target : {"/", "/a", "/a/x/", "/openapi.json", "/a/%00", "*"}) {
            CAPTURE(target);
            CHECK(body_of(send(router, "POST", target)) == "elsewhere " + target);
        }
        CHECK(router.openapi().empty());
    }
}

TEST_SUITE("http/replies") {
    TEST_CASE("every error has a status of the contract and a body in its form") {
        std::set<int> const contract{400, 401, 403, 404, 405, 408, 409, 410, 411, 413, 415, 416, 429, 431, 500, 503};
        for (auto const& row : errc_table()) {
            CAPTURE(row.name);
            auto const response = error_reply(fail(row.code, "context"));
            CHECK(contract.count(response.status) == 1);
            CHECK(error_of(response, "code") == std::string(row.name));
            CHECK(error_of(response, "message") == std::string(row.code == Errc::internal ? row.sentence : "context"));
            CHECK(error_of(response, "field").empty());
            CHECK(response.headers.value("Content-Type") == "application/json");
        }
        CHECK(error_of(error_reply(fail(Errc::conflict, "")), "message") == std::string(info(Errc::conflict).sentence));
    }

    TEST_CASE("what a browser might take for a page is said to be none") {
        auto const response = json_reply({{"name", "<script>alert(1)</script>"}});
        CHECK(response.headers.value("Content-Type") == "application/json");
        CHECK(response.headers.value("X-Content-Type-Options") == "nosniff");
        CHECK(response.headers.value("Cache-Control") == "no-store");
    }

    TEST_CASE("who has to wait is told for how many whole seconds, never too few") {
        for (auto const& [wait, seconds] :
             {std::pair(1, "1"), {1'000'000, "1"}, {1'000'001, "2"}, {60'000'000, "60"}}) {
            auto const response = too_many_requests(std::chrono::microseconds(wait));
            CHECK(response.status == 429);
            CHECK(response.headers.value("Retry-After") == seconds);
            CHECK(error_of(response, "code") == "throttled");
        }
    }

    TEST_CASE("headers are found without case and joined as one list") {
        Headers const headers{{"X-Forwarded-For", "a"}, {"x-forwarded-for", "b, c"}, {"Other", "d"}};
        CHECK(headers.value("x-FORWARDED-for") == "a");
        CHECK(headers.joined("X-Forwarded-For") == "a, b, c");
        CHECK(headers.value("absent").empty());
    }

    TEST_CASE("dates are spelt as headers want them") {
        CHECK(http_date(from_millis(784111777000)) == "Sun, 06 Nov 1994 08:49:37 GMT");
        CHECK(http_date(from_millis(1709210096999)) == "Thu, 29 Feb 2024 12:34:56 GMT");
    }

    TEST_CASE("percent encoding is undone by parsing") {
        std::string all;
        for (char c = 1; c < 127; ++c)
            all += c;
        all += "\xc3\xa9";
        CHECK(parse_target("/" + percent_encode(all)).value().segments == std::vector<std::string>{all});
        CHECK(percent_encode("a b/\"") == "a%20b%2f%22");
    }
}

TEST_SUITE("http/openapi") {
    TEST_CASE("the description has every route with its parameters, access and schemas, and every reference resolves") {
        Parameter key{"key", "Which."};
        Parameter minutes{"minutes", "How many."};
        minutes.minimum = 1;
        minutes.maximum = 60;
        minutes.fallback = "5";
        auto described = open_route("GET", "/w/{key}", says(""), {key, minutes});
        described.access = Access::with_key;
        described.schema = "Window";
        Router_Options options{"Title", "1.2"};
        options.schemas["Window"] = R"({"type": "object"})";
        auto posted = open_route("POST", "/w/{key}", says(""), {key});
        posted.body = {{.name = "word", .description = "A word.", .one_of = {"a"}, .is_required = true},
                       {.name = "things", .description = "Some.", .is_json_object = true}};
        posted.status = 201;
        posted.refusals = {409};
        auto file = open_route("GET", "/health", says(""));
        file.media_type = "text/plain";
        Router const router({described, posted, file}, std::move(options));
        auto const document = boost::json::parse(router.openapi());

        CHECK(document.at("openapi").as_string() == "3.1.0");
        CHECK(document.at("info").at("title").as_string() == "Title");
        CHECK(document.at("paths").as_object().size() == 3);
        auto const& get = document.at("paths").at("/w/{key}").at("get");
        CHECK(get.at("parameters").at(0).at("in").as_string() == "path");
        CHECK(get.at("parameters").at(0).at("required").as_bool());
        auto const schema = boost::json::parse(R"({"type": "integer", "minimum": 1, "maximum": 60, "default": 5})");
        CHECK(boost::json::serialize(get.at("parameters").at(1).at("schema")) == boost::json::serialize(schema));
        CHECK(get.at("security").as_array().size() == 2);
        CHECK(get.at("responses").as_object().contains("401"));
        auto const& post = document.at("paths").at("/w/{key}").at("post");
        CHECK(boost::json::serialize(post.at("requestBody")) ==
              boost::json::serialize(boost::json::parse(
                  R"({"required": true, "content": {"application/json": {"schema": {"type": "object", "properties": {
                      "word": {"type": "string", "enum": ["a"], "description": "A word."},
                      "things": {"type": "object", "description": "Some."}}, "required": ["word"]}}}})")));
        for (char const* const status : {"201", "400", "409"})
            CHECK(post.at("responses").as_object().contains(status));
        CHECK(!post.at("responses").as_object().contains("200"));
        auto const& health = document.at("paths").at("/health").at("get").as_object();
        CHECK(health.at("responses").at("200").at("content").as_object().contains("text/plain"));
        CHECK(!health.contains("security"));
        CHECK(!health.at("responses").as_object().contains("401"));

        std::set<std::string> ids;
        for (auto const& path : document.at("paths").as_object()) {
            for (auto const& operation : path.value().as_object()) {
                ids.insert(std::string(operation.value().at("operationId").as_string()));
            }
        }
        CHECK(ids.size() == 4);

        for (std::size_t at = 0; (at = router.openapi().find("\"$ref\":\"#", at)) != std::string::npos;) {
            at += 9;
            auto const pointer = router.openapi().substr(at, router.openapi().find('"', at) - at);
            CAPTURE(pointer);
            boost::system::error_code failure;
            CHECK(document.find_pointer(pointer, failure) != nullptr);
        }
    }

    TEST_CASE("a route with a sink gives it to hosts that ask, and the body of others to it") {
        class Joined final : public Body_Sink {
          public:
            explicit Joined(std::string name) : text_(std::move(name)) {}
            [[nodiscard]] auto limit_bytes() const noexcept -> std::uint64_t override { return 8; }
            [[nodiscard]] auto piece_bytes() const noexcept -> std::size_t override { return 3; }
            [[nodiscard]] auto begin() -> std::optional<Response> override {
                return text_ == "taken" ? std::optional(error_reply(409, "conflict", "Taken.")) : std::nullopt;
            }
            [[nodiscard]] auto take(Byte_View piece) -> std::optional<Response> override {
                text_.append("|").append(piece);
                return piece == "bad" ? std::optional(error_reply(400, "bad", "Bad.")) : std::nullopt;
            }
            [[nodiscard]] auto finish() -> Response override {
                Response response;
                response.body = text_;
                return response;
            }

          private:
            std::string text_;
        };
        auto put = open_route("PUT", "/{name}/body", nullptr, {name_parameter()});
        put.parameters.push_back(
            {.name = "n", .description = "A number.", .minimum = 0, .maximum = 9, .fallback = "0"});
        put.sink = [](Request const&, Arguments const& arguments) {
            return Reception{.sink = std::make_unique<Joined>(arguments.text("name")), .transfer_id = "a-transfer"};
        };
        auto locked = put;
        locked.path = "/locked/body";
        locked.access = Access::with_key;
        locked.parameters.clear();
        Router const router({put, locked, open_route("GET", "/{name}/body", echo_name, {name_parameter()})}, {});
        auto const request = [](std::string method, std::string target, std::string body = {}) {
            return Request{std::move(method), std::move(target), {}, std::move(body), {}};
        };

        auto const reception = router.receive(request("PUT", "/a%20b/body"));
        REQUIRE(reception.sink);
        CHECK(reception.route == "/{name}/body");
        CHECK(body_of(reception.sink->finish()) == "a b");
        for (auto const& refused : {request("GET", "/a/body"), request("PUT", "/a"), request("PUT", "/a/body?n=x"),
                                    request("PUT", "/locked/body"), request("PUT", "%")}) {
            CAPTURE(refused.target);
            CHECK(!router.receive(refused).sink);
        }
        CHECK(router(request("PUT", "/a/body?n=x")).status == 400);
        CHECK(router(request("PUT", "/locked/body")).status == 401);

        auto const held = router(request("PUT", "/a/body", "12345678"));
        CHECK(body_of(held) == "a|123|456|78");
        CHECK(held.route == "/{name}/body");
        CHECK(held.transfer_id == "a-transfer");
        CHECK(router(request("PUT", "/a/body", "123456789")).status == 413);
        CHECK(router(request("PUT", "/taken/body", "1")).status == 409);
        CHECK(router(request("PUT", "/a/body", "123bad4")).status == 400);
    }
}
