// SPDX-License-Identifier: Apache-2.0
// The text forms of a log's small objects: settings, ledger, late marks, manifests.
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/events/late_marks.hpp>
#include <memfs_cache/events/ledger.hpp>
#include <memfs_cache/events/log_settings.hpp>
#include <memfs_cache/events/manifest.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <signal.h>
#include <unistd.h>

namespace memfs_cache {
namespace {

/// "14:30" of a half-hour's place in its day.
auto clock_text(unsigned index) -> std::string {
    std::string out;
    append_padded(out, index / 2, 2);
    out.append(index % 2 == 0 ? ":00" : ":30");
    return out;
}

auto parse_clock(std::string_view text) -> std::optional<unsigned> {
    if (text.size() != 5 || text[2] != ':')
        return std::nullopt;
    auto const hour = parse_decimal(text.substr(0, 2));
    auto const minute = text.substr(3);
    if (!hour || *hour > 23 || (minute != "00" && minute != "30"))
        return std::nullopt;
    return static_cast<unsigned>(*hour * 2 + (minute == "30" ? 1 : 0));
}

auto known_version(Member_Reader& reader) -> bool { return reader.unsigned_number("v") == 1; }

auto damaged(std::string_view what, Member_Reader const& reader) -> Error {
    return fail(Errc::corrupt_data, std::string(what) + ": member '" + std::string(reader.first_bad()) +
                                        "' is missing or not of this version");
}

struct Process_Status {
    std::uint64_t started = 0; ///< in the system's clock ticks; 0 if the system does not tell
    bool ended = false;        ///< runs no more, though its parent has not asked yet how it ended
};

auto process_status(std::int64_t pid) -> Process_Status {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string const text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    // The second field is the program's name in brackets and may hold anything, so fields are counted behind it: the
    // third is the state, the 22nd the start time.
    auto const bracket = text.rfind(')');
    if (bracket == std::string::npos || bracket + 2 >= text.size())
        return {};
    auto rest = std::string_view(text).substr(bracket + 2);
    bool const ended = rest.front() == 'Z' || rest.front() == 'X';
    for (int field = 3; field < 22; ++field)
        rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
    return {parse_decimal(rest.substr(0, rest.find(' '))).value_or(0), ended};
}

auto host_hash() -> std::string {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0)
        return "unknown";
    return to_hex(siphash24(Sip_Key{}, std::string_view(name.data())));
}

} // namespace

auto Log_Settings::to_json() const -> std::string {
    return R"({"v":1,"base_minutes":30,"grace_ms":)" + std::to_string(grace.count()) + R"(,"salt_period":")" +
           salt_period + "\"}";
}

auto Log_Settings::first_invalid() const -> std::string_view {
    if (grace < std::chrono::milliseconds(0) || grace > longest_grace)
        return "grace_ms";
    if (salt_period != "day" && salt_period != "week" && salt_period != "month")
        return "salt_period";
    return {};
}

auto Log_Settings::from_json(std::string_view text) -> Result<Log_Settings> {
    auto const object = parse_object(text, "settings of the log");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Log_Settings settings;
    if (!known_version(reader))
        reader.refuse("v");
    if (reader.unsigned_number("base_minutes") != 30)
        reader.refuse("base_minutes");
    settings.grace = std::chrono::milliseconds(reader.signed_number("grace_ms"));
    settings.salt_period = reader.text("salt_period");
    if (auto const bad = settings.first_invalid(); !bad.empty())
        reader.refuse(bad);
    if (!reader.good())
        return damaged("settings of the log", reader);
    return settings;
}

auto Log_Settings_Wish::validate() const -> Result<void> {
    auto const bad = or_default().first_invalid();
    if (bad == "grace_ms")
        return fail(Errc::invalid_argument,
                    "grace_ms: give 0 to " + std::to_string(longest_grace.count()) + " milliseconds (31 days)");
    if (!bad.empty())
        return fail(Errc::invalid_argument, std::string(bad) + ": give day, week or month");
    return {};
}

