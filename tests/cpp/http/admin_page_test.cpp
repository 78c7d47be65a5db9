// SPDX-License-Identifier: Apache-2.0
#include "house.hpp"

#include <array>

using namespace memfs_cache;
using memfs_cache::testing::House;
using namespace std::string_view_literals;

namespace {

// printf '<p>hello' | gzip -n9
constexpr auto packed =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xb3\x29\xb0\xcb\x48\xcd\xc9\xc9\x07\x00\x36\x7e\x6a\x95"
    "\x08\x00\x00\x00"sv;
constexpr std::array<Page_File, 2> files{{
    {"/", "text/html; charset=utf-8", packed},
    {"/app.js", "text/javascript; charset=utf-8", packed},
}};

auto get(Admin_Page const& page, std::string target, std::string accepted = "", std::string method = "GET")
    -> Response {
    return page({std::move(method), std::move(target), {{"Accept-Encoding", std::move(accepted)}}, {}, {}});
}

} // namespace

TEST_SUITE("http/admin_page") {
    TEST_CASE("a file of the page comes packed to whoever takes gzip, and as it is to all others") {
        Admin_Page const page(files);
        for (auto const* accepted : {"gzip", "br, GZIP;q=0.5", "deflate,gzip ; q=0.001", "*"}) {
            CAPTURE(accepted);
            auto const answer = get(page, "/app.js?v=1", accepted);
            CHECK(answer.status == 200);
            CHECK(answer.headers.value("Content-Encoding") == "gzip");
            CHECK(answer.headers.value("Content-Type") == "text/javascript; charset=utf-8");
            CHECK(std::get<Bytes>(answer.body) == packed);
        }
        for (auto const* accepted : {"", "identity", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip"}) {
            CAPTURE(accepted);
            auto const answer = get(page, "/", accepted);
            CHECK(answer.headers.value("Content-Encoding").empty());
            CHECK(answer.headers.value("Vary") == "Accept-Encoding");
            CHECK(std::get<Bytes>(answer.body) == "<p>hello");
        }
    }

    TEST_CASE("the page has two methods and no other paths") {
        Admin_Page const page(files);
        CHECK(get(page, "/", "", "HEAD").status == 200);
        CHECK(get(page, "/", "", "POST").status == 405);
        CHECK(get(page, "/app.js", "", "POST").headers.value("Allow") == "GET, HEAD");
        CHECK(get(page, "/app.js/").status == 404);
        CHECK(get(page, "//").status == 404);
        CHECK(get(page, "/%zz").status == 400);
    }

    TEST_CASE("a library without the page says how to have it") {
        Admin_Page const page(std::span<Page_File const>{});
        auto const answer = get(page, "/");
        CHECK(answer.status == 404);
        CHECK(House::error_of(answer, "message").find("Node.js 18") != std::string::npos);
        CHECK(House::error_of(get(page, "/app.js"), "message").find("Node.js") == std::string::npos);
    }

    TEST_CASE("the page is open to all, has no part in the description, and nothing may frame, keep or add to it") {
        House const house;
        auto const answer = house.get("/", {});
        if (built_page_files().empty()) {
            CHECK(answer.status == 404);
            return;
        }
        REQUIRE(answer.status == 200);
        auto const policy = std::string(answer.headers.value("Content-Security-Policy"));
        CHECK(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"));
        CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
        CHECK(policy.find("unsafe") == std::string::npos);
        CHECK(answer.headers.value("X-Frame-Options") == "DENY");
        CHECK(answer.headers.value("Referrer-Policy") == "no-referrer");
        CHECK(answer.headers.value("X-Content-Type-Options") == "nosniff");
        CHECK(answer.headers.value("Cache-Control") == "no-store");
        CHECK(std::get<Bytes>(answer.body).find("://") == Bytes::npos); // nothing comes from elsewhere
        CHECK(house.api.openapi().find("dashboard.js") == std::string::npos);
    }
}
