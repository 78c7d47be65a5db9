// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/namespaces/transfers/transfers_summary.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <utility>

namespace memfs_cache {
namespace {

auto damaged(std::string_view member) -> Error {
    return fail(Errc::corrupt_data, "a window of transfers: member '" + std::string(member) + "' is missing or wrong");
}

/// {"name":{sums}}, without its braces.
void append_sums(std::string& out, std::string_view name, Transfer_Sums const& sums) {
    out.append("\"").append(name).append("\":{");
    sums.append_members(out);
    out += '}';
}

void append_count(std::string& out, std::string_view name, std::uint64_t value) {
    out.append(",\"").append(name).append("\":");
    append_json_number(out, value);
}

auto share(std::uint64_t ppm) -> double { return static_cast<double>(ppm) / 1e6; }

/// What is not set off yet.
auto credit_of(Transfer_Figures const& figures) -> std::uint64_t {
    return figures.events - std::min(figures.events, figures.set_off);
}

} // namespace

// Answers

void Transfers_Answer::Row::append_json(std::string& out) const {
    out += R"({"transfer_id":)";
    append_json_string(out, transfer_id);
    out += ',';
    append_members(out);
    for (auto const& [name, time] : {std::pair{"first_at", first_at}, std::pair{"last_at", last_at}}) {
        out.append(",\"").append(name).append("\":");
        append_json_number(out, to_millis(time));
    }
    append_count(out, "unique_downloaders", unique_downloaders);
    append_count(out, "unique_downloaders_error_ppm", unique_downloaders_error_ppm);
    out += '}';
}

void Transfers_Answer::append_members(std::string& out) const {
    append_sums(out, "total", total);
    append_count(out, "active_transfers", active_transfers);
    append_count(out, "active_transfers_error_ppm", active_transfers_error_ppm);
    out += ',';
    append_sums(out, "other", other);
    append_count(out, "error", error);
    out += R"(,"top_transfers":[)";
    for (auto const& row : transfers) {
        if (&row != transfers.data())
            out += ',';
        row.append_json(out);
    }
    out += ']';
}

auto Transfers_Answer::from_text(std::string_view text) -> Result<Transfers_Answer> {
    auto const object = parse_object(text, "a window of transfers");
    if (!object)
        return object.error();
    Transfers_Answer answer;
    Member_Reader reader(*object);
    for (auto const& [name, sums] : {std::pair{"total", &answer.total}, std::pair{"other", &answer.other}})
        if (!sums->read(reader.object(name)))
            reader.refuse(name);
    answer.active_transfers = reader.unsigned_number("active_transfers");
    answer.active_transfers_error_ppm = reader.unsigned_number("active_transfers_error_ppm");
    answer.error = reader.unsigned_number("error");
    for (auto const& value : reader.array("top_transfers")) {
        auto const* const members = value.if_object();
        if (members == nullptr)
            return damaged("top_transfers");
        Member_Reader of_row(*members);
        Row row;
        row.transfer_id = of_row.text("transfer_id");
        row.first_at = from_millis(of_row.signed_number("first_at"));
        row.last_at = from_millis(of_row.signed_number("last_at"));
        row.unique_downloaders = of_row.unsigned_number("unique_downloaders");
        row.unique_downloaders_error_ppm = of_row.unsigned_number("unique_downloaders_error_ppm");
        if (!row.read(*members) || !of_row.good() || !is_storable(row.first_at) || !is_storable(row.last_at))
            return damaged("top_transfers");
        answer.transfers.push_back(std::move(row));
    }
    if (!reader.good())
        return damaged(reader.first_bad());
    return answer;
}

// The summary

auto Transfers_Summary::of_one(std::string transfer_id) -> Transfers_Summary {
    Transfers_Summary summary;
    summary.only_ = std::move(transfer_id);
    return summary;
}

template <class Change>
void Transfers_Summary::change(std::string_view transfer_id, Change&& change) {
    auto found = transfers_.find(transfer_id);
    if (found == transfers_.end()) {
        found = transfers_.emplace(transfer_id, Transfer_Figures()).first;
        if (!is_exact())
            see(transfer_id);
    } else {
        text_bytes_ -= found->second.text_bytes();
    }
    change(found->second);
    text_bytes_ += found->second.text_bytes();
}

void Transfers_Summary::add(Analytics_Record const& event) {
    auto const act = act_of(event);
    if (!act || !counts(event.transfer_id))
        return;
    change(event.transfer_id, [&](Transfer_Figures& figures) { figures.add(event, *act); });
    keep_within(exact_transfers, most_text_bytes);
}

void Transfers_Summary::merge(Transfers_Summary const& other) {
    if (is_exact() && !other.is_exact())
        stop_being_exact();
    seen_.merge(other.seen_);
    dropped_.add(other.dropped_);
    add_up(error_, other.error_);
    for (auto const& [transfer_id, theirs] : other.transfers_)
        if (counts(transfer_id))
            change(transfer_id, [&more = theirs](Transfer_Figures& figures) { figures.merge(more); });
    keep_within(exact_transfers, most_text_bytes);
}

void Transfers_Summary::settle() {
    if (!is_exact())
        keep_within(kept_transfers, most_text_bytes / 2);
}

void Transfers_Summary::see(std::string_view transfer_id) { seen_.add(siphash24(Sip_Key{}, transfer_id)); }

void Transfers_Summary::stop_being_exact() {
    for (auto const& entry : transfers_)
        see(entry.first);
}

void Transfers_Summary::keep_within(std::size_t most_transfers, std::size_t text_bytes) {
    if (transfers_.size() <= most_transfers && text_bytes_ <= text_bytes)
        return;
    if (is_exact())
        stop_being_exact();
    std::vector<Figures::iterator> all; // most credit first, then by id
    all.reserve(transfers_.size());
    for (auto at = transfers_.begin(); at != transfers_.end(); ++at)
        all.push_back(at);
    std::stable_sort(all.begin(), all.end(),
                     [](auto const& a, auto const& b) { return credit_of(a->second) > credit_of(b->second); });
    std::size_t kept = 0, bytes = 0;
    for (; kept < std::min(all.size(), kept_transfers); ++kept) {
        auto const more = all[kept]->second.text_bytes();
        if (bytes + more > most_text_bytes / 2)
            break;
        bytes += more;
    }
    if (kept < all.size()) {
        // As many events of each that stays as of the largest that goes: so what may be missing of any stays a small part.
        auto const set_off = credit_of(all[kept]->second);
        add_up(error_, set_off);
        for (std::size_t i = 0; i < kept; ++i)
            add_up(all[i]->second.set_off, set_off);
    }
    for (auto i = kept; i < all.size(); ++i) {
        dropped_.add(all[i]->second);
        transfers_.erase(all[i]);
    }
    text_bytes_ = bytes;
}

auto Transfers_Summary::answer() const -> Transfers_Answer {
    // Ids are at most 128 bytes long, so that so many rows never take more than an answer may.
    constexpr std::size_t longest_row = 480;
    static_assert(Transfers_Answer::most_transfers * longest_row + 2048 < most_answer_bytes);
    Transfers_Answer answer;
    answer.total = dropped_;
    for (auto const& [transfer_id, figures] : transfers_)
        answer.total.add(figures);
    answer.other = answer.total;
    answer.active_transfers = is_exact() ? transfers_.size() : seen_.count();
    answer.active_transfers_error_ppm = is_exact() ? 0 : seen_.error_ppm();
    answer.error = error_;
    std::vector<Figures::const_pointer> rows;
    for (auto const& entry : transfers_)
        rows.push_back(&entry);
    auto const end =
        rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), Transfers_Answer::most_transfers));
    std::partial_sort(rows.begin(), end, rows.end(), [](auto const* a, auto const* b) {
        return a->second.events != b->second.events ? a->second.events > b->second.events : a->first < b->first;
    });
    rows.erase(end, rows.end());
    for (auto const* const row : rows) {
        auto const& [transfer_id, figures] = *row;
        answer.other.subtract(figures);
        answer.transfers.push_back({figures, transfer_id, figures.first_at, figures.last_at,
                                    figures.downloaders.count(), figures.downloaders.error_ppm()});
    }
    return answer;
}

