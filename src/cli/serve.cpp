// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/http/cache_api.hpp>
#include <memfs_cache/http/public_api.hpp>
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/server/open_files.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/server/stop_signals.hpp>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>

using namespace memfs_cache;

namespace {

struct Serve_Options {
    Store_Options store;
    std::string public_address = "127.0.0.1:8080";
    std::string admin_address = "127.0.0.1:8081";
    std::string cache_address = "off";
    Cache_Api_Key cache_key = Cache_Api_Key::from_environment();
    bool strict_compat = true;
    std::uint64_t cache_body_limit_bytes = 16 << 20;
    std::string key_file = "./memfs-cache.key";
    std::string site;
    std::string recording = "buffered";
    std::string trusted_proxies;
    std::string exclude_paths;
    std::string visitor_key = "ip";
    std::string share_url_base;
    std::uint32_t token_check_per_minute = 30;
    bool keep_country = true;
    Costs_Options costs;
    std::optional<std::uint64_t> flush_interval_ms;
    std::uint64_t buffer_bytes = Event_Log_Options().buffer_bytes;
    std::uint64_t summary_cache_bytes = Analytics_Options().summary_cache_bytes;
    std::uint64_t idle_timeout_ms = 60'000;
    std::uint64_t request_timeout_ms = 30'000;
    std::uint64_t stop_timeout_ms = 10'000;
    Server_Options server;
};

/// What the public address answers without a folder: nothing but that there is nothing.
auto no_site(Request const&) -> Response { return error_reply(404, "not_found", "nothing is served at this path"); }

/// The folder, file or bucket of a storage's URL.
auto location_of(std::string_view url) -> std::string {
    auto const colon = std::min(url.find(':') + 1, url.size());
    auto const is_bucket = url.starts_with("s3://");
    auto const rest = url.substr(is_bucket ? 5 : colon);
    return std::string(is_bucket ? rest.substr(0, rest.find_first_of("/?")) : rest);
}

auto service_options(Serve_Options const& options) -> Service_Options {
    auto service = options.store.service_options();
    auto& analytics = service.analytics;
    analytics.log.mode = or_exit(about("--recording", parse_recording_mode(options.recording)));
    if (options.flush_interval_ms)
        analytics.log.flush_interval = std::chrono::milliseconds(*options.flush_interval_ms);
    analytics.log.buffer_bytes = options.buffer_bytes;
    analytics.summary_cache_bytes = options.summary_cache_bytes;
    analytics.keep_country = options.keep_country;
    analytics.visitor_key = options.visitor_key == "ip_ua"  ? Visitor_Key::ip_ua
                            : options.visitor_key == "none" ? Visitor_Key::none
                                                            : Visitor_Key::ip;
    analytics.trusted_proxies = or_exit(about("--trusted-proxies", Trusted_Proxies::parse(options.trusted_proxies)));
    analytics.exclude_paths = or_exit(about("--exclude-paths", Excluded_Paths::parse(options.exclude_paths)));
    service.costs = options.costs;
    service.tokens.share_url_base = options.share_url_base;
    service.tokens.summary_cache_bytes = options.summary_cache_bytes;
    service.tokens.log = analytics.log;
    service.tokens.log.settings = {}; // how a log was begun is asked for of analytics only
    return service;
}

auto server_options(Serve_Options const& options, std::size_t servers) -> Server_Options {
    auto server = options.server;
    server.idle_timeout = std::chrono::milliseconds(options.idle_timeout_ms);
    server.request_timeout = std::chrono::milliseconds(options.request_timeout_ms);
    server.stop_timeout = std::chrono::milliseconds(options.stop_timeout_ms);
    server.log = complain;
    auto const wanted = std::exchange(server.max_connections, allow_connections(servers, server.max_connections));
    if (server.max_connections < wanted)
        complain("--max-connections: the system allows files for " + std::to_string(server.max_connections) +
                 " connections only; raise the limit of open files (ulimit -Hn)");
    return server;
}

/// Starts one server, and says where it listens.
auto start(char const* title, Listen_Address const& address, Handler handler, Observer observe, Server_Options options)
    -> Server {
    auto server = or_exit(Server::start(address, std::move(handler), std::move(observe), std::move(options)));
    std::printf("%-7s http://%s\n", title, server.address().str().c_str());
    std::fflush(stdout); // whoever waits for the address may read from a pipe
    return server;
}

auto run(Serve_Options const& options) -> int {
    Stop_Signals signals; // before any thread, so that all of them leave the signals to it
    auto const public_address = or_exit(parse_listen_address(options.public_address, "--public"));
    auto const admin_address = or_exit(parse_listen_address(options.admin_address, "--admin"));
    auto const cache_address = or_exit(parse_listen_address(options.cache_address, "--cache"));
    auto const servers =
        std::size_t{public_address.has_value()} + admin_address.has_value() + cache_address.has_value();
    if (servers == 0)
        throw Failure{wrong_usage,
                      fail(Errc::invalid_argument, "--public, --admin and --cache are all off: nothing to serve")};
    auto const service = service_options(options);
    auto const limits = server_options(options, servers);
    Cache_Service<Any_Storage> cache(options.store.open_storage(), service);
    auto& analytics = *or_exit(cache.open_analytics(cache.ns_analytics));

    std::map<std::string, std::shared_ptr<Server_Counters const>> counters;
    std::optional<Server> site, admin, values;
    if (public_address) {
        Handler handler = no_site;
        if (!options.site.empty())
            handler = or_exit(about("--static", Static_Files::open(options.site)));
        if (auto const prepared = analytics.prepare(); !prepared) // no reason not to serve; it is tried again
            complain(prepared.error().context);
        Public_Api const api(cache, std::move(handler), complain, options.token_check_per_minute);
        auto const observe = [&analytics, api](Request_View const& request) { api.record(analytics, request); };
        auto site_options = limits;
        site_options.observer_may_wait = [&analytics] { return analytics.recording_may_wait(); };
        site_options.observe_before_end = service.analytics.log.mode == Recording_Mode::per_request;
        counters["public"] = site_options.counters = std::make_shared<Server_Counters>();
        site.emplace(start("public", *public_address, api, observe, site_options));
    }
    if (cache_address) {
        Cache_Api_Options api_options{options.cache_key, options.strict_compat, location_of(options.store.url),
                                      complain};
        if (options.cache_key.name.empty() || options.cache_key.value.empty())
            complain("--cache: no key is set (--cache-key-name, --cache-key-value), so every request is refused");
        auto cache_limits = limits;
        cache_limits.body_limit_bytes = options.cache_body_limit_bytes;
        cache_limits.counters = std::make_shared<Server_Counters>();
        counters["cache"] = cache_limits.counters;
        values.emplace(start("cache", *cache_address, Cache_Api(cache, std::move(api_options)), {}, cache_limits));
    }
    if (admin_address) {
        auto const* const chosen = std::getenv("MEMFS_CACHE_ADMIN_KEY"); // NOLINT(concurrency-mt-unsafe)
        auto const key = or_exit(chosen != nullptr ? about("MEMFS_CACHE_ADMIN_KEY", Admin_Key::from_text(chosen))
                                                   : Admin_Key::from_file(options.key_file));
        counters["admin"] = limits.counters;
        Admin_Api<Any_Storage> const api(cache, key, complain, health_of(counters));
        admin.emplace(start("admin", *admin_address, api, {}, limits));
        std::printf("key     %s\n",
                    chosen != nullptr ? "of MEMFS_CACHE_ADMIN_KEY" : ("in " + options.key_file).c_str());
        std::fflush(stdout);
    }

    (void)signals.wait();
    site.reset(); // the last requests end and are recorded before the cache is closed
    admin.reset();
    values.reset();
    or_exit(cache.close());
    return done;
}

/// The same for a number of bytes: 16384, 16KiB.
template <class T>
void add_bytes(CLI::App& command, std::string const& name, T& value, std::string const& help) {
    add(command, name, value, help)->transform(CLI::AsSizeValue(false));
}

template <class T>
void add_milliseconds(CLI::App& command, std::string const& name, T& value, std::string const& help) {
    add(command, name, value, help)->check(CLI::Range(std::uint64_t{1}, std::uint64_t{86'400'000}));
}

} // namespace

