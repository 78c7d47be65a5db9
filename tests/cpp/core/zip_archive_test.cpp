// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/zip_archive.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;

TEST_SUITE_BEGIN("core/zip_archive");

TEST_CASE("what is written into an archive is read back, packed or not, in its order") {
    std::vector<Zip_Member> const members{
        {"z.txt", "plain", false}, {"folder/", "", false}, {"folder/caf\xc3\xa9.bin", Bytes(5000, 'a'), true}};
    auto const archive = write_zip(members);
    REQUIRE(archive);
    CHECK(archive->size() < 1000);
    auto const read = read_zip(*archive);
    REQUIRE(read);
    REQUIRE(read->size() == members.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
        CHECK((*read)[i].name == members[i].name);
        CHECK((*read)[i].content == members[i].content);
        CHECK((*read)[i].is_packed == members[i].is_packed);
    }
}

TEST_CASE("an archive of nothing is the 22 bytes that other programs write") {
    auto const archive = write_zip({});
    REQUIRE(archive);
    CHECK(*archive == Bytes("PK\5\6") + Bytes(18, '\0'));
    CHECK(read_zip(*archive).value().empty());
}

TEST_CASE("what is no archive, damaged or too large is refused") {
    CHECK(read_zip("").error().code == Errc::corrupt_data);
    CHECK(read_zip("not a zip").error().code == Errc::corrupt_data);
    auto archive = write_zip({{"a", Bytes(1000, 'x'), false}}).value();
    CHECK(read_zip(archive, 999).error().code == Errc::too_large);
    CHECK(read_zip(archive, 1000));
    archive[500] = static_cast<char>(archive[500] ^ 1); // within the content
    CHECK(read_zip(archive).error().code == Errc::corrupt_data);
}

TEST_CASE("two members of one name are refused") {
    CHECK(write_zip({{"a", "1"}, {"a", "2"}}).error().code == Errc::invalid_argument);
}

TEST_SUITE_END();
