// SPDX-License-Identifier: Apache-2.0
// Store, retrieve, exists, update and delete.
#include "cache_api_parts.hpp"
#include <memfs_cache/core/base64.hpp>
#include <memfs_cache/core/utf8.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>

namespace memfs_cache::cache_api {
namespace {

using Found = Result<std::optional<Retrieved_Entry>>;

auto empty_value(Call const& call) -> Response {
    return call.kind == Kind::binary
               ? invalid_input(call, "body", "non-empty_binary_data", "Binary data cannot be empty")
               : invalid_input(call, "data", "non-empty_string", "String data cannot be empty");
}

auto store(Call const& call) -> Result<Response> {
    if (call.value->is_empty())
        return empty_value(call);
    Entry_Options options;
    options.cache_key = call.cache_key;
    options.file_id = call.file_id;
    options.json_field_path = call.json_field_path;
    if (call.kind == Kind::binary)
        options.content_encoding = call.request.headers.value("Content-Encoding");
    auto const stored = call.entries().store(call.ns, call.strategy, *call.value, options);
    if (stored)
        return reply(stored_json(*stored));
    // The field is all that can be wrong with a document by now.
    if (!call.json_field_path.empty() && stored.error().code == Errc::invalid_argument && call.is_strict())
        return failure(500, "Field '" + call.json_field_path + "' not found in data");
    return stored.error();
}

auto store_under_key(Call const& call) -> Result<Response> {
    if (!call.value->is_empty() && call.cache_key.empty())
        return invalid_input(call, "cache_key", "valid_file_path", "Cache key is required for this endpoint");
    return store(call);
}

// Retrieve: by the id or the hash, whichever the path has

auto find(Call const& call) -> Found {
    return call.cache_id ? call.entries().retrieve(call.ns, *call.cache_id)
                         : call.entries().retrieve_by_hash(call.ns, call.cache_hash);
}

/// Answers with what is made of the entry.
/// @param  or_else  the answer if there is none
template <class Show>
auto with_entry(Call const& call, Response (*or_else)(Call const&), Show&& show) -> Result<Response> {
    auto const found = find(call);
    if (!found)
        return found.error();
    return *found ? show(**found) : or_else(call);
}

auto not_there(Call const&) -> Response { return refusal(404, "Cache entry not found"); }

auto size_of(Call const& call, Entry_Metadata const& metadata) -> Json {
    return call.is_strict() ? Json(0) : Json(metadata.content_size_bytes);
}

auto metadata_json(Call const& call, Entry_Metadata const& metadata) -> Object {
    return {{"cache_id", metadata.cache_id},
            {"cache_hash", metadata.cache_hash},
            {"cache_key", metadata.cache_key},
            {"file_id", metadata.file_id},
            {"namespace", metadata.ns},
            {"strategy", metadata.strategy},
            {"stored_at", to_millis(metadata.stored_at)},
            {"file_type", metadata.file_type},
            {"content_encoding", metadata.content_encoding ? Json(*metadata.content_encoding) : Json()},
            {"content_size", size_of(call, metadata)}};
}

auto retrieve(Call const& call) -> Result<Response> {
    return with_entry(call, &entry_not_found, [&](Retrieved_Entry const& entry) -> Response {
        auto const& [value, metadata] = entry;
        if (value.kind() != Kind::binary)
            return reply(Object{{"data", value.as_json() != nullptr ? *value.as_json() : Json(*value.as_bytes())},
                                {"metadata", metadata_json(call, metadata)},
                                {"data_type", value.data_type()}});
        auto const name = call.cache_id ? call.id_text() : "hash/" + call.cache_hash;
        return reply(Object{{"message", "Binary data requires separate endpoint"},
                            {"data_type", "binary"},
                            {"size", size_of(call, metadata)},
                            {"cache_hash", metadata.cache_hash},
                            {"cache_id", metadata.cache_id},
                            {"namespace", call.ns},
                            {"binary_url", "/" + call.ns + "/retrieve/" + name + "/binary"},
                            {"metadata", metadata_json(call, metadata)}});
    });
}

auto retrieve_metadata(Call const& call) -> Result<Response> {
    return with_entry(call, &not_there,
                      [&](Retrieved_Entry const& entry) { return reply(metadata_json(call, entry.metadata)); });
}

auto retrieve_string(Call const& call) -> Result<Response> {
    return with_entry(call, &not_there, [&](Retrieved_Entry const& entry) {
        auto const& value = entry.value;
        // Bytes that are a text are one only for who asks by hash.
        bool const as_it_is = value.kind() == Kind::string ||
                              (!call.cache_id && value.kind() == Kind::binary && is_utf8(*value.as_bytes()));
        return reply("text/plain; charset=utf-8", value.as_json() != nullptr ? value.as_json()->render()
                                                  : as_it_is                 ? *value.as_bytes()
                                                                             : to_base64(*value.as_bytes()));
    });
}

auto retrieve_binary(Call const& call) -> Result<Response> {
    return with_entry(call, &not_there, [](Retrieved_Entry const& entry) {
        auto const* document = entry.value.as_json();
        return reply("application/octet-stream", document != nullptr ? document->render() : *entry.value.as_bytes());
    });
}

/// The first characters of a text.
auto excerpt(std::string_view text) -> std::string_view {
    constexpr int most_characters = 100;
    std::size_t size = 0;
    for (int i = 0; i < most_characters && size < text.size(); ++i)
        size += std::max<std::size_t>(decode_utf8(text.substr(size)).size_bytes, 1);
    return text.substr(0, size);
}

auto retrieve_json(Call const& call) -> Result<Response> {
    return with_entry(call, &not_there, [&](Retrieved_Entry const& entry) {
        auto const& value = entry.value;
        if (value.as_json() != nullptr)
            return reply(*value.as_json());
        if (value.kind() == Kind::binary)
            return reply(
                Object{{"data_type", "binary"}, {"encoding", "base64"}, {"data", to_base64(*value.as_bytes())}});
        if (auto const parsed = Json::parse(*value.as_bytes()))
            return reply(*parsed);
        std::string why = "Data is string, not JSON";
        if (call.cache_id)
            why.append(": ").append(excerpt(*value.as_bytes()));
        return refusal(415, why);
    });
}

// The documents beside an entry

auto stored_document(Call const& call, std::string_view path) -> Result<std::optional<Json>> {
    auto const found = read(call.storage(), call.setting.shown.root() + std::string(path));
    if (!found)
        return found.error();
    if (!*found)
        return std::optional<Json>();
    auto parsed = Json::parse(**found);
    if (!parsed)
        return fail(Errc::corrupt_data, std::string(path) + ": " + parsed.error().context);
    return std::optional(*std::move(parsed));
}

auto with_reference(Call const& call, Result<Response> (*show)(Call const&, Id_Ref const&)) -> Result<Response> {
    auto const ref = call.entries().id_ref(call.ns, *call.cache_id);
    if (!ref)
        return ref.error();
    return *ref ? show(call, **ref) : entry_not_found(call);
}

/// What lies beside the first copy of the content.
auto show_beside(Call const& call, Id_Ref const& ref, std::string_view suffix) -> Result<Response> {
    if (ref.content_files.empty())
        return entry_not_found(call);
    auto const document = stored_document(call, ref.content_files.front() + std::string(suffix));
    if (!document)
        return document.error();
    return *document ? reply(**document) : entry_not_found(call);
}

auto retrieve_config(Call const& call) -> Result<Response> {
    return with_reference(call, [](Call const& c, Id_Ref const& ref) { return show_beside(c, ref, config_suffix); });
}

auto retrieve_stored_metadata(Call const& call) -> Result<Response> {
    return with_reference(call, [](Call const& c, Id_Ref const& ref) { return show_beside(c, ref, metadata_suffix); });
}

auto reference_json(Id_Ref const& ref) -> Json { return Json::parse(ref.document()).value(); }

auto retrieve_refs(Call const& call) -> Result<Response> {
    return with_reference(
        call, [](Call const&, Id_Ref const& ref) -> Result<Response> { return reply(reference_json(ref)); });
}

auto retrieve_all_refs(Call const& call) -> Result<Response> {
    return with_reference(call, [](Call const& c, Id_Ref const& ref) -> Result<Response> {
        auto paths = ref.all_paths.data;
        paths.insert(paths.end(), {ref.all_paths.by_hash, ref.all_paths.by_id});
        Object details;
        for (auto const& path : paths) {
            if (std::find(ref.content_files.begin(), ref.content_files.end(), path) != ref.content_files.end())
                continue;
            auto const document = stored_document(c, path);
            if (!document)
                return document.error();
            if (*document)
                details.emplace_back(path, **document);
        }
        return reply(Object{{"by_id", reference_json(ref)}, {"details", std::move(details)}});
    });
}

auto with_hash(Call const& call, Response (*show)(Call const&, Hash_Ref const&)) -> Result<Response> {
    auto const ref = call.entries().hash_refs(call.ns, call.cache_hash);
    if (!ref)
        return ref.error();
    return *ref ? show(call, **ref) : not_there(call);
}

auto retrieve_hash_refs(Call const& call) -> Result<Response> {
    return with_hash(call, [](Call const&, Hash_Ref const& ref) { return reply(Json::parse(ref.document()).value()); });
}

auto retrieve_latest_id(Call const& call) -> Result<Response> {
    return with_hash(call, [](Call const& c, Hash_Ref const& ref) {
        return reply(Object{{"namespace", c.ns}, {"cache_hash", c.cache_hash}, {"cache_id", ref.latest_id}});
    });
}

auto exists(Call const& call) -> Result<Response> {
    auto const there = call.cache_id ? call.entries().exists(call.ns, *call.cache_id)
                                     : call.entries().exists(call.ns, call.cache_hash);
    if (!there)
        return there.error();
    return reply(Object{{"exists", *there},
                        {"cache_id", call.cache_id ? Json(call.id_text()) : Json()},
                        {"cache_hash", call.cache_id ? Json() : Json(call.cache_hash)},
                        {"namespace", call.ns}});
}

// Update and delete

/// What the reference counts: characters of a text, members of an object.
auto counted_size(Entry_Value const& value) -> std::size_t {
    if (auto const* document = value.as_json())
        return document->get_if<Object>()->size();
    auto const& bytes = *value.as_bytes();
    if (value.kind() == Kind::binary)
        return bytes.size();
    return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) { // leads of characters
        return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
    }));
}

