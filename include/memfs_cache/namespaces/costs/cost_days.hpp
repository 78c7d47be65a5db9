// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/namespaces/costs/cost_entry.hpp>
#include <memfs_cache/storage/update.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// The cost days of a namespace as they lie in the storage: data/raw/YYYY/MM/DD/cost-data.json.
/// Threads  any
template <StorageBackend Storage>
class Cost_Days {
  public:
    Cost_Days(Storage& storage, Log_Paths paths) : storage_(storage), paths_(std::move(paths)) {}

    [[nodiscard]] auto key_of(Utc_Time date) const -> Storage_Key {
        return Storage_Key(paths_.raw_prefix() + date_text(date, '/') + std::string(file_name));
    }

    /// A day and which version of it was read; nothing if nothing is known of it.
    struct Found {
        Cost_Day day;
        Version version;
    };
    /// @errors corrupt_data naming the file; what the storage says
    [[nodiscard]] auto get(Utc_Time date) const -> Result<std::optional<Found>> {
        auto const key = key_of(date);
        auto object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return std::optional<Found>();
        auto day = parse(key, (*object)->bytes, date);
        if (!day)
            return day.error();
        return std::optional(Found{*std::move(day), std::move((*object)->version)});
    }

    /// Changes a day, or makes it; a day that comes out as it was is not written. Of two that change it at once none
    /// loses what the other did, and a put that arrives late changes nothing.
    /// @param  change  (Cost_Day&) -> void; called once for each try
    /// @return whether it was written
    /// @errors too_large; corrupt_data; what the storage says
    template <class Change>
    [[nodiscard]] auto revise(Utc_Time date, Utc_Time now, Change const& change) -> Result<bool> {
        auto const key = key_of(date);
        return update_object(storage_, key, [&](Object const* current) -> Result<std::optional<Bytes>> {
            Cost_Day before;
            before.date = date;
            if (current != nullptr) {
                auto parsed = parse(key, current->bytes, date);
                if (!parsed)
                    return parsed.error();
                before = *std::move(parsed);
            }
            auto after = before;
            change(after);
            if (current != nullptr && after.imported == before.imported && after.recorded == before.recorded &&
                after.estimated == before.estimated)
                return std::optional<Bytes>();
            if (auto const fits = after.check_size(); !fits)
                return fits.error();
            after.nonce = random_hex(8);
            ++after.revision;
            after.collected_at = now;
            return std::optional(after.to_json());
        });
    }

    /// The days of [start, end) of which something is known, and which version of each.
    /// Cost  a list of at most a thousand of them
    [[nodiscard]] auto between(Utc_Time start, Utc_Time end) const -> Result<std::map<Utc_Time, Version>> {
        std::map<Utc_Time, Version> found;
        List_Query query{paths_.raw_prefix(), paths_.raw_prefix() + date_text(start, '/'), 1000};
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto& item : page->items) {
                auto const date = date_of(item.key);
                if (!date)
                    continue; // a stranger's file
                if (*date >= end)
                    return found;
                found.emplace(*date, std::move(item.version));
            }
            query.start_after = std::move(page->next);
        } while (!query.start_after.empty());
        return found;
    }

    /// @errors corrupt_data naming the file
    [[nodiscard]] static auto parse(Storage_Key const& key, std::string_view text, Utc_Time date) -> Result<Cost_Day> {
        auto day = Cost_Day::parse(text);
        if (day && day->date != date)
            return fail(Errc::corrupt_data, key.str() + ": holds another day");
        if (!day)
            return fail(day.error().code, key.str() + ": " + day.error().context);
        return day;
    }

  private:
    [[nodiscard]] auto date_of(std::string_view key) const -> std::optional<Utc_Time> {
        constexpr std::size_t date_size = 10;
        key.remove_prefix(paths_.raw_prefix().size());
        if (key.size() != date_size + file_name.size() || !key.ends_with(file_name) || key[4] != '/' || key[7] != '/')
            return std::nullopt;
        std::string text(key.substr(0, date_size));
        text[4] = text[7] = '-';
        auto const date = parse_cost_date(text);
        return date ? std::optional(*date) : std::nullopt;
    }

    static constexpr std::string_view file_name = "/cost-data.json";
    Storage& storage_;
    Log_Paths paths_;
};

} // namespace memfs_cache
