// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/lets/distinct_set.hpp>

#include <algorithm>
#include <array>
#include <bit>

namespace memfs_cache {
namespace {

/// A register holds how far in the rest of a hash the first 1 stands, from 1 on; all zeros are one more.
constexpr unsigned rest_bits = 64 - Distinct_Set::index_bits;
constexpr unsigned greatest_rank = rest_bits + 1;

constexpr std::string_view registers_prefix = "p14:";

constexpr auto letter_of(unsigned rank) noexcept -> char {
    return static_cast<char>(rank < 26 ? 'A' + rank : 'a' + rank - 26);
}
static_assert(letter_of(greatest_rank) == 'z');

/// What a letter stands for; more than any rank for other bytes.
constexpr auto ranks_of_letters = [] {
    std::array<std::uint8_t, 256> ranks{};
    ranks.fill(greatest_rank + 1);
    for (unsigned rank = 0; rank <= greatest_rank; ++rank)
        ranks[static_cast<unsigned char>(letter_of(rank))] = static_cast<std::uint8_t>(rank);
    return ranks;
}();

/// Spreads the bits of a number, one to one. A set of hashes needs it for nothing; with it numbers of any pattern, such
/// as the ids that another tool took for hashes, are counted as well as hashes are.
/// @source the finaliser of splitmix64
constexpr auto spread(std::uint64_t number) noexcept -> std::uint64_t {
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
    number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
    return number ^ (number >> 31);
}

__extension__ using Wide = unsigned __int128;

/// x + x^2 + 2 x^4 + 4 x^8 + ..., by which registers that nothing has reached count, for a share x < 1 of them.
/// @param  zeros  how many of them there are, fewer than all
/// @return as a fixed-point number with 50 bits behind the point
auto sigma(std::uint64_t zeros) noexcept -> Wide {
    constexpr unsigned share_bits = 62;
    std::uint64_t power = zeros << (share_bits - Distinct_Set::index_bits);
    Wide sum = power;
    for (unsigned doublings = 0; power != 0; ++doublings) {
        power = static_cast<std::uint64_t>((Wide{power} * power) >> share_bits);
        sum += Wide{power} << doublings;
    }
    return sum >> (share_bits - rest_bits);
}

} // namespace

void Distinct_Set::raise_register_of(std::uint64_t hash) noexcept {
    auto const bits = spread(hash);
    auto const rest = bits << index_bits | std::uint64_t{1} << (index_bits - 1); // ends the count of zeros
    auto const rank = static_cast<std::uint8_t>(std::countl_zero(rest) + 1);
    auto& held = registers_[bits >> rest_bits];
    held = std::max(held, rank);
}

void Distinct_Set::to_registers() {
    registers_.assign(register_count, 0);
    for (auto const hash : hashes_)
        raise_register_of(hash);
    hashes_ = {};
}

void Distinct_Set::merge(Distinct_Set const& other) {
    if (!other.is_exact()) {
        if (is_exact())
            to_registers();
        for (std::size_t i = 0; i < register_count; ++i)
            registers_[i] = std::max(registers_[i], other.registers_[i]);
    }
    for (auto const hash : other.hashes_)
        add(hash);
}

auto Distinct_Set::count() const noexcept -> std::uint64_t {
    if (is_exact())
        return hashes_.size();
    std::array<std::uint64_t, greatest_rank + 1> registers_of_rank{};
    for (auto const rank : registers_)
        ++registers_of_rank[rank];
    // Ertl's harmonic sum: 2^-rank for each register, but for those at both ends of the range. Whole numbers, with 50
    // bits behind the point, so that every machine says the same.
    static_assert(rest_bits == 50);
    Wide sum = sigma(registers_of_rank[0]) << index_bits;
    for (unsigned rank = 1; rank <= rest_bits; ++rank)
        sum += Wide{registers_of_rank[rank]} << (rest_bits - rank);
    sum += registers_of_rank[greatest_rank] / 3; // which stand for all greater ranks too; 2^50 things need to be seen
    // register_count^2 / (2 ln 2 * sum), rounded
    constexpr std::uint64_t half_by_ln_2 = 3326628274461080623; // with 62 bits behind the point
    constexpr unsigned shift = 2 * index_bits + rest_bits - 62;
    return static_cast<std::uint64_t>(((Wide{half_by_ln_2} << shift) + sum / 2) / sum);
}

auto Distinct_Set::to_text() const -> std::string {
    if (!is_exact()) {
        std::string out(registers_prefix);
        out.reserve(out.size() + register_count);
        for (auto const rank : registers_)
            out += letter_of(rank);
        return out;
    }
    std::vector<std::uint64_t> sorted(hashes_.begin(), hashes_.end());
    std::sort(sorted.begin(), sorted.end());
    std::string out(sorted.size() * 16, '0');
    for (std::size_t i = 0; i < sorted.size(); ++i)
        write_hex(out.data() + 16 * i, sorted[i], 16);
    return out;
}

auto Distinct_Set::merge_text(std::string_view text) -> Result<void> {
    if (text.starts_with(registers_prefix)) {
        text.remove_prefix(registers_prefix.size());
        if (text.size() != register_count)
            return fail(Errc::corrupt_data, "a sketch of hashes has not 16,384 registers");
        if (is_exact())
            to_registers();
        std::uint8_t greatest = 0;
        for (std::size_t i = 0; i < register_count; ++i) {
            auto const rank = ranks_of_letters[static_cast<unsigned char>(text[i])];
            greatest = std::max(greatest, rank);
            registers_[i] = std::max(registers_[i], rank);
        }
        if (greatest == 0 || greatest > greatest_rank)
            return fail(Errc::corrupt_data, "the registers of a sketch of hashes are all empty, or not letters");
        return {};
    }
    for (std::size_t i = 0; i < text.size(); i += 16) {
        auto const digits = text.substr(i, 16);
        auto const hash = parse_hex(digits);
        if (digits.size() != 16 || !hash)
            return fail(Errc::corrupt_data, "a set of hashes is not 16 hex digits each");
        add(*hash);
    }
    return {};
}

auto Distinct_Set::from_text(std::string_view text) -> Result<Distinct_Set> {
    Distinct_Set set;
    if (auto const merged = set.merge_text(text); !merged)
        return merged.error();
    return set;
}

} // namespace memfs_cache
