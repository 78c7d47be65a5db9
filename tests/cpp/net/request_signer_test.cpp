// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/project_files.hpp"
#include <memfs_cache/net/request_signer.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>
#include <doctest/doctest.h>

#include <map>
#include <thread>

using namespace memfs_cache;
namespace json = boost::json;

namespace {

auto vectors(std::string const& name) -> json::array {
    return json::parse(testing::project_file("tests/vectors/" + name)).at("cases").as_array();
}

auto text_of(json::value const& value) -> std::string { return std::string(value.as_string()); }

auto replaced(std::string text, std::string_view from, std::string_view to) -> std::string {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

constexpr auto day_of_s3_page = from_millis(1'369'353'600'000); // 2013-05-24T00:00:00Z
constexpr auto day_of_suite = from_millis(1'440'938'160'000);   // 2015-08-30T12:36:00Z

auto keys_of_s3_page() -> Aws_Credentials {
    return {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
}

auto request_to(std::string target, std::vector<Http_Header> headers = {}, Byte_View body = {}) -> Client_Request {
    Client_Request request;
    request.method = "GET";
    request.target = std::move(target);
    request.headers = std::move(headers);
    request.body = body;
    return request;
}

auto header_of(Client_Request const& request, std::string_view name) -> std::string {
    std::string found;
    for (auto const& header : request.headers) {
        if (header.name == name) {
            CHECK_MESSAGE(found.empty(), "there is one header " << name);
            found = header.value;
        }
    }
    return found;
}

auto signature_of(Client_Request const& request) -> std::string {
    auto const text = header_of(request, "authorization");
    return text.substr(text.rfind('=') + 1);
}

/// Signed for S3 with the keys of its page.
auto s3_signature(Client_Request request, std::string_view host = "examplebucket.s3.amazonaws.com") -> std::string {
    Request_Signer("us-east-1", "s3").sign(request, host, keys_of_s3_page(), day_of_s3_page);
    return signature_of(request);
}

/// A case of the suite as a request. Its first line may have blanks in the target.
auto parsed(std::string_view text) -> Client_Request {
    Client_Request request;
    auto const line = text.substr(0, text.find('\n'));
    auto const end_of_method = line.find(' ');
    request.method = line.substr(0, end_of_method);
    request.target = line.substr(end_of_method + 1, line.rfind(' ') - end_of_method - 1);
    for (auto rest = text.substr(line.size() + 1); !rest.empty();) {
        auto const header = rest.substr(0, rest.find('\n'));
        auto const colon = header.find(':');
        auto const name = header.substr(0, colon);
        if (name != "Host")
            request.headers.push_back({std::string(name), std::string(header.substr(colon + 1))});
        rest.remove_prefix(header.size() + 1);
    }
    return request;
}

enum class Applies { whole, path_only, under_another_name, no };

/// What of a case of the suite can hold for our signer.
auto how_it_applies(std::string const& name) -> Applies {
    static std::map<std::string, Applies> const exceptions{
        // Paths that are not normalised are a rule of S3, which adds a header and so has other signatures.
        {"get-relative-relative-unnormalized", Applies::path_only},
        {"get-relative-unnormalized", Applies::path_only},
        {"get-slash-dot-slash-unnormalized", Applies::path_only},
        {"get-slash-pointless-dot-unnormalized", Applies::path_only},
        {"get-slash-unnormalized", Applies::path_only},
        {"get-slashes-unnormalized", Applies::path_only},
        {"get-space-unnormalized", Applies::path_only},
        // Headers of any name are not signed: the same rules are checked with one that is.
        {"get-header-key-duplicate", Applies::under_another_name},
        {"get-header-value-order", Applies::under_another_name},
        {"get-header-value-trim", Applies::under_another_name},
        {"post-header-key-sort", Applies::under_another_name},
        {"post-header-value-case", Applies::under_another_name},
        {"get-header-value-multiline", Applies::no},            // HTTP has no folded lines any more
        {"post-x-www-form-urlencoded", Applies::no},            // signs Content-Length, which is the client's business
        {"post-x-www-form-urlencoded-parameters", Applies::no}, // the same
    };
    auto const found = exceptions.find(name);
    return found == exceptions.end() ? Applies::whole : found->second;
}

} // namespace

TEST_SUITE("net/request_signer") {
    TEST_CASE("canonical request, string to sign and signature are those of AWS's own suite") {
        std::map<Applies, int> seen;
        for (auto const& value : vectors("sigv4.json")) {
            auto const& test = value.as_object();
            auto const& context = test.at("context").as_object();
            auto const name = text_of(test.at("name"));
            CAPTURE(name);
            auto const applies = how_it_applies(name);
            ++seen[applies];
            if (applies == Applies::no)
                continue;
            REQUIRE(text_of(context.at("timestamp")) == "2015-08-30T12:36:00Z");
            auto const& given = context.at("credentials").as_object();
            Aws_Credentials keys{text_of(given.at("access_key_id")), text_of(given.at("secret_access_key")), ""};
            auto const* const omits_token = context.if_contains("omit_session_token");
            if (given.contains("token") && (omits_token == nullptr || !omits_token->as_bool()))
                keys.session_token = text_of(given.at("token"));

            bool const renames = applies == Applies::under_another_name;
            auto const rename = [&](json::value const& text, std::string_view from, std::string_view to) {
                return renames ? replaced(text_of(text), from, to) : text_of(text);
            };
            auto request = parsed(rename(test.at("request"), "My-Header", "If-My-Header"));
            auto const expected = rename(test.at("header_canonical_request"), "my-header", "if-my-header");
            auto const service = applies == Applies::path_only ? "s3" : text_of(context.at("service"));
            Request_Signer const signer(text_of(context.at("region")), service);
            auto const texts = signer.sign(request, "example.amazonaws.com", keys, day_of_suite);

            if (applies == Applies::path_only) {
                auto const two_lines = expected.substr(0, expected.find("\n", expected.find('\n') + 1) + 1);
                CHECK(texts.canonical_request.substr(0, two_lines.size()) == two_lines);
                continue;
            }
            CHECK(texts.canonical_request == expected);
            if (renames)
                continue;
            CHECK(texts.string_to_sign == text_of(test.at("header_string_to_sign")));
            CHECK(signature_of(request) == text_of(test.at("header_signature")));
        }
        CHECK(seen ==
              std::map<Applies, int>{
                  {Applies::whole, 23}, {Applies::path_only, 7}, {Applies::under_another_name, 5}, {Applies::no, 3}});
    }

    TEST_CASE("the examples on the page about S3 have the signatures that the page gives them") {
        CHECK(s3_signature(request_to("/test.txt", {{"Range", "bytes=0-9"}})) ==
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        CHECK(s3_signature(request_to("/?lifecycle")) ==
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        CHECK(s3_signature(request_to("/?max-keys=2&prefix=J")) ==
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
        // Its fourth, a PUT, signs the header Date, which is the client's business here.
    }

    TEST_CASE("botocore signs a hundred requests in the same way") {
        int compared = 0;
        for (auto const& value : vectors("sigv4_botocore.json")) {
            auto const& test = value.as_object();
            auto const body = text_of(test.at("body"));
            auto request = request_to(text_of(test.at("target")), {}, body);
            request.method = text_of(test.at("method"));
            for (auto const& header : test.at("headers").as_array())
                request.headers.push_back({text_of(header.at(0)), text_of(header.at(1))});
            CAPTURE(request.target);
            Request_Signer const signer(text_of(test.at("region")), "s3");
            signer.sign(request, text_of(test.at("host")),
                        {text_of(test.at("access_key_id")), text_of(test.at("secret_access_key")),
                         text_of(test.at("session_token"))},
                        from_millis(test.at("now_ms").as_int64()));
            CHECK(header_of(request, "authorization") == text_of(test.at("authorization")));
            ++compared;
        }
        CHECK(compared == 120);
    }

    TEST_CASE("a path is signed in one spelling, whichever of its characters came escaped") {
        auto const signature = s3_signature(request_to("/a%2Bb%3Ac%40d%21e"));
        CHECK(s3_signature(request_to("/a+b:c@d!e")) == signature);
        CHECK(s3_signature(request_to("/a%2bb%3ac%40d!e")) == signature);
        CHECK(s3_signature(request_to("/%61+b:c@d!e")) == signature);
        CHECK(s3_signature(request_to("/a/b")) != s3_signature(request_to("/a%2Fb")));
        CHECK(s3_signature(request_to("/100%")) == s3_signature(request_to("/100%25")));
    }

    TEST_CASE("a query is signed sorted, escaped in capitals, and with '=' behind a name without a value") {
        auto const signature = s3_signature(request_to("/?a%2Fb=c&delete=&z=%2B"));
        CHECK(s3_signature(request_to("/?z=%2b&delete&a/b=c")) == signature);
        CHECK(canonical_query({{"z", "+"}, {"delete", ""}, {"a/b", "c"}}) == "a%2Fb=c&delete=&z=%2B");
        CHECK(canonical_query({{"b", "2"}, {"b", "10"}, {"B", ""}, {"b-", ""}}) == "B=&b=10&b=2&b-=");
        CHECK(canonical_query({}).empty());
    }

    TEST_CASE("text is encoded byte by byte, in capitals") {
        CHECK(uri_encode("azAZ09-._~", false) == "azAZ09-._~");
        CHECK(uri_encode("a b/c%\xe6\xb0\xb4", false) == "a%20b%2Fc%25%E6%B0%B4");
        CHECK(uri_encode("a b/c", true) == "a%20b/c");
        std::string every;
        for (int byte = 0; byte < 256; ++byte)
            every += static_cast<char>(byte);
        CHECK(uri_encode(every, false).size() == 66 + 3 * (256 - 66));
    }

    TEST_CASE("the port of the host and the session token are signed") {
        auto const request = request_to("/");
        CHECK(s3_signature(request, "example.com") != s3_signature(request, "example.com:9000"));

        auto with_token = request;
        auto keys = keys_of_s3_page();
        keys.session_token = "token";
        Request_Signer("us-east-1", "s3").sign(with_token, "example.com", keys, day_of_s3_page);
        CHECK(header_of(with_token, "x-amz-security-token") == "token");
        CHECK(header_of(with_token, "authorization").find(";x-amz-date;x-amz-security-token,") != std::string::npos);
        CHECK(signature_of(with_token) != s3_signature(request, "example.com"));
    }

    TEST_CASE("a request that is signed again carries the new signature only") {
        Request_Signer const signer("us-east-1", "s3");
        auto keys = keys_of_s3_page();
        keys.session_token = "token";
        auto again = request_to("/a", {{"X-Amz-Meta-A", "1"}});
        signer.sign(again, "example.com", keys, day_of_s3_page);
        signer.sign(again, "example.com", keys, day_of_suite);
        auto once = request_to("/a", {{"X-Amz-Meta-A", "1"}});
        signer.sign(once, "example.com", keys, day_of_suite);
        CHECK(header_of(again, "authorization") == header_of(once, "authorization"));
        CHECK(header_of(again, "x-amz-date") == "20150830T123600Z");
        CHECK(again.headers.size() == once.headers.size());
    }

    TEST_CASE("the key of a day is not used for another day or another secret, by however many threads") {
        Request_Signer const shared("us-east-1", "s3");
        std::vector<std::thread> threads;
        std::vector<int> wrong(4, 0);
        for (std::size_t own = 0; own < wrong.size(); ++own) {
            threads.emplace_back([&, own] {
                for (int i = 0; i < 100; ++i) {
                    auto keys = keys_of_s3_page();
                    keys.secret_access_key += std::to_string((own + static_cast<std::size_t>(i)) % 2);
                    auto const now = day_of_s3_page + std::chrono::days(i / 2 % 3);
                    auto request = request_to("/");
                    auto fresh = request;
                    shared.sign(request, "example.com", keys, now);
                    Request_Signer("us-east-1", "s3").sign(fresh, "example.com", keys, now);
                    wrong[own] += signature_of(request) != signature_of(fresh) ? 1 : 0;
                }
            });
        }
        for (auto& thread : threads)
            thread.join();
        CHECK(wrong == std::vector<int>(4, 0));
    }
}
