// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/storage/update.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// How long things are kept, by the age of the window that they belong to.
struct Retention_Policy {
    int raw_days = 90;    ///< raw events and the salts of their visitors; 0: for ever
    int windows_days = 0; ///< saved windows, of which the raw events are gone; 0: for ever

    /// @errors invalid_argument for less than 0 or more than 100,000 days
    [[nodiscard]] auto validate() const -> Result<void>;
};

/// What was deleted of a half-hour, or is being deleted.
struct Purged_Window {
    Utc_Time at; ///< when that began
    /// Names of the files of one event each, of which nothing else says that the saved window counts them.
    std::set<std::string> files = {};
    /// Of each writer the position up to which its events went.
    std::map<std::string, std::uint64_t, std::less<>> positions = {};
    /// Second views of the log that would have counted nothing of what went, by the namespaces of their windows. What no
    /// saved window of any other view counts, that view has lost.
    std::set<std::string, std::less<>> nothing_for = {};

    /// Adds what went later.
    void merge(Purged_Window const& later);
};

/// Stands in the store before the first object of a day is deleted: what it names is not in raw any more, or not for
/// long, and only a saved window knows it.
struct Purge_Mark {
    std::map<unsigned, Purged_Window> windows; ///< by index of the half-hour in its day

    [[nodiscard]] auto to_json() const -> std::string; ///< with a fresh nonce
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Purge_Mark>;
};

/// Reads and writes the purge marks of one log.
template <StorageBackend Storage>
class Purge_Marks {
  public:
    Purge_Marks(Storage& storage, Log_Paths const& paths) : storage_(storage), paths_(paths) {}

    /// What was purged of a half-hour; nothing if nothing was.
    /// Cost    one get
    [[nodiscard]] auto find(Base_Window window) const -> Result<std::optional<Purged_Window>> {
        auto const mark = of_day(window.day());
        if (!mark)
            return mark.error();
        auto const found = mark->windows.find(window.index_in_day());
        return found == mark->windows.end() ? std::nullopt : std::optional(found->second);
    }

    /// Half-hours in [start, end) of which something was purged, in order.
    /// @param  days_only  of a day that lies whole in the range the first half-hour, in place of those that were purged
    /// Cost    one list, usually empty, and a get for each day; with `days_only` for the first and the last one
    [[nodiscard]] auto windows(Utc_Time start, Utc_Time end, bool days_only = false) const
        -> Result<std::vector<Base_Window>> {
        std::vector<Base_Window> found;
        auto const prefix = paths_.purged_prefix();
        List_Query query{prefix, prefix + date_text(std::max(start, earliest_time), '/'), 1000}; // before its .json
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto const& item : page->items) {
                auto const day = paths_.day_of_purge_mark(item.key);
                if (!day)
                    continue;
                if (*day >= end)
                    return found;
                bool const is_whole = *day >= start && *day + std::chrono::hours(24) <= end;
                if (is_whole && days_only) {
                    found.push_back(Base_Window::containing(*day));
                    continue;
                }
                auto const mark = of_day(*day);
                if (!mark)
                    return mark.error();
                for (auto const& entry : mark->windows) {
                    auto const begin = *day + entry.first * Base_Window::length;
                    if (begin >= start && begin < end)
                        found.push_back(Base_Window::containing(begin));
                }
            }
            query.start_after = page->next;
        } while (!query.start_after.empty());
        return found;
    }

    /// Says that a half-hour is being purged; what was said of it before stays.
    [[nodiscard]] auto add(Base_Window window, Purged_Window const& purged) -> Result<void> {
        auto const added = update_object(
            storage_, paths_.purge_mark(window.day()), [&](Object const* current) -> Result<std::optional<Bytes>> {
                auto mark =
                    current == nullptr ? Result<Purge_Mark>(Purge_Mark()) : Purge_Mark::from_json(current->bytes);
                if (!mark)
                    return mark.error();
                if (auto const [known, is_new] = mark->windows.try_emplace(window.index_in_day(), purged); !is_new)
                    known->second.merge(purged);
                return std::optional(mark->to_json());
            });
        if (!added)
            return added.error();
        return {};
    }

  private:
    [[nodiscard]] auto of_day(Utc_Time day) const -> Result<Purge_Mark> {
        auto const key = paths_.purge_mark(day);
        auto const object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return Purge_Mark();
        auto mark = Purge_Mark::from_json((*object)->bytes);
        if (!mark)
            return fail(mark.error().code, key.str() + ": " + mark.error().context);
        return mark;
    }

    Storage& storage_;
    Log_Paths const& paths_;
};

