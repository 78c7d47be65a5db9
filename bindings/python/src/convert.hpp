// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fork_gate.hpp"
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/core/error.hpp>
#include <memfs_cache/core/python_json.hpp>
#include <memfs_cache/namespaces/analytics/analytics_event.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <string>
#include <string_view>

/// Between Python's values and the library's. What Python may hand over and the library cannot take becomes
/// Invalid_Argument with a sentence that says what to give; a value of the wrong type becomes TypeError.
namespace memfs_cache::python {

namespace py = pybind11;

// Arguments, as their own types so that each is checked in one place (the casters below)
/// An instant: epoch milliseconds, or a datetime that knows its zone.
struct Time {
    Utc_Time value;
};
/// A whole number that fits 64 bits.
struct Whole {
    std::int64_t value = 0;
};
/// UTF-8 of a str; good while the call lasts.
struct Text {
    std::string_view value;
};
/// The memory of a bytes, bytearray or memoryview; good while the call lasts.
struct Buffer {
    Byte_View value;
};

/// A number that the library takes as unsigned.
/// @param  what  names it in the message
[[nodiscard]] auto at_least(std::int64_t least, Whole number, char const* what) -> std::uint64_t;

/// @throws py::type_error for what is no JSON value; Cache_Error for numbers that JSON cannot hold
[[nodiscard]] auto to_json(py::handle value, boost::json::storage_ptr memory = {}) -> boost::json::value;
/// Of an event's fields, where times may be datetimes.
[[nodiscard]] auto to_event(py::dict const& fields) -> Analytics_Event;
/// With everything that Python's json module keeps.
[[nodiscard]] auto to_python_json(py::handle value) -> Python_Json;

[[nodiscard]] auto to_python(boost::json::value const& value) -> py::object;
[[nodiscard]] auto to_python(Python_Json const& value) -> py::object;
/// A str of UTF-8 that may hold lone surrogates.
[[nodiscard]] auto to_str(std::string_view text) -> py::object;

/// An object of a class in memfs_cache.types, made of its fields.
[[nodiscard]] auto to_answer(char const* type, boost::json::object const& fields) -> py::object;
[[nodiscard]] auto answer_type(char const* type) -> py::object;

/// Runs what may wait, and lets other threads of the interpreter run meanwhile.
/// @param  work  () -> Result<T>; touches nothing of Python
/// @throws Cache_Error
template <class Work>
auto waiting(Work&& work) {
    return [&] {
        Lock_Given_Up const others_run;
        return work();
    }()
               .value();
}

/// Makes Cache_Error the class of memfs_cache.errors that belongs to its code.
void translate_errors();

// One for each part of the module
void register_values(py::module_& module);
void register_storage(py::module_& module);
void register_service(py::module_& module);
void register_http(py::module_& module);

} // namespace memfs_cache::python

namespace pybind11::detail {

template <>
struct type_caster<memfs_cache::python::Time> {
    PYBIND11_TYPE_CASTER(memfs_cache::python::Time, const_name("int | datetime.datetime"));
    auto load(handle source, bool convert) -> bool;
    static auto cast(memfs_cache::python::Time time, return_value_policy, handle) -> handle {
        return PyLong_FromLongLong(memfs_cache::to_millis(time.value));
    }
};

template <>
struct type_caster<memfs_cache::python::Whole> {
    PYBIND11_TYPE_CASTER(memfs_cache::python::Whole, const_name("int"));
    auto load(handle source, bool convert) -> bool;
    static auto cast(memfs_cache::python::Whole number, return_value_policy, handle) -> handle {
        return PyLong_FromLongLong(number.value);
    }
};

template <>
struct type_caster<memfs_cache::python::Text> {
    PYBIND11_TYPE_CASTER(memfs_cache::python::Text, const_name("str"));
    auto load(handle source, bool convert) -> bool;
    static auto cast(memfs_cache::python::Text text, return_value_policy, handle) -> handle {
        return str(text.value.data(), text.value.size()).release();
    }
};

template <>
class type_caster<memfs_cache::python::Buffer> {
  public:
    PYBIND11_TYPE_CASTER(memfs_cache::python::Buffer, const_name("bytes | bytearray | memoryview"));
    type_caster() = default;
    type_caster(type_caster const&) = delete;
    auto operator=(type_caster const&) -> type_caster& = delete;
    ~type_caster() {
        if (held_)
            PyBuffer_Release(&buffer_);
    }
    auto load(handle source, bool convert) -> bool;

  private:
    Py_buffer buffer_{};
    bool held_ = false;
};

} // namespace pybind11::detail
