// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/router.hpp>
#include <memfs_cache/http/token_listing.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <utility>
#include <vector>

namespace memfs_cache {

/// The admin routes of the tokens of a service.
/// Ownership  they refer to the service, which must outlive them.
template <StorageBackend Storage>
[[nodiscard]] auto token_routes(Cache_Service<Storage>& cache) -> std::vector<Route> {
    Parameter const name{.name = "name", .description = "The token's name, in any case."};
    Parameter const usage_limit{.name = "usage_limit",
                                .description = "How often it may be used in all; 0: as often as one likes.",
                                .minimum = 0,
                                .maximum = largest_json_integer,
                                .is_required = true};

    // ask: (Tokens&, Arguments const&) -> Response. On a storage where no limit would hold there are no tokens.
    auto const asking = [&cache](auto ask) {
        return [&cache, ask](Request const&, Arguments const& arguments) {
            auto const tokens = cache.open_tokens(cache.ns_tokens);
            return tokens ? ask(**tokens, arguments) : error_reply(tokens.error());
        };
    };

    return {
        {.method = "POST",
         .path = "/tokens/create",
         .summary = "Make a token.",
         .body = {{.name = "token_name",
                   .description = "A letter or digit, then at most 127 of a-z 0-9 _ -; capitals become small.",
                   .is_required = true},
                  usage_limit,
                  {.name = "created_by", .description = "Who made it."},
                  {.name = "expires_at",
                   .description = "From this millisecond since 1970 on, UTC, it is refused; 0: never.",
                   .minimum = 0,
                   .maximum = largest_json_integer,
                   .fallback = "0"},
                  {.name = "metadata", .description = "Whatever belongs to it.", .is_json_object = true},
                  {.name = "block_size",
                   .description = "How many uses a process may lease at once; 0: it writes every use.",
                   .minimum = 0,
                   .maximum = 1'000'000'000,
                   .fallback = "0"}},
         .status = 201,
         .result = "The token.",
         .schema = "Token",
         .refusals = {409, 413},
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             return reply_with(
                 tokens.create(arguments.text("token_name"),
                               {.limit = static_cast<std::uint64_t>(arguments.integer("usage_limit")),
                                .created_by = arguments.text("created_by"),
                                .expires_at = from_millis(arguments.integer("expires_at")),
                                .metadata = arguments.object("metadata"),
                                .block_size = static_cast<std::uint64_t>(arguments.integer("block_size"))}),
                 201);
         })},
        {.method = "GET",
         .path = "/tokens",
         .summary = "Which tokens are there?",
         .parameters = token_listing_parameters(),
         .result = "Tokens, every one and by name if nothing else was asked for.",
         .schema = "Tokens",
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             auto all = tokens.list();
             return all ? json_reply(token_listing(*std::move(all), arguments)) : error_reply(all.error());
         })},
        {.method = "GET",
         .path = "/tokens/{name}",
         .summary = "What is this token like?",
         .parameters = {name},
         .result = "The token.",
         .schema = "Token",
         .refusals = {404},
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             auto const token = tokens.lookup(arguments.text("name"));
             if (!token)
                 return error_reply(token.error());
             return *token ? json_reply((*token)->to_json()) : error_reply(404, "not_found", "There is no such token.");
         })},
        {.method = "GET",
         .path = "/tokens/{name}/events",
         .summary = "How was it used?",
         .parameters =
             {name,
              {.name = "limit", .description = "At most so many.", .minimum = 1, .maximum = 10'000, .fallback = "100"}},
         .result = "Its uses and refusals, newest first.",
         .schema = "Token_Events",
         .refusals = {404},
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             return list_reply(
                 "events", tokens.events(arguments.text("name"), static_cast<std::size_t>(arguments.integer("limit"))));
         })},
        {.method = "POST",
         .path = "/tokens/{name}/use",
         .summary = "Use it once.",
         .parameters = {name},
         .body = {{.name = "ip_hash", .description = "Hash of the client's address; what is no hash is not kept."},
                  {.name = "action", .description = "What it is used for.", .fallback = Use_Of_Token().action},
                  {.name = "transfer_id", .description = "What it is used on."},
                  {.name = "action_id", .description = "Of this use: the same one again within a day counts once."}},
         .result = "Whether it was granted; a refusal is an answer too.",
         .schema = "Token_Use",
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             return reply_with(tokens.use(arguments.text("name"), {.ip_hash = arguments.text("ip_hash"),
                                                                   .action = arguments.text("action"),
                                                                   .transfer_id = arguments.text("transfer_id"),
                                                                   .action_id = arguments.text("action_id")}));
         })},
        {.method = "POST",
         .path = "/tokens/{name}/revoke",
         .summary = "Refuse it from now on.",
         .parameters = {name},
         .result = "The token.",
         .schema = "Token",
         .refusals = {404},
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             return reply_with(tokens.revoke(arguments.text("name")));
         })},
        {.method = "POST",
         .path = "/tokens/{name}/limit",
         .summary = "Give it another limit.",
         .parameters = {name},
         .body = {usage_limit},
         .result = "The token.",
         .schema = "Token",
         .refusals = {404},
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             return reply_with(tokens.set_limit(arguments.text("name"),
                                                static_cast<std::uint64_t>(arguments.integer("usage_limit"))));
         })},
        {.method = "POST",
         .path = "/tokens/{name}/reactivate",
         .summary = "Make a revoked or used-up token usable again; its uses stay counted.",
         .parameters = {name},
         .body = {usage_limit},
         .result = "The token.",
         .schema = "Token",
         .refusals = {404},
         .handler = asking([](auto& tokens, Arguments const& arguments) {
             return reply_with(tokens.reactivate(arguments.text("name"),
                                                 static_cast<std::uint64_t>(arguments.integer("usage_limit"))));
         })},
    };
}

} // namespace memfs_cache
