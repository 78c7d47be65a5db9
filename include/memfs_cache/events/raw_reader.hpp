// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/events/segment.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// One stored event as it lies there.
struct Raw_Event {
    std::string_view json;             ///< one JSON object; valid during the call only
    std::optional<Utc_Time> name_time; ///< the time in its file's name, for events of the one-file-each layout
};

/// How far a half-hour has been read: for each writer the number of positions, and the files of the compatibility
/// layout. Kept with a summary it says what the summary covers; kept in memory it lets the next read fetch only what
/// is new.
struct Read_State {
    struct Stream {
        std::uint64_t position = 0;        ///< events [0, position) have been read
        std::string object;                ///< the growing piece that was read last,
        std::uint64_t offset = 0;          ///< how many of its bytes,
        std::uint64_t object_position = 0; ///< and the position of the event behind them
    };
    std::map<std::string, Stream, std::less<>> streams;
    std::set<std::string, std::less<>> files; ///< names of one-event files that have been read
    Utc_Time newest_at = earliest_time;       ///< newest `at` among the pieces that were read

    [[nodiscard]] auto position(std::string_view writer) const -> std::uint64_t {
        auto const found = streams.find(writer);
        return found == streams.end() ? 0 : found->second.position;
    }
    /// {"writer":n,...,"files":{"count":n,"hash":"..."}} in order of the names; what a saved summary stores.
    [[nodiscard]] auto covers_json() const -> std::string;
};

/// Splits a growing piece into events and tells damage from a tail that is still being written. Fed with the bytes of
/// one piece in order.
class Segment_Scanner {
  public:
    using Visit = std::function<Result<void>(Raw_Event const&)>;

    /// @param  position  of the first line that will be fed, or of the piece's first event if the header comes first
    Segment_Scanner(Segment_Name const& name, Base_Window window, std::uint64_t position, bool expect_header);

    /// Reads whole lines from `bytes`; events before `from` are skipped.
    /// @return bytes consumed; the rest is the beginning of a line and must be fed again with more behind it
    /// @errors corrupt_data if a line is damaged and a later one is not; what `visit` returns
    /// Memory   what it leaves unconsumed never exceeds the longest line
    [[nodiscard]] auto feed(std::string_view bytes, std::uint64_t from, Visit const& visit) -> Result<std::size_t>;

    /// Position behind the last good line.
    [[nodiscard]] auto position() const noexcept -> std::uint64_t { return position_; }
    [[nodiscard]] auto header_at() const noexcept -> std::optional<Utc_Time> { return header_at_; }
    /// Bytes of the good lines before the first bad one.
    [[nodiscard]] auto good_bytes() const noexcept -> std::uint64_t { return good_bytes_; }
    /// A bad line was met: what follows, if it is bad too, is a torn tail.
    [[nodiscard]] auto torn() const noexcept -> bool { return torn_; }

  private:
    /// @return whether the line is what has to stand there
    auto take(std::string_view line, std::uint64_t from, Visit const& visit) -> Result<bool>;

    Segment_Name const& name_;
    Base_Window window_;
    Line_Seal seal_;
    std::uint64_t position_;
    bool expect_header_;
    std::optional<Utc_Time> header_at_;
    std::uint64_t good_bytes_ = 0;
    bool torn_ = false;
};

/// Reads the raw events of half-hours out of whatever pieces hold them. Position is identity: each position of each
/// stream is taken once, pieces may overlap, and a hole ends a stream.
template <StorageBackend Storage>
class Raw_Reader {
  public:
    using Visit = Segment_Scanner::Visit;

    Raw_Reader(Storage const& storage, Log_Paths const& paths) : storage_(storage), paths_(paths) {}

    /// Visits every event of a half-hour that `state` does not hold yet, and moves `state` forward.
    /// @param  after  events at or before it are wanted by nobody: pieces that hold no others, as far as headers tell,
    ///                are passed over unread
    /// @errors corrupt_data where damage lies before good lines; unavailable if pieces keep vanishing under the reader.
    ///         After an error `state` and what was visited are of no use.
    /// Cost    one list, and a read of each piece that has grown or is new
    [[nodiscard]] auto
    read(Base_Window window, Read_State& state, Visit const& visit, Utc_Time after = Utc_Time::min()) const
        -> Result<void> {
        constexpr int most_listings = 8;
        for (int i = 0; i < most_listings; ++i) {
            auto names = list(window);
            if (!names)
                return names.error();
            auto const done = read_listed(window, *names, state, visit, after);
            if (!done)
                return done.error();
            if (*done)
                return {};
        }
        return fail(Errc::unavailable, paths_.raw_folder(window) + ": files vanish while being read; try again");
    }

