// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// How long after its end a window stays open for stragglers, unless the store says otherwise.
inline constexpr std::chrono::milliseconds default_grace{600'000};
inline constexpr std::chrono::milliseconds longest_grace = std::chrono::hours(24 * 31);

/// What every process that works on one log must agree on; it lies in the store, created by whoever writes first.
struct Log_Settings {
    std::chrono::milliseconds grace = default_grace;
    std::string salt_period = "day";

    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Log_Settings>;
    /// The first member whose value means nothing; "" if all do.
    [[nodiscard]] auto first_invalid() const -> std::string_view;
    friend auto operator==(Log_Settings const&, Log_Settings const&) -> bool = default;
};

/// What a process asks for; what it leaves open it takes from the store.
struct Log_Settings_Wish {
    std::optional<std::chrono::milliseconds> grace;
    std::optional<std::string> salt_period;

    /// The settings to create where there are none yet.
    [[nodiscard]] auto or_default() const -> Log_Settings {
        Log_Settings const standard;
        return {grace.value_or(standard.grace), salt_period.value_or(standard.salt_period)};
    }
    [[nodiscard]] auto asks_for_something() const noexcept -> bool { return grace || salt_period; }
    /// @errors invalid_argument for a value that means nothing
    [[nodiscard]] auto validate() const -> Result<void>;
    /// @errors invalid_argument naming both values where the store says otherwise
    [[nodiscard]] auto check(Log_Settings const& stored) const -> Result<void>;
};

/// The settings of a store, if it has some.
template <StorageBackend Storage>
[[nodiscard]] auto load_settings(Storage const& storage, Storage_Key const& key)
    -> Result<std::optional<Log_Settings>> {
    auto object = storage.get(key);
    if (!object)
        return object.error();
    if (!*object)
        return std::optional<Log_Settings>();
    auto settings = Log_Settings::from_json((*object)->bytes);
    if (!settings)
        return fail(settings.error().code, key.str() + ": " + settings.error().context);
    return std::optional(*std::move(settings));
}

/// The settings of a log as one process knows them.
/// Threads  any
template <StorageBackend Storage>
class Shared_Settings {
  public:
    /// @param  stored  what lies in the store; nothing if that is empty yet
    Shared_Settings(Storage& storage, Storage_Key key, Log_Settings_Wish wish, std::optional<Log_Settings> stored)
        : storage_(storage), key_(std::move(key)), wish_(std::move(wish)), settings_(std::move(stored)) {}

    /// What is stored, or else what would be stored.
    [[nodiscard]] auto get() const -> Log_Settings {
        std::unique_lock const lock(mutex_);
        return settings_.value_or(wish_.or_default());
    }

    /// Creates the settings, or takes those that another process created first.
    /// @errors invalid_argument naming both values if those are not the ones wished for
    [[nodiscard]] auto store() -> Result<void> {
        {
            std::unique_lock const lock(mutex_);
            if (settings_)
                return {};
        }
        // Whatever comes of it: what lies there afterwards is what holds for everybody.
        if (auto const created = storage_.put(key_, wish_.or_default().to_json(), Precondition::absent()); !created)
            return created.error();
        auto stored = load_settings(storage_, key_);
        if (!stored)
            return stored.error();
        if (!*stored)
            return fail(Errc::indeterminate, key_.str() + " could not be created; try again");
        if (auto const agreed = wish_.check(**stored); !agreed)
            return agreed.error();
        std::unique_lock const lock(mutex_);
        settings_ = **stored;
        return {};
    }

  private:
    Storage& storage_;
    Storage_Key key_;
    Log_Settings_Wish wish_;
    mutable std::mutex mutex_;
    std::optional<Log_Settings> settings_;
};

} // namespace memfs_cache