auto Log_Settings_Wish::check(Log_Settings const& stored) const -> Result<void> {
    auto const refuse = [](char const* option, std::string const& asked, std::string const& has) {
        return fail(Errc::invalid_argument, std::string(option) + ": " + asked +
                                                " was asked for, but this store was begun with " + has +
                                                "; leave the option out, or use " + has);
    };
    if (grace && *grace != stored.grace)
        return refuse("grace_ms", std::to_string(grace->count()), std::to_string(stored.grace.count()));
    if (salt_period && *salt_period != stored.salt_period)
        return refuse("salt_period", *salt_period, stored.salt_period);
    return {};
}

auto ledger_text(Utc_Time closed_until) -> std::string {
    return R"({"v":1,"nonce":")" + random_hex(8) + R"(","closed_until":)" + std::to_string(to_millis(closed_until)) +
           "}";
}

auto parse_ledger(std::string_view text) -> Result<Utc_Time> {
    auto const object = parse_object(text, "ledger");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    if (!known_version(reader))
        reader.refuse("v");
    auto const closed_until = from_millis(reader.signed_number("closed_until"));
    if (!is_storable(closed_until))
        reader.refuse("closed_until");
    if (!reader.good())
        return damaged("ledger", reader);
    return closed_until;
}

auto Late_Mark_Name::text() const -> std::string {
    auto out = date_text(day, '/');
    out.append("__").append(std::string(12, '0'));
    write_hex(out.data() + out.size() - 12, bits, 12);
    return out.append("__").append(writer).append("-").append(serial).append(".json");
}

auto Late_Mark_Name::parse(std::string_view name) -> std::optional<Late_Mark_Name> {
    // 2026/02/13__00000c000000__0123456789abcdef-3.json
    if (name.size() < 49 || name.substr(name.size() - 5) != ".json")
        return std::nullopt;
    if (name[4] != '/' || name[7] != '/' || name.substr(10, 2) != "__" || name.substr(24, 2) != "__" || name[42] != '-')
        return std::nullopt;
    auto const year = parse_decimal(name.substr(0, 4));
    auto const month = parse_decimal(name.substr(5, 2));
    auto const day = parse_decimal(name.substr(8, 2));
    auto const bits = parse_hex(name.substr(12, 12));
    if (!year || !month || !day || !bits || !parse_hex(name.substr(26, 16)))
        return std::nullopt;
    auto const midnight =
        day_from_civil(static_cast<int>(*year), static_cast<unsigned>(*month), static_cast<unsigned>(*day));
    if (!midnight)
        return std::nullopt;
    return Late_Mark_Name{*midnight, *bits, std::string(name.substr(26, 16)),
                          std::string(name.substr(43, name.size() - 48))};
}

auto Late_Mark_Name::touches(Utc_Time start, Utc_Time end) const noexcept -> bool {
    for (unsigned i = 0; i < Base_Window::per_day; ++i) {
        auto const begin = day + i * Base_Window::length;
        if ((bits >> i & 1) != 0 && begin >= start && begin < end)
            return true;
    }
    return false;
}

