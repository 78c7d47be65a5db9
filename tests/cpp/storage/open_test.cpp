// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/open.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace memfs_cache;

TEST_SUITE("storage/open") {
    TEST_CASE("memory: is a new storage each time") {
        auto first = open_storage("memory:").value();
        auto second = open_storage("memory:").value();
        CHECK(write(first, "k", "1").has_value());
        CHECK_FALSE(exists(second, "k").value());
        CHECK_FALSE(first.capabilities().survives_process);
    }

    TEST_CASE("disk:PATH is the folder, and copies of a handle share it") {
        testing::Scratch_Folder folder;
        auto const url = "disk:" + (folder.path() / "data").string();
        {
            auto storage = open_storage(url).value();
            auto copy = storage;
            CHECK(write(copy, "a/k", "1").has_value());
            CHECK(storage.counters().writes == 1);
            CHECK(storage.capabilities().survives_process);
        }
        CHECK(read(open_storage(url).value(), "a/k").value() == "1");
        CHECK(std::filesystem::exists(folder.path() / "data/a/k"));
    }

#if MEMFS_CACHE_HAS_SQLITE
    TEST_CASE("sqlite:PATH is the file") {
        testing::Scratch_Folder folder;
        auto const url = "sqlite:" + (folder.path() / "cache.db").string();
        {
            auto storage = open_storage(url).value();
            CHECK(write(storage, "a/k", "1").has_value());
            CHECK(storage.capabilities().shared_between_processes);
        }
        CHECK(read(open_storage(url).value(), "a/k").value() == "1");
        CHECK(std::filesystem::is_regular_file(folder.path() / "cache.db"));
        CHECK(open_storage("sqlite:").error().code == Errc::invalid_argument);
        CHECK(open_storage("sqlite::memory:").error().code == Errc::invalid_argument);
    }
#endif

    TEST_CASE("what this build lacks and what nobody knows are told apart") {
#if !MEMFS_CACHE_HAS_SQLITE
        CHECK(open_storage("sqlite:./cache.db").error().code == Errc::unsupported);
#endif
#if !MEMFS_CACHE_HAS_S3
        CHECK(open_storage("s3://bucket/prefix").error().code == Errc::unsupported);
#endif
        for (std::string const wrong : {"", "memory", "memory:x", "disk", "disk:", "sqlite", "Disk:./data", "./data",
                                        "ftp://host/x", "s3:bucket"}) {
            CAPTURE(wrong);
            CHECK(open_storage(wrong).error().code == Errc::invalid_argument);
        }
        auto const advice = open_storage("ftp://host/x").error().context;
        for (std::string const form : {"memory:", "disk:PATH", "sqlite:PATH", "s3://bucket"})
            CHECK(advice.find(form) != std::string::npos);
    }

    TEST_CASE("what is opened by a URL can be asked for the backend that it is") {
        auto const storage = open_storage("memory:").value();
        auto* const memory = storage.as<Storage_Memory>();
        REQUIRE(memory != nullptr);
        CHECK(write(*memory, "k", "1").has_value());
        CHECK(read(storage, "k").value() == "1");
        CHECK(storage.as<Storage_Disk>() == nullptr);
    }

    TEST_CASE("credentials in a URL are never repeated") {
        for (std::string const url : {"s3://KEYID:hush@bucket/p?secret=hush", "ftp://KEYID:hush@host/"}) {
            auto const message = open_storage(url).error().message();
            CHECK(message.find("hush") == std::string::npos);
            CHECK(message.find("KEYID") == std::string::npos);
        }
    }
}

TEST_SUITE("storage/words") {
    TEST_CASE("read, write, exists, remove") {
        Storage_Memory storage;
        CHECK_FALSE(read(storage, "a/k").value().has_value());
        CHECK_FALSE(exists(storage, "a/k").value());
        CHECK_FALSE(remove(storage, "a/k").value());
        CHECK(write(storage, "a/k", "1").has_value());
        CHECK(write(storage, "a/k", "").has_value());
        CHECK(read(storage, "a/k").value() == "");
        CHECK(exists(storage, "a/k").value());
        CHECK(remove(storage, "a/k").value());
        CHECK_FALSE(exists(storage, "a/k").value());
    }

    TEST_CASE("a path that is no key is refused by every word") {
        Storage_Memory storage;
        CHECK(read(storage, "../k").error().code == Errc::invalid_argument);
        CHECK(write(storage, "/k", "").error().code == Errc::invalid_argument);
        CHECK(exists(storage, "a//k").error().code == Errc::invalid_argument);
        CHECK(remove(storage, "").error().code == Errc::invalid_argument);
        CHECK(files_list(storage, "..").error().code == Errc::invalid_argument);
    }

    TEST_CASE("files_list gives every path at every depth, over all pages") {
        Storage_Memory storage;
        std::vector<std::string> expected;
        for (int i = 10'000; i < 35'000; ++i) {
            expected.push_back("d/" + std::to_string(i));
            CHECK(write(storage, expected.back(), "").has_value());
        }
        CHECK(write(storage, "e/f/g", "").has_value());
        CHECK(files_list(storage, "d/").value() == expected);
        expected.emplace_back("e/f/g");
        CHECK(files_list(storage).value() == expected);
    }
}
