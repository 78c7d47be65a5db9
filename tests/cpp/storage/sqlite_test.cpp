// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/storage/concept.hpp> // says whether SQLite is there

#if MEMFS_CACHE_HAS_SQLITE

#include "support/child_process.hpp"
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include "support/system_calls.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/sqlite.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <sqlite3.h>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

using Calls = std::vector<std::string>;
Put_Options const buffered{Durability::buffered, false};

/// What the Python provider makes of a new file.
constexpr char const* provider_tables = "CREATE TABLE memory_fs_files (id INTEGER PRIMARY KEY, path TEXT, data BLOB, "
                                        "created_at INTEGER, updated_at INTEGER);"
                                        "CREATE INDEX idx__memory_fs_files__path ON memory_fs_files(path);";

/// Another program on the same file: SQLite itself.
class Bare_Sqlite {
  public:
    explicit Bare_Sqlite(std::filesystem::path const& file) { REQUIRE(sqlite3_open(file.c_str(), &raw_) == SQLITE_OK); }
    Bare_Sqlite(Bare_Sqlite const&) = delete;
    auto operator=(Bare_Sqlite const&) -> Bare_Sqlite& = delete;
    ~Bare_Sqlite() { sqlite3_close(raw_); }

    [[nodiscard]] auto does(std::string const& sql) -> bool {
        return sqlite3_exec(raw_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
    }
    /// First column of the first row, as text.
    [[nodiscard]] auto ask(std::string const& sql) -> std::string {
        std::string answer = "(nothing)";
        auto const take = [](void* out, int, char** columns, char**) {
            *static_cast<std::string*>(out) = columns[0] == nullptr ? "(null)" : columns[0];
            return 0;
        };
        REQUIRE(sqlite3_exec(raw_, sql.c_str(), take, &answer, nullptr) == SQLITE_OK);
        return answer;
    }

  private:
    sqlite3* raw_ = nullptr;
};

struct Database {
    Scratch_Folder folder;
    std::filesystem::path file = folder.path() / "cache.db";
    std::optional<Storage_Sqlite> opened = Storage_Sqlite::open(file).value();
    Storage_Sqlite& storage = *opened;

