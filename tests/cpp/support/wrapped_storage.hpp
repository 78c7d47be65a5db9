// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/concept.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

/// A storage in front of another one that lets a test see each operation before it runs, and answer in its place.
template <memfs_cache::StorageBackend Inner>
class Wrapped_Storage {
  public:
    enum class Operation { get, put, erase, list, append, sync };
    /// What a test may do before an operation: nothing, or an outcome instead of it, or of a write after it was done.
    struct Verdict {
        enum class Kind { go_on, fail, unknown_before, unknown_after } kind = Kind::go_on;
        memfs_cache::Errc code = memfs_cache::Errc::unavailable;
    };
    using Hook = std::function<Verdict(Operation, std::string const& key)>;

    /// Set by the test while threads of the library are at work. One that runs already goes on to its end.
    class Guarded_Hook {
      public:
        Guarded_Hook() = default;
        Guarded_Hook(Guarded_Hook const& other) : hook_(other.get()) {}
        auto operator=(Guarded_Hook const& other) -> Guarded_Hook& { return put(other.get()); }
        auto operator=(Hook hook) -> Guarded_Hook& {
            return put(hook ? std::make_shared<Hook const>(std::move(hook)) : nullptr);
        }
        auto get() const -> std::shared_ptr<Hook const> {
            std::lock_guard const lock(mutex_);
            return hook_;
        }

      private:
        auto put(std::shared_ptr<Hook const> made) -> Guarded_Hook& {
            std::lock_guard const lock(mutex_);
            hook_.swap(made);
            return *this;
        }

        mutable std::mutex mutex_;
        std::shared_ptr<Hook const> hook_;
    };

    explicit Wrapped_Storage(Inner& inner) : promised(inner.capabilities()), inner_(inner) {}
    Guarded_Hook hook;
    memfs_cache::Capabilities promised;

    auto get(memfs_cache::Storage_Key const& key, memfs_cache::Byte_Range range = {}) const
        -> memfs_cache::Result<std::optional<memfs_cache::Object>> {
        if (ask(Operation::get, key.str()).kind != Verdict::Kind::go_on)
            return failure();
        return inner_.get(key, range);
    }
    auto put(memfs_cache::Storage_Key const& key,
             memfs_cache::Byte_View bytes,
             memfs_cache::Precondition const& when,
             memfs_cache::Put_Options const& options = {}) -> memfs_cache::Result<memfs_cache::Put_Outcome> {
        return write(Operation::put, key.str(), [&] { return inner_.put(key, bytes, when, options); });
    }
    auto append(memfs_cache::Storage_Key const& key,
                std::uint64_t at,
                memfs_cache::Byte_View bytes,
                memfs_cache::Durability durability) -> memfs_cache::Result<memfs_cache::Put_Outcome> {
        return write(Operation::append, key.str(), [&] { return inner_.append(key, at, bytes, durability); });
    }
    auto erase(memfs_cache::Storage_Key const& key, memfs_cache::Precondition const& when)
        -> memfs_cache::Result<bool> {
        if (ask(Operation::erase, key.str()).kind != Verdict::Kind::go_on)
            return failure();
        return inner_.erase(key, when);
    }
    auto list(memfs_cache::List_Query const& query) const -> memfs_cache::Result<memfs_cache::Page> {
        if (ask(Operation::list, query.prefix).kind != Verdict::Kind::go_on)
            return failure();
        return inner_.list(query);
    }
    auto sync() -> memfs_cache::Result<void> {
        if (ask(Operation::sync, "").kind != Verdict::Kind::go_on)
            return failure();
        return inner_.sync();
    }
    auto capabilities() const -> memfs_cache::Capabilities { return promised; }
    auto counters() const -> memfs_cache::Operation_Counts { return inner_.counters(); }

  private:
    auto ask(Operation operation, std::string const& key) const -> Verdict {
        auto const set = hook.get();
        return set ? (*set)(operation, key) : Verdict{};
    }
    static auto failure() -> memfs_cache::Error {
        return memfs_cache::fail(memfs_cache::Errc::unavailable, "injected by the test");
    }
    template <class Do>
    auto write(Operation operation, std::string const& key, Do&& run) -> memfs_cache::Result<memfs_cache::Put_Outcome> {
        auto const verdict = ask(operation, key);
        switch (verdict.kind) {
        case Verdict::Kind::go_on:
            return run();
        case Verdict::Kind::fail:
            return memfs_cache::fail(verdict.code, "injected by the test");
        case Verdict::Kind::unknown_before:
            return memfs_cache::Put_Outcome{memfs_cache::Put_State::unknown, {}};
        case Verdict::Kind::unknown_after:
            (void)run();
            return memfs_cache::Put_Outcome{memfs_cache::Put_State::unknown, {}};
        }
        return failure();
    }

    Inner& inner_;
};
