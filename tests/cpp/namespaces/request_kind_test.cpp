// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/request_kind.hpp>

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>

using namespace memfs_cache;

TEST_SUITE("namespaces/analytics/request_kind") {
    TEST_CASE("a path is the target without origin, query and fragment") {
        struct Case {
            std::string_view target, path;
        };
        for (auto const& each : {
                 Case{"/", "/"},
                 Case{"/a/b.html", "/a/b.html"},
                 Case{"/a%20b/caf%C3%A9", "/a%20b/caf%C3%A9"},
                 Case{"//favicon.ico", "//favicon.ico"},
                 Case{"/a?id=secret", "/a"},
                 Case{"/a#secret", "/a"},
                 Case{"/a#secret?secret", "/a"},
                 Case{"/a?x#y", "/a"},
                 Case{"/?", "/"},
                 Case{"/a b", "/a b"},
                 Case{"/go?to=http://other.example/b", "/go"},
                 Case{"/http://other.example/b", "/http://other.example/b"},
                 Case{"http://shop.example/a?id=secret", "/a"},
                 Case{"https://user:secret@shop.example:8443/a#x", "/a"},
                 Case{"http://shop.example", "/"},
                 Case{"http://shop.example?secret/secret", "/"},
                 Case{"*", "*"},
                 Case{"*x", ""},
                 Case{"shop.example:443", ""},
                 Case{"198.18.0.1:443", ""},
                 Case{"secret", ""},
                 Case{"?secret", ""},
                 Case{"", ""},
             }) {
            CAPTURE(each.target);
            CHECK(path_of(each.target) == each.path);
        }
    }

    TEST_CASE("each rule of the table decides") {
        struct Case {
            std::string_view kind, method, path;
            int status;
            std::string_view content_type;
        };
        for (auto const& each : {
                 // Pages.
                 Case{"page_view", "GET", "/", 200, ""},
                 Case{"page_view", "GET", "/", 200, "text/html; charset=utf-8"},
                 Case{"page_view", "GET", "/", 304, ""},
                 Case{"page_view", "GET", "/about", 200, ""},
                 Case{"page_view", "GET", "/about/", 200, ""},
                 Case{"page_view", "GET", "/about.html", 200, ""},
                 Case{"page_view", "GET", "/INDEX.HTM", 200, ""},
                 Case{"page_view", "GET", "/index.php", 200, "TEXT/HTML"},
                 Case{"page_view", "GET", "/x.xhtml", 200, "application/xhtml+xml"},
                 Case{"page_view", "GET", "/release-1.1.1", 200, ""},
                 Case{"page_view", "GET", "/.well-known/", 200, ""},
                 Case{"page_view", "GET", "/.profile", 200, ""},
                 Case{"page_view", "GET", "/app.js", 200, "text/html"},
                 Case{"other", "GET", "/", 404, "text/html"},
                 Case{"other", "GET", "/", 500, ""},
                 Case{"other", "GET", "/", 301, ""},
                 Case{"other", "GET", "/about", 200, "text/plain"},
                 Case{"other", "GET", "*", 400, ""},
                 Case{"other", "GET", "/main.cpp", 200, ""},
                 Case{"other", "GET", "/a.unknownextension", 200, ""},

                 // Assets.
                 Case{"asset", "GET", "/favicon.ico", 200, ""},
                 Case{"asset", "GET", "/app.JS", 200, "application/javascript"},
                 Case{"asset", "GET", "/style.css", 304, ""},
                 Case{"asset", "GET", "/font.woff2", 206, ""},
                 Case{"asset", "GET", "/robots.txt", 200, "text/plain"},
                 Case{"asset", "GET", "/manifest.json", 200, "application/json"},
                 Case{"asset", "GET", "/feed.xml", 200, ""},
                 Case{"asset", "GET", "/render", 200, "image/png"},
                 Case{"asset", "GET", "/render", 200, "Text/CSS;charset=utf-8"},
                 Case{"other", "GET", "/favicon.ico", 404, ""},
                 Case{"other", "GET", "/no-such-page", 404, "application/json"},
                 Case{"other", "GET", "/tokens/list", 401, "application/problem+json"},
                 Case{"other", "GET", "/long", 431, "application/json"},
                 Case{"other", "GET", "/", 503, "application/json"},

                 // The API.
                 Case{"api_call", "GET", "/api/transfers/info", 200, "application/json"},
                 Case{"api_call", "GET", "/api/transfers/info", 404, "text/html"},
                 Case{"api_call", "GET", "/API", 200, ""},
                 Case{"api_call", "GET", "/api/data.json", 200, ""},
                 Case{"api_call", "GET", "/tokens/list", 200, "application/json"},
                 Case{"api_call", "GET", "/api/tokens", 401, "application/problem+json"},
                 Case{"api_call", "POST", "/form", 200, "text/html"},
                 Case{"api_call", "DELETE", "/x.png", 204, ""},
                 Case{"api_call", "PATCH", "/", 500, ""},
                 Case{"page_view", "GET", "/apiary", 200, ""},
                 Case{"page_view", "GET", "/docs/api/", 200, ""},

                 // Uploads.
                 Case{"file_upload", "POST", "/transfers/upload/1f2e", 200, ""},
                 Case{"file_upload", "PUT", "/transfers/Upload-Base64/1f2e", 201, "application/json"},
                 Case{"file_upload", "POST", "/api/upload", 200, ""},
                 Case{"file_upload", "POST", "/upload.php", 200, "text/html"},
                 Case{"file_upload", "PUT", "/transfers/1f2e/payload", 204, ""},
                 Case{"file_upload", "POST", "/api/presigned/complete", 200, ""},
                 Case{"file_upload", "POST", "/api/presigned/1f2e/complete", 200, ""},
                 Case{"api_call", "POST", "/transfers/upload/1f2e", 413, ""},
                 Case{"api_call", "POST", "/transfers/1f2e/payload", 200, ""},
                 Case{"api_call", "POST", "/transfers/1f2e/complete", 200, ""},
                 Case{"api_call", "POST", "/complete/presigned", 200, ""},
                 Case{"api_call", "POST", "/presigned/upload-url/1f2e", 200, ""},
                 Case{"api_call", "POST", "/reupload", 200, ""},
                 Case{"page_view", "GET", "/upload", 200, ""},
                 Case{"asset", "GET", "/uploads/2015/cat.png", 200, ""},

                 // Downloads.
                 Case{"file_download", "GET", "/transfers/download/1f2e", 200, ""},
                 Case{"file_download", "GET", "/transfers/download-base64/1f2e", 200, "application/json"},
                 Case{"file_download", "GET", "/api/transfers/download/1f2e", 206, "application/octet-stream"},
                 Case{"file_download", "GET", "/transfers/1f2e/payload", 206, ""},
                 Case{"file_download", "GET", "/api/presigned/download-url/1f2e", 200, ""},
                 Case{"file_download", "GET", "/downloads/photo.png", 200, ""},
                 Case{"file_download", "GET", "/report.pdf", 200, "application/pdf"},
                 Case{"file_download", "GET", "/files/tool-1.0.tar.gz", 206, ""},
                 Case{"file_download", "GET", "/files/a.7z", 200, ""},
                 Case{"api_call", "GET", "/api/transfers/download/1f2e", 410, ""},
                 Case{"api_call", "POST", "/transfers/download/1f2e", 200, ""},
                 Case{"other", "GET", "/transfers/download/1f2e", 404, ""},
                 Case{"other", "GET", "/report.pdf", 404, ""},
                 Case{"other", "GET", "/report.pdf", 304, ""},
                 Case{"page_view", "GET", "/downloads/", 200, ""},
                 Case{"page_view", "GET", "/downloads.html", 200, ""},
                 Case{"page_view", "GET", "/download", 200, "text/html"},
                 Case{"asset", "GET", "/download-icon.png", 200, ""},
                 Case{"page_view", "GET", "/a/payload/b", 200, ""},

                 // Token uses.
                 Case{"token_use", "POST", "/tokens/community-x/use", 200, "application/json"},
                 Case{"token_use", "POST", "/api/tokens/community-x/use", 200, ""},
                 Case{"token_use", "POST", "/api/transfers/validate-token/community-x", 200, ""},
                 Case{"api_call", "POST", "/tokens/community-x/use", 429, ""},
                 Case{"api_call", "POST", "/tokens/use", 200, ""},
                 Case{"api_call", "POST", "/tokens//use", 200, ""},
                 Case{"api_call", "POST", "/tokens/community-x/use/again", 200, ""},
                 Case{"api_call", "POST", "/tokens/community-x/revoke", 200, ""},
                 Case{"page_view", "GET", "/tokens/community-x/use", 200, ""},

                 // What transfers no content.
                 Case{"other", "HEAD", "/", 200, "text/html"},
                 Case{"other", "HEAD", "/api/x", 200, ""},
                 Case{"other", "OPTIONS", "*", 204, ""},
                 Case{"other", "OPTIONS", "/upload", 204, ""},
                 Case{"other", "", "", 408, ""},
             }) {
            CAPTURE(each.method);
            CAPTURE(each.path);
            CAPTURE(each.status);
            CAPTURE(each.content_type);
            CHECK(classify_request(each.method, each.path, each.status, each.content_type) == each.kind);
        }
    }

    TEST_CASE("any target gives a path without query and origin, and one of the seven kinds") {
        std::set<std::string_view> const kinds{"page_view",     "asset",     "api_call", "file_upload",
                                               "file_download", "token_use", "other"};
        std::uint32_t const seed = 7;
        CAPTURE(seed);
        std::mt19937 random(seed);
        constexpr std::string_view parts[] = {
            "/",   "upload", "download",       "payload", "presigned", "complete", "tokens",        "use",
            "api", ".js",    ".zip",           ".html",   "?secret",   "#secret",  "http://secret", "*",
            ".",   "\xff",   "validate-token", "x",       ":443"};
        constexpr std::string_view methods[] = {"GET", "PUT", "POST", "HEAD", "DELETE", "", "get"};
        constexpr std::string_view types[] = {"", ";", "text/html", "application/json", "image/png", "+json", "\xff"};
        std::set<std::string_view> seen;
        for (int i = 0; i < 50'000; ++i) {
            std::string target = random() % 3 == 0 ? "http://secret" : "";
            for (auto left = random() % 9; left > 0; --left) {
                target += '/';
                target += parts[random() % std::size(parts)];
            }
            auto const path = path_of(target);
            CAPTURE(target);
            CHECK(path.find_first_of("?#") == std::string_view::npos);
            CHECK((target.empty() ? path.empty() : path.starts_with('/')));
            auto const kind =
                classify_request(methods[random() % std::size(methods)], path, 200 + static_cast<int>(random() % 300),
                                 types[random() % std::size(types)]);
            CHECK(kinds.count(kind) == 1);
            seen.insert(kind);
        }
        CHECK(seen == kinds);
    }
}
