// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace memfs_cache;
using Kind = Json_Scanner::Kind;

namespace {

struct Found {
    std::string name;
    Kind kind;
    std::string text;
    friend auto operator==(Found const&, Found const&) -> bool = default;
};

auto members(std::string_view text) -> std::vector<Found> {
    std::vector<Found> found;
    Json_Scanner scanner(text);
    for (Json_Scanner::Member member; scanner.next(member);)
        found.push_back({std::string(member.name), member.kind, std::string(member.text)});
    return found;
}

/// The same, each time with a name that is thought likely.
auto members(std::string_view text, std::vector<std::string> const& likely) -> std::vector<Found> {
    std::vector<Found> found;
    Json_Scanner scanner(text);
    Json_Scanner::Member member;
    for (std::size_t i = 0; scanner.next(member, likely[i % likely.size()]); ++i) {
        CHECK(member.likely == (member.name == likely[i % likely.size()] && !member.name.empty() &&
                                member.name.data()[member.name.size() + 1] == ':'));
        found.push_back({std::string(member.name), member.kind, std::string(member.text)});
    }
    return found;
}

auto is_good(std::string_view text) -> bool {
    Json_Scanner scanner(text);
    for (Json_Scanner::Member member; scanner.next(member);)
        continue;
    return scanner.good();
}

/// Everything, by walking into what is nested; every third nested value is passed over instead.
auto walk(Json_Scanner& scanner, std::vector<Found>& found) -> bool {
    for (Json_Scanner::Member member; scanner.next_or_enter(member);) {
        if (member.kind == Kind::nested && found.size() % 3 != 0) {
            found.push_back({std::string(member.name), member.kind, "entered"});
            auto nested = scanner.enter();
            if (!walk(nested, found) || !scanner.leave(nested))
                return false;
            continue;
        }
        if (member.kind == Kind::nested && !scanner.skip(member))
            return false;
        found.push_back({std::string(member.name), member.kind, std::string(member.text)});
    }
    return scanner.good();
}
/// The same of a parsed value, in which strings stand as JSON and names as they were written.
void walk(boost::json::value const& value, std::vector<Found>& found) {
    auto const add = [&](std::string const& name, boost::json::value const& item) {
        auto const kind = item.is_string()                      ? Kind::string
                          : item.is_object() || item.is_array() ? Kind::nested
                          : item.is_bool()                      ? Kind::boolean
                          : item.is_null()                      ? Kind::null
                                                                : Kind::number;
        auto const text = boost::json::serialize(item);
        bool const entered = kind == Kind::nested && found.size() % 3 != 0;
        found.push_back({name, kind,
                         entered                ? "entered"
                         : kind == Kind::string ? text.substr(1, text.size() - 2)
                                                : text});
        if (entered)
            walk(item, found);
    };
    if (auto const* object = value.if_object())
        for (auto const& [name, item] : *object) {
            auto const quoted = boost::json::serialize(boost::json::value(name));
            add(quoted.substr(1, quoted.size() - 2), item);
        }
    else
        for (auto const& item : value.as_array())
            add("", item);
}

auto unescaped(std::string_view content) -> std::string {
    std::string out = "before ";
    return append_unescaped(out, content) ? out.substr(7) : "refused";
}

/// A random value of any kind, some levels deep.
auto random_value(std::mt19937& random, int depth) -> boost::json::value {
    auto const text = [&] {
        std::string made;
        for (auto size = random() % 12; size > 0; --size)
            made += random() % 6 == 0   ? std::string("\xf0\x9f\x98\x80")
                    : random() % 4 == 0 ? std::string(1, "\"\\{}[],: \n\t\x01"[random() % 12])
                                        : std::string(1, static_cast<char>('a' + random() % 26));
        return made;
    };
    switch (random() % (depth > 0 ? 7 : 5)) {
    case 0:
        return boost::json::value(text());
    case 1:
        return boost::json::value(static_cast<std::int64_t>(random()) - 2'000'000'000);
    case 2:
        return boost::json::value(static_cast<double>(random()) / 1'000.0);
    case 3:
        return boost::json::value(random() % 2 == 0);
    case 4:
        return boost::json::value(nullptr);
    case 5: {
        boost::json::array array;
        for (auto size = random() % 4; size > 0; --size)
            array.push_back(random_value(random, depth - 1));
        return array;
    }
    default: {
        boost::json::object object;
        for (auto size = random() % 5; size > 0; --size)
            object[text()] = random_value(random, depth - 1);
        return object;
    }
    }
}

} // namespace

TEST_SUITE("core/json_scan") {
    TEST_CASE("a name that is thought likely changes nothing but the way to it") {
        for (std::string_view const text :
             {R"({"id":1,"id":"x","name":[2],"":3})", R"({"id" :1, "id": "x" ,"na":null,"name":{"id":1}})",
              R"({"id":1,"name)", R"({"id)", R"({"id":)", R"({"id"})", R"({"i\"d":1,"id":2})", "{}", ""})
            for (std::vector<std::string> const& likely :
                 std::vector<std::vector<std::string>>{{"id"}, {"name"}, {"id", "name"}, {"", "id"}, {"i", "nam"}}) {
                CAPTURE(text);
                CHECK(members(text, likely) == members(text));
            }
    }

    TEST_CASE("members are handed out in order, each with its kind and its text as it stands") {
        CHECK(members(R"({"s":"a\"b","n":-1.5e3,"t":true,"f":false,"z":null,"o":{"a":[1,"}"]},"l":[{"x":"]"}]})") ==
              std::vector<Found>{{"s", Kind::string, R"(a\"b)"},
                                 {"n", Kind::number, "-1.5e3"},
                                 {"t", Kind::boolean, "true"},
                                 {"f", Kind::boolean, "false"},
                                 {"z", Kind::null, "null"},
                                 {"o", Kind::nested, R"({"a":[1,"}"]})"},
                                 {"l", Kind::nested, R"([{"x":"]"}])"}});
        CHECK(members("{}").empty());
        CHECK(is_good("{}"));
    }

