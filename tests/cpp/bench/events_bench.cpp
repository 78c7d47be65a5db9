// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/crc32c.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace memfs_cache::bench {

namespace {

constexpr std::string_view event = R"({"timestamp":1770991200123,"event_type":"page_view","path":"/articles/2026/02/)"
                                   R"(a-longer-title","method":"GET","status_code":200,"duration_us":1834,)"
                                   R"("ip_hash":"0123456789abcdef","content_bytes":18231,"x":1})";
static_assert(event.size() > 190 && event.size() < 210);

template <class Storage>
struct Logged {
    explicit Logged(Storage made, Recording_Mode mode = Recording_Mode::buffered) : storage(std::move(made)) {
        Event_Log_Options options;
        options.mode = mode;
        log = Event_Log<Storage>::open(storage, Log_Paths("cache", Namespace_Name("bench")),
                                       std::make_shared<System_Clock>(), options)
                  .value();
    }
    void record(std::size_t operations) {
        auto const now = log->clock()->now();
        for (std::size_t i = 0; i < operations; ++i)
            log->record(now, [](std::string& out) { out += event; }).value();
    }

    Storage storage;
    std::unique_ptr<Event_Log<Storage>> log;
};

struct Logged_On_Disk {
    explicit Logged_On_Disk(Recording_Mode mode)
        : logged(Storage_Disk::open(folder.path() / "store").value(), mode),
          bare(::open((folder.path() / "bare").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
        if (!bare)
            throw std::system_error(errno, std::generic_category(), "open");
    }
    void write_bare(Byte_View bytes, bool durable) const {
        if (::write(bare.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
            (durable && ::fdatasync(bare.get()) != 0))
            throw std::system_error(errno, std::generic_category(), "write");
    }

    testing::Scratch_Folder folder{std::filesystem::current_path()};
    Logged<Storage_Disk> logged;
    Unique_Fd bare;
};

void append_with_checksum(std::string& lines) {
    lines += event;
    keep(crc32c(0, event));
}

auto record_into_memory() -> Sides {
    auto const memory = std::make_shared<Logged<Storage_Memory>>(Storage_Memory());
    return {[memory](std::size_t operations) { memory->record(operations); },
            [lines = std::string()](std::size_t operations) mutable {
                lines.clear();
                for (std::size_t i = 0; i < operations; ++i)
                    append_with_checksum(lines);
            }};
}

auto record_to_disk() -> Sides {
    auto const disk = std::make_shared<Logged_On_Disk>(Recording_Mode::buffered);
    return {[disk](std::size_t operations) {
                disk->logged.record(operations);
                disk->logged.log->flush().value();
            },
            [disk, lines = std::string()](std::size_t operations) mutable {
                for (std::size_t i = 0; i < operations; ++i) {
                    append_with_checksum(lines);
                    if (lines.size() >= 1 << 20 || i + 1 == operations) {
                        disk->write_bare(lines, false);
                        lines.clear();
                    }
                }
            }};
}

auto record_durably(std::size_t threads) -> Sides {
    auto const disk = std::make_shared<Logged_On_Disk>(Recording_Mode::durable);
    return {[disk, threads](std::size_t operations) {
                std::vector<std::thread> others;
                for (std::size_t i = 1; i < threads; ++i)
                    others.emplace_back([&] { disk->logged.record(operations / threads); });
                disk->logged.record(operations - (threads - 1) * (operations / threads));
                for (auto& other : others)
                    other.join();
            },
            [disk](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    disk->write_bare(event, true);
            }};
}

} // namespace

auto events_rows() -> Rows {
    return {{"record, memory, 200 bytes", "append and crc32c", record_into_memory},
            {"record, disk, 200 bytes, flush included", "append, crc32c, write of 1 MiB", record_to_disk},
            {"record, disk, durable, 200 bytes", "write, fdatasync", [] { return record_durably(1); }},
            {"record, disk, durable, 16 threads", "write, fdatasync of one thread", [] { return record_durably(16); }}};
}

} // namespace memfs_cache::bench
