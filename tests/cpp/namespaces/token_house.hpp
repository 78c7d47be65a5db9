// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/scratch_folder.hpp"
#include <memfs_cache/namespaces/tokens.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <thread>
#include <unistd.h>

/// Tokens as tests open them, in this process and in others.
namespace memfs_cache::testing {

inline auto const start = from_millis(1'770'991'506'789); // 2026-02-13T14:05:06.789Z

template <class Storage>
auto open_tokens(Storage& storage,
                 Clock_Ptr clock = std::make_shared<Manual_Clock>(start),
                 Tokens_Options options = {}) {
    return Tokens<Storage>::open(storage, "cache", Namespace_Name("tokens"), std::move(clock), std::move(options))
        .value();
}

inline auto reason(Result<Token_Use> const& use) -> std::string { return std::string(use.value().rejection_reason); }

/// Runs `act` in so many threads.
template <class Act>
void from_threads(int count, Act const& act) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i)
        threads.emplace_back(act);
    for (auto& thread : threads)
        thread.join();
}

/// Runs `act` in so many processes, each with a handle of its own on the folder, and requires that all end well.
/// @param  act  (Tokens<Storage_Disk>&, report) -> bool: whether all went well; it may report from any thread
/// @return how often they reported
template <class Act>
auto in_processes(int count, std::filesystem::path const& folder, Act const& act) -> int {
    int reports[2];
    REQUIRE(::pipe(reports) == 0);
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i) {
        auto const child = ::fork();
        if (child == 0) {
            ::alarm(60);
            bool good = false;
            {
                auto own = Storage_Disk::open(folder).value();
                auto const tokens = open_tokens(own, std::make_shared<System_Clock>());
                good = act(*tokens, [&] { (void)!::write(reports[1], "x", 1); }) && tokens->close();
            }
            ::_exit(good ? 0 : 1);
        }
        children.push_back(child);
    }
    ::close(reports[1]);
    int reported = 0;
    char bytes[256];
    for (ssize_t got = 0; (got = ::read(reports[0], bytes, sizeof bytes)) > 0;)
        reported += static_cast<int>(got);
    ::close(reports[0]);
    for (auto const child : children) {
        int status = 1;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    return reported;
}

template <class Storage>
auto this_month(Tokens<Storage>& tokens, std::string_view name) -> Token_Figures {
    auto const month = Window::containing(Window_Type::monthly, System_Clock().now());
    return tokens.aggregation(name, "monthly", month.key()).value();
}

} // namespace memfs_cache::testing
