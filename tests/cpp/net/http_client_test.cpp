// SPDX-License-Identifier: Apache-2.0
#include "name_service.hpp"
#include "scripted_peer.hpp"
#include "support/child_process.hpp"
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/net/http_client.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <future>
#include <latch>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto shortest = 50ms; ///< a time limit that is meant to be reached
constexpr auto page = "a=SECRET-IN-QUERY";

auto endpoint(std::uint16_t port, bool tls = false, std::string host = "127.0.0.1") -> Http_Endpoint {
    Http_Endpoint made;
    made.tls = tls;
    made.host = std::move(host);
    made.port = port;
    return made;
}

auto client_of(Http_Endpoint const& endpoint, Http_Client_Options options = {}) -> Http_Client {
    // A fault that makes a client wait shows as an answer that did not come.
    options.answer_timeout = std::min<std::chrono::milliseconds>(options.answer_timeout, 30s);
    return Http_Client::create(endpoint, std::move(options)).value();
}
auto client_of(Scripted_Peer const& peer, Http_Client_Options options = {}) -> Http_Client {
    return client_of(endpoint(peer.port()), std::move(options));
}

/// A request with a secret wherever one can be.
auto request(std::string method = "GET", Byte_View body = "SECRET-IN-BODY") -> Client_Request {
    Client_Request made;
    made.method = std::move(method);
    made.target = std::string("/bucket?") + page;
    made.headers = {{"authorization", "SECRET-IN-HEADER"}, {"x-amz-security-token", "SECRET-TOKEN"}};
    made.body = body;
    return made;
}
auto get(std::string target = "/") -> Client_Request {
    auto made = request("GET", {});
    made.target = std::move(target);
    return made;
}

using Answer = boost::system::result<Client_Response, No_Answer>;

/// The answer, which must be there.
auto whole(Answer const& answer) -> Client_Response {
    if (answer)
        return *answer;
    FAIL("no answer: " << answer.error().error.message());
    return {};
}

/// Why there is no answer. No message may hold a secret of ours or of the peer's.
auto none(Answer const& answer, Errc code, std::string_view hint) -> No_Answer {
    REQUIRE(answer.has_error());
    auto const message = answer.error().error.message();
    CAPTURE(message);
    CHECK(answer.error().error.code == code);
    CHECK(message.find(hint) != std::string::npos);
    CHECK(message.find("SECRET") == std::string::npos);
    return answer.error();
}

/// Answers every request with its target.
void echo(Peer_Session& session) {
    while (auto const asked = session.read_request()) {
        auto const target = asked->substr(asked->find(' ') + 1);
        session.answer(target.substr(0, target.find(' ')));
    }
}

/// Waits on a thread of a peer until this connection may answer, a minute at most.
void wait_for_turn(std::atomic<std::size_t> const& may_answer, std::size_t number) {
    auto const never = std::chrono::steady_clock::now() + 1min;
    while (may_answer <= number && std::chrono::steady_clock::now() < never)
        std::this_thread::sleep_for(1ms);
}

/// Says these bytes to every request and does no more.
auto saying(std::string bytes) -> Scripted_Peer::Script {
    return [bytes = std::move(bytes)](Peer_Session& session) {
        while (session.read_request())
            session.say(bytes);
    };
}
/// Says these bytes to the first request, and ends the connection in order.
auto saying_last(std::string bytes) -> Scripted_Peer::Script {
    return [bytes = std::move(bytes)](Peer_Session& session) {
        (void)session.read_request();
        session.say(bytes);
        session.end();
        session.wait_for_end();
    };
}

/// A port of loopback at which nobody listens: bound, so that nobody else gets it.
class Closed_Port {
  public:
    Closed_Port() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr const*>(&address), size) == 0);
        REQUIRE(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        number = ntohs(address.sin_port);
    }
    std::uint16_t number = 0;

  protected:
    [[nodiscard]] auto socket() const -> int { return socket_.get(); }

  private:
    Unique_Fd socket_;
};

/// A port whose queue is full: who connects there gets no word.
class Silent_Port : public Closed_Port {
  public:
    Silent_Port() {
        REQUIRE(::listen(socket(), 0) == 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(number);
        for (auto& waiting : waiting_) {
            waiting = Unique_Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
            (void)::connect(waiting.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address);
        }
    }

  private:
    std::array<Unique_Fd, 4> waiting_;
};

} // namespace

