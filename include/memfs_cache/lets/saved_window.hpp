// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/lets/saved_texts.hpp>
#include <memfs_cache/lets/window.hpp>

#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Which window an answer is about, and what the answer is worth.
struct Window_Status {
    Window window;
    bool recorded = false;      ///< some event was recorded in it; false is "nothing known", not "zero measured"
    bool final = false;         ///< closed, complete, and saved
    Utc_Time computed_at;       ///< of a final window: from when on these numbers hold; of an open one: now
    std::uint64_t revision = 0; ///< how many late marks it includes
    std::uint64_t late_events = 0;
};

/// The answer to a question about one window.
template <class Shown>
struct Window_Result : Window_Status {
    std::shared_ptr<Shown const> summary; ///< never null
};

/// The members that every saved window begins with, whatever it sums up.
struct Saved_Window_Head {
    std::string namespace_name;
    Window window;
    std::uint64_t revision = 0;
    Utc_Time computed_at;
    std::uint64_t late_events = 0;
    std::string sources;       ///< `"covers":{...}` of a half-hour, `"children":{...}` of every other level
    std::uint64_t version = 1; ///< of the form: 1 is a summary as it is, 2 an answer and a state

    /// Appends `{"v":1,...,` up to and with the comma before the summary's own members.
    void append_to(std::string& out) const;
    [[nodiscard]] auto status() const -> Window_Status {
        return {window, true, true, computed_at, revision, late_events};
    }
};

/// @param  head    sources that are long go to the state, so that the window stays within `most_saved_bytes`
/// @param  answer  members, at most `most_answer_bytes`
/// @param  state   members
[[nodiscard]] auto saved_window_texts(Saved_Window_Head head, std::string_view answer, std::string_view state)
    -> Saved_Texts;
/// How the paths of state files of a window begin, as Window::file().
[[nodiscard]] auto state_files_of(Window const& window) -> std::string;

/// What the file of a saved window says; views into its text.
struct Saved_Window_View {
    Saved_Window_Head head;
    std::string_view state;      ///< the object that holds the state; of version 1 the whole text
    std::string_view state_file; ///< the file beside it that holds the state instead; else ""
};

/// Reads the common members of a saved window and checks that it is the window asked for.
/// @param  newest_version  that its owner can read
/// @return nothing if the text is not even one object: what a loss of power left of it
/// @errors corrupt_data
[[nodiscard]] auto read_saved_window(std::string_view text, Window const& window, std::uint64_t newest_version)
    -> Result<std::optional<Saved_Window_View>>;

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

} // namespace memfs_cache
