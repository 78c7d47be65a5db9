// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/http/message.hpp>
#include <memfs_cache/service/cache_service.hpp>

#include <memory>
#include <optional>
#include <string>

namespace memfs_cache {

/// What requests to a Cache_Api carry: a header, or a cookie, of this name with this value.
struct Cache_Api_Key {
    std::string name;
    std::string value;

    /// Of FAST_API__AUTH__API_KEY__NAME and FAST_API__AUTH__API_KEY__VALUE, where the Python cache service has it from; ""
    /// for what is not set.
    [[nodiscard]] static auto from_environment() -> Cache_Api_Key;
};

struct Cache_Api_Options {
    /// With a name or a value that is empty every request is refused. Nothing: anybody may ask, for hosts that let in
    /// nobody else.
    std::optional<Cache_Api_Key> key = Cache_Api_Key{};
    /// Answers as the Python cache service has them also where they mislead: sizes that are zero, counts of everything,
    /// codes of errors that are none. Off: as one would expect them. What would lose data is done by neither.
    bool strict_compat = true;
    std::string storage_location; ///< folder, file or bucket, as GET /server/storage/info tells it; "" tells none
    Log log;                      ///< is told why an answer was a 500; may be empty
};

/// The HTTP API of the Python cache service (MGraph-AI's, v0.14) on the entries of a service: the same 92 operations with the
/// same paths, codes and bodies, for clients that know nothing of memfs_cache. docs/migration.md says what differs.
///
/// Threads    answers from any thread at once.
/// Ownership  refers to the service, which must outlive it and its copies.
/// Cost       a request walks a table of a hundred paths, in about a microsecond; then what the entries cost.
class Cache_Api {
  public:
    Cache_Api(Cache_Service<Any_Storage>& cache, Cache_Api_Options options);

    [[nodiscard]] auto operator()(Request const& request) const -> Response;

    /// OpenAPI 3.1 description of the operations, as JSON text.
    [[nodiscard]] auto openapi() const -> std::string const&;

  private:
    struct State;
    std::shared_ptr<State const> state_;
};

} // namespace memfs_cache
