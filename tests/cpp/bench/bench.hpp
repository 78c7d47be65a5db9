// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace memfs_cache::bench {

/// Does the measured thing so many times. The loop is inside, so that calling it costs nothing that counts.
using Work = std::function<void(std::size_t operations)>;

/// Those that are measured in turn.
struct Sides {
    Work ours;
    Work limit;                             ///< the least that the machine needs for the same
    Work peer = {};                         ///< a well-known way to do the same, where there is one on this machine
    std::function<void()> after_round = {}; ///< outside the clock: checks what was done and makes room for the next
    std::function<double()> clock = {};     ///< nanoseconds, where those on the wall do not say what is asked for
};

/// One line of the table. `make` sets up what the sides need; it runs only if the row is chosen.
struct Row {
    std::string name;  ///< what is done, such as "put, disk, 200 bytes"
    std::string limit; ///< what it is compared with
    std::function<Sides()> make;
    std::string peer = {};      ///< whose way the peer's is; "" for none
    std::size_t operations = 0; ///< in each round and on each side; 0: as many as take 20 ms
};

using Rows = std::vector<Row>;

// One function for each file of rows; bench_main.cpp calls them in this order.
[[nodiscard]] auto core_rows() -> Rows;
#if MEMFS_CACHE_HAS_S3
[[nodiscard]] auto net_rows() -> Rows;
[[nodiscard]] auto s3_rows() -> Rows;
#else
[[nodiscard]] inline auto net_rows() -> Rows { return {}; }
[[nodiscard]] inline auto s3_rows() -> Rows { return {}; }
#endif
[[nodiscard]] auto storage_rows() -> Rows;
#if MEMFS_CACHE_HAS_SQLITE
[[nodiscard]] auto sqlite_rows() -> Rows;
#else
[[nodiscard]] inline auto sqlite_rows() -> Rows { return {}; }
#endif
[[nodiscard]] auto events_rows() -> Rows;
[[nodiscard]] auto entries_rows() -> Rows;
[[nodiscard]] auto tokens_rows() -> Rows;
[[nodiscard]] auto analytics_rows() -> Rows;
#ifdef MEMFS_CACHE_BENCH_SERVER
[[nodiscard]] auto server_rows() -> Rows;
[[nodiscard]] auto transfers_rows() -> Rows;
#else
[[nodiscard]] inline auto server_rows() -> Rows { return {}; }
[[nodiscard]] inline auto transfers_rows() -> Rows { return {}; }
#endif

/// Does `work` so many times, shared out among threads.
template <class Do>
void from_threads(std::size_t threads, std::size_t operations, Do&& work) {
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < threads; ++i)
        others.emplace_back([&] { work(operations / threads); });
    work(operations - (threads - 1) * (operations / threads));
    for (auto& other : others)
        other.join();
}

/// Makes the compiler believe that the value is used and that all memory may have been read.
template <class T>
void keep(T const& value) {
    asm volatile("" : : "g"(&value) : "memory");
}

} // namespace memfs_cache::bench
