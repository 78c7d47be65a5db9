// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/storage/sqlite.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <sqlite3.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace memfs_cache::bench {

namespace {

void require(bool done, char const* what) {
    if (!done)
        throw std::runtime_error(what);
}

auto keys(std::size_t count) -> std::vector<Storage_Key> {
    std::vector<Storage_Key> made;
    for (std::size_t i = 0; i < count; ++i)
        made.emplace_back("cache/app/data/direct/" + std::to_string(100'000 + i) + "/value.json");
    return made;
}

/// SQLite alone: a table of keys and values, statements that are kept. One thread at a time.
class Bare_Database {
  public:
    explicit Bare_Database(std::filesystem::path const& file) {
        require(sqlite3_open(file.c_str(), &raw_) == SQLITE_OK, "open");
        run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE files (path TEXT PRIMARY KEY, data BLOB);"
            "CREATE TABLE names (path TEXT PRIMARY KEY, size INTEGER, version INTEGER) WITHOUT ROWID");
        write_ = prepare("INSERT INTO files(path, data) VALUES(?1, ?2) "
                         "ON CONFLICT(path) DO UPDATE SET data = excluded.data");
        read_ = prepare("SELECT data FROM files WHERE path = ?1");
        name_ = prepare("INSERT INTO names(path, size, version) VALUES(?1, ?2, ?3)");
        list_ = prepare("SELECT path, size, version FROM names ORDER BY path");
    }
    Bare_Database(Bare_Database const&) = delete;
    auto operator=(Bare_Database const&) -> Bare_Database& = delete;
    ~Bare_Database() {
        for (auto* const statement : {write_, read_, name_, list_})
            sqlite3_finalize(statement);
        sqlite3_close(raw_);
    }

    void run(char const* sql) { require(sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql); }
    void put(std::string const& key, Byte_View bytes) {
        bind(write_, 1, key);
        sqlite3_bind_blob64(write_, 2, bytes.data(), bytes.size(), SQLITE_STATIC);
        require(sqlite3_step(write_) == SQLITE_DONE, "upsert");
        sqlite3_reset(write_);
    }
    [[nodiscard]] auto get(std::string const& key) -> Bytes {
        bind(read_, 1, key);
        require(sqlite3_step(read_) == SQLITE_ROW, "select");
        Bytes bytes(static_cast<char const*>(sqlite3_column_blob(read_, 0)),
                    static_cast<std::size_t>(sqlite3_column_bytes(read_, 0)));
        sqlite3_reset(read_);
        return bytes;
    }
    void add_name(std::string const& key, std::size_t size, std::size_t version) {
        bind(name_, 1, key);
        sqlite3_bind_int64(name_, 2, static_cast<std::int64_t>(size));
        sqlite3_bind_int64(name_, 3, static_cast<std::int64_t>(version));
        require(sqlite3_step(name_) == SQLITE_DONE, "insert");
        sqlite3_reset(name_);
    }
    struct Name {
        std::string path;
        std::int64_t size;
        std::int64_t version;
    };
    [[nodiscard]] auto list() -> std::vector<Name> {
        std::vector<Name> names;
        while (sqlite3_step(list_) == SQLITE_ROW)
            names.push_back({{reinterpret_cast<char const*>(sqlite3_column_text(list_, 0)),
                              static_cast<std::size_t>(sqlite3_column_bytes(list_, 0))},
                             sqlite3_column_int64(list_, 1),
                             sqlite3_column_int64(list_, 2)});
        sqlite3_reset(list_);
        return names;
    }

  private:
    [[nodiscard]] auto prepare(char const* sql) -> sqlite3_stmt* {
        sqlite3_stmt* statement = nullptr;
        require(sqlite3_prepare_v2(raw_, sql, -1, &statement, nullptr) == SQLITE_OK, sql);
        return statement;
    }
    static void bind(sqlite3_stmt* statement, int parameter, std::string const& text) {
        sqlite3_bind_text64(statement, parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }

    sqlite3* raw_ = nullptr;
    sqlite3_stmt* write_ = nullptr;
    sqlite3_stmt* read_ = nullptr;
    sqlite3_stmt* name_ = nullptr;
    sqlite3_stmt* list_ = nullptr;
};

/// The same keys on both sides, each with a value of 200 bytes.
struct On_Disk {
    explicit On_Disk(std::size_t count) : names(keys(count)) {
        bare.run("BEGIN");
        for (std::size_t i = 0; i < names.size(); ++i) {
            require(ours.put(names[i], next(), Precondition::none(), {.durability = Durability::buffered}).has_value(),
                    "put");
            bare.put(names[i].str(), next());
            bare.add_name(names[i].str(), value_bytes, i);
        }
        bare.run("COMMIT");
        ours.sync().value();
    }
    [[nodiscard]] auto key(std::size_t i) const -> Storage_Key const& { return names[i % names.size()]; }

    /// Another one each time: SQLite leaves a page alone that does not change, and then has nothing to flush.
    [[nodiscard]] auto next() -> Bytes {
        auto const digits = std::to_string(++values);
        return digits + Bytes(value_bytes - digits.size(), 'x');
    }
    static constexpr std::size_t value_bytes = 200;

    testing::Scratch_Folder folder{std::filesystem::current_path()};
    Storage_Sqlite ours = Storage_Sqlite::open(folder.path() / "ours.db").value();
    Bare_Database bare{folder.path() / "bare.db"};
    std::mutex of_bare;
    std::vector<Storage_Key> names;
    std::atomic<std::uint64_t> values{0};
};

constexpr std::size_t few = 1'000;
constexpr std::size_t many = 100'000;

auto put_durably(std::size_t threads) -> Sides {
    auto const disk = std::make_shared<On_Disk>(few);
    return {.ours =
                [disk, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            require(disk->ours.put(disk->key(i), disk->next(), Precondition::none())->state ==
                                        Put_State::applied,
                                    "put");
                    });
                },
            .limit =
                [disk, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i) {
                            std::lock_guard const lock(disk->of_bare);
                            disk->bare.put(disk->key(i).str(), disk->next());
                        }
                    });
                }};
}

auto get_one() -> Sides {
    auto const disk = std::make_shared<On_Disk>(few);
    return {.ours =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        require(disk->ours.get(disk->key(i)).value()->bytes.size() == On_Disk::value_bytes, "get");
                },
            .limit =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        require(disk->bare.get(disk->key(i).str()).size() == On_Disk::value_bytes, "get");
                }};
}

auto list_many() -> Sides {
    auto const disk = std::make_shared<On_Disk>(many);
    return {.ours =
                [disk](std::size_t operations) {
                    List_Query const all{.prefix = {}, .start_after = {}, .limit = many};
                    for (std::size_t i = 0; i < operations; ++i)
                        require(disk->ours.list(all).value().items.size() == many, "list");
                },
            .limit =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        require(disk->bare.list().size() == many, "list");
                }};
}

} // namespace

auto sqlite_rows() -> Rows {
    return {{"put, SQLite, durable, 200 bytes", "prepared upsert, synchronous=FULL", [] { return put_durably(1); }},
            {"put, SQLite, durable, 16 threads",
             "prepared upsert, synchronous=FULL, under a mutex",
             [] { return put_durably(16); },
             {},
             1'600},
            {"get, SQLite, 200 bytes", "prepared SELECT", get_one},
            {"list of 100,000 keys, SQLite", "prepared SELECT of path, size, version", list_many}};
}

} // namespace memfs_cache::bench
