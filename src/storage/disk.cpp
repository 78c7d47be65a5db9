// SPDX-License-Identifier: Apache-2.0
#include "disk_files.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/crc32c.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>

/// How a write becomes visible and lasting
///
/// Layout of `.memfs_cache`:
///   lock          held while a handle opens: sweeping and registering happen one at a time
///   tmp/{owner}/  unfinished objects of one handle; the folder is locked for as long as the handle lives. Not beside
///                 the objects, so that opening a large storage sweeps without walking it
///   locks/{nn}    one shard of the keys each; holds the last modification time that was given out
///   removals      eight bytes that change before a folder is removed
///
/// put      the whole object is written and flushed below tmp/. Then, under the lock of its shard and of the file that
///          it replaces, the condition is checked and it is renamed into place. No data travels while a lock is held.
/// append   under the lock of the file alone: size check, write, new modification time. A put or erase holds that lock
///          when it takes the file away, so an append never lands in a file that is already gone.
/// Times    strictly increase for each key: put and erase record theirs in the shard, an append exceeds the file's own.
/// Folders  a durable write flushes every folder up to one that is known to be durable. What is known is forgotten when
///          `removals` changes, because a folder that another process removed and made again is not durable.

namespace memfs_cache {
namespace {

using namespace disk;

constexpr std::size_t shard_count = 64;
constexpr std::size_t open_appends_limit = 64;
/// From so many files on, one syncfs is cheaper than flushing each.
constexpr std::size_t dirty_files_limit = 256;
constexpr std::size_t durable_folders_limit = 4096;
/// Folders that others remove while we make them are made again so many times.
constexpr int attempts_limit = 100;

auto in_quotes(std::string_view text) -> std::string { return std::string("'").append(text).append("'"); }

/// What stands at a path, held open so that it can be locked.
struct Current {
    Unique_Fd fd;
    struct stat status {};

    /// Once it is locked: what an append may have changed since it was opened.
    [[nodiscard]] auto refresh() -> bool { return !fd || ::fstat(fd.get(), &status) == 0; }
    [[nodiscard]] auto is_object() const noexcept -> bool { return fd && S_ISREG(status.st_mode); }
    [[nodiscard]] auto is_folder() const noexcept -> bool { return fd && S_ISDIR(status.st_mode); }
    [[nodiscard]] auto meets(Precondition const& when) const -> bool {
        switch (when.kind()) {
        case Precondition::Kind::none:
            return true;
        case Precondition::Kind::absent:
            return !is_object();
        case Precondition::Kind::version:
            return is_object() && version_of(status) == when.version();
        }
        return false;
    }
};

/// An absent object leaves the descriptor empty.
auto look(int root, std::string const& path) -> Result<Current> {
    Current current;
    current.fd = open_at(root, path, O_RDONLY);
    if (!current.fd) {
        bool const absent = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO;
        if (!absent)
            return error_from_errno(errno, "open", in_quotes(path));
    } else if (!current.refresh()) {
        return error_from_errno(errno, "stat", in_quotes(path));
    }
    return current;
}

/// One file that is being appended to.
struct Appender {
    std::mutex mutex; ///< one append at a time, its flush included
    Unique_Fd fd;
    bool entry_durable = false; ///< its folders were flushed since it was opened
    std::uint64_t last_used = 0;
};

/// What a handle remembers for one process. A child after fork() starts anew and leaves its parent's untouched: a
/// thread that no longer exists may have held any of these mutexes.
struct Process_State {
    pid_t const process = ::getpid();

    std::mutex appends_mutex;
    std::unordered_map<std::string, std::shared_ptr<Appender>> appends;
    std::unordered_set<std::string> failed_flushes; ///< paths
    std::uint64_t appends_used = 0;

    std::mutex sync_mutex; ///< a second sync waits for the first: it has to promise the same bytes

    std::mutex dirty_mutex;
    std::unordered_set<std::string> dirty; ///< paths of buffered writes

    std::mutex folders_mutex;
    std::unordered_set<std::string> durable_folders;
    std::unordered_set<std::string> failed_folders; ///< flushed in vain; another flush would claim what never happened
    std::uint64_t removals_seen = 0;
};

/// The lock of a shard; opened anew each time, so that threads and forked children exclude each other, too.
class Shard {
  public:
    Shard(int locks_folder, std::string_view path)
        : fd_(open_at(locks_folder, name_of(path), O_RDWR | O_CREAT, 0666)), lock_(fd_.get()) {}

