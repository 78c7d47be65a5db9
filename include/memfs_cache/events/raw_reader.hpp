// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/events/sealed_segment.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace memfs_cache {

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

    /// Of a half-hour that was purged: what its saved summary says of one-event files, "" if nothing. They are gone, and
    /// no others are read, as nobody could tell one that is new from one that a purge has left.
    std::optional<std::string> purged_files;

    Utc_Time newest_name = earliest_time; ///< newest time in the name of a piece that was listed
    /// When all names were listed last; nothing if the next listing has to be of all.
    std::optional<std::chrono::steady_clock::time_point> listed_whole;

    [[nodiscard]] auto position(std::string_view writer) const -> std::uint64_t {
        auto const found = streams.find(writer);
        return found == streams.end() ? 0 : found->second.position;
    }
    /// {"writer":n,...,"files":{"count":n,"hash":"..."}} in order of the names; what a saved summary stores.
    [[nodiscard]] auto covers_json() const -> std::string;
    /// Of whoever has read what a saved summary covers, of a half-hour that was purged.
    /// @errors corrupt_data
    [[nodiscard]] static auto of_purged(boost::json::object const& covers) -> Result<Read_State>;
};

/// A piece of a stream, as it is listed.
struct Stored_Piece {
    std::string key;
    Segment_Name name;
    std::uint64_t size_bytes = 0;
};
/// Goes through half-hours one by one.
struct End_Of_Half_Hour {
    [[nodiscard]] auto operator()(Base_Window window) const -> Utc_Time { return window.end(); }
};
/// The pieces of a half-hour by writer.
using Stored_Streams = std::map<std::string, std::vector<Stored_Piece>, std::less<>>;

/// Reads the raw events of half-hours out of whatever pieces hold them. Position is identity: each position of each
/// stream is taken once, pieces may overlap, and a hole ends a stream.
template <StorageBackend Storage>
class Raw_Reader {
  public:
    using Visit = Segment_Scanner::Visit;

    /// @param  whole_list_interval  how long a read that goes on where another one ended may do with the names that are
    ///                              newer than two minutes before the newest one; 0: never. For storages that let each
    ///                              listing of a thousand names be paid
    Raw_Reader(Storage const& storage, Log_Paths const& paths, std::chrono::milliseconds whole_list_interval = {})
        : storage_(storage), paths_(paths), whole_list_interval_(whole_list_interval) {}

    /// Visits every event of a half-hour that `state` does not hold yet, and moves `state` forward.
    /// @param  wanted  pieces and blocks that hold no such events, as far as headers and indexes tell, are passed over
    ///                 unread
    /// @errors corrupt_data where damage lies before good lines; unsupported if a piece has a form of later versions;
    ///         unavailable if pieces keep vanishing under the reader. After an error `state` and what was visited are
    ///         of no use.
    /// Cost    one list, and a read of each piece that has grown or is new
    [[nodiscard]] auto
    read(Base_Window window, Read_State& state, Visit const& visit, Wanted_Events const& wanted = {}) const
        -> Result<void> {
        constexpr int most_listings = 8;
        for (int i = 0; i < most_listings; ++i) {
            auto const now = std::chrono::steady_clock::now();
            bool const is_whole = !state.listed_whole || now >= *state.listed_whole + whole_list_interval_;
            if (is_whole)
                state.listed_whole = now;
            auto names = list(window, is_whole ? before(window) : before_newest(window, state));
            if (!names)
                return names.error();
            state.newest_name = std::max(state.newest_name, names->newest_name);
            auto const done = read_listed(window, *names, state, visit, wanted);
            if (!done)
                return done.error();
            if (*done && (is_whole || !has_hole(*names, state)))
                return {};
            state.listed_whole.reset();
        }
        return fail(Errc::unavailable, paths_.raw_folder(window) + ": files vanish while being read; try again");
    }

    /// The pieces of a half-hour, of each stream in the order of their names.
    /// Cost    a list for each thousand of them
    [[nodiscard]] auto pieces(Base_Window window) const -> Result<Stored_Streams> {
        auto listing = list(window, before(window));
        if (!listing)
            return listing.error();
        return std::move(listing->streams);
    }

