// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sqlite_connection.hpp"

#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

namespace memfs_cache::sqlite {

/// The connections that one process has to a file: one that writes, and as many that read as threads do at the same time.
///
/// SQLite keeps for each file what the process has locked, and a child after fork() inherits this without the locks: what
/// it then opens is not protected. So a fork waits until no call is inside any pool, and closes all connections first;
/// both processes open new ones when they need them. A pool belongs to the process that made it.
/// Threads  any
class Pool {
  public:
    Pool(std::string path, std::chrono::milliseconds busy_timeout);
    Pool(Pool const&) = delete;
    auto operator=(Pool const&) -> Pool& = delete;
    ~Pool();

    /// A connection, or none, for as long as this lives; a fork waits for its end.
    class Lease {
      public:
        Lease(Pool& pool, std::unique_ptr<Connection> connection) : pool_(&pool), connection_(std::move(connection)) {}
        Lease(Lease&& other) noexcept
            : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
        auto operator=(Lease&&) -> Lease& = delete;
        ~Lease() {
            if (pool_ != nullptr)
                pool_->give_back(std::move(connection_));
        }
        [[nodiscard]] explicit operator bool() const noexcept { return connection_ != nullptr; }
        void take(std::unique_ptr<Connection> connection) { connection_ = std::move(connection); }
        auto operator->() const noexcept -> Connection* { return connection_.get(); }
        auto operator*() const noexcept -> Connection& { return *connection_; }

      private:
        Pool* pool_;
        std::unique_ptr<Connection> connection_;
    };
    /// @errors as Connection::open
    [[nodiscard]] auto lease() -> Result<Lease>;
    /// For what opens files by itself.
    [[nodiscard]] auto visit() -> Lease;

    // Around a fork, in the process that forks.
    void close_for_fork();
    void open_after_fork();

  private:
    /// @return one that is idle, if there is
    [[nodiscard]] auto enter(bool wants_connection) -> std::unique_ptr<Connection>;
    void give_back(std::unique_ptr<Connection> connection);

    std::string const path_;
    std::chrono::milliseconds const busy_timeout_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Connection>> idle_;
    std::size_t leased_ = 0;
    bool forking_ = false;
};

} // namespace memfs_cache::sqlite
