// SPDX-License-Identifier: Apache-2.0
#include "sqlite_writer.hpp"
#include <memfs_cache/core/per_process.hpp>
#include <memfs_cache/storage/sqlite.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

using namespace sqlite;

/// SQLite's own limit for a row is 10^9 bytes; the rest of the row needs less than this.
constexpr std::uint64_t largest_value = 1'000'000'000 - 4096;

/// What one process has for a file.
struct Own {
    Own(std::string const& path, std::chrono::milliseconds busy_timeout) : pool(path, busy_timeout), writer(pool) {}
    Pool pool;
    Writer writer;
};

auto version_of(std::int64_t number) -> Version { return {std::to_string(number)}; }

/// A part of a value, without reading what comes before it into memory.
auto read_part(Connection& connection, std::int64_t id, std::uint64_t from, std::uint64_t length) -> Result<Bytes> {
    sqlite3_blob* opened = nullptr;
    auto code = sqlite3_blob_open(connection.database().raw(), "main", "memory_fs_files", "data", id, 0, &opened);
    if (code != SQLITE_OK)
        return connection.error(code);
    Bytes bytes(static_cast<std::size_t>(length), '\0');
    code = sqlite3_blob_read(opened, bytes.data(), static_cast<int>(length), static_cast<int>(from));
    auto const failure = code == SQLITE_OK ? Result<void>() : Result<void>(connection.error(code));
    sqlite3_blob_close(opened);
    if (failure.has_error())
        return failure.error();
    return bytes;
}

} // namespace

struct Storage_Sqlite::State {
    State(std::string const& path, Sqlite_Options options)
        : own([path, options] { return std::make_unique<Own>(path, options.busy_timeout); }) {}

    [[nodiscard]] auto write(Write& write) -> Result<Put_Outcome> { return own.get().writer.write(write); }
    [[nodiscard]] auto read_range(Connection& connection, std::string const& key, Byte_Range range) const
        -> Result<std::optional<Object>>;

    Per_Process<Own> own;
    Operation_Counters counters;
};

auto Storage_Sqlite::open(std::filesystem::path const& file, Sqlite_Options options) -> Result<Storage_Sqlite> {
    if (file.empty() || file == ":memory:")
        return fail(Errc::invalid_argument,
                    "database: no path of a file; name one such as ./cache.db, or use memory: to keep nothing");
    if (options.busy_timeout < std::chrono::milliseconds(0))
        return fail(Errc::invalid_argument, "busy_timeout: less than 0; give 0 or more milliseconds");
    auto const path = std::filesystem::absolute(file).lexically_normal().string();
    auto state = std::make_unique<State>(path, options);
    auto const no_fork = state->own.get().pool.visit();
    if (auto const prepared = prepare_file(path, options.busy_timeout); prepared.has_error())
        return prepared.error();
    return Storage_Sqlite(std::move(state));
}

auto Storage_Sqlite::get(Storage_Key const& key, Byte_Range range) const -> Result<std::optional<Object>> {
    auto connection = state_->own.get().pool.lease();
    if (connection.has_error())
        return connection.error();
    std::optional<Object> object;
    if (range.offset > 0 || range.length < largest_value) {
        auto part = state_->read_range(**connection, key.str(), range);
        if (part.has_error())
            return part;
        object = std::move(*part);
    } else {
        auto run = (*connection)->run(Sql::read);
        auto const code = run.with(key.str()).step();
        if (code == SQLITE_ROW)
            object = Object{Bytes(run.bytes_in(1)), version_of(run.number_in(0))};
        else if (code != SQLITE_DONE)
            return (*connection)->error(code);
    }
    state_->counters.read(object ? object->bytes.size() : 0);
    return object;
}

auto Storage_Sqlite::State::read_range(Connection& connection, std::string const& key, Byte_Range range) const
    -> Result<std::optional<Object>> {
    Snapshot const snapshot(connection);
    if (snapshot.code() != SQLITE_DONE)
        return connection.error(snapshot.code());
    auto run = connection.run(Sql::find);
    auto const code = run.with(key).step();
    if (code == SQLITE_DONE)
        return std::optional<Object>();
    if (code != SQLITE_ROW)
        return connection.error(code);
    auto const id = run.number_in(0);
    auto const size = static_cast<std::uint64_t>(run.number_in(2));
    auto const from = std::min(range.offset, size);
    auto const length = std::min(range.length, size - from);
    Object object{{}, version_of(run.number_in(1))};
    if (length > 0) {
        auto bytes = read_part(connection, id, from, length);
        if (bytes.has_error())
            return bytes.error();
        object.bytes = std::move(*bytes);
    }
    return std::optional<Object>(std::move(object));
}

