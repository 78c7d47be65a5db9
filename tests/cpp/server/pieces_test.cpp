// SPDX-License-Identifier: Apache-2.0
#include "server/fixture.hpp"
#include "support/printers.hpp"
#include "support/rude_client.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/http/replies.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;
using testing::Fixture;
using testing::text_reply;
using testing::wait_until;

namespace {

/// What sinks or sources did, and what they are to do. Shared by the test and by those that it looks at.
struct Book {
    std::atomic<int> begun{0}, finished{0}, destroyed{0};
    std::mutex mutex;
    std::vector<std::string> pieces; ///< that sinks took
    std::vector<std::size_t> asked;  ///< of sources
    std::function<void(std::size_t)>
        at_piece; ///< called with the number of each, from 1 on, before it is taken or read

    void note(std::string_view piece) {
        std::lock_guard const lock(mutex);
        pieces.emplace_back(piece);
    }
    auto all_pieces() -> std::vector<std::string> {
        std::lock_guard const lock(mutex);
        return pieces;
    }
};
using Book_Ptr = std::shared_ptr<Book>;

struct Sink_Plan {
    std::size_t piece = 10;
    std::uint64_t limit = 1'000'000;
    std::size_t refuses_at = 0; ///< piece; 0: none
    bool refuses_all = false;
};

class Test_Sink final : public Body_Sink {
  public:
    Test_Sink(Book_Ptr book, Sink_Plan const& plan) : book_(std::move(book)), plan_(plan) {}
    ~Test_Sink() override { ++book_->destroyed; }
    [[nodiscard]] auto limit_bytes() const noexcept -> std::uint64_t override { return plan_.limit; }
    [[nodiscard]] auto piece_bytes() const noexcept -> std::size_t override { return plan_.piece; }
    [[nodiscard]] auto begin() -> std::optional<Response> override {
        ++book_->begun;
        return refusal_if(plan_.refuses_all);
    }
    [[nodiscard]] auto take(Byte_View piece) -> std::optional<Response> override {
        ++taken_;
        if (book_->at_piece)
            book_->at_piece(taken_);
        book_->note(piece);
        bytes_ += piece;
        return refusal_if(taken_ == plan_.refuses_at);
    }
    [[nodiscard]] auto finish() -> Response override {
        ++book_->finished;
        return text_reply("took " + bytes_);
    }

  private:
    static auto refusal_if(bool refuses) -> std::optional<Response> {
        return refuses ? std::optional(error_reply(409, "conflict", "No more of it.")) : std::nullopt;
    }

    Book_Ptr book_;
    Sink_Plan plan_;
    std::size_t taken_ = 0;
    std::string bytes_;
};

/// Sinks for PUT; all else is held.
auto with_sinks(Book_Ptr const& book, Sink_Plan plan = {}, Server_Options options = {}) -> Server_Options {
    options.receive = [book, plan](Request const& request) -> Reception {
        if (request.method != "PUT")
            return {};
        CHECK(request.remote == "127.0.0.1");
        CHECK(request.body.empty());
        return {.sink = std::make_unique<Test_Sink>(book, plan), .route = "/things/{id}", .transfer_id = "a-transfer"};
    };
    return options;
}

struct Source_Plan {
    std::uint64_t size = 0;
    std::size_t piece = 10;
};

class Test_Source final : public Body_Source {
  public:
    Test_Source(Book_Ptr book, Source_Plan const& plan) : book_(std::move(book)), plan_(plan) {}
    ~Test_Source() override { ++book_->destroyed; }
    [[nodiscard]] auto size_bytes() const noexcept -> std::uint64_t override { return plan_.size; }
    [[nodiscard]] auto piece_bytes() const noexcept -> std::size_t override { return plan_.piece; }
    [[nodiscard]] auto read(std::uint64_t offset, std::size_t most) -> Result<Bytes> override {
        ++read_;
        {
            std::lock_guard const lock(book_->mutex);
            book_->asked.push_back(most);
        }
        if (book_->at_piece)
            book_->at_piece(read_);
        if (read_ == fails_at)
            return fail(Errc::unavailable, "the storage has gone");
        Bytes piece(std::min<std::size_t>(most, plan_.piece), ' ');
        for (auto& byte : piece)
            byte = byte_at(offset++);
        return piece;
    }
    void finish() override { ++book_->finished; }
    static auto byte_at(std::uint64_t offset) -> char { return static_cast<char>('a' + offset % 23); }
    std::size_t fails_at = 0;

