// SPDX-License-Identifier: Apache-2.0
// The mergeable parts that summaries are made of.
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/add_up.hpp>
#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>
#include <memfs_cache/lets/percentiles.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <bit>

namespace memfs_cache {

auto Distinct_Set::to_text() const -> std::string {
    std::vector<std::uint64_t> sorted(hashes_.begin(), hashes_.end());
    std::sort(sorted.begin(), sorted.end());
    std::string out(sorted.size() * 16, '0');
    for (std::size_t i = 0; i < sorted.size(); ++i)
        write_hex(out.data() + 16 * i, sorted[i], 16);
    return out;
}

auto Distinct_Set::from_text(std::string_view text) -> Result<Distinct_Set> {
    Distinct_Set set;
    set.hashes_.reserve(text.size() / 16);
    for (std::size_t i = 0; i < text.size(); i += 16) {
        auto const digits = text.substr(i, 16);
        auto const hash = parse_hex(digits);
        if (digits.size() != 16 || !hash)
            return fail(Errc::corrupt_data, "a set of hashes is not 16 hex digits each");
        set.hashes_.insert(*hash);
    }
    return set;
}

auto Name_Counts::top(std::size_t most) const -> std::vector<Row> {
    constexpr auto larger = [](Row const& a, Row const& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    };
    // A heap whose first is the least of those kept. Most names are of one look at a count and go.
    std::vector<Row> rows;
    if (most == 0)
        return rows;
    rows.reserve(std::min(most, counts_.size()));
    for (auto const& [name, times] : counts_) {
        Row const row(name, times);
        if (rows.size() == most) {
            if (!larger(row, rows.front()))
                continue;
            std::pop_heap(rows.begin(), rows.end(), larger);
            rows.pop_back();
        }
        rows.push_back(row);
        std::push_heap(rows.begin(), rows.end(), larger);
    }
    std::sort_heap(rows.begin(), rows.end(), larger);
    return rows;
}

void Name_Counts::append_json(std::string& out) const {
    std::vector<Row> rows(counts_.begin(), counts_.end());
    std::sort(rows.begin(), rows.end());
    out += '{';
    for (auto const& [name, times] : rows) {
        if (out.back() != '{')
            out += ',';
        append_json_string(out, name);
        out += ':';
        append_json_number(out, times);
    }
    out += '}';
}

auto Name_Counts::from_json(boost::json::object const& object) -> Result<Name_Counts> {
    Name_Counts counts;
    counts.counts_.reserve(object.size());
    for (auto const& member : object) {
        boost::system::error_code error;
        auto const times = member.value().to_number<std::int64_t>(error);
        if (error || times < 0)
            return fail(Errc::corrupt_data, "a count of a name is not a whole number");
        counts.add({member.key().data(), member.key().size()}, static_cast<std::uint64_t>(times));
    }
    return counts;
}

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

auto Percentiles::from_json(boost::json::object const& object) -> Result<Percentiles> {
    Percentiles result;
    Member_Reader reader(object);
    if (object.contains("values")) {
        auto const& values = reader.array("values");
        for (auto const& value : values) {
            boost::system::error_code error;
            auto const number = value.to_number<std::int64_t>(error);
            if (error || number < least_us || number > most_us || result.count_ == exact_values)
                reader.refuse("values");
            else
                result.add(number);
        }
    } else {
        result.bins_.assign(bin_count, 0);
        for (auto const& member : reader.object("bins")) {
            auto const bin = parse_decimal({member.key().data(), member.key().size()});
            boost::system::error_code error;
            auto const times = member.value().to_number<std::int64_t>(error);
            if (error || times < 0 || !bin || *bin >= bin_count) {
                reader.refuse("bins");
                break;
            }
            add_up(result.bins_[*bin], static_cast<std::uint64_t>(times));
            add_up(result.count_, static_cast<std::uint64_t>(times));
        }
        if (result.count_ <= exact_values)
            reader.refuse("bins");
    }
    if (!reader.good())
        return fail(Errc::corrupt_data, "percentiles: member '" + std::string(reader.first_bad()) + "' is damaged");
    return result;
}

} // namespace memfs_cache
