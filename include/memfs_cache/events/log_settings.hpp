// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace memfs_cache {

/// How long after its end a window stays open for stragglers, unless the store says otherwise.
inline constexpr std::chrono::milliseconds default_grace{600'000};

/// What every process that works on one log must agree on; it lies in the store, created by whoever writes first.
struct Log_Settings {
    std::chrono::milliseconds grace = default_grace;
    std::string salt_period = "day";

    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Log_Settings>;
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
    /// @errors invalid_argument naming both values where the store says otherwise
    [[nodiscard]] auto check(Log_Settings const& stored) const -> Result<void>;
};

/// The settings of a store, if it has some.
template <StorageBackend Storage>
[[nodiscard]] auto load_settings(Storage const& storage, Log_Paths const& paths)
    -> Result<std::optional<Log_Settings>> {
    auto object = storage.get(paths.settings());
    if (!object)
        return object.error();
    if (!*object)
        return std::optional<Log_Settings>();
    auto settings = Log_Settings::from_json((*object)->bytes);
    if (!settings)
        return settings.error();
    return std::optional(*std::move(settings));
}

/// Creates the settings, or takes those that another process created first.
template <StorageBackend Storage>
[[nodiscard]] auto create_settings(Storage& storage, Log_Paths const& paths, Log_Settings_Wish const& wish)
    -> Result<Log_Settings> {
    auto written = storage.put(paths.settings(), wish.or_default().to_json(), Precondition::absent());
    if (!written)
        return written.error();
    auto stored = load_settings(storage, paths);
    if (!stored)
        return stored.error();
    if (!*stored)
        return fail(Errc::indeterminate, paths.settings().str() + " could not be created; try again");
    if (auto const agreed = wish.check(**stored); !agreed)
        return agreed.error();
    return **stored;
}

} // namespace memfs_cache
