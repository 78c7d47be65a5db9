// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/events/raw_reader.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What becomes of the parts of a stream where nothing can grow.
struct Part_Limits {
    unsigned parts_a_partial = 32;                ///< after so many their writer stores what the stream adds up to
    std::size_t least_composed = 8;               ///< fewer pieces are not worth it
    std::uint64_t most_composed_bytes = 16 << 20; ///< of a composed piece: what storages take in one request
    /// How long what was composed is left beside it, for readers that have listed it.
    std::chrono::milliseconds patience = std::chrono::hours(1);
};

/// Makes few large pieces of the many small ones that a stream consists of where nothing can grow, and removes those
/// later. A composed piece holds the same lines at the same positions, so whoever reads a stream needs not know that it
/// was composed; and two that compose the same, or know more or less of it, do each other no harm.
///
/// Threads  any number at once, in any number of processes
/// Memory   twice `most_composed_bytes`
template <StorageBackend Storage>
class Composer {
  public:
    Composer(Storage& storage, Log_Paths const& paths, Clock const& clock, Part_Limits const& limits = {})
        : storage_(storage), paths_(paths), clock_(clock), limits_(limits), reader_(storage, paths) {}

    /// Composes the streams of a half-hour, or that of one writer, from their first position up to the first hole. What
    /// is damaged stays as it is, for readers to report.
    /// @errors what the storage says; indeterminate if a piece may not be stored yet. Nothing is lost by either, and it
    ///         may be done again
    /// Cost    one list; a get of each piece of those streams that have enough of them, and a put for each 16 MiB
    [[nodiscard]] auto compose(Base_Window window, std::optional<std::string_view> writer = {}) -> Result<void> {
        auto const streams = reader_.pieces(window);
        if (!streams)
            return streams.error();
        for (auto const& [of, pieces] : *streams)
            if (!writer || of == *writer)
                for (auto const& run : runs_of(cover_of(pieces)))
                    if (auto const done = put_together(window, run); !done)
                        return done;
        return {};
    }

    /// Removes what composed pieces hold that have been there for long enough, the oldest positions first, then the
    /// partial summaries of the half-hour. A composed piece is read whole before anything goes that it holds.
    /// @return whether nothing is left that may be removed later
    /// @errors what the storage says
    [[nodiscard]] auto remove_composed(Base_Window window) -> Result<bool> {
        auto const streams = reader_.pieces(window);
        if (!streams)
            return streams.error();
        bool all_gone = true;
        for (auto const& [writer, pieces] : *streams)
            for (auto const* const composed : cover_of(pieces)) {
                auto const gone = remove_parts_of(window, *composed, pieces);
                if (!gone)
                    return gone;
                all_gone = all_gone && *gone;
            }
        if (!all_gone)
            return false;
        auto const partials = files_list(storage_, paths_.partials_folder(window));
        if (!partials)
            return partials.error();
        for (auto const& key : *partials)
            if (auto const erased = storage_.erase(Storage_Key(key), Precondition::none()); !erased)
                return erased.error();
        return true;
    }

  private:
    using Pieces = std::vector<Stored_Piece const*>;

    /// The fewest pieces that hold the positions from 0 up to the first hole, in order; none for a stream that grows.
    static auto cover_of(std::vector<Stored_Piece> const& pieces) -> Pieces {
        Pieces sorted;
        for (auto const& piece : pieces) {
            if (!piece.name.count)
                return {};
            sorted.push_back(&piece);
        }
        std::sort(sorted.begin(), sorted.end(),
                  [](auto const* a, auto const* b) { return a->name.base < b->name.base; });
        Pieces cover;
        std::uint64_t position = 0;
        for (auto next = sorted.begin();;) {
            Stored_Piece const* furthest = nullptr;
            for (; next != sorted.end() && (*next)->name.base <= position; ++next)
                if ((*next)->name.end() > (furthest == nullptr ? position : furthest->name.end()))
                    furthest = *next;
            if (furthest == nullptr)
                return cover;
            cover.push_back(furthest);
            position = furthest->name.end();
        }
    }

