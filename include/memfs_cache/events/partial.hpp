// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/log_paths.hpp>
#include <memfs_cache/events/raw_reader.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// What the events of one stream add up to, while they land: the log's owner knows what they mean, the log where they
/// end.
class Stream_Summary {
  public:
    Stream_Summary() = default;
    Stream_Summary(Stream_Summary const&) = delete;
    auto operator=(Stream_Summary const&) -> Stream_Summary& = delete;
    virtual ~Stream_Summary() = default;

    /// Counts the next event of the stream.
    /// @errors any: the stream then has no partial summaries
    [[nodiscard]] virtual auto add(Raw_Event const& event) -> Result<void> = 0;
    /// Appends what was counted so far, as `"name":value` separated by commas, at least one.
    virtual void append_members(std::string& out) const = 0;
};
using Make_Stream_Summary = std::function<std::unique_ptr<Stream_Summary>()>;

/// What the first events of an open stream add up to: a short cut for who asks about its half-hour, which spares it the
/// pieces that hold them. Its writer overwrites it as it pleases, without a condition: it says itself how much it holds.
struct Partial_Summary {
    std::string writer;
    std::uint64_t positions = 0; ///< events [0, positions)
    std::string state;           ///< a JSON object of what Stream_Summary appended
};

/// Text of a partial summary.
[[nodiscard]] auto partial_text(std::uint64_t positions, Stream_Summary const& summary) -> std::string;
/// Nothing for text that is none: the events it stands for are there as well.
[[nodiscard]] auto parse_partial(std::string_view text) -> std::optional<Partial_Summary>;

/// The partial summaries of a half-hour.
/// Cost    one list, and one get for each writer that has one
template <StorageBackend Storage>
[[nodiscard]] auto read_partials(Storage const& storage, Log_Paths const& paths, Base_Window window)
    -> Result<std::vector<Partial_Summary>> {
    std::vector<Partial_Summary> partials;
    auto const folder = paths.partials_folder(window);
    auto const keys = files_list(storage, folder);
    if (!keys)
        return keys.error();
    for (auto const& key : *keys) {
        auto const object = storage.get(Storage_Key(key));
        if (!object)
            return object.error();
        auto partial = *object ? parse_partial((*object)->bytes) : std::nullopt;
        if (!partial)
            continue;
        partial->writer = std::string_view(key).substr(folder.size()).substr(0, 16);
        partials.push_back(*std::move(partial));
    }
    return partials;
}

} // namespace memfs_cache
