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

/// What becomes of the pieces of a stream once its half-hour is over.
struct Seal_Limits {
    unsigned parts_a_partial = 32;               ///< where nothing can grow: after so many their writer stores what
                                                 ///< the stream adds up to
    std::size_t least_pieces = 8;                ///< so many are worth it,
    std::uint64_t least_bytes = 64 << 10;        ///< or so many bytes of them
    std::uint64_t most_line_bytes = 64ULL << 20; ///< of a sealed segment, before it is compressed
    /// How long what was sealed is left beside it, for readers that have listed it; and how long after its end and grace
    /// a half-hour is sealed where pieces grow.
    std::chrono::milliseconds patience = std::chrono::hours(1);
};

/// Makes few compressed segments of the pieces that a stream consists of, and removes those pieces later. A sealed
/// segment holds the same lines at the same positions, so whoever reads a stream need not know that it was sealed; and
/// two that seal the same, or know more or less of it, do each other no harm.
///
/// Threads  any number at once, in any number of processes, beside writers and readers
/// Memory   what a sealed segment takes on the storage, and a little for each value that its index names
template <StorageBackend Storage>
class Sealer {
  public:
    Sealer(Storage& storage, Log_Paths const& paths, Clock const& clock, Seal_Limits const& limits = {})
        : storage_(storage), paths_(paths), clock_(clock), limits_(limits), reader_(storage, paths) {}

    /// Seals the streams of a half-hour, or that of one writer, from where they are not sealed yet up to the first
    /// hole.
    /// @errors what the storage says; corrupt_data for a stream with damage in it, which stays as it is and keeps no
    ///         other from being sealed; indeterminate if a segment may not be stored yet. Nothing is lost by any, and it
    ///         may be done again
    /// Cost    one list; a read of those streams that are worth it, and a put for each 64 MiB of them
    [[nodiscard]] auto seal(Base_Window window, std::optional<std::string_view> writer = {}) -> Result<void> {
        auto streams = reader_.pieces(window);
        if (!streams)
            return streams.error();
        Result<void> outcome;
        for (auto& [of, pieces] : *streams)
            if (!writer || of == *writer)
                if (auto const done = seal_stream(window, of, pieces); !done && outcome)
                    outcome = done.error();
        return outcome;
    }

