// SPDX-License-Identifier: Apache-2.0
/// The conformance suite on storages that are objects of Python, as a module: the interpreter is there already, and the
/// objects are those that the tests of the package use.
#define DOCTEST_CONFIG_IMPLEMENT
#include "storage.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>

namespace memfs_cache::testing {

/// An object of a class in tests/python_package/conftest.py, for threads that do not hold the interpreter's lock.
class Python_Files {
  public:
    explicit Python_Files(char const* type) {
        pybind11::gil_scoped_acquire const held;
        files_ = pybind11::module_::import("conftest").attr(type)();
    }
    Python_Files(Python_Files const&) = delete;
    auto operator=(Python_Files const&) -> Python_Files& = delete;
    ~Python_Files() {
        pybind11::gil_scoped_acquire const held;
        files_ = {};
    }
    /// Another handle on the same files.
    [[nodiscard]] auto storage() const -> Any_Storage {
        pybind11::gil_scoped_acquire const held;
        return python::storage_of_object(files_);
    }

  private:
    pybind11::object files_;
};

/// Decides conditions itself.
struct Conditional_Python_Backend {
    using Storage = Any_Storage;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = false;

    Python_Files files{"Conditional_Files"};
    Storage storage = files.storage();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return files.storage(); }
};

/// Knows no conditions, so they hold for one handle.
struct Plain_Python_Backend {
    using Storage = Any_Storage;
    static constexpr bool has_folders = false;
    static constexpr bool is_remote = false;

    Python_Files files{"Files"};
    Storage storage = files.storage();
    [[nodiscard]] auto another() const -> std::optional<Storage> { return std::nullopt; }
};

} // namespace memfs_cache::testing

#define MEMFS_CACHE_SUITE_APPENDING_BACKENDS memfs_cache::testing::Conditional_Python_Backend
#define MEMFS_CACHE_SUITE_BACKENDS                                                                                     \
    memfs_cache::testing::Conditional_Python_Backend, memfs_cache::testing::Plain_Python_Backend
#include "storage/conformance.hpp"

TEST_SUITE("storage/python") {
    using namespace memfs_cache;

    TEST_CASE("a put that another one overtakes at once is not given that one's version") {
        testing::Python_Files const files("Overtaken_Files");
        auto storage = files.storage();
        Storage_Key const key("k");
        auto const put = storage.put(key, "mine", Precondition::none()).value();
        CHECK(put.state == Put_State::applied);
        CHECK(storage.put(key, "more of mine", Precondition::only_if(put.version)).value().state ==
              Put_State::not_applied);
        CHECK(storage.get(key).value()->bytes == "of another");
    }
}

PYBIND11_MODULE(memfs_cache_storage_conformance, module) {
    module.def(
        "run",
        [](std::string const& report) {
            doctest::Context context;
            context.setOption("out", report.c_str());
            return context.run();
        },
        pybind11::arg("report"), pybind11::call_guard<pybind11::gil_scoped_release>(),
        "Runs every case, writes what came of it into a file, and gives 0 if all passed.");
}
