// SPDX-License-Identifier: Apache-2.0
#include "disk_files.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <sys/stat.h>
#include <vector>

namespace memfs_cache::disk {
namespace {

/// Walks folders in the byte order of keys and stops as soon as the page is known.
class Lister {
  public:
    Lister(int root, List_Query const& query) : root_(root), query_(query) {}

    /// @param folder "" or text that ends in '/', as in keys.
    /// @return whether the page still wants more.
    [[nodiscard]] auto walk(std::string const& folder) -> Result<bool> {
        auto names = wanted_names(folder);
        if (names.has_error())
            return names.error();
        // A heap rather than a sort: the first page of a large folder costs no more order than it shows.
        auto& heap = *names;
        std::make_heap(heap.begin(), heap.end(), std::greater<>{});
        while (!heap.empty()) {
            std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
            auto const key = folder + heap.back();
            heap.pop_back();
            auto more = key.back() == '/' ? walk(key) : add(key);
            if (more.has_error() || !*more)
                return more;
        }
        return true;
    }

    [[nodiscard]] auto take() -> Page { return std::move(page_); }

  private:
    /// Names within a folder that can lead to keys of the query. A folder's name ends in '/', so that plain comparison
    /// gives the order of the keys below it: "a-b" before "a/b".
    [[nodiscard]] auto wanted_names(std::string const& folder) const -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        auto const path = path_of(folder.substr(0, folder.empty() ? 0 : folder.size() - 1));
        Folder_Reader reader(root_, path);
        while (auto const* entry = reader.next()) {
            auto const file_name = std::string_view(entry->d_name);
            if (folder.empty() && file_name == own_folder)
                continue;
            auto const type = type_of(*entry, path);
            if (type != DT_REG && type != DT_DIR)
                continue;
            std::string name(name_in_key(file_name, folder.empty()));
            if (type == DT_DIR)
                name.push_back('/');
            if (leads_to_query(folder + name))
                names.push_back(std::move(name));
        }
        auto const gone = reader.error() == ENOENT || reader.error() == ENOTDIR; // removed, or never there
        if (reader.error() != 0 && !gone)
            return error_from_errno(reader.error(), "listing", "'" + path + "'");
        return names;
    }

    [[nodiscard]] auto type_of(dirent const& entry, std::string const& folder) const -> unsigned char {
        if (entry.d_type != DT_UNKNOWN)
            return entry.d_type;
        struct stat status {};
        auto const path = folder.empty() ? std::string(entry.d_name) : folder + '/' + entry.d_name;
        if (::fstatat(root_, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            return DT_UNKNOWN;
        return static_cast<unsigned char>(IFTODT(status.st_mode));
    }

    [[nodiscard]] auto leads_to_query(std::string const& key) const -> bool {
        if (key.size() > Storage_Key::max_bytes)
            return false; // somebody else's; also bounds the depth
        bool const is_folder = key.back() == '/';
        if (!key.starts_with(query_.prefix) && !(is_folder && query_.prefix.starts_with(key)))
            return false;
        if (is_folder && query_.start_after.starts_with(key))
            return true;
        return key > query_.start_after; // a folder that sorts before it holds only keys that do, too
    }

    [[nodiscard]] auto add(std::string const& key) -> Result<bool> {
        if (Storage_Key::parse(key).has_error())
            return true; // somebody else's file
        struct stat status {};
        if (::fstatat(root_, path_of(key).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT || errno == ENOTDIR)
                return true; // erased while we walk
            return error_from_errno(errno, "stat", "'" + key + "'");
        }
        if (!S_ISREG(status.st_mode))
            return true;
        if (page_.items.size() == query_.limit) {
            page_.next = page_.items.back().key;
            return false;
        }
        page_.items.push_back({key, static_cast<std::uint64_t>(status.st_size), version_of(status)});
        return true;
    }

    int root_;
    List_Query const& query_;
    Page page_;
};

} // namespace

auto list(int root, List_Query const& query) -> Result<Page> {
    Lister lister(root, query);
    auto const walked = lister.walk(query.prefix.substr(0, query.prefix.rfind('/') + 1));
    if (walked.has_error())
        return walked.error();
    return lister.take();
}

} // namespace memfs_cache::disk
