// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/namespaces/costs/cost_import.hpp>
#include <memfs_cache/net/credentials.hpp>
#include <memfs_cache/net/http_client.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace memfs_cache {

/// How AWS Cost Explorer is asked.
struct Cost_Explorer_Settings {
    std::string endpoint_url;                   ///< "" for Amazon's own of the region
    std::string region = "us-east-1";           ///< where AWS answers for all regions
    std::optional<Aws_Credentials> credentials; ///< else as find_credentials() finds them
    std::string metric = Cost_Import_Options().metric;
    bool with_credits = false; ///< else AWS is asked for costs without credits and refunds
    Http_Client_Options client;
    std::chrono::milliseconds patience{60'000}; ///< no try of one question, of however many pages, begins later
    int most_tries = 8;                         ///< of one page
    Clock_Ptr clock;                            ///< for signatures; the machine's unless given
    /// How to wait between two tries; as this thread unless given. Counts against the patience, however long it took.
    std::function<void(std::chrono::milliseconds)> wait;
};

/// Asks AWS what each service cost on each day: the action GetCostAndUsage, by SERVICE, for money: a cent a page.
/// Threads  any
/// Secrets  no message repeats a key or an answer
class Cost_Explorer {
  public:
    /// @errors invalid_argument: an endpoint, authorities that cannot be read; not_found: no credentials
    [[nodiscard]] static auto create(Cost_Explorer_Settings settings) -> Result<Cost_Explorer>;
    Cost_Explorer(Cost_Explorer&&) noexcept;
    auto operator=(Cost_Explorer&&) noexcept -> Cost_Explorer&;
    ~Cost_Explorer();

    /// The answers about the days of [start, end), page by page.
    /// @errors permission_denied: the keys or what they may do; throttled, unavailable, timed_out: in every try;
    ///         invalid_argument: days that AWS keeps no more; corrupt_data: no answer of Cost Explorer. Each says what to
    ///         change.
    [[nodiscard]] auto fetch(Utc_Time start, Utc_Time end) const -> Result<std::vector<Cost_File>>;

  private:
    struct State;
    explicit Cost_Explorer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace memfs_cache