    TEST_CASE("any layout is read") {
        CHECK(members(" \r\n{ \"a\" :\t1 ,\n\"b\":  \"x\" , \"c\" : [ 1 , 2 ] } \n") ==
              std::vector<Found>{{"a", Kind::number, "1"}, {"b", Kind::string, "x"}, {"c", Kind::nested, "[ 1 , 2 ]"}});
        CHECK(is_good(" { } "));
    }

    TEST_CASE(
        "a string ends at a quote with an even number of backslashes before it, and says whether it has escapes") {
        Json_Scanner scanner(R"({"a":"\\","b":"\\\"","c":"plain"})");
        Json_Scanner::Member member;
        REQUIRE(scanner.next(member));
        CHECK(member.text == R"(\\)");
        CHECK(member.escaped);
        REQUIRE(scanner.next(member));
        CHECK(member.text == R"(\\\")");
        REQUIRE(scanner.next(member));
        CHECK_FALSE(member.escaped);
        CHECK_FALSE(scanner.good()); // not yet at the end
        CHECK_FALSE(scanner.next(member));
        CHECK(scanner.good());
        CHECK_FALSE(scanner.next(member));
    }

    TEST_CASE("what is no object is not good") {
        for (std::string_view const text : {"",
                                            " ",
                                            "[]",
                                            "1",
                                            "\"a\"",
                                            "{",
                                            "}",
                                            R"({"a")",
                                            R"({"a":)",
                                            R"({"a":1)",
                                            R"({"a":1,})",
                                            R"({,"a":1})",
                                            R"({"a":1 "b":2})",
                                            R"({"a":1,,"b":2})",
                                            R"({a:1})",
                                            R"({"a" 1})",
                                            R"({"a":tru})",
                                            R"({"a":nul})",
                                            R"({"a":x})",
                                            R"({"a":"x})",
                                            R"({"a":"x\"})",
                                            R"({"a":[1})",
                                            R"({"a":{"b":1})",
                                            R"({"a":["]})",
                                            R"({"a":1}x)",
                                            R"({"a":1}{)",
                                            R"({"a":1x})",
                                            R"({"a":1:2})",
                                            R"({"a":})"}) {
            CAPTURE(text);
            CHECK_FALSE(is_good(text));
        }
    }

    TEST_CASE("it finds what Boost.JSON finds in any object, and no beginning of one is good") {
        std::uint32_t const seed = 31;
        CAPTURE(seed);
        std::mt19937 random(seed);
        for (int i = 0; i < 2'000; ++i) {
            boost::json::object object;
            for (auto size = random() % 6; size > 0; --size)
                object["n" + std::to_string(random() % 100)] = random_value(random, 3);
            auto const text = boost::json::serialize(object);
            CAPTURE(text);
            REQUIRE(is_good(text));
            auto const found = members(text);
            REQUIRE(found.size() == object.size());
            auto at = object.begin();
            for (auto const& member : found) {
                CHECK(member.name == std::string(at->key().data(), at->key().size()));
                if (auto const* string = at->value().if_string())
                    CHECK(unescaped(member.text) == std::string(string->data(), string->size()));
                else
                    CHECK(boost::json::parse(member.text) == at->value());
                ++at;
            }
            CHECK_FALSE(is_good(std::string_view(text).substr(0, random() % text.size())));
        }
    }

    TEST_CASE("a walk into nested values finds what Boost.JSON finds there, and comes to no good end in half of them") {
        std::uint32_t const seed = 34;
        CAPTURE(seed);
        std::mt19937 random(seed);
        for (int i = 0; i < 2'000; ++i) {
            boost::json::object object;
            for (auto size = random() % 6; size > 0; --size)
                object["n" + std::to_string(random() % 100)] = random_value(random, 4);
            auto const text = boost::json::serialize(object);
            CAPTURE(text);
            std::vector<Found> found, expected;
            Json_Scanner scanner(text);
            REQUIRE(walk(scanner, found));
            walk(object, expected);
            REQUIRE(found == expected);
            Json_Scanner cut(std::string_view(text).substr(0, random() % text.size()));
            CHECK_FALSE(walk(cut, found));
        }
        for (std::string_view const text :
             {R"({"x":[1},"y":2})", R"({"x":{"y":1]})", R"({"x":[1,]})", R"({"x":[[1]})"}) {
            CAPTURE(text);
            std::vector<Found> found{{}}; // so that the first nested value is walked into
            Json_Scanner scanner(text);
            CHECK_FALSE(walk(scanner, found));
        }
    }

    TEST_CASE("any bytes can be scanned") {
        std::uint32_t const seed = 32;
        CAPTURE(seed);
        std::mt19937 random(seed);
        int good = 0;
        for (int i = 0; i < 100'000; ++i) {
            std::string text = "{\"";
            for (auto size = random() % 24; size > 0; --size)
                text += random() % 8 == 0 ? static_cast<char>(random() % 256) : "{}[]\":,\\ab1-tn "[random() % 15];
            for (auto const& member : members(text))
                (void)unescaped(member.text);
            good += is_good(text + "\":1}");
        }
        CHECK(good > 100);
    }

    TEST_CASE("escapes stand for what JSON says, lone surrogates for U+FFFD") {
        CHECK(unescaped("") == "");
        CHECK(unescaped("plain") == "plain");
        CHECK(unescaped(R"(\"\\\/\b\f\n\r\t)") == "\"\\/\b\f\n\r\t");
        CHECK(unescaped(R"(\u0041\u00e4\u20aC\uD83D\ude00x)") == "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80x");
        CHECK(unescaped(R"(\u0000)") == std::string(1, '\0'));
        CHECK(unescaped(R"(\ud83d)") == "\xef\xbf\xbd");
        CHECK(unescaped(R"(\ude00\ud83d)") == "\xef\xbf\xbd\xef\xbf\xbd");
        CHECK(unescaped(R"(\ud83dA)") == "\xef\xbf\xbd"
                                         "A");
        CHECK(unescaped(R"(\ud83d\u0041)") == "\xef\xbf\xbd"
                                              "A");
        for (auto const* content : {R"(\)", R"(a\)", R"(\x)", R"(\u)", R"(\u12)", R"(\u12g4)", R"(\u 123)"}) {
            CAPTURE(content);
            CHECK(unescaped(content) == "refused");
        }
    }

    TEST_CASE("unescaping is the inverse of writing") {
        std::uint32_t const seed = 33;
        CAPTURE(seed);
        std::mt19937 random(seed);
        for (int i = 0; i < 5'000; ++i) {
            std::string text;
            for (auto size = random() % 30; size > 0; --size)
                text +=
                    random() % 5 == 0 ? std::string("\xe2\x82\xac") : std::string(1, static_cast<char>(random() % 128));
            std::string json;
            append_json_string(json, text);
            CHECK(unescaped(std::string_view(json).substr(1, json.size() - 2)) == text);
        }
    }

    TEST_CASE("whole numbers of 64 bits, and nothing else") {
        CHECK(parse_json_integer("0") == 0);
        CHECK(parse_json_integer("-7") == -7);
        CHECK(parse_json_integer("9223372036854775807") == INT64_MAX);
        CHECK(parse_json_integer("-9223372036854775808") == INT64_MIN);
        for (auto const* text : {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "9223372036854775808", "x"}) {
            CAPTURE(text);
            CHECK_FALSE(parse_json_integer(text));
        }
    }
}
