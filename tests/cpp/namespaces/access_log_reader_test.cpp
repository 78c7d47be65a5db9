// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/access_log.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace memfs_cache;
using Verdict = Access_Log_Verdict;
using Format = Access_Log_Format;

namespace {

constexpr std::string_view iis_columns = "date time cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) "
                                         "cs(Referer) sc-status sc-bytes time-taken";

/// Reads all lines with one reader and expects each but the last to be accepted or a directive.
struct Log {
    Access_Log_Reader reader;
    std::vector<std::string> lines; ///< views point into them
    Request_View request = {};

    explicit Log(std::vector<std::string> all, Format format = Format::detect)
        : reader(format), lines(std::move(all)) {}

    auto read() -> Verdict {
        auto verdict = Verdict::directive;
        for (auto const& line : lines) {
            CHECK((verdict == Verdict::accepted || verdict == Verdict::directive));
            verdict = reader.read(line, request);
        }
        return verdict;
    }
};

auto verdict_of(std::vector<std::string> lines, Format format = Format::detect) -> Verdict {
    return Log(std::move(lines), format).read();
}

/// A line of CloudFront's real-time log with one of its 27 columns replaced.
auto cloudfront_line(std::size_t replaced = 27, std::string const& by = {}) -> std::string {
    std::vector<std::string> columns{"1770991503.123",
                                     "200",
                                     "10918",
                                     "GET",
                                     "/articles/one.html",
                                     "utm_source=mail",
                                     "https",
                                     "HTTP/2.0",
                                     "text/html;%20charset=utf-8",
                                     "10400",
                                     "Mozilla/5.0%20(X11;%20Linux%20x86_64;%20rv:121.0)%20Firefox/121.0",
                                     "https://search.example/",
                                     "FRA56-P3",
                                     "Hit",
                                     "Hit",
                                     "kBkbUTG1-example",
                                     "0.082",
                                     "0.080",
                                     "-",
                                     "-",
                                     "TLSv1.3",
                                     "TLS_AES_128_GCM_SHA256",
                                     "*/*",
                                     "gzip",
                                     "www.example.org",
                                     "-",
                                     "-"};
    if (replaced < columns.size())
        columns[replaced] = by;
    std::string line;
    for (auto const& column : columns)
        line += (line.empty() ? "" : "\t") + column;
    return line;
}

constexpr std::int64_t second_ms = 1'770'991'503'000; // 2026-02-13T14:05:03Z

} // namespace

