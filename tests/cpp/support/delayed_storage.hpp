// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <functional>
#include <vector>

/// A storage behind a bad network. A write whose outcome the caller never hears may have taken effect, may still do so,
/// after newer ones too, or never will: which of them is the test's word.
template <memfs_cache::StorageBackend Inner>
class Delayed_Storage {
  public:
    enum class Fate {
        answered,
        answer_lost, ///< done, but the caller does not hear of it
        late,        ///< on the way until land() is called
        lost,        ///< never done; of an append half of the bytes arrive
    };

    explicit Delayed_Storage(Inner& inner) : inner_(inner) {}
    /// Asked for each write; without it all are answered.
    std::function<Fate()> fate;
    /// Called after each put that took effect, whenever it did, and after each erase with nothing.
    std::function<void(memfs_cache::Storage_Key const&, std::optional<memfs_cache::Byte_View>)> applied;

    [[nodiscard]] auto on_the_way() const noexcept -> std::size_t { return on_the_way_.size(); }
    /// A write that was on the way arrives, any of them first.
    void land(std::size_t which) {
        auto const arrived = std::move(on_the_way_.at(which));
        on_the_way_.erase(on_the_way_.begin() + static_cast<std::ptrdiff_t>(which));
        arrived();
    }
    /// What is on the way will never arrive.
    void drop_all() { on_the_way_.clear(); }

    auto get(memfs_cache::Storage_Key const& key, memfs_cache::Byte_Range range = {}) const
        -> memfs_cache::Result<std::optional<memfs_cache::Object>> {
        return inner_.get(key, range);
    }
    auto put(memfs_cache::Storage_Key const& key,
             memfs_cache::Byte_View bytes,
             memfs_cache::Precondition const& when,
             memfs_cache::Put_Options const& options = {}) -> memfs_cache::Result<memfs_cache::Put_Outcome> {
        return write(
            [=, this, bytes = memfs_cache::Bytes(bytes)] {
                auto outcome = inner_.put(key, bytes, when, options);
                if (applied && outcome && outcome->state == memfs_cache::Put_State::applied)
                    applied(key, bytes);
                return outcome;
            },
            [] {}, unknown());
    }
    auto append(memfs_cache::Storage_Key const& key,
                std::uint64_t at,
                memfs_cache::Byte_View bytes,
                memfs_cache::Durability durability) -> memfs_cache::Result<memfs_cache::Put_Outcome> {
        return write([=, this, bytes = memfs_cache::Bytes(bytes)] { return inner_.append(key, at, bytes, durability); },
                     [&] { (void)inner_.append(key, at, bytes.substr(0, bytes.size() / 2), durability); }, unknown());
    }
    auto erase(memfs_cache::Storage_Key const& key, memfs_cache::Precondition const& when)
        -> memfs_cache::Result<bool> {
        return write(
            [=, this] {
                auto erased = inner_.erase(key, when);
                if (applied && erased && *erased)
                    applied(key, std::nullopt);
                return erased;
            },
            [] {}, memfs_cache::Result<bool>(memfs_cache::fail(memfs_cache::Errc::indeterminate, "no answer")));
    }
    auto list(memfs_cache::List_Query const& query) const -> memfs_cache::Result<memfs_cache::Page> {
        return inner_.list(query);
    }
    auto sync() -> memfs_cache::Result<void> { return inner_.sync(); }
    auto capabilities() const -> memfs_cache::Capabilities { return inner_.capabilities(); }
    auto counters() const -> memfs_cache::Operation_Counts { return inner_.counters(); }

  private:
    static auto unknown() -> memfs_cache::Result<memfs_cache::Put_Outcome> {
        return memfs_cache::Put_Outcome{memfs_cache::Put_State::unknown, {}};
    }

    template <class Whole, class Rest, class Answer>
    auto write(Whole whole, Rest&& rest, Answer no_answer) -> Answer {
        switch (fate ? fate() : Fate::answered) {
        case Fate::answered:
            return whole();
        case Fate::answer_lost:
            (void)whole();
            break;
        case Fate::late:
            on_the_way_.push_back([whole = std::move(whole)] { (void)whole(); });
            break;
        case Fate::lost:
            rest();
            break;
        }
        return no_answer;
    }

    Inner& inner_;
    std::vector<std::function<void()>> on_the_way_;
};
