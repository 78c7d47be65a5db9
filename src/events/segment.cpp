// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/crc32c.hpp>
#include <memfs_cache/events/segment.hpp>

namespace memfs_cache {
namespace {

constexpr std::string_view tail_begin = ",\"crc32c\":\"";
constexpr std::string_view tail_end = "\"}";
static_assert(tail_begin.size() + 8 + tail_end.size() == Line_Seal::tail_bytes);

constexpr std::string_view plain_suffix = ".jsonl";
constexpr std::string_view sealed_suffix = ".zst";

constexpr std::string_view newest_mark = R"(,"newest":)";
constexpr std::string_view composed_mark = R"(,"composed":)";

auto is_writer(std::string_view text) -> bool { return text.size() == 16 && parse_hex(text).has_value(); }

auto take_suffix(std::string_view& text, std::string_view suffix) -> bool {
    if (!text.ends_with(suffix))
        return false;
    text.remove_suffix(suffix.size());
    return true;
}

/// Cuts the text before `mark` off the front; nothing if there is no mark.
auto cut(std::string_view& text, std::string_view mark) -> std::optional<std::string_view> {
    auto const at = text.find(mark);
    if (at == std::string_view::npos)
        return std::nullopt;
    auto const head = text.substr(0, at);
    text.remove_prefix(at + mark.size());
    return head;
}

auto parse_time(std::string_view digits) -> std::optional<Utc_Time> {
    if (digits.size() != 13)
        return std::nullopt;
    auto const millis = parse_decimal(digits);
    if (!millis)
        return std::nullopt;
    return from_millis(static_cast<std::int64_t>(*millis));
}

/// The salt with which a sealed line would hold; nothing for text that is no sealed line.
auto claimed_salt(std::string_view line) -> std::optional<std::uint32_t> {
    if (line.size() <= Line_Seal::tail_bytes || line.front() != '{')
        return std::nullopt;
    auto const open_text = line.substr(0, line.size() - Line_Seal::tail_bytes);
    auto const tail = line.substr(open_text.size());
    if (!tail.starts_with(tail_begin) || !tail.ends_with(tail_end))
        return std::nullopt;
    auto const stored = parse_hex(tail.substr(tail_begin.size(), 8));
    if (!stored)
        return std::nullopt;
    return static_cast<std::uint32_t>(*stored) ^ Line_Seal::text_checksum(open_text);
}

/// What the register of a CRC-32C held, combined with the four bytes that it then took in.
auto checksum_before_four_bytes(std::uint32_t after) -> std::uint32_t {
    constexpr std::uint32_t reflected_polynomial = 0x82F63B78;
    for (int bit = 0; bit < 32; ++bit)
        after = (after >> 31) != 0 ? (after ^ reflected_polynomial) << 1 | 1 : after << 1;
    return after;
}

} // namespace

auto Segment_Name::text() const -> std::string {
    std::string out;
    append_padded(out, static_cast<std::uint64_t>(to_millis(first_time)), 13);
    out.append("__").append(writer).append("-");
    append_padded(out, base, 10);
    if (count)
        out.append("-").append(std::to_string(*count));
    out.append(plain_suffix);
    if (sealed)
        out.append(sealed_suffix);
    return out;
}

auto Segment_Name::parse(std::string_view file_name) -> std::optional<Segment_Name> {
    auto rest = file_name;
    bool const sealed = take_suffix(rest, sealed_suffix);
    if (!take_suffix(rest, plain_suffix))
        return std::nullopt;
    auto const time_text = cut(rest, "__");
    if (!time_text)
        return std::nullopt;
    auto const writer = cut(rest, "-");
    if (!writer || !is_writer(*writer))
        return std::nullopt;
    auto const dash = rest.find('-');
    auto const time = parse_time(*time_text);
    auto const base = parse_decimal(rest.substr(0, dash));
    if (!time || !base || rest.substr(0, dash).size() < 10)
        return std::nullopt;
    Segment_Name name{*time, std::string(*writer), *base, std::nullopt, sealed};
    if (dash == std::string_view::npos && sealed)
        return std::nullopt;
    if (dash != std::string_view::npos) {
        name.count = parse_decimal(rest.substr(dash + 1));
        if (!name.count || *name.count == 0)
            return std::nullopt;
    }
    return name;
}

auto Segment_Name::parse_unreadable(std::string_view file_name) -> std::optional<Segment_Name> {
    auto const suffix = file_name.find(std::string(plain_suffix).append("."));
    return suffix == std::string_view::npos ? std::nullopt : parse(file_name.substr(0, suffix + plain_suffix.size()));
}

auto Event_File_Name::parse(std::string_view file_name) -> std::optional<Event_File_Name> {
    if (file_name.size() < 6 || file_name.substr(file_name.size() - 5) != ".json")
        return std::nullopt;
    auto rest = file_name.substr(0, file_name.size() - 5);
    auto const digits = cut(rest, "__");
    auto const millis = digits ? parse_decimal(*digits) : std::nullopt;
    if (!millis || rest.empty() || *millis > static_cast<std::uint64_t>(to_millis(latest_time)))
        return std::nullopt;
    return Event_File_Name{from_millis(static_cast<std::int64_t>(*millis)), std::string(rest)};
}

auto segment_header(Segment_Name const& name, Base_Window window, Segment_Header const& header) -> std::string {
    std::string out = R"({"memfs_cache":{"v":1,"kind":"segment","writer":")";
    out.append(name.writer).append(R"(","window":")").append(window.key()).append(R"(","base":)");
    out.append(std::to_string(name.base)).append(R"(,"at":)").append(std::to_string(to_millis(header.at)));
    if (header.newest_before)
        out.append(newest_mark).append(std::to_string(to_millis(*header.newest_before)));
    if (header.composed_at)
        out.append(composed_mark).append(std::to_string(to_millis(*header.composed_at)));
    out.append("}}");
    Line_Seal(name.writer, window).close_line(out, 0, Line_Seal::header_position);
    return out;
}

