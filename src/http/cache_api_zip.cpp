// SPDX-License-Identifier: Apache-2.0
// Entries that are zip archives. An entry is never changed: each change makes a new one.
#include "cache_api_parts.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/zip_archive.hpp>
#include <memfs_cache/entries/entry_names.hpp>

#include <algorithm>
#include <utility>

namespace memfs_cache::cache_api {
namespace {

using Members = std::vector<Zip_Member>;

auto find(Members& members, std::string_view name) {
    return std::find_if(members.begin(), members.end(), [&](Zip_Member const& member) { return member.name == name; });
}

auto names_of(Members const& members) -> std::vector<std::string> {
    std::vector<std::string> names;
    for (auto const& member : members)
        names.push_back(member.name);
    std::sort(names.begin(), names.end());
    return names;
}

/// The same for the same members in any order and however they are packed.
auto hash_of(Members const& members) -> std::string {
    std::vector<Zip_Member const*> sorted;
    for (auto const& member : members)
        sorted.push_back(&member);
    std::sort(sorted.begin(), sorted.end(), [](auto const* a, auto const* b) { return a->name < b->name; });
    Bytes all;
    for (auto const* member : sorted)
        all.append(member->name).append(1, '\0').append(member->content).append(1, '\0');
    return Cache_Hash().from_bytes(all);
}

/// A sentence as the reference's answers carry it.
auto sentence(std::string text) -> std::string {
    constexpr std::string_view allowed = ":.'\"() ";
    for (auto& c : text)
        if (!is_ascii_letter(c) && !is_ascii_digit(c) && allowed.find(c) == allowed.npos)
            c = '_';
    return text;
}

// Whole archives

auto store_archive(Call const& call, Bytes archive) -> Result<Response> {
    auto const members = read_zip(archive);
    if (!members && members.error().code == Errc::corrupt_data)
        return refusal(400, "Invalid zip file: File is not a zip file");
    if (!members)
        return members.error();
    Entry_Options options;
    options.cache_hash = hash_of(*members);
    options.cache_key = call.cache_key;
    options.file_id = call.file_id;
    auto const stored = call.entries().store(call.ns, call.strategy, Entry_Value::binary(std::move(archive)), options);
    if (!stored)
        return stored.error();
    auto answer = stored_json(*stored);
    answer.insert(answer.end(), {{"file_count", members->size()},
                                 {"stored_at", call.now()},
                                 {"error_type", {}},
                                 {"error_message", {}},
                                 {"success", true}});
    return reply(std::move(answer));
}

auto create(Call const& call) -> Result<Response> {
    auto archive = write_zip({});
    if (!archive)
        return archive.error();
    return store_archive(call, *std::move(archive));
}

auto store(Call const& call) -> Result<Response> { return store_archive(call, *call.value->as_bytes()); }

auto retrieve(Call const& call) -> Result<Response> {
    auto const found = call.entries().retrieve(call.ns, *call.cache_id);
    if (!found)
        return found.error();
    if (!*found)
        return refusal(404, "Zip file not found");
    auto const& value = (*found)->value;
    if (value.kind() != Kind::binary)
        return refusal(400, "Cached item is not a binary file");
    auto response = reply("application/zip", *value.as_bytes());
    response.headers.add("Content-Disposition", "attachment; filename=" + call.id_text() + ".zip");
    return response;
}

// Members

/// An archive that is stored.
struct Stored_Archive {
    Members members;
    Entry_Strategy strategy = Entry_Strategy::direct;
};

/// @return nothing if there is no such entry, or none that is an archive
auto find_archive(Call const& call) -> Result<std::optional<Stored_Archive>> {
    auto const found = call.entries().retrieve(call.ns, *call.cache_id);
    if (!found)
        return found.error();
    if (!*found || (*found)->value.kind() != Kind::binary)
        return std::optional<Stored_Archive>();
    auto members = read_zip(*(*found)->value.as_bytes());
    if (!members && members.error().code == Errc::corrupt_data)
        return std::optional<Stored_Archive>();
    if (!members)
        return members.error();
    auto const strategy = parse_entry_strategy((*found)->metadata.strategy);
    if (!strategy)
        return fail(Errc::corrupt_data, "the metadata of an entry: member 'strategy' is wrong");
    return std::optional(Stored_Archive{*std::move(members), *strategy});
}

auto no_archive(int status) -> Response { return refusal(status, "Zip file not found in cache"); }

struct Outcome {
    std::string_view operation;
    std::string cache_id;
    std::string original = {}; ///< "" if nothing was changed
    std::string message;
    std::vector<std::string> file_list = {};
    std::vector<std::string> files_affected = {};
};
auto reply_with(Outcome const& outcome) -> Response {
    return reply(Object{{"success", true},
                        {"operation", outcome.operation},
                        {"cache_id", outcome.cache_id},
                        {"original_cache_id", outcome.original.empty() ? Json() : Json(outcome.original)},
                        {"message", sentence(outcome.message)},
                        {"file_list", texts(outcome.file_list)},
                        {"file_content", ""},
                        {"file_size", 0},
                        {"files_affected", texts(outcome.files_affected)},
                        {"error_details", ""}});
}

auto list(Call const& call) -> Result<Response> {
    auto const archive = find_archive(call);
    if (!archive)
        return archive.error();
    if (!*archive)
        return no_archive(404);
    auto names = names_of((*archive)->members);
    return reply_with({.operation = "list",
                       .cache_id = call.id_text(),
                       .message = "Found " + std::to_string(names.size()) + " files in zip",
                       .file_list = std::move(names)});
}

auto retrieve_member(Call const& call) -> Result<Response> {
    auto archive = find_archive(call);
    if (!archive)
        return archive.error();
    if (call.path.empty())
        return refusal(404, sentence("file_path required for get operation"));
    if (!*archive)
        return no_archive(404);
    auto& members = (*archive)->members;
    auto const member = find(members, call.path);
    if (member == members.end())
        return refusal(404, sentence("File '" + call.path + "' not found in zip"));
    return reply("application/octet-stream", std::move(member->content));
}

/// Adds a member, or replaces the one that has its name.
void put(Members& members, std::string const& name, Bytes content) {
    auto const same = find(members, name);
    if (same == members.end())
        members.push_back({name, std::move(content)});
    else
        *same = {name, std::move(content)};
}

/// Stores a changed archive as a new entry, and says so.
/// @param  change  (Members&)
template <class Change>
auto with_change(Call const& call, std::string_view operation, std::string_view done, Change&& change)
    -> Result<Response> {
    if (call.path.empty())
        return refusal(400, sentence("file_path required for " + std::string(operation) + " operation"));
    auto archive = find_archive(call);
    if (!archive)
        return archive.error();
    if (!*archive)
        return no_archive(400);
    auto& [members, strategy] = **archive;
    change(members);
    auto bytes = write_zip(members);
    if (!bytes)
        return bytes.error();
    Entry_Options options;
    options.cache_hash = hash_of(members);
    auto const stored = call.entries().store(call.ns, strategy, Entry_Value::binary(*std::move(bytes)), options);
    if (!stored)
        return stored.error();
    auto const preposition = operation == "add" ? "' to" : "' from";
    return reply_with({.operation = operation,
                       .cache_id = stored->cache_id,
                       .original = call.id_text(),
                       .message = std::string(done) + " '" + call.path + preposition +
                                  " zip (new cache_id: " + stored->cache_id + ")",
                       .files_affected = {call.path}});
}

auto add_member(Call const& call) -> Result<Response> {
    return with_change(call, "add", "Added",
                       [&](Members& members) { put(members, call.path, *call.value->as_bytes()); });
}

auto remove_member(Call const& call) -> Result<Response> {
    return with_change(call, "remove", "Removed", [&](Members& members) {
        std::erase_if(members, [&](Zip_Member const& member) { return member.name == call.path; });
    });
}

// Batches

struct Step {
    std::string action, path, content, new_path, condition = "always", pattern;
};

/// Reads a member that is a text or not there.
auto read_text(Json const& from, std::string_view name, std::string& to) -> bool {
    auto const* const member = from.find(name);
    if (member == nullptr || member->is_null())
        return true;
    auto const* const text = member->get_if<std::string>();
    if (text != nullptr)
        to = *text;
    return text != nullptr;
}

auto read_step(Json const& from) -> Result<Step> {
    Step step;
    bool const good = from.get_if<Object>() != nullptr && read_text(from, "action", step.action) &&
                      read_text(from, "path", step.path) && read_text(from, "content", step.content) &&
                      read_text(from, "new_path", step.new_path) && read_text(from, "condition", step.condition) &&
                      read_text(from, "pattern", step.pattern);
    if (!good || step.action.empty())
        return fail(Errc::invalid_argument, "operations: give objects with an action and texts");
    for (auto* path : {&step.path, &step.new_path}) {
        auto cleaned = clean_file_path(*path, "operations");
        if (!cleaned)
            return cleaned.error();
        *path = *std::move(cleaned);
    }
    return step;
}

/// Does a text match a pattern in which '*' stands for any characters? Of several places a star could end at, only those of
/// the last one are tried again: time is at most the product of the two lengths, whatever the pattern.
auto matches(std::string_view text, std::string_view pattern) -> bool {
    std::size_t in_text = 0, in_pattern = 0;
    std::size_t after_star = pattern.npos, star_ends = 0;
    while (in_text < text.size()) {
        if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
            after_star = ++in_pattern;
            star_ends = in_text;
        } else if (in_pattern < pattern.size() && pattern[in_pattern] == text[in_text]) {
            ++in_pattern;
            ++in_text;
        } else if (after_star != pattern.npos) {
            in_pattern = after_star;
            in_text = ++star_ends;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', in_pattern) == pattern.npos;
}

struct Batch {
    Members members;
    std::vector<std::string> added, removed, modified;
};

/// Applies one step, or says why it cannot be.
auto apply(Step const& step, Batch& batch) -> Result<void> {
    auto& members = batch.members;
    auto const impossible = [](std::string why) { return fail(Errc::invalid_argument, std::move(why)); };
    bool const is_there = find(members, step.path) != members.end();
    if ((step.condition == "if_exists" && !is_there) || (step.condition == "if_not_exists" && is_there))
        return {};
    if (step.action == "add" || step.action == "replace") {
        if (step.content.empty())
            return impossible("Content required for " + step.action + " operation on " + step.path);
        if (step.path.empty())
            return impossible("Path required for " + step.action + " operation");
        put(members, step.path, step.content);
        (step.action == "add" ? batch.added : batch.modified).push_back(step.path);
        return {};
    }
    if (step.action == "remove") {
        std::vector<std::string> gone;
        for (auto const& name : names_of(members))
            if (step.pattern.empty() ? name == step.path : matches(name, step.pattern))
                gone.push_back(name);
        if (gone.empty())
            return impossible("Operation failed");
        std::erase_if(members, [&](Zip_Member const& member) {
            return std::find(gone.begin(), gone.end(), member.name) != gone.end();
        });
        batch.removed.insert(batch.removed.end(), gone.begin(), gone.end());
        return {};
    }
    if (step.action == "rename" || step.action == "move") {
        if (step.new_path.empty())
            return impossible("new_path required for " + step.action + " operation");
        if (!is_there)
            return impossible("There is no item named '" + step.path + "' in the archive");
        auto content = std::move(find(members, step.path)->content);
        std::erase_if(members, [&](Zip_Member const& member) { return member.name == step.path; });
        put(members, step.new_path, std::move(content));
        batch.modified.insert(batch.modified.end(), {step.path, step.new_path});
        return {};
    }
    return impossible("Unknown action: " + step.action);
}

/// What is told of a batch beside its changes.
struct Batch_Report {
    std::string cache_id;
    std::int64_t applied = 0, failed = 0;
    Json::Array results = {};
    std::size_t file_count = 0, size_bytes = 0;
    bool is_rolled_back = false;
    std::string error = {};
    bool success = false;
};
auto reply_with(Call const& call, Batch_Report report, Batch const& batch) -> Response {
    return reply(Object{{"success", report.success},
                        {"cache_id", std::move(report.cache_id)},
                        {"original_cache_id", call.id_text()},
                        {"operations_applied", report.applied},
                        {"operations_failed", report.failed},
                        {"operation_results", std::move(report.results)},
                        {"files_added", texts(batch.added)},
                        {"files_removed", texts(batch.removed)},
                        {"files_modified", texts(batch.modified)},
                        {"new_file_count", report.file_count},
                        {"new_size", report.size_bytes},
                        {"completed_at", call.now()},
                        {"rollback_performed", report.is_rolled_back},
                        {"error_message", sentence(std::move(report.error))}});
}

auto read_steps(Call const& call, bool& is_atomic) -> Result<std::vector<Step>> {
    auto const wrong = [] {
        return fail(Errc::invalid_argument, "operations: give a list, and atomic as true or false");
    };
    auto const& body = *call.value->as_json();
    if (auto const* atomic = body.find("atomic"); atomic != nullptr) {
        if (atomic->get_if<bool>() == nullptr)
            return wrong();
        is_atomic = *atomic->get_if<bool>();
    }
    std::vector<Step> steps;
    auto const* const listed = body.find("operations");
    if (listed == nullptr)
        return steps;
    if (listed->get_if<Json::Array>() == nullptr)
        return wrong();
    for (auto const& item : *listed->get_if<Json::Array>()) {
        auto step = read_step(item);
        if (!step)
            return step.error();
        steps.push_back(*std::move(step));
    }
    return steps;
}

auto run_batch(Call const& call) -> Result<Response> {
    bool is_atomic = true;
    auto const steps = read_steps(call, is_atomic);
    if (!steps)
        return steps.error();
    auto archive = find_archive(call);
    if (!archive)
        return archive.error();
    Batch_Report report{.cache_id = call.id_text()};
    if (!*archive) {
        report.error = "Zip file not found in cache";
        return reply_with(call, std::move(report), {});
    }
    Batch batch{std::move((*archive)->members), {}, {}, {}};
    for (auto const& step : *steps) {
        auto const applied = apply(step, batch);
        ++(applied ? report.applied : report.failed);
        report.results.emplace_back(Object{{"action", step.action},
                                           {"path", step.path},
                                           {"success", applied.has_value()},
                                           {"error", applied ? std::string() : sentence(applied.error().context)}});
        if (!applied && is_atomic) {
            report.is_rolled_back = true;
            report.error = "Atomic batch failed";
            return reply_with(call, std::move(report), {});
        }
    }
    auto bytes = write_zip(batch.members);
    if (!bytes)
        return bytes.error();
    report.file_count = batch.members.size();
    report.size_bytes = bytes->size();
    report.success = report.failed == 0;
    if (report.applied > 0) {
        // The reference forgets the strategy, and hashes the archive rather than what is in it.
        Entry_Options options;
        if (!call.is_strict())
            options.cache_hash = hash_of(batch.members);
        auto const strategy = call.is_strict() ? Entry_Strategy::direct : (*archive)->strategy;
        auto const stored = call.entries().store(call.ns, strategy, Entry_Value::binary(*std::move(bytes)), options);
        if (!stored)
            return stored.error();
        report.cache_id = stored->cache_id;
    }
    return reply_with(call, std::move(report), batch);
}

} // namespace

auto zip_operations() -> Operations {
    std::string const base = "/{namespace}/zip/{cache_id}/";
    Operations all{
        {.method = "POST",
         .path = "/{namespace}/{strategy}/zip/create/{cache_key:path}/{file_id}",
         .summary = "Stores an empty archive.",
         .handler = &create},
        {.method = "POST",
         .path = "/{namespace}/{strategy}/zip/store/{cache_key:path}/{file_id}",
         .summary = "Stores an archive.",
         .handler = &store,
         .takes_body = true,
         .kind = Kind::binary},
        {.method = "GET",
         .path = base + "retrieve",
         .summary = "The archive.",
         .handler = &retrieve,
         .statuses = {404},
         .media_type = "application/zip"},
        {.method = "GET",
         .path = base + "files/list",
         .summary = "What is in an archive.",
         .handler = &list,
         .statuses = {404}},
        {.method = "GET",
         .path = base + "file/retrieve/{file_path:path}",
         .summary = "A file of an archive.",
         .handler = &retrieve_member,
         .statuses = {404},
         .media_type = "application/octet-stream"},
        {.method = "POST",
         .path = base + "file/add/from/bytes/{file_path:path}",
         .summary = "Adds a file: a new entry.",
         .handler = &add_member,
         .takes_body = true,
         .kind = Kind::binary},
        {.method = "POST",
         .path = base + "file/add/from/string/{file_path:path}",
         .summary = "Adds a file of text: a new entry.",
         .handler = &add_member,
         .takes_body = true,
         .kind = Kind::string},
        {.method = "DELETE",
         .path = base + "file/delete/{file_path:path}",
         .summary = "Takes a file out: a new entry.",
         .handler = &remove_member},
        {.method = "POST",
         .path = base + "batch/operations",
         .summary = "Changes many files: one new entry.",
         .handler = &run_batch,
         .takes_body = true},
    };
    for (auto& operation : all)
        operation.statuses.insert(operation.statuses.end(), {413, 501});
    return all;
}

} // namespace memfs_cache::cache_api