    [[nodiscard]] auto held() const noexcept -> bool { return lock_.held(); }

    /// A modification time that no object of this shard ever had.
    /// @param replaced time of the file that goes away, 0 if there is none
    [[nodiscard]] auto next_time(std::int64_t replaced) const -> std::int64_t {
        std::int64_t last = 0;
        if (::pread(fd_.get(), &last, sizeof last, 0) != sizeof last)
            last = 0; // a new shard
        auto const next = std::max({now_nanos(), last + 1, replaced + 1});
        (void)::pwrite(fd_.get(), &next, sizeof next, 0); // when full: the clock still moves on
        return next;
    }

  private:
    static auto name_of(std::string_view path) -> std::string {
        // A hash that is the same in every process, whatever it was built with.
        return to_hex(std::uint64_t{crc32c(0, path) % shard_count}).substr(14);
    }
    Unique_Fd fd_;
    File_Lock lock_;
};

} // namespace

struct Storage_Disk::State {
    ~State();

    // Opening
    [[nodiscard]] auto prepare(std::filesystem::path const& root) -> Result<void>;
    void sweep() const;
    [[nodiscard]] auto keeps_promises() const -> bool;

    // Writing
    [[nodiscard]] auto commit(std::string const& key,
                              std::string const& path,
                              Precondition const& when,
                              int fd,
                              std::string const& temporary) const -> Result<Put_Outcome>;
    /// The answer to a put whose condition is false.
    [[nodiscard]] auto not_applied(std::string const& path, Put_Options const& options) const -> Result<Put_Outcome>;
    /// Does what is needed before an object can be placed where that has just failed with `error`.
    [[nodiscard]] auto clear_way(std::string const& key, std::string const& path, int error) const -> Result<void>;
    void remove_empty_folders(std::string_view folder) const;
    void announce_removal() const;
    [[nodiscard]] auto open_append(std::string const& key, std::string const& path, bool create) const
        -> Result<std::shared_ptr<Appender>>;
    [[nodiscard]] auto appender(std::string const& key, std::string const& path, bool create) const
        -> Result<std::shared_ptr<Appender>>;
    void close_append(std::string const& path, bool failed) const;
    [[nodiscard]] auto flush_failed(std::string const& path) const -> bool;
    /// The file of a path is gone: an open descriptor would keep its space, and its failures are no longer of interest.
    void forget_replaced(std::string const& path) const;

    // Lasting
    [[nodiscard]] auto flush_folders_of(std::string const& path) const -> Result<void>;
    [[nodiscard]] auto flush_folder(std::string_view folder) const -> Result<void>;
    void mark_dirty(std::string const& path) const;
    [[nodiscard]] auto flush_if_dirty(std::string const& path) const -> Result<void>;
    [[nodiscard]] auto flush_dirty(std::unordered_set<std::string> const& paths) const -> Result<void>;
    [[nodiscard]] auto mine() const -> Process_State&;