    /// Visits the events of one stream from where `stream` stands, and moves that forward.
    /// @param  pieces     of the stream, as they were listed; they are brought into order
    /// @param  newest_at  moved to the newest `at` of those that held something new
    /// @return false if one of them is gone: list again, and go on from there
    /// @errors as read()
    [[nodiscard]] auto read_stream(Base_Window window,
                                   std::vector<Stored_Piece>& pieces,
                                   Read_State::Stream& stream,
                                   Utc_Time& newest_at,
                                   Visit const& visit,
                                   Wanted_Events const& wanted = {}) const -> Result<bool> {
        std::sort(pieces.begin(), pieces.end(),
                  [](Piece const& a, Piece const& b) { return a.name.base < b.name.base; });
        // Of the pieces that begin at or before the position: the one that goes furthest of those that never change,
        // and the growing one that was begun last, since a writer never goes back to an earlier one.
        // Of two that go as far the sealed one, as the other may be on its way out.
        auto const ends_earlier = [](Piece const* a, Piece const* b) {
            return std::tuple(a->name.end(), a->name.sealed, std::string_view(b->key)) <
                   std::tuple(b->name.end(), b->name.sealed, std::string_view(a->key));
        };
        std::priority_queue<Piece const*, std::vector<Piece const*>, decltype(ends_earlier)> whole(ends_earlier);
        Piece const* growing = nullptr;
        for (auto next = pieces.begin();;) {
            for (; next != pieces.end() && next->name.base <= stream.position; ++next)
                if (next->name.count)
                    whole.push(&*next);
                else
                    growing = &*next;
            Piece const* piece = nullptr;
            if (!whole.empty() && whole.top()->name.end() > stream.position) {
                piece = whole.top();
                whole.pop();
            } else if (growing != nullptr) {
                piece = std::exchange(growing, nullptr);
                if (piece->key == stream.object && piece->size_bytes <= stream.offset)
                    continue;
            } else {
                return true;
            }
            auto const read = piece->name.sealed ? read_sealed(window, *piece, stream, newest_at, visit, wanted)
                                                 : read_piece(window, *piece, stream, newest_at, visit);
            if (!read || !*read)
                return read;
        }
    }

    /// Half-hours in [start, end) that have raw events, in order. Work is proportional to those, not to the range.
    /// @param  goes_on_at  (Base_Window found) -> Utc_Time, behind it: what lies before that is passed over
    template <class Goes_On_At = End_Of_Half_Hour>
    [[nodiscard]] auto windows(Utc_Time start, Utc_Time end, Goes_On_At const& goes_on_at = {}) const
        -> Result<std::vector<Base_Window>> {
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
            auto const next = goes_on_at(*window);
            if (next >= end)
                return found;
            query.start_after = before(Base_Window::containing(next));
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
        else if (auto const unreadable = Segment_Name::parse_unreadable(file))
            time = unreadable->first_time;
        if (!time)
            return std::nullopt;
        auto const window = Base_Window::containing(*time);
        if (key.substr(0, slash + 1) != paths_.raw_folder(window))
            return std::nullopt;
        return window;
    }

  private:
    using Piece = Stored_Piece;
    struct Listing {
        Stored_Streams streams;
        std::vector<std::pair<std::string, Event_File_Name>> files;
        Utc_Time newest_name = earliest_time;
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
    [[nodiscard]] auto before(Base_Window window) const -> std::string { return before(window, window.start()); }
    /// The same for the keys of a half-hour from an instant on.
    [[nodiscard]] auto before(Base_Window window, Utc_Time time) const -> std::string {
        auto key = paths_.raw_folder(window);
        append_padded(key, static_cast<std::uint64_t>(to_millis(time)), 13);
        return key;
    }
    /// Before all names that are likely to be new since `state` was read.
    [[nodiscard]] auto before_newest(Base_Window window, Read_State const& state) const -> std::string {
        return before(window, std::max(window.start(), state.newest_name - std::chrono::minutes(2)));
    }
    /// Is something known of a stream, but not what lies before it?
    static auto has_hole(Listing const& listing, Read_State const& state) -> bool {
        return std::any_of(listing.streams.begin(), listing.streams.end(), [&](auto const& stream) {
            auto const position = state.position(stream.first);
            return std::any_of(stream.second.begin(), stream.second.end(),
                               [&](Piece const& piece) { return piece.name.base > position; });
        });
    }

    [[nodiscard]] auto list(Base_Window window, std::string start_after) const -> Result<Listing> {
        Listing listing;
        auto const folder = paths_.raw_folder(window);
        List_Query query{folder, std::move(start_after), 1000};
        for (;;) {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto& item : page->items) {
                auto const file = std::string_view(item.key).substr(folder.size());
                if (auto name = Segment_Name::parse(file)) {
                    if (name->first_time >= window.end())
                        return listing;
                    listing.newest_name = name->first_time;
                    auto& pieces = listing.streams[name->writer];
                    pieces.push_back({std::move(item.key), *std::move(name), item.size_bytes});
                } else if (auto event = Event_File_Name::parse(file); event && window.contains(event->time)) {
                    listing.files.emplace_back(std::move(item.key), *std::move(event));
                } else if (auto const unreadable = Segment_Name::parse_unreadable(file);
                           unreadable && window.contains(unreadable->first_time)) {
                    return fail(Errc::unsupported, item.key + " was written by a later version; use that one");
                }
            }
            if (page->next.empty())
                return listing;
            query.start_after = page->next;
        }
    }

