// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/storage/sqlite.hpp>
#include <memfs_cache/storage/words.hpp>

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
            "CREATE TABLE files (path TEXT PRIMARY KEY, data BLOB)");
        write_ = prepare("INSERT INTO files(path, data) VALUES(?1, ?2) "
                         "ON CONFLICT(path) DO UPDATE SET data = excluded.data");
        read_ = prepare("SELECT data FROM files WHERE path = ?1");
        list_ = prepare("SELECT path FROM files ORDER BY path");
    }
    Bare_Database(Bare_Database const&) = delete;
    auto operator=(Bare_Database const&) -> Bare_Database& = delete;
    ~Bare_Database() {
        for (auto* const statement : {write_, read_, list_})
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
    [[nodiscard]] auto list() -> std::vector<std::string> {
        std::vector<std::string> paths;
        while (sqlite3_step(list_) == SQLITE_ROW)
            paths.emplace_back(reinterpret_cast<char const*>(sqlite3_column_text(list_, 0)),
                               static_cast<std::size_t>(sqlite3_column_bytes(list_, 0)));
        sqlite3_reset(list_);
        return paths;
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
    sqlite3_stmt* list_ = nullptr;
};

/// The same keys on both sides, each with a value of 200 bytes.
struct On_Disk {
    explicit On_Disk(std::size_t count) : names(keys(count)) {
        bare.run("BEGIN");
        for (auto const& key : names) {
            require(ours.put(key, value, Precondition::none(), {.durability = Durability::buffered}).has_value(),
                    "put");
            bare.put(key.str(), value);
        }
        bare.run("COMMIT");
        ours.sync().value();
    }
    [[nodiscard]] auto key(std::size_t i) const -> Storage_Key const& { return names[i % names.size()]; }

    testing::Scratch_Folder folder{std::filesystem::current_path()};
    Storage_Sqlite ours = Storage_Sqlite::open(folder.path() / "ours.db").value();
    Bare_Database bare{folder.path() / "bare.db"};
    std::mutex of_bare;
    std::vector<Storage_Key> names;
    Bytes value = Bytes(200, 'x');
};

constexpr std::size_t few = 1'000;
constexpr std::size_t many = 100'000;

auto put_durably(std::size_t threads) -> Sides {
    auto const disk = std::make_shared<On_Disk>(few);
    return {.ours =
                [disk, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            require(disk->ours.put(disk->key(i), disk->value, Precondition::none())->state ==
                                        Put_State::applied,
                                    "put");
                    });
                },
            .limit =
                [disk, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i) {
                            std::lock_guard const lock(disk->of_bare);
                            disk->bare.put(disk->key(i).str(), disk->value);
                        }
                    });
                }};
}

auto get_one() -> Sides {
    auto const disk = std::make_shared<On_Disk>(few);
    return {.ours =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        require(disk->ours.get(disk->key(i)).value()->bytes.size() == disk->value.size(), "get");
                },
            .limit =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        require(disk->bare.get(disk->key(i).str()).size() == disk->value.size(), "get");
                }};
}

auto list_many() -> Sides {
    auto const disk = std::make_shared<On_Disk>(many);
    return {.ours =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        require(files_list(disk->ours).value().size() == many, "list");
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
            {"list of 100,000 keys, SQLite", "prepared SELECT of the paths", list_many}};
}

} // namespace memfs_cache::bench
