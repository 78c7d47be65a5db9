// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>

namespace memfs_cache {

/// Lets a program end by SIGTERM or SIGINT in its own order: wait(), stop its servers, flush its cache.
///
/// Make it first in main(): threads inherit that the two signals are held back, and only wait() takes them. After the
/// first signal the next one ends the program at once, so a stop that hangs can be broken off.
class Stop_Signals {
  public:
    Stop_Signals() noexcept;
    ~Stop_Signals();
    Stop_Signals(Stop_Signals const&) = delete;
    auto operator=(Stop_Signals const&) -> Stop_Signals& = delete;

    /// Returns the number of the first of the two signals, once it came.
    [[nodiscard]] auto wait() noexcept -> int;

  private:
    sigset_t stopping_{};
    sigset_t before_{};
};

} // namespace memfs_cache
