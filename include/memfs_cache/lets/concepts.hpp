// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/events/raw_reader.hpp>

#include <boost/json/object.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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
template <class S, class E>
concept MergeableSummary = std::default_initializable<S> && std::copyable<S> &&
    requires(S& summary, S const& other, E const& event, std::string& out) {
    {summary.add(event)};
    {summary.merge(other)};
    {other.append_members(out)};
};

/// A summary that is shown as it is and saved in the file of its window.
///
/// from_object     the inverse of append_members; other members may stand beside its own.
/// Models          Tokens_Summary; Order_Summary in examples/orders.
template <class S, class E>
concept SmallSummary = MergeableSummary<S, E> && requires(boost::json::object const& object) {
    { S::from_object(object) } -> std::same_as<Result<S>>;
};

/// A summary that says less than it holds: its answer is small whatever it counts, and what is needed to merge may be
/// large. The file of a window holds the answer; a large state lies beside it and is read only to merge.
///
/// settle          brings the state to the size at which it is saved; called once, before that.
/// answer          what is shown. Its append_members() writes at most `most_answer_bytes`, and Answer::from_text() reads
///                 an object that holds these members first of all that it looks for.
/// merge_text      counts what the members of a JSON object say, which append_members() wrote, possibly that of an older
///                 version. After an error the summary is of no use.
/// Models          Analytics_Summary, Transfers_Summary
template <class S, class E>
concept LargeSummary = MergeableSummary<S, E> &&
    requires(S& summary, S const& other, typename S::Answer const& answer, std::string& out, std::string_view text) {
    {summary.settle()};
    { other.answer() } -> std::same_as<typename S::Answer>;
    { summary.merge_text(text) } -> std::same_as<Result<void>>;
    {answer.append_members(out)};
    { S::Answer::from_text(text) } -> std::same_as<Result<typename S::Answer>>;
};
inline constexpr std::size_t most_answer_bytes = 54 << 10;

template <class S, class E>
concept WindowSummary = SmallSummary<S, E> || LargeSummary<S, E>;

/// The form in which windows of a summary are saved: 1 is the summary as it is, 2 an answer and a state.
template <class S, class E>
inline constexpr std::uint64_t saved_form = LargeSummary<S, E> ? 2 : 1;

namespace detail {
template <class S>
struct Shown_Of {
    using Type = S;
};
template <class S>
requires requires { typename S::Answer; }
struct Shown_Of<S> {
    using Type = typename S::Answer;
};
} // namespace detail

/// What is shown of a summary: its answer, or the whole of a small one.
template <class S>
using Shown_Of = typename detail::Shown_Of<S>::Type;

/// What is shown of a summary that is at hand.
template <class S>
[[nodiscard]] auto shown(std::shared_ptr<S const> summary) -> std::shared_ptr<Shown_Of<S> const> {
    if constexpr (std::same_as<S, Shown_Of<S>>)
        return summary;
    else
        return std::make_shared<Shown_Of<S> const>(summary->answer());
}

} // namespace memfs_cache
