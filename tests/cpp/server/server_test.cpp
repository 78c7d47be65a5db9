// SPDX-License-Identifier: Apache-2.0
#include "server/fixture.hpp"
#include "support/printers.hpp"
#include "support/project_files.hpp"
#include "support/rude_client.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/server/stop_signals.hpp>

#include <boost/json.hpp>

#include <atomic>
#include <fcntl.h>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;
using testing::Fixture;
using testing::text_reply;

namespace {

/// Says what it was sent: enough to see that nothing was lost or mixed up.
auto echo(Request const& request) -> Response {
    return text_reply(request.method + " " + request.target + " " + request.body);
}

/// A file of zeros without a name, for answers larger than any buffer.
auto large_file(std::uint64_t size_bytes) -> Unique_Fd {
    Unique_Fd file(::open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
    REQUIRE(file);
    REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size_bytes)) == 0);
    return file;
}

} // namespace

TEST_SUITE("server/server") {
    TEST_CASE("what is told is what was sent") {
        Server_Options options;
        options.country_header = "X-Country";
        Fixture fixture(
            [](Request const&) {
                auto response = text_reply("hello");
                response.status = 201;
                response.route = "/things/{id}";
                return response;
            },
            options);
        auto const before = std::chrono::steady_clock::now();
        Rude_Client client(fixture.port());
        auto const reply =
            client.get("/things/7?q=1", "User-Agent: Agent/1\r\nReferer: https://other.example/p\r\nX-Country: PT\r\n"
                                        "X-Forwarded-For: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2\r\n");
        auto const told = fixture.told(1).front();
        auto const around_us =
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - before);

        CHECK(reply.status == 201);
        CHECK(reply.body == "hello");
        CHECK(reply.headers.value("Content-Type") == "text/plain");
        CHECK(!reply.headers.value("Date").empty());
        CHECK(told.status == 201);
        CHECK(told.content_bytes == 5);
        CHECK(told.duration_us >= 0);
        CHECK(told.duration_us <= around_us.count());
        CHECK(told.method == "GET");
        CHECK(told.target == "/things/7?q=1");
        CHECK(told.remote == "127.0.0.1");
        CHECK(told.forwarded_for == "10.0.0.1, 10.0.0.2");
        CHECK(told.user_agent == "Agent/1");
        CHECK(told.referrer == "https://other.example/p");
        CHECK(told.content_type == "text/plain");
        CHECK(told.country == "PT");
        CHECK(told.route == "/things/{id}");
    }

    TEST_CASE("requests of many connections at once are told one by one, each with its own words") {
        constexpr int connections = 100; // more than are told together
        Server_Options options;
        options.threads = 1;
        Fixture fixture(echo, options);
        std::vector<Rude_Client> clients;
        clients.reserve(connections);
        for (int i = 0; i < connections; ++i)
            clients.emplace_back(fixture.port());
        std::set<std::string> sent;
        for (int round = 0; round < 3; ++round) {
            for (int i = 0; i < connections; ++i) {
                auto const number = std::to_string(round * connections + i);
                // Words of several lengths, so that none fits into the place of another.
                auto const target = "/" + std::string(static_cast<std::size_t>(i % 7), 'x') + number;
                sent.insert(target + " agent-" + number);
                clients[static_cast<std::size_t>(i)].send(
                    "GET " + target + " HTTP/1.1\r\nHost: test\r\nUser-Agent: agent-" + number + "\r\n\r\n");
            }
            for (auto& client : clients)
                CHECK(client.receive().status == 200);
        }
        std::set<std::string> heard;
        for (auto const& told : fixture.told(3 * connections))
            heard.insert(told.target + " " + told.user_agent);
        CHECK(heard == sent);
    }

    TEST_CASE("the duration begins with the first byte of a request and ends with the last byte of its answer") {
        Fixture fixture([](Request const&) {
            std::this_thread::sleep_for(20ms);
            return text_reply("slow");
        });
        Rude_Client client(fixture.port());
        std::this_thread::sleep_for(30ms); // before the first byte: not counted
        auto const before = std::chrono::steady_clock::now();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        CHECK(client.receive().status == 100); // so the request has begun
        std::this_thread::sleep_for(20ms);
        client.send("x");
        CHECK(client.receive().status == 200);
        auto const told = fixture.told(1).front();
        auto const around = std::chrono::steady_clock::now() - before;
        CHECK(told.duration_us >= 40'000);
        CHECK(told.duration_us <= std::chrono::duration_cast<std::chrono::microseconds>(around).count());
    }

    TEST_CASE("a handler that throws is told as the 500 that was sent, and says nothing of why") {
        std::string logged;
        Server_Options options;
        options.log = [&](std::string_view text) { logged = text; };
        Fixture fixture([](Request const&) -> Response { throw std::runtime_error("secret"); }, options);
        Rude_Client client(fixture.port());
        auto const reply = client.get("/");
        auto const told = fixture.told(1).front();
        CHECK(reply.status == 500);
        CHECK(reply.body.find("secret") == std::string::npos);
        CHECK(reply.body.find("\"code\":\"internal\"") != std::string::npos);
        CHECK(told.status == 500);
        CHECK(told.content_bytes == reply.body.size());
        CHECK(logged.find("secret") != std::string::npos);
        CHECK(client.get("/").status == 500); // and the connection lives on
    }

    TEST_CASE("a handler cannot smuggle header lines or lengths") {
        for (Headers::Line const& line : {Headers::Line{"X-A", "b\r\nSet-Cookie: c"},
                                          {"X-A\r\nX-B", "c"},
                                          {"Content-Length", "1"},
                                          {"connection", "close"},
                                          {"X A", "b"},
                                          {"", "b"},
                                          {"X-A", std::string(1, '\0')}}) {
            CAPTURE(line.name);
            Fixture fixture([&](Request const&) {
                auto response = text_reply("x");
                response.headers.add(line.name, line.value);
                return response;
            });
            CHECK(Rude_Client(fixture.port()).get("/").status == 500);
        }
        Fixture fixture([](Request const&) {
            auto response = text_reply("x");
            response.status = 99;
            return response;
        });
        CHECK(Rude_Client(fixture.port()).get("/").status == 500);
    }

    TEST_CASE("an observer that throws costs the request nothing") {
        auto server = Server::start({}, echo, [](Request_View const&) { throw std::runtime_error("full"); }).value();
        Rude_Client client(server.address().port);
        CHECK(client.get("/a").body == "GET /a ");
        CHECK(client.get("/b").body == "GET /b ");
    }

    TEST_CASE("a body over the limit is 413 and names the limit, also when it comes in chunks") {
        Server_Options options;
        options.body_limit_bytes = 10;
        Fixture fixture(echo, options);
        std::string const post = "POST / HTTP/1.1\r\nHost: test\r\n";

        Rude_Client fits(fixture.port());
        fits.send(post + "Content-Length: 10\r\n\r\n0123456789");
        CHECK(fits.receive().body == "POST / 0123456789");
        CHECK(fixture.told(1)[0].status == 200);

        Rude_Client announced(fixture.port());
        announced.send(post + "Content-Length: 11\r\n\r\n");
        auto const reply = announced.receive();
        CHECK(reply.status == 413);
        CHECK(reply.body.find("limit of 10 bytes") != std::string::npos);
        CHECK(reply.body.find("\"too_large\"") != std::string::npos);
        CHECK(announced.is_closed());
        auto const told = fixture.told(2)[1];
        CHECK(told.status == 413);
        CHECK(told.content_bytes == reply.body.size());
        CHECK(told.method == "POST");

        Rude_Client chunked(fixture.port());
        chunked.send(post + "Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n");
        chunked.send("012345\r\n0\r\n\r\n");
        CHECK(chunked.receive().status == 413);
        CHECK(fixture.told(3)[2].status == 413);
    }

    TEST_CASE("a refused upload is not reset while the client still sends, as its answer could get lost") {
        Server_Options options;
        options.body_limit_bytes = 10;
        Fixture fixture(echo, options);
        Rude_Client client(fixture.port());
        std::string const megabytes(4 * 1024 * 1024, 'x');
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4194304\r\n\r\n");
        CHECK(client.send(megabytes));
        CHECK(client.receive().status == 413);
        CHECK(client.is_closed());
    }

    TEST_CASE("headers over the limit are 431 and name the limit") {
        Fixture fixture(echo);
        Rude_Client many(fixture.port());
        many.send("GET /many HTTP/1.1\r\nHost: test\r\n");
        for (int i = 0; i < 1'000; ++i)
            many.send("X-" + std::to_string(i) + ": some value or other\r\n");
        CHECK(many.receive().status == 431);
        CHECK(fixture.told(1)[0].status == 431);
        CHECK(fixture.told(1)[0].method == "GET");
        CHECK(fixture.told(1)[0].target == "/many");

        Rude_Client headers(fixture.port());
        headers.send("GET /path HTTP/1.1\r\nHost: test\r\nX-Secret: " + std::string(17'000, 'a') + "\r\n\r\n");
        auto const reply = headers.receive();
        CHECK(reply.status == 431);
        CHECK(reply.body.find("16384 bytes") != std::string::npos);
        CHECK(fixture.told(2)[1].status == 431);
        CHECK(fixture.told(2)[1].target == "/path");

        Rude_Client fits(fixture.port());
        CHECK(fits.get("/", "X-Long: " + std::string(15'000, 'a') + "\r\n").status == 200);
    }

    TEST_CASE("what is not HTTP/1.1 is 400, told, and not repeated") {
        std::vector<std::string> const garbage{
            "secret\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: test\r\nsecret\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: secret\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)};
        Fixture fixture(echo);
        for (auto const& bytes : garbage) {
            CAPTURE(bytes);
            Rude_Client client(fixture.port());
            client.send(bytes);
            client.shut_down_sending();
            auto const reply = client.receive();
            CHECK(reply.status == 400);
            CHECK(reply.body.find("\"invalid_argument\"") != std::string::npos);
            CHECK(reply.body.find("secret") == std::string::npos);
            CHECK(client.is_closed());
        }
        for (auto const& told : fixture.told(garbage.size()))
            CHECK(told.status == 400);
    }

    TEST_CASE("what a proxy in front may read in another way is refused, and what follows it is never a request") {
        std::string const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        auto const post = [](std::string const& lines) { return "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n"; };
        std::vector<std::string> const shapes{
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n",
            post("Content-Length: 5\r\nContent-Length: 5\r\n") + "abcde",
            post("Content-Length: 5, 5\r\n") + "abcde",
            post("Content-Length: +5\r\n") + "abcde",
            post("Content-Length: 0x5\r\n") + "abcde",
            post("Content-Length: 18446744073709551621\r\n") + "abcde", // 5 in 64 bits
            post("Transfer-Encoding: gzip\r\n"),
            post("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n",
            post("Transfer-Encoding: chunked, chunked\r\n"),
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + "0\r\n\r\n",
            post("Transfer-Encoding: \x0b"
                 "chunked\r\n") +
                "0\r\n\r\n",
            post("Transfer-Encoding : chunked\r\n"),
            post("Content-Length : 5\r\n"),
            post("X-Folded: a\r\n b\r\n"),
            post("X-Folded: a\r\n\tTransfer-Encoding: chunked\r\n"),
            post(" X-Folded: at once\r\n"),
            "POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\nContent-Length: 0\r\n\r\n",
            post("X-Bare: a\rContent-Length: 5\r\n"),
            post(std::string("X-Nul: a\0b\r\n", 13)),
            post("X-Bell: \a\r\n"),
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "POST / http/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
            "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        std::atomic<int> handled{0};
        Fixture fixture([&](Request const& request) {
            ++handled;
            return echo(request);
        });
        for (auto const& shape : shapes) {
            CAPTURE(shape);
            Rude_Client client(fixture.port());
            client.send(shape + smuggled);
            CHECK(client.receive().status == 400);
            CHECK(client.is_closed());
        }
        CHECK(handled == 0);
        CHECK(fixture.told(shapes.size()).size() == shapes.size());
    }

    TEST_CASE("a refusal among requests sent ahead loses no answer before it and is the last") {
        Fixture fixture(echo);
        for (std::string const wrong : {"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", "nonsense\r\n\r\n",
                                        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
            CAPTURE(wrong);
            Rude_Client client(fixture.port());
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb" +
                        wrong + "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
            CHECK(client.receive().body == "GET /1 ");
            CHECK(client.receive().body == "POST /2 b");
            auto const last = client.receive();
            CHECK(last.status == 400);
            CHECK(last.headers.value("Connection") == "close");
            CHECK(client.is_closed());
        }
        CHECK(fixture.told(9).size() == 9);
    }

    TEST_CASE("a target over its limit is 414 and names the limit, whole or not") {
        Server_Options options;
        options.target_limit_bytes = 100;
        Fixture fixture(echo, options);
        Rude_Client whole(fixture.port());
        whole.send("GET /" + std::string(100, 'a') + " HTTP/1.1\r\nHost: test\r\n\r\n");
        auto const reply = whole.receive();
        CHECK(reply.status == 414);
        CHECK(reply.body.find("limit of 100 bytes (target_limit)") != std::string::npos);
        CHECK(whole.is_closed());
        CHECK(fixture.told(1)[0].target == "/" + std::string(100, 'a'));

        Rude_Client endless(fixture.port());
        endless.send("GET /" + std::string(20'000, 'a'));
        CHECK(endless.receive().status == 414);
        CHECK(fixture.told(2)[1].method == "GET");

        CHECK(Rude_Client(fixture.port()).get("/" + std::string(99, 'a')).status == 200);
        CHECK(options.counters->of(Refusal::target_too_long) == 2);
    }

    TEST_CASE("a client that speaks TLS is told at once that this is not a place for it") {
        Server_Options options;
        options.request_timeout = options.idle_timeout = 1h;
        Fixture fixture(echo, options);
        Rude_Client client(fixture.port());
        client.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)); // and waits
        CHECK(client.receive().status == 400);
        CHECK(client.is_closed());
        CHECK(fixture.told(1)[0].method.empty());
    }

    TEST_CASE("trailers are read and are no headers, as they come after all that was decided by headers") {
        Fixture fixture([](Request const& request) {
            return text_reply(request.body + "|" + std::string(request.headers.value("X-API-Key")));
        });
        Rude_Client client(fixture.port());
        std::string const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(head + "3;name=value\r\nabc\r\n0\r\nX-API-Key: secret\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
        CHECK(client.receive().body == "abc|");
        CHECK(fixture.told(1)[0].forwarded_for.empty());
        CHECK(client.get("/").status == 200);
    }

    TEST_CASE("broken chunks are refused") {
        std::string const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        std::vector<std::string> const bodies{"\r\n",
                                              "-1\r\na\r\n",
                                              "g\r\n",
                                              "3\r\nabcd\r\n0\r\n\r\n",
                                              "3 \r\nabc\r\n0\r\n\r\n",
                                              "0x3\r\nabc\r\n0\r\n\r\n",
                                              "3\nabc\r\n0\r\n\r\n",
                                              "10000000000000003\r\nabc\r\n0\r\n\r\n",
                                              "0\r\nno colon\r\n\r\n",
                                              "0\r\nContent-Length: 5\r\n\r\n"};
        Fixture fixture(echo);
        for (auto const& body : bodies) {
            CAPTURE(body);
            Rude_Client client(fixture.port());
            client.send(head + body);
            client.shut_down_sending();
            CHECK(client.receive().status == 400);
            CHECK(client.is_closed());
        }
    }

    TEST_CASE("what stands around chunks is limited as headers are") {
        std::string const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        Fixture fixture(echo);
        for (std::string const begin : {"3;", "0;", "0\r\nX-Trailer: ", "0\r\n"}) {
            CAPTURE(begin);
            Rude_Client client(fixture.port());
            client.send(head + begin);
            bool const is_lines = begin == "0\r\n";
            for (int i = 0; i < 2'000; ++i)
                client.send(is_lines ? "X-Line: 3456789\r\n" : "a=23456789;");
            CHECK(client.receive().status == 431);
        }
        CHECK(fixture.told(4).size() == 4);
    }

    TEST_CASE("methods and targets that are about no path") {
        Fixture fixture(echo);
        Rude_Client client(fixture.port());
        client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(client.receive().status == 204);
        client.send("CONNECT other.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n");
        CHECK(client.receive().status == 405);
        client.send("BREW http://test/pot?a=b HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(client.receive().body == "BREW http://test/pot?a=b ");
        client.send("\r\n"); // as old clients did after a body
        CHECK(client.get("/").status == 200);
    }

    TEST_CASE("an offer to speak another protocol is not taken, and its body stays a body") {
        Fixture fixture(echo);
        Rude_Client client(fixture.port());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\n");
        CHECK(client.receive().body == "POST / GET /smuggled HTTP/1.1\r\n");
        CHECK(client.get("/next").body == "GET /next ");
    }

    TEST_CASE("a request that does not arrive in time is 408") {
        Server_Options options;
        options.request_timeout = 50ms;
        Fixture fixture(echo, options);
        Rude_Client client(fixture.port());
        client.send("GET /late HTTP/1.1\r\n");
        auto const reply = client.receive();
        CHECK(reply.status == 408);
        CHECK(reply.body.find("\"timed_out\"") != std::string::npos);
        CHECK(client.is_closed());
        CHECK(fixture.told(1).front().status == 408);
        CHECK(fixture.told(1).front().target == "/late");
    }

    TEST_CASE("headers that come one byte after the other have no more time than others") {
        Server_Options options;
        options.request_timeout = 100ms;
        Fixture fixture(echo, options);
        Rude_Client client(fixture.port());
        std::string const slow = "GET /slow HTTP/1.1\r\nX-Slow: " + std::string(10'000, 'a');
        for (std::size_t i = 0; i < slow.size() && fixture.server_counters().of(Refusal::timed_out) == 0; ++i) {
            client.send(slow.substr(i, 1));
            std::this_thread::sleep_for(1ms);
        }
        CHECK(client.receive().status == 408);
        CHECK(fixture.told(1)[0].target == "/slow");
    }

    TEST_CASE("a body has the more time the more of it has come, and only as much") {
        Server_Options options;
        options.request_timeout = 100ms;
        std::string const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
        SUBCASE("fast enough on average") {
            options.least_bytes_per_second = 1;
            Fixture fixture(echo, options);
            Rude_Client client(fixture.port());
            client.send(head + std::string(999, 'a'));
            std::this_thread::sleep_for(300ms);
            client.send("a");
            CHECK(client.receive().status == 200);
        }
        SUBCASE("one byte after the other") {
            options.least_bytes_per_second = 1'000'000'000;
            Fixture fixture(echo, options);
            Rude_Client client(fixture.port());
            client.send(head);
            for (int i = 0; i < 999 && fixture.server_counters().of(Refusal::timed_out) == 0; ++i) {
                client.send("a");
                std::this_thread::sleep_for(1ms);
            }
            CHECK(client.receive().status == 408);
            CHECK(client.is_closed());
        }
    }

    TEST_CASE("a client that takes nothing, or too little, of its answer is left, and what it got is told") {
        std::uint64_t const size = 64 * 1024 * 1024;
        Server_Options options;
        options.least_bytes_per_second = 1'000'000'000'000;
        bool reads = false;
        SUBCASE("nothing") {
            options.idle_timeout = 100ms;
            options.request_timeout = 1h;
        }
        SUBCASE("too little") {
            options.idle_timeout = 1h;
            options.request_timeout = 100ms;
            reads = true;
        }
        Fixture fixture(
            [&](Request const&) {
                auto response = text_reply("");
                response.body = File_Part{large_file(size), 0, size};
                return response;
            },
            options);
        Rude_Client client(fixture.port(), 4096);
        client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
        for (int i = 0; reads && i < 10'000 && options.counters->stalled == 0; ++i) {
            client.skip_some();
            std::this_thread::sleep_for(1ms);
        }
        auto const told = fixture.told(1)[0];
        CHECK(told.status == 200);
        CHECK(told.content_bytes < size);
        testing::wait_until([&] { return options.counters->stalled == 1; }); // it is counted after it was told
    }

    TEST_CASE("an idle connection is closed without a word and is not a request") {
        Server_Options options;
        options.idle_timeout = 50ms;
        Fixture fixture(echo, options);
        Rude_Client silent(fixture.port());
        CHECK(silent.is_closed());
        Rude_Client kept(fixture.port());
        kept.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(kept.receive().status == 200);
        CHECK(kept.is_closed());
        CHECK(fixture.told(1).size() == 1);
        CHECK(options.counters->idle_closed == 2);
    }

    TEST_CASE("HEAD has the length and not the body") {
        Fixture fixture([](Request const&) { return text_reply("hello"); });
        Rude_Client client(fixture.port());
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        auto const reply = client.receive("HEAD");
        CHECK(reply.headers.value("Content-Length") == "5");
        CHECK(client.get("/").body == "hello"); // had a body followed, this answer would begin with it
        CHECK(fixture.told(2)[0].content_bytes == 0);
        CHECK(fixture.told(2)[1].content_bytes == 5);
    }

    TEST_CASE("204 and 304 have neither body nor length") {
        std::atomic<int> status{204};
        Fixture fixture([&](Request const&) {
            auto response = text_reply("never");
            response.status = status;
            return response;
        });
        Rude_Client client(fixture.port());
        for (int const code : {204, 304}) {
            status = code;
            auto const reply = client.get("/");
            CHECK(reply.status == code);
            CHECK(reply.headers.value("Content-Length").empty());
        }
        status = 200;
        CHECK(client.get("/").body == "never");
        CHECK(fixture.told(3)[1].content_bytes == 0);
    }

    TEST_CASE("a connection is kept or closed as the client asks") {
        Fixture fixture(echo);
        Rude_Client kept(fixture.port());
        CHECK(kept.get("/1").body == "GET /1 ");
        CHECK(kept.get("/2").headers.value("Connection").empty());
        auto const last = kept.get("/3", "Connection: close\r\n");
        CHECK(last.headers.value("Connection") == "close");
        CHECK(kept.is_closed());

        Rude_Client old(fixture.port());
        old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        CHECK(old.receive().headers.value("Connection") == "keep-alive");
        old.send("GET / HTTP/1.0\r\n\r\n");
        CHECK(old.receive().headers.value("Connection") == "close");
        CHECK(old.is_closed());
    }

    TEST_CASE("requests sent ahead are answered in order, however they are cut into packets") {
        Fixture fixture(echo);
        std::string requests;
        for (int i = 0; i < 20; ++i) {
            requests += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
        }
        for (std::size_t const cut : {requests.size(), std::size_t{7}}) {
            Rude_Client client(fixture.port());
            for (std::size_t at = 0; at < requests.size(); at += cut)
                client.send(requests.substr(at, cut));
            for (int i = 0; i < 20; ++i)
                CHECK(client.receive().body == "POST /" + std::to_string(i) + " abc");
        }
        CHECK(fixture.told(40).size() == 40);
    }

    TEST_CASE("a body in chunks arrives whole") {
        Fixture fixture(echo);
        Rude_Client client(fixture.port());
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2");
        client.send("\r\nde\r\n0\r\n\r\n");
        CHECK(client.receive().body == "POST / abcde");
        CHECK(client.get("/next").body == "GET /next ");
    }

    TEST_CASE("a client that waits for leave to send its body gets it, or the refusal at once") {
        Server_Options options;
        options.body_limit_bytes = 10;
        Fixture fixture(echo, options);
        Rude_Client client(fixture.port());
        client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        CHECK(client.receive().status == 100);
        client.send("abc");
        CHECK(client.receive().body == "POST / abc");
        client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
        CHECK(client.receive().status == 413);
    }

    TEST_CASE("a client that has finished sending still gets its answers") {
        Fixture fixture(echo);
        Rude_Client client(fixture.port());
        client.send("GET /1 HTTP/1.1\r\nHost: test\r\n\r\nGET /2 HTTP/1.1\r\nHost: test\r\n\r\n");
        client.shut_down_sending();
        CHECK(client.receive().body == "GET /1 ");
        CHECK(client.receive().body == "GET /2 ");
        CHECK(client.is_closed());
        CHECK(fixture.told(2).size() == 2);
    }

    TEST_CASE("slow clients hold nobody up, not even on a single thread") {
        Server_Options options;
        options.threads = 1;
        std::uint64_t const size = 64 * 1024 * 1024;
        Fixture fixture(
            [&](Request const& request) {
                if (request.target != "/large")
                    return echo(request);
                auto response = text_reply("");
                response.body = File_Part{large_file(size), 0, size};
                return response;
            },
            options);
        Rude_Client half(fixture.port());
        half.send("GET /half HTT");
        Rude_Client deaf(fixture.port(), 4096);
        deaf.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n"); // and reads nothing
        CHECK(Rude_Client(fixture.port()).get("/quick").body == "GET /quick ");
        half.send("P/1.1\r\nHost: test\r\n\r\n");
        CHECK(half.receive().body == "GET /half ");
        CHECK(fixture.told(2).size() == 2);
        deaf.vanish();
        CHECK(fixture.told(3)[2].target == "/large");
    }

    TEST_CASE("large files arrive whole, and a client that goes away is told with the bytes that went out") {
        std::uint64_t const size = 32 * 1024 * 1024 + 1;
        Fixture fixture([&](Request const&) {
            auto response = text_reply("");
            response.body = File_Part{large_file(size + 5), 5, size};
            return response;
        });
        Rude_Client patient(fixture.port());
        CHECK(patient.get("/whole").body == std::string(size, '\0'));
        CHECK(fixture.told(1)[0].content_bytes == size);

        Rude_Client gone(fixture.port(), 4096);
        gone.send("GET /part HTTP/1.1\r\nHost: test\r\n\r\n");
        std::this_thread::sleep_for(20ms); // some bytes may go out: any number below the whole is right
        gone.vanish();
        auto const told = fixture.told(2)[1];
        CHECK(told.status == 200);
        CHECK(told.content_bytes < size);
    }

    TEST_CASE("a file that became shorter ends the connection instead of inventing bytes") {
        Fixture fixture([](Request const&) {
            auto response = text_reply("");
            response.body = File_Part{large_file(100'000), 0, 200'000};
            return response;
        });
        Rude_Client client(fixture.port());
        auto const reply = client.get("/");
        CHECK(reply.headers.value("Content-Length") == "200000");
        CHECK(reply.body.size() == 100'000);
        CHECK(client.is_closed());
        CHECK(fixture.told(1)[0].content_bytes == 100'000);
    }

    TEST_CASE("when all places are taken, the address that has most of them loses the one that waits longest") {
        Server_Options options;
        options.threads = 1;
        options.max_connections = 4;
        options.idle_timeout = 1h;
        Fixture fixture(echo, options);
        Rude_Client modest(fixture.port(), 0, "127.0.0.2"); // the oldest of all
        CHECK(modest.get("/modest").status == 200);
        std::vector<std::unique_ptr<Rude_Client>> greedy;
        for (int i = 0; i < 3; ++i) {
            greedy.push_back(std::make_unique<Rude_Client>(fixture.port(), 0, "127.0.0.3"));
            CHECK(greedy.back()->get("/greedy").status == 200);
        }
        CHECK(greedy[0]->get("/greedy").status == 200); // so that the second waits longest

        Rude_Client newcomer(fixture.port(), 0, "127.0.0.4");
        CHECK(newcomer.get("/new").status == 200);
        CHECK(greedy[1]->is_closed());
        Rude_Client again(fixture.port(), 0, "127.0.0.3");
        CHECK(again.get("/again").status == 200);
        CHECK(greedy[2]->is_closed());
        CHECK(modest.get("/modest").status == 200);
        CHECK(newcomer.get("/new").status == 200);
        CHECK(greedy[0]->get("/greedy").status == 200);
        CHECK(options.counters->crowded_out == 2);
        CHECK(options.counters->open == 4);
        CHECK(options.counters->accepted == 6);
    }

    TEST_CASE("a request that has to give way is answered and told") {
        Server_Options options;
        options.threads = 1;
        options.max_connections = 1;
        Fixture fixture(echo, options);
        Rude_Client half(fixture.port());
        half.send("POST /half HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        CHECK(half.receive().status == 100);
        Rude_Client whole(fixture.port());
        CHECK(whole.get("/whole").status == 200);
        CHECK(half.receive().status == 503);
        CHECK(half.is_closed());
        auto const told = fixture.told(2);
        CHECK(told[0].status + told[1].status == 703);
        CHECK(told[0].target.size() + told[1].target.size() == std::string("/half/whole").size());
        CHECK(options.counters->of(Refusal::crowded_out) == 1);
    }

    TEST_CASE("a connection lends its memo, and is not gone before its last request is told of") {
        Server_Options options;
        options.threads = 1;
        options.max_connections = 1;
        std::atomic<bool> was_lent{false};
        std::atomic<std::uint64_t> open{0};
        auto const server = Server::start(
                                {}, echo,
                                [&](Request_View const& view) {
                                    if (view.target != "/half")
                                        return;
                                    was_lent = view.memo != nullptr;
                                    open = options.counters->open.load();
                                },
                                options)
                                .value();
        Rude_Client half(server.address().port);
        half.send("POST /half HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        CHECK(half.receive().status == 100);
        Rude_Client other(server.address().port); // takes its place
        CHECK(other.get("/other").status == 200);
        CHECK(half.receive().status == 503);
        testing::wait_until([&] { return open != 0; });
        CHECK(open == 2);
        CHECK(was_lent);
    }

    TEST_CASE("bodies that come in take no more memory together than they may, at the cost of the largest crowd") {
        Server_Options options;
        options.threads = 1;
        options.body_limit_bytes = 10;
        options.bodies_limit_bytes = 25;
        Fixture fixture(echo, options);
        std::string const head = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
        std::vector<std::unique_ptr<Rude_Client>> clients;
        for (int i = 0; i < 3; ++i) {
            auto& client = *clients.emplace_back(std::make_unique<Rude_Client>(fixture.port()));
            client.send(head);
            CHECK(client.receive().status == 100);
            client.send("123456789"); // never whole; the third makes 27
        }
        CHECK(clients[0]->receive().status == 503);
        CHECK(clients[0]->is_closed());
        clients[1]->send("0");
        CHECK(clients[1]->receive().body == "POST / 1234567890");
        clients[2]->send("0");
        CHECK(clients[2]->receive().body == "POST / 1234567890");
    }

    TEST_CASE("a server without free descriptors makes room instead of going deaf") {
        Server_Options options;
        options.threads = 1;
        options.idle_timeout = 1h;
        Fixture fixture(echo, options);
        Rude_Client old(fixture.port());
        CHECK(old.get("/old").status == 200);
        auto const next_free = Unique_Fd(::dup(0)).get();
        rlimit before{};
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit const only_the_client{static_cast<rlim_t>(next_free) + 1, before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &only_the_client) == 0);
        Rude_Client fresh(fixture.port());
        CHECK(fresh.get("/fresh").status == 200);
        CHECK(old.is_closed());
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        CHECK(options.counters->failed_accepts > 0);
        CHECK(options.counters->crowded_out == 1);
    }

    TEST_CASE("stop lets a request end that is being handled, and frees the port") {
        std::promise<void> entered;
        std::promise<void> leave;
        Fixture fixture([&](Request const& request) {
            entered.set_value();
            leave.get_future().wait();
            return echo(request);
        });
        Rude_Client busy(fixture.port());
        busy.send("GET /long HTTP/1.1\r\nHost: test\r\n\r\n");
        entered.get_future().wait();

        std::thread stopper([&] { fixture.server().stop(); });
        leave.set_value();
        CHECK(busy.receive().body == "GET /long ");
        stopper.join();
        CHECK(busy.is_closed());
        CHECK(fixture.told(1)[0].status == 200);
        fixture.server().stop(); // again: nothing

        CHECK(Server::start({"127.0.0.1", fixture.port()}, echo, {}).has_value());
    }

    TEST_CASE("stop closes idle connections at once and lets a request end that is still coming in") {
        Server_Options options;
        options.threads = 1;
        options.idle_timeout = options.stop_timeout = options.request_timeout = 1h; // none of them ends this test
        Fixture fixture(echo, options);
        Rude_Client idle(fixture.port());
        CHECK(idle.get("/idle").status == 200);
        Rude_Client half(fixture.port());
        half.send("POST /half HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        CHECK(half.receive().status == 100);

        std::thread stopper([&] { fixture.server().stop(); });
        CHECK(idle.is_closed()); // so the server has begun to stop
        half.send("abcGET /more HTTP/1.1\r\nHost: test\r\n\r\n");
        auto const reply = half.receive();
        CHECK(reply.body == "POST /half abc");
        CHECK(reply.headers.value("Connection") == "close");
        CHECK(half.is_closed());
        stopper.join();
        CHECK(fixture.told(2)[1].status == 200);
    }

    TEST_CASE("stop breaks off an answer that is never taken, once its time is over") {
        Server_Options options;
        options.stop_timeout = 50ms;
        options.idle_timeout = 1h;
        std::uint64_t const size = 64 * 1024 * 1024;
        std::promise<void> entered;
        Fixture fixture(
            [&](Request const&) {
                auto response = text_reply("");
                response.body = File_Part{large_file(size), 0, size};
                entered.set_value();
                return response;
            },
            options);
        Rude_Client deaf(fixture.port(), 4096);
        deaf.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
        entered.get_future().wait();
        fixture.server().stop();
        CHECK(fixture.told(1)[0].content_bytes < size);
    }

    TEST_CASE("stop answers the requests of clients that the system had already connected") {
        std::promise<void> entered;
        std::promise<void> leave;
        Server_Options options;
        options.threads = 1;
        options.idle_timeout = options.stop_timeout = options.request_timeout = 1h;
        Fixture fixture(
            [&](Request const& request) {
                if (request.target == "/long") {
                    entered.set_value();
                    leave.get_future().wait();
                }
                return echo(request);
            },
            options);
        Rude_Client busy(fixture.port());
        Rude_Client kept(fixture.port());
        CHECK(kept.get("/kept").status == 200);
        busy.send("GET /long HTTP/1.1\r\nHost: test\r\n\r\n");
        entered.get_future().wait();
        kept.send("GET /kept HTTP/1.1\r\nHost: test\r\n\r\n");
        Rude_Client waiting(fixture.port());
        waiting.send("GET /waiting HTTP/1.1\r\nHost: test\r\n\r\n");
        Rude_Client silent(fixture.port());

        std::thread stopper([&] { fixture.server().stop(); });
        leave.set_value();
        CHECK(busy.receive().body == "GET /long ");
        CHECK(kept.receive().body == "GET /kept ");
        CHECK(waiting.receive().body == "GET /waiting ");
        CHECK(silent.is_closed());
        for (auto* const client : {&busy, &kept, &waiting})
            CHECK(client->is_closed());
        stopper.join();
        CHECK(fixture.told(4).size() == 4);
    }

    TEST_CASE("an observer that waits holds no request up, and what it could not take is counted") {
        std::promise<void> storage_is_back;
        auto const back = storage_is_back.get_future().share();
        std::atomic<int> heard{0};
        std::mutex mutex;
        std::set<std::string> targets;
        auto const clock = std::make_shared<Manual_Clock>(from_millis(1'770'991'509'000));
        Server_Options options;
        options.threads = 1;
        options.observer_may_wait = [] { return true; };
        options.observer_queue_bytes = 16'000;
        options.clock = clock;
        auto server = Server::start(
                          {}, echo,
                          [&](Request_View const& view) {
                              back.wait();
                              std::lock_guard const lock(mutex);
                              ++heard;
                              targets.emplace(view.target);
                              CHECK(view.user_agent == "Agent/1");
                              CHECK(view.memo == nullptr); // its connection goes on meanwhile
                              CHECK(view.timestamp == from_millis(1'770'991'509'000));
                          },
                          options)
                          .value();
        Rude_Client client(server.address().port);
        unsigned const requests = 200; // more than there is room for
        for (unsigned i = 0; i < requests; ++i)
            CHECK(client.get("/" + std::to_string(i), "User-Agent: Agent/1\r\n").status == 200);
        CHECK(client.get("/last", "Connection: close\r\n").status == 200);
        CHECK(client.is_closed()); // so all have been told of
        CHECK(heard == 0);
        CHECK(options.counters->unrecorded > 1);
        clock->advance(std::chrono::hours(1)); // a request belongs to the time when it was answered
        storage_is_back.set_value();
        server.stop();
        CHECK(heard > 8);
        CHECK(targets.size() == static_cast<std::size_t>(heard));
        CHECK(static_cast<std::uint64_t>(heard) + options.counters->unrecorded == requests + 1U);
    }

    TEST_CASE("an observer can be heard before the last byte of an answer leaves, and holds no other client up") {
        std::promise<void> flushed;
        Server_Options options;
        options.threads = 1;
        options.observe_before_end = true;
        std::atomic<std::uint64_t> told_bytes{0};
        auto server = Server::start(
                          {},
                          [](Request const& request) {
                              auto response = echo(request);
                              if (request.target == "/none")
                                  response.status = 204;
                              return response;
                          },
                          [&](Request_View const& view) {
                              if (view.target != "/slow" && view.target != "/none")
                                  return;
                              told_bytes = view.content_bytes;
                              flushed.get_future().wait();
                          },
                          options)
                          .value();
        for (std::string const target : {"/slow", "/none"}) {
            flushed = std::promise<void>();
            Rude_Client slow(server.address().port);
            auto reply = std::async(std::launch::async, [&] { return slow.get(target); });
            CHECK(Rude_Client(server.address().port).get("/quick").body == "GET /quick ");
            CHECK(reply.wait_for(20ms) == std::future_status::timeout); // its end waits for the observer
            flushed.set_value();
            auto const whole = reply.get();
            CHECK(whole.status == (target == "/slow" ? 200 : 204));
            CHECK(told_bytes == whole.body.size());
            CHECK(slow.get("/more").body == "GET /more ");
        }
    }

    TEST_CASE("a log that throws costs the request nothing") {
        Server_Options options;
        options.log = [](std::string_view) { throw std::runtime_error("full"); };
        Fixture fixture([](Request const&) -> Response { throw 1; }, options);
        Rude_Client client(fixture.port());
        CHECK(client.get("/a").status == 500);
        CHECK(client.get("/b").status == 500);
    }

    TEST_CASE("the counters are shown by name") {
        Server_Counters counters;
        counters.open = 1;
        counters.of(Refusal::timed_out) = 2;
        CHECK(
            boost::json::serialize(counters.to_json()) ==
            R"({"connections":{"open":1,"accepted":0,"idle_closed":0,"stalled":0,"crowded_out":0,"failed_accepts":0},)"
            R"("requests":{"answered":0,"refused":{"malformed":0,"target_too_long":0,"headers_too_large":0,)"
            R"("body_too_large":0,"timed_out":2,"crowded_out":0},"unrecorded":0}})");
    }

    TEST_CASE("a port in use is an error that names the address and the option") {
        Fixture fixture(echo);
        auto const taken = Server::start({"127.0.0.1", fixture.port(), "--public"}, echo, {});
        REQUIRE(taken.has_error());
        CHECK(taken.error().code == Errc::unavailable);
        CHECK(taken.error().context == "127.0.0.1:" + std::to_string(fixture.port()) +
                                           " (--public) is in use by another program: stop it or choose another port.");
        CHECK(Server::start({"192.0.2.1", 0, "--admin"}, echo, {}).error().code == Errc::invalid_argument);
    }

    TEST_CASE("static files go through sockets with their ranges") {
        auto const files = Static_Files::open(testing::project_folder() + "/tests/cpp/server").value();
        Fixture fixture(files);
        Rude_Client client(fixture.port());
        auto const whole = client.get("/server_test.cpp");
        CHECK(whole.status == 200);
        CHECK(whole.body.starts_with("// SPDX"));
        auto const part = client.get("/server_test.cpp", "Range: bytes=3-6\r\n");
        CHECK(part.status == 206);
        CHECK(part.body == "SPDX");
        CHECK(client.get("/%2e%2e%2fserver/server_test.cpp").status == 404);
        CHECK(client.get("/../server/server_test.cpp").status == 404);
        client.send("PUT /server_test.cpp HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
        CHECK(client.receive().status == 405);
        CHECK(fixture.told(5)[1].content_bytes == 4);
    }
}

TEST_SUITE("server/listen_address") {
    TEST_CASE("addresses are read as they are written") {
        for (std::string const text : {"127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0", "[::]:65535"}) {
            CAPTURE(text);
            auto const address = parse_listen_address(text, "--public").value();
            CHECK(address.value().str() == text);
            CHECK(address->option == "--public");
        }
        CHECK(parse_listen_address("localhost:80", "--public").value()->str() == "127.0.0.1:80");
        CHECK(!parse_listen_address("off", "--public").value().has_value());
    }

    TEST_CASE("anything else is refused with the option and an example") {
        for (std::string const text :
             {"", ":", ":8080", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
              "::1:8080", "[::1]", "[127.0.0.1]:80", "example.org:80", "Off", "[]:80"}) {
            CAPTURE(text);
            auto const address = parse_listen_address(text, "--admin");
            REQUIRE(address.has_error());
            CHECK(address.error().code == Errc::invalid_argument);
            CHECK(address.error().context.starts_with("--admin takes "));
            CHECK(address.error().context.find("127.0.0.1:8080") != std::string::npos);
        }
    }
}

TEST_SUITE("server/stop_signals") {
    TEST_CASE("a signal that came before anybody waits is not lost, and the second one is not held back") {
        sigset_t held{};
        {
            Stop_Signals signals;
            ::kill(::getpid(), SIGTERM);
            CHECK(signals.wait() == SIGTERM);
            ::pthread_sigmask(SIG_BLOCK, nullptr, &held);
            CHECK(::sigismember(&held, SIGTERM) == 0);
        }
        ::pthread_sigmask(SIG_BLOCK, nullptr, &held);
        CHECK(::sigismember(&held, SIGINT) == 0);
    }
}
