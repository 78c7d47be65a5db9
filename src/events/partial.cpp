// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/events/partial.hpp>

namespace memfs_cache {

auto partial_text(std::uint64_t positions, Stream_Summary const& summary) -> std::string {
    std::string text = R"({"v":1,"n":)" + std::to_string(positions) + R"(,"state":{)";
    summary.append_members(text);
    return text.append("}}");
}

auto parse_partial(std::string_view text) -> std::optional<Partial_Summary> {
    auto object = parse_object(text, "partial summary");
    if (!object)
        return std::nullopt;
    Member_Reader reader(*object);
    Partial_Summary partial;
    if (reader.unsigned_number("v") != 1)
        return std::nullopt;
    partial.positions = reader.unsigned_number("n");
    partial.state = reader.object("state");
    return reader.good() ? std::optional(std::move(partial)) : std::nullopt;
}

} // namespace memfs_cache
