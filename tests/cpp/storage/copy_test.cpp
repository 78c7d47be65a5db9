// SPDX-License-Identifier: Apache-2.0
#include "support/backends.hpp"
#include "support/printers.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/storage/copy.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;

namespace {

/// A store with names and bytes that are hard on somebody, in more than one page.
void fill(Storage_Memory& storage) {
    std::string every_byte(256, '\0');
    for (std::size_t i = 0; i < every_byte.size(); ++i)
        every_byte[i] = static_cast<char>(i);
    REQUIRE(write(storage, "a b/%41+~/\xf0\x9f\x8e\x88", every_byte));
    REQUIRE(write(storage, "empty", ""));
    REQUIRE(write(storage, "large", std::string(700'000, 'L')));
    for (int i = 0; i < 2'500; ++i)
        REQUIRE(write(storage, "many/" + std::to_string(i), std::to_string(i * i)));
}

auto one_at_a_time() -> Copy_Options {
    Copy_Options options;
    options.parallel = 1;
    return options;
}

template <class A, class B>
void check_same(A const& a, B const& b) {
    auto const names = files_list(a).value();
    CHECK(names == files_list(b).value());
    for (auto const& name : names)
        REQUIRE(read(a, name).value() == read(b, name).value());
}

} // namespace

TEST_SUITE("storage/copy") {
    TEST_CASE_TEMPLATE("a store comes out of another backend as it went in", Backend, MEMFS_CACHE_BACKENDS) {
        Storage_Memory source;
        fill(source);
        Backend backend;
        auto const there = copy_objects(source, backend.storage).value();
        CHECK(there.verified());
        CHECK(there.objects == 2'503);
        CHECK(there.copied == 2'503);
        CHECK(there.present == 0);
        check_same(source, backend.storage);

        Storage_Memory again;
        CHECK(copy_objects(backend.storage, again).value().verified());
        check_same(source, again);
    }

    TEST_CASE("a copy that broke off is begun again and ends as if it had not") {
        Storage_Memory source, target;
        fill(source);
        Wrapped_Storage flaky(target);
        int puts = 0;
        flaky.hook = [&](auto operation, auto const&) -> Wrapped_Storage<Storage_Memory>::Verdict {
            using Kind = Wrapped_Storage<Storage_Memory>::Verdict::Kind;
            if (operation != Wrapped_Storage<Storage_Memory>::Operation::put)
                return {};
            return {++puts == 1'700 ? Kind::fail : Kind::go_on};
        };
        CHECK(copy_objects(source, flaky, one_at_a_time()).has_error());
        auto const second = copy_objects(source, flaky, one_at_a_time()).value();
        CHECK(second.verified());
        CHECK(second.present == 1'699);
        CHECK(second.copied == 2'503 - 1'699);
        check_same(source, target);
    }

    TEST_CASE("a write whose outcome was not told is read back and believed as it is") {
        Storage_Memory source, target;
        REQUIRE(write(source, "a", "1"));
        REQUIRE(write(source, "b", "2"));
        Wrapped_Storage flaky(target);
        flaky.hook = [&](auto operation, auto const& key) -> Wrapped_Storage<Storage_Memory>::Verdict {
            using Kind = Wrapped_Storage<Storage_Memory>::Verdict::Kind;
            if (operation != Wrapped_Storage<Storage_Memory>::Operation::put)
                return {};
            return {key == "a" ? Kind::unknown_after : Kind::unknown_before};
        };
        auto const report = copy_objects(source, flaky).value();
        CHECK_FALSE(report.verified());
        CHECK(report.differences == std::vector<std::string>{"b: was not read back as it was written"});
    }

    TEST_CASE("what the target has already is never overwritten, and what it has too much is told") {
        Storage_Memory source, target;
        REQUIRE(write(source, "c", "mine"));
        REQUIRE(write(source, "d", "same"));
        REQUIRE(write(target, "a", "stranger before all"));
        REQUIRE(write(target, "c", "theirs"));
        REQUIRE(write(target, "c2", "stranger in between"));
        REQUIRE(write(target, "d", "same"));
        REQUIRE(write(target, "e", "stranger behind all"));
        auto const report = copy_objects(source, target).value();
        CHECK_FALSE(report.verified());
        CHECK(report.present == 1);
        CHECK(report.differences == std::vector<std::string>{"a: is in the target only",

                                                             "c2: is in the target only",
                                                             "c: the target holds other bytes under this name",
                                                             "e: is in the target only"});
        CHECK(read(target, "c").value() == "theirs");
    }

    TEST_CASE("strangers are found behind the source's last page and in an empty source's target") {
        Storage_Memory source, target;
        for (int i = 0; i < 1'000; ++i)
            REQUIRE(write(source, "k" + std::to_string(i), ""));
        REQUIRE(write(target, "z", ""));
        CHECK(copy_objects(source, target).value().differences == std::vector<std::string>{"z: is in the target only"});
        CHECK(copy_objects(Storage_Memory(), target, {.prefix = "z"}).value().different == 1);
    }

    TEST_CASE("only the prefix that was asked for is copied and compared") {
        Storage_Memory source, target;
        REQUIRE(write(source, "cache/a", "1"));
        REQUIRE(write(source, "other/b", "2"));
        REQUIRE(write(target, "third/c", "3"));
        auto const report = copy_objects(source, target, {.prefix = "cache/"}).value();
        CHECK(report.verified());
        CHECK(files_list(target).value() == std::vector<std::string>{"cache/a", "third/c"});
    }

    TEST_CASE("secrets stay readable for their owner alone") {
        Storage_Memory source;
        REQUIRE(write(source, "salts/1", "s"));
        REQUIRE(write(source, "open", "o"));
        testing::Scratch_Folder const folder;
        auto target = Storage_Disk::open(folder.path()).value();
        REQUIRE(
            copy_objects(source, target, {.is_secret = [](std::string_view key) { return key.starts_with("salts/"); }})
                .value()
                .verified());
        using std::filesystem::perms;
        CHECK(std::filesystem::status(folder.path() / "salts/1").permissions() ==
              (perms::owner_read | perms::owner_write));
        CHECK((std::filesystem::status(folder.path() / "open").permissions() & perms::group_read) != perms::none);
    }
}
