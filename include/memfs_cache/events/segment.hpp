// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/events/base_window.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Name of a stored piece of one stream (one writer's events of one half-hour):
///   {first_ms:013}__{writer}-{base:010}.jsonl                grows by appending
///   {first_ms:013}__{writer}-{base:010}-{count}.jsonl        never changes
///   {first_ms:013}__{writer}-{base:010}-{count}.jsonl.zst    the same, sealed: see sealed_segment.hpp
/// `base` is the position of its first event in the stream.
struct Segment_Name {
    Utc_Time first_time;
    std::string writer; ///< 16 lower-case hex digits
    std::uint64_t base = 0;
    std::optional<std::uint64_t> count; ///< absent while the piece may grow
    bool sealed = false;                ///< compressed, with an index; such a piece has a count

    /// Position behind the last event of a piece that never changes.
    [[nodiscard]] auto end() const noexcept -> std::uint64_t { return base + count.value_or(0); }
    [[nodiscard]] auto text() const -> std::string;
    [[nodiscard]] static auto parse(std::string_view file_name) -> std::optional<Segment_Name>;
    /// Of a piece in a form that this version cannot read: {name}.jsonl.{form}
    [[nodiscard]] static auto parse_unreadable(std::string_view file_name) -> std::optional<Segment_Name>;
};

/// Name of the compatibility layout, one file an event: {event_ms}__{event_id}.json
struct Event_File_Name {
    Utc_Time time;
    std::string event_id;
    [[nodiscard]] static auto parse(std::string_view file_name) -> std::optional<Event_File_Name>;
};

/// The longest event, as JSON text, and so how much of a damaged piece a reader has to hold at once.
inline constexpr std::size_t longest_event_bytes = 1 << 20;

/// What the first line of a piece says beside its name.
struct Segment_Header {
    Utc_Time at; ///< when the piece was begun; windows built from it say so
    /// No event of the stream before this piece is newer, so that who looks for newer ones may begin here. Nothing if
    /// that is not known.
    std::optional<Utc_Time> newest_before;
    /// When the piece was put together from smaller ones; nothing for all others.
    std::optional<Utc_Time> composed_at = std::nullopt;

    friend auto operator==(Segment_Header const&, Segment_Header const&) -> bool = default;
};

/// First line of a piece, with its line end.
[[nodiscard]] auto segment_header(Segment_Name const& name, Base_Window window, Segment_Header const& header)
    -> std::string;
/// What a line (without line end) says, if it is the header of this piece.
[[nodiscard]] auto read_header(std::string_view line, Segment_Name const& name, Base_Window window)
    -> std::optional<Segment_Header>;

/// What distinguishes equal bytes at different places: every event line carries a CRC-32C of its text, combined with
/// the checksum of (writer, half-hour, position). A line that was torn, misdirected or recycled fails its check.
class Line_Seal {
  public:
    /// ,"crc32c":"01234567"}
    static constexpr std::size_t tail_bytes = 21;
    /// Where lines are sealed that are no events.
    static constexpr auto header_position = std::numeric_limits<std::uint64_t>::max();
    static constexpr auto index_position = header_position - 1;

    Line_Seal(std::string_view writer, Base_Window window) noexcept;

    /// Checksum of event text without its closing brace; independent of the place.
    [[nodiscard]] static auto text_checksum(std::string_view open_text) noexcept -> std::uint32_t;
    /// Appends the tail with a blank checksum to text whose closing brace was left off.
    static void append_tail(std::string& open_text);
    /// Fills the checksum into a line that ends at `line_end` (one past its closing brace).
    void fill(char* line_end, std::uint32_t text_checksum, std::uint64_t position) const noexcept;
    /// Makes a whole line, its end included, of the event text that stands in `lines` from `begin` on.
    void close_line(std::string& lines, std::size_t begin, std::uint64_t position) const;
    /// Is this line (without line end) what was written at this position?
    [[nodiscard]] auto holds(std::string_view line, std::uint64_t position) const noexcept -> bool;
    /// The only position below 2^32 at which this line could hold; nothing for text that is no sealed line. Any such
    /// text has one, so it means something only if the position is one of few that are likely.
    [[nodiscard]] auto position_of(std::string_view line) const noexcept -> std::optional<std::uint64_t>;

  private:
    [[nodiscard]] auto salt(std::uint64_t position) const noexcept -> std::uint32_t;
    std::uint32_t stream_;
};

} // namespace memfs_cache
