// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/saved_question.hpp>

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

} // namespace

Saved_Question::Saved_Question(Log_Paths const& paths,
                               Local_Window const& window,
                               std::string_view time_zone,
                               std::string_view filter)
    : opening_(question_text(paths, window, time_zone, filter)), key_(key_of(paths, opening_)) {
    opening_.insert(0, R"({"v":1,"question":)").append(",");
}

void Saved_Answer_Head::append_to(std::string& out) const {
    out.append(R"("final":true,"revision":)");
    append_json_number(out, revision);
    out.append(R"(,"computed_at":)");
    append_json_number(out, to_millis(computed_at));
    out.append(R"(,"late_events":)");
    append_json_number(out, late_events);
    out += ',';
}

auto Saved_Answer_Head::read(boost::json::object const& object, Storage_Key const& key) -> Result<Saved_Answer_Head> {
    Member_Reader reader(object);
    Saved_Answer_Head const head{reader.unsigned_number("revision"), from_millis(reader.signed_number("computed_at")),
                                 reader.unsigned_number("late_events")};
    if (!is_storable(head.computed_at))
        reader.refuse("computed_at");
    if (!reader.good())
        return fail(Errc::corrupt_data, key.str() + ": member '" + std::string(reader.first_bad()) +
                                            "' is missing or wrong; delete the file to have it built again");
    return head;
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

} // namespace memfs_cache
