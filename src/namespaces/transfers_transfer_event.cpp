// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/namespaces/transfers/transfer_event.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace memfs_cache {
namespace {

struct Act_Row {
    Transfer_Act act;
    std::string_view word;
    std::string_view event_type;
};
constexpr std::array act_rows{Act_Row{Transfer_Act::created, "created", "transfer_created"},
                              Act_Row{Transfer_Act::upload_completed, "upload_completed", "file_upload"},
                              Act_Row{Transfer_Act::viewed, "viewed", "transfer_viewed"},
                              Act_Row{Transfer_Act::downloaded, "downloaded", "file_download"}};

auto row_of(Transfer_Act act) noexcept -> Act_Row const& { return act_rows[static_cast<std::size_t>(act)]; }

/// What is shown of a text that somebody else may have made up: nothing unless it is short and plain.
auto plain(std::string_view text, std::size_t most_bytes) -> std::string {
    auto const is_plain = [](char c) { return detail::is_plain_in_json(static_cast<unsigned char>(c)); };
    return std::string(text.size() <= most_bytes && std::all_of(text.begin(), text.end(), is_plain) ? text : "");
}

auto text_of(boost::json::value const& value) -> std::string_view {
    return {value.get_string().data(), value.get_string().size()};
}

} // namespace

auto to_text(Transfer_Act act) noexcept -> std::string_view { return row_of(act).word; }

auto event_type_of(Transfer_Act act) noexcept -> std::string_view { return row_of(act).event_type; }

auto parse_transfer_act(std::string_view text) -> Result<Transfer_Act> {
    for (auto const& row : act_rows)
        if (row.word == text)
            return row.act;
    return fail(Errc::invalid_argument, "event_type: give created, upload_completed, viewed or downloaded");
}

auto act_of(Analytics_Record const& event) noexcept -> std::optional<Transfer_Act> {
    if (!is_transfer_id(event.transfer_id) || event.status_code >= 400)
        return std::nullopt;
    for (auto const& row : act_rows)
        if (row.event_type == event.event_type)
            return row.act;
    return event.event_type == "page_view" ? std::optional(Transfer_Act::viewed) : std::nullopt;
}

auto country_of(Analytics_Record const& event) noexcept -> std::string_view {
    auto const is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
    auto const& country = event.country;
    return country.size() == 2 && std::all_of(country.begin(), country.end(), is_capital) ? country
                                                                                          : std::string_view();
}

auto New_Transfer_Event::as_analytics(std::string_view transfer_id, Transfer_Act act) const -> Analytics_Event {
    Analytics_Event event;
    event.event_type = event_type_of(act);
    event.transfer_id = transfer_id;
    event.timestamp = timestamp;
    event.ip_hash = ip_hash;
    event.country = country;
    event.content_bytes = content_bytes;
    event.token_id = token_id;
    event.path = path;
    event.method = method;
    event.ip = ip;
    event.user_agent = user_agent;
    return event;
}

auto Transfer_Event::of(Analytics_Record const& event, Transfer_Act act) -> Transfer_Event {
    constexpr std::size_t longest_id = 64, shown_of_hash = 8;
    return {event.timestamp,
            plain(event.event_id, longest_id),
            act,
            std::string(country_of(event)),
            plain(event.ip_hash.substr(0, shown_of_hash), shown_of_hash),
            event.content_bytes};
}

auto Transfer_Event::to_json() const -> boost::json::object {
    return {{"timestamp", to_millis(timestamp)},
            {"event_id", event_id},
            {"event_type", to_text(act)},
            {"country", country},
            {"ip_hash", ip_hash},
            {"content_bytes", content_bytes}};
}

void Transfer_Event::append_row(std::string& out) const {
    out += '[';
    append_json_number(out, to_millis(timestamp));
    for (auto const text :
         {std::string_view(event_id), to_text(act), std::string_view(country), std::string_view(ip_hash)}) {
        out += ',';
        append_json_string(out, text);
    }
    out += ',';
    append_json_number(out, content_bytes);
    out += ']';
}

auto Transfer_Event::from_row(boost::json::value const& row) -> Result<Transfer_Event> {
    constexpr std::size_t members = 6;
    auto const damaged = [] { return fail(Errc::corrupt_data, "an event of a transfer is no row of six values"); };
    auto const* const values = row.if_array();
    if (values == nullptr || values->size() != members || !(*values)[0].is_int64() || !(*values)[5].is_number())
        return damaged();
    for (std::size_t i = 1; i < 5; ++i)
        if (!(*values)[i].is_string())
            return damaged();
    auto const act = parse_transfer_act(text_of((*values)[2]));
    boost::system::error_code error;
    auto const bytes = (*values)[5].to_number<std::uint64_t>(error);
    auto const time = from_millis((*values)[0].get_int64());
    if (!act || error || !is_storable(time))
        return damaged();
    return Transfer_Event{time,
                          std::string(text_of((*values)[1])),
                          *act,
                          std::string(text_of((*values)[3])),
                          std::string(text_of((*values)[4])),
                          bytes};
}

} // namespace memfs_cache
