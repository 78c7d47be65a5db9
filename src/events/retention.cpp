// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/events/retention.hpp>

#include <boost/json/array.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

void append_member(std::string& out, std::string_view mark, Utc_Time time) {
    out.append(mark);
    append_json_number(out, to_millis(time));
}

auto time_in(Member_Reader& reader, std::string_view name) -> Utc_Time {
    auto const time = from_millis(reader.signed_number(name));
    if (!is_storable(time))
        reader.refuse(name);
    return time;
}

auto half_hour_text(unsigned index) -> std::string {
    std::string text;
    append_padded(text, index / 2, 2);
    return text.append(index % 2 == 0 ? ":00" : ":30");
}
/// A member that holds names, unless there are none.
template <class Names>
void append_names(std::string& out, std::string_view mark, Names const& names) {
    if (names.empty())
        return;
    out.append(mark);
    for (auto const& name : names) {
        if (out.back() != '[')
            out += ',';
        append_json_string(out, name);
    }
    out += ']';
}
template <class Names>
void read_names(Member_Reader& reader, boost::json::object const& object, std::string_view member, Names& names) {
    if (!object.contains(member))
        return;
    for (auto const& name : reader.array(member)) {
        if (!name.is_string())
            reader.refuse(member);
        else
            names.emplace(name.get_string());
    }
}
auto half_hour_index(std::string_view text) -> std::optional<unsigned> {
    for (unsigned index = 0; index < Base_Window::per_day; ++index)
        if (half_hour_text(index) == text)
            return index;
    return std::nullopt;
}

} // namespace

auto Retention_Policy::validate() const -> Result<void> {
    constexpr int most_days = 100'000;
    if (raw_days < 0 || raw_days > most_days)
        return fail(Errc::invalid_argument, "retention_raw_days: give 0 (for ever) to 100000");
    if (windows_days < 0 || windows_days > most_days)
        return fail(Errc::invalid_argument, "retention_windows_days: give 0 (for ever) to 100000");
    return {};
}

void Purged_Window::merge(Purged_Window const& later) {
    files.insert(later.files.begin(), later.files.end());
    for (auto const& [writer, position] : later.positions) {
        auto& known = positions[writer];
        known = std::max(known, position);
    }
    if (!later.files.empty() || !later.positions.empty())
        std::erase_if(nothing_for, [&](auto const& view) { return !later.nothing_for.contains(view); });
}

auto Purge_Mark::to_json() const -> std::string {
    std::string out = R"({"v":1,"nonce":")" + random_hex(8) + R"(","windows":{)";
    for (auto const& [index, window] : windows) {
        if (out.back() != '{')
            out += ',';
        out.append("\"").append(half_hour_text(index)).append("\":{");
        append_member(out, R"("at":)", window.at);
        append_names(out, R"(,"files":[)", window.files);
        if (!window.positions.empty()) {
            out.append(R"(,"positions":{)");
            for (auto const& [writer, position] : window.positions) {
                if (out.back() != '{')
                    out += ',';
                append_json_string(out, writer);
                out += ':';
                append_json_number(out, position);
            }
            out += '}';
        }
        append_names(out, R"(,"nothing_for":[)", window.nothing_for);
        out += '}';
    }
    return out.append("}}");
}

auto Purge_Mark::from_json(std::string_view text) -> Result<Purge_Mark> {
    auto const object = parse_object(text, "purge mark");
    if (!object)
        return object.error();
    Purge_Mark mark;
    Member_Reader reader(*object);
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    for (auto const& [key, value] : reader.object("windows")) {
        auto const index = half_hour_index(std::string_view(key.data(), key.size()));
        if (!index || !value.is_object()) {
            reader.refuse("windows");
            break;
        }
        Member_Reader of(value.get_object());
        auto const& members = value.get_object();
        Purged_Window window{time_in(of, "at")};
        read_names(of, members, "files", window.files);
        if (members.contains("positions"))
            for (auto const& [writer, position] : of.object("positions")) {
                boost::system::error_code error;
                auto const number = position.to_number<std::uint64_t>(error);
                if (error)
                    of.refuse("positions");
                window.positions[std::string(writer)] = number;
            }
        read_names(of, members, "nothing_for", window.nothing_for);
        if (!of.good())
            reader.refuse("windows");
        mark.windows.emplace(*index, std::move(window));
    }
    if (!reader.good())
        return fail(Errc::corrupt_data,
                    "purge mark: member '" + std::string(reader.first_bad()) + "' is missing or wrong");
    return mark;
}

auto Hold::validate() const -> Result<void> {
    auto const is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    if (name.empty() || name.size() > 128 || !std::all_of(name.begin(), name.end(), is_plain) || name[0] == '_' ||
        name[0] == '-')
        return fail(Errc::invalid_argument, "name: give a-z, 0-9, _ and -, at most 128, the first a letter or digit");
    if (reason.empty() || reason.size() > 1000)
        return fail(Errc::invalid_argument, "reason: say why, in at most 1000 bytes");
    if (from >= until || from < earliest_time || until > latest_time)
        return fail(Errc::invalid_argument, "range: it has to end after it begins");
    return {};
}

auto Hold::to_json() const -> std::string {
    std::string out = R"({"v":1,"nonce":")" + random_hex(8) + R"(","reason":)";
    append_json_string(out, reason);
    append_member(out, R"(,"from":)", from);
    append_member(out, R"(,"until":)", until);
    append_member(out, R"(,"at":)", at);
    return out.append("}");
}

auto Hold::to_object() const -> boost::json::object {
    return {{"name", name},
            {"reason", reason},
            {"from", to_millis(from)},
            {"until", to_millis(until)},
            {"at", to_millis(at)}};
}

auto Hold::from_json(std::string_view name, std::string_view text) -> Result<Hold> {
    auto const object = parse_object(text, "hold");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    Hold hold{std::string(name), std::string(reader.text("reason")), time_in(reader, "from"), time_in(reader, "until"),
              time_in(reader, "at")};
    if (!reader.good())
        return fail(Errc::corrupt_data, "hold: member '" + std::string(reader.first_bad()) + "' is missing or wrong");
    return hold;
}

auto receipts_text(std::vector<Receipt> const& receipts) -> std::string {
    std::string out = R"({"v":1,"nonce":")" + random_hex(8) + R"(","received":[)";
    for (auto const& receipt : receipts) {
        append_member(out, out.back() == '[' ? R"({"at":)" : R"(,{"at":)", receipt.at);
        append_member(out, R"(,"from":)", receipt.from);
        append_member(out, R"(,"until":)", receipt.until);
        out += '}';
    }
    return out.append("]}");
}

auto parse_receipts(std::string_view text) -> Result<std::vector<Receipt>> {
    auto const object = parse_object(text, "receipts");
    if (!object)
        return object.error();
    std::vector<Receipt> receipts;
    Member_Reader reader(*object);
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    for (auto const& item : reader.array("received")) {
        if (!item.is_object()) {
            reader.refuse("received");
            break;
        }
        Member_Reader of(item.get_object());
        receipts.push_back({time_in(of, "at"), time_in(of, "from"), time_in(of, "until")});
        if (!of.good())
            reader.refuse("received");
    }
    if (!reader.good())
        return fail(Errc::corrupt_data,
                    "receipts: member '" + std::string(reader.first_bad()) + "' is missing or wrong");
    return receipts;
}

} // namespace memfs_cache
