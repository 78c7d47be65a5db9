// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"

#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/utf8.hpp>

#include <boost/json.hpp>

#include <cmath>
#include <pybind11/gil_safe_call_once.h>

namespace memfs_cache::python {
namespace {

template <auto make>
auto once() -> py::object const& {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
    return storage.call_once_and_store_result(make).get_stored();
}

auto import_errors() -> py::object { return py::module_::import("memfs_cache.errors"); }
auto import_types() -> py::object { return py::module_::import("memfs_cache.types"); }
auto import_datetime() -> py::object { return py::module_::import("datetime"); }
auto make_epoch() -> py::object {
    auto const& datetime = once<&import_datetime>();
    return datetime.attr("datetime")(1970, 1, 1, py::arg("tzinfo") = datetime.attr("timezone").attr("utc"));
}
auto make_millisecond() -> py::object {
    return once<&import_datetime>().attr("timedelta")(py::arg("milliseconds") = 1);
}

auto type_name(py::handle value) -> std::string { return Py_TYPE(value.ptr())->tp_name; }

/// A whole number if it fits.
auto to_int64(py::handle value) -> std::optional<std::int64_t> {
    int overflow = 0;
    auto const number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (overflow != 0)
        return std::nullopt;
    return number;
}

auto storable(std::optional<std::int64_t> millis) -> Utc_Time {
    auto const time = millis ? std::optional(from_millis(*millis)) : std::nullopt;
    if (!time || !is_storable(*time))
        throw Cache_Error(fail(Errc::invalid_argument, "a time is out of range: give milliseconds from 1970 to 2286"));
    return *time;
}

auto is_datetime(py::handle value) -> bool { return py::isinstance(value, once<&import_datetime>().attr("datetime")); }

auto from_datetime(py::handle value) -> Utc_Time {
    if (value.attr("utcoffset")().is_none())
        throw Cache_Error(fail(Errc::invalid_argument,
                               "a datetime without a zone says no instant: give one with tzinfo, "
                               "such as datetime.now(timezone.utc)"));
    auto const& millisecond = once<&make_millisecond>();
    auto const since = py::reinterpret_borrow<py::object>(value) - once<&make_epoch>();
    return storable(to_int64(since.attr("__floordiv__")(millisecond)));
}

[[noreturn]] void refuse_surrogates() {
    PyErr_Clear();
    throw Cache_Error(fail(Errc::invalid_argument, "a text holds a lone surrogate, which has no UTF-8: replace it, for "
                                                   "instance with text.encode('utf-8', 'replace').decode()"));
}

auto utf8_of(py::handle text) -> std::string_view {
    Py_ssize_t size = 0;
    auto const* const data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (data == nullptr)
        refuse_surrogates();
    return {data, static_cast<std::size_t>(size)};
}

/// UTF-8 in which lone surrogates keep their three-byte form.
auto lenient_utf8_of(py::handle text) -> std::string {
    Py_ssize_t size = 0;
    if (auto const* const data = PyUnicode_AsUTF8AndSize(text.ptr(), &size))
        return {data, static_cast<std::size_t>(size)};
    PyErr_Clear();
    auto const bytes =
        py::reinterpret_steal<py::bytes>(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogatepass"));
    if (!bytes)
        throw py::error_already_set();
    return bytes;
}

[[noreturn]] void refuse_type(py::handle value) {
    throw py::type_error("a " + type_name(value) +
                         " is no JSON value: give None, bool, int, float, str, list, tuple or dict");
}
[[noreturn]] void refuse_key(py::handle key) {
    throw py::type_error("a member's name must be a str, not a " + type_name(key));
}

/// Counts how deep a value is nested, so that one that holds itself is refused before the stack ends.
class Depth {
  public:
    explicit Depth(std::size_t& depth) : depth_(depth) {
        if (++depth_ > Python_Json::max_depth) {
            --depth_;
            throw Cache_Error(fail(Errc::invalid_argument,
                                   "a JSON value may be nested " + std::to_string(Python_Json::max_depth) + " deep"));
        }
    }
    Depth(Depth const&) = delete;
    auto operator=(Depth const&) -> Depth& = delete;
    ~Depth() { --depth_; }

  private:
    std::size_t& depth_;
};

auto to_json(py::handle value, boost::json::storage_ptr const& memory, std::size_t& depth) -> boost::json::value {
    auto* const object = value.ptr();
    if (PyUnicode_Check(object))
        return boost::json::value(boost::json::string_view(utf8_of(value)), memory);
    if (value.is_none())
        return boost::json::value(nullptr, memory);
    if (PyBool_Check(object))
        return boost::json::value(object == Py_True, memory);
    if (PyLong_Check(object)) {
        if (auto const number = to_int64(value))
            return boost::json::value(*number, memory);
        auto const number = PyLong_AsUnsignedLongLong(object);
        if (PyErr_Occurred() != nullptr) {
            PyErr_Clear();
            throw Cache_Error(fail(Errc::invalid_argument, "a whole number is too large: give one that fits 64 bits, "
                                                           "or its digits as text"));
        }
        return boost::json::value(number, memory);
    }
    if (PyFloat_Check(object)) {
        auto const number = PyFloat_AsDouble(object);
        if (!std::isfinite(number))
            throw Cache_Error(fail(Errc::invalid_argument, "NaN and infinity are no JSON: give a number, or None"));
        return boost::json::value(number, memory);
    }
    Depth const deeper(depth);
    if (PyDict_Check(object)) {
        boost::json::object members(memory);
        for (auto const& [name, member] : py::reinterpret_borrow<py::dict>(value)) {
            if (!PyUnicode_Check(name.ptr()))
                refuse_key(name);
            members.insert_or_assign(utf8_of(name), to_json(member, memory, depth));
        }
        return members;
    }
    if (PyList_Check(object) || PyTuple_Check(object)) {
        boost::json::array items(memory);
        for (auto const item : py::reinterpret_borrow<py::sequence>(value))
            items.push_back(to_json(item, memory, depth));
        return items;
    }
    refuse_type(value);
}

auto to_python_json(py::handle value, std::size_t& depth) -> Python_Json {
    auto* const object = value.ptr();
    if (PyUnicode_Check(object))
        return lenient_utf8_of(value);
    if (value.is_none())
        return {};
    if (PyBool_Check(object))
        return object == Py_True;
    if (PyLong_Check(object)) {
        if (auto const number = to_int64(value))
            return *number;
        auto const digits = py::reinterpret_steal<py::object>(PyNumber_ToBase(object, 10));
        if (!digits) { // Python's own limit, of 4300 digits
            PyErr_Clear();
            throw Cache_Error(fail(Errc::invalid_argument, "a whole number has too many digits; give it as text"));
        }
        return Python_Json::Integer::parse(utf8_of(digits)).value();
    }
    if (PyFloat_Check(object))
        return PyFloat_AsDouble(object);
    Depth const deeper(depth);
    if (PyDict_Check(object)) {
        Python_Json::Object members;
        for (auto const& [name, member] : py::reinterpret_borrow<py::dict>(value)) {
            if (!PyUnicode_Check(name.ptr()))
                refuse_key(name);
            members.emplace_back(lenient_utf8_of(name), to_python_json(member, depth));
        }
        return members;
    }
    if (PyList_Check(object) || PyTuple_Check(object)) {
        Python_Json::Array items;
        for (auto const item : py::reinterpret_borrow<py::sequence>(value))
            items.push_back(to_python_json(item, depth));
        return items;
    }
    refuse_type(value);
}

} // namespace

auto at_least(std::int64_t least, Whole number, char const* what) -> std::uint64_t {
    if (number.value < least)
        throw Cache_Error(
            fail(Errc::invalid_argument, std::string(what) + ": give " + std::to_string(least) + " or more"));
    return static_cast<std::uint64_t>(number.value);
}

auto to_json(py::handle value, boost::json::storage_ptr memory) -> boost::json::value {
    std::size_t depth = 0;
    return to_json(value, memory, depth);
}

auto to_event(py::dict const& fields) -> Analytics_Event {
    unsigned char room[2048]; // enough for nearly every event
    boost::json::monotonic_resource memory(room, sizeof room);
    boost::json::object object(&memory);
    object.reserve(fields.size());
    std::size_t depth = 0;
    for (auto const& [name, value] : fields) {
        if (!PyUnicode_Check(name.ptr()))
            refuse_key(name);
        auto const text = utf8_of(name);
        if (text == "timestamp" && is_datetime(value))
            object.emplace(text, to_millis(from_datetime(value)));
        else
            object.emplace(text, to_json(value, object.storage(), depth));
    }
    return Analytics_Event::from_json(object).value();
}

auto to_python_json(py::handle value) -> Python_Json {
    std::size_t depth = 0;
    return to_python_json(value, depth);
}

auto to_str(std::string_view text) -> py::object {
    auto* const decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogatepass");
    if (decoded == nullptr)
        throw py::error_already_set();
    return py::reinterpret_steal<py::object>(decoded);
}

auto to_python(boost::json::value const& value) -> py::object {
    switch (value.kind()) {
    case boost::json::kind::null:
        return py::none();
    case boost::json::kind::bool_:
        return py::bool_(value.get_bool());
    case boost::json::kind::int64:
        return py::int_(value.get_int64());
    case boost::json::kind::uint64:
        return py::int_(value.get_uint64());
    case boost::json::kind::double_:
        return py::float_(value.get_double());
    case boost::json::kind::string:
        return py::str(value.get_string().data(), value.get_string().size());
    case boost::json::kind::array: {
        py::list items;
        for (auto const& item : value.get_array())
            items.append(to_python(item));
        return items;
    }
    case boost::json::kind::object:
        break;
    }
    py::dict members;
    for (auto const& member : value.get_object())
        members[py::str(member.key().data(), member.key().size())] = to_python(member.value());
    return members;
}

auto to_python(Python_Json const& value) -> py::object {
    if (auto const* flag = value.get_if<bool>())
        return py::bool_(*flag);
    if (auto const* integer = value.get_if<Python_Json::Integer>())
        return py::reinterpret_steal<py::object>(PyLong_FromString(integer->str().c_str(), nullptr, 10));
    if (auto const* number = value.get_if<double>())
        return py::float_(*number);
    if (auto const* text = value.get_if<std::string>())
        return to_str(*text);
    if (auto const* array = value.get_if<Python_Json::Array>()) {
        py::list items;
        for (auto const& item : *array)
            items.append(to_python(item));
        return items;
    }
    if (auto const* object = value.get_if<Python_Json::Object>()) {
        py::dict members;
        for (auto const& [name, member] : *object)
            members[to_str(name)] = to_python(member);
        return members;
    }
    return py::none();
}

auto answer_type(char const* type) -> py::object { return once<&import_types>().attr(type); }

auto to_answer(char const* type, boost::json::object const& fields) -> py::object {
    return answer_type(type).attr("from_dict")(to_python(fields));
}

void translate_errors() {
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (Cache_Error const& error) {
            auto const name = info(error.code()).python_class;
            auto const type = py::getattr(once<&import_errors>(), py::str(name.data(), name.size()));
            PyErr_SetObject(type.ptr(), to_str(error.context()).ptr());
        }
    });
}

} // namespace memfs_cache::python

