// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>

#include <string>
#include <string_view>

namespace memfs_cache {

/// Does an answer to this method with this status have a body?
[[nodiscard]] auto has_body(std::string_view method, int status) -> bool;

/// May this answer be sent? A line break in a value would begin a line, or a response, of somebody else's choosing.
[[nodiscard]] auto is_sendable(Response const& response) -> bool;

/// Status line and headers.
/// @param  connection  value of Connection; "" for none
[[nodiscard]] auto header_text(Response const& response, Utc_Time now, std::string_view connection) -> std::string;

/// The next piece of the bytes [begin, end) of a body; `storage` keeps it if it comes from a file. Empty: there is no more.
[[nodiscard]] auto piece_of(Response const& response, std::uint64_t begin, std::uint64_t end, std::string& storage)
    -> std::string_view;

} // namespace memfs_cache
