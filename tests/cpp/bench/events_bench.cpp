// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/crc32c.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <unistd.h>
#include <vector>
#if __has_include(<spdlog/sinks/basic_file_sink.h>)
#define FMT_HEADER_ONLY
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#define MEMFS_CACHE_BENCH_SPDLOG
#endif

namespace memfs_cache::bench {

namespace {

constexpr std::size_t many = 2'000'000;

void require(bool done, char const* what) {
    if (!done)
        throw std::runtime_error(what);
}

/// Events of 200 bytes with nine fields; 2,000 paths, and an id of its own for each event.
class Events {
  public:
    Events() {
        for (int i = 0; i < 2'000; ++i) {
            auto const path = "/" + std::to_string(i % 40) + "/" + std::to_string(10'000 + i);
            tails_.push_back(R"(","event_type":"page_view","timestamp":1770991200123,"path":")" + path +
                             R"(","method":"GET","status_code":200,"duration_ms":1.834,)"
                             R"("ip_hash":"0123456789abcdef","content_bytes":18231})");
        }
        std::string one;
        append(one, 0);
        require(one.size() >= 190 && one.size() <= 210, "events are to have 200 bytes");
    }
    void append(std::string& out, std::size_t number) const {
        std::array<char, 16> id;
        write_hex(id.data(), (number + 1) * 0x9e3779b97f4a7c15ULL, id.size());
        out.append(R"({"event_id":")").append(id.data(), id.size()).append(tails_[number % tails_.size()]);
    }

  private:
    std::vector<std::string> tails_;
};

template <class Storage>
struct Logged {
    explicit Logged(Storage made, Recording_Mode mode = Recording_Mode::buffered) : storage(std::move(made)) {
        Event_Log_Options options;
        options.mode = mode;
        log = Event_Log<Storage>::open(storage, Log_Paths("cache", Namespace_Name("bench")),
                                       std::make_shared<Manual_Clock>(from_millis(1'770'991'200'123)), options)
                  .value();
    }
    void record(std::size_t operations) {
        auto const now = log->clock()->now();
        for (auto const end = recorded + operations; recorded < end; ++recorded) {
            auto const add = [&] { return log->record(now, [&](std::string& out) { events.append(out, recorded); }); };
            if (auto const added = add(); !added && added.error().code == Errc::throttled) {
                log->flush().value(); // a site would drop what comes faster than the disk takes it
                add().value();
            }
        }
    }
    /// Reads everything again and compares it with what was recorded.
    void check() {
        std::size_t found = 0;
        std::string expected;
        Read_State seen;
        auto const read =
            log->read(Base_Window::containing(log->clock()->now()), seen, [&](Raw_Event const& event) -> Result<void> {
                expected.clear();
                events.append(expected, found++);
                auto const text = std::string_view(expected).substr(0, expected.size() - 1);
                require(event.json.starts_with(text), "another event was read");
                return {};
            });
        require(read && found == recorded, "not every event was read again");
    }

    Storage storage;
    std::unique_ptr<Event_Log<Storage>> log;
    Events events;
    std::size_t recorded = 0;
};

struct Bare_File {
    explicit Bare_File(std::filesystem::path const& path)
        : fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
        if (!fd)
            throw std::system_error(errno, std::generic_category(), "open");
    }
    void write(Byte_View bytes, bool durable) const {
        if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
            (durable && ::fdatasync(fd.get()) != 0))
            throw std::system_error(errno, std::generic_category(), "write");
    }
    Unique_Fd fd;
};

/// The least that group commit needs: whoever finds nobody writing writes what all have queued, and flushes it.
class Bare_Group_Commit {
  public:
    explicit Bare_Group_Commit(Bare_File const& file) : file_(file) {}
    void commit(Byte_View bytes) {
        std::unique_lock lock(mutex_);
        queued_ += bytes;
        for (auto const mine = ++queued_to_; safe_to_ < mine;) {
            if (writing_) {
                over_.wait(lock);
                continue;
            }
            writing_ = true;
            auto const taken_to = queued_to_;
            in_flight_.swap(queued_);
            lock.unlock();
            file_.write(in_flight_, true);
            in_flight_.clear();
            lock.lock();
            writing_ = false;
            safe_to_ = taken_to;
            over_.notify_all();
        }
    }

  private:
    Bare_File const& file_;
    std::mutex mutex_;
    std::condition_variable over_;
    std::string queued_, in_flight_;
    std::uint64_t queued_to_ = 0, safe_to_ = 0;
    bool writing_ = false;
};

/// Everything on a disk that the sides of a row write to; each round of `many` gets another one.
struct On_Disk {
    explicit On_Disk(Recording_Mode mode = Recording_Mode::buffered)
        : logged(Storage_Disk::open(folder.path() / "store").value(), mode), bare(folder.path() / "bare") {}

