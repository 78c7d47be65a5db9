// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/token_listing.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <string>

using namespace memfs_cache;

namespace {

auto token(std::string name, std::string creator, std::uint64_t limit, std::uint64_t used, Token_Status status)
    -> Token {
    Token made;
    made.token_name = std::move(name);
    made.created_by = std::move(creator);
    made.usage_limit = limit;
    made.usage_count = used;
    if (limit > 0)
        made.remaining = limit - used;
    made.status = status;
    return made;
}

/// What four tokens are listed as.
auto listed(std::string const& query) -> boost::json::object {
    Route route;
    route.method = "GET";
    route.path = "/tokens";
    route.access = Access::open;
    route.parameters = token_listing_parameters();
    route.handler = [](Request const&, Arguments const& arguments) {
        return json_reply(token_listing(
            {token("alpha", "Ann", 10, 9, Token_Status::active), token("beta", "", 0, 50, Token_Status::active),
             token("delta", "bob", 5, 5, Token_Status::exhausted), token("gamma", "ann", 5, 1, Token_Status::revoked)},
            arguments));
    };
    Router const router({route}, {});
    auto const response = router({"GET", "/tokens?" + query, {}, {}, {}});
    CHECK(response.status == 200);
    return boost::json::parse(std::get<Bytes>(response.body)).as_object();
}

auto names(std::string const& query) -> std::string {
    std::string text;
    auto const answer = listed(query);
    for (auto const& one : answer.at("tokens").as_array())
        text.append(text.empty() ? "" : " ").append(one.at("token_name").as_string());
    return text;
}

} // namespace

TEST_SUITE("http/token_listing") {
    TEST_CASE("without a wish all tokens come by name, and their statuses are counted") {
        CHECK(names("") == "alpha beta delta gamma");
        auto const all = listed("");
        CHECK(all.at("total") == 4);
        CHECK(boost::json::serialize(all.at("by_status")) == R"({"active":2,"exhausted":1,"revoked":1,"expired":0})");
    }

    TEST_CASE("names and creators are searched in any case, and a status leaves the counts of the others") {
        CHECK(names("search=ANN") == "alpha gamma");
        CHECK(names("search=ta") == "beta delta");
        CHECK(names("search=nobody") == "");
        CHECK(names("search=ann&status=revoked") == "gamma");
        auto const part = listed("search=ann&status=revoked");
        CHECK(part.at("total") == 1);
        CHECK(part.at("by_status").at("active") == 1);
    }

    TEST_CASE("order is by any column either way; equal ones stay by name, and no limit is more than any") {
        CHECK(names("sort=usage_count") == "gamma delta alpha beta");
        CHECK(names("sort=usage_count&order=descending") == "beta alpha delta gamma");
        CHECK(names("sort=usage_limit") == "delta gamma alpha beta");
        CHECK(names("sort=remaining") == "delta alpha gamma beta");
        CHECK(names("sort=remaining&order=descending") == "beta gamma alpha delta");
        CHECK(names("sort=status&order=descending") == "gamma delta alpha beta");
        CHECK(names("sort=created_at") == "alpha beta delta gamma");
    }

    TEST_CASE("a part is so many behind so many, and its total is that of the whole") {
        CHECK(names("offset=1&limit=2") == "beta delta");
        CHECK(names("offset=3&limit=1000") == "gamma");
        CHECK(names("offset=4") == "");
        CHECK(listed("offset=9000000000000&limit=1").at("total") == 4);
    }
}
