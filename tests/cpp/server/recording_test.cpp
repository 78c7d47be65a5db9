// SPDX-License-Identifier: Apache-2.0
// A server that records into a storage that does what storages do at the worst moment: requests do not notice.
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include "support/rude_client.hpp"
#include "support/wait_until.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <boost/json.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

using Watched = Wrapped_Storage<Storage_Memory>;

/// What the storage does now; a test changes it while the server runs.
class Weather {
  public:
    enum class Kind { fine, failing, blocked };

    void set(Kind kind) {
        std::lock_guard const lock(mutex_);
        kind_ = kind;
        changed_.notify_all();
    }
    auto meet() -> Watched::Verdict {
        std::unique_lock lock(mutex_);
        if (kind_ == Kind::blocked) {
            ++blocked_;
            changed_.notify_all();
            changed_.wait_for(lock, 60s, [&] { return kind_ != Kind::blocked; });
            --blocked_;
        }
        return {kind_ == Kind::failing ? Watched::Verdict::Kind::fail : Watched::Verdict::Kind::go_on,
                Errc::unavailable};
    }
    /// Waits until an operation is held up.
    auto is_felt() -> bool {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 60s, [&] { return blocked_ > 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    Kind kind_ = Kind::fine;
    int blocked_ = 0;
};

auto watched(Storage_Memory& memory, Weather& weather) -> Watched {
    Watched storage(memory);
    storage.promised.survives_process = true; // so that events wait for a flush, as on disk
    storage.hook = [&weather](auto, auto const&) { return weather.meet(); };
    return storage;
}

auto page(std::string type, std::string body, int status = 200) -> Response {
    Response response;
    response.status = status;
    response.headers = {{"Content-Type", std::move(type)}};
    response.body = std::move(body);
    return response;
}

/// A site with a thing of each kind.
auto site(Request const& request) -> Response {
    if (request.target == "/crash")
        throw std::runtime_error("a fault of the application");
    if (request.target == "/" || request.target == "/about")
        return page("text/html", "<p>hello");
    if (request.target == "/style.css")
        return page("text/css", "p{}");
    if (request.target == "/api/things")
        return page("application/json", "[]");
    if (request.target == "/transfers/1/payload")
        return page("application/octet-stream", request.method == "GET" ? "bytes" : "", 200);
    return error_reply(404, "not_found", "There is no such page.");
}

/// A server of one thread with analytics behind it, as a program builds it.
struct World {
    explicit World(Service_Options options = {})
        : cache(Any_Storage(watched(memory, weather)), std::move(options)), analytics(cache.analytics()),
          server(Server::start(
                     {}, site, [this](Request_View const& view) { analytics.record_request(view); }, limits())
                     .value()) {}

    auto port() const -> std::uint16_t { return server.address().port; }
    auto counts() const -> boost::json::object { return cache.health().namespaces.at("analytics").as_object(); }
    /// The day as it is asked for after all was told and landed.
    auto day() -> Window_Summary {
        server.stop();
        cache.flush().value();
        auto const now = cache.clock()->now();
        return analytics.aggregation("daily", Window::containing(Window_Type::daily, now).key()).value();
    }

    Storage_Memory memory;
    Weather weather;
    Cache_Service<Any_Storage> cache;
    Analytics<Any_Storage>& analytics;
    std::shared_ptr<Server_Counters> counters = std::make_shared<Server_Counters>();
    Server server;

  private:
    auto limits() -> Server_Options {
        Server_Options options;
        options.threads = 1;
        options.counters = counters;
        options.clock = cache.clock();
        options.observer_may_wait = [this] { return analytics.recording_may_wait(); };
        return options;
    }
};

auto with_mode(Recording_Mode mode) -> Service_Options {
    Service_Options options;
    options.analytics.log.mode = mode;
    options.analytics.log.flush_interval = 1ms;
    options.clock = std::make_shared<Manual_Clock>(from_millis(1'771'070'400'000)); // no midnight within the test
    return options;
}

} // namespace

TEST_SUITE("server/recording") {
    TEST_CASE("a storage that blocks holds no request up, from the first one on, and loses none") {
        for (auto const mode : {Recording_Mode::buffered, Recording_Mode::durable}) {
            CAPTURE(static_cast<int>(mode));
            World world(with_mode(mode));
            world.weather.set(Weather::Kind::blocked);
            Rude_Client kept(world.port());
            for (int i = 0; i < 50; ++i) {
                CHECK(kept.get("/").status == 200);
                CHECK(Rude_Client(world.port()).get("/style.css").status == 200);
            }
            CHECK(world.weather.is_felt());
            CHECK(world.cache.health().namespaces.at("analytics").at("landed") == 0);
            world.weather.set(Weather::Kind::fine);
            auto const day = world.day();
            CHECK(day.total_requests == 100);
            CHECK(day.unique_visitors == 1);
            CHECK(world.counters->unrecorded == 0);
        }
    }

    TEST_CASE("a storage that fails changes no answer, is shown as degraded, and gets everything when it is back") {
        World world(with_mode(Recording_Mode::buffered));
        Rude_Client client(world.port());
        CHECK(client.get("/").status == 200);
        CHECK(!world.cache.health().degraded);
        world.weather.set(Weather::Kind::failing);
        for (int i = 0; i < 50; ++i)
            CHECK(client.get("/about").body == "<p>hello");
        while (!world.cache.health().degraded) // the flush comes a moment after the requests
            std::this_thread::sleep_for(1ms);
        CHECK(world.counts().at("last_problem").as_string().find("injected") != std::string::npos);
        world.weather.set(Weather::Kind::fine);
        CHECK(world.day().total_requests == 51);
        CHECK(!world.cache.health().degraded);
    }

    TEST_CASE("what is dropped because the buffer is full is counted and shown, and no answer changes") {
        auto options = with_mode(Recording_Mode::buffered);
        options.analytics.log.buffer_bytes = 2'000;
        World world(options);
        Rude_Client client(world.port());
        CHECK(client.get("/").status == 200);
        world.weather.set(Weather::Kind::failing);
        for (int i = 0; i < 50; ++i)
            CHECK(client.get("/").status == 200);
        world.server.stop();
        auto const dropped = world.counts().at("dropped").to_number<int>();
        CHECK(dropped > 0);
        CHECK(world.cache.health().degraded);
        world.weather.set(Weather::Kind::fine);
        CHECK(world.day().total_requests == static_cast<std::uint64_t>(51 - dropped));
        CHECK(world.cache.health().degraded); // what is lost stays lost
    }

    TEST_CASE("per_request records before the answer ends") {
        World world(with_mode(Recording_Mode::per_request));
        Rude_Client client(world.port());
        for (std::uint64_t i = 1; i <= 5; ++i)
            CHECK(client.get("/").status == 200);
        CHECK(world.day().total_requests == 5);
    }

    TEST_CASE("a handler that throws is recorded as 500, and bytes are those that were sent") {
        World world(with_mode(Recording_Mode::buffered));
        Rude_Client client(world.port());
        CHECK(client.get("/crash").status == 500);
        CHECK(client.get("/").body.size() == 8);
        auto const crash_bytes = client.get("/crash").body.size();
        auto const day = world.day();
        CHECK(day.to_json().at("status_codes") == boost::json::object{{"500", 2}, {"200", 1}});
        CHECK(day.error_count == 2);
        CHECK(day.total_bytes == 8 + 2 * crash_bytes);
    }

    TEST_CASE("pages, assets, API, uploads, downloads and refusals are told apart") {
        World world(with_mode(Recording_Mode::buffered));
        Rude_Client client(world.port());
        auto const ask = [&](std::string const& method, std::string const& target) {
            client.send(method + " " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            return client.receive(method).status;
        };
        CHECK(ask("GET", "/") == 200);
        CHECK(ask("GET", "/about?from=home") == 404); // a site of exact targets
        CHECK(ask("GET", "/style.css") == 200);
        CHECK(ask("GET", "/api/things") == 200);
        CHECK(ask("PUT", "/transfers/1/payload") == 200);
        CHECK(ask("GET", "/transfers/1/payload") == 200);
        CHECK(ask("GET", "/" + std::string(9'000, 'x')) == 414);
        Rude_Client large(world.port());
        large.send("GET /large HTTP/1.1\r\nX-Large: " + std::string(20'000, 'x'));
        CHECK(large.receive().status == 431);
        auto const day = world.day().to_json();
        CHECK(day.at("event_types") == boost::json::object{{"other", 3},
                                                           {"api_call", 1},
                                                           {"asset", 1},
                                                           {"file_download", 1},
                                                           {"file_upload", 1},
                                                           {"page_view", 1}});
        CHECK(day.at("status_codes") == boost::json::object{{"200", 5}, {"404", 1}, {"414", 1}, {"431", 1}});
    }

    TEST_CASE("each request of a connection is recorded with its own agent, referrer and client") {
        auto options = with_mode(Recording_Mode::buffered);
        options.analytics.trusted_proxies = Trusted_Proxies::parse("127.0.0.0/8").value();
        World world(options);
        struct Visit {
            std::string path, headers, agent, referrer, client;
        };
        std::vector<Visit> const visits{
            {"/1", "User-Agent: curl/8\r\n", "curl", "", "127.0.0.1"},
            {"/2", "User-Agent: curl/8\r\n", "curl", "", "127.0.0.1"},
            {"/3", "User-Agent: Wget/1\r\n", "Wget", "", "127.0.0.1"},
            {"/4", "User-Agent: Wget/1\r\nX-Forwarded-For: 198.18.0.1\r\n", "Wget", "", "198.18.0.1"},
            {"/5", "User-Agent: Wget/1\r\nX-Forwarded-For: 198.18.0.2\r\n", "Wget", "", "198.18.0.2"},
            {"/6", "user-agent: Wget/1\r\nx-forwarded-for: 198.18.0.1\r\nX-Forwarded-For: 198.18.0.3\r\n", "Wget", "",
             "198.18.0.3"},
            {"/7", "Referer: https://www.a.example/x?y\r\nUser-Agent: Wget/1\r\n", "Wget", "a.example", "127.0.0.1"},
            {"/8", "Referer: https://b.example\r\nReferer: https://c.example\r\n", "", "b.example", "127.0.0.1"},
            {"/9", "", "", "", "127.0.0.1"}};
        world.analytics.prepare().value(); // so that no request is recorded on a thread apart
        std::string pipelined;
        Rude_Client other(world.port()); // where there are several connections they are told together
        Rude_Client client(world.port());
        for (auto const& visit : visits) {
            CHECK(client.get(visit.path, visit.headers).status == 404);
            pipelined += "GET " + visit.path + "0 HTTP/1.1\r\nHost: a\r\n" + visit.headers + "\r\n";
        }
        client.send(pipelined);
        for (std::size_t i = 0; i < visits.size(); ++i) {
            CHECK(client.receive().status == 404);
            CHECK(other.get("/").status == 200);
        }
        world.server.stop();
        world.cache.flush().value();
        auto const now = world.cache.clock()->now();
        std::map<std::string, std::string> stored; // by path
        for (auto const& event : testing::stored_events(world.memory))
            stored[testing::member(event, "path")] = event;
        auto const in_quotes = [](std::string const& text) { return text.empty() ? text : '"' + text + '"'; };
        for (auto const& visit : visits)
            for (auto const& path : {visit.path, visit.path + "0"}) {
                CAPTURE(path);
                auto const event = stored[in_quotes(path)];
                CHECK(testing::member(event, "user_agent_normalised") == in_quotes(visit.agent));
                CHECK(testing::member(event, "referrer_domain") == in_quotes(visit.referrer));
                CHECK(testing::member(event, "ip_hash") == in_quotes(world.analytics.visitor_hash(visit.client, now)));
            }
    }

    TEST_CASE("a connection that lasts beyond midnight is another visitor on the new day") {
        auto const clock = std::make_shared<Manual_Clock>(testing::time_at("2026-02-13T23:59:59"));
        auto options = with_mode(Recording_Mode::buffered);
        options.clock = clock;
        World world(options);
        world.analytics.prepare().value(); // both salts, so that no request is recorded on a thread apart
        Rude_Client client(world.port());
        CHECK(client.get("/evening").status == 404);
        CHECK(client.get("/evening").status == 404);
        testing::wait_until([&] { return world.counts().at("recorded") == 2; });
        clock->advance(1s);
        CHECK(client.get("/morning").status == 404);
        CHECK(client.get("/morning").status == 404);
        world.server.stop();
        world.cache.flush().value();
        auto const hash_at = [&](char const* time) {
            return '"' + world.analytics.visitor_hash("127.0.0.1", testing::time_at(time)) + '"';
        };
        CHECK(hash_at("2026-02-13T12:00") != hash_at("2026-02-14T12:00"));
        auto const events = testing::stored_events(world.memory);
        REQUIRE(events.size() == 4);
        for (auto const& event : events)
            CHECK(testing::member(event, "ip_hash") ==
                  hash_at(testing::member(event, "path") == R"("/evening")" ? "2026-02-13T12:00" : "2026-02-14T12:00"));
    }
}