auto update(Call const& call) -> Result<Response> {
    if (call.value->is_empty()) {
        bool const is_binary = call.kind == Kind::binary;
        return refusal(400,
                       Object{{"error_type", "INVALID_INPUT"},
                              {"message", is_binary ? "Binary data cannot be empty" : "String data cannot be empty"},
                              {"field_name", is_binary ? "body" : "data"}});
    }
    auto const updated = call.entries().update(call.ns, *call.cache_id, *call.value);
    if (!updated)
        return updated.error();
    if (!*updated)
        return refusal(call.is_strict() ? 500 : 404,
                       Object{{"error_type", "UPDATE_FAILED"},
                              {"message", "Failed to update cache entry " + call.id_text()},
                              {"cache_id", call.id_text()}});
    auto const& entry = **updated;
    return reply(Object{{"cache_id", entry.cache_id},
                        {"cache_hash", entry.cache_hash},
                        {"namespace", entry.ns},
                        {"paths", texts(entry.paths)},
                        {"size", call.is_strict() ? counted_size(*call.value) : entry.size_bytes},
                        {"timestamp", to_millis(entry.updated_at)},
                        {"updated_content", true},
                        {"updated_hash", false},
                        {"updated_metadata", false},
                        {"updated_id_ref", false}});
}

auto remove(Call const& call) -> Result<Response> {
    auto const deleted = call.entries().remove(call.ns, *call.cache_id);
    if (!deleted)
        return deleted.error();
    if (!*deleted)
        return reply(Object{{"status", "not_found"}, {"message", "Cache ID " + call.id_text() + " not found"}},
                     call.is_strict() ? 200 : 404);
    auto const& entry = **deleted;
    return reply(Object{{"status", entry.missing_paths.empty() ? "success" : "partial"},
                        {"cache_id", entry.cache_id},
                        {"deleted_count", entry.deleted_paths.size()},
                        {"failed_count", entry.missing_paths.size()},
                        {"deleted_paths", texts(entry.deleted_paths)},
                        {"failed_paths", texts(entry.missing_paths)}});
}

} // namespace

