// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/namespaces/analytics/access_log.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

/// What the formats of access logs have in common.
namespace memfs_cache::log_parts {

/// Takes a text apart from its front.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    [[nodiscard]] auto rest() const noexcept -> std::string_view { return rest_; }

    auto skip(char expected) noexcept -> bool {
        if (rest_.empty() || rest_.front() != expected)
            return false;
        rest_.remove_prefix(1);
        return true;
    }

    /// Everything before the next blank, or other separator, or the end; that stays.
    auto word(char separator = ' ') noexcept -> std::string_view {
        auto const text = rest_.substr(0, rest_.find(separator));
        rest_.remove_prefix(text.size());
        return text;
    }

    /// Everything before `mark`, and the mark itself is skipped; nothing if it does not come.
    auto until(std::string_view mark) noexcept -> std::optional<std::string_view> {
        auto const end = rest_.find(mark);
        if (end == std::string_view::npos)
            return std::nullopt;
        auto const text = rest_.substr(0, end);
        rest_.remove_prefix(end + mark.size());
        return text;
    }

    /// The inside of a quoted field; nothing if it does not begin here or does not end.
    auto quoted() noexcept -> std::optional<std::string_view> {
        if (!skip('"'))
            return std::nullopt;
        for (auto end = rest_.find('"'); end != std::string_view::npos; end = rest_.find('"', end + 1)) {
            auto first_backslash = end;
            while (first_backslash > 0 && rest_[first_backslash - 1] == '\\')
                --first_backslash;
            if ((end - first_backslash) % 2 != 0)
                continue; // escaped: an even number of backslashes is only escaped backslashes
            auto const text = rest_.substr(0, end);
            rest_.remove_prefix(end + 1);
            return text;
        }
        return std::nullopt;
    }

  private:
    std::string_view rest_;
};

/// The instant of "17/May/2015:10:05:03 +0000".
[[nodiscard]] auto parse_server_time(std::string_view text) noexcept -> std::optional<Utc_Time>;

/// The same, or of "2015-05-17T10:05:03.123Z" with any zone or none, or of seconds since 1970 such as "1431857103.123".
[[nodiscard]] auto parse_instant(std::string_view text) noexcept -> std::optional<Utc_Time>;

/// The midnight of "2015-05-17".
[[nodiscard]] auto parse_day(std::string_view text) noexcept -> std::optional<Utc_Time>;

/// Sets method and target of "GET /path HTTP/1.1"; leaves both empty for "" and "-".
[[nodiscard]] auto parse_request(std::string_view text, Request_View& request) noexcept -> bool;

[[nodiscard]] auto parse_status(std::string_view text) noexcept -> std::optional<int>;
[[nodiscard]] auto parse_size(std::string_view text) noexcept -> std::optional<std::uint64_t>;

/// Puts a request together from values that are told one after the other.
class Request_Of_Line {
  public:
    using Meaning = Log_Columns::Meaning;

    /// @param  whole_is_millis  is a time taken that has no fraction in milliseconds? Else in seconds, as all others.
    explicit Request_Of_Line(bool whole_is_millis) noexcept : whole_is_millis_(whole_is_millis) {}

    /// @param  value  "" and "-" stand for nothing
    [[nodiscard]] auto take(Meaning meaning, std::string_view value) noexcept -> Access_Log_Verdict;
    /// @param  request  set if nothing is missing
    [[nodiscard]] auto finish(std::string_view source, Request_View& request) noexcept -> Access_Log_Verdict;

  private:
    [[nodiscard]] auto take_time(std::string_view value) noexcept -> bool;
    void take_time_taken(std::string_view value, bool is_part) noexcept;

    Request_View request_;
    std::optional<Utc_Time> day_;
    std::optional<Utc_Time> time_of_day_; ///< on the first of January 1970
    bool whole_is_millis_;
    bool has_status_ = false;
    bool has_size_ = false;
    bool a_part_is_missing_ = false;
};

} // namespace memfs_cache::log_parts
