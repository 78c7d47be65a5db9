// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/json_text.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <string>

using namespace memfs_cache;

namespace {

auto json_string(std::string_view text) -> std::string {
    std::string out;
    append_json_string(out, text);
    return out;
}

/// What a JSON parser that is not ours reads back.
auto read_back(std::string const& json) -> std::string { return std::string(boost::json::parse(json).as_string()); }

template <class Integer>
auto json_number(Integer number) -> std::string {
    std::string out;
    append_json_number(out, number);
    return out;
}

} // namespace

TEST_SUITE("core/json_text") {
    TEST_CASE("quotes, backslashes and control characters are escaped, in the short form where there is one") {
        CHECK(json_string("") == "\"\"");
        CHECK(json_string("/index.html?é=日本 😀~") == "\"/index.html?é=日本 😀~\"");
        CHECK(json_string("\"\\\b\f\n\r\t") == R"("\"\\\b\f\n\r\t")");
        CHECK(json_string(std::string("\0\x01\x1f\x7f", 4)) == R"("\u0000\u0001\u001f\u007f")");
    }

    TEST_CASE("every byte at every place of a word is read back as it was") {
        for (unsigned byte = 0; byte < 0x80; ++byte) {
            for (std::size_t place = 0; place < 17; ++place) {
                CAPTURE(byte);
                CAPTURE(place);
                std::string text(17, 'x');
                text[place] = static_cast<char>(byte);
                auto const json = json_string(text);
                REQUIRE(read_back(json) == text);
                REQUIRE(json.find('\x7f') == std::string::npos);
            }
        }
    }

    TEST_CASE("each byte that is no UTF-8 becomes one U+FFFD") {
        CHECK(json_string("a\xff z") == "\"a\xef\xbf\xbd z\"");
        CHECK(json_string("\xc3") == "\"\xef\xbf\xbd\"");                                         // cut off
        CHECK(json_string("\xc0\xaf") == "\"\xef\xbf\xbd\xef\xbf\xbd\"");                         // overlong '/'
        CHECK(json_string("\xe0\x80\xaf") == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");         // overlong again
        CHECK(json_string("\xed\xa0\x80") == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");         // a surrogate
        CHECK(json_string("\xf4\x90\x80\x80").size() == 2 + 4 * 3);                               // above U+10FFFF
        CHECK(json_string("\xe6\x97\xa5\xe6\x97") == "\"\xe6\x97\xa5\xef\xbf\xbd\xef\xbf\xbd\""); // good, then cut off
    }

    TEST_CASE("a text of any length is copied whole, and one odd byte at any place of it is found") {
        for (std::size_t size = 0; size <= 70; ++size) {
            std::string const plain(size, 'a');
            for (std::size_t place = 0; place <= size; ++place) {
                for (int byte = 0; byte < 256; ++byte) {
                    auto text = plain;
                    bool is_plain = true;
                    if (place < size) {
                        text[place] = static_cast<char>(byte);
                        is_plain = json_string(text).size() == size + 2 && byte < 0x7f;
                    }
                    std::string copy(size + 1, '#');
                    bool const found_plain = detail::copy_if_plain(copy.data(), text);
                    if (found_plain != is_plain || (is_plain && copy != text + "#")) {
                        CAPTURE(size);
                        CAPTURE(place);
                        CAPTURE(byte);
                        FAIL_CHECK(copy);
                    }
                }
            }
        }
    }

    TEST_CASE("bytes behind the end of the text are not looked at") {
        CHECK(json_string(std::string_view("\xe6\x97\xa5").substr(0, 2)) == "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    }

    TEST_CASE("whatever the bytes, the result is JSON; UTF-8 is read back unchanged") {
        auto const seed = std::random_device{}();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        std::size_t intact = 0;
        for (int i = 0; i < 20'000; ++i) {
            std::string text;
            for (auto parts = random() % 12; parts > 0; --parts) {
                switch (random() % 4) {
                case 0:
                    text.push_back(static_cast<char>(random() & 255U));
                    break;
                case 1:
                    append_utf8(text, static_cast<char32_t>(random() % 0xd800));
                    break;
                case 2:
                    append_utf8(text, static_cast<char32_t>(0xe000 + random() % 0x102000));
                    break;
                default:
                    text.append(random() % 20, 'x');
                    break;
                }
            }
            auto const json = json_string(text);
            REQUIRE(is_utf8(json));
            auto const back = read_back(json);
            if (!is_utf8(text))
                continue;
            ++intact;
            REQUIRE(back == text);
        }
        CHECK(intact > 1'000);
    }

    TEST_CASE("numbers up to the ends of their types") {
        CHECK(json_number(0) == "0");
        CHECK(json_number(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
        CHECK(json_number(std::numeric_limits<std::int64_t>::max()) == "9223372036854775807");
        CHECK(json_number(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
    }

    TEST_CASE("what is there already stays in front") {
        std::string out = "{\"a\":";
        append_json_string(out, "b");
        out += ",\"c\":";
        append_json_number(out, -7);
        CHECK(out == R"({"a":"b","c":-7)");
    }
}
