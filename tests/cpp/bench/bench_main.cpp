// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

using namespace memfs_cache::bench;

namespace {

struct Arguments {
    std::string only;
    std::size_t rounds = 15;
};

auto parse(std::vector<std::string_view> const& words) -> std::optional<Arguments> {
    Arguments arguments;
    for (std::size_t i = 0; i < words.size(); i += 2) {
        if (i + 1 == words.size())
            return std::nullopt;
        auto const value = words[i + 1];
        if (words[i] == "--only") {
            arguments.only = value;
        } else if (words[i] == "--rounds") {
            auto const end = value.data() + value.size();
            auto const [stop, error] = std::from_chars(value.data(), end, arguments.rounds);
            if (error != std::errc() || stop != end || arguments.rounds == 0)
                return std::nullopt;
        } else {
            return std::nullopt;
        }
    }
    return arguments;
}

using Clock = std::function<double()>;

auto wall_clock() -> double {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Nanoseconds of all operations together.
auto time_of(Work const& work, std::size_t operations, Clock const& clock) -> double {
    auto const start = clock();
    work(operations);
    return clock() - start;
}

/// So many operations that a round takes long against the clock and short against the machine's moods.
auto operations_for_a_round(Work const& work, Clock const& clock) -> std::size_t {
    constexpr double round_ns = 2e7;
    std::size_t operations = 1;
    while (time_of(work, operations, clock) < round_ns / 2)
        operations *= 2;
    return operations;
}

auto median(std::vector<double> values) -> double {
    auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

auto in_words(double nanoseconds) -> std::string {
    auto const [value, unit] = nanoseconds < 1e3   ? std::pair(nanoseconds, "ns")
                               : nanoseconds < 1e6 ? std::pair(nanoseconds / 1e3, "us")
                                                   : std::pair(nanoseconds / 1e6, "ms");
    char text[32];
    std::snprintf(text, sizeof text, "%.3g %s", value, unit);
    return text;
}

/// One of the sides, over all rounds.
class Side {
  public:
    Side(Work const& work, std::size_t operations, Clock const& clock)
        : work_(work), clock_(clock), operations_(operations != 0 ? operations : operations_for_a_round(work, clock)) {}

    auto run() -> double {
        times_.push_back(time_of(work_, operations_, clock_) / static_cast<double>(operations_));
        return times_.back();
    }
    [[nodiscard]] auto text() const -> std::string { return in_words(median(times_)); }

  private:
    Work const& work_;
    Clock const& clock_;
    std::size_t operations_;
    std::vector<double> times_;
};

/// "median (least..greatest)"
auto in_words(std::vector<double> const& ratios) -> std::string {
    auto const [least, most] = std::minmax_element(ratios.begin(), ratios.end());
    char text[64];
    std::snprintf(text, sizeof text, "%.3g (%.3g..%.3g)", median(ratios), *least, *most);
    return text;
}

/// Runs the sides in turn, so that a change of the machine's speed meets all, and prints one line of the table.
void measure(Row const& row, std::size_t rounds) {
    auto const sides = row.make();
    auto const clock = sides.clock ? sides.clock : Clock(wall_clock);
    Side ours(sides.ours, row.operations, clock), limit(sides.limit, row.operations, clock);
    std::optional<Side> peer;
    if (sides.peer)
        peer.emplace(sides.peer, row.operations, clock);
    std::vector<double> to_limit, to_peer;
    for (std::size_t round = 0; round < rounds; ++round) {
        auto const our_time = ours.run();
        to_limit.push_back(our_time / limit.run());
        if (peer)
            to_peer.push_back(our_time / peer->run());
        if (sides.after_round)
            sides.after_round();
    }
    auto const peer_words = peer               ? row.peer + " | " + peer->text() + " | " + in_words(to_peer)
                            : row.peer.empty() ? std::string(" | | ")
                                               : row.peer + " (not here) | | ";
    std::printf("| %s | %s | %s | %s | %s | %s |\n", row.name.c_str(), ours.text().c_str(), row.limit.c_str(),
                limit.text().c_str(), in_words(to_limit).c_str(), peer_words.c_str());
    std::fflush(stdout);
}

} // namespace

auto main(int argc, char** argv) -> int {
    auto const arguments = parse({argv + 1, argv + argc});
    if (!arguments) {
        std::fputs("usage: memfs_cache_bench [--only PART_OF_A_NAME] [--rounds N]\n", stderr);
        return 2;
    }
    std::printf("%zu rounds\n\n"
                "| what | ours | limit of the machine | limit | ours to limit | peer | peer's | ours to peer's |\n"
                "|---|---|---|---|---|---|---|---|\n",
                arguments->rounds);
    bool measured = false;
    try {
        for (auto const& rows : {core_rows(), net_rows(), storage_rows(), sqlite_rows(), s3_rows(), events_rows(),
                                 entries_rows(), tokens_rows(), analytics_rows(), server_rows(), transfers_rows()})
            for (auto const& row : rows)
                if (row.name.find(arguments->only) != std::string::npos) {
                    measure(row, arguments->rounds);
                    measured = true;
                }
    } catch (std::exception const& error) {
        std::fprintf(stderr, "memfs_cache_bench: %s\n", error.what());
        return 1;
    }
    if (!measured)
        std::fprintf(stderr, "memfs_cache_bench: no row has \"%s\" in its name\n", arguments->only.c_str());
    return measured ? 0 : 1;
}
