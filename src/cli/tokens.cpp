// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/http/router.hpp>

#include <boost/json.hpp>

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

using namespace memfs_cache;

namespace {

struct Token_Options {
    Store_Options store;
    std::string share_url_base;
    bool json = false;

    std::string name;
    std::int64_t limit = 0; // signed as read, since -1 would be taken for a very large number
    std::string created_by;
    std::int64_t expires_at = 0;
    std::string metadata = "{}";
    std::int64_t block_size = 0;
    std::optional<std::int64_t> older_than_seconds;
    Use_Of_Token use;
    std::size_t most_events = 100;
};

auto uses(Token const& token) -> std::string {
    auto text = std::to_string(token.usage_count);
    text += token.remaining ? " of " + std::to_string(token.usage_limit) : std::string(", not limited");
    if (auto const leased = token.usage_count - token.usage_count_min; leased > 0)
        text += ", " + std::to_string(leased) + " leased";
    return text;
}

void show(Token const& token) {
    auto const line = [](char const* title, std::string const& value) {
        if (!value.empty())
            std::printf("%-10s %s\n", title, value.c_str());
    };
    line("token", token.token_name);
    line("status", std::string(to_text(token.status)));
    line("uses", uses(token));
    line("created", time_text(token.created_at));
    line("by", token.created_by.empty() ? "" : harmless(token.created_by));
    line("expires", time_text(token.expires_at));
    line("revoked", time_text(token.revoked_at));
    line("last used", time_text(token.last_used_at));
    line("metadata", token.metadata.empty() ? "" : harmless(json_text(token.metadata)));
    line("link", token.share_url);
}

void show_line(Token const& token) {
    std::printf("%-10s %-20s %s\n", std::string(to_text(token.status)).c_str(), uses(token).c_str(),
                token.token_name.c_str());
}

void show(Token_Event const& event) {
    auto const when = time_text(event.timestamp);
    if (event.charged > 0) {
        std::printf("%s  %-10s %s\n", when.c_str(), "charged", std::to_string(event.charged).c_str());
        return;
    }
    std::printf("%s  %-10s %s%s\n", when.c_str(), event.accepted() ? "granted" : event.rejection_reason.c_str(),
                harmless(event.action).c_str(),
                event.transfer_id.empty() ? "" : ("  " + harmless(event.transfer_id)).c_str());
}

void show(Token_Use const& use) {
    auto const outcome = !use.success    ? "refused: " + std::string(use.rejection_reason)
                         : use.remaining ? "granted, " + std::to_string(*use.remaining) + " left"
                                         : std::string("granted, not limited");
    std::printf("%s\n", outcome.c_str());
}

using Store_Tokens = Tokens<Any_Storage>;

auto limit_of(Token_Options const& options) -> std::uint64_t { return static_cast<std::uint64_t>(options.limit); }

auto tell_token(Token_Options const& options, Result<Token> token) -> int {
    tell(options.json, or_exit(std::move(token)), [](Token const& it) { show(it); });
    return done;
}

auto create(Store_Tokens& tokens, Token_Options const& options) -> int {
    auto metadata = parse_object(options.metadata, "--metadata");
    if (!metadata)
        throw Failure{wrong_usage, fail(Errc::invalid_argument, "--metadata: give one JSON object")};
    New_Token const wanted{limit_of(options), options.created_by, from_millis(options.expires_at), *std::move(metadata),
                           static_cast<std::uint64_t>(options.block_size)};
    return tell_token(options, tokens.create(options.name, wanted));
}

auto show_one(Store_Tokens& tokens, Token_Options const& options) -> int {
    auto token = or_exit(tokens.lookup(options.name));
    if (!token)
        throw Failure{failed, fail(Errc::not_found, "there is no such token")};
    return tell_token(options, *std::move(token));
}

auto list(Store_Tokens& tokens, Token_Options const& options) -> int {
    for (auto const& token : or_exit(tokens.list()))
        tell(options.json, token, &show_line);
    return done;
}

auto use(Store_Tokens& tokens, Token_Options const& options) -> int {
    auto const used = or_exit(tokens.use(options.name, options.use));
    tell(options.json, used, [](Token_Use const& it) { show(it); });
    return used.success ? done : failed;
}

auto revoke(Store_Tokens& tokens, Token_Options const& options) -> int {
    return tell_token(options, tokens.revoke(options.name));
}

auto set_limit(Store_Tokens& tokens, Token_Options const& options) -> int {
    return tell_token(options, tokens.set_limit(options.name, limit_of(options)));
}

auto reactivate(Store_Tokens& tokens, Token_Options const& options) -> int {
    return tell_token(options, tokens.reactivate(options.name, limit_of(options)));
}

auto settle(Store_Tokens& tokens, Token_Options const& options) -> int {
    std::optional<std::chrono::milliseconds> leased_before;
    if (options.older_than_seconds)
        leased_before = std::chrono::seconds(*options.older_than_seconds);
    return tell_token(options, tokens.settle(options.name, leased_before));
}

auto events(Store_Tokens& tokens, Token_Options const& options) -> int {
    for (auto const& event : or_exit(tokens.events(options.name, options.most_events)))
        tell(options.json, event, [](Token_Event const& it) { show(it); });
    return done;
}

using Act = int (*)(Store_Tokens&, Token_Options const&);

auto run(Act act, Token_Options const& options) -> int {
    auto service_options = options.store.service_options();
    service_options.tokens.share_url_base = options.share_url_base;
    Cache_Service<Any_Storage> cache(options.store.open_storage(), std::move(service_options));
    auto const code = act(*or_exit(cache.open_tokens(cache.ns_tokens)), options);
    or_exit(cache.close());
    return code;
}

} // namespace

