// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <string>
#include <string_view>

namespace memfs_cache {

/// Name of one stored object. Validated once, here: whoever holds a Storage_Key holds one that cannot leave its root.
///
/// UTF-8, 1..1024 bytes, parts separated by '/', each part 1..255 bytes; no empty, "." or ".." part, so no leading,
/// trailing or double '/'; no control character.
class Storage_Key {
  public:
    static constexpr std::size_t max_bytes = 1024;

    /// @errors invalid_argument, naming the rule that is broken and never the text itself.
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Storage_Key>;
    [[nodiscard]] static auto is_valid(std::string_view text) noexcept -> bool;

    /// For keys that the library composes from validated parts; throws Cache_Error like parse().value() if it is wrong.
    explicit Storage_Key(std::string_view text) : Storage_Key(parse(text).value()) {}

    [[nodiscard]] auto str() const noexcept -> std::string const& { return text_; }
    friend auto operator==(Storage_Key const&, Storage_Key const&) -> bool = default;
    friend auto operator<=>(Storage_Key const&, Storage_Key const&) = default;

  private:
    struct Checked {};
    Storage_Key(Checked, std::string_view text) : text_(text) {}
    std::string text_;
};

/// Checks the text of a listing prefix or start: as a key, but it may be empty and may end anywhere (also after '/').
[[nodiscard]] auto check_prefix(std::string_view prefix) -> Result<void>;

/// A namespace: 1..128 characters of A-Z a-z 0-9 _ -.
class Namespace_Name {
  public:
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Namespace_Name>;
    explicit Namespace_Name(std::string_view text) : Namespace_Name(parse(text).value()) {}
    [[nodiscard]] auto str() const noexcept -> std::string const& { return text_; }
    friend auto operator==(Namespace_Name const&, Namespace_Name const&) -> bool = default;

  private:
    struct Checked {};
    Namespace_Name(Checked, std::string_view text) : text_(text) {}
    std::string text_;
};

/// Id of an entry: a GUID in its 36-character form. Either case is accepted and kept as given, as the reference does.
class Cache_Id {
  public:
    /// A new random version-4 id in lower case.
    [[nodiscard]] static auto generate() -> Cache_Id;
    [[nodiscard]] static auto parse(std::string_view text) -> Result<Cache_Id>;
    [[nodiscard]] auto str() const noexcept -> std::string const& { return text_; }
    friend auto operator==(Cache_Id const&, Cache_Id const&) -> bool = default;

  private:
    explicit Cache_Id(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

/// Is this well-formed UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF)?
[[nodiscard]] auto is_utf8(std::string_view text) noexcept -> bool;

} // namespace memfs_cache
