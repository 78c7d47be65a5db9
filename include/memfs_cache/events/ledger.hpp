// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/storage/update.hpp>

#include <string>

namespace memfs_cache {

/// Text of the ledger object, with a nonce, because it is overwritten in place.
[[nodiscard]] auto ledger_text(Utc_Time closed_until) -> std::string;
[[nodiscard]] auto parse_ledger(std::string_view text) -> Result<Utc_Time>;

/// How far the windows of a log are closed: a stored fact that only grows. Whoever aggregates closes first and lists
/// raw events after; whoever writes lands first and reads this after. So one of the two always sees the other.
template <StorageBackend Storage>
class Ledger {
  public:
    Ledger(Storage& storage, Storage_Key key) : storage_(storage), key_(std::move(key)) {}

    /// Every window that ends at or before this instant is closed; the epoch if none is.
    [[nodiscard]] auto closed_until() const -> Result<Utc_Time> {
        auto object = storage_.get(key_);
        if (!object)
            return object.error();
        if (!*object)
            return earliest_time;
        return parse_ledger((*object)->bytes);
    }

    /// Closes up to an instant; never opens anything again.
    /// @return what is closed afterwards, at least `until`
    [[nodiscard]] auto close(Utc_Time until) -> Result<Utc_Time> {
        auto closed = until;
        auto const moved = update_object(storage_, key_, [&](Object const* current) -> Result<std::optional<Bytes>> {
            if (current != nullptr) {
                auto const stored = parse_ledger(current->bytes);
                if (!stored)
                    return stored.error();
                closed = std::max(until, *stored);
                if (*stored >= until)
                    return std::optional<Bytes>();
            }
            return std::optional(ledger_text(until));
        });
        if (!moved)
            return moved.error();
        return closed;
    }

  private:
    Storage& storage_;
    Storage_Key key_;
};

} // namespace memfs_cache
