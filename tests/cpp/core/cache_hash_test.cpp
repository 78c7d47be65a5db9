// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/project_files.hpp"
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/utf8.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace memfs_cache;
namespace json = boost::json;

namespace {

auto vectors() -> json::array {
    return json::parse(testing::project_file("tests/vectors/cache_hash.json")).at("cases").as_array();
}

auto text_of(json::value const& value) -> std::string { return std::string(value.as_string()); }

auto bytes_of_hex(std::string_view hex) -> std::string {
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes.push_back(static_cast<char>(*parse_hex(hex.substr(i, 2))));
    return bytes;
}

auto input_text(json::object const& test) -> std::string {
    if (auto const* text = test.if_contains("input"))
        return text_of(*text);
    std::string text;
    for (auto const& point : test.at("input_code_points").as_array())
        append_utf8(text, point.to_number<std::uint32_t>());
    return text;
}

/// Runs one case of the vectors the way its operation says.
auto run(json::object const& test) -> Result<std::string> {
    auto const& config = test.at("config").as_object();
    auto const hash = Cache_Hash::create(text_of(config.at("algorithm")), config.at("length").to_number<std::size_t>());
    if (!hash)
        return hash.error();
    auto const operation = text_of(test.at("op"));
    if (operation == "from_string")
        return hash->from_string(input_text(test));
    if (operation == "from_bytes")
        return hash->from_bytes(bytes_of_hex(text_of(test.at("input_hex"))));

    auto const value = Python_Json::parse(text_of(test.at("input_json")));
    if (!value)
        return value.error();
    if (operation == "from_json_field")
        return hash->from_json_field(*value, text_of(test.at("field")));
    REQUIRE(operation == "from_json");
    std::vector<std::string> exclude;
    if (auto const* names = test.if_contains("exclude")) {
        for (auto const& name : names->as_array())
            exclude.push_back(text_of(name));
    }
    return hash->from_json(*value, exclude);
}

} // namespace

