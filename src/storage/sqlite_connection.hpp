// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <sqlite3.h>
#include <string>

/// SQLite's C interface as far as Storage_Sqlite needs it: databases, statements that are kept, codes as errors. A code is
/// SQLITE_OK, SQLITE_ROW, SQLITE_DONE or an extended error code.
namespace memfs_cache::sqlite {

/// @param  message  SQLite's own words
[[nodiscard]] auto error_from_sqlite(int code, std::string_view path, std::string_view message) -> Error;

/// An open database file. Used by one thread at a time, and only in the process that opened it.
class Database {
  public:
    /// Opens a file, or makes it. What waits for another process does so for `busy_timeout` at most.
    [[nodiscard]] static auto open(std::string const& path, std::chrono::milliseconds busy_timeout)
        -> Result<std::unique_ptr<Database>>;
    Database(Database const&) = delete;
    auto operator=(Database const&) -> Database& = delete;
    ~Database() { sqlite3_close(raw_); }

    /// Runs statements and drops their rows.
    [[nodiscard]] auto execute(char const* sql) -> int { return sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr); }
    /// The first column of the first row, 0 if there is none.
    [[nodiscard]] auto number(char const* sql) -> Result<std::int64_t>;
    [[nodiscard]] auto in_transaction() const -> bool { return sqlite3_get_autocommit(raw_) == 0; }
    [[nodiscard]] auto raw() const noexcept -> sqlite3* { return raw_; }
    [[nodiscard]] auto path() const noexcept -> std::string const& { return path_; }
    /// What a code that a call on it has just given says, and what to do.
    [[nodiscard]] auto error(int code) const -> Error { return error_from_sqlite(code, path_, sqlite3_errmsg(raw_)); }

  private:
    Database(std::string path, std::chrono::milliseconds busy_timeout)
        : path_(std::move(path)), busy_timeout_(busy_timeout) {}
    static auto wait(void* database, int times) -> int;

    std::string path_;
    std::chrono::milliseconds busy_timeout_;
    std::chrono::steady_clock::time_point wait_until_{};
    sqlite3* raw_ = nullptr;
};

/// One run of a kept statement: bind, step, read columns. It is ready for the next run when this goes. What is bound must
/// live as long.
class Run {
  public:
    explicit Run(sqlite3_stmt* statement) : statement_(statement) {}
    Run(Run const&) = delete;
    auto operator=(Run const&) -> Run& = delete;
    ~Run() {
        sqlite3_reset(statement_);
        sqlite3_clear_bindings(statement_);
    }

    /// Parameters in their order.
    template <class... Values>
    [[nodiscard]] auto with(Values const&... values) -> Run& {
        int parameter = 0;
        (bind(++parameter, values), ...);
        return *this;
    }
    [[nodiscard]] auto step() -> int { return sqlite3_step(statement_); }
    [[nodiscard]] auto number_in(int column) const -> std::int64_t { return sqlite3_column_int64(statement_, column); }
    [[nodiscard]] auto bytes_in(int column) const -> Byte_View {
        auto const* const bytes = static_cast<char const*>(sqlite3_column_blob(statement_, column));
        auto const size = sqlite3_column_bytes(statement_, column);
        return bytes == nullptr ? Byte_View() : Byte_View(bytes, static_cast<std::size_t>(size));
    }

  private:
    void bind(int parameter, std::int64_t value) { sqlite3_bind_int64(statement_, parameter, value); }
    void bind(int parameter, std::string const& text) {
        sqlite3_bind_text64(statement_, parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    void bind(int parameter, Byte_View bytes) {
        auto const* const begin = bytes.empty() ? "" : bytes.data(); // nullptr would be NULL
        sqlite3_bind_blob64(statement_, parameter, begin, bytes.size(), SQLITE_STATIC);
    }

    sqlite3_stmt* statement_;
};

/// What is asked of the database; each is prepared once for a connection.
enum class Sql { begin_read, begin_write, commit, rollback, read, find, list, insert, replace, remove, version, touch };

/// A database with statements that are kept, of a file that prepare_file() has seen.
class Connection {
  public:
    [[nodiscard]] static auto open(std::string const& path, std::chrono::milliseconds busy_timeout)
        -> Result<std::unique_ptr<Connection>>;
    Connection(Connection const&) = delete;
    auto operator=(Connection const&) -> Connection& = delete;
    ~Connection();

    [[nodiscard]] auto run(Sql which) -> Run { return Run(statements_.at(static_cast<std::size_t>(which))); }
    /// Whether the commits that follow are flushed.
    [[nodiscard]] auto set_durable(bool durable) -> int;
    /// On closing as the last one, do not move the WAL into the file.
    void leave_log_on_close() { sqlite3_db_config(database_->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }
    [[nodiscard]] auto database() -> Database& { return *database_; }
    [[nodiscard]] auto error(int code) const -> Error { return database_->error(code); }

  private:
    static constexpr std::size_t sql_count = static_cast<std::size_t>(Sql::touch) + 1;
    explicit Connection(std::unique_ptr<Database> database) : database_(std::move(database)) {}

    std::unique_ptr<Database> database_;
    std::array<sqlite3_stmt*, sql_count> statements_{};
    bool durable_ = true; ///< SQLite begins with synchronous=FULL
};

/// Of one moment: ends when this goes.
class Snapshot {
  public:
    explicit Snapshot(Connection& connection)
        : connection_(connection), code_(connection.run(Sql::begin_read).step()) {}
    Snapshot(Snapshot const&) = delete;
    auto operator=(Snapshot const&) -> Snapshot& = delete;
    ~Snapshot() {
        if (connection_.database().in_transaction())
            (void)connection_.run(Sql::rollback).step();
    }
    [[nodiscard]] auto code() const noexcept -> int { return code_; }

  private:
    Connection& connection_;
    int code_;
};

/// Makes the file at a path one that connections can use: creates what is missing, takes in rows of the Python provider.
/// @errors as Storage_Sqlite::open
[[nodiscard]] auto prepare_file(std::string const& path, std::chrono::milliseconds busy_timeout) -> Result<void>;

/// @errors as Storage_Sqlite::backup
[[nodiscard]] auto copy_database(Connection& source, std::string const& path) -> Result<void>;

} // namespace memfs_cache::sqlite
