// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/namespaces/costs/cost_explorer.hpp>
#include <memfs_cache/net/backoff.hpp>
#include <memfs_cache/net/request_signer.hpp>

#include <boost/json.hpp>

#include <thread>

namespace memfs_cache {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t most_pages = 1000;

auto endpoint_of(Cost_Explorer_Settings const& settings) -> Result<Http_Endpoint> {
    if (!settings.endpoint_url.empty())
        return Http_Endpoint::parse(settings.endpoint_url);
    Http_Endpoint endpoint;
    endpoint.host = "ce." + settings.region + ".amazonaws.com";
    return endpoint;
}

/// The question as JSON text.
/// @param  next_page  token of the page before; "" for the first page
auto question(Cost_Explorer_Settings const& settings, Utc_Time start, Utc_Time end, std::string const& next_page)
    -> std::string {
    boost::json::object asked{
        {"TimePeriod", boost::json::object{{"Start", date_text(start)}, {"End", date_text(end)}}},
        {"Granularity", "DAILY"},
        {"Metrics", boost::json::array{settings.metric, "UsageQuantity"}},
        {"GroupBy", boost::json::array{boost::json::object{{"Type", "DIMENSION"}, {"Key", "SERVICE"}}}}};
    if (!settings.with_credits)
        asked["Filter"] = {
            {"Not", {{"Dimensions", {{"Key", "RECORD_TYPE"}, {"Values", boost::json::array{"Credit", "Refund"}}}}}}};
    if (!next_page.empty())
        asked["NextPageToken"] = next_page;
    return json_text(asked);
}

/// The error that an answer names, without the namespace that may stand before it; "" if it names none.
auto error_type(Client_Response const& answer) -> std::string {
    auto const object = parse_object(answer.body, "");
    auto const* const type = object ? object->if_contains("__type") : nullptr;
    if (type == nullptr || !type->is_string())
        return {};
    std::string name(type->get_string());
    return name.substr(name.rfind('#') + 1);
}

/// What an answer that is none means, and whether asking again may help.
struct Refusal {
    Error error;
    bool may_pass = false;
};

auto judge(Client_Response const& answer) -> Refusal {
    auto const type = error_type(answer);
    auto const is_any_of = [&](auto... names) { return ((type == names) || ...); };
    if (answer.status == 429 || is_any_of("ThrottlingException", "LimitExceededException", "TooManyRequestsException"))
        return {fail(Errc::throttled, "Cost Explorer asks for fewer questions; collect later"), true};
    if (is_any_of("UnrecognizedClientException", "InvalidClientTokenId"))
        return {fail(Errc::permission_denied, "Cost Explorer does not know the access key; correct AWS_ACCESS_KEY_ID")};
    if (is_any_of("InvalidSignatureException", "SignatureDoesNotMatch"))
        return {fail(Errc::permission_denied,
                     "Cost Explorer finds another signature; correct AWS_SECRET_ACCESS_KEY, or "
                     "the clock of this machine")};
    if (is_any_of("ExpiredTokenException", "ExpiredToken"))
        return {fail(Errc::permission_denied, "Cost Explorer: the session token has expired; renew AWS_SESSION_TOKEN")};
    if (answer.status == 401 || answer.status == 403 || is_any_of("AccessDeniedException"))
        return {fail(Errc::permission_denied,
                     "Cost Explorer: the keys may not ask for costs; allow them ce:GetCostAndUsage")};
    if (is_any_of("DataUnavailableException"))
        return {fail(Errc::unavailable,
                     "Cost Explorer has no data yet; switch it on in the console of AWS and come back "
                     "a day later")};
    if (is_any_of("BillExpirationException"))
        return {fail(Errc::invalid_argument, "Cost Explorer keeps days so long ago no more; lower backfill_days")};
    auto const status = std::to_string(answer.status);
    if (answer.status >= 500)
        return {fail(Errc::unavailable, "Cost Explorer answers " + status + "; collect later"), true};
    return {fail(Errc::unavailable, "Cost Explorer answers " + status + "; see endpoint_url and metric")};
}

} // namespace

