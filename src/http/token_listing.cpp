// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/http/token_listing.hpp>

#include <boost/json/array.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace memfs_cache {
namespace {

constexpr std::array statuses{Token_Status::active, Token_Status::exhausted, Token_Status::revoked,
                              Token_Status::expired};

/// Of a token without a limit more is left than of any other.
auto left_of(Token const& token) -> std::uint64_t { return token.remaining.value_or(UINT64_MAX); }

struct Order {
    std::string_view name;
    bool (*is_less)(Token const&, Token const&);
};
constexpr std::array<Order, 9> orders{{
    {"token_name", [](Token const& a, Token const& b) { return a.token_name < b.token_name; }},
    {"status", [](Token const& a, Token const& b) { return to_text(a.status) < to_text(b.status); }},
    {"usage_count", [](Token const& a, Token const& b) { return a.usage_count < b.usage_count; }},
    {"usage_limit", [](Token const& a, Token const& b) { return a.usage_limit - 1 < b.usage_limit - 1; }}, // 0: none
    {"remaining", [](Token const& a, Token const& b) { return left_of(a) < left_of(b); }},
    {"created_by", [](Token const& a, Token const& b) { return a.created_by < b.created_by; }},
    {"created_at", [](Token const& a, Token const& b) { return a.created_at < b.created_at; }},
    {"last_used_at", [](Token const& a, Token const& b) { return a.last_used_at < b.last_used_at; }},
    {"expires_at", [](Token const& a, Token const& b) { return a.expires_at < b.expires_at; }},
}};

auto has_in_it(std::string_view text, std::string_view lower) -> bool {
    return std::search(text.begin(), text.end(), lower.begin(), lower.end(),
                       [](char a, char b) { return ascii_lower(a) == b; }) != text.end();
}

} // namespace

auto token_listing_parameters() -> std::vector<Parameter> {
    Parameter status{.name = "status", .description = "Only those of this status."};
    for (auto const one : statuses)
        status.one_of.emplace_back(to_text(one));
    Parameter sort{.name = "sort", .description = "What decides their order.", .fallback = "token_name"};
    for (auto const& order : orders)
        sort.one_of.emplace_back(order.name);
    return {
        {.name = "search", .description = "Only those with this in the name or in who made them, in any case."},
        std::move(status),
        std::move(sort),
        {.name = "order",
         .description = "The smallest first, or the largest.",
         .one_of = {"ascending", "descending"},
         .fallback = "ascending"},
        {.name = "offset",
         .description = "So many are left out before.",
         .minimum = 0,
         .maximum = largest_json_integer,
         .fallback = "0"},
        {.name = "limit", .description = "At most so many; all without it.", .minimum = 1, .maximum = 1000},
    };
}

auto token_listing(std::vector<Token> all, Arguments const& arguments) -> boost::json::object {
    auto search = arguments.text("search");
    std::transform(search.begin(), search.end(), search.begin(), [](char c) { return ascii_lower(c); });
    if (!search.empty())
        all.erase(std::remove_if(all.begin(), all.end(),
                                 [&](Token const& token) {
                                     return !has_in_it(token.token_name, search) &&
                                            !has_in_it(token.created_by, search);
                                 }),
                  all.end());

    boost::json::object by_status;
    for (auto const status : statuses)
        by_status[to_text(status)] =
            std::count_if(all.begin(), all.end(), [&](Token const& token) { return token.status == status; });
    if (auto const& status = arguments.text("status"); !status.empty())
        all.erase(
            std::remove_if(all.begin(), all.end(), [&](Token const& token) { return to_text(token.status) != status; }),
            all.end());

    auto const* const order = std::find_if(orders.begin(), orders.end(),
                                           [&](Order const& one) { return one.name == arguments.text("sort"); });
    bool const is_descending = arguments.text("order") == "descending";
    std::stable_sort(all.begin(), all.end(), [&](Token const& a, Token const& b) {
        return is_descending ? order->is_less(b, a) : order->is_less(a, b);
    });

    auto const first = std::min(all.size(), static_cast<std::size_t>(arguments.integer("offset")));
    auto const most =
        arguments.text("limit").empty() ? all.size() : static_cast<std::size_t>(arguments.integer("limit"));
    auto const end = first + std::min(most, all.size() - first);
    boost::json::array part;
    for (auto i = first; i < end; ++i)
        part.push_back(all[i].to_json());
    return {{"tokens", std::move(part)}, {"total", all.size()}, {"by_status", std::move(by_status)}};
}

} // namespace memfs_cache
