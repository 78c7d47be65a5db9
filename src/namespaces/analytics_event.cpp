// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/namespaces/analytics/analytics_event.hpp>
#include <memfs_cache/namespaces/analytics/client_address.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace memfs_cache {
namespace {

struct Text_Field {
    std::string_view name;
    std::string Analytics_Event::*value;
};
constexpr std::array text_fields{
    Text_Field{"event_id", &Analytics_Event::event_id},
    Text_Field{"event_type", &Analytics_Event::event_type},
    Text_Field{"source", &Analytics_Event::source},
    Text_Field{"path", &Analytics_Event::path},
    Text_Field{"method", &Analytics_Event::method},
    Text_Field{"ip_hash", &Analytics_Event::ip_hash},
    Text_Field{"user_agent_normalised", &Analytics_Event::user_agent_normalised},
    Text_Field{"country", &Analytics_Event::country},
    Text_Field{"referrer_domain", &Analytics_Event::referrer_domain},
    Text_Field{"transfer_id", &Analytics_Event::transfer_id},
    Text_Field{"token_id", &Analytics_Event::token_id},
    Text_Field{"ip", &Analytics_Event::ip},
    Text_Field{"client", &Analytics_Event::ip},
    Text_Field{"user_agent", &Analytics_Event::user_agent},
    Text_Field{"referrer", &Analytics_Event::referrer},
    Text_Field{"referer", &Analytics_Event::referrer},
    Text_Field{"url", &Analytics_Event::url},
};

/// Names under which applications carry what identifies a person, in small letters and without '-' and '_'.
constexpr std::array<std::string_view, 32> private_names{
    "addr",       "address",       "authorization", "client",      "clientaddress", "clientip",  "cookie",
    "cookies",    "forwarded",     "forwardedfor",  "httpreferer", "httpuseragent", "ip",        "ipaddr",
    "ipaddress",  "ips",           "query",         "querystring", "realip",        "referer",   "referrer",
    "remoteaddr", "remoteaddress", "remoteip",      "requesturi",  "requesturl",    "setcookie", "uri",
    "url",        "useragent",     "xforwardedfor", "xrealip",
};

auto is_private_name(std::string_view name) -> bool {
    std::string plain;
    for (char const c : name)
        if (c != '-' && c != '_')
            plain += ascii_lower(c);
    return std::binary_search(private_names.begin(), private_names.end(), plain);
}

/// Nearly every browser begins its user agent like this.
auto is_private_text(std::string_view text) -> bool {
    return looks_like_address(text) || text.find("Mozilla/") != std::string_view::npos;
}

auto text_of(boost::json::string const& string) -> std::string_view { return {string.data(), string.size()}; }

/// Cleans what is inside of a value.
/// @return whether the rest may be kept
auto clean(boost::json::value& value) -> bool {
    if (auto* object = value.if_object())
        remove_private_fields(*object);
    if (auto* array = value.if_array())
        for (auto at = array->begin(); at != array->end();)
            at = clean(*at) ? at + 1 : array->erase(at);
    auto const* string = value.if_string();
    return string == nullptr || !is_private_text(text_of(*string));
}

} // namespace

void remove_private_fields(boost::json::object& object) {
    for (auto at = object.begin(); at != object.end();) {
        auto const name = std::string_view(at->key().data(), at->key().size());
        bool const keep = !is_private_name(name) && !is_private_text(name) && clean(at->value());
        at = keep ? at + 1 : object.stable_erase(at);
    }
}

auto Analytics_Event::from_json(boost::json::object const& object) -> Result<Analytics_Event> {
    Analytics_Event event;
    auto const wrong = [](std::string_view name, char const* wanted) {
        return fail(Errc::invalid_argument, "event field '" + std::string(name) + "': give " + wanted);
    };
    for (auto const& member : object) {
        std::string_view const name(member.key().data(), member.key().size());
        auto const& value = member.value();
        if (value.is_null())
            continue;
        boost::system::error_code error;
        if (name == "timestamp") {
            auto const millis = value.to_number<std::int64_t>(error);
            if (error || !is_storable(from_millis(millis)))
                return wrong(name, "epoch milliseconds in UTC, 1970 to 2286");
            event.timestamp = from_millis(millis);
        } else if (name == "status_code") {
            event.status_code = value.to_number<int>(error);
            if (error)
                return wrong(name, "a whole number such as 200");
        } else if (name == "duration_ms") {
            event.duration_ms = value.to_number<double>(error);
            if (error)
                return wrong(name, "milliseconds");
        } else if (name == "content_bytes") {
            event.content_bytes = value.to_number<std::uint64_t>(error);
            if (error)
                return wrong(name, "a whole number of bytes");
        } else if (name == "bot") {
            if (!value.is_bool())
                return wrong(name, "true or false");
            event.bot = value.get_bool();
        } else if (name == "extra") {
            if (!value.is_object())
                return wrong(name, "an object");
            for (auto const& own : value.get_object())
                event.extra[own.key()] = own.value();
        } else if (name != "query" && name != "crc32c") { // the checksum is that of a stored line
            auto const field =
                std::find_if(text_fields.begin(), text_fields.end(), [&](auto const& f) { return f.name == name; });
            if (field == text_fields.end()) {
                event.extra[member.key()] = value;
                continue;
            }
            auto const* string = value.if_string();
            if (string == nullptr)
                return wrong(name, "text");
            event.*field->value = text_of(*string);
        }
    }
    return event;
}

} // namespace memfs_cache
