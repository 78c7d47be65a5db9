// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/server/server_counters.hpp>

#include <boost/json.hpp>

namespace memfs_cache {

auto Server_Counters::to_json() const -> boost::json::object {
    static constexpr std::array<char const*, refusal_kinds> names{
        "malformed", "target_too_long", "headers_too_large", "body_too_large", "timed_out", "crowded_out"};
    boost::json::object by_reason;
    for (std::size_t i = 0; i < refusal_kinds; ++i)
        by_reason[names[i]] = refused[i].load();
    return {{"connections",
             {{"open", open.load()},
              {"accepted", accepted.load()},
              {"idle_closed", idle_closed.load()},
              {"stalled", stalled.load()},
              {"crowded_out", crowded_out.load()},
              {"failed_accepts", failed_accepts.load()}}},
            {"requests",
             {{"answered", answered.load()}, {"refused", std::move(by_reason)}, {"unrecorded", unrecorded.load()}}}};
}

auto health_of(std::map<std::string, std::shared_ptr<Server_Counters const>> servers)
    -> std::function<Handler_Health()> {
    return [servers = std::move(servers)] {
        Handler_Health health;
        for (auto const& [name, counters] : servers) {
            health.degraded = health.degraded || counters->unrecorded > 0;
            health.details[name] = counters->to_json();
        }
        return health;
    };
}

} // namespace memfs_cache
