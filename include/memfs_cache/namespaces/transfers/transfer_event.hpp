// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/namespaces/analytics/analytics_event.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>
#include <memfs_cache/namespaces/transfers/transfer_names.hpp>

#include <boost/json/object.hpp>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// What can happen to a transfer.
enum class Transfer_Act : std::uint8_t { created, upload_completed, viewed, downloaded };

/// "created", "upload_completed", "viewed" or "downloaded".
[[nodiscard]] auto to_text(Transfer_Act act) noexcept -> std::string_view;
/// @errors invalid_argument naming the four words
[[nodiscard]] auto parse_transfer_act(std::string_view text) -> Result<Transfer_Act>;
/// The event type under which analytics store it: "transfer_created", "file_upload", "transfer_viewed" or
/// "file_download".
[[nodiscard]] auto event_type_of(Transfer_Act act) noexcept -> std::string_view;

/// What a stored event says about a transfer: the inverse of event_type_of(); a page that shows a transfer counts as a
/// view. Nothing for events that name no transfer, or tell of something else, and for those that failed (status 400 and
/// above), such as questions about transfers that nobody made.
[[nodiscard]] auto act_of(Analytics_Record const& event) noexcept -> std::optional<Transfer_Act>;

/// The country of an event as it is counted: two capital letters, or "".
[[nodiscard]] auto country_of(Analytics_Record const& event) noexcept -> std::string_view;

/// Something that happened to a transfer, as it is recorded.
struct New_Transfer_Event {
    std::optional<Utc_Time> timestamp = {}; ///< now if absent
    std::string ip_hash = {};               ///< of the client; hashed again if it is an address
    std::string country = {};               ///< two letters; anything else is dropped
    std::uint64_t content_bytes = 0;
    std::string token_id = {};
    std::string path = {}, method = {}; ///< of the request, if it was one
    std::string ip = {};                ///< an input: hashed, never stored, as the next one
    std::string user_agent = {};

    /// The one record that it is.
    [[nodiscard]] auto as_analytics(std::string_view transfer_id, Transfer_Act act) const -> Analytics_Event;
};

/// Something that happened to a transfer, as far as it is shown. In order of time.
struct Transfer_Event {
    Utc_Time timestamp;
    std::string event_id; ///< "" if an application has made one that is long or not plain
    Transfer_Act act = Transfer_Act::viewed;
    std::string country;
    std::string ip_hash; ///< its first 8 characters
    std::uint64_t content_bytes = 0;

    [[nodiscard]] static auto of(Analytics_Record const& event, Transfer_Act act) -> Transfer_Event;
    [[nodiscard]] auto to_json() const -> boost::json::object;

    /// [timestamp, "event_id", "act", "country", "ip_hash", content_bytes]: how windows keep it.
    void append_row(std::string& out) const;
    /// @errors corrupt_data
    [[nodiscard]] static auto from_row(boost::json::value const& row) -> Result<Transfer_Event>;

    friend auto operator<=>(Transfer_Event const&, Transfer_Event const&) = default;
};

} // namespace memfs_cache
