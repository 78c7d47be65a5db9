// SPDX-License-Identifier: Apache-2.0
// What tests/python/test_costs.py asks of the command with a service that checks signatures is asked here of the class:
// patience, broken connections, and answers that are none.
#include "net/scripted_peer.hpp"
#include "support/analytics_site.hpp"
#include "support/printers.hpp"
#include <memfs_cache/namespaces/costs/cost_explorer.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto settings_for(Scripted_Peer const& peer, std::vector<std::chrono::milliseconds>* pauses = nullptr)
    -> Cost_Explorer_Settings {
    Cost_Explorer_Settings settings;
    settings.endpoint_url = "http://127.0.0.1:" + std::to_string(peer.port());
    settings.credentials = Aws_Credentials{"KEYID", "the secret", ""};
    settings.wait = [pauses](std::chrono::milliseconds pause) {
        if (pauses != nullptr)
            pauses->push_back(pause);
    };
    return settings;
}

auto fetch(Cost_Explorer_Settings settings) -> Result<std::vector<Cost_File>> {
    return Cost_Explorer::create(std::move(settings)).value().fetch(time_at("2026-02-01"), time_at("2026-02-03"));
}

auto status_line(unsigned status, std::string const& body) -> std::string {
    return "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
}

} // namespace

TEST_SUITE("namespaces/costs explorer") {
    TEST_CASE("the question is that of GetCostAndUsage, signed for ce, and pages are asked for by their token") {
        std::vector<std::string> requests;
        Scripted_Peer const peer([&](Peer_Session& session) {
            while (auto const request = session.read_request()) {
                requests.push_back(*request);
                session.answer(requests.size() == 1 ? R"({"ResultsByTime":[],"NextPageToken":"t/1"})"
                                                    : R"({"ResultsByTime":[]})");
            }
        });
        auto const pages = fetch(settings_for(peer)).value();
        REQUIRE(pages.size() == 2);
        CHECK(pages[1].text == R"({"ResultsByTime":[]})");
        REQUIRE(requests.size() == 2);
        CHECK(requests[0].find("POST / HTTP/1.1\r\n") == 0);
        CHECK(requests[0].find("AWSInsightsIndexService.GetCostAndUsage") != std::string::npos);
        CHECK(requests[0].find("/us-east-1/ce/aws4_request") != std::string::npos);
        auto const body = requests[0].substr(requests[0].find("\r\n\r\n") + 4);
        CHECK(body == R"({"TimePeriod":{"Start":"2026-02-01","End":"2026-02-03"},"Granularity":"DAILY",)"
                      R"("Metrics":["UnblendedCost","UsageQuantity"],"GroupBy":[{"Type":"DIMENSION","Key":"SERVICE"}],)"
                      R"("Filter":{"Not":{"Dimensions":{"Key":"RECORD_TYPE","Values":["Credit","Refund"]}}}})");
        CHECK(requests[1].find(R"("NextPageToken":"t/1")") != std::string::npos);
    }

    TEST_CASE(
        "connections that break and services that stumble are asked again with pauses, a bounded number of times") {
        std::atomic<std::size_t> tries{0};
        Scripted_Peer const peer([&](Peer_Session& session) {
            while (session.read_request()) {
                switch (++tries) {
                case 1:
                    session.reset();
                    return;
                case 2:
                    session.say(status_line(500, ""));
                    break;
                case 3:
                    session.say(status_line(429, "{}"));
                    break;
                default:
                    session.answer(R"({"ResultsByTime":[]})");
                }
            }
        });
        std::vector<std::chrono::milliseconds> pauses;
        CHECK(fetch(settings_for(peer, &pauses)).value().size() == 1);
        CHECK(tries == 4);
        CHECK(pauses.size() == 3);

        std::atomic<int> asked{0};
        Scripted_Peer const always_busy([&](Peer_Session& session) {
            while (session.read_request()) {
                ++asked;
                session.say(status_line(400, R"({"__type":"ThrottlingException"})"));
            }
        });
        CHECK(fetch(settings_for(always_busy)).error().code == Errc::throttled);
        CHECK(asked == Cost_Explorer_Settings().most_tries);
    }

    TEST_CASE("patience ends, with a service that says nothing and with one that wants to be asked later") {
        Scripted_Peer const silent([](Peer_Session& session) {
            if (session.read_request())
                session.wait_for_end();
        });
        auto impatient = settings_for(silent);
        impatient.patience = 50ms;
        CHECK(fetch(impatient).error().code == Errc::timed_out);

        std::atomic<int> asked{0};
        Scripted_Peer const busy([&](Peer_Session& session) {
            while (session.read_request()) {
                ++asked;
                session.say(status_line(503, ""));
            }
        });
        auto settings = settings_for(busy); // pauses are not waited for, and count all the same
        settings.patience = 100ms;          // the shortest pause
        CHECK(fetch(settings).error().code == Errc::unavailable);
        CHECK(asked == 1);
    }

    TEST_CASE("what cannot be mended by asking again is asked once, and the sentence says what to mend") {
        struct Known {
            unsigned status;
            std::string body;
            Errc code;
            std::string sentence;
        };
        for (auto const& known :
             {Known{400, R"({"__type":"AccessDeniedException"})", Errc::permission_denied, "ce:GetCostAndUsage"},
              Known{403, "", Errc::permission_denied, "ce:GetCostAndUsage"},
              Known{400, R"({"__type":"a#UnrecognizedClientException"})", Errc::permission_denied, "AWS_ACCESS_KEY_ID"},
              Known{400, R"({"__type":"InvalidSignatureException"})", Errc::permission_denied, "AWS_SECRET_ACCESS_KEY"},
              Known{400, R"({"__type":"ExpiredTokenException"})", Errc::permission_denied, "AWS_SESSION_TOKEN"},
              Known{400, R"({"__type":"DataUnavailableException"})", Errc::unavailable, "switch it on"},
              Known{400, R"({"__type":"BillExpirationException"})", Errc::invalid_argument, "backfill_days"},
              Known{400, R"({"__type":"the secret"})", Errc::unavailable, "answers 400"},
              Known{404, "<html>", Errc::unavailable, "answers 404"},
              Known{200, "[]", Errc::corrupt_data, "endpoint_url"},
              Known{200, "", Errc::corrupt_data, "endpoint_url"}}) {
            std::atomic<int> asked{0};
            Scripted_Peer const peer([&](Peer_Session& session) {
                while (session.read_request()) {
                    ++asked;
                    session.say(status_line(known.status, known.body));
                }
            });
            auto const answer = fetch(settings_for(peer));
            REQUIRE(!answer);
            CHECK(answer.error().code == known.code);
            CHECK_MESSAGE(answer.error().context.find(known.sentence) != std::string::npos, answer.error().context);
            CHECK(answer.error().context.find("the secret") == std::string::npos);
            CHECK(asked == 1);
        }
    }

    TEST_CASE("an endpoint that is none is refused before anything is sent") {
        Cost_Explorer_Settings settings;
        settings.endpoint_url = "ftp://x";
        settings.credentials = Aws_Credentials{"a", "b", ""};
        CHECK(Cost_Explorer::create(settings).error().code == Errc::invalid_argument);
    }
}
