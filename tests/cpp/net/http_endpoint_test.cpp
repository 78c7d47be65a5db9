// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/net/http_client.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;

namespace {

/// "tls host port header" of an accepted URL; "refused" else.
auto reading_of(std::string_view url) -> std::string {
    auto const endpoint = Http_Endpoint::parse(url);
    if (!endpoint) {
        CHECK(endpoint.error().code == Errc::invalid_argument);
        CHECK(endpoint.error().message().find("secret") == std::string::npos);
        return "refused";
    }
    return (endpoint->tls ? "tls " : "plain ") + endpoint->host + " " + std::to_string(endpoint->port) + " " +
           endpoint->host_header();
}

} // namespace

TEST_SUITE("net/http_endpoint") {
    TEST_CASE("scheme, host and port of a URL are taken apart") {
        CHECK(reading_of("https://s3.example.com") == "tls s3.example.com 443 s3.example.com");
        CHECK(reading_of("http://s3.example.com/") == "plain s3.example.com 80 s3.example.com");
        CHECK(reading_of("HTTPS://S3.Example.com:443") == "tls s3.example.com 443 s3.example.com");
        CHECK(reading_of("http://127.0.0.1:9000") == "plain 127.0.0.1 9000 127.0.0.1:9000");
        CHECK(reading_of("https://h:80") == "tls h 80 h:80");
        CHECK(reading_of("http://h:443") == "plain h 443 h:443");
    }

    TEST_CASE("an address of IPv6 stands in brackets where a port may follow, and nowhere else") {
        CHECK(reading_of("http://[::1]:9000") == "plain ::1 9000 [::1]:9000");
        CHECK(reading_of("https://[2001:DB8::1]") == "tls 2001:db8::1 443 [2001:db8::1]");
        CHECK(reading_of("https://::1") == "refused");
        CHECK(reading_of("https://[::1") == "refused");
        CHECK(reading_of("https://[secret]") == "refused");
    }

    TEST_CASE("a URL with anything else is refused, and the message does not repeat it") {
        for (auto const* const url :
             {"", "secret", "ftp://secret", "https://", "https:///", "http://secret:", "http://secret:0",
              "http://secret:65536", "http://secret:x", "http://user:secret@h", "http://secret/path", "http://secret//",
              "http://h?secret", "http://h#secret", "http://secret h", "http://secret\r\nX: y", "s3://secret"}) {
            CAPTURE(url);
            CHECK(reading_of(url) == "refused");
        }
    }

    TEST_CASE("a header of an answer is found in any case, and the first of its name counts") {
        Client_Response const response{200, {{"ETag", "1"}, {"etag", "2"}, {"Empty", ""}}, {}};
        CHECK(response.header("eTAG") == "1");
        CHECK(response.header("Empty").empty());
        CHECK(response.header("ETa").empty());
        CHECK(response.header("").empty());
    }

    TEST_CASE("value() of no answer throws the error that it carries") {
        boost::system::result<Client_Response, No_Answer> const none =
            No_Answer{fail(Errc::timed_out, "x"), true, false};
        try {
            (void)none.value();
            FAIL("nothing was thrown");
        } catch (Cache_Error const& error) {
            CHECK(error.code() == Errc::timed_out);
        }
    }
}
