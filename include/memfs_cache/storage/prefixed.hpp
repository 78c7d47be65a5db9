// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace memfs_cache {

/// One folder of another storage as a storage of its own: several services share a database or a bucket, and none can
/// name what belongs to another. What already lies in the folder is there, and whoever opens the whole storage sees the
/// keys of this one behind `folder` and a slash.
///
/// Threads  as the storage behind it.
/// Cost     the storage behind it, and one more copy of the key.
template <StorageBackend Storage>
class Prefixed_Storage {
  public:
    /// @param  storage  taken over; two folders of one storage are two handles of it, such as copies of an Any_Storage
    /// @param  folder   of every key
    Prefixed_Storage(Storage storage, Storage_Key const& folder)
        : storage_(std::move(storage)), prefix_(folder.str() + "/") {}

    /// @errors as the storage behind it; this and every other operation on a key: invalid_argument if the key is longer
    ///         than capabilities().max_key_bytes, and nothing was written
    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        auto const whole = whole_key(key);
        if (!whole)
            return whole.error();
        return storage_.get(*whole, range);
    }
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        auto const whole = whole_key(key);
        if (!whole)
            return whole.error();
        return storage_.put(*whole, bytes, when, options);
    }
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        auto const whole = whole_key(key);
        if (!whole)
            return whole.error();
        return storage_.erase(*whole, when);
    }
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page> {
        if (auto const good = check_list_query(query); !good) // before anything stands before "../"
            return good.error();
        auto page = storage_.list(
            {prefix_ + query.prefix, query.start_after.empty() ? "" : prefix_ + query.start_after, query.limit});
        if (!page)
            return page;
        for (auto& item : page->items)
            item.key.erase(0, prefix_.size());
        page->next.erase(0, prefix_.size());
        return page;
    }
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        auto const whole = whole_key(key);
        if (!whole)
            return whole.error();
        return storage_.append(*whole, at, bytes, durability);
    }
    /// Of all that the storage behind it holds, outside the folder too.
    [[nodiscard]] auto sync() -> Result<void> { return storage_.sync(); }
    [[nodiscard]] auto capabilities() const -> Capabilities {
        auto offered = storage_.capabilities();
        offered.max_key_bytes -= std::min(offered.max_key_bytes, prefix_.size());
        return offered;
    }
    /// Of the handle behind it, from when that was opened.
    [[nodiscard]] auto counters() const -> Operation_Counts { return storage_.counters(); }

  private:
    [[nodiscard]] auto whole_key(Storage_Key const& key) const -> Result<Storage_Key> {
        if (prefix_.size() + key.str().size() > Storage_Key::max_bytes)
            return fail(Errc::invalid_argument, "storage: the key is too long below the folder; shorten either");
        return Storage_Key(prefix_ + key.str());
    }

    Storage storage_;
    std::string prefix_; ///< with its slash
};

} // namespace memfs_cache
