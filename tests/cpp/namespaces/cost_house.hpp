// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/analytics_site.hpp"
#include <memfs_cache/namespaces/costs.hpp>
#include <memfs_cache/storage/any.hpp>

#include <memory>
#include <string>

/// Costs as tests open them.
namespace memfs_cache::testing {

inline auto cost_entry(std::string const& date, std::string service, std::string const& amount) -> Cost_Entry {
    Cost_Entry made;
    made.date = time_at(date);
    made.service = std::move(service);
    made.amount = Money_Nanos::parse(amount).value();
    return made;
}

/// One process: costs, and a clock that the test moves, on a store that may be shared with others.
template <StorageBackend Storage>
struct Cost_Process {
    Cost_Process(Storage& store, std::string const& now, Costs_Options options = {})
        : clock(std::make_shared<Manual_Clock>(time_at(now))),
          costs(Costs<Storage>::open(store, "cache", Namespace_Name("costs"), clock, options).value()) {}

    auto operator->() const -> Costs<Storage>* { return costs.get(); }
    void at(std::string const& now) const { clock->set(time_at(now)); }
    auto record(std::string const& date, std::string service, std::string const& amount) const -> bool {
        return costs->record(cost_entry(date, std::move(service), amount)).value();
    }
    auto import(std::string text) const -> Result<Cost_Import_Report> {
        return costs->import_file({"costs.csv", std::move(text)});
    }
    /// The total, and whether it is final; or that nothing is known.
    auto told(std::string const& type, std::string const& key) const -> std::string {
        auto const window = costs->aggregation(type, key).value();
        return !window.recorded ? "nothing" : window.total_cost.to_text() + (window.final ? ", final" : ", open");
    }

    std::shared_ptr<Manual_Clock> clock;
    std::unique_ptr<Costs<Storage>> costs;
};

/// A process with a store of its own, whose operations a test may watch and answer.
struct Cost_House {
    explicit Cost_House(std::string const& now = "2026-02-20T12:00", Costs_Options options = {})
        : process(storage, now, options) {}

    auto operator->() const -> Cost_Process<Watched_Memory> const* { return &process; }

    Storage_Memory memory;
    Watched_Memory storage{memory};
    Cost_Process<Watched_Memory> process;
};

} // namespace memfs_cache::testing

/// Compiled once, in the library and with the tests of Costs.
extern template class memfs_cache::Costs<memfs_cache::Any_Storage>;
extern template class memfs_cache::Costs<memfs_cache::testing::Watched_Memory>;
