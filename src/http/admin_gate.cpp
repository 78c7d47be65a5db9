// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/admin_gate.hpp>
#include <memfs_cache/http/replies.hpp>

namespace memfs_cache {

Admin_Gate::Admin_Gate(Admin_Key key, Trusted_Proxies proxies, Clock_Ptr clock, Log log)
    : key_(std::move(key)), wrong_keys_(wrong_keys, std::move(proxies), std::move(clock)), log_(std::move(log)) {}

auto Admin_Gate::refusal(Request const& request) -> std::optional<Response> {
    if (!Admin_Key::is_in(request))
        return unauthorized();
    // Before the key is compared: otherwise the one guess that is right would be told at any speed.
    if (auto const wait = wrong_keys_.wait(request))
        return too_many_requests(*wait);
    if (key_.admits(request))
        return std::nullopt;
    if (auto const wait = wrong_keys_.spend(request)) // others of this client were faster
        return too_many_requests(*wait);
    say(log_, "A request with a wrong admin key was refused.");
    return unauthorized();
}

} // namespace memfs_cache
