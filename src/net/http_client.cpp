// SPDX-License-Identifier: Apache-2.0
#include "resolve.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/per_process.hpp>
#include <memfs_cache/net/http_client.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <sys/socket.h>
#include <unistd.h>

namespace memfs_cache {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;
using Deadline = steady_clock::time_point;

constexpr std::uint32_t longest_header = 64 << 10; // of an answer, in bytes

/// What can be added to a time and taken from one.
auto limited(std::chrono::milliseconds timeout) -> std::chrono::milliseconds {
    return std::min<std::chrono::milliseconds>(timeout, std::chrono::hours(24 * 365));
}
auto earlier(Deadline deadline, std::chrono::milliseconds timeout) -> Deadline {
    return std::min(deadline, steady_clock::now() + limited(timeout));
}

/// A connection has an io_context of its own: whoever waits for it runs it, and no other thread ever does.
struct Connection {
    asio::io_context io{1};
    tcp::socket socket{io};
    std::optional<ssl::stream<tcp::socket&>> tls;
    boost::beast::flat_buffer received;
    bool was_used = false;
    steady_clock::time_point idle_since;

    /// Runs what was begun until it is done. False once the deadline has come: then call stop().
    template <class Done>
    [[nodiscard]] auto run_until(Deadline deadline, Done done) -> bool {
        io.restart();
        while (!done()) {
            if (io.run_one_until(deadline) == 0)
                return false;
        }
        return true;
    }
    /// Ends what is under way, each with its handler.
    void stop() {
        error_code ignored;
        socket.close(ignored);
        io.restart();
        io.run();
    }

