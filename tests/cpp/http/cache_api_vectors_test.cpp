// SPDX-License-Identifier: Apache-2.0
// What the Python cache service answered, asked again: tests/vectors/http_api.json.
#include "support/base64.hpp"
#include "support/printers.hpp"
#include "support/project_files.hpp"
#include <memfs_cache/core/zip_archive.hpp>
#include <memfs_cache/http/cache_api.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>

using namespace memfs_cache;
namespace json = boost::json;

namespace {

/// A pair that is answered otherwise, and how. It must differ, and in nothing else.
struct Exception {
    char const* scenario;
    std::size_t step;
    char const* differs; ///< "order", or the name of a member
    char const* reason;
};
constexpr char const* own_samples = "the samples are our own texts, so their hashes are others";
constexpr char const* byte_order =
    "files are listed in byte order on every storage, not in the order of their insertion";
constexpr Exception exceptions[] = {
    {"child data files", 31, "order", byte_order}, {"child data files", 32, "order", byte_order},
    {"child data files", 33, "order", byte_order}, {"child data files", 48, "order", byte_order},
    {"child data files", 49, "order", byte_order}, {"test data", 0, "cache_hash", own_samples},
    {"test data", 1, "cache_hash", own_samples},   {"test fixtures", 0, "cache_hash", own_samples},
};

auto text_of(json::object const& object, char const* name) -> std::string {
    auto const* found = object.if_contains(name);
    return found == nullptr ? std::string() : std::string(found->as_string());
}

auto id_of(std::size_t number) -> std::string {
    char text[37];
    std::snprintf(text, sizeof text, "%08zx-0000-4000-8000-000000000000", 0xabc00000 + number);
    return text;
}

void replace_all(std::string& text, std::string const& what, std::string const& by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

/// Puts in what this server chooses.
auto filled(std::string text) -> std::string {
    for (std::size_t number = 64; number > 0; --number) {
        auto const name = "{{id" + std::to_string(number);
        auto const id = id_of(number);
        auto underscored = id;
        std::replace(underscored.begin(), underscored.end(), '-', '_');
        replace_all(text, name + "}}", id);
        replace_all(text, name + ":shard}}", id.substr(0, 2) + "/" + id.substr(2, 2));
        replace_all(text, name + ":underscored}}", underscored);
    }
    replace_all(text, "{{hour}}", "2026/02/14/12");
    return text;
}

struct Leniency {
    bool any_order = false;
    std::string ignored_member = {};
};

auto are_equal(json::value const& expected, json::value const& actual, Leniency const& leniency) -> bool {
    if (auto const* text = expected.if_string(); text != nullptr && *text == "{{any}}")
        return true;
    else if (text != nullptr && *text == "{{ms}}")
        return actual.is_int64();
    auto const same = [&](json::value const& a, json::value const& b) { return are_equal(a, b, leniency); };
    if (expected.is_array() && actual.is_array()) {
        auto const &a = expected.get_array(), &b = actual.get_array();
        return leniency.any_order ? std::is_permutation(a.begin(), a.end(), b.begin(), b.end(), same)
                                  : std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
    }
    if (!expected.is_object() || !actual.is_object())
        return expected == actual;
    auto const &a = expected.get_object(), &b = actual.get_object();
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](auto const& member) {
               auto const* other = b.if_contains(member.key());
               return other != nullptr && (member.key() == leniency.ignored_member || same(member.value(), *other));
           });
}

auto bytes_of(json::object const& from) -> std::string {
    return from.contains("base64") ? testing::from_base64(text_of(from, "base64"))
                                   : text_of(from, from.contains("json") ? "json" : "text");
}

auto request_of(json::object const& step) -> Request {
    Request request{text_of(step, "method"), text_of(step, "path"), {}, {}, "192.0.2.1"};
    for (auto const& header : step.at("request_headers").as_object())
        request.headers.add(std::string(header.key()), std::string(header.value().as_string()));
    if (auto const* body = step.if_contains("body"); body != nullptr && body->is_object())
        request.body = bytes_of(body->as_object());
    return request;
}

