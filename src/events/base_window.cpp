// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/events/base_window.hpp>

namespace memfs_cache {

auto Base_Window::parse(std::string_view key) noexcept -> std::optional<Base_Window> {
    if (key.size() != 16 || key[4] != '-' || key[7] != '-' || key[10] != 'T' || key[13] != ':')
        return std::nullopt;
    auto const year = parse_decimal(key.substr(0, 4));
    auto const month = parse_decimal(key.substr(5, 2));
    auto const day = parse_decimal(key.substr(8, 2));
    auto const hour = parse_decimal(key.substr(11, 2));
    auto const minute = key.substr(14, 2);
    if (!year || !month || !day || !hour || *hour > 23 || (minute != "00" && minute != "30"))
        return std::nullopt;
    auto const midnight =
        day_from_civil(static_cast<int>(*year), static_cast<unsigned>(*month), static_cast<unsigned>(*day));
    if (!midnight)
        return std::nullopt;
    auto const start = *midnight + std::chrono::hours(*hour) + std::chrono::minutes(minute == "30" ? 30 : 0);
    if (!is_storable(start))
        return std::nullopt;
    return containing(start);
}

auto Base_Window::key() const -> std::string {
    auto const civil = to_civil(start_);
    auto out = date_text(start_);
    out += 'T';
    append_padded(out, civil.hour, 2);
    out += ':';
    append_padded(out, civil.minute, 2);
    return out;
}

auto Base_Window::hour_folder() const -> std::string {
    auto out = date_text(start_, '/');
    out += '/';
    append_padded(out, to_civil(start_).hour, 2);
    return out;
}

} // namespace memfs_cache
