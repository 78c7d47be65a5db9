// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/window.hpp>
#include <memfs_cache/namespaces/costs/cost_entry.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>

namespace memfs_cache {
namespace {

using std::chrono::days;

/// The texts of an entry that may be absent, in the order of the stored form.
struct Text_Member {
    std::string_view name;
    std::string Cost_Entry::*value;
};
constexpr std::array text_members{
    Text_Member{"usage_quantity", &Cost_Entry::usage_quantity},
    Text_Member{"usage_unit", &Cost_Entry::usage_unit},
    Text_Member{"usage_type", &Cost_Entry::usage_type},
    Text_Member{"region", &Cost_Entry::region},
    Text_Member{"account", &Cost_Entry::account},
};

auto identity(Cost_Entry const& entry) {
    return std::tie(entry.service, entry.usage_type, entry.region, entry.account);
}

auto find_same_thing(std::vector<Cost_Entry>& entries, Cost_Entry const& entry) {
    return std::find_if(entries.begin(), entries.end(),
                        [&](Cost_Entry const& other) { return other.is_of_same_thing(entry); });
}

auto sum_of(std::vector<Cost_Entry> const& entries) -> Money_Nanos {
    Money_Nanos sum;
    for (auto const& entry : entries)
        sum += entry.amount;
    return sum;
}

void append_entries(std::string& out, std::vector<Cost_Entry> const& entries) {
    out += '[';
    for (auto const& entry : entries) {
        out += out.back() == '[' ? R"({"service":)" : R"(,{"service":)";
        append_json_string(out, entry.service);
        out += R"(,"amount_nanos":)";
        append_json_number(out, entry.amount.nanos);
        for (auto const& member : text_members) {
            if ((entry.*member.value).empty())
                continue;
            out.append(",\"").append(member.name).append("\":");
            append_json_string(out, entry.*member.value);
        }
        out += '}';
    }
    out += ']';
}

auto read_entries(Member_Reader& day, std::string_view name, Utc_Time date) -> std::vector<Cost_Entry> {
    std::vector<Cost_Entry> entries;
    for (auto const& value : day.array(name)) {
        auto const* const object = value.if_object();
        if (object == nullptr) {
            day.refuse(name);
            return entries;
        }
        Member_Reader reader(*object);
        Cost_Entry entry;
        entry.date = date;
        entry.service = reader.text("service");
        entry.amount.nanos = reader.signed_number("amount_nanos");
        for (auto const& member : text_members)
            if (object->contains(member.name))
                entry.*member.value = reader.text(member.name);
        if (!reader.good() || !check_cost_entry(entry, true, date))
            day.refuse(name);
        entries.push_back(std::move(entry));
    }
    if (!std::is_sorted(entries.begin(), entries.end(), &Cost_Entry::comes_before))
        day.refuse(name);
    return entries;
}

} // namespace

auto Cost_Entry::is_of_same_thing(Cost_Entry const& other) const noexcept -> bool {
    return identity(*this) == identity(other);
}

auto Cost_Entry::comes_before(Cost_Entry const& a, Cost_Entry const& b) noexcept -> bool {
    return identity(a) < identity(b);
}

auto Cost_Entry::to_json() const -> boost::json::object {
    boost::json::object shown{
        {"date", date_text(date)}, {"service", service}, {"amount_usd", amount.to_text()}, {"currency", currency}};
    for (auto const& member : text_members)
        shown[member.name] = this->*member.value;
    return shown;
}

auto parse_cost_date(std::string_view text) -> Result<Utc_Time> {
    auto const day = Window::parse(Window_Type::daily, text);
    if (!day)
        return fail(Errc::invalid_argument, "date: give a day such as 2026-02-13, from 1970 to 2286");
    return day->start();
}

auto check_cost_entry(Cost_Entry const& entry, bool accept_credits, Utc_Time now) -> Result<void> {
    constexpr std::size_t longest_text = 256;
    auto const is_text = [](std::string_view text) {
        return text.size() <= longest_text && is_utf8(text) &&
               std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    };
    if (!is_storable(entry.date) || entry.date != day_of(entry.date) || entry.date > now + days(1))
        return fail(Errc::invalid_argument, "date: give a UTC day from 1970 on that is not to come");
    if (entry.service.empty() || !is_text(entry.service))
        return fail(Errc::invalid_argument, "service: give 1 to 256 bytes of UTF-8 without control characters");
    for (auto const& member : text_members)
        if (!is_text(entry.*member.value))
            return fail(Errc::invalid_argument,
                        std::string(member.name) + ": give at most 256 bytes of UTF-8 without control characters");
    if (entry.currency != cost_currency)
        return fail(Errc::invalid_argument, "currency: give USD; amounts of several currencies do not add up");
    if (!entry.usage_quantity.empty() && !is_decimal(entry.usage_quantity))
        return fail(Errc::invalid_argument, "usage_quantity: give decimal digits, such as 12.5, or nothing");
    if (entry.amount.nanos < 0 && !accept_credits)
        return fail(Errc::invalid_argument, "amount_usd: it is negative; credits and refunds are taken only with the "
                                            "option accept_credits");
    return {};
}

auto Cost_Day::total() const noexcept -> Money_Nanos {
    auto sum = sum_of(imported);
    return sum += sum_of(recorded);
}

auto Cost_Day::settled_at() const noexcept -> Utc_Time {
    constexpr days until_bills_stand{14};
    return date + days(1) + (estimated ? until_bills_stand : days(0));
}

void Cost_Day::record(Cost_Entry entry) {
    for (auto* const entries : {&imported, &recorded})
        if (auto const found = find_same_thing(*entries, entry); found != entries->end()) {
            *found = std::move(entry);
            return;
        }
    recorded.insert(std::upper_bound(recorded.begin(), recorded.end(), entry, &Cost_Entry::comes_before),
                    std::move(entry));
}

void Cost_Day::import(std::vector<Cost_Entry> entries, bool is_estimated) {
    std::sort(entries.begin(), entries.end(), &Cost_Entry::comes_before);
    std::erase_if(recorded, [&](Cost_Entry const& entry) {
        return std::binary_search(entries.begin(), entries.end(), entry, &Cost_Entry::comes_before);
    });
    imported = std::move(entries);
    estimated = is_estimated;
}

auto Cost_Day::check_size() const -> Result<void> {
    for (auto const* const entries : {&imported, &recorded}) {
        if (entries->size() > most_entries)
            return fail(Errc::too_large, date_text(date) + " would have more than " + std::to_string(most_entries) +
                                             " entries; group its costs by fewer things");
        auto room = largest_total.nanos;
        for (auto const& entry : *entries) {
            auto const amount = entry.amount.nanos;
            if (amount > room || amount < -room)
                return fail(Errc::too_large, date_text(date) + " would cost more than ten million USD; is it a day?");
            room -= amount < 0 ? -amount : amount;
        }
    }
    return {};
}

auto Cost_Day::to_json() const -> std::string {
    std::string out = R"({"v":1,"nonce":")" + nonce + R"(","date":")" + date_text(date) + R"(","revision":)";
    append_json_number(out, revision);
    out += R"(,"collected_at":)";
    append_json_number(out, to_millis(collected_at));
    out.append(R"(,"estimated":)").append(estimated ? "true" : "false");
    out.append(R"(,"currency":")").append(cost_currency).append(R"(","total_nanos":)");
    append_json_number(out, total().nanos);
    out += R"(,"imported":)";
    append_entries(out, imported);
    out += R"(,"recorded":)";
    append_entries(out, recorded);
    return out += '}';
}

auto Cost_Day::parse(std::string_view text) -> Result<Cost_Day> {
    auto const object = parse_object(text, "the costs of a day");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Cost_Day day;
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    day.nonce = reader.text("nonce");
    auto const date = parse_cost_date(reader.text("date"));
    if (!date)
        reader.refuse("date");
    else
        day.date = *date;
    day.revision = reader.unsigned_number("revision");
    day.collected_at = from_millis(reader.signed_number("collected_at"));
    if (!is_storable(day.collected_at))
        reader.refuse("collected_at");
    day.estimated = reader.flag("estimated");
    if (reader.text("currency") != cost_currency)
        reader.refuse("currency");
    day.imported = read_entries(reader, "imported", day.date);
    day.recorded = read_entries(reader, "recorded", day.date);
    if (!day.check_size() || reader.signed_number("total_nanos") != day.total().nanos)
        reader.refuse("total_nanos");
    if (!reader.good())
        return fail(Errc::corrupt_data, "the costs of a day: member '" + std::string(reader.first_bad()) +
                                            "' is missing or wrong; import the day again after removing the file");
    return day;
}

} // namespace memfs_cache
