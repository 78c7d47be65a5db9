// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/server/server.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unistd.h>
#include <vector>

namespace memfs_cache {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Steady = std::chrono::steady_clock;
using Parser = http::request_parser<http::string_body>;

constexpr std::size_t piece_bytes = 64 * 1024;
constexpr std::size_t read_bytes = 8 * 1024;
constexpr auto linger_time = std::chrono::seconds(1);
constexpr auto accept_pause = std::chrono::milliseconds(10);
constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);

/// What the sessions of a server share.
struct Service {
    Handler handler;
    Observer observe;
    Server_Options options;
};

class Session;

/// One thread with its event loop. Everything but `context` is touched by that thread only.
struct Worker {
    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
    asio::steady_timer stop_limit{context};
    std::set<Session*> sessions;
    bool stopping = false;
    std::thread thread;

    void stop(std::chrono::milliseconds limit);
    void forget(Session* session) {
        sessions.erase(session);
        if (sessions.empty())
            stop_limit.cancel();
    }
};

/// The answer to what the parser could not accept.
auto refusal(error_code reason, Server_Options const& options) -> Response {
    if (reason == http::error::header_limit) {
        return error_reply(431, "headers_too_large",
                           "The request line and headers are longer than the limit of " +
                               std::to_string(options.header_limit_bytes) + " bytes (header_limit).");
    }
    if (reason == http::error::body_limit) {
        return error_reply(fail(Errc::too_large, "The body is longer than the limit of " +
                                                     std::to_string(options.body_limit_bytes) +
                                                     " bytes (body_limit)."));
    }
    return error_reply(fail(Errc::invalid_argument, "This is not a well-formed HTTP/1.1 request."));
}

auto timed_out_reply() -> Response {
    return error_reply(408, "timed_out", "The request did not arrive in time; send it again on a new connection.");
}

auto to_request(Parser& parser, std::string const& remote) -> Request {
    auto& message = parser.get();
    Request request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (auto const& field : message)
        request.headers.add(std::string(field.name_string()), std::string(field.value()));
    request.body = std::move(message.body());
    request.remote = remote;
    return request;
}

auto expects_promise(Parser const& parser) -> bool {
    return equals_lower(parser.get()[http::field::expect], "100-continue");
}

auto has_body(std::string_view method, int status) -> bool {
    return method != "HEAD" && status != 204 && status != 304;
}

/// May this line be sent? A line break in a value would begin a line, or a response, of somebody else's choosing.
auto is_sendable(Headers::Line const& line) -> bool {
    auto const is_plain = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; };
    auto const is_token = [&](char c) {
        return is_plain(c) && std::string_view(" \"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
    };
    auto const is_ours = [&](std::string_view lower) { return equals_lower(line.name, lower); };
    return !line.name.empty() && std::all_of(line.name.begin(), line.name.end(), is_token) &&
           std::all_of(line.value.begin(), line.value.end(), is_plain) && !is_ours("content-length") &&
           !is_ours("transfer-encoding") && !is_ours("connection");
}

auto is_sendable(Response const& response) -> bool {
    return response.status >= 200 && response.status <= 599 &&
           std::all_of(response.headers.begin(), response.headers.end(),
                       [](auto const& line) { return is_sendable(line); });
}

auto header_text(Response const& response, std::string_view connection) -> std::string {
    std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
    text += http::obsolete_reason(static_cast<http::status>(response.status));
    text.append("\r\nDate: ").append(http_date(System_Clock().now()));
    for (auto const& [name, value] : response.headers)
        text.append("\r\n").append(name).append(": ").append(value);
    if (response.status != 204 && response.status != 304) {
        text.append("\r\nContent-Length: ").append(std::to_string(response.body_bytes()));
    }
    if (!connection.empty())
        text.append("\r\nConnection: ").append(connection);
    return text + "\r\n\r\n";
}

/// The next piece of a body from `offset` on; `storage` keeps it if it comes from a file. Empty: there is no more.
auto piece_of(Response const& response, std::uint64_t offset, std::string& storage) -> std::string_view {
    auto const size = static_cast<std::size_t>(std::min<std::uint64_t>(response.body_bytes() - offset, piece_bytes));
    if (auto const* const bytes = std::get_if<Bytes>(&response.body))
        return std::string_view(*bytes).substr(offset, size);
    auto const& part = *std::get_if<File_Part>(&response.body);
    storage.resize(size);
    auto const got = ::pread(part.file.get(), storage.data(), size, static_cast<off_t>(part.offset_bytes + offset));
    return std::string_view(storage).substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
}

