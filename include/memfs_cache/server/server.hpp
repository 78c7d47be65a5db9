// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/http/body_sink.hpp>
#include <memfs_cache/http/message.hpp>
#include <memfs_cache/namespaces/analytics/request_view.hpp>
#include <memfs_cache/server/listen_address.hpp>
#include <memfs_cache/server/server_counters.hpp>

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
    std::size_t max_connections = 1024;                ///< when more come, those give way that wait longest
    std::uint32_t header_limit_bytes = 16 * 1024;      ///< request line and headers; more gives 431
    std::uint32_t target_limit_bytes = 8 * 1024;       ///< more gives 414
    std::uint64_t body_limit_bytes = 1024 * 1024;      ///< of a body that no sink takes; more gives 413
    std::uint64_t bodies_limit_bytes = 64 << 20;       ///< of all bodies and pieces in memory; then some give way
    std::chrono::milliseconds idle_timeout{60'000};    ///< wait for the next request, or for the client to go on
    std::chrono::milliseconds request_timeout{30'000}; ///< for the headers; for body and answer with what they earn:
    std::uint64_t least_bytes_per_second = 500;        ///< each so many bytes that were moved give one second more
    std::chrono::milliseconds stop_timeout{10'000};    ///< for requests in flight when the server is stopped
    std::string country_header = {};                   ///< header of a trusted proxy with the country; "" for none
    /// Asked, when the headers of a request that announce a body were read, for a sink that takes it in pieces. Empty:
    /// every body is held and given to the handler.
    Receiver receive = {};
    /// Asked before the handler is called: may that wait, say for a storage? Then a thread apart calls it, and the
    /// connections of this thread go on. Empty: it never waits.
    std::function<bool(Request const&)> handler_may_wait = {};
    /// Asked before the observer is called: may that wait, say for a storage? Then a thread apart calls it, and the
    /// connections of this thread go on. Empty: it never waits.
    std::function<bool()> observer_may_wait = {};
    /// Is the observer told before the last byte of an answer leaves, and waited for? For hosts that freeze a program as
    /// soon as it has answered. The connections of this thread go on meanwhile.
    bool observe_before_end = false;
    std::uint64_t observer_queue_bytes = 16 << 20; ///< of requests that wait for it; beyond it the newest are dropped
    Clock_Ptr clock = std::make_shared<System_Clock>(); ///< of Date headers, and of requests that wait for the observer
    std::shared_ptr<Server_Counters> counters = std::make_shared<Server_Counters>();
    Log log = {};
};

/// An HTTP/1.1 server on one address: moves bytes between sockets and a Handler, and knows no route. Two listeners,
/// such as a public and an admin one, are two Servers.
///
/// One thread accepts and deals the connections out; each thread runs its own event loop, on which it also runs the
/// handler. A slow client costs memory and no thread; a slow handler holds up the connections of its thread, unless
/// handler_may_wait says so before. Sinks and sources of bodies always run on threads apart. The time that they take is
/// not the client's: it counts for no limit of time.
///
/// A body in pieces takes one piece of memory while it comes in or goes out; where that would be more than
/// bodies_limit_bytes, sources are asked for pieces of 64 KiB, and for one that comes in others give way, as for bodies
/// that are held. One that is broken off, by its client, its sink or its source, ends its connection.
///
/// Nobody is turned away. When a connection comes and all places are taken, the address that holds most of them loses
/// the one whose client has been waited for longest: one address can use what nobody else needs, and no more. An IPv6
/// network of 64 bits counts as one address.
///
/// What two readers could understand differently is refused, since one of them may be a proxy in front: bare line ends,
/// folded lines, lengths twice or beside chunks, codings other than chunks.
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

    /// Accepts what has already connected and no more, closes idle connections, lets requests in flight end for up to
    /// stop_timeout, then closes the rest and waits for the threads: after it no handler or observer runs. Not from a
    /// handler. Repeating it does nothing.
    void stop() noexcept;

  private:
    class Impl;
    explicit Server(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

} // namespace memfs_cache
