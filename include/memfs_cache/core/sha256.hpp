// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/bytes.hpp>

#include <memory>
#include <string>

namespace memfs_cache {

/// The SHA-256 of bytes that come in pieces, such as the lines of a segment.
/// Threads  one at a time
class Sha256 {
  public:
    Sha256();
    Sha256(Sha256&&) noexcept;
    auto operator=(Sha256&&) noexcept -> Sha256&;
    ~Sha256();

    void add(Byte_View bytes);
    /// Of all that was added, 64 lower-case hex digits. Nothing may be added after it.
    [[nodiscard]] auto hex() -> std::string;

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

} // namespace memfs_cache
