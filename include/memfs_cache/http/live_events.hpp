// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/http/message.hpp>

#include <boost/json/object.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace memfs_cache {

/// A stream of events of one kind for everybody who listens: one at once, and another one every two seconds. So many
/// streams are held open at the same time; for the next listener the stream ends after its first event. Readers of event
/// streams come back two seconds after the end by themselves, so they have the same events and hold nothing.
///
/// Threads    answers from any thread at once.
/// Ownership  answers may outlive it; they hold what `ask` holds.
/// @source    the HTML standard, server-sent events
class Live_Events {
  public:
    /// What the next event says. Called on a thread that may wait, for several listeners at once.
    using Ask = std::function<Result<boost::json::object>()>;
    static constexpr std::size_t usual_most_held = 32;
    static constexpr std::chrono::milliseconds interval{2000};

    Live_Events(std::string name, Ask ask, std::size_t most_held = usual_most_held)
        : name_(std::move(name)), ask_(std::move(ask)), most_held_(most_held) {}

    /// An answer that begins with what happens now. A stream ends when a later question fails; whoever comes back is told
    /// why.
    /// @return the error's answer if there is nothing to begin with
    [[nodiscard]] auto reply() const -> Response;

  private:
    std::string name_;
    Ask ask_;
    std::size_t most_held_;
    std::shared_ptr<std::atomic<std::size_t>> held_ = std::make_shared<std::atomic<std::size_t>>(0);
};

} // namespace memfs_cache
