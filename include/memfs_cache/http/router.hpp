// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// A parameter of a route. The router refuses what does not fit with a 400 before the handler sees it, and describes
/// the same in the OpenAPI text, so the two cannot differ.
struct Parameter {
    std::string name;                         ///< a name of the route's path, or else of the query
    std::string description;                  ///< one sentence
    std::vector<std::string> one_of = {};     ///< accepted words; empty for any text
    std::optional<std::int64_t> minimum = {}; ///< with `maximum`: a decimal integer of minimum..maximum
    std::optional<std::int64_t> maximum = {};
    std::string fallback = {}; ///< value of a query parameter that was not sent; "" for none
};

/// Values of the declared parameters of one request, decoded and checked.
class Arguments {
  public:
    /// "" when it was not sent and has no fallback.
    [[nodiscard]] auto text(std::string_view name) const -> std::string const&;
    /// Of a parameter with minimum and maximum that was sent or has a fallback.
    [[nodiscard]] auto integer(std::string_view name) const -> std::int64_t;

  private:
    friend class Router;
    std::map<std::string, std::string, std::less<>> values_;
};

enum class Access { open, with_key };

/// One line of the route table.
struct Route {
    std::string method;  ///< GET also answers HEAD
    std::string path;    ///< template, such as /analytics/{window_type}/{window_key}
    std::string summary; ///< one sentence
    Access access = Access::with_key;
    std::vector<Parameter> parameters = {};
    std::string result = {}; ///< description of the 200
    std::string schema = {}; ///< schema of the 200's JSON body, named in Router_Options::schemas; "" for any object
    std::function<Response(Request const&, Arguments const&)> handler = {};
};

struct Router_Options {
    std::string title;   ///< of the OpenAPI document
    std::string version; ///< of the API
    /// May this request use routes with Access::with_key? None lets nobody.
    std::function<bool(Request const&)> admits = {};
    /// JSON Schema of each named schema, as JSON text.
    std::map<std::string, std::string> schemas = {};
    Log log = {};
};

/// Finds the handler of a request in a table of routes.
///
/// Literal segments win over parameters. Unknown paths give 404, known paths with another method 405 and Allow, a
/// missing key 401, a parameter that does not fit 400, a handler that throws 500. GET /openapi.json describes the
/// table.
///
/// Threads: answers from any thread at once; the table is fixed when the router is made.
/// Cost: one comparison a route.
class Router {
  public:
    /// @param routes  must be well-formed and distinct: checked by assertion, as they are code
    Router(std::vector<Route> routes, Router_Options options);

    [[nodiscard]] auto operator()(Request const& request) const -> Response;

    /// OpenAPI 3.1 description of the table, as JSON text.
    [[nodiscard]] auto openapi() const -> std::string const& { return openapi_; }

  private:
    struct Entry {
        Route route;
        std::vector<std::string> segments; ///< as in the template
    };

    [[nodiscard]] auto serve(Request const& request, Entry const& entry, struct Url const& url) const -> Response;

    std::vector<Entry> entries_; ///< literals before parameters, so that the first match is the best
    Router_Options options_;
    std::string openapi_;
};

} // namespace memfs_cache
