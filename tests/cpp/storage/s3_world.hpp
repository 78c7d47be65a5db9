// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/backends.hpp"
#include "support/printers.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace memfs_cache::testing {

/// Pauses that somebody was asked to make, none of which is made.
class Pauses {
  public:
    void add(std::chrono::milliseconds pause) {
        std::lock_guard const lock(mutex_);
        all_.push_back(pause);
    }
    [[nodiscard]] auto all() const -> std::vector<std::chrono::milliseconds> {
        std::lock_guard const lock(mutex_);
        return all_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::chrono::milliseconds> all_;
};

/// A fake server and a storage on it, opened before anything goes wrong.
struct S3_World {
    explicit S3_World(Fake_S3_Options options = {}, S3_Settings wishes = {}) : server(std::move(options)) {
        settings = settings_for(server);
        settings.prefix = wishes.prefix;
        settings.part_bytes = wishes.part_bytes;
        settings.retry_budget = wishes.retry_budget;
        settings.most_tries = wishes.most_tries;
        settings.client = wishes.client;
        settings.wait = [this](std::chrono::milliseconds pause) { pauses.add(pause); };
        storage.emplace(Storage_S3::open(settings).value());
        server.forget();
    }

    [[nodiscard]] auto put(std::string_view key, Byte_View bytes, Precondition const& when = Precondition::none())
        -> Result<Put_Outcome> {
        return storage->put(Storage_Key(key), bytes, when);
    }
    [[nodiscard]] auto get(std::string_view key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        return storage->get(Storage_Key(key), range);
    }
    [[nodiscard]] auto erase(std::string_view key, Precondition const& when = Precondition::none()) -> Result<bool> {
        return storage->erase(Storage_Key(key), when);
    }
    /// The version of an object that is stored now.
    [[nodiscard]] auto version_of(std::string_view key) const -> Version { return get(key).value().value().version; }
    /// Does the next operation go well, whatever went wrong before?
    [[nodiscard]] auto works() -> bool {
        server.script({});
        auto const written = put("check", "well");
        auto const read = get("check");
        return written && written->state == Put_State::applied && read && *read && (*read)->bytes == "well";
    }

    Pauses pauses;
    Fake_S3 server;
    S3_Settings settings;
    std::optional<Storage_S3> storage;
};

/// A script in which the first requests of a method go wrong.
[[nodiscard]] inline auto first(std::size_t count, std::string method, Fault fault) -> Fake_S3::Script {
    return [count, method = std::move(method), fault = std::move(fault)](Seen_Request const& seen) mutable {
        if (seen.method != method || count == 0)
            return Fault{};
        --count;
        return fault;
    };
}
/// A script in which all requests of a method go wrong.
[[nodiscard]] inline auto all(std::string method, Fault fault) -> Fake_S3::Script {
    return first(static_cast<std::size_t>(-1), std::move(method), std::move(fault));
}

[[nodiscard]] inline auto mentions(Error const& error, std::string_view word) -> bool {
    return error.context.find(word) != std::string::npos;
}

} // namespace memfs_cache::testing
