// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/lets/window.hpp>
#include <memfs_cache/namespaces/analytics/day_salts.hpp>

namespace memfs_cache {

auto Salt_Period::containing(Utc_Time time, std::string_view length) -> Salt_Period {
    auto const type = length == "month"  ? Window_Type::monthly
                      : length == "week" ? Window_Type::weekly
                                         : Window_Type::daily;
    auto const window = Window::containing(type, time);
    return {window.start(), window.end(), std::nullopt};
}

auto salt_text(Sip_Key const& salt) -> std::string {
    return R"({"v":1,"salt":")" + to_hex(Byte_View(reinterpret_cast<char const*>(salt.data()), salt.size())) + "\"}";
}

auto parse_salt(std::string_view text) -> Result<std::optional<Sip_Key>> {
    auto const damaged = fail(Errc::corrupt_data, "damaged; visitors of its period stay unknown");
    auto const object = parse_object(text, "salt");
    if (!object)
        return damaged;
    if (object->contains("tombstone"))
        return std::optional<Sip_Key>();
    Member_Reader reader(*object);
    auto const hex = reader.text("salt");
    if (!reader.good() || hex.size() != 2 * Sip_Key().size())
        return damaged;
    Sip_Key salt{};
    for (std::size_t i = 0; i < salt.size(); ++i) {
        auto const byte = parse_hex(hex.substr(2 * i, 2));
        if (!byte)
            return damaged;
        salt[i] = static_cast<std::uint8_t>(*byte);
    }
    return std::optional(salt);
}

} // namespace memfs_cache
