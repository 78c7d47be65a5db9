// SPDX-License-Identifier: Apache-2.0
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace memfs_cache;
using namespace std::chrono_literals;

namespace {

/// A window as docs/format.md shows it, without the line breaks that are there for the reader's eye.
auto documented_window(std::string const& name) -> std::string {
    auto text = testing::documented(name);
    std::erase(text, '\n');
    return text;
}

} // namespace

TEST_SUITE("namespaces/saved windows") {
    TEST_CASE("the windows of docs/format.md are the bytes that are written") {
        Storage_Memory storage;
        auto const below = std::string("cache/analytics/data/");
        REQUIRE(
            write(storage, below + "salts/2026-02-13.json", R"({"v":1,"salt":"000102030405060708090a0b0c0d0e0f"})"));
        auto const two = Window::parse(Window_Type::half_hour, "2026-02-13T14:00").value().start();
        auto const clock = std::make_shared<Manual_Clock>(two);
        Analytics_Options options;
        options.log.new_writer_id = [] { return "0123456789abcdef"; };
        auto const analytics =
            Analytics<Storage_Memory>::open(storage, "cache", Namespace_Name("analytics"), clock, options).value();

        clock->set(two + 5min);
        CHECK(analytics->record_request({.method = "GET",
                                         .target = "/index.html",
                                         .status = 200,
                                         .content_bytes = 5120,
                                         .duration_us = 1200,
                                         .remote = "203.0.113.7",
                                         .user_agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/38.0",
                                         .referrer = "https://example.org/links?page=2",
                                         .country = "PT"}));
        clock->set(two + 6min);
        CHECK(analytics->record_request({.method = "GET",
                                         .target = "/missing?id=1",
                                         .status = 404,
                                         .duration_us = 300,
                                         .remote = "2001:db8::1",
                                         .user_agent = "curl/7.42"}));
        clock->set(two + 2h);
        CHECK(analytics->aggregation("hourly", "2026-02-13T14").value().total_requests == 2);

        auto const saved = [&](std::string const& path) { return read(storage, below + path).value().value(); };
        CHECK(saved("aggregations/30min/2026/02/13/14-00.json") == documented_window("half-hour"));
        CHECK(saved("aggregations/hourly/2026/02/13/14.json") == documented_window("hour"));
        CHECK(saved("latest/current-hourly.json") == documented_window("hour"));

        Analytics_Filter filter;
        for (auto const* const path : {"/*", "!/missing"})
            REQUIRE(filter.add("path", path));
        REQUIRE(filter.add("status", "2xx"));
        CHECK(analytics->aggregation("hourly", "2026-02-13T14", filter).value().total_requests == 1);
        auto name = testing::documented("saved question name");
        std::erase(name, '\n');
        CHECK(files_list(storage, below + "queries/").value() == std::vector<std::string>{name});
        CHECK(read(storage, name).value().value() == documented_window("saved question"));
    }
}
