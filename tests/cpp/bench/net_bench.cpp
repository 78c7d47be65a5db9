// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/net/request_signer.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <thread>
#include <vector>

namespace memfs_cache::bench {

namespace {

/// What no signer can do without: two digests, of the body and of the canonical request, and one authentication.
auto three_digests() -> Work {
    return [text = Bytes(400, 'x'), key = Bytes(32, 'k'),
            sha256 = std::shared_ptr<EVP_MD>(EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free)](
               std::size_t operations) {
        std::array<unsigned char, EVP_MAX_MD_SIZE> out;
        for (std::size_t i = 0; i < operations; ++i) {
            EVP_Digest(text.data(), 200, out.data(), nullptr, sha256.get(), nullptr);
            EVP_Digest(text.data(), 400, out.data(), nullptr, sha256.get(), nullptr);
            keep(HMAC(sha256.get(), key.data(), static_cast<int>(key.size()),
                      reinterpret_cast<unsigned char const*>(text.data()), 150, out.data(), nullptr));
        }
    };
}

auto signing() -> Sides {
    return {
        [signer = std::make_shared<Request_Signer>("us-east-1", "s3"), body = Bytes(200, 'x')](std::size_t operations) {
            Aws_Credentials const keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
            for (std::size_t i = 0; i < operations; ++i) {
                Client_Request request;
                request.method = "PUT";
                request.target = "/bucket/cache/analytics/data/raw/2026/02/13/14/0000000000000001.jsonl";
                request.headers = {{"Content-Type", "application/octet-stream"}, {"If-None-Match", "*"}};
                request.body = body;
                keep(signer->sign(request, "s3.example.com:9000", keys, from_millis(1'771'070'400'000)));
            }
        },
        three_digests()};
}

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::string_view request_text = "GET /bucket/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// Takes whatever comes at once for a request and answers with 200 bytes, on a thread for each connection.
class Brief_Peer {
  public:
    explicit Brief_Peer(std::size_t connections) {
        for (std::size_t i = 0; i < connections; ++i) {
            threads_.emplace_back([this] {
                auto socket = acceptor_.accept();
                socket.set_option(tcp::no_delay(true));
                std::array<char, 4096> request;
                boost::system::error_code failure;
                while (!failure && socket.read_some(asio::buffer(request), failure) > 0)
                    asio::write(socket, asio::buffer(answer), failure);
            });
        }
    }
    /// Clients go first.
    ~Brief_Peer() {
        for (auto& thread : threads_)
            thread.join();
    }
    Brief_Peer(Brief_Peer const&) = delete;
    auto operator=(Brief_Peer const&) -> Brief_Peer& = delete;

    [[nodiscard]] auto address() const -> tcp::endpoint { return acceptor_.local_endpoint(); }

    std::string const answer = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + std::string(200, 'x');

  private:
    asio::io_context context_;
    tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
    std::vector<std::thread> threads_;
};

auto exchange() -> Sides {
    auto const peer = std::make_shared<Brief_Peer>(2);
    Http_Endpoint endpoint;
    endpoint.tls = false;
    endpoint.host = "127.0.0.1";
    endpoint.port = peer->address().port();
    struct Bare {
        asio::io_context context;
        tcp::socket socket{context};
    };
    auto const bare = std::make_shared<Bare>();
    bare->socket.connect(peer->address());
    bare->socket.set_option(tcp::no_delay(true));
    return {
        [peer, client = std::make_shared<Http_Client>(Http_Client::create(endpoint).value())](std::size_t operations) {
            Client_Request request;
            request.method = "GET";
            request.target = "/bucket/key";
            for (std::size_t i = 0; i < operations; ++i)
                keep(client->send(request).value().body);
        },
        [peer, bare](std::size_t operations) {
            std::array<char, 4096> buffer;
            for (std::size_t i = 0; i < operations; ++i) {
                asio::write(bare->socket, asio::buffer(request_text));
                for (std::size_t size = 0; size < peer->answer.size();)
                    size += bare->socket.read_some(asio::buffer(buffer));
                keep(buffer);
            }
        }};
}

} // namespace

auto net_rows() -> Rows {
    return {{"signing a put of 200 bytes", "its three digests by OpenSSL", signing},
            {"request and answer of 200 bytes, idle connection", "bare write and read", exchange}};
}

} // namespace memfs_cache::bench
