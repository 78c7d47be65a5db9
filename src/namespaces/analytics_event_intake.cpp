// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/namespaces/analytics/event_intake.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <cmath>

namespace memfs_cache {
namespace {

constexpr std::size_t longest_path_bytes = 2048;
constexpr std::size_t longest_name_bytes = 256;
constexpr std::size_t longest_method_bytes = 32;
constexpr std::size_t longest_extra_bytes = 4096;
constexpr std::uint64_t most_content_bytes = (std::uint64_t{1} << 53) - 1; // no reader of JSON keeps more
constexpr std::string_view usual_source = "application";

/// A status that a response can have; 0 stands for "unknown".
auto is_status(int status) noexcept -> bool { return status == 0 || (status >= 100 && status <= 999); }
constexpr auto wrong_status = "give 100 to 999, or 0 if it is unknown";

/// May a text be stored as a name: short, and no address?
auto is_name(std::string_view text) noexcept -> bool {
    return text.size() <= longest_name_bytes && !looks_like_address(text);
}

/// A name that the host may have taken from the request.
auto name_or(std::string_view text, std::string_view otherwise) noexcept -> std::string_view {
    return text.empty() || !is_name(text) ? otherwise : text;
}

/// Clients invent methods; a real one is a short word.
auto method_of(std::string_view text) noexcept -> std::string_view {
    auto const is_letter = [](char c) { return is_ascii_letter(c) || c == '-' || c == '_'; };
    bool const sound = text.size() <= longest_method_bytes && std::all_of(text.begin(), text.end(), is_letter);
    return sound ? text : std::string_view();
}

/// A path that an application gives, which may be a whole URL.
auto path_of_text(std::string_view path) noexcept -> std::string_view {
    auto const origin = path.substr(0, path.find_first_of("?#"));
    return origin.find("://") == std::string_view::npos ? origin : path_of(origin);
}

/// A domain that an application gives, or the URL that it stands in.
auto domain_of_text(std::string const& domain) -> Referrer_Domain {
    return referrer_domain(domain.find("://") == std::string::npos ? "https://" + domain : domain, {});
}

auto agent_of(Analytics_Event const& event) noexcept -> User_Agent {
    auto const& text = event.user_agent_normalised;
    if (text.empty())
        return classify_user_agent(event.user_agent);
    auto const read = classify_user_agent(text);
    if (!is_normalised_user_agent(text))
        return read;
    return {text, read.bot && read.normalised == text}; // the names of bots say themselves what they are
}

} // namespace

auto Event_Ids::next() noexcept -> Event_Id {
    // A bijection of the counter: ids of one process never meet, and neighbours do not look alike (SplitMix64).
    auto number = start_ + 0x9e3779b97f4a7c15ULL * (1 + count_.fetch_add(1, std::memory_order_relaxed));
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9ULL;
    number = (number ^ number >> 27) * 0x94d049bb133111ebULL;
    return Event_Id(number ^ number >> 31);
}

auto visitor_hash_with_agent(Sip_Key const& salt, std::uint64_t of_address, std::string_view user_agent) noexcept
    -> std::uint64_t {
    std::array<char, 32> both;
    write_hex(both.data(), of_address, 16);
    write_hex(both.data() + 16, siphash24(salt, user_agent), 16);
    return siphash24(salt, {both.data(), both.size()});
}

void Event_Intake::set_country(std::string_view country) noexcept {
    if (country.size() != 2 || !is_ascii_letter(country[0]) || !is_ascii_letter(country[1]))
        return;
    constexpr int small_bit = 'a' - 'A';
    facts_.country = {static_cast<char>(country[0] & ~small_bit), static_cast<char>(country[1] & ~small_bit)};
    record.country = facts_.country_view();
}

void Event_Intake::set_agent(User_Agent agent) noexcept {
    facts_.agent = agent;
    record.user_agent_normalised = agent.normalised;
    record.bot = agent.bot;
}

void Event_Intake::set_path(std::string_view path) noexcept {
    auto size = std::min(path.size(), longest_path_bytes);
    while (size < path.size() && size > 0 && (static_cast<unsigned char>(path[size]) & 0xc0U) == 0x80)
        --size; // not within a character of UTF-8
    path = path.substr(0, size);
    record.path = looks_like_address(path) ? std::string_view() : path;
}

void Event_Intake::set_referrer(Referrer_Domain const& domain) noexcept {
    facts_.referrer = domain;
    record.referrer_domain = facts_.referrer.view();
}

auto Event_Intake::take(Request_View const& request) -> Result<void> {
    if (request.duration_us && *request.duration_us < 0)
        return fail(Errc::invalid_argument, "duration: negative; give microseconds from 0");
    if (!is_status(request.status))
        return fail(Errc::invalid_argument, std::string("status: ") + wrong_status);
    auto const path = path_of(request.target);
    set_path(request.route.empty() ? path : path_of_text(request.route));
    record.event_type = name_or(request.event_type, {});
    if (record.event_type.empty())
        record.event_type = classify_request(request.method, path, request.status, request.content_type);
    record.source = name_or(request.source, usual_source);
    record.method = method_of(request.method);
    record.status_code = request.status;
    if (request.duration_us)
        record.duration_us = std::min(*request.duration_us, most_duration_us);
    record.content_bytes = std::min(request.content_bytes, most_content_bytes);
    record.transfer_id = name_or(request.transfer_id, {});
    record.token_id = name_or(request.token_id, {});
    return {};
}

void Event_Intake::take_client(Request_View const& request,
                               Trusted_Proxies const& trusted,
                               User_Agent_Cache& agents) noexcept {
    set_agent(agents.classify(request.user_agent));
    set_referrer(referrer_domain(request.referrer, {}));
    set_country(request.country);
    client = client_of(request.remote, request.forwarded_for, trusted);
    user_agent = request.user_agent;
}

void Event_Intake::set_client(Client_Facts const& known) noexcept {
    record.user_agent_normalised = known.agent.normalised;
    record.bot = known.agent.bot;
    record.country = known.country_view();
    record.referrer_domain = known.referrer.view();
    record.ip_hash = known.visitor.view();
}

auto Event_Intake::take(Analytics_Event const& event) -> Result<void> {
    if (event.event_type.empty())
        return fail(Errc::invalid_argument, "event_type: give one, such as page_view");
    if (event.duration_ms && !(*event.duration_ms >= 0)) // also what is not a number
        return fail(Errc::invalid_argument, "duration_ms: give a number from 0");
    if (!is_status(event.status_code))
        return fail(Errc::invalid_argument, std::string("status_code: ") + wrong_status);
    struct Name {
        std::string_view field;
        std::string const& text;
        std::string_view Analytics_Record::*place;
    };
    for (auto const& name : {Name{"event_type", event.event_type, &Analytics_Record::event_type},
                             Name{"event_id", event.event_id, &Analytics_Record::event_id},
                             Name{"source", event.source, &Analytics_Record::source},
                             Name{"method", event.method, &Analytics_Record::method},
                             Name{"ip_hash", event.ip_hash, &Analytics_Record::ip_hash},
                             Name{"transfer_id", event.transfer_id, &Analytics_Record::transfer_id},
                             Name{"token_id", event.token_id, &Analytics_Record::token_id}}) {
        if (name.text.size() > longest_name_bytes)
            return fail(Errc::too_large, std::string(name.field) + ": longer than 256 bytes");
        record.*name.place = name_or(name.text, {});
    }
    if (record.event_type.empty())
        return fail(Errc::invalid_argument, "event_type: holds an address; give a word such as page_view");
    if (record.source.empty())
        record.source = usual_source;
    set_path(event.path.empty() ? path_of(event.url) : path_of_text(event.path));
    record.status_code = event.status_code;
    if (event.duration_ms)
        record.duration_us = std::llround(std::min(*event.duration_ms * 1000, static_cast<double>(most_duration_us)));
    record.content_bytes = std::min(event.content_bytes, most_content_bytes);

    set_agent(agent_of(event));
    record.bot = record.bot || event.bot;
    set_referrer(event.referrer_domain.empty() ? referrer_domain(event.referrer, {})
                                               : domain_of_text(event.referrer_domain));
    set_country(event.country);
    // A hash that is an address is one that somebody forgot to hash.
    client = Client_Address::parse(event.ip_hash.empty() ? event.ip : event.ip_hash);
    user_agent = event.user_agent;
    if (!event.extra.empty()) {
        auto own = event.extra;
        remove_private_fields(own);
        if (!own.empty())
            extra_ = json_text(own);
        if (extra_.size() > longest_extra_bytes)
            return fail(Errc::too_large, "extra: own fields of more than 4096 bytes of JSON");
        record.extra = extra_;
    }
    return {};
}

} // namespace memfs_cache
