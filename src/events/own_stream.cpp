// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/events/own_stream.hpp>

namespace memfs_cache {

void Own_Stream::sum_up() {
    auto const lines = std::string_view(in_flight.lines);
    for (std::size_t begin = 0; summary && begin < lines.size();) {
        auto const end = lines.find('\n', begin);
        if (!summary->add({lines.substr(begin, end - begin), std::nullopt}))
            summary.reset();
        begin = end + 1;
    }
    ++parts_since_partial;
}

void Own_Stream::inherit(Own_Stream&& other) {
    unchecked = other.unchecked;
    unsynced = other.unsynced;
    last_landed_number = other.last_landed_number;
    pending.count = other.waiting();
    pending.last_number = other.pending.count > 0 ? other.pending.last_number : other.in_flight.last_number;
    pending.first_time = other.in_flight.count > 0 ? other.in_flight.first_time : other.pending.first_time;
    pending.latest_time = std::max(other.in_flight.latest_time, other.pending.latest_time);
    pending.lines = std::move(other.in_flight.lines) + other.pending.lines;
    auto position = landed;
    for (std::size_t begin = 0; begin < pending.lines.size(); ++position) {
        auto const end = pending.lines.find('\n', begin);
        auto const open_text = std::string_view(pending.lines).substr(begin, end - begin - Line_Seal::tail_bytes);
        seal.fill(pending.lines.data() + end, Line_Seal::text_checksum(open_text), position);
        begin = end + 1;
    }
}

} // namespace memfs_cache
