// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sqlite_pool.hpp"
#include <memfs_cache/storage/concept.hpp>

#include <optional>

namespace memfs_cache::sqlite {

/// One change that a thread waits for.
struct Write {
    enum class Kind { put, erase, sync };
    Kind kind;
    std::string const* key = nullptr;
    Byte_View bytes{};
    Precondition const* when = nullptr;
    Durability durability = Durability::durable;

    Result<Put_Outcome> outcome = Put_Outcome{};
    bool done = false;
};

/// Group commit: of the threads that wait, one writes for all in one transaction, with one flush. Those that come
/// meanwhile are next.
/// Threads  any
class Writer {
  public:
    explicit Writer(Pool& pool) : pool_(pool) {}

    /// Its outcome. A sync is applied or an error.
    [[nodiscard]] auto write(Write& mine) -> Result<Put_Outcome>;

  private:
    using Batch = std::vector<Write*>;
    struct Failure {
        Error error;
        bool may_be_done; ///< of which nobody knows whether it has happened or will
    };
    void land(Batch const& batch);
    [[nodiscard]] auto commit(Connection& connection, Batch const& batch) -> std::optional<Failure>;
    [[nodiscard]] auto apply(Connection& connection, Write& write) const -> int;

    Pool& pool_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Batch waiting_;
    bool landing_ = false;

    // Only by who lands:
    std::int64_t durable_version_ = -1; ///< the last version in the file when a flush of this process had ended well
    std::optional<Error> failed_flush_; ///< since when durable writes are refused
};

} // namespace memfs_cache::sqlite
