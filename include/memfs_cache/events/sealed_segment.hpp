// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/sha256.hpp>
#include <memfs_cache/core/zstd.hpp>
#include <memfs_cache/events/segment_scanner.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// Which events a reader is looking for, so that what holds none of them can be passed over unread. Others may be
/// visited as well: it is for whoever visits to choose.
struct Wanted_Events {
    Utc_Time after = Utc_Time::min();  ///< none at or before it,
    Utc_Time before = Utc_Time::max(); ///< none at or after it,
    std::string_view member = {};      ///< and, unless this is "", only those of which this member
    std::string_view value = {};       ///< is this text
};

/// One of the frames that a sealed segment's events lie in: whole lines, compressed by themselves.
struct Sealed_Block {
    std::uint64_t offset = 0;   ///< of its first byte in the file
    std::uint64_t position = 0; ///< of its first event in the stream
    Utc_Time earliest;          ///< no event in it is earlier,
    Utc_Time latest;            ///< nor later
};

/// What the last line of a sealed segment says.
struct Sealed_Index {
    /// In the order of their names: those whose values are worth looking for.
    static constexpr std::array<std::string_view, 3> members{"token_id", "token_name", "transfer_id"};
    static constexpr std::size_t longest_value = 256; ///< longer ones are not in it

    Segment_Header header; ///< the first line says the same
    std::string sha256;    ///< of the lines of its events, their ends included
    std::vector<Sealed_Block> blocks;
    /// For each member the blocks in which it has a value, in order.
    std::array<std::map<std::string, std::vector<std::size_t>, std::less<>>, members.size()> values;

    /// Blocks that hold a position from `from` on, and may hold an event that is wanted; in order.
    [[nodiscard]] auto blocks_with(std::uint64_t from, Wanted_Events const& wanted) const -> std::vector<std::size_t>;
    [[nodiscard]] auto earliest() const -> Utc_Time;
    [[nodiscard]] auto latest() const -> Utc_Time;

    /// Last line of a sealed segment, with its line end.
    [[nodiscard]] auto line(Segment_Name const& name, Base_Window window) const -> std::string;
    /// @param  line   without its line end
    /// @errors corrupt_data if it is not the index of this piece
    [[nodiscard]] static auto parse(std::string_view line, Segment_Name const& name, Base_Window window)
        -> Result<Sealed_Index>;
};

/// Puts a sealed segment together, line by line: frames of zstd that hold the header, then some lines each, then the
/// index, and at the end a frame that readers of zstd skip, which says how long the frame of the index is. So `zstd -dc`
/// gives lines of JSON.
///
/// Threads  one at a time
/// Memory   what the segment has in the end, its index decoded, and two blocks
class Segment_Sealer {
  public:
    static constexpr std::size_t block_bytes = 128
                                               << 10; ///< of lines, before they are compressed; the last one goes over

    /// @param  base           position of the first line that will be added
    /// @param  newest_before  as in the header
    Segment_Sealer(std::string_view writer,
                   Base_Window window,
                   std::uint64_t base,
                   std::optional<Utc_Time> newest_before);

    /// @param  line  a sealed line of the stream, the one behind the last, without its line end
    void add(std::string_view line);

    [[nodiscard]] auto line_bytes() const noexcept -> std::uint64_t { return line_bytes_; }
    [[nodiscard]] auto end() const noexcept -> std::uint64_t { return position_; }
    /// What stands as `newest` in the header of a piece that follows.
    [[nodiscard]] auto newest() const -> std::optional<Utc_Time>;

    struct Sealed {
        Segment_Name name;
        Bytes bytes;
    };
    /// The segment; at least one line was added before, and none may be added after it.
    /// @param  at       as in the header: the newest of the pieces that the lines came from
    /// @param  made_at  now
    [[nodiscard]] auto finish(Utc_Time at, Utc_Time made_at) -> Sealed;

  private:
    void close_block();

