// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>

#include <boost/json.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

/// Runs a recording. Most take less time than giving up the interpreter's lock, so they keep it: nobody who holds what
/// they wait for is in need of that lock. It is given up where the storage may be asked, and where that is Python's.
template <class Work>
auto recording(Analytics_Handle const& self, std::optional<Utc_Time> time, Work&& work) {
    auto const& clock = self.analytics->log().clock();
    bool const is_of_today = !time || day_of(*time) == day_of(clock->now()); // else its salt may have to be fetched
    if (is_of_today && !self.storage_calls_python && !self.analytics->recording_may_wait())
        return work();
    Lock_Given_Up const others_run;
    return work();
}

auto record_event(Analytics_Handle const& self, Analytics_Event const& event) -> Result<std::string> {
    return recording(self, event.timestamp, [&] { return self.analytics->record(event); });
}

auto record_object(Analytics_Handle const& self, py::handle event) -> Result<std::string> {
    if (PyDict_Check(event.ptr()))
        return record_event(self, to_event(py::reinterpret_borrow<py::dict>(event)));
    if (py::isinstance<Analytics_Event>(event))
        return record_event(self, event.cast<Analytics_Event const&>());
    throw py::type_error("an event must be an Analytics_Event or a dict, not a " +
                         std::string(Py_TYPE(event.ptr())->tp_name));
}

/// str, or bytes as servers have them; nothing else.
auto text_or_bytes(py::handle value) -> std::string_view {
    char* data = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_Check(value.ptr())) {
        PyBytes_AsStringAndSize(value.ptr(), &data, &size);
        return {data, static_cast<std::size_t>(size)};
    }
    if (PyUnicode_Check(value.ptr()))
        if (auto const* const text = PyUnicode_AsUTF8AndSize(value.ptr(), &size))
            return {text, static_cast<std::size_t>(size)};
    PyErr_Clear();
    throw py::type_error("names and values of headers must be str or bytes");
}

/// The headers of a request that say something about it.
void take_header(py::handle name, py::handle value, Request_View& request, std::string& forwarded_for) {
    auto const text = text_or_bytes(name);
    if (equals_lower(text, "user-agent"))
        request.user_agent = text_or_bytes(value);
    else if (equals_lower(text, "referer"))
        request.referrer = text_or_bytes(value);
    else if (equals_lower(text, "x-forwarded-for"))
        forwarded_for.append(forwarded_for.empty() ? "" : ",").append(text_or_bytes(value));
}

void take_headers(py::handle headers, Request_View& request, std::string& forwarded_for) {
    if (headers.is_none())
        return;
    auto const lines =
        PyDict_Check(headers.ptr()) ? py::object(headers.attr("items")()) : py::reinterpret_borrow<py::object>(headers);
    for (auto const line : lines) {
        auto const pair = py::reinterpret_borrow<py::sequence>(line);
        take_header(pair[0], pair[1], request, forwarded_for);
    }
}

