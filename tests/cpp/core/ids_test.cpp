// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/ids.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace memfs_cache;

TEST_SUITE("core/ids") {
    TEST_CASE("keys that could leave their root or hide in a listing are refused") {
        for (std::string const bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a/../b"}) {
            CAPTURE(bad);
            CHECK(Storage_Key::parse(bad).has_error());
        }
        CHECK(Storage_Key::parse(std::string("a\0b", 3)).has_error());
        CHECK(Storage_Key::parse("a\nb").has_error());
        CHECK(Storage_Key::parse("a\x7f").has_error());
        CHECK(Storage_Key::parse("\xff").has_error());
        CHECK(Storage_Key::parse("\xed\xa0\x80").has_error()); // a surrogate in UTF-8
        CHECK(Storage_Key::parse("\xc0\xaf").has_error());     // an overlong '/'
        CHECK(Storage_Key::parse(std::string(256, 'a')).has_error());
        CHECK(Storage_Key::parse(std::string(255, 'a')).has_value());
    }

    TEST_CASE("names that only look dangerous are accepted") {
        for (std::string const good :
             {"a", "a/b", "...", "a..b", "..a/b..", "%2e%2e/x", "caf\xc3\xa9", "\xf0\x9f\x98\x80", "a b", "~", "+"}) {
            CAPTURE(good);
            CHECK(Storage_Key::parse(good).has_value());
        }
    }

    TEST_CASE("key length is limited at 1024 bytes") {
        std::string text;
        while (text.size() < 1020)
            text += "abc/";
        text += "abcd";
        CHECK(text.size() == 1024);
        CHECK(Storage_Key::parse(text).has_value());
        CHECK(Storage_Key::parse(text + "e").has_error());
    }

    TEST_CASE("an error about a key never repeats the key") {
        CHECK(Storage_Key::parse("../secret").error().context.find("secret") == std::string::npos);
    }

    TEST_CASE("listing prefixes may end anywhere but not climb") {
        CHECK(check_prefix("").has_value());
        CHECK(check_prefix("a/").has_value());
        CHECK(check_prefix("a/b").has_value());
        CHECK(check_prefix("/a").has_error());
        CHECK(check_prefix("..").has_error());
        CHECK(check_prefix("a/../b").has_error());
    }

    TEST_CASE("namespaces take letters, digits, dash and underscore") {
        CHECK(Namespace_Name::parse("analytics").has_value());
        CHECK(Namespace_Name::parse("Site-X_1").has_value());
        for (std::string const bad : {"", "a/b", "a.b", "..", "a b", "caf\xc3\xa9"})
            CHECK(Namespace_Name::parse(bad).has_error());
        CHECK(Namespace_Name::parse(std::string(128, 'n')).has_value());
        CHECK(Namespace_Name::parse(std::string(129, 'n')).has_error());
    }

    TEST_CASE("generated ids are distinct lower-case version 4 GUIDs") {
        std::set<std::string> seen;
        for (int i = 0; i < 1000; ++i) {
            auto const id = Cache_Id::generate().str();
            CHECK(Cache_Id::parse(id).has_value());
            CHECK(id[14] == '4');
            CHECK(std::string("89ab").find(id[19]) != std::string::npos);
            seen.insert(id);
        }
        CHECK(seen.size() == 1000);
    }

    TEST_CASE("ids keep their case and only the canonical form is accepted") {
        CHECK(Cache_Id::parse("6F1C2F3A-9D1E-4C7B-8A55-0D2F4B6C8E10").value().str() ==
              "6F1C2F3A-9D1E-4C7B-8A55-0D2F4B6C8E10");
        for (std::string const bad : {"", "6f1c2f3a9d1e4c7b8a550d2f4b6c8e10", "{6f1c2f3a-9d1e-4c7b-8a55-0d2f4b6c8e10}",
                                      " 6f1c2f3a-9d1e-4c7b-8a55-0d2f4b6c8e1", "6f1c2f3a-9d1e-4c7b-8a55-0d2f4b6c8e1g"})
            CHECK(Cache_Id::parse(bad).has_error());
    }
}
