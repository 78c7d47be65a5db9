// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/storage/open.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <set>
#include <string>

namespace memfs_cache::testing {

inline constexpr Utc_Time noon = from_millis(1'771'070'400'000); // 2026-02-14T12:00:00Z

/// Two requests on a store, at 11:58 and 11:59, and the admin routes over it.
struct House {
    explicit House(Any_Storage storage = open_storage("memory:").value(), std::string root_prefix = "cache")
        : cache(std::move(storage), options(std::move(root_prefix))) {
        record("/one?secret=1", 200);
        record("/two", 404);
    }

    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(noon - std::chrono::minutes(2));
    Cache_Service<Any_Storage> cache;
    Handler_Health servers{false, {{"public", boost::json::object{{"connections", 7}}}}};
    Admin_Api<Any_Storage> api{cache, Admin_Key::from_text("key").value(), {}, [this] { return servers; }};

    auto get(std::string target, Headers headers = {{"X-API-Key", "key"}}) const -> Response {
        return api(Request{"GET", std::move(target), std::move(headers), {}, {}});
    }
    auto post(std::string target, std::string body = "") const -> Response {
        return api(Request{"POST", std::move(target), {{"X-API-Key", "key"}}, std::move(body), {}});
    }
    auto json(std::string target) const -> boost::json::object { return json_of(get(std::move(target))); }

    static auto json_of(Response const& response, int status = 200) -> boost::json::object {
        CHECK(response.status == status);
        return boost::json::parse(std::get<Bytes>(response.body)).as_object();
    }
    /// A member of the error in a body; "" when it is not there.
    static auto error_of(Response const& response, std::string_view member) -> std::string {
        auto const error = boost::json::parse(std::get<Bytes>(response.body)).at("error").as_object();
        auto const* const value = error.if_contains(member);
        return value == nullptr ? std::string() : std::string(value->as_string());
    }

  private:
    auto options(std::string root_prefix) const -> Service_Options {
        Service_Options made;
        made.root_prefix = std::move(root_prefix);
        made.clock = clock;
        made.tokens.share_url_base = "https://files.example/t/";
        made.tokens.lease_idle = std::chrono::hours(1); // nothing goes back while a test looks
        return made;
    }
    void record(std::string_view target, int status) {
        Request_View view;
        view.method = "GET";
        view.target = target;
        view.status = status;
        view.content_bytes = 100;
        view.remote = "192.0.2.1";
        CHECK(cache.analytics().record_request(view));
        clock->advance(std::chrono::minutes(1));
    }
};

inline auto names(boost::json::object const& object) -> std::set<std::string> {
    std::set<std::string> found;
    for (auto const& member : object)
        found.insert(std::string(member.key()));
    return found;
}

} // namespace memfs_cache::testing
