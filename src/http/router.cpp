// SPDX-License-Identifier: Apache-2.0
#include "openapi.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/http/url.hpp>

#include <boost/assert.hpp>

#include <algorithm>
#include <set>

namespace memfs_cache {
namespace {

auto split_template(std::string_view path) -> std::vector<std::string> {
    BOOST_ASSERT(path.starts_with('/'));
    std::vector<std::string> segments;
    for (std::size_t end = 0; end != std::string_view::npos;) {
        path.remove_prefix(end + 1);
        end = path.find('/');
        segments.emplace_back(path.substr(0, end));
    }
    return segments;
}

auto is_parameter(std::string_view segment) -> bool { return segment.starts_with('{'); }
auto parameter_name(std::string_view segment) -> std::string_view { return segment.substr(1, segment.size() - 2); }

auto matches(std::vector<std::string> const& segments, std::vector<std::string> const& path) -> bool {
    return std::equal(
        segments.begin(), segments.end(), path.begin(), path.end(),
        [](auto const& segment, auto const& part) { return is_parameter(segment) ? !part.empty() : segment == part; });
}

/// What is wrong with a value, as a sentence; "" when it fits.
auto misfit(Parameter const& parameter, std::string const& value) -> std::string {
    auto const& words = parameter.one_of;
    if (!words.empty() && std::find(words.begin(), words.end(), value) == words.end()) {
        std::string sentence = "The parameter must be one of";
        for (auto const& word : words)
            sentence.append(&word == &words.front() ? " " : ", ").append(word);
        return sentence + ".";
    }
    if (parameter.minimum) {
        auto const number = parse_decimal(value);
        if (!number || *number > INT64_MAX || static_cast<std::int64_t>(*number) < *parameter.minimum ||
            static_cast<std::int64_t>(*number) > *parameter.maximum) {
            return "The parameter must be an integer of " + std::to_string(*parameter.minimum) + ".." +
                   std::to_string(*parameter.maximum) + ".";
        }
    }
    return {};
}

} // namespace

auto Arguments::text(std::string_view name) const -> std::string const& {
    auto const found = values_.find(name);
    BOOST_ASSERT_MSG(found != values_.end(), "a handler may only ask for parameters of its route");
    return found->second;
}

auto Arguments::integer(std::string_view name) const -> std::int64_t {
    return static_cast<std::int64_t>(parse_decimal(text(name)).value());
}

Router::Router(std::vector<Route> routes, Router_Options options) : options_(std::move(options)) {
    Route description;
    description.method = "GET";
    description.path = "/openapi.json";
    description.summary = "This description.";
    description.result = "The OpenAPI document.";
    routes.push_back(std::move(description));

    openapi_ = describe(routes, options_);
    routes.back().handler = [text = openapi_](Request const&, Arguments const&) {
        Response response;
        response.headers = {{"Content-Type", "application/json"}};
        response.body = text;
        return response;
    };

    for (auto& route : routes) {
        auto segments = split_template(route.path);
        entries_.push_back({std::move(route), std::move(segments)});
    }
    std::stable_sort(entries_.begin(), entries_.end(), [](Entry const& a, Entry const& b) {
        return std::lexicographical_compare(
            a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
            [](auto const& x, auto const& y) { return is_parameter(x) < is_parameter(y); });
    });
}

auto Router::operator()(Request const& request) const -> Response {
    auto const url = parse_target(request.target);
    if (!url)
        return error_reply(url.error());

    std::string_view const method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
    std::set<std::string> allowed;
    for (auto const& entry : entries_) {
        if (!matches(entry.segments, url->segments))
            continue;
        if (entry.route.method == method) {
            auto response = answer([&] { return serve(request, entry, *url); }, options_.log);
            response.route = entry.route.path;
            return response;
        }
        allowed.insert(entry.route.method);
        if (entry.route.method == "GET")
            allowed.insert("HEAD");
    }
    if (allowed.empty())
        return error_reply(404, "not_found", "There is nothing at this path; /openapi.json lists the routes.");

    std::string allow;
    for (auto const& word : allowed)
        allow.append(allow.empty() ? "" : ", ").append(word);
    return method_not_allowed(std::move(allow));
}

auto Router::serve(Request const& request, Entry const& entry, Url const& url) const -> Response {
    if (entry.route.access == Access::with_key && !(options_.admits && options_.admits(request))) {
        auto response =
            error_reply(401, "unauthorized", "Send the admin key as X-API-Key or as Authorization: Bearer.");
        response.headers.add("WWW-Authenticate", "Bearer");
        return response;
    }

    Arguments arguments;
    for (std::size_t i = 0; i < entry.segments.size(); ++i) {
        if (is_parameter(entry.segments[i]))
            arguments.values_.emplace(parameter_name(entry.segments[i]), url.segments[i]);
    }
    for (auto const& parameter : entry.route.parameters) {
        auto const [at, in_query] = arguments.values_.try_emplace(parameter.name, parameter.fallback);
        bool sent = !in_query;
        for (auto const& [name, value] : url.query) {
            if (!in_query || name != parameter.name)
                continue;
            if (sent)
                return error_reply(fail(Errc::invalid_argument, "The parameter may be given once."), parameter.name);
            at->second = value;
            sent = true;
        }
        if (!sent)
            continue;
        if (auto sentence = misfit(parameter, at->second); !sentence.empty()) {
            return error_reply(fail(Errc::invalid_argument, std::move(sentence)), parameter.name);
        }
    }
    return entry.route.handler(request, arguments);
}

} // namespace memfs_cache
