// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/storage/any.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/prefixed.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace memfs_cache;
using Paths = std::vector<std::string>;

// That each of them is a storage is for the conformance suite to say.
TEST_SUITE("storage/prefixed") {
    TEST_CASE("services in folders of one storage use the same names and see nothing of each other") {
        Any_Storage shared = Storage_Memory();
        Prefixed_Storage one(shared, Storage_Key("services/one"));
        Prefixed_Storage two(shared, Storage_Key("services/two"));
        CHECK(write(one, "cache/a", "1"));
        CHECK(write(two, "cache/a", "2"));
        CHECK(write(shared, "services/one0", "3"));
        CHECK(read(one, "cache/a").value() == "1");
        CHECK(read(two, "cache/a").value() == "2");
        CHECK(remove(two, "cache/a").value());
        CHECK(files_list(one).value() == Paths{"cache/a"});
        CHECK(files_list(two).value().empty());
        CHECK(files_list(shared).value() == Paths{"services/one/cache/a", "services/one0"});
    }

    TEST_CASE("what lay in the folder before is there, and its pages begin and end in the folder") {
        Storage_Memory storage;
        for (auto const* const path : {"a", "f/a", "f/b", "f/c", "g"})
            CHECK(write(storage, path, path));
        Prefixed_Storage const folder(std::move(storage), Storage_Key("f"));
        auto const page = folder.list({"", "", 2}).value();
        REQUIRE(page.items.size() == 2);
        CHECK(page.items[0].key == "a");
        CHECK(page.next == "b");
        auto const rest = folder.list({"", page.next, 2}).value();
        REQUIRE(rest.items.size() == 1);
        CHECK(rest.items[0].key == "c");
        CHECK(rest.next.empty());
    }

    TEST_CASE("a folder in a folder is one further down, and leaves less room for a key") {
        Any_Storage whole = Storage_Memory();
        Prefixed_Storage inner(Prefixed_Storage(whole, Storage_Key("a")), Storage_Key("b"));
        CHECK(write(inner, "k", "1"));
        CHECK(files_list(whole).value() == Paths{"a/b/k"});
        CHECK(inner.capabilities().max_key_bytes == Storage_Key::max_bytes - 4);
    }

    TEST_CASE("a folder that leaves no room for a key offers none") {
        std::string long_name;
        for (int i = 0; i < 4; ++i)
            long_name += std::string(255, 'f') + (i < 3 ? "/" : "");
        Prefixed_Storage storage{Storage_Memory(), Storage_Key(long_name)};
        CHECK(storage.capabilities().max_key_bytes == 0);
        CHECK(write(storage, "k", "1").error().code == Errc::invalid_argument);
    }

    TEST_CASE("what the storage behind it says of an operation is said") {
        Storage_Memory memory;
        Wrapped_Storage<Storage_Memory> flaky(memory);
        flaky.hook = [](auto, std::string const&) {
            using Verdict = Wrapped_Storage<Storage_Memory>::Verdict;
            return Verdict{Verdict::Kind::fail, Errc::unavailable};
        };
        Prefixed_Storage storage(flaky, Storage_Key("f"));
        Storage_Key const key("k");
        CHECK(storage.get(key).error().code == Errc::unavailable);
        CHECK(storage.put(key, "1", Precondition::none()).error().code == Errc::unavailable);
        CHECK(storage.erase(key, Precondition::none()).error().code == Errc::unavailable);
        CHECK(storage.append(key, 0, "1", Durability::durable).error().code == Errc::unavailable);
        CHECK(storage.list({}).error().code == Errc::unavailable);
        CHECK(storage.sync().error().code == Errc::unavailable);
    }
}