/// What is wrong with an answer; "" if it is as expected.
auto misfit(json::object const& expected, Response const& response, Leniency const& leniency) -> std::string {
    auto const& body = std::get<Bytes>(response.body);
    auto const seen = ": " + std::to_string(response.status) + " " + body.substr(0, 2000);
    if (response.status != expected.at("status").as_int64())
        return "status" + seen;
    if (expected.contains("framework_dependent"))
        return {};
    if (auto const type = text_of(expected, "content_type");
        !type.empty() && response.headers.value("Content-Type") != type)
        return "content type" + seen;
    if (auto const* headers = expected.if_contains("headers"))
        for (auto const& header : headers->as_object())
            if (response.headers.value(header.key()) != header.value().as_string())
                return "header " + std::string(header.key()) + ": " + std::string(response.headers.value(header.key()));
    if (auto const* wanted = expected.if_contains("json")) {
        json::error_code bad;
        auto const found = json::parse(body, bad);
        return !bad && are_equal(*wanted, found, leniency) ? std::string() : "body" + seen;
    }
    if (auto const* wanted = expected.if_contains("zip_entries")) {
        json::object found;
        for (auto const& member : read_zip(body).value())
            found[member.name] = member.content;
        return found == *wanted ? std::string() : "archive" + seen;
    }
    if (expected.contains("text_prefix"))
        return body.starts_with(text_of(expected, "text_prefix")) ? std::string() : "beginning" + seen;
    return body == (expected.contains("text") || expected.contains("base64") ? bytes_of(expected) : std::string())
               ? std::string()
               : "body" + seen;
}

auto exception_of(std::string_view scenario, std::size_t step) -> Exception const* {
    auto const* const found = std::find_if(std::begin(exceptions), std::end(exceptions), [&](Exception const& one) {
        return one.scenario == scenario && one.step == step;
    });
    return found == std::end(exceptions) ? nullptr : found;
}

} // namespace

TEST_SUITE_BEGIN("http/cache_api");

TEST_CASE("every recorded request is answered as the Python cache service answered it") {
    auto const vectors = json::parse(testing::project_file("tests/vectors/http_api.json"));
    std::size_t pairs = 0, exceptional = 0;
    for (auto const& item : vectors.at("scenarios").as_array()) {
        auto const& scenario = item.as_object();
        auto const name = text_of(scenario, "name");
        CAPTURE(name);
        Service_Options options;
        options.root_prefix = "";
        options.clock = std::make_shared<Manual_Clock>(from_millis(1'771'070'400'000)); // 2026-02-14T12:00:00Z
        std::size_t made = 0;
        options.id_generator = [&] { return Cache_Id::parse(id_of(++made)).value(); };
        Cache_Service<Any_Storage> cache(Storage_Memory(), options);
        Cache_Api const api(cache, {Cache_Api_Key{"x-api-key", "secret-123"}, true, {}, {}});
        std::size_t number = 0;
        for (auto const& recorded : scenario.at("steps").as_array()) {
            CAPTURE(number);
            auto const step = json::parse(filled(json::serialize(recorded))).as_object();
            auto const response = api(request_of(step));
            auto const& expected = step.at("response").as_object();
            auto const wrong = misfit(expected, response, {step.contains("unordered"), {}});
            if (auto const* exception = exception_of(name, number)) {
                bool const is_order = std::string_view(exception->differs) == "order";
                CHECK_MESSAGE(!wrong.empty(), "no longer different, take it off the list: " << exception->reason);
                CHECK(misfit(expected, response, {is_order, is_order ? "" : exception->differs}) == "");
                ++exceptional;
            } else {
                CHECK(wrong == "");
            }
            CHECK(Cache_Id::parse(response.headers.value("fast-api-request-id")));
            ++pairs;
            ++number;
        }
    }
    CHECK(pairs == 279);
    CHECK(exceptional == std::size(exceptions));
}

TEST_SUITE_END();
