// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <string>
#include <string_view>
#include <vector>

/// The everyday words over any StorageBackend, for callers that want files and no versions. Each checks its path as
/// Storage_Key does and otherwise gives the backend's own errors.
namespace memfs_cache {

/// @return the bytes, nothing if there is no such file.
template <StorageBackend S>
[[nodiscard]] auto read(S const& storage, std::string_view path) -> Result<std::optional<Bytes>> {
    auto const key = Storage_Key::parse(path);
    if (key.has_error())
        return key.error();
    auto found = storage.get(*key);
    if (found.has_error())
        return found.error();
    if (!*found)
        return std::optional<Bytes>{};
    return std::optional<Bytes>(std::move((*found)->bytes));
}

/// Creates or replaces, durably.
/// @errors indeterminate: the backend did not say whether the old or the new bytes stand.
template <StorageBackend S>
[[nodiscard]] auto write(S& storage, std::string_view path, Byte_View bytes) -> Result<void> {
    auto const key = Storage_Key::parse(path);
    if (key.has_error())
        return key.error();
    auto const written = storage.put(*key, bytes, Precondition::none());
    if (written.has_error())
        return written.error();
    if (written->state != Put_State::applied)
        return fail(Errc::indeterminate, "writing '" + key->str() + "': read before writing again");
    return {};
}

template <StorageBackend S>
[[nodiscard]] auto exists(S const& storage, std::string_view path) -> Result<bool> {
    auto const key = Storage_Key::parse(path);
    if (key.has_error())
        return key.error();
    auto const found = storage.get(*key, Byte_Range{0, 0});
    if (found.has_error())
        return found.error();
    return found->has_value();
}

/// @return whether there was such a file. (`delete` is a keyword of C++.)
template <StorageBackend S>
[[nodiscard]] auto remove(S& storage, std::string_view path) -> Result<bool> {
    auto const key = Storage_Key::parse(path);
    if (key.has_error())
        return key.error();
    return storage.erase(*key, Precondition::none());
}

/// Every path that begins with a prefix, at every depth, in byte order.
template <StorageBackend S>
[[nodiscard]] auto files_list(S const& storage, std::string_view prefix = "") -> Result<std::vector<std::string>> {
    std::vector<std::string> paths;
    List_Query query;
    query.prefix = prefix;
    query.limit = 10'000; // a folder is read anew for every page
    do {
        auto page = storage.list(query);
        if (page.has_error())
            return page.error();
        for (auto& item : page->items)
            paths.push_back(std::move(item.key));
        query.start_after = std::move(page->next);
    } while (!query.start_after.empty());
    return paths;
}

/// The folders that lie in a folder and have something in them, by name, in byte order.
/// @param  folder  with its '/'; "" for the root
/// Cost     one list of one item for each of them, and for each file that lies beside them
template <StorageBackend S>
[[nodiscard]] auto folders_list(S const& storage, std::string_view folder) -> Result<std::vector<std::string>> {
    std::vector<std::string> names;
    List_Query query{std::string(folder), {}, 1};
    for (;;) {
        auto page = storage.list(query);
        if (!page)
            return page.error();
        if (page->items.empty())
            return names;
        auto const& key = page->items.front().key;
        auto const slash = key.find('/', folder.size());
        if (slash == std::string::npos) {
            query.start_after = key;
            continue;
        }
        names.push_back(key.substr(folder.size(), slash - folder.size()));
        query.start_after = key.substr(0, slash) + static_cast<char>('/' + 1); // behind all of this folder
    }
}

} // namespace memfs_cache
