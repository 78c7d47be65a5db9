// SPDX-License-Identifier: Apache-2.0
// Namespaces, and the stored files as they are.
#include "cache_api_parts.hpp"
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <array>

namespace memfs_cache::cache_api {

auto files_below(Setting const& setting, std::string_view folder) -> Result<std::vector<std::string>> {
    std::vector<std::string> paths;
    auto const& root = setting.shown.root();
    List_Query query{root + std::string(folder), {}, 10'000};
    if (!check_prefix(query.prefix))
        return paths; // nothing can lie there
    do {
        auto page = list_shown(std::as_const(setting.cache.storage()), setting.shown, query);
        if (!page)
            return page.error();
        for (auto const& item : page->items)
            paths.push_back(item.key.substr(root.size()));
        query.start_after = std::move(page->next);
    } while (!query.start_after.empty());
    return paths;
}

auto may_be_deleted(std::string_view path) -> bool {
    using Cache = Cache_Service<Any_Storage>;
    constexpr std::array own{Cache::ns_analytics, Cache::ns_tokens, Cache::ns_costs, Cache::ns_transfers};
    return std::find(own.begin(), own.end(), path.substr(0, path.find('/'))) == own.end();
}

namespace {

auto as_folder(std::string path) -> std::string {
    if (!path.empty() && !path.ends_with('/'))
        path += '/';
    return path;
}

auto reply_with(Result<std::vector<std::string>> const& names) -> Result<Response> {
    if (!names)
        return names.error();
    return reply(texts(*names));
}

// Of a namespace

/// The names of its references of one kind, without what their files end in.
auto reference_names(Call const& call, std::string_view kind) -> Result<Response> {
    auto names = files_below(call.setting, namespace_prefix(call.ns).append("refs/").append(kind).append("/"));
    if (!names)
        return names.error();
    constexpr std::string_view extension = ".json";
    for (auto& name : *names) {
        name.erase(0, name.rfind('/') + 1);
        if (name.ends_with(extension))
            name.resize(name.size() - extension.size());
    }
    std::sort(names->begin(), names->end());
    return reply(texts(*names));
}

auto file_hashes(Call const& call) -> Result<Response> { return reference_names(call, "by-hash"); }
auto file_ids(Call const& call) -> Result<Response> { return reference_names(call, "by-id"); }

auto stats(Call const& call) -> Result<Response> {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> counted{{
        {"direct_files", "data/direct/"},
        {"temporal_files", "data/temporal/"},
        {"temporal_latest_files", "data/temporal-latest/"},
        {"temporal_versioned_files", "data/temporal-versioned/"},
        {"refs_hash_files", "refs/by-hash/"},
        {"refs_id_files", "refs/by-id/"},
    }};
    // The reference gives every count as that of all files of all namespaces.
    auto const ns = namespace_prefix(call.ns);
    auto const files = files_below(call.setting, call.is_strict() ? std::string() : ns);
    if (!files)
        return files.error();
    Object answer{{"namespace", call.ns}, {"ttl_hours", 24}};
    std::ptrdiff_t total = 0;
    for (auto const& [name, folder] : counted) {
        auto const below = ns + std::string(folder);
        auto const lies_there = [&](std::string const& path) { return path.starts_with(below); };
        auto const count = call.is_strict() ? static_cast<std::ptrdiff_t>(files->size())
                                            : std::count_if(files->begin(), files->end(), lies_there);
        answer.emplace_back(std::string(name), count);
        total += count;
    }
    answer.emplace_back("total_files", total);
    return reply(std::move(answer));
}

auto namespaces(Call const& call) -> Result<Response> {
    return reply_with(folders_list(call.storage(), call.setting.shown.root()));
}

// Files, by their paths below the root prefix

constexpr std::string_view octets = "application/octet-stream";
constexpr std::string_view html_text = "text/html; charset=utf-8";

/// The file, if there is one that may be shown.
auto shown_file(Call const& call) -> Result<std::optional<Bytes>> {
    auto const path = call.setting.shown.root() + call.path;
    if (!Storage_Key::is_valid(path) || !call.setting.shown.contains(path))
        return std::optional<Bytes>();
    return read(call.storage(), path);
}

/// @param  or_else  the answer if there is no such file
template <class Show>
auto with_file(Call const& call, Response (*or_else)(Call const&), Show&& show) -> Result<Response> {
    auto file = shown_file(call);
    if (!file)
        return file.error();
    return *file ? Result<Response>(show(**std::move(file))) : or_else(call);
}

auto no_file(Call const& call) -> Response {
    return reply(Object{{"error_type", "FILE_NOT_FOUND"},
                        {"resource", "file"},
                        {"message", "The requested file does not exist in storage"},
                        {"path", call.path}},
                 404);
}

auto file_exists(Call const& call) -> Result<Response> {
    auto const there = shown_file(call);
    if (!there)
        return there.error();
    return reply(Object{{"exists", there->has_value()}, {"path", call.path}});
}

auto file_bytes(Call const& call) -> Result<Response> {
    auto const no_bytes = [](Call const& c) { return reply(octets, {}, c.is_strict() ? 200 : 404); };
    return with_file(call, no_bytes, [](Bytes bytes) { return reply(octets, std::move(bytes)); });
}

auto file_content(Call const& call) -> Result<Response> {
    return with_file(call, &no_file, [&](Bytes bytes) {
        auto const type = call.path.ends_with(".json")  ? std::string_view("application/json")
                          : call.path.ends_with(".txt") ? "text/plain; charset=utf-8"
                                                        : octets;
        return reply(type, std::move(bytes));
    });
}

auto parsed_file(Bytes const& bytes) -> Result<Json> {
    auto parsed = Json::parse(bytes);
    if (!parsed)
        return fail(Errc::corrupt_data, "the file is no JSON: " + parsed.error().context);
    return parsed;
}

auto file_json(Call const& call) -> Result<Response> {
    return with_file(call, &no_file, [](Bytes const& bytes) {
        auto const parsed = parsed_file(bytes);
        return parsed ? reply(*parsed) : failure(parsed.error());
    });
}

auto file_html(Call const& call) -> Result<Response> {
    auto const no_page = [](Call const&) { return reply(html_text, "File not found.", 404); };
    return with_file(call, no_page, [](Bytes const& bytes) {
        auto const parsed = parsed_file(bytes);
        if (!parsed)
            return failure(parsed.error());
        auto const* const html = parsed->find("html");
        auto const* const text = html == nullptr ? nullptr : html->get_if<std::string>();
        auto page = reply(html_text, text == nullptr ? Bytes() : *text);
        // Whoever may store may store a page: it must not act in the name of whoever looks at it.
        page.headers.add("Content-Security-Policy", "sandbox");
        return page;
    });
}

auto delete_file(Call const& call) -> Result<Response> {
    auto const there = shown_file(call);
    if (!there)
        return there.error();
    bool deleted = false;
    if (*there && may_be_deleted(call.path)) {
        auto const gone = memfs_cache::remove(call.storage(), call.setting.shown.root() + call.path);
        if (!gone)
            return gone.error();
        deleted = *gone;
    }
    return reply(Object{{"path", call.path}, {"deleted", deleted}});
}

/// Every file below a folder; of the root, as in the reference, none.
auto all_files(Call const& call) -> Result<std::vector<std::string>> {
    if (call.path.empty() && call.is_strict())
        return std::vector<std::string>();
    return files_below(call.setting, as_folder(call.path));
}

auto files_in(Call const& call) -> Result<Response> {
    if (call.recursive.value_or(false))
        return reply_with(all_files(call));
    auto const folder = as_folder(call.path);
    auto files = files_below(call.setting, folder);
    if (!files)
        return files.error();
    std::erase_if(*files, [&](std::string const& path) { return path.find('/', folder.size()) != path.npos; });
    if (!call.return_full_path)
        for (auto& path : *files)
            path.erase(0, folder.size());
    return reply(texts(*files));
}

auto files_all(Call const& call) -> Result<Response> {
    auto const files = all_files(call);
    if (!files)
        return files.error();
    return reply(Object{{"timestamp", call.now()}, {"file_count", files->size()}, {"files", texts(*files)}});
}

/// Adds the folders that lie in one, and with `recursive` those in them, each with its whole path.
auto add_folders(Call const& call, std::string const& folder, std::vector<std::string>& to) -> Result<void> {
    auto const names = folders_list(call.storage(), call.setting.shown.root() + folder);
    if (!names)
        return names.error();
    for (auto const& name : *names) {
        to.push_back(folder + name);
        if (call.recursive.value_or(false))
            if (auto const added = add_folders(call, folder + name + "/", to); !added)
                return added;
    }
    return {};
}

auto folders(Call const& call) -> Result<Response> {
    auto const folder = as_folder(call.path);
    std::vector<std::string> found;
    if (check_prefix(call.setting.shown.root() + folder))
        if (auto const added = add_folders(call, folder, found); !added)
            return added.error();
    if (!call.return_full_path)
        for (auto& path : found)
            path.erase(0, folder.size());
    std::sort(found.begin(), found.end());
    return reply(texts(found));
}

} // namespace

auto file_operations() -> Operations {
    Operations all{
        {.method = "GET",
         .path = "/{namespace}/file-hashes",
         .summary = "The hashes that a namespace has entries under.",
         .handler = &file_hashes},
        {.method = "GET",
         .path = "/{namespace}/file-ids",
         .summary = "The ids of a namespace's entries.",
         .handler = &file_ids},
        {.method = "GET", .path = "/{namespace}/stats", .summary = "Counts of files.", .handler = &stats},
        {.method = "GET", .path = "/namespaces/list", .summary = "The namespaces.", .handler = &namespaces},
    };
    struct Tail {
        std::string_view text, summary;
        Result<Response> (*handler)(Call const&);
        std::string_view media_type = "application/json";
        std::vector<std::string_view> query = {};
        std::string_view method = "GET";
    };
    std::vector<std::string_view> const listing{"return_full_path", "recursive"};
    for (auto const& tail : std::initializer_list<Tail>{
             {"file/exists", "Is there such a file?", &file_exists},
             {"file/bytes", "A file as it is.", &file_bytes, octets},
             {"file/content", "A file as what its name says.", &file_content, octets},
             {"file/json", "A file of JSON.", &file_json},
             {"file/html", "The page in a file of JSON.", &file_html, "text/html"},
             {"files/in", "The files of a folder.", &files_in, "application/json", listing},
             {"files/all", "Every file below a folder.", &files_all},
             {"folders", "The folders of a folder.", &folders, "application/json", listing},
             {"file/delete", "Deletes a file.", &delete_file, "application/json", {}, "DELETE"},
         })
        all.push_back({.method = tail.method,
                       .path = "/admin/storage/" + std::string(tail.text) + "/{path:path}",
                       .summary = tail.summary,
                       .handler = tail.handler,
                       .query = tail.query,
                       .statuses = {404},
                       .media_type = tail.media_type});
    return all;
}

} // namespace memfs_cache::cache_api
