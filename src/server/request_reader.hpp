// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>
#include <memfs_cache/server/server.hpp>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Makes one request of the bytes of a connection, without sockets and without waiting.
///
/// Beast's parser does the reading. Around it stands what it leaves to its users: limits for the target, for chunk
/// extensions and for trailers; and the refusal of everything that it reads leniently but a proxy in front may read
/// differently (RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1 and 11.2).
class Request_Reader {
  public:
    /// @param  options  must outlive the reader
    explicit Request_Reader(Server_Options const& options);

    /// Takes bytes up to the end of the request and returns how many it took. Not after is_over().
    auto put(std::string_view bytes) -> std::size_t;
    /// Gives up: nothing more will come.
    void refuse(Refusal reason);

    [[nodiscard]] auto is_over() const noexcept -> bool { return refusal_ || parser_.is_done(); }
    [[nodiscard]] auto refusal() const noexcept -> std::optional<Refusal> { return refusal_; }
    /// Does the client wait for "100 Continue" before it sends its body?
    [[nodiscard]] auto waits_for_leave() const -> bool;
    [[nodiscard]] auto body_bytes() const noexcept -> std::size_t { return parser_.get().body().size(); }

    /// May another request follow on the connection?
    [[nodiscard]] auto keeps_alive() const -> bool { return !refusal_ && parser_.keep_alive(); }
    /// Must the answer say that the connection stays open?
    [[nodiscard]] auto is_old() const -> bool { return parser_.get().version() < 11; }

    /// The request, once it is over; of a refused one, what could be read.
    [[nodiscard]] auto take_request() -> Request;

  private:
    using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

    auto put_head(std::string_view bytes) -> std::size_t;
    void read_head(std::string_view head);
    auto put_body(std::string_view bytes) -> std::size_t;
    auto feed(std::string_view bytes) -> std::size_t;
    [[nodiscard]] auto fields_are_sound() const -> bool;
    void note_request_line(std::string_view head);

    Server_Options const& options_;
    Parser parser_;
    std::string held_; ///< of a header, or of a line between chunks, that is not complete
    bool in_body_ = false;
    Request request_; ///< but for the body
    std::optional<Refusal> refusal_;
};

/// What a refused request is answered with.
[[nodiscard]] auto refusal_reply(Refusal reason, Server_Options const& options) -> Response;

} // namespace memfs_cache