    Unique_Fd root;
    Unique_Fd locks;
    Unique_Fd removals;
    Unique_Fd temporaries;
    Unique_Fd own_temporaries; ///< locked for as long as this handle lives
    std::string owner;
    pid_t opened_by = ::getpid();
    bool conditional_put = false;
    mutable std::atomic<std::uint64_t> next_temporary{0};
    mutable std::atomic<Process_State*> process_state{new Process_State};
    mutable Operation_Counters counters;
};

Storage_Disk::State::~State() {
    auto* const state = process_state.load();
    if (state->process == ::getpid())
        delete state;
    if (!owner.empty() && opened_by == ::getpid())
        ::unlinkat(temporaries.get(), owner.c_str(), AT_REMOVEDIR);
}

auto Storage_Disk::State::mine() const -> Process_State& {
    auto* state = process_state.load(std::memory_order_acquire);
    if (state->process == ::getpid())
        return *state;
    auto fresh = std::make_unique<Process_State>();
    if (process_state.compare_exchange_strong(state, fresh.get(), std::memory_order_acq_rel))
        return *fresh.release();
    return *state; // another thread of this child was faster
}

// Opening

namespace {

/// Makes the root and what is missing above it.
auto make_root(std::filesystem::path const& root) -> Result<void> {
    std::filesystem::path made;
    for (auto const& part : root) {
        made /= part;
        if (::mkdir(made.c_str(), 0777) == 0 || errno == EEXIST || errno == EISDIR)
            continue;
        auto const why = errno;
        struct stat status {};
        if (::stat(made.c_str(), &status) != 0) // a read-only parent does not say EEXIST everywhere
            return error_from_errno(why, "creating folder", in_quotes(made.native()));
    }
    return {};
}

/// Makes the names of a root and of the folders above it lasting, as far as we may have made them.
auto flush_above(std::filesystem::path folder) -> Result<void> {
    for (; folder.has_relative_path(); folder = folder.parent_path()) {
        auto const parent = folder.parent_path();
        Unique_Fd const fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd && errno == EACCES)
            break; // made by somebody with more rights
        bool const flushed = fd && ::fsync(fd.get()) == 0;
        bool const cannot_change = fd && (errno == EINVAL || errno == EROFS);
        if (!flushed && !cannot_change)
            return error_from_errno(errno, "flush", in_quotes(parent.native()));
    }
    return {};
}

} // namespace

auto Storage_Disk::open(std::filesystem::path const& root) -> Result<Storage_Disk> {
    if (root.empty())
        return fail(Errc::invalid_argument, "storage folder: empty path; name a folder such as ./data");
    auto state = std::make_unique<State>();
    if (auto const ready = state->prepare(root); ready.has_error()) {
        auto error = ready.error();
        if (error.code == Errc::permission_denied) {
            error.context += "; give this user read and write access to the storage folder or choose another one";
        } else if (error.code == Errc::invalid_argument || error.code == Errc::already_exists) {
            error.code = Errc::invalid_argument;
            error.context += "; the storage must be a folder and nothing on the way to it a file";
        }
        return error;
    }
    return Storage_Disk(std::move(state));
}

auto Storage_Disk::State::prepare(std::filesystem::path const& given) -> Result<void> {
    auto const path = std::filesystem::absolute(given).lexically_normal();
    auto const name = in_quotes(given.native());
    if (auto made = make_root(path); made.has_error())
        return made;
    root = Unique_Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root)
        return error_from_errno(errno, "open", name);

    // Our own folder comes last, so that a root without it is one whose name nobody has flushed yet.
    if (struct stat status{}; ::fstatat(root.get(), own_folder.data(), &status, 0) != 0)
        if (auto flushed = flush_above(path); flushed.has_error())
            return flushed;
    auto const own = [](std::string_view inner) { return std::string(own_folder).append("/").append(inner); };
    for (auto const& folder : {std::string(own_folder), own("locks"), own("tmp")})
        if (::mkdirat(root.get(), folder.c_str(), 0777) != 0 && errno != EEXIST)
            return error_from_errno(errno, "creating " + in_quotes(folder), name);
    locks = open_at(root.get(), own("locks"), O_RDONLY | O_DIRECTORY);
    temporaries = open_at(root.get(), own("tmp"), O_RDONLY | O_DIRECTORY);
    removals = open_at(root.get(), own("removals"), O_RDWR | O_CREAT, 0666);
    auto const opening = open_at(root.get(), own("lock"), O_RDWR | O_CREAT, 0666);
    if (!locks || !temporaries || !removals || !opening)
        return error_from_errno(errno, "opening " + in_quotes(own_folder), name);

    // Under this lock no other handle is between making its folder and locking it, so an unlocked one is a dead one's.
    File_Lock const alone(opening.get());
    if (!alone.held())
        return error_from_errno(errno, "lock", name);
    sweep();
    owner = to_hex(random_u64());
    if (::mkdirat(temporaries.get(), owner.c_str(), 0777) != 0)
        return error_from_errno(errno, "writing", name);
    own_temporaries = open_at(temporaries.get(), owner, O_RDONLY | O_DIRECTORY);
    if (!own_temporaries || ::flock(own_temporaries.get(), LOCK_EX | LOCK_NB) != 0)
        return error_from_errno(errno, "lock", name);
    conditional_put = keeps_promises();
    return {};
}

