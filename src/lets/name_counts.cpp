// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_count.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/lets/name_counts.hpp>

#include <algorithm>
#include <functional>

namespace memfs_cache {
namespace {

/// Of a name: not keyed, since names are stored as they are, and the same in every process.
auto hash_of(std::string_view name) noexcept -> std::uint64_t { return siphash24(Sip_Key{}, name); }

/// Calls use(name, count) for each member of an object of names.
/// @return whether it is such an object
template <class Use>
auto for_each_name(std::string_view object, Use&& use) -> bool {
    std::string unescaped;
    Json_Scanner scanner(object);
    for (Json_Scanner::Member member; scanner.next(member);) {
        std::uint64_t times = 0;
        if (!read_count(member, times))
            return false;
        if (member.name.find('\\') != std::string_view::npos) {
            unescaped.clear();
            if (!append_unescaped(unescaped, member.name))
                return false;
            member.name = unescaped;
        }
        use(member.name, times);
    }
    return scanner.good();
}

/// Appends {"name":count,...} in the order of the rows.
template <class Rows>
void append_names(std::string& out, Rows const& rows) {
    out += '{';
    for (auto const& [name, times] : rows) {
        if (out.back() != '{')
            out += ',';
        append_json_string(out, name);
        out += ':';
        append_json_number(out, times);
    }
    out += '}';
}

auto damaged() -> Error { return fail(Errc::corrupt_data, "names with their counts are damaged"); }

} // namespace

auto Name_Ranking::first(std::size_t most_rows) const -> Name_Ranking {
    auto const end = rows.begin() + static_cast<std::ptrdiff_t>(std::min(most_rows, rows.size()));
    Name_Ranking some{Rows(rows.begin(), end), total, other, distinct, distinct_error_ppm, error};
    for (auto row = end; row != rows.end(); ++row)
        add_up(some.other, row->second);
    return some;
}

void Name_Ranking::append_json(std::string& out) const {
    out += R"({"names":)";
    append_names(out, rows);
    out += R"(,"total":)";
    append_json_number(out, total);
    out += R"(,"other":)";
    append_json_number(out, other);
    out += R"(,"distinct":)";
    append_json_number(out, distinct);
    out += R"(,"distinct_error_ppm":)";
    append_json_number(out, distinct_error_ppm);
    out += R"(,"error":)";
    append_json_number(out, error);
    out += '}';
}

auto Name_Ranking::from_json(std::string_view text) -> Result<Name_Ranking> {
    Name_Ranking ranking;
    unsigned found = 0;
    std::uint64_t error_ppm = 0;
    Json_Scanner scanner(text);
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.name == "names") {
            auto const read = for_each_name(member.text, [&](std::string_view name, std::uint64_t times) {
                ranking.rows.emplace_back(name, times);
            });
            if (!read)
                return damaged();
            ++found;
            continue;
        }
        std::uint64_t* const number = member.name == "total"                ? &ranking.total
                                      : member.name == "other"              ? &ranking.other
                                      : member.name == "distinct"           ? &ranking.distinct
                                      : member.name == "distinct_error_ppm" ? &error_ppm
                                      : member.name == "error"              ? &ranking.error
                                                                            : nullptr;
        if (number == nullptr)
            continue;
        if (!read_count(member, *number))
            return damaged();
        ++found;
    }
    ranking.distinct_error_ppm = static_cast<std::uint32_t>(error_ppm);
    constexpr unsigned members = 6;
    if (!scanner.good() || found != members || error_ppm > Distinct_Set::estimate_error_ppm)
        return damaged();
    return ranking;
}

auto Name_Counts::cut(std::string_view name) -> std::string {
    constexpr std::size_t tail_bytes = 17;
    auto kept = longest_name_bytes - tail_bytes;
    constexpr auto is_inside_of_a_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80; };
    for (int most_steps = 3; most_steps > 0 && is_inside_of_a_character(name[kept]); --most_steps)
        --kept;
    return std::string(name.substr(0, kept)).append("~").append(to_hex(hash_of(name)));
}

void Name_Counts::see(std::string_view name) { seen_.add(hash_of(name)); }

void Name_Counts::stop_being_exact() {
    for (auto const& entry : counts_)
        see(entry.first);
}

void Name_Counts::reduce() {
    if (is_exact())
        stop_being_exact();
    std::vector<std::uint64_t> sizes;
    sizes.reserve(counts_.size());
    for (auto const& entry : counts_)
        sizes.push_back(entry.second);
    auto const nth = sizes.begin() + kept_names;
    std::nth_element(sizes.begin(), nth, sizes.end(), std::greater<>());
    for (auto& entry : counts_) {
        auto const taken = std::min(entry.second, *nth);
        entry.second -= taken;
        add_up(dropped_, taken);
    }
    add_up(error_, *nth);
    boost::unordered::erase_if(counts_, [](auto const& entry) { return entry.second == 0; });
}

