// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/event_intake.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <string>

using namespace memfs_cache;

namespace {

auto parse(std::string const& json) -> Result<Analytics_Event> {
    return Analytics_Event::from_json(boost::json::parse(json).as_object());
}

auto cleaned(std::string const& json) -> std::string {
    auto object = boost::json::parse(json).as_object();
    remove_private_fields(object);
    return boost::json::serialize(object);
}

/// What an intake makes of a request, as it would be stored, without a time.
struct Taken {
    explicit Taken(Request_View const& request, Trusted_Proxies const& trusted = {}) {
        User_Agent_Cache agents;
        intake.take(request).value();
        intake.take_client(request, trusted, agents);
    }
    explicit Taken(Analytics_Event const& event) { intake.take(event).value(); }
    auto operator->() const -> Analytics_Record const* { return &intake.record; }
    Event_Intake intake;
};

auto error_of(Request_View const& request) -> Error {
    Event_Intake intake;
    User_Agent_Cache agents;
    return intake.take(request).error();
}
auto error_of(Analytics_Event const& event) -> Error {
    Event_Intake intake;
    return intake.take(event).error();
}

auto event_with(std::string Analytics_Event::*field, std::string value) -> Analytics_Event {
    Analytics_Event event;
    event.event_type = "page_view";
    event.*field = std::move(value);
    return event;
}

} // namespace

