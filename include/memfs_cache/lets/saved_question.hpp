// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/lets/time_zone.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

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
    /// How the object begins that holds its answer: `{"v":1,"question":{...},`
    [[nodiscard]] auto opening() const noexcept -> std::string const& { return opening_; }

  private:
    std::string opening_;
    Storage_Key key_;
};

/// What stands between the question and the summary.
struct Saved_Answer_Head {
    std::uint64_t revision = 0;
    Utc_Time computed_at;
    std::uint64_t late_events = 0;

    /// Appends up to and with the comma before the summary's own members.
    void append_to(std::string& out) const;
    /// @errors corrupt_data
    [[nodiscard]] static auto read(boost::json::object const& object, Storage_Key const& key)
        -> Result<Saved_Answer_Head>;
};

/// When the window of a saved answer ends, from the beginning of its object; nothing if it is none.
[[nodiscard]] auto end_of_saved_answer(std::string_view text) -> std::optional<Utc_Time>;
/// So many bytes of it hold that.
inline constexpr std::size_t longest_answer_window = 512;

} // namespace memfs_cache
