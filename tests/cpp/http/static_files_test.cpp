// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/http/admin_key.hpp>
#include <memfs_cache/http/static_files.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace memfs_cache;
namespace fs = std::filesystem;

namespace {

void write(fs::path const& path, std::string const& bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
}

struct Site {
    testing::Scratch_Folder scratch;
    Static_Files files;

    Site() : files(make(scratch.path())) {}

    auto send(std::string method, std::string target, Headers headers = {}) const -> Response {
        return files(Request{std::move(method), std::move(target), std::move(headers), {}, {}});
    }
    auto get(std::string target, Headers headers = {}) const -> Response {
        return send("GET", std::move(target), std::move(headers));
    }

  private:
    static auto make(fs::path const& root) -> Static_Files {
        write(root / "secret.txt", "secret");
        write(root / "site/index.html", "home");
        write(root / "site/style.css", "css");
        write(root / "site/a b/caf\xc3\xa9.TXT", "0123456789");
        write(root / "site/plain", "");
        write(root / "site/.hidden", "secret");
        write(root / "site/.git/config", "secret");
        write(root / "site/bare/x.txt", "x");
        fs::create_symlink(root / "secret.txt", root / "site/link.txt");
        fs::create_directory_symlink(root, root / "site/up");
        fs::create_symlink("style.css", root / "site/inside.css");
        ::mkfifo((root / "site/pipe").c_str(), 0600);
        return Static_Files::open((root / "site").string()).value();
    }
};

auto text_of(Response const& response) -> std::string {
    if (auto const* const bytes = std::get_if<Bytes>(&response.body))
        return *bytes;
    auto const& part = std::get<File_Part>(response.body);
    std::string text(part.size_bytes, '\0');
    auto const got = ::pread(part.file.get(), text.data(), text.size(), static_cast<off_t>(part.offset_bytes));
    CHECK(got == static_cast<ssize_t>(text.size()));
    return text;
}

} // namespace