/// A place among the connections that a server may have.
struct Release {
    void operator()(std::atomic<std::size_t>* open) const noexcept { open->fetch_sub(1); }
};
using Place = std::unique_ptr<std::atomic<std::size_t>, Release>;

/// One connection: reads a request, answers, tells the observer, and begins again while both sides keep it open.
class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(tcp::socket socket, Place place, Worker& worker, Service const& service)
        : socket_(std::move(socket)), deadline_(socket_.get_executor()), place_(std::move(place)), worker_(worker),
          service_(service) {
        worker_.sessions.insert(this);
    }
    Session(Session const&) = delete;
    auto operator=(Session const&) -> Session& = delete;
    ~Session() { worker_.forget(this); }

    auto run() -> asio::awaitable<void> {
        error_code ignored;
        socket_.set_option(tcp::no_delay(true), ignored);
        auto address = socket_.remote_endpoint(ignored).address();
        if (address.is_v6() && address.to_v6().is_v4_mapped()) {
            address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
        }
        remote_ = address.to_string();

        while (co_await wait_for_request()) {
            if (co_await exchange())
                continue;
            co_await linger();
            break;
        }
        deadline_.cancel();
    }

    void end_if_idle() {
        if (idle_)
            socket_.cancel();
    }
    void close() {
        error_code ignored;
        socket_.close(ignored);
    }

  private:
    struct Sent {
        std::uint64_t body_bytes = 0;
        bool whole = false;
    };

    auto wait_for_request() -> asio::awaitable<bool> {
        if (worker_.stopping)
            co_return false;
        if (buffer_.size() > 0)
            co_return true;
        expire_after(service_.options.idle_timeout);
        idle_ = true;
        bool const came = co_await read_more();
        idle_ = false;
        co_return came;
    }

    /// One request and its answer. True if another one may follow.
    auto exchange() -> asio::awaitable<bool> {
        auto const start = Steady::now();
        expire_after(service_.options.request_timeout);
        Parser parser;
        parser.header_limit(service_.options.header_limit_bytes);
        parser.body_limit(service_.options.body_limit_bytes);
        auto refused = co_await read_request(parser);

        auto const request = to_request(parser, remote_);
        auto const response = refused ? std::move(*refused) : make_response(request);
        bool const keep = !refused && parser.keep_alive() && !worker_.stopping;
        bool const must_say_keep = keep && parser.get().version() < 11;
        auto const header = header_text(response, !keep ? "close" : must_say_keep ? "keep-alive" : "");
        auto const sent = co_await send(header, response, has_body(request.method, response.status));
        tell(request, response, sent.body_bytes, Steady::now() - start);
        co_return keep&& sent.whole;
    }

    /// Reads up to the end of one request. What it returns is the refusal of a request that cannot be handled.
    auto read_request(Parser& parser) -> asio::awaitable<std::optional<Response>> {
        bool promised = false;
        while (!parser.is_done()) {
            error_code state = http::error::need_more;
            if (buffer_.size() > 0)
                buffer_.consume(parser.put(buffer_.data(), state));
            if (!state)
                continue;
            if (state != http::error::need_more)
                co_return refusal(state, service_.options);
            if (parser.is_header_done() && !promised && expects_promise(parser)) {
                promised = true;
                co_await asio::async_write(socket_, asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")),
                                           as_tuple);
            }
            if (co_await read_more())
                continue;
            if (timed_out_)
                co_return timed_out_reply();
            co_return refusal(http::error::partial_message, service_.options);
        }
        if (parser.get().version() >= 11 && parser.get().count(http::field::host) != 1) {
            co_return refusal(http::error::bad_field, service_.options);
        }
        co_return std::nullopt;
    }

    [[nodiscard]] auto make_response(Request const& request) const -> Response {
        auto response = answer([&] { return service_.handler(request); }, service_.options.log);
        if (is_sendable(response))
            return response;
        if (service_.options.log)
            service_.options.log("A request handler gave a status or header that cannot be sent.");
        return error_reply(fail(Errc::internal, {}));
    }

    auto send(std::string_view header, Response const& response, bool with_body) -> asio::awaitable<Sent> {
        auto const size = with_body ? response.body_bytes() : 0;
        std::uint64_t taken = 0;
        std::string storage;
        std::string_view piece;
        for (Sent sent;;) {
            if (piece.empty() && taken < size) {
                piece = piece_of(response, taken, storage);
                taken += piece.size();
            }
            if (header.empty() && piece.empty()) {
                sent.whole = sent.body_bytes == size; // not so if a file became shorter meanwhile
                co_return sent;
            }
            expire_after(service_.options.idle_timeout);
            std::array<asio::const_buffer, 2> const buffers{asio::buffer(header), asio::buffer(piece)};
            auto const [failure, count] = co_await socket_.async_write_some(buffers, as_tuple);
            auto const of_header = std::min(count, header.size());
            header.remove_prefix(of_header);
            piece.remove_prefix(count - of_header);
            sent.body_bytes += count - of_header;
            if (failure)
                co_return sent;
        }
    }

    void
    tell(Request const& request, Response const& response, std::uint64_t body_bytes, Steady::duration duration) const {
        if (!service_.observe)
            return;
        auto const forwarded_for = request.headers.joined("X-Forwarded-For");
        Request_View view;
        view.method = request.method;
        view.target = request.target;
        view.status = response.status;
        view.content_bytes = body_bytes;
        view.duration_us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
        view.remote = request.remote;
        view.forwarded_for = forwarded_for;
        view.user_agent = request.headers.value("User-Agent");
        view.referrer = request.headers.value("Referer");
        view.content_type = response.headers.value("Content-Type");
        if (!service_.options.country_header.empty())
            view.country = request.headers.value(service_.options.country_header);
        view.route = response.route;
        try {
            service_.observe(view);
        } catch (std::exception const& error) {
            if (service_.options.log)
                service_.options.log(std::string("A request was not recorded: ") + error.what());
        }
    }

    /// Closing while the client still sends would reset the connection and could take the answer with it.
    auto linger() -> asio::awaitable<void> {
        error_code ignored;
        socket_.shutdown(tcp::socket::shutdown_send, ignored);
        expire_after(linger_time);
        do {
            buffer_.clear();
        } while (co_await read_more());
    }

    auto read_more() -> asio::awaitable<bool> {
        if (timed_out_)
            co_return false;
        auto const [failure, count] = co_await socket_.async_read_some(buffer_.prepare(read_bytes), as_tuple);
        buffer_.commit(count);
        co_return !failure;
    }

    /// Ends the operation that is under way when the time is over. Every wait on the socket begins with this or checks
    /// timed_out_ first, as an operation that has just completed cannot be ended any more.
    void expire_after(Steady::duration limit) {
        timed_out_ = false;
        deadline_.expires_after(limit);
        deadline_.async_wait([self = shared_from_this()](error_code moved) {
            if (moved || self->deadline_.expiry() > Steady::now())
                return;
            self->timed_out_ = true;
            error_code ignored;
            self->socket_.cancel(ignored);
        });
    }

    tcp::socket socket_;
    asio::steady_timer deadline_;
    Place place_;
    Worker& worker_;
    Service const& service_;
    boost::beast::flat_buffer buffer_;
    std::string remote_;
    bool idle_ = false;
    bool timed_out_ = false;
};

