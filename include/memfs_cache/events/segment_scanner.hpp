// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/segment.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace memfs_cache {

/// One stored event as it lies there.
struct Raw_Event {
    std::string_view json;             ///< one JSON object; valid during the call only
    std::optional<Utc_Time> name_time; ///< the time in its file's name, for events of the one-file-each layout
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

} // namespace memfs_cache
