// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/lets/saved_texts.hpp>
#include <memfs_cache/lets/time_zone.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// What stands between a question and its answer.
struct Saved_Answer_Head {
    std::uint64_t revision = 0;
    Utc_Time computed_at;
    std::uint64_t late_events = 0;
};

/// What the file of a saved answer says; views into its text.
struct Saved_Answer_View {
    bool is_of_another = false; ///< to another question that has the same hash; the rest is not read then
    Saved_Answer_Head head;
    std::uint64_t version = 0;   ///< of the form: 1 is a summary as it is, 2 an answer and a state
    std::string_view state;      ///< the object that holds the state; of version 1 the whole text
    std::string_view state_file; ///< the file beside it that holds the state instead; else ""
};

/// A question whose answer is kept under the hash of its one spelling.
class Saved_Question {
  public:
    /// @param  time_zone  whose days or months the answer is put together from; "" if it is not
    /// @param  filter     the JSON object of what it asks about; "{}" for everything
    Saved_Question(Log_Paths const& paths,
                   Local_Window const& window,
                   std::string_view time_zone,
                   std::string_view filter);

    /// `{paths}queries/aa/bb/{hash}.json`
    [[nodiscard]] auto key() const noexcept -> Storage_Key const& { return key_; }

    /// The object of its answer up to and with the comma before the summary's own members.
    [[nodiscard]] auto opening(std::uint64_t version, Saved_Answer_Head const& head) const -> std::string;
    /// An answer with what is needed to merge it.
    /// @param  state  members
    [[nodiscard]] auto texts(Saved_Answer_Head const& head, std::string_view answer, std::string_view state) const
        -> Saved_Texts;

    /// @return nothing if the text is not even one object: what a loss of power left of it
    /// @errors corrupt_data
    [[nodiscard]] auto read(std::string_view object, std::uint64_t newest_version) const
        -> Result<std::optional<Saved_Answer_View>>;

  private:
    /// How the object begins, in a form.
    [[nodiscard]] auto beginning(std::uint64_t version) const -> std::string;
    /// How the names of its state files begin.
    [[nodiscard]] auto states() const -> std::string;

    std::string question_;
    Storage_Key key_;
};

/// When the window of a saved answer ends, from the beginning of its object; nothing if it is none.
[[nodiscard]] auto end_of_saved_answer(std::string_view text) -> std::optional<Utc_Time>;
/// So many bytes of it hold that.
inline constexpr std::size_t longest_answer_window = 512;
/// The key of the answer whose state lies under a key; nothing if it is none.
[[nodiscard]] auto answer_of_state(std::string_view key) -> std::optional<std::string>;

} // namespace memfs_cache
