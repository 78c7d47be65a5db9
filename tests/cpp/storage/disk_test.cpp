// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include "support/system_calls.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

using Calls = std::vector<std::string>;
Put_Options const buffered{Durability::buffered, false};

struct Disk {
    Scratch_Folder folder;
    Storage_Disk storage = Storage_Disk::open(folder.path()).value();

    [[nodiscard]] auto file(std::string const& path) const -> std::filesystem::path { return folder.path() / path; }
    [[nodiscard]] auto watch() const -> System_Calls { return System_Calls(folder.path().string()); }
    [[nodiscard]] auto put(std::string_view key, Byte_View bytes, Put_Options const& options = {}) -> Put_State {
        return storage.put(Storage_Key(key), bytes, Precondition::none(), options).value().state;
    }
    [[nodiscard]] auto append(std::string_view key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        return storage.append(Storage_Key(key), at, bytes, durability);
    }
    [[nodiscard]] auto text(std::string_view key) const -> std::string {
        return read(storage, key).value().value_or("(absent)");
    }
    [[nodiscard]] auto version(std::string_view key) const -> Version {
        return storage.get(Storage_Key(key)).value().value().version;
    }
    /// Unfinished objects, of this and every other handle.
    [[nodiscard]] auto temporaries() const -> int {
        int count = 0;
        for (auto const& entry : std::filesystem::recursive_directory_iterator(file(".memfs_cache/tmp")))
            count += entry.is_regular_file() ? 1 : 0;
        return count;
    }
};

