// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/costs/budget.hpp>
#include <memfs_cache/namespaces/costs/cost_entry.hpp>

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

constexpr unsigned largest_threshold = 1000;

auto parse_period(std::string_view text) -> Result<Window_Type> {
    for (auto const type : {Window_Type::daily, Window_Type::monthly})
        if (text == to_text(type))
            return type;
    return fail(Errc::invalid_argument, "period: give daily or monthly");
}

auto parse_thresholds(std::string_view text) -> Result<std::vector<unsigned>> {
    std::vector<unsigned> thresholds;
    for (bool more = true; more;) {
        auto const part = trim_blanks(text.substr(0, text.find(',')));
        auto const percent = parse_decimal(part);
        if (!percent || *percent == 0 || *percent > largest_threshold)
            return fail(Errc::invalid_argument, "thresholds: give percents of 1 to 1000, such as 50,80,100");
        thresholds.push_back(static_cast<unsigned>(*percent));
        more = text.find(',') != std::string_view::npos;
        if (more)
            text.remove_prefix(text.find(',') + 1);
    }
    return thresholds;
}

auto damaged(std::string_view what, Member_Reader const& reader) -> Error {
    return fail(Errc::corrupt_data, std::string(what) + ": member '" + std::string(reader.first_bad()) +
                                        "' is missing or wrong; remove the file");
}

auto period_of(Member_Reader& reader) -> Window_Type {
    auto const period = parse_period(reader.text("period"));
    if (!period)
        reader.refuse("period");
    return period ? *period : Window_Type::monthly;
}

} // namespace

auto Budget::is_name(std::string_view text) -> bool {
    constexpr std::size_t longest = 128;
    auto const is_plain = [](char c) { return is_ascii_digit(c) || (c >= 'a' && c <= 'z'); };
    return !text.empty() && text.size() <= longest && is_plain(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return is_plain(c) || c == '_' || c == '-'; });
}

auto Budget::at(unsigned threshold) const noexcept -> Money_Nanos {
    // In two steps: the product of both does not fit.
    return {amount.nanos / 100 * threshold + (amount.nanos % 100 * threshold + 99) / 100};
}

auto Budget::of(New_Budget const& wanted) -> Result<Budget> {
    auto const amount = Money_Nanos::parse(wanted.amount_usd);
    if (!amount)
        return fail(amount.error().code, "amount_usd: " + amount.error().context);
    auto const period = parse_period(wanted.period);
    if (!period)
        return period.error();
    auto thresholds = parse_thresholds(wanted.thresholds);
    if (!thresholds)
        return thresholds.error();
    Budget budget{wanted.name, *amount, *period, *std::move(thresholds), wanted.service};
    if (auto const good = budget.check(); !good)
        return good.error();
    return budget;
}

auto Budget::check() const -> Result<void> {
    if (!is_name(name))
        return fail(Errc::invalid_argument, "name: give a letter or digit, then at most 127 of a-z 0-9 _ -");
    if (amount.nanos <= 0 || amount > largest_amount)
        return fail(Errc::invalid_argument, "amount_usd: give more than 0 and at most a hundred million");
    Cost_Entry of_service;
    of_service.service = service.empty() ? "any" : service;
    return check_cost_entry(of_service, false, of_service.date);
}

auto Budget::to_json() const -> boost::json::object {
    return {{"name", name},
            {"amount_usd", amount.to_text()},
            {"period", to_text(period)},
            {"thresholds", boost::json::array(thresholds.begin(), thresholds.end())},
            {"service", service}};
}

auto Budget::stored_text() const -> std::string {
    return json_text({{"v", 1},
                      {"nonce", random_hex(8)},
                      {"name", name},
                      {"amount_nanos", amount.nanos},
                      {"period", to_text(period)},
                      {"thresholds", boost::json::array(thresholds.begin(), thresholds.end())},
                      {"service", service}});
}

auto Budget::parse(std::string_view text) -> Result<Budget> {
    auto const object = parse_object(text, "a budget");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Budget budget;
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    budget.name = reader.text("name");
    budget.amount.nanos = reader.signed_number("amount_nanos");
    budget.period = period_of(reader);
    for (auto const& value : reader.array("thresholds")) {
        boost::system::error_code error;
        budget.thresholds.push_back(value.to_number<unsigned>(error));
        if (error || budget.thresholds.back() == 0 || budget.thresholds.back() > largest_threshold)
            reader.refuse("thresholds");
    }
    budget.service = reader.text("service");
    if (auto const checked = budget.check(); !checked)
        reader.refuse(checked.error().context.substr(0, checked.error().context.find(':')));
    if (!reader.good())
        return damaged("a budget", reader);
    return budget;
}

auto Cost_Alert::to_json() const -> boost::json::object {
    return {{"budget", budget},
            {"period", to_text(period)},
            {"window_key", window_key},
            {"threshold_percent", threshold},
            {"service", service},
            {"budget_usd", budgeted.to_text()},
            {"spent_usd", spent.to_text()},
            {"raised_at", to_millis(raised_at)}};
}

auto Cost_Alert::stored_text() const -> std::string {
    return json_text({{"v", 1},
                      {"budget", budget},
                      {"period", to_text(period)},
                      {"window_key", window_key},
                      {"threshold_percent", threshold},
                      {"service", service},
                      {"budget_nanos", budgeted.nanos},
                      {"spent_nanos", spent.nanos},
                      {"raised_at", to_millis(raised_at)}});
}

auto Cost_Alert::parse(std::string_view text) -> Result<Cost_Alert> {
    auto const object = parse_object(text, "an alert");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Cost_Alert alert;
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    alert.budget = reader.text("budget");
    alert.period = period_of(reader);
    alert.window_key = reader.text("window_key");
    alert.threshold =
        static_cast<unsigned>(std::min<std::uint64_t>(reader.unsigned_number("threshold_percent"), largest_threshold));
    alert.service = reader.text("service");
    alert.budgeted.nanos = reader.signed_number("budget_nanos");
    alert.spent.nanos = reader.signed_number("spent_nanos");
    alert.raised_at = from_millis(reader.signed_number("raised_at"));
    if (!is_storable(alert.raised_at))
        reader.refuse("raised_at");
    if (!reader.good())
        return damaged("an alert", reader);
    return alert;
}

} // namespace memfs_cache
