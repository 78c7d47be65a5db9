// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/namespaces/tokens.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <mutex>
#include <system_error>
#include <unistd.h>

namespace memfs_cache::bench {

namespace {

constexpr std::size_t callers = 16;

template <class Storage>
struct Desk {
    explicit Desk(Storage made, std::uint64_t block_size = 0) : storage(std::move(made)) {
        (void)tokens->create("community-x", {.limit = 1'000'000'000'000, .block_size = block_size}).value();
    }
    void use(std::size_t operations) const {
        for (std::size_t i = 0; i < operations; ++i)
            if (!tokens->use("community-x").value().success)
                throw std::runtime_error("a use was refused");
    }

    Storage storage;
    std::unique_ptr<Tokens<Storage>> tokens =
        Tokens<Storage>::open(storage, "cache", Namespace_Name("tokens"), std::make_shared<System_Clock>()).value();
};

/// What a count costs that is exact, but is neither written down nor an event.
auto use_in_memory() -> Sides {
    struct Counter {
        std::mutex mutex;
        std::string text = "0";
    };
    auto const ours = std::make_shared<std::unique_ptr<Desk<Storage_Memory>>>();
    auto const again = [ours] { *ours = std::make_unique<Desk<Storage_Memory>>(Storage_Memory()); };
    again();
    return {.ours =
                [ours](std::size_t operations) {
                    from_threads(callers, operations, [&](std::size_t own) { (*ours)->use(own); });
                },
            .limit =
                [counter = std::make_shared<Counter>()](std::size_t operations) {
                    from_threads(callers, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i) {
                            std::lock_guard const lock(counter->mutex);
                            counter->text = std::to_string(std::stoull(counter->text) + 1);
                        }
                    });
                },
            .after_round = again};
}

/// A number in a file that is replaced as a whole and flushed, by one for all who wait.
class Bare_Counter {
  public:
    explicit Bare_Counter(std::filesystem::path folder) : folder_(std::move(folder)) {
        std::filesystem::create_directory(folder_);
    }
    void add() {
        std::unique_lock lock(mutex_);
        for (auto const mine = ++asked_; safe_ < mine;) {
            if (writing_) {
                over_.wait(lock);
                continue;
            }
            writing_ = true;
            auto const taken = asked_;
            lock.unlock();
            replace(std::to_string(taken));
            lock.lock();
            writing_ = false;
            safe_ = taken;
            over_.notify_all();
        }
    }