auto content_of(std::filesystem::path const& path) -> std::string {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(std::filesystem::path const& path, std::string const& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

/// Runs `work() -> bool` in a child process, and `meanwhile` with its id in this one; waits until the child is dead.
/// @return the status of waitpid: 0 when work was true.
template <class Work, class Meanwhile>
auto run_in_child(Work work, Meanwhile meanwhile) -> int {
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
        ::_exit(work() ? 0 : 1);
    meanwhile(child);
    int status = -1;
    ::waitpid(child, &status, 0);
    return status;
}

} // namespace

TEST_SUITE("storage/disk: what lies on the disk") {
    TEST_CASE("an object is a plain file whose path is its key") {
        Disk disk;
        for (std::string const key :
             {"a/b.json", "caf\xc3\xa9/\xf0\x9f\x98\x80", "100%/x y", "a%2fb", "...", "q?*:\"<>|\\"}) {
            CHECK(disk.put(key, "bytes of " + key, buffered) == Put_State::applied);
            CHECK(content_of(disk.file(key)) == "bytes of " + key);
        }
        CHECK(disk.append("log.jsonl", 0, "one\n", Durability::buffered)->state == Put_State::applied);
        CHECK(content_of(disk.file("log.jsonl")) == "one\n");
    }

    TEST_CASE("no key reaches the folder that the storage keeps for itself") {
        Disk disk;
        CHECK(disk.put(".memfs_cache/removals", "mine", buffered) == Put_State::applied);
        CHECK(disk.put("%.memfs_cache", "mine too", buffered) == Put_State::applied);
        CHECK(disk.put("x/.memfs_cache", "ordinary", buffered) == Put_State::applied);
        CHECK(content_of(disk.file(".memfs_cache/removals")).find("mine") == std::string::npos);
        CHECK(content_of(disk.file("%.memfs_cache/removals")) == "mine");
        CHECK(content_of(disk.file("%%.memfs_cache")) == "mine too");
        CHECK(content_of(disk.file("x/.memfs_cache")) == "ordinary");
        CHECK(files_list(disk.storage).value() == Calls{"%.memfs_cache", ".memfs_cache/removals", "x/.memfs_cache"});
    }

    TEST_CASE("which lock guards a key does not depend on the build") {
        Disk disk;
        CHECK(disk.put("123456789", "", buffered) == Put_State::applied);
        constexpr unsigned published_crc32c = 0xe3069283; // of these nine digits
        static_assert(published_crc32c % 64 == 0x03);
        CHECK(std::filesystem::exists(disk.file(".memfs_cache/locks/03")));
    }

    TEST_CASE("files of other programs are objects if a key can name them, and otherwise left alone") {
        Disk disk;
        write_file(disk.file("plain/by-hand.txt"), "hello");
        write_file(disk.file("100%"), "");
        write_file(disk.file("bad\xff name"), "");
        write_file(disk.file("bad\nname"), "");
        std::filesystem::create_directories(disk.file("empty/folders"));
        std::filesystem::create_symlink(disk.file("plain/by-hand.txt"), disk.file("link"));
        std::filesystem::create_symlink(disk.file("plain"), disk.file("linked-folder"));
        REQUIRE(::mkfifo(disk.file("pipe").c_str(), 0600) == 0);
        CHECK(files_list(disk.storage).value() == Calls{"100%", "plain/by-hand.txt"});
        CHECK(disk.text("plain/by-hand.txt") == "hello");
        CHECK(disk.text("link") == "(absent)");
        CHECK(disk.text("pipe") == "(absent)");
        CHECK_FALSE(remove(disk.storage, "pipe").value());
    }

    TEST_CASE("erase removes the folders that it leaves empty, and no others") {
        Disk disk;
        CHECK(disk.put("a/b/c/d", "", buffered) == Put_State::applied);
        CHECK(disk.put("a/x", "", buffered) == Put_State::applied);
        CHECK(remove(disk.storage, "a/b/c/d").value());
        CHECK_FALSE(std::filesystem::exists(disk.file("a/b")));
        CHECK(std::filesystem::exists(disk.file("a/x")));
        CHECK(remove(disk.storage, "a/x").value());
        CHECK_FALSE(std::filesystem::exists(disk.file("a")));
    }

    TEST_CASE("an empty folder gives way to an object") {
        Disk disk;
        std::filesystem::create_directories(disk.file("a/b"));
        std::filesystem::create_directories(disk.file("l"));
        CHECK(disk.storage.put(Storage_Key("a/b"), "1", Precondition::absent()).value().state == Put_State::applied);
        CHECK(disk.append("l", 0, "2", Durability::buffered).value().state == Put_State::applied);
        CHECK(disk.text("a/b") == "1");
        CHECK(disk.text("l") == "2");
    }

    TEST_CASE("a secret is readable by its owner alone, everything else as the umask says") {
        Disk disk;
        auto const mode_of = [&](std::string const& key) {
            return static_cast<unsigned>(std::filesystem::status(disk.file(key)).permissions());
        };
        auto const old_mask = ::umask(022);
        CHECK(disk.put("salt", "s", {Durability::buffered, true}) == Put_State::applied);
        CHECK(disk.put("open", "o", buffered) == Put_State::applied);
        CHECK(disk.append("log", 0, "l", Durability::buffered)->state == Put_State::applied);
        ::umask(old_mask);
        CHECK(mode_of("salt") == 0600);
        CHECK(mode_of("open") == 0644);
        CHECK(mode_of("log") == 0644);
    }

    TEST_CASE("a change that another program makes in place is a new version") {
        Disk disk;
        CHECK(disk.put("k", "old!", buffered) == Put_State::applied);
        auto const seen = disk.version("k");
        auto const fd = ::open(disk.file("k").c_str(), O_WRONLY | O_CLOEXEC);
        REQUIRE(::write(fd, "new!", 4) == 4);
        ::close(fd);
        CHECK(disk.version("k") != seen);
        auto const late = disk.storage.put(Storage_Key("k"), "lost", Precondition::only_if(seen)).value();
        CHECK(late.state == Put_State::not_applied);
        CHECK(disk.text("k") == "new!");
    }

    TEST_CASE("every write of a key is dated later than all before it, whatever the clock does") {
        // Versions rest on this alone: a file system may use an inode again at once, and sizes repeat.
        Disk disk;
        auto calls = disk.watch();
        constexpr std::int64_t first_clock = 1'700'000'000'000'000'000;
        std::int64_t last = first_clock - 1;
        auto const later = [&](Put_Outcome const& outcome) {
            REQUIRE(outcome.state == Put_State::applied);
            struct stat status {};
            REQUIRE(::stat(disk.file("d/k").c_str(), &status) == 0);
            auto const date = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
            CHECK(date > last);
            CHECK(date < first_clock + 1'000'000); // by the clock that we were given
            last = date;
            CHECK(disk.version("d/k") == outcome.version);
        };
        for (auto const clock : {first_clock, first_clock, first_clock - 100'000'000}) {
            calls.clock_nanos = clock;
            for (int i = 0; i < 20; ++i) {
                later(disk.storage.put(Storage_Key("d/k"), "same", Precondition::none(), buffered).value());
                later(disk.storage.put(Storage_Key("d/k"), "same", Precondition::none(), buffered).value());
                CHECK(remove(disk.storage, "d/k").value());
                later(disk.append("d/k", 0, "same", Durability::buffered).value());
                later(disk.append("d/k", 4, "!", Durability::buffered).value());
                CHECK(remove(disk.storage, "d/k").value());
            }
        }
    }

    TEST_CASE("a short page reads no more folders than it shows") {
        Disk disk;
        for (int i = 0; i < 50; ++i)
            for (int j = 0; j < 3; ++j)
                CHECK(disk.put("a/" + std::to_string(100 + i) + "/" + std::to_string(j), "", buffered) ==
                      Put_State::applied);
        auto calls = disk.watch();
        auto const folders = [&] {
            auto const all = std::exchange(calls.seen, {});
            return std::count_if(all.begin(), all.end(), [](auto const& call) { return call.starts_with("folder "); });
        };
        CHECK(disk.storage.list({"", "", 1}).value().items.size() == 1);
        CHECK(folders() == 3); // the root, a, a/100
        CHECK(disk.storage.list({"a/140/", "", 10}).value().items.size() == 3);
        CHECK(folders() == 1);
        CHECK(disk.storage.list({"", "a/130/1", 2}).value().next == "a/131/0");
        CHECK(folders() == 4); // the root, a, a/130, a/131
        CHECK(disk.storage.list({"a/14", "a/149/1", 10}).value().items.size() == 1);
        CHECK(folders() == 2); // a, a/149
    }

    TEST_CASE("a folder that cannot hold a storage is refused in words that help") {
        Scratch_Folder folder;
        write_file(folder.path() / "file", "");
        for (auto const& path : {folder.path() / "file", folder.path() / "file" / "below"}) {
            auto const refused = Storage_Disk::open(path);
            CHECK(refused.error().code == Errc::invalid_argument);
            CHECK(refused.error().context.find("must be a folder") != std::string::npos);
        }
        CHECK(Storage_Disk::open("").error().code == Errc::invalid_argument);
        CHECK(Storage_Disk::open(folder.path() / "new" / "deep").has_value());
    }

    TEST_CASE("a folder without access is refused and named") {
        Scratch_Folder folder;
        auto const closed = folder.path() / "closed";
        std::filesystem::create_directory(closed);
        std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
        for (auto const allowed : {std::filesystem::perms::none, std::filesystem::perms(0555)}) {
            std::filesystem::permissions(closed, allowed);
            auto const status = run_in_child(
                [&] {
                    constexpr uid_t nobody = 65534;
                    if (::geteuid() == 0 && ::setuid(nobody) != 0)
                        return false; // the superuser may do everything
                    auto const refused = Storage_Disk::open(closed);
                    return refused.has_error() && refused.error().code == Errc::permission_denied &&
                           refused.error().context.find(closed.string()) != std::string::npos;
                },
                [](pid_t) {});
            CHECK(status == 0);
        }
        std::filesystem::permissions(closed, std::filesystem::perms::owner_all);
    }
}

TEST_SUITE("storage/disk: what loss of power leaves") {
    TEST_CASE("a durable put flushes the object, then its name, then every new folder before it returns") {
        Disk disk;
        auto calls = disk.watch();
        CHECK(disk.put("a/b/c", "1") == Put_State::applied);
        auto writes = calls.take_writes();
        std::erase(writes, "rename a/b/c"); // tried once before the folders were there
        CHECK(writes == Calls{"write (temporary)", "fsync (temporary)", "fsync a/b", "fsync a", "fsync ."});
        CHECK(disk.put("a/b/d", "2") == Put_State::applied);
        CHECK(calls.take_writes() == Calls{"write (temporary)", "fsync (temporary)", "rename a/b/d", "fsync a/b"});
    }

    TEST_CASE("folders that a buffered put made are flushed by the durable put that relies on them") {
        Disk disk;
        CHECK(disk.put("a/b/c", "1", buffered) == Put_State::applied);
        auto calls = disk.watch();
        CHECK(disk.put("a/b/d", "2") == Put_State::applied);
        CHECK(calls.take_writes() ==
              Calls{"write (temporary)", "fsync (temporary)", "rename a/b/d", "fsync a/b", "fsync a", "fsync ."});
    }

    TEST_CASE("folders that another handle removed and made again are flushed again") {
        Disk disk;
        CHECK(disk.put("a/b/c", "1") == Put_State::applied);
        auto other = Storage_Disk::open(disk.folder.path()).value();
        CHECK(remove(other, "a/b/c").value());
        CHECK(other.put(Storage_Key("a/b/x"), "1", Precondition::none(), buffered).value().state == Put_State::applied);
        auto calls = disk.watch();
        CHECK(disk.put("a/b/c", "2") == Put_State::applied);
        CHECK(calls.take_writes() ==
              Calls{"write (temporary)", "fsync (temporary)", "rename a/b/c", "fsync a/b", "fsync a", "fsync ."});
    }

    TEST_CASE("a durable append flushes the new file's folders once, then costs one write and one flush") {
        Disk disk;
        auto calls = disk.watch();
        CHECK(disk.append("a/log", 0, "1", Durability::durable)->state == Put_State::applied);
        CHECK(calls.take_writes() == Calls{"write a/log", "fdatasync a/log", "fsync a", "fsync ."});
        CHECK(disk.append("a/log", 1, "2", Durability::durable)->state == Put_State::applied);
        CHECK(calls.take_writes() == Calls{"write a/log", "fdatasync a/log"});
    }

    TEST_CASE("buffered writes flush nothing until sync, and sync flushes them once") {
        Disk disk;
        auto calls = disk.watch();
        CHECK(disk.put("a/k", "1", buffered) == Put_State::applied);
        CHECK(disk.append("b/log", 0, "1", Durability::buffered)->state == Put_State::applied);
        CHECK(disk.append("b/log", 1, "2", Durability::buffered)->state == Put_State::applied);
        for (auto const& call : calls.take_writes())
            CHECK(call.find("sync") == std::string::npos);

        CHECK(disk.storage.sync().has_value());
        auto flushed = calls.take_writes();
        std::sort(flushed.begin(), flushed.end());
        flushed.erase(std::unique(flushed.begin(), flushed.end()), flushed.end());
        CHECK(flushed == Calls{"fdatasync a/k", "fdatasync b/log", "fsync .", "fsync a", "fsync b"});
        CHECK(disk.storage.sync().has_value());
        CHECK(calls.take_writes().empty());
        CHECK(disk.append("b/log", 2, "3", Durability::buffered)->state == Put_State::applied);
        CHECK(disk.storage.sync().has_value());
        CHECK(calls.take_writes() == Calls{"write b/log", "fdatasync b/log", "fsync b"});
    }

    TEST_CASE("a sync after very many buffered writes flushes the file system once") {
        Disk disk;
        for (int i = 0; i < 300; ++i)
            CHECK(disk.put("k" + std::to_string(i), "", buffered) == Put_State::applied);
        auto calls = disk.watch();
        CHECK(disk.storage.sync().has_value());
        CHECK(calls.take_writes() == Calls{"syncfs ."});
    }

    TEST_CASE("erase is flushed before it returns") {
        Disk disk;
        CHECK(disk.put("a/k", "1") == Put_State::applied);
        CHECK(disk.put("a/l", "1") == Put_State::applied);
        auto calls = disk.watch();
        CHECK(remove(disk.storage, "a/k").value());
        CHECK(calls.take_writes() == Calls{"fsync a"});
    }
}

TEST_SUITE("storage/disk: what failures leave") {
    TEST_CASE("a put that cannot be written or flushed leaves the old object and nothing else") {
        for (std::string const failing : {"write (temporary)", "fsync (temporary)", "rename k"}) {
            CAPTURE(failing);
            Disk disk;
            CHECK(disk.put("k", "old") == Put_State::applied);
            {
                auto calls = disk.watch();
                calls.before = [&](auto const& call) { return call == failing ? ENOSPC : 0; };
                CHECK(write(disk.storage, "k", "new").error().code == Errc::no_space);
            }
            CHECK(disk.text("k") == "old");
            CHECK(disk.temporaries() == 0);
            CHECK(disk.put("k", "new") == Put_State::applied);
        }
    }

    TEST_CASE("a put whose folder cannot be flushed is unknown, not applied") {
        Disk disk;
        auto calls = disk.watch();
        calls.before = [](auto const& call) { return call == "fsync ." ? EIO : 0; };
        CHECK(disk.put("k", "new") == Put_State::unknown);
        CHECK(write(disk.storage, "k", "new").error().code == Errc::indeterminate);
        CHECK(disk.text("k") == "new");
    }

    TEST_CASE("an append that does not fit leaves the object as it was and can be repeated") {
        Disk disk;
        CHECK(disk.append("log", 0, "one,", Durability::durable)->state == Put_State::applied);
        {
            auto calls = disk.watch();
            int writes = 0;
            calls.write_at_most = [](auto const&, std::size_t) { return std::size_t{2}; };
            calls.before = [&](auto const& call) { return call == "write log" && ++writes == 2 ? ENOSPC : 0; };
            CHECK(disk.append("log", 4, "two,", Durability::durable).error().code == Errc::no_space);
        }
        CHECK(disk.text("log") == "one,");
        CHECK(disk.append("log", 4, "two,", Durability::durable)->state == Put_State::applied);
        CHECK(disk.text("log") == "one,two,");
    }

    TEST_CASE("short writes and signals are carried on from where they stopped") {
        Disk disk;
        auto calls = disk.watch();
        int interrupted = 0;
        calls.write_at_most = [](auto const&, std::size_t) { return std::size_t{3}; };
        calls.before = [&](auto const& call) {
            return call.starts_with("write ") && ++interrupted % 2 == 1 ? EINTR : 0;
        };
        CHECK(disk.put("k", "0123456789") == Put_State::applied);
        CHECK(disk.append("log", 0, "0123456789", Durability::durable)->state == Put_State::applied);
        CHECK(disk.text("k") == "0123456789");
        CHECK(disk.text("log") == "0123456789");
    }

    TEST_CASE("after a failed flush an append is unknown and the object is never flushed again") {
        Disk disk;
        CHECK(disk.append("log", 0, "one,", Durability::durable)->state == Put_State::applied);
        auto calls = disk.watch();
        calls.before = [](auto const& call) { return call == "fdatasync log" ? EIO : 0; };
        CHECK(disk.append("log", 4, "two,", Durability::durable)->state == Put_State::unknown);
        calls.before = nullptr;
        (void)calls.take_writes();
        CHECK(disk.append("log", 8, "x", Durability::durable).error().code == Errc::unavailable);
        CHECK(disk.append("log", 4, "two,", Durability::durable).error().code == Errc::unavailable);
        CHECK(calls.take_writes().empty());
        CHECK(disk.append("next", 0, "two,", Durability::durable)->state == Put_State::applied);
        auto reopened = Storage_Disk::open(disk.folder.path()).value();
        CHECK(reopened.append(Storage_Key("log"), 8, "x", Durability::durable)->state == Put_State::applied);
    }

    TEST_CASE("a sync that failed once does not claim success later") {
        Disk disk;
        CHECK(disk.put("k", "1", buffered) == Put_State::applied);
        auto calls = disk.watch();
        calls.before = [](auto const& call) { return call == "fdatasync k" ? EIO : 0; };
        CHECK(disk.storage.sync().has_error());
        calls.before = nullptr;
        CHECK(disk.storage.sync().error().code == Errc::unavailable);
    }

    TEST_CASE("what a sync could not flush is appended to no more, and sync fails until it is replaced") {
        Disk disk;
        CHECK(disk.append("log", 0, "1", Durability::buffered)->state == Put_State::applied);
        CHECK(disk.append("other", 0, "1", Durability::buffered)->state == Put_State::applied);
        auto calls = disk.watch();
        calls.before = [](auto const& call) { return call == "fdatasync log" ? EIO : 0; };
        CHECK(disk.storage.sync().has_error());
        calls.before = nullptr;
        CHECK(disk.append("log", 1, "2", Durability::durable).error().code == Errc::unavailable);
        CHECK(disk.storage.sync().error().code == Errc::unavailable);
        CHECK(disk.append("other", 1, "2", Durability::durable)->state == Put_State::applied);
        CHECK(disk.put("log", "1") == Put_State::applied);
        CHECK(disk.storage.sync().has_value());
    }

    TEST_CASE("a sync that could not even try, for want of descriptors, can be repeated") {
        Disk disk;
        CHECK(disk.append("log", 0, "1", Durability::buffered)->state == Put_State::applied);
        auto calls = disk.watch();
        calls.before = [](auto const& call) { return call == "open log" ? EMFILE : 0; };
        CHECK(disk.storage.sync().has_error());
        calls.before = nullptr;
        (void)calls.take_writes();
        CHECK(disk.storage.sync().has_value());
        CHECK(calls.take_writes() == Calls{"fdatasync log", "fsync ."});
    }

    TEST_CASE("a durable put that finds an earlier one of unknown fate in place makes it last") {
        Disk disk;
        auto calls = disk.watch();
        calls.before = [](auto const& call) { return call == "folder a" ? EMFILE : 0; };
        auto const put = [&] {
            return disk.storage.put(Storage_Key("a/k"), "1", Precondition::absent()).value().state;
        };
        CHECK(put() == Put_State::unknown);
        CHECK(put() == Put_State::unknown);
        calls.before = nullptr;
        (void)calls.take_writes();
        CHECK(put() == Put_State::not_applied);
        CHECK(calls.take_writes() == Calls{"fdatasync a/k", "fsync a", "fsync ."});
        CHECK(put() == Put_State::not_applied);
        CHECK(calls.take_writes().empty());
    }

    TEST_CASE("an object that replaces one whose flush failed can be appended to") {
        Disk disk;
        auto calls = disk.watch();
        for (bool const erased : {true, false}) {
            calls.before = [](auto const& call) { return call == "fdatasync log" ? EIO : 0; };
            CHECK(disk.append("log", 0, "x", Durability::durable)->state == Put_State::unknown);
            calls.before = nullptr;
            if (erased)
                CHECK(remove(disk.storage, "log").value());
            else
                CHECK(disk.put("log", "") == Put_State::applied);
            CHECK(disk.append("log", 0, "y", Durability::durable)->state == Put_State::applied);
            CHECK(disk.text("log") == "y");
            CHECK(remove(disk.storage, "log").value());
        }
    }

    TEST_CASE("erased and replaced logs do not keep their space") {
        Disk disk;
        auto const open_files = [] {
            return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                 std::filesystem::directory_iterator());
        };
        auto const before = open_files();
        for (std::string const name : {"a", "b", "c"})
            CHECK(disk.append(name, 0, "x", Durability::buffered)->state == Put_State::applied);
        CHECK(open_files() == before + 3);
        CHECK(remove(disk.storage, "a").value());
        CHECK(disk.put("b", "y", buffered) == Put_State::applied);
        CHECK(open_files() == before + 1);
    }

    TEST_CASE("the condition of a put is judged when it takes effect, after its bytes were written") {
        Disk disk;
        CHECK(disk.put("k", "1") == Put_State::applied);
        auto rival = Storage_Disk::open(disk.folder.path()).value();
        for (auto const& when : {Precondition::only_if(disk.version("k")), Precondition::absent()}) {
            if (when.kind() == Precondition::Kind::absent)
                CHECK(remove(rival, "k").value());
            auto calls = disk.watch();
            bool acted = false;
            calls.before = [&](auto const& call) {
                if (call == "fsync (temporary)" && !std::exchange(acted, true)) // also shows that no lock is held here
                    CHECK(write(rival, "k", "rival").has_value());
                return 0;
            };
            CHECK(disk.storage.put(Storage_Key("k"), "mine", when).value().state == Put_State::not_applied);
            CHECK(acted);
            CHECK(disk.text("k") == "rival");
        }
    }

    TEST_CASE("nothing comes between the check of a write and its effect") {
        // The rival runs in another process at the worst moment. If nothing holds it back it is through in no time and
        // both win; a lock makes it wait until the first has finished, and then its own condition is false.
        struct Moment {
            std::string call;
            std::function<bool(Storage_Disk&, Version const&)> first;
            std::function<bool(Storage_Disk&, Version const&)> rival;
        };
        Storage_Key const key("log");
        auto const applied = [](auto const& result) { return result.value().state == Put_State::applied; };
        auto const append = [&](Storage_Disk& storage, Version const&) {
            return applied(storage.append(key, 4, "+", Durability::buffered));
        };
        auto const replace = [&](Storage_Disk& storage, Version const& seen) {
            return applied(storage.put(key, "replaced", Precondition::only_if(seen), buffered));
        };
        auto const erase = [&](Storage_Disk& storage, Version const& seen) {
            return storage.erase(key, Precondition::only_if(seen)).value();
        };
        std::vector<Moment> const moments{{"write log", append, append},    {"write log", append, replace},
                                          {"write log", append, erase},     {"rename log", replace, append},
                                          {"rename log", replace, replace}, {"rename log", replace, erase}};
        for (std::size_t i = 0; i < moments.size(); ++i) {
            CAPTURE(i);
            auto const& moment = moments[i];
            Disk disk;
            CHECK(disk.put("log", "base", buffered) == Put_State::applied);
            auto const seen = disk.version("log");
            auto rival = Storage_Disk::open(disk.folder.path()).value();
            bool begun = false;
            pid_t child = -1;
            int status = -1;
            auto calls = disk.watch();
            calls.before = [&](auto const& call) {
                if (call != moment.call || std::exchange(begun, true))
                    return 0;
                child = ::fork();
                if (child == 0)
                    ::_exit(moment.rival(rival, seen) ? 1 : 0);
                for (int waited = 0; waited < 50 && ::waitpid(child, &status, WNOHANG) == 0; ++waited)
                    ::usleep(2000);
                return 0;
            };
            CHECK(moment.first(disk.storage, seen));
            REQUIRE(child > 0);
            if (status == -1)
                ::waitpid(child, &status, 0);
            CHECK(status == 0);
        }
    }

    TEST_CASE("an append waits for no other key's flush") {
        Disk disk;
        auto calls = disk.watch();
        bool acted = false;
        calls.before = [&](auto const& call) {
            if (call == "fdatasync slow" && !std::exchange(acted, true))
                CHECK(disk.append("fast", 0, "x", Durability::durable)->state == Put_State::applied);
            return 0;
        };
        CHECK(disk.append("slow", 0, "x", Durability::durable)->state == Put_State::applied);
        CHECK(acted);
    }

    TEST_CASE("killing a writer mid-write leaves no readable partial value") {
        std::string const before(50'000, 'o');
        std::string const after(70'000, 'n');
        for (std::string const moment : {"write (temporary)", "fsync (temporary)", "rename a/k", "fsync a"}) {
            CAPTURE(moment);
            Disk disk;
            CHECK(disk.put("a/k", before) == Put_State::applied);
            auto const write_and_die = [&] {
                auto own = Storage_Disk::open(disk.folder.path()).value();
                auto calls = disk.watch();
                int writes = 0;
                calls.write_at_most = [](auto const&, std::size_t size) { return size / 2 + 1; };
                calls.before = [&](auto const& call) {
                    bool const first_write = call == "write (temporary)" && ++writes == 1;
                    if (call == moment && !first_write)
                        ::raise(SIGKILL);
                    return 0;
                };
                return write(own, "a/k", after).has_value();
            };
            auto const status = run_in_child(write_and_die, [](pid_t) {});
            CHECK(WIFSIGNALED(status));
            bool const renamed = moment == "fsync a";
            CHECK(disk.text("a/k") == (renamed ? after : before));
            CHECK(files_list(disk.storage).value() == Calls{"a/k"});
            CHECK(disk.temporaries() == (renamed ? 0 : 1));
            auto const reopened = Storage_Disk::open(disk.folder.path());
            CHECK(disk.temporaries() == 0);
            CHECK(disk.put("a/k", "again") == Put_State::applied);
        }
    }

    TEST_CASE("killing a writer at any moment leaves whole values") {
        auto const seed = random_u64();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Disk disk;
        CHECK(disk.put("k", std::string(100'000, 'a'), buffered) == Put_State::applied);
        for (int round = 0; round < 20; ++round) {
            auto const write_on = [&] {
                auto own = Storage_Disk::open(disk.folder.path()).value();
                for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1))
                    if (own.put(Storage_Key("k"), std::string(100'000, letter), Precondition::none(), buffered)
                            .has_error())
                        return false;
            };
            auto const status = run_in_child(write_on, [&](pid_t child) {
                ::usleep(static_cast<useconds_t>(random() % 5000));
                ::kill(child, SIGKILL);
            });
            CHECK(WIFSIGNALED(status));
            auto const text = disk.text("k");
            REQUIRE(text.size() == 100'000);
            CHECK(text.find_first_not_of(text[0]) == std::string::npos);
        }
        auto const reopened = Storage_Disk::open(disk.folder.path());
        CHECK(disk.temporaries() == 0);
    }

    TEST_CASE("opening a storage leaves what living writers have not finished") {
        Disk disk;
        auto calls = disk.watch();
        bool opened = false;
        calls.before = [&](auto const& call) {
            if (call == "fsync (temporary)" && !std::exchange(opened, true)) {
                auto const other = Storage_Disk::open(disk.folder.path());
                CHECK(other.has_value());
                CHECK(disk.temporaries() == 1);
            }
            return 0;
        };
        CHECK(disk.put("k", "1") == Put_State::applied);
        CHECK(opened);
        CHECK(disk.text("k") == "1");
    }
}
