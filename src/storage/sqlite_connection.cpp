// SPDX-License-Identifier: Apache-2.0
#include "sqlite_connection.hpp"

#include <algorithm>
#include <thread>

namespace memfs_cache::sqlite {
namespace {

auto text_of(Sql which) -> std::string_view {
    switch (which) {
    case Sql::begin_read:
        return "BEGIN";
    case Sql::begin_write:
        return "BEGIN IMMEDIATE";
    case Sql::commit:
        return "COMMIT";
    case Sql::rollback:
        return "ROLLBACK";
    case Sql::read:
        return "SELECT o.version, f.data FROM memfs_cache_objects AS o JOIN memory_fs_files AS f ON f.id = o.id "
               "WHERE o.path = ?1";
    case Sql::find:
        return "SELECT id, version, size FROM memfs_cache_objects WHERE path = ?1";
    case Sql::list:
        return "SELECT path, size, version FROM memfs_cache_objects WHERE path >= ?1 ORDER BY path";
    case Sql::insert:
        return "INSERT INTO memory_fs_files(path, data, created_at, updated_at) VALUES(?1, ?2, ?3, ?3)";
    case Sql::replace:
        return "UPDATE memory_fs_files SET data = ?2, updated_at = ?3 WHERE id = ?1";
    case Sql::remove:
        return "DELETE FROM memory_fs_files WHERE id = ?1";
    case Sql::version:
        return "SELECT last_version FROM memfs_cache_state";
    case Sql::touch:
        return "UPDATE memfs_cache_state SET last_version = last_version + 1";
    }
    return {};
}

} // namespace

auto error_from_sqlite(int code, std::string_view path, std::string_view message) -> Error {
    auto const says = [&](Errc as, std::string_view advice) {
        return fail(as, "database '" + std::string(path) + "': " + std::string(message) + "; " + std::string(advice));
    };
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return says(Errc::unavailable, "another program has kept it locked for too long; end what that program does, "
                                       "then try again");
    case SQLITE_FULL:
        return says(Errc::no_space, "free space on its disk");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        return says(Errc::permission_denied, "give this user read and write access to it and to its folder, or choose "
                                             "another file");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return says(Errc::corrupt_data, "keep the file, restore it from a backup, and look at the disk");
    case SQLITE_TOOBIG:
        return says(Errc::too_large, "store it in parts, or choose another backend");
    case SQLITE_NOMEM:
    case SQLITE_IOERR:
        return says(Errc::unavailable, "look at the disk and the memory of this machine, then open the storage again");
    default:
        return says(Errc::internal, "code " + std::to_string(code));
    }
}

auto Database::open(std::string const& path, std::chrono::milliseconds busy_timeout)
    -> Result<std::unique_ptr<Database>> {
    std::unique_ptr<Database> made(new Database(path, busy_timeout));
    constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (auto const code = sqlite3_open_v2(path.c_str(), &made->raw_, flags, nullptr); code != SQLITE_OK)
        return made->error(code);
    sqlite3_busy_handler(made->raw_, &Database::wait, made.get());
    return made;
}

/// Waits in short naps: a lock is held for one flush. SQLite's own grow to a tenth of a second, in which many others
/// come first.
auto Database::wait(void* database, int times) -> int {
    auto& self = *static_cast<Database*>(database);
    auto const now = std::chrono::steady_clock::now();
    if (times == 0)
        self.wait_until_ = now + self.busy_timeout_;
    if (now >= self.wait_until_)
        return 0;
    std::this_thread::sleep_for(std::chrono::microseconds(std::min(100 * (times + 1), 5000)));
    return 1;
}

auto Database::number(char const* sql) -> Result<std::int64_t> {
    sqlite3_stmt* statement = nullptr;
    auto code = sqlite3_prepare_v2(raw_, sql, -1, &statement, nullptr);
    if (code != SQLITE_OK)
        return error(code);
    code = sqlite3_step(statement);
    auto const found = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return error(code);
    return found;
}

auto Connection::open(std::string const& path, std::chrono::milliseconds busy_timeout)
    -> Result<std::unique_ptr<Connection>> {
    auto database = Database::open(path, busy_timeout);
    if (database.has_error())
        return database.error();
    std::unique_ptr<Connection> made(new Connection(std::move(*database)));
    for (std::size_t i = 0; i < sql_count; ++i) {
        auto const sql = text_of(static_cast<Sql>(i));
        auto const code = sqlite3_prepare_v3(made->database_->raw(), sql.data(), static_cast<int>(sql.size()),
                                             SQLITE_PREPARE_PERSISTENT, &made->statements_.at(i), nullptr);
        if (code != SQLITE_OK)
            return made->error(code);
    }
    return made;
}

Connection::~Connection() {
    for (auto* const statement : statements_)
        sqlite3_finalize(statement);
}

auto Connection::set_durable(bool durable) -> int {
    if (durable == durable_)
        return SQLITE_OK;
    auto const code = database_->execute(durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    if (code == SQLITE_OK)
        durable_ = durable;
    return code;
}

} // namespace memfs_cache::sqlite