auto add_tokens(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Token_Options>();
    auto* command = app.add_subcommand("tokens", "Hand out tokens, and see how they are used");
    command->require_subcommand(1);
    options->store.add_to(*command);
    add(*command, "share-url-base", options->share_url_base,
        "what the name of a token is put behind for its share_url");
    command->add_flag("--json", options->json, "one JSON object a line");

    Acts<Act> acts;
    auto const add_act = [&](char const* name, char const* help, Act act) -> CLI::App& {
        return acts.add(*command, name, help, act);
    };
    auto const add_act_on_one = [&](char const* name, char const* help, Act act) -> CLI::App& {
        auto& leaf = add_act(name, help, act);
        leaf.add_option("name", options->name, "of the token, in any case")->required();
        return leaf;
    };
    CLI::Range const whole_number(std::int64_t{0}, largest_json_integer);
    auto const add_limit = [&](CLI::App& leaf) {
        leaf.add_option("limit,--limit", options->limit, "how often in all; 0: as often as one likes")
            ->required()
            ->check(whole_number);
    };

    auto& create_act = add_act_on_one("create", "Make a token", &create);
    add_limit(create_act);
    create_act.add_option("--created-by", options->created_by, "who made it");
    create_act.add_option("--expires-at", options->expires_at, "milliseconds since 1970, UTC; 0: never")
        ->check(whole_number);
    create_act.add_option("--metadata", options->metadata, "whatever belongs to it, as a JSON object");
    create_act.add_option("--block-size", options->block_size, "uses that a process may lease at once; 0: none")
        ->capture_default_str()
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}));
    add_act_on_one("show", "Say what a token is like", &show_one);
    add_act("list", "Every token, by name", &list);
    auto& use_act = add_act_on_one("use", "Use a token once; exit code 1 if it is refused", &use);
    use_act.add_option("--ip-hash", options->use.ip_hash, "hash of the client's address");
    use_act.add_option("--action", options->use.action, "what for")->capture_default_str();
    use_act.add_option("--transfer-id", options->use.transfer_id, "what on");
    use_act.add_option("--action-id", options->use.action_id, "the same one again within a day counts once");
    add_act_on_one("revoke", "Refuse a token from now on", &revoke);
    add_limit(add_act_on_one("limit", "Give a token another limit", &set_limit));
    add_limit(add_act_on_one("reactivate", "Make a revoked or used-up token usable again", &reactivate));
    add_act_on_one("settle", "Charge in full what processes have leased that are gone", &settle)
        .add_option("--older-than", options->older_than_seconds,
                    "seconds: also what was leased so long ago by processes that may live; they lease anew")
        ->check(whole_number);
    add_act_on_one("events", "Its last uses and refusals, newest first", &events)
        .add_option("--limit", options->most_events, "at most so many")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));

    return [options, acts] { return acts.run([&](Act act) { return run(act, *options); }); };
}