TEST_SUITE("http/static_files") {
    TEST_CASE("a file that cannot be opened for want of descriptors is not said to be missing") {
        Site const site;
        rlimit before{};
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit const none_left{static_cast<rlim_t>(Unique_Fd(::dup(0)).get()), before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none_left) == 0);
        auto const file = site.get("/style.css").status;
        auto const folder = site.get("/bare/x.txt").status;
        auto const hidden = site.get("/.hidden").status;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        CHECK(file == 503);
        CHECK(folder == 503);
        CHECK(hidden == 404);
        CHECK(site.get("/style.css").status == 200);
    }

    TEST_CASE("files and the index of folders are served with their type") {
        Site const site;
        CHECK(text_of(site.get("/")) == "home");
        CHECK(text_of(site.get("/?query")) == "home");
        CHECK(site.get("/").headers.value("Content-Type") == "text/html; charset=utf-8");
        CHECK(site.get("/style.css").headers.value("Content-Type") == "text/css; charset=utf-8");
        CHECK(site.get("/plain").headers.value("Content-Type") == "application/octet-stream");
        CHECK(site.get("/plain").status == 200);
        auto const response = site.get("/a%20b/caf%C3%A9.TXT");
        CHECK(text_of(response) == "0123456789");
        CHECK(response.headers.value("Content-Type") == "text/plain; charset=utf-8");
        CHECK(response.headers.value("X-Content-Type-Options") == "nosniff");
        CHECK(site.send("HEAD", "/style.css").body_bytes() == 3);
    }

    TEST_CASE("a folder without its slash is told where it is, so that relative links work") {
        Site const site;
        auto const response = site.get("/a%20b?x");
        CHECK(response.status == 308);
        CHECK(response.headers.value("Location") == "/a%20b/");
        CHECK(site.get("/bare/").status == 404);
    }

    TEST_CASE("nothing outside the folder, hidden, linked or special is ever served") {
        Site const site;
        for (std::string const target : {"/../secret.txt",
                                         "/%2e%2e/secret.txt",
                                         "/%2e%2e%2fsecret.txt",
                                         "/..%2fsecret.txt",
                                         "/a%20b/../../secret.txt",
                                         "/a%20b/%2E%2E/%2E%2E/secret.txt",
                                         "/./index.html",
                                         "//secret.txt",
                                         "/%2fetc/passwd",
                                         "//etc/passwd",
                                         "/.hidden",
                                         "/%2ehidden",
                                         "/.git/config",
                                         "/link.txt",
                                         "/up/secret.txt",
                                         "/up/site/index.html",
                                         "/inside.css",
                                         "/pipe",
                                         "/index.html/",
                                         "/index.html/x",
                                         "/style.css%2f",
                                         "/a%20b//caf%C3%A9.TXT",
                                         "/..%5csecret.txt",
                                         "/absent"}) {
            CAPTURE(target);
            auto const response = site.get(target);
            CHECK(response.status == 404);
            CHECK(text_of(response).find("secret") == std::string::npos);
            CHECK(text_of(response).find("root:") == std::string::npos);
        }
        CHECK(site.get("/index.html%00.txt").status == 400);
        CHECK(site.get("/" + std::string(5000, 'a')).status == 404);
    }

    TEST_CASE("only GET and HEAD are answered") {
        Site const site;
        auto const response = site.send("POST", "/");
        CHECK(response.status == 405);
        CHECK(response.headers.value("Allow") == "GET, HEAD");
    }

    TEST_CASE("a client that has the file is told so until the file changes") {
        Site const site;
        auto const first = site.get("/style.css");
        auto const tag = std::string(first.headers.value("ETag"));
        auto const date = std::string(first.headers.value("Last-Modified"));
        for (std::string const& known : {tag, "W/" + tag, "\"other\", " + tag, std::string("*")}) {
            CAPTURE(known);
            auto const response = site.get("/style.css", {{"If-None-Match", known}});
            CHECK(response.status == 304);
            CHECK(response.body_bytes() == 0);
            CHECK(response.headers.value("ETag") == tag);
        }
        CHECK(site.get("/style.css", {{"If-Modified-Since", date}}).status == 304);
        CHECK(site.get("/style.css", {{"If-None-Match", "\"other\""}}).status == 200);
        CHECK(site.get("/style.css", {{"If-None-Match", "\"other\""}, {"If-Modified-Since", date}}).status == 200);
        CHECK(site.get("/style.css", {{"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}}).status == 200);

        write(site.scratch.path() / "site/style.css", "longer");
        CHECK(text_of(site.get("/style.css", {{"If-None-Match", tag}})) == "longer");
    }

    TEST_CASE("one range is sent alone, one outside the file is 416, and what is not one range is the whole file") {
        Site const site;
        std::string const file = "/a%20b/caf%C3%A9.TXT";
        struct Row {
            std::string range, text, content_range;
        };
        for (auto const& row : std::vector<Row>{{"bytes=0-0", "0", "bytes 0-0/10"},
                                                {"bytes=2-4", "234", "bytes 2-4/10"},
                                                {"bytes=7-", "789", "bytes 7-9/10"},
                                                {"bytes=7-99", "789", "bytes 7-9/10"},
                                                {"bytes=-3", "789", "bytes 7-9/10"},
                                                {"bytes=-99", "0123456789", "bytes 0-9/10"}}) {
            CAPTURE(row.range);
            auto const response = site.get(file, {{"Range", row.range}});
            CHECK(response.status == 206);
            CHECK(text_of(response) == row.text);
            CHECK(response.headers.value("Content-Range") == row.content_range);
        }
        for (std::string const range : {"bytes=10-", "bytes=10-12", "bytes=-0", "bytes=18446744073709551615-"}) {
            CAPTURE(range);
            auto const response = site.get(file, {{"Range", range}});
            CHECK(response.status == 416);
            CHECK(response.headers.value("Content-Range") == "bytes */10");
        }
        for (std::string const range : {"bytes=0-1,3-4", "bytes=4-2", "bytes=", "bytes=-", "bytes=x-", "bytes=1-x",
                                        "lines=0-1", "bytes=1", "bytes=99999999999999999999-"}) {
            CAPTURE(range);
            auto const response = site.get(file, {{"Range", range}});
            CHECK(response.status == 200);
            CHECK(text_of(response) == "0123456789");
        }
        CHECK(site.get("/plain", {{"Range", "bytes=0-"}}).status == 416);
        CHECK(site.send("HEAD", file, {{"Range", "bytes=0-1"}}).status == 200);
        CHECK(site.get(file, {{"Range", "bytes=0-1"}, {"If-Range", "\"other\""}}).status == 200);
        auto const tag = std::string(site.get(file).headers.value("ETag"));
        CHECK(site.get(file, {{"Range", "bytes=0-1"}, {"If-Range", tag}}).status == 206);
    }

    TEST_CASE("a folder that is not there is an error that names it") {
        auto const missing = Static_Files::open("/nowhere/site");
        CHECK(missing.error().code == Errc::not_found);
        CHECK(missing.error().context.find("/nowhere/site") != std::string::npos);
    }
}

TEST_SUITE("http/admin_key") {
    auto with(std::string name, std::string value)->Request {
        return Request{"GET", "/", {{std::move(name), std::move(value)}}, {}, {}};
    }

    TEST_CASE("the key opens in either header, and nothing else does") {
        auto const key = Admin_Key::from_text("s3cret").value();
        CHECK(key.admits(with("x-api-key", "s3cret")));
        CHECK(key.admits(with("Authorization", "Bearer s3cret")));
        CHECK(key.admits(with("authorization", "bearer s3cret")));
        CHECK(!key.admits(Request{}));
        for (std::string const wrong : {"", "s3cre", "s3cret ", "s3cretx", "S3cret", "x3cret"}) {
            CAPTURE(wrong);
            CHECK(!key.admits(with("X-API-Key", wrong)));
            CHECK(!key.admits(with("Authorization", "Bearer " + wrong)));
        }
        for (std::string const wrong : {"s3cret", "Basic s3cret", "Bearer", "Bearer  s3cret", "Bearers3cret"}) {
            CAPTURE(wrong);
            CHECK(!key.admits(with("Authorization", wrong)));
        }
    }

    TEST_CASE("a key that no header can carry is refused") {
        for (std::string const bad : {"", " ", "a b", "a\n", "caf\xc3\xa9"})
            CHECK(Admin_Key::from_text(bad).has_error());
    }

    TEST_CASE("the first start makes a key file that only its owner reads, and the next starts keep it") {
        testing::Scratch_Folder const scratch;
        auto const path = (scratch.path() / "admin.key").string();
        REQUIRE(Admin_Key::from_file(path));
        CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        CHECK(text.str().size() == 65);
        CHECK(Admin_Key::from_file(path).value().admits(with("X-API-Key", text.str().substr(0, 64))));
        CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 1);
    }

    TEST_CASE("processes that start together get one key") {
        testing::Scratch_Folder const scratch;
        auto const path = (scratch.path() / "admin.key").string();
        std::vector<Result<Admin_Key>> keys(8, fail(Errc::internal, ""));
        std::vector<std::thread> threads;
        for (auto& key : keys)
            threads.emplace_back([&key, &path] { key = Admin_Key::from_file(path); });
        for (auto& thread : threads)
            thread.join();
        std::string text;
        std::ifstream(path) >> text;
        for (auto const& key : keys) {
            REQUIRE(key);
            CHECK(key->admits(with("X-API-Key", text)));
        }
    }

    TEST_CASE("a key file that others can read, or that holds no key, is refused with what to do") {
        testing::Scratch_Folder const scratch;
        write(scratch.path() / "admin.key", "key\n");
        auto const path = (scratch.path() / "admin.key").string();
        fs::permissions(path, fs::perms::owner_read | fs::perms::group_read);
        auto const open_to_group = Admin_Key::from_file(path);
        CHECK(open_to_group.error().code == Errc::permission_denied);
        CHECK(open_to_group.error().context.find("chmod 600 " + path) != std::string::npos);

        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
        CHECK(Admin_Key::from_file(path).value().admits(with("X-API-Key", "key")));
        write(scratch.path() / "admin.key", "");
        CHECK(Admin_Key::from_file(path).error().code == Errc::invalid_argument);
        CHECK(Admin_Key::from_file((scratch.path() / "no/such/folder").string()).error().code == Errc::not_found);
    }
}