auto add_serve(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Serve_Options>();
    auto* command = app.add_subcommand("serve", "Serve a site and record its requests; answer admin questions");
    options->store.add_to(*command);
    auto& server = options->server;
    command->add_option("--public", options->public_address, "HOST:PORT or off")->capture_default_str();
    command->add_option("--admin", options->admin_address, "HOST:PORT or off")->capture_default_str();
    command->add_option("--cache", options->cache_address, "the Python cache service's API: HOST:PORT or off")
        ->capture_default_str();
    command->add_option("--cache-key-name", options->cache_key.name, "header or cookie that carries its key")
        ->envname("FAST_API__AUTH__API_KEY__NAME");
    command->add_option("--cache-key-value", options->cache_key.value, "that key, best given in the environment")
        ->envname("FAST_API__AUTH__API_KEY__VALUE");
    add(*command, "strict-compat", options->strict_compat,
        "false: sizes, counts and codes of the cache API as one would expect them");
    add_bytes(*command, "cache-body-limit", options->cache_body_limit_bytes, "value that the cache API takes");
    command->add_option("--static", options->site, "folder that the public address serves");
    command->add_option("--key-file", options->key_file, "admin key, made at the first start")->capture_default_str();
    add(*command, "recording", options->recording, "buffered, durable, per_request or off");
    add_milliseconds(*command, "flush-interval-ms", options->flush_interval_ms,
                     "most that a crash loses when buffered; 100, and 1000 in a bucket");
    add_bytes(*command, "buffer-bytes", options->buffer_bytes, "waiting for the storage; beyond it events are dropped");
    add_bytes(*command, "summary-cache-bytes", options->summary_cache_bytes, "of windows kept decoded");
    add(*command, "visitor-key", options->visitor_key, "count visitors by ip, ip_ua or none")
        ->check(CLI::IsMember({"ip", "ip_ua", "none"}));
    add(*command, "trusted-proxies", options->trusted_proxies, "whose X-Forwarded-For is believed");
    add(*command, "exclude-paths", options->exclude_paths, "paths that are not recorded: /health, /static/*");
    add(*command, "country-header", server.country_header, "header of a trusted proxy with the country");
    add(*command, "keep-country", options->keep_country, "false: no country is stored, whoever gives one");
    add(*command, "share-url-base", options->share_url_base,
        "what the name of a token is put behind for its share_url");
    add(*command, "accept-credits", options->costs.accept_credits, "true: costs may be below zero");
    add(*command, "costs-endpoint-url", options->costs.costs_endpoint_url, "of Cost Explorer, if not that of Amazon");
    add(*command, "costs-region", options->costs.costs_region, "of that endpoint");
    add(*command, "token-check-per-minute", options->token_check_per_minute, "public checks of tokens, of each client")
        ->check(CLI::Range(1, 1'000'000));
    add(*command, "max-connections", server.max_connections, "of each address; then those give way that wait longest")
        ->check(CLI::PositiveNumber);
    add_bytes(*command, "header-limit", server.header_limit_bytes, "request line and headers");
    add_bytes(*command, "target-limit", server.target_limit_bytes, "request target");
    add_bytes(*command, "body-limit", server.body_limit_bytes, "body of a request");
    add_bytes(*command, "bodies-limit", server.bodies_limit_bytes, "all bodies that are coming in");
    add_milliseconds(*command, "idle-timeout-ms", options->idle_timeout_ms,
                     "wait for the next request or a stalled client");
    add_milliseconds(*command, "request-timeout-ms", options->request_timeout_ms, "wait for the headers of a request");
    add_milliseconds(*command, "stop-timeout-ms", options->stop_timeout_ms, "wait for running requests at the end");
    return [options] { return run(*options); };
}
