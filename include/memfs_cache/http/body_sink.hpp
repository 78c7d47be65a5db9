// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace memfs_cache {

/// Takes the body of one request a piece at a time, so that nobody holds it whole. It is destroyed when its request has
/// ended; without finish() the body has not come whole, and nothing of it may count.
/// Threads  a host calls it, and destroys it, on a thread that may wait; one call after the other.
/// Errors   what it throws becomes a 500 and ends the request as an answer does.
class Body_Sink {
  public:
    Body_Sink() = default;
    Body_Sink(Body_Sink const&) = delete;
    auto operator=(Body_Sink const&) -> Body_Sink& = delete;
    virtual ~Body_Sink() = default;

    /// A longer body is refused with 413, before anything of it is read if its length was announced. Must not wait.
    [[nodiscard]] virtual auto limit_bytes() const noexcept -> std::uint64_t = 0;
    /// Every piece but the last is so long; 1 or more. A host holds one of them in memory. Must not wait.
    [[nodiscard]] virtual auto piece_bytes() const noexcept -> std::size_t = 0;

    /// Called first, while the client may still wait for leave to send.
    /// @return an answer if the body is not wanted; nothing to go on
    [[nodiscard]] virtual auto begin() -> std::optional<Response> = 0;
    /// The next piece; never an empty one.
    /// @return an answer if the rest is not wanted; nothing to go on
    [[nodiscard]] virtual auto take(Byte_View piece) -> std::optional<Response> = 0;
    /// The body was whole.
    /// @return the answer to the request
    [[nodiscard]] virtual auto finish() -> Response = 0;
};

/// What becomes of the body of a request.
struct Reception {
    std::unique_ptr<Body_Sink> sink = nullptr; ///< null: the host holds the body and calls its Handler
    // Of the request, however it ends: where its answer leaves these empty.
    std::string route = {};
    std::string transfer_id = {};
    std::string token_id = {};

    void complete(Response& response) const;
};

/// Looks at a request that has a body, if only an empty one, before it is read: Request::body holds nothing yet.
/// Threads: called from every thread of a host at once; must not wait.
using Receiver = std::function<Reception(Request const&)>;

/// Gives a sink a body that is there already, for hosts that hold every body.
/// @param  reception  with a sink
/// @return the answer to the request
[[nodiscard]] auto hand_over(Byte_View body, Reception const& reception) -> Response;

} // namespace memfs_cache
