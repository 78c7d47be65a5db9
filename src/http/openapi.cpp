// SPDX-License-Identifier: Apache-2.0
#include "openapi.hpp"

#include <memfs_cache/core/bytes.hpp>

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

namespace json = boost::json;

auto json_content(json::object schema) -> json::object {
    return {{"application/json", json::object{{"schema", std::move(schema)}}}};
}

auto reference(std::string_view kind, std::string_view name) -> json::object {
    return {{"$ref", "#/components/" + std::string(kind) + "/" + std::string(name)}};
}

auto parameter_schema(Parameter const& parameter) -> json::object {
    json::object schema{{"type", parameter.minimum ? "integer" : "string"}};
    if (!parameter.one_of.empty())
        schema["enum"] = json::value_from(parameter.one_of);
    if (parameter.minimum) {
        schema["minimum"] = *parameter.minimum;
        schema["maximum"] = *parameter.maximum;
    }
    if (auto const number = parse_decimal(parameter.fallback); parameter.minimum && number)
        schema["default"] = *number;
    else if (!parameter.fallback.empty())
        schema["default"] = parameter.fallback;
    return schema;
}

/// "get /analytics/{window_type}" becomes "get_analytics_window_type".
auto operation_id(Route const& route) -> std::string {
    std::string id;
    for (char const c : route.method)
        id += static_cast<char>(c - 'A' + 'a');
    for (char const c : route.path) {
        if (c == '/')
            id += '_';
        else if (c == '.' || c == '-')
            id += '_';
        else if (c != '{' && c != '}')
            id += c;
    }
    return id;
}

auto operation(Route const& route) -> json::object {
    json::array parameters;
    for (auto const& parameter : route.parameters) {
        bool const in_path = route.path.find('{' + parameter.name + '}') != std::string::npos;
        parameters.push_back(json::object{{"name", parameter.name},
                                          {"in", in_path ? "path" : "query"},
                                          {"description", parameter.description},
                                          {"required", in_path},
                                          {"schema", parameter_schema(parameter)}});
    }

    auto schema = route.schema.empty() ? json::object{{"type", "object"}} : reference("schemas", route.schema);
    json::object responses{
        {"200", json::object{{"description", route.result}, {"content", json_content(std::move(schema))}}},
        {"default", reference("responses", "Error")}};
    if (!route.parameters.empty())
        responses["400"] = reference("responses", "Error");
    if (route.access == Access::with_key)
        responses["401"] = reference("responses", "Error");

    json::object result{{"operationId", operation_id(route)}, {"summary", route.summary}};
    if (!parameters.empty())
        result["parameters"] = std::move(parameters);
    result["responses"] = std::move(responses);
    if (route.access == Access::with_key) {
        result["security"] =
            json::array{json::object{{"api_key", json::array{}}}, json::object{{"bearer", json::array{}}}};
    }
    return result;
}

} // namespace

auto describe(std::vector<Route> const& routes, Router_Options const& options) -> std::string {
    json::object paths;
    for (auto const& route : routes) {
        auto& path = paths[route.path];
        if (path.is_null())
            path.emplace_object();
        std::string method = route.method;
        std::transform(method.begin(), method.end(), method.begin(),
                       [](char c) { return static_cast<char>(c - 'A' + 'a'); });
        path.as_object()[method] = operation(route);
    }

    json::object schemas{{"Error", json::parse(R"({
            "type": "object", "required": ["error"], "properties": {"error": {
                "type": "object", "required": ["code", "message"], "properties": {
                    "code": {"type": "string", "description": "Word that programs compare."},
                    "message": {"type": "string", "description": "Sentence that says what to do."},
                    "field": {"type": "string", "description": "Parameter or member that is wrong."}}}}})")}};
    for (auto const& [name, schema] : options.schemas)
        schemas[name] = json::parse(schema);

    return json::serialize(json::object{
        {"openapi", "3.1.0"},
        {"info", json::object{{"title", options.title}, {"version", options.version}}},
        {"paths", std::move(paths)},
        {"components",
         json::object{
             {"schemas", std::move(schemas)},
             {"responses",
              json::object{{"Error", json::object{{"description", "What went wrong and what to do."},
                                                  {"content", json_content(reference("schemas", "Error"))}}}}},
             {"securitySchemes",
              json::object{{"api_key", json::object{{"type", "apiKey"}, {"in", "header"}, {"name", "X-API-Key"}}},
                           {"bearer", json::object{{"type", "http"}, {"scheme", "bearer"}}}}}}}});
}

} // namespace memfs_cache
