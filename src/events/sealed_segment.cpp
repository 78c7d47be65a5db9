// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/events/sealed_segment.hpp>

#include <boost/json/array.hpp>

namespace memfs_cache {
namespace {

/// A frame that readers of zstd skip (RFC 8878, 3.1.2): this number, how many bytes follow, and these.
constexpr std::uint32_t skipped_frame = 0x184D2A50;
constexpr std::uint32_t skipped_bytes = 4;
static_assert(4 + 4 + skipped_bytes == sealed_end_bytes);

void append_little_endian(Bytes& out, std::uint32_t number) {
    for (int shift = 0; shift < 32; shift += 8)
        out += static_cast<char>(number >> shift & 0xff);
}
auto little_endian(Byte_View bytes) -> std::uint32_t {
    std::uint32_t number = 0;
    for (std::size_t i = 4; i-- > 0;)
        number = number << 8 | static_cast<unsigned char>(bytes[i]);
    return number;
}

auto latest_in(Base_Window window) -> Utc_Time { return window.end() - std::chrono::milliseconds(1); }

void append_number(std::string& out, std::string_view mark, std::int64_t number) {
    out.append(mark);
    append_json_number(out, number);
}
void append_time(std::string& out, std::string_view mark, Utc_Time time) { append_number(out, mark, to_millis(time)); }

/// Numbers of an array that has so many.
template <std::size_t Count>
auto numbers_in(boost::json::value const& value) -> std::optional<std::array<std::uint64_t, Count>> {
    auto const* const array = value.if_array();
    if (array == nullptr || array->size() != Count)
        return std::nullopt;
    std::array<std::uint64_t, Count> numbers{};
    for (std::size_t i = 0; i < Count; ++i) {
        auto const* const number = (*array)[i].if_int64();
        if (number == nullptr || *number < 0 || *number > to_millis(latest_time))
            return std::nullopt;
        numbers[i] = static_cast<std::uint64_t>(*number);
    }
    return numbers;
}

auto read_blocks(boost::json::array const& array, Segment_Name const& name)
    -> std::optional<std::vector<Sealed_Block>> {
    std::vector<Sealed_Block> blocks;
    blocks.reserve(array.size());
    for (auto const& item : array) {
        auto const numbers = numbers_in<4>(item);
        if (!numbers)
            return std::nullopt;
        auto const time = [&](std::size_t i) { return from_millis(static_cast<std::int64_t>((*numbers)[i])); };
        blocks.push_back({(*numbers)[0], (*numbers)[1], time(2), time(3)});
        auto const& block = blocks.back();
        bool const follows = blocks.size() == 1
                                 ? block.offset > 0 && block.position == name.base
                                 : block.offset > (&block)[-1].offset && block.position > (&block)[-1].position;
        if (!follows || block.position >= name.end())
            return std::nullopt;
    }
    return blocks.empty() ? std::nullopt : std::optional(std::move(blocks));
}

auto read_block_numbers(boost::json::value const& value, std::size_t count) -> std::optional<std::vector<std::size_t>> {
    auto const* const array = value.if_array();
    if (array == nullptr)
        return std::nullopt;
    std::vector<std::size_t> numbers;
    numbers.reserve(array->size());
    for (auto const& item : *array) {
        auto const* const number = item.if_int64();
        if (number == nullptr || *number < 0 || static_cast<std::size_t>(*number) >= count)
            return std::nullopt;
        numbers.push_back(static_cast<std::size_t>(*number));
    }
    return numbers;
}

} // namespace

auto Sealed_Index::blocks_with(std::uint64_t from, Wanted_Events const& wanted) const -> std::vector<std::size_t> {
    std::vector<std::size_t> found;
    auto const take = [&](std::size_t block) {
        bool const is_read = block + 1 < blocks.size() && blocks[block + 1].position <= from;
        if (!is_read && blocks[block].latest > wanted.after && blocks[block].earliest < wanted.before)
            found.push_back(block);
    };
    auto const member = std::find(members.begin(), members.end(), wanted.member);
    if (member == members.end() || wanted.value.size() > longest_value) {
        for (std::size_t block = 0; block < blocks.size(); ++block)
            take(block);
        return found;
    }
    auto const& of_member = values[static_cast<std::size_t>(member - members.begin())];
    if (auto const known = of_member.find(wanted.value); known != of_member.end())
        std::for_each(known->second.begin(), known->second.end(), take);
    return found;
}

auto Sealed_Index::earliest() const -> Utc_Time {
    return std::min_element(blocks.begin(), blocks.end(),
                            [](auto const& a, auto const& b) { return a.earliest < b.earliest; })
        ->earliest;
}
auto Sealed_Index::latest() const -> Utc_Time {
    return std::max_element(blocks.begin(), blocks.end(),
                            [](auto const& a, auto const& b) { return a.latest < b.latest; })
        ->latest;
}

auto Sealed_Index::line(Segment_Name const& name, Base_Window window) const -> std::string {
    std::string out = R"({"memfs_cache":{"v":1,"kind":"index","writer":")";
    out.append(name.writer).append(R"(","window":")").append(window.key()).append("\"");
    append_number(out, R"(,"base":)", static_cast<std::int64_t>(name.base));
    append_number(out, R"(,"count":)", static_cast<std::int64_t>(name.count.value_or(0)));
    append_time(out, R"(,"min_ms":)", earliest());
    append_time(out, R"(,"max_ms":)", latest());
    append_time(out, R"(,"at":)", header.at);
    if (header.newest_before)
        append_time(out, R"(,"newest":)", *header.newest_before);
    if (header.composed_at)
        append_time(out, R"(,"composed":)", *header.composed_at);
    out.append(R"(,"sha256":")").append(sha256).append(R"(","blocks":[)");
    for (auto const& block : blocks) {
        append_number(out, &block == blocks.data() ? "[" : ",[", static_cast<std::int64_t>(block.offset));
        append_number(out, ",", static_cast<std::int64_t>(block.position));
        append_time(out, ",", block.earliest);
        append_time(out, ",", block.latest);
        out += ']';
    }
    out += ']';
    for (std::size_t i = 0; i < members.size(); ++i) {
        out.append(",\"").append(members[i]).append("\":{");
        for (auto const& [value, in_blocks] : values[i]) {
            if (out.back() != '{')
                out += ',';
            append_json_string(out, value);
            for (auto const& block : in_blocks)
                append_number(out, &block == in_blocks.data() ? ":[" : ",", static_cast<std::int64_t>(block));
            out += ']';
        }
        out += '}';
    }
    out.append("}}");
    Line_Seal(name.writer, window).close_line(out, 0, Line_Seal::index_position);
    return out;
}

