// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/http/message.hpp>

#include <memory>
#include <string>

namespace memfs_cache {

/// Answers GET and HEAD with the files of one folder: index.html for a folder, ETag and Last-Modified with 304, single
/// ranges with 206 and 416. Files are sent in pieces and never loaded.
///
/// What is not a regular file reached through plain folders is a 404: names that begin with a dot, symbolic links
/// wherever they lead, devices and pipes, encoded slashes.
///
/// Threads: answers from any thread at once. Cost: one open a path segment, no cache.
/// @source RFC 9110 sections 13 and 14
class Static_Files {
  public:
    /// @errors not_found, permission_denied, invalid_argument: the folder cannot be opened.
    [[nodiscard]] static auto open(std::string const& folder) -> Result<Static_Files>;

    [[nodiscard]] auto operator()(Request const& request) const -> Response;

  private:
    explicit Static_Files(Unique_Fd root) : root_(std::make_shared<Unique_Fd const>(std::move(root))) {}

    std::shared_ptr<Unique_Fd const> root_; ///< shared, as a Handler is copied
};

} // namespace memfs_cache
