// SPDX-License-Identifier: Apache-2.0
#include "support/broken_storage.hpp"
#include "support/child_process.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <string>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

/// Runs cases of the conformance suite for Broken_Storage in a process of their own.
/// @return whether all of them passed; a run that ends in any other way than red or green throws
auto passes(std::string const& cases, std::string const& defect) -> bool {
    auto const filter = "-tc=" + cases + "<*Broken_Backend>";
    auto const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::alarm(60);
        ::setenv(defect_variable, defect.c_str(), 1);
        auto const nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(nowhere, STDOUT_FILENO);
        ::execl("/proc/self/exe", "tests_storage", filter.c_str(), "--abort-after=1", static_cast<char*>(nullptr));
        ::_exit(127);
    }
    auto const status = status_of(child);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 0;
}

} // namespace

TEST_SUITE("storage/conformance of the suite") {
    TEST_CASE("a backend that is broken on purpose fails, in each of ten ways, in the case that is about it") {
        struct Broken {
            std::string defect, the_case;
        };
        for (auto const& each : {Broken{"absent ignored", "an object is created once"},
                                 Broken{"version ignored", "a version condition takes the present version only"},
                                 Broken{"lost update", "random operations agree with a map"},
                                 Broken{"stale read", "random operations agree with a map"},
                                 Broken{"erase lies", "erase obeys its condition"},
                                 Broken{"range too long", "a range is cut at the end of the object"},
                                 Broken{"empty values dropped", "what was put is what is read*"},
                                 Broken{"list unordered", "keys are listed in byte order*"},
                                 Broken{"start included", "keys are listed in byte order*"},
                                 Broken{"pages end early", "keys are listed in byte order*"}}) {
            CAPTURE(each.defect);
            CHECK(passes(each.the_case, ""));
            CHECK_FALSE(passes(each.the_case, each.defect));
        }
    }
}
