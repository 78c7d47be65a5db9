// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>

#include <span>
#include <string_view>

namespace memfs_cache {

/// A file of the dashboard.
struct Page_File {
    std::string_view path; ///< "/" or "/dashboard.js"
    std::string_view media_type;
    std::string_view gzip; ///< its bytes, packed
};

/// What was built into this library: "/", and what it loads. Empty if it was built without Node.js.
[[nodiscard]] auto built_page_files() noexcept -> std::span<Page_File const>;

/// Serves the dashboard, a page without a secret: whoever opens it is asked for the admin key. No browser keeps it, frames
/// it or lets it load or run anything that does not come from here.
///
/// Threads  answers from any thread at once.
/// Cost     packed bytes are sent as they are; they are unpacked for a client that does not take gzip.
class Admin_Page {
  public:
    /// @param  files  must outlive the page; if there are none, "/" says how to have them
    explicit Admin_Page(std::span<Page_File const> files = built_page_files()) : files_(files) {}

    /// 404 for a path that is none of the page's.
    [[nodiscard]] auto operator()(Request const& request) const -> Response;

  private:
    std::span<Page_File const> files_;
};

} // namespace memfs_cache
