// SPDX-License-Identifier: Apache-2.0
#include "house.hpp"
#include "support/printers.hpp"
#include <memfs_cache/http/url.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <cstdlib>
#include <random>

using namespace memfs_cache;
using memfs_cache::testing::House;

namespace {

/// Paths of all pages of a listing.
auto listed(House const& house, std::string const& query) -> std::vector<std::string> {
    std::vector<std::string> paths;
    std::string next;
    do {
        auto const page = house.json("/storage/files?" + query + "&start_after=" + percent_encode(next));
        for (auto const& file : page.at("files").as_array())
            paths.emplace_back(file.at("path").as_string());
        next = page.at("next").as_string();
        CHECK((next.empty() || next == paths.back()));
    } while (!next.empty());
    return paths;
}

} // namespace

TEST_SUITE("http/storage_routes") {
    TEST_CASE("what is listed can be opened, and is what is stored") {
        House house;
        CHECK(house.post("/tokens/create", R"({"token_name":"one","usage_limit":5})").status == 201);
        CHECK(house.cache.flush());
        CHECK(house.json("/namespaces").at("namespaces") == boost::json::parse(R"(["analytics","tokens"])"));
        auto const paths = listed(house, "prefix=cache/");
        std::string token_path;
        for (auto const& path : paths) {
            CAPTURE(path);
            auto const file = house.get("/storage/file?path=" + percent_encode(path));
            CHECK(file.status == 200);
            CHECK(std::get<Bytes>(file.body) == read(house.cache.storage(), path).value().value());
            CHECK(file.headers.value("X-Content-Type-Options") == "nosniff");
            if (path.ends_with("/token.json"))
                token_path = path;
        }
        auto const token = house.get("/storage/file?path=" + token_path);
        CHECK(house.json_of(token).at("token_name") == "one");
        CHECK(token.headers.value("Content-Type") == "application/json");
        CHECK(listed(house, "prefix=cache/tokens/data/direct/") == std::vector{token_path});
        auto const page = house.json("/storage/files?prefix=cache/tokens/data/direct/");
        CHECK(page.at("files").at(0).at("size_bytes").to_number<std::size_t>() == std::get<Bytes>(token.body).size());
    }

    TEST_CASE("neither salts nor what lies beside the files of a service can be listed or opened") {
        for (std::string const root : {"cache", ""}) {
            CAPTURE(root);
            Any_Storage storage{Storage_Memory()};
            House house(storage, root);
            CHECK(house.cache.flush());
            for (std::string const path :
                 {"memfs-cache.key", "transfers/0a/payload", "transfers/zz/payload", "a b/data/x", "zz/own.json",
                  "cache.key", "cached/data/x", "transfers/0a/meta.json"})
                CHECK(write(storage, path, "hidden bytes"));
            auto const salts = files_list(storage, (root.empty() ? "" : root + "/") + "analytics/data/salts/").value();
            REQUIRE(!salts.empty());

            for (std::string const limit : {"1", "1000"}) {
                auto const paths = listed(house, "limit=" + limit);
                CHECK(!paths.empty());
                for (auto const& path : paths) {
                    CAPTURE(path);
                    bool const is_own = path.starts_with((root.empty() ? "" : root + "/") + "analytics/data/") ||
                                        (root.empty() && path == "cached/data/x");
                    CHECK(is_own);
                    CHECK(path.find("salts") == std::string::npos);
                }
            }
            for (auto const& path : files_list(storage).value()) {
                CAPTURE(path);
                auto const shown = listed(house, "prefix=" + percent_encode(path));
                auto const file = house.get("/storage/file?path=" + percent_encode(path));
                CHECK(file.status == (shown.empty() ? 404 : 200));
                bool const is_secret =
                    path.find("salts/") != std::string::npos || path.ends_with(".key") || path.ends_with("payload");
                CHECK((!is_secret || shown.empty()));
            }
            // Whether something hidden is there is hidden as well.
            CHECK(std::get<Bytes>(house.get("/storage/file?path=transfers/0a/payload").body) ==
                  std::get<Bytes>(house.get("/storage/file?path=cache/tokens/data/none.json").body));
        }
    }

    TEST_CASE("pages of any size together are the whole listing, once each and in order") {
        auto const* const chosen = std::getenv("MEMFS_CACHE_TEST_SEED");
        auto const seed = chosen ? std::strtoull(chosen, nullptr, 10) : std::random_device()();
        CAPTURE(seed);
        std::mt19937_64 chance(seed);
        std::size_t all_wanted = 0;
        for (int round = 0; round < 40; ++round) {
            std::string const root = round % 2 == 0 ? "" : "cache";
            Any_Storage storage{Storage_Memory()};
            House house(storage, root);
            std::vector<std::string> const parts{"a", "b",     "data", "refs", "salts",
                                                 "z", "data0", "dat",  "b.c",  "payload"};
            for (int i = 0; i < 60; ++i) {
                std::string path = chance() % 4 == 0 ? "" : "cache/";
                for (auto depth = chance() % 4; depth > 0; --depth)
                    path += parts[chance() % parts.size()] + "/";
                CHECK(write(storage, path + parts[chance() % parts.size()] + ".json", "{}"));
            }
            CHECK(house.cache.flush());

            std::vector<std::string> wanted;
            Shown_Files const shown(root);
            for (auto const& path : files_list(storage).value())
                if (shown.contains(path))
                    wanted.push_back(path);
            all_wanted += wanted.size();
            auto const limit = std::to_string(1 + chance() % 7);
            CHECK(listed(house, "limit=" + limit) == wanted);
        }
        CHECK(all_wanted > 200);
    }

    TEST_CASE("what cannot be asked is 400 and names the parameter") {
        House const house;
        struct Row {
            std::string target, field;
        };
        for (auto const& row : {Row{"/storage/files?prefix=../secret", "prefix"},
                                {"/storage/files?prefix=/secret", "prefix"},
                                {"/storage/files?prefix=a//secret", "prefix"},
                                {"/storage/files?start_after=/secret", "start_after"},
                                {"/storage/files?limit=0", "limit"},
                                {"/storage/files?limit=1001", "limit"},
                                {"/storage/file", "path"},
                                {"/storage/file?path=", "path"},
                                {"/storage/file?path=cache/../secret", "path"},
                                {"/storage/file?path=/secret", "path"},
                                {"/storage/file?path=cache/%0Asecret", "path"}}) {
            CAPTURE(row.target);
            auto const response = house.get(row.target);
            CHECK(response.status == 400);
            CHECK(house.error_of(response, "field") == row.field);
            CHECK(std::get<Bytes>(response.body).find("secret") == std::string::npos);
        }
        CHECK(house.json("/storage/files?prefix=nothing/here").at("files").as_array().empty());
    }

    TEST_CASE("markup in stored files is never a page, and what is too large is not sent") {
        Any_Storage storage{Storage_Memory()};
        House const house(storage);
        CHECK(write(storage, "cache/pages/data/direct/x.html", "<script>alert(1)</script>"));
        CHECK(write(storage, "cache/pages/data/direct/x.jsonl", "{}\n"));
        CHECK(write(storage, "cache/pages/data/direct/large.json", std::string((16 << 20) + 1, ' ')));
        auto const page = house.get("/storage/file?path=cache/pages/data/direct/x.html");
        CHECK(page.headers.value("Content-Type") == "application/octet-stream");
        CHECK(page.headers.value("X-Content-Type-Options") == "nosniff");
        CHECK(house.get("/storage/file?path=cache/pages/data/direct/x.jsonl").headers.value("Content-Type") ==
              "application/x-ndjson");
        CHECK(house.get("/storage/file?path=cache/pages/data/direct/large.json").status == 413);
    }
}