auto Storage_Sqlite::put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options)
    -> Result<Put_Outcome> {
    state_->counters.write(bytes.size());
    if (bytes.size() > largest_value)
        return fail(Errc::too_large, "key '" + key.str() + "': " + std::to_string(bytes.size()) +
                                         " bytes; a row of a database holds " + std::to_string(largest_value));
    Write write{
        .kind = Write::Kind::put, .key = &key.str(), .bytes = bytes, .when = &when, .durability = options.durability};
    return state_->write(write);
}

auto Storage_Sqlite::erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
    state_->counters.erase();
    Write write{.kind = Write::Kind::erase, .key = &key.str(), .when = &when};
    auto const outcome = state_->write(write);
    if (outcome.has_error())
        return outcome.error();
    if (outcome->state == Put_State::unknown)
        return fail(Errc::indeterminate, "key '" + key.str() +
                                             "': the commit that erases it failed; look whether it is "
                                             "there, and erase it again");
    return outcome->state == Put_State::applied;
}

auto Storage_Sqlite::list(List_Query const& query) const -> Result<Page> {
    state_->counters.list();
    if (auto const good = check_list_query(query); good.has_error())
        return good.error();
    auto connection = state_->own.get().pool.lease();
    if (connection.has_error())
        return connection.error();
    Page page;
    auto run = (*connection)->run(Sql::list);
    (void)run.with(std::max(query.prefix, query.start_after));
    int code = run.step();
    for (; code == SQLITE_ROW; code = run.step()) {
        auto const key = run.bytes_in(0);
        if (!key.starts_with(query.prefix))
            return page;
        if (key == query.start_after || !Storage_Key::is_valid(key))
            continue; // nobody but another program makes a path that is no key
        if (page.items.size() == query.limit) {
            page.next = page.items.back().key;
            return page;
        }
        page.items.push_back(
            {std::string(key), static_cast<std::uint64_t>(run.number_in(1)), version_of(run.number_in(2))});
    }
    if (code != SQLITE_DONE)
        return (*connection)->error(code);
    return page;
}

auto Storage_Sqlite::append(Storage_Key const& key, std::uint64_t, Byte_View bytes, Durability) -> Result<Put_Outcome> {
    state_->counters.append(bytes.size());
    return fail(Errc::unsupported, "key '" + key.str() + "': a database cannot append; put a new object instead");
}

auto Storage_Sqlite::sync() -> Result<void> {
    Write write{.kind = Write::Kind::sync};
    auto const outcome = state_->write(write);
    if (outcome.has_error())
        return outcome.error();
    if (outcome->state == Put_State::unknown)
        return fail(Errc::unavailable, "sync: the commit that flushes failed; look at the disk, then try again");
    return {};
}

auto Storage_Sqlite::backup(std::filesystem::path const& file) const -> Result<void> {
    auto connection = state_->own.get().pool.lease();
    if (connection.has_error())
        return connection.error();
    return copy_database(**connection, std::filesystem::absolute(file).lexically_normal().string());
}

// The rest

Storage_Sqlite::Storage_Sqlite(std::unique_ptr<State> state) : state_(std::move(state)) {}
Storage_Sqlite::Storage_Sqlite(Storage_Sqlite&&) noexcept = default;
auto Storage_Sqlite::operator=(Storage_Sqlite&&) noexcept -> Storage_Sqlite& = default;
Storage_Sqlite::~Storage_Sqlite() = default;

auto Storage_Sqlite::capabilities() const -> Capabilities {
    Capabilities offered;
    offered.conditional_put = true;
    offered.conditional_erase = true;
    offered.survives_process = true;
    offered.shared_between_processes = true;
    offered.max_value_bytes = largest_value;
    return offered;
}

auto Storage_Sqlite::counters() const -> Operation_Counts { return state_->counters.snapshot(); }

} // namespace memfs_cache
