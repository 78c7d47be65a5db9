// SPDX-License-Identifier: Apache-2.0
#include "sqlite_pool.hpp"

#include <algorithm>
#include <pthread.h>

namespace memfs_cache::sqlite {
namespace {

/// Connections that are kept open while nobody uses them.
constexpr std::size_t idle_limit = 8;

/// All pools of this process. There is one for the process because there is one fork for it; never destroyed, since a
/// thread may fork while the program ends.
struct Pools {
    std::mutex mutex; ///< held from before a fork until after it
    std::vector<Pool*> all;
};

auto pools() -> Pools& {
    static auto* const only = [] {
        static Pools* made = new Pools;
        ::pthread_atfork(
            [] {
                made->mutex.lock();
                for (auto* const pool : made->all)
                    pool->close_for_fork();
            },
            [] {
                for (auto* const pool : made->all)
                    pool->open_after_fork();
                made->mutex.unlock();
            },
            [] {
                made->all.clear(); // they are the parent's
                made->mutex.unlock();
            });
        return made;
    }();
    return *only;
}

} // namespace

Pool::Pool(std::string path, std::chrono::milliseconds busy_timeout)
    : path_(std::move(path)), busy_timeout_(busy_timeout) {
    std::lock_guard const lock(pools().mutex);
    pools().all.push_back(this);
}

Pool::~Pool() {
    std::lock_guard const no_fork(pools().mutex);
    std::erase(pools().all, this);
    idle_.clear();
}

auto Pool::enter(bool wants_connection) -> std::unique_ptr<Connection> {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !forking_; });
    ++leased_;
    if (!wants_connection || idle_.empty())
        return nullptr;
    auto connection = std::move(idle_.back()); // what was used last knows most of the file
    idle_.pop_back();
    return connection;
}

auto Pool::visit() -> Lease { return {*this, enter(false)}; }

auto Pool::lease() -> Result<Lease> {
    Lease lease(*this, enter(true));
    if (lease)
        return lease;
    auto opened = Connection::open(path_, busy_timeout_);
    if (opened.has_error())
        return opened.error();
    lease.take(std::move(*opened));
    return lease;
}

void Pool::give_back(std::unique_ptr<Connection> connection) {
    {
        std::lock_guard const lock(mutex_);
        if (connection && idle_.size() < idle_limit)
            idle_.push_back(std::move(connection));
    }
    connection.reset(); // closed outside the lock, and before a fork may go on
    std::lock_guard const lock(mutex_);
    --leased_;
    if (forking_)
        changed_.notify_all();
}

void Pool::close_for_fork() {
    std::unique_lock lock(mutex_);
    forking_ = true;
    changed_.wait(lock, [&] { return leased_ == 0; });
    for (auto const& connection : idle_)
        connection->leave_log_on_close();
    idle_.clear();
}

void Pool::open_after_fork() {
    {
        std::lock_guard const lock(mutex_);
        forking_ = false;
    }
    changed_.notify_all();
}

} // namespace memfs_cache::sqlite
