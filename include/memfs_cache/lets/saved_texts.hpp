// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/ids.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace memfs_cache {

/// What is saved of an answer that says less than what is needed to merge it: its object, and the file beside it if the
/// state is too large to stand in the first.
struct Saved_Texts {
    Bytes object;
    std::string state_file; ///< its name, which follows from what it holds; "" if there is none
    Bytes state;            ///< before it is compressed
};
inline constexpr std::size_t most_saved_bytes = 64 << 10; ///< of the object
inline constexpr std::size_t most_inline_state_bytes = 32 << 10;
inline constexpr std::size_t most_state_bytes = 1 << 30; ///< beyond that it is damage

/// @param  object      up to and with the comma before the answer's members
/// @param  answer      members, at most `most_answer_bytes`
/// @param  state       an object
/// @param  states      how the names of state files of this answer begin
/// @param  must_be_beside  the state goes into a file of its own however small it is
[[nodiscard]] auto
saved_texts(Bytes object, std::string_view answer, Bytes state, std::string_view states, bool must_be_beside = false)
    -> Saved_Texts;
/// Is it the name of a state of the answer? It becomes part of a key.
[[nodiscard]] auto names_state(std::string_view name, std::string_view states) -> bool;
/// Where a state lies.
[[nodiscard]] auto beside(Storage_Key const& answer, std::string_view name) -> Storage_Key;

} // namespace memfs_cache
