// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <boost/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// Which stored files the admin routes show: those that a service keeps below its root in `{namespace}/refs/` and
/// `{namespace}/data/`, without salts. What else lies in a storage, such as what an application's visitors uploaded, is
/// none of theirs.
class Shown_Files {
  public:
    /// @param  root_prefix  of the service
    explicit Shown_Files(std::string_view root_prefix)
        : root_(std::string(root_prefix) + (root_prefix.empty() ? "" : "/")) {}

    /// What every shown path begins with; "" or with a slash at its end.
    [[nodiscard]] auto root() const noexcept -> std::string const& { return root_; }

    [[nodiscard]] auto contains(std::string_view path) const -> bool { return !hidden_until(path); }

    /// For a hidden path where to go on behind the hidden ones around it, as start_after of a listing; nothing for a
    /// shown path.
    [[nodiscard]] auto hidden_until(std::string_view path) const -> std::optional<std::string>;

  private:
    std::string root_;
};

/// What a stored file is sent as: JSON and JSON lines by their extension, anything else as bytes to be saved.
[[nodiscard]] auto stored_file_reply(std::string_view path, Bytes bytes) -> Response;

/// A page of a listing without what is hidden.
/// @param  query  as for StorageBackend::list; a prefix outside of what is shown gives an empty page
/// Cost    one list, and one more for each hidden folder in between
template <StorageBackend Storage>
[[nodiscard]] auto list_shown(Storage const& storage, Shown_Files const& shown, List_Query query) -> Result<Page> {
    Page page;
    if (shown.root().starts_with(query.prefix))
        query.prefix = shown.root();
    else if (!query.prefix.starts_with(shown.root()))
        return page;
    for (auto const limit = query.limit;;) {
        query.limit = limit - page.items.size();
        auto listed = storage.list(query);
        if (!listed)
            return listed.error();
        query.start_after = std::move(listed->next);
        for (auto& item : listed->items) {
            if (auto behind = shown.hidden_until(item.key)) {
                query.start_after = *std::move(behind);
                break;
            }
            page.items.push_back(std::move(item));
        }
        if (query.start_after.empty() || page.items.size() == limit) {
            page.next = std::move(query.start_after);
            return page;
        }
    }
}

/// The admin routes that show what is stored.
/// Ownership  they refer to the service, which must outlive them.
template <StorageBackend Storage>
[[nodiscard]] auto storage_routes(Cache_Service<Storage>& cache) -> std::vector<Route> {
    static constexpr std::uint64_t largest_file_bytes = 16 << 20;
    Shown_Files const shown(cache.options().root_prefix);

    return {
        {.method = "GET",
         .path = "/namespaces",
         .summary = "Which namespaces are there?",
         .result = "Those in the storage and those in use, by name.",
         .schema = "Namespaces",
         .handler =
             [&cache](Request const&, Arguments const&) {
                 auto const names = cache.namespaces();
                 return names ? json_reply({{"namespaces", boost::json::value_from(*names)}})
                              : error_reply(names.error());
             }},
        {.method = "GET",
         .path = "/storage/files",
         .summary = "Which files are stored?",
         .parameters =
             {{.name = "prefix", .description = "Only paths that begin with it."},
              {.name = "start_after", .description = "Only paths behind it: `next` of the page before."},
              {.name = "limit", .description = "At most so many.", .minimum = 1, .maximum = 1000, .fallback = "100"}},
         .result = "A page of files below the root prefix, by path.",
         .schema = "Stored_Files",
         .handler =
             [&cache, shown](Request const&, Arguments const& arguments) {
                 for (auto const* name : {"prefix", "start_after"})
                     if (auto const good = check_prefix(arguments.text(name)); !good)
                         return error_reply(good.error(), name);
                 auto const page = list_shown(std::as_const(cache.storage()), shown,
                                              {arguments.text("prefix"), arguments.text("start_after"),
                                               static_cast<std::size_t>(arguments.integer("limit"))});
                 if (!page)
                     return error_reply(page.error());
                 boost::json::array files;
                 for (auto const& item : page->items)
                     files.push_back({{"path", item.key}, {"size_bytes", item.size_bytes}});
                 return json_reply({{"files", std::move(files)}, {"next", page->next}});
             }},
        {.method = "GET",
         .path = "/storage/file",
         .summary = "What is in this file?",
         .parameters = {{.name = "path", .description = "As it is listed.", .is_required = true}},
         .result = "Its bytes; JSON as application/json.",
         .media_type = "application/octet-stream",
         .refusals = {404, 413},
         .handler =
             [&cache, shown](Request const&, Arguments const& arguments) {
                 auto const& path = arguments.text("path");
                 auto const key = Storage_Key::parse(path);
                 if (!key)
                     return error_reply(key.error(), "path");
                 auto const not_there = [] { return error_reply(404, "not_found", "There is no such file to show."); };
                 if (!shown.contains(path))
                     return not_there();
                 auto file = std::as_const(cache.storage()).get(*key, {0, largest_file_bytes + 1});
                 if (!file)
                     return error_reply(file.error());
                 if (!*file)
                     return not_there();
                 if ((*file)->bytes.size() > largest_file_bytes)
                     return error_reply(fail(Errc::too_large, "The file is larger than " +
                                                                  std::to_string(largest_file_bytes >> 20) +
                                                                  " MiB; read it from the storage."));
                 return stored_file_reply(path, std::move((*file)->bytes));
             }},
    };
}

} // namespace memfs_cache
