// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace memfs_cache {

/// One event as an application hands it over. Only event_type is required.
struct Analytics_Event {
    std::string event_id; ///< made by the library if empty
    std::string event_type;
    std::optional<Utc_Time> timestamp; ///< now if absent
    std::string source;                ///< "application" if empty
    std::string path;                  ///< cut at '?' and '#'
    std::string method;
    int status_code = 0;
    std::optional<double> duration_ms; ///< 0 or more; kept to the microsecond
    std::string ip_hash;               ///< hashed again if it is an address
    std::string user_agent_normalised; ///< normalised again if it is not one of the library's
    bool bot = false;                  ///< also set if the user agent is known as one
    std::string country;               ///< two letters; anything else is dropped
    std::string referrer_domain;
    std::uint64_t content_bytes = 0;
    std::string transfer_id;
    std::string token_id;
    boost::json::object extra; ///< fields of the application's own

    // Inputs: hashed or normalised into the fields above where those are empty, and never stored.
    std::string ip;
    std::string user_agent;
    std::string referrer;
    std::string url;

    /// From a JSON object with the field names of the schema. Unknown fields go to `extra`; ip, client, user_agent,
    /// referrer, referer and url are the inputs; query is dropped.
    /// @errors invalid_argument naming the field that has the wrong type
    [[nodiscard]] static auto from_json(boost::json::object const& object) -> Result<Analytics_Event>;
};

/// Removes from an application's own fields, at every depth, what must not be stored: members whose name says that they
/// hold an input (client_ip, User-Agent, X-Forwarded-For, requestUri, cookie, ...), and every text that holds an address
/// or a browser's user agent.
void remove_private_fields(boost::json::object& object);

} // namespace memfs_cache