void Storage_Disk::State::sweep() const {
    Folder_Reader owners(temporaries.get(), "");
    while (auto const* entry = owners.next()) {
        std::string const dead = entry->d_name;
        auto const folder = open_at(temporaries.get(), dead, O_RDONLY | O_DIRECTORY);
        if (!folder || ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0)
            continue;
        Folder_Reader files(folder.get(), "");
        while (auto const* file = files.next())
            ::unlinkat(folder.get(), file->d_name, 0);
        ::unlinkat(temporaries.get(), dead.c_str(), AT_REMOVEDIR);
    }
}

auto Storage_Disk::State::keeps_promises() const -> bool {
    constexpr std::int64_t odd_time = 1'234'567'890'123'456'789;
    auto const probe = open_at(own_temporaries.get(), "probe", O_WRONLY | O_CREAT, 0600);
    struct stat status {};
    bool const keeps =
        probe && set_modified_nanos(probe.get(), odd_time) && ::fstat(probe.get(), &status) == 0 &&
        modified_nanos(status) == odd_time &&
        ::renameat2(own_temporaries.get(), "probe", own_temporaries.get(), "moved", RENAME_NOREPLACE) == 0;
    ::unlinkat(own_temporaries.get(), keeps ? "moved" : "probe", 0);
    return keeps;
}

// Reading

auto Storage_Disk::get(Storage_Key const& key, Byte_Range range) const -> Result<std::optional<Object>> {
    std::optional<Object> object;
    auto const current = look(state_->root.get(), path_of(key.str()));
    if (current.has_value() && current->is_object()) {
        auto const size = static_cast<std::uint64_t>(current->status.st_size);
        auto const from = std::min(range.offset, size);
        object.emplace().version = version_of(current->status);
        if (!read_range(current->fd.get(), from, std::min(range.length, size - from), object->bytes)) {
            auto const why = errno;
            state_->counters.read(0);
            return error_from_errno(why, "read", in_quotes(key.str()));
        }
    }
    state_->counters.read(object ? object->bytes.size() : 0);
    if (current.has_error())
        return current.error();
    return object;
}

auto Storage_Disk::list(List_Query const& query) const -> Result<Page> {
    state_->counters.list();
    if (auto const good = check_list_query(query); good.has_error())
        return good.error();
    return disk::list(state_->root.get(), query);
}

// Writing

auto Storage_Disk::put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options)
    -> Result<Put_Outcome> {
    auto& state = *state_;
    state.counters.write(bytes.size());
    if (when.kind() != Precondition::Kind::none && !state.conditional_put)
        return fail(Errc::unsupported, "put with a condition: this file system keeps no nanosecond times or has no "
                                       "exclusive rename; put the storage on another one");
    auto const path = path_of(key.str());
    if (when.kind() != Precondition::Kind::none) { // false already: no need to write what will not be used
        auto const current = look(state.root.get(), path);
        if (current.has_error())
            return current.error();
        if (!current->meets(when))
            return state.not_applied(path, options);
    }

    auto const temporary = std::to_string(::getpid()) + '-' + std::to_string(state.next_temporary++);
    auto const file =
        open_at(state.own_temporaries.get(), temporary, O_RDWR | O_CREAT | O_EXCL, options.owner_only ? 0600 : 0666);
    if (!file)
        return error_from_errno(errno, "creating a file for", in_quotes(key.str()));
    bool const durable = options.durability == Durability::durable;
    auto outcome = [&]() -> Result<Put_Outcome> {
        if (!write_all(file.get(), bytes, 0))
            return error_from_errno(errno, "write", in_quotes(key.str()));
        if (durable && ::fsync(file.get()) != 0)
            return error_from_errno(errno, "flush", in_quotes(key.str()));
        return state.commit(key.str(), path, when, file.get(), temporary);
    }();
    if (outcome.has_error() || outcome->state != Put_State::applied) {
        if (::unlinkat(state.own_temporaries.get(), temporary.c_str(), 0) != 0 && errno == ENOENT)
            outcome = Put_Outcome{Put_State::unknown, {}}; // the rename is said to have failed, and yet it is done
        if (outcome.has_error() || outcome->state == Put_State::not_applied)
            return outcome.has_error() ? outcome : state.not_applied(path, options);
    }
    state.forget_replaced(path);
    if (durable && outcome->state == Put_State::applied && state.flush_folders_of(path).has_error())
        outcome = Put_Outcome{Put_State::unknown, {}};
    if (!durable || outcome->state == Put_State::unknown)
        state.mark_dirty(path);
    return outcome;
}

