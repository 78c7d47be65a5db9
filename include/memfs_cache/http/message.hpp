// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/unique_fd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace memfs_cache {

/// An instant as headers spell it: "Fri, 13 Feb 2026 14:05:09 GMT".
[[nodiscard]] auto http_date(Utc_Time time) -> std::string;

/// Header lines of a message in their order; names are compared without case.
class Headers {
  public:
    struct Line {
        std::string name;
        std::string value;
    };

    Headers() = default;
    Headers(std::initializer_list<Line> lines) : lines_(lines) {}

    void add(std::string name, std::string value) { lines_.push_back({std::move(name), std::move(value)}); }
    /// Value of the first line of that name; "" when there is none.
    [[nodiscard]] auto value(std::string_view name) const noexcept -> std::string_view;
    /// Values of all lines of that name as one list: what several lines mean (RFC 9110 section 5.3).
    [[nodiscard]] auto joined(std::string_view name) const -> std::string;

    [[nodiscard]] auto begin() const noexcept { return lines_.begin(); }
    [[nodiscard]] auto end() const noexcept { return lines_.end(); }

  private:
    std::vector<Line> lines_;
};

/// A request as any host hands it over: the server of this library, or an ASGI adapter.
struct Request {
    std::string method; ///< as sent; methods are case-sensitive
    std::string target; ///< as sent: path, then '?' and the query
    Headers headers;
    std::string body;
    std::string remote; ///< address of the peer without port; "" if unknown
};

/// A part of an open file, which the host sends in pieces instead of loading it.
struct File_Part {
    Unique_Fd file;
    std::uint64_t offset_bytes = 0;
    std::uint64_t size_bytes = 0;
};

/// The body of an answer that comes out of a storage, a piece at a time. It is destroyed when its answer has ended; without
/// finish() the client has not been sent all of it.
/// Threads  a host calls it, and destroys it, on a thread that may wait; one call after the other.
class Body_Source {
  public:
    Body_Source() = default;
    Body_Source(Body_Source const&) = delete;
    auto operator=(Body_Source const&) -> Body_Source& = delete;
    virtual ~Body_Source() = default;

    /// Of the whole body. Must not wait.
    [[nodiscard]] virtual auto size_bytes() const noexcept -> std::uint64_t = 0;
    /// As many bytes as are best read at once. Must not wait. A host that is short of memory asks for fewer.
    [[nodiscard]] virtual auto piece_bytes() const noexcept -> std::size_t = 0;
    /// The bytes from `offset` on.
    /// @param  most  1 or more; never more than are left of the body
    /// @return 1..most bytes
    /// @errors any: the connection ends, since the client was promised more, and the log is told
    [[nodiscard]] virtual auto read(std::uint64_t offset, std::size_t most) -> Result<Bytes> = 0;
    /// The last byte was given to the system to be sent. An answer without its body, as to HEAD, has no last byte.
    virtual void finish() = 0;
};

/// The body of an answer that goes on for as long as its client listens, such as a stream of events. It has no length: the
/// connection ends with it, when it has nothing more to say, the client goes away or the host stops.
/// Threads  next() is called on a thread that may wait; one call after the other. All else must not wait, nor may the end
///          of its life.
class Body_Stream {
  public:
    Body_Stream() = default;
    Body_Stream(Body_Stream const&) = delete;
    auto operator=(Body_Stream const&) -> Body_Stream& = delete;
    virtual ~Body_Stream() = default;

    /// The next bytes; none: it is over. What is whole by itself: a host that cannot hold answers open, as it may have to
    /// wait for them when it stops, sends the first ones and ends.
    /// @errors any: the connection ends, and the log is told
    [[nodiscard]] virtual auto next() -> Result<Bytes> = 0;
    /// How long to wait before the next call of next(), during which the host keeps no thread.
    [[nodiscard]] virtual auto pause() const noexcept -> std::chrono::milliseconds = 0;
};

/// An answer. It always holds what GET would get: a host answers HEAD with the size of the body and without the body.
/// A host sets Content-Length and Connection itself.
struct Response {
    int status = 200;
    Headers headers;
    /// Neither a source nor a stream is ever null.
    std::variant<Bytes, File_Part, std::unique_ptr<Body_Source>, std::unique_ptr<Body_Stream>> body;
    std::string route; ///< template that matched, such as /tokens/{name}; recorded instead of the path; "" if none
    /// What the request was, such as file_download, if its answer is sent whole; one that is broken off is `other`. "":
    /// what it looks like.
    std::string event_type = {};
    std::string transfer_id = {}; ///< recorded with the request; "" if it is about none
    std::string token_id = {};    ///< likewise

    /// 0 for a stream, which has_length() tells from an empty body.
    [[nodiscard]] auto body_bytes() const noexcept -> std::uint64_t;
    [[nodiscard]] auto has_length() const noexcept -> bool {
        return !std::holds_alternative<std::unique_ptr<Body_Stream>>(body);
    }
};

/// Answers one request.
/// Threads: called from every thread of a host at once.
using Handler = std::function<Response(Request const&)>;

/// Is told, in a sentence, what the person who runs the host should know and no client may read.
using Log = std::function<void(std::string_view)>;

/// Tells the log, if there is one. What it throws is lost.
void say(Log const& log, std::string_view sentence) noexcept;

/// Runs the work of a request. An exception becomes a 500 that says nothing of it, and its text goes to `log`.
[[nodiscard]] auto answer(std::function<Response()> const& work, Log const& log) -> Response;
/// The same for work that may have nothing to answer.
[[nodiscard]] auto answer_if_any(std::function<std::optional<Response>()> const& work, Log const& log)
    -> std::optional<Response>;

} // namespace memfs_cache