void Name_Counts::merge(Name_Counts const& other) {
    if (is_exact() && !other.is_exact())
        stop_being_exact();
    seen_.merge(other.seen_);
    add_up(dropped_, other.dropped_);
    add_up(error_, other.error_);
    for (auto const& [name, times] : other.counts_)
        count(name, times);
    // Only now, so that nothing depends on the order in which a table is walked.
    keep_within(exact_names);
}

auto Name_Counts::total() const noexcept -> std::uint64_t {
    auto sum = dropped_;
    for (auto const& entry : counts_)
        add_up(sum, entry.second);
    return sum;
}

auto Name_Counts::of(std::string_view name) const -> std::uint64_t {
    auto const found = name.size() > longest_name_bytes ? counts_.find(cut(name)) : counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
}

auto Name_Counts::top(std::size_t most) const -> std::vector<Row> {
    constexpr auto larger = [](Row const& a, Row const& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    };
    // A heap whose first is the least of those kept. Most names are of one look at a count and go.
    std::vector<Row> rows;
    if (most == 0)
        return rows;
    rows.reserve(std::min(most, counts_.size()));
    for (auto const& [name, times] : counts_) {
        Row const row(name, times);
        if (rows.size() == most) {
            if (!larger(row, rows.front()))
                continue;
            std::pop_heap(rows.begin(), rows.end(), larger);
            rows.pop_back();
        }
        rows.push_back(row);
        std::push_heap(rows.begin(), rows.end(), larger);
    }
    std::sort_heap(rows.begin(), rows.end(), larger);
    return rows;
}

auto Name_Counts::ranking(std::size_t most, std::size_t most_text_bytes) const -> Name_Ranking {
    Name_Ranking ranking;
    ranking.total = ranking.other = total();
    ranking.distinct = distinct();
    ranking.distinct_error_ppm = seen_.error_ppm();
    ranking.error = error_;
    std::string text;
    for (auto const& [name, times] : top(most)) {
        append_json_string(text, name);
        append_json_number(text, times);
        text += ":,";
        if (text.size() > most_text_bytes)
            break;
        ranking.rows.emplace_back(name, times);
        ranking.other -= std::min(ranking.other, times); // more than a sum that could not grow any more
    }
    return ranking;
}

void Name_Counts::append_json(std::string& out) const {
    std::vector<Row> rows(counts_.begin(), counts_.end());
    std::sort(rows.begin(), rows.end());
    if (is_exact()) {
        append_names(out, rows);
        return;
    }
    out += R"({"names":)";
    append_names(out, rows);
    out += R"(,"dropped":)";
    append_json_number(out, dropped_);
    out += R"(,"error":)";
    append_json_number(out, error_);
    out.append(R"(,"seen":")").append(seen_.to_text()).append("\"}");
}

auto Name_Counts::count_members(std::string_view object) -> Result<void> {
    auto const read = for_each_name(object, [&](std::string_view name, std::uint64_t times) { count(name, times); });
    if (!read)
        return damaged();
    keep_within(exact_names);
    return {};
}

auto Name_Counts::merge_json(std::string_view text) -> Result<void> {
    Json_Scanner scanner(text);
    Json_Scanner::Member member;
    if (!scanner.next(member) || member.kind != Json_Scanner::Kind::nested)
        return count_members(text);
    auto const names = member.text;
    bool good = member.name == "names";
    std::uint64_t dropped = 0, error = 0;
    std::string_view seen;
    while (scanner.next(member)) {
        if (member.name == "dropped")
            good = good && read_count(member, dropped);
        else if (member.name == "error")
            good = good && read_count(member, error);
        else if (member.name == "seen")
            seen = member.text;
    }
    // What was taken from one name was taken from 4,097 of them.
    if (!good || !scanner.good() || error == 0 || dropped / (kept_names + 1) < error)
        return damaged();
    if (is_exact())
        stop_being_exact();
    if (auto const merged = seen_.merge_text(seen); !merged)
        return merged;
    if (seen_.is_exact())
        return damaged();
    add_up(dropped_, dropped);
    add_up(error_, error);
    return count_members(names);
}

auto Name_Counts::from_json(boost::json::object const& object) -> Result<Name_Counts> {
    Name_Counts counts;
    if (auto const merged = counts.merge_json(json_text(object)); !merged)
        return merged.error();
    return counts;
}

} // namespace memfs_cache