void Transfers_Summary::append_members(std::string& out) const {
    out += R"("transfers":{)";
    bool first = true;
    for (auto const& [transfer_id, figures] : transfers_) {
        if (!std::exchange(first, false))
            out += ',';
        append_json_string(out, transfer_id);
        out += ':';
        figures.append_json(out);
    }
    out += '}';
    if (is_exact())
        return;
    out += ',';
    append_sums(out, "dropped", dropped_);
    append_count(out, "error", error_);
    out.append(R"(,"seen":")").append(seen_.to_text()).append("\"");
}

auto Transfers_Summary::merge_text(std::string_view object) -> Result<void> {
    std::string_view transfers, dropped, seen;
    std::optional<std::int64_t> error;
    Json_Scanner scanner(object);
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.name == "transfers" && member.kind == Json_Scanner::Kind::nested)
            transfers = member.text;
        else if (member.name == "dropped" && member.kind == Json_Scanner::Kind::nested)
            dropped = member.text;
        else if (member.name == "error")
            error = parse_json_integer(member.text);
        else if (member.name == "seen")
            seen = member.text;
    }
    if (!scanner.good() || transfers.empty())
        return damaged("transfers");
    if (!dropped.empty()) {
        Transfer_Sums sums;
        auto const members = parse_object(dropped, "dropped");
        if (!members || !sums.read(*members))
            return damaged("dropped");
        if (!error || *error < 1)
            return damaged("error");
        if (is_exact())
            stop_being_exact();
        if (!seen_.merge_text(seen))
            return damaged("seen");
        dropped_.add(sums);
        add_up(error_, static_cast<std::uint64_t>(*error));
    }
    Json_Scanner each(transfers);
    for (Json_Scanner::Member member; each.next(member);) {
        if (!is_transfer_id(member.name))
            return damaged("transfers");
        if (!counts(member.name))
            continue;
        auto const figures = Transfer_Figures::from_json(member.text);
        if (!figures)
            return figures.error();
        change(member.name, [&](Transfer_Figures& known) { known.merge(*figures); });
    }
    if (!each.good())
        return damaged("transfers");
    keep_within(exact_transfers, most_text_bytes);
    return {};
}

