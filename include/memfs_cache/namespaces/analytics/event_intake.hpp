// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/analytics/analytics_event.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>
#include <memfs_cache/namespaces/analytics/client_memo.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Id of a recorded event; empty if nothing was recorded.
using Event_Id = Hex_Number;

/// Makes event ids: distinct within a process by construction, between processes by 64 random bits to begin with.
/// Threads any.
class Event_Ids {
  public:
    [[nodiscard]] auto next() noexcept -> Event_Id;

  private:
    std::uint64_t const start_ = random_u64();
    std::atomic<std::uint64_t> count_{0};
};

/// The visitor's hash where the user agent counts too: a hash of both hashes, so that neither can be taken out of it.
[[nodiscard]] auto visitor_hash_with_agent(Sip_Key const& salt,
                                           std::uint64_t of_address,
                                           std::string_view user_agent) noexcept -> std::uint64_t;

/// The way from what a host or an application hands over to what may be stored: the only one there is, so that the
/// privacy of every entrance is decided here. Afterwards `record` lacks its time, its id and the visitor's hash, which
/// need a clock and a salt; no field of it holds an address, a query string, a full user agent or a full referrer.
///
/// Ownership `record` refers to the inputs and to this object.
struct Event_Intake {
    Event_Intake() = default;
    Event_Intake(Event_Intake const&) = delete;
    auto operator=(Event_Intake const&) -> Event_Intake& = delete;

    Analytics_Record record;
    std::optional<Client_Address> client; ///< to be hashed, then forgotten
    std::string_view user_agent;          ///< as sent; an input of the visitor's hash

    /// All but who sent it. What a client can choose (target, method, ids in paths) never makes it fail: what is not fit
    /// is left out.
    /// @errors invalid_argument for a duration or status that no host measures
    /// Cost    nothing is allocated; about 0.1 microseconds
    [[nodiscard]] auto take(Request_View const& request) -> Result<void>;
    /// Who sent it: the other half of a request.
    /// Cost    nothing is allocated; about 0.2 microseconds
    void take_client(Request_View const& request, Trusted_Proxies const& trusted, User_Agent_Cache& agents) noexcept;
    /// What take_client() and set_visitor() have made of an earlier request of the same client.
    /// @param  known  `record` refers to it from now on
    void set_client(Client_Facts const& known) noexcept;

    /// @errors invalid_argument naming the field; too_large for own fields of more than 4096 bytes, other texts of more
    ///         than 256. A path is cut at 2048 bytes.
    [[nodiscard]] auto take(Analytics_Event const& event) -> Result<void>;

    void set_visitor(std::uint64_t hash) noexcept {
        facts_.visitor = Hex_Number(hash);
        record.ip_hash = facts_.visitor.view();
    }
    void leave_out_country() noexcept {
        facts_.country = {};
        record.country = {};
    }
    /// As they were made here.
    [[nodiscard]] auto facts() const noexcept -> Client_Facts const& { return facts_; }

  private:
    void set_agent(User_Agent agent) noexcept;
    void set_country(std::string_view country) noexcept;
    void set_path(std::string_view path) noexcept;
    void set_referrer(Referrer_Domain const& domain) noexcept;

    Client_Facts facts_;
    std::string extra_;
};

} // namespace memfs_cache