/// Why nothing of a range may be purged, until somebody takes it back.
struct Hold {
    std::string name; ///< as that of a token: [a-z0-9][a-z0-9_-]{0,127}
    std::string reason;
    Utc_Time from = earliest_time; ///< of the windows that are held, [from, until)
    Utc_Time until = latest_time;
    Utc_Time at; ///< when it was set

    [[nodiscard]] auto touches(Utc_Time start, Utc_Time end) const noexcept -> bool {
        return from < end && start < until;
    }
    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] auto to_object() const -> boost::json::object;
    [[nodiscard]] static auto from_json(std::string_view name, std::string_view text) -> Result<Hold>;
    /// @errors invalid_argument
    [[nodiscard]] auto validate() const -> Result<void>;
};

/// The holds of one namespace; every process that purges it honours them.
template <StorageBackend Storage>
class Holds {
  public:
    Holds(Storage& storage, Log_Paths const& paths) : storage_(storage), prefix_(paths.data_prefix() + "holds/") {}

    /// Sets a hold, or another one in place of the one of this name.
    /// @errors invalid_argument for a name, range or reason that means nothing
    [[nodiscard]] auto set(Hold const& hold) -> Result<void> {
        if (auto const sound = hold.validate(); !sound)
            return sound;
        auto const set = update_object(storage_, key_of(hold.name), [&](Object const*) -> Result<std::optional<Bytes>> {
            return std::optional(hold.to_json());
        });
        if (!set)
            return set.error();
        return {};
    }
    /// @return whether there was one
    [[nodiscard]] auto release(std::string_view name) -> Result<bool> {
        if (auto const sound = Hold{std::string(name), "-", earliest_time, latest_time, {}}.validate(); !sound)
            return sound.error();
        return storage_.erase(key_of(name), Precondition::none());
    }
    /// In the order of their names.
    [[nodiscard]] auto list() const -> Result<std::vector<Hold>> {
        auto const keys = files_list(storage_, prefix_);
        if (!keys)
            return keys.error();
        std::vector<Hold> holds;
        for (auto const& key : *keys) {
            auto const object = storage_.get(Storage_Key(key));
            if (!object)
                return object.error();
            if (!*object)
                continue;
            auto const name = std::string_view(key).substr(prefix_.size());
            auto hold = Hold::from_json(name.substr(0, name.find('.')), (*object)->bytes);
            if (!hold) // what cannot be read may hold everything
                return fail(hold.error().code, key + ": " + hold.error().context);
            holds.push_back(*std::move(hold));
        }
        return holds;
    }

  private:
    [[nodiscard]] auto key_of(std::string_view name) const -> Storage_Key {
        return Storage_Key(prefix_ + std::string(name) + ".json");
    }

    Storage& storage_;
    std::string prefix_;
};

/// That events of a range were brought in lately, so that they are not purged within a day, however old they are.
struct Receipt {
    Utc_Time at;
    Utc_Time from, until; ///< of their half-hours
};
inline constexpr std::chrono::hours fresh_for{24};

[[nodiscard]] auto receipts_text(std::vector<Receipt> const& receipts) -> std::string;
[[nodiscard]] auto parse_receipts(std::string_view text) -> Result<std::vector<Receipt>>;

/// Notes a receipt in the store, and forgets those that are a day old.
template <StorageBackend Storage>
[[nodiscard]] auto note_receipt(Storage& storage, Log_Paths const& paths, Receipt const& receipt) -> Result<void> {
    auto const noted =
        update_object(storage, paths.received(), [&](Object const* current) -> Result<std::optional<Bytes>> {
            auto receipts = current == nullptr ? Result<std::vector<Receipt>>(std::vector<Receipt>())
                                               : parse_receipts(current->bytes);
            if (!receipts)
                return receipts.error();
            std::erase_if(*receipts, [&](Receipt const& known) {
                return known.at + fresh_for < receipt.at ||
                       (known.from >= receipt.from && known.until <= receipt.until);
            });
            receipts->push_back(receipt);
            return std::optional(receipts_text(*receipts));
        });
    if (!noted)
        return noted.error();
    return {};
}

} // namespace memfs_cache
