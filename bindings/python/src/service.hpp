// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "storage.hpp"
#include <memfs_cache/service/cache_service.hpp>

#include <memory>
#include <string_view>

// Compiled in the library; here they would be compiled once more for each file.
namespace memfs_cache {
extern template class Analytics<Any_Storage>;
extern template class Tokens<Any_Storage>;
extern template class Costs<Any_Storage>;
extern template class Transfers<Any_Storage>;
} // namespace memfs_cache

namespace memfs_cache::python {

using Cache = Cache_Service<Any_Storage>;

/// A service as Python holds it.
struct Service {
    std::shared_ptr<Cache> cache;
    py::object storage;
    bool storage_calls_python;
};

// Handlers keep the object of their service alive, since that closes the service when it goes.
struct Entries {
    py::object service;
    Entry_Store<Any_Storage>* store;
};
struct Analytics_Handle {
    py::object service;
    Analytics<Any_Storage>* analytics;
    bool storage_calls_python;
};
struct Tokens_Handle {
    py::object service;
    Tokens<Any_Storage>* tokens;
};
struct Transfers_Handle {
    py::object service;
    Transfers<Any_Storage>* transfers;
};
struct Costs_Handle {
    py::object service;
    Cache* cache;
    Costs<Any_Storage>* costs;
};

[[nodiscard]] auto analytics_of(py::object const& service, std::string_view name) -> Analytics_Handle;
[[nodiscard]] auto tokens_of(py::object const& service, std::string_view name) -> Tokens_Handle;
[[nodiscard]] auto transfers_of(py::object const& service, std::string_view name) -> Transfers_Handle;
[[nodiscard]] auto costs_of(py::object const& service, std::string_view name) -> Costs_Handle;

/// A list of answers of one class.
/// @param  items  that show themselves as JSON
template <class Items>
auto list_of(char const* type, Items const& items) -> py::list {
    py::list all;
    for (auto const& item : items)
        all.append(to_answer(type, item.to_json()));
    return all;
}

void register_entries(py::class_<Entries>& entries);
void register_analytics(py::class_<Analytics_Handle>& analytics);
void register_tokens(py::class_<Tokens_Handle>& tokens);
void register_transfers(py::class_<Transfers_Handle>& transfers);
void register_costs(py::class_<Costs_Handle>& costs);

} // namespace memfs_cache::python
