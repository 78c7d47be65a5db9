// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/sha256.hpp>
#include <memfs_cache/lets/saved_window.hpp>

#include <utility>

namespace memfs_cache {
namespace {

/// A state file ends with so many digits of its SHA-256 and this.
constexpr std::size_t state_digits = 16;
constexpr std::string_view state_ending = ".zst";

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

auto saved_window_texts(Saved_Window_Head head, std::string_view answer, std::string_view state) -> Saved_Window_Texts {
    constexpr std::size_t most_sources_bytes = 8 << 10;
    Saved_Window_Texts texts;
    texts.state = R"({"v":2,)";
    bool const has_long_sources = head.sources.size() > most_sources_bytes;
    if (has_long_sources)
        texts.state.append(std::exchange(head.sources, {})).append(",");
    texts.state.append(state).append("}");
    head.version = 2;
    head.append_to(texts.window);
    texts.window.append(answer);
    constexpr std::string_view state_member = R"(,"state":)";
    if (!has_long_sources && texts.state.size() <= most_inline_state_bytes &&
        texts.window.size() + state_member.size() + texts.state.size() < most_window_bytes) {
        texts.window.append(state_member).append(std::exchange(texts.state, {})).append("}");
        return texts;
    }
    Sha256 hash;
    hash.add(texts.state);
    auto const digest = hash.hex();
    auto const path = state_files_of(head.window);
    texts.state_file = path.substr(path.rfind('/') + 1).append(digest, 0, state_digits).append(state_ending);
    texts.window.append(R"(,"state_file":")").append(texts.state_file);
    texts.window.append(R"(","state_sha256":")").append(digest).append("\"}");
    return texts;
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

namespace {

/// Is it the name of a state of the window, or none at all? It becomes part of a key.
auto names_state_of(std::string_view name, Window const& window) -> bool {
    if (name.empty())
        return true;
    auto const path = state_files_of(window);
    auto const begin = std::string_view(path).substr(path.rfind('/') + 1);
    return name.starts_with(begin) && name.ends_with(state_ending) &&
           name.size() == begin.size() + state_digits + state_ending.size() &&
           parse_hex(name.substr(begin.size(), state_digits));
}

} // namespace

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
    bool const has_state = head.version == 1 || found.state.empty() != found.state_file.empty();
    std::string_view const wrong = head.version == 0 || head.version > newest_version        ? "v"
                                   : type != to_text(window.type())                          ? "window_type"
                                   : key != window.key()                                     ? "window_key"
                                   : final != "true"                                         ? "final"
                                   : !revision                                               ? "revision"
                                   : !computed_at || !is_storable(from_millis(*computed_at)) ? "computed_at"
                                   : !late_events                                            ? "late_events"
                                   : !has_state                                              ? "state"
                                   : !names_state_of(found.state_file, window)               ? "state_file"
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
