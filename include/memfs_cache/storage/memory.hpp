// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <memory>

namespace memfs_cache {

/// Storage in the memory of this process: the reference behaviour that every other backend is held to.
///
/// Threads  any. Reads run beside each other; no lock is held while the bytes of an object are copied out of it.
/// Cost     get and put the bytes asked for or given, and an append only those appended, however many objects there are
///          and however large they are; erase O(log n); list O(log n + items), and O(log n) for each object that has
///          been made since the list before.
class Storage_Memory {
  public:
    Storage_Memory();
    Storage_Memory(Storage_Memory&&) noexcept;
    auto operator=(Storage_Memory&&) noexcept -> Storage_Memory&;
    ~Storage_Memory();

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>>;
    /// Memory knows no power and no users, so the options change nothing here.
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome>;
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool>;
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page>;
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome>;
    [[nodiscard]] auto sync() -> Result<void>;
    [[nodiscard]] auto capabilities() const -> Capabilities;
    [[nodiscard]] auto counters() const -> Operation_Counts;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

static_assert(StorageBackend<Storage_Memory>);

} // namespace memfs_cache
