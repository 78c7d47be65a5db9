// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crash_lab.hpp"
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/words.hpp>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache::testing {

/// What a storage has promised about its objects, write by write, and whether what is found keeps it.
class Promises {
  public:
    static constexpr auto never = std::numeric_limits<std::size_t>::max();

    /// What an object is to hold, and the moments, counted in changes, from which on something is known of it.
    struct Value {
        std::optional<std::string> bytes; ///< empty: absent
        bool appended = false;            ///< to the value before, which stays in front of it
        bool durable = false;             ///< asked for
        std::size_t begun = 0;
        std::size_t acknowledged = never; ///< survives the process
        std::size_t safe = never;         ///< survives loss of power
        std::size_t refused = never;      ///< was said not to have happened
    };

    auto of(std::string const& key) -> std::vector<Value>& {
        auto& values = values_[key];
        if (values.empty())
            values.push_back({std::nullopt, false, true, 0, 0, 0, never});
        return values;
    }
    /// All that was acknowledged before a moment has been made safe in a later one.
    void synced(std::size_t begun, std::size_t done) {
        for (auto& [key, values] : values_)
            for (auto& value : values)
                if (value.acknowledged <= begun)
                    value.safe = std::min(value.safe, done);
    }

    /// @return the promise that a storage breaks after a crash, in words; "" if it keeps all
    [[nodiscard]] auto broken_by(Storage_Disk const& storage, Crash const& crash) const -> std::string {
        std::vector<std::string> present;
        for (auto const& [key, values] : values_) {
            auto const found = read(storage, key);
            if (found.has_error())
                return key + " cannot be read: " + found.error().message();
            if (*found)
                present.push_back(key);
            if (!is_kept(values, *found, crash))
                return key + " is " + in_words(*found) + ", promised was" + promised(values, crash);
        }
        auto const listed = files_list(storage);
        if (listed.has_error())
            return "cannot be listed: " + listed.error().message();
        return *listed == present ? "" : "what is listed is not what can be read";
    }

  private:
    [[nodiscard]] static auto floor_of(std::vector<Value> const& values, Crash const& crash) -> std::size_t {
        std::size_t floor = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
            if ((crash.kind == Crash::Kind::kill ? values[i].acknowledged : values[i].safe) <= crash.changes)
                floor = i;
        return floor;
    }

    [[nodiscard]] static auto
    is_kept(std::vector<Value> const& values, std::optional<std::string> const& found, Crash const& crash) -> bool {
        auto const floor = floor_of(values, crash);
        bool grown_only = true; // since the floor
        for (auto i = floor; i < values.size() && values[i].begun <= crash.changes; ++i) {
            auto const& value = values[i];
            grown_only = grown_only && (i == floor || value.appended);
            // An append that was taken back may show in part after all when the power fails.
            bool const refused = value.refused <= crash.changes;
            if (refused && !(value.appended && crash.kind == Crash::Kind::power))
                continue;
            if (found == value.bytes)
                return true;
            bool const may_be_partial = value.appended || (crash.kind == Crash::Kind::power && !value.durable);
            if (!found || !value.bytes || !may_be_partial || i == floor)
                continue;
            auto const& old = values[floor].bytes;
            bool const old_stays = !grown_only || !old || found->starts_with(*old);
            if (old_stays && is_part(*found, *value.bytes, crash.kind))
                return true;
        }
        return false;
    }

    /// The beginning of what was written; when the power fails, NULs may stand for any part of it.
    [[nodiscard]] static auto is_part(std::string_view found, std::string_view whole, Crash::Kind kind) -> bool {
        if (found.size() > whole.size())
            return false;
        for (std::size_t i = 0; i < found.size(); ++i)
            if (found[i] != whole[i] && (kind == Crash::Kind::kill || found[i] != '\0'))
                return false;
        return true;
    }

    static auto in_words(std::optional<std::string> const& bytes) -> std::string {
        if (!bytes)
            return "absent";
        auto shown = bytes->substr(0, 20);
        std::replace(shown.begin(), shown.end(), '\0', '.');
        return "'" + shown + "' (" + std::to_string(bytes->size()) + ")";
    }
    static auto promised(std::vector<Value> const& values, Crash const& crash) -> std::string {
        std::string text;
        for (auto i = floor_of(values, crash); i < values.size() && values[i].begun <= crash.changes; ++i)
            text += (text.empty() ? " " : " or ") + in_words(values[i].bytes);
        return text;
    }

    std::map<std::string, std::vector<Value>> values_;
};

/// Writes to a storage and keeps account of what it promises.
class Witness {
  public:
    Witness(Storage_Disk& storage, Promises& promises, Recording& recording)
        : storage_(storage), promises_(promises), recording_(recording) {}

    auto put(std::string const& key, std::string const& bytes, Precondition const& when, Put_Options const& options)
        -> Result<Put_Outcome> {
        auto const durable = options.durability == Durability::durable;
        begin(key, {bytes, false, durable, recording_.note()});
        return settle(key, storage_.put(Storage_Key(key), bytes, when, options), durable);
    }
    /// Over whatever stands there, by a condition that names it.
    auto replace(std::string const& key, std::string const& bytes, Put_Options const& options) -> Result<Put_Outcome> {
        auto const present = storage_.get(Storage_Key(key));
        if (present.has_error())
            return present.error();
        return put(key, bytes, *present ? Precondition::only_if((*present)->version) : Precondition::absent(), options);
    }
    auto append(std::string const& key, std::string const& bytes, Durability durability) -> Result<Put_Outcome> {
        auto const present = read(storage_, key);
        if (present.has_error())
            return present.error();
        auto const before = present->value_or("");
        // A new file may be seen before anything is in it.
        if (!*present)
            begin(key, {"", true, false, recording_.note()});
        begin(key, {before + bytes, true, durability == Durability::durable, recording_.note()});
        return settle(key, storage_.append(Storage_Key(key), before.size(), bytes, durability),
                      durability == Durability::durable);
    }
    auto erase(std::string const& key) -> Result<bool> {
        begin(key, {std::nullopt, false, true, recording_.note()});
        auto const erased = storage_.erase(Storage_Key(key), Precondition::none());
        auto& value = promises_.of(key).back();
        if (erased && *erased)
            value.acknowledged = value.safe = recording_.note();
        else if (erased || erased.error().code != Errc::indeterminate)
            value.refused = recording_.note();
        return erased;
    }
    auto sync() -> Result<void> {
        auto const begun = recording_.note();
        auto const synced = storage_.sync();
        if (synced)
            promises_.synced(begun, recording_.note());
        return synced;
    }

  private:
    void begin(std::string const& key, Promises::Value value) { promises_.of(key).push_back(std::move(value)); }

    auto settle(std::string const& key, Result<Put_Outcome> outcome, bool durable) -> Result<Put_Outcome> {
        auto& value = promises_.of(key).back();
        auto const now = recording_.note();
        bool const unknown =
            outcome ? outcome->state == Put_State::unknown : outcome.error().code == Errc::indeterminate;
        if (outcome && outcome->state == Put_State::applied) {
            value.acknowledged = now;
            if (durable)
                value.safe = now;
        } else if (!unknown) {
            value.refused = now;
        }
        return outcome;
    }

    Storage_Disk& storage_;
    Promises& promises_;
    Recording& recording_;
};

} // namespace memfs_cache::testing