void Worker::stop(std::chrono::milliseconds limit) {
    stopping = true;
    work.reset();
    for (auto* const session : sessions)
        session->end_if_idle();
    if (sessions.empty())
        return;
    stop_limit.expires_after(limit);
    stop_limit.async_wait([this](error_code ended_before) {
        if (ended_before)
            return;
        for (auto* const session : sessions)
            session->close();
    });
}

auto listen_error(error_code reason, Listen_Address const& address) -> Error {
    auto const from = address.option.empty() ? std::string() : " (" + address.option + ")";
    auto const where = address.str() + from;
    if (reason == asio::error::address_in_use) {
        return fail(Errc::unavailable, where + " is in use by another program: stop it or choose another port.");
    }
    if (reason == asio::error::access_denied) {
        return fail(Errc::permission_denied, where + " is not open to this user: choose a port from 1024 on.");
    }
    return fail(Errc::invalid_argument, "Cannot listen on " + where + ": " + reason.message() + ".");
}

} // namespace

class Server::Impl {
  public:
    explicit Impl(Service service) : service_(std::move(service)), workers_(make_workers(service_.options.threads)) {}
    ~Impl() { stop(); }
    Impl(Impl const&) = delete;
    auto operator=(Impl const&) -> Impl& = delete;

    auto listen(Listen_Address const& address) -> Result<void> {
        error_code failure;
        auto const host = asio::ip::make_address(address.host, failure);
        if (!failure)
            acceptor_.open(host.is_v4() ? tcp::v4() : tcp::v6(), failure);
        if (!failure)
            acceptor_.set_option(tcp::acceptor::reuse_address(true), failure);
        if (!failure)
            acceptor_.bind({host, address.port}, failure);
        if (!failure)
            acceptor_.listen(asio::socket_base::max_listen_connections, failure);
        if (failure)
            return listen_error(failure, address);
        address_ = address;
        address_.port = acceptor_.local_endpoint().port();
        return {};
    }

