// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/storage/open.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

/// One process of a store that several machines share, for drills in which processes and servers are killed:
///
///     worker use    URL TOKEN THREADS           uses a token until it is refused; "granted N" each 100 ms and at the end
///     worker record URL PATH PER_SECOND SECONDS records requests; "landed N" of those that are known to be stored
///
/// What it printed is acknowledged: nothing of that may be missing afterwards. It ends with "done".
namespace {

using namespace memfs_cache;
using Service = Cache_Service<Any_Storage>;
using Steady = std::chrono::steady_clock;

void say(char const* word, std::uint64_t number) {
    std::printf("%s %llu\n", word, static_cast<unsigned long long>(number));
    std::fflush(stdout);
}

/// Uses that are refused, or fail for longer than a minute, end the thread.
void use_up(Service& cache, std::string const& token, std::atomic<std::uint64_t>& granted) {
    auto last_success = Steady::now();
    for (;;) {
        auto const use = cache.use_token(token);
        if (use && use->success) {
            ++granted;
            last_success = Steady::now();
        } else if (use || Steady::now() - last_success > std::chrono::minutes(1)) {
            if (!use)
                std::fprintf(stderr, "%s\n", use.error().message().c_str());
            return;
        }
    }
}

auto run_use(Service& cache, std::string const& token, std::size_t threads) -> int {
    std::atomic<std::uint64_t> granted{0};
    std::atomic<std::size_t> working{threads};
    std::vector<std::thread> users;
    auto const begun = Steady::now();
    for (std::size_t i = 0; i < threads; ++i)
        users.emplace_back([&] {
            use_up(cache, token, granted);
            --working;
        });
    while (working > 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        say("granted", granted);
    }
    for (auto& user : users)
        user.join();
    auto const took = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - begun).count();
    cache.close().value();
    say("granted", granted);
    say("milliseconds", static_cast<std::uint64_t>(took));
    return 0;
}

auto run_record(Service& cache, std::string const& path, std::uint64_t per_second, std::uint64_t seconds) -> int {
    auto& analytics = cache.analytics();
    auto const landed = [&] { say("landed", analytics.log().counts().landed); };
    auto const begun = Steady::now();
    auto const total = per_second * seconds;
    for (std::uint64_t recorded = 0; recorded < total;) {
        analytics.record_request({.method = "GET", .target = path, .status = 200});
        if (++recorded % (per_second / 10) == 0) {
            landed();
            std::this_thread::sleep_until(begun + std::chrono::milliseconds(recorded * 1000 / per_second));
        }
    }
    for (int tries = 0; !cache.flush(); ++tries)
        if (tries == 60)
            return 1;
        else
            std::this_thread::sleep_for(std::chrono::seconds(1));
    landed();
    cache.close().value();
    say("puts", cache.storage().counters().writes);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> const words(argv + 1, argv + argc);
    bool const uses = words.size() == 4 && words[0] == "use";
    bool const records = words.size() == 5 && words[0] == "record";
    if (!uses && !records) {
        std::fprintf(stderr, "use URL TOKEN THREADS | record URL PATH PER_SECOND SECONDS\n");
        return 2;
    }
    auto opened = open_storage(words[1]);
    if (!opened) {
        std::fprintf(stderr, "%s\n", opened.error().message().c_str());
        return 1;
    }
    Service cache(*std::move(opened));
    auto const code = uses ? run_use(cache, words[2], std::stoul(words[3]))
                           : run_record(cache, words[2], std::stoull(words[3]), std::stoull(words[4]));
    if (code == 0)
        std::printf("done\n");
    return code;
}
