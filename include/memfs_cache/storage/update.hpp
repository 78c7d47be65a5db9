// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

namespace memfs_cache {

/// Reads an object, lets `change` derive the next bytes, and writes them only over the version that was read; again
/// when somebody was faster.
///
/// @param  change  (Object const* current) -> Result<std::optional<Bytes>>; nothing leaves the object as it is. It is
///                 called once for each try, must mean the same when applied twice, and must put a fresh nonce into
///                 the bytes: a delayed duplicate of an old write may then never pass for a new one.
/// @return true if the object now holds what the last call of `change` gave, false if that left it alone
/// @errors what the storage or `change` report; conflict after 64 lost races
/// Cost    one get and one conditional put a try
template <StorageBackend Storage, class Change>
[[nodiscard]] auto
update_object(Storage& storage, Storage_Key const& key, Change&& change, Put_Options const& options = {})
    -> Result<bool> {
    constexpr int most_tries = 64;
    for (int tries = 0; tries < most_tries; ++tries) {
        auto current = storage.get(key);
        if (!current)
            return current.error();
        Result<std::optional<Bytes>> next = change(*current ? &**current : nullptr);
        if (!next)
            return next.error();
        if (!*next)
            return false;
        auto const when = *current ? Precondition::only_if((*current)->version) : Precondition::absent();
        auto written = storage.put(key, **next, when, options);
        if (!written)
            return written.error();
        if (written->state == Put_State::applied)
            return true;
        if (written->state == Put_State::unknown) {
            auto now = storage.get(key);
            if (!now)
                return now.error();
            if (*now && (*now)->bytes == **next) {
                // To be there is not yet to last.
                if (options.durability == Durability::durable)
                    if (auto const synced = storage.sync(); !synced)
                        return synced.error();
                return true;
            }
        }
    }
    return fail(Errc::conflict, key.str() + " was changed by others 64 times in a row; try again");
}

} // namespace memfs_cache
