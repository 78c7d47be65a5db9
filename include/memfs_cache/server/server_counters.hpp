// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/handler.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace memfs_cache {

/// Why a request was not given to the handler.
enum class Refusal {
    malformed,         ///< 400: not HTTP/1.1, or what two readers could understand in two ways
    target_too_long,   ///< 414
    headers_too_large, ///< 431; chunk extensions and trailers count as headers
    body_too_large,    ///< 413
    timed_out,         ///< 408: it came too slowly
    crowded_out,       ///< 503: somebody else needed the room that it held
};
inline constexpr std::size_t refusal_kinds = 6;

/// What servers did and refused since they were started. A program makes it, gives it to one or several servers and
/// shows it, usually in the admin health.
/// Threads  any; the numbers may be read while they change, each by itself.
struct Server_Counters {
    using Count = std::atomic<std::uint64_t>;

    Count accepted{0};                          ///< connections
    Count open{0};                              ///< connections, now
    Count idle_closed{0};                       ///< connections that sent nothing for idle_timeout
    Count stalled{0};                           ///< connections closed because their client did not take its answer
    Count crowded_out{0};                       ///< connections closed to make room for others
    Count failed_accepts{0};                    ///< times the system gave no connection: out of descriptors or memory
    Count answered{0};                          ///< requests that the handler answered
    std::array<Count, refusal_kinds> refused{}; ///< requests, by Refusal
    Count unrecorded{0};                        ///< requests that the observer was not told of, or failed to take

    [[nodiscard]] auto of(Refusal reason) noexcept -> Count& { return refused[static_cast<std::size_t>(reason)]; }

    /// {"connections": {"open", "accepted", "idle_closed", "stalled", "crowded_out", "failed_accepts"}, "requests":
    /// {"answered", "refused": {one for each Refusal}, "unrecorded"}}
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// What the health page shows of servers, by their names. Degraded once a request went unrecorded.
[[nodiscard]] auto health_of(std::map<std::string, std::shared_ptr<Server_Counters const>> servers)
    -> std::function<Handler_Health()>;

} // namespace memfs_cache
