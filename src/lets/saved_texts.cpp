// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/sha256.hpp>
#include <memfs_cache/lets/saved_texts.hpp>

#include <utility>

namespace memfs_cache {
namespace {

/// A state file ends with so many digits of its SHA-256 and this.
constexpr std::size_t state_digits = 16;
constexpr std::string_view state_ending = ".zst";

} // namespace

auto saved_texts(Bytes object, std::string_view answer, Bytes state, std::string_view states, bool must_be_beside)
    -> Saved_Texts {
    Saved_Texts texts{std::move(object), {}, std::move(state)};
    texts.object.append(answer);
    constexpr std::string_view state_member = R"(,"state":)";
    if (!must_be_beside && texts.state.size() <= most_inline_state_bytes &&
        texts.object.size() + state_member.size() + texts.state.size() < most_saved_bytes) {
        texts.object.append(state_member).append(std::exchange(texts.state, {})).append("}");
        return texts;
    }
    Sha256 hash;
    hash.add(texts.state);
    auto const digest = hash.hex();
    texts.state_file = std::string(states).append(digest, 0, state_digits).append(state_ending);
    texts.object.append(R"(,"state_file":")").append(texts.state_file);
    texts.object.append(R"(","state_sha256":")").append(digest).append("\"}");
    return texts;
}

auto names_state(std::string_view name, std::string_view states) -> bool {
    return name.starts_with(states) && name.ends_with(state_ending) &&
           name.size() == states.size() + state_digits + state_ending.size() &&
           parse_hex(name.substr(states.size(), state_digits)).has_value();
}

auto beside(Storage_Key const& answer, std::string_view name) -> Storage_Key {
    auto const folder = std::string_view(answer.str()).substr(0, answer.str().rfind('/') + 1);
    return Storage_Key(std::string(folder).append(name));
}

} // namespace memfs_cache
