// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/entries/entry_documents.hpp>
#include <memfs_cache/entries/entry_names.hpp>
#include <memfs_cache/storage/words.hpp>

#include <optional>

namespace memfs_cache {

struct Dated_Paths {
    std::string dated; ///< below the root prefix
    std::string latest;
};

/// Files under the hour in which they were written, with a copy of the newest one in a place that never changes:
/// `{ns}/data/temporal/YYYY/MM/DD/HH/{filename}` and `{ns}/data/latest/{filename}`; of an entry the same below
/// `temporal/{id}/` and `latest/{id}/`.
///
/// Threads  any, of any number of processes. The copy moves forward only: what was written in an earlier hour never
///          replaces what was written in a later one. Within an hour the last one stays in both places.
/// Errors   invalid_argument for names that cannot be cleaned, and what the storage says; after an error the dated file
///          may be there and the copy still be that of an earlier one.
/// Cost     a write: two writes, one read and two lists
template <StorageBackend Storage>
class Dated_Files {
  public:
    /// @param  storage  must outlive this
    Dated_Files(Storage& storage, std::string_view root_prefix, Clock_Ptr clock)
        : storage_(storage), root_(namespace_prefix(root_prefix)), clock_(std::move(clock)) {}

    [[nodiscard]] auto
    write(std::string_view ns, std::optional<Cache_Id> const& cache_id, Byte_View bytes, std::string_view filename)
        -> Result<Dated_Paths> {
        auto const name = clean_file_name(filename);
        if (!name)
            return name.error();
        auto const folder = folder_of(ns, "temporal", cache_id);
        auto const latest = latest_path(ns, cache_id, filename);
        if (!folder)
            return folder.error();
        if (!latest)
            return latest.error();
        Dated_Paths paths{*folder + hour_folders(clock_->now()) + "/" + *name, *latest};
        if (auto const done = memfs_cache::write(storage_, root_ + paths.dated, bytes); !done)
            return done.error();
        if (auto const moved = move_latest(*folder, *name, paths, bytes); !moved)
            return moved.error();
        return paths;
    }

    [[nodiscard]] auto read_latest(std::string_view ns,
                                   std::optional<Cache_Id> const& cache_id,
                                   std::string_view filename) const -> Result<std::optional<Bytes>> {
        auto const latest = latest_path(ns, cache_id, filename);
        if (!latest)
            return latest.error();
        return read(storage_, root_ + *latest);
    }

  private:
    static auto folder_of(std::string_view ns, std::string_view kind, std::optional<Cache_Id> const& cache_id)
        -> Result<std::string> {
        auto const cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        auto folder = namespace_prefix(*cleaned).append("data/").append(kind).append("/");
        return cache_id ? folder.append(cache_id->str()).append("/") : folder;
    }

    static auto latest_path(std::string_view ns, std::optional<Cache_Id> const& cache_id, std::string_view filename)
        -> Result<std::string> {
        auto const name = clean_file_name(filename);
        if (!name)
            return name.error();
        auto const folder = folder_of(ns, "latest", cache_id);
        if (!folder)
            return folder.error();
        return *folder + *name;
    }

    /// Replaces the copy, unless there is a later file. Whoever writes a later one does so before the copy, so one of
    /// the two always sees the other: either this finds the later file, or its condition fails.
    auto move_latest(std::string const& folder, std::string const& name, Dated_Paths const& paths, Byte_View bytes)
        -> Result<void> {
        Storage_Key const key(root_ + paths.latest);
        for (;;) {
            auto const current = storage_.get(key, Byte_Range{0, 0});
            if (!current)
                return current.error();
            auto const is_older = has_later(folder, name, paths.dated);
            if (!is_older)
                return is_older.error();
            if (*is_older)
                return {};
            auto const when = *current ? Precondition::only_if((*current)->version) : Precondition::absent();
            auto const put = storage_.put(key, bytes, when);
            if (!put)
                return put.error();
            if (put->state == Put_State::applied)
                return {};
            if (put->state == Put_State::unknown)
                return fail(Errc::indeterminate, paths.latest + " may still be the earlier one; write again");
        }
    }

    /// Is there a file of this name in a later hour? Later than the next year nothing can be.
    auto has_later(std::string const& folder, std::string const& name, std::string const& dated) const -> Result<bool> {
        constexpr auto behind_all = "\xf4\x8f\xbf\xbf"; // the last character of Unicode
        auto const hour = root_ + dated.substr(0, dated.size() - name.size());
        auto const year = to_civil(clock_->now()).year;
        for (auto const next : {year, year + 1}) {
            List_Query query{root_ + folder + std::to_string(next) + "/", hour + behind_all, 1'000};
            do {
                auto page = storage_.list(query);
                if (!page)
                    return page.error();
                for (auto const& item : page->items)
                    if (item.key.size() == root_.size() + dated.size() && item.key.ends_with("/" + name))
                        return true;
                query.start_after = std::move(page->next);
            } while (!query.start_after.empty());
        }
        return false;
    }

    Storage& storage_;
    std::string root_;
    Clock_Ptr clock_;
};

} // namespace memfs_cache