    std::string writer_;
    Base_Window window_;
    std::uint64_t position_;
    std::uint64_t line_bytes_ = 0;
    Utc_Time first_time_;
    Bytes lines_;  ///< of the block that is being filled
    Bytes frames_; ///< the blocks before it
    Sealed_Index index_;
    Sha256 digest_;
    Zstd_Packer packer_;
};

/// The bytes with which a sealed segment ends.
inline constexpr std::size_t sealed_end_bytes = 12;
/// How long the frame of the index before them is; nothing if they are no such bytes.
[[nodiscard]] auto index_frame_bytes(Byte_View end) -> std::optional<std::uint64_t>;

/// A sealed segment on a storage, of which the index was read.
///
/// Threads  one at a time
/// Memory   the index, and two MiB while it is read
template <StorageBackend Storage>
class Sealed_Segment {
  public:
    /// @param  size_bytes  of the object, as it is listed
    /// @return nothing if it is gone
    /// @errors corrupt_data naming the file; what the storage says
    /// Cost    one get; a second one for an index of more than 64 KiB
    [[nodiscard]] static auto open(Storage const& storage,
                                   std::string const& key,
                                   Segment_Name name,
                                   Base_Window window,
                                   std::uint64_t size_bytes) -> Result<std::optional<Sealed_Segment>> {
        constexpr std::uint64_t first_look = 64 << 10;
        auto const damaged = [&](std::string const& what) { return fail(Errc::corrupt_data, key + ": " + what); };
        auto end = storage.get(Storage_Key(key), last_bytes(size_bytes, std::min(size_bytes, first_look)));
        if (!end)
            return end.error();
        if (!*end)
            return std::optional<Sealed_Segment>();
        auto const frame_bytes = index_frame_bytes((*end)->bytes);
        if (!frame_bytes || *frame_bytes > size_bytes - sealed_end_bytes)
            return damaged("does not end as a sealed segment does");
        if ((*end)->bytes.size() < *frame_bytes + sealed_end_bytes) {
            end = storage.get(Storage_Key(key), last_bytes(size_bytes, *frame_bytes + sealed_end_bytes));
            if (!end)
                return end.error();
            if (!*end)
                return std::optional<Sealed_Segment>();
        }
        if ((*end)->bytes.size() < *frame_bytes + sealed_end_bytes)
            return damaged("is shorter than it was listed");
        auto frame = Byte_View((*end)->bytes);
        frame.remove_suffix(sealed_end_bytes);
        frame.remove_prefix(frame.size() - *frame_bytes);
        Sealed_Segment segment(storage, key, std::move(name), window, size_bytes - sealed_end_bytes - *frame_bytes);
        auto index = segment.unpack_index(frame);
        if (!index)
            return damaged(index.error().context);
        segment.index_ = *std::move(index);
        return std::optional(std::move(segment));
    }

    [[nodiscard]] auto index() const noexcept -> Sealed_Index const& { return index_; }

    /// Visits the events from position `from` on that may be wanted, in order.
    /// @return false if the object is gone; `from` is then the first position that was not visited. Afterwards it is
    ///         the end of the segment.
    /// @errors corrupt_data naming the file; what the storage and `visit` say
    /// Cost    a get for each MiB of blocks that lie together
    [[nodiscard]] auto read(std::uint64_t& from, Wanted_Events const& wanted, Segment_Scanner::Visit const& visit)
        -> Result<bool> {
        constexpr std::uint64_t most_bytes = 1 << 20;
        auto const blocks = index_.blocks_with(from, wanted);
        for (auto next = blocks.begin(); next != blocks.end();) {
            auto const begin = next;
            do
                ++next;
            while (next != blocks.end() && *next == *(next - 1) + 1 &&
                   end_of(*next) - index_.blocks[*begin].offset <= most_bytes);
            // The header is read with the first block, so that whoever reads all of a segment has seen all of it.
            auto const offset = *begin == 0 ? 0 : index_.blocks[*begin].offset;
            auto const bytes = storage_.get(Storage_Key(key_), Byte_Range{offset, end_of(*(next - 1)) - offset});
            if (!bytes)
                return bytes.error();
            if (!*bytes)
                return false;
            if (*begin == 0)
                if (auto const header = check_header((*bytes)->bytes); !header)
                    return damaged(0, header.error().context);
            for (auto block = begin; block != next; ++block)
                if (auto const read = read_block(*block, offset, (*bytes)->bytes, from, visit); !read)
                    return read.error();
        }
        from = std::max(from, name_.end());
        return true;
    }

