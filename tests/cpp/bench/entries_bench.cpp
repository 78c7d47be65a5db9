// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/entries/entry_store.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <memory>

namespace memfs_cache::bench {

namespace {

struct Shelf {
    Storage_Memory storage;
    Entry_Store<Storage_Memory> entries{storage, "cache", std::make_shared<System_Clock>()};
    std::size_t number = 0;

    auto next() -> Entry_Value {
        return Entry_Value::json(
            Python_Json::Object{{"number", Python_Json(++number)}, {"name", Python_Json("a name")}});
    }
};

/// The five files of an entry, as long as they are, under names as long as they are.
void put_five(Storage_Memory& storage, std::size_t number) {
    static Bytes const bytes[] = {Bytes(50, 'x'), Bytes(480, 'x'), Bytes(620, 'x'), Bytes(280, 'x'), Bytes(1'000, 'x')};
    for (auto const& file : bytes) {
        Storage_Key const key("cache/notes/data/temporal/2026/02/13/14/2c15e5f1-0000-4000-8000-" +
                              std::to_string(number) + std::to_string(file.size()));
        (void)storage.put(key, file, Precondition::none()).value();
    }
}

/// A fresh store after each round: memory is not what is measured.
auto store_in_memory() -> Sides {
    auto const ours = std::make_shared<std::unique_ptr<Shelf>>(std::make_unique<Shelf>());
    auto const bare = std::make_shared<std::unique_ptr<Shelf>>(std::make_unique<Shelf>());
    return {.ours =
                [ours](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        (void)(*ours)->entries.store("notes", Entry_Strategy::temporal, (*ours)->next()).value();
                },
            .limit =
                [bare](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        put_five((*bare)->storage, ++(*bare)->number);
                },
            .after_round =
                [ours, bare] {
                    *ours = std::make_unique<Shelf>();
                    *bare = std::make_unique<Shelf>();
                }};
}

auto retrieve_by_hash() -> Sides {
    auto const shelf = std::make_shared<Shelf>();
    auto const hashes = std::make_shared<std::vector<std::string>>();
    auto const files = std::make_shared<std::vector<Storage_Key>>();
    for (int i = 0; i < 1'000; ++i) {
        auto const stored = shelf->entries.store("notes", Entry_Strategy::temporal, shelf->next()).value();
        hashes->push_back(stored.cache_hash);
        for (auto const& path :
             {stored.paths.by_hash, stored.paths.by_id, stored.paths.data.front(), stored.paths.data.back()})
            files->emplace_back("cache/" + path);
    }
    return {.ours =
                [shelf, hashes](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        keep(shelf->entries.retrieve_by_hash("notes", (*hashes)[i % 1'000]).value()->value);
                },
            .limit =
                [shelf, files](std::size_t operations) {
                    for (std::size_t i = 0; i < operations * 4; ++i)
                        keep(shelf->storage.get((*files)[i % 4'000]).value()->bytes);
                }};
}

} // namespace

auto entries_rows() -> Rows {
    return {{"store an entry, memory, temporal", "its five puts", store_in_memory, {}, 20'000},
            {"retrieve an entry by hash, memory", "its four gets", retrieve_by_hash}};
}

} // namespace memfs_cache::bench
