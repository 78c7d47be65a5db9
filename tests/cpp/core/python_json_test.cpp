// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/python_json.hpp>
#include <memfs_cache/core/utf8.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <limits>
#include <random>
#include <string>

using namespace memfs_cache;

namespace {

/// json.dumps(json.loads(text))
auto round_trip(std::string_view text) -> std::string {
    auto const value = Python_Json::parse(text);
    return value ? value->render() : value.error().message();
}

auto refusal(std::string_view text) -> std::string {
    auto const value = Python_Json::parse(text);
    return value ? "accepted" : value.error().context;
}

/// Random documents that use everything that a document can hold.
class Random_Json {
  public:
    explicit Random_Json(std::uint64_t seed) : random_(seed) {}

    auto operator()(std::size_t depth = 0) -> Python_Json {
        switch (below(depth < 4 ? 8 : 6)) {
        case 0:
            return {};
        case 1:
            return below(2) == 0;
        case 2:
            return static_cast<std::int64_t>(random_());
        case 3:
            return huge_integer();
        case 4:
            return std::bit_cast<double>(random_()); // every kind of double, NaN too
        case 5:
            return text();
        case 6: {
            Python_Json::Array items(below(5));
            for (auto& item : items)
                item = (*this)(depth + 1);
            return items;
        }
        default: {
            Python_Json::Object members(below(12)); // short names: some are repeated
            for (auto& member : members)
                member = {text(), (*this)(depth + 1)};
            return members;
        }
        }
    }

  private:
    auto below(std::size_t end) -> std::size_t { return random_() % end; }

    auto huge_integer() -> Python_Json {
        std::string digits(1 + below(60), '0');
        for (auto& digit : digits)
            digit = static_cast<char>('1' + below(9));
        return Python_Json::Integer::parse((below(2) == 0 ? "-" : "") + digits).value();
    }

    auto text() -> std::string {
        std::string out;
        for (auto left = below(4); left > 0; --left) {
            switch (below(5)) {
            case 0:
                append_utf8(out, static_cast<char32_t>(below(0x20)));
                break;
            case 1:
                append_utf8(out, static_cast<char32_t>(0xdc00 + below(0x400)));
                break; // never the second of a pair
            case 2:
                append_utf8(out, static_cast<char32_t>(0x10000 + below(0x100000)));
                break;
            case 3:
                append_utf8(out, static_cast<char32_t>(below(0xd800)));
                break;
            default:
                out.push_back(static_cast<char>('a' + below(4)));
                break;
            }
        }
        return out;
    }

    std::mt19937_64 random_;
};

} // namespace