    /// Half-hours in [start, end) that have raw events, in order. Work is proportional to those, not to the range.
    [[nodiscard]] auto windows(Utc_Time start, Utc_Time end) const -> Result<std::vector<Base_Window>> {
        std::vector<Base_Window> found;
        auto const from = Base_Window::containing(std::max(start, earliest_time));
        List_Query query{paths_.raw_prefix(), before(from), 1};
        for (;;) {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            if (page->items.empty())
                return found;
            auto const& key = page->items.front().key;
            auto const window = window_of(key);
            if (!window) {
                query.start_after = key; // a stranger's file: step over it alone
                continue;
            }
            if (window->start() >= end)
                return found;
            if (window->start() >= start)
                found.push_back(*window);
            query.start_after = before(window->next());
        }
    }

    /// The newest half-hour that has raw events, if there is one.
    /// Cost    a list for each year, then for each month, day and hour of the newest one
    [[nodiscard]] auto newest_window() const -> Result<std::optional<Base_Window>> {
        return newest_below(paths_.raw_prefix(), 0);
    }

    /// Which half-hour a raw key belongs to; nothing for keys that are not of the log.
    [[nodiscard]] auto window_of(std::string_view key) const -> std::optional<Base_Window> {
        auto const slash = key.rfind('/');
        auto const file = key.substr(slash + 1);
        std::optional<Utc_Time> time;
        if (auto const segment = Segment_Name::parse(file))
            time = segment->first_time;
        else if (auto const event = Event_File_Name::parse(file))
            time = event->time;
        if (!time)
            return std::nullopt;
        auto const window = Base_Window::containing(*time);
        if (key.substr(0, slash + 1) != paths_.raw_folder(window))
            return std::nullopt;
        return window;
    }

  private:
    struct Piece {
        std::string key;
        Segment_Name name;
        std::uint64_t size_bytes = 0;
    };
    struct Listing {
        std::map<std::string, std::vector<Piece>, std::less<>> streams;
        std::vector<std::pair<std::string, Event_File_Name>> files;
    };

    /// @param  depth  of the folder: 0 holds years, 1 months, 2 days, 3 hours, 4 files
    [[nodiscard]] auto newest_below(std::string const& folder, int depth) const -> Result<std::optional<Base_Window>> {
        if (depth == 4)
            return newest_in(folder);
        auto const folders = folders_list(storage_, folder);
        if (!folders)
            return folders.error();
        std::optional<Base_Window> newest;
        for (auto at = folders->rbegin(); at != folders->rend() && !newest; ++at) { // most often the first has some
            auto const found = newest_below(std::string(folder).append(*at).append("/"), depth + 1);
            if (!found)
                return found;
            newest = *found;
        }
        return newest;
    }

