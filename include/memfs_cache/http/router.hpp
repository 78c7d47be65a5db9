// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/body_sink.hpp>
#include <memfs_cache/http/message.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// The integers that every reader of JSON keeps exact.
inline constexpr std::int64_t largest_json_integer = (std::int64_t{1} << 53) - 1;

/// A parameter of a route: a name of its path or of the query, or a member of the JSON object in the body. The router
/// refuses what does not fit with a 400 before the handler sees it, and describes the same in the OpenAPI text, so the
/// two cannot differ. In a body null is the same as nothing.
struct Parameter {
    std::string name;
    std::string description;                  ///< one sentence
    std::vector<std::string> one_of = {};     ///< accepted words; empty for any text
    std::optional<std::int64_t> minimum = {}; ///< with `maximum`: an integer of minimum..maximum, 0 or more
    std::optional<std::int64_t> maximum = {};
    std::string fallback = {};   ///< value if it was not sent; "" for none
    bool is_required = false;    ///< a request without it is refused; a name of the path is always there
    bool is_json_object = false; ///< of a body only: an object with any members
    bool is_repeatable = false;  ///< of a query only: it may be sent several times, each with one text
    bool is_flag = false;        ///< of a body only: true or false
};

/// Values of the declared parameters of one request, decoded and checked.
class Arguments {
  public:
    /// "" when it was not sent and has no fallback.
    [[nodiscard]] auto text(std::string_view name) const -> std::string const&;
    /// Of a parameter with minimum and maximum that was sent or has a fallback.
    [[nodiscard]] auto integer(std::string_view name) const -> std::int64_t;
    /// Of a parameter that may be sent several times: every text, in order.
    [[nodiscard]] auto texts(std::string_view name) const -> std::vector<std::string> const&;
    /// Of a parameter that is a flag; false when it was not sent and has no fallback.
    [[nodiscard]] auto flag(std::string_view name) const -> bool { return text(name) == "true"; }
    /// Of a parameter that is a JSON object; empty when it was not sent.
    [[nodiscard]] auto object(std::string_view name) const -> boost::json::object const&;

  private:
    friend class Router;
    /// Takes the members of a body, or gives the refusal of one that does not fit.
    auto read_body(std::vector<Parameter> const& members, std::string_view body) -> std::optional<Response>;

    std::map<std::string, std::string, std::less<>> values_;
    std::map<std::string, std::vector<std::string>, std::less<>> lists_;
    std::map<std::string, boost::json::object, std::less<>> objects_;
};

enum class Access { open, with_key };

/// One line of the route table.
struct Route {
    std::string method;  ///< GET also answers HEAD
    std::string path;    ///< template, such as /analytics/{window_type}/{window_key}
    std::string summary; ///< one sentence
    Access access = Access::with_key;
    std::vector<Parameter> parameters = {};   ///< of the path and the query
    std::vector<Parameter> body = {};         ///< members of the body, which is not looked at if there are none
    std::vector<std::string> body_types = {}; ///< of a body that the handler reads itself
    int status = 200;                         ///< of the success
    std::string result = {};                  ///< description of the success
    std::string schema = {};        ///< schema of its JSON body, named in Router_Options::schemas; "" for any object
    std::string media_type = {};    ///< of the success, if it is not JSON
    std::vector<int> refusals = {}; ///< statuses beside 400, 401 and 429 that a client should expect
    std::function<Response(Request const&, Arguments const&)> handler = {};
    /// Gives what takes the body in pieces and answers, in place of `handler`. Must not wait; its sink is never null.
    std::function<Reception(Request const&, Arguments const&)> sink = {};
};

struct Router_Options {
    std::string title = {};   ///< of the OpenAPI document; "" for no such document
    std::string version = {}; ///< of the API
    /// What is answered instead of a route with Access::with_key; nothing for a request that may use it. Without a gate
    /// nobody may.
    std::function<std::optional<Response>(Request const&)> gate = {};
    /// Answers paths that no route has; empty for 404.
    Handler otherwise = {};
    /// JSON Schema of each named schema, as JSON text.
    std::map<std::string, std::string> schemas = {};
    Log log = {};
};

/// Finds the handler of a request in a table of routes.
///
/// Literal segments win over parameters. Unknown paths give 404, known paths with another method 405 and Allow, a
/// request that the gate does not let in its answer, a parameter that does not fit 400, a handler that throws 500. GET
/// /openapi.json describes the table.
///
/// Threads: answers from any thread at once; the table is fixed when the router is made.
/// Cost: one comparison a route.
class Router {
  public:
    /// @param routes  must be well-formed and distinct: checked by assertion, as they are code
    Router(std::vector<Route> routes, Router_Options options);

    [[nodiscard]] auto operator()(Request const& request) const -> Response;

    /// For hosts that give bodies to sinks: the one of the request's route. None if the route has none, or if the request
    /// is going to be refused, which the call operator does.
    [[nodiscard]] auto receive(Request const& request) const -> Reception;

    /// The template that a path matches, whatever the method; "" if none does.
    /// @param  path  as it was sent, without a query
    [[nodiscard]] auto route_of(std::string_view path) const -> std::string;

    /// OpenAPI 3.1 description of the table, as JSON text; "" if there is none.
    [[nodiscard]] auto openapi() const -> std::string const& { return openapi_; }

  private:
    struct Entry {
        Route route;
        std::vector<std::string> segments; ///< as in the template
    };

    [[nodiscard]] auto serve(Request const& request, Entry const& entry, struct Url const& url) const -> Response;
    /// Reads what a handler is given, but for a body, or gives the refusal of what does not fit.
    [[nodiscard]] auto
    read(Request const& request, Entry const& entry, struct Url const& url, Arguments& arguments) const
        -> std::optional<Response>;

    std::vector<Entry> entries_; ///< literals before parameters, so that the first match is the best
    Router_Options options_;
    std::string openapi_;
};

} // namespace memfs_cache