TEST_SUITE("namespaces/access log formats") {
    TEST_CASE("an object of Caddy is read: client, request, headers, answer and time") {
        auto const line =
            R"({"level":"info","ts":1770991503.123456,"logger":"http.log.access","msg":"handled request","request":{)"
            R"("remote_ip":"198.18.0.9","remote_port":"41342","client_ip":"198.18.0.7","proto":"HTTP/2.0","method":"GET",)"
            R"("host":"www.example.org","uri":"/a\u0062c?x=1","headers":{"Accept":["*/*","text/html"],)"
            R"("User-Agent":["curl/7.88.1","no"],"Referer":["https://search.example/"]},"tls":{"resumed":false,"version":772}},)"
            R"("bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":404,)"
            R"("resp_headers":{"Server":["Caddy"],"Content-Type":["text/html; charset=utf-8"]}})";
        Log log({line});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(to_millis(request.timestamp.value()) == second_ms + 123);
        CHECK(request.remote == "198.18.0.7");
        CHECK(request.method == "GET");
        CHECK(request.target == "/abc?x=1");
        CHECK(request.user_agent == "curl/7.88.1");
        CHECK(request.referrer == "https://search.example/");
        CHECK(request.content_type == "text/html; charset=utf-8");
        CHECK(request.status == 404);
        CHECK(request.content_bytes == 10'900);
        CHECK(request.duration_us == 930);
        CHECK(request.source == "access_log");
    }

    TEST_CASE("an object with the names of nginx's variables is read, numbers as texts too, in any order") {
        auto const line =
            R"({"status":"206","bytes_sent":"700","body_bytes_sent":"512","bytes_sent":"700",)"
            R"("http_user_agent":"Mozilla/5.0 \"quoted\"","http_referer":"-","request_time":"0.250",)"
            R"("remote_addr":"2001:db8::1","request":"GET /film.mp4 HTTP/1.1",)"
            R"("time_iso8601":"2026-02-13T15:05:03+01:00","http_x_forwarded_for":"","upstream":{"a":[1,{}]}})";
        Log log({line});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(to_millis(request.timestamp.value()) == second_ms);
        CHECK(request.target == "/film.mp4");
        CHECK(request.user_agent == "Mozilla/5.0 \"quoted\"");
        CHECK(request.referrer.empty());
        CHECK(request.content_bytes == 512);
        CHECK(request.duration_us == 250'000);
        CHECK(request.status == 206);
        CHECK(request.remote == "2001:db8::1");
    }

    TEST_CASE("the instant of an object is read in each spelling that servers write") {
        for (std::string const time :
             {R"("msec":"1770991503.123")", R"("ts":1770991503123)", R"("time":"2026-02-13T14:05:03.123Z")",
              R"("time":"2026-02-13T14:05:03.123456789Z")", R"("time":"2026-02-13 14:05:03.123")",
              R"("time":"2026-02-13T06:35:03.123-07:30")", R"("time":"2026-02-13T16:05:03.123+0200")"}) {
            CAPTURE(time);
            auto const line = "{" + time + R"(,"request":"GET / HTTP/1.1","status":200})";
            Log log({line});
            REQUIRE(log.read() == Verdict::accepted);
            auto const& request = log.request;
            CHECK(to_millis(request.timestamp.value()) == second_ms + 123);
        }
        Log log({R"({"time_local":"13/Feb/2026:15:05:03 +0100","request":"GET / HTTP/1.1","status":200})"});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(to_millis(request.timestamp.value()) == second_ms);
        Log seconds({R"({"ts":1770991503,"request":"GET / HTTP/1.1","status":200,"request_time":"2"})"});
        REQUIRE(seconds.read() == Verdict::accepted);
        CHECK(seconds.request.duration_us == 2'000'000);
        for (std::string const time :
             {"2026-02-30T14:05:03Z", "2026-02-13T24:05:03Z", "2026-02-13T14:05:03+25:00", "2026-02-13T14:05:03 ",
              "2026-02-13", "14:05:03", "1e9", "-5", "1960-01-01T00:00:00Z", "2026-02-13T14:05", "nan"}) {
            CAPTURE(time);
            CHECK(verdict_of({R"({"time":")" + time + R"(","request":"GET / HTTP/1.1","status":200})"}) ==
                  Verdict::bad_time);
        }
    }

    TEST_CASE("objects that are damaged or tell no request are refused with what is missing") {
        CHECK(verdict_of({R"({"ts":1770991503,"request":"GET / HTTP/1.1","status":200)"}) == Verdict::bad_json);
        CHECK(verdict_of({R"({"ts":1770991503,"request":"GET / HTTP/1.1","status":200}x)"}) == Verdict::bad_json);
        CHECK(verdict_of({R"({"ts":1770991503,"uri":"\ud8","method":"GET","status":200})"}) == Verdict::bad_json);
        CHECK(verdict_of({R"({"ts":1770991503,"request":{"method":"GET","uri":"/"],"status":200})"}) ==
              Verdict::bad_json);
        CHECK(verdict_of({R"({"ts":1770991503,"request":"GET / HTTP/1.1"})"}) == Verdict::bad_status);
        CHECK(verdict_of({R"({"ts":1770991503,"status":999,"request":"GET / HTTP/1.1"})"}) == Verdict::bad_status);
        CHECK(verdict_of({R"({"ts":1770991503,"status":200,"method":"GET"})"}) == Verdict::bad_request);
        CHECK(verdict_of({R"({"ts":1770991503,"status":200,"method":"G T","uri":"/"})"}) == Verdict::bad_request);
        CHECK(verdict_of({R"({"ts":1770991503,"status":200,"method":"GET","uri":"/","size":-1})"}) ==
              Verdict::bad_size);
        CHECK(verdict_of({R"({"status":200,"method":"GET","uri":"/"})"}) == Verdict::bad_time);
    }

    TEST_CASE("columns that #Fields: names are read, blanks between them, milliseconds, + for blanks") {
        Log log({"#Software: a server", "#Fields: " + std::string(iis_columns),
                 "2026-02-13 14:05:03 GET /a.html q=1 198.18.0.7 Mozilla/5.0+(Windows)+a%2Bb "
                 "https://search.example/ 304 120 15"});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(to_millis(request.timestamp.value()) == second_ms);
        CHECK(request.remote == "198.18.0.7");
        CHECK(request.method == "GET");
        CHECK(request.target == "/a.html");
        CHECK(request.user_agent == "Mozilla/5.0 (Windows) a+b");
        CHECK(request.status == 304);
        CHECK(request.content_bytes == 120);
        CHECK(request.duration_us == 15'000);
    }

    TEST_CASE("columns may be named anew in the middle of a log, and in any order") {
        Log log({"#Fields: date time cs-method cs-uri-stem sc-status", "2026-02-13 14:05:03 GET / 200",
                 "#Date: 2026-02-13", "#Fields: sc-status x-odd cs-uri-stem cs-method time date",
                 "404 some /gone POST 14:05:03 2026-02-13"});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(request.status == 404);
        CHECK(request.target == "/gone");
        CHECK(request.method == "POST");
        CHECK(to_millis(request.timestamp.value()) == second_ms);
    }

    TEST_CASE("a standard log of CloudFront has tabs, encoded agents and seconds") {
        Log log({"#Version: 1.0",
                 "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status "
                 "cs(Referer) cs(User-Agent) cs-uri-query x-edge-result-type time-taken x-forwarded-for "
                 "sc-content-type",
                 "2026-02-13\t14:05:03\tLHR61\t2390\t198.18.0.7\tGET\td1.example\t/view/film.html\t000\t-\t"
                 "Mozilla/5.0%20(X11)\t-\tError\t0.250\t-\ttext/html"});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(request.user_agent == "Mozilla/5.0 (X11)");
        CHECK(request.referrer.empty());
        CHECK(request.status == 0); // the client was gone before an answer
        CHECK(request.duration_us == 250'000);
        CHECK(request.content_type == "text/html");
    }

    TEST_CASE("a real-time log of CloudFront has 27 columns in its own order") {
        Log log({cloudfront_line()});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(to_millis(request.timestamp.value()) == second_ms + 123);
        CHECK(request.status == 200);
        CHECK(request.content_bytes == 10'918);
        CHECK(request.target == "/articles/one.html");
        CHECK(request.user_agent == "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Firefox/121.0");
        CHECK(request.referrer == "https://search.example/");
        CHECK(request.duration_us == 82'000);
        CHECK(request.source == "cloudfront");
        CHECK(request.remote.empty());
    }

    TEST_CASE("a real-time log whose columns were reordered, left out or added is refused until they are named") {
        Request_View request;
        auto const short_line = cloudfront_line().substr(0, cloudfront_line().rfind('\t'));
        CHECK(verdict_of({short_line}, Format::cloudfront) == Verdict::bad_columns);
        CHECK(verdict_of({cloudfront_line() + "\tmore"}, Format::cloudfront) == Verdict::bad_columns);
        CHECK(verdict_of({cloudfront_line(0, "GET")}, Format::cloudfront) == Verdict::bad_time);
        CHECK(verdict_of({cloudfront_line(1, "10918")}, Format::cloudfront) == Verdict::bad_status);

        Access_Log_Reader named(Format::cloudfront,
                                Log_Columns::parse("c-ip,timestamp,cs-method,cs-uri-stem,sc-status").value());
        REQUIRE(named.read("198.18.0.7\t1770991503.5\tGET\t/\t200", request) == Verdict::accepted);
        CHECK(request.remote == "198.18.0.7");
        CHECK(named.read(cloudfront_line(), request) == Verdict::bad_time); // a status is no time
    }

    TEST_CASE("names of columns that do not tell when, what or how it ended are refused with what to name") {
        auto const reason = [](std::string_view names) { return Log_Columns::parse(names).error().message(); };
        CHECK(reason("date cs-method cs-uri-stem sc-status").find("timestamp") != std::string::npos);
        CHECK(reason("date time cs-method sc-status").find("cs-uri-stem") != std::string::npos);
        CHECK(reason("date time cs-method cs-uri-stem").find("sc-status") != std::string::npos);
        CHECK(reason("").find("timestamp") != std::string::npos);

        CHECK(verdict_of({"#Version: 1.0", "#Fields: date time"}) == Verdict::bad_directive);
        // What was named before does not hold for what comes behind a line that names nothing of use.
        Access_Log_Reader reader(Format::detect);
        Request_View request;
        CHECK(reader.read("#Fields: date time cs-method cs-uri-stem sc-status", request) == Verdict::directive);
        CHECK(reader.read("#Fields: x-one x-two x-three x-four x-five", request) == Verdict::bad_directive);
        CHECK(reader.read("2026-02-13 14:05:03 GET / 200", request) == Verdict::no_columns);
        CHECK(verdict_of({"#Version: 1.0", "2026-02-13 14:05:03 GET / 200"}) == Verdict::no_columns);
    }

    TEST_CASE("a line of a load balancer is read, its three times are added, and new columns may follow") {
        auto const line = [](std::string const& target_time, std::string const& status) {
            return "h2 2026-02-13T14:05:03.186641Z app/balancer/50dc6c495c0c9188 198.18.0.7:2817 10.0.1.5:80 0.001 " +
                   target_time + " 0.002 " + status +
                   " 200 34 366 \"GET https://www.example.org:443/a%20b?x=1 HTTP/2.0\" \"curl/7.88.1 \\\"q\\\"\" "
                   "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:example \"Root=1-58337281\" \"-\" \"-\" 1";
        };
        Log log({line("0.048", "200")});
        REQUIRE(log.read() == Verdict::accepted);
        auto const& request = log.request;
        CHECK(to_millis(request.timestamp.value()) == second_ms + 186);
        CHECK(request.remote == "198.18.0.7");
        CHECK(request.target == "https://www.example.org:443/a%20b?x=1");
        CHECK(request.duration_us == 51'000);
        CHECK(request.content_bytes == 366);
        CHECK(request.user_agent == "curl/7.88.1 \\\"q\\\"");
        Log unknown({line("-1", "-")});
        REQUIRE(unknown.read() == Verdict::accepted);
        CHECK_FALSE(unknown.request.duration_us);
        CHECK(unknown.request.status == 0);
        CHECK(verdict_of({line("0.048", "20")}) == Verdict::bad_status);
    }

    TEST_CASE("what a log says of its lines is known to who passes over them") {
        auto const told =
            "#Version: 1.0\n#Fields: date time cs-method cs-uri-stem sc-status\n2026-02-13 14:05:03 GET "
            "/ 200\n#Fields: sc-status cs-uri-stem cs-method time date\r\n404 /a GET 14:05:03 2026-02-13\n";
        Access_Log_Reader reader(Format::detect);
        reader.pass_over(told);
        Request_View request;
        REQUIRE(reader.read("410 /b GET 14:05:03 2026-02-13", request) == Verdict::accepted);
        CHECK(request.status == 410);

        Access_Log_Reader undecided(Format::detect);
        undecided.pass_over("\n\nnothing that is known\n");
        CHECK(undecided.format() == Format::detect);
        undecided.pass_over("neither\n{\"a\":1}\n");
        CHECK(undecided.format() == Format::json);
    }

    TEST_CASE("a line that was refused leaves the request as it was, in each format") {
        for (std::string const line : {"{\"a\":1}", "h2 2026-02-13T14:05:03Z app", "198.18.0.1 - -"}) {
            Request_View request;
            request.target = "before";
            CHECK(verdict_of({line}) != Verdict::accepted);
            CHECK(request.target == "before");
        }
        Request_View request;
        request.target = "before";
        CHECK(verdict_of({cloudfront_line(1, "2")}) == Verdict::bad_status);
        CHECK(request.target == "before");
    }

    TEST_CASE("the formats have the names that the command takes") {
        CHECK(parse_access_log_format("auto") == Format::detect);
        CHECK(parse_access_log_format("alb") == Format::alb);
        CHECK_FALSE(parse_access_log_format("ALB"));
        CHECK_FALSE(parse_access_log_format(""));
    }
}