auto Storage_Disk::State::not_applied(std::string const& path, Put_Options const& options) const
    -> Result<Put_Outcome> {
    // Whoever puts again to learn what became of an unknown write may find it in place, and then rely on it.
    bool const relied_upon = options.durability == Durability::durable;
    if (relied_upon && flush_if_dirty(path).has_error())
        return Put_Outcome{Put_State::unknown, {}};
    return Put_Outcome{Put_State::not_applied, {}};
}

auto Storage_Disk::State::commit(std::string const& key,
                                 std::string const& path,
                                 Precondition const& when,
                                 int fd,
                                 std::string const& temporary) const -> Result<Put_Outcome> {
    Shard const shard(locks.get(), path);
    if (!shard.held())
        return error_from_errno(errno, "locking", in_quotes(key));
    for (int attempt = 0; attempt < attempts_limit; ++attempt) {
        auto current = look(root.get(), path);
        if (current.has_error())
            return current.error();
        File_Lock const no_appends(current->fd.get());
        if (!current->refresh())
            return error_from_errno(errno, "stat", in_quotes(key));
        if (!current->meets(when))
            return Put_Outcome{Put_State::not_applied, {}};
        int in_the_way = EISDIR;
        if (!current->is_folder()) {
            struct stat status {};
            auto const replaced = current->is_object() ? modified_nanos(current->status) : 0;
            if (!set_modified_nanos(fd, shard.next_time(replaced)) || ::fstat(fd, &status) != 0)
                return error_from_errno(errno, "dating", in_quotes(key));
            auto const flags = when.kind() == Precondition::Kind::absent ? RENAME_NOREPLACE : 0U;
            if (::renameat2(own_temporaries.get(), temporary.c_str(), root.get(), path.c_str(), flags) == 0)
                return Put_Outcome{Put_State::applied, version_of(status)};
            if (errno == EEXIST)
                return Put_Outcome{Put_State::not_applied, {}}; // of another program
            in_the_way = errno;
        }
        if (auto const cleared = clear_way(key, path, in_the_way); cleared.has_error())
            return cleared.error();
    }
    return fail(Errc::conflict, "key " + in_quotes(key) + ": its folder is removed as fast as it is made; try again");
}

auto Storage_Disk::State::clear_way(std::string const& key, std::string const& path, int error) const -> Result<void> {
    if (error == EISDIR) {
        announce_removal(); // it may be an empty folder, left by a writer that died: nobody's
        if (::unlinkat(root.get(), path.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT)
            return {};
        error = ENOTDIR;
    }
    if (error == ENOTDIR)
        return fail(Errc::already_exists, "key " + in_quotes(key) +
                                              ": on a disk an object and a folder of objects cannot share a name; "
                                              "choose another key");
    if (error != ENOENT)
        return error_from_errno(error, "placing", in_quotes(key));
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        if (::mkdirat(root.get(), path.substr(0, slash).c_str(), 0777) == 0 || errno == EEXIST)
            continue;
        if (errno == ENOENT)
            return {}; // removed behind us
        return clear_way(key, path, errno);
    }
    return {};
}

void Storage_Disk::State::announce_removal() const {
    auto const change = random_u64(); // any other value says it, so no process has to count with the others
    (void)::pwrite(removals.get(), &change, sizeof change, 0);
}

void Storage_Disk::State::remove_empty_folders(std::string_view folder) const {
    for (; !folder.empty(); folder = folder_of(folder)) {
        if (Folder_Reader entries(root.get(), folder); entries.next() != nullptr)
            return;
        announce_removal();
        if (::unlinkat(root.get(), std::string(folder).c_str(), AT_REMOVEDIR) != 0)
            return;
    }
}