    [[nodiscard]] auto put(std::string_view key, Byte_View bytes, Put_Options const& options = {}) -> Put_State {
        return storage.put(Storage_Key(key), bytes, Precondition::none(), options).value().state;
    }
    [[nodiscard]] auto text(std::string_view key) const -> std::string {
        return read(storage, key).value().value_or("(absent)");
    }
    [[nodiscard]] auto version(std::string_view key) const -> Version {
        return storage.get(Storage_Key(key)).value().value().version;
    }
};

auto content_of(std::filesystem::path const& path) -> std::string {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

auto count_of(Calls const& calls, std::string const& call) -> std::ptrdiff_t {
    return std::count(calls.begin(), calls.end(), call);
}

/// Refused, in words that hold `says`.
void check_refused(Result<Storage_Sqlite> const& opened, Errc code, std::string const& says) {
    REQUIRE(opened.has_error());
    CAPTURE(opened.error().context);
    CHECK(opened.error().code == code);
    CHECK(opened.error().context.find(says) != std::string::npos);
}

} // namespace

TEST_SUITE("storage/sqlite") {
    TEST_CASE("what cannot be a database is refused in one sentence, and left as it was") {
        Scratch_Folder folder;
        check_refused(Storage_Sqlite::open(""), Errc::invalid_argument, "./cache.db");
        check_refused(Storage_Sqlite::open(":memory:"), Errc::invalid_argument, "memory:");
        check_refused(Storage_Sqlite::open(folder.path()), Errc::invalid_argument, "disk:PATH");
        check_refused(Storage_Sqlite::open(folder.path() / "none/cache.db"), Errc::invalid_argument,
                      "create the folder first");
        auto const wrong_time = Sqlite_Options{std::chrono::milliseconds(-1)};
        check_refused(Storage_Sqlite::open(folder.path() / "x.db", wrong_time), Errc::invalid_argument, "busy_timeout");

        auto const text = folder.path() / "notes.txt";
        std::string const words(5000, 'w');
        std::ofstream(text) << words;
        check_refused(Storage_Sqlite::open(text), Errc::invalid_argument, "no SQLite database");
        CHECK(content_of(text) == words);
        check_refused(Storage_Sqlite::open(text / "cache.db"), Errc::invalid_argument, "folder");

        auto const other = folder.path() / "other.db";
        REQUIRE(Bare_Sqlite(other).does("CREATE TABLE people (name TEXT)"));
        auto const before = content_of(other);
        check_refused(Storage_Sqlite::open(other), Errc::invalid_argument, "something else");
        CHECK(content_of(other) == before);

        auto const similar = folder.path() / "similar.db";
        REQUIRE(Bare_Sqlite(similar).does("CREATE TABLE memory_fs_files (path TEXT, data BLOB)"));
        check_refused(Storage_Sqlite::open(similar), Errc::invalid_argument, "something else");
    }

    TEST_CASE("a file of a later release is refused") {
        Database database;
        REQUIRE(Bare_Sqlite(database.file).does("UPDATE memfs_cache_state SET format_version = 2"));
        check_refused(Storage_Sqlite::open(database.file), Errc::unsupported, "later release");
    }

    TEST_CASE("a file that cannot be written is refused") {
        Database database;
        database.opened.reset();
        REQUIRE(::chmod(database.file.c_str(), 0444) == 0);
        REQUIRE(::chmod(database.folder.path().c_str(), 0755) == 0);
        CHECK(is_well_in_child([&] {
            constexpr uid_t nobody = 65534;
            if (::geteuid() == 0 && ::setuid(nobody) != 0)
                return false;
            auto const opened = Storage_Sqlite::open(database.file);
            auto const made = Storage_Sqlite::open(database.folder.path() / "new.db");
            return opened.has_error() && opened.error().code == Errc::permission_denied && made.has_error() &&
                   made.error().code == Errc::permission_denied;
        }));
    }

    TEST_CASE("a new file is its owner's alone, and one that was there keeps its mode") {
        Database database;
        CHECK(database.put("k", "1") == Put_State::applied);
        struct stat status {};
        for (auto const* const suffix : {"", "-wal", "-shm"}) {
            REQUIRE(::stat((database.file.string() + suffix).c_str(), &status) == 0);
            CHECK((status.st_mode & 0777) == 0600);
        }
        auto const theirs = database.folder.path() / "theirs.db";
        REQUIRE(Bare_Sqlite(theirs).does(provider_tables));
        REQUIRE(::chmod(theirs.c_str(), 0640) == 0);
        CHECK(Storage_Sqlite::open(theirs).has_value());
        REQUIRE(::stat(theirs.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0640);
    }

    TEST_CASE("a durable put, erase and sync flush the log of the file, a buffered put does not") {
        Database database;
        System_Calls calls(database.folder.path().string());
        auto const flushes = [&] { return count_of(std::exchange(calls.seen, {}), "fdatasync cache.db-wal"); };
        CHECK(database.put("a", "1", buffered) == Put_State::applied);
        calls.seen.clear(); // the first write begins a new log
        CHECK(database.put("a", "2", buffered) == Put_State::applied);
        CHECK(flushes() == 0);
        CHECK(database.storage.sync().has_value());
        CHECK(flushes() == 1);
        CHECK(database.put("a", "3") == Put_State::applied);
        CHECK(flushes() == 1);
        CHECK(database.storage.sync().has_value()); // all of it is known to be durable
        CHECK(flushes() == 0);
        CHECK(database.storage.erase(Storage_Key("a"), Precondition::none()).value());
        CHECK(flushes() == 1);
    }

    TEST_CASE("what a durable call finds in place is made durable, whoever wrote it") {
        Database database;
        auto other = Storage_Sqlite::open(database.file).value();
        System_Calls calls(database.folder.path().string());
        auto const flushes = [&] { return count_of(std::exchange(calls.seen, {}), "fdatasync cache.db-wal"); };
        Storage_Key const key("a");
        CHECK(other.put(key, "1", Precondition::none(), buffered)->state == Put_State::applied);
        calls.seen.clear();
        CHECK(database.storage.put(key, "2", Precondition::absent())->state == Put_State::not_applied);
        CHECK(flushes() == 1);
        CHECK(database.storage.put(key, "2", Precondition::absent())->state == Put_State::not_applied);
        CHECK(flushes() == 0);
        CHECK(other.put(key, "2", Precondition::none(), buffered)->state == Put_State::applied);
        CHECK_FALSE(database.storage.erase(key, Precondition::absent()).value());
        CHECK(flushes() == 1);
    }

    TEST_CASE("after a failed flush the outcome is unknown, and durable writes wait for a new handle") {
        Database database;
        CHECK(database.put("k", "old") == Put_State::applied);
        {
            System_Calls calls(database.folder.path().string());
            calls.before = [](std::string const& call) { return call == "fdatasync cache.db-wal" ? EIO : 0; };
            CHECK(database.put("k", "new") == Put_State::unknown);
        }
        auto const seen = database.text("k");
        CHECK((seen == "old" || seen == "new"));
        auto const refused = database.storage.put(Storage_Key("k"), "newer", Precondition::none());
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == Errc::unavailable);
        CHECK(database.storage.sync().error().code == Errc::unavailable);
        CHECK(database.storage.erase(Storage_Key("k"), Precondition::none()).error().code == Errc::unavailable);
        CHECK(database.put("other", "1", buffered) == Put_State::applied);
        auto again = Storage_Sqlite::open(database.file).value();
        CHECK(again.put(Storage_Key("k"), "newest", Precondition::none())->state == Put_State::applied);
        CHECK(database.text("k") == "newest");
    }

    TEST_CASE(
        "after an error of the disk at any write of a commit the old value stands or the new one, and both go on") {
        auto const large = std::string(30'000, 'n'); // more than 7 pages
        bool is_done = false;
        std::size_t fails_at = 0;
        while (!is_done && fails_at < 100) {
            ++fails_at;
            CAPTURE(fails_at);
            Database database;
            CHECK(database.put("k", "old", buffered) == Put_State::applied);
            CHECK(database.put("beside", "1", buffered) == Put_State::applied);
            std::size_t writes = 0;
            {
                System_Calls calls(database.folder.path().string());
                calls.before = [&](std::string const& call) {
                    return call == "write cache.db-wal" && ++writes == fails_at ? EIO : 0;
                };
                auto const state = database.put("k", large);
                is_done = writes < fails_at; // each of them has failed once
                CHECK(state == (is_done ? Put_State::applied : Put_State::unknown));
            }
            auto const seen = database.text("k");
            CHECK((seen == large || (seen == "old" && !is_done)));
            auto again = Storage_Sqlite::open(database.file).value();
            CHECK(read(again, "k").value() == seen);
            for (auto* const storage : {&database.storage, &again}) {
                CHECK(storage->put(Storage_Key("k"), "newer", Precondition::none(), buffered)->state ==
                      Put_State::applied);
                CHECK(read(*storage, "beside").value() == "1");
            }
            CHECK(database.text("k") == "newer");
            CHECK(Bare_Sqlite(database.file).ask("PRAGMA integrity_check") == "ok");
        }
        CHECK(is_done);
        CHECK(fails_at > 7);
    }

    TEST_CASE("an error of the disk before a commit begins is an error, and nothing was written") {
        Database database;
        CHECK(database.put("k", "old") == Put_State::applied);
        auto const large = std::string(4'000'000, 'n'); // more than SQLite keeps in memory until the commit
        {
            System_Calls calls(database.folder.path().string());
            calls.before = [](std::string const& call) { return call == "write cache.db-wal" ? EIO : 0; };
            CHECK(database.storage.put(Storage_Key("k"), large, Precondition::none()).error().code ==
                  Errc::unavailable);
        }
        CHECK(database.text("k") == "old");
        CHECK(database.put("k", large) == Put_State::applied);
        CHECK(database.text("k") == large);
    }

    TEST_CASE("an erase whose flush fails is indeterminate") {
        Database database;
        CHECK(database.put("k", "1") == Put_State::applied);
        System_Calls calls(database.folder.path().string());
        calls.before = [](std::string const& call) { return call == "fdatasync cache.db-wal" ? EIO : 0; };
        CHECK(database.storage.erase(Storage_Key("k"), Precondition::none()).error().code == Errc::indeterminate);
    }

    TEST_CASE("a full disk is no_space, the old value stands, and what others write meanwhile lands") {
        Database database;
        CHECK(database.put("k", "old") == Put_State::applied);
        auto const before = database.storage.counters().writes;
        std::atomic<bool> is_flushing{false};
        std::size_t written = 0;
        System_Calls calls(database.folder.path().string());
        calls.before = [&](std::string const& call) {
            if (call.starts_with("fdatasync")) {
                written = 0;
                if (!is_flushing.exchange(true)) // those that share the next commit come meanwhile
                    wait_until([&] { return database.storage.counters().writes == before + 6; });
            }
            if (call != "write cache.db-wal" || ++written <= 200) // room for 400 KB, until somebody gives up
                return 0;
            written = 0;
            return ENOSPC;
        };
        auto const large = std::string(3'000'000, 'L');
        std::optional<Result<Put_Outcome>> refused;
        std::vector<std::thread> threads;
        std::atomic<int> applied{0};
        threads.emplace_back([&] { applied += database.put("first", "f") == Put_State::applied ? 1 : 0; });
        wait_until([&] { return is_flushing.load(); });
        threads.emplace_back([&] { refused = database.storage.put(Storage_Key("k"), large, Precondition::none()); });
        for (int i = 0; i < 4; ++i)
            threads.emplace_back(
                [&, i] { applied += database.put("small/" + std::to_string(i), "s") == Put_State::applied ? 1 : 0; });
        for (auto& thread : threads)
            thread.join();
        REQUIRE(refused.has_value());
        REQUIRE(refused->has_error());
        CHECK(refused->error().code == Errc::no_space);
        CHECK(applied == 5);
        CHECK(database.text("k") == "old");
        calls.before = nullptr;
        CHECK(database.put("k", large) == Put_State::applied);
        CHECK(database.text("k") == large);
    }

    TEST_CASE("threads that wait for a flush share the next one") {
        Database database;
        CHECK(database.put("k", "1") == Put_State::applied);
        constexpr std::uint64_t writers = 8;
        auto const before = database.storage.counters().writes;
        System_Calls calls(database.folder.path().string());
        std::atomic<int> flushes{0};
        calls.before = [&](std::string const& call) {
            if (call == "fdatasync cache.db-wal" && flushes++ == 0) // the others come while the first one is at it
                wait_until([&] { return database.storage.counters().writes == before + writers; });
            return 0;
        };
        std::vector<std::thread> threads;
        std::atomic<int> applied{0};
        for (std::uint64_t i = 0; i < writers; ++i)
            threads.emplace_back(
                [&, i] { applied += database.put("w/" + std::to_string(i), "x") == Put_State::applied ? 1 : 0; });
        for (auto& thread : threads)
            thread.join();
        CHECK(applied == writers);
        CHECK(flushes < static_cast<int>(writers) / 2);
    }

    TEST_CASE("whoever finds the file locked for too long is told so, and readers go on") {
        Database database;
        CHECK(database.put("k", "old") == Put_State::applied);
        auto impatient = Storage_Sqlite::open(database.file, {std::chrono::milliseconds(20)}).value();
        Bare_Sqlite other(database.file);
        REQUIRE(other.does("BEGIN IMMEDIATE"));
        auto const refused = impatient.put(Storage_Key("k"), "new", Precondition::none());
        REQUIRE(refused.has_error());
        CHECK(refused.error().code == Errc::unavailable);
        CHECK(refused.error().context.find("locked") != std::string::npos);
        CHECK(read(impatient, "k").value() == "old");
        REQUIRE(other.does("ROLLBACK"));
        CHECK(impatient.put(Storage_Key("k"), "new", Precondition::none())->state == Put_State::applied);
    }

    TEST_CASE("a writer waits for another process that is about to finish") {
        Database database;
        Bare_Sqlite other(database.file);
        REQUIRE(other.does("BEGIN IMMEDIATE"));
        std::atomic<bool> applied{false};
        std::thread writer([&] { applied = database.put("k", "1") == Put_State::applied; });
        wait_until([&] { return database.storage.counters().writes == 1; });
        REQUIRE(other.does("COMMIT"));
        writer.join();
        CHECK(applied);
    }

    TEST_CASE("a range of a large value is read without the rest of it") {
        Database database;
        std::string large(20'000'000, '.');
        large.replace(19'999'990, 4, "here");
        CHECK(database.put("large", large, buffered) == Put_State::applied);
        auto const before = database.storage.counters().bytes_read;
        auto const found = database.storage.get(Storage_Key("large"), {19'999'990, 4}).value();
        CHECK(found.value().bytes == "here");
        CHECK(found->version == database.version("large"));
        CHECK(database.storage.counters().bytes_read - before == 4 + large.size());
    }

    TEST_CASE("versions go on where they were, however often the file is opened") {
        Database database;
        Storage_Key const key("k");
        std::vector<std::string> seen;
        for (int i = 0; i < 5; ++i) {
            auto storage = Storage_Sqlite::open(database.file).value();
            seen.push_back(storage.put(key, "same", Precondition::absent()).value().version.token);
            CHECK(storage.erase(key, Precondition::none()).value());
        }
        std::sort(seen.begin(), seen.end());
        CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
        CHECK_FALSE(seen.front().empty());
    }

    TEST_CASE("rows of the Python provider become objects, and ours are rows as it makes them") {
        Scratch_Folder folder;
        auto const file = folder.path() / "theirs.db";
        Bare_Sqlite theirs(file);
        REQUIRE(theirs.does(provider_tables));
        REQUIRE(theirs.does(
            "INSERT INTO memory_fs_files(path, data, created_at, updated_at) VALUES"
            "('a/k', X'00FF', 1, 1), ('b', 'text\xc3\xa9', 2, 2), ('c', NULL, 3, 3), ('/no/key', X'01', 4, 4)"));
        auto storage = Storage_Sqlite::open(file).value();
        CHECK(theirs.ask("SELECT count(*) FROM memory_fs_files") == "4");
        CHECK(theirs.ask("PRAGMA journal_mode") == "wal");
        CHECK(read(storage, "a/k").value() == std::string("\0\xff", 2));
        CHECK(read(storage, "b").value() == "text\xc3\xa9");
        CHECK(storage.get(Storage_Key("b"), {4, 9}).value().value().bytes == "\xc3\xa9");
        CHECK(read(storage, "c").value() == "");
        CHECK(storage.get(Storage_Key("c"), {0, 1}).value().value().bytes.empty());
        CHECK(files_list(storage).value() == std::vector<std::string>{"a/k", "b", "c"});
        CHECK(storage.list({}).value().items.at(1).size_bytes == 6);

        CHECK(write(storage, "a/k", "ours").has_value());
        CHECK(write(storage, "d", "new").has_value());
        CHECK(theirs.ask("SELECT id || created_at || CAST(data AS TEXT) FROM memory_fs_files WHERE path = 'a/k'") ==
              "11ours");
        CHECK(theirs.ask("SELECT updated_at > 1 FROM memory_fs_files WHERE path = 'a/k'") == "1");
        CHECK(theirs.ask("SELECT typeof(data) || (created_at = updated_at) FROM memory_fs_files WHERE path = 'd'") ==
              "blob1");
        CHECK(theirs.ask("SELECT count(*) FROM memory_fs_files") == "5");
    }

    TEST_CASE("a write of another program is a new version, too") {
        Database database;
        Bare_Sqlite theirs(database.file);
        REQUIRE(theirs.does("INSERT INTO memory_fs_files(path, data) VALUES('k', 'one')"));
        auto const first = database.version("k");
        REQUIRE(theirs.does("UPDATE memory_fs_files SET data = 'two' WHERE path = 'k'"));
        CHECK(database.text("k") == "two");
        CHECK(database.storage.put(Storage_Key("k"), "x", Precondition::only_if(first))->state ==
              Put_State::not_applied);
        auto const second = database.version("k");
        CHECK(second != first);
        REQUIRE(theirs.does("UPDATE memory_fs_files SET path = 'moved' WHERE path = 'k'"));
        CHECK(files_list(database.storage).value() == std::vector<std::string>{"moved"});
        REQUIRE(theirs.does("DELETE FROM memory_fs_files"));
        CHECK(files_list(database.storage).value().empty());
        REQUIRE(theirs.does("INSERT INTO memory_fs_files(path, data) VALUES('k', 'one')"));
        CHECK(database.version("k") != first);
        CHECK_FALSE(theirs.does("INSERT INTO memory_fs_files(path, data) VALUES('k', 'a second row')"));
        CHECK(database.text("k") == "one");
    }

    TEST_CASE("a file in which a path has two rows is refused and left as it was") {
        Scratch_Folder folder;
        auto const file = folder.path() / "theirs.db";
        Bare_Sqlite theirs(file);
        REQUIRE(theirs.does(provider_tables));
        REQUIRE(theirs.does("INSERT INTO memory_fs_files(path, data) VALUES('k', 'one'), ('k', 'two')"));
        check_refused(Storage_Sqlite::open(file), Errc::corrupt_data, "delete all but one row");
        CHECK(theirs.ask("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'memfs_cache%'") == "0");
        REQUIRE(theirs.does("DELETE FROM memory_fs_files WHERE data = 'one'"));
        CHECK(read(Storage_Sqlite::open(file).value(), "k").value() == "two");
    }

    TEST_CASE("many processes open a new file at once") {
        Scratch_Folder folder;
        auto const file = folder.path() / "cache.db";
        std::vector<pid_t> children;
        for (int i = 0; i < 6; ++i)
            children.push_back(in_child([&] {
                ::alarm(60);
                auto storage = Storage_Sqlite::open(file).value();
                write(storage, "from/" + std::to_string(i), "x").value();
            }));
        for (auto const child : children)
            CHECK(status_of(child) == 0);
        CHECK(files_list(Storage_Sqlite::open(file).value()).value().size() == 6);
    }

    TEST_CASE("a child after fork keeps what it writes when its parent closes the file") {
        Database database;
        CHECK(database.put("parent", "1") == Put_State::applied);
        Pipe connected;
        Pipe may_write;
        auto const child = in_child([&] {
            ::alarm(60);
            may_write.close_end(1);
            connected.send(database.text("parent").size());
            char ignored = 0;
            (void)may_write.receive(ignored); // until the parent has closed
            write(database.storage, "child", "2").value();
            ::raise(SIGKILL); // with no chance to tidy up
        });
        may_write.close_end(0);
        std::size_t size = 0;
        REQUIRE(connected.receive(size));
        CHECK(size == 1);
        database.opened.reset();
        may_write.close_end(1);
        CHECK(WTERMSIG(status_of(child)) == SIGKILL);
        auto const again = Storage_Sqlite::open(database.file).value();
        CHECK(read(again, "parent").value() == "1");
        CHECK(read(again, "child").value() == "2");
    }

    TEST_CASE("a fork while threads read and write leaves both sides whole") {
        if (!can_fork_with_threads())
            return;
        Database database;
        std::atomic<bool> stop{false};
        std::atomic<int> errors{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; !stop; ++i) {
                    auto const key = "t/" + std::to_string(t) + "/" + std::to_string(i % 10);
                    errors += write(database.storage, key, "x").has_error() ? 1 : 0;
                    errors += database.storage.list({}).has_error() ? 1 : 0;
                }
            });
        constexpr int forks = 8;
        int well = 0;
        for (int i = 0; i < forks; ++i)
            well += is_well_in_child([&] {
                auto const key = "child/" + std::to_string(i);
                return write(database.storage, key, "y").has_value() && read(database.storage, key).value() == "y";
            });
        stop = true;
        for (auto& thread : threads)
            thread.join();
        CHECK(well == forks);
        CHECK(errors == 0);
        CHECK(files_list(database.storage, "child/").value().size() == forks);
        CHECK(Bare_Sqlite(database.file).ask("PRAGMA integrity_check") == "ok");
    }

