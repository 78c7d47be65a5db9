// SPDX-License-Identifier: Apache-2.0
#include "s3_wire.hpp"

#include "s3_xml.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/net/backoff.hpp>

#include <algorithm>
#include <thread>

namespace memfs_cache::s3 {
namespace {

using std::chrono::milliseconds;

/// An instant as the header Date spells it: "Fri, 13 Feb 2026 14:05:09 GMT".
auto parse_http_date(std::string_view text) -> std::optional<Utc_Time> {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != 29 || !text.ends_with(" GMT"))
        return std::nullopt;
    auto const number = [&](std::size_t at, std::size_t size) { return parse_decimal(text.substr(at, size)); };
    auto const month = months.find(text.substr(8, 3));
    auto const day = number(5, 2);
    auto const year = number(12, 4);
    auto const hour = number(17, 2);
    auto const minute = number(20, 2);
    auto const second = number(23, 2);
    if (month == std::string_view::npos || !day || !year || !hour || !minute || !second)
        return std::nullopt;
    auto const midnight =
        day_from_civil(static_cast<int>(*year), static_cast<unsigned>(month / 3 + 1), static_cast<unsigned>(*day));
    if (!midnight)
        return std::nullopt;
    return *midnight + std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
}

/// Is this the service's wish to be asked later?
auto is_put_off(unsigned status, std::string_view code) -> bool {
    return status == 429 || status == 503 || status == 409 || code == "SlowDown";
}
/// Does this say nothing about what was done?
auto is_no_answer(unsigned status, std::string_view code) -> bool {
    return status == 500 || status == 502 || status == 504 || code == "InternalError" || code == "RequestTimeout";
}

auto make_endpoint(S3_Settings const& settings, bool is_amazon) -> Result<Http_Endpoint> {
    if (is_amazon) {
        Http_Endpoint endpoint;
        endpoint.host = "s3." + settings.region + ".amazonaws.com";
        return endpoint;
    }
    auto endpoint = Http_Endpoint::parse(settings.endpoint_url);
    if (!endpoint)
        return fail(endpoint.error().code, "S3: " + endpoint.error().context + "; correct endpoint_url");
    return endpoint;
}

} // namespace

auto Wire::create(S3_Settings settings) -> Result<Wire> {
    bool const is_amazon = settings.endpoint_url.empty();
    auto endpoint = make_endpoint(settings, is_amazon);
    if (!endpoint)
        return endpoint.error();
    bool const has_bucket_in_host = settings.virtual_host.value_or(is_amazon);
    if (has_bucket_in_host)
        endpoint->host = settings.bucket + "." + endpoint->host;
    auto client = Http_Client::create(*std::move(endpoint), settings.client);
    if (!client)
        return fail(client.error().code, "S3: " + client.error().context);
    return Wire(std::move(settings), *std::move(client), has_bucket_in_host);
}

Wire::Wire(S3_Settings settings, Http_Client client, bool has_bucket_in_host)
    : settings_(std::move(settings)), client_(std::move(client)), signer_(settings_.region, "s3"),
      has_bucket_in_host_(has_bucket_in_host) {}

auto Wire::now() const -> Utc_Time { return settings_.clock->now() + milliseconds(clock_offset_->load()); }

auto Wire::send(Request const& request) const -> Outcome {
    using Steady = std::chrono::steady_clock;
    auto const most_tries = request.most_tries > 0 ? request.most_tries : settings_.most_tries;
    Outcome outcome;
    Backoff backoff;
    milliseconds spent{0};
    bool fresh_connection = false;
    bool set_clock = false;
    for (int tries = 1;; ++tries) {
        auto const begun = Steady::now();
        auto const signed_at = now();
        auto result = try_once(request, signed_at, fresh_connection);
        spent += std::chrono::duration_cast<milliseconds>(Steady::now() - begun);
        Verdict verdict;
        if (result) {
            count(request, result->status < 300 ? result->body.size() : 0);
            verdict = judge(request, *result, outcome);
            // The clock is a reason to try again once: it was wrong, or something else is.
            if (verdict.kind == Verdict::Kind::final && result->status == 403 && !std::exchange(set_clock, true) &&
                learn_clock(*result, signed_at))
                continue;
        } else {
            auto const& failure = result.error();
            if (failure.may_have_arrived)
                count(request, 0);
            outcome.problem = fail(failure.error.code, "S3: " + failure.error.context + "; see endpoint_url");
            outcome.code.clear();
            if (failure.error.code != Errc::too_large)
                verdict = {failure.on_used_connection ? Verdict::Kind::again_at_once : Verdict::Kind::again,
                           failure.may_have_arrived ? Doubt::unanswered : Doubt::none};
        }
        if (verdict.kind == Verdict::Kind::final) {
            if (result)
                outcome.answer = *std::move(result);
            return outcome;
        }
        outcome.doubt = std::max(outcome.doubt, verdict.doubt);
        // A connection that was kept may have been closed meanwhile, which says nothing about the service.
        auto const pause =
            verdict.kind == Verdict::Kind::again_at_once && !fresh_connection ? milliseconds(0) : backoff.next();
        spent += pause;
        if (tries >= most_tries || spent > settings_.retry_budget)
            return outcome;
        if (pause.count() > 0)
            settings_.wait(pause);
        fresh_connection = true;
    }
}

auto Wire::try_once(Request const& request, Utc_Time signed_at, bool fresh_connection) const
    -> boost::system::result<Client_Response, No_Answer> {
    Client_Request sent;
    sent.method = request.method;
    sent.target = has_bucket_in_host_ ? "/" : "/" + settings_.bucket;
    if (!request.name.empty())
        sent.target += (has_bucket_in_host_ ? "" : "/") + uri_encode(request.name, true);
    if (!request.query.empty())
        sent.target += "?" + canonical_query(request.query);
    sent.headers = request.headers;
    sent.body = request.body;
    sent.longest_body = request.longest_answer;
    signer_.sign(sent, client_.endpoint().host_header(), *settings_.credentials, signed_at);
    return client_.send(sent, std::chrono::steady_clock::time_point::max(), fresh_connection);
}