TEST_SUITE("namespaces/analytics/event") {
    TEST_CASE("an event is read from JSON by the names of the schema, and other fields are its own") {
        auto const event = parse(R"({"event_id":"e","event_type":"api_call","timestamp":1771000000000,"source":"lambda",
            "path":"/x","method":"PUT","status_code":201,"duration_ms":1.25,"ip_hash":"h","user_agent_normalised":"Firefox",
            "bot":true,"country":"GB","referrer_domain":"r.example","content_bytes":7,"transfer_id":"t","token_id":"k",
            "ip":"198.18.0.1","user_agent":"ua","referer":"https://a.example/","url":"https://b.example/c",
            "query":"secret","crc32c":"00000000","plan":"gold","extra":{"seats":3},"nothing":null})")
                               .value();
        CHECK(event.event_id == "e");
        CHECK(event.event_type == "api_call");
        CHECK(event.timestamp == from_millis(1'771'000'000'000));
        CHECK(event.source == "lambda");
        CHECK(event.path == "/x");
        CHECK(event.method == "PUT");
        CHECK(event.status_code == 201);
        CHECK(event.duration_ms == 1.25);
        CHECK(event.ip_hash == "h");
        CHECK(event.user_agent_normalised == "Firefox");
        CHECK(event.bot);
        CHECK(event.country == "GB");
        CHECK(event.referrer_domain == "r.example");
        CHECK(event.content_bytes == 7);
        CHECK(event.transfer_id == "t");
        CHECK(event.token_id == "k");
        CHECK(event.ip == "198.18.0.1");
        CHECK(event.user_agent == "ua");
        CHECK(event.referrer == "https://a.example/");
        CHECK(event.url == "https://b.example/c");
        CHECK(boost::json::serialize(event.extra) == R"({"plan":"gold","seats":3})");
    }

    TEST_CASE("a field of the wrong type is refused by name") {
        for (std::string const field : {R"("timestamp":"now")", R"("timestamp":-1)", R"("timestamp":99999999999999)",
                                        R"("status_code":"200")", R"("duration_ms":"fast")", R"("content_bytes":-5)",
                                        R"("bot":"yes")", R"("extra":[1])", R"("path":7)", R"("client":["a",1])"}) {
            CAPTURE(field);
            auto const event = parse("{\"event_type\":\"x\"," + field + "}");
            REQUIRE(!event);
            CHECK(event.error().code == Errc::invalid_argument);
            CHECK(event.error().context.find(field.substr(1, field.find('"', 1) - 1)) != std::string::npos);
        }
    }

    TEST_CASE("names that hold a person are removed in every spelling and at every depth") {
        for (std::string const name : {"ip",
                                       "IP",
                                       "client_ip",
                                       "Client-Ip",
                                       "clientIp",
                                       "remote_addr",
                                       "REMOTE_ADDR",
                                       "X-Forwarded-For",
                                       "x_real_ip",
                                       "User-Agent",
                                       "userAgent",
                                       "HTTP_USER_AGENT",
                                       "Referer",
                                       "referrer",
                                       "httpReferer",
                                       "URL",
                                       "requestUri",
                                       "query",
                                       "queryString",
                                       "Cookie",
                                       "authorization",
                                       "Address"}) {
            CAPTURE(name);
            CHECK(cleaned("{\"" + name + "\":\"secret\",\"kept\":1}") == R"({"kept":1})");
            CHECK(cleaned("{\"a\":[{\"" + name + "\":{\"deep\":\"secret\"}},2]}") == R"({"a":[{},2]})");
        }
        CHECK(cleaned(R"({"shipment":"s","tip":5,"curly":"x"})") == R"({"shipment":"s","tip":5,"curly":"x"})");
    }

    TEST_CASE("texts that hold an address or a browser's user agent are removed wherever they stand") {
        CHECK(cleaned(R"({"a":"198.18.0.1","b":["::1","kept",{"c":"at 2001:DB8::1."}],"198.18.0.1":1,"d":"kept"})") ==
              R"({"b":["kept",{}],"d":"kept"})");
        CHECK(cleaned(R"({"seen":"Mozilla/5.0 (X11) Gecko","d":"kept"})") == R"({"d":"kept"})");
    }

    TEST_CASE("what is stored of a request: every field classified, normalised or left out") {
        Taken const taken({.method = "GET",
                           .target = "/docs/page.html?token=secret#part",
                           .status = 200,
                           .content_bytes = 1'234,
                           .duration_us = 5'678,
                           .remote = "198.18.0.1",
                           .user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
                           .referrer = "https://www.news.example/item?id=secret",
                           .content_type = "text/html",
                           .country = "de"});
        CHECK(taken->event_type == "page_view");
        CHECK(taken->source == "application");
        CHECK(taken->path == "/docs/page.html");
        CHECK(taken->method == "GET");
        CHECK(taken->status_code == 200);
        CHECK(taken->duration_us == 5'678);
        CHECK(taken->ip_hash.empty());
        CHECK(taken->user_agent_normalised == "Firefox on Linux");
        CHECK_FALSE(taken->bot);
        CHECK(taken->country == "DE");
        CHECK(taken->referrer_domain == "news.example");
        CHECK(taken->content_bytes == 1'234);
        CHECK(taken.intake.client == Client_Address::parse("198.18.0.1"));
    }

    TEST_CASE("kinds of requests, and what the host knows better") {
        auto const kind = [](Request_View const& request) { return std::string(Taken(request)->event_type); };
        CHECK(kind({.method = "GET", .target = "/app.js", .status = 200}) == "asset");
        CHECK(kind({.method = "POST", .target = "/api/x", .status = 500}) == "api_call");
        CHECK(kind({.method = "PUT", .target = "/transfers/1/payload", .status = 201}) == "file_upload");
        CHECK(kind({.method = "GET", .target = "/transfers/1/payload", .status = 200}) == "file_download");
        CHECK(kind({.method = "POST", .target = "/tokens/x/use", .status = 200}) == "token_use");
        CHECK(kind({.method = "GET", .target = "/", .status = 200, .event_type = "health"}) == "health");
        CHECK(kind({.method = "GET", .target = "/", .status = 404}) == "other");
    }

    TEST_CASE("a route stands in for its path, and is cut like one") {
        Taken const taken({.method = "GET", .target = "/users/4711", .status = 200, .route = "/users/{id}?x=secret"});
        CHECK(taken->path == "/users/{id}");
    }

    TEST_CASE("what clients choose never fails a request: what is not fit is left out") {
        std::string const huge(100'000, 'x');
        Taken const taken({.method = huge,
                           .target = "/" + huge,
                           .status = 200,
                           .user_agent = huge,
                           .referrer = "https://" + huge + "/",
                           .country = "Germany",
                           .event_type = huge,
                           .source = huge,
                           .transfer_id = huge,
                           .token_id = huge});
        CHECK(taken->method.empty());
        CHECK(taken->path.size() == 2'048);
        CHECK(taken->referrer_domain.empty());
        CHECK(taken->country.empty());
        CHECK(taken->event_type == "api_call");
        CHECK(taken->source == "application");
        CHECK(taken->transfer_id.empty());
        CHECK(taken->token_id.empty());
        CHECK(Taken(Request_View{.method = "GET /x"})->method.empty());
        CHECK(Taken(Request_View{.method = "M-SEARCH"})->method == "M-SEARCH");
    }

    TEST_CASE("a long path is not cut within a character") {
        auto const path = "/" + std::string(2'046, 'x') + "\xc3\xa4";
        CHECK(Taken(Request_View{.target = path})->path == path.substr(0, 2'047));
    }

    TEST_CASE("durations are bounded, and impossible ones and impossible statuses are refused") {
        CHECK(Taken(Request_View{.duration_us = 0})->duration_us == 0);
        CHECK(Taken(Request_View{.duration_us = std::numeric_limits<std::int64_t>::max()})->duration_us ==
              most_duration_us);
        CHECK_FALSE(Taken(Request_View{})->duration_us);
        CHECK(Taken(Request_View{.content_bytes = UINT64_MAX})->content_bytes == (std::uint64_t{1} << 53) - 1);
        CHECK(error_of(Request_View{.duration_us = -1}).code == Errc::invalid_argument);
        for (int const status : {-1, 1, 99, 1'000}) {
            CAPTURE(status);
            CHECK(error_of(Request_View{.status = status}).code == Errc::invalid_argument);
        }
        for (int const status : {0, 100, 599, 999})
            CHECK(Taken(Request_View{.status = status})->status_code == status);
    }

    TEST_CASE("the client is the peer, or whom trusted proxies name") {
        auto const trusted = Trusted_Proxies::parse("10.0.0.0/8").value();
        Request_View const request{.remote = "10.0.0.1", .forwarded_for = "198.18.0.9, 10.0.0.2"};
        CHECK(Taken(request).intake.client == Client_Address::parse("10.0.0.1"));
        CHECK(Taken(request, trusted).intake.client == Client_Address::parse("198.18.0.9"));
        CHECK_FALSE(Taken(Request_View{}).intake.client);
    }

    TEST_CASE("durations of an application are rounded to the microsecond once") {
        auto const rounded = [](double milliseconds) {
            Analytics_Event event;
            event.event_type = "x";
            event.duration_ms = milliseconds;
            return Taken(event)->duration_us;
        };
        CHECK(rounded(0) == 0);
        CHECK(rounded(1.0004) == 1'000);
        CHECK(rounded(1.0006) == 1'001);
        CHECK(rounded(0.0005) == 1);
        CHECK(rounded(1e300) == most_duration_us);
        CHECK(rounded(std::numeric_limits<double>::infinity()) == most_duration_us);
        for (double const wrong : {-0.001, -1e300, std::numeric_limits<double>::quiet_NaN()}) {
            Analytics_Event event;
            event.event_type = "x";
            event.duration_ms = wrong;
            CHECK(error_of(event).code == Errc::invalid_argument);
        }
    }

    TEST_CASE("an event needs a type, and its names have a bound") {
        CHECK(error_of(Analytics_Event{}).context.find("event_type") != std::string::npos);
        CHECK(error_of(event_with(&Analytics_Event::event_type, "198.18.0.1")).code == Errc::invalid_argument);
        for (auto const field : {&Analytics_Event::event_type, &Analytics_Event::event_id, &Analytics_Event::source,
                                 &Analytics_Event::method, &Analytics_Event::ip_hash, &Analytics_Event::transfer_id,
                                 &Analytics_Event::token_id}) {
            CHECK(error_of(event_with(field, std::string(257, 'x'))).code == Errc::too_large);
            CHECK(Event_Intake().take(event_with(field, std::string(256, 'x'))));
        }
        Analytics_Event event = event_with(&Analytics_Event::source, "");
        CHECK(Taken(event)->source == "application");
        event.extra["text"] = std::string(4'096, 'x');
        CHECK(error_of(event).code == Errc::too_large);
    }

    TEST_CASE("user agents of an application are normalised again unless they are, and bots are known either way") {
        auto const agent = [](std::string const& given, std::string const& sent = "") {
            Analytics_Event event;
            event.event_type = "x";
            event.user_agent_normalised = given;
            event.user_agent = sent;
            Taken const taken(event);
            return std::string(taken->user_agent_normalised) + (taken->bot ? " (bot)" : "");
        };
        auto const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0";
        CHECK(agent("Firefox on Linux") == "Firefox on Linux");
        CHECK(agent(firefox) == "Firefox on Linux");
        CHECK(agent("", firefox) == "Firefox on Linux");
        CHECK(agent("Chrome on Windows", firefox) == "Chrome on Windows");
        CHECK(agent("Other") == "Other");
        CHECK(agent("Samsung Internet on Android") == "Samsung Internet on Android");
        for (std::string const bot : {"Googlebot", "GPTBot", "curl", "python-requests", "UptimeRobot", "Other bot"})
            CHECK(agent(bot) == bot + " (bot)");
        Analytics_Event event = event_with(&Analytics_Event::user_agent_normalised, "Other");
        event.bot = true;
        CHECK(Taken(event)->bot);
    }

    TEST_CASE("domains and paths of an application are reduced like those of requests") {
        CHECK(Taken(event_with(&Analytics_Event::referrer, "https://a.example/x?secret"))->referrer_domain ==
              "a.example");
        CHECK(Taken(event_with(&Analytics_Event::referrer_domain, "A.example"))->referrer_domain == "a.example");
        CHECK(Taken(event_with(&Analytics_Event::referrer_domain, "https://a.example/x?secret"))->referrer_domain ==
              "a.example");
        CHECK(
            Taken(event_with(&Analytics_Event::referrer, "https://198.18.0.1.isp.example/"))->referrer_domain.empty());
        CHECK(Taken(event_with(&Analytics_Event::url, "https://user@a.example/x?secret"))->path == "/x");
        CHECK(Taken(event_with(&Analytics_Event::path, "https://user@a.example/x?secret"))->path == "/x");
        CHECK(Taken(event_with(&Analytics_Event::path, "/x?secret#secret"))->path == "/x");
        CHECK(Taken(event_with(&Analytics_Event::path, "/whois/198.18.0.1.html"))->path.empty());
        CHECK(Taken(event_with(&Analytics_Event::country, "gb"))->country == "GB");
        for (std::string const country : {"GBR", "g", "1A", "\xc3\xa4", "--"})
            CHECK(Taken(event_with(&Analytics_Event::country, country))->country.empty());
    }

    TEST_CASE("a hash is kept, and an address in its place becomes the client") {
        auto const hash = event_with(&Analytics_Event::ip_hash, "3f9a1c0b5d7e8f42");
        CHECK(Taken(hash)->ip_hash == "3f9a1c0b5d7e8f42");
        CHECK_FALSE(Taken(hash).intake.client);
        Taken const address(event_with(&Analytics_Event::ip_hash, "2001:db8::1"));
        CHECK(address->ip_hash.empty());
        CHECK(address.intake.client == Client_Address::parse("2001:db8::1"));
        CHECK(Taken(event_with(&Analytics_Event::ip, "198.18.0.1")).intake.client ==
              Client_Address::parse("198.18.0.1"));
    }

    TEST_CASE("ids of a process never meet and do not look alike") {
        Event_Ids ids;
        std::set<std::string> seen;
        for (int i = 0; i < 10'000; ++i)
            seen.emplace(ids.next().view());
        CHECK(seen.size() == 10'000);
        CHECK(seen.begin()->size() == 16);
        CHECK_FALSE(Event_Id());
        CHECK(Event_Id().view().empty());
    }

    TEST_CASE("a user agent that is remembered is what was said of it, also when places are shared") {
        User_Agent_Cache cache;
        for (int round = 0; round < 2; ++round)
            for (int i = 0; i < 5'000; ++i) { // more than there are places
                auto const header = (i % 3 == 0   ? "Mozilla/5.0 (X11; Linux x86_64) Firefox/"
                                     : i % 3 == 1 ? "Robot-crawler/"
                                                  : "") +
                                    std::to_string(i);
                auto const expected = classify_user_agent(header);
                for (int again = 0; again < 2; ++again) {
                    auto const said = cache.classify(header);
                    CHECK(said.normalised == expected.normalised);
                    CHECK(said.bot == expected.bot);
                }
            }
        CHECK(cache.classify("").normalised.empty());
    }
}