TEST_SUITE("core/python_json") {
    TEST_CASE("what is rendered is read back as the same document, in every layout") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        Random_Json random(seed);
        for (int i = 0; i < 2'000; ++i) {
            auto const document = random();
            for (std::size_t const indent : {0U, 2U, 4U}) {
                auto const text = document.render({.indent_blanks = indent});
                CAPTURE(text);
                auto const back = Python_Json::parse(text);
                REQUIRE(back.has_value());
                REQUIRE(*back == document);
            }
            auto const sorted = Python_Json::parse(document.render({.sort_members = true})).value();
            REQUIRE(sorted.render() == document.render({.sort_members = true}));
        }
    }

    TEST_CASE("equality tells apart what renders differently") {
        CHECK(Python_Json(1) != Python_Json(1.0));
        CHECK(Python_Json(0.0) != Python_Json(-0.0));
        CHECK(Python_Json(std::numeric_limits<double>::quiet_NaN()) ==
              Python_Json(-std::numeric_limits<double>::quiet_NaN()));
        CHECK(Python_Json(false) != Python_Json());
        CHECK(Python_Json("1") != Python_Json(1));
        CHECK(Python_Json(Python_Json::Object{{"a", 1}, {"b", 2}}) !=
              Python_Json(Python_Json::Object{{"b", 2}, {"a", 1}}));
    }

    TEST_CASE("a document is built from plain values") {
        Python_Json const entry(Python_Json::Object{{"cache_id", "6f1c"},
                                                    {"size", 42U},
                                                    {"ratio", 0.5},
                                                    {"live", true},
                                                    {"none", {}},
                                                    {"paths", Python_Json::Array{"a", "b"}}});
        CHECK(entry.render() ==
              R"({"cache_id": "6f1c", "size": 42, "ratio": 0.5, "live": true, "none": null, "paths": ["a", "b"]})");
        CHECK(*entry.find("cache_id")->get_if<std::string>() == "6f1c");
        CHECK(entry.find("size")->get_if<Python_Json::Integer>()->str() == "42");
        CHECK(entry.find("size")->get_if<double>() == nullptr);
        CHECK(entry.find("Size") == nullptr);
        CHECK(entry.find("none")->is_null());
        CHECK(Python_Json("cache_id").find("cache_id") == nullptr);
    }

    TEST_CASE("an indented document looks as json.dumps lays it out") {
        auto const document = Python_Json::parse(R"({"b":[1,{"x":null}],"a":{},"c":[]})").value();
        CHECK(document.render({.indent_blanks = 2}) ==
              "{\n  \"b\": [\n    1,\n    {\n      \"x\": null\n    }\n  ],\n  \"a\": {},\n  \"c\": []\n}");
        CHECK(document.render({.sort_members = true, .indent_blanks = 4}) ==
              "{\n    \"a\": {},\n    \"b\": [\n        1,\n        {\n            \"x\": null\n        }\n    ],\n    "
              "\"c\": []\n}");
    }

    TEST_CASE("a repeated name keeps its first place and its last value") {
        CHECK(round_trip(R"({"a":1,"b":2,"a":3,"c":4,"b":{"a":5,"a":6},"a":7})") ==
              R"({"a": 7, "b": {"a": 6}, "c": 4})");
        CHECK(Python_Json(Python_Json::Object{{"a", 1}, {"a", 2}}).render() == R"({"a": 2})");
    }

    TEST_CASE("members are sorted by code point, not by UTF-16 unit, at every depth") {
        auto const document = Python_Json::parse(R"([{"😀":1,"\ufffd":2,"\ud800":3,"z":{"b":1,"a":2},"":4}])").value();
        CHECK(document.render({.sort_members = true}) ==
              R"([{"": 4, "z": {"a": 2, "b": 1}, "\ud800": 3, "\ufffd": 2, "\ud83d\ude00": 1}])");
    }

    TEST_CASE("integers keep every digit up to Python's limit") {
        CHECK(round_trip("-170141183460469231731687303715884105729") == "-170141183460469231731687303715884105729");
        CHECK(round_trip("-0") == "0");
        CHECK(round_trip("-" + std::string(4300, '9')).size() == 4301);
        CHECK(refusal(std::string(4301, '9')).find("4300") != std::string::npos);
        CHECK(round_trip(std::string(4301, '9') + "e-4300") == "10.0"); // a float may be as long as it likes
        CHECK(Python_Json(std::numeric_limits<std::uint64_t>::max()).render() == "18446744073709551615");
        for (std::string const bad : {"", "-", "+1", "01", "-01", "1.0", "1e5", " 1", "0x1"}) {
            CAPTURE(bad);
            CHECK(Python_Json::Integer::parse(bad).has_error());
        }
    }

    TEST_CASE("doubles are laid out as Python lays them out") {
        struct Example {
            char const* text;
            char const* repr;
        };
        for (auto const& example :
             std::initializer_list<Example>{{"0.0", "0.0"},
                                            {"-0.0", "-0.0"},
                                            {"1E5", "100000.0"},
                                            {"1.50", "1.5"},
                                            {"123.456", "123.456"},
                                            {"-12.0", "-12.0"},
                                            {"0.0001", "0.0001"},
                                            {"-0.00012", "-0.00012"},
                                            {"0.00001", "1e-05"},
                                            {"1.5e-10", "1.5e-10"},
                                            {"1e15", "1000000000000000.0"},
                                            {"9999999999999998.0", "9999999999999998.0"},
                                            {"1e16", "1e+16"},
                                            {"1.25e17", "1.25e+17"},
                                            {"1e100", "1e+100"},
                                            {"5e-324", "5e-324"},
                                            {"1.7976931348623157e308", "1.7976931348623157e+308"}}) {
            CAPTURE(example.text);
            CHECK(round_trip(example.text) == example.repr);
        }
        CHECK(python_repr(std::numeric_limits<double>::infinity()) == "inf");
        CHECK(python_repr(-std::numeric_limits<double>::infinity()) == "-inf");
        CHECK(python_repr(std::numeric_limits<double>::quiet_NaN()) == "nan");
    }

    TEST_CASE("numbers beyond a double become infinite or zero, by where their first digit stands") {
        CHECK(round_trip("[1e309, -1e309, 1e-400, -1e-400]") == "[Infinity, -Infinity, 0.0, -0.0]");
        CHECK(round_trip("[1e99999999999999999999, 1e-99999999999999999999]") == "[Infinity, 0.0]");
        CHECK(round_trip("[1e9223372036854775807, 1e-9223372036854775807]") == "[Infinity, 0.0]");
        CHECK(round_trip("0e99999999999999999999") == "0.0");
        std::string const zeros(400, '0');
        CHECK(round_trip("1" + zeros + ".0") == "Infinity");
        CHECK(round_trip("1" + zeros + "e-400") == "1.0");
        CHECK(round_trip("1" + zeros + "e-800") == "0.0");
        CHECK(round_trip("0." + zeros + "1") == "0.0");
        CHECK(round_trip("0." + zeros + "1e+401") == "1.0");
        CHECK(round_trip("0." + zeros + "1e800") == "Infinity");
    }

    TEST_CASE("NaN and the infinities are values, in exactly these spellings") {
        CHECK(round_trip("[NaN, Infinity, -Infinity]") == "[NaN, Infinity, -Infinity]");
        for (std::string const bad : {"nan", "NAN", "-NaN", "inf", "+Infinity", "Infinit", "- Infinity"}) {
            CAPTURE(bad);
            CHECK(refusal(bad) != "accepted");
        }
    }

    TEST_CASE("strings come out in ASCII, with the escapes that Python writes") {
        CHECK(round_trip(R"("\"\\\/\b\f\n\r\t")") == R"("\"\\/\b\f\n\r\t")");
        CHECK(round_trip("\"\x7f é 日\xc2\x80\"") == R"("\u007f \u00e9 \u65e5\u0080")");
        CHECK(round_trip(R"("\u0000\u001F\u00e9\uD83D\uDE00")") == R"("\u0000\u001f\u00e9\ud83d\ude00")");
        CHECK(round_trip(R"("\ud7ff\uE000\uffff\ud800\udc00\udbff\udfff")") ==
              R"("\ud7ff\ue000\uffff\ud800\udc00\udbff\udfff")");
        CHECK(*Python_Json::parse(R"("\ud83d\ude00")")->get_if<std::string>() == "\xf0\x9f\x98\x80");
    }

    TEST_CASE("unpaired surrogates survive") {
        CHECK(round_trip(R"("\ud83d")") == R"("\ud83d")");
        CHECK(round_trip(R"("\ude00\ud83d")") == R"("\ude00\ud83d")");
        CHECK(round_trip(R"("\ud83d\ud83d\ude00")") == R"("\ud83d\ud83d\ude00")");
        CHECK(round_trip(R"("\ud83d\u0041")") == R"("\ud83dA")");
        CHECK(round_trip(R"("\ud83d\uffff")") == R"("\ud83d\uffff")");
        CHECK(round_trip(R"("\ud83d\n")") == R"("\ud83d\n")");
        CHECK(round_trip("\"\xed\xa0\xbd\"") == R"("\ud83d")");
        CHECK(*Python_Json::parse(R"("\ud83d")")->get_if<std::string>() == "\xed\xa0\xbd");
    }

    TEST_CASE("bytes that are no UTF-8 are refused in a text and replaced when put into a document by hand") {
        CHECK(refusal("\"a\xff\"").find("at byte 2 expected UTF-8") != std::string::npos);
        CHECK(refusal("\"\xc0\xaf\"") != "accepted");
        CHECK(refusal("\"\xe6\x97\"") != "accepted");
        CHECK(Python_Json("a\xff").render() == R"("a\ufffd")");
    }

    TEST_CASE("blanks are allowed around everything, but only JSON's four") {
        CHECK(round_trip(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } }\n") == R"({"a": [1, 2], "b": {}})");
        for (std::string const bad : {"\v1", "\f1", "1\xc2\xa0",
                                      "\xef\xbb\xbf"
                                      "1"})
            CHECK(refusal(bad) != "accepted");
    }

    TEST_CASE("what Python refuses is refused, and the error says where and what was expected, never the text") {
        struct Example {
            char const* text;
            char const* expected;
        };
        for (auto const& example :
             std::initializer_list<Example>{{"", "at byte 0 expected a value"},
                                            {"secret", "at byte 0 expected a value"},
                                            {"[1 2]", "at byte 3 expected ',' or ']'"},
                                            {"[1,]", "at byte 3 expected a value"},
                                            {"[1", "at byte 2 expected ',' or ']'"},
                                            {"{\"a\":1,}", "at byte 7 expected a name"},
                                            {"{a:1}", "at byte 1 expected a name"},
                                            {"{\"a\" 1}", "at byte 5 expected ':'"},
                                            {"{\"a\":}", "at byte 5 expected a value"},
                                            {"{\"a\":1 \"b\":2}", "at byte 7 expected ',' or '}'"},
                                            {"1 2", "at byte 2 expected the end"},
                                            {"01", "at byte 1 expected the end"},
                                            {"1.", "at byte 1 expected the end"},
                                            {"1.e5", "at byte 1 expected the end"},
                                            {"1.-5", "at byte 1 expected the end"},
                                            {"1e+", "at byte 1 expected the end"},
                                            {".5", "at byte 0 expected a value"},
                                            {"-", "at byte 0 expected a value"},
                                            {"+1", "at byte 0 expected a value"},
                                            {"\"abc", "at byte 4 expected a closing"},
                                            {"\"a\nb\"", "at byte 2 expected no control character"},
                                            {"\"\\x41\"", "at byte 2 expected one of"},
                                            {"\"\\", "at byte 2 expected one of"},
                                            {"\"\\u12g4\"", "at byte 3 expected four hex digits"},
                                            {"\"\\u-123\"", "at byte 3 expected four hex digits"},
                                            {"\"\\u123", "at byte 3 expected four hex digits"},
                                            {"\"\\ud800\\u12\"", "at byte 9 expected four hex digits"},
                                            {"'a'", "at byte 0 expected a value"},
                                            {"nul", "at byte 0 expected a value"},
                                            {"True", "at byte 0 expected a value"},
                                            {"\xef\xbb\xbf{}", "no byte order mark"}}) {
            CAPTURE(example.text);
            CHECK(Python_Json::parse(example.text).error().code == Errc::invalid_argument);
            auto const said = refusal(example.text);
            CAPTURE(said);
            CHECK(said.find(example.expected) != std::string::npos);
            CHECK(said.find("secret") == std::string::npos);
        }
    }

    TEST_CASE("containers may lie 500 deep within each other and no deeper") {
        auto const nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
        CHECK(round_trip(nested(500)) == nested(500));
        CHECK(refusal(nested(501)).find("500") != std::string::npos);
        CHECK(refusal(std::string(1'000'000, '[')).find("500") != std::string::npos);
        std::string beside = "[";
        for (int i = 0; i < 1'000; ++i)
            beside += "[{}],";
        CHECK(round_trip(beside + "0]").size() == 6 * 1'000 + 3);
    }
}