    void run() {
        asio::co_spawn(
            first().context, [this] { return accept(); }, asio::detached);
        for (auto& worker : workers_)
            worker->thread = std::thread([&context = worker->context] { context.run(); });
    }

    void stop() {
        std::call_once(stopped_, [this] {
            asio::post(first().context, [this] { acceptor_.close(); });
            for (auto& worker : workers_) {
                asio::post(worker->context, [this, &worker = *worker] { worker.stop(service_.options.stop_timeout); });
            }
            for (auto& worker : workers_) {
                if (worker->thread.joinable())
                    worker->thread.join();
            }
        });
    }

    [[nodiscard]] auto address() const noexcept -> Listen_Address const& { return address_; }

  private:
    using Workers = std::vector<std::unique_ptr<Worker>>;

    static auto make_workers(unsigned threads) -> Workers {
        if (threads == 0)
            threads = std::max(1U, std::thread::hardware_concurrency());
        Workers workers;
        for (unsigned i = 0; i < threads; ++i)
            workers.push_back(std::make_unique<Worker>());
        return workers;
    }
    [[nodiscard]] auto first() -> Worker& { return *workers_.front(); }

    auto accept() -> asio::awaitable<void> {
        for (std::size_t turn = 0; acceptor_.is_open();) {
            if (open_ >= service_.options.max_connections) {
                co_await rest();
                continue;
            }
            auto& worker = *workers_[turn % workers_.size()];
            auto [failure, socket] = co_await acceptor_.async_accept(worker.context, as_tuple);
            if (failure) { // out of descriptors, most likely: trying again at once would only burn time
                if (acceptor_.is_open())
                    co_await rest();
                continue;
            }
            ++turn;
            ++open_;
            auto start = [&service = service_, &worker, socket = std::move(socket), place = Place(&open_)]() mutable {
                auto session = std::make_shared<Session>(std::move(socket), std::move(place), worker, service);
                asio::co_spawn(
                    worker.context, [session] { return session->run(); }, asio::detached);
            };
            asio::post(worker.context, std::move(start));
        }
    }

    auto rest() -> asio::awaitable<void> {
        pause_.expires_after(accept_pause);
        co_await pause_.async_wait(as_tuple);
    }

    Service service_;
    std::atomic<std::size_t> open_{0};
    Workers workers_;
    tcp::acceptor acceptor_{first().context};
    asio::steady_timer pause_{first().context};
    Listen_Address address_;
    std::once_flag stopped_;
};

Server::Server(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
auto Server::operator=(Server&&) noexcept -> Server& = default;
Server::~Server() = default;

auto Server::start(Listen_Address const& address, Handler handler, Observer observe, Server_Options options)
    -> Result<Server> {
    auto impl = std::make_unique<Impl>(Service{std::move(handler), std::move(observe), std::move(options)});
    if (auto const listening = impl->listen(address); !listening)
        return listening.error();
    impl->run();
    return Server(std::move(impl));
}

auto Server::address() const noexcept -> Listen_Address const& { return impl_->address(); }

void Server::stop() noexcept { impl_->stop(); }

} // namespace memfs_cache
