// SPDX-License-Identifier: Apache-2.0
#include "openapi.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/http/url.hpp>

#include <boost/assert.hpp>
#include <boost/json.hpp>

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
        std::string sentence = "The value must be one of";
        for (auto const& word : words)
            sentence.append(&word == &words.front() ? " " : ", ").append(word);
        return sentence + ".";
    }
    if (parameter.is_flag && value != "true" && value != "false")
        return "The value must be true or false.";
    if (parameter.minimum) {
        auto const number = parse_decimal(value);
        if (!number || *number > INT64_MAX || static_cast<std::int64_t>(*number) < *parameter.minimum ||
            static_cast<std::int64_t>(*number) > *parameter.maximum) {
            return "The value must be an integer of " + std::to_string(*parameter.minimum) + ".." +
                   std::to_string(*parameter.maximum) + ".";
        }
    }
    return {};
}

auto misfit_reply(std::string sentence, Parameter const& parameter) -> Response {
    return error_reply(fail(Errc::invalid_argument, std::move(sentence)), parameter.name);
}

/// A member of a body as the text that the same value has in a query; nothing if it should be a text and is none.
auto text_of(Parameter const& parameter, boost::json::value const& value) -> std::optional<std::string> {
    if (parameter.minimum || parameter.is_flag)
        return boost::json::serialize(value);
    auto const* const text = value.if_string();
    return text == nullptr ? std::nullopt : std::optional(std::string(*text));
}

/// GET also answers HEAD.
auto routed_method(Request const& request) -> std::string_view {
    return request.method == "HEAD" ? "GET" : std::string_view(request.method);
}

template <class Values>
auto find(Values const& values, std::string_view name) -> auto const& {
    auto const found = values.find(name);
    BOOST_ASSERT_MSG(found != values.end(), "a handler may only ask for parameters of its route");
    return found->second;
}

} // namespace

auto Arguments::text(std::string_view name) const -> std::string const& { return find(values_, name); }

auto Arguments::texts(std::string_view name) const -> std::vector<std::string> const& { return find(lists_, name); }

auto Arguments::object(std::string_view name) const -> boost::json::object const& { return find(objects_, name); }

auto Arguments::integer(std::string_view name) const -> std::int64_t {
    return static_cast<std::int64_t>(parse_decimal(text(name)).value());
}

Router::Router(std::vector<Route> routes, Router_Options options) : options_(std::move(options)) {
    if (!options_.title.empty()) {
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
    }

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
        return options_.otherwise ? options_.otherwise(request) : error_reply(url.error());

    auto const method = routed_method(request);
    std::string known_path;
    std::set<std::string> allowed;
    for (auto const& entry : entries_) {
        if (!matches(entry.segments, url->segments))
            continue;
        if (entry.route.method == method) {
            auto response = answer([&] { return serve(request, entry, *url); }, options_.log);
            response.route = entry.route.path;
            return response;
        }
        if (known_path.empty())
            known_path = entry.route.path;
        allowed.insert(entry.route.method);
        if (entry.route.method == "GET")
            allowed.insert("HEAD");
    }
    if (allowed.empty() && options_.otherwise)
        return options_.otherwise(request);
    if (allowed.empty())
        return error_reply(404, "not_found", "There is nothing at this path; /openapi.json lists the routes.");

    std::string allow;
    for (auto const& word : allowed)
        allow.append(allow.empty() ? "" : ", ").append(word);
    auto response = method_not_allowed(std::move(allow));
    response.route = std::move(known_path);
    return response;
}

auto Router::receive(Request const& request) const -> Reception {
    auto const url = parse_target(request.target);
    if (!url)
        return {};
    auto const method = routed_method(request);
    auto const entry = std::find_if(entries_.begin(), entries_.end(), [&](Entry const& one) {
        return one.route.method == method && matches(one.segments, url->segments);
    });
    Arguments arguments;
    if (entry == entries_.end() || !entry->route.sink || read(request, *entry, *url, arguments))
        return {};
    auto reception = entry->route.sink(request, arguments);
    reception.route = entry->route.path;
    return reception;
}

auto Router::route_of(std::string_view path) const -> std::string {
    auto const url = parse_target(path);
    if (!url)
        return {};
    auto const entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](Entry const& one) { return matches(one.segments, url->segments); });
    return entry == entries_.end() ? std::string() : entry->route.path;
}

auto Router::serve(Request const& request, Entry const& entry, Url const& url) const -> Response {
    Arguments arguments;
    if (auto refusal = read(request, entry, url, arguments))
        return *std::move(refusal);
    if (entry.route.sink)
        return hand_over(request.body, entry.route.sink(request, arguments));
    if (auto refusal = arguments.read_body(entry.route.body, request.body))
        return *std::move(refusal);
    return entry.route.handler(request, arguments);
}

auto Router::read(Request const& request, Entry const& entry, Url const& url, Arguments& arguments) const
    -> std::optional<Response> {
    if (entry.route.access == Access::with_key) {
        if (auto refusal = options_.gate ? options_.gate(request) : unauthorized())
            return refusal;
    }

    for (std::size_t i = 0; i < entry.segments.size(); ++i) {
        if (is_parameter(entry.segments[i]))
            arguments.values_.emplace(parameter_name(entry.segments[i]), url.segments[i]);
    }
    for (auto const& parameter : entry.route.parameters) {
        if (parameter.is_repeatable) {
            auto& list = arguments.lists_[parameter.name];
            for (auto const& [name, value] : url.query)
                if (name == parameter.name)
                    list.push_back(value);
            continue;
        }
        auto const [at, in_query] = arguments.values_.try_emplace(parameter.name, parameter.fallback);
        bool sent = !in_query;
        for (auto const& [name, value] : url.query) {
            if (!in_query || name != parameter.name)
                continue;
            if (sent)
                return misfit_reply("The parameter may be given once.", parameter);
            at->second = value;
            sent = true;
        }
        if (!sent && parameter.is_required)
            return misfit_reply("The parameter must be given.", parameter);
        if (!sent)
            continue;
        if (auto sentence = misfit(parameter, at->second); !sentence.empty())
            return misfit_reply(std::move(sentence), parameter);
    }
    return std::nullopt;
}

auto Arguments::read_body(std::vector<Parameter> const& members, std::string_view body) -> std::optional<Response> {
    if (members.empty())
        return std::nullopt;
    auto const object = parse_object(body.empty() ? "{}" : body, "the body");
    if (!object)
        return error_reply(fail(Errc::invalid_argument, "The body must be one JSON object."));
    for (auto const& member : members) {
        auto const* const value = object->if_contains(member.name);
        bool const is_sent = value != nullptr && !value->is_null();
        if (!is_sent && member.is_required)
            return misfit_reply("The body must have this member.", member);
        if (member.is_json_object) {
            if (is_sent && !value->is_object())
                return misfit_reply("The value must be a JSON object.", member);
            objects_[member.name] = is_sent ? value->get_object() : boost::json::object();
            continue;
        }
        auto text = is_sent ? text_of(member, *value) : member.fallback;
        if (!text)
            return misfit_reply("The value must be a text.", member);
        if (auto sentence = is_sent ? misfit(member, *text) : std::string(); !sentence.empty())
            return misfit_reply(std::move(sentence), member);
        values_[member.name] = *std::move(text);
    }
    return std::nullopt;
}

} // namespace memfs_cache
