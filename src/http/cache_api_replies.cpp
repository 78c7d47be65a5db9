// SPDX-License-Identifier: Apache-2.0
#include "cache_api_parts.hpp"
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/version.hpp>

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache::cache_api {
namespace {

namespace json = boost::json;

auto lower_case(std::string_view method) -> std::string {
    std::string lower(method);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    return lower;
}

/// The parameters of a path, and the path as OpenAPI writes it.
auto path_parameters(Operation const& operation, std::string& path) -> json::array {
    json::array parameters;
    for (std::size_t at = 0; at < operation.path.size();) {
        auto const open = std::min(operation.path.find('{', at), operation.path.size());
        path.append(operation.path, at, open - at);
        if (open == operation.path.size())
            break;
        auto const close = operation.path.find('}', open);
        auto const name = operation.path.substr(open + 1, operation.path.find_first_of(":}", open) - open - 1);
        path.append("{").append(name).append("}");
        parameters.push_back(json::object{
            {"name", name}, {"in", "path"}, {"required", true}, {"schema", json::object{{"type", "string"}}}});
        at = close + 1;
    }
    for (auto const name : operation.query)
        parameters.push_back(json::object{
            {"name", name}, {"in", "query"}, {"required", false}, {"schema", json::object{{"type", "string"}}}});
    return parameters;
}

auto body_of(Kind kind) -> json::object {
    auto const* const type = kind == Kind::json     ? "application/json"
                             : kind == Kind::string ? "text/plain"
                                                    : "application/octet-stream";
    return {{"required", true}, {"content", json::object{{type, json::object{}}}}};
}

auto described(Operation const& operation, json::array parameters, bool needs_key) -> json::object {
    json::object responses{{"200", json::object{{"description", "It is done, or this is what was asked for."},
                                                {"content", json::object{{operation.media_type, json::object{}}}}}}};
    auto statuses = operation.statuses;
    if (!parameters.empty() || operation.takes_body)
        statuses.push_back(400);
    if (needs_key)
        statuses.push_back(401);
    statuses.insert(statuses.end(), {500, 503});
    for (int const status : statuses)
        responses[std::to_string(status)] = json::object{{"$ref", "#/components/responses/Refusal"}};
    json::object result{{"summary", operation.summary}, {"responses", std::move(responses)}};
    if (!parameters.empty())
        result["parameters"] = std::move(parameters);
    if (operation.takes_body)
        result["requestBody"] = body_of(operation.kind);
    if (needs_key)
        result["security"] = json::array{json::object{{"api_key", json::array{}}}};
    return result;
}

} // namespace

auto to_text(Kind kind) noexcept -> std::string_view {
    return kind == Kind::json ? "json" : kind == Kind::string ? "string" : "binary";
}

void add_for_each_kind(Operations& to, Operation const& prototype) {
    constexpr std::string_view place = "{kind}";
    for (auto const kind : {Kind::string, Kind::json, Kind::binary}) {
        auto operation = prototype;
        operation.kind = kind;
        operation.path.replace(operation.path.find(place), place.size(), to_text(kind));
        to.push_back(std::move(operation));
    }
}

auto openapi_of(Operations const& operations, std::optional<Cache_Api_Key> const& key) -> std::string {
    json::object paths;
    for (auto const& operation : operations) {
        std::string path;
        auto parameters = path_parameters(operation, path);
        auto& methods = paths[path];
        if (methods.is_null())
            methods.emplace_object();
        auto operation_json = described(operation, std::move(parameters), key && !operation.is_open);
        auto id = lower_case(operation.method) + path;
        std::replace_if(
            id.begin(), id.end(), [](char c) { return c == '/' || c == '-' || c == '{' || c == '}' || c == '.'; }, '_');
        operation_json["operationId"] = id;
        methods.as_object()[lower_case(operation.method)] = std::move(operation_json);
    }
    json::object components{
        {"responses",
         json::object{{"Refusal", json::object{{"description", "What is wrong, in `detail` or `message`."},
                                               {"content", json::object{{"application/json", json::object{}}}}}}}}};
    if (key)
        components["securitySchemes"] =
            json::object{{"api_key", json::object{{"type", "apiKey"}, {"in", "header"}, {"name", key->name}}}};
    return json::serialize(json::object{
        {"openapi", "3.1.0"},
        {"info", json::object{{"title", "memfs_cache, as the Python cache service"}, {"version", version}}},
        {"paths", std::move(paths)},
        {"components", std::move(components)}});
}

auto reply(std::string_view media_type, Bytes body, int status) -> Response {
    Response response;
    response.status = status;
    if (!media_type.empty())
        response.headers.add("Content-Type", std::string(media_type));
    response.body = std::move(body);
    return response;
}

auto reply(Json const& body, int status) -> Response {
    auto text = body.standard_text();
    return text ? reply("application/json", *std::move(text), status) : failure(500, text.error().context);
}

auto refusal(int status, Json detail) -> Response { return reply(Object{{"detail", std::move(detail)}}, status); }

auto misfit(std::string_view where, std::string_view name, std::string_view why, std::string_view input) -> Response {
    Json::Array place{where};
    if (!name.empty())
        place.emplace_back(name);
    return refusal(
        400, Json::Array{Object{{"type", "value_error"}, {"loc", std::move(place)}, {"msg", why}, {"input", input}}});
}

auto invalid_input(Call const& call, std::string_view field, std::string_view expected, std::string_view why)
    -> Response {
    return refusal(400, Object{{"field_value", {}},
                               {"constraints", {}},
                               {"error_type", "INVALID_INPUT"},
                               {"message", why},
                               {"timestamp", call.now()},
                               {"request_id", Cache_Id::generate().str()},
                               {"field_name", field},
                               {"expected_type", expected}});
}

auto entry_not_found(Call const& call) -> Response {
    return refusal(404, Object{{"resource_id", {}},
                               {"cache_hash", call.cache_hash.empty() ? Json() : Json(call.cache_hash)},
                               {"cache_id", call.cache_id ? Json(call.id_text()) : Json()},
                               {"namespace", call.ns},
                               {"error_type", "NOT_FOUND"},
                               {"message", "The requested cache entry was not found"},
                               {"timestamp", call.now()},
                               {"request_id", Cache_Id::generate().str()},
                               {"resource_type", "cache_entry"}});
}

auto failure(int status, std::string_view why) -> Response {
    return reply(Object{{"detail", "An unexpected error occurred."}, {"error", why}, {"stack_trace", ""}}, status);
}

auto failure(Error const& error) -> Response {
    if (error.code == Errc::invalid_argument)
        return misfit("query", member_at_fault(error), error.context, {});
    if (error.code == Errc::unsupported)
        return refusal(501, error.context);
    auto const& row = info(error.code);
    bool const tell = error.code != Errc::internal && !error.context.empty();
    return failure(status_of(error.code), tell ? std::string_view(error.context) : row.sentence);
}

auto stored_json(Stored_Entry const& stored) -> Object {
    return {{"cache_id", stored.cache_id},
            {"cache_hash", stored.cache_hash},
            {"namespace", stored.ns},
            {"paths", Object{{"data", texts(stored.paths.data)},
                             {"by_hash", texts({stored.paths.by_hash})},
                             {"by_id", texts({stored.paths.by_id})}}},
            {"size", stored.size_bytes}};
}

} // namespace memfs_cache::cache_api