  private:
    static void require(bool done, char const* call) {
        if (!done)
            throw std::system_error(errno, std::generic_category(), call);
    }
    void replace(std::string const& text) const {
        auto const temporary = folder_ / "count.new";
        Unique_Fd const file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        require(file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write");
        require(::fdatasync(file.get()) == 0, "fdatasync");
        require(std::rename(temporary.c_str(), (folder_ / "count").c_str()) == 0, "rename");
        Unique_Fd const directory(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        require(directory && ::fsync(directory.get()) == 0, "fsync");
    }

    std::filesystem::path folder_;
    std::mutex mutex_;
    std::condition_variable over_;
    std::uint64_t asked_ = 0, safe_ = 0;
    bool writing_ = false;
};

struct On_Disk {
    explicit On_Disk(std::uint64_t block_size = 0)
        : ours(Storage_Disk::open(folder.path() / "ours").value(), block_size) {}
    testing::Scratch_Folder folder{std::filesystem::current_path()};
    Desk<Storage_Disk> ours;
    Bare_Counter bare{folder.path() / "bare"};
};

auto use_durably() -> Sides {
    auto const disk = std::make_shared<On_Disk>();
    return {.ours =
                [disk](std::size_t operations) {
                    from_threads(callers, operations, [&](std::size_t own) { disk->ours.use(own); });
                },
            .limit =
                [disk](std::size_t operations) {
                    from_threads(callers, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            disk->bare.add();
                    });
                }};
}

constexpr std::uint64_t block_size = 100'000; // uses in some tenths of a second

/// What is left if nothing is counted: the events of the uses.
template <class From_Callers>
auto use_from_leases(From_Callers from_some) -> Sides {
    auto const disk = std::make_shared<On_Disk>(block_size);
    auto const record = [disk](std::size_t operations) {
        Token_Event event;
        event.token_name = "community-x";
        event.lease = "0123456789abcd";
        System_Clock const clock;
        for (std::size_t i = 0; i < operations; ++i) {
            event.timestamp = clock.now();
            (void)disk->ours.tokens->log()
                .record(event.timestamp, [&](std::string& out) { event.append_json(out); })
                .value();
        }
    };
    return {[disk, from_some](std::size_t operations) {
                from_some(operations, [&](std::size_t own) { disk->ours.use(own); });
            },
            [from_some, record](std::size_t operations) { from_some(operations, record); }};
}
auto use_from_leases_alone() -> Sides {
    return use_from_leases([](std::size_t operations, auto const& work) { work(operations); });
}
auto use_from_leases_by_many() -> Sides {
    return use_from_leases([](std::size_t operations, auto const& work) { from_threads(callers, operations, work); });
}

/// Without events: what the counting costs.
auto take_from_leases() -> Sides {
    struct Bank {
        Storage_Memory memory;
        Storage_Key const key{"token.json"};
        std::unique_ptr<Token_Desk<Storage_Memory>> desk;
        std::unique_ptr<Token_Block<Storage_Memory>> block;
        std::atomic<std::uint64_t> count{0};
    };
    auto const bank = std::make_shared<Bank>();
    Token_Record token;
    token.token_name = "community-x";
    token.block_size = block_size;
    (void)bank->memory.put(bank->key, token.to_json(), Precondition::absent()).value();
    bank->desk =
        std::make_unique<Token_Desk<Storage_Memory>>(bank->memory, bank->key, std::make_shared<System_Clock>());
    bank->block = std::make_unique<Token_Block<Storage_Memory>>(*bank->desk, Block_Terms{});
    return {[bank](std::size_t operations) {
                System_Clock const clock;
                for (std::size_t i = 0; i < operations; ++i)
                    if (!bank->block->take(clock.now(), std::chrono::steady_clock::now()).value()->outcome.success)
                        throw std::runtime_error("a use was refused");
            },
            [bank](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(bank->count.fetch_add(1));
            }};
}

auto list_from_disk() -> Sides {
    auto const disk = std::make_shared<On_Disk>();
    auto const files = std::make_shared<std::vector<std::filesystem::path>>();
    for (int i = 0; i < 999; ++i)
        (void)disk->ours.tokens->create("token-" + std::to_string(i), {.limit = 10, .created_by = "bench"}).value();
    for (auto const& entry : std::filesystem::recursive_directory_iterator(disk->folder.path() / "ours/cache/tokens"))
        if (entry.path().filename() == "token.json")
            files->push_back(entry.path());
    return {[disk](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    if (disk->ours.tokens->list().value().size() != 1'000)
                        throw std::runtime_error("a token is missing");
            },
            [files](std::size_t operations) {
                char bytes[4096];
                for (std::size_t i = 0; i < operations; ++i)
                    for (auto const& path : *files) {
                        Unique_Fd const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
                        keep(::read(file.get(), bytes, sizeof bytes));
                    }
            }};
}

} // namespace

auto tokens_rows() -> Rows {
    return {{"use a token, memory, 16 threads", "a text that is counted up under a lock", use_in_memory, {}, 200'000},
            {"use a token, disk, durable, 16 threads",
             "write, fdatasync, rename, fsync for all who wait",
             use_durably,
             {},
             3'200},
            {"use a token from leases, disk, buffered", "the event, recorded", use_from_leases_alone, {}, 400'000},
            {"use a token from leases, disk, buffered, 16 threads",
             "the event, recorded",
             use_from_leases_by_many,
             {},
             400'000},
            {"take a use from a lease, without its event", "an atomic count", take_from_leases},
            {"list 1,000 tokens, disk", "open, read", list_from_disk}};
}

} // namespace memfs_cache::bench
