// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/zip_archive.hpp>
#include <memfs_cache/storage/words.hpp>
#include <memfs_cache/storage/zip_snapshot.hpp>

#include <doctest/doctest.h>

#include <fstream>

using namespace memfs_cache;

namespace {

void write_file(std::filesystem::path const& path, Byte_View bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

} // namespace

TEST_SUITE_BEGIN("storage/zip_snapshot");

TEST_CASE("a store goes into an archive and comes out of it") {
    testing::Scratch_Folder const folder;
    auto const file = folder.path() / "store.zip";
    Storage_Memory storage;
    REQUIRE(write(storage, "ns/data/direct/aa/bb/x.json", "{}"));
    REQUIRE(write(storage, "ns/data/direct/aa/bb/x.bin", Byte_View("\0\xff", 2)));
    REQUIRE(write_zip_snapshot(storage, file));
    auto const read_again = read_zip_snapshot(file);
    REQUIRE(read_again);
    CHECK(files_list(*read_again).value() == files_list(storage).value());
    CHECK(read(*read_again, "ns/data/direct/aa/bb/x.bin").value() == Bytes("\0\xff", 2));
    auto const others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
    CHECK((std::filesystem::status(file).permissions() & others) == std::filesystem::perms::none);
}

TEST_CASE("no file and an empty file are empty stores, as the Python provider leaves them") {
    testing::Scratch_Folder const folder;
    CHECK(files_list(read_zip_snapshot(folder.path() / "none.zip").value()).value().empty());
    write_file(folder.path() / "empty.zip", "");
    CHECK(files_list(read_zip_snapshot(folder.path() / "empty.zip").value()).value().empty());
}

TEST_CASE("an archive that is none, or names what could leave a store, is refused") {
    testing::Scratch_Folder const folder;
    write_file(folder.path() / "bad.zip", "bad");
    CHECK(read_zip_snapshot(folder.path() / "bad.zip").error().code == Errc::corrupt_data);
    write_file(folder.path() / "out.zip", write_zip({{"../out", "x"}}).value());
    CHECK(read_zip_snapshot(folder.path() / "out.zip").error().code == Errc::corrupt_data);
}

TEST_CASE("an archive that cannot be written leaves no file behind") {
    testing::Scratch_Folder const folder;
    std::filesystem::create_directory(folder.path() / "taken"); // a folder cannot be replaced by a file
    CHECK_FALSE(write_zip_snapshot(Storage_Memory(), folder.path() / "taken"));
    auto const begin = std::filesystem::directory_iterator(folder.path());
    CHECK(std::distance(begin, std::filesystem::directory_iterator()) == 1);
}

TEST_SUITE_END();