auto Late_Mark::to_json() const -> std::string {
    std::string out = R"({"v":1,"at":)" + std::to_string(to_millis(at)) + R"(,"backfill":)" +
                      (backfill ? "true" : "false") + R"(,"windows":{)";
    for (auto const& [index, window] : windows) {
        if (out.back() != '{')
            out += ',';
        out.append("\"").append(clock_text(index)).append(R"(":{"n":)").append(std::to_string(window.landed));
        out.append(R"(,"late":)").append(std::to_string(window.late)).append("}");
    }
    return out.append("}}");
}

auto Late_Mark::from_json(std::string_view text) -> Result<Late_Mark> {
    auto const object = parse_object(text, "late mark");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Late_Mark mark;
    if (!known_version(reader))
        reader.refuse("v");
    mark.at = from_millis(reader.signed_number("at"));
    mark.backfill = reader.flag("backfill");
    for (auto const& member : reader.object("windows")) {
        auto const index = parse_clock({member.key().data(), member.key().size()});
        auto const* counts = member.value().if_object();
        if (!index || counts == nullptr) {
            reader.refuse("windows");
            break;
        }
        Member_Reader window(*counts);
        mark.windows[*index] = {window.unsigned_number("n"), window.unsigned_number("late")};
        if (!window.good())
            reader.refuse("windows");
    }
    if (!reader.good())
        return damaged("late mark", reader);
    return mark;
}

auto Late_Mark::bits() const noexcept -> std::uint64_t {
    std::uint64_t bits = 0;
    for (auto const& entry : windows)
        bits |= std::uint64_t{1} << entry.first;
    return bits;
}

auto marks_of(std::map<Base_Window, std::uint64_t> const& landed, Utc_Time closed_until, Utc_Time at, bool backfill)
    -> std::map<Utc_Time, Late_Mark> {
    std::map<Utc_Time, Late_Mark> days;
    for (auto const& [window, count] : landed) {
        if (count == 0 || window.end() > closed_until)
            continue;
        auto& mark = days[window.day()];
        mark.at = at;
        mark.backfill = backfill;
        mark.windows[window.index_in_day()] = {count, backfill ? 0 : count};
    }
    return days;
}

auto late_mark_prefixes(Utc_Time start, Utc_Time end) -> std::vector<std::string> {
    if (start >= end)
        return {};
    auto const first = date_text(start, '/');
    auto const last = date_text(end - std::chrono::milliseconds(1), '/');
    if (first == last)
        return {first + "__"};
    // Whole years by their folder, everything else by the folders of its months.
    std::vector<std::string> prefixes;
    auto const begin = to_civil(start);
    auto const stop = to_civil(end - std::chrono::milliseconds(1));
    for (int year = begin.year; year <= stop.year; ++year) {
        auto const from = year == begin.year ? begin.month : 1U;
        auto const to = year == stop.year ? stop.month : 12U;
        std::string folder;
        append_padded(folder, static_cast<std::uint64_t>(year), 4);
        folder += '/';
        if (from == 1 && to == 12) {
            prefixes.push_back(folder);
            continue;
        }
        for (auto month = from; month <= to; ++month) {
            auto prefix = folder;
            append_padded(prefix, month, 2);
            prefixes.push_back(prefix + "/");
        }
    }
    return prefixes;
}

auto Process_Identity::current() -> Process_Identity {
    auto const pid = static_cast<std::int64_t>(::getpid());
    return {host_hash(), pid, process_status(pid).started};
}

auto Process_Identity::is_surely_dead() const -> bool {
    if (host != host_hash())
        return false;
    if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH)
        return true;
    auto const now = process_status(pid);
    return now.ended || (now.started != 0 && started != 0 && now.started != started);
}

auto Writer_Manifest::to_json() const -> std::string {
    std::string out = R"({"v":1,"nonce":")" + nonce + R"(","host":")" + process.host + R"(","pid":)" +
                      std::to_string(process.pid) + R"(,"process_started":)" + std::to_string(process.started) +
                      R"(,"started_at":)" + std::to_string(to_millis(started_at)) + R"(,"changed_at":)" +
                      std::to_string(to_millis(changed_at)) + R"(,"open":[)";
    for (auto const window : open) {
        if (out.back() != '[')
            out += ',';
        out.append("\"").append(window.key()).append("\"");
    }
    return out.append("]}");
}

auto Writer_Manifest::from_json(std::string_view text) -> Result<Writer_Manifest> {
    auto const object = parse_object(text, "writer manifest");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Writer_Manifest manifest;
    if (!known_version(reader))
        reader.refuse("v");
    manifest.nonce = reader.text("nonce");
    manifest.process.host = reader.text("host");
    manifest.process.pid = reader.signed_number("pid");
    manifest.process.started = reader.unsigned_number("process_started");
    manifest.started_at = from_millis(reader.signed_number("started_at"));
    manifest.changed_at = from_millis(reader.signed_number("changed_at"));
    for (auto const& value : reader.array("open")) {
        auto const* key = value.if_string();
        auto const window = key == nullptr ? std::nullopt : Base_Window::parse({key->data(), key->size()});
        if (window)
            manifest.open.insert(*window);
        else
            reader.refuse("open");
    }
    if (!reader.good())
        return damaged("writer manifest", reader);
    return manifest;
}

} // namespace memfs_cache
