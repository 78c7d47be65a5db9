// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "throwaway_authority.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/unique_fd.hpp>

#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <vector>

namespace memfs_cache::testing {

/// One connection as its script sees it. What waits, waits a minute at most.
class Peer_Session {
  public:
    Peer_Session(Unique_Fd socket, std::size_t which, SSL_CTX* tls) : number(which), socket_(std::move(socket)) {
        timeval const limit{60, 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        int const at_once = 1;
        ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
        if (tls == nullptr)
            return;
        tls_.reset(SSL_new(tls));
        SSL_set_fd(tls_.get(), socket_.get());
        agreed_ = SSL_accept(tls_.get()) == 1;
    }

    std::size_t number; ///< of the connection, from 0

    /// Did client and peer agree on TLS?
    [[nodiscard]] auto agreed() const -> bool { return !tls_ || agreed_; }
    /// The name that the client asked for, "" for none.
    [[nodiscard]] auto server_name() const -> std::string {
        auto const* const name = SSL_get_servername(tls_.get(), TLSEXT_NAMETYPE_host_name);
        return name == nullptr ? "" : name;
    }

    /// The next request, head and body; nothing once the client has gone.
    [[nodiscard]] auto read_request() -> std::optional<std::string> {
        std::size_t end = 0;
        while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
            if (!read_more())
                return std::nullopt;
        }
        constexpr std::string_view name = "Content-Length: ";
        auto const at = received_.find(name);
        auto size = end + 4;
        if (at < end) {
            auto const digits = received_.substr(at + name.size(), received_.find('\r', at) - at - name.size());
            size += parse_decimal(digits).value_or(0);
        }
        while (received_.size() < size) {
            if (!read_more())
                return std::nullopt;
        }
        auto request = received_.substr(0, size);
        received_.erase(0, size);
        return request;
    }

    /// False once the client has gone.
    auto say(std::string_view bytes) -> bool {
        while (!bytes.empty()) {
            auto const count = tls_ ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()))
                                    : static_cast<int>(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
            if (count <= 0)
                return false;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return true;
    }
    auto answer(std::string_view body, std::string_view more_headers = {}) -> bool {
        return say("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                   std::string(more_headers) + "\r\n" + std::string(body));
    }

    /// Waits until the client has gone.
    void wait_for_end() {
        while (read_more()) {
        }
    }
    /// Says that nothing more will come, in order: TLS first.
    void end() {
        if (tls_)
            SSL_shutdown(tls_.get());
        ::shutdown(socket_.get(), SHUT_WR);
    }
    /// Ends the connection without a word of TLS.
    void cut() { ::shutdown(socket_.get(), SHUT_WR); }
    /// Ends it with a reset.
    void reset() {
        linger const at_once{1, 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        socket_ = Unique_Fd();
    }

  private:
    auto read_more() -> bool {
        char bytes[16384];
        auto const count = tls_ ? SSL_read(tls_.get(), bytes, sizeof bytes)
                                : static_cast<int>(::recv(socket_.get(), bytes, sizeof bytes, 0));
        if (count <= 0)
            return false;
        received_.append(bytes, static_cast<std::size_t>(count));
        return true;
    }

    struct Free {
        void operator()(SSL* session) const { SSL_free(session); }
    };
    Unique_Fd socket_;
    std::unique_ptr<SSL, Free> tls_;
    bool agreed_ = false;
    std::string received_;
};

/// A server on loopback that does with each connection what its script says, on a thread for each.
class Scripted_Peer {
  public:
    using Script = std::function<void(Peer_Session&)>;

    explicit Scripted_Peer(Script script,
                           std::optional<Certificate> const& certificate = std::nullopt,
                           int family = AF_INET)
        : script_(std::move(script)), listener_(::socket(family, SOCK_STREAM, 0)) {
        sockaddr_in6 address{}; // large enough for both
        socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (family == AF_INET) {
            auto& v4 = reinterpret_cast<sockaddr_in&>(address);
            v4.sin_family = AF_INET;
            v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        } else {
            address.sin6_family = AF_INET6;
            address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
        }
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr const*>(&address), size) == 0);
        REQUIRE(::listen(listener_.get(), 128) == 0);
        REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port_ = ntohs(address.sin6_port); // in the same place for both families
        if (certificate)
            tls_ = certificate->server_context();
        acceptor_ = std::thread([this] { accept_all(); });
    }
    Scripted_Peer(Scripted_Peer const&) = delete;
    auto operator=(Scripted_Peer const&) -> Scripted_Peer& = delete;
    /// Clients go first: a session that waits for one waits a minute.
    ~Scripted_Peer() {
        stopping_ = true;
        ::shutdown(listener_.get(), SHUT_RDWR);
        acceptor_.join();
        for (auto& session : sessions_)
            session.join();
    }

    [[nodiscard]] auto port() const -> std::uint16_t { return port_; }
    [[nodiscard]] auto connections() const -> std::size_t { return connections_; }
    /// Scripts that have come to their end; their connections are closed.
    [[nodiscard]] auto finished() const -> std::size_t { return finished_; }

  private:
    void accept_all() {
        while (!stopping_) {
            Unique_Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!socket)
                continue;
            auto const number = connections_++;
            sessions_.emplace_back([this, number, fd = std::make_shared<Unique_Fd>(std::move(socket))] {
                sigset_t broken_pipe; // OpenSSL's own sockets raise it; the library's must not
                ::sigemptyset(&broken_pipe);
                ::sigaddset(&broken_pipe, SIGPIPE);
                ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
                serve(Peer_Session(std::move(*fd), number, tls_.get()));
                ++finished_;
            });
        }
    }

    /// Until the script has come to its end and the connection is closed.
    void serve(Peer_Session session) const {
        if (session.agreed())
            script_(session);
    }

    Script script_;
    Unique_Fd listener_;
    std::uint16_t port_ = 0;
    std::shared_ptr<SSL_CTX> tls_;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::size_t> connections_ = 0;
    std::atomic<std::size_t> finished_ = 0;
    std::vector<std::thread> sessions_;
    std::thread acceptor_;
};

} // namespace memfs_cache::testing
