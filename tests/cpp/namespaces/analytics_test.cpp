// SPDX-License-Identifier: Apache-2.0
#include "events/counting_new.hpp"
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/storage/disk.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;
using Operation = Watched_Memory::Operation;
using Verdict = Watched_Memory::Verdict;

template class memfs_cache::Analytics<Watched_Memory>;

namespace {

constexpr std::string_view firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0";

auto plain_request() -> Request_View { return {.method = "GET", .target = "/", .status = 200}; }

auto number_of(Handler_Health const& health, char const* name) -> std::uint64_t {
    return health.details.at(name).to_number<std::uint64_t>();
}

} // namespace

TEST_SUITE("namespaces/analytics") {
    TEST_CASE("one recorded event is exactly one file of the event's own UTC hour, without a flush") {
        Site site("2026-02-13T14:10");
        Analytics_Event event;
        event.event_type = "page_view";
        event.timestamp = time_at("2026-02-12T23:59:59.999");
        event.path = "/";
        REQUIRE(site->record(event));
        auto const names = files_list(site.memory, "cache/analytics/data/raw/").value();
        REQUIRE(names.size() == 1);
        CHECK(names.front().starts_with("cache/analytics/data/raw/2026/02/12/23/"));
    }

    TEST_CASE("a stored event, byte by byte, with its checksum") {
        Analytics_Options options;
        options.visitor_key = Visitor_Key::none;
        options.log.new_writer_id = [] { return std::string("00112233445566aa"); };
        Site site("2026-02-13T14:10", options);
        Analytics_Event event;
        event.event_id = "e-1";
        event.event_type = "file_download";
        event.path = "/docs/x?y";
        event.method = "GET";
        event.status_code = 200;
        event.duration_ms = 1.5;
        event.user_agent = firefox;
        event.country = "gb";
        event.referrer = "https://www.news.example/a";
        event.content_bytes = 10;
        event.transfer_id = "t";
        event.token_id = "k";
        event.extra["plan"] = "gold";
        CHECK(site->record(event).value() == "e-1");
        auto const files = stored_files(site.memory, "cache/analytics/data/raw/");
        REQUIRE(files.size() == 1);
        CHECK(files.begin()->first ==
              "cache/analytics/data/raw/2026/02/13/14/1770991800000__00112233445566aa-0000000000.jsonl");
        std::string const open =
            R"({"event_id":"e-1","event_type":"file_download","timestamp":1770991800000,"source":"application",)"
            R"("path":"/docs/x","method":"GET","status_code":200,"duration_ms":1.5,)"
            R"("user_agent_normalised":"Firefox on Linux","country":"GB","referrer_domain":"news.example",)"
            R"("content_bytes":10,"transfer_id":"t","token_id":"k","extra":{"plan":"gold"})";
        auto const& text = files.begin()->second;
        auto const line = text.substr(text.find('\n') + 1);
        CHECK(line.substr(0, open.size()) == open);
        CHECK(line.substr(open.size(), 11) == R"(,"crc32c":")");
        CHECK(line.substr(open.size() + 19) == "\"}\n");
    }

    TEST_CASE("an event that was stored can be recorded again as it is") {
        Site site;
        auto const first = site.stored({.method = "GET",
                                        .target = "/x",
                                        .status = 404,
                                        .content_bytes = 5,
                                        .duration_us = 1'234,
                                        .remote = "198.18.0.1",
                                        .user_agent = "Googlebot/2.1",
                                        .referrer = "https://a.example/",
                                        .country = "DE",
                                        .transfer_id = "t",
                                        .token_id = "k"});
        Site other;
        CHECK(other.stored(Analytics_Event::from_json(boost::json::parse(first).as_object()).value()) == first);
    }

    TEST_CASE("countries can be switched off, whoever gives them") {
        Analytics_Options options;
        options.keep_country = false;
        Site site("2026-02-13T14:05", options);
        REQUIRE(site->record_request({.method = "GET", .target = "/", .status = 200, .country = "DE"}));
        Analytics_Event event;
        event.event_type = "page_view";
        event.country = "GB";
        REQUIRE(site->record(event));
        auto const summary = site->aggregation("30min", "2026-02-13T14:00").value();
        CHECK(summary.total_requests == 2);
        CHECK(summary.top_countries.empty());
    }

    TEST_CASE("a handler that throws is a 500 like any other") {
        Site site;
        auto const event = site.stored({.method = "GET", .target = "/boom", .status = 500});
        CHECK(member(event, "status_code") == "500");
        CHECK(site->aggregation("30min", "2026-02-13T14:00").value().error_count == 1);
    }

    TEST_CASE("windows answer what was recorded, open and final, and later events are in them") {
        Site site("2026-02-13T14:10");
        for (int i = 0; i < 7; ++i)
            REQUIRE(site->record_request({.method = "GET",
                                          .target = i < 5 ? "/many" : "/few",
                                          .status = i == 0 ? 404 : 200,
                                          .content_bytes = 100,
                                          .duration_us = 1'000 * (i + 1),
                                          .remote = i % 2 == 0 ? "198.18.0.1" : "198.18.0.2"}));
        auto open = site->aggregation("30min", "2026-02-13T14:00").value();
        CHECK_FALSE(open.final);
        CHECK(open.total_requests == 7);
        CHECK(open.unique_visitors == 2);
        CHECK(open.avg_duration_ms == 4.0);
        CHECK(site->latest("daily").value().total_requests == 7);

        site.clock().set(time_at("2026-02-14T00:10"));
        auto const day = site->aggregation("daily", "2026-02-13").value();
        CHECK(day.final);
        CHECK(day.total_requests == 7);
        CHECK(day.error_count == 1);
        CHECK(day.total_bytes == 700);
        CHECK(day.top_paths.front() == std::pair<std::string, std::uint64_t>("/many", 5));
        auto late = plain_request();
        late.timestamp = time_at("2026-02-13T14:20");
        REQUIRE(site->record_request(late));
        auto const again = site->aggregation("daily", "2026-02-13").value();
        CHECK(again.total_requests == 8);
        CHECK(again.late_events == 1);
        CHECK(site->rebuild("daily", "2026-02-13").value().total_requests == 8);
        CHECK_FALSE(site->aggregation("daily", "2026-02-12").value().recorded);
    }

    TEST_CASE("malformed, unknown and future windows are refused") {
        Site site;
        for (auto const& wrong :
             {std::pair("daily", "2026-02-30"), std::pair("daily", "2026-02"), std::pair("minutely", "2026-02-13"),
              std::pair("daily", "2026-02-14"), std::pair("hourly", "2026-02-13T14+01")}) {
            CAPTURE(wrong.second);
            CHECK(site->aggregation(wrong.first, wrong.second).error().code == Errc::invalid_argument);
            CHECK(site->rebuild(wrong.first, wrong.second).error().code == Errc::invalid_argument);
        }
        CHECK(site->latest("minutely").error().code == Errc::invalid_argument);
    }

    TEST_CASE("several windows at once are answered in the order of their keys, and closed by one write") {
        Site site("2026-02-13T23:00");
        for (int hour = 10; hour < 20; ++hour)
            for (int i = 10; i <= hour; ++i) {
                auto request = plain_request();
                request.timestamp = time_at("2026-02-13T" + std::to_string(hour) + ":05");
                REQUIRE(site->record_request(request));
            }
        int closings = 0;
        site.storage.hook = [&](Operation operation, std::string const& key) -> Verdict {
            closings += operation == Operation::put && key.ends_with("/ledger.json");
            return {};
        };
        std::vector<std::string> keys{"2026-02-13T24"};
        for (int hour = 10; hour < 20; ++hour)
            keys.push_back("2026-02-13T" + std::to_string(hour));
        keys.push_back("2026-02-14T00");
        auto const answers = site->aggregations("hourly", keys);
        REQUIRE(answers.size() == keys.size());
        CHECK(answers.front().error().code == Errc::invalid_argument);
        CHECK(answers.back().error().code == Errc::invalid_argument);
        for (std::size_t i = 1; i + 1 < keys.size(); ++i) {
            CHECK(answers[i].value().window_key == keys[i]);
            CHECK(answers[i].value().total_requests == i);
            CHECK(answers[i].value().final);
        }
        CHECK(closings == 1);
        CHECK(site->aggregations("minutely", {"x"}).front().error().code == Errc::invalid_argument);
        CHECK(site->aggregations("hourly", {}).empty());
    }

    TEST_CASE("no address, query, user agent or referrer of any entrance is in any stored byte or answer") {
        std::vector<std::string> const addresses{"198.18.77.1", "2001:db8:77::1", "::ffff:198.18.77.2",
                                                 "[2001:db8:77::2]:443"};
        std::vector<std::string> const secrets{"198.18.77.", "db8:77", "S3cret", "QuirkyAgent", "Mozilla"};
        Site site;
        for (auto const& address : addresses) {
            auto const around = "id " + address + ".";
            (void)site->record_request({.method = "GET",
                                        .target = "/" + address + "/x?q=S3cret",
                                        .status = 200,
                                        .remote = address,
                                        .forwarded_for = address,
                                        .user_agent = "Mozilla/5.0 QuirkyAgent/1",
                                        .referrer = "https://S3cret@" + address + "/?S3cret",
                                        .country = "DE",
                                        .route = "/r/" + address + "?S3cret#S3cret",
                                        .event_type = around,
                                        .source = address,
                                        .transfer_id = around,
                                        .token_id = address});
            for (auto const field :
                 {&Analytics_Event::event_id, &Analytics_Event::source, &Analytics_Event::path,
                  &Analytics_Event::method, &Analytics_Event::ip_hash, &Analytics_Event::user_agent_normalised,
                  &Analytics_Event::country, &Analytics_Event::referrer_domain, &Analytics_Event::transfer_id,
                  &Analytics_Event::token_id, &Analytics_Event::ip, &Analytics_Event::user_agent,
                  &Analytics_Event::referrer, &Analytics_Event::url}) {
                Analytics_Event event;
                event.event_type = "page_view";
                for (auto const& text : {address, around, "https://" + address + "/a?S3cret"}) {
                    event.*field = text;
                    REQUIRE(site->record(event));
                }
            }
            auto const quoted = boost::json::serialize(boost::json::value(address));
            auto const hostile =
                R"({"event_type":"page_view","IP":)" + quoted + R"(,"Client_IP":)" + quoted + R"(,"client":)" + quoted +
                R"(,"note":"at )" + address + R"( today","nested":{"a":[)" + quoted +
                R"(,{"User-Agent":"QuirkyAgent","QUERY":"S3cret","deep":)" + quoted +
                R"(}]},"userAgent":"QuirkyAgent","query":"S3cret","url":"/a?S3cret","path":"/b?S3cret",)"
                R"("referer":"https://x.example/?S3cret","extra":{"requestUri":"/?S3cret"},)" +
                quoted + R"(:1,"seen":"Mozilla/5.0 QuirkyAgent"})";
            REQUIRE(site->record(Analytics_Event::from_json(boost::json::parse(hostile).as_object()).value()));
        }
        auto answers = boost::json::serialize(site->pulse(60).value().to_json());
        answers += boost::json::serialize(site->aggregation("daily", "2026-02-13").value().to_json());
        answers += boost::json::serialize(site->health().details);
        site.clock().advance(24h);
        REQUIRE(site->aggregation("daily", "2026-02-13").value().final);
        auto places = stored_files(site.memory);
        CHECK(places.size() > 6);
        places["the answers"] = answers;
        for (auto const& place : places) {
            CAPTURE(place.first);
            for (auto const& secret : secrets) {
                CAPTURE(secret);
                CHECK(place.second.find(secret) == std::string::npos);
                CHECK(place.first.find(secret) == std::string::npos);
            }
        }
        // The visitors were counted all the same: four addresses, in whatever entrance they stood.
        CHECK(site->aggregation("daily", "2026-02-13").value().unique_visitors == 4);
    }

    TEST_CASE("requests that are recorded cost as many storage operations as there are flushes and half-hours") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        Analytics_Options options;
        options.log.flush_interval = 1h; // only the test flushes
        options.log.check_interval = 1h;
        Site_Process site(storage, time_at("2026-02-13T14:40"), options);
        constexpr std::uint64_t flushes = 5;
        constexpr std::uint64_t half_hours = 2;
        constexpr std::uint64_t requests = 10'000;
        for (std::uint64_t i = 0; i < requests; ++i) {
            auto request = plain_request();
            request.remote = "198.18.0.1";
            request.timestamp = time_at(i % half_hours == 0 ? "2026-02-13T14:20" : "2026-02-13T14:35");
            REQUIRE(site->record_request(request));
            if ((i + 1) % (requests / flushes) == 0)
                REQUIRE(site->flush());
        }
        REQUIRE(site->close());
        auto const counts = storage.counters();
        CHECK(counts.appends == flushes * half_hours);
        CHECK(counts.writes <= 8); // settings, salt, manifest and the like: not one more with more requests
        CHECK(counts.reads + counts.lists + counts.deletes <= 24);
        CHECK(files_list(storage, "cache/analytics/data/raw/").value().size() == half_hours);
        CHECK(stored_events(storage).size() == requests);
    }

    TEST_CASE("in the steady state recording a request allocates nothing") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        Analytics_Options options;
        options.log.flush_interval = 1h;
        options.log.land_bytes = 4U << 20; // what a thread in the background allocates is counted too
        Site_Process site(storage, time_at("2026-02-13T14:10"), options);
        std::string target = "/a-path-that-is-longer-than-small-strings/page-00?query";
        auto const record_some = [&] {
            for (int i = 0; i < 2'000; ++i) {
                target[target.size() - 7] = static_cast<char>('0' + i % 10);
                REQUIRE(site->record_request({.method = "GET",
                                              .target = target,
                                              .status = 200,
                                              .content_bytes = 1'234,
                                              .duration_us = 567,
                                              .remote = i % 2 == 0 ? "198.18.0.1" : "2001:db8::1",
                                              .user_agent = firefox,
                                              .referrer = "https://www.search.example/find?q=x",
                                              .content_type = "text/html"}));
            }
        };
        for (int warm = 0; warm < 3; ++warm) { // both buffers get their room
            record_some();
            REQUIRE(site->flush());
        }
        auto const before = allocations();
        record_some();
        CHECK(allocations() == before);
    }

    TEST_CASE("many events are recorded each with its own outcome") {
        Site site;
        std::vector<Analytics_Event> events(3);
        events[0].event_type = "page_view";
        events[0].event_id = "first";
        events[2].event_type = "api_call";
        auto const outcomes = site->record_many(events);
        REQUIRE(outcomes.size() == 3);
        CHECK(outcomes[0].value() == "first");
        CHECK(outcomes[1].error().code == Errc::invalid_argument);
        CHECK(outcomes[2].value().size() == 16);
        CHECK(stored_events(site.memory).size() == 2);
    }

    TEST_CASE("a storage that takes nothing turns health to degraded; requests, queries and pulses go on") {
        Site site;
        CHECK_FALSE(site->health().degraded);
        site.storage.hook = [](Operation operation, std::string const&) -> Verdict {
            bool const writes = operation == Operation::append || operation == Operation::put;
            return writes ? Verdict{Verdict::Kind::fail} : Verdict{};
        };
        for (int i = 0; i < 3; ++i)
            CHECK(site->record_request(plain_request()));
        auto const health = site->health();
        CHECK(health.degraded);
        CHECK(number_of(health, "recorded") == 3);
        CHECK(number_of(health, "landed") == 0);
        CHECK(number_of(health, "failed_flushes") > 0);
        CHECK(number_of(health, "waiting_bytes") > 0);
        CHECK(site->pulse().value().active_requests == 3);
        CHECK(site->aggregation("30min", "2026-02-13T14:00").value().total_requests == 3);

        site.storage.hook = nullptr;
        REQUIRE(site->flush());
        CHECK_FALSE(site->health().degraded);
        CHECK(number_of(site->health(), "landed") == 3);
        CHECK(site->pulse().value().active_requests == 3);
        CHECK(site->aggregation("30min", "2026-02-13T14:00").value().total_requests == 3);
    }

    TEST_CASE("with a full buffer the newest are dropped, counted, and the request is unaffected") {
        Analytics_Options options;
        options.log.buffer_bytes = 1'000;
        Site site("2026-02-13T14:10", options);
        site.storage.hook = [](Operation operation, std::string const&) -> Verdict {
            return operation == Operation::append || operation == Operation::put ? Verdict{Verdict::Kind::fail}
                                                                                 : Verdict{};
        };
        int recorded = 0;
        for (int i = 0; i < 100; ++i)
            recorded += static_cast<bool>(site->record_request(plain_request()));
        CHECK(recorded > 0);
        CHECK(recorded < 20);
        auto const health = site->health();
        CHECK(health.degraded);
        CHECK(number_of(health, "dropped") == static_cast<std::uint64_t>(100 - recorded));
        CHECK(number_of(health, "lost_requests") == static_cast<std::uint64_t>(100 - recorded));
        CHECK(site->record_view(plain_request()).error().code == Errc::throttled);
    }

    TEST_CASE("after closing requests are refused and counted") {
        Site site;
        REQUIRE(site->close());
        REQUIRE(site->close());
        CHECK_FALSE(site->record_request(plain_request()));
        CHECK(site->record_view(plain_request()).error().code == Errc::closed);
        CHECK(number_of(site->health(), "lost_requests") == 1);
    }

    TEST_CASE("threads record beside each other and beside questions, and nothing is lost") {
        Site site;
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 4; ++thread)
            threads.emplace_back([&, thread] {
                for (int i = 0; i < 500; ++i) {
                    auto request = plain_request();
                    auto const remote = "198.18." + std::to_string(thread) + "." + std::to_string(i % 50);
                    request.remote = remote;
                    if (!site->record_request(request) || (i % 100 == 0 && !site->pulse()))
                        return;
                }
            });
        for (auto& thread : threads)
            thread.join();
        CHECK(site->pulse().value().active_requests == 2'000);
        auto const window = site->aggregation("30min", "2026-02-13T14:00").value();
        CHECK(window.total_requests == 2'000);
        CHECK(window.unique_visitors == 200);
    }
}
