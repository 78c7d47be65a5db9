// SPDX-License-Identifier: Apache-2.0
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace memfs_cache;

namespace {

auto full_record() -> Analytics_Record {
    Analytics_Record record;
    record.event_id = "0123456789abcdef";
    record.event_type = "file_download";
    record.timestamp = from_millis(1'771'000'000'123);
    record.source = "application";
    record.path = "/docs/a \"b\"";
    record.method = "GET";
    record.status_code = 206;
    record.duration_us = 12'340;
    record.ip_hash = "3f9a1c0b5d7e8f42";
    record.user_agent_normalised = "Googlebot";
    record.bot = true;
    record.country = "DE";
    record.referrer_domain = "news.example";
    record.content_bytes = 4'096;
    record.transfer_id = "t-1";
    record.token_id = "k-1";
    record.extra = R"({"plan":"gold"})";
    return record;
}

auto text_of(Analytics_Record const& record) -> std::string {
    std::string out;
    record.append_json(out);
    return out;
}

auto duration_text(std::int64_t duration_us) -> std::string {
    Analytics_Record record;
    record.duration_us = duration_us;
    return text_of(record);
}

auto read(std::string_view json, std::optional<Utc_Time> name_time = {}) -> Result<void> {
    return Analytics_Record().read({json, name_time});
}

} // namespace

