// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/lets/window.hpp>

#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// The answer to a question about one window.
template <class Summary>
struct Window_Result {
    Window window;
    bool recorded = false;      ///< some event was recorded in it; false is "nothing known", not "zero measured"
    bool final = false;         ///< closed, complete, and saved
    Utc_Time computed_at;       ///< of a final window: from when on these numbers hold; of an open one: now
    std::uint64_t revision = 0; ///< how many late marks it includes
    std::uint64_t late_events = 0;
    std::shared_ptr<Summary const> summary; ///< never null
};

/// The members that every saved window begins with, whatever it sums up.
struct Saved_Window_Head {
    std::string namespace_name;
    Window window;
    std::uint64_t revision = 0;
    Utc_Time computed_at;
    std::uint64_t late_events = 0;
    std::string sources; ///< `"covers":{...}` of a half-hour, `"children":{...}` of every other level

    /// Appends `{"v":1,...,` up to and with the comma before the summary's own members.
    void append_to(std::string& out) const;
};

/// Which answer about which window of its level a saved window is: later windows and higher revisions are greater.
struct Window_Position {
    Utc_Time start = Utc_Time::min();
    std::uint64_t revision = 0;

    /// So many bytes of a saved window hold what read() wants.
    static constexpr std::size_t longest_text = 512;
    /// From the beginning of a saved window; nothing if it is none of that level.
    [[nodiscard]] static auto read(std::string_view text, Window_Type type) -> std::optional<Window_Position>;
    friend auto operator<=>(Window_Position const&, Window_Position const&) = default;
};

/// Reads the common members of a saved window and checks that it is the window asked for.
/// @errors corrupt_data
[[nodiscard]] auto read_saved_head(boost::json::object const& object, Window const& window)
    -> Result<Saved_Window_Head>;

} // namespace memfs_cache