auto Sealed_Index::parse(std::string_view line, Segment_Name const& name, Base_Window window) -> Result<Sealed_Index> {
    auto const no_index = [](std::string_view why) {
        return fail(Errc::corrupt_data, std::string("its index is damaged: ").append(why));
    };
    if (!Line_Seal(name.writer, window).holds(line, Line_Seal::index_position))
        return no_index("checksum");
    auto const object = parse_object(line, "index");
    if (!object)
        return object.error();
    Member_Reader whole(*object);
    Member_Reader reader(whole.object("memfs_cache"));
    if (reader.unsigned_number("v") != 1 || reader.text("kind") != "index" ||
        reader.unsigned_number("base") != name.base || reader.unsigned_number("count") != name.count || !reader.good())
        return no_index("it is that of another piece");
    auto const time = [&](std::string_view member) -> std::optional<Utc_Time> {
        if (!whole.object("memfs_cache").contains({member.data(), member.size()}))
            return std::nullopt;
        return from_millis(reader.signed_number(member));
    };
    Sealed_Index index;
    index.header = {from_millis(reader.signed_number("at")), time("newest"), time("composed")};
    index.sha256 = reader.text("sha256");
    auto blocks = read_blocks(reader.array("blocks"), name);
    if (!blocks)
        return no_index("blocks");
    index.blocks = *std::move(blocks);
    for (std::size_t i = 0; i < members.size(); ++i)
        for (auto const& [value, in_blocks] : reader.object(members[i])) {
            auto numbers = read_block_numbers(in_blocks, index.blocks.size());
            if (!numbers)
                return no_index(members[i]);
            index.values[i].emplace_hint(index.values[i].end(), std::string(value), *std::move(numbers));
        }
    if (!reader.good())
        return no_index(reader.first_bad());
    return index;
}

