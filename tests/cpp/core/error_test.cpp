// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/version.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <set>

using namespace memfs_cache;

TEST_SUITE("core/error") {
    TEST_CASE("every code has its own row, in the order of the enumeration, with every text filled in") {
        std::set<std::string_view> names, classes;
        for (std::size_t i = 0; i < errc_table().size(); ++i) {
            auto const& row = errc_table()[i];
            CHECK(static_cast<std::size_t>(row.code) == i);
            CHECK(!row.sentence.empty());
            CHECK(!row.advice.empty());
            CHECK(names.insert(row.name).second);
            CHECK(classes.insert(row.python_class).second);
        }
        CHECK(static_cast<std::size_t>(Errc::internal) + 1 == errc_table().size());
    }

    TEST_CASE("value() of an error throws Cache_Error with the code and the context") {
        Result<int> const failed = fail(Errc::no_space, "disk of segment x");
        try {
            (void)failed.value();
            FAIL("value() returned");
        } catch (Cache_Error const& error) {
            CHECK(error.code() == Errc::no_space);
            CHECK(error.context() == "disk of segment x");
            CHECK(std::string(error.what()) == "no_space: disk of segment x");
        }
    }

    TEST_CASE("an errno becomes the closest code and names call and subject") {
        CHECK(error_from_errno(ENOSPC, "write", "a/b").code == Errc::no_space);
        CHECK(error_from_errno(EACCES, "open", "a/b").code == Errc::permission_denied);
        CHECK(error_from_errno(EIO, "fsync", "a/b").code == Errc::unavailable);
        CHECK(error_from_errno(EACCES, "open", "a/b").context.find("open of a/b") == 0);
    }

    TEST_CASE("the version in the header is the version of the build") {
        CHECK(version == MEMFS_CACHE_PROJECT_VERSION);
    }
}
