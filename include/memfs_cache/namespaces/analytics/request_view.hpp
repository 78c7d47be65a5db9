// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace memfs_cache {

class Client_Memo;

/// One served request as a host sees it: the input of Analytics::record_request. Everything is borrowed for the call,
/// and everything that could identify a person is an input only: it is hashed, normalised or dropped, never stored.
/// Each member has an initialiser, so that a caller may leave it out without a warning.
struct Request_View {
    std::string_view method{};                 ///< as sent, such as GET
    std::string_view target{};                 ///< request target as sent; cut at '?' and '#'
    int status = 0;                            ///< the status that was really sent
    std::uint64_t content_bytes = 0;           ///< body bytes that were really sent
    std::optional<std::int64_t> duration_us{}; ///< microseconds from first byte in to last byte out; absent if unknown
    std::string_view remote{};                 ///< address of the peer, in any spelling; "" if unknown
    std::string_view forwarded_for{};          ///< X-Forwarded-For; believed only if `remote` is a trusted proxy
    std::string_view user_agent{};             ///< header as sent; family and system are kept
    std::string_view referrer{};               ///< header as sent; the domain is kept
    std::string_view content_type{};           ///< of the response; "" if unknown
    std::string_view country{};                ///< two letters from a header that the host trusts; "" if unknown
    std::string_view route{}; ///< route template where the host knows it, such as /users/{id}; kept instead of the path
    std::string_view event_type{}; ///< where the host knows better than the classification
    std::string_view source{};     ///< application (default), cloudfront, access_log, ...
    std::string_view transfer_id{};
    std::string_view token_id{};
    std::optional<Utc_Time> timestamp{}; ///< of the request; now if absent
    Client_Memo* memo = nullptr;         ///< kept by the host beside the connection, for this call's use alone; or none
};

} // namespace memfs_cache
