// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/client_address.hpp>

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <random>
#include <string>

using namespace memfs_cache;

namespace {

/// The canonical bytes in hex, "" for no address.
auto hex_of(std::string_view text) -> std::string {
    auto const address = Client_Address::parse(text);
    if (!address)
        return "";
    auto const& bytes = address->bytes();
    return to_hex(Byte_View(reinterpret_cast<char const*>(bytes.data()), bytes.size()));
}

auto mapped(std::string const& v4_hex) -> std::string { return "00000000000000000000ffff" + v4_hex; }

/// What the operating system makes of a text: the oracle for addresses without decoration.
auto system_hex_of(std::string const& text) -> std::string {
    char bytes[16];
    if (inet_pton(AF_INET, text.c_str(), bytes) == 1)
        return mapped(to_hex(Byte_View(bytes, 4)));
    if (inet_pton(AF_INET6, text.c_str(), bytes) == 1)
        return to_hex(Byte_View(bytes, 16));
    return "";
}

auto proxies(std::string_view list) -> Trusted_Proxies { return Trusted_Proxies::parse(list).value(); }

auto client(std::string_view remote, std::string_view forwarded_for, Trusted_Proxies const& trusted) -> std::string {
    auto const address = client_of(remote, forwarded_for, trusted);
    if (!address)
        return "nobody";
    char text[INET6_ADDRSTRLEN];
    auto const& bytes = address->bytes();
    if (address->is_v4())
        return inet_ntop(AF_INET, &bytes[12], text, sizeof(text));
    return inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
}

} // namespace

