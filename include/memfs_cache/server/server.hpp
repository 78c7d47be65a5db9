// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/http/message.hpp>
#include <memfs_cache/namespaces/analytics/request_view.hpp>
#include <memfs_cache/server/listen_address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace memfs_cache {

/// Is told of every request after the last byte of its answer: what was really sent, also when the server itself
/// refused the request, the handler threw or the client went away. The view is valid during the call.
/// Threads: called from every thread of the server at once. What it throws is logged and costs the request nothing.
using Observer = std::function<void(Request_View const&)>;

struct Server_Options {
    unsigned threads = 0;                              ///< each with its own event loop; 0: one a core
    std::size_t max_connections = 1024;                ///< further ones wait in the queue of the system
    std::uint32_t header_limit_bytes = 16 * 1024;      ///< request line and headers; more gives 431
    std::uint64_t body_limit_bytes = 1024 * 1024;      ///< more gives 413
    std::chrono::milliseconds idle_timeout{60'000};    ///< wait for the next request, or for the client to take a piece
    std::chrono::milliseconds request_timeout{30'000}; ///< from the first byte of a request to its last; then 408
    std::chrono::milliseconds stop_timeout{10'000};    ///< for requests in flight when the server is stopped
    std::string country_header = {};                   ///< header of a trusted proxy with the country; "" for none
    Log log = {};
};

/// An HTTP/1.1 server on one address: moves bytes between sockets and a Handler, and knows no route. Two listeners,
/// such as a public and an admin one, are two Servers.
///
/// One thread accepts and deals the connections out; each thread runs its own event loop, on which it also runs the
/// handler. A slow client costs memory and no thread; a slow handler holds up the connections of its thread.
class Server {
  public:
    /// Listens and starts the threads.
    /// @param  observe  may be empty
    /// @errors unavailable: the port is in use; permission_denied; invalid_argument: not an address of this machine.
    ///         The message names the address and the option that it came from.
    [[nodiscard]] static auto
    start(Listen_Address const& address, Handler handler, Observer observe, Server_Options options = {})
        -> Result<Server>;

    Server(Server&&) noexcept;
    auto operator=(Server&&) noexcept -> Server&;
    /// Stops.
    ~Server();

    /// The address it listens on, with the port that the system gave if 0 was asked for.
    [[nodiscard]] auto address() const noexcept -> Listen_Address const&;

    /// Accepts no more, closes idle connections, lets requests in flight end for up to stop_timeout, then closes the
    /// rest and waits for the threads: after it no handler or observer runs. Not from a handler. Repeating it does
    /// nothing.
    void stop() noexcept;

  private:
    class Impl;
    explicit Server(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

} // namespace memfs_cache
