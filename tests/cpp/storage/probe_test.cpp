// SPDX-License-Identifier: Apache-2.0
#include "support/backends.hpp"
#include "support/printers.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/storage/probe.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <thread>

using namespace memfs_cache;

namespace {

/// A storage that breaks one promise; copies share what is stored.
class Unfaithful_Storage {
  public:
    enum class Fault { checks_then_writes, ignores_versions, reads_late, lists_late, keeps_what_is_erased };

    Unfaithful_Storage(Any_Storage inner, Fault fault) : inner_(std::move(inner)), fault_(fault) {}

    auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        auto found = inner_.get(key, range);
        if (fault_ == Fault::reads_late && found && *found && (*found)->bytes == "round 3")
            (*found)->bytes = "round 2";
        return found;
    }
    auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        if (fault_ == Fault::checks_then_writes && when.kind() == Precondition::Kind::absent) {
            if (auto const there = inner_.get(key); !there || *there)
                return Put_Outcome{Put_State::not_applied, {}};
            std::this_thread::sleep_for(std::chrono::milliseconds(2)); // so that the others check as well
            return inner_.put(key, bytes, Precondition::none(), options);
        }
        if (fault_ == Fault::ignores_versions && when.kind() == Precondition::Kind::version)
            return inner_.put(key, bytes, Precondition::none(), options);
        return inner_.put(key, bytes, when, options);
    }
    auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        if (fault_ == Fault::keeps_what_is_erased && key.str().ends_with("listed/1/1"))
            return true;
        return inner_.erase(key, when);
    }
    auto list(List_Query const& query) const -> Result<Page> {
        auto page = inner_.list(query);
        if (fault_ == Fault::lists_late && page && page->items.size() == 3)
            page->items.pop_back();
        return page;
    }
    auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        return inner_.append(key, at, bytes, durability);
    }
    auto sync() -> Result<void> { return inner_.sync(); }
    auto capabilities() const -> Capabilities { return inner_.capabilities(); }
    auto counters() const -> Operation_Counts { return inner_.counters(); }

  private:
    Any_Storage inner_;
    Fault fault_;
};

auto broken_promises(Probe_Report const& report) -> std::vector<std::size_t> {
    std::vector<std::size_t> broken;
    for (std::size_t i = 0; i < report.checks.size(); ++i)
        if (!report.checks[i].kept)
            broken.push_back(i);
    return broken;
}

} // namespace

TEST_SUITE("storage/probe") {
    TEST_CASE_TEMPLATE("every backend keeps its promises, and the probe leaves nothing behind", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;

        auto const storage = [&]() -> Any_Storage {
            if constexpr (std::same_as<typename Backend::Storage, Any_Storage>)
                return backend.storage;
            else
                return std::move(backend.storage);
        }();
        auto const report = probe_storage(
                                [&]() -> Result<Any_Storage> {
                                    auto another = backend.another();
                                    return another ? Any_Storage(*std::move(another)) : storage;
                                },
                                {4, 5})
                                .value();
        CHECK(report.checks.size() == 6);
        for (auto const& check : report.checks)
            CHECK_MESSAGE(check.kept, check.promise, ": ", check.seen);
        for (auto const& timing : report.timings)
            CHECK(timing.count >= 20);
        CHECK(files_list(storage).value().empty());
    }

    TEST_CASE("each broken promise is seen, and no other one is blamed") {
        using Fault = Unfaithful_Storage::Fault;
        auto const probe = [](Fault fault) {
            Any_Storage const shared = Unfaithful_Storage(Storage_Memory(), fault);
            return broken_promises(probe_storage([&] { return Result<Any_Storage>(shared); }, {4, 5}).value());
        };
        using Places = std::vector<std::size_t>;
        // A creation that is raced also loses the first increments.
        CHECK(probe(Fault::checks_then_writes).front() == 0);
        CHECK(probe(Fault::ignores_versions).back() == 2);
        CHECK(probe(Fault::reads_late) == Places{3});
        CHECK(probe(Fault::lists_late) == Places{4});
        CHECK(probe(Fault::keeps_what_is_erased) == Places{5});
    }

    TEST_CASE("a storage that knows no conditions is said to know none, and the rest is looked at") {
        Storage_Memory memory;
        Wrapped_Storage unconditional(memory);
        unconditional.promised.conditional_put = false;
        Any_Storage const shared = std::move(unconditional);
        auto const report = probe_storage([&] { return Result<Any_Storage>(shared); }, {2, 2}).value();
        REQUIRE(report.checks.size() == 4);
        CHECK(report.checks[0].promise == "conditions on writes are obeyed");
        CHECK(broken_promises(report) == std::vector<std::size_t>{0});
    }

    TEST_CASE("an error of one client ends the probe with that error") {
        struct Refusing {
            static auto open() -> Result<Any_Storage> { return fail(Errc::unavailable, "no such host"); }
        };
        CHECK(probe_storage(&Refusing::open).error().context == "no such host");
        CHECK(probe_storage(&Refusing::open, {1, 1}).error().code == Errc::invalid_argument);
        CHECK(probe_storage(&Refusing::open, {8, 0}).error().code == Errc::invalid_argument);
    }
}
