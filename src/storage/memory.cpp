// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>

namespace memfs_cache {
namespace {

/// Bytes [start, start + size) of a value. Bytes that a reader may have been shown never change: appends write past
/// them, replacements make new blocks. That is why a reader may copy after it has let go of the lock.
struct Block {
    std::shared_ptr<char[]> bytes;
    std::size_t capacity = 0;
    std::size_t size = 0;
    std::uint64_t start = 0;

    /// Appends those of its bytes that lie in [from, to).
    void copy(std::uint64_t from, std::uint64_t to, Bytes& out) const {
        auto const begin = std::max(from, start);
        auto const end = std::min(to, start + size);
        if (begin < end)
            out.append(bytes.get() + (begin - start), static_cast<std::size_t>(end - begin));
    }
};

class Value {
  public:
    explicit Value(Byte_View bytes) { append(bytes); }

    [[nodiscard]] auto size() const noexcept -> std::uint64_t { return last_.start + last_.size; }

    void append(Byte_View bytes) {
        if (bytes.empty())
            return;
        if (last_.capacity - last_.size < bytes.size())
            add_block(bytes.size());
        std::memcpy(last_.bytes.get() + last_.size, bytes.data(), bytes.size());
        last_.size += bytes.size();
    }

    /// The blocks that hold bytes [from, to), not yet cut to it: the last one, and those before it.
    [[nodiscard]] auto last_block() const noexcept -> Block const& { return last_; }
    [[nodiscard]] auto earlier_blocks(std::uint64_t from, std::uint64_t to) const -> std::vector<Block> {
        auto first = std::upper_bound(earlier_.begin(), earlier_.end(), from,
                                      [](std::uint64_t offset, Block const& block) { return offset < block.start; });
        if (first != earlier_.begin())
            --first;
        auto const last = std::lower_bound(
            first, earlier_.end(), to, [](Block const& block, std::uint64_t offset) { return block.start < offset; });
        return {first, last};
    }

  private:
    /// A whole value gets exactly its size; one that grows gets as much again as it has, up to a bound, so that neither
    /// small logs waste memory nor large ones are ever moved.
    void add_block(std::size_t at_least) {
        constexpr std::uint64_t largest_reserve = 4U << 20U;
        auto const start = size();
        auto const capacity = std::max<std::size_t>(at_least, std::min(start, largest_reserve));
        Block fresh{std::make_shared_for_overwrite<char[]>(capacity), capacity, 0, start};
        if (start > 0)
            earlier_.push_back(std::move(last_));
        last_ = std::move(fresh);
    }

    Block last_; ///< most values have no other
    std::vector<Block> earlier_;
};

/// What is stored under a key. It stays where it is until it is erased.
struct Stored {
    std::string key;
    Value value;
    std::uint64_t version = 0;
    std::size_t newcomer = none; ///< its place among those that are not in order yet

    static constexpr auto none = static_cast<std::size_t>(-1);
};

/// Decimal, so that it stays within the small-string size of std::string for the first 10^15 writes.
auto token(std::uint64_t version) -> Version { return {std::to_string(version)}; }

} // namespace

/// Objects are found by a hash of their key. The order in which they are listed is made up for by the next list: what is
/// put and read by name, as nearly everything is, need not wait for a place among all others.
struct Storage_Memory::State {
    /// A key with its hash, which is made once for all that a call asks.
    struct Name {
        std::string_view key;
        std::size_t hash;
        friend auto operator==(Name const& a, Name const& b) noexcept -> bool { return a.key == b.key; }
    };
    struct Hash_Of_Name {
        using is_avalanching = void;
        auto operator()(Name const& name) const noexcept -> std::size_t { return name.hash; }
    };
    using Objects = boost::unordered_flat_map<Name, std::unique_ptr<Stored>, Hash_Of_Name>; ///< by their own keys

    State() { fill_random(hash_key.data(), hash_key.size()); }

    [[nodiscard]] auto name_of(std::string_view key) const noexcept -> Name { return {key, siphash13(hash_key, key)}; }
    [[nodiscard]] auto find(Name const& name) const -> Stored* {
        auto const found = objects.find(name);
        return found == objects.end() ? nullptr : found->second.get();
    }
    [[nodiscard]] static auto holds(Stored const* found, Precondition const& when) -> bool {
        switch (when.kind()) {
        case Precondition::Kind::none:
            return true;
        case Precondition::Kind::absent:
            return found == nullptr;
        case Precondition::Kind::version:
            return found != nullptr && token(found->version) == when.version();
        }
        return false;
    }
    auto make(Name const& name, Value value) -> Version {
        auto fresh = std::make_unique<Stored>(
            Stored{std::string(name.key), std::move(value), last_version + 1, newcomers.size()});
        auto* const stored = fresh.get();
        newcomers.push_back(stored);
        try {
            objects.emplace(Name{stored->key, name.hash}, std::move(fresh));
        } catch (...) {
            newcomers.pop_back();
            throw;
        }
        return token(++last_version);
    }
    [[nodiscard]] auto take(Name const& name) -> std::unique_ptr<Stored> {
        auto const found = objects.find(name);
        auto* const stored = found->second.get();
        if (stored->newcomer == Stored::none) {
            in_order.erase(stored->key);
        } else {
            newcomers.back()->newcomer = stored->newcomer;
            newcomers[stored->newcomer] = newcomers.back();
            newcomers.pop_back();
        }
        auto taken = std::move(found->second);
        objects.erase(found);
        return taken;
    }
    void put_in_order() {
        for (; !newcomers.empty(); newcomers.pop_back()) {
            auto* const stored = newcomers.back();
            in_order.emplace(stored->key, stored);
            stored->newcomer = Stored::none;
        }
    }

