// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/lets/saved_window.hpp>

namespace memfs_cache {

void Saved_Window_Head::append_to(std::string& out) const {
    out.append(R"({"v":1,"namespace":")").append(namespace_name);
    out.append(R"(","window_type":")").append(to_text(window.type()));
    out.append(R"(","window_key":")").append(window.key());
    out.append(R"(","window_start":)").append(std::to_string(to_millis(window.start())));
    out.append(R"(,"window_end":)").append(std::to_string(to_millis(window.end())));
    out.append(R"(,"final":true,"revision":)").append(std::to_string(revision));
    out.append(R"(,"computed_at":)").append(std::to_string(to_millis(computed_at)));
    out.append(R"(,"late_events":)").append(std::to_string(late_events));
    out.append(",").append(sources).append(",");
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

auto read_saved_head(boost::json::object const& object, Window const& window) -> Result<Saved_Window_Head> {
    Member_Reader reader(object);
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    if (reader.text("window_type") != to_text(window.type()))
        reader.refuse("window_type");
    if (reader.text("window_key") != window.key())
        reader.refuse("window_key");
    if (!reader.flag("final"))
        reader.refuse("final");
    Saved_Window_Head head{std::string(reader.text("namespace")), window,
                           reader.unsigned_number("revision"),    from_millis(reader.signed_number("computed_at")),
                           reader.unsigned_number("late_events"), {}};
    if (!is_storable(head.computed_at))
        reader.refuse("computed_at");
    if (!reader.good())
        return fail(Errc::corrupt_data, "saved window " + window.file() + ": member '" +
                                            std::string(reader.first_bad()) +
                                            "' is missing or wrong; delete the file to have it built again");
    return head;
}

} // namespace memfs_cache
