// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/project_files.hpp"
#include <memfs_cache/namespaces/analytics/access_log.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace memfs_cache;
using Verdict = Access_Log_Verdict;

namespace {

constexpr std::string_view chrome = "Mozilla/5.0 (X11; Linux x86_64) Chrome/1.0 Safari/1.0";

auto parse(std::string_view line, Request_View& request, Access_Log_Format format = Access_Log_Format::combined)
    -> Verdict {
    return parse_access_log_line(line, format, request);
}
auto verdict_of(std::string_view line, Access_Log_Format format = Access_Log_Format::combined) -> Verdict {
    Request_View request;
    return parse(line, request, format);
}

/// A line of the common format around the parts that a test is about.
auto with_time(std::string const& time) -> std::string {
    return "198.18.0.1 - - [" + time + "] \"GET / HTTP/1.1\" 200 5";
}
auto with_request(std::string const& request) -> std::string {
    return "198.18.0.1 - - [17/May/2015:10:05:03 +0000] \"" + request + "\" 200 5";
}
auto with_tail(std::string const& tail) -> std::string {
    return "198.18.0.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\"" + tail;
}

/// Milliseconds since 1970 of the line's time; -1 if it is refused for its time.
auto millis_of(std::string const& time) -> std::int64_t {
    Request_View request;
    auto const verdict = parse(with_time(time), request);
    if (verdict == Verdict::bad_time)
        return -1;
    REQUIRE(verdict == Verdict::accepted);
    return to_millis(request.timestamp.value());
}

auto lines_of(std::string const& name) -> std::vector<std::string> {
    std::istringstream file(testing::project_file("tests/data/" + name));
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        lines.push_back(line);
    return lines;
}

} // namespace

template <>
struct doctest::StringMaker<Verdict> {
    static auto convert(Verdict verdict) -> String { return std::string(describe(verdict)).c_str(); }
};

