// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>
#include <memfs_cache/namespaces/analytics/referrer.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace memfs_cache;

namespace {

auto domain(std::string_view referrer, std::string_view own_host = "") -> std::string {
    return std::string(referrer_domain(referrer, own_host).view());
}

} // namespace

TEST_SUITE("namespaces/analytics/referrer") {
    TEST_CASE("only the domain of a referrer is kept") {
        CHECK(domain("http://news.example/item?id=secret") == "news.example");
        CHECK(domain("https://WWW.News.Example/") == "news.example");
        CHECK(domain("https://www2.news.example") == "www2.news.example");
        CHECK(domain("http://news.example?secret") == "news.example");
        CHECK(domain("http://news.example#secret") == "news.example");
        CHECK(domain("http://news.example:8080/post") == "news.example");
        CHECK(domain("http://news.example:/post") == "news.example");
        CHECK(domain("http://user:secret@news.example/post") == "news.example");
        CHECK(domain("http://user@evil.example:secret@news.example/post") == "news.example");
        CHECK(domain("http://news.example./") == "news.example");
        CHECK(domain("  http://news.example/  ") == "news.example");
        CHECK(domain("http://intranet/wiki") == "intranet");
        CHECK(domain("http://www.example/") == "www.example"); // nothing but a top-level domain would be left
        CHECK(domain("http://xn--mnchen-3ya.example/") == "xn--mnchen-3ya.example");
    }

    TEST_CASE("hosts of other schemes are kept") {
        CHECK(domain("android-app://com.google.android.gm/") == "com.google.android.gm");
        CHECK(domain("ftp://files.example/x") == "files.example");
    }

    TEST_CASE("letters of other scripts are kept as they are, and nothing else above ASCII") {
        CHECK(domain("http://M\xc3\xbcnchen.EXAMPLE/") == "m\xc3\xbcnchen.example");
        CHECK(domain("http://\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84/") ==
              "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84");
        CHECK(domain("http://\xe4\xbe\x8b\xe5\xad\x90.example/") == "\xe4\xbe\x8b\xe5\xad\x90.example");
        CHECK(domain("http://a\xc2\x85"
                     "b.example/") == ""); // a control character
        CHECK(domain("http://a\xe2\x80\xae"
                     "b.example/") == ""); // turns the direction of text
        CHECK(domain("http://a\xe3\x80\x82"
                     "b.example/") == ""); // an ideographic full stop
        CHECK(domain("http://a\xef\xbc\x8f"
                     "b.example/") == ""); // a fullwidth '/'
        CHECK(domain("http://a\xf0\x9f\x98\x80.example/").empty() == false);
        CHECK(domain("http://a\xff.example/") == "");
        CHECK(domain("http://a\xc3") == "");
        CHECK(domain("http://a\xed\xa0\x80.example/") == ""); // a surrogate
    }

    TEST_CASE("no referrer, and what is no URL with a host, is empty") {
        for (std::string_view const none : {"",
                                            "-",
                                            " ",
                                            "not a url secret",
                                            "news.example",
                                            "news.example/x",
                                            "//news.example/x",
                                            "://news.example",
                                            "1http://news.example",
                                            "ht tp://news.example",
                                            "http:/news.example",
                                            "mailto:ann@news.example",
                                            "about:blank",
                                            "data:text/html,secret",
                                            "file:///home",
                                            "http://",
                                            "http:///x",
                                            "http://user@/x",
                                            "http://:80/",
                                            "http://./",
                                            "http://../",
                                            "http://a..b/",
                                            "http://a../",
                                            "http://.a/",
                                            "http://a b/",
                                            "http://a_b.example/",
                                            "http://a%41.example/",
                                            "http://<script>/",
                                            "http://a.example:secret/",
                                            "http://[::1/",
                                            "http://[secret]/"}) {
            CAPTURE(none);
            CHECK(domain(none) == "");
        }
    }

    TEST_CASE("an address is named as such, in every spelling a browser reads") {
        for (std::string_view const text :
             {"http://198.18.0.1/x", "http://198.18.0.1:8080", "http://ann:pw@198.18.0.1/", "http://[2001:db8::1]/",
              "http://[2001:DB8::1]:80/", "http://[::ffff:198.18.0.1]/", "http://3323068417/", "http://0xC6120001/",
              "http://198.18.1", "http://198.18.0.0x1./"}) {
            CAPTURE(text);
            CHECK(domain(text) == "(address)");
        }
    }

    TEST_CASE("a name that is made of an address is not kept") {
        CHECK(domain("http://198.18.0.1.pool.example/") == "");
        CHECK(domain("http://dsl-198.18.0.1.example/") == "");
        CHECK(domain("http://www.a.b.c.example/") == "a.b.c.example");
    }

    TEST_CASE("the own host is no referrer") {
        CHECK(domain("http://shop.example/a", "shop.example") == "");
        CHECK(domain("http://www.shop.example/a", "shop.example") == "");
        CHECK(domain("http://shop.example:8080/a", "WWW.Shop.Example:443") == "");
        CHECK(domain("http://blog.shop.example/a", "shop.example") == "blog.shop.example");
        CHECK(domain("http://shop.example/a", "") == "shop.example");
        CHECK(domain("http://198.18.0.1/a", "198.18.0.1:8080") == "");
        CHECK(domain("http://[::1]/a", "[0:0::1]:80") == "");
        CHECK(domain("http://198.18.0.2/a", "198.18.0.1:8080") == "(address)");
        CHECK(domain("http://3323068417/a", "198.18.0.1") == "(address)");
    }

    TEST_CASE("a backslash ends the host as it does in browsers") {
        CHECK(domain("http://evil.example\\@good.example/") == "evil.example");
        CHECK(domain("https://odd.example/a\\\"b?token=secret") == "odd.example");
    }

    TEST_CASE("a domain has 253 bytes at most") {
        std::string const longest =
            std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd');
        REQUIRE(longest.size() == Referrer_Domain::max_bytes);
        CHECK(domain("http://" + longest + "/x") == longest);
        CHECK(domain("http://" + longest + "./x") == longest);
        CHECK(domain("http://" + longest + "d/x") == "");
        CHECK(domain("http://" + std::string(100'000, 'a') + "/") == "");
        CHECK(Referrer_Domain(longest + "d").view() == "");
    }

    TEST_CASE("whatever comes in, only a domain comes out") {
        std::uint32_t const seed = 17;
        CAPTURE(seed);
        std::mt19937 random(seed);
        int kept = 0;
        for (int i = 0; i < 50'000; ++i) {
            std::string text = i % 2 == 0 ? "http://" : "";
            for (auto left = random() % 40; left > 0; --left)
                text += random() % 8 == 0 ? static_cast<char>(random() % 256)
                                          : "abWw.:/@?#-[]\\019x\xc3\xbc"[random() % 21];
            auto const out = domain(text, "own.example");
            kept += !out.empty();
            if (out == "(address)")
                continue;
            bool fine = is_utf8(out) && !looks_like_address(out);
            for (char const c : out)
                fine = fine && (static_cast<unsigned char>(c) >= 0x80 || (c >= 'a' && c <= 'z') ||
                                (c >= '0' && c <= '9') || c == '.' || c == '-');
            if (!fine) {
                CAPTURE(text);
                FAIL_CHECK(out);
            }
        }
        CHECK(kept > 1'000);
    }
}
