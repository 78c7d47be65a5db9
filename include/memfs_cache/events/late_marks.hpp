// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/events/base_window.hpp>
#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Name of a late mark: {DD}__{bits}__{writer}-{serial}.json in the folder of its month. Bit i stands for the i-th
/// half-hour of the day, so that the name alone says which windows it touches.
struct Late_Mark_Name {
    Utc_Time day;
    std::uint64_t bits = 0;
    std::string writer;
    std::string serial; ///< a counter of the writer; "a{n}" if an adopter put it

    /// Below the prefix of late marks: "2026/02/13__00000c000000__0123456789abcdef-3.json"
    [[nodiscard]] auto text() const -> std::string;
    [[nodiscard]] static auto parse(std::string_view below_prefix) -> std::optional<Late_Mark_Name>;
    /// Does it touch any half-hour of [start, end)?
    [[nodiscard]] auto touches(Utc_Time start, Utc_Time end) const noexcept -> bool;
};

/// What a mark says of one half-hour.
struct Late_Window {
    std::uint64_t landed = 0; ///< events that landed since the writer's last check
    std::uint64_t late = 0;   ///< those of them that count as late; none of a backfill does
};

/// Says that events have landed in windows that were already closed. Immutable.
struct Late_Mark {
    Utc_Time at;
    bool backfill = false;
    std::map<unsigned, Late_Window> windows; ///< by index of the half-hour in its day

    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Late_Mark>;
    [[nodiscard]] auto bits() const noexcept -> std::uint64_t;
};

/// The marks, by day, that events need which landed in half-hours closed by now.
/// @param  backfill  they were not late, but brought in behind the closing on purpose
[[nodiscard]] auto
marks_of(std::map<Base_Window, std::uint64_t> const& landed, Utc_Time closed_until, Utc_Time at, bool backfill)
    -> std::map<Utc_Time, Late_Mark>;

/// What the marks of a range add up to.
struct Late_State {
    std::uint64_t revision = 0; ///< number of marks that touch the range
    std::uint64_t late_events = 0;
    Utc_Time newest_at = earliest_time;
};

/// The few prefixes, below that of late marks, that together hold every mark touching [start, end).
[[nodiscard]] auto late_mark_prefixes(Utc_Time start, Utc_Time end) -> std::vector<std::string>;

/// Reads and writes the late marks of one log.
template <StorageBackend Storage>
class Late_Marks {
  public:
    Late_Marks(Storage& storage, Log_Paths const& paths) : storage_(storage), prefix_(paths.late_prefix()) {}

    /// Number of marks that touch [start, end): the revision that a saved window must have to be current.
    /// Cost    one list (usually empty), a few for ranges across months
    [[nodiscard]] auto revision(Utc_Time start, Utc_Time end) const -> Result<std::uint64_t> {
        std::uint64_t count = 0;
        auto const walked = each_name(start, end, [&](std::string const&, Late_Mark_Name const&) -> Result<void> {
            ++count;
            return {};
        });
        if (!walked)
            return walked.error();
        return count;
    }

    /// The same with the marks read.
    [[nodiscard]] auto state(Utc_Time start, Utc_Time end) const -> Result<Late_State> {
        Late_State state;
        auto const walked =
            each_name(start, end, [&](std::string const& key, Late_Mark_Name const& name) -> Result<void> {
                auto object = storage_.get(Storage_Key(key));
                if (!object)
                    return object.error();
                if (!*object)
                    return fail(Errc::unavailable, key + " was listed and is gone; late marks are never deleted");
                auto const mark = Late_Mark::from_json((*object)->bytes);
                if (!mark)
                    return fail(Errc::corrupt_data, key + ": " + mark.error().context);
                ++state.revision;
                state.newest_at = std::max(state.newest_at, mark->at);
                for (auto const& [index, window] : mark->windows) {
                    auto const begin = name.day + index * Base_Window::length;
                    if (begin >= start && begin < end)
                        state.late_events += window.late;
                }
                return {};
            });
        if (!walked)
            return walked.error();
        return state;
    }

    /// Stores a mark; storing it again is harmless.
    /// @return false if a mark that says something else has this name
    /// @errors indeterminate if it may not be stored yet: put the same again
    [[nodiscard]] auto put(Late_Mark_Name const& name, Late_Mark const& mark) -> Result<bool> {
        auto const key = Storage_Key(prefix_ + name.text());
        auto const text = mark.to_json();
        auto const written = storage_.put(key, text, Precondition::absent());
        if (!written)
            return written.error();
        if (written->state == Put_State::unknown)
            return fail(Errc::indeterminate, key.str() + " may not be stored yet");
        if (written->state == Put_State::applied)
            return true;
        auto const present = storage_.get(key);
        if (!present)
            return present.error();
        return *present && (*present)->bytes == text;
    }

    /// Stores the marks of a backfill. A mark that has its name already was put for the same events.
    [[nodiscard]] auto put_backfill(std::map<Utc_Time, Late_Mark> const& days,
                                    std::string const& writer,
                                    std::string const& serial) -> Result<void> {
        for (auto const& [day, mark] : days)
            if (auto const stored = put({day, mark.bits(), writer, serial}, mark); !stored)
                return stored.error();
        return {};
    }

    /// Names of the marks that touch [start, end).
    [[nodiscard]] auto names(Utc_Time start, Utc_Time end) const -> Result<std::vector<Late_Mark_Name>> {
        std::vector<Late_Mark_Name> found;
        auto const walked = each_name(start, end, [&](std::string const&, Late_Mark_Name const& name) -> Result<void> {
            found.push_back(name);
            return {};
        });
        if (!walked)
            return walked.error();
        return found;
    }

    /// Half-hours in [start, end) that some mark touches, in order, once each.
    [[nodiscard]] auto marked_windows(Utc_Time start, Utc_Time end) const -> Result<std::vector<Base_Window>> {
        std::map<Base_Window, bool> found;
        auto const walked = each_name(start, end, [&](std::string const&, Late_Mark_Name const& name) -> Result<void> {
            for (unsigned i = 0; i < Base_Window::per_day; ++i) {
                auto const begin = name.day + i * Base_Window::length;
                if ((name.bits >> i & 1) != 0 && begin >= start && begin < end)
                    found.emplace(Base_Window::containing(begin), true);
            }
            return {};
        });
        if (!walked)
            return walked.error();
        std::vector<Base_Window> windows;
        windows.reserve(found.size());
        for (auto const& entry : found)
            windows.push_back(entry.first);
        return windows;
    }

  private:
    template <class Visit>
    auto each_name(Utc_Time start, Utc_Time end, Visit&& visit) const -> Result<void> {
        for (auto const& below : late_mark_prefixes(start, end)) {
            List_Query query{prefix_ + below, {}, 1000};
            do {
                auto page = storage_.list(query);
                if (!page)
                    return page.error();
                for (auto const& item : page->items) {
                    auto const name = Late_Mark_Name::parse(std::string_view(item.key).substr(prefix_.size()));
                    if (!name || !name->touches(start, end))
                        continue;
                    if (auto const visited = visit(item.key, *name); !visited)
                        return visited.error();
                }
                query.start_after = page->next;
            } while (!query.start_after.empty());
        }
        return {};
    }

    Storage& storage_;
    std::string prefix_;
};

} // namespace memfs_cache