// What is shown

auto Transfers_Window::to_json() const -> boost::json::object {
    boost::json::array rows;
    for (auto const& row : answer.transfers) {
        boost::json::object shown{{"transfer_id", row.transfer_id}};
        for (auto& [name, value] : row.to_json())
            shown.emplace(name, std::move(value));
        shown["first_activity_at"] = to_millis(row.first_at);
        shown["last_activity_at"] = to_millis(row.last_at);
        shown["unique_downloaders"] = row.unique_downloaders;
        shown["unique_downloaders_error"] = share(row.unique_downloaders_error_ppm);
        rows.push_back(std::move(shown));
    }
    return {{"window_start", to_millis(window.start())},
            {"window_end", to_millis(window.end())},
            {"window_type", to_text(window.type())},
            {"window_key", window.key()},
            {"recorded", recorded},
            {"final", final},
            {"computed_at", to_millis(computed_at)},
            {"revision", revision},
            {"total_events", answer.total.events},
            {"total_views", answer.total.views},
            {"total_downloads", answer.total.downloads},
            {"total_uploads", answer.total.uploads},
            {"total_created", answer.total.created},
            {"total_bytes", answer.total.bytes},
            {"active_transfers", answer.active_transfers},
            {"active_transfers_error", share(answer.active_transfers_error_ppm)},
            {"transfers", std::move(rows)},
            {"other", answer.other.to_json()},
            {"error", answer.error},
            {"late_events", late_events}};
}

} // namespace memfs_cache