auto Storage_Disk::erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
    auto const& state = *state_;
    state.counters.erase();
    auto const path = path_of(key.str());
    std::string const may_come_back = "erased, but loss of power may bring it back: ";
    {
        Shard const shard(state.locks.get(), path);
        if (!shard.held())
            return error_from_errno(errno, "locking", in_quotes(key.str()));
        auto current = look(state.root.get(), path);
        if (current.has_error())
            return current.error();
        File_Lock const no_appends(current->fd.get());
        if (!current->refresh())
            return error_from_errno(errno, "stat", in_quotes(key.str()));
        if (!current->is_object()) {
            auto const flushed = state.flush_if_dirty(path); // by an erase of which nobody knew how far it came
            return flushed ? Result<bool>(false) : fail(Errc::indeterminate, may_come_back + flushed.error().context);
        }
        if (!current->meets(when))
            return false;
        (void)shard.next_time(modified_nanos(current->status)); // what is made here later is younger
        if (::unlinkat(state.root.get(), path.c_str(), 0) != 0) {
            if (errno == ENOENT)
                return false;
            auto error = error_from_errno(errno, "erase", in_quotes(key.str()));
            if (current->refresh() && current->status.st_nlink == 0) { // said to have failed, and yet it is done
                state.mark_dirty(path);
                error.code = Errc::indeterminate;
            }
            return error;
        }
    }
    state.forget_replaced(path);
    auto const folder = folder_of(path);
    if (auto const flushed = state.flush_folder(folder); flushed.has_error()) {
        state.mark_dirty(path);
        return fail(Errc::indeterminate, may_come_back + flushed.error().context);
    }
    state.remove_empty_folders(folder);
    return true;
}

// Appending

auto Storage_Disk::append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability)
    -> Result<Put_Outcome> {
    auto const& state = *state_;
    state.counters.append(bytes.size());
    auto const path = path_of(key.str());
    auto const not_applied = Put_Outcome{Put_State::not_applied, {}};
    for (int attempt = 0; attempt < attempts_limit; ++attempt) {
        auto opened = state.appender(key.str(), path, at == 0);
        if (opened.has_error())
            return opened.error();
        auto const& appender = *opened;
        if (!appender)
            return not_applied; // absent, and not to be created
        int const fd = appender->fd.get();
        std::lock_guard const one_at_a_time(appender->mutex);

        File_Lock alone(fd);
        struct stat status {};
        if (!alone.held() || ::fstat(fd, &status) != 0)
            return error_from_errno(errno, "lock", in_quotes(key.str()));
        if (status.st_nlink == 0) { // erased or replaced: what stands there now is another file
            state.close_append(path, false);
            continue;
        }
        if (static_cast<std::uint64_t>(status.st_size) != at)
            return not_applied;
        if (!write_all(fd, bytes, at)) {
            auto const why = errno;
            bool const restored = ::ftruncate(fd, status.st_size) == 0;
            state.close_append(path, !restored);
            if (!restored)
                return Put_Outcome{Put_State::unknown, {}};
            return error_from_errno(why, "append", in_quotes(key.str()));
        }
        auto const date = std::max(now_nanos(), modified_nanos(status) + 1);
        if (!set_modified_nanos(fd, date))
            return Put_Outcome{Put_State::unknown, {}};
        // The version follows from what was done, where the file system keeps dates as they are given.
        status.st_size += static_cast<off_t>(bytes.size());
        status.st_mtim = from_nanos(date);
        if (!state.conditional_put && ::fstat(fd, &status) != 0)
            return Put_Outcome{Put_State::unknown, {}};
        alone.release();

        if (durability == Durability::buffered) {
            state.mark_dirty(path);
        } else {
            bool durable = ::fdatasync(fd) == 0;
            if (durable && !appender->entry_durable)
                durable = state.flush_folders_of(path).has_value();
            appender->entry_durable = durable;
            if (!durable) {
                state.close_append(path, true);
                return Put_Outcome{Put_State::unknown, {}};
            }
        }
        return Put_Outcome{Put_State::applied, version_of(status)};
    }
    return fail(Errc::conflict, "key " + in_quotes(key.str()) + ": replaced as fast as it is opened; try again");
}

