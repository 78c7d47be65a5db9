// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/events/segment_scanner.hpp>

namespace memfs_cache {

Segment_Scanner::Segment_Scanner(Segment_Name const& name,
                                 Base_Window window,
                                 std::uint64_t position,
                                 bool expect_header)
    : name_(name), window_(window), seal_(name.writer, window), position_(position), expect_header_(expect_header) {}

auto Segment_Scanner::feed(std::string_view bytes, std::uint64_t from, Visit const& visit) -> Result<std::size_t> {
    constexpr std::size_t longest_line = longest_event_bytes + Line_Seal::tail_bytes;
    constexpr std::uint64_t most_lost = 1 << 20; // few of all positions, so that noise is not taken for an event
    for (std::size_t used = 0;;) {
        auto const end = bytes.find('\n', used);
        if (end == std::string_view::npos) {
            bool const may_become_a_line = bytes.size() - used <= longest_line;
            torn_ = torn_ || !may_become_a_line;
            return may_become_a_line ? used : bytes.size();
        }
        auto const line = bytes.substr(used, end - used);
        used = end + 1;
        if (!torn_) {
            auto const taken = take(line, from, visit);
            if (!taken)
                return taken.error();
            torn_ = !*taken;
            if (!torn_)
                good_bytes_ += line.size() + 1;
        } else if (auto const position = seal_.position_of(line);
                   position && *position >= position_ && *position - position_ <= most_lost) {
            // A torn tail ends its piece. Here an event follows, so something before it was damaged.
            return fail(Errc::corrupt_data, "event " + std::to_string(position_) + " is damaged and event " +
                                                std::to_string(*position) +
                                                " behind it is not; restore the file from a copy");
        }
    }
}

auto Segment_Scanner::take(std::string_view line, std::uint64_t from, Visit const& visit) -> Result<bool> {
    if (expect_header_) {
        expect_header_ = false;
        auto const header = read_header(line, name_, window_);
        if (header)
            header_at_ = header->at;
        return header.has_value();
    }
    if (!seal_.holds(line, position_))
        return false;
    if (position_ >= from)
        if (auto const visited = visit({line, std::nullopt}); !visited)
            return visited.error();
    ++position_;
    return true;
}

} // namespace memfs_cache