Segment_Sealer::Segment_Sealer(std::string_view writer,
                               Base_Window window,
                               std::uint64_t base,
                               std::optional<Utc_Time> newest_before)
    : writer_(writer), window_(window), position_(base), first_time_(window.start()) {
    index_.header.newest_before = newest_before;
}

void Segment_Sealer::add(std::string_view line) {
    if (lines_.empty())
        index_.blocks.push_back({frames_.size(), position_, window_.end(), window_.start()});
    auto const number = index_.blocks.size() - 1;
    auto& block = index_.blocks.back();
    std::optional<Utc_Time> time;
    Json_Scanner scanner(line);
    std::string unescaped;
    for (Json_Scanner::Member member; scanner.next(member);) {
        if (member.kind == Json_Scanner::Kind::number && member.name == "timestamp") {
            if (auto const millis = parse_json_integer(member.text))
                time = from_millis(*millis);
            continue;
        }
        auto const found = std::find(Sealed_Index::members.begin(), Sealed_Index::members.end(), member.name);
        if (found == Sealed_Index::members.end() || member.kind != Json_Scanner::Kind::string)
            continue;
        auto text = member.text;
        if (member.escaped) {
            unescaped.clear();
            if (!append_unescaped(unescaped, text))
                continue;
            text = unescaped;
        }
        if (text.size() > Sealed_Index::longest_value)
            continue;
        auto& values = index_.values[static_cast<std::size_t>(found - Sealed_Index::members.begin())];
        auto known = values.find(text);
        if (known == values.end())
            known = values.emplace(text, std::vector<std::size_t>()).first;
        if (known->second.empty() || known->second.back() != number)
            known->second.push_back(number);
    }
    // An event that does not say its time in the usual way may be anywhere in its half-hour.
    bool const is_known = time && window_.contains(*time);
    block.earliest = std::min(block.earliest, is_known ? *time : window_.start());
    block.latest = std::max(block.latest, is_known ? *time : latest_in(window_));
    if (line_bytes_ == 0 && is_known)
        first_time_ = *time;
    lines_.append(line).append("\n");
    line_bytes_ += line.size() + 1;
    ++position_;
    if (lines_.size() >= block_bytes)
        close_block();
}

void Segment_Sealer::close_block() {
    digest_.add(lines_);
    packer_.append_frame(frames_, lines_);
    lines_.clear();
}

auto Segment_Sealer::newest() const -> std::optional<Utc_Time> {
    return std::max(index_.header.newest_before, std::optional(index_.latest()));
}

auto Segment_Sealer::finish(Utc_Time at, Utc_Time made_at) -> Sealed {
    if (!lines_.empty())
        close_block();
    auto const base = index_.blocks.front().position;
    Sealed sealed{{first_time_, writer_, base, position_ - base, true}, {}};
    index_.header.at = at;
    index_.header.composed_at = made_at;
    index_.sha256 = digest_.hex();
    packer_.append_frame(sealed.bytes, segment_header(sealed.name, window_, index_.header));
    for (auto& block : index_.blocks)
        block.offset += sealed.bytes.size();
    sealed.bytes += frames_;
    auto const blocks_end = sealed.bytes.size();
    packer_.append_frame(sealed.bytes, index_.line(sealed.name, window_));
    auto const index_bytes = static_cast<std::uint32_t>(sealed.bytes.size() - blocks_end);
    append_little_endian(sealed.bytes, skipped_frame);
    append_little_endian(sealed.bytes, skipped_bytes);
    append_little_endian(sealed.bytes, index_bytes);
    return sealed;
}

auto index_frame_bytes(Byte_View end) -> std::optional<std::uint64_t> {
    if (end.size() < sealed_end_bytes)
        return std::nullopt;
    end.remove_prefix(end.size() - sealed_end_bytes);
    if (little_endian(end) != skipped_frame || little_endian(end.substr(4)) != skipped_bytes)
        return std::nullopt;
    return little_endian(end.substr(8));
}

} // namespace memfs_cache
