// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <unistd.h>

namespace memfs_cache::bench {

namespace {

void require(bool done, char const* call) {
    if (!done)
        throw std::system_error(errno, std::generic_category(), call);
}

void require_applied(Result<Put_Outcome> const& written) {
    if (written.value().state != Put_State::applied)
        throw std::runtime_error("a write was not applied");
}

/// Keys as windows have them, enough that a map does not fit into the first-level cache.
auto window_keys() -> std::vector<Storage_Key> {
    std::vector<Storage_Key> keys;
    for (int day = 10; day < 29; ++day)
        for (int hour = 10; hour < 24; ++hour)
            keys.emplace_back("cache/analytics/data/aggregations/hourly/2026/02/" + std::to_string(day) + "/" +
                              std::to_string(hour) + ".json");
    return keys;
}

auto put_into_memory() -> Sides {
    return {[storage = std::make_shared<Storage_Memory>(), keys = window_keys()](std::size_t operations) {
                Bytes const value(200, 'x');
                for (std::size_t i = 0; i < operations; ++i)
                    require_applied(storage->put(keys[i % keys.size()], value, Precondition::none()));
            },
            [map = std::make_shared<std::map<std::string, Bytes>>(), keys = window_keys()](std::size_t operations) {
                Bytes const value(200, 'x');
                for (std::size_t i = 0; i < operations; ++i)
                    map->insert_or_assign(keys[i % keys.size()].str(), value);
            }};
}

/// A folder of the current directory, so that the disk measured is the one that the user stands on; removed afterwards.
class Bench_Folder {
  public:
    Bench_Folder() : path_(std::filesystem::absolute("memfs_cache_bench." + random_hex(4))) {
        std::filesystem::create_directory(path_);
    }
    Bench_Folder(Bench_Folder const&) = delete;
    auto operator=(Bench_Folder const&) -> Bench_Folder& = delete;
    ~Bench_Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] auto path() const noexcept -> std::filesystem::path const& { return path_; }

  private:
    std::filesystem::path path_;
};

/// What both sides of a row on disk need: the folder goes last.
struct On_Disk {
    Bench_Folder folder;
    Storage_Disk storage = Storage_Disk::open(folder.path() / "ours").value();
    std::filesystem::path bare = folder.path() / "bare";
    On_Disk() { std::filesystem::create_directory(bare); }
};

void write_and_rename(std::filesystem::path const& folder, Byte_View value, Durability durability) {
    auto const temporary = folder / "value.new";
    Unique_Fd const file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    require(file && ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size()), "write");
    if (durability == Durability::durable)
        require(::fdatasync(file.get()) == 0, "fdatasync");
    require(std::rename(temporary.c_str(), (folder / "value").c_str()) == 0, "rename");
    if (durability == Durability::durable) {
        Unique_Fd const directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        require(directory && ::fsync(directory.get()) == 0, "fsync");
    }
}

auto put_on_disk(Durability durability) -> Sides {
    auto const disk = std::make_shared<On_Disk>();
    return {[disk, durability](std::size_t operations) {
                Storage_Key const key("value");
                Bytes const value(200, 'x');
                for (std::size_t i = 0; i < operations; ++i)
                    require_applied(disk->storage.put(key, value, Precondition::none(), {.durability = durability}));
            },
            [disk, durability](std::size_t operations) {
                Bytes const value(200, 'x');
                for (std::size_t i = 0; i < operations; ++i)
                    write_and_rename(disk->bare, value, durability);
            }};
}

auto append_on_disk(Durability durability) -> Sides {
    auto const disk = std::make_shared<On_Disk>();
    auto const file = std::make_shared<Unique_Fd>(
        ::open((disk->bare / "segment").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    require(static_cast<bool>(*file), "open");
    auto const at = std::make_shared<std::uint64_t>(0);
    require_applied(disk->storage.put(Storage_Key("segment"), "", Precondition::absent()));
    return {[disk, at, durability](std::size_t operations) {
                Storage_Key const key("segment");
                Bytes const lines(200, 'x');
                for (std::size_t i = 0; i < operations; ++i, *at += lines.size())
                    require_applied(disk->storage.append(key, *at, lines, durability));
            },
            [disk, file, durability](std::size_t operations) {
                Bytes const lines(200, 'x');
                for (std::size_t i = 0; i < operations; ++i) {
                    require(::write(file->get(), lines.data(), lines.size()) == 200, "write");
                    if (durability == Durability::durable)
                        require(::fdatasync(file->get()) == 0, "fdatasync");
                }
            }};
}

} // namespace

auto storage_rows() -> Rows {
    using enum Durability;
    return {{"put, memory, 200 bytes", "std::map", put_into_memory},
            {"put, disk, buffered, 200 bytes", "write, rename", [] { return put_on_disk(buffered); }},
            {"put, disk, durable, 200 bytes", "write, fdatasync, rename, fsync", [] { return put_on_disk(durable); }},
            {"append, disk, buffered, 200 bytes", "write", [] { return append_on_disk(buffered); }},
            {"append, disk, durable, 200 bytes", "write, fdatasync", [] { return append_on_disk(durable); }}};
}

} // namespace memfs_cache::bench
