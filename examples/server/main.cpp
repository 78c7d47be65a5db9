// SPDX-License-Identifier: Apache-2.0
// A web site with its own analytics, tokens and transfers: the public address serves a folder, takes files and gives them
// out again, says whether a token may be used, and records every request; the admin address answers what happened and
// hands out tokens. What a program of your own needs is in run(); transfers are a product of its own beside it.
#include "transfer_api.hpp"
#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/http/public_api.hpp>
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/server/open_files.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/server/stop_signals.hpp>
#include <memfs_cache/storage/open.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <malloc.h>
#include <map>
#include <mutex>
#include <string>
#include <thread>

using namespace memfs_cache;
using example::Transfer_Store;

namespace {

using Options = std::map<std::string, std::string, std::less<>>;

void complain(std::string_view sentence) { std::cerr << "memfs_cache_example_server: " << sentence << std::endl; }

auto listen(Options const& options, std::string const& name, Handler handler, Observer observe, Server_Options limits)
    -> std::optional<Server> {
    auto const address = parse_listen_address(options.at("--" + name), "--" + name).value();
    if (!address)
        return std::nullopt;
    auto server = Server::start(*address, std::move(handler), std::move(observe), std::move(limits)).value();
    std::cout << name << "  http://" << server.address().str() << "/" << std::endl;
    return server;
}

auto transfer_options(Options const& options) -> example::Transfer_Options {
    auto const limit = parse_decimal(options.at("--upload-limit"));
    auto const& creators = options.at("--creators");
    if (!limit)
        throw Cache_Error(fail(Errc::invalid_argument, "--upload-limit takes a number of bytes"));
    if (creators != "all" && creators != "token")
        throw Cache_Error(fail(Errc::invalid_argument, "--creators takes all or token"));
    example::Transfer_Options chosen;
    chosen.upload_limit_bytes = *limit;
    chosen.needs_token = creators == "token";
    chosen.log = complain;
    return chosen;
}

/// Clears up behind transfers, at once and then every hour, while the program goes on.
class Sweeper {
  public:
    explicit Sweeper(Transfer_Store& transfers) : thread_([this, &transfers] { run(transfers); }) {}
    Sweeper(Sweeper const&) = delete;
    auto operator=(Sweeper const&) -> Sweeper& = delete;
    ~Sweeper() {
        {
            std::lock_guard const lock(mutex_);
            goes_on_ = false;
        }
        stopped_.notify_one();
        thread_.join();
    }

  private:
    void run(Transfer_Store& transfers) {
        do {
            if (auto const swept = transfers.sweep([this] { return goes_on_.load(); }); !swept)
                complain("Transfers could not be swept: " + swept.error().message());
        } while (!is_stopped_within(std::chrono::hours(1)));
    }
    auto is_stopped_within(std::chrono::steady_clock::duration time) -> bool {
        std::unique_lock lock(mutex_);
        return stopped_.wait_for(lock, time, [this] { return !goes_on_; });
    }

    std::mutex mutex_;
    std::condition_variable stopped_;
    std::atomic<bool> goes_on_{true};
    std::thread thread_;
};

void run(Options const& options, Stop_Signals& signals) {
    Cache_Service<Any_Storage> cache(open_storage(options.at("--storage")).value());
    auto& analytics = cache.analytics();
    analytics.prepare().value();

    auto const* const chosen = std::getenv("MEMFS_CACHE_ADMIN_KEY");
    auto const key = (chosen ? Admin_Key::from_text(chosen) : Admin_Key::from_file(options.at("--key-file"))).value();

    Server_Options limits;
    limits.log = complain;
    limits.max_connections = allow_connections(2, limits.max_connections);
    auto site_limits = limits;
    site_limits.counters = std::make_shared<Server_Counters>();
    site_limits.observer_may_wait = [&] { return analytics.recording_may_wait(); };
    auto const health = health_of({{"public", site_limits.counters}, {"admin", limits.counters}});

    auto const transfers =
        std::make_shared<Transfer_Store>(Transfer_Store::open(cache.storage(), cache.clock()).value());
    Public_Api const api(cache, Static_Files::open(options.at("--static")).value(), complain, 30,
                         transfer_routes(cache, transfers, transfer_options(options)));
    site_limits.receive = [&](Request const& request) { return api.receive(request); };
    site_limits.handler_may_wait = [&](Request const& request) { return api.may_wait(request); };
    auto site = listen(
        options, "public", api, [&](Request_View const& request) { api.record(analytics, request); }, site_limits);
    Sweeper const sweeper(*transfers);
    auto admin = listen(options, "admin", Admin_Api(cache, key, complain, health), {}, limits);
    std::cout << "key     " << (chosen ? "of MEMFS_CACHE_ADMIN_KEY" : "in " + options.at("--key-file"))
              << ", sent as X-API-Key; stop with Ctrl-C" << std::endl;

    (void)signals.wait();
    site.reset(); // the last requests end and are recorded before the cache is closed
    admin.reset();
    cache.close().value();
}

} // namespace

int main(int argc, char** argv) {
    Stop_Signals signals;      // before any thread, so that all of them leave the signals to it
    ::mallopt(M_ARENA_MAX, 2); // or each thread that moves pieces of payloads would keep room for some of its own
    Options options{{"--storage", "disk:./data"},
                    {"--public", "127.0.0.1:8080"},
                    {"--admin", "127.0.0.1:8081"},
                    {"--key-file", "./memfs-cache.key"},
                    {"--upload-limit", std::to_string(example::Transfer_Options().upload_limit_bytes)},
                    {"--creators", "all"},
                    {"--static", MEMFS_CACHE_EXAMPLE_SITE}};
    for (int i = 1; i < argc; i += 2) {
        auto const option = options.find(argv[i]);
        if (option == options.end() || i + 1 == argc) {
            complain("usage: [--storage URL] [--public ADDRESS | off] [--admin ADDRESS | off] [--key-file FILE] "
                     "[--static DIR] [--upload-limit BYTES] [--creators all | token]");
            return 2;
        }
        option->second = argv[i + 1];
    }
    try {
        run(options, signals);
        return 0;
    } catch (std::exception const& error) {
        complain(error.what());
        return 1;
    }
}
