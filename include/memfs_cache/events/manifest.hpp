// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/events/base_window.hpp>
#include <memfs_cache/storage/update.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Which process is which: enough to tell, on the same machine, whether a writer still lives.
struct Process_Identity {
    std::string host; ///< hash of the machine's name; the name itself is nobody's business
    std::int64_t pid = 0;
    std::uint64_t started = 0; ///< the system's start time of the process, so that a reused pid is another process;
                               ///< 0 if the system does not tell

    [[nodiscard]] static auto current() -> Process_Identity;
    /// Does it certainly not run any more? Of another machine nothing is certain.
    [[nodiscard]] auto is_surely_dead() const -> bool;
    friend auto operator==(Process_Identity const&, Process_Identity const&) -> bool = default;
};

/// The half-hours that a writer may have landed events in without having checked yet whether they were closed. Stored
/// before the first byte of a half-hour lands; what a crash leaves behind is found through it.
struct Writer_Manifest {
    std::string nonce; ///< fresh for each write, because it is overwritten in place
    Process_Identity process;
    Utc_Time started_at;
    Utc_Time changed_at; ///< of its last write
    std::set<Base_Window> open;

    /// Of this process, with nothing open yet.
    [[nodiscard]] static auto begin(Utc_Time now) -> Writer_Manifest {
        return {{}, Process_Identity::current(), now, now, {}};
    }
    /// Before each write: gives it a nonce and its time.
    void renew(Utc_Time now) {
        nonce = random_hex(8);
        changed_at = now;
    }
    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Writer_Manifest>;
};

/// The manifest of a writer id, as the one writer keeps it that has this id.
/// Threads  one at a time
template <StorageBackend Storage>
class Own_Manifest {
  public:
    Own_Manifest(Storage& storage, Storage_Key key) : storage_(storage), key_(std::move(key)) {}

    /// Stores that exactly these half-hours are open. Nothing is written if it says so already.
    /// @return false if it is not our writing that stands there: another writer uses this id, too
    /// Cost    one get, and a put if something changes
    [[nodiscard]] auto set(std::set<Base_Window> const& open, Utc_Time now) -> Result<bool> {
        bool foreign = false;
        auto const changed = update_object(storage_, key_, [&](Object const* current) -> Result<std::optional<Bytes>> {
            if (current != nullptr) {
                auto const stored = Writer_Manifest::from_json(current->bytes);
                foreign = !stored || std::find(nonces_.begin(), nonces_.end(), stored->nonce) == nonces_.end();
                bool const is_known = nonces_.size() == 1; // else it is there, but may not last
                if (foreign || (is_known && stored->open == open))
                    return std::optional<Bytes>();
            }
            if (!manifest_)
                manifest_ = Writer_Manifest::begin(now);
            manifest_->open = open;
            manifest_->renew(now);
            nonces_.push_back(manifest_->nonce);
            return std::optional(manifest_->to_json());
        });
        if (!changed)
            return changed.error();
        if (*changed)
            nonces_.erase(nonces_.begin(), nonces_.end() - 1);
        return !foreign;
    }

    /// Removes it, if it is ours.
    [[nodiscard]] auto erase() -> Result<void> {
        if (nonces_.empty())
            return {};
        auto const object = storage_.get(key_);
        if (!object)
            return object.error();
        auto const stored = *object ? Writer_Manifest::from_json((*object)->bytes) : fail(Errc::not_found, {});
        if (stored && std::find(nonces_.begin(), nonces_.end(), stored->nonce) != nonces_.end())
            if (auto const erased = storage_.erase(key_, Precondition::only_if((*object)->version)); !erased)
                return erased.error();
        nonces_.clear();
        return {};
    }

  private:
    Storage& storage_;
    Storage_Key key_;
    std::optional<Writer_Manifest> manifest_;
    /// Of every write that may stand there: the last one known to have been applied, and those tried since.
    std::vector<std::string> nonces_;
};

/// Adds half-hours to the manifest of a writer id that several processes may share: that of an import.
template <StorageBackend Storage>
[[nodiscard]] auto
add_to_manifest(Storage& storage, Storage_Key const& key, std::set<Base_Window> const& windows, Utc_Time now)
    -> Result<void> {
    auto const changed = update_object(storage, key, [&](Object const* current) -> Result<std::optional<Bytes>> {
        auto manifest = current != nullptr ? Writer_Manifest::from_json(current->bytes) : Writer_Manifest::begin(now);
        if (!manifest)
            return manifest.error();
        auto const before = manifest->open.size();
        manifest->open.insert(windows.begin(), windows.end());
        if (current != nullptr && manifest->open.size() == before)
            return std::optional<Bytes>();
        manifest->renew(now);
        return std::optional(manifest->to_json());
    });
    if (!changed)
        return changed.error();
    return {};
}

} // namespace memfs_cache
