// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/server/stop_signals.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>

using namespace memfs_cache;

namespace {

struct Serve_Options {
    Store_Options store;
    std::string public_address = "127.0.0.1:8080";
    std::string admin_address = "127.0.0.1:8081";
    std::string key_file = "./memfs-cache.key";
    std::string site;
    std::string recording = "buffered";
    std::string trusted_proxies;
    std::string visitor_key = "ip";
    std::uint64_t flush_interval_ms = 100;
    Server_Options server;
};

/// What the public address answers without a folder: nothing but that there is nothing.
auto no_site(Request const&) -> Response { return error_reply(404, "not_found", "nothing is served at this path"); }

auto service_options(Serve_Options const& options) -> Service_Options {
    auto service = options.store.service_options();
    auto& analytics = service.analytics;
    analytics.log.mode = options.recording == "durable" ? Recording_Mode::durable : Recording_Mode::buffered;
    analytics.log.flush_interval = std::chrono::milliseconds(options.flush_interval_ms);
    analytics.visitor_key = options.visitor_key == "ip_ua"  ? Visitor_Key::ip_ua
                            : options.visitor_key == "none" ? Visitor_Key::none
                                                            : Visitor_Key::ip;
    analytics.trusted_proxies = or_exit(about("--trusted-proxies", Trusted_Proxies::parse(options.trusted_proxies)));
    return service;
}

/// Starts one server, and says where it listens.
auto start(char const* title, Listen_Address const& address, Handler handler, Observer observe, Server_Options options)
    -> Server {
    options.log = complain;
    auto server = or_exit(Server::start(address, std::move(handler), std::move(observe), std::move(options)));
    std::printf("%-7s http://%s\n", title, server.address().str().c_str());
    std::fflush(stdout); // whoever waits for the address may read from a pipe
    return server;
}

auto run(Serve_Options const& options) -> int {
    Stop_Signals signals; // before any thread, so that all of them leave the signals to it
    auto const public_address = or_exit(parse_listen_address(options.public_address, "--public"));
    auto const admin_address = or_exit(parse_listen_address(options.admin_address, "--admin"));
    if (!public_address && !admin_address)
        throw Failure{wrong_usage, fail(Errc::invalid_argument, "--public and --admin are both off: nothing to serve")};
    auto const service = service_options(options);
    Cache_Service<Any_Storage> cache(options.store.open_storage(), service);
    auto& analytics = *or_exit(cache.open_analytics(cache.ns_analytics));

    std::optional<Server> site, admin;
    if (public_address) {
        Handler handler = no_site;
        if (!options.site.empty())
            handler = or_exit(about("--static", Static_Files::open(options.site)));
        auto const observe = [&analytics](Request_View const& request) { analytics.record_request(request); };
        site.emplace(start("public", *public_address, std::move(handler), observe, options.server));
    }
    if (admin_address) {
        auto const* const chosen = std::getenv("MEMFS_CACHE_ADMIN_KEY"); // NOLINT(concurrency-mt-unsafe)
        auto const key = or_exit(chosen != nullptr ? about("MEMFS_CACHE_ADMIN_KEY", Admin_Key::from_text(chosen))
                                                   : Admin_Key::from_file(options.key_file));
        admin.emplace(start("admin", *admin_address, Admin_Api<Any_Storage>(cache, key, complain), {}, options.server));
        std::printf("key     %s\n",
                    chosen != nullptr ? "of MEMFS_CACHE_ADMIN_KEY" : ("in " + options.key_file).c_str());
        std::fflush(stdout);
    }

    (void)signals.wait();
    site.reset(); // the last requests end and are recorded before the cache is closed
    admin.reset();
    or_exit(cache.close());
    return done;
}

} // namespace

auto add_serve(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Serve_Options>();
    auto* command = app.add_subcommand("serve", "Serve a site and record its requests; answer admin questions");
    options->store.add_to(*command);
    command->add_option("--public", options->public_address, "HOST:PORT or off")->capture_default_str();
    command->add_option("--admin", options->admin_address, "HOST:PORT or off")->capture_default_str();
    command->add_option("--static", options->site, "folder that the public address serves");
    command->add_option("--key-file", options->key_file, "admin key, made at the first start")->capture_default_str();
    command->add_option("--recording", options->recording, "buffered or durable")
        ->capture_default_str()
        ->check(CLI::IsMember({"buffered", "durable"}))
        ->envname("MEMFS_CACHE_RECORDING");
    command->add_option("--flush-interval-ms", options->flush_interval_ms, "most that a crash loses when buffered")
        ->capture_default_str()
        ->check(CLI::Range(1, 60'000))
        ->envname("MEMFS_CACHE_FLUSH_INTERVAL_MS");
    command->add_option("--visitor-key", options->visitor_key, "count visitors by ip, ip_ua or none")
        ->capture_default_str()
        ->check(CLI::IsMember({"ip", "ip_ua", "none"}))
        ->envname("MEMFS_CACHE_VISITOR_KEY");
    command->add_option("--trusted-proxies", options->trusted_proxies, "whose X-Forwarded-For is believed")
        ->envname("MEMFS_CACHE_TRUSTED_PROXIES");
    command
        ->add_option("--country-header", options->server.country_header, "header of a trusted proxy with the country")
        ->envname("MEMFS_CACHE_COUNTRY_HEADER");
    command->add_option("--max-connections", options->server.max_connections)
        ->capture_default_str()
        ->envname("MEMFS_CACHE_MAX_CONNECTIONS");
    command->add_option("--header-limit", options->server.header_limit_bytes, "bytes")
        ->capture_default_str()
        ->envname("MEMFS_CACHE_HEADER_LIMIT");
    command->add_option("--body-limit", options->server.body_limit_bytes, "bytes")
        ->capture_default_str()
        ->envname("MEMFS_CACHE_BODY_LIMIT");
    return [options] { return run(*options); };
}