  private:
    Book_Ptr book_;
    Source_Plan plan_;
    std::size_t read_ = 0;
};

auto source_reply(Book_Ptr const& book, Source_Plan const& plan, std::size_t fails_at = 0) -> Response {
    auto source = std::make_unique<Test_Source>(book, plan);
    source->fails_at = fails_at;
    auto response = text_reply("");
    response.body = std::move(source);
    response.event_type = "file_download";
    response.transfer_id = "a-transfer";
    response.token_id = "a-token";
    return response;
}

/// Says its number, as often as it is asked.
class Test_Stream final : public Body_Stream {
  public:
    struct Plan {
        std::chrono::milliseconds pause = 5ms;
        std::size_t ends_at = 0;  ///< call; 0: never
        std::size_t fails_at = 0; ///< likewise
    };
    Test_Stream(Book_Ptr book, Plan const& plan) : book_(std::move(book)), plan_(plan) {}
    ~Test_Stream() override { ++book_->destroyed; }
    [[nodiscard]] auto next() -> Result<Bytes> override {
        ++asked_;
        ++book_->begun;
        if (book_->at_piece)
            book_->at_piece(asked_);
        if (asked_ == plan_.fails_at)
            return fail(Errc::unavailable, "the storage has gone");
        return asked_ == plan_.ends_at ? Bytes() : std::to_string(asked_) + ";";
    }
    [[nodiscard]] auto pause() const noexcept -> std::chrono::milliseconds override { return plan_.pause; }