auto read_header(std::string_view line, Segment_Name const& name, Base_Window window) -> std::optional<Segment_Header> {
    // The header is our own text with free numbers in it, so comparing the rest is the strictest check there is.
    auto const time_behind = [&](std::string_view mark) -> std::optional<Utc_Time> {
        auto const number = line.find(mark);
        if (number == std::string_view::npos)
            return std::nullopt;
        auto const digits = line.substr(number + mark.size());
        auto const millis = parse_decimal(digits.substr(0, digits.find_first_of(",}")));
        if (!millis || *millis > static_cast<std::uint64_t>(to_millis(latest_time)))
            return std::nullopt;
        return from_millis(static_cast<std::int64_t>(*millis));
    };
    auto const at = time_behind(R"(,"at":)");
    if (!at)
        return std::nullopt;
    Segment_Header const header{*at, time_behind(newest_mark), time_behind(composed_mark)};
    auto const expected = segment_header(name, window, header);
    if (line != std::string_view(expected).substr(0, expected.size() - 1))
        return std::nullopt;
    return header;
}

Line_Seal::Line_Seal(std::string_view writer, Base_Window window) noexcept
    : stream_(crc32c(crc32c(0, writer), static_cast<std::uint64_t>(to_millis(window.start())))) {}

auto Line_Seal::salt(std::uint64_t position) const noexcept -> std::uint32_t { return crc32c(stream_, position); }

auto Line_Seal::text_checksum(std::string_view open_text) noexcept -> std::uint32_t { return crc32c(0, open_text); }

void Line_Seal::append_tail(std::string& open_text) { open_text.append(",\"crc32c\":\"00000000\"}"); }

void Line_Seal::fill(char* line_end, std::uint32_t text_checksum, std::uint64_t position) const noexcept {
    write_hex(line_end - tail_end.size() - 8, text_checksum ^ salt(position), 8);
}

void Line_Seal::close_line(std::string& lines, std::size_t begin, std::uint64_t position) const {
    lines.pop_back();
    auto const checksum = text_checksum(std::string_view(lines).substr(begin));
    append_tail(lines);
    fill(lines.data() + lines.size(), checksum, position);
    lines += '\n';
}

auto Line_Seal::holds(std::string_view line, std::uint64_t position) const noexcept -> bool {
    return claimed_salt(line) == salt(position);
}

auto Line_Seal::position_of(std::string_view line) const noexcept -> std::optional<std::uint64_t> {
    auto const claimed = claimed_salt(line);
    if (!claimed)
        return std::nullopt;
    // The salt is the checksum of (stream, low half, high half of the position), and a checksum can be run backwards.
    auto const before_high_half = checksum_before_four_bytes(~*claimed);
    return ~stream_ ^ checksum_before_four_bytes(before_high_half);
}

} // namespace memfs_cache
