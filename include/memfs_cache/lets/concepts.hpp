// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/events/raw_reader.hpp>

#include <boost/json/object.hpp>

#include <concepts>
#include <string>

namespace memfs_cache {

/// What a log holds, as its owner sees it.
///
/// timestamp     when it happened; decides the half-hour.
/// append_json   appends one JSON object with at least one member and no line break. Strings through
///               append_json_string() of core/json_text.hpp.
/// read          fills the event from a stored one; the same object is used for one event after the other. Views into
///               `raw` may be kept until the next read. A member "crc32c" is the log's and to be ignored.
/// Models        Analytics_Record; Order_Event in examples/orders.
template <class E>
concept LogEvent = std::default_initializable<E> &&
    requires(E& event, E const& stored, Raw_Event const& raw, std::string& out) {
    { stored.timestamp } -> std::convertible_to<Utc_Time>;
    {stored.append_json(out)};
    { event.read(raw) } -> std::same_as<Result<void>>;
};

/// What a window says about its events: a commutative monoid. A default-constructed summary is its identity.
///
/// add             counts one event.
/// merge           counts everything that the other counted. Merging parts in any order gives the same state.
/// append_members  appends the members of the saved form, `"name":value` separated by commas, at least one: fixed
///                 order, integers, sorted maps, no blanks, so that equal states are equal bytes.
/// from_object     the inverse; other members may stand beside its own.
/// Models          Analytics_Summary; Order_Summary in examples/orders.
template <class S, class E>
concept WindowSummary = std::default_initializable<S> && std::copyable<S> &&
    requires(S& summary, S const& other, E const& event, std::string& out, boost::json::object const& object) {
    {summary.add(event)};
    {summary.merge(other)};
    {other.append_members(out)};
    { S::from_object(object) } -> std::same_as<Result<S>>;
};

} // namespace memfs_cache
