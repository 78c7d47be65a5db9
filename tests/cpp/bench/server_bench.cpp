// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace memfs_cache::bench {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::string_view request_text =
    "GET /articles/2026/section-7/page-1234.html?utm_source=newsletter HTTP/1.1\r\n"
    "Host: www.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Referer: https://search.example/find?q=something\r\n"
    "Connection: keep-alive\r\n\r\n";

auto page() -> std::string { return std::string(1'000, 'x'); }

auto nanoseconds_of(clockid_t clock) -> double {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// Nanoseconds that all threads but this one, which is the client, have computed.
auto cpu_of_servers() -> double {
    return nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID) - nanoseconds_of(CLOCK_THREAD_CPUTIME_ID);
}

/// Asks again and again, on so many connections at once: where there are several, the server always has the next request
/// before it, and what a wake-up costs, which depends on the machine's mood, is left out. The answers of one server are
/// all as long as the first.
class Client {
  public:
    explicit Client(std::uint16_t port, std::size_t connections = 1) {
        for (std::size_t i = 0; i < connections; ++i) {
            auto& socket = sockets_.emplace_back(context_);
            socket.connect({asio::ip::address_v4::loopback(), port});
            socket.set_option(tcp::no_delay(true));
        }
        send(sockets_.front());
        while (answer_bytes_ < page().size()) // the header comes with or before the body, in at most two pieces
            answer_bytes_ += sockets_.front().read_some(asio::buffer(answer_));
    }
    void ask(std::size_t times) {
        for (std::size_t asked = 0; asked < times; asked += sockets_.size()) {
            for (auto& socket : sockets_)
                send(socket);
            // The last one asked is waited for first, so that one answer has to wake the client and not each.
            for (auto socket = sockets_.rbegin(); socket != sockets_.rend(); ++socket)
                for (std::size_t got = 0; got < answer_bytes_;)
                    got += socket->read_some(asio::buffer(answer_));
        }
    }

  private:
    static void send(tcp::socket& socket) { socket.write_some(asio::buffer(request_text)); }

    asio::io_context context_;
    std::vector<tcp::socket> sockets_;
    std::array<char, 8192> answer_{};
    std::size_t answer_bytes_ = 0;
};

auto answer_from_memory(Request const&) -> Response {
    Response response;
    response.headers = {{"Content-Type", "text/html; charset=utf-8"}};
    response.body = page();
    return response;
}

/// The server of this library with one page, on one thread.
class Our_Server {
  public:
    enum class Page { in_memory, in_a_folder };

    Our_Server(Page where, bool records, std::size_t connections) {
        Service_Options options;
        options.analytics.log.mode = records ? Recording_Mode::buffered : Recording_Mode::off;
        cache_.emplace(Any_Storage(Storage_Disk::open(folder_.path() / "store").value()), options);
        auto& analytics = cache_->analytics();
        analytics.prepare().value();
        Server_Options limits;
        limits.threads = 1;
        limits.observer_may_wait = [&analytics] { return analytics.recording_may_wait(); };
        Observer observe;
        if (records)
            observe = [&analytics](Request_View const& request) { analytics.record_request(request); };
        Handler handler = answer_from_memory;
        if (where == Page::in_a_folder) {
            auto const folder = folder_.path() / "site/articles/2026/section-7";
            std::filesystem::create_directories(folder);
            std::ofstream(folder / "page-1234.html") << page();
            handler = Static_Files::open(folder_.path() / "site").value();
        }
        server_.emplace(Server::start({}, std::move(handler), observe, limits).value());
        client_.emplace(server_->address().port, connections);
    }

    void serve(std::size_t requests) {
        client_->ask(requests);
        // What was recorded lands within the clock.
        while (cache_->health().namespaces.at("analytics").at("waiting_bytes") != 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }

  private:
    testing::Scratch_Folder folder_{std::filesystem::current_path()};
    std::optional<Cache_Service<Any_Storage>> cache_;
    std::optional<Server> server_;
    std::optional<Client> client_;
};

/// A loop around Beast's parser and serializer, on one thread: no limits, no time-outs, one connection.
class Bare_Server {
  public:
    Bare_Server() : thread_([this] { run(); }), client_(std::in_place, acceptor_.local_endpoint().port()) {}
    ~Bare_Server() {
        client_.reset();
        thread_.join();
    }
    Bare_Server(Bare_Server const&) = delete;
    auto operator=(Bare_Server const&) -> Bare_Server& = delete;

    void serve(std::size_t requests) { client_->ask(requests); }

  private:
    void run() {
        namespace http = boost::beast::http;
        tcp::socket socket = acceptor_.accept();
        socket.set_option(tcp::no_delay(true));
        boost::beast::flat_buffer buffer;
        for (;;) {
            boost::system::error_code failure;
            http::request<http::string_body> request;
            http::read(socket, buffer, request, failure);
            if (failure)
                return;
            http::response<http::string_body> response(http::status::ok, request.version());
            response.set(http::field::content_type, "text/html; charset=utf-8");
            response.body() = page();
            response.prepare_payload();
            http::write(socket, response, failure);
        }
    }

    asio::io_context context_;
    tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
    std::thread thread_;
    std::optional<Client> client_;
};

auto recording_on_and_off(Our_Server::Page where, std::size_t connections) -> std::function<Sides()> {
    return [where, connections]() -> Sides {
        auto const on = std::make_shared<Our_Server>(where, true, connections);
        auto const off = std::make_shared<Our_Server>(where, false, connections);
        return {.ours = [on](std::size_t requests) { on->serve(requests); },
                .limit = [off](std::size_t requests) { off->serve(requests); },
                .clock = cpu_of_servers};
    };
}

auto ours_and_bare() -> Sides {
    auto const ours = std::make_shared<Our_Server>(Our_Server::Page::in_memory, false, 1);
    auto const bare = std::make_shared<Bare_Server>();
    return {.ours = [ours](std::size_t requests) { ours->serve(requests); },
            .limit = [bare](std::size_t requests) { bare->serve(requests); },
            .clock = cpu_of_servers};
}

/// From nothing to the first answer of the public and the admin server, and back to nothing.
auto cold_start() -> Sides {
    auto const folder = std::make_shared<testing::Scratch_Folder>(std::filesystem::current_path());
    return {.ours =
                [folder](std::size_t starts) {
                    for (std::size_t i = 0; i < starts; ++i) {
                        Cache_Service<Any_Storage> cache(Any_Storage(Storage_Disk::open(folder->path()).value()));
                        auto& analytics = cache.analytics();
                        analytics.prepare().value();
                        auto const site = Server::start({}, answer_from_memory, [&](Request_View const& view) {
                                              analytics.record_request(view);
                                          }).value();
                        auto const admin =
                            Server::start({}, Admin_Api(cache, Admin_Key::from_text("key").value()), {}).value();
                        Client(site.address().port).ask(1);
                    }
                },
            .limit =
                [](std::size_t starts) {
                    for (std::size_t i = 0; i < starts; ++i)
                        Bare_Server().serve(1);
                }};
}

} // namespace

auto server_rows() -> Rows {
    return {{.name = "server CPU of a page from a folder, recording on, one client",
             .limit = "recording off",
             .make = recording_on_and_off(Our_Server::Page::in_a_folder, 1),
             .operations = 20'000},
            {.name = "server CPU of a page from a folder, recording on, 50 clients",
             .limit = "recording off",
             .make = recording_on_and_off(Our_Server::Page::in_a_folder, 50),
             .operations = 20'000},
            {.name = "server CPU of a page from memory, recording on, 50 clients",
             .limit = "recording off",
             .make = recording_on_and_off(Our_Server::Page::in_memory, 50),
             .operations = 20'000},
            {.name = "server CPU of a page from memory, recording off",
             .limit = "bare Beast loop",
             .make = ours_and_bare,
             .operations = 20'000},
            {.name = "cold start of both servers to the first answer, and stop",
             .limit = "bare Beast loop",
             .make = cold_start}};
}

} // namespace memfs_cache::bench
