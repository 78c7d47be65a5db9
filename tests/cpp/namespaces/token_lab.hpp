// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/delayed_storage.hpp"
#include <memfs_cache/storage/memory.hpp>

#include <functional>
#include <utility>
#include <vector>

/// What the tests share that run callers of one token against each other in every order.
namespace memfs_cache::testing {

using Network = Delayed_Storage<Storage_Memory>;

/// What a run may choose from, one run for each way to choose: a path through the tree of choices, then the next one.
class Choices {
  public:
    /// @return below n
    auto choose(std::size_t n) -> std::size_t {
        if (n == 1)
            return 0;
        if (at_ == path_.size())
            path_.push_back({0, n});
        return path_[at_++].chosen;
    }
    /// @return false after the last path
    auto next() -> bool {
        at_ = 0;
        while (!path_.empty() && ++path_.back().chosen == path_.back().of)
            path_.pop_back();
        return !path_.empty();
    }

  private:
    struct Choice {
        std::size_t chosen, of;
    };
    std::vector<Choice> path_;
    std::size_t at_ = 0;
};

/// The network as one caller sees it: before each of its steps others may go on, and what is late may land.
class Step_By_Step {
  public:
    Step_By_Step(Network& network, std::function<void()> before) : network_(network), before_(std::move(before)) {}
    auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        before_();
        return network_.get(key, range);
    }
    auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        before_();
        return network_.put(key, bytes, when, options);
    }
    auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> { return network_.erase(key, when); }
    auto list(List_Query const& query) const -> Result<Page> { return network_.list(query); }
    auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        return network_.append(key, at, bytes, durability);
    }
    auto sync() -> Result<void> { return network_.sync(); }
    auto capabilities() const -> Capabilities { return network_.capabilities(); }
    auto counters() const -> Operation_Counts { return network_.counters(); }

  private:
    Network& network_;
    std::function<void()> before_;
};

} // namespace memfs_cache::testing