  private:
    Book_Ptr book_;
    Plan plan_;
    std::size_t asked_ = 0;
};

auto stream_reply(Book_Ptr const& book, Test_Stream::Plan const& plan = {}) -> Response {
    auto response = text_reply("");
    response.body = std::make_unique<Test_Stream>(book, plan);
    return response;
}

auto bytes_of_source(std::uint64_t size) -> std::string {
    std::string bytes;
    for (std::uint64_t i = 0; i < size; ++i)
        bytes += Test_Source::byte_at(i);
    return bytes;
}

auto echo(Request const& request) -> Response { return text_reply(request.method + " " + request.body); }

auto put(std::string_view body) -> std::string {
    return "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

/// A gate that a test opens, or else the end of the test.
class Gate {
  public:
    ~Gate() { open(); }
    void open() {
        if (!std::exchange(is_open_, true))
            opened_.set_value();
    }
    [[nodiscard]] auto wait() const -> std::function<void(std::size_t)> {
        return [waited = waited_](std::size_t) { waited.wait_for(1min); };
    }

  private:
    std::promise<void> opened_;
    std::shared_future<void> waited_ = opened_.get_future().share();
    bool is_open_ = false;
};

} // namespace

TEST_SUITE("server/pieces") {
    TEST_CASE("a body comes in pieces of the size that its sink wants, however it was cut on its way") {
        std::string const body = "0123456789abcdefghijABCDE";
        std::vector<std::string> const pieces{"0123456789", "abcdefghij", "ABCDE"};
        std::string const chunked =
            "PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\n012\r\n13;x=y\r\n3456789abcdefghijAB\r\n3\r\nCDE\r\n0\r\nX-Trailer: z\r\n\r\n";
        for (auto const& sent : {put(body), chunked}) {
            for (std::size_t const cut : {sent.size() * 2, std::size_t{7}, std::size_t{1}}) {
                CAPTURE(cut);
                auto const book = std::make_shared<Book>();
                Fixture fixture(echo, with_sinks(book));
                Rude_Client client(fixture.port());
                auto const all = sent + "POST /next HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
                for (std::size_t at = 0; at < all.size(); at += cut)
                    client.send(all.substr(at, cut));
                CHECK(client.receive().body == "took " + body);
                CHECK(client.receive().body == "POST abc"); // sent ahead, and held as ever
                CHECK(book->pieces == pieces);
                CHECK(book->begun == 1);
                CHECK(book->finished == 1);
                CHECK(book->destroyed == 1);
                auto const told = fixture.told(2);
                CHECK(told[0].route == "/things/{id}");
                CHECK(told[0].transfer_id == "a-transfer");
                CHECK(told[1].transfer_id.empty());
            }
        }
    }

    TEST_CASE("a body of a whole number of pieces, and one of none") {
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book));
        Rude_Client client(fixture.port());
        client.send(put("0123456789abcdefghij") + put("") + put("x"));
        CHECK(client.receive().body == "took 0123456789abcdefghij");
        CHECK(client.receive().body == "took ");
        CHECK(client.receive().body == "took x");
        CHECK(book->pieces == std::vector<std::string>{"0123456789", "abcdefghij", "x"});
    }

    TEST_CASE("megabytes arrive as they were sent, also ahead of another request") {
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book, {.piece = 300'000, .limit = 10'000'000}));
        auto const body = bytes_of_source(5'000'001);
        Rude_Client client(fixture.port());
        std::thread sender([&] { client.send(put(body) + "GET /next HTTP/1.1\r\nHost: test\r\n\r\n"); });
        auto const reply = client.receive();
        sender.join();
        CHECK(reply.body == "took " + body);
        CHECK(client.receive().body == "GET ");
        CHECK(book->pieces.size() == 17);
        CHECK(std::all_of(book->pieces.begin(), book->pieces.end() - 1, [](auto& p) { return p.size() == 300'000; }));
    }

    TEST_CASE("a client that waits for leave to send a body in pieces gets it once, or the sink's refusal at once") {
        std::string const head = "PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 25\r\n\r\n";
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book));
        Rude_Client client(fixture.port());
        client.send(head);
        CHECK(client.receive().status == 100);
        for (std::size_t pieces = 1; pieces <= 2; ++pieces) {
            client.send("0123456789");
            wait_until([&] { return book->all_pieces().size() == pieces; });
        }
        client.send("01234");
        CHECK(client.receive().status == 200); // no second leave before it
        Fixture strict(echo, with_sinks(book, {.refuses_all = true}));
        Rude_Client refused(strict.port());
        refused.send(head);
        CHECK(refused.receive().status == 409);
        CHECK(refused.is_closed());
        auto const told = strict.told(1)[0];
        CHECK(told.status == 409);
        CHECK(told.route == "/things/{id}");
        CHECK(book->finished == 1);
    }

    TEST_CASE("a refusal of a body that is none leaves the connection open") {
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book, {.refuses_all = true}));
        Rude_Client client(fixture.port());
        client.send(put("") + "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(client.receive().status == 409);
        CHECK(client.receive().body == "GET ");
    }

    TEST_CASE("a body over its sink's limit is 413, and before anything of it is taken where its length is known") {
        auto const book = std::make_shared<Book>();
        Server_Options options;
        options.body_limit_bytes = 5; // of other bodies
        Fixture fixture(echo, with_sinks(book, {.limit = 25}, options));
        Rude_Client fits(fixture.port());
        fits.send(put(std::string(25, 'x')));
        CHECK(fits.receive().status == 200);
        Rude_Client announced(fixture.port());
        announced.send("PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 26\r\n\r\n");
        auto const reply = announced.receive();
        CHECK(reply.status == 413);
        CHECK(reply.body.find("limit of 25 bytes.") != std::string::npos);
        CHECK(announced.is_closed());
        CHECK(book->begun == 1);
        Rude_Client chunked(fixture.port());
        chunked.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "14\r\n01234567890123456789\r\n6\r\n012345\r\n0\r\n\r\n");
        CHECK(chunked.receive().status == 413);
        CHECK(fixture.told(3)[2].transfer_id == "a-transfer");
        CHECK(book->finished == 1);
        Rude_Client held(fixture.port());
        held.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\n");
        CHECK(held.receive().status == 413);
    }

    TEST_CASE("a body that ends early is 400 and never finished") {
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book));
        for (std::string const body :
             {"Content-Length: 25\r\n\r\n0123456789abcdefghijABCD",
              "Transfer-Encoding: chunked\r\n\r\n19\r\n0123456789abcdefghijABCDE\r\n",
              "Transfer-Encoding: chunked\r\n\r\n18\r\n0123456789abcdefghijABCDE\r\n0\r\n\r\n"}) {
            CAPTURE(body);
            Rude_Client client(fixture.port());
            client.send("PUT / HTTP/1.1\r\nHost: test\r\n" + body);
            client.shut_down_sending();
            CHECK(client.receive().status == 400);
            CHECK(client.is_closed());
        }
        for (auto const& told : fixture.told(3)) {
            CHECK(told.status == 400);
            CHECK(told.transfer_id == "a-transfer");
        }
        CHECK(book->finished == 0);
        CHECK(book->destroyed == 3);
    }

    TEST_CASE("a client that goes away in the middle of a body leaves its sink unfinished, and is told") {
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book));
        Rude_Client client(fixture.port());
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 25\r\n\r\n0123456789abc");
        wait_until([&] { return book->all_pieces().size() == 1; });
        CHECK(book->destroyed == 0);
        client.vanish();
        CHECK(fixture.told(1)[0].transfer_id == "a-transfer");
        wait_until([&] { return book->destroyed == 1; });
        CHECK(book->finished == 0);
    }

    TEST_CASE("a sink that fails at a piece ends the request there") {
        auto const body = std::string(55, 'x');
        for (std::size_t const fails_at : {1U, 3U, 6U}) {
            CAPTURE(fails_at);
            auto const book = std::make_shared<Book>();
            Fixture fixture(echo, with_sinks(book, {.refuses_at = fails_at}));
            Rude_Client client(fixture.port());
            client.send(put(body));
            CHECK(client.receive().status == 409);
            bool const was_whole = fails_at == 6;
            if (was_whole)
                CHECK(client.get("/next").status == 200);
            else
                CHECK(client.is_closed());
            CHECK(book->pieces.size() == fails_at);
            CHECK(book->finished == 0);
        }
        std::string logged;
        auto const book = std::make_shared<Book>();
        book->at_piece = [](std::size_t number) {
            if (number == 2)
                throw std::runtime_error("secret");
        };
        Server_Options options;
        options.log = [&](std::string_view text) { logged = text; };
        Fixture fixture(echo, with_sinks(book, {}, options));
        Rude_Client client(fixture.port());
        client.send(put(body));
        auto const reply = client.receive();
        CHECK(reply.status == 500);
        CHECK(reply.body.find("secret") == std::string::npos);
        CHECK(client.is_closed());
        auto const told = fixture.told(1)[0];
        CHECK(told.status == 500);
        CHECK(told.transfer_id == "a-transfer");
        CHECK(logged.find("secret") != std::string::npos);
        CHECK(book->finished == 0);
    }

    TEST_CASE("a receiver that throws is a 500, and is not asked about requests without a body") {
        Server_Options options;
        options.receive = [](Request const&) -> Reception { throw std::runtime_error("secret"); };
        Fixture fixture(echo, options);
        Rude_Client client(fixture.port());
        CHECK(client.get("/").status == 200);
        client.send(put("abc"));
        CHECK(client.receive().status == 500);
        CHECK(fixture.told(2)[1].status == 500);
    }

    TEST_CASE("a sink, a source or a handler that waits holds no other client up, not even on a single thread") {
        Gate gate;
        auto const book = std::make_shared<Book>();
        book->at_piece = gate.wait();
        Server_Options options;
        options.threads = 1;
        options.handler_may_wait = [](Request const& request) { return request.target == "/wait"; };
        Fixture fixture(
            [&](Request const& request) {
                if (request.target == "/wait")
                    gate.wait()(0);
                return request.target == "/source" ? source_reply(book, {.size = 25}) : echo(request);
            },
            with_sinks(book, {}, options));
        Rude_Client into(fixture.port());
        into.send(put("0123456789abc"));
        Rude_Client out_of(fixture.port());
        out_of.send("GET /source HTTP/1.1\r\nHost: test\r\n\r\n");
        Rude_Client waiting(fixture.port());
        waiting.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
        for (int i = 0; i < 20; ++i)
            REQUIRE(Rude_Client(fixture.port()).get("/quick").body == "GET ");
        CHECK(book->finished == 0);
        gate.open();
        CHECK(into.receive().body == "took 0123456789abc");
        CHECK(out_of.receive().body == bytes_of_source(25));
        CHECK(waiting.receive().body == "GET ");
    }

    TEST_CASE("what a storage takes is not taken from the time of the client") {
        Gate gate;
        auto const book = std::make_shared<Book>();
        book->at_piece = gate.wait();
        Server_Options options;
        options.idle_timeout = options.request_timeout = 1s;
        Fixture fixture(echo, with_sinks(book, {}, options));
        Rude_Client client(fixture.port());
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 13\r\n\r\n0123456789");
        std::this_thread::sleep_for(1100ms); // more than clients have
        gate.open();
        wait_until([&] { return book->all_pieces().size() == 1; });
        std::this_thread::sleep_for(300ms); // so that the server looks at the time once more
        client.send("abc");
        CHECK(client.receive().body == "took 0123456789abc");
    }

    TEST_CASE("a body in pieces has the more time the more of it has come, and only as much") {
        Server_Options options;
        options.request_timeout = 100ms;
        options.least_bytes_per_second = 1'000'000'000;
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book, {}, options));
        Rude_Client client(fixture.port());
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n");
        for (int i = 0; i < 99'999 && fixture.server_counters().of(Refusal::timed_out) == 0; ++i) {
            client.send("a");
            std::this_thread::sleep_for(1ms);
        }
        CHECK(client.receive().status == 408);
        CHECK(book->finished == 0);
    }

    TEST_CASE("pieces that come in take no more memory together than they may, at the cost of the largest crowd") {
        Server_Options options;
        options.threads = 1;
        options.body_limit_bytes = 10;
        options.bodies_limit_bytes = 25;
        auto const book = std::make_shared<Book>();
        Fixture fixture(echo, with_sinks(book, {}, options));
        std::vector<std::unique_ptr<Rude_Client>> clients;
        for (int i = 0; i < 3; ++i) {
            auto& client = *clients.emplace_back(std::make_unique<Rude_Client>(fixture.port()));
            client.send("PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n");
            CHECK(client.receive().status == 100);
            client.send("0123456789abcdefghi"); // a piece, and 9 bytes: the third makes 27
        }
        CHECK(clients[0]->receive().status == 503);
        CHECK(clients[0]->is_closed());
        for (std::size_t i = 1; i < 3; ++i) {
            clients[i]->send("jklmnopqrst");
            CHECK(clients[i]->receive().body == "took 0123456789abcdefghijklmnopqrst");
        }
        wait_until([&] { return book->destroyed == 3; });
        CHECK(book->finished == 2);
    }

    TEST_CASE("when all places are taken, a connection that waits for its client goes before one that a storage is at "
              "work for") {
        Gate gate;
        std::atomic<bool> is_taking{false};
        auto const book = std::make_shared<Book>();
        book->at_piece = [&](std::size_t number) {
            is_taking = true;
            gate.wait()(number);
        };
        Server_Options options;
        options.threads = 1;
        options.max_connections = 2;
        options.idle_timeout = 1h;
        Fixture fixture(echo, with_sinks(book, {}, options));
        Rude_Client busy(fixture.port()); // the older one
        busy.send(put("0123456789abc"));
        wait_until([&] { return is_taking.load(); });
        Rude_Client idle(fixture.port());
        CHECK(idle.get("/").status == 200);
        Rude_Client newcomer(fixture.port());
        CHECK(newcomer.get("/").status == 200);
        CHECK(idle.is_closed());
        gate.open();
        CHECK(busy.receive().body == "took 0123456789abc");
    }

    TEST_CASE("stop lets a body end that is on its way into a sink") {
        Gate gate;
        auto const book = std::make_shared<Book>();
        book->at_piece = gate.wait();
        Server_Options options;
        options.idle_timeout = options.stop_timeout = options.request_timeout = 1h;
        Fixture fixture(echo, with_sinks(book, {}, options));
        Rude_Client client(fixture.port());
        client.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 25\r\n\r\n0123456789abc");
        wait_until([&] { return book->begun == 1; });
        std::thread stopper([&] { fixture.server().stop(); });
        gate.open();
        client.send("defghijABCDE");
        CHECK(client.receive().body == "took 0123456789abcdefghijABCDE");
        CHECK(client.is_closed());
        client.vanish();
        stopper.join();
        CHECK(book->destroyed == 1);
    }

    TEST_CASE("a source is sent whole, finished, and gone before the next answer") {
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const& request) {
            return request.target == "/next"
                       ? text_reply(std::to_string(book->finished) + std::to_string(book->destroyed))
                       : source_reply(book, {.size = 25});
        });
        Rude_Client client(fixture.port());
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /next HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(client.receive().body == bytes_of_source(25));
        CHECK(client.receive().body == "11");
        CHECK(book->asked == std::vector<std::size_t>{10, 10, 5});
        auto const told = fixture.told(2)[0];
        CHECK(told.content_bytes == 25);
        CHECK(told.event_type == "file_download");
        CHECK(told.transfer_id == "a-transfer");
        CHECK(told.token_id == "a-token");
    }

    TEST_CASE("HEAD of a source has its length, and reads and finishes nothing") {
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) { return source_reply(book, {.size = 25}); });
        Rude_Client client(fixture.port());
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(client.receive("HEAD").headers.value("Content-Length") == "25");
        wait_until([&] { return book->destroyed == 1; });
        CHECK(book->asked.empty());
        CHECK(book->finished == 0);
    }

    TEST_CASE("a source is waited for with an observer that hears before the last byte") {
        Server_Options options;
        options.observe_before_end = true;
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) { return source_reply(book, {.size = 25}); }, options);
        CHECK(Rude_Client(fixture.port()).get("/").body == bytes_of_source(25));
        CHECK(fixture.told(1)[0].content_bytes == 25);
        wait_until([&] { return book->finished == 1; });
    }

    TEST_CASE("a source that fails at a piece ends the connection, with a word in the log") {
        for (std::size_t const fails_at : {1U, 2U, 3U}) {
            CAPTURE(fails_at);
            std::string logged;
            Server_Options options;
            options.log = [&](std::string_view text) { logged = text; };
            auto const book = std::make_shared<Book>();
            Fixture fixture([&](Request const&) { return source_reply(book, {.size = 25}, fails_at); }, options);
            Rude_Client client(fixture.port());
            auto const reply = client.get("/");
            CHECK(reply.headers.value("Content-Length") == "25");
            CHECK(reply.body == bytes_of_source((fails_at - 1) * 10));
            CHECK(client.is_closed());
            auto const told = fixture.told(1)[0];
            CHECK(told.content_bytes == (fails_at - 1) * 10);
            CHECK(told.event_type == "other");
            CHECK(told.transfer_id == "a-transfer");
            wait_until([&] { return book->destroyed == 1; });
            CHECK(book->finished == 0);
            CHECK(logged.find("the storage has gone") != std::string::npos);
        }
    }

    TEST_CASE("a client that leaves a source early leaves it unfinished") {
        auto const book = std::make_shared<Book>();
        std::uint64_t const size = 64 << 20;
        Fixture fixture([&](Request const&) { return source_reply(book, {.size = size, .piece = 100'000}); });
        Rude_Client client(fixture.port(), 4096);
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(client.skip_some());
        client.vanish();
        wait_until([&] { return book->destroyed == 1; });
        CHECK(book->finished == 0);
        auto const told = fixture.told(1)[0];
        CHECK(told.content_bytes < size);
        CHECK(told.event_type == "other");
    }

    TEST_CASE("sources are asked for small pieces while large ones would take more memory than they may") {
        auto const book = std::make_shared<Book>();
        std::size_t const limit = 512 << 10, piece = 200 << 10, small = 64 << 10;
        Server_Options options;
        options.threads = 1;
        options.body_limit_bytes = 10;
        options.bodies_limit_bytes = limit;
        Fixture fixture([&](Request const&) { return source_reply(book, {.size = 64 << 20, .piece = piece}); },
                        options);
        std::vector<std::unique_ptr<Rude_Client>> deaf;
        for (std::size_t i = 0; i < 8; ++i) {
            deaf.push_back(std::make_unique<Rude_Client>(fixture.port(), 4096));
            deaf.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n"); // and reads nothing
        }
        auto const asked = [&] {
            std::lock_guard const lock(book->mutex);
            return book->asked;
        };
        wait_until([&] {
            auto const all = asked();
            return std::count(all.begin(), all.end(), small) >= 5; // beside two large ones there is no room
        });
        auto const all = asked();
        CHECK(std::count(all.begin(), all.end(), piece) >= 2);
        CHECK(*std::max_element(all.begin(), all.end()) == piece);
        CHECK(options.counters->crowded_out == 0);
    }

    TEST_CASE("a source whose answer cannot be sent is let go") {
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) {
            auto response = source_reply(book, {.size = 25});
            response.headers.add("Content-Length", "3");
            return response;
        });
        CHECK(Rude_Client(fixture.port()).get("/").status == 500);
        CHECK(book->destroyed == 1);
        CHECK(book->finished == 0);
    }
}

TEST_SUITE("server/streams") {
    TEST_CASE("a stream goes on until it is over, has no length, and ends its connection") {
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) { return stream_reply(book, {.ends_at = 4}); });
        Rude_Client client(fixture.port());
        auto const reply = client.get("/");
        CHECK(reply.status == 200);
        CHECK(reply.headers.value("Content-Length").empty());
        CHECK(reply.headers.value("Connection") == "close");
        CHECK(client.receive_until("3;") == "1;2;3;");
        CHECK(client.is_closed());
        client.vanish();
        auto const told = fixture.told(1)[0];
        CHECK(told.content_bytes == 6);
        CHECK(told.status == 200);
        wait_until([&] { return book->destroyed == 1; });
    }

    TEST_CASE("a stream that fails is broken off after what it had, with a word in the log") {
        std::string logged;
        Server_Options options;
        options.log = [&](std::string_view text) { logged = text; };
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) { return stream_reply(book, {.fails_at = 3}); }, options);
        Rude_Client client(fixture.port());
        CHECK(client.get("/").status == 200);
        CHECK(client.receive_until("2;") == "1;2;");
        CHECK(client.is_closed());
        client.vanish();
        CHECK(fixture.told(1)[0].content_bytes == 4);
        CHECK(logged.find("the storage has gone") != std::string::npos);
    }

    TEST_CASE("HEAD of a stream has its headers, and asks it nothing") {
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) { return stream_reply(book); });
        Rude_Client client(fixture.port());
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(client.receive("HEAD").status == 200);
        CHECK(client.is_closed());
        wait_until([&] { return book->destroyed == 1; });
        CHECK(book->begun == 0);
    }

    TEST_CASE("more streams than there are threads go on at once and hold nobody up, not even on a single event loop") {
        constexpr std::size_t listeners = 20;
        auto const book = std::make_shared<Book>();
        Server_Options options;
        options.threads = 1;
        options.handler_may_wait = [](Request const&) { return true; };
        Fixture fixture(
            [&](Request const& request) { return request.target == "/" ? stream_reply(book) : text_reply("page"); },
            options);
        std::vector<std::unique_ptr<Rude_Client>> all;
        for (std::size_t i = 0; i < listeners; ++i) {
            all.push_back(std::make_unique<Rude_Client>(fixture.port()));
            CHECK(all.back()->get("/").status == 200);
        }
        for (auto const& client : all)
            CHECK(client->receive_until("5;") == "1;2;3;4;5;");
        CHECK(Rude_Client(fixture.port()).get("/page").body == "page");
        CHECK(book->destroyed == 0);
        for (auto const& client : all)
            client->vanish();
        wait_until([&] { return book->destroyed == listeners; });
    }

    TEST_CASE("a stream ends when its client goes away between two pieces, not with the next one") {
        for (bool const is_rude : {false, true}) {
            CAPTURE(is_rude);
            auto const book = std::make_shared<Book>();
            Fixture fixture([&](Request const&) { return stream_reply(book, {.pause = 1h}); });
            Rude_Client client(fixture.port());
            CHECK(client.get("/").status == 200);
            CHECK(client.receive_until(";") == "1;");
            if (is_rude)
                client.vanish();
            else
                client.shut_down_sending();
            wait_until([&] { return book->destroyed == 1; });
            CHECK(book->begun == 1);
        }
    }

    TEST_CASE("stop ends streams at once, those that rest and those that are asked") {
        Gate gate;
        auto const resting = std::make_shared<Book>();
        auto const asked = std::make_shared<Book>();
        asked->at_piece = gate.wait();
        Server_Options options;
        options.idle_timeout = options.stop_timeout = options.request_timeout = 1h;
        Fixture fixture(
            [&](Request const& request) {
                return request.target == "/asked" ? stream_reply(asked, {.pause = 1h})
                                                  : stream_reply(resting, {.pause = 1h});
            },
            options);
        Rude_Client rests(fixture.port());
        Rude_Client waits(fixture.port());
        CHECK(rests.get("/").status == 200);
        CHECK(rests.receive_until(";") == "1;");
        waits.send("GET /asked HTTP/1.1\r\nHost: test\r\n\r\n");
        wait_until([&] { return asked->begun == 1; });
        std::thread stopper([&] { fixture.server().stop(); });
        CHECK(rests.is_closed()); // so the server has begun to stop
        gate.open();
        CHECK(waits.receive().status == 200);
        CHECK(waits.receive_until("2;") == "1;");
        CHECK(waits.is_closed());
        rests.vanish();
        waits.vanish();
        stopper.join();
        CHECK(resting->destroyed + asked->destroyed == 2);
    }

    TEST_CASE("a stream that is told of before its end would never be: it is told of after") {
        Server_Options options;
        options.observe_before_end = true;
        auto const book = std::make_shared<Book>();
        Fixture fixture([&](Request const&) { return stream_reply(book, {.ends_at = 3}); }, options);
        Rude_Client client(fixture.port());
        CHECK(client.get("/").status == 200);
        CHECK(client.receive_until("2;") == "1;2;");
        CHECK(fixture.told(1)[0].content_bytes == 4);
    }
}
