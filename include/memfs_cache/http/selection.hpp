// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>

#include <cstdint>
#include <optional>

namespace memfs_cache {

/// Bytes of a body, which may be none.
struct Selection {
    std::uint64_t first = 0;
    std::uint64_t size_bytes = 0;

    /// Does it reach the end of a body of this size?
    [[nodiscard]] auto is_to_the_end(std::uint64_t whole_bytes) const noexcept -> bool {
        return first + size_bytes == whole_bytes;
    }
};

/// What a GET or HEAD wants of a body: all of it, a single range (206), nothing that is there (416), or nothing as it has
/// it already (304). Other ranges than single ones in bytes are answered with everything.
/// @param  response    with ETag, and Last-Modified if there is one; its status and its headers, but for Content-Type, are
///                     set to fit
/// @param  size_bytes  of the whole body
/// @return what is to be sent; nothing if the response is complete
/// @source RFC 9110 sections 13 and 14
[[nodiscard]] auto select_bytes(Request const& request, Response& response, std::uint64_t size_bytes)
    -> std::optional<Selection>;

} // namespace memfs_cache
