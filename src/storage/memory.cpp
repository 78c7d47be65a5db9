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
};

class Value {
  public:
    explicit Value(Byte_View bytes) { append(bytes); }

    [[nodiscard]] auto size() const noexcept -> std::uint64_t {
        return blocks_.empty() ? 0 : blocks_.back().start + blocks_.back().size;
    }

    void append(Byte_View bytes) {
        if (bytes.empty())
            return;
        if (blocks_.empty() || blocks_.back().capacity - blocks_.back().size < bytes.size())
            add_block(bytes.size());
        auto& last = blocks_.back();
        std::memcpy(last.bytes.get() + last.size, bytes.data(), bytes.size());
        last.size += bytes.size();
    }

    /// The blocks that hold bytes [from, to), not yet cut to it.
    [[nodiscard]] auto blocks_of(std::uint64_t from, std::uint64_t to) const -> std::vector<Block> {
        auto first = std::upper_bound(blocks_.begin(), blocks_.end(), from,
                                      [](std::uint64_t offset, Block const& block) { return offset < block.start; });
        if (first != blocks_.begin())
            --first;
        auto const last = std::lower_bound(
            first, blocks_.end(), to, [](Block const& block, std::uint64_t offset) { return block.start < offset; });
        return {first, last};
    }

  private:
    /// A whole value gets exactly its size; one that grows gets as much again as it has, up to a bound, so that neither
    /// small logs waste memory nor large ones are ever moved.
    void add_block(std::size_t at_least) {
        constexpr std::uint64_t largest_reserve = 4U << 20U;
        auto const capacity = std::max<std::size_t>(at_least, std::min(size(), largest_reserve));
        blocks_.push_back({std::shared_ptr<char[]>(new char[capacity]), capacity, 0, size()});
    }

    std::vector<Block> blocks_;
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

    mutable std::shared_mutex mutex;
    Objects objects;
    std::uint64_t last_version = 0;
    mutable Operation_Counters counters;
};

Storage_Memory::Storage_Memory() : state_(std::make_unique<State>()) {}
Storage_Memory::Storage_Memory(Storage_Memory&&) noexcept = default;
auto Storage_Memory::operator=(Storage_Memory&&) noexcept -> Storage_Memory& = default;
Storage_Memory::~Storage_Memory() = default;

auto Storage_Memory::get(Storage_Key const& key, Byte_Range range) const -> Result<std::optional<Object>> {
    std::vector<Block> blocks;
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
        blocks = value.blocks_of(from, to);
        object.version = token(found->second.version);
    }
    object.bytes.reserve(static_cast<std::size_t>(to - from));
    for (auto const& block : blocks) {
        auto const begin = std::max(from, block.start);
        auto const end = std::min(to, block.start + block.size);
        if (begin < end)
            object.bytes.append(block.bytes.get() + (begin - block.start), static_cast<std::size_t>(end - begin));
    }
    state_->counters.read(object.bytes.size());
    return std::optional<Object>(std::move(object));
}

auto Storage_Memory::put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const&)
    -> Result<Put_Outcome> {
    state_->counters.write(bytes.size());
    Value value(bytes); // copied before the lock, and what it replaces is freed after it
    std::lock_guard const lock(state_->mutex);
    auto const found = state_->objects.find(key.str());
    if (!state_->holds(found, when))
        return Put_Outcome{Put_State::not_applied, {}};
    auto const version = ++state_->last_version;
    if (found == state_->objects.end()) {
        state_->objects.emplace(key.str(), Stored{std::move(value), version});
    } else {
        std::swap(found->second.value, value);
        found->second.version = version;
    }
    return Put_Outcome{Put_State::applied, token(version)};
}

auto Storage_Memory::erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
    state_->counters.erase();
    State::Objects::node_type erased; // freed after the lock
    std::lock_guard const lock(state_->mutex);
    auto const found = state_->objects.find(key.str());
    if (found == state_->objects.end() || !state_->holds(found, when))
        return false;
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
    auto const found = state_->objects.find(key.str());
    auto const size = found == state_->objects.end() ? 0 : found->second.value.size();
    if (size != at)
        return Put_Outcome{Put_State::not_applied, {}};
    auto const version = ++state_->last_version;
    if (found == state_->objects.end()) {
        state_->objects.emplace(key.str(), Stored{Value(bytes), version});
    } else {
        found->second.value.append(bytes);
        found->second.version = version;
    }
    return Put_Outcome{Put_State::applied, token(version)};
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
