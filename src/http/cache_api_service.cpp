// SPDX-License-Identifier: Apache-2.0
// What the service says of itself, and the cookie that carries its key.
#include "cache_api_parts.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#if MEMFS_CACHE_HAS_S3
#include <memfs_cache/storage/s3.hpp>
#endif
#if MEMFS_CACHE_HAS_SQLITE
#include <memfs_cache/storage/sqlite.hpp>
#endif
#include <memfs_cache/version.hpp>

#include <algorithm>

namespace memfs_cache::cache_api {
namespace {

// The reference whose answers these are.
constexpr char const* reference_name = "mgraph_ai_service_cache";
constexpr char const* reference_version = "v0.14.1";

struct Place {
    std::string_view mode;
    std::string_view location_name; ///< of the member that tells where; "" if it is nowhere
};

auto place_of(Any_Storage const& storage) -> Place {
#if MEMFS_CACHE_HAS_S3
    if (storage.as<Storage_S3>() != nullptr)
        return {"s3", "s3_bucket"};
#endif
#if MEMFS_CACHE_HAS_SQLITE
    if (storage.as<Storage_Sqlite>() != nullptr)
        return {"sqlite", "sqlite_path"};
#endif
    if (storage.as<Storage_Disk>() != nullptr)
        return {"local_disk", "local_disk_path"};
    return {"memory", {}};
}

auto storage_info(Call const& call) -> Result<Response> {
    auto const place = place_of(call.storage());
    auto const& location = call.setting.options.storage_location;
    Object answer{{"storage_mode", place.mode}, {"ttl_hours", 24}};
    if (!place.location_name.empty() && !location.empty())
        answer.emplace_back(std::string(place.location_name), location);
    return reply(std::move(answer));
}

auto bucket_name(Call const& call) -> Result<Response> {
    auto const& location = call.setting.options.storage_location;
    bool const is_bucket = place_of(call.storage()).mode == "s3" && !location.empty();
    return reply(Object{{"bucket-name", is_bucket ? location : "NA"}});
}

auto health(Call const&) -> Result<Response> { return reply(Object{{"status", "ok"}}); }

auto status(Call const&) -> Result<Response> {
    return reply(Object{
        {"name", reference_name}, {"version", reference_version}, {"status", "operational"}, {"environment", "local"}});
}

auto versions(Call const&) -> Result<Response> {
    return reply(Object{{reference_name, reference_version},
                        {"osbot_utils", "v3.73.1"},
                        {"osbot_aws", {}},
                        {"osbot_fast_api", "v0.38.1"},
                        {"osbot_fast_api_serverless", "v1.34.0"},
                        {"memfs_cache", version}});
}

auto server(Call const& call) -> Result<Response> {
    return reply(Object{{"server_id", {}},
                        {"server_name", {}},
                        {"server_instance_id", call.setting.instance_id},
                        {"server_boot_time", to_millis(call.setting.started)}});
}

// The cookie

auto cookie_form(Call const&) -> Result<Response> {
    return reply("text/html; charset=utf-8", R"(
        <!DOCTYPE html>
        <html>
        <head><title>API key</title></head>
        <body>
        <form id="form"><label>API key <input id="key" type="password" autocomplete="off"></label>
        <button>Set cookie</button> <output id="done"></output></form>
        <script>
        document.getElementById("form").addEventListener("submit", async event => {
            event.preventDefault();
            const answer = await fetch("set-auth-cookie", {
                method: "POST", headers: {"Content-Type": "application/json"},
                body: JSON.stringify({cookie_value: document.getElementById("key").value})});
            document.getElementById("done").textContent = answer.ok ? "done" : "refused";
        });
        </script>
        </body>
        </html>
)");
}

/// A value as a cookie carries it; nothing that could end it is left in it.
auto cookie_text(std::string_view value) -> std::string {
    constexpr std::string_view plain = "!#$%&'*+-.^_`|~:";
    constexpr std::string_view quotable = " ()/<=>?@[]{}";
    auto const fits = [&](char c) { return is_ascii_letter(c) || is_ascii_digit(c) || plain.find(c) != plain.npos; };
    if (!value.empty() && std::all_of(value.begin(), value.end(), fits))
        return std::string(value);
    std::string text = "\"";
    for (char const c : value) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            text.append("\\").push_back(c);
        else if (fits(c) || quotable.find(c) != quotable.npos)
            text.push_back(c);
        else
            for (int const part : {-1, byte >> 6, byte >> 3 & 7, byte & 7})
                text.push_back(part < 0 ? '\\' : static_cast<char>('0' + part));
    }
    return text + "\"";
}

auto set_cookie(Call const& call) -> Result<Response> {
    auto const* const sent = call.value->as_json()->find("cookie_value");
    auto const* const value = sent == nullptr ? nullptr : sent->get_if<std::string>();
    if (sent != nullptr && !sent->is_null() && value == nullptr)
        return misfit("body", "cookie_value", "give a text", {});
    auto const& key = call.setting.options.key;
    auto const text = value == nullptr ? std::string() : *value;
    auto const name = key ? key->name : std::string();
    auto response =
        reply(Object{{"message", "Cookie set successfully"}, {"cookie_name", name}, {"cookie_value", text}});
    response.headers.add("Set-Cookie", name + "=" + cookie_text(text) + "; HttpOnly; Path=/; SameSite=strict");
    return response;
}

// Pages

constexpr char const* start_page = "/console/v0/v0.1/v0.1.3/index.html";

auto page(Call const&) -> Result<Response> {
    return reply("text/html; charset=utf-8", R"(
    <!DOCTYPE html>
    <html>
    <head>
    <title>memfs_cache, as the Python cache service</title>
    </head>
    <body>
    <h1>memfs_cache, as the Python cache service</h1>
    <p><a href="/openapi.json">The operations</a> are those of the Python cache service.</p>
    </body>
    </html>
)");
}

auto console(Call const&) -> Result<Response> {
    auto response = reply({}, {}, 307);
    response.headers.add("Location", start_page);
    return response;
}

} // namespace

