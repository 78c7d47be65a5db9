// SPDX-License-Identifier: Apache-2.0
// Child data: files that belong to an entry.
#include "cache_api_parts.hpp"

namespace memfs_cache::cache_api {
namespace {

auto extension_of(Kind kind) -> std::string_view {
    return kind == Kind::json ? "json" : kind == Kind::string ? "txt" : "bin";
}

auto nothing(Call const& call, std::string message) -> Object {
    return {{"error_type", "NOT_FOUND"}, {"message", std::move(message)}, {"cache_id", call.id_text()}};
}

auto no_file(Call const& call, std::string message) -> Object {
    auto detail = nothing(call, std::move(message));
    detail.emplace_back("data_file_id", call.child.data_file_id);
    return detail;
}

auto key_or_null(Call const& call) -> Json { return call.child.data_key.empty() ? Json() : Json(call.child.data_key); }

auto store(Call const& call) -> Result<Response> {
    auto const stored = call.entries().data_store(call.ns, *call.cache_id, *call.value, call.child);
    if (!stored)
        return stored.error();
    if (!*stored)
        return refusal(404,
                       nothing(call, "Cache entry '" + call.id_text() + "' in namespace '" + call.ns + "' not found"));
    auto const& child = **stored;
    return reply(Object{{"cache_id", child.cache_id},
                        {"data_files_created", texts(child.paths)},
                        {"data_key", child.data_key},
                        {"data_type", to_text(call.kind)},
                        {"extension", extension_of(call.kind)},
                        {"file_id", child.data_file_id},
                        {"file_size", child.size_bytes},
                        {"namespace", child.ns},
                        {"timestamp", call.now()}});
}

auto retrieve(Call const& call) -> Result<Response> {
    auto const found = call.entries().data_retrieve(call.ns, *call.cache_id, call.kind, call.child);
    if (!found)
        return found.error();
    bool const is_json = call.kind == Kind::json;
    if (!*found)
        return is_json ? refusal(404, no_file(call, "Data file not found")) : reply({}, {}, 404);
    auto const& value = **found;
    if (is_json)
        return reply(value.as_json() != nullptr ? *value.as_json() : Json(*value.as_bytes()));
    return reply(call.kind == Kind::string ? "text/plain; charset=utf-8" : "application/octet-stream",
                 *value.as_bytes());
}

auto update(Call const& call) -> Result<Response> {
    if (call.value->is_empty()) // which a store takes
        return refusal(400, Object{{"error_type", "INVALID_INPUT"}, {"message", "The data cannot be empty"}});
    auto const updated = call.entries().data_update(call.ns, *call.cache_id, *call.value, call.child);
    if (!updated)
        return updated.error();
    if (!*updated)
        return refusal(404, no_file(call, "Data file '" + call.child.data_file_id + "' not found in cache entry '" +
                                              call.id_text() + "'"));
    auto const& child = **updated;
    return reply(Object{{"success", true},
                        {"cache_id", child.cache_id},
                        {"namespace", child.ns},
                        {"data_type", to_text(call.kind)},
                        {"data_key", child.data_key},
                        {"data_file_id", child.data_file_id},
                        {"file_path", child.paths.front()},
                        {"file_size", child.size_bytes}});
}

auto exists(Call const& call) -> Result<Response> {
    auto const there = call.entries().data_exists(call.ns, *call.cache_id, call.kind, call.child);
    if (!there)
        return there.error();
    return reply(Object{{"cache_id", call.id_text()},
                        {"data_type", call.data_type},
                        {"data_key", call.child.data_key},
                        {"data_file_id", call.child.data_file_id},
                        {"exists", *there},
                        {"namespace", call.ns}});
}

auto list(Call const& call) -> Result<Response> {
    auto const listed =
        call.entries().data_list(call.ns, *call.cache_id, call.child.data_key, call.recursive.value_or(true));
    if (!listed)
        return listed.error();
    if (!*listed)
        return refusal(404, nothing(call, "Cache entry '" + call.id_text() + "' not found"));
    Json::Array files;
    std::uint64_t total = 0;
    for (auto const& file : **listed) {
        total += file.size_bytes;
        files.emplace_back(Object{{"data_file_id", file.data_file_id},
                                  {"data_key", file.data_key},
                                  {"data_type", to_text(file.type)},
                                  {"file_path", file.path},
                                  {"file_size", file.size_bytes},
                                  {"extension", file.extension}});
    }
    auto const count = files.size();
    return reply(Object{{"cache_id", call.id_text()},
                        {"namespace", call.ns},
                        {"data_key", call.child.data_key},
                        {"file_count", count},
                        {"files", std::move(files)},
                        {"total_size", total}});
}

auto remove(Call const& call) -> Result<Response> {
    auto const deleted = call.entries().data_delete(call.ns, *call.cache_id, call.kind, call.child);
    if (!deleted)
        return deleted.error();
    if (!*deleted) {
        auto detail = no_file(call, "Data file " + call.child.data_file_id + " not found");
        detail.emplace_back("data_type", call.data_type);
        return refusal(404, std::move(detail));
    }
    return reply(Object{{"status", "success"},
                        {"message", "Data file deleted successfully"},
                        {"cache_id", call.id_text()},
                        {"data_file_id", call.child.data_file_id},
                        {"data_type", call.data_type},
                        {"data_key", key_or_null(call)},
                        {"namespace", call.ns}});
}

auto remove_all(Call const& call) -> Result<Response> {
    auto const deleted = call.entries().data_delete_all(call.ns, *call.cache_id, call.child.data_key);
    if (!deleted)
        return deleted.error();
    auto const count = std::to_string(deleted->size());
    Object answer{{"status", "success"},
                  {"message", deleted->empty() ? "No data files to delete" : "Deleted " + count + " data files"},
                  {"cache_id", call.id_text()},
                  {"deleted_count", deleted->size()}};
    if (!deleted->empty())
        answer.emplace_back("deleted_files", texts(*deleted));
    answer.emplace_back("data_key", key_or_null(call));
    answer.emplace_back("namespace", call.ns);
    return reply(std::move(answer));
}

} // namespace

auto child_operations() -> Operations {
    std::string const base = "/{namespace}/cache/{cache_id}/data/";
    constexpr std::string_view named[] = {"/{data_file_id}", "/{data_key:path}/{data_file_id}"};
    Operations all;
    for (auto const name : {std::string_view(), named[0], named[1]})
        add_for_each_kind(all, {.method = "POST",
                                .path = (base + "store/{kind}").append(name),
                                .summary = "Stores a file beside an entry.",
                                .handler = &store,
                                .takes_body = true,
                                .statuses = {404}});
    for (auto const name : named) {
        add_for_each_kind(all, {.method = "GET",
                                .path = (base + "{kind}").append(name),
                                .summary = "The file of an entry.",
                                .handler = &retrieve,
                                .statuses = {404}});
        add_for_each_kind(all, {.method = "POST",
                                .path = (base + "update/{kind}").append(name),
                                .summary = "Replaces a file of an entry.",
                                .handler = &update,
                                .takes_body = true,
                                .statuses = {404}});
        all.push_back({.method = "GET",
                       .path = (base + "exists/{data_type}").append(name),
                       .summary = "Has the entry such a file?",
                       .handler = &exists});
    }
    for (auto const below : {"", "/{data_key:path}"}) {
        all.push_back({.method = "GET",
                       .path = base + "list" + below,
                       .summary = "The files of an entry.",
                       .handler = &list,
                       .query = {"recursive"},
                       .statuses = {404}});
        all.push_back({.method = "DELETE", // before those that take "all" for a kind of data
                       .path = base + "delete/all" + below,
                       .summary = "Deletes the files of an entry.",
                       .handler = &remove_all});
    }
    for (auto const name : named)
        all.push_back({.method = "DELETE",
                       .path = (base + "delete/{data_type}").append(name),
                       .summary = "Deletes a file of an entry.",
                       .handler = &remove,
                       .statuses = {404}});
    return all;
}

} // namespace memfs_cache::cache_api
