// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/storage/memory.hpp>

#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace memfs_cache::testing {

/// Names the defect of every Broken_Storage of this process; without it they have none.
inline constexpr auto defect_variable = "MEMFS_CACHE_TEST_DEFECT";

/// Memory with one defect, to show that the conformance suite sees it.
class Broken_Storage {
  public:
    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        if (is("range too long") && range.length < std::numeric_limits<std::uint64_t>::max() - 1 && range.length > 0)
            ++range.length;
        if (is("stale read")) {
            auto now = inner_.get(key, range);
            std::lock_guard const lock(*mutex_);
            auto const before = last_read_->find(key.str());
            auto shown = before == last_read_->end() ? *now : before->second;
            last_read_->insert_or_assign(key.str(), *now);
            return shown;
        }
        return inner_.get(key, range);
    }
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        if (is("empty values dropped") && bytes.empty())
            return inner_.erase(key, Precondition::none()).has_value() ? Put_Outcome{Put_State::applied, {"gone"}}
                                                                       : Put_Outcome{};
        if (is("absent ignored") && when.kind() == Precondition::Kind::absent)
            return inner_.put(key, bytes, Precondition::none(), options);
        if (is("version ignored") && when.kind() == Precondition::Kind::version)
            return inner_.put(key, bytes, Precondition::none(), options);
        if (is("lost update") && when.kind() == Precondition::Kind::version && bytes.size() % 7 == 0)
            return Put_Outcome{Put_State::applied, {"lost"}};
        return inner_.put(key, bytes, when, options);
    }
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        if (is("erase lies"))
            return true;
        return inner_.erase(key, when);
    }
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page> {
        auto page = inner_.list(query);
        if (!page)
            return page;
        if (is("list unordered") && page->items.size() > 1)
            std::swap(page->items.front(), page->items.back());
        if (is("start included") && !query.start_after.empty())
            if (auto const key = Storage_Key::parse(query.start_after);
                key && query.start_after.starts_with(query.prefix))
                if (auto const found = inner_.get(*key); found && *found)
                    page->items.insert(page->items.begin(),
                                       {query.start_after, (*found)->bytes.size(), (*found)->version});
        if (is("pages end early"))
            page->next.clear();
        return page;
    }
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
        -> Result<Put_Outcome> {
        return inner_.append(key, at, bytes, durability);
    }
    [[nodiscard]] auto sync() -> Result<void> { return inner_.sync(); }
    [[nodiscard]] auto capabilities() const -> Capabilities { return inner_.capabilities(); }
    [[nodiscard]] auto counters() const -> Operation_Counts { return inner_.counters(); }

  private:
    [[nodiscard]] auto is(std::string_view defect) const -> bool { return defect_ == defect; }

    std::string defect_ = std::getenv(defect_variable) != nullptr ? std::getenv(defect_variable) : "";
    Storage_Memory inner_;
    std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
    std::unique_ptr<std::map<std::string, std::optional<Object>>> last_read_ =
        std::make_unique<std::map<std::string, std::optional<Object>>>();
};

static_assert(StorageBackend<Broken_Storage>);

} // namespace memfs_cache::testing
