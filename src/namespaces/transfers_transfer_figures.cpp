// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/namespaces/transfers/transfer_figures.hpp>

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

struct Sum {
    std::string_view name;
    std::uint64_t Transfer_Sums::*value;
};
constexpr std::array sums{Sum{"events", &Transfer_Sums::events},       Sum{"views", &Transfer_Sums::views},
                          Sum{"downloads", &Transfer_Sums::downloads}, Sum{"uploads", &Transfer_Sums::uploads},
                          Sum{"created", &Transfer_Sums::created},     Sum{"bytes", &Transfer_Sums::bytes}};

/// The times that are known only of some transfers.
struct Moment {
    std::string_view name;
    std::optional<Utc_Time> Transfer_Figures::*value;
    bool is_latest = false; ///< of two the later one holds, else the earlier one
};
constexpr std::array moments{Moment{"created_at", &Transfer_Figures::created_at},
                             Moment{"first_download_at", &Transfer_Figures::first_download_at},
                             Moment{"last_download_at", &Transfer_Figures::last_download_at, true}};

void widen(std::optional<Utc_Time>& known, Utc_Time time, bool is_latest) {
    if (!known || (is_latest ? *known < time : time < *known))
        known = time;
}

auto hour_of(Utc_Time time) -> std::size_t { return static_cast<std::size_t>(to_civil(time).hour); }

} // namespace

void Transfer_Sums::count(Transfer_Act act, std::uint64_t content_bytes) noexcept {
    ++events;
    add_up(bytes, content_bytes);
    switch (act) {
    case Transfer_Act::created:
        ++created;
        break;
    case Transfer_Act::upload_completed:
        ++uploads;
        break;
    case Transfer_Act::viewed:
        ++views;
        break;
    case Transfer_Act::downloaded:
        ++downloads;
        break;
    }
}

void Transfer_Sums::add(Transfer_Sums const& other) noexcept {
    for (auto const& sum : sums)
        add_up(this->*sum.value, other.*sum.value);
}

void Transfer_Sums::subtract(Transfer_Sums const& part) noexcept {
    for (auto const& sum : sums) // more than a sum that could not grow any more
        this->*sum.value -= std::min(this->*sum.value, part.*sum.value);
}

void Transfer_Sums::append_members(std::string& out) const {
    for (auto const& sum : sums) {
        out.append(&sum == sums.data() ? "\"" : ",\"").append(sum.name).append("\":");
        append_json_number(out, this->*sum.value);
    }
}

auto Transfer_Sums::read(boost::json::object const& object) -> bool {
    Member_Reader reader(object);
    for (auto const& sum : sums)
        this->*sum.value = reader.unsigned_number(sum.name);
    return reader.good();
}

auto Transfer_Sums::to_json() const -> boost::json::object {
    boost::json::object object;
    for (auto const& sum : sums)
        object.emplace(sum.name, this->*sum.value);
    return object;
}

void Transfer_Figures::add(Analytics_Record const& event, Transfer_Act act) {
    auto const time = event.timestamp;
    first_at = events == 0 ? time : std::min(first_at, time);
    last_at = events == 0 ? time : std::max(last_at, time);
    Transfer_Sums::count(act, event.content_bytes);
    ++active_hours[hour_of(time)];
    if (act == Transfer_Act::created)
        widen(created_at, time, false);
    if (act == Transfer_Act::downloaded) {
        widen(first_download_at, time, false);
        widen(last_download_at, time, true);
        if (auto const country = country_of(event); !country.empty())
            ++countries.try_emplace(std::string(country)).first->second;
        if (auto const visitor = event.visitor(); visitor != 0)
            downloaders.add(visitor);
    }
    keep_recent(Transfer_Event::of(event, act));
}

void Transfer_Figures::merge(Transfer_Figures const& other) {
    if (other.events == 0)
        return;
    first_at = events == 0 ? other.first_at : std::min(first_at, other.first_at);
    last_at = events == 0 ? other.last_at : std::max(last_at, other.last_at);
    Transfer_Sums::add(other);
    for (auto const& moment : moments)
        if (auto const& time = other.*moment.value)
            widen(this->*moment.value, *time, moment.is_latest);
    for (std::size_t hour = 0; hour < active_hours.size(); ++hour)
        add_up(active_hours[hour], other.active_hours[hour]);
    for (auto const& [country, times] : other.countries)
        add_up(countries[country], times);
    downloaders.merge(other.downloaders);
    add_up(set_off, other.set_off);
    for (auto const& event : other.recent)
        keep_recent(event);
}

