// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>
#include <memfs_cache/server/server.hpp>

#include <boost/beast/http/parser.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// A body as text, for Beast's parser. Unlike its string_body it takes no memory for what was only announced.
struct Text_Body {
    using value_type = std::string;
    class Reader {
      public:
        template <bool IsRequest, class Fields>
        Reader(boost::beast::http::header<IsRequest, Fields> const&, value_type& body) : body_(body) {}
        void init(boost::optional<std::uint64_t> const&, boost::system::error_code& state) { state = {}; }
        auto put(boost::asio::const_buffer bytes, boost::system::error_code& state) -> std::size_t {
            state = {};
            body_.append(static_cast<char const*>(bytes.data()), bytes.size());
            return bytes.size();
        }
        void finish(boost::system::error_code& state) { state = {}; }

      private:
        value_type& body_;
    };
    using reader = Reader; // Beast's name
};

/// How long a body may be.
struct Body_Limit {
    std::uint64_t bytes;
    std::string_view option = {}; ///< that sets it; "" if none does
};

/// Makes one request of the bytes of a connection, without sockets and without waiting.
///
/// Beast's parser does the reading. Around it stands what it leaves to its users: limits for the target, for chunk
/// extensions and for trailers; and the refusal of everything that it reads leniently but a proxy in front may read
/// differently (RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1 and 11.2).
class Request_Reader {
  public:
    /// @param  options  must outlive the reader
    explicit Request_Reader(Server_Options const& options);

    /// Takes bytes up to the end of the headers, of a piece, or of the request, and returns how many it took. Not after
    /// is_over(), nor while has_piece().
    auto put(std::string_view bytes) -> std::size_t;
    /// Gives up: nothing more will come.
    void refuse(Refusal reason);

    [[nodiscard]] auto is_over() const noexcept -> bool { return refusal_ || parser_.is_done(); }
    [[nodiscard]] auto refusal() const noexcept -> std::optional<Refusal> { return refusal_; }
    /// Does the client wait for "100 Continue" before it sends its body?
    [[nodiscard]] auto waits_for_leave() const -> bool;

    /// Have all headers come, and were they good?
    [[nodiscard]] auto has_head() const noexcept -> bool { return in_body_ && !refusal_; }
    /// The headers, once they have come; a body is read after them.
    [[nodiscard]] auto head() noexcept -> Request& { return request_; }
    /// Do the headers say that a body follows? It may be empty.
    [[nodiscard]] auto announces_body() const -> bool {
        return parser_.content_length().has_value() || parser_.chunked();
    }
    /// Says how the body is taken, before anything else is put. Refuses it if it is known to be longer.
    /// @param  piece_bytes  1 or more
    void expect_body(Body_Limit limit, std::size_t piece_bytes = std::numeric_limits<std::size_t>::max());
    [[nodiscard]] auto body_limit() const noexcept -> Body_Limit { return limit_; }

    /// What has come of the body since the last drop_piece().
    [[nodiscard]] auto piece() const noexcept -> std::string const& { return parser_.get().body(); }
    [[nodiscard]] auto has_piece() const noexcept -> bool { return piece().size() >= piece_bytes_; }
    void drop_piece();
    /// How much of the body has come in all.
    [[nodiscard]] auto body_bytes() const noexcept -> std::uint64_t { return dropped_bytes_ + piece().size(); }

    /// May another request follow on the connection?
    [[nodiscard]] auto keeps_alive() const -> bool { return !refusal_ && parser_.keep_alive(); }
    /// Must the answer say that the connection stays open?
    [[nodiscard]] auto is_old() const -> bool { return parser_.get().version() < 11; }

    /// The request, once it is over; of a refused one, what could be read.
    [[nodiscard]] auto take_request() -> Request;

  private:
    using Parser = boost::beast::http::request_parser<Text_Body>;

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
    Body_Limit limit_;
    std::size_t piece_bytes_ = std::numeric_limits<std::size_t>::max();
    std::uint64_t dropped_bytes_ = 0;
    Request request_; ///< but for the body
    std::optional<Refusal> refusal_;
};

/// What a refused request is answered with.
[[nodiscard]] auto refusal_reply(Refusal reason, Server_Options const& options, Body_Limit body_limit) -> Response;

} // namespace memfs_cache
