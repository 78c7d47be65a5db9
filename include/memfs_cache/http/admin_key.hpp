// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/http/message.hpp>

#include <string>
#include <string_view>

namespace memfs_cache {

/// The secret that opens the admin routes. There is always one: nothing turns it off.
class Admin_Key {
  public:
    /// A key that the operator chose, such as the value of MEMFS_CACHE_ADMIN_KEY.
    /// @errors invalid_argument: empty, or with a character that is not visible ASCII.
    [[nodiscard]] static auto from_text(std::string_view text) -> Result<Admin_Key>;

    /// The key in a file. The first start makes the file: 32 random bytes in hex, mode 0600; of several processes that
    /// start at once, all get the same key.
    /// @errors permission_denied: others may read the file; invalid_argument: it holds no key; else as the system says.
    [[nodiscard]] static auto from_file(std::string const& path) -> Result<Admin_Key>;

    /// Does the request carry any key?
    [[nodiscard]] static auto is_in(Request const& request) -> bool;

    /// Does the request carry this key, as X-API-Key or Authorization: Bearer? Takes as long for a wrong key as for the
    /// right one.
    [[nodiscard]] auto admits(Request const& request) const -> bool;

  private:
    explicit Admin_Key(std::string_view text) : text_(text) {}
    std::string text_;
};

} // namespace memfs_cache