TEST_SUITE("namespaces/analytics/record") {
    TEST_CASE(
        "the event of docs/format.md is what is written, byte by byte, with the names of the schema in its order") {
        auto documented = testing::documented("analytics event"); // its line breaks are there for the reader's eye
        std::erase(documented, '\n');
        CHECK(text_of(full_record()) == documented);
        Analytics_Record least;
        CHECK(text_of(least) == R"({"timestamp":0})");
    }

    TEST_CASE("what is appended stands behind what was there") {
        std::string out = "before";
        Analytics_Record().append_json(out);
        CHECK(out == R"(before{"timestamp":0})");
    }

    TEST_CASE("durations are milliseconds with as many digits as they have") {
        CHECK(duration_text(0).find(R"("duration_ms":0})") != std::string::npos);
        CHECK(duration_text(1).find(R"("duration_ms":0.001})") != std::string::npos);
        CHECK(duration_text(12'000).find(R"("duration_ms":12})") != std::string::npos);
        CHECK(duration_text(12'300).find(R"("duration_ms":12.3})") != std::string::npos);
        CHECK(duration_text(12'030).find(R"("duration_ms":12.03})") != std::string::npos);
        CHECK(duration_text(most_duration_us).find(R"("duration_ms":86400000})") != std::string::npos);
    }

    TEST_CASE("every event comes back as it was, whatever its texts hold") {
        std::uint32_t const seed = 10;
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const text = [&](std::size_t most) {
            std::string made;
            for (auto size = random() % (most + 1); size > 0; --size)
                made += random() % 8 == 0 ? std::string("\xc3\xa4") : std::string(1, static_cast<char>(random() % 128));
            return made;
        };
        Analytics_Record back;
        for (int i = 0; i < 3'000; ++i) {
            auto const id = text(20), type = text(20), source = text(20), path = text(i % 10 == 0 ? 2'000 : 60),
                       method = text(5), hash = text(20), agent = text(20), domain = text(30), transfer = text(600),
                       token = text(5);
            Analytics_Record record;
            record.event_id = id;
            record.event_type = type;
            record.timestamp = from_millis(static_cast<std::int64_t>(random() % 10'000'000'000'000));
            record.source = source;
            record.path = path;
            record.method = method;
            record.status_code = static_cast<int>(random() % 1'000);
            if (random() % 2 == 0)
                record.duration_us = static_cast<std::int64_t>(random() % (most_duration_us + 1));
            record.ip_hash = hash;
            record.user_agent_normalised = agent;
            record.bot = random() % 2 == 0;
            record.country = "DE";
            record.referrer_domain = domain;
            record.content_bytes = random() >> 11;
            record.transfer_id = transfer;
            record.token_id = token;
            if (random() % 2 == 0)
                record.extra = R"({"a":{"b":["}"]}})";
            auto const json = text_of(record);
            boost::system::error_code error;
            boost::json::parse(json, error);
            CHECK_FALSE(error);
            REQUIRE(back.read({json, std::nullopt}));
            CHECK(back.path == path);
            CHECK(back.transfer_id == transfer);
            CHECK(back.visitor() == record.visitor());
            CHECK(text_of(back) == json);
        }
    }

    TEST_CASE("members of other versions are passed over, and missing ones are unknown") {
        Analytics_Record record;
        REQUIRE(
            record.read({R"( {"new":{"path":"/no"},"path":"/yes","flag":true,"timestamp":5,"list":[1,"}"]} )", {}}));
        CHECK(record.path == "/yes");
        CHECK(to_millis(record.timestamp) == 5);
        CHECK(record.event_id.empty());
        CHECK(record.status_code == 0);
        CHECK_FALSE(record.duration_us);
        CHECK_FALSE(record.bot);
        CHECK(record.visitor() == 0);
    }

    TEST_CASE("nothing of one event is left in the next") {
        Analytics_Record record;
        REQUIRE(record.read({text_of(full_record()), std::nullopt}));
        REQUIRE(record.read({R"({"timestamp":7})", std::nullopt}));
        CHECK(text_of(record) == R"({"timestamp":7})");
    }

    TEST_CASE("values of the wrong type count as unknown") {
        Analytics_Record record;
        REQUIRE(record.read({R"({"timestamp":1,"path":7,"status_code":"200","duration_ms":"1","content_bytes":-4,)"
                             R"("bot":"true","extra":[1],"method":null})",
                             {}}));
        CHECK(text_of(record) == R"({"timestamp":1})");
        REQUIRE(record.read({R"({"timestamp":1,"duration_ms":1.2345678e1,"status_code":99999})", {}}));
        CHECK(record.duration_us == 12'346);
        CHECK(record.status_code == 0);
        for (auto const& [text, us] :
             std::initializer_list<std::pair<std::string, std::int64_t>>{{"0", 0},
                                                                         {"0.001", 1},
                                                                         {"12.3", 12'300},
                                                                         {"12.03", 12'030},
                                                                         {"999999999", most_duration_us},
                                                                         {"9999999999", most_duration_us},
                                                                         {"1.2345", 1'235},
                                                                         {"1.5e1", 15'000},
                                                                         {"0.0004", 0}}) {
            CAPTURE(text);
            REQUIRE(record.read({R"({"timestamp":1,"duration_ms":)" + text + "}", {}}));
            CHECK(record.duration_us == us);
        }
        for (std::string const text : {"1..2", "1.2-", "1-2", "1.2.3"}) {
            CAPTURE(text);
            REQUIRE(record.read({R"({"timestamp":1,"duration_ms":)" + text + "}", {}}));
            CHECK_FALSE(record.duration_us);
        }
        REQUIRE(record.read({R"({"timestamp":1,"duration_ms":-1})", {}}));
        CHECK_FALSE(record.duration_us);
    }

    TEST_CASE("what is no event is refused") {
        for (std::string_view const json :
             {"", "[]", "{", R"({"timestamp":1)", R"({"timestamp":1}x)", R"({"path":"\q","timestamp":1})",
              R"({"path":"/x"})", R"({"timestamp":"1"})", R"({"timestamp":1.5})", R"({"timestamp":-1})",
              R"({"timestamp":99999999999999})"}) {
            CAPTURE(json);
            CHECK(read(json).error().code == Errc::corrupt_data);
        }
        CHECK(read(R"({"path":"/x"})", from_millis(9))); // of a file with the time in its name
    }

    TEST_CASE("a visitor's number is the number of our hashes, and a hash of all others") {
        Analytics_Record record;
        record.ip_hash = "00000000000000ff";
        CHECK(record.visitor() == 255);
        record.ip_hash = "0000000000000000";
        CHECK(record.visitor() == 1); // 0 is nobody
        record.ip_hash = "00000000000000FF";
        auto const other = record.visitor();
        CHECK(other > 255);
        record.ip_hash = "00000000000000FE";
        CHECK(record.visitor() != other);
    }
}
