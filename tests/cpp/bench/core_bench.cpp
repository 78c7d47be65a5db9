// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/core/crc32c.hpp>

#include <array>
#include <cstring>

namespace memfs_cache::bench {

auto core_rows() -> Rows {
    Rows rows;
    rows.push_back({"crc32c, 200 bytes", "memcpy", [] {
                        return Pair{[text = Bytes(200, 'x')](std::size_t operations) {
                                        for (std::size_t i = 0; i < operations; ++i)
                                            keep(crc32c(0, text));
                                    },
                                    [text = Bytes(200, 'x')](std::size_t operations) {
                                        std::array<char, 200> copy;
                                        for (std::size_t i = 0; i < operations; ++i) {
                                            std::memcpy(copy.data(), text.data(), copy.size());
                                            keep(copy);
                                        }
                                    }};
                    }});
    return rows;
}

} // namespace memfs_cache::bench