    testing::Scratch_Folder folder{std::filesystem::current_path()};
    Logged<Storage_Disk> logged;
    Bare_File bare;
};

void append_with_checksum(std::string& lines, Events const& events, std::size_t number) {
    auto const begin = lines.size();
    events.append(lines, number);
    keep(crc32c(0, std::string_view(lines).substr(begin)));
}

auto record_into_memory() -> Sides {
    using Memory = Logged<Storage_Memory>;
    auto const memory = std::make_shared<std::unique_ptr<Memory>>(std::make_unique<Memory>(Storage_Memory()));
    return {.ours = [memory](std::size_t operations) { (*memory)->record(operations); },
            .limit =
                [events = Events()](std::size_t operations) {
                    std::string lines;
                    for (std::size_t i = 0; i < operations; ++i)
                        append_with_checksum(lines, events, i);
                },
            .after_round =
                [memory] {
                    (*memory)->check();
                    memory->reset(); // before there is another one
                    *memory = std::make_unique<Memory>(Storage_Memory());
                }};
}

/// As many lines through a logger that many programs use: one lock, formatted text, a file, flushed at the end.
#ifdef MEMFS_CACHE_BENCH_SPDLOG
auto log_with_spdlog(std::filesystem::path const& file, Events const& events, std::size_t operations) {
    auto const sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), true);
    spdlog::logger logger("bench", sink);
    logger.set_pattern("%v");
    std::string line;
    for (std::size_t i = 0; i < operations; ++i) {
        line.clear();
        events.append(line, i);
        logger.info(spdlog::string_view_t(line.data(), line.size()));
    }
    logger.flush();
}
#endif

auto record_to_disk() -> Sides {
    auto const disk = std::make_shared<std::unique_ptr<On_Disk>>(std::make_unique<On_Disk>());
    Work peer;
#ifdef MEMFS_CACHE_BENCH_SPDLOG
    peer = [disk, events = Events()](std::size_t operations) {
        log_with_spdlog((*disk)->folder.path() / "peer", events, operations);
    };
#endif
    return {.ours =
                [disk](std::size_t operations) {
                    (*disk)->logged.record(operations);
                    (*disk)->logged.log->flush().value();
                },
            .limit =
                [disk, events = Events(), lines = std::string()](std::size_t operations) mutable {
                    for (std::size_t i = 0; i < operations; ++i) {
                        append_with_checksum(lines, events, i);
                        if (lines.size() >= 1 << 20 || i + 1 == operations) {
                            (*disk)->bare.write(lines, false);
                            lines.clear();
                        }
                    }
                },
            .peer = peer,
            .after_round =
                [disk] {
                    (*disk)->logged.check();
                    *disk = std::make_unique<On_Disk>();
                }};
}

auto record_durably(std::size_t threads) -> Sides {
    auto const disk = std::make_shared<On_Disk>(Recording_Mode::durable);
    std::string event;
    Events().append(event, 0);
    auto const now = disk->logged.log->clock()->now();
    return {
        .ours =
            [disk, threads, event, now](std::size_t operations) {
                from_threads(threads, operations, [&](std::size_t own) {
                    for (std::size_t i = 0; i < own; ++i)
                        disk->logged.log->record(now, [&](std::string& out) { out += event; }).value();
                });
            },
        .limit =
            [disk, threads, event, commits = std::make_shared<Bare_Group_Commit>(disk->bare)](std::size_t operations) {
                from_threads(threads, operations, [&](std::size_t own) {
                    for (std::size_t i = 0; i < own; ++i)
                        commits->commit(event);
                });
            }};
}

/// How near bare group commit comes to what the disk gives to one who has all 16 events at hand.
auto commit_bare() -> Sides {
    constexpr std::size_t threads = 16;
    auto const disk = std::make_shared<On_Disk>();
    std::string event;
    Events().append(event, 0);
    std::string together;
    for (std::size_t i = 0; i < threads; ++i)
        together += event;
    return {.ours =
                [disk, event, commits = std::make_shared<Bare_Group_Commit>(disk->bare)](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            commits->commit(event);
                    });
                },
            .limit =
                [disk, together](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; i += threads)
                        disk->bare.write(together, true);
                }};
}

} // namespace

auto events_rows() -> Rows {
    return {{"record, memory, 200 bytes", "append and crc32c", record_into_memory, {}, many},
            {"record, disk, 200 bytes, flush included", "append, crc32c, write of 1 MiB", record_to_disk,
             "lines through spdlog", many},
            {"record, disk, durable, 200 bytes", "write, fdatasync", [] { return record_durably(1); }},
            {"record, disk, durable, 16 threads",
             "bare group commit of 16 threads",
             [] { return record_durably(16); },
             {},
             3'200},
            {"bare group commit of 16 threads", "write of 16, fdatasync", commit_bare, {}, 3'200}};
}

} // namespace memfs_cache::bench
