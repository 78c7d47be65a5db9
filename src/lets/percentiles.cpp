// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_count.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/lets/percentiles.hpp>

#include <algorithm>
#include <array>
#include <bit>

namespace memfs_cache {
namespace {

__extension__ using Wide =
    unsigned __int128; // the product of two durations needs up to 74 bits, and counts may be anything

constexpr unsigned bins_per_doubling = 32;
constexpr unsigned bin_count = 37 * bins_per_doubling; // 24 h are less than 2^37 us

/// 2^(k/32) as a 62-bit fixed-point number, rounded. A table, because libraries differ in the last bit of a logarithm
/// and a value at an edge must fall into the same bin everywhere.
constexpr std::array<std::uint64_t, bins_per_doubling> fractions{
    4611686018427387904ULL, 4712668792719003884ULL, 4815862801830788490ULL, 4921316465500308116ULL,
    5029079263719320435ULL, 5139201759950318048ULL, 5251735624851448219ULL, 5366733660520940721ULL,
    5484249825272419512ULL, 5604339258952723100ULL, 5727058308814112983ULL, 5852464555953009676ULL,
    5980616842327661685ULL, 6111575298367424380ULL, 6245401371186603363ULL, 6382157853416100552ULL,
    6521908912666391106ULL, 6664720121635655541ULL, 6810658488877194079ULL, 6959792490240559659ULL,
    7112192101001162095ULL, 7267928828693418961ULL, 7427075746662858866ULL, 7589707528352920109ULL,
    7755900482342532474ULL, 7925732588150922155ULL, 8099283532826439817ULL, 8276634748336579668ULL,
    8457869449776733335ULL, 8643072674415606502ULL, 8832331321595618838ULL, 9025734193507008925ULL};

} // namespace

auto Percentiles::lower_edge_us(unsigned bin) noexcept -> std::int64_t {
    auto const doublings = bin / bins_per_doubling;
    auto const fraction = fractions[bin % bins_per_doubling];
    auto const shift = 62 - doublings;
    auto const rounded_up = (fraction >> shift) + ((fraction & ((std::uint64_t{1} << shift) - 1)) != 0 ? 1 : 0);
    return static_cast<std::int64_t>(rounded_up);
}

auto Percentiles::bin_of(std::int64_t duration_us) noexcept -> unsigned {
    auto const value = static_cast<std::uint64_t>(std::clamp(duration_us, least_us, most_us));
    auto const doublings = static_cast<unsigned>(std::bit_width(value)) - 1;
    // An edge, rounded up, is not above the value when the edge itself is not.
    auto const above = std::upper_bound(fractions.begin(), fractions.end(), value << (62 - doublings));
    return doublings * bins_per_doubling + static_cast<unsigned>(above - fractions.begin()) - 1;
}

void Percentiles::to_bins() {
    bins_.assign(bin_count, 0);
    for (auto const value : values_)
        ++bins_[bin_of(value)];
    std::vector<std::int64_t>().swap(values_);
}

void Percentiles::add(std::int64_t duration_us) {
    add_up(count_, 1);
    if (count_ <= exact_values) {
        values_.push_back(std::clamp(duration_us, least_us, most_us));
        return;
    }
    if (bins_.empty())
        to_bins();
    add_up(bins_[bin_of(duration_us)], 1);
}

void Percentiles::merge(Percentiles const& other) {
    add_up(count_, other.count_);
    if (count_ <= exact_values) {
        values_.insert(values_.end(), other.values_.begin(), other.values_.end());
        return;
    }
    if (bins_.empty())
        to_bins();
    for (auto const value : other.values_)
        add_up(bins_[bin_of(value)], 1);
    for (std::size_t i = 0; i < other.bins_.size(); ++i)
        add_up(bins_[i], other.bins_[i]);
}

auto Percentiles::at(unsigned per_mille) const -> std::int64_t {
    if (count_ == 0)
        return 0;
    auto const rank = std::max(std::uint64_t{1}, static_cast<std::uint64_t>((Wide{count_} * per_mille + 999) / 1000));
    if (is_exact()) {
        auto sorted = values_;
        auto const nth = sorted.begin() + static_cast<std::ptrdiff_t>(rank - 1);
        std::nth_element(sorted.begin(), nth, sorted.end());
        return *nth;
    }
    std::uint64_t seen = 0;
    for (unsigned bin = 0; bin < bin_count; ++bin) {
        seen += bins_[bin];
        if (seen < rank)
            continue;
        // The harmonic mean of the least and the greatest value of the bin is equally far from both, relative to the
        // value; rounded to whole microseconds.
        auto const low = static_cast<Wide>(lower_edge_us(bin));
        auto const high = static_cast<Wide>(lower_edge_us(bin + 1)) - 1;
        auto const sum = low + high;
        return static_cast<std::int64_t>((2 * low * high + sum / 2) / sum);
    }
    return most_us;
}

void Percentiles::append_json(std::string& out) const {
    if (is_exact()) {
        auto sorted = values_;
        std::sort(sorted.begin(), sorted.end());
        out += R"({"values":[)";
        for (auto const value : sorted) {
            if (out.back() != '[')
                out += ',';
            append_json_number(out, value);
        }
        out += "]}";
        return;
    }
    out += R"({"bins":{)";
    for (unsigned bin = 0; bin < bin_count; ++bin) {
        if (bins_[bin] == 0)
            continue;
        if (out.back() != '{')
            out += ',';
        out += '"';
        append_json_number(out, static_cast<std::uint64_t>(bin));
        out += "\":";
        append_json_number(out, bins_[bin]);
    }
    out += "}}";
}

auto Percentiles::merge_json(std::string_view text) -> Result<void> {
    Json_Scanner scanner(text);
    Json_Scanner::Member member;
    bool good = scanner.next_or_enter(member) && member.kind == Json_Scanner::Kind::nested;
    if (good) {
        auto nested = scanner.enter();
        good = member.name == "values" ? merge_values(nested) : member.name == "bins" && merge_bins(nested);
        good = good && scanner.leave(nested) && !scanner.next(member) && scanner.good();
    }
    return good ? Result<void>() : fail(Errc::corrupt_data, "percentiles: 'values' or 'bins' are missing or damaged");
}

auto Percentiles::merge_values(Json_Scanner& values) -> bool {
    std::size_t count = 0;
    for (Json_Scanner::Member member; values.next(member); ++count) {
        std::uint64_t value = 0;
        if (!read_count(member, value) || value < least_us || value > most_us || count == exact_values)
            return false;
        add(static_cast<std::int64_t>(value));
    }
    return values.good();
}

auto Percentiles::merge_bins(Json_Scanner& bins) -> bool {
    if (bins_.empty())
        to_bins();
    std::uint64_t sum = 0;
    for (Json_Scanner::Member member; bins.next(member);) {
        auto const bin = parse_decimal(member.name).value_or(bin_count);
        std::uint64_t times = 0;
        if (bin >= bin_count || !read_count(member, times))
            return false;
        add_up(bins_[bin], times);
        add_up(sum, times);
    }
    add_up(count_, sum);
    return bins.good() && sum > exact_values;
}

auto Percentiles::from_json(boost::json::object const& object) -> Result<Percentiles> {
    Percentiles percentiles;
    if (auto const merged = percentiles.merge_json(json_text(object)); !merged)
        return merged.error();
    return percentiles;
}

} // namespace memfs_cache
