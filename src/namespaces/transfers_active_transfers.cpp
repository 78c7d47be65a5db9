// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/transfers/active_transfers.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <tuple>

namespace memfs_cache {

void Recent_Transfers::add(Analytics_Record const& event, Raw_Event const&) {
    auto const act = act_of(event);
    if (!act)
        return;
    auto const [at, is_new] = places_.try_emplace(std::string(event.transfer_id), ids_.size());
    if (is_new)
        ids_.push_back(at->first);
    seen_.push_back({event.timestamp, event.content_bytes, at->second, *act});
}

void Recent_Transfers::count(Utc_Time from, Count& into) const {
    std::vector<Active_Transfers::Row> rows(ids_.size());
    for (auto const& event : seen_) {
        if (event.time <= from || event.time > now_)
            continue;
        auto& row = rows[event.transfer];
        row.last_at = row.events == 0 ? event.time : std::max(row.last_at, event.time);
        row.count(event.act, event.bytes);
    }
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i].events > 0)
            into.add(ids_[i], rows[i]);
}

void Recent_Transfers::Count::add(std::string const& transfer_id, Active_Transfers::Row const& row) {
    auto& known = rows_[transfer_id];
    known.last_at = known.events == 0 ? row.last_at : std::max(known.last_at, row.last_at);
    static_cast<Transfer_Sums&>(known).add(row);
}

auto Recent_Transfers::Count::answer(Utc_Time now, int window_minutes) const -> Active_Transfers {
    Active_Transfers answer;
    answer.computed_at = now;
    answer.window_minutes = window_minutes;
    answer.active_transfers = rows_.size();
    for (auto const& [transfer_id, row] : rows_) {
        answer.total.add(row);
        answer.transfers.push_back(row);
        answer.transfers.back().transfer_id = transfer_id;
    }
    auto const end = answer.transfers.begin() +
                     static_cast<std::ptrdiff_t>(std::min(answer.transfers.size(), Active_Transfers::most_transfers));
    std::partial_sort(answer.transfers.begin(), end, answer.transfers.end(), [](auto const& a, auto const& b) {
        return std::tuple(b.events, b.last_at, std::string_view(a.transfer_id)) <
               std::tuple(a.events, a.last_at, std::string_view(b.transfer_id));
    });
    answer.transfers.erase(end, answer.transfers.end());
    answer.other = answer.total;
    for (auto const& row : answer.transfers)
        answer.other.subtract(row);
    return answer;
}

auto Active_Transfers::to_json() const -> boost::json::object {
    boost::json::array rows;
    for (auto const& row : transfers) {
        boost::json::object shown{{"transfer_id", row.transfer_id}};
        for (auto& [name, value] : row.Transfer_Sums::to_json())
            shown.emplace(name, std::move(value));
        shown["last_activity_at"] = to_millis(row.last_at);
        rows.push_back(std::move(shown));
    }
    return {{"computed_at", to_millis(computed_at)}, {"window_minutes", window_minutes}, {"total_events", total.events},
            {"active_transfers", active_transfers},  {"transfers", std::move(rows)},     {"other", other.to_json()}};
}

auto Active_Transfers::to_file() const -> std::string {
    boost::json::object file{{"v", 1}, {"nonce", random_hex(8)}};
    for (auto& [name, value] : to_json())
        file.emplace(name, std::move(value));
    return json_text(file);
}

auto Active_Transfers::time_of_file(std::string_view text) -> std::optional<Utc_Time> {
    auto const object = parse_object(text, "active transfers");
    if (!object)
        return std::nullopt;
    Member_Reader reader(*object);
    auto const time = from_millis(reader.signed_number("computed_at"));
    return reader.good() ? std::optional(time) : std::nullopt;
}

} // namespace memfs_cache