auto Wire::judge(Request const& request, Client_Response const& answer, Outcome& outcome) const -> Verdict {
    constexpr std::size_t longest_error = 64 << 10;
    bool const is_good = answer.status >= 200 && answer.status < 300;
    outcome.code.clear();
    if (is_good && !request.answers_in_xml)
        return {};
    auto error = answer.body.size() <= longest_error ? parse_error(answer.body) : Error_Text();
    if (is_good && error.code.empty())
        return {};
    outcome.code = error.code;
    if (error.region.empty())
        error.region = answer.header("x-amz-bucket-region");
    outcome.problem = explain(answer, error.code, error.region);
    if (is_put_off(answer.status, error.code))
        return {Verdict::Kind::again, Doubt::put_off};
    if (is_no_answer(answer.status, error.code) || is_good)
        return {Verdict::Kind::again, Doubt::unanswered};
    return {};
}

/// @return whether the clock was the trouble: the answer is dated minutes away from what the request was dated
auto Wire::learn_clock(Client_Response const& answer, Utc_Time signed_at) const -> bool {
    constexpr auto tolerated = std::chrono::minutes(4); // services refuse from five or fifteen minutes on
    auto const theirs = parse_http_date(answer.header("date"));
    if (!theirs || std::chrono::abs(*theirs - signed_at) < tolerated)
        return false;
    clock_offset_->store((*theirs - settings_.clock->now()).count());
    return true;
}

void Wire::count(Request const& request, std::size_t bytes_read) const noexcept {
    auto const is_of_bucket = request.name.empty();
    if (request.method == "DELETE")
        counters_->erase();
    else if (request.method == "PUT" || request.method == "POST")
        counters_->write(request.body.size());
    else if (is_of_bucket)
        counters_->list();
    else
        counters_->read(bytes_read);
}

/// May a word of the service's stand in a message? It could be anything, even what we sent.
auto Wire::may_show(std::string_view word) const -> bool {
    constexpr std::size_t longest = 64;
    auto const is_plain = [](char c) { return is_ascii_letter(c) || is_ascii_digit(c) || c == '-'; };
    auto const& keys = *settings_.credentials;
    auto const is_of = [&](std::string const& secret) {
        return !secret.empty() && (secret.find(word) != std::string::npos || word.find(secret) != std::string::npos);
    };
    return !word.empty() && word.size() <= longest && std::all_of(word.begin(), word.end(), is_plain) &&
           !is_of(keys.access_key_id) && !is_of(keys.secret_access_key) && !is_of(keys.session_token);
}

auto Wire::explain(Client_Response const& answer, std::string const& code, std::string const& region) const -> Error {
    auto const status = answer.status;
    auto const is_any_of = [&](auto... names) { return ((code == names) || ...); };
    auto const bucket = "bucket '" + settings_.bucket + "'";
    auto const regions_differ = status == 301 || status == 307 || is_any_of("AuthorizationHeaderMalformed");
    if (regions_differ && may_show(region) && region != settings_.region)
        return fail(Errc::invalid_argument, "S3: " + bucket + " lies in region " + region + "; set region to it");
    if (regions_differ)
        return fail(Errc::invalid_argument,
                    "S3: " + bucket + " is served elsewhere or from another region; correct region or endpoint_url");
    if (is_any_of("NoSuchBucket"))
        return fail(Errc::not_found, "S3: there is no " + bucket + " at this endpoint; correct bucket or endpoint_url");
    if (is_any_of("InvalidAccessKeyId"))
        return fail(Errc::permission_denied, "S3: the service does not know the access key; correct access_key_id "
                                             "(AWS_ACCESS_KEY_ID)");
    if (is_any_of("SignatureDoesNotMatch"))
        return fail(Errc::permission_denied, "S3: the secret key is not that of the access key; correct "
                                             "secret_access_key (AWS_SECRET_ACCESS_KEY)");
    if (is_any_of("ExpiredToken", "InvalidToken", "TokenRefreshRequired"))
        return fail(Errc::permission_denied,
                    "S3: the session token has expired or is wrong; renew session_token (AWS_SESSION_TOKEN)");
    if (is_any_of("RequestTimeTooSkewed"))
        return fail(Errc::permission_denied, "S3: this machine's clock is wrong; set it");
    if (is_any_of("QuotaExceeded", "XMinioStorageFull") || status == 507)
        return fail(Errc::no_space, "S3: " + bucket + " has no space left; free some or raise its quota");
    if (status == 403 || status == 401)
        return fail(Errc::permission_denied,
                    "S3: the keys may not do this in " + bucket + "; allow it, or set other credentials");
    if (is_any_of("EntityTooLarge") || status == 413)
        return fail(Errc::too_large, "S3: the service takes no object so large; lower part_bytes or store less");
    if (status == 409)
        return fail(Errc::conflict, "S3: others write the same object all the time; try again");
    if (is_put_off(status, code))
        return fail(Errc::throttled, "S3: the service asks for fewer requests; raise retry_budget or send less");
    auto const said = std::to_string(status) + (may_show(code) ? " " + code : "");
    if (status == 501 || status == 405)
        return fail(Errc::unsupported, "S3: the service does not offer this (" + said + "); see endpoint_url");
    return fail(Errc::unavailable, "S3: the service answers " + said + "; see endpoint_url");
}

} // namespace memfs_cache::s3
