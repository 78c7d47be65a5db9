// SPDX-License-Identifier: Apache-2.0
#include "storage.hpp"
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/open.hpp>
#if MEMFS_CACHE_HAS_S3
#include <memfs_cache/storage/s3.hpp>
#endif
#if MEMFS_CACHE_HAS_SQLITE
#include <memfs_cache/storage/sqlite.hpp>
#endif
#include <memfs_cache/storage/words.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

auto open_by_url(Text url) -> py::object {
    Storage opened{waiting([&] { return open_storage(url.value); }),
                   "open_storage('" + std::string(url.value.substr(0, url.value.find(':'))) + ":...')"};
    if (url.value.starts_with("memory:"))
        return py::cast(Memory_Storage{std::move(opened)});
    if (url.value.starts_with("disk:"))
        return py::cast(Disk_Storage{std::move(opened)});
    if (url.value.starts_with("sqlite:"))
        return py::cast(Sqlite_Storage{std::move(opened)});
    if (url.value.starts_with("s3:"))
        return py::cast(S3_Storage{std::move(opened)});
    return py::cast(std::move(opened));
}

/// A path of the file system.
struct File_Path {
    explicit File_Path(py::object const& path)
        : bytes(py::module_::import("os").attr("fsencode")(path).cast<std::string>()),
          shown(py::repr(py::module_::import("os").attr("fsdecode")(path))) {}
    std::string bytes;
    std::string shown; ///< as Python writes it
};

#if MEMFS_CACHE_HAS_SQLITE
auto back_up(Sqlite_Storage const& storage, std::string const& file) -> Result<void> {
    return storage.any.as<Storage_Sqlite>()->backup(file);
}
#else
auto back_up(Sqlite_Storage const&, std::string const&) -> Result<void> {
    return fail(Errc::unsupported, "backup: this build has no SQLite backend");
}
#endif

/// What Storage_S3 takes; None where the environment decides.
struct Bucket {
    std::string bucket, prefix;
    std::optional<std::string> endpoint_url, region, access_key_id, secret_access_key, session_token;
};

#if MEMFS_CACHE_HAS_S3
auto open_bucket(Bucket const& wanted) -> Result<Any_Storage> {
    S3_Settings settings;
    settings.bucket = wanted.bucket;
    settings.prefix = wanted.prefix;
    settings.endpoint_url = wanted.endpoint_url.value_or("");
    settings.region = wanted.region.value_or("");
    if (wanted.access_key_id || wanted.secret_access_key || wanted.session_token) {
        if (!wanted.access_key_id || !wanted.secret_access_key)
            return fail(Errc::invalid_argument, "access_key_id and secret_access_key: give both, or neither");
        settings.credentials = {*wanted.access_key_id, *wanted.secret_access_key, wanted.session_token.value_or("")};
    }
    auto opened = Storage_S3::open(std::move(settings));
    if (!opened)
        return opened.error();
    return Any_Storage(*std::move(opened));
}
#else
auto open_bucket(Bucket const&) -> Result<Any_Storage> {
    return fail(Errc::unsupported, "Storage_S3: this build has no S3 backend");
}
#endif

auto counters_of(Storage const& storage) -> py::dict {
    auto const counts = storage.any.counters();
    return py::dict("reads"_a = counts.reads, "writes"_a = counts.writes, "appends"_a = counts.appends,
                    "lists"_a = counts.lists, "deletes"_a = counts.deletes, "bytes_read"_a = counts.bytes_read,
                    "bytes_written"_a = counts.bytes_written);
}

auto read_bytes(Storage const& storage, Text path) -> std::optional<py::bytes> {
    auto const bytes = waiting([&] { return read(storage.any, path.value); });
    return bytes ? std::optional(py::bytes(*bytes)) : std::nullopt;
}

} // namespace

