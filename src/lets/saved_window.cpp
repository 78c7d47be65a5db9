// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/lets/saved_window.hpp>

#include <utility>

namespace memfs_cache {
namespace {

/// How the names of state files of a window begin, without the folder that they share with it.
auto state_names_of(Window const& window) -> std::string {
    auto const path = state_files_of(window);
    return path.substr(path.rfind('/') + 1);
}

} // namespace

void Saved_Window_Head::append_to(std::string& out) const {
    out.append(R"({"v":)").append(std::to_string(version));
    out.append(R"(,"namespace":")").append(namespace_name);
    out.append(R"(","window_type":")").append(to_text(window.type()));
    out.append(R"(","window_key":")").append(window.key());
    out.append(R"(","window_start":)").append(std::to_string(to_millis(window.start())));
    out.append(R"(,"window_end":)").append(std::to_string(to_millis(window.end())));
    out.append(R"(,"final":true,"revision":)").append(std::to_string(revision));
    out.append(R"(,"computed_at":)").append(std::to_string(to_millis(computed_at)));
    out.append(R"(,"late_events":)").append(std::to_string(late_events));
    out += ',';
    if (!sources.empty())
        out.append(sources).append(",");
}

auto state_files_of(Window const& window) -> std::string {
    constexpr std::string_view ending = ".json";
    auto file = window.file();
    return file.replace(file.size() - ending.size(), ending.size(), ".state-");
}

auto saved_window_texts(Saved_Window_Head head, std::string_view answer, std::string_view state) -> Saved_Texts {
    constexpr std::size_t most_sources_bytes = 8 << 10;
    Bytes state_object(R"({"v":2,)");
    bool const has_long_sources = head.sources.size() > most_sources_bytes;
    if (has_long_sources)
        state_object.append(std::exchange(head.sources, {})).append(",");
    state_object.append(state).append("}");
    head.version = 2;
    Bytes object;
    head.append_to(object);
    return saved_texts(std::move(object), answer, std::move(state_object), state_names_of(head.window),
                       has_long_sources);
}

auto Window_Position::read(std::string_view text, Window_Type type) -> std::optional<Window_Position> {
    std::optional<Window> window;
    Json_Scanner scanner(text);
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.name == "window_key") {
            auto const parsed = Window::parse(type, member.text);
            if (!parsed)
                return std::nullopt;
            window = *parsed;
        } else if (member.name == "revision") {
            auto const revision = parse_decimal(member.text);
            if (!window || !revision)
                return std::nullopt;
            return Window_Position{window->start(), *revision};
        }
    }
    return std::nullopt;
}

auto read_saved_window(std::string_view text, Window const& window, std::uint64_t newest_version)
    -> Result<std::optional<Saved_Window_View>> {
    Saved_Window_View found{{{}, window, 0, {}, 0, {}, 0}, {}, {}};
    auto& head = found.head;
    std::string_view type, key, final;
    std::optional<std::uint64_t> revision, late_events;
    std::optional<std::int64_t> computed_at;
    Json_Scanner scanner(text);
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.name == "v")
            head.version = parse_decimal(member.text).value_or(0);
        else if (member.name == "namespace")
            head.namespace_name = member.text;
        else if (member.name == "window_type")
            type = member.text;
        else if (member.name == "window_key")
            key = member.text;
        else if (member.name == "final")
            final = member.text;
        else if (member.name == "revision")
            revision = parse_decimal(member.text);
        else if (member.name == "computed_at")
            computed_at = parse_json_integer(member.text);
        else if (member.name == "late_events")
            late_events = parse_decimal(member.text);
        else if (member.name == "covers" || member.name == "children")
            head.sources = std::string("\"").append(member.name).append("\":").append(member.text);
        else if (member.name == "state" && member.kind == Json_Scanner::Kind::nested)
            found.state = member.text;
        else if (member.name == "state_file")
            found.state_file = member.text;
    }
    if (!scanner.good())
        return std::optional<Saved_Window_View>();
    auto const is_state_file = [&](std::string_view name) {
        return name.empty() || names_state(name, state_names_of(window));
    };
    bool const has_state = head.version == 1 || found.state.empty() != found.state_file.empty();
    std::string_view const wrong = head.version == 0 || head.version > newest_version        ? "v"
                                   : type != to_text(window.type())                          ? "window_type"
                                   : key != window.key()                                     ? "window_key"
                                   : final != "true"                                         ? "final"
                                   : !revision                                               ? "revision"
                                   : !computed_at || !is_storable(from_millis(*computed_at)) ? "computed_at"
                                   : !late_events                                            ? "late_events"
                                   : !has_state                                              ? "state"
                                   : !is_state_file(found.state_file)                        ? "state_file"
                                                                                             : "";
    if (!wrong.empty())
        return fail(Errc::corrupt_data, "saved window " + window.file() + ": member '" + std::string(wrong) +
                                            "' is missing or wrong; delete the file to have it built again");
    head.revision = *revision;
    head.computed_at = from_millis(*computed_at);
    head.late_events = *late_events;
    if (head.version == 1)
        found.state = text;
    return std::optional(std::move(found));
}

} // namespace memfs_cache