    /// @return false if a listed piece is gone: list again
    auto read_listed(Base_Window window,
                     Listing& listing,
                     Read_State& state,
                     Visit const& visit,
                     Wanted_Events const& wanted) const -> Result<bool> {
        for (auto& [writer, pieces] : listing.streams) {
            if (wanted.after >= window.start())
                if (auto const done = pass_over(window, pieces, state.streams[writer], wanted.after); !done || !*done)
                    return done;
            auto const done = read_stream(window, pieces, state.streams[writer], state.newest_at, visit, wanted);
            if (!done || !*done)
                return done;
        }
        if (state.purged_files)
            return true;
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
    /// few MiB, or with each flush, and says in it how new the events before it are; so the newest minutes of a long log
    /// cost little more than their own bytes, in whatever order times come.
    auto pass_over(Base_Window window, std::vector<Piece>& pieces, Read_State::Stream& stream, Utc_Time after) const
        -> Result<bool> {
        constexpr std::size_t few_parts = 32; // to read one costs as much as to read its header
        std::sort(pieces.begin(), pieces.end(),
                  [](Piece const& a, Piece const& b) { return a.name.base > b.name.base; });
        auto const known = std::find_if(pieces.begin(), pieces.end(),
                                        [&](Piece const& piece) { return piece.name.base <= stream.position; });
        auto const count = static_cast<std::size_t>(known - pieces.begin());
        if (count <= few_parts && std::all_of(pieces.begin(), known, [](Piece const& p) { return p.name.count; }))
            return true;
        // The further back a piece lies, the older is what lies before it. Mostly little is wanted: so in growing steps
        // from the newest one backwards, then in halves.
        std::size_t newer = 0; // of so many it is known that something before them is too new
        std::size_t found = count;
        for (std::size_t step = 0; newer < found; step = 2 * step + 1) {
            bool const is_behind = found == count && step < count;
            auto const at = is_behind ? step : newer + (found - newer) / 2;
            auto const is_old = is_old_before(window, pieces[at], after);
            if (!is_old)
                return is_old.error();
            if (!*is_old)
                return false;
            (**is_old ? found : newer) = **is_old ? at : at + 1;
        }
        if (found < count)
            stream.position = pieces[found].name.base;
        return true;
    }

    /// Does a piece say that nothing before it is newer than `after`? Nothing if it is gone.
    auto is_old_before(Base_Window window, Piece const& piece, Utc_Time after) const -> Result<std::optional<bool>> {
        if (piece.name.sealed) {
            auto const sealed =
                Sealed_Segment<Storage>::open(storage_, piece.key, piece.name, window, piece.size_bytes);
            if (!sealed)
                return sealed.error();
            if (!*sealed)
                return std::optional<bool>();
            auto const newest = (*sealed)->index().header.newest_before;
            return std::optional(newest && *newest <= after);
        }
        constexpr std::uint64_t longest_header = 512;
        auto const head = storage_.get(Storage_Key(piece.key), Byte_Range{0, longest_header});
        if (!head)
            return head.error();
        if (!*head)
            return std::optional<bool>();
        auto const line = std::string_view((*head)->bytes).substr(0, (*head)->bytes.find('\n'));
        auto const header = read_header(line, piece.name, window);
        return std::optional(header && header->newest_before && *header->newest_before <= after);
    }

    auto read_sealed(Base_Window window,
                     Piece const& piece,
                     Read_State::Stream& stream,
                     Utc_Time& newest_at,
                     Visit const& visit,
                     Wanted_Events const& wanted) const -> Result<bool> {
        auto sealed = Sealed_Segment<Storage>::open(storage_, piece.key, piece.name, window, piece.size_bytes);
        if (!sealed)
            return sealed.error();
        if (!*sealed)
            return false;
        newest_at = std::max(newest_at, (*sealed)->index().header.at);
        return (*sealed)->read(stream.position, wanted, visit);
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
            if (!*chunk) {
                stream.position = std::max(stream.position, scanner.position()); // those were visited
                return false;
            }
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
    std::chrono::milliseconds const whole_list_interval_;
};

} // namespace memfs_cache