auto entry_operations() -> Operations {
    Operations all;
    add_for_each_kind(all, {.method = "POST",
                            .path = "/{namespace}/{strategy}/store/{kind}",
                            .summary = "Stores a value.",
                            .handler = &store,
                            .takes_body = true});
    add_for_each_kind(all, {.method = "POST",
                            .path = "/{namespace}/{strategy}/store/{kind}/{cache_key:path}",
                            .summary = "Stores a value under a key.",
                            .handler = &store_under_key,
                            .takes_body = true,
                            .query = {"file_id", "json_field_path"}});

    struct Tail {
        std::string_view text, summary;
        Result<Response> (*handler)(Call const&);
        std::string_view media_type = "application/json";
    };
    auto const add = [&](std::string_view base, std::initializer_list<Tail> tails) {
        for (auto const& tail : tails) {
            Operation operation{.method = "GET",
                                .path = std::string(base).append(tail.text),
                                .summary = tail.summary,
                                .handler = tail.handler,
                                .statuses = {404},
                                .media_type = tail.media_type};
            if (tail.handler == &retrieve_json)
                operation.statuses.push_back(415);
            all.push_back(std::move(operation));
        }
    };
    constexpr std::string_view text = "text/plain", bytes = "application/octet-stream";
    add("/{namespace}/retrieve/{cache_id}",
        {{"", "The value and what is known of it.", &retrieve},
         {"/config", "The document of its kind of file.", &retrieve_config},
         {"/metadata", "The document that describes it.", &retrieve_stored_metadata},
         {"/refs", "Where it lies.", &retrieve_refs},
         {"/refs/all", "Every document about it.", &retrieve_all_refs},
         {"/string", "The value as text.", &retrieve_string, text},
         {"/json", "The value as JSON.", &retrieve_json},
         {"/binary", "The value as bytes.", &retrieve_binary, bytes}});
    add("/{namespace}/retrieve/hash/{cache_hash}",
        {{"", "The value that was stored last under a hash.", &retrieve},
         {"/string", "That value as text.", &retrieve_string, text},
         {"/json", "That value as JSON.", &retrieve_json},
         {"/binary", "That value as bytes.", &retrieve_binary, bytes},
         {"/metadata", "What is known of it.", &retrieve_metadata},
         {"/refs-hash", "All that was stored under the hash.", &retrieve_hash_refs},
         {"/cache-id", "The id of what was stored last under it.", &retrieve_latest_id}});

    for (auto const name : {"id/{cache_id}", "hash/{cache_hash}"})
        all.push_back({.method = "GET",
                       .path = std::string("/{namespace}/exists/") + name,
                       .summary = "Is there such an entry?",
                       .handler = &exists});
    add_for_each_kind(all, {.method = "POST",
                            .path = "/{namespace}/update/{cache_id}/{kind}",
                            .summary = "Replaces the value of an entry.",
                            .handler = &update,
                            .takes_body = true,
                            .statuses = {404}});
    all.push_back({.method = "DELETE",
                   .path = "/{namespace}/delete/{cache_id}",
                   .summary = "Deletes an entry.",
                   .handler = &remove,
                   .statuses = {404}});
    return all;
}

} // namespace memfs_cache::cache_api
