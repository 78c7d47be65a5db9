// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/events/partial.hpp>
#include <memfs_cache/events/segment.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace memfs_cache {

/// The events of one half-hour that this process writes. Their positions, in order: [0, landed) are stored, then come
/// those in flight, then those pending. A position never changes its event; what may have been written is written again
/// at the same position until its fate is known.
///
/// Threads  none of its own: Log_Writer guards `pending` and the numbers with its mutex, and lets one thread at a time
///          touch what is in flight.
struct Own_Stream {
    struct Batch {
        Bytes lines; ///< sealed, each with its line end
        std::uint64_t count = 0;
        Utc_Time first_time;           ///< of the first event, in the order of recording
        std::uint64_t last_number = 0; ///< of the last event, among all that the process has recorded
        Utc_Time latest_time = earliest_time;
    };

    Own_Stream(std::string_view writer, Base_Window of, std::uint64_t already_landed)
        : window(of), seal(writer, of), landed(already_landed),
          latest_landed(already_landed > 0 ? of.end() - std::chrono::milliseconds(1) : of.start()) {}

    Base_Window window;
    Line_Seal seal;
    std::uint64_t landed;
    std::uint64_t last_landed_number = 0;
    Utc_Time latest_landed;      ///< none of those has a later time, as far as is known
    std::uint64_t unchecked = 0; ///< landed, but not yet compared with the ledger; under an earlier writer id, too
    bool unsynced = false;       ///< something landed since the last sync
    Batch in_flight;             ///< never changes while a write runs
    Batch pending;
    std::optional<Storage_Key> piece; ///< the piece that grows now,
    std::uint64_t piece_bytes = 0;    ///< and its size
    bool in_doubt = false;   ///< what is in flight may be stored, as a whole or in part: it is put into a piece of its
                             ///< own, the same until it is known to be there
    bool registered = false; ///< the manifest names this half-hour

    std::unique_ptr<Stream_Summary> summary; ///< of [0, landed), where streams have partial summaries
    unsigned parts_since_partial = 0;

    /// No event that has landed is later than this; nothing before the first has landed.
    [[nodiscard]] auto latest_before() const -> std::optional<Utc_Time> {
        return landed > 0 ? std::optional(latest_landed) : std::nullopt;
    }
    /// Is nothing left to do for what was recorded so far?
    [[nodiscard]] auto is_done() const noexcept -> bool { return waiting() == 0 && unchecked == 0 && !unsynced; }
    [[nodiscard]] auto waiting() const noexcept -> std::uint64_t { return in_flight.count + pending.count; }

    /// Appends one event to `pending`; see Event_Log::record.
    /// @return bytes that it takes there
    template <class Append>
    [[nodiscard]] auto add(Utc_Time time, Append&& append) -> Result<std::size_t> {
        auto& lines = pending.lines;
        auto const begin = lines.size();
        try {
            append(lines);
            auto const text = std::string_view(lines).substr(begin);
            if (text.size() > longest_event_bytes) {
                lines.resize(begin);
                return fail(Errc::too_large, "event: at most 1 MiB of JSON");
            }
            if (text.size() < 6 || !text.starts_with("{\"") || text.back() != '}' ||
                text.find('\n') != std::string_view::npos) {
                lines.resize(begin);
                return fail(Errc::invalid_argument,
                            "event: give one JSON object with at least one member, on one line");
            }
            seal.close_line(lines, begin, landed + waiting());
        } catch (...) {
            lines.resize(begin);
            throw;
        }
        if (pending.count++ == 0)
            pending.first_time = time;
        pending.latest_time = std::max(pending.latest_time, time);
        return lines.size() - begin;
    }

    /// Makes what is pending the batch in flight. Both buffers keep their room.
    void send_pending() noexcept {
        in_flight.lines.swap(pending.lines);
        in_flight.count = std::exchange(pending.count, 0);
        in_flight.first_time = pending.first_time;
        in_flight.last_number = pending.last_number;
        in_flight.latest_time = std::exchange(pending.latest_time, earliest_time);
    }

    /// Counts the batch in flight in `summary`, if there is one; with an event that it cannot count it goes.
    void sum_up();

    /// The batch in flight is stored.
    void settle() noexcept {
        landed += in_flight.count;
        last_landed_number = in_flight.last_number;
        latest_landed = std::max(latest_landed, in_flight.latest_time);
        unchecked += in_flight.count;
        in_flight.count = 0;
        in_flight.lines.clear();
        in_doubt = false;
    }

    /// Takes over what waits in a stream that was begun under another writer id, at positions of this one.
    void inherit(Own_Stream&& other);
};

} // namespace memfs_cache
