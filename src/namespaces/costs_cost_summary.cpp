// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/concepts.hpp>
#include <memfs_cache/namespaces/costs/cost_summary.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <numeric>

namespace memfs_cache {

static_assert(WindowSummary<Cost_Summary, Cost_Day>);

namespace {

using std::chrono::days;

/// The rest that makes the shares of a long list complete.
constexpr std::string_view others = "(others)";

template <class Rows>
void sort_largest_first(Rows& rows) {
    std::sort(rows.begin(), rows.end(), [](auto const& a, auto const& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
}

/// {"name":nanos,...} in the order of the rows.
template <class Rows, class Name>
void append_amounts(std::string& out, Rows const& rows, Name const& name_of) {
    out += '{';
    for (auto const& [name, amount] : rows) {
        if (out.back() != '{')
            out += ',';
        append_json_string(out, name_of(name));
        out += ':';
        append_json_number(out, amount.nanos);
    }
    out += '}';
}

auto shown(std::optional<Money_Nanos> const& amount) -> boost::json::value {
    return amount ? boost::json::value(amount->in_units()) : boost::json::value(nullptr);
}

template <class Rows, class Show>
auto to_object(Rows const& rows, Show const& show) -> boost::json::object {
    boost::json::object object;
    object.reserve(rows.size());
    for (auto const& [name, value] : rows)
        object.emplace(name, show(value));
    return object;
}

/// At most so many rows; what the others have is one of them.
auto cut(std::vector<std::pair<std::string, std::uint32_t>> rows, std::size_t most) {
    if (rows.size() <= most)
        return rows;
    auto const first = rows.begin() + static_cast<std::ptrdiff_t>(most) - 1;
    auto const rest =
        std::accumulate(first, rows.end(), 0U, [](std::uint32_t sum, auto const& row) { return sum + row.second; });
    rows.erase(first, rows.end());
    rows.emplace_back(others, rest);
    return rows;
}

} // namespace

auto Cost_Summary::total() const noexcept -> Money_Nanos {
    Money_Nanos sum;
    for (auto const& [day, amount] : by_day)
        sum += amount;
    return sum;
}

void Cost_Summary::add(Cost_Day const& day) {
    by_day[day.date] += day.total();
    for (auto const* const entries : {&day.imported, &day.recorded})
        for (auto const& entry : *entries)
            by_service[entry.service] += entry.amount;
    estimated_days += day.estimated ? 1 : 0;
}

void Cost_Summary::merge(Cost_Summary const& other) {
    for (auto const& [day, amount] : other.by_day)
        by_day[day] += amount;
    for (auto const& [service, amount] : other.by_service)
        by_service[service] += amount;
    estimated_days += other.estimated_days;
}

void Cost_Summary::append_members(std::string& out) const {
    out.append(R"("currency":")").append(cost_currency).append(R"(","total_nanos":)");
    append_json_number(out, total().nanos);
    out += R"(,"estimated_days":)";
    append_json_number(out, estimated_days);
    out += R"(,"cost_by_service_nanos":)";
    append_amounts(out, by_service, [](std::string const& name) -> std::string const& { return name; });
    out += R"(,"cost_by_day_nanos":)";
    append_amounts(out, by_day, [](Utc_Time day) { return date_text(day); });
}

auto Cost_Summary::from_object(boost::json::object const& object) -> Result<Cost_Summary> {
    Member_Reader reader(object);
    Cost_Summary summary;
    summary.estimated_days = reader.unsigned_number("estimated_days");
    auto const each = [&](std::string_view name, auto const& take) {
        for (auto const& member : reader.object(name)) {
            boost::system::error_code error;
            Money_Nanos const amount{member.value().to_number<std::int64_t>(error)};
            if (error || !take(std::string_view(member.key()), amount))
                reader.refuse(name);
        }
    };
    each("cost_by_service_nanos", [&](std::string_view service, Money_Nanos amount) {
        return summary.by_service.emplace(service, amount).second;
    });
    each("cost_by_day_nanos", [&](std::string_view key, Money_Nanos amount) {
        auto const day = parse_cost_date(key);
        return day && summary.by_day.emplace(*day, amount).second;
    });
    if (reader.text("currency") != cost_currency)
        reader.refuse("currency");
    if (reader.signed_number("total_nanos") != summary.total().nanos)
        reader.refuse("total_nanos");
    if (!reader.good())
        return fail(Errc::corrupt_data, "member '" + std::string(reader.first_bad()) + "' is missing or wrong");
    return summary;
}

auto cost_shares(std::map<std::string, Money_Nanos, std::less<>> const& by_service)
    -> std::vector<std::pair<std::string, std::uint32_t>> {
    constexpr std::uint32_t whole = 10'000;
    struct Charged {
        std::string_view service;
        std::uint64_t nanos;
        std::uint64_t remainder = 0; ///< of its share, in parts of the total
        std::uint32_t share = 0;
    };
    std::vector<Charged> charged;
    std::uint64_t total = 0;
    for (auto const& [service, amount] : by_service) {
        if (amount.nanos <= 0)
            continue;
        charged.push_back({service, static_cast<std::uint64_t>(amount.nanos)});
        total += charged.back().nanos;
    }
    std::uint32_t given = 0;
    for (auto& one : charged) {
        // Digit by digit: a month costs at most 6.2e17 billionths, so ten times a remainder always fits.
        one.remainder = one.nanos;
        for (auto parts = whole; parts > 1; parts /= 10) {
            one.remainder *= 10;
            one.share = one.share * 10 + static_cast<std::uint32_t>(one.remainder / total);
            one.remainder %= total;
        }
        given += one.share;
    }
    std::stable_sort(charged.begin(), charged.end(),
                     [](Charged const& a, Charged const& b) { return a.remainder > b.remainder; });
    for (std::size_t i = 0; i < charged.size() && given < whole; ++i, ++given)
        ++charged[i].share;
    std::sort(charged.begin(), charged.end(), [](Charged const& a, Charged const& b) {
        return a.nanos != b.nanos ? a.nanos > b.nanos : a.service < b.service;
    });
    std::vector<std::pair<std::string, std::uint32_t>> shares;
    for (auto const& one : charged)
        shares.emplace_back(one.service, one.share);
    return shares;
}

auto projected_cost(Window const& month, Cost_Summary const& costs, Utc_Time now) -> std::optional<Money_Nanos> {
    if (month.type() != Window_Type::monthly || costs.by_day.empty())
        return std::nullopt;
    auto projected = costs.total();
    if (month.end() <= now)
        return projected;
    auto const newest = costs.by_day.rbegin()->first;
    auto const to_come = std::chrono::duration_cast<days>(month.end() - newest).count() - 1;
    auto const known = static_cast<std::int64_t>(costs.by_day.size());
    auto const total = projected.nanos;
    projected.nanos += total / known * to_come + total % known * to_come / known; // in this order nothing overflows
    return projected;
}

auto Cost_Window::from(Window_Result<Cost_Summary> const& result,
                       std::optional<Money_Nanos> previous_total,
                       Utc_Time now) -> Cost_Window {
    constexpr std::size_t top_rows = 20;
    auto const& costs = *result.summary;
    Cost_Window window{.window_start = result.window.start(),
                       .window_end = result.window.end(),
                       .window_type = result.window.type(),
                       .window_key = result.window.key(),
                       .recorded = result.recorded,
                       .final = result.final,
                       .estimated = costs.estimated_days > 0,
                       .computed_at = result.computed_at,
                       .revision = result.revision,
                       .total_cost = costs.total(),
                       .cost_by_service = {costs.by_service.begin(), costs.by_service.end()},
                       .cost_by_day = {},
                       .top_cost_drivers = cut(cost_shares(costs.by_service), top_rows),
                       .projected_month = projected_cost(result.window, costs, now),
                       .previous_total = previous_total};
    sort_largest_first(window.cost_by_service);
    for (auto const& [day, amount] : costs.by_day)
        window.cost_by_day.emplace_back(date_text(day), amount);
    return window;
}

auto Cost_Window::to_json() const -> boost::json::object {
    bool const is_month = window_type == Window_Type::monthly;
    auto const in_usd = [](Money_Nanos amount) { return amount.in_units(); };
    auto const in_nanos = [](Money_Nanos amount) { return amount.nanos; };
    std::optional<Money_Nanos> delta;
    boost::json::value delta_percent(nullptr);
    if (recorded && previous_total) {
        delta = total_cost - *previous_total;
        if (previous_total->nanos != 0)
            delta_percent = 100 * delta->in_units() / std::abs(previous_total->in_units());
    }
    return {{"window_start", to_millis(window_start)},
            {"window_end", to_millis(window_end)},
            {"window_type", to_text(window_type)},
            {"window_key", window_key},
            {"recorded", recorded},
            {"final", final},
            {"estimated", estimated},
            {"computed_at", to_millis(computed_at)},
            {"revision", revision},
            {"currency", cost_currency},
            {"total_cost_usd", total_cost.in_units()},
            {"total_cost_nanos", total_cost.nanos},
            {"cost_by_service", to_object(cost_by_service, in_usd)},
            {"cost_by_service_nanos", to_object(cost_by_service, in_nanos)},
            {"cost_by_day", to_object(cost_by_day, in_usd)},
            {"top_cost_drivers", to_object(top_cost_drivers, [](std::uint32_t share) { return share / 100.0; })},
            {"month_to_date_usd", shown(is_month && recorded ? std::optional(total_cost) : std::nullopt)},
            {"projected_month_usd", shown(projected_month)},
            {"previous_total_usd", shown(previous_total)},
            {"delta_usd", shown(delta)},
            {"delta_percent", delta_percent}};
}

} // namespace memfs_cache
