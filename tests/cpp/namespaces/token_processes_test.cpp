// SPDX-License-Identifier: Apache-2.0
// Tokens in a process that forks while its threads are in the middle of something.
#include "support/backends.hpp"
#include "support/child_process.hpp"
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/wait_until.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/namespaces/tokens.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <thread>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

using Watched_Disk = Wrapped_Storage<Storage_Disk>;

/// A process in which one thread stands still before a certain write.
struct Halfway {
    Scratch_Folder folder;
    Storage_Disk disk = Storage_Disk::open(folder.path()).value();
    Watched_Disk storage{disk};
    std::unique_ptr<Tokens<Watched_Disk>> tokens =
        Tokens<Watched_Disk>::open(
            storage, "cache", Namespace_Name("tokens"), std::make_shared<System_Clock>(), {.log = quiet_log()})
            .value();
    std::atomic<bool> stands{false};
    std::atomic<bool> goes_on{false};

    /// Every write to such a file waits, but for those of children.
    void stop_before(std::string const& part_of_key) {
        storage.hook = [this, part_of_key, parent = ::getpid()](auto operation, std::string const& key) {
            if (operation == Watched_Disk::Operation::put && key.find(part_of_key) != key.npos &&
                ::getpid() == parent) {
                stands = true;
                while (!goes_on)
                    std::this_thread::yield();
            }
            return Watched_Disk::Verdict{};
        };
    }
    /// Runs `act` in a thread until it stands still, then `meanwhile` here, and then both to their ends.
    void run(std::function<void()> const& act, std::function<void()> const& meanwhile) {
        std::thread thread(act);
        wait_until([&] { return stands.load(); });
        meanwhile();
        goes_on = true;
        thread.join();
    }
};

} // namespace

TEST_SUITE("namespaces/tokens/processes") {
    TEST_CASE("a fork in the middle of a use hangs no child, and each use of parent and child counts once") {
        if (!can_fork_with_threads())
            return;
        Halfway parent;
        REQUIRE(parent.tokens->create("t", {.limit = 5}));
        CHECK(parent.tokens->use("t").value().usage_count == 1);
        parent.stop_before("token.json");
        parent.run([&] { CHECK(parent.tokens->use("t").value().success); },
                   [&] {
                       CHECK(is_well_in_child([&] {
                           bool const used = parent.tokens->use("t").value().usage_count == 2 &&
                                             parent.tokens->use("t").value().usage_count == 3;
                           return used && parent.tokens->close();
                       }));
                   });
        CHECK(parent.tokens->use("t").value().usage_count == 5);
        CHECK_FALSE(parent.tokens->use("t").value().success);
        CHECK(parent.tokens->events("t").value().size() == 6);
    }

    TEST_CASE("an action that a parent is in the middle of counts once, though a child tries it as well") {
        if (!can_fork_with_threads())
            return;
        Halfway parent;
        REQUIRE(parent.tokens->create("t", {.limit = 5}));
        parent.stop_before("/actions/");
        Use_Of_Token const click{.action_id = "one click"};
        parent.run([&] { CHECK(parent.tokens->use("t", click).value().success); },
                   [&] {
                       CHECK(is_well_in_child(
                           [&] { return parent.tokens->use("t", click).value().success && parent.tokens->close(); }));
                   });
        CHECK(parent.tokens->lookup("t").value()->usage_count == 1);
    }
}