    Sip_Key hash_key{}; ///< random, so that nobody can choose keys that meet in the table
    mutable std::shared_mutex mutex;
    Objects objects;
    std::map<std::string_view, Stored const*> in_order; ///< by their own keys
    std::vector<Stored*> newcomers;                     ///< all others
    std::uint64_t last_version = 0;
    mutable Operation_Counters counters;
};

Storage_Memory::Storage_Memory() : state_(std::make_unique<State>()) {}
Storage_Memory::Storage_Memory(Storage_Memory&&) noexcept = default;
auto Storage_Memory::operator=(Storage_Memory&&) noexcept -> Storage_Memory& = default;
Storage_Memory::~Storage_Memory() = default;

auto Storage_Memory::get(Storage_Key const& key, Byte_Range range) const -> Result<std::optional<Object>> {
    std::vector<Block> earlier;
    Block last;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    Object object;
    auto const name = state_->name_of(key.str());
    {
        std::shared_lock const lock(state_->mutex);
        auto const* const found = state_->find(name);
        if (found == nullptr) {
            state_->counters.read(0);
            return std::optional<Object>{};
        }
        auto const& value = found->value;
        from = std::min(range.offset, value.size());
        to = from + std::min(range.length, value.size() - from);
        earlier = value.earlier_blocks(from, to);
        last = value.last_block();
        object.version = token(found->version);
    }
    object.bytes.reserve(static_cast<std::size_t>(to - from));
    for (auto const& block : earlier)
        block.copy(from, to, object.bytes);
    last.copy(from, to, object.bytes);
    state_->counters.read(object.bytes.size());
    return std::optional<Object>(std::move(object));
}

auto Storage_Memory::put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const&)
    -> Result<Put_Outcome> {
    state_->counters.write(bytes.size());
    auto const name = state_->name_of(key.str());
    Value value(bytes); // copied before the lock, and what it replaces is freed after it
    std::lock_guard const lock(state_->mutex);
    auto* const found = state_->find(name);
    if (!State::holds(found, when))
        return Put_Outcome{Put_State::not_applied, {}};
    if (found == nullptr)
        return Put_Outcome{Put_State::applied, state_->make(name, std::move(value))};
    std::swap(found->value, value);
    found->version = ++state_->last_version;
    return Put_Outcome{Put_State::applied, token(found->version)};
}

auto Storage_Memory::erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
    state_->counters.erase();
    auto const name = state_->name_of(key.str());
    std::unique_ptr<Stored> erased; // freed after the lock
    std::lock_guard const lock(state_->mutex);
    auto* const found = state_->find(name);
    if (found == nullptr || !State::holds(found, when))
        return false;
    erased = state_->take(name);
    return true;
}

auto Storage_Memory::list(List_Query const& query) const -> Result<Page> {
    state_->counters.list();
    if (auto const good = check_list_query(query); good.has_error())
        return good.error();
    Page page;
    std::shared_lock beside_others(state_->mutex);
    std::unique_lock alone(state_->mutex, std::defer_lock);
    if (!state_->newcomers.empty()) {
        beside_others.unlock();
        alone.lock();
        state_->put_in_order();
    }
    auto const& objects = state_->in_order;
    auto at =
        query.start_after < query.prefix ? objects.lower_bound(query.prefix) : objects.upper_bound(query.start_after);
    for (; at != objects.end() && at->first.starts_with(query.prefix); ++at) {
        if (page.items.size() == query.limit) {
            page.next = page.items.back().key;
            break;
        }
        auto const& stored = *at->second;
        page.items.push_back({stored.key, stored.value.size(), token(stored.version)});
    }
    return page;
}

auto Storage_Memory::append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability)
    -> Result<Put_Outcome> {
    state_->counters.append(bytes.size());
    auto const name = state_->name_of(key.str());
    std::lock_guard const lock(state_->mutex);
    auto* const found = state_->find(name);
    if (at != (found != nullptr ? found->value.size() : 0))
        return Put_Outcome{Put_State::not_applied, {}};
    if (found == nullptr)
        return Put_Outcome{Put_State::applied, state_->make(name, Value(bytes))};
    found->value.append(bytes);
    found->version = ++state_->last_version;
    return Put_Outcome{Put_State::applied, token(found->version)};
}

auto Storage_Memory::sync() -> Result<void> { return {}; }

auto Storage_Memory::capabilities() const -> Capabilities {
    Capabilities offered;
    offered.conditional_put = true;
    offered.conditional_erase = true;
    offered.append = true;
    offered.max_value_bytes = Bytes().max_size();
    return offered;
}

auto Storage_Memory::counters() const -> Operation_Counts { return state_->counters.snapshot(); }

} // namespace memfs_cache