auto Storage_Disk::State::appender(std::string const& key, std::string const& path, bool create) const
    -> Result<std::shared_ptr<Appender>> {
    auto& process = mine();
    {
        std::lock_guard const lock(process.appends_mutex);
        if (process.failed_flushes.contains(path))
            return fail(Errc::unavailable, "key " + in_quotes(key) +
                                               ": an earlier append could not be flushed, so none can be trusted until "
                                               "the storage is opened again; continue in a new object");
        if (auto const found = process.appends.find(path); found != process.appends.end()) {
            found->second->last_used = ++process.appends_used;
            return found->second;
        }
    }
    auto opened = open_append(key, path, create);
    if (opened.has_error() || !*opened)
        return opened;

    std::lock_guard const lock(process.appends_mutex);
    if (process.appends.size() >= open_appends_limit) {
        auto const older = [](auto const& a, auto const& b) { return a.second->last_used < b.second->last_used; };
        process.appends.erase(std::min_element(process.appends.begin(), process.appends.end(), older));
    }
    auto const kept = process.appends.emplace(path, *opened).first; // another thread's, if it was faster
    kept->second->last_used = ++process.appends_used;
    return kept->second;
}

auto Storage_Disk::State::open_append(std::string const& key, std::string const& path, bool create) const
    -> Result<std::shared_ptr<Appender>> {
    auto opened = std::make_shared<Appender>();
    opened->fd = open_at(root.get(), path, O_RDWR);
    if (!opened->fd && create) {
        Shard const shard(locks.get(), path); // so that it is dated before anything can take it away
        if (!shard.held())
            return error_from_errno(errno, "locking", in_quotes(key));
        for (int attempt = 0; attempt < attempts_limit; ++attempt) {
            opened->fd = open_at(root.get(), path, O_RDWR | O_CREAT | O_EXCL, 0666);
            if (opened->fd) {
                if (!set_modified_nanos(opened->fd.get(), shard.next_time(0)))
                    return error_from_errno(errno, "dating", in_quotes(key));
                return opened;
            }
            if (errno == EEXIST)
                opened->fd = open_at(root.get(), path, O_RDWR); // another was faster
            if (opened->fd)
                return opened;
            if (auto const cleared = clear_way(key, path, errno); cleared.has_error())
                return cleared.error();
        }
    }
    if (opened->fd)
        return opened;
    if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR)
        return std::shared_ptr<Appender>();
    return error_from_errno(errno, "open", in_quotes(key));
}

void Storage_Disk::State::close_append(std::string const& path, bool failed) const {
    auto& process = mine();
    std::lock_guard const lock(process.appends_mutex);
    process.appends.erase(path);
    if (failed)
        process.failed_flushes.insert(path);
}

auto Storage_Disk::State::flush_failed(std::string const& path) const -> bool {
    auto& process = mine();
    std::lock_guard const lock(process.appends_mutex);
    return process.failed_flushes.contains(path);
}

void Storage_Disk::State::forget_replaced(std::string const& path) const {
    auto& process = mine();
    std::lock_guard const lock(process.appends_mutex);
    process.appends.erase(path);
    process.failed_flushes.erase(path);
}

// Lasting

auto Storage_Disk::State::flush_folder(std::string_view folder) const -> Result<void> {
    auto const path = or_dot(folder);
    auto const fd = open_at(root.get(), path, O_RDONLY | O_DIRECTORY);
    if (!fd && (errno == ENOENT || errno == ENOTDIR))
        return {}; // gone, and what it held with it
    auto& process = mine();
    {
        std::lock_guard const lock(process.folders_mutex);
        if (process.failed_folders.contains(path))
            return fail(Errc::unavailable, "folder " + in_quotes(path) +
                                               ": an earlier flush of it failed, so none can be trusted until the "
                                               "storage is opened again");
    }
    if (!fd)
        return error_from_errno(errno, "open", in_quotes(path));
    if (::fsync(fd.get()) == 0)
        return {};
    auto error = error_from_errno(errno, "flush", in_quotes(path));
    std::lock_guard const lock(process.folders_mutex);
    process.failed_folders.insert(path);
    return error;
}