    /// Divides a cover into runs that make a piece each, and leaves out what is too few.
    [[nodiscard]] auto runs_of(Pieces const& cover) const -> std::vector<Pieces> {
        std::vector<Pieces> runs;
        std::uint64_t bytes = 0;
        for (auto const* const piece : cover) {
            bytes += piece->size_bytes;
            if (runs.empty() || bytes > limits_.most_composed_bytes) {
                runs.emplace_back();
                bytes = piece->size_bytes;
            }
            runs.back().push_back(piece);
        }
        std::erase_if(runs, [&](Pieces const& run) { return run.size() < limits_.least_composed; });
        return runs;
    }

    auto put_together(Base_Window window, Pieces const& run) -> Result<void> {
        auto const& first = run.front()->name;
        Segment_Header header{earliest_time, {}, clock_.now()};
        Bytes lines;
        auto position = first.base;
        for (auto const* const piece : run) {
            auto const part = read_whole(window, *piece, position, &lines);
            if (!part)
                return part.error();
            if (!*part)
                return {}; // damaged, or gone because somebody else has composed it
            if (piece == run.front())
                header.newest_before = (*part)->newest_before;
            header.at =
                std::max(header.at, (*part)->at); // so that windows built from it are those built from the parts
            position = piece->name.end();
        }
        Segment_Name const name{first.first_time, first.writer, first.base, position - first.base};
        auto const key = Storage_Key(paths_.raw_folder(window) + name.text());
        auto const written =
            storage_.put(key, segment_header(name, window, header).append(lines), Precondition::absent());
        if (!written)
            return written.error();
        if (written->state == Put_State::unknown)
            return fail(Errc::indeterminate, key.str() + " may not be stored yet");
        return {}; // one of this name that is there already holds the same events
    }

    /// Reads a piece of which every line has to be good.
    /// @param  lines  if given, its events from position `from` on are appended, each with its line end
    /// @return its header; nothing if it is gone or not whole
    auto read_whole(Base_Window window, Stored_Piece const& piece, std::uint64_t from, Bytes* lines) const
        -> Result<std::optional<Segment_Header>> {
        auto const object = storage_.get(Storage_Key(piece.key));
        if (!object)
            return object.error();
        if (!*object)
            return std::optional<Segment_Header>();
        auto const bytes = std::string_view((*object)->bytes);
        Segment_Scanner scanner(piece.name, window, piece.name.base, true);
        auto const scanned = scanner.feed(bytes, from, [&](Raw_Event const& event) -> Result<void> {
            if (lines != nullptr)
                lines->append(event.json).append("\n");
            return {};
        });
        if (!scanned || scanner.position() != piece.name.end())
            return std::optional<Segment_Header>();
        return read_header(bytes.substr(0, bytes.find('\n')), piece.name, window);
    }

    /// @return whether nothing that this piece holds lies anywhere else any more, as far as may be
    auto remove_parts_of(Base_Window window, Stored_Piece const& composed, std::vector<Stored_Piece> const& pieces)
        -> Result<bool> {
        Pieces parts;
        for (auto const& piece : pieces)
            if (&piece != &composed && piece.name.base >= composed.name.base && piece.name.end() <= composed.name.end())
                parts.push_back(&piece);
        if (parts.empty())
            return true;
        auto const header = read_whole(window, composed, composed.name.base, nullptr);
        if (!header)
            return header.error();
        if (!*header || !(*header)->composed_at)
            return true; // nobody can trust it, now or later
        if (clock_.now() < *(*header)->composed_at + limits_.patience)
            return false;
        std::sort(parts.begin(), parts.end(), [](auto const* a, auto const* b) { return a->name.base < b->name.base; });
        for (auto const* const part : parts)
            if (auto const erased = storage_.erase(Storage_Key(part->key), Precondition::none()); !erased)
                return erased.error();
        return true;
    }

    Storage& storage_;
    Log_Paths const& paths_;
    Clock const& clock_;
    Part_Limits const limits_;
    Raw_Reader<Storage> reader_;
};

} // namespace memfs_cache
