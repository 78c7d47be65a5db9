// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/saved_question.hpp>

#include <utility>

namespace memfs_cache {
namespace {

auto question_text(Log_Paths const& paths,
                   Local_Window const& window,
                   std::string_view time_zone,
                   std::string_view filter) -> std::string {
    std::string out(R"({"namespace":")");
    out.append(paths.namespace_name()).append(R"(","window_type":")").append(to_text(window.type()));
    out.append(R"(","window_start":)").append(std::to_string(to_millis(window.start())));
    out.append(R"(,"window_end":)").append(std::to_string(to_millis(window.end())));
    if (!time_zone.empty())
        out.append(R"(,"time_zone":")").append(time_zone).append("\"");
    return out.append(R"(,"filter":)").append(filter).append("}");
}

auto key_of(Log_Paths const& paths, std::string const& question) -> Storage_Key {
    auto const hash = Cache_Hash().from_string("query:" + question).value();
    return paths.under("queries/" + hash.substr(0, 2) + "/" + hash.substr(2, 2) + "/" + hash + ".json");
}

constexpr std::string_view before_state = ".state-";

/// How the keys of the states of an answer begin.
auto states_of(std::string_view answer) -> std::string {
    return std::string(answer.substr(0, answer.rfind('.'))).append(before_state);
}

} // namespace

Saved_Question::Saved_Question(Log_Paths const& paths,
                               Local_Window const& window,
                               std::string_view time_zone,
                               std::string_view filter)
    : question_(question_text(paths, window, time_zone, filter)), key_(key_of(paths, question_)) {}

auto Saved_Question::beginning(std::uint64_t version) const -> std::string {
    return std::string(R"({"v":)").append(std::to_string(version)).append(R"(,"question":)").append(question_) + ',';
}

auto Saved_Question::states() const -> std::string {
    auto const name = states_of(key_.str());
    return name.substr(name.rfind('/') + 1);
}

auto Saved_Question::opening(std::uint64_t version, Saved_Answer_Head const& head) const -> std::string {
    auto out = beginning(version);
    out.append(R"("final":true,"revision":)");
    append_json_number(out, head.revision);
    out.append(R"(,"computed_at":)");
    append_json_number(out, to_millis(head.computed_at));
    out.append(R"(,"late_events":)");
    append_json_number(out, head.late_events);
    return out += ',';
}

auto Saved_Question::texts(Saved_Answer_Head const& head, std::string_view answer, std::string_view state) const
    -> Saved_Texts {
    return saved_texts(opening(2, head), answer, std::string(R"({"v":2,)").append(state).append("}"), states());
}

auto Saved_Question::read(std::string_view object, std::uint64_t newest_version) const
    -> Result<std::optional<Saved_Answer_View>> {
    Saved_Answer_View found;
    std::optional<std::uint64_t> revision, late_events;
    std::optional<std::int64_t> computed_at;
    Json_Scanner scanner(object);
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.name == "v")
            found.version = parse_decimal(member.text).value_or(0);
        else if (member.name == "revision")
            revision = parse_decimal(member.text);
        else if (member.name == "computed_at")
            computed_at = parse_json_integer(member.text);
        else if (member.name == "late_events")
            late_events = parse_decimal(member.text);
        else if (member.name == "state" && member.kind == Json_Scanner::Kind::nested)
            found.state = member.text;
        else if (member.name == "state_file")
            found.state_file = member.text;
    }
    if (!scanner.good())
        return std::optional<Saved_Answer_View>();
    found.is_of_another = !object.starts_with(beginning(1)) && !object.starts_with(beginning(2));
    if (found.is_of_another)
        return std::optional(found);
    bool const has_state = found.version == 1 || found.state.empty() != found.state_file.empty();
    bool const is_state_file = found.state_file.empty() || names_state(found.state_file, states());
    std::string_view const wrong = found.version == 0 || found.version > newest_version      ? "v"
                                   : !revision                                               ? "revision"
                                   : !computed_at || !is_storable(from_millis(*computed_at)) ? "computed_at"
                                   : !late_events                                            ? "late_events"
                                   : !has_state                                              ? "state"
                                   : !is_state_file                                          ? "state_file"
                                                                                             : "";
    if (!wrong.empty())
        return fail(Errc::corrupt_data, key_.str() + ": member '" + std::string(wrong) +
                                            "' is missing or wrong; delete the file to have it built again");
    found.head = {*revision, from_millis(*computed_at), *late_events};
    if (found.version == 1)
        found.state = object;
    return std::optional(found);
}

auto end_of_saved_answer(std::string_view text) -> std::optional<Utc_Time> {
    Json_Scanner scanner(text);
    Json_Scanner::Member member;
    while (scanner.next_or_enter(member) && member.name != "question")
        if (member.kind == Json_Scanner::Kind::nested && !scanner.skip(member))
            return std::nullopt;
    if (member.name != "question" || member.kind != Json_Scanner::Kind::nested)
        return std::nullopt;
    auto question = scanner.enter();
    while (question.next(member))
        if (member.name == "window_end")
            if (auto const millis = parse_json_integer(member.text); millis && is_storable(from_millis(*millis)))
                return from_millis(*millis);
    return std::nullopt;
}

auto answer_of_state(std::string_view key) -> std::optional<std::string> {
    auto answer = std::string(key.substr(0, key.rfind(before_state))).append(".json");
    return names_state(key, states_of(answer)) ? std::optional(std::move(answer)) : std::nullopt;
}

} // namespace memfs_cache
