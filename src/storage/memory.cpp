// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/storage/memory.hpp>

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

struct Stored {
    Value value;
    std::uint64_t version;
};

/// Decimal, so that it stays within the small-string size of std::string for the first 10^15 writes.
auto token(std::uint64_t version) -> Version { return {std::to_string(version)}; }

} // namespace

struct Storage_Memory::State {
    using Objects = std::map<std::string, Stored, std::less<>>;

    [[nodiscard]] auto holds(Objects::const_iterator found, Precondition const& when) const -> bool {
        switch (when.kind()) {
        case Precondition::Kind::none:
            return true;
        case Precondition::Kind::absent:
            return found == objects.end();
        case Precondition::Kind::version:
            return found != objects.end() && token(found->second.version) == when.version();
        }
        return false;
    }

    /// The object of a key, or else the one that it would stand before. What belongs together is written together, so the
    /// places beside the last new object are looked at first.
    [[nodiscard]] auto place_of(std::string const& key) -> Objects::iterator {
        if (auto near = last_new; near != objects.end()) {
            bool const is_behind = near->first < key;
            if (is_behind && (++near == objects.end() || key <= near->first))
                return near;
            if (!is_behind && (near == objects.begin() || std::prev(near)->first < key))
                return near;
        }
        return objects.lower_bound(key);
    }
    [[nodiscard]] auto is_at(Objects::iterator place, std::string const& key) const -> bool {
        return place != objects.end() && place->first == key;
    }
    auto make(Objects::iterator place, std::string const& key, Value value) -> Version {
        last_new = objects.emplace_hint(place, key, Stored{std::move(value), ++last_version});
        return token(last_version);
    }

    mutable std::shared_mutex mutex;
    Objects objects;
    Objects::iterator last_new = objects.end();
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
    {
        std::shared_lock const lock(state_->mutex);
        auto const found = state_->objects.find(key.str());
        if (found == state_->objects.end()) {
            state_->counters.read(0);
            return std::optional<Object>{};
        }
        auto const& value = found->second.value;
        from = std::min(range.offset, value.size());
        to = from + std::min(range.length, value.size() - from);
        earlier = value.earlier_blocks(from, to);
        last = value.last_block();
        object.version = token(found->second.version);
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
    Value value(bytes); // copied before the lock, and what it replaces is freed after it
    std::lock_guard const lock(state_->mutex);
    auto const place = state_->place_of(key.str());
    bool const exists = state_->is_at(place, key.str());
    if (!state_->holds(exists ? place : state_->objects.end(), when))
        return Put_Outcome{Put_State::not_applied, {}};
    if (!exists)
        return Put_Outcome{Put_State::applied, state_->make(place, key.str(), std::move(value))};
    std::swap(place->second.value, value);
    place->second.version = ++state_->last_version;
    return Put_Outcome{Put_State::applied, token(place->second.version)};
}

auto Storage_Memory::erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
    state_->counters.erase();
    State::Objects::node_type erased; // freed after the lock
    std::lock_guard const lock(state_->mutex);
    auto const found = state_->objects.find(key.str());
    if (found == state_->objects.end() || !state_->holds(found, when))
        return false;
    if (state_->last_new == found)
        state_->last_new = state_->objects.end();
    erased = state_->objects.extract(found);
    return true;
}

auto Storage_Memory::list(List_Query const& query) const -> Result<Page> {
    state_->counters.list();
    if (auto const good = check_list_query(query); good.has_error())
        return good.error();
    Page page;
    std::shared_lock const lock(state_->mutex);
    auto const& objects = state_->objects;
    auto at =
        query.start_after < query.prefix ? objects.lower_bound(query.prefix) : objects.upper_bound(query.start_after);
    for (; at != objects.end() && at->first.starts_with(query.prefix); ++at) {
        if (page.items.size() == query.limit) {
            page.next = page.items.back().key;
            break;
        }
        page.items.push_back({at->first, at->second.value.size(), token(at->second.version)});
    }
    return page;
}

auto Storage_Memory::append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability)
    -> Result<Put_Outcome> {
    state_->counters.append(bytes.size());
    std::lock_guard const lock(state_->mutex);
    auto const place = state_->place_of(key.str());
    bool const exists = state_->is_at(place, key.str());
    if (at != (exists ? place->second.value.size() : 0))
        return Put_Outcome{Put_State::not_applied, {}};
    if (!exists)
        return Put_Outcome{Put_State::applied, state_->make(place, key.str(), Value(bytes))};
    place->second.value.append(bytes);
    place->second.version = ++state_->last_version;
    return Put_Outcome{Put_State::applied, token(place->second.version)};
}

auto Storage_Memory::sync() -> Result<void> { return {}; }

auto Storage_Memory::capabilities() const -> Capabilities {
    Capabilities offered;
    offered.conditional_put = true;
    offered.append = true;
    offered.max_value_bytes = Bytes().max_size();
    return offered;
}

auto Storage_Memory::counters() const -> Operation_Counts { return state_->counters.snapshot(); }

} // namespace memfs_cache