    [[nodiscard]] auto newest_in(std::string const& folder) const -> Result<std::optional<Base_Window>> {
        std::optional<Base_Window> newest;
        List_Query query{folder, {}, 1000};
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto const& item : page->items)
                newest = std::max(newest, window_of(item.key)); // nothing is less than any window
            query.start_after = page->next;
        } while (!query.start_after.empty());
        return newest;
    }

    /// A key just before every raw key of a half-hour and behind every one of the half-hours before it.
    [[nodiscard]] auto before(Base_Window window) const -> std::string {
        auto key = paths_.raw_folder(window);
        append_padded(key, static_cast<std::uint64_t>(to_millis(window.start())), 13);
        return key;
    }

    [[nodiscard]] auto list(Base_Window window) const -> Result<Listing> {
        Listing listing;
        auto const folder = paths_.raw_folder(window);
        List_Query query{folder, before(window), 1000};
        for (;;) {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto& item : page->items) {
                auto const file = std::string_view(item.key).substr(folder.size());
                if (auto name = Segment_Name::parse(file)) {
                    if (name->first_time >= window.end())
                        return listing;
                    auto& pieces = listing.streams[name->writer];
                    pieces.push_back({std::move(item.key), *std::move(name), item.size_bytes});
                } else if (auto event = Event_File_Name::parse(file); event && window.contains(event->time)) {
                    listing.files.emplace_back(std::move(item.key), *std::move(event));
                }
            }
            if (page->next.empty())
                return listing;
            query.start_after = page->next;
        }
    }

    /// @return false if a listed piece is gone: list again
    auto read_listed(Base_Window window, Listing& listing, Read_State& state, Visit const& visit, Utc_Time after) const
        -> Result<bool> {
        for (auto& [writer, pieces] : listing.streams) {
            if (after >= window.start())
                if (auto const done = pass_over(window, pieces, state.streams[writer], after); !done || !*done)
                    return done;
            auto const done = read_stream(window, pieces, state.streams[writer], state.newest_at, visit);
            if (!done || !*done)
                return done;
        }
        for (auto const& [key, name] : listing.files) {
            auto const file = key.substr(key.rfind('/') + 1);
            if (state.files.contains(file))
                continue;
            auto object = storage_.get(Storage_Key(key));
            if (!object)
                return object.error();
            if (!*object)
                return false;
            if (auto const visited = visit({(*object)->bytes, name.time}); !visited)
                return visited.error();
            state.files.insert(file);
            state.newest_at = std::max(state.newest_at, name.time);
        }
        return true;
    }

    /// Moves a stream to the last piece before which nothing is newer than `after`. A writer begins a new piece every
    /// few MiB, and says in it how new the events before it are; so the newest minutes of a long log cost little more
    /// than their own bytes, in whatever order times come.
    auto pass_over(Base_Window window, std::vector<Piece>& pieces, Read_State::Stream& stream, Utc_Time after) const
        -> Result<bool> {
        constexpr std::uint64_t longest_header = 512;
        std::sort(pieces.begin(), pieces.end(),
                  [](Piece const& a, Piece const& b) { return a.name.base > b.name.base; });
        for (auto const& piece : pieces) {
            if (piece.name.base <= stream.position)
                break;
            auto const head = storage_.get(Storage_Key(piece.key), Byte_Range{0, longest_header});
            if (!head)
                return head.error();
            if (!*head)
                return false;
            auto const line = std::string_view((*head)->bytes).substr(0, (*head)->bytes.find('\n'));
            auto const header = read_header(line, piece.name, window);
            if (!header || !header->newest_before || *header->newest_before > after)
                continue;
            stream.position = piece.name.base;
            break;
        }
        return true;
    }

    auto read_stream(Base_Window window,
                     std::vector<Piece>& pieces,
                     Read_State::Stream& stream,
                     Utc_Time& newest_at,
                     Visit const& visit) const -> Result<bool> {
        // Longest known piece first, then the growing ones.
        std::sort(pieces.begin(), pieces.end(), [](Piece const& a, Piece const& b) {
            auto const end_a = a.name.base + a.name.count.value_or(0);
            auto const end_b = b.name.base + b.name.count.value_or(0);
            return end_a != end_b ? end_a > end_b : a.key < b.key;
        });
        for (bool moved = true; moved;) {
            moved = false;
            for (auto const& piece : pieces) {
                if (!may_hold(piece, stream.position, pieces))
                    continue;
                if (piece.key == stream.object && piece.size_bytes <= stream.offset)
                    continue;
                auto const before = stream.position;
                auto const read = read_piece(window, piece, stream, newest_at, visit);
                if (!read || !*read)
                    return read;
                if (stream.position > before) {
                    moved = true;
                    break;
                }
            }
        }
        return true;
    }

    /// Of the growing pieces only the one begun last before a position: a writer never goes back to an earlier one.
    static auto may_hold(Piece const& piece, std::uint64_t position, std::vector<Piece> const& pieces) -> bool {
        if (piece.name.base > position)
            return false;
        if (piece.name.count)
            return piece.name.base + *piece.name.count > position;
        return std::none_of(pieces.begin(), pieces.end(), [&](Piece const& other) {
            return !other.name.count && other.name.base > piece.name.base && other.name.base <= position;
        });
    }

    auto read_piece(Base_Window window,
                    Piece const& piece,
                    Read_State::Stream& stream,
                    Utc_Time& newest_at,
                    Visit const& visit) const -> Result<bool> {
        constexpr std::uint64_t chunk_bytes = 512 << 10; // small enough to be taken apart before it leaves the cache
        bool const resume = piece.key == stream.object;
        auto const start = resume ? stream.offset : 0;
        auto offset = start;
        Segment_Scanner scanner(piece.name, window, resume ? stream.object_position : piece.name.base, !resume);
        Storage_Key const key(piece.key);
        for (auto length = chunk_bytes;;) {
            auto const chunk = storage_.get(key, Byte_Range{offset, length});
            if (!chunk)
                return chunk.error();
            if (!*chunk)
                return false;
            auto const& bytes = (*chunk)->bytes;
            auto const used = scanner.feed(bytes, stream.position, visit);
            if (!used)
                return fail(used.error().code, piece.key + ": " + used.error().context);
            if (bytes.size() < length)
                break;
            // A line that was cut is read again from its beginning; one that is longer than a chunk, with more room.
            offset += *used;
            length = *used > 0 ? chunk_bytes : 2 * length;
        }
        // A piece that holds nothing new counts for nothing: an old write may leave one at any time, and windows that
        // are built again must come out as before.
        if (scanner.position() <= stream.position)
            return true;
        stream.position = scanner.position();
        if (scanner.header_at())
            newest_at = std::max(newest_at, *scanner.header_at());
        if (!piece.name.count) {
            stream.object = piece.key;
            stream.offset = start + scanner.good_bytes();
            stream.object_position = scanner.position();
        }
        return true;
    }

    Storage const& storage_;
    Log_Paths const& paths_;
};

} // namespace memfs_cache