    /// Is there nothing to read? Bytes that nobody asked for would be taken for the next answer.
    [[nodiscard]] auto has_no_surplus() -> bool {
        if (received.size() > 0)
            return false;
        return !tls || (SSL_pending(tls->native_handle()) == 0 && BIO_pending(SSL_get_rbio(tls->native_handle())) == 0);
    }
    /// Is the other side there and silent, as far as this side knows?
    [[nodiscard]] auto is_quiet() -> bool {
        char byte = 0;
        auto const count = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
};

auto make_tls(std::string const& authorities, error_code& failure) -> ssl::context {
    ssl::context context(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    context.set_verify_mode(ssl::verify_peer);
    if (authorities.empty())
        context.set_default_verify_paths(failure);
    else
        context.add_certificate_authority(asio::buffer(authorities), failure);
    return context;
}

/// What a process has for itself: connections, and the context of their TLS, in which locks may be held at a fork.
struct Own {
    std::optional<ssl::context> tls;
    std::mutex mutex;
    std::vector<std::unique_ptr<Connection>> idle; ///< newest last
};

auto is_of_the_client(std::string_view name) -> bool {
    return equals_lower(name, "host") || equals_lower(name, "content-length") || equals_lower(name, "connection") ||
           equals_lower(name, "transfer-encoding");
}

/// Could the request be read as another one, or as two? Nothing if not.
auto fault_of(Client_Request const& request) -> std::optional<Error> {
    auto const is_visible = [](char c) { return c > ' ' && c <= '~'; };
    auto const is_text = [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f'); };
    auto const is_word = [&](std::string_view text) {
        return !text.empty() && std::all_of(text.begin(), text.end(), is_visible);
    };
    if (!is_word(request.method) || !request.target.starts_with('/') || !is_word(request.target))
        return fail(Errc::invalid_argument, "request: method and target are encoded and without blanks");
    for (auto const& [name, value] : request.headers) {
        if (!is_word(name) || name.find(':') != std::string::npos || !std::all_of(value.begin(), value.end(), is_text))
            return fail(Errc::invalid_argument, "request: a header has a character that would end it");
        if (is_of_the_client(name))
            return fail(Errc::invalid_argument, "request: Host, Content-Length, Connection and Transfer-Encoding are "
                                                "set by the client");
    }
    return std::nullopt;
}

auto head_of(Client_Request const& request, Http_Endpoint const& endpoint) -> std::string {
    std::string head;
    head.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\n");
    head.append("Host: ").append(endpoint.host_header()).append("\r\n");
    for (auto const& [name, value] : request.headers)
        head.append(name).append(": ").append(value).append("\r\n");
    if (!request.body.empty() || request.method == "PUT" || request.method == "POST")
        head.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
    return head.append("\r\n");
}

/// One request and its answer. Both are under way at once, as a peer may refuse a long body before it has all of it.
template <class Stream>
class Exchange {
  public:
    Exchange(Connection& connection, Stream& stream, Client_Request const& request, std::string head, std::string where)
        : connection_(connection), stream_(stream), request_(request), head_(std::move(head)),
          where_(std::move(where)) {}

    /// @param  reusable  set if the connection may carry another request
    [[nodiscard]] auto run(Deadline deadline, bool& reusable) -> boost::system::result<Client_Response, No_Answer> {
        std::array<asio::const_buffer, 2> const parts{asio::buffer(head_), asio::buffer(request_.body)};
        asio::async_write(stream_, parts, [this](error_code failure, std::size_t size) {
            sent_bytes_ = size;
            is_sent_ = !failure;
        });
        read_header();
        bool const in_time = connection_.run_until(deadline, [this] { return outcome_.has_value(); });
        reusable = in_time && !*outcome_ && is_sent_ && parser_->keep_alive() && connection_.has_no_surplus();
        if (!reusable)
            connection_.stop(); // from here on sent_bytes_ is final
        if (in_time && !*outcome_)
            return answer();
        bool const was_closed = in_time && !got_bytes() && is_end(*outcome_);
        return No_Answer{in_time ? reason() : too_late(), sent_bytes_ > 0, was_closed && connection_.was_used};
    }

  private:
    void read_header() {
        parser_.emplace();
        parser_->header_limit(longest_header);
        parser_->body_limit(request_.longest_body);
        parser_->skip(request_.method == "HEAD");
        http::async_read_header(stream_, connection_.received, *parser_, [this](error_code failure, std::size_t) {
            bool const is_interim = !failure && parser_->get().result_int() / 100 == 1;
            if (is_interim) {
                got_interim_ = true;
                read_header();
            } else if (failure) {
                outcome_ = failure;
            } else {
                read_body();
            }
        });
    }
    void read_body() {
        http::async_read(stream_, connection_.received, *parser_,
                         [this](error_code failure, std::size_t) { outcome_ = failure; });
    }

    [[nodiscard]] auto answer() -> Client_Response {
        auto& message = parser_->get();
        Client_Response response;
        response.status = message.result_int();
        for (auto const& field : message)
            response.headers.push_back({std::string(field.name_string()), std::string(field.value())});
        response.body = std::move(message.body());
        return response;
    }

    [[nodiscard]] auto got_bytes() const -> bool { return got_interim_ || parser_->got_some(); }

    [[nodiscard]] static auto is_end(error_code failure) -> bool {
        return failure == http::error::end_of_stream || failure == http::error::partial_message ||
               failure == asio::error::eof || failure == asio::error::connection_reset ||
               failure == asio::error::broken_pipe || failure == ssl::error::stream_truncated;
    }

    [[nodiscard]] auto too_late() const -> Error {
        return fail(Errc::timed_out, "no whole answer from " + where_ +
                                         " in time: it is slow, or the time limit (answer_timeout, or the caller's "
                                         "deadline) is too short");
    }
    [[nodiscard]] auto reason() const -> Error {
        auto const failure = *outcome_;
        if (failure == http::error::body_limit) {
            return fail(Errc::too_large, "the answer of " + where_ + " is longer than the " +
                                             std::to_string(request_.longest_body) + " bytes that were asked for");
        }
        if (is_end(failure)) {
            return got_bytes() ? fail(Errc::corrupt_data, "the answer of " + where_ + " was cut short")
                               : fail(Errc::unavailable, where_ + " closed the connection without an answer");
        }
        if (failure.category() == http::make_error_code(http::error::end_of_stream).category()) {
            return fail(Errc::corrupt_data, "the answer of " + where_ + " is no HTTP (" + failure.message() +
                                                "): check scheme and port of endpoint_url");
        }
        return fail(Errc::unavailable, "the connection to " + where_ + " failed: " + failure.message());
    }

    Connection& connection_;
    Stream& stream_;
    Client_Request const& request_;
    std::string const head_;
    std::string const where_;

    std::size_t sent_bytes_ = 0;
    bool is_sent_ = false;
    bool got_interim_ = false;
    std::optional<http::response_parser<http::string_body>> parser_;
    std::optional<error_code> outcome_;
};

} // namespace

struct Http_Client::State {
    Http_Endpoint endpoint;
    Http_Client_Options options;
    std::string authorities; ///< PEM; "" for those of the system
    Per_Process<Own> own{[this] {
        auto made = std::make_unique<Own>();
        if (endpoint.tls) {
            error_code ignored; // the same bytes were read before; without authorities nobody is trusted
            made->tls.emplace(make_tls(authorities, ignored));
        }
        return made;
    }};

    [[nodiscard]] auto where() const -> std::string {
        auto const name = endpoint.host + " port " + std::to_string(endpoint.port);
        return options.connect_host.empty() ? name : name + " (by way of connect_host)";
    }

    /// The newest idle connection that can carry a request; nothing if there is none.
    [[nodiscard]] auto take_idle() -> std::unique_ptr<Connection> {
        auto& mine = own.get();
        auto const oldest = steady_clock::now() - limited(options.idle_timeout);
        for (;;) {
            std::vector<std::unique_ptr<Connection>> dropped; // closed without the lock
            std::unique_ptr<Connection> newest;
            {
                std::lock_guard const lock(mine.mutex);
                if (mine.idle.empty())
                    return nullptr;
                if (mine.idle.back()->idle_since < oldest) {
                    dropped.swap(mine.idle);
                    return nullptr;
                }
                newest = std::move(mine.idle.back());
                mine.idle.pop_back();
            }
            if (newest->is_quiet())
                return newest;
        }
    }

    void keep(std::unique_ptr<Connection> connection) {
        if (options.most_idle == 0)
            return;
        auto& mine = own.get();
        connection->was_used = true;
        connection->idle_since = steady_clock::now();
        std::unique_ptr<Connection> oldest; // closed without the lock
        std::lock_guard const lock(mine.mutex);
        if (mine.idle.size() == options.most_idle) {
            oldest = std::move(mine.idle.front());
            mine.idle.erase(mine.idle.begin());
        }
        mine.idle.push_back(std::move(connection));
    }

    [[nodiscard]] auto connect(Connection& connection, Deadline deadline) -> Result<void> {
        auto const& host = options.connect_host.empty() ? endpoint.host : options.connect_host;
        auto const addresses = resolve(host, endpoint.port, deadline);
        if (!addresses)
            return addresses.error();
        error_code failure = asio::error::host_not_found;
        for (std::size_t i = 0; i < addresses->size(); ++i) {
            // An address that does not answer leaves time for those behind it.
            auto const now = steady_clock::now();
            auto const share = (deadline - now) / static_cast<std::int64_t>(addresses->size() - i);
            failure = connect((*addresses)[i], connection, now + share);
            if (!failure)
                return endpoint.tls ? agree_on_tls(connection, deadline) : Result<void>();
        }
        if (failure == asio::error::timed_out) {
            return fail(Errc::timed_out, where() +
                                             " was not reached in time: check endpoint_url and the network, or raise "
                                             "connect_timeout");
        }
        if (failure == asio::error::connection_refused)
            return fail(Errc::unavailable,
                        where() + " refuses connections: check that it runs there, and endpoint_url");
        return fail(Errc::unavailable, where() + " cannot be reached: " + failure.message());
    }

    [[nodiscard]] static auto connect(Socket_Address const& address, Connection& connection, Deadline deadline)
        -> error_code {
        tcp::endpoint endpoint;
        std::memcpy(endpoint.data(), &address.bytes, address.size);
        endpoint.resize(address.size);
        error_code failure;
        connection.socket.close(failure);
        // Not left open to programs that others start meanwhile.
        auto const fd = ::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return {errno, boost::system::system_category()};
        connection.socket.assign(endpoint.protocol(), fd, failure);
        if (failure) {
            ::close(fd);
            return failure;
        }
        connection.socket.set_option(tcp::no_delay(true), failure);
        if (failure)
            return failure;
        std::optional<error_code> outcome;
        connection.socket.async_connect(endpoint, [&outcome](error_code reason) { outcome = reason; });
        if (!connection.run_until(deadline, [&] { return outcome.has_value(); })) {
            connection.stop();
            return asio::error::timed_out;
        }
        return *outcome;
    }

    [[nodiscard]] auto agree_on_tls(Connection& connection, Deadline deadline) -> Result<void> {
        connection.tls.emplace(connection.socket, *own.get().tls);
        auto* const session = connection.tls->native_handle();
        error_code not_an_address;
        (void)asio::ip::make_address(endpoint.host, not_an_address);
        bool const is_set = not_an_address
                                ? SSL_set_tlsext_host_name(session, endpoint.host.c_str()) == 1 &&
                                      SSL_set1_host(session, endpoint.host.c_str()) == 1
                                : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), endpoint.host.c_str()) == 1;
        if (!is_set)
            return fail(Errc::invalid_argument, "endpoint_url: its host cannot be the name in a certificate");

        std::optional<error_code> outcome;
        connection.tls->async_handshake(ssl::stream_base::client, [&outcome](error_code reason) { outcome = reason; });
        if (!connection.run_until(deadline, [&] { return outcome.has_value(); })) {
            connection.stop();
            return fail(Errc::timed_out, where() +
                                             " did not agree on TLS in time: check that endpoint_url names a port for "
                                             "https, or raise connect_timeout");
        }
        if (!*outcome)
            return {};
        return tls_failure(SSL_get_verify_result(session), *outcome);
    }

