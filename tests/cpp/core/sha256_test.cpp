// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/sha256.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;

TEST_SUITE("core/sha256") {
    TEST_CASE("the digest is that of FIPS 180-2, in whatever pieces the bytes come") {
        Sha256 whole;
        whole.add("abc");
        CHECK(whole.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        Sha256 pieces;
        for (auto const* piece : {"abcdbcdecdefdefgefgh", "", "fghighijhijkijkljklmklmn", "lmnomnopnopq"})
            pieces.add(piece);
        CHECK(pieces.hex() == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        CHECK(Sha256().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