void Transfer_Figures::keep_recent(Transfer_Event event) {
    if (recent.size() == most_recent) {
        if (!(recent.back() < event))
            return;
        recent.pop_back();
    }
    recent.insert(std::upper_bound(recent.begin(), recent.end(), event, std::greater<>()), std::move(event));
}

auto Transfer_Figures::text_bytes() const noexcept -> std::size_t {
    constexpr std::size_t fixed = 320, row = 80, country = 10, hash = 16;
    auto const hashes = downloaders.is_exact() ? downloaders.count() * hash : Distinct_Set::register_count;
    return fixed + hashes + recent.size() * row + countries.size() * country;
}

void Transfer_Figures::append_json(std::string& out) const {
    out += '{';
    append_members(out);
    auto const number = [&out](std::string_view name, auto value) {
        out.append(",\"").append(name).append("\":");
        append_json_number(out, value);
    };
    if (set_off > 0)
        number("set_off", set_off);
    number("first_at", to_millis(first_at));
    number("last_at", to_millis(last_at));
    for (auto const& moment : moments)
        if (auto const& time = this->*moment.value)
            number(moment.name, to_millis(*time));
    out += R"(,"active_hours":)";
    for (std::size_t hour = 0; hour < active_hours.size(); ++hour) {
        out += hour == 0 ? '[' : ',';
        append_json_number(out, active_hours[hour]);
    }
    out += R"(],"countries":{)";
    bool first = true;
    for (auto const& [country, times] : countries) {
        if (!std::exchange(first, false))
            out += ',';
        append_json_string(out, country);
        out += ':';
        append_json_number(out, times);
    }
    out.append(R"(},"downloaders":")").append(downloaders.to_text()).append(R"(","recent":[)");
    for (auto const& event : recent) {
        if (&event != recent.data())
            out += ',';
        event.append_row(out);
    }
    out += "]}";
}

auto Transfer_Figures::from_json(std::string_view text) -> Result<Transfer_Figures> {
    auto const object = parse_object(text, "what is known of a transfer");
    if (!object)
        return object.error();
    Transfer_Figures figures;
    Member_Reader reader(*object);
    if (!figures.read(*object))
        reader.refuse("events");
    auto const time = [&](std::string_view name) {
        auto const at = from_millis(reader.signed_number(name));
        if (!is_storable(at))
            reader.refuse(name);
        return at;
    };
    if (object->contains("set_off"))
        figures.set_off = reader.unsigned_number("set_off");
    figures.first_at = time("first_at");
    figures.last_at = time("last_at");
    for (auto const& moment : moments)
        if (object->contains(moment.name))
            figures.*moment.value = time(moment.name);
    auto const count = [&](boost::json::value const& value, std::string_view name) {
        boost::system::error_code error;
        auto const number = value.to_number<std::uint64_t>(error);
        if (error)
            reader.refuse(name);
        return number;
    };
    auto const& hours = reader.array("active_hours");
    if (hours.size() != figures.active_hours.size())
        reader.refuse("active_hours");
    for (std::size_t hour = 0; hour < std::min(hours.size(), figures.active_hours.size()); ++hour)
        figures.active_hours[hour] = count(hours[hour], "active_hours");
    for (auto const& [country, times] : reader.object("countries"))
        figures.countries[std::string(country)] = count(times, "countries");
    if (!figures.downloaders.merge_text(reader.text("downloaders")))
        reader.refuse("downloaders");
    auto const& rows = reader.array("recent");
    if (rows.size() > most_recent)
        reader.refuse("recent");
    for (auto const& row : rows) {
        auto event = Transfer_Event::from_row(row);
        if (!event) {
            reader.refuse("recent");
            break;
        }
        figures.recent.push_back(*std::move(event));
    }
    if (!reader.good() || figures.events == 0)
        return fail(Errc::corrupt_data, "what is known of a transfer: member '" +
                                            std::string(reader.good() ? "events" : reader.first_bad()) + "' is wrong");
    return figures;
}

} // namespace memfs_cache