auto record_request(Analytics_Handle const& self,
                    Text method,
                    py::object const& target,
                    Whole status,
                    Whole content_bytes,
                    std::optional<Whole> duration_us,
                    Text remote,
                    py::object const& headers,
                    std::optional<Time> timestamp,
                    Text content_type,
                    Text route,
                    Text event_type,
                    Text source,
                    Text country,
                    Text transfer_id,
                    Text token_id) -> std::string {
    Request_View request;
    std::string forwarded_for;
    take_headers(headers, request, forwarded_for);
    request.method = method.value;
    request.target = text_or_bytes(target);
    request.status = static_cast<int>(std::clamp<std::int64_t>(status.value, -1, 1'000)); // neither is a status
    request.content_bytes = at_least(0, content_bytes, "content_bytes");
    if (duration_us)
        request.duration_us = duration_us->value;
    request.remote = remote.value;
    request.forwarded_for = forwarded_for;
    request.content_type = content_type.value;
    request.route = route.value;
    request.event_type = event_type.value;
    request.source = source.value;
    request.country = country.value;
    request.transfer_id = transfer_id.value;
    request.token_id = token_id.value;
    if (timestamp)
        request.timestamp = timestamp->value;
    auto const id = recording(self, request.timestamp, [&] { return self.analytics->record_request(request); });
    return std::string(id.view());
}

auto pulse_of(Analytics_Handle const& self, Whole window_minutes) -> py::object {
    auto const minutes =
        static_cast<int>(std::clamp<std::int64_t>(window_minutes.value, 0, 1'000'000)); // refused below
    return to_answer("Pulse", waiting([&] { return self.analytics->pulse(minutes); }).to_json());
}

/// @param  ask  (Analytics&) -> Result<Window_Summary>
template <class Ask>
auto window(Analytics_Handle const& self, Ask const& ask) -> py::object {
    return to_answer("Window_Summary", waiting([&] { return ask(*self.analytics); }).to_json());
}

/// {"path": "/blog/*", "status": ["404", "!5xx"]}, or None; a status may be a number.
auto to_filter(py::object const& filters) -> Analytics_Filter {
    Analytics_Filter filter;
    if (filters.is_none())
        return filter;
    auto const is_value = [](py::handle value) { return py::isinstance<py::str>(value) || PyLong_Check(value.ptr()); };
    auto const add = [&](py::handle dimension, py::handle value) {
        if (!is_value(value))
            throw py::type_error("filters: give each dimension a str, or a list of them");
        filter.add(dimension.cast<std::string>(), std::string(py::str(value))).value();
    };
    for (auto const& [dimension, values] : filters.cast<py::dict>()) {
        if (is_value(values)) {
            add(dimension, values);
            continue;
        }
        for (auto const value : py::reinterpret_borrow<py::object>(values))
            add(dimension, value);
    }
    return filter;
}

auto series_of(Analytics_Handle const& self,
               Time start,
               Time end,
               Text step,
               Text time_zone,
               py::object const& filters,
               std::optional<Text> compare) -> py::object {
    if (compare && compare->value != "previous")
        throw Cache_Error(fail(Errc::invalid_argument, "compare: give \"previous\" or None"));
    Series_Question question;
    question.start = start.value;
    question.end = end.value;
    question.step = parse_window_type(step.value).value();
    question.time_zone = Time_Zone::find(time_zone.value).value();
    question.filter = to_filter(filters);
    question.compares = compare.has_value();
    py::list rows;
    for (auto const& row : waiting([&] { return self.analytics->series(question); }).rows)
        rows.append(to_answer("Series_Row", row.to_json()));
    return rows;
}

} // namespace

auto analytics_of(py::object const& service, std::string_view name) -> Analytics_Handle {
    auto const& self = service.cast<Service const&>();
    return {service, waiting([&] { return self.cache->open_analytics(name); }), self.storage_calls_python};
}

void register_analytics(py::class_<Analytics_Handle>& analytics) {
    analytics.doc() =
        R"(Request analytics of one site: what was requested, and what happened in a window or goes on now.

Addresses, user agents, referrers and query strings are inputs only: hashed or normalised, and never stored.
Every call may be made from any thread.)";
    analytics
        .def(
            "__call__", [](Analytics_Handle const& self, Text name) { return analytics_of(self.service, name.value); },
            "name"_a, "The analytics of another namespace of the same service.")
        .def(
            "record", [](Analytics_Handle const& self, py::handle event) { return record_object(self, event).value(); },
            "event"_a, R"(Records an event of an application's own; gives its id, or "" where recording is off.

Raises Invalid_Argument and Too_Large naming the field, Throttled if the buffer is full, Closed.

    cache.analytics.record({"event_type": "page_view", "path": "/", "duration_ms": 1.5})
)")
        .def(
            "record_many",
            [](Analytics_Handle const& self, py::iterable const& events) {
                py::list ids;
                for (auto const event : events)
                    ids.append(record_object(self, event).value());
                return ids;
            },
            "events"_a, "Records events in their order and gives their ids; the first that is refused ends it.")
        .def("record_request", &record_request, "method"_a, "target"_a, "status"_a, "content_bytes"_a, "duration_us"_a,
             "remote"_a = Text{""}, "headers"_a = py::none(), "timestamp"_a = py::none(), py::kw_only(),
             "content_type"_a = Text{""}, "route"_a = Text{""}, "event_type"_a = Text{""}, "source"_a = Text{""},
             "country"_a = Text{""}, "transfer_id"_a = Text{""}, "token_id"_a = Text{""},
             R"(Records a request that was served; gives the event's id, or "" if it was not recorded.

It never fails for what a client sent, nor because of the storage: what was lost is counted and shown by health().

target: as sent; cut at '?' and '#'. status: the one that was really sent. content_bytes: body bytes really sent.
duration_us: microseconds, or None. remote: address of the peer. headers: of the request, a dict or pairs, str or bytes;
X-Forwarded-For counts only from trusted_proxies. content_type: of the response. route: template such as /users/{id},
kept instead of the path.)")
        .def("pulse", &pulse_of, "window_minutes"_a = Whole{5}, R"(Who is there now.

window_minutes: 1 to 1440; anything else raises Invalid_Argument.)")
        .def(
            "aggregation",
            [](Analytics_Handle const& self, Text type, Text key, py::object const& filters) {
                auto const filter = to_filter(filters);
                return window(self, [&](auto& asked) { return asked.aggregation(type.value, key.value, filter); });
            },
            "window_type"_a, "window_key"_a, "filters"_a = py::none(), R"(What happened in a window.

window_type: 30min, hourly, daily, weekly, monthly or yearly; window_key: in UTC, such as 2026-02-13T14:30,
2026-02-13T14, 2026-02-13, 2026-W07, 2026-02, 2026. filters: which events, such as
{"path": "/blog/*", "status": ["!4xx", "!5xx"]}: of each dimension one of the values, or none of those behind a "!"; a "*"
at the end stands for anything, and a backslash takes what follows as it is. Raises Invalid_Argument for any other, and for the future.)")
        .def("series", &series_of, "start"_a, "end"_a, "step"_a, "time_zone"_a = Text{"UTC"}, "filters"_a = py::none(),
             "compare"_a = py::none(),
             R"(What happened in each of several windows that follow each other: a list of Series_Row.

start, end: every window is part of it that touches [start, end); at most 3660, and none behind that of now.
step: 30min, hourly, daily, weekly, monthly or yearly. time_zone: whose calendar, such as Europe/Lisbon.
filters: as of aggregation. compare: "previous" gives each row the one of the stretch before that is as long. Raises Invalid_Argument.)")
        .def(
            "latest",
            [](Analytics_Handle const& self, Text type) {
                return window(self, [&](auto& asked) { return asked.latest(type.value); });
            },
            "window_type"_a, "The newest window of a type that has events.")
        .def(
            "rebuild",
            [](Analytics_Handle const& self, Text type, Text key) {
                return window(self, [&](auto& asked) { return asked.rebuild(type.value, key.value); });
            },
            "window_type"_a, "window_key"_a, "Forgets what was saved of a window, and builds it again.")
        .def(
            "visitor_hash",
            [](Analytics_Handle const& self, Text address, Time timestamp) {
                Lock_Given_Up const others_run;
                return self.analytics->visitor_hash(address.value, timestamp.value);
            },
            "address"_a, "timestamp"_a,
            R"(The hash under which an address is counted at a time; "" if it is no address or nobody is counted.)")
        .def(
            "prepare", [](Analytics_Handle const& self) { waiting([&] { return self.analytics->prepare(); }); },
            "Makes what the first request of a day would otherwise wait for.")
        .def(
            "recording_may_wait",
            [](Analytics_Handle const& self) {
                return self.storage_calls_python || self.analytics->recording_may_wait();
            },
            "May recording a request of now wait for the storage? An event loop then records on another thread.")
        .def("__repr__", [](Analytics_Handle const& self) {
            return "<Analytics of namespace '" + self.analytics->name().str() + "'>";
        });
}

} // namespace memfs_cache::python