    /// Removes what lies in sealed segments that have been there for long enough, the oldest positions first, then the
    /// partial summaries of the half-hour. A segment is read whole before anything goes that it holds.
    /// @return whether nothing is left that may be removed later
    /// @errors what the storage says; corrupt_data for a sealed segment with damage: nothing goes that it should hold
    [[nodiscard]] auto remove_sealed(Base_Window window) -> Result<bool> {
        auto const streams = reader_.pieces(window);
        if (!streams)
            return streams.error();
        bool all_gone = true;
        for (auto const& [writer, pieces] : *streams) {
            auto const gone = remove_from(window, pieces);
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
    using Pieces = std::vector<Stored_Piece>;
    using Chain = std::vector<Stored_Piece const*>;

    /// The fewest sealed segments that hold the positions from 0 up to the first that none of them holds, in order.
    static auto chain_of(Pieces const& pieces) -> Chain {
        Chain chain;
        for (;;) {
            auto const position = end_of(chain);
            Stored_Piece const* furthest = nullptr;
            for (auto const& piece : pieces)
                if (piece.name.sealed && piece.name.base <= position &&
                    piece.name.end() > (furthest == nullptr ? position : furthest->name.end()))
                    furthest = &piece;
            if (furthest == nullptr)
                return chain;
            chain.push_back(furthest);
        }
    }
    static auto end_of(Chain const& chain) -> std::uint64_t { return chain.empty() ? 0 : chain.back()->name.end(); }

    [[nodiscard]] auto is_worth_it(Pieces const& pieces, std::uint64_t sealed_to) const -> bool {
        std::size_t count = 0;
        std::uint64_t bytes = 0;
        for (auto const& piece : pieces)
            if (!piece.name.sealed && (!piece.name.count || piece.name.end() > sealed_to)) {
                ++count;
                bytes += piece.size_bytes;
            }
        return count >= limits_.least_pieces || bytes >= limits_.least_bytes;
    }

    auto seal_stream(Base_Window window, std::string const& writer, Pieces& pieces) -> Result<void> {
        auto const chain = chain_of(pieces);
        auto position = end_of(chain);
        if (!is_worth_it(pieces, position))
            return {};
        std::optional<Utc_Time> newest;
        if (!chain.empty()) {
            auto const last = open(window, *chain.back());
            if (!last)
                return last.error();
            if (!*last)
                return {}; // by somebody who has sealed more
            auto const& index = (*last)->index();
            newest = std::max(index.header.newest_before, std::optional(index.latest()));
        }
        std::optional<Segment_Sealer> sealer;
        Utc_Time newest_at = earliest_time;
        auto const visit = [&](Raw_Event const& event) -> Result<void> {
            if (sealer && sealer->line_bytes() >= limits_.most_line_bytes) {
                newest = sealer->newest();
                if (auto const stored = store(window, *sealer, newest_at); !stored)
                    return stored;
                sealer.reset();
            }
            if (!sealer)
                sealer.emplace(writer, window, position, newest);
            sealer->add(event.json);
            ++position;
            return {};
        };
        Read_State::Stream stream;
        stream.position = position;
        auto const read = reader_.read_stream(window, pieces, stream, newest_at, visit);
        if (!read)
            return read.error();
        if (!*read || !sealer)
            return {}; // somebody else has sealed it meanwhile, or there is nothing new
        return store(window, *sealer, newest_at);
    }

    auto store(Base_Window window, Segment_Sealer& sealer, Utc_Time newest_at) -> Result<void> {
        auto const sealed = sealer.finish(newest_at, clock_.now());
        auto const key = Storage_Key(paths_.raw_folder(window) + sealed.name.text());
        auto const written = storage_.put(key, sealed.bytes, Precondition::absent());
        if (!written)
            return written.error();
        if (written->state == Put_State::unknown)
            return fail(Errc::indeterminate, key.str() + " may not be stored yet");
        return {}; // one of this name that is there already holds the same events
    }

    auto open(Base_Window window, Stored_Piece const& piece) const -> Result<std::optional<Sealed_Segment<Storage>>> {
        return Sealed_Segment<Storage>::open(storage_, piece.key, piece.name, window, piece.size_bytes);
    }

    /// @return whether nothing lies beside the sealed segments of a stream any more that they hold, as far as may be
    auto remove_from(Base_Window window, Pieces const& pieces) -> Result<bool> {
        auto const chain = chain_of(pieces);
        Chain beside;
        for (auto const& piece : pieces)
            if (piece.name.base < end_of(chain) && piece.name.end() <= end_of(chain) &&
                std::find(chain.begin(), chain.end(), &piece) == chain.end())
                beside.push_back(&piece);
        if (beside.empty())
            return true;
        std::sort(beside.begin(), beside.end(),
                  [](auto const* a, auto const* b) { return a->name.base < b->name.base; });
        auto const trusted = trusted_end(window, chain);
        if (!trusted)
            return trusted.error();
        bool all_gone = *trusted == end_of(chain);
        for (auto const* const piece : beside) {
            auto const gone =
                piece->name.count ? remove_part(*piece, *trusted) : remove_grown(window, *piece, *trusted);
            if (!gone)
                return gone;
            all_gone = all_gone && *gone;
        }
        return all_gone;
    }

    /// Up to where sealed segments are whole and have been there for long enough.
    auto trusted_end(Base_Window window, Chain const& chain) const -> Result<std::uint64_t> {
        std::uint64_t trusted = 0;
        for (auto const* const piece : chain) {
            auto segment = open(window, *piece);
            if (!segment)
                return segment.error();
            if (!*segment)
                return trusted;
            auto const& index = (*segment)->index();
            if (!index.header.composed_at || clock_.now() < *index.header.composed_at + limits_.patience)
                return trusted;
            Sha256 digest;
            auto position = piece->name.base;
            auto const read = (*segment)->read(position, {}, [&](Raw_Event const& event) -> Result<void> {
                digest.add(event.json);
                digest.add("\n");
                return {};
            });
            if (!read)
                return read.error();
            if (!*read)
                return trusted;
            if (digest.hex() != index.sha256)
                return fail(Errc::corrupt_data, piece->key + ": its events are not those that were sealed");
            trusted = piece->name.end();
        }
        return trusted;
    }

    auto remove_part(Stored_Piece const& piece, std::uint64_t trusted) -> Result<bool> {
        if (piece.name.end() > trusted)
            return false;
        auto const erased = storage_.erase(Storage_Key(piece.key), Precondition::none());
        if (!erased)
            return erased.error();
        return true;
    }

    /// Only as it was when all of it was found in sealed segments: its writer may live and append to it.
    /// @return false if it is to be looked at again
    auto remove_grown(Base_Window window, Stored_Piece const& piece, std::uint64_t trusted) -> Result<bool> {
        auto const object = storage_.get(Storage_Key(piece.key));
        if (!object)
            return object.error();
        if (!*object)
            return true;
        Segment_Scanner scanner(piece.name, window, piece.name.base, true);
        auto const scanned =
            scanner.feed((*object)->bytes, piece.name.base, [](Raw_Event const&) -> Result<void> { return {}; });
        if (!scanned)
            return fail(scanned.error().code, piece.key + ": " + scanned.error().context);
        if (scanner.position() > trusted || !storage_.capabilities().conditional_erase)
            return true; // it holds more than is sealed
        auto const erased = storage_.erase(Storage_Key(piece.key), Precondition::only_if((*object)->version));
        if (!erased)
            return erased.error();
        return *erased;
    }

    Storage& storage_;
    Log_Paths const& paths_;
    Clock const& clock_;
    Seal_Limits const limits_;
    Raw_Reader<Storage> reader_;
};

} // namespace memfs_cache
