// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/entries/entry_value.hpp>
#include <memfs_cache/http/cache_api.hpp>
#include <memfs_cache/http/storage_routes.hpp>

#include <string>
#include <string_view>
#include <vector>

/// What the groups of operations of Cache_Api share: a request that has been read, answers, and the line of the table.
namespace memfs_cache::cache_api {

using Json = Python_Json;
using Object = Python_Json::Object;
using Kind = Entry_Value::Kind;

/// "json", "string" or "binary".
[[nodiscard]] auto to_text(Kind kind) noexcept -> std::string_view;

/// What every request finds.
struct Setting {
    Cache_Service<Any_Storage>& cache;
    Cache_Api_Options options;
    Shown_Files shown{cache.options().root_prefix};
    Utc_Time started = cache.clock()->now();
    std::string instance_id = Cache_Id::generate().str();
};

/// A request whose parameters are clean; those that its operation does not have are as here.
struct Call {
    Request const& request;
    Setting const& setting;

    std::string ns = {};
    Entry_Strategy strategy = Entry_Strategy::direct;
    std::optional<Cache_Id> cache_id = {};
    std::string cache_hash = {};
    std::string cache_key = {};
    std::string file_id = {};
    std::string json_field_path = {};
    Kind kind = Kind::json; ///< of the operation, or as the path names it
    std::string data_type = {};
    Child_Name child = {};
    std::string path = {}; ///< of a file
    std::optional<bool> recursive = {};
    bool return_full_path = false;
    std::optional<Entry_Value> value = {}; ///< the body, of the operation's kind

    [[nodiscard]] auto entries() const -> Entry_Store<Any_Storage>& { return setting.cache.entries(); }
    [[nodiscard]] auto storage() const -> Any_Storage& { return setting.cache.storage(); }
    [[nodiscard]] auto is_strict() const -> bool { return setting.options.strict_compat; }
    [[nodiscard]] auto now() const -> Json { return to_millis(setting.cache.clock()->now()); }
    [[nodiscard]] auto id_text() const -> std::string { return cache_id ? cache_id->str() : std::string(); }
};

/// One line of the table.
struct Operation {
    std::string_view method;
    /// "{name}" stands for a part, "{name:path}" for one or more of them; {kind} in a prototype for each kind of value.
    std::string path;
    std::string_view summary; ///< one sentence
    Result<Response> (*handler)(Call const&);
    bool takes_body = false;
    Kind kind = Kind::json; ///< of the body, and of what is asked for
    std::vector<std::string_view> query = {};
    std::vector<int> statuses = {}; ///< beside 200, and what any operation may answer
    std::string_view media_type = "application/json";
    bool is_open = false; ///< nobody needs the key
};
using Operations = std::vector<Operation>;

[[nodiscard]] auto entry_operations() -> Operations;
[[nodiscard]] auto child_operations() -> Operations;
[[nodiscard]] auto zip_operations() -> Operations;
[[nodiscard]] auto file_operations() -> Operations;
[[nodiscard]] auto service_operations() -> Operations;
[[nodiscard]] auto sample_operations() -> Operations;

/// The same line for strings, JSON and bytes.
void add_for_each_kind(Operations& to, Operation const& prototype);

[[nodiscard]] auto openapi_of(Operations const& operations, std::optional<Cache_Api_Key> const& key) -> std::string;

// Answers

/// @return a 500 for what JSON cannot say
[[nodiscard]] auto reply(Json const& body, int status = 200) -> Response;
[[nodiscard]] auto reply(std::string_view media_type, Bytes body, int status = 200) -> Response;
/// `{"detail": ...}`
[[nodiscard]] auto refusal(int status, Json detail) -> Response;
/// 400: a parameter or the body cannot be used.
[[nodiscard]] auto misfit(std::string_view where, std::string_view name, std::string_view why, std::string_view input)
    -> Response;
/// 400, in the words for what is well-formed and empty.
[[nodiscard]] auto
invalid_input(Call const& call, std::string_view field, std::string_view expected, std::string_view why) -> Response;
/// 404 with what was looked for.
[[nodiscard]] auto entry_not_found(Call const& call) -> Response;
/// 400 for an argument, otherwise what is answered when something is wrong here.
[[nodiscard]] auto failure(Error const& error) -> Response;
[[nodiscard]] auto failure(int status, std::string_view why) -> Response;

[[nodiscard]] inline auto texts(std::vector<std::string> const& items) -> Json {
    return Json::Array(items.begin(), items.end());
}
[[nodiscard]] auto stored_json(Stored_Entry const& stored) -> Object;
/// Every file below a folder that may be shown, without the root prefix, in byte order.
/// @param  folder  "" or with its '/'
[[nodiscard]] auto files_below(Setting const& setting, std::string_view folder) -> Result<std::vector<std::string>>;
/// May files of this path be deleted one by one? Not those of the namespaces in which a service keeps more than entries.
[[nodiscard]] auto may_be_deleted(std::string_view path) -> bool;

} // namespace memfs_cache::cache_api