  private:
    /// A line is at most so long, and a block ends with the one that fills it.
    static constexpr std::size_t most_block_bytes =
        Segment_Sealer::block_bytes + longest_event_bytes + Line_Seal::tail_bytes + 1;
    static constexpr std::size_t most_index_bytes = 256 << 20;

    Sealed_Segment(Storage const& storage, std::string key, Segment_Name name, Base_Window window, std::uint64_t end)
        : storage_(storage), key_(std::move(key)), name_(std::move(name)), window_(window), blocks_end_(end) {}

    static auto last_bytes(std::uint64_t size, std::uint64_t count) -> Byte_Range { return {size - count, count}; }

    [[nodiscard]] auto unpack_index(Byte_View frame) -> Result<Sealed_Index> {
        if (auto const unpacked = unpacker_.unpack(frame, most_index_bytes, lines_); !unpacked)
            return unpacked.error();
        auto const line = Byte_View(lines_).substr(0, lines_.find('\n'));
        if (line.size() + 1 != lines_.size())
            return fail(Errc::corrupt_data, "the index is not one line");
        auto index = Sealed_Index::parse(line, name_, window_);
        if (index && index->blocks.back().offset >= blocks_end_)
            return fail(Errc::corrupt_data, "the index does not belong to this file");
        return index;
    }

    [[nodiscard]] auto check_header(Byte_View bytes) -> Result<void> {
        if (auto const unpacked = unpacker_.unpack(bytes.substr(0, index_.blocks.front().offset), 1024, lines_);
            !unpacked)
            return unpacked.error();
        if (lines_ != segment_header(name_, window_, index_.header))
            return fail(Errc::corrupt_data, "the header is not that of the index");
        return {};
    }

    [[nodiscard]] auto end_of(std::size_t block) const -> std::uint64_t {
        return block + 1 < index_.blocks.size() ? index_.blocks[block + 1].offset : blocks_end_;
    }

    /// @param  bytes  of the file, from `offset` on
    [[nodiscard]] auto read_block(std::size_t number,
                                  std::uint64_t offset,
                                  Byte_View bytes,
                                  std::uint64_t& from,
                                  Segment_Scanner::Visit const& visit) -> Result<void> {
        auto const& block = index_.blocks[number];
        if (bytes.size() < end_of(number) - offset)
            return damaged(block.offset, "the file ends before it does");
        auto const frame = bytes.substr(block.offset - offset, end_of(number) - block.offset);
        if (auto const unpacked = unpacker_.unpack(frame, most_block_bytes, lines_); !unpacked)
            return damaged(block.offset, unpacked.error().context);
        auto const end = number + 1 < index_.blocks.size() ? index_.blocks[number + 1].position : name_.end();
        Segment_Scanner scanner(name_, window_, block.position, false);
        auto const used = scanner.feed(lines_, from, visit);
        if (!used)
            return fail(used.error().code, key_ + ": " + used.error().context);
        if (*used != lines_.size() || scanner.torn() || scanner.position() != end)
            return damaged(block.offset, "it does not hold the events that it has to");
        from = std::max(from, end);
        return {};
    }

    [[nodiscard]] auto damaged(std::uint64_t offset, std::string const& what) const -> Error {
        return fail(Errc::corrupt_data, key_ + ": the frame at byte " + std::to_string(offset) +
                                            " is damaged: " + what + "; restore the file from a copy");
    }

    Storage const& storage_;
    std::string key_;
    Segment_Name name_;
    Base_Window window_;
    std::uint64_t blocks_end_;
    Sealed_Index index_;
    Zstd_Unpacker unpacker_;
    Bytes lines_; ///< what was unpacked last
};

} // namespace memfs_cache
