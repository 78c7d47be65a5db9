// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <memory>
#include <utility>

namespace memfs_cache {

/// A backend that is chosen at run time, and a StorageBackend itself. A handle: copies share one storage, which lives
/// as long as the last of them.
/// Threads  as the backend behind it.
/// Cost     one virtual call on top of the backend.
class Any_Storage {
  public:
    /// Takes a backend over; not explicit, so that a backend can be given wherever any storage is asked for.
    template <class S>
    requires(!std::same_as<S, Any_Storage> && StorageBackend<S> && std::move_constructible<S>) Any_Storage(S storage)
        : backend_(std::make_shared<Holder<S>>(std::move(storage))) {} // NOLINT(*-explicit-*)

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        return backend_->get(key, range);
    }
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        return backend_->put(key, bytes, when, options);
    }
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        return backend_->erase(key, when);
    }
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page> { return backend_->list(query); }
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        return backend_->append(key, at, bytes, durability);
    }
    [[nodiscard]] auto sync() -> Result<void> { return backend_->sync(); }
    [[nodiscard]] auto capabilities() const -> Capabilities { return backend_->capabilities(); }
    [[nodiscard]] auto counters() const -> Operation_Counts { return backend_->counters(); }

    /// The backend itself, for what it alone offers.
    /// @return nullptr if it is of another type; otherwise good as long as this or a copy of it
    template <StorageBackend S>
    [[nodiscard]] auto as() const noexcept -> S* {
        auto* const holder = dynamic_cast<Holder<S>*>(backend_.get());
        return holder == nullptr ? nullptr : &holder->storage;
    }

  private:
    struct Backend {
        Backend() = default;
        Backend(Backend const&) = delete;
        auto operator=(Backend const&) -> Backend& = delete;
        virtual ~Backend() = default;
        virtual auto get(Storage_Key const&, Byte_Range) const -> Result<std::optional<Object>> = 0;
        virtual auto put(Storage_Key const&, Byte_View, Precondition const&, Put_Options const&)
            -> Result<Put_Outcome> = 0;
        virtual auto erase(Storage_Key const&, Precondition const&) -> Result<bool> = 0;
        virtual auto list(List_Query const&) const -> Result<Page> = 0;
        virtual auto append(Storage_Key const&, std::uint64_t, Byte_View, Durability) -> Result<Put_Outcome> = 0;
        virtual auto sync() -> Result<void> = 0;
        virtual auto capabilities() const -> Capabilities = 0;
        virtual auto counters() const -> Operation_Counts = 0;
    };

    template <class S>
    struct Holder final : Backend {
        explicit Holder(S taken) : storage(std::move(taken)) {}
        auto get(Storage_Key const& key, Byte_Range range) const -> Result<std::optional<Object>> override {
            return storage.get(key, range);
        }
        auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options)
            -> Result<Put_Outcome> override {
            return storage.put(key, bytes, when, options);
        }
        auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> override {
            return storage.erase(key, when);
        }
        auto list(List_Query const& query) const -> Result<Page> override { return storage.list(query); }
        auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
            -> Result<Put_Outcome> override {
            return storage.append(key, at, bytes, durability);
        }
        auto sync() -> Result<void> override { return storage.sync(); }
        auto capabilities() const -> Capabilities override { return storage.capabilities(); }
        auto counters() const -> Operation_Counts override { return storage.counters(); }

        S storage;
    };

    std::shared_ptr<Backend> backend_;
};

static_assert(StorageBackend<Any_Storage>);

} // namespace memfs_cache