TEST_SUITE("net/http_client") {
    TEST_CASE("a request goes over the wire as it is given, with the client's own headers") {
        std::vector<std::string> seen;
        Scripted_Peer const peer([&](Peer_Session& session) {
            while (auto const asked = session.read_request()) {
                seen.push_back(*asked);
                session.answer("");
            }
        });
        auto const host = "Host: 127.0.0.1:" + std::to_string(peer.port()) + "\r\n";
        auto const client = client_of(peer);
        auto put = request("PUT", Byte_View("\0\r\n\xff", 4));
        put.headers = {{"X-A", "1"}, {"x-a", ""}};
        CHECK(whole(client.send(put)).status == 200);
        put.body = {};
        CHECK(whole(client.send(put)).status == 200);
        CHECK(whole(client.send(get("/a%20b?c"))).status == 200);
        CHECK(client.endpoint().port == peer.port());
        REQUIRE(seen.size() == 3);
        CHECK(seen[0] == std::string("PUT /bucket?") + page + " HTTP/1.1\r\n" + host +
                             "X-A: 1\r\nx-a: \r\nContent-Length: 4\r\n\r\n" + std::string("\0\r\n\xff", 4));
        CHECK(seen[1].ends_with("\r\nContent-Length: 0\r\n\r\n"));
        CHECK(seen[2].starts_with("GET /a%20b?c HTTP/1.1\r\n" + host));
        CHECK(seen[2].find("Content-Length") == std::string::npos);
    }

    TEST_CASE("an answer is given with its status, headers and body, whatever the status") {
        Scripted_Peer const peer(saying("HTTP/1.1 404 Not Found\r\nETag:  \"a\" \r\nX-B: 1\r\nX-B: 2\r\n"
                                        "Content-Length: 5\r\n\r\nno\r\n!"));
        auto const answer = whole(client_of(peer).send(get()));
        CHECK(answer.status == 404);
        CHECK(answer.header("etag") == "\"a\"");
        CHECK(answer.header("x-b") == "1");
        CHECK(answer.headers.size() == 4);
        CHECK(answer.body == "no\r\n!");
    }

    TEST_CASE("a chunked answer is put together, and its connection used again") {
        Scripted_Peer const peer(saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                        "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"));
        auto const client = client_of(peer);
        CHECK(whole(client.send(get())).body == "abcde");
        CHECK(whole(client.send(get())).body == "abcde");
        CHECK(peer.connections() == 1);
    }

    TEST_CASE("an answer without a length goes to the end of the connection") {
        Scripted_Peer const peer(saying_last("HTTP/1.1 200 OK\r\n\r\nall of it"));
        auto const client = client_of(peer);
        CHECK(whole(client.send(get())).body == "all of it");
        CHECK(whole(client.send(get())).body == "all of it");
        CHECK(peer.connections() == 2);
    }

    TEST_CASE("HEAD, 204 and 304 have no body, whatever length they name") {
        Scripted_Peer const peer([](Peer_Session& session) {
            while (auto const asked = session.read_request()) {
                auto const status = asked->find("/204") != std::string::npos   ? "204 No Content"
                                    : asked->find("/304") != std::string::npos ? "304 Not Modified"
                                                                               : "200 OK";
                session.say("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 99999999999\r\n\r\n");
            }
        });
        auto const client = client_of(peer);
        auto head = get();
        head.method = "HEAD";
        CHECK(whole(client.send(head)).header("Content-Length") == "99999999999");
        CHECK(whole(client.send(get("/204"))).status == 204);
        CHECK(whole(client.send(get("/304"))).status == 304);
        CHECK(whole(client.send(head)).body.empty());
        CHECK(peer.connections() == 1);
    }

    TEST_CASE("interim answers are passed over") {
        Scripted_Peer const peer([](Peer_Session& session) {
            while (session.read_request()) {
                session.say("HTTP/1.1 100 Continue\r\n\r\n");
                session.say(
                    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        auto const client = client_of(peer);
        CHECK(whole(client.send(request("PUT"))).body == "ok");
        auto const answer = whole(client.send(request("PUT")));
        CHECK(answer.status == 200);
        CHECK(answer.header("Link").empty());
        CHECK(peer.connections() == 1);
    }

    TEST_CASE("an interim answer without a final one is cut short") {
        Scripted_Peer const peer(saying_last("HTTP/1.1 100 Continue\r\n\r\n"));
        none(client_of(peer).send(request("PUT")), Errc::corrupt_data, "cut short");
    }

    // ------------------------------------------------------------------------------------------ idle connections

    TEST_CASE("one connection carries one request after the other") {
        Scripted_Peer const peer(echo);
        auto const client = client_of(peer);
        for (int i = 0; i < 20; ++i)
            CHECK(whole(client.send(get("/" + std::to_string(i)))).body == "/" + std::to_string(i));
        CHECK(peer.connections() == 1);
    }

    TEST_CASE("a connection is not used again when the peer, the caller or an option says so") {
        Scripted_Peer const polite([](Peer_Session& session) {
            while (session.read_request())
                session.answer("", "Connection: close\r\n");
        });
        auto const client = client_of(polite);
        (void)whole(client.send(get()));
        (void)whole(client.send(get()));
        CHECK(polite.connections() == 2);

        Scripted_Peer const old(saying("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        auto const client_of_old = client_of(old);
        (void)whole(client_of_old.send(get()));
        (void)whole(client_of_old.send(get()));
        CHECK(old.connections() == 2);

        Scripted_Peer const peer(echo);
        auto const third = client_of(peer);
        (void)whole(third.send(get()));
        (void)whole(third.send(get(), std::chrono::steady_clock::time_point::max(), true));
        CHECK(peer.connections() == 2);
        for (auto const& [idle_timeout, most_idle] : {std::pair(0ms, 64), std::pair(20'000ms, 0)}) {
            auto const before = peer.connections();
            Http_Client_Options options;
            options.idle_timeout = idle_timeout;
            options.most_idle = static_cast<std::size_t>(most_idle);
            auto const forgetful = client_of(peer, options);
            (void)whole(forgetful.send(get()));
            (void)whole(forgetful.send(get()));
            CHECK(peer.connections() == before + 2);
        }
    }

    TEST_CASE("the newest idle connection is used first, and the oldest goes when there are too many") {
        std::atomic<std::size_t> came = 0;
        std::atomic<std::size_t> may_answer = 0; // connections below this number
        Scripted_Peer const peer([&](Peer_Session& session) {
            while (session.read_request()) {
                ++came;
                wait_for_turn(may_answer, session.number);
                session.answer(std::to_string(session.number));
            }
        });
        Http_Client_Options options;
        options.most_idle = 2;
        auto const client = client_of(peer, options);
        std::vector<std::future<std::string>> first;
        for (std::size_t i = 0; i < 3; ++i) {
            first.push_back(std::async(std::launch::async, [&] { return client.send(get()).value().body; }));
            wait_until([&] { return came == i + 1; });
        }
        for (std::size_t i = 0; i < 3; ++i) { // so 0 is the oldest idle one and 2 the newest
            may_answer = i + 1;
            CHECK(first[i].get() == std::to_string(i));
        }
        wait_until([&] { return peer.finished() == 1; });
        CHECK(whole(client.send(get())).body == "2");
        CHECK(whole(client.send(get())).body == "2");
        CHECK(peer.connections() == 3);
    }

    TEST_CASE("an idle connection that the peer has closed is not used") {
        Scripted_Peer const peer([](Peer_Session& session) {
            (void)session.read_request();
            session.answer("");
        });
        auto const client = client_of(peer);
        for (std::size_t i = 1; i <= 3; ++i) {
            (void)whole(client.send(get()));
            wait_until([&] { return peer.finished() == i; });
        }
        CHECK(peer.connections() == 3);
    }

    TEST_CASE("a used connection that is closed before any byte is told apart from a fresh one") {
        Scripted_Peer const peer([](Peer_Session& session) {
            (void)session.read_request();
            if (session.number > 0)
                return;
            session.answer("");
            (void)session.read_request();
        });
        auto const client = client_of(peer);
        (void)whole(client.send(get()));
        auto const used = none(client.send(request()), Errc::unavailable, "closed the connection without an answer");
        CHECK(used.on_used_connection);
        CHECK(used.may_have_arrived);
        auto const fresh = none(client.send(request()), Errc::unavailable, "closed the connection without an answer");
        CHECK_FALSE(fresh.on_used_connection);
        CHECK(fresh.may_have_arrived);
        CHECK(peer.connections() == 2);
    }

    TEST_CASE("a used connection that breaks in the middle of an answer is not said to have been closed meanwhile") {
        Scripted_Peer const peer([](Peer_Session& session) {
            (void)session.read_request();
            session.answer("");
            (void)session.read_request();
            session.say("HTTP/1.1 200");
        });
        auto const client = client_of(peer);
        (void)whole(client.send(get()));
        CHECK_FALSE(none(client.send(request()), Errc::corrupt_data, "cut short").on_used_connection);
    }

    TEST_CASE("bytes behind an answer are never taken for the next one") {
        auto const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        std::atomic<bool> is_said = false;
        Scripted_Peer const peer([&](Peer_Session& session) {
            (void)session.read_request();
            if (session.number == 0) { // in one piece with the answer
                session.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + std::string(surplus));
            } else { // later, when the connection is idle
                session.answer("good");
                if (session.number == 1) {
                    std::this_thread::sleep_for(20ms); // the client may have it before or after it goes idle
                    session.say(surplus);
                    is_said = true;
                }
            }
            session.wait_for_end();
        });
        auto const client = client_of(peer);
        CHECK(whole(client.send(get())).body == "good");
        CHECK(whole(client.send(get())).body == "good");
        wait_until([&] { return is_said.load(); });
        CHECK(whole(client.send(get())).body == "good");
        CHECK(peer.connections() == 3);
    }

    TEST_CASE("many threads at once each get their own answer, on no more connections than threads") {
        Scripted_Peer const peer(echo);
        auto const client = client_of(peer);
        constexpr std::size_t count = 32;
        std::latch start(count);
        std::vector<std::future<int>> threads;
        for (std::size_t own = 0; own < count; ++own) {
            threads.push_back(std::async(std::launch::async, [&, own] {
                start.arrive_and_wait();
                int wrong = 0;
                for (int i = 0; i < 20; ++i) {
                    auto const target = "/" + std::to_string(own) + "/" + std::to_string(i);
                    auto const answer = client.send(get(target));
                    wrong += !answer || answer->body != target ? 1 : 0;
                }
                return wrong;
            }));
        }
        for (auto& thread : threads)
            CHECK(thread.get() == 0);
        CHECK(peer.connections() <= count);
    }

    TEST_CASE("a child after fork() leaves the connections of its parent alone") {
        if (!can_fork_with_threads())
            return;
        Scripted_Peer const peer([](Peer_Session& session) {
            while (session.read_request())
                session.answer(std::to_string(session.number));
        });
        auto const client = client_of(peer);
        CHECK(whole(client.send(get())).body == "0");
        CHECK(is_well_in_child([&] {
            auto const first = client.send(get());
            auto const second = client.send(get());
            return first && first->body == "1" && second && second->body == "1";
        }));
        CHECK(whole(client.send(get())).body == "0");
    }

    // ----------------------------------------------------------------------------------------- peers that misbehave

    TEST_CASE("a peer that goes away before it answers has perhaps had the request") {
        Scripted_Peer const closing([](Peer_Session& session) { (void)session.read_request(); });
        CHECK(none(client_of(closing).send(request()), Errc::unavailable, "closed the connection without an answer")
                  .may_have_arrived);
        Scripted_Peer const resetting([](Peer_Session& session) {
            (void)session.read_request();
            session.reset();
        });
        CHECK(none(client_of(resetting).send(request()), Errc::unavailable, "closed the connection without an answer")
                  .may_have_arrived);
        Scripted_Peer const deaf([](Peer_Session& session) { session.reset(); });
        none(client_of(deaf).send(request()), Errc::unavailable, "127.0.0.1 port"); // perhaps while connecting
    }

    TEST_CASE("an answer that is cut short is no answer") {
        for (auto const* const half :
             {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nContent-Le", "H",
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"}) {
            CAPTURE(half);
            Scripted_Peer const peer(saying_last(half));
            CHECK(none(client_of(peer).send(request()), Errc::corrupt_data, "cut short").may_have_arrived);
        }
    }

    TEST_CASE("what is no HTTP is no answer") {
        for (auto const* const garbage :
             {"SSH-2.0-SECRET\r\n", "HTTP/1.1 SECRET\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: SECRET\r\n\r\n",
              "HTTP/1.1 200 OK\r\nSECRET\r\n\r\n", "HTTP/9.1 200 SECRET\r\n\r\n",
              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
              "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n\r\n",
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"}) {
            CAPTURE(garbage);
            Scripted_Peer const peer(saying(garbage));
            none(client_of(peer).send(request()), Errc::corrupt_data, "is no HTTP");
        }
    }

    TEST_CASE("headers without end are no answer") {
        Scripted_Peer const peer([](Peer_Session& session) {
            (void)session.read_request();
            session.say("HTTP/1.1 200 OK\r\n");
            while (session.say("X-More: SECRET\r\n")) {
            }
        });
        none(client_of(peer).send(request()), Errc::corrupt_data, "is no HTTP");
    }

    TEST_CASE("a body longer than asked for is no answer, whether it says so or goes on without end") {
        auto asked = request();
        asked.longest_body = 1000;
        Scripted_Peer const boasting(saying("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"));
        none(client_of(boasting).send(asked), Errc::too_large, "longer than the 1000 bytes");
        Scripted_Peer const endless([](Peer_Session& session) {
            (void)session.read_request();
            session.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while (session.say("6\r\nSECRET\r\n")) {
            }
        });
        none(client_of(endless).send(asked), Errc::too_large, "longer than the 1000 bytes");
        Scripted_Peer const unmeasured([](Peer_Session& session) {
            (void)session.read_request();
            session.say("HTTP/1.1 200 OK\r\n\r\n");
            while (session.say("SECRET")) {
            }
        });
        none(client_of(unmeasured).send(asked), Errc::too_large, "longer than the 1000 bytes");
        Scripted_Peer const exact([](Peer_Session& session) {
            while (session.read_request())
                session.answer(std::string(1000, 'x'));
        });
        CHECK(whole(client_of(exact).send(asked)).body.size() == 1000);
    }

    TEST_CASE("a peer that refuses a long body before it has read it is heard") {
        Scripted_Peer const peer([](Peer_Session& session) {
            session.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nstop");
            std::this_thread::sleep_for(20ms);
            session.wait_for_end();
        });
        std::string const body(64 << 20, 'x');
        auto const client = client_of(peer);
        auto const answer = whole(client.send(request("PUT", body)));
        CHECK(answer.status == 413);
        CHECK(answer.body == "stop");
        CHECK(whole(client.send(request("PUT", body))).status == 413);
        CHECK(peer.connections() == 2); // the rest of the body is never taken for a request
    }

    TEST_CASE("long bodies arrive whole in both directions") {
        std::string body(5'000'000, '\0');
        for (std::size_t i = 0; i < body.size(); ++i)
            body[i] = static_cast<char>(i * i >> 3);
        Scripted_Peer const peer([](Peer_Session& session) {
            while (auto const asked = session.read_request())
                session.answer(asked->substr(asked->find("\r\n\r\n") + 4));
        });
        auto const client = client_of(peer);
        CHECK(whole(client.send(request("PUT", body))).body == body);
        CHECK(whole(client.send(request("PUT", body))).body == body);
        CHECK(peer.connections() == 1);
    }

    // ---------------------------------------------------------------------------------------------------- time limits

    TEST_CASE("a peer that says nothing is waited for as long as the earlier of deadline and answer_timeout") {
        Scripted_Peer const peer([](Peer_Session& session) { session.wait_for_end(); });
        Http_Client_Options options;
        options.answer_timeout = shortest;
        auto const failure = none(client_of(peer, options).send(request()), Errc::timed_out, "answer_timeout");
        CHECK(failure.may_have_arrived);
        CHECK_FALSE(failure.on_used_connection);
        none(client_of(peer).send(request(), std::chrono::steady_clock::now() + shortest), Errc::timed_out, "deadline");
    }

    TEST_CASE("a drip does not move the time limit") {
        for (auto const* const begin :
             {"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
              "HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"}) {
            Scripted_Peer const peer([&](Peer_Session& session) {
                (void)session.read_request();
                session.say(begin);
                while (session.say("x"))
                    std::this_thread::sleep_for(1ms);
            });
            Http_Client_Options options;
            options.answer_timeout = shortest;
            auto const client = client_of(peer, options);
            none(client.send(request()), Errc::timed_out, "answer_timeout");
            wait_until([&] { return peer.finished() == 1; }); // the connection is gone, not kept
        }
    }

    TEST_CASE("a peer that does not read is not written to for ever") {
        Scripted_Peer const peer([](Peer_Session& session) {
            session.say("HTTP/1.1 100 Continue\r\n\r\n");
            std::this_thread::sleep_for(3 * shortest);
            session.wait_for_end();
        });
        Http_Client_Options options;
        options.answer_timeout = shortest;
        std::string const body(64 << 20, 'x');
        CHECK(none(client_of(peer, options).send(request("PUT", body)), Errc::timed_out, "answer_timeout")
                  .may_have_arrived);
    }

    TEST_CASE("after the deadline nothing is sent, on an idle connection neither") {
        std::atomic<int> requests = 0;
        Scripted_Peer const peer([&](Peer_Session& session) {
            while (session.read_request()) {
                ++requests;
                session.answer("");
            }
        });
        auto const client = client_of(peer);
        auto const past = std::chrono::steady_clock::now() - 1ms;
        CHECK_FALSE(none(client.send(request(), past), Errc::timed_out, "deadline").may_have_arrived);
        CHECK(peer.connections() == 0);
        (void)whole(client.send(get()));
        CHECK_FALSE(none(client.send(request(), past), Errc::timed_out, "deadline").may_have_arrived);
        (void)whole(client.send(get()));
        CHECK(requests == 2);
        CHECK(peer.connections() == 1);
    }

    TEST_CASE("a host that does not take connections is waited for as long as connect_timeout") {
        Silent_Port const port;
        Http_Client_Options options;
        options.connect_timeout = shortest;
        auto const failure =
            none(client_of(endpoint(port.number), options).send(request()), Errc::timed_out, "connect_timeout");
        CHECK_FALSE(failure.may_have_arrived);
        none(client_of(endpoint(port.number)).send(request(), std::chrono::steady_clock::now() + shortest),
             Errc::timed_out, "was not reached in time");
    }

    TEST_CASE("limits as long as they can be written are no limits") {
        Scripted_Peer const peer(echo);
        Http_Client_Options options;
        options.connect_timeout = options.idle_timeout = std::chrono::milliseconds::max();
        auto client = Http_Client::create(endpoint(peer.port()), options).value();
        (void)whole(client.send(get()));
        (void)whole(client.send(get()));
        CHECK(peer.connections() == 1);
    }

    // ---------------------------------------------------------------------------------------------------- where to

    TEST_CASE("a port at which nobody listens refuses, and nothing was sent") {
        Closed_Port const port;
        auto const failure =
            none(client_of(endpoint(port.number)).send(request()), Errc::unavailable, "refuses connections");
        CHECK_FALSE(failure.may_have_arrived);
        CHECK_FALSE(failure.on_used_connection);
    }

    TEST_CASE("a name that nobody knows, and a name service that does not answer") {
        Name_Service const names;
        auto const unknown = client_of(endpoint(80, false, "unknown.test"));
        CHECK_FALSE(
            none(unknown.send(request()), Errc::unavailable, "check the host in endpoint_url").may_have_arrived);
        Http_Client_Options options;
        options.connect_timeout = shortest;
        auto const silent = client_of(endpoint(80, false, "silent.test"), options);
        CHECK_FALSE(none(silent.send(request()), Errc::timed_out, "the name service does not answer").may_have_arrived);
    }

    TEST_CASE("where one address of a name refuses, the next one is tried") {
        Name_Service const names;
        Scripted_Peer const peer(echo);
        CHECK(whole(client_of(endpoint(peer.port(), false, "two.test")).send(get("/a"))).body == "/a");
    }

    TEST_CASE("a name of the system's own is found") {
        Scripted_Peer const peer(echo);
        CHECK(whole(client_of(endpoint(peer.port(), false, "localhost")).send(get("/a"))).body == "/a");
    }

    TEST_CASE("connect_host is where to connect, and the endpoint still what is asked for") {
        Scripted_Peer const peer([](Peer_Session& session) {
            while (auto const asked = session.read_request())
                session.answer(*asked);
        });
        Http_Client_Options options;
        options.connect_host = "127.0.0.1";
        auto const client = client_of(endpoint(peer.port(), false, "bucket.test"), options);
        auto const host = "\r\nHost: bucket.test:" + std::to_string(peer.port()) + "\r\n";
        CHECK(whole(client.send(get())).body.find(host) != std::string::npos);
    }

    TEST_CASE("an address of IPv6 is connected to, and stands in brackets in the header Host") {
        Unique_Fd const probe(::socket(AF_INET6, SOCK_STREAM, 0));
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
        bool const is_there = ::bind(probe.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0;
        WARN_MESSAGE(is_there, "NOT RUN: this machine has no IPv6");
        if (!is_there)
            return;
        Scripted_Peer const peer(
            [](Peer_Session& session) {
                while (auto const asked = session.read_request())
                    session.answer(*asked);
            },
            std::nullopt, AF_INET6);
        auto const host = "\r\nHost: [::1]:" + std::to_string(peer.port()) + "\r\n";
        CHECK(whole(client_of(endpoint(peer.port(), false, "::1")).send(get())).body.find(host) != std::string::npos);
    }

    TEST_CASE("a request that could be read as another one is refused before anything is sent") {
        Scripted_Peer const peer(echo);
        auto const client = client_of(peer);
        auto const refused = [&](auto change) {
            auto changed = request();
            change(changed);
            CHECK_FALSE(none(client.send(changed), Errc::invalid_argument, "request").may_have_arrived);
        };
        refused([](Client_Request& it) { it.method = "GET /x"; });
        refused([](Client_Request& it) { it.method = ""; });
        refused([](Client_Request& it) { it.target = ""; });
        refused([](Client_Request& it) { it.target = "SECRET"; });
        refused([](Client_Request& it) { it.target = "/a b"; });
        refused([](Client_Request& it) { it.target = "/a\r\nX: SECRET"; });
        refused([](Client_Request& it) { it.target = "/\xc3\xa4"; });
        for (std::string const name :
             {"", "a b", "a:b", "a\r\nb", "Host", "content-length", "Connection", "Transfer-Encoding"})
            refused([&](Client_Request& it) { it.headers.push_back({name, "SECRET"}); });
        for (auto const& value :
             {std::string("a\r\nX: SECRET"), std::string("a\nb"), std::string("a\0b", 3), std::string("a\x7f")}) {
            refused([&](Client_Request& it) { it.headers.push_back({"x-a", value}); });
        }
        CHECK(peer.connections() == 0);
    }
}

TEST_SUITE("net/http_client over TLS") {
    /// A file with the certificate of an authority.
    class Trust {
      public:
        explicit Trust(std::string const& pem) { std::ofstream(folder_.path() / "ca.pem") << pem; }
        [[nodiscard]] auto options() const -> Http_Client_Options {
            Http_Client_Options made;
            made.ca_file = folder_.path() / "ca.pem";
            made.connect_host = "127.0.0.1";
            return made;
        }

      private:
        Scratch_Folder folder_;
    };

    TEST_CASE("a peer with a certificate of a trusted authority for its name is believed, and asked by that name") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        Scripted_Peer const peer(
            [](Peer_Session& session) {
                while (session.read_request())
                    session.answer(session.server_name());
            },
            authority.issue("DNS:bucket.test"));
        auto const client = client_of(endpoint(peer.port(), true, "bucket.test"), trust.options());
        CHECK(whole(client.send(get())).body == "bucket.test");
        CHECK(whole(client.send(get())).body == "bucket.test");
        CHECK(peer.connections() == 1);
    }

    TEST_CASE("an address is proved by a certificate too, and is no name to ask by") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        auto const script = [](Peer_Session& session) {
            while (session.read_request())
                session.answer("[" + session.server_name() + "]");
        };
        Scripted_Peer const peer(script, authority.issue("IP:127.0.0.1"));
        CHECK(whole(client_of(endpoint(peer.port(), true), trust.options()).send(get())).body == "[]");
        Scripted_Peer const other(script, authority.issue("IP:127.0.0.2"));
        none(client_of(endpoint(other.port(), true), trust.options()).send(request()), Errc::unavailable,
             "endpoint_url");
    }

    TEST_CASE(
        "a wrong authority, a wrong name and a wrong time each say which setting to look at, and nothing was sent") {
        Throwaway_Authority const authority;
        Throwaway_Authority const stranger;
        constexpr auto hour = Throwaway_Authority::hour;
        struct Case {
            std::string trusted;
            Certificate certificate;
            char const* hint;
        };
        for (auto const& test :
             {Case{stranger.pem(), authority.issue("DNS:bucket.test"), "set ca_file"},
              Case{authority.pem(), authority.issue("DNS:other.test"), "belongs to another name: set endpoint_url"},
              Case{authority.pem(), authority.issue("DNS:bucket.test.example"), "belongs to another name"},
              Case{authority.pem(), authority.issue("DNS:bucket.test", -2 * hour, -hour), "check the clock"},
              Case{authority.pem(), authority.issue("DNS:bucket.test", hour, 2 * hour), "check the clock"}}) {
            CAPTURE(test.hint);
            Trust const trust(test.trusted);
            std::atomic<int> requests = 0;
            Scripted_Peer const peer([&](Peer_Session& session) { requests += session.read_request() ? 1 : 0; },
                                     test.certificate);
            {
                auto const client = client_of(endpoint(peer.port(), true, "bucket.test"), trust.options());
                auto const failure = none(client.send(request()), Errc::unavailable, test.hint);
                CHECK_FALSE(failure.may_have_arrived);
                CHECK_FALSE(failure.on_used_connection);
            }
            wait_until([&] { return peer.finished() == 1; });
            CHECK(requests == 0);
        }
    }

    TEST_CASE("without ca_file the authorities of the system count") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        Scripted_Peer const peer(echo, authority.issue("DNS:bucket.test"));
        auto options = trust.options();
        auto const file = std::exchange(options.ca_file, "");
        none(client_of(endpoint(peer.port(), true, "bucket.test"), options).send(request()), Errc::unavailable,
             "set ca_file");
        ::setenv("SSL_CERT_FILE", file.c_str(), 1); // where OpenSSL looks for those of the system
        auto const client = client_of(endpoint(peer.port(), true, "bucket.test"), options);
        ::unsetenv("SSL_CERT_FILE");
        CHECK(whole(client.send(get("/a"))).body == "/a");
    }

    TEST_CASE("authorities that cannot be read are said at once") {
        auto const refused = [](std::string const& file, std::string_view hint) {
            Http_Client_Options options;
            options.ca_file = file;
            auto const client = Http_Client::create(endpoint(443, true), options);
            REQUIRE(client.has_error());
            CHECK(client.error().code == Errc::invalid_argument);
            CHECK(client.error().message().find(hint) != std::string::npos);
            CHECK(client.error().message().find(file) == std::string::npos);
        };
        Scratch_Folder const folder;
        refused(folder.path() / "missing", "ca_file: cannot be read");
        refused(folder.path(), "ca_file: cannot be read");
        auto const file = folder.path() / "ca.pem";
        std::ofstream(file) << "SECRET";
        refused(file, "ca_file: holds no certificate");
        std::ofstream(file) << "-----BEGIN CERTIFICATE-----\nSECRET\n-----END CERTIFICATE-----\n";
        refused(file, "ca_file: holds no certificate");
    }

    TEST_CASE("a peer without TLS, one that hangs up and one that says nothing") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        auto options = trust.options();
        Scripted_Peer const plain([](Peer_Session& session) {
            session.say("HTTP/1.1 400 Bad Request\r\n\r\n");
            session.wait_for_end();
        });
        CHECK_FALSE(none(client_of(endpoint(plain.port(), true), options).send(request()), Errc::unavailable,
                         "check scheme and port of endpoint_url")
                        .may_have_arrived);
        Scripted_Peer const closing([](Peer_Session&) {});
        CHECK_FALSE(none(client_of(endpoint(closing.port(), true), options).send(request()), Errc::unavailable,
                         "does not agree on TLS")
                        .may_have_arrived);
        options.connect_timeout = shortest;
        Scripted_Peer const silent([](Peer_Session& session) { session.wait_for_end(); });
        CHECK_FALSE(
            none(client_of(endpoint(silent.port(), true), options).send(request()), Errc::timed_out, "connect_timeout")
                .may_have_arrived);
    }

    TEST_CASE("a peer with TLS that is asked without it") {
        Throwaway_Authority const authority;
        Scripted_Peer const peer(echo, authority.issue("IP:127.0.0.1"));
        auto const answer = client_of(peer).send(request());
        REQUIRE(answer.has_error());
        CHECK(answer.error().error.code != Errc::invalid_argument);
    }

    TEST_CASE("an answer that only the end of the connection ends is whole only when TLS says so") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        Scripted_Peer const peer(
            [](Peer_Session& session) {
                (void)session.read_request();
                session.say("HTTP/1.1 200 OK\r\n\r\nperhaps all");
                if (session.number == 0)
                    session.end();
                else
                    session.cut();
                session.wait_for_end();
            },
            authority.issue("IP:127.0.0.1"));
        auto const client = client_of(endpoint(peer.port(), true), trust.options());
        CHECK(whole(client.send(get())).body == "perhaps all");
        none(client.send(get()), Errc::corrupt_data, "cut short");
    }

    TEST_CASE("bytes behind an answer are never taken for the next one, in a record of their own neither") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        Scripted_Peer const peer(
            [](Peer_Session& session) {
                (void)session.read_request();
                session.answer("good");
                if (session.number == 0)
                    session.answer("evil");
                session.wait_for_end();
            },
            authority.issue("IP:127.0.0.1"));
        auto const client = client_of(endpoint(peer.port(), true), trust.options());
        CHECK(whole(client.send(get())).body == "good");
        // What is said right behind the answer may be under way still when the connection goes idle.
        std::this_thread::sleep_for(20ms);
        CHECK(whole(client.send(get())).body == "good");
        CHECK(peer.connections() == 2);
    }

    TEST_CASE("time limits, used connections and long bodies are as without TLS") {
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        Scripted_Peer const peer(
            [](Peer_Session& session) {
                auto const asked = session.read_request();
                session.answer(asked->substr(asked->find("\r\n\r\n") + 4));
                (void)session.read_request();
                if (session.number == 0)
                    session.wait_for_end();
            },
            authority.issue("IP:127.0.0.1"));
        auto const client = client_of(endpoint(peer.port(), true), trust.options());
        std::string const body(3'000'000, 'x');
        CHECK(whole(client.send(request("PUT", body))).body == body);
        auto const late =
            none(client.send(request(), std::chrono::steady_clock::now() + shortest), Errc::timed_out, "deadline");
        CHECK(late.may_have_arrived);
        CHECK(whole(client.send(request("PUT", body))).body == body);
        auto const used = none(client.send(request()), Errc::unavailable, "closed the connection without an answer");
        CHECK(used.on_used_connection);
        CHECK(used.may_have_arrived);
    }

    TEST_CASE("a child after fork() agrees on TLS anew") {
        if (!can_fork_with_threads())
            return;
        Throwaway_Authority const authority;
        Trust const trust(authority.pem());
        Scripted_Peer const peer(
            [](Peer_Session& session) {
                while (session.read_request())
                    session.answer(std::to_string(session.number));
            },
            authority.issue("IP:127.0.0.1"));
        auto const client = client_of(endpoint(peer.port(), true), trust.options());
        CHECK(whole(client.send(get())).body == "0");
        CHECK(is_well_in_child([&] {
            auto const answer = client.send(get());
            return answer && answer->body == "1";
        }));
        CHECK(whole(client.send(get())).body == "0");
    }
}
