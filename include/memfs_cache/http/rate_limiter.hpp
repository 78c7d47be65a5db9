// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/http/message.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace memfs_cache {

/// So many at once; after that, as many in each further period, evenly spread.
struct Rate {
    std::uint32_t count = 1; ///< 1 or more
    std::chrono::microseconds period = std::chrono::minutes(1);
};

/// Says how long a client has to wait before it may do something again.
///
/// Clients  are told apart by their address, found through trusted proxies as the recording finds it; an IPv6 network of
///          64 bits is one client, and so are all whose address is not known. Addresses are kept as keyed hashes only.
/// Memory   fixed: for more clients than there is room for at once, those that have used least are forgotten first.
/// Threads  any
/// Cost     a hash and a look at eight places
/// @source  the generic cell rate algorithm, ITU-T I.371
class Rate_Limiter {
  public:
    Rate_Limiter(Rate rate, Trusted_Proxies proxies, Clock_Ptr clock);

    /// How long the client of this request has to wait; nothing if it need not.
    [[nodiscard]] auto wait(Request const& request) const -> std::optional<std::chrono::microseconds>;
    /// The same, and if it need not wait, it has done it once more.
    [[nodiscard]] auto spend(Request const& request) -> std::optional<std::chrono::microseconds>;

    static constexpr std::size_t most_clients = 8192;

  private:
    using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;
    struct Client {
        std::uint64_t hash = 0;
        Time paid_until; ///< when everything that it did would have been due at an even pace
    };
    static constexpr std::size_t places = 8;
    using Bucket = std::array<Client, places>;

    [[nodiscard]] auto hash_of(Request const& request) const -> std::uint64_t;
    [[nodiscard]] auto bucket_of(std::uint64_t hash) const noexcept -> std::size_t { return hash % buckets_.size(); }
    /// When what the client did is paid for, in [now, now + burst]; after the clock was turned back it did nothing.
    [[nodiscard]] auto paid_until(std::uint64_t hash, Time now) const -> Time;
    [[nodiscard]] auto wait_of(Time paid_until, Time now) const -> std::optional<std::chrono::microseconds>;

    std::chrono::microseconds const interval_; ///< between two at an even pace
    std::chrono::microseconds const burst_;    ///< how far ahead of that pace a client may be
    Trusted_Proxies const proxies_;
    Clock_Ptr const clock_;
    Sip_Key key_{};
    mutable std::mutex mutex_;
    std::vector<Bucket> buckets_ = std::vector<Bucket>(most_clients / places); ///< guarded by mutex_
};

} // namespace memfs_cache
