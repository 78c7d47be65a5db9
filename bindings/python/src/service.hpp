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

[[nodiscard]] auto analytics_of(py::object const& service, std::string_view name) -> Analytics_Handle;
[[nodiscard]] auto tokens_of(py::object const& service, std::string_view name) -> Tokens_Handle;

void register_entries(py::class_<Entries>& entries);
void register_analytics(py::class_<Analytics_Handle>& analytics);
void register_tokens(py::class_<Tokens_Handle>& tokens);

} // namespace memfs_cache::python
