// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/namespaces/analytics/hex_number.hpp>
#include <memfs_cache/namespaces/analytics/referrer.hpp>
#include <memfs_cache/namespaces/analytics/request_view.hpp>
#include <memfs_cache/namespaces/analytics/user_agent.hpp>

#include <array>
#include <cstdint>
#include <string_view>

namespace memfs_cache {

/// What may be stored of whoever sent a request.
struct Client_Facts {
    User_Agent agent;
    std::array<char, 2> country{}; ///< in capitals; zeros if unknown
    Referrer_Domain referrer;
    Hex_Number visitor; ///< empty for nobody

    [[nodiscard]] auto country_view() const noexcept -> std::string_view {
        return {country.data(), country.front() == 0 ? 0 : country.size()};
    }
};

/// Remembers what Analytics made of the last client, since the requests of one connection come from one client: its
/// address, agent and referrer are read and hashed once and not with each of them. A host that serves connections keeps
/// one beside each and names it in Request_View::memo; nobody has to.
///
/// It is asked with all that its answer was made of, so that a wrong answer cannot come of a connection on which a proxy
/// sends the requests of many, of headers that change, of a new day, or of a host that records into two places.
///
/// Privacy  holds an address and headers as they were sent, in memory, as long as the host keeps it: forget it with the
///          connection.
/// Threads  one at a time.
/// Memory   900 bytes; nothing is allocated. Of clients that send more than 512 bytes of this nothing is remembered.
class Client_Memo {
  public:
    /// @param  owner  who remembered it, by a number that nobody else has
    /// @param  time   of the request
    /// @return nullptr if this is another client than the last, or another owner, or a time for which it does not hold;
    ///         else good until keep()
    [[nodiscard]] auto find(Request_View const& request, std::uint64_t owner, Utc_Time time) const noexcept
        -> Client_Facts const*;

    /// @param  start, end  the times for which it holds, [start, end)
    void keep(Request_View const& request,
              std::uint64_t owner,
              Utc_Time start,
              Utc_Time end,
              Client_Facts const& facts) noexcept;

  private:
    /// All that facts are made of.
    static constexpr std::array inputs{&Request_View::remote, &Request_View::forwarded_for, &Request_View::user_agent,
                                       &Request_View::referrer, &Request_View::country};

    std::uint64_t owner_ = 0;
    Utc_Time start_, end_; ///< equal: holds nothing
    std::array<std::uint16_t, inputs.size()> sizes_{};
    std::array<char, 512> texts_; ///< the inputs, one behind the other
    Client_Facts facts_;
};

} // namespace memfs_cache