auto Storage_Disk::State::flush_folders_of(std::string const& path) const -> Result<void> {
    auto& process = mine();
    auto const folder = folder_of(path);
    if (auto flushed = flush_folder(folder); flushed.has_error())
        return flushed;

    // Read after the object is in place: from then on none of its folders can be removed.
    std::uint64_t removals_now = 0;
    (void)::pread(removals.get(), &removals_now, sizeof removals_now, 0);
    std::vector<std::string> unsure;
    {
        std::lock_guard const lock(process.folders_mutex);
        bool const full = process.durable_folders.size() > durable_folders_limit;
        if (full || process.removals_seen != removals_now)
            process.durable_folders.clear();
        process.removals_seen = removals_now;
        for (auto at = folder; !at.empty() && !process.durable_folders.contains(std::string(at)); at = folder_of(at))
            unsure.emplace_back(at);
    }
    for (auto const& at : unsure)
        if (auto flushed = flush_folder(folder_of(at)); flushed.has_error())
            return flushed;
    std::lock_guard const lock(process.folders_mutex);
    if (process.removals_seen == removals_now)
        process.durable_folders.insert(unsure.begin(), unsure.end());
    return {};
}

void Storage_Disk::State::mark_dirty(std::string const& path) const {
    auto& process = mine();
    std::lock_guard const lock(process.dirty_mutex);
    process.dirty.insert(path);
}

auto Storage_Disk::State::flush_if_dirty(std::string const& path) const -> Result<void> {
    auto& process = mine();
    std::lock_guard const no_sync(process.sync_mutex);
    {
        std::lock_guard const lock(process.dirty_mutex);
        if (process.dirty.erase(path) == 0)
            return {};
    }
    auto flushed = flush_dirty({path});
    if (flushed.has_error())
        mark_dirty(path);
    return flushed;
}

auto Storage_Disk::sync() -> Result<void> {
    auto& process = state_->mine();
    std::lock_guard const one_at_a_time(process.sync_mutex);
    std::unordered_set<std::string> paths;
    {
        std::lock_guard const lock(process.dirty_mutex);
        paths.swap(process.dirty);
    }
    auto flushed = state_->flush_dirty(paths);
    if (flushed.has_error()) {
        std::lock_guard const lock(process.dirty_mutex);
        process.dirty.merge(paths);
    }
    return flushed;
}

auto Storage_Disk::State::flush_dirty(std::unordered_set<std::string> const& paths) const -> Result<void> {
    if (paths.size() >= dirty_files_limit) {
        if (::syncfs(root.get()) == 0)
            return {};
        auto error = error_from_errno(errno, "sync", "the storage's file system");
        for (auto const& path : paths)
            close_append(path, true);
        return error;
    }
    std::unordered_map<std::string_view, std::string const*> folders; // one path for each folder is enough
    for (auto const& path : paths) {
        folders.emplace(folder_of(path), &path);
        auto const file = open_at(root.get(), path, O_RDONLY);
        if (!file && (errno == ENOENT || errno == ENOTDIR))
            continue; // erased since
        if (!file)
            return error_from_errno(errno, "sync", in_quotes(path));
        if (flush_failed(path))
            return fail(Errc::unavailable, "sync: what was written to " + in_quotes(path) +
                                               " could not be flushed and may be lost on loss of power; look at the "
                                               "disk, then write it again under another name");
        if (::fdatasync(file.get()) != 0) {
            auto error = error_from_errno(errno, "sync", in_quotes(path));
            close_append(path, true);
            return error;
        }
    }
    for (auto const& [folder, path] : folders)
        if (auto flushed = flush_folders_of(*path); flushed.has_error())
            return flushed;
    return {};
}

// The rest

Storage_Disk::Storage_Disk(std::unique_ptr<State> state) : state_(std::move(state)) {}
Storage_Disk::Storage_Disk(Storage_Disk&&) noexcept = default;
auto Storage_Disk::operator=(Storage_Disk&&) noexcept -> Storage_Disk& = default;
Storage_Disk::~Storage_Disk() = default;

auto Storage_Disk::capabilities() const -> Capabilities {
    Capabilities offered;
    offered.conditional_put = state_->conditional_put;
    offered.conditional_erase = state_->conditional_put;
    offered.append = true;
    offered.survives_process = true;
    offered.shared_between_processes = true;
    offered.max_value_bytes = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
    return offered;
}

auto Storage_Disk::counters() const -> Operation_Counts { return state_->counters.snapshot(); }

} // namespace memfs_cache
