// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/events/partial.hpp>

namespace memfs_cache {

auto partial_text(std::uint64_t positions, Stream_Summary const& summary) -> std::string {
    std::string text = R"({"v":1,"n":)" + std::to_string(positions) + R"(,"state":{)";
    summary.append_members(text);
    return text.append("}}");
}

auto parse_partial(std::string_view text) -> std::optional<Partial_Summary> {
    std::string_view version, positions, state;
    Json_Scanner scanner(text);
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.name == "v")
            version = member.text;
        else if (member.name == "n")
            positions = member.text;
        else if (member.name == "state" && member.kind == Json_Scanner::Kind::nested)
            state = member.text;
    }
    auto const count = parse_decimal(positions);
    if (!scanner.good() || version != "1" || !count || state.empty())
        return std::nullopt;
    return Partial_Summary{{}, *count, std::string(state)};
}

} // namespace memfs_cache
