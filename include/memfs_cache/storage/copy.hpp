// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace memfs_cache {

/// How far a copy is, and what came of it.
struct Copy_Report {
    std::uint64_t objects = 0; ///< of the source that were looked at
    std::uint64_t bytes = 0;   ///< in them
    std::uint64_t copied = 0;  ///< of the objects: written to the target now
    std::uint64_t present = 0; ///< were there already, byte for byte

    /// Objects that are not the same on both sides, each with what is wrong; a hundred of them, sorted.
    std::vector<std::string> differences;
    std::uint64_t different = 0; ///< how many they are

    /// The target holds exactly what the source held.
    [[nodiscard]] auto verified() const noexcept -> bool { return different == 0; }
};

struct Copy_Options {
    std::string prefix = {}; ///< only keys that begin with it
    /// Objects that are on the way at once; a network has many, a disk few.
    std::size_t parallel = 8;
    /// Which objects only the owning user may read in the target, where the backend knows users.
    std::function<bool(std::string_view key)> is_secret = {};
    /// Told after each page of a thousand.
    std::function<void(Copy_Report const&)> progress = {};
};

/// Copies all objects from one storage to another and reads each back. What the target holds already is left alone when
/// it is the same, and is a difference, not overwritten, when it is not: a copy that broke off is begun again, and one
/// into the wrong place destroys nothing. Keys in the target that the source does not have are differences too.
///
/// Copy a store that nobody writes to: what changes meanwhile is a difference or is missed.
/// @return the report, also of a copy with differences
/// @errors what the storages say; what was copied until then stays, and is present when the copy is begun again
/// Threads  makes `parallel` threads of its own
/// Cost     a list on each side for each thousand objects, a get and a put for each, and a get to read it back
template <StorageBackend From, StorageBackend To>
[[nodiscard]] auto copy_objects(From const& from, To& to, Copy_Options const& options = {}) -> Result<Copy_Report> {
    Copy_Report report;
    std::mutex mutex;
    auto const differs = [&](std::string const& key, char const* how) {
        std::unique_lock const lock(mutex);
        constexpr std::size_t most_shown = 100;
        ++report.different;
        if (report.differences.size() < most_shown)
            report.differences.push_back(key + ": " + how);
    };
    auto const copy_one = [&](std::string const& name) -> Result<void> {
        Storage_Key const key(name);
        auto const source = from.get(key);
        if (!source)
            return source.error();
        if (!*source) {
            differs(name, "went away while it was copied");
            return {};
        }
        auto const& bytes = (*source)->bytes;
        auto const written = to.put(key, bytes, Precondition::absent(),
                                    {Durability::buffered, options.is_secret && options.is_secret(name)});
        if (!written)
            return written.error();
        // Read back in any case: of an unknown outcome this tells the truth, of a known one it proves it.
        auto const target = to.get(key);
        if (!target)
            return target.error();
        bool const is_same = *target && (*target)->bytes == bytes;
        if (!is_same)
            differs(name, written->state == Put_State::not_applied ? "the target holds other bytes under this name"
                                                                   : "was not read back as it was written");
        std::unique_lock const lock(mutex);
        ++report.objects;
        report.bytes += bytes.size();
        ++(written->state == Put_State::not_applied && is_same ? report.present : report.copied);
        return {};
    };
    auto const copy_page = [&](std::vector<List_Item> const& items) -> Result<void> {
        std::atomic<std::size_t> next{0};
        Result<void> outcome;
        auto const work = [&] {
            for (auto at = next.fetch_add(1); at < items.size(); at = next.fetch_add(1))
                if (auto const copied = copy_one(items[at].key); !copied) {
                    std::unique_lock const lock(mutex);
                    if (outcome)
                        outcome = copied.error();
                    next = items.size();
                }
        };
        std::vector<std::thread> others(std::min(options.parallel, items.size()) - 1);
        for (auto& thread : others)
            thread = std::thread(work);
        work();
        for (auto& thread : others)
            thread.join();
        return outcome;
    };

    // What lies between two keys of the source in the target, and is none of them, does not belong there.
    auto const look_for_strangers = [&](std::vector<List_Item> const& items, std::string after,
                                        std::string const& end) -> Result<void> {
        auto known = items.begin();
        while (true) {
            auto const page = to.list({options.prefix, after, 1000});
            if (!page)
                return page.error();
            for (auto const& item : page->items) {
                if (!end.empty() && item.key > end)
                    return {};
                while (known != items.end() && known->key < item.key)
                    ++known;
                if (known == items.end() || known->key != item.key)
                    differs(item.key, "is in the target only");
            }
            if (page->next.empty())
                return {};
            after = page->next;
        }
    };

    for (List_Query query{options.prefix, "", 1000};;) {
        auto const page = from.list(query);
        if (!page)
            return page.error();
        if (!page->items.empty())
            if (auto const copied = copy_page(page->items); !copied)
                return copied.error();
        if (auto const looked = look_for_strangers(page->items, query.start_after, page->next); !looked)
            return looked.error();
        if (options.progress)
            options.progress(report);
        if (page->next.empty())
            break;
        query.start_after = page->next;
    }
    if (auto const synced = to.sync(); !synced)
        return synced.error();
    std::sort(report.differences.begin(), report.differences.end());
    return report;
}

} // namespace memfs_cache