struct Cost_Explorer::State {
    Cost_Explorer_Settings settings;
    Http_Client client;
    Request_Signer signer;

    /// What is left of the patience with one question.
    struct Patience {
        milliseconds left;
        void spend(milliseconds time) { left -= time; }
    };

    [[nodiscard]] auto send(std::string const& body, milliseconds patience, bool fresh_connection) const
        -> boost::system::result<Client_Response, No_Answer> {
        Client_Request request;
        request.method = "POST";
        request.target = "/";
        request.headers = {{"content-type", "application/x-amz-json-1.1"},
                           {"x-amz-target", "AWSInsightsIndexService.GetCostAndUsage"}};
        request.body = body;
        signer.sign(request, client.endpoint().host_header(), *settings.credentials, settings.clock->now());
        return client.send(request, Steady::now() + patience, fresh_connection);
    }

    /// One page. To ask changes nothing, so it may always be asked again.
    [[nodiscard]] auto fetch_page(std::string const& body, Patience& patience) const -> Result<std::string> {
        Backoff backoff;
        for (int tries = 1;; ++tries) {
            auto const begun = Steady::now();
            auto answer = send(body, patience.left, tries > 1);
            patience.spend(std::chrono::duration_cast<milliseconds>(Steady::now() - begun));
            if (answer && answer->status == 200)
                return std::move(answer->body);
            auto const refusal =
                answer
                    ? judge(*answer)
                    : Refusal{fail(answer.error().error.code, "Cost Explorer: " + answer.error().error.context), true};
            auto const pause = backoff.next();
            patience.spend(pause);
            if (!refusal.may_pass || tries >= settings.most_tries || patience.left <= milliseconds(0))
                return refusal.error;
            settings.wait(pause);
        }
    }
};

Cost_Explorer::Cost_Explorer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Cost_Explorer::Cost_Explorer(Cost_Explorer&&) noexcept = default;
auto Cost_Explorer::operator=(Cost_Explorer&&) noexcept -> Cost_Explorer& = default;
Cost_Explorer::~Cost_Explorer() = default;

auto Cost_Explorer::create(Cost_Explorer_Settings settings) -> Result<Cost_Explorer> {
    auto endpoint = endpoint_of(settings);
    if (!endpoint)
        return endpoint.error();
    if (!settings.credentials) {
        auto found = find_credentials();
        if (!found)
            return found.error();
        settings.credentials = *std::move(found);
    }
    if (!settings.clock)
        settings.clock = std::make_shared<System_Clock>();
    if (!settings.wait)
        settings.wait = [](milliseconds time) { std::this_thread::sleep_for(time); };
    auto client = Http_Client::create(*std::move(endpoint), settings.client);
    if (!client)
        return fail(client.error().code, "Cost Explorer: " + client.error().context);
    Request_Signer signer(settings.region, "ce");
    return Cost_Explorer(std::unique_ptr<State>(new State{std::move(settings), *std::move(client), std::move(signer)}));
}

auto Cost_Explorer::fetch(Utc_Time start, Utc_Time end) const -> Result<std::vector<Cost_File>> {
    std::vector<Cost_File> pages;
    State::Patience patience{state_->settings.patience};
    for (std::string token;;) {
        auto page = state_->fetch_page(question(state_->settings, start, end, token), patience);
        if (!page)
            return page.error();
        auto const object = parse_object(*page, "");
        if (!object)
            return fail(Errc::corrupt_data, "Cost Explorer: the answer is no JSON object; is endpoint_url right?");
        auto const* const next = object->if_contains("NextPageToken");
        auto const* const text = next == nullptr ? nullptr : next->if_string();
        auto const before = std::exchange(token, text == nullptr ? std::string() : std::string(*text));
        pages.push_back({"the answer of Cost Explorer", *std::move(page)});
        if (token.empty())
            return pages;
        if (token == before || pages.size() >= most_pages)
            return fail(Errc::corrupt_data, "Cost Explorer: the pages of the answer do not end");
    }
}

} // namespace memfs_cache
