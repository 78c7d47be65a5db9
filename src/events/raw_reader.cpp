// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/events/raw_reader.hpp>

namespace memfs_cache {

auto Read_State::covers_json() const -> std::string {
    std::string out = "{";
    for (auto const& [writer, stream] : streams) {
        if (stream.position == 0)
            continue;
        if (out.size() > 1)
            out += ',';
        out.append("\"").append(writer).append("\":").append(std::to_string(stream.position));
    }
    if (!files.empty()) {
        std::uint64_t sum = 0; // a sum, so that the order of arrival does not matter
        for (auto const& file : files)
            sum += siphash24(Sip_Key{}, file);
        if (out.size() > 1)
            out += ',';
        out.append(R"("files":{"count":)").append(std::to_string(files.size()));
        out.append(R"(,"hash":")").append(to_hex(sum)).append("\"}");
    }
    return out.append("}");
}

Segment_Scanner::Segment_Scanner(Segment_Name const& name,
                                 Base_Window window,
                                 std::uint64_t position,
                                 bool expect_header)
    : name_(name), window_(window), seal_(name.writer, window), position_(position), expect_header_(expect_header) {}

auto Segment_Scanner::feed(std::string_view bytes, std::uint64_t from, Visit const& visit) -> Result<std::size_t> {
    std::size_t used = 0;
    for (;;) {
        auto const end = bytes.find('\n', used);
        if (end == std::string_view::npos)
            return used;
        auto const line = bytes.substr(used, end - used);
        used = end + 1;
        if (expect_header_) {
            expect_header_ = false;
            header_at_ = header_time(line, name_, window_);
            if (!header_at_)
                torn_at_line_ = lines_ = 1;
            continue;
        }
        if (torn_at_line_ == 0) {
            if (seal_.holds(line, position_)) {
                if (position_ >= from)
                    if (auto const visited = visit({line, std::nullopt}); !visited)
                        return visited.error();
                ++position_;
                continue;
            }
            torn_at_line_ = lines_ = 1;
            continue;
        }
        // Behind a bad line: a good one proves damage in the middle. Damage may have swallowed or made line ends, so
        // the good one may stand at any of the next positions.
        ++lines_;
        for (std::uint64_t ahead = 0; ahead <= lines_ + 16; ++ahead) {
            if (seal_.holds(line, position_ + ahead))
                return fail(Errc::corrupt_data,
                            "damaged after event " + std::to_string(position_) +
                                ", with good events behind the damage; restore the file from a copy");
        }
    }
}

} // namespace memfs_cache
