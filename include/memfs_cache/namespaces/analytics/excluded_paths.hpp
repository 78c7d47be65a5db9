// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// Paths whose requests nobody wants to count, such as the one that a monitor asks for every few seconds.
class Excluded_Paths {
  public:
    /// None.
    Excluded_Paths() = default;

    /// @param  list  paths separated by commas, blanks or both: "/health, /static/*". A star at the end of one stands for
    ///               whatever follows, nothing included; elsewhere it is a star. Compared byte by byte with the path as
    ///               it was sent, without query; "" excludes nothing.
    /// @errors invalid_argument, naming the position of the bad item (from 1)
    [[nodiscard]] static auto parse(std::string_view list) -> Result<Excluded_Paths>;

    [[nodiscard]] auto empty() const noexcept -> bool { return whole_.empty() && beginnings_.empty(); }
    /// @param  path  as path_of() gives it
    /// Threads any.  Cost linear in the number of items
    [[nodiscard]] auto contains(std::string_view path) const noexcept -> bool;

  private:
    std::vector<std::string> whole_;
    std::vector<std::string> beginnings_;
};

} // namespace memfs_cache