    TEST_CASE("whatever is acknowledged is there after a process was killed, and nothing is torn") {
        auto const seed = random_u64();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Database database;
        std::array<int, 2> acknowledged{-1, -1};
        for (int round = 0; round < 8; ++round) {
            std::array<Pipe, 2> pipes;
            std::array<pid_t, 2> children{};
            for (std::size_t c = 0; c < 2; ++c)
                children[c] = in_child([&] {
                    ::alarm(60);
                    auto storage = Storage_Sqlite::open(database.file).value();
                    for (int i = acknowledged[c] + 1;; ++i) {
                        auto const key = "child/" + std::to_string(c) + "/" + std::to_string(i);
                        write(storage, key, std::string(static_cast<std::size_t>(i % 9) * 900, 'v')).value();
                        pipes[c].send(i);
                    }
                });
            auto const kill_at = static_cast<int>(random() % 40);
            for (std::size_t c = 0; c < 2; ++c) {
                pipes[c].close_end(1);
                for (int i = 0; i < kill_at; ++i)
                    REQUIRE(pipes[c].receive(acknowledged[c]));
            }
            for (auto const child : children)
                ::kill(child, SIGKILL);
            for (std::size_t c = 0; c < 2; ++c) {
                CHECK(WTERMSIG(status_of(children[c])) == SIGKILL);
                while (pipes[c].receive(acknowledged[c])) {
                }
            }
            for (std::size_t c = 0; c < 2; ++c)
                for (int i = 0; i <= acknowledged[c]; ++i) {
                    auto const key = "child/" + std::to_string(c) + "/" + std::to_string(i);
                    REQUIRE(database.text(key).size() == static_cast<std::size_t>(i % 9) * 900);
                }
        }
        CHECK(acknowledged[0] + acknowledged[1] > 0);
        CHECK(Bare_Sqlite(database.file).ask("PRAGMA integrity_check") == "ok");
    }

