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
    if (parameter.is_repeatable)
        return {{"type", "array"}, {"items", json::object{{"type", "string"}}}};
    json::object schema{{"type", parameter.is_json_object ? "object"
                                 : parameter.is_flag      ? "boolean"
                                 : parameter.minimum      ? "integer"
                                                          : "string"}};
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

auto request_body(std::vector<Parameter> const& members) -> json::object {
    json::object properties;
    json::array required;
    for (auto const& member : members) {
        auto schema = parameter_schema(member);
        schema["description"] = member.description;
        properties[member.name] = std::move(schema);
        if (member.is_required)
            required.emplace_back(member.name);
    }
    bool const is_required = !required.empty();
    json::object schema{{"type", "object"}, {"properties", std::move(properties)}};
    if (is_required)
        schema["required"] = std::move(required);
    return {{"required", is_required}, {"content", json_content(std::move(schema))}};
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
                                          {"required", in_path || parameter.is_required},
                                          {"schema", parameter_schema(parameter)}});
    }

    auto schema = route.schema.empty() ? json::object{{"type", "object"}} : reference("schemas", route.schema);
    auto content =
        route.media_type.empty() ? json_content(std::move(schema)) : json::object{{route.media_type, json::object()}};
    json::object responses{
        {std::to_string(route.status), json::object{{"description", route.result}, {"content", std::move(content)}}},
        {"default", reference("responses", "Error")}};
    auto refusals = route.refusals;
    if (!route.parameters.empty() || !route.body.empty() || !route.body_types.empty())
        refusals.push_back(400);
    if (route.access == Access::with_key)
        refusals.insert(refusals.end(), {401, 429});
    for (int const status : refusals)
        responses[std::to_string(status)] = reference("responses", "Error");

    json::object result{{"operationId", operation_id(route)}, {"summary", route.summary}};
    if (!parameters.empty())
        result["parameters"] = std::move(parameters);
    if (!route.body.empty())
        result["requestBody"] = request_body(route.body);
    if (route.sink)
        result["requestBody"] = {{"content", {{"application/octet-stream", json::object()}}}};
    if (!route.body_types.empty()) {
        json::object types;
        for (auto const& type : route.body_types)
            types[type] = json::object{};
        result["requestBody"] = json::object{{"required", true}, {"content", std::move(types)}};
    }
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
