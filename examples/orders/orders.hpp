// SPDX-License-Identifier: Apache-2.0
// A handler of your own: what serves one namespace of a Cache_Service. It keeps orders in a log and answers for windows;
// the service opens it, flushes and closes it with all others, and asks it how it is.
#pragma once

#include "order.hpp"
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/namespaces/handler.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <memory>
#include <string_view>

template <memfs_cache::StorageBackend Storage>
class Orders {
  public:
    using Aggregator = memfs_cache::LETS_Aggregator<Storage, Order_Event, Order_Summary>;

    /// What Cache_Service::add_namespace calls. What else it is given there, stands behind the clock.
    static auto
    open(Storage& storage, std::string_view root, memfs_cache::Namespace_Name const& name, memfs_cache::Clock_Ptr clock)
        -> memfs_cache::Result<std::unique_ptr<Orders>> {
        auto log = memfs_cache::Event_Log<Storage>::open(storage, memfs_cache::Log_Paths(root, name), std::move(clock));
        if (!log)
            return log.error();
        return std::unique_ptr<Orders>(new Orders(storage, name, *std::move(log)));
    }

    auto record(Order_Event const& order) -> memfs_cache::Result<void> {
        return log_->record(order.timestamp, [&](std::string& out) { order.append_json(out); });
    }
    auto aggregation(memfs_cache::Window const& window) -> memfs_cache::Result<typename Aggregator::Answer> {
        return aggregator_.query(window);
    }
    /// Where a window is saved.
    auto file_of(memfs_cache::Window const& window) const -> std::string { return aggregator_.key_of(window).str(); }

    // What every handler has
    auto name() const -> memfs_cache::Namespace_Name { return name_; }
    auto flush() -> memfs_cache::Result<void> { return log_->flush(); }
    auto close() -> memfs_cache::Result<void> { return log_->close(); }
    auto health() const -> memfs_cache::Handler_Health {
        auto const counts = log_->counts();
        return {counts.dropped > 0 || !counts.last_problem.empty(),
                {{"recorded", counts.recorded}, {"dropped", counts.dropped}, {"last_problem", counts.last_problem}}};
    }
    /// With it the service finds at its start what processes have left that crashed.
    auto log() -> memfs_cache::Event_Log<Storage>& { return *log_; }

  private:
    Orders(Storage& storage, memfs_cache::Namespace_Name name, std::unique_ptr<memfs_cache::Event_Log<Storage>> log)
        : name_(std::move(name)), log_(std::move(log)), aggregator_(storage, *log_) {}

    memfs_cache::Namespace_Name name_;
    std::unique_ptr<memfs_cache::Event_Log<Storage>> log_;
    Aggregator aggregator_;
};
static_assert(memfs_cache::NamespaceHandler<Orders<memfs_cache::Storage_Memory>>);
