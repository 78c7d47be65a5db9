// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/ids.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// May this be the id of a transfer: 1 to 128 of A-Z a-z 0-9 _ -?
[[nodiscard]] auto is_transfer_id(std::string_view text) noexcept -> bool;

/// Where the transfers lie that the log of a namespace of analytics tells of: "transfers" for "analytics", and
/// "transfers-NAME" for any other NAME.
/// @errors invalid_argument for what is no namespace name, or too long for one with that in front
[[nodiscard]] auto namespace_of_transfers(std::string_view analytics) -> Result<Namespace_Name>;
/// The inverse; nothing for other namespaces.
[[nodiscard]] auto analytics_of_transfers(Namespace_Name const& transfers) -> std::optional<Namespace_Name>;

} // namespace memfs_cache