void register_storage(py::module_& module) {
    py::class_<Storage>(module, "Storage", R"(A place that keeps named bytes: files without folders of their own.

Paths are '/'-separated, relative, without empty, '.' or '..' parts; any other path raises Invalid_Argument. Every call
may be made from any thread.)")
        .def("read", &read_bytes, "path"_a, "The bytes of a file; None if there is no such file.")
        .def(
            "write",
            [](Storage& storage, Text path, Buffer data) {
                waiting([&] { return write(storage.any, path.value, data.value); });
            },
            "path"_a, "data"_a, "Creates or replaces a file; it is durable when the call returns.")
        .def(
            "exists",
            [](Storage const& storage, Text path) { return waiting([&] { return exists(storage.any, path.value); }); },
            "path"_a)
        .def(
            "delete",
            [](Storage& storage, Text path) { return waiting([&] { return remove(storage.any, path.value); }); },
            "path"_a, "Whether there was such a file.")
        .def(
            "files_list",
            [](Storage const& storage, Text prefix) {
                return waiting([&] { return files_list(storage.any, prefix.value); });
            },
            "prefix"_a = Text{""}, "Every path that begins with a prefix, at every depth, sorted.")
        .def("counters", &counters_of,
             "Since it was opened: reads, writes, appends, lists, deletes, bytes_read, bytes_written.")
        .def("__repr__", [](Storage const& storage) { return storage.name; });

    py::class_<Memory_Storage, Storage>(module, "Storage_Memory", "Files in the memory of this process.")
        .def(py::init([] {
            return Memory_Storage{{Storage_Memory(), "Storage_Memory()"}};
        }));

    py::class_<Disk_Storage, Storage>(module, "Storage_Disk",
                                      R"(Files in a folder of a local file system, shared by any number of processes.

Raises Invalid_Argument for a path that is no folder, Permission_Denied for one that cannot be read and written.)")
        .def(py::init([](py::object const& path) {
                 File_Path const folder(path);
                 return Disk_Storage{
                     {waiting([&] { return Storage_Disk::open(folder.bytes); }), "Storage_Disk(" + folder.shown + ")"}};
             }),
             "path"_a, "path: str or os.PathLike; made if it is not there.");

    py::class_<Sqlite_Storage, Storage>(module, "Storage_Sqlite",
                                        R"(Files in one SQLite database file, for the processes of one machine.

The table is that of Memory-FS's Storage_FS__Sqlite, which may have the file open at the same time. SQLite must be loaded
only once in a process that uses its module sqlite3 on the same file, as it is where both use the system's.

Raises Invalid_Argument for a path that is no database or one of something else, Permission_Denied for one that cannot be
read and written, Unavailable when another program keeps it locked, Unsupported in a build without SQLite.)")
        .def(py::init([](py::object const& path) {
                 File_Path const file(path);
                 return Sqlite_Storage{{waiting([&] { return open_storage("sqlite:" + file.bytes); }),
                                        "Storage_Sqlite(" + file.shown + ")"}};
             }),
             "path"_a, "path: str or os.PathLike; made if it is not there, in a folder that is.")
        .def(
            "backup",
            [](Sqlite_Storage const& storage, py::object const& path) {
                File_Path const file(path);
                waiting([&] { return back_up(storage, file.bytes); });
            },
            "path"_a, R"(Copies what is stored at one moment into a new database file, while everybody goes on.

Raises Already_Exists if anything stands at the path.)");

    py::class_<S3_Storage, Storage>(module, "Storage_S3",
                                    R"(Files in a bucket of any service that speaks S3, for any number of machines.

What is None comes from the environment as for other programs: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile,
AWS_REGION. Opening asks the service whether it obeys conditions; where it does not, tokens and events are refused.

Raises Invalid_Argument, Not_Found, Permission_Denied, Unavailable or Timed_Out, each with the setting to change;
Unsupported in a build without S3.)")
        .def(py::init([](std::string bucket, std::string prefix, std::optional<std::string> endpoint_url,
                         std::optional<std::string> region, std::optional<std::string> access_key_id,
                         std::optional<std::string> secret_access_key, std::optional<std::string> session_token) {
                 Bucket const wanted{std::move(bucket),       std::move(prefix),        std::move(endpoint_url),
                                     std::move(region),       std::move(access_key_id), std::move(secret_access_key),
                                     std::move(session_token)};
                 auto name = "Storage_S3(" + std::string(py::repr(py::str(wanted.bucket))) + ")";
                 return S3_Storage{{waiting([&] { return open_bucket(wanted); }), std::move(name)}};
             }),
             "bucket"_a, "prefix"_a = "", "endpoint_url"_a = py::none(), "region"_a = py::none(),
             "access_key_id"_a = py::none(), "secret_access_key"_a = py::none(), "session_token"_a = py::none());

    py::class_<Python_Storage, Storage>(module, "Storage_Python",
                                        R"(Any object with the methods of Memory-FS's Storage_FS as a storage.

Entries work on every such object. Events and tokens need writes with conditions, which an object offers by two methods
more: file__bytes_and_version(path) -> (bytes, str) | None, where a version never comes back, and
file__save_if(path, data, version) -> str | None, which saves only over that version (None: only if the file is absent)
and gives the new version, or None if the condition did not hold. Without them they are refused with Unsupported.

Raises TypeError for an object without those methods. What the object raises becomes Unavailable, or the class of
memfs_cache.errors that it is.)")
        .def(py::init([](py::object const& files) {
                 return Python_Storage{
                     {storage_of_object(files), "Storage_Python(" + std::string(py::repr(files)) + ")", true}};
             }),
             "files"_a);

    module.def("open_storage", &open_by_url, "url"_a,
               R"(Opens the storage that a URL names: memory:, disk:PATH, sqlite:PATH or
s3://bucket/prefix?endpoint_url=...&region=...

Raises Invalid_Argument for any other text, Unsupported for backends that this build lacks.)");
}

} // namespace memfs_cache::python
