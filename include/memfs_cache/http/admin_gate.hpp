// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/admin_key.hpp>
#include <memfs_cache/http/rate_limiter.hpp>

#include <optional>

namespace memfs_cache {

/// Lets requests with the admin key in, and slows down whoever tries out keys: after a hundred wrong ones a client gets
/// an answer every six seconds, for the right key too, or trying would go on. Other clients notice nothing of it, and a
/// request without a key is no try. The log is told of each wrong key, neither which nor whose.
///
/// Threads  any
class Admin_Gate {
  public:
    static constexpr Rate wrong_keys{100, std::chrono::minutes(10)};

    /// @param  proxies  whose X-Forwarded-For is believed
    /// @param  log      may be empty
    Admin_Gate(Admin_Key key, Trusted_Proxies proxies, Clock_Ptr clock, Log log);

    /// What is answered instead: 401, or 429 with Retry-After. Nothing for a request that may pass.
    [[nodiscard]] auto refusal(Request const& request) -> std::optional<Response>;

  private:
    Admin_Key const key_;
    Rate_Limiter wrong_keys_;
    Log const log_;
};

} // namespace memfs_cache
