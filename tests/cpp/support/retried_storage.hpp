// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/wrapped_storage.hpp"
#include <memfs_cache/storage/memory.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <utility>

/// A storage of which every third operation goes wrong, behind the rule by which callers learn what became of a write:
/// whoever sees this one sees nothing of that. Copies share what is stored.
namespace memfs_cache::testing {

class Retried_Storage {
  public:
    auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        auto found = until_answered([&] { return shared_->flaky.get(key, range); });
        counters_->read(found && *found ? (*found)->bytes.size() : 0);
        return found;
    }
    auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        counters_->write(bytes.size());
        auto const before = until_answered([&] { return shared_->flaky.get(key); });
        if (!before)
            return before.error();
        for (int tries = 0; tries < most_tries; ++tries) {
            auto written = shared_->flaky.put(key, bytes, when, options);
            if (!written && written.error().code == Errc::unavailable)
                continue;
            if (!written || written->state != Put_State::unknown)
                return written;
            // If a new version has these bytes it may count as ours, and if not the same may be put again.
            auto const now = until_answered([&] { return shared_->flaky.get(key); });
            if (!now)
                return now.error();
            if (*now && (*now)->bytes == bytes && (!*before || (*before)->version != (*now)->version))
                return Put_Outcome{Put_State::applied, (*now)->version};
        }
        throw std::runtime_error("the storage never says what became of a put");
    }
    auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        counters_->erase();
        return until_answered([&] { return shared_->flaky.erase(key, when); });
    }
    auto list(List_Query const& query) const -> Result<Page> {
        counters_->list();
        return until_answered([&] { return shared_->flaky.list(query); });
    }
    auto append(Storage_Key const&, std::uint64_t, Byte_View bytes, Durability) -> Result<Put_Outcome> {
        counters_->append(bytes.size());
        return fail(Errc::unsupported, "what becomes of an append is not learned by reading");
    }
    auto sync() -> Result<void> {
        return until_answered([&] { return shared_->flaky.sync(); });
    }
    auto capabilities() const -> Capabilities {
        auto offered = shared_->memory.capabilities();
        offered.append = false;
        return offered;
    }
    auto counters() const -> Operation_Counts { return counters_->snapshot(); }

  private:
    using Wrapped = Wrapped_Storage<Storage_Memory>;
    static constexpr int most_tries = 1'000;

    struct Shared {
        Shared() {
            flaky.hook = [this](Wrapped::Operation operation, std::string const&) -> Wrapped::Verdict {
                using Kind = Wrapped::Verdict::Kind;
                auto const number = operations.fetch_add(1);
                if (number % 3 != 0)
                    return {};
                constexpr Kind ways[] = {Kind::unknown_after, Kind::fail, Kind::unknown_before};
                return {operation == Wrapped::Operation::put ? ways[number / 3 % 3] : Kind::fail};
            };
        }
        Storage_Memory memory;
        Wrapped flaky{memory};
        std::atomic<std::size_t> operations{0};
    };

    template <class Ask>
    static auto until_answered(Ask&& ask) -> decltype(ask()) {
        for (int tries = 0; tries < most_tries; ++tries) {
            auto answer = ask();
            if (answer || answer.error().code != Errc::unavailable)
                return answer;
        }
        throw std::runtime_error("the storage never answers");
    }

    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
    std::shared_ptr<Operation_Counters> counters_ = std::make_shared<Operation_Counters>();
};

} // namespace memfs_cache::testing