    [[nodiscard]] auto tls_failure(long verdict, error_code failure) const -> Error {
        switch (verdict) {
        case X509_V_OK:
            return fail(Errc::unavailable, where() + " does not agree on TLS (" + failure.message() +
                                               "): check scheme and port of endpoint_url");
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return fail(Errc::unavailable, "the certificate of " + where() +
                                               " is not valid at this time: check the clock of this machine, then ask "
                                               "for a new certificate there");
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return fail(Errc::unavailable, "the certificate of " + where() +
                                               " belongs to another name: set endpoint_url to the name that it has");
        default:
            return fail(Errc::unavailable, "the certificate of " + where() +
                                               " is signed by nobody who is trusted here (" +
                                               X509_verify_cert_error_string(verdict) +
                                               "): set ca_file to the certificate of its authority");
        }
    }
};

auto Http_Client::create(Http_Endpoint endpoint, Http_Client_Options options) -> Result<Http_Client> {
    std::string authorities;
    if (endpoint.tls && !options.ca_file.empty()) {
        std::ostringstream text;
        text << std::ifstream(options.ca_file, std::ios::binary).rdbuf();
        authorities = text.str();
        if (authorities.empty())
            return fail(Errc::invalid_argument, "ca_file: cannot be read, or is empty");
    }
    if (endpoint.tls) {
        error_code failure;
        (void)make_tls(authorities, failure);
        if (failure) {
            return fail(Errc::invalid_argument, authorities.empty()
                                                    ? "the system's own authorities cannot be read: set ca_file"
                                                    : "ca_file: holds no certificate in PEM form, or a damaged one");
        }
    }
    return Http_Client(
        std::unique_ptr<State>(new State{std::move(endpoint), std::move(options), std::move(authorities)}));
}

Http_Client::Http_Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Http_Client::Http_Client(Http_Client&&) noexcept = default;
auto Http_Client::operator=(Http_Client&&) noexcept -> Http_Client& = default;
Http_Client::~Http_Client() = default;

auto Http_Client::endpoint() const noexcept -> Http_Endpoint const& { return state_->endpoint; }

auto Http_Client::send(Client_Request const& request, Deadline deadline, bool fresh_connection) const
    -> boost::system::result<Client_Response, No_Answer> {
    if (auto fault = fault_of(request))
        return No_Answer{std::move(*fault)};
    if (steady_clock::now() >= deadline)
        return No_Answer{fail(Errc::timed_out, "the caller's deadline had passed before anything was sent")};
    auto connection = fresh_connection ? nullptr : state_->take_idle();
    if (!connection) {
        connection = std::make_unique<Connection>();
        auto const connected = state_->connect(*connection, earlier(deadline, state_->options.connect_timeout));
        if (!connected)
            return No_Answer{connected.error()};
    }
    auto const end = earlier(deadline, state_->options.answer_timeout);
    bool reusable = false;
    auto const run = [&](auto& stream) {
        return Exchange(*connection, stream, request, head_of(request, state_->endpoint), state_->where())
            .run(end, reusable);
    };
    auto result = connection->tls ? run(*connection->tls) : run(connection->socket);
    if (reusable)
        state_->keep(std::move(connection));
    return result;
}

} // namespace memfs_cache
