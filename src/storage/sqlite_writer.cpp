// SPDX-License-Identifier: Apache-2.0
#include "sqlite_writer.hpp"

#include <algorithm>
#include <chrono>

namespace memfs_cache::sqlite {
namespace {

/// Of one transaction: who comes late in a large one waits for all of it.
constexpr std::size_t batch_limit = 256;

auto now_ms() -> std::int64_t {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

auto is_error(int code) -> bool { return code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE; }

/// Did an fsync fail, so that nobody knows what the disk has?
auto is_failed_flush(int code) -> bool { return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC; }

auto last_version(Connection& connection, std::int64_t& version) -> int {
    auto run = connection.run(Sql::version);
    auto const code = run.step();
    if (code == SQLITE_ROW)
        version = run.number_in(0);
    return code;
}

} // namespace

auto Writer::write(Write& mine) -> Result<Put_Outcome> {
    std::unique_lock lock(mutex_);
    waiting_.push_back(&mine);
    changed_.wait(lock, [&] { return mine.done || !landing_; });
    while (!mine.done) { // then it is this thread's turn to land
        auto const size = static_cast<std::ptrdiff_t>(std::min(waiting_.size(), batch_limit));
        Batch const batch(waiting_.begin(), waiting_.begin() + size);
        waiting_.erase(waiting_.begin(), waiting_.begin() + size);
        landing_ = true;
        lock.unlock();
        land(batch);
        lock.lock();
        landing_ = false;
        for (auto* const write : batch)
            write->done = true;
    }
    lock.unlock();
    changed_.notify_all();
    return std::move(mine.outcome);
}

void Writer::land(Batch const& batch) {
    auto const fail_all = [&](Failure const& failure) {
        for (auto* const write : batch) {
            if (failure.may_be_done)
                write->outcome = Put_Outcome{Put_State::unknown, {}};
            else
                write->outcome = failure.error;
        }
    };
    auto connection = pool_.lease();
    if (connection.has_error())
        return fail_all({connection.error(), false});
    auto const failure = commit(**connection, batch);
    if (!failure)
        return;
    if (batch.size() == 1 || failure->may_be_done)
        return fail_all(*failure);
    for (auto* const write : batch) // one of them may be what the disk has no room for
        land({write});
}

auto Writer::commit(Connection& connection, Batch const& batch) -> std::optional<Failure> {
    bool const durable = std::any_of(batch.begin(), batch.end(),
                                     [](auto const* write) { return write->durability == Durability::durable; });
    if (durable && failed_flush_)
        return Failure{*failed_flush_, false};
    auto const give_up = [&](int code, bool may_be_done = false) {
        Failure failure{connection.error(code), may_be_done};
        if (connection.database().in_transaction())
            (void)connection.run(Sql::rollback).step();
        return failure;
    };
    if (auto const code = connection.set_durable(durable); is_error(code))
        return give_up(code);
    if (auto const code = connection.run(Sql::begin_write).step(); is_error(code))
        return give_up(code);

    std::int64_t before = 0;
    std::int64_t after = 0;
    if (auto const code = last_version(connection, before); is_error(code))
        return give_up(code);
    for (auto* const write : batch)
        if (auto const code = apply(connection, *write); is_error(code))
            return give_up(code);
    if (auto const code = last_version(connection, after); is_error(code))
        return give_up(code);
    // What a durable call finds in place must last as well. Only a commit that changes something flushes, so this does.
    if (durable && after == before && after != durable_version_) {
        if (auto const code = connection.run(Sql::touch).step(); is_error(code))
            return give_up(code);
        ++after;
    }

    auto const code = connection.run(Sql::commit).step();
    if (is_error(code)) {
        // With the disk full the record that ends the commit is not in the WAL. Any other failure may have come after
        // it: then it is dropped unless this machine or the last program stops before the next commit.
        bool const may_be_done = (code & 0xff) == SQLITE_IOERR;
        auto failure = give_up(code, may_be_done);
        durable_version_ = -1;
        if (is_failed_flush(code))
            failed_flush_ = failure.error;
        return failure;
    }
    if (durable)
        durable_version_ = after;
    return std::nullopt;
}

/// Within the transaction. On an error code the outcome means nothing.
auto Writer::apply(Connection& connection, Write& write) const -> int {
    write.outcome = Put_Outcome{Put_State::applied, {}};
    if (write.kind == Write::Kind::sync)
        return SQLITE_OK;
    std::int64_t id = 0;
    bool is_there = false;
    bool is_met = write.when->kind() == Precondition::Kind::none;
    {
        auto found = connection.run(Sql::find);
        auto const code = found.with(*write.key).step();
        if (is_error(code))
            return code;
        is_there = code == SQLITE_ROW;
        id = found.number_in(0);
        if (write.when->kind() == Precondition::Kind::absent)
            is_met = !is_there;
        else if (write.when->kind() == Precondition::Kind::version)
            is_met = is_there && std::to_string(found.number_in(1)) == write.when->version().token;
    }
    if (!is_met || (write.kind == Write::Kind::erase && !is_there)) {
        write.outcome = Put_Outcome{Put_State::not_applied, {}};
        return SQLITE_OK;
    }
    int code = SQLITE_OK;
    if (write.kind == Write::Kind::erase)
        return connection.run(Sql::remove).with(id).step();
    if (is_there)
        code = connection.run(Sql::replace).with(id, write.bytes, now_ms()).step();
    else
        code = connection.run(Sql::insert).with(*write.key, write.bytes, now_ms()).step();
    if (is_error(code))
        return code;
    std::int64_t version = 0;
    code = last_version(connection, version);
    write.outcome = Put_Outcome{Put_State::applied, {std::to_string(version)}};
    return code;
}

} // namespace memfs_cache::sqlite
