// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <zstd.h>

namespace memfs_cache::testing {

/// What `zstd -dc` gives: the content of all frames, one behind the other, by zstd's own streaming reader.
inline auto zstd_text(std::string_view file) -> std::string {
    auto* const reader = ZSTD_createDStream();
    std::string text;
    std::string chunk(1 << 16, '\0');
    ZSTD_inBuffer in{file.data(), file.size(), 0};
    std::size_t outcome = 0;
    while (in.pos < in.size && ZSTD_isError(outcome) == 0) {
        ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
        outcome = ZSTD_decompressStream(reader, &out, &in);
        text.append(chunk, 0, out.pos);
    }
    ZSTD_freeDStream(reader);
    if (outcome != 0)
        throw std::runtime_error("this is no whole zstd file");
    return text;
}

} // namespace memfs_cache::testing
