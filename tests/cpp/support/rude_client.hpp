// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/http/message.hpp>

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <utility>

namespace memfs_cache {

/// A client that sends exactly the bytes it is told to, so that tests can be as rude as the network.
class Rude_Client {
  public:
    struct Reply {
        int status = 0; ///< 0: the connection ended before a whole header
        Headers headers;
        std::string body;
    };

    /// @param receive_buffer_bytes  makes the client take little at once; 0: as the system likes
    /// @param source                address of the loopback network to come from
    explicit Rude_Client(std::uint16_t port, int receive_buffer_bytes = 0, char const* source = "127.0.0.1")
        : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        timeval const limit{20, 0}; // a test that would hang fails instead
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (receive_buffer_bytes > 0) {
            ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = ::inet_addr(source);
        REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0);
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(socket_.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0);
    }

    /// False once the other side is gone.
    auto send(std::string_view bytes) -> bool {
        while (!bytes.empty()) {
            auto const count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0)
                return false;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return true;
    }

    void shut_down_sending() { ::shutdown(socket_.get(), SHUT_WR); }

    /// Goes away without a word: what is still under way is answered with a reset.
    void vanish() {
        linger const at_once{1, 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        socket_ = Unique_Fd();
    }

    /// The next answer. `method` tells whether it has a body.
    auto receive(std::string_view method = "GET") -> Reply {
        Reply reply;
        std::size_t end = 0;
        while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
            if (!read_more())
                return reply;
        }
        std::string_view const header = std::string_view(received_).substr(0, end + 2);
        reply.status = static_cast<int>(parse_decimal(header.substr(9, 3)).value_or(0));
        for (auto at = header.find("\r\n") + 2; at < header.size();) {
            auto const line = header.substr(at, header.find("\r\n", at) - at);
            auto const colon = line.find(": ");
            reply.headers.add(std::string(line.substr(0, colon)), std::string(line.substr(colon + 2)));
            at += line.size() + 2;
        }
        received_.erase(0, end + 4);
        auto const size = parse_decimal(reply.headers.value("Content-Length"));
        if (method == "HEAD" || !size)
            return reply;
        while (received_.size() < *size && read_more()) {
        }
        reply.body = received_.substr(0, *size);
        received_.erase(0, *size);
        return reply;
    }

    auto get(std::string_view target, std::string_view more_headers = {}) -> Reply {
        send("GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more_headers) + "\r\n");
        return receive();
    }

    /// Of a body without a length: what comes up to `end`, and with it; less if the other side is gone before.
    auto receive_until(std::string_view end) -> std::string {
        auto at = received_.find(end);
        for (; at == std::string::npos; at = received_.find(end))
            if (!read_more())
                return std::exchange(received_, {});
        auto const text = received_.substr(0, at + end.size());
        received_.erase(0, text.size());
        return text;
    }

    /// Did the other side end the connection in order, with nothing left to read?
    auto is_closed() -> bool {
        char byte = 0;
        return received_.empty() && ::recv(socket_.get(), &byte, 1, 0) == 0;
    }
    /// Reads and forgets up to 4 KiB. False once the other side is gone.
    auto skip_some() -> bool {
        auto const came = read_more();
        received_.clear();
        return came;
    }

  private:
    auto read_more() -> bool {
        char bytes[4096];
        auto const count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
        if (count <= 0)
            return false;
        received_.append(bytes, static_cast<std::size_t>(count));
        return true;
    }

    Unique_Fd socket_;
    std::string received_;
};

} // namespace memfs_cache
