// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <boost/json.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

/// Decimal text of a Decimal, an int, a float (the shortest that reads back as it) or a str.
auto decimal_text(py::handle number) -> std::string { return py::str(number).cast<std::string>(); }

auto to_entry(py::object const& entry) -> Cost_Entry {
    if (!py::isinstance(entry, answer_type("Cost_Entry")))
        throw py::type_error("entry: give a Cost_Entry");
    auto const text = [&](char const* name) { return entry.attr(name).cast<std::string>(); };
    Cost_Entry made;
    made.date = parse_cost_date(py::str(entry.attr("date")).cast<std::string>()).value();
    made.service = text("service");
    auto const amount = Money_Nanos::parse(decimal_text(entry.attr("amount_usd")));
    if (!amount)
        throw Cache_Error(fail(amount.error().code, "amount_usd: " + amount.error().context));
    made.amount = *amount;
    made.currency = text("currency");
    if (auto const quantity = entry.attr("usage_quantity"); !quantity.is_none())
        made.usage_quantity = decimal_text(quantity);
    made.usage_unit = text("usage_unit");
    made.usage_type = text("usage_type");
    made.region = text("region");
    made.account = text("account");
    return made;
}

/// The content of a file, or the text of a document that was read already.
auto to_file(py::object const& source) -> Cost_File {
    if (PyDict_Check(source.ptr()) || PyList_Check(source.ptr()))
        return {"the document", boost::json::serialize(to_json(source))};
    auto const path = py::module_::import("pathlib").attr("Path")(source);
    return {py::str(path).cast<std::string>(), path.attr("read_bytes")().cast<std::string>()};
}

auto import_file(Costs_Handle const& self, py::object const& path_or_dict, std::string const& metric) -> py::object {
    auto const file = to_file(path_or_dict);
    auto const report = waiting([&] { return self.costs->import_file(file, {metric}); });
    return to_answer("Cost_Import_Report", report.to_json());
}

auto days_of(Whole number, char const* name) -> unsigned {
    constexpr std::uint64_t most = 400;
    auto const days = at_least(0, number, name);
    if (days > most)
        throw Cache_Error(fail(Errc::invalid_argument, std::string(name) + ": give 0 to 400"));
    return static_cast<unsigned>(days);
}

auto set_budget(Costs_Handle const& self,
                std::string const& name,
                py::object const& amount_usd,
                std::string const& period,
                std::vector<Whole> const& thresholds,
                std::optional<std::string> const& service) -> py::object {
    New_Budget wanted{name, decimal_text(amount_usd), period, "", service.value_or("")};
    for (auto const threshold : thresholds)
        wanted.thresholds.append(wanted.thresholds.empty() ? "" : ",").append(std::to_string(threshold.value));
    return to_answer("Budget", waiting([&] { return self.costs->set_budget(wanted); }).to_json());
}

} // namespace

auto costs_of(py::object const& service, std::string_view name) -> Costs_Handle {
    auto* const cache = service.cast<Service const&>().cache.get();
    return {service, cache, waiting([&] { return cache->open_costs(name); })};
}

void register_costs(py::class_<Costs_Handle>& costs) {
    costs.doc() = R"(What things cost: days, told by imports or one by one, and days, weeks and months of them.

Amounts are exact: give them as text, Decimal or int. A float counts as the number that it is printed as.
Every call may be made from any thread.)";
    costs
        .def(
            "__call__", [](Costs_Handle const& self, Text name) { return costs_of(self.service, name.value); },
            "name"_a, "The costs of another namespace of the same service.")
        .def(
            "record",
            [](Costs_Handle const& self, py::object const& entry) {
                auto const made = to_entry(entry);
                return waiting([&] { return self.costs->record(made); });
            },
            "entry"_a,
            R"(Keeps an entry, in the place of the one of its day with the same service, usage type, region and account.

Gives whether that changed anything. Raises Invalid_Argument naming what is wrong.)")
        .def("import_file", &import_file, "path_or_dict"_a, "metric"_a = Cost_Import_Options().metric,
             R"(Takes over whole days: answers of AWS to GetCostAndUsage, one or a list of pages, or CSV.

metric: which cost of AWS is taken. Raises Invalid_Argument if anything is wrong, and then nothing was changed.)")
        .def(
            "collect",
            [](Costs_Handle const& self, Whole backfill_days, Whole reread_days, std::string const& metric) {
                Collect_Options const wanted{days_of(backfill_days, "backfill_days"),
                                             days_of(reread_days, "reread_days"), metric};
                auto const report =
                    waiting([&] { return self.cache->collect_costs(wanted, self.costs->name().str()); });
                return to_answer("Collect_Report", report.to_json());
            },
            "backfill_days"_a = Whole{Collect_Options().backfill_days},
            "reread_days"_a = Whole{Collect_Options().reread_days}, "metric"_a = Collect_Options().metric,
            R"(Asks AWS Cost Explorer for the days that are missing, with the credentials of the environment or of AWS' files.

backfill_days: how far the first run goes back; reread_days: so many past days are fetched again, once a day, as AWS settles
its figures for about 14; metric: which cost is asked for. A page costs a cent. Raises Not_Found without credentials.)")
        .def(
            "aggregation",
            [](Costs_Handle const& self, Text type, Text key) {
                auto const report =
                    waiting([&] { return self.cache->cost_report(type.value, key.value, self.costs->name().str()); });
                return to_answer("Cost_Report", report.to_json());
            },
            "window_type"_a, "window_key"_a,
            "What a window cost, such as daily 2026-02-13, weekly 2026-W07 or monthly 2026-02, and each request in it.")
        .def(
            "current",
            [](Costs_Handle const& self) {
                auto const report = waiting([&] { return self.cache->current_cost_report(self.costs->name().str()); });
                return to_answer("Cost_Report", report.to_json());
            },
            "What this month has cost so far, and what it will.")
        .def(
            "entries",
            [](Costs_Handle const& self, py::object const& date) {
                auto const text = py::str(date).cast<std::string>();
                return list_of("Cost_Entry", waiting([&] { return self.costs->entries(text); }));
            },
            "date"_a, "Every entry of a day.")
        .def("set_budget", &set_budget, "name"_a, "amount_usd"_a, "period"_a = "monthly",
             "thresholds"_a = std::vector<Whole>{{50}, {80}, {100}}, "service"_a = py::none(),
             R"(Makes a budget, or changes the one of this name: costs that reach a threshold raise an alert.

period: daily or monthly; thresholds: percents, 1 to 1000; service: only its costs.)")
        .def(
            "budgets",
            [](Costs_Handle const& self) { return list_of("Budget", waiting([&] { return self.costs->budgets(); })); },
            "Every budget, by name.")
        .def(
            "remove_budget",
            [](Costs_Handle const& self, Text name) {
                return waiting([&] { return self.costs->remove_budget(name.value); });
            },
            "name"_a, "Gives whether there was one. Its alerts stay.")
        .def(
            "alerts",
            [](Costs_Handle const& self, Whole limit) {
                auto const most = at_least(1, limit, "limit");
                return list_of("Cost_Alert", waiting([&] { return self.costs->alerts(most); }));
            },
            "limit"_a = Whole{100}, "The alerts that budgets have raised, newest first.")
        .def("__repr__",
             [](Costs_Handle const& self) { return "<Costs of namespace '" + self.costs->name().str() + "'>"; });
}

} // namespace memfs_cache::python
