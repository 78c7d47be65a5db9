// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"
#include <memfs_cache/http/admin_api.hpp>
#include <memfs_cache/http/cache_api.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

/// An API, and the service that it refers to.
template <class Api>
struct Host {
    std::shared_ptr<Cache> cache;
    py::object service;
    std::uint64_t body_limit_bytes;
    Api api;
};
using Admin = Host<Admin_Api<Any_Storage>>;
using Values = Host<Cache_Api>;

void log_to_python(std::string_view sentence) {
    py::gil_scoped_acquire const held;
    py::module_::import("logging").attr("getLogger")("memfs_cache").attr("error")("%s", to_str(sentence));
}

auto make_admin(py::object const& service, Text admin_key, Whole body_limit) -> std::unique_ptr<Admin> {
    auto const& cache = service.cast<Service const&>().cache;
    auto key = Admin_Key::from_text(admin_key.value).value();
    return std::unique_ptr<Admin>(new Admin{cache, service, at_least(0, body_limit, "body_limit"),
                                            Admin_Api<Any_Storage>(*cache, std::move(key), log_to_python)});
}

/// @param  key_name  with key_value: what requests carry; nothing for both: anybody may ask
auto make_values(py::object const& service,
                 std::optional<Text> key_name,
                 std::optional<Text> key_value,
                 bool strict_compat,
                 Whole body_limit) -> std::unique_ptr<Values> {
    auto const& cache = service.cast<Service const&>().cache;
    Cache_Api_Options options;
    options.key.reset();
    if (key_name || key_value)
        options.key = Cache_Api_Key{key_name ? std::string(key_name->value) : std::string(),
                                    key_value ? std::string(key_value->value) : std::string()};
    options.strict_compat = strict_compat;
    options.log = log_to_python;
    return std::unique_ptr<Values>(
        new Values{cache, service, at_least(0, body_limit, "body_limit"), Cache_Api(*cache, std::move(options))});
}

/// As the bundled server answers, which looks at the size of a body before anything else.
template <class Api>
auto answer(Host<Api> const& self, Request const& request) -> Response {
    if (request.body.size() > self.body_limit_bytes)
        return error_reply(fail(Errc::too_large, "The body is longer than the limit of " +
                                                     std::to_string(self.body_limit_bytes) + " bytes (body_limit)."));
    return self.api(request);
}

/// Of a stream what it begins with: a host of ASGI waits for open answers when it stops, and does not tell them.
auto body_of(Response const& response) -> Bytes {
    if (auto const* const stream = std::get_if<std::unique_ptr<Body_Stream>>(&response.body))
        return (*stream)->next().value();
    return std::get<Bytes>(response.body);
}

using Header_Lines = std::vector<std::pair<py::bytes, py::bytes>>;

template <class Api>
auto answer_request(Host<Api> const& self,
                    Text method,
                    py::bytes const& target,
                    Header_Lines const& headers,
                    py::bytes const& body,
                    Text remote) -> py::tuple {
    Request request;
    request.method = method.value;
    request.target = target;
    for (auto const& [name, value] : headers)
        request.headers.add(name, value);
    request.body = body;
    request.remote = remote.value;
    auto const response = [&] {
        Lock_Given_Up const others_run;
        return answer(self, request);
    }();
    Header_Lines lines;
    for (auto const& [name, value] : response.headers)
        lines.emplace_back(name, value);
    return py::make_tuple(response.status, lines, py::bytes(body_of(response)));
}

} // namespace

void register_http(py::module_& module) {
    constexpr char const* answer_text = "The answer as (status, headers, body).";
    py::class_<Admin>(module, "Admin_Api", "The admin routes of a service: a request in, a response out, no sockets.")
        .def(py::init(&make_admin), "service"_a, "admin_key"_a, "body_limit"_a)
        .def("__call__", &answer_request<Admin_Api<Any_Storage>>, "method"_a, "target"_a, "headers"_a, "body"_a,
             "remote"_a, answer_text);
    py::class_<Values>(module, "Cache_Api", "The Python cache service's routes on a service, likewise.")
        .def(py::init(&make_values), "service"_a, "key_name"_a, "key_value"_a, "strict_compat"_a, "body_limit"_a)
        .def("__call__", &answer_request<Cache_Api>, "method"_a, "target"_a, "headers"_a, "body"_a, "remote"_a,
             answer_text);
}

} // namespace memfs_cache::python
