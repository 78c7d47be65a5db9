// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/server/open_files.hpp>

#include <algorithm>
#include <sys/resource.h>

namespace memfs_cache {
namespace {

constexpr rlim_t for_everything_else = 64; ///< storage, libraries, listeners
constexpr rlim_t a_connection = 2;         ///< its socket, and the file that it is sent

} // namespace

auto allow_connections(std::size_t servers, std::size_t connections) noexcept -> std::size_t {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return connections;
    auto const needed = for_everything_else + a_connection * servers * connections;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = std::min<rlim_t>(needed, limit.rlim_max);
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 && ::getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return connections;
    }
    if (limit.rlim_cur >= needed)
        return connections;
    auto const left = std::max(limit.rlim_cur, for_everything_else) - for_everything_else;
    return std::max<std::size_t>(1, left / (a_connection * servers));
}

} // namespace memfs_cache
