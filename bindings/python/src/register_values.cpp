// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/ids.hpp>

#include <boost/json.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

/// So many bytes are hashed while other threads wait; beyond it giving them the lock costs less.
constexpr std::size_t small_bytes = 16 << 10;

void register_hash(py::module_& module) {
    py::class_<Cache_Hash>(module, "Cache_Hash", R"(Turns a value into the name it is found by.

The name is the first characters of the lower-case hex digest of the value's text, the same as the Python cache service
computes. One object may be used from any number of threads.

    >>> Cache_Hash().from_string("community-x")
    '6849a71fcf48b141'
)")
        .def(py::init([](Text algorithm, Whole length) {
                 return Cache_Hash::create(algorithm.value, at_least(1, length, "length")).value();
             }),
             "algorithm"_a = Text{"sha256"}, "length"_a = Whole{Cache_Hash::default_length},
             R"(algorithm: md5, sha256 or sha384; length: characters of a result, at least 10.

Raises Invalid_Argument for another algorithm or a shorter length.)")
        .def(
            "from_string",
            [](Cache_Hash const& hash, Text text) {
                if (text.value.size() <= small_bytes)
                    return hash.from_string(text.value).value();
                return waiting([&] { return hash.from_string(text.value); });
            },
            "text"_a, "Hash of a text as it is. Raises Invalid_Argument for an empty one, and for lone surrogates.")
        .def(
            "from_bytes",
            [](Cache_Hash const& hash, Buffer data) {
                if (data.value.size() <= small_bytes)
                    return hash.from_bytes(data.value);
                py::gil_scoped_release const released;
                return hash.from_bytes(data.value);
            },
            "data"_a, "Hash of bytes, which may be none.")
        .def(
            "from_json",
            [](Cache_Hash const& hash, py::object const& value, std::optional<std::vector<std::string>> const& names) {
                return hash.from_json(to_python_json(value), names.value_or(std::vector<std::string>())).value();
            },
            "value"_a, "exclude_fields"_a = py::none(),
            R"(Hash of the text of json.dumps(value, sort_keys=True).

exclude_fields: names of members of the outermost dict to leave out. Names of members must be str.)")
        .def(
            "from_json_field",
            [](Cache_Hash const& hash, py::object const& value, Text field_path) {
                return hash.from_json_field(to_python_json(value), field_path.value).value();
            },
            "value"_a, "field_path"_a,
            R"(Hash of one value within a document: of a str itself, of anything else its text.

field_path: names joined by '.'. Raises Invalid_Argument for a malformed path and a field that is missing or None.)");
}

void register_id(py::module_& module) {
    py::class_<Cache_Id>(module, "Cache_Id", "Ids of entries: UUIDs in their 36-character form.")
        .def_static(
            "new", [] { return Cache_Id::generate().str(); }, "A new random id, in small letters.");
}

void register_clock(py::module_& module) {
    py::class_<Manual_Clock, std::shared_ptr<Manual_Clock>>(
        module, "Manual_Clock",
        R"(A clock that stands still until it is told to move; for tests.

    clock = Manual_Clock(datetime(2026, 2, 13, tzinfo=timezone.utc))
    cache = Cache_Service(clock=clock)
    clock.advance(60_000)
)")
        .def(py::init([](Time start) { return std::make_shared<Manual_Clock>(start.value); }), "start"_a,
             "start: epoch milliseconds, or a datetime with a zone.")
        .def(
            "advance",
            [](Manual_Clock& clock, Whole milliseconds) {
                clock.advance(std::chrono::milliseconds(milliseconds.value));
            },
            "milliseconds"_a, "Moves it on, or back where the number is negative.")
        .def(
            "set", [](Manual_Clock& clock, Time timestamp) { clock.set(timestamp.value); }, "timestamp"_a,
            "timestamp: epoch milliseconds, or a datetime with a zone.")
        .def(
            "now", [](Manual_Clock const& clock) { return to_millis(clock.now()); }, "Epoch milliseconds.")
        .def("__repr__",
             [](Manual_Clock const& clock) { return "Manual_Clock(" + std::to_string(to_millis(clock.now())) + ")"; });
}

/// None for what was not given.
auto or_none(std::string const& text) -> py::object {
    return text.empty() ? py::object(py::none()) : py::object(py::str(text));
}

void register_event(py::module_& module) {
    py::class_<Analytics_Event> event(module, "Analytics_Event",
                                      R"(One event, made once and recorded as often as needed.

Only event_type is required. Other keywords than the fields are kept under `extra`. Inputs that name a person (ip,
user_agent, referrer, url) are hashed or normalised when it is recorded and are never stored.

    event = Analytics_Event(event_type="page_view", path="/", status_code=200, duration_ms=1.5)
    cache.analytics.record(event)
)");
    event.def(
        py::init([](py::kwargs const& fields) { return to_event(fields); }),
        R"(The fields, by name: event_id, event_type, timestamp (epoch milliseconds or a datetime with a zone; the time
of recording if absent), source, path, method, status_code, duration_ms (0 or more), ip_hash, user_agent_normalised,
country (two letters), referrer_domain, content_bytes, transfer_id, token_id, bot, extra (a dict), and the inputs ip,
user_agent, referrer, url.

Raises Invalid_Argument naming the field that has a wrong value.)");
    auto const text = [&](char const* name, std::string Analytics_Event::*member) {
        event.def_property_readonly(name, [member](Analytics_Event const& self) { return or_none(self.*member); });
    };
    text("event_id", &Analytics_Event::event_id);
    text("event_type", &Analytics_Event::event_type);
    text("source", &Analytics_Event::source);
    text("path", &Analytics_Event::path);
    text("method", &Analytics_Event::method);
    text("ip_hash", &Analytics_Event::ip_hash);
    text("user_agent_normalised", &Analytics_Event::user_agent_normalised);
    text("country", &Analytics_Event::country);
    text("referrer_domain", &Analytics_Event::referrer_domain);
    text("transfer_id", &Analytics_Event::transfer_id);
    text("token_id", &Analytics_Event::token_id);
    event
        .def_property_readonly("timestamp",
                               [](Analytics_Event const& self) {
                                   return self.timestamp ? std::optional(to_millis(*self.timestamp)) : std::nullopt;
                               })
        .def_readonly("status_code", &Analytics_Event::status_code)
        .def_readonly("duration_ms", &Analytics_Event::duration_ms)
        .def_readonly("content_bytes", &Analytics_Event::content_bytes)
        .def_readonly("bot", &Analytics_Event::bot)
        .def_property_readonly("extra", [](Analytics_Event const& self) { return to_python(self.extra); })
        .def("__repr__", [](py::object const& self) {
            return py::str("Analytics_Event(event_type={!r}, path={!r}, status_code={!r})")
                .format(self.attr("event_type"), self.attr("path"), self.attr("status_code"));
        });
}

} // namespace

void register_values(py::module_& module) {
    register_hash(module);
    register_id(module);
    register_clock(module);
    register_event(module);
}

} // namespace memfs_cache::python
