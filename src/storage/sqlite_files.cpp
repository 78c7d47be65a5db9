// SPDX-License-Identifier: Apache-2.0
#include "sqlite_connection.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/unique_fd.hpp>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

/// What stands in the file, beside what the Python provider has put there:
///
/// memory_fs_files      the provider's table, one row for each object; the same columns and index as it makes
/// memfs_cache_objects  path -> row, version and size: what a listing needs, in order and without the values. Its primary
///                      key keeps paths unique, which the provider's own index does not
/// memfs_cache_state    one row: version of this format, and the last version that was given out. It grows with every
///                      change, so equal numbers mean that nothing has changed
///
/// Triggers on the first table keep the other two, whoever writes.

namespace memfs_cache::sqlite {
namespace {

constexpr std::int64_t format_version = 1;

constexpr char const* provider_schema = R"(
CREATE TABLE IF NOT EXISTS memory_fs_files (id INTEGER PRIMARY KEY, path TEXT, data BLOB, created_at INTEGER,
                                            updated_at INTEGER);
CREATE INDEX IF NOT EXISTS idx__memory_fs_files__path ON memory_fs_files(path);
)";

constexpr char const* own_schema = R"(
CREATE TABLE memfs_cache_state (one INTEGER PRIMARY KEY CHECK (one = 1), format_version INTEGER NOT NULL,
                                last_version INTEGER NOT NULL);
CREATE TABLE memfs_cache_objects (path TEXT NOT NULL PRIMARY KEY, id INTEGER NOT NULL, version INTEGER NOT NULL,
                                  size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER memfs_cache_inserted AFTER INSERT ON memory_fs_files BEGIN
    UPDATE memfs_cache_state SET last_version = last_version + 1;
    INSERT INTO memfs_cache_objects(path, id, version, size)
        SELECT new.path, new.id, last_version, ifnull(length(CAST(new.data AS BLOB)), 0) FROM memfs_cache_state;
END;
CREATE TRIGGER memfs_cache_updated AFTER UPDATE ON memory_fs_files BEGIN
    UPDATE memfs_cache_state SET last_version = last_version + 1;
    UPDATE memfs_cache_objects SET path = new.path, id = new.id,
        version = (SELECT last_version FROM memfs_cache_state), size = ifnull(length(CAST(new.data AS BLOB)), 0)
        WHERE path = old.path;
END;
CREATE TRIGGER memfs_cache_deleted AFTER DELETE ON memory_fs_files BEGIN
    UPDATE memfs_cache_state SET last_version = last_version + 1;
    DELETE FROM memfs_cache_objects WHERE path = old.path;
END;
INSERT INTO memfs_cache_state(one, format_version, last_version) VALUES(1, 1, 1);
)";

constexpr char const* take_in_rows = R"(
INSERT INTO memfs_cache_objects(path, id, version, size)
    SELECT path, id, 1, ifnull(length(CAST(data AS BLOB)), 0) FROM memory_fs_files;
)";

constexpr char const* count_tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
constexpr char const* count_own_tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'memfs_cache_state'";
constexpr char const* count_provider_columns = R"(
SELECT count(*) FROM pragma_table_info('memory_fs_files') WHERE (name, type, pk) IN
    (VALUES ('id', 'INTEGER', 1), ('path', 'TEXT', 0), ('data', 'BLOB', 0), ('created_at', 'INTEGER', 0),
            ('updated_at', 'INTEGER', 0)))";
constexpr std::int64_t provider_columns = 5;

auto refuse(Errc code, std::string const& path, std::string const& why) -> Error {
    return fail(code, "database '" + path + "': " + why);
}

/// Makes the file before SQLite does, which would let others read it. By mknod: to open and close it would take away
/// the locks that another connection of this process may have on it by then.
auto make_private_file(std::string const& path) -> Result<void> {
    constexpr mode_t of_its_owner = 0600;
    if (::mknod(path.c_str(), S_IFREG | of_its_owner, 0) == 0 || errno == EEXIST)
        return {};
    auto const why = errno;
    if (why == ENOENT || why == ENOTDIR)
        return refuse(Errc::invalid_argument, path, "its folder does not exist; create the folder first");
    return error_from_errno(why, "creation", "database '" + path + "'");
}