auto service_operations() -> Operations {
    return {
        {.method = "GET",
         .path = "/admin/storage/bucket-name",
         .summary = "The bucket that everything lies in.",
         .handler = &bucket_name},
        {.method = "GET",
         .path = "/server/storage/info",
         .summary = "What everything lies on.",
         .handler = &storage_info},
        {.method = "GET", .path = "/info/health", .summary = "Does it answer?", .handler = &health},
        {.method = "GET", .path = "/info/server", .summary = "Which process answers?", .handler = &server},
        {.method = "GET", .path = "/info/status", .summary = "What is this service?", .handler = &status},
        {.method = "GET", .path = "/info/versions", .summary = "Whose answers are these?", .handler = &versions},
        {.method = "GET",
         .path = "/auth/set-cookie-form",
         .summary = "A form that sets the cookie.",
         .handler = &cookie_form,
         .media_type = "text/html",
         .is_open = true},
        {.method = "POST",
         .path = "/auth/set-auth-cookie",
         .summary = "Sets the cookie that carries the key.",
         .handler = &set_cookie,
         .takes_body = true,
         .is_open = true},
        {.method = "GET", .path = "/console", .summary = "To the start page.", .handler = &console, .statuses = {307}},
        {.method = "GET",
         .path = start_page,
         .summary = "The start page.",
         .handler = &page,
         .media_type = "text/html"},
        {.method = "GET",
         .path = "/docs",
         .summary = "The way to the operations.",
         .handler = &page,
         .media_type = "text/html",
         .is_open = true},
        {.method = "GET", .path = "/redoc", .summary = "The same.", .handler = &page, .media_type = "text/html"},
    };
}

} // namespace memfs_cache::cache_api
