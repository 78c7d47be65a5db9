// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Where a server listens: scheme, host and port of a URL.
struct Http_Endpoint {
    bool tls = true;
    std::string host; ///< name or address; IPv6 without brackets
    std::uint16_t port = 443;

    /// @param  url  http://host[:port] or https://host[:port], no user, path or query
    /// @errors invalid_argument; the message does not repeat the text, because people put credentials into URLs
    [[nodiscard]] static auto parse(std::string_view url) -> Result<Http_Endpoint>;
    /// What the header Host says: the port only where it is not the scheme's own.
    [[nodiscard]] auto host_header() const -> std::string;
};

struct Http_Header {
    std::string name;
    std::string value;
};

/// A request that a client sends. Host, Content-Length and Connection are the client's own business.
struct Client_Request {
    std::string method;
    std::string target; ///< path and query as they go over the wire, already encoded
    std::vector<Http_Header> headers;
    Byte_View body;
    std::uint64_t longest_body = 16 << 20; ///< of the answer, in bytes; a longer one is no answer
};

struct Client_Response {
    unsigned status = 0;
    std::vector<Http_Header> headers;
    Bytes body;

    /// Value of the first header of this name, in any case; "" if there is none.
    [[nodiscard]] auto header(std::string_view name) const noexcept -> std::string_view;
};

/// Why there is no answer, and whether the request can have had an effect.
struct No_Answer {
    Error error;
    bool may_have_arrived = false;   ///< some of the request was sent
    bool on_used_connection = false; ///< one that had answered before and may have been closed by the peer meanwhile
};
[[noreturn]] void throw_exception_from_error(No_Answer const& failure, boost::source_location const& place);

struct Http_Client_Options {
    std::chrono::milliseconds connect_timeout{5'000}; ///< to resolve, connect and agree on TLS
    std::chrono::milliseconds answer_timeout{30'000}; ///< from the first byte sent to the last one received
    std::chrono::milliseconds idle_timeout{20'000};   ///< an idle connection that is older is not used again
    std::size_t most_idle = 64;                       ///< connections kept for later
    std::string ca_file;      ///< PEM file of the authorities to trust; "" for those of the system
    std::string connect_host; ///< connect there instead of to the endpoint's host, which still names and proves it
};

/// Sends requests to one endpoint and keeps its connections for the next ones. Sends each request once: whether to try
/// again is the caller's to know.
///
/// Threads  any number at once; each that waits has a connection of its own and runs it. No lock is held while a
///          request is under way, and no thread is there beside, but for the look-up of a name, which the system
///          cannot be made to end in time.
/// fork     a child has no connections at first and never touches its parent's.
/// Secrets  no message repeats a header, a query or a body; host and port of the endpoint are named.
/// Cost     with an idle connection one write, one read and what the answer takes to store
class Http_Client {
  public:
    /// @errors invalid_argument: the authorities cannot be read
    /// Cost    with TLS, reading the authorities; so does the first request of a child after fork()
    [[nodiscard]] static auto create(Http_Endpoint endpoint, Http_Client_Options options = {}) -> Result<Http_Client>;

    Http_Client(Http_Client&&) noexcept;
    auto operator=(Http_Client&&) noexcept -> Http_Client&;
    ~Http_Client();

    /// @param  deadline          no answer after it; the earlier of it and the options' timeouts counts
    /// @param  fresh_connection  a new connection, even where an idle one is at hand
    /// @return whatever the peer answered, errors included; or why there is no answer: unavailable (cannot be resolved
    ///         or reached, closed the connection, proves to be somebody else: the message says what to check),
    ///         timed_out, corrupt_data (no HTTP, or cut short), too_large, invalid_argument (the request could be read
    ///         as another one, or has headers that are the client's business; nothing was sent)
    [[nodiscard]] auto
    send(Client_Request const& request,
         std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max(),
         bool fresh_connection = false) const -> boost::system::result<Client_Response, No_Answer>;

    [[nodiscard]] auto endpoint() const noexcept -> Http_Endpoint const&;

  private:
    struct State;
    explicit Http_Client(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace memfs_cache