/// @return true if all is there
auto is_prepared(Database& database) -> Result<bool> {
    auto const& path = database.path();
    auto const tables = database.number(count_tables);
    if (tables.has_error() && tables.error().code == Errc::corrupt_data)
        return refuse(Errc::invalid_argument, path, "is no SQLite database; name another file");
    if (tables.has_error())
        return tables.error();
    if (*tables == 0)
        return false;
    auto const columns = database.number(count_provider_columns);
    if (columns.has_error())
        return columns.error();
    if (*columns != provider_columns)
        return refuse(Errc::invalid_argument, path, "is a database of something else; name another file");
    auto const own = database.number(count_own_tables);
    if (own.has_error() || *own == 0)
        return own.has_error() ? Result<bool>(own.error()) : false;
    auto const format = database.number("SELECT format_version FROM memfs_cache_state");
    if (format.has_error())
        return format.error();
    if (*format != format_version)
        return refuse(Errc::unsupported, path, "was written by a later release of memfs_cache; use that release");
    return true;
}

auto make_tables(Database& database) -> Result<void> {
    if (auto const code = database.execute("BEGIN IMMEDIATE"); code != SQLITE_OK)
        return database.error(code);
    auto const prepared = is_prepared(database); // meanwhile by another process
    if (prepared.has_error() || *prepared)
        return prepared.has_error() ? Result<void>(prepared.error()) : Result<void>();
    for (auto const* const sql : {provider_schema, own_schema, take_in_rows, "COMMIT"}) {
        auto const code = database.execute(sql);
        if ((code & 0xff) == SQLITE_CONSTRAINT)
            return refuse(
                Errc::corrupt_data, database.path(),
                "two rows of memory_fs_files share a path, or one has none, so that no program can read them; "
                "delete all but one row of each path");
        if (code != SQLITE_OK)
            return database.error(code);
    }
    return {};
}

/// In one step: WAL lets everybody else go on meanwhile, and a copy in several steps of no snapshot would begin anew with
/// every commit.
auto copy_snapshot(Connection& source, Database& target) -> Result<void> {
    Snapshot const snapshot(source);
    auto* const copying = sqlite3_backup_init(target.raw(), "main", source.database().raw(), "main");
    if (copying == nullptr)
        return target.error(sqlite3_extended_errcode(target.raw()));
    (void)sqlite3_backup_step(copying, -1);
    auto const code = sqlite3_backup_finish(copying);
    return code == SQLITE_OK ? Result<void>() : target.error(code);
}

/// Gives a whole file its name, on disk as well.
auto publish(std::string const& unfinished, std::string const& path) -> Result<void> {
    auto const name = "database '" + path + "'";
    if (::link(unfinished.c_str(), path.c_str()) != 0)
        return error_from_errno(errno, "naming", name);
    auto const folder = std::filesystem::path(path).parent_path();
    Unique_Fd const opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened || ::fsync(opened.get()) != 0)
        return error_from_errno(errno, "flushing the folder", name);
    return {};
}

} // namespace

auto copy_database(Connection& source, std::string const& path) -> Result<void> {
    auto const unfinished = path + ".unfinished-" + random_hex(8);
    if (auto const made = make_private_file(unfinished); made.has_error())
        return made.error();
    auto const copied = [&]() -> Result<void> {
        auto target = Database::open(unfinished, std::chrono::milliseconds(0));
        return target ? copy_snapshot(source, **target) : target.error();
    }();
    auto const published = copied ? publish(unfinished, path) : copied;
    for (auto const* const rest : {"", "-journal"})
        ::unlink((unfinished + rest).c_str());
    return published;
}

auto prepare_file(std::string const& path, std::chrono::milliseconds busy_timeout) -> Result<void> {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored))
        return refuse(Errc::invalid_argument, path, "is a folder; name a file in it, or use disk:PATH");
    if (auto const made = make_private_file(path); made.has_error())
        return made.error();
    auto opened = Database::open(path, busy_timeout);
    if (opened.has_error())
        return opened.error();
    auto& database = **opened;
    if (sqlite3_db_readonly(database.raw(), "main") == 1)
        return error_from_sqlite(SQLITE_READONLY, path, sqlite3_errstr(SQLITE_READONLY));
    auto const prepared = is_prepared(database);
    if (prepared.has_error())
        return prepared.error();
    // Before the tables are made, so that nobody finds them in a file without WAL; again, in case the provider's own
    // tools have turned it off.
    auto const mode = database.execute("PRAGMA journal_mode = WAL");
    if (mode != SQLITE_OK)
        return database.error(mode);
    auto const is_wal = database.number("SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'");
    if (is_wal.has_error())
        return is_wal.error();
    if (*is_wal == 0)
        return refuse(Errc::unsupported, path, "this file system has no room for WAL mode; choose a local disk");
    return *prepared ? Result<void>() : make_tables(database);
}

} // namespace memfs_cache::sqlite
