// SPDX-License-Identifier: Apache-2.0
// Says what the summaries make of a million visitors and a million names, for a recount in another language. The streams
// are those of tests/python/test_sketches.py.
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

using namespace memfs_cache;

namespace {

constexpr std::uint64_t million = 1'000'000;

auto splitmix64(std::uint64_t i) noexcept -> std::uint64_t {
    auto z = (i + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/// Flat: each of a million names once, in disorder. Heavy: the share of a name falls with its rank, as Zipf's law has it.
auto name(std::string_view kind, std::uint64_t i) -> std::string {
    if (kind == "flat")
        return "/page/" + std::to_string(i * 7'919 % million);
    auto const random = splitmix64(i);
    return "/page/" + std::to_string((random >> 8) % (std::uint64_t{2} << random % 20));
}

auto saved_and_read(Name_Counts counts) -> Name_Counts {
    counts.settle();
    std::string text;
    counts.append_json(text);
    Name_Counts read;
    read.merge_json(text).value();
    return read;
}

/// Twelve parts as months of a year, each of four: finals are built in this way.
auto in_order(std::string_view kind) -> Name_Counts {
    Name_Counts year;
    std::uint64_t i = 0;
    for (std::uint64_t month = 1; month <= 12; ++month) {
        Name_Counts sum;
        for (std::uint64_t week = 1; week <= 4; ++week) {
            Name_Counts part;
            for (; i < million * (4 * (month - 1) + week) / 48; ++i)
                part.add(name(kind, i));
            sum.merge(saved_and_read(std::move(part)));
        }
        year.merge(saved_and_read(std::move(sum)));
    }
    return saved_and_read(std::move(year));
}

/// Sixty-four parts that have a little of everything, merged two by two.
auto as_a_tree(std::string_view kind) -> Name_Counts {
    std::vector<Name_Counts> parts(64);
    for (std::uint64_t i = 0; i < million; ++i)
        parts[splitmix64(i ^ 0xabc) % parts.size()].add(name(kind, i));
    while (parts.size() > 1) {
        for (std::size_t i = 0; i < parts.size() / 2; ++i)
            parts[i].merge(parts[parts.size() - 1 - i]);
        parts.resize(parts.size() / 2);
    }
    return saved_and_read(std::move(parts.front()));
}

void print(Name_Counts const& counts) {
    std::string text;
    counts.ranking(SIZE_MAX, SIZE_MAX).append_json(text);
    std::printf("%s\n", text.c_str());
}

} // namespace

auto main() -> int {
    Distinct_Set visitors;
    for (std::uint64_t month = 0; month < 12; ++month) {
        Distinct_Set part; // each begins with half of the one before
        for (auto i = million * (2 * month) / 24 - (month > 0 ? million / 24 : 0); i < million * (month + 1) / 12; ++i)
            part.add(splitmix64(i));
        visitors.merge_text(part.to_text()).value();
    }
    std::printf("{\"count\":%llu,\"text\":\"%s\"}\n", static_cast<unsigned long long>(visitors.count()),
                visitors.to_text().c_str());
    for (auto const* const kind : {"flat", "heavy"}) {
        print(in_order(kind));
        print(in_order(kind));
        print(as_a_tree(kind));
    }
    return 0;
}