TEST_SUITE("namespaces/analytics/access_log") {
    TEST_CASE("every field of a combined line is read") {
        std::string const line = "198.18.0.1 ident ann [17/May/2015:10:05:03 +0000] \"GET /a?b=c HTTP/1.1\" 206 203023 "
                                 "\"http://news.example/x\" \"" +
                                 std::string(chrome) + "\"";
        Request_View request;
        REQUIRE(parse(line, request) == Verdict::accepted);
        CHECK(request.remote == "198.18.0.1");
        CHECK(to_millis(request.timestamp.value()) == 1'431'857'103'000);
        CHECK(request.method == "GET");
        CHECK(request.target == "/a?b=c");
        CHECK(request.status == 206);
        CHECK(request.content_bytes == 203'023);
        CHECK(request.referrer == "http://news.example/x");
        CHECK(request.user_agent == chrome);
        CHECK(request.source == "access_log");
        CHECK_FALSE(request.duration_us.has_value());
    }

    TEST_CASE("a common line is read in either format, a combined one only as such") {
        auto const common = with_tail(" 200 5");
        auto const combined = common + " \"-\" \"x\"";
        Request_View request;
        CHECK(parse(common, request, Access_Log_Format::common) == Verdict::accepted);
        CHECK(parse(common, request, Access_Log_Format::combined) == Verdict::accepted);
        CHECK(request.user_agent.empty());
        CHECK(parse(combined, request, Access_Log_Format::combined) == Verdict::accepted);
        CHECK(request.user_agent == "x");
        CHECK(parse(combined, request, Access_Log_Format::common) == Verdict::trailing_text);
    }

    TEST_CASE("line ends and blanks at the end are no text") {
        for (std::string const end : {"", "\n", "\r\n", "\r", " ", "  \r\n"}) {
            CHECK(verdict_of(with_tail(" 200 5") + end) == Verdict::accepted);
            CHECK(verdict_of(with_tail(" 200 5 \"-\" \"-\"") + end) == Verdict::accepted);
        }
    }

    TEST_CASE("hosts are addresses of both kinds and names") {
        for (std::string const host : {"198.18.0.1", "2001:db8::1", "::FFFF:198.18.0.1", "host.example", "-"}) {
            Request_View request;
            auto const line = host + with_time("17/May/2015:10:05:03 +0000").substr(10);
            REQUIRE(parse(line, request) == Verdict::accepted);
            CHECK(request.remote == host);
        }
    }

    TEST_CASE("a user name may hold blanks") {
        Request_View request;
        CHECK(parse("::1 - Ann Example [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5", request) ==
              Verdict::accepted);
        CHECK(request.target == "/");
    }

    TEST_CASE("time zones are applied") {
        auto const noon = millis_of("29/Feb/2024:12:00:00 +0000");
        CHECK(noon == 1'709'208'000'000);
        CHECK(millis_of("29/Feb/2024:17:30:00 +0530") == noon);
        CHECK(millis_of("29/Feb/2024:04:00:00 -0800") == noon);
        CHECK(millis_of("01/Mar/2024:01:45:00 +1345") == noon);
        CHECK(millis_of("29/Feb/2024:08:30:00 -0330") == noon);
        CHECK(millis_of("29/Feb/2024:12:00:00 -0000") == noon);
        CHECK(millis_of("01/Jan/1970:05:30:00 +0530") == 0);
    }

    TEST_CASE("every second of every day agrees with the calendar of the standard library") {
        using namespace std::chrono;
        constexpr char const* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        std::int64_t expected = 0;
        for (sys_days day = sys_days(1970y / January / 1); day < sys_days(2101y / January / 1); day += days(1)) {
            year_month_day const date(day);
            auto const second_of_day = (expected / 86'400'000 * 7919) % 86'400; // another one each day
            char text[32];
            std::snprintf(text, sizeof(text), "%02u/%s/%04d:%02d:%02d:%02d +0000", static_cast<unsigned>(date.day()),
                          months[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                          static_cast<int>(second_of_day / 3600), static_cast<int>(second_of_day / 60 % 60),
                          static_cast<int>(second_of_day % 60));
            CAPTURE(text);
            CHECK(millis_of(text) == expected + second_of_day * 1000);
            expected += 86'400'000;
        }
    }

    TEST_CASE("times that never were are refused") {
        for (std::string const time : {"",
                                       "yesterday",
                                       "30/Feb/2024:10:00:00 +0000",
                                       "29/Feb/2023:10:00:00 +0000",
                                       "29/Feb/2100:10:00:00 +0000",
                                       "31/Apr/2024:10:00:00 +0000",
                                       "00/May/2015:10:00:00 +0000",
                                       "32/May/2015:10:00:00 +0000",
                                       "1/May/2015:10:00:00 +0000",
                                       " 1/May/2015:10:00:00 +0000",
                                       "10/Fxb/2024:10:00:00 +0000",
                                       "10/feb/2024:10:00:00 +0000",
                                       "10/02/2024:10:00:00 +0000",
                                       "10/Feb/2024:24:00:00 +0000",
                                       "10/Feb/2024:10:60:00 +0000",
                                       "10/Feb/2024:10:00:60 +0000",
                                       "10/Feb/2024:10:00:00 +2400",
                                       "10/Feb/2024:10:00:00 +0060",
                                       "10/Feb/2024:10:00:00 0000",
                                       "10/Feb/2024:10:00:00 *0000",
                                       "10/Feb/2024:10:00:00 +000",
                                       "10/Feb/2024:10:00:00 +00000",
                                       "10/Feb/2024:10:00:00 GMT",
                                       "10/Feb/2024:10:00:00",
                                       "10-Feb-2024:10:00:00 +0000",
                                       "10/Feb/2024 10:00:00 +0000",
                                       "10/Feb-2024:10:00:00 +0000",
                                       "10/Feb/2024:10-00:00 +0000",
                                       "10/Feb/2024:10:00-00 +0000",
                                       "10/Feb/2024:10:00:00x+0000",
                                       "1x/Feb/2024:10:00:00 +0000",
                                       "10/Feb/20x4:10:00:00 +0000",
                                       "10/Feb/2024:-1:00:00 +0000",
                                       "31/Dec/1969:23:59:59 +0000",
                                       "01/Jan/1970:05:29:59 +0530",
                                       "31/Dec/9999:23:59:59 +0000"}) {
            CAPTURE(time);
            CHECK(millis_of(time) == -1);
        }
        CHECK(verdict_of("::1 - - [17/May/2015:10:05:03 +0000") == Verdict::bad_time);
    }

    TEST_CASE("requests come with and without protocol, with blanks and with escapes") {
        struct Case {
            std::string request, method, target;
        };
        for (auto const& each : std::vector<Case>{
                 {"GET / HTTP/1.1", "GET", "/"},
                 {"GET /", "GET", "/"},
                 {"GET / HTTP/2", "GET", "/"},
                 {"GET / HTTP/2.0", "GET", "/"},
                 {"M-SEARCH * HTTP/1.1", "M-SEARCH", "*"},
                 {"OPTIONS * HTTP/1.1", "OPTIONS", "*"},
                 {"CONNECT shop.example:443 HTTP/1.1", "CONNECT", "shop.example:443"},
                 {"GET /a b c HTTP/1.1", "GET", "/a b c"},
                 {"GET /a b c", "GET", "/a b c"},
                 {"GET /a HTTP/1.1 HTTP/1.1", "GET", "/a HTTP/1.1"},
                 {"GET /a HTTP/x", "GET", "/a HTTP/x"},
                 {R"(GET /a\"b?c\\ HTTP/1.1)", "GET", R"(/a\"b?c\\)"},
                 {"GET /\xff\x80 HTTP/1.1", "GET", "/\xff\x80"},
                 {"GET /[x] - [y] HTTP/1.1", "GET", "/[x] - [y]"},
                 {"-", "", ""}, // the connection timed out before a request came
                 {"", "", ""},
             }) {
            CAPTURE(each.request);
            auto const line = with_request(each.request);
            Request_View request;
            REQUIRE(parse(line, request) == Verdict::accepted);
            CHECK(request.method == each.method);
            CHECK(request.target == each.target);
        }
        for (std::string const bad : {"GET", "GET ", " / HTTP/1.1", "GET  / HTTP/1.1", "GET HTTP/1.1", "GET  HTTP/1.1",
                                      "G\"T / HTTP/1.1", "\\x16\\x03\\x01", "\\x16\\x03 \\x01", "/ HTTP/1.1"}) {
            CAPTURE(bad);
            CHECK(verdict_of(with_request(bad)) == Verdict::bad_request);
        }
        CHECK(verdict_of(with_request(std::string(33, 'G') + " / HTTP/1.1")) == Verdict::bad_request);
    }

    TEST_CASE("a quoted field ends at the first quote that is not escaped") {
        auto const line = with_tail(R"( 200 5 "a\"b" "c \\ \"d\\")");
        Request_View request;
        REQUIRE(parse(line, request) == Verdict::accepted);
        CHECK(request.referrer == R"(a\"b)");
        CHECK(request.user_agent == R"(c \\ \"d\\)");
        CHECK(verdict_of(with_tail(R"( 200 5 "a" "b\")")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5 "a\\" "b\\\")")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5 "a)")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5 "a")")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5 "a" b)")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5 "a""b")")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5 a b)")) == Verdict::bad_quotes);
        CHECK(verdict_of(with_tail(R"( 200 5  "a" "b")")) == Verdict::bad_quotes);
        CHECK(verdict_of("::1 - - [17/May/2015:10:05:03 +0000] GET / HTTP/1.1\" 200 5") == Verdict::bad_quotes);
        CHECK(verdict_of("::1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1 200 5") == Verdict::bad_quotes);
        CHECK(verdict_of("::1 - - [17/May/2015:10:05:03 +0000]\"GET / HTTP/1.1\" 200 5") == Verdict::bad_quotes);
        CHECK(verdict_of("::1 - - [17/May/2015:10:05:03 +0000]") == Verdict::bad_quotes);
    }

    TEST_CASE("status and size are numbers that can be kept") {
        Request_View request;
        REQUIRE(parse(with_tail(" 304 -"), request) == Verdict::accepted);
        CHECK(request.content_bytes == 0);
        REQUIRE(parse(with_tail(" 599 9007199254740991"), request) == Verdict::accepted);
        CHECK(request.content_bytes == 9'007'199'254'740'991U);
        for (std::string const bad :
             {"", " ", " -", " 99 5", " 099 5", " 600 5", " 2000 5", " 20x 5", "200 5", "  200 5", " -20 5"})
            CHECK(verdict_of(with_tail(bad)) == Verdict::bad_status);
        for (std::string const bad : {" 200", " 200 ", " 200  5", " 200 --", " 200 -5", " 200 5x", " 200 5\"-\" \"-\"",
                                      " 200 9007199254740992", " 200 99999999999999999999999"})
            CHECK(verdict_of(with_tail(bad)) == Verdict::bad_size);
    }

    TEST_CASE("damaged beginnings and odd endings are refused with their reason") {
        CHECK(verdict_of("") == Verdict::empty_line);
        CHECK(verdict_of("\r\n") == Verdict::empty_line);
        CHECK(verdict_of(" - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5") == Verdict::no_host);
        CHECK(verdict_of("::1") == Verdict::bad_identity);
        CHECK(verdict_of("#%&/()=?!~^") == Verdict::bad_identity);
        CHECK(verdict_of("::1 [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5") == Verdict::bad_identity);
        CHECK(verdict_of("::1 - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5") == Verdict::bad_identity);
        CHECK(verdict_of("::1 -  [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5") == Verdict::bad_identity);
        CHECK(verdict_of("::1  - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5") == Verdict::bad_identity);
        CHECK(verdict_of("::1 - - 17/May/2015:10:05:03 +0000 \"GET / HTTP/1.1\" 200 5") == Verdict::bad_identity);
        CHECK(verdict_of(with_tail(R"( 200 5 "-" "-" "198.18.0.2")")) == Verdict::trailing_text);
        CHECK(verdict_of(with_tail(R"( 200 5 "-" "-"x)")) == Verdict::trailing_text);
        CHECK(verdict_of(with_tail(" 200 5 1234"), Access_Log_Format::common) == Verdict::trailing_text);
    }

    TEST_CASE("a line has 64 KiB at most") {
        auto const start = with_tail(" 200 5 \"-\" \"");
        auto const line = start + std::string(max_access_log_line_bytes - start.size() - 1, 'x') + "\"";
        REQUIRE(line.size() == max_access_log_line_bytes);
        CHECK(verdict_of(line + "\n") == Verdict::accepted);
        CHECK(verdict_of(line + " ") == Verdict::too_long);
    }

    TEST_CASE("a refused line changes nothing") {
        Request_View request;
        request.method = "before";
        request.status = 7;
        CHECK(parse(with_tail(" 200 5 \"-\" \"x"), request) == Verdict::bad_quotes);
        CHECK(request.method == "before");
        CHECK(request.status == 7);
        CHECK_FALSE(request.timestamp.has_value());
    }

    TEST_CASE("each verdict is described by a sentence of its own") {
        std::set<std::string_view> seen;
        for (int i = 0; i <= static_cast<int>(Verdict::trailing_text); ++i)
            seen.insert(describe(static_cast<Verdict>(i)));
        CHECK(seen.size() == static_cast<std::size_t>(Verdict::trailing_text) + 1);
        CHECK(seen.count("unknown") == 0);
    }

    TEST_CASE("of a real log of 10,000 lines the one damaged line is refused and the others add up") {
        auto const lines = lines_of("apache_access_anonymised.log");
        REQUIRE(lines.size() == 10'000);
        std::vector<std::size_t> refused;
        std::uint64_t bytes = 0;
        int errors = 0;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            Request_View request;
            if (parse(lines[i], request) != Verdict::accepted) {
                refused.push_back(i + 1);
                CHECK(parse(lines[i], request) == Verdict::bad_quotes);
                continue;
            }
            bytes += request.content_bytes;
            errors += request.status >= 400;
        }
        CHECK(refused == std::vector<std::size_t>{8899});
        CHECK(bytes == 2'747'282'505U);
        CHECK(errors == 220);
    }

    TEST_CASE("a line damaged anywhere is refused or keeps sane fields") {
        auto const lines = lines_of("apache_access_anonymised.log");
        std::uint32_t const seed = 8899;
        CAPTURE(seed);
        std::mt19937 random(seed);
        int accepted = 0;
        int refused = 0;
        for (int i = 0; i < 50'000; ++i) {
            std::string line = lines[random() % lines.size()];
            for (auto damages = 1 + random() % 4; damages > 0; --damages) {
                auto const at = random() % line.size();
                switch (random() % 4) {
                case 0:
                    line[at] = static_cast<char>(random() % 256);
                    break;
                case 1:
                    line[at] = "\"\\[] -:/+\n\r"[random() % 11];
                    break;
                case 2:
                    line.erase(at, 1 + random() % 8);
                    break;
                default:
                    line.insert(at, 1, "\"\\[] -:/0x"[random() % 10]);
                    break;
                }
                if (line.empty())
                    line = "x";
            }
            Request_View request;
            auto const verdict = parse(line, request);
            if (verdict != Verdict::accepted) {
                ++refused;
                continue;
            }
            ++accepted;
            auto const inside = [&](std::string_view view) {
                return view.empty() ||
                       (view.data() >= line.data() && view.data() + view.size() <= line.data() + line.size());
            };
            bool const sane = inside(request.remote) && inside(request.method) && inside(request.target) &&
                              inside(request.referrer) && inside(request.user_agent) && !request.remote.empty() &&
                              request.remote.find(' ') == std::string_view::npos &&
                              request.method.find_first_of(" \"") == std::string_view::npos &&
                              request.method.empty() == request.target.empty() && request.status >= 100 &&
                              request.status <= 599 && request.content_bytes < (1ULL << 53) &&
                              request.timestamp.has_value() && to_millis(*request.timestamp) >= 0 &&
                              request.source == "access_log";
            if (!sane) {
                CAPTURE(line);
                FAIL_CHECK("accepted with fields that cannot be");
            }
        }
        CHECK(accepted > 5'000);
        CHECK(refused > 5'000);
    }
}