namespace pybind11::detail {

using namespace memfs_cache::python;

auto type_caster<Time>::load(handle source, bool) -> bool {
    if (PyLong_Check(source.ptr()) && !PyBool_Check(source.ptr()))
        value.value = storable(to_int64(source));
    else if (is_datetime(source))
        value.value = from_datetime(source);
    else
        return false;
    return true;
}

auto type_caster<Whole>::load(handle source, bool) -> bool {
    if (!PyLong_Check(source.ptr()) || PyBool_Check(source.ptr()))
        return false;
    auto const number = to_int64(source);
    if (!number)
        throw memfs_cache::Cache_Error(memfs_cache::fail(memfs_cache::Errc::invalid_argument,
                                                         "a whole number is out of range: give one that fits 64 bits"));
    value.value = *number;
    return true;
}

auto type_caster<Text>::load(handle source, bool) -> bool {
    if (!PyUnicode_Check(source.ptr()))
        return false;
    value.value = utf8_of(source);
    return true;
}

auto type_caster<Buffer>::load(handle source, bool) -> bool {
    if (PyObject_CheckBuffer(source.ptr()) == 0)
        return false;
    if (PyObject_GetBuffer(source.ptr(), &buffer_, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        return false;
    }
    held_ = true;
    value.value = {static_cast<char const*>(buffer_.buf), static_cast<std::size_t>(buffer_.len)};
    return true;
}

} // namespace pybind11::detail
