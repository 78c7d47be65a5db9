// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "convert.hpp"
#include <memfs_cache/storage/any.hpp>

namespace memfs_cache::python {

/// A storage as Python holds it. Each kind is a class of its own there.
struct Storage {
    Any_Storage any;
    std::string name;          ///< what it was opened as, for people
    bool calls_python = false; ///< what asks it must not hold the interpreter's lock
};
struct Memory_Storage : Storage {};
struct Disk_Storage : Storage {};
struct Sqlite_Storage : Storage {};
struct S3_Storage : Storage {};
struct Python_Storage : Storage {};

/// @param  files  an object with the methods of Memory-FS's Storage_FS
[[nodiscard]] auto storage_of_object(py::object files) -> Any_Storage;

} // namespace memfs_cache::python