TEST_SUITE("core/cache_hash") {
    TEST_CASE("every case of the reference gives the same hash, or is refused with a reason") {
        std::size_t hashes = 0, errors = 0;
        for (auto const& item : vectors()) {
            auto const& test = item.as_object();
            auto const id = test.at("id").to_number<int>();
            CAPTURE(id);
            auto const result = run(test);
            if (auto const* expected = test.if_contains("expected")) {
                ++hashes;
                CHECK((result ? *result : result.error().message()) == text_of(*expected));
            } else {
                ++errors;
                CHECK((!result && result.error().code == Errc::invalid_argument && result.error().context.size() > 30));
            }
        }
        CHECK(hashes == 178);
        CHECK(errors == 26);
    }

    TEST_CASE("the text that is hashed is the reference's own") {
        std::size_t compared = 0;
        for (auto const& item : vectors()) {
            auto const& test = item.as_object();
            auto const* canonical = test.if_contains("canonical");
            if (text_of(test.at("op")) != "from_json" || canonical->is_null() || test.contains("exclude"))
                continue;
            auto const id = test.at("id").to_number<int>();
            CAPTURE(id);
            auto const value = Python_Json::parse(text_of(test.at("input_json")));
            CHECK(value.value().render({.sort_members = true}) == text_of(*canonical));
            ++compared;
        }
        CHECK(compared > 60);
    }

    TEST_CASE("the names that the published design uses have their published hashes") {
        struct Golden {
            char const* name;
            char const* hash;
        };
        constexpr std::array<Golden, 10> golden{{
            {"community-x", "6849a71fcf48b141"},
            {"beta-invite", "9a1aa9b66da376a3"},
            {"transfer:abc123def456", "f3b6db914961dc8a"},
            {"analytics:30min:2026-02-13T14:00", "196c441f601599e5"},
            {"analytics:hourly:2026-02-13T14", "9f1af3d533dc8f2c"},
            {"analytics:daily:2026-02-13", "c445f134b2c073e4"},
            {"analytics:pulse:current", "99eb411f9a058b17"},
            {"cost:daily:2026-02-13", "79b5fb4f273502a9"},
            {"cost:weekly:2026-W07", "a2797f6a7e68dca2"},
            {"cost:monthly:2026-02", "08cfe4ad1f547a84"},
        }};
        Cache_Hash const hash;
        for (auto const& entry : golden) {
            CAPTURE(entry.name);
            CHECK(hash.from_string(entry.name).value() == entry.hash);
        }
    }

    TEST_CASE("a default hash is sha256 cut to 16 characters") {
        CHECK(Cache_Hash().from_bytes("abc") == "ba7816bf8f01cfea");
        CHECK(Cache_Hash::create("sha256", 64).value().from_bytes("abc").starts_with("ba7816bf8f01cfea"));
    }

    TEST_CASE("lengths below 10 and unknown algorithms are refused, whatever they look like") {
        CHECK(Cache_Hash::create("sha256", 10).has_value());
        for (std::size_t const length : {0U, 1U, 9U})
            CHECK(Cache_Hash::create("sha256", length).has_error());
        for (std::string const name : {"", "SHA256", "sha-256", "sha512", "sha256 "}) {
            CAPTURE(name);
            CHECK(Cache_Hash::create(name).has_error());
        }
    }

    TEST_CASE("text that is no UTF-8 has no hash as a string but one as bytes") {
        Cache_Hash const hash;
        for (std::string const bad : {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf"}) {
            CHECK(hash.from_string(bad).has_error());
            CHECK(hash.from_bytes(bad).size() == 16);
        }
    }

    TEST_CASE("a JSON text hashes as the value that it holds") {
        Cache_Hash const hash;
        CHECK(hash.from_json_text(" {\"b\":1,\"a\":2} ").value() == hash.from_string(R"({"a": 2, "b": 1})").value());
        CHECK(hash.from_json("{}").value() == hash.from_string("\"{}\"").value()); // a string is a JSON value too
        CHECK(hash.from_json_text("{").error().code == Errc::invalid_argument);
        CHECK(hash.from_json(Python_Json()).value() == hash.from_string("null").value());
    }

    TEST_CASE("fields are left out of objects only") {
        Cache_Hash const hash;
        std::array<std::string, 1> const exclude{"a"};
        CHECK(hash.from_json_text(R"({"a":1})", exclude).value() == hash.from_json_text("{}").value());
        CHECK(hash.from_json_text("[1]", exclude).error().code == Errc::invalid_argument);
    }

    TEST_CASE("a field path is trimmed of what Python calls blank and cleaned by characters, not bytes") {
        Cache_Hash const hash;
        auto const value = Python_Json::parse(R"({"s":"x","_":"one","":"empty","a_b":"y"})").value();
        auto const text = [&](std::string_view path) { return hash.from_json_field(value, path); };
        CHECK(text("\xe2\x80\x83s\xc2\xa0\x1f\n").value() == hash.from_string("x").value()); // em space, no-break space
        CHECK(text("\xf0\x9f\x98\x80").value() == hash.from_string("one").value());
        CHECK(text("a\xe2\x82\xac"
                   "b")
                  .value() == hash.from_string("y").value());
        CHECK(text("\xff").has_error());
        CHECK(text("s" + std::string(300, ' ')).value() == hash.from_string("x").value());
        CHECK(text(std::string(257, 's')).error().context.find("256") != std::string::npos);
        CHECK(text(std::string(256, 's')).error().context.find("missing") != std::string::npos);
    }

    TEST_CASE("a field path with an empty name is refused even where a member has one, unless blanks hide it") {
        Cache_Hash const hash;
        auto const value = Python_Json::parse(R"({"":{"s":"x","":{"s":"y"}},"s":{"":"z","s":"w"}})").value();
        for (std::string const bad : {".s", "s.", "..s", ".", "s..s"}) {
            CAPTURE(bad);
            CHECK(hash.from_json_field(value, bad).error().context.find("field path") != std::string::npos);
        }
        for (std::string_view const none : {"", " ", "\t"})
            CHECK(hash.from_json_field(Python_Json::parse(R"({"":"x"})").value(), none).error().context.find("empty") !=
                  std::string::npos);
        CHECK(hash.from_json_field(value, " .s").value() == hash.from_string("x").value());
        CHECK(hash.from_json_field(value, "s. ").value() == hash.from_string("z").value());
    }

    TEST_CASE("one object serves many threads, and copies outlive it") {
        auto const expected = Cache_Hash().from_bytes("community-x");
        std::vector<std::string> results(8);
        {
            auto original = std::make_unique<Cache_Hash>();
            Cache_Hash const copy = *original;
            original.reset();
            std::vector<std::jthread> threads;
            for (auto& result : results) {
                threads.emplace_back([&copy, &result, &expected] {
                    for (int i = 0; i < 1000; ++i) {
                        result = copy.from_bytes("community-x");
                        if (result != expected)
                            return;
                    }
                });
            }
        }
        CHECK(std::set<std::string>(results.begin(), results.end()) == std::set<std::string>{expected});
    }
}
