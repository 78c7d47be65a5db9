// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/namespaces/transfers/transfer_names.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

constexpr std::string_view usual_analytics = "analytics", usual_transfers = "transfers", prefix = "transfers-";

} // namespace

auto is_transfer_id(std::string_view text) noexcept -> bool {
    constexpr std::size_t longest = 128;
    return !text.empty() && text.size() <= longest && std::all_of(text.begin(), text.end(), [](char c) {
        return is_ascii_letter(c) || is_ascii_digit(c) || c == '_' || c == '-';
    });
}

auto namespace_of_transfers(std::string_view analytics) -> Result<Namespace_Name> {
    if (analytics == usual_analytics)
        return Namespace_Name(usual_transfers);
    if (auto const checked = Namespace_Name::parse(analytics); !checked)
        return checked;
    if (auto name = Namespace_Name::parse(std::string(prefix).append(analytics)))
        return name;
    return fail(Errc::invalid_argument, "namespace: give at most 118 characters for one whose transfers are asked for");
}

auto analytics_of_transfers(Namespace_Name const& transfers) -> std::optional<Namespace_Name> {
    std::string_view const name = transfers.str();
    if (name == usual_transfers)
        return Namespace_Name(usual_analytics);
    if (!name.starts_with(prefix) || name.size() == prefix.size())
        return std::nullopt;
    return Namespace_Name(name.substr(prefix.size()));
}

} // namespace memfs_cache