TEST_SUITE("namespaces/analytics/client_address") {
    TEST_CASE("all spellings of one IPv4 address are one address") {
        for (std::string_view const text :
             {"198.18.0.1", " 198.18.0.1\t", "198.018.000.001", "198.18.0.1:80", "198.18.0.1:65535", "\"198.18.0.1\"",
              "\"198.18.0.1:8080\"", "[198.18.0.1]:80", "::ffff:198.18.0.1", "::FFFF:C612:1",
              "0:0:0:0:0:ffff:c612:0001", "0000:0000:0000:0000:0000:FFFF:198.18.0.1", "[::ffff:198.18.0.1]:443",
              "::ffff:c612:1%eth0"}) {
            CAPTURE(text);
            CHECK(hex_of(text) == mapped("c6120001"));
            CHECK(Client_Address::parse(text)->is_v4());
        }
    }

    TEST_CASE("all spellings of one IPv6 address are one address") {
        for (std::string_view const text :
             {"2001:db8::8a2e:370:7334", "2001:DB8::8A2E:370:7334", "2001:0db8:0000:0000:0000:8a2e:0370:7334",
              "2001:db8:0:0:0:8a2e:370:7334", "2001:db8::8a2e:3.112.115.52", "[2001:db8::8a2e:370:7334]",
              "[2001:db8::8a2e:370:7334]:8080", "\"[2001:db8::8a2e:370:7334]:8080\"", "2001:db8::8a2e:370:7334%1",
              "[2001:db8::8a2e:370:7334%en0]:1"}) {
            CAPTURE(text);
            CHECK(hex_of(text) == "20010db80000000000008a2e03707334");
            CHECK_FALSE(Client_Address::parse(text)->is_v4());
        }
        CHECK(hex_of("::") == std::string(32, '0'));
        CHECK(hex_of("1::") == "0001" + std::string(28, '0'));
        CHECK(hex_of("::1:2:3:4:5:6:7") == "00000001000200030004000500060007");
    }

    TEST_CASE("what is no address is not taken for one") {
        for (std::string_view const text : {"",
                                            " ",
                                            "-",
                                            "unknown",
                                            "_hidden",
                                            "localhost",
                                            "198.18.0",
                                            "198.18.0.1.1",
                                            "198.18.0.256",
                                            "198.18.0.0001",
                                            "198.18..1",
                                            "198.18.0.1.",
                                            ".198.18.0.1",
                                            "198.18.0.-1",
                                            "198.18.0.1:",
                                            "198.18.0.1:65536",
                                            "198.18.0.1:x",
                                            "198.18.0.1:123456",
                                            "198.18.0.1%eth0",
                                            "198.18.0.1 198.18.0.2",
                                            "198.18.0.1, 198.18.0.2",
                                            "198.18.0.1/32",
                                            "\"198.18.0.1",
                                            ":",
                                            ":::",
                                            "1:",
                                            ":1",
                                            "1::2::3",
                                            "1:2:3:4:5:6:7",
                                            "1:2:3:4:5:6:7:8:9",
                                            "1:2:3:4:5:6:7::8",
                                            "::1:2:3:4:5:6:7:8",
                                            "12345::",
                                            "::g",
                                            "::1.2.3",
                                            "::1.2.3.4:5",
                                            "1.2.3.4::",
                                            "1:2:3:4:5:6:7:1.2.3.4",
                                            "::1%",
                                            "::1%a b",
                                            "::1%eth0]",
                                            "[::1",
                                            "::1]",
                                            "[::1]80",
                                            "[::1]:",
                                            "[]",
                                            "[[::1]]"}) {
            CAPTURE(text);
            CHECK(hex_of(text) == "");
        }
        CHECK(hex_of("::1%" + std::string(300, 'z')) == "");
        CHECK(hex_of(std::string("198.18.0.1\0", 11)) == "");
    }

    TEST_CASE("plain addresses agree with the operating system, damaged ones too") {
        std::uint32_t const seed = 6;
        CAPTURE(seed);
        std::mt19937 random(seed);
        int accepted = 0;
        for (int i = 0; i < 50'000; ++i) {
            char bytes[16];
            for (char& byte : bytes)
                byte = random() % 3 == 0 ? static_cast<char>(random() % 256) : '\0';
            char buffer[INET6_ADDRSTRLEN];
            bool const v4 = i % 3 == 0;
            std::string text = inet_ntop(v4 ? AF_INET : AF_INET6, bytes, buffer, sizeof(buffer));
            if (i % 2 == 0)
                text[random() % text.size()] = "0123456789abcdefABCDEF:.:.g"[random() % 27];
            auto const expected = system_hex_of(text);
            auto const actual = hex_of(text);
            CAPTURE(text);
            // Ports and zero-padded IPv4 parts are more than the system takes; every other text must be read alike.
            bool const more = text.find('.') != std::string::npos || text.find(':') == text.rfind(':');
            if (!more || !expected.empty())
                CHECK(actual == expected);
            accepted += !actual.empty();
        }
        CHECK(accepted > 25'000);
    }

    TEST_CASE("a text that holds an address anywhere looks like one") {
        for (std::string_view const text :
             {"198.18.0.1", "::1", "[2001:db8::1]:80", "10.0.0.0/8", "198.18.0.1, 198.18.0.2",
              "for=\"[2001:db8::1]\";proto=http", "http://198.18.0.1/x", "unknown 198.18.0.1", "fe80::1%eth0",
              "ip=::ffff:198.18.0.1;", "198.18.0.1.html", "/dead198.18.0.1x", "Seen at 198.18.0.1.",
              "Seen at 2001:db8::1.", "ip:2001:db8::1", "fe80::1:"}) {
            CAPTURE(text);
            CHECK(looks_like_address(text));
        }
        for (std::string_view const text :
             {"", "3f9a1c0b5d7e8f42", "visitor-17", "a.b.c.d", "1.2.3", "12:34", "v1.2.3.4.5"}) {
            CAPTURE(text);
            CHECK_FALSE(looks_like_address(text));
        }
    }

    TEST_CASE("trusted proxies are addresses and networks of both kinds") {
        auto const trusted = proxies("198.18.0.1, 10.0.0.0/8\n192.168.1.128/25,, 2001:db8:1::/48 ::1");
        for (std::string_view const inside : {"198.18.0.1", "10.255.0.1", "::ffff:10.1.2.3", "192.168.1.128",
                                              "192.168.1.255", "2001:db8:1:ffff::1", "::1"}) {
            CAPTURE(inside);
            CHECK(trusted.contains(Client_Address::parse(inside).value()));
        }
        for (std::string_view const outside :
             {"198.18.0.2", "11.0.0.1", "192.168.1.127", "2001:db8:2::1", "::2", "::10.0.0.1"}) {
            CAPTURE(outside);
            CHECK_FALSE(trusted.contains(Client_Address::parse(outside).value()));
        }
        CHECK(proxies("0.0.0.0/0").contains(Client_Address::parse("1.2.3.4").value()));
        CHECK_FALSE(proxies("0.0.0.0/0").contains(Client_Address::parse("2001:db8::1").value()));
        CHECK(proxies("::/0").contains(Client_Address::parse("1.2.3.4").value()));
        CHECK(proxies("::ffff:10.0.0.0/104").contains(Client_Address::parse("10.9.9.9").value()));
        CHECK(proxies("").empty());
        CHECK_FALSE(trusted.empty());
    }

    TEST_CASE("a wrong list of proxies names the item by position and never by text") {
        for (std::string const bad : {"proxy.secret.example", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
                                      "2001:db8::/129", "10.0.0.0/8/8", "*"}) {
            CAPTURE(bad);
            auto const result = Trusted_Proxies::parse("127.0.0.1, " + bad + ", ::1");
            REQUIRE(result.has_error());
            CHECK(result.error().code == Errc::invalid_argument);
            CHECK(result.error().context.find("item 2 ") != std::string::npos);
            CHECK(result.error().context.find("secret") == std::string::npos);
        }
    }

    TEST_CASE("X-Forwarded-For is believed only as far as the proxies that wrote it are trusted") {
        auto const trusted = proxies("10.0.0.0/8 fd00::/8");
        struct Case {
            std::string_view expected, remote, forwarded_for;
        };
        for (auto const& each : {
                 Case{"198.18.0.9", "198.18.0.9", "203.0.113.5"}, // the peer is no proxy of ours
                 Case{"203.0.113.5", "10.0.0.1", "203.0.113.5"},
                 Case{"203.0.113.5", "10.0.0.1:5555", " 203.0.113.5:1234 "},
                 Case{"203.0.113.5", "::ffff:10.0.0.1", "203.0.113.5"},
                 Case{"203.0.113.5", "10.0.0.1", "1.1.1.1, 203.0.113.5"}, // the left part was sent by the client
                 Case{"203.0.113.5", "10.0.0.1", "1.1.1.1, 203.0.113.5, 10.0.0.2,fd00::7"},
                 Case{"10.0.0.3", "10.0.0.1", "10.0.0.3, 10.0.0.2"}, // all hops trusted: the leftmost
                 Case{"10.0.0.1", "10.0.0.1", ""},
                 Case{"10.0.0.1", "10.0.0.1", " , ,"},
                 Case{"203.0.113.5", "10.0.0.1", "203.0.113.5, , 10.0.0.2,"},
                 Case{"2001:db8::5", "fd00::1", "\"[2001:db8::5]:4711\""},
                 Case{"nobody", "10.0.0.1", "203.0.113.5, unknown"}, // a proxy says that it does not know
                 Case{"nobody", "10.0.0.1", "unknown"},
                 Case{"203.0.113.5", "10.0.0.1", "unknown, 203.0.113.5"},
                 Case{"nobody", "", "203.0.113.5"},
                 Case{"nobody", "unix:", "203.0.113.5"},
             }) {
            CAPTURE(each.remote);
            CAPTURE(each.forwarded_for);
            CHECK(client(each.remote, each.forwarded_for, trusted) == each.expected);
        }
        CHECK(client("10.0.0.1", "203.0.113.5", Trusted_Proxies()) == "10.0.0.1");
    }

    TEST_CASE("a visitor is one hash for all spellings under one key and another under the next") {
        Sip_Key const today{1, 2, 3};
        Sip_Key const tomorrow{1, 2, 4};
        auto const hash = [](Sip_Key const& key, std::string_view text) {
            return visitor_hash(key, Client_Address::parse(text).value());
        };
        CHECK(hash(today, "198.18.0.1") == hash(today, "::ffff:c612:1"));
        CHECK(hash(today, "2001:DB8::1") == hash(today, "2001:db8:0:0:0:0:0:1"));
        CHECK(hash(today, "198.18.0.1") != hash(tomorrow, "198.18.0.1"));
        CHECK(hash(today, "198.18.0.1") != hash(today, "198.18.0.2"));
        CHECK(hash(today, "198.18.0.1") != hash(today, "::198.18.0.1"));
    }

    TEST_CASE("any bytes can be asked about") {
        std::uint32_t const seed = 16;
        CAPTURE(seed);
        std::mt19937 random(seed);
        auto const trusted = proxies("::/0");
        for (int i = 0; i < 20'000; ++i) {
            std::string text(random() % 60, ' ');
            for (char& c : text)
                c = random() % 4 == 0 ? static_cast<char>(random() % 256) : "0123:.af[]\"%, /"[random() % 15];
            // What is read as an address must also look like one: the guard is never weaker than the reader.
            if (Client_Address::parse(text) && !looks_like_address(text)) {
                CAPTURE(text);
                FAIL_CHECK("an address slipped past the guard");
            }
            auto const found = client_of("10.0.0.1", text, trusted);
            if (text.find_first_not_of(" \t,") == std::string::npos)
                CHECK(found.has_value());
        }
    }
}