    TEST_CASE("a backup is of one moment while others write, and stands for itself") {
        Database database;
        CHECK(database.put("ballast", std::string(4'000'000, 'b'), buffered) == Put_State::applied);
        CHECK(database.put("first", "0", buffered) == Put_State::applied);
        CHECK(database.put("second", "0", buffered) == Put_State::applied);
        std::atomic<bool> stop{false};
        std::atomic<int> written{0};
        std::thread writer([&] {
            for (int i = 1; !stop; ++i) {
                (void)database.put("first", std::to_string(i), buffered);
                (void)database.put("second", std::to_string(i), buffered);
                written = i;
            }
        });
        for (int i = 0; i < 5; ++i) {
            auto const before = written.load();
            wait_until([&] { return written > before; });
            auto const copy = database.folder.path() / ("copy" + std::to_string(i) + ".db");
            REQUIRE(database.storage.backup(copy).has_value());
            auto const alone = database.folder.path() / "alone.db"; // the one file is all of it
            std::filesystem::copy_file(copy, alone, std::filesystem::copy_options::overwrite_existing);
            {
                auto const opened = Storage_Sqlite::open(alone).value();
                auto const first = std::stoi(read(opened, "first").value().value());
                auto const second = std::stoi(read(opened, "second").value().value());
                CHECK(first - second >= 0);
                CHECK(first - second <= 1);
                CHECK(first >= before);
                CHECK(read(opened, "ballast").value().value().size() == 4'000'000);
            }
            CHECK(Bare_Sqlite(alone).ask("PRAGMA integrity_check") == "ok");
        }
        stop = true;
        writer.join();
    }

    TEST_CASE("a backup never goes over what is there, and leaves nothing behind when it fails") {
        Database database;
        CHECK(database.put("k", "1") == Put_State::applied);
        auto const taken = database.folder.path() / "taken.db";
        std::ofstream(taken) << "mine";
        CHECK(database.storage.backup(taken).error().code == Errc::already_exists);
        CHECK(content_of(taken) == "mine");
        CHECK(database.storage.backup(database.file).error().code == Errc::already_exists);
        CHECK(database.text("k") == "1");
        CHECK(database.storage.backup(database.folder.path() / "none/copy.db").error().code == Errc::invalid_argument);
        {
            System_Calls calls(database.folder.path().string());
            calls.before = [](std::string const& call) {
                return call.starts_with("write copy.db") && !call.ends_with("-journal") ? ENOSPC : 0;
            };
            CHECK(database.storage.backup(database.folder.path() / "copy.db").error().code == Errc::no_space);
        }
        for (auto const& entry : std::filesystem::directory_iterator(database.folder.path()))
            CHECK(entry.path().filename().string().find("copy") == std::string::npos);
    }
}

#endif
