// SPDX-License-Identifier: Apache-2.0
// Several processes on one store, some of which are killed in the middle of a call.
#include "crash_lab.hpp"
#include "support/printers.hpp"
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/update.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <limits>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

constexpr unsigned longest_wait_seconds = 60;

/// Bytes from children to their parent, each write whole.
class Pipe {
  public:
    Pipe() { REQUIRE(::pipe(ends_.data()) == 0); }
    void say(std::string const& line) const {
        if (::write(ends_[1], line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            ::_exit(2);
    }
    /// All lines, when every child is gone.
    [[nodiscard]] auto lines() -> std::vector<std::string> {
        ::close(ends_[1]);
        std::string text;
        std::array<char, 4096> part{};
        for (ssize_t got = 0; (got = ::read(ends_[0], part.data(), part.size())) > 0;)
            text.append(part.data(), static_cast<std::size_t>(got));
        ::close(ends_[0]);
        std::vector<std::string> lines;
        for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
            lines.push_back(text.substr(at, text.find('\n', at) - at));
        return lines;
    }

  private:
    std::array<int, 2> ends_{};
};

} // namespace

TEST_SUITE("crash/rivals") {
    TEST_CASE("processes that change one object lose no update and leave no lock, however some of them are killed") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const rounds = 20 * number_from_environment("MEMFS_CACHE_TEST_ROUNDS", 1);
        std::size_t killed = 0;
        std::size_t acknowledged = 0;
        for (std::uint64_t round = 0; round < rounds; ++round) {
            Scratch_Folder const folder(quick_folder());
            Storage_Key const key("a/list");
            Pipe pipe;
            std::vector<pid_t> children;
            for (int child = 0; child < 4; ++child) {
                // Two of them die, each at some call of its own; there are more than a hundred.
                auto const last_call = child < 2 ? random() % 100 : std::numeric_limits<std::size_t>::max();
                auto const pid = ::fork();
                REQUIRE(pid >= 0);
                if (pid > 0) {
                    children.push_back(pid);
                    continue;
                }
                ::alarm(longest_wait_seconds); // whoever waits for a lock for ever is killed, too
                System_Calls calls(folder.path().string());
                std::size_t count = 0;
                calls.before = [&](auto const&) {
                    if (count++ == last_call)
                        ::raise(SIGKILL);
                    return 0;
                };
                auto storage = Storage_Disk::open(folder.path());
                if (storage.has_error())
                    ::_exit(1);
                for (int update = 0; update < 10; ++update) {
                    auto const name = std::to_string(child) + "-" + std::to_string(update);
                    auto const changed = update_object(
                        *storage, key,
                        [&](Object const* current) -> Result<std::optional<Bytes>> {
                            return std::optional((current == nullptr ? Bytes() : current->bytes) + name + "\n");
                        },
                        {.durability = Durability::buffered});
                    if (!changed)
                        ::_exit(1);
                    pipe.say(name + "\n");
                }
                ::_exit(0);
            }
            for (auto const child : children) {
                int status = -1;
                REQUIRE(::waitpid(child, &status, 0) == child);
                bool const was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
                killed += was_killed ? 1 : 0;
                CHECK((was_killed || status == 0));
            }
            auto storage = Storage_Disk::open(folder.path()).value();
            auto const text = read(storage, key.str()).value().value();
            std::multiset<std::string> stored;
            for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
                stored.insert(text.substr(at, text.find('\n', at) - at));
            for (auto const& name : pipe.lines()) {
                CHECK(stored.count(name) == 1);
                ++acknowledged;
            }
            for (auto const& name : stored)
                CHECK(stored.count(name) == 1);
            CHECK(write(storage, key.str(), "still writable").has_value());
        }
        CHECK(killed == rounds * 2);
        CHECK(acknowledged >= rounds * 20);
    }
}
