// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <boost/json.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

auto record(Transfers_Handle const& self,
            Text transfer_id,
            Text event_type,
            std::optional<Time> timestamp,
            Text ip_hash,
            Text country,
            Whole content_bytes,
            Text token_id,
            Text path,
            Text method,
            Text ip,
            Text user_agent) -> std::string {
    auto const act = parse_transfer_act(event_type.value).value();
    New_Transfer_Event event;
    if (timestamp)
        event.timestamp = timestamp->value;
    event.ip_hash = ip_hash.value;
    event.country = country.value;
    event.content_bytes = at_least(0, content_bytes, "content_bytes");
    event.token_id = token_id.value;
    event.path = path.value;
    event.method = method.value;
    event.ip = ip.value;
    event.user_agent = user_agent.value;
    return waiting([&] { return self.transfers->record(transfer_id.value, act, event); });
}

} // namespace

auto transfers_of(py::object const& service, std::string_view name) -> Transfers_Handle {
    auto const& self = service.cast<Service const&>();
    return {service, waiting([&] { return self.cache->open_transfers(name); })};
}

void register_transfers(py::class_<Transfers_Handle>& transfers) {
    transfers.doc() = R"(What happens to transfers: who looked, who downloaded, and when, as the analytics tell it.

Ids are 1 to 128 of A-Z a-z 0-9 _ -; others raise Invalid_Argument. Every call may be made from any thread.)";
    transfers
        .def(
            "__call__", [](Transfers_Handle const& self, Text name) { return transfers_of(self.service, name.value); },
            "name"_a, "The transfers that another namespace of analytics of the same service tells of.")
        .def("record", &record, "transfer_id"_a, "event_type"_a, "timestamp"_a = py::none(), "ip_hash"_a = Text{""},
             "country"_a = Text{""}, "content_bytes"_a = Whole{0}, "token_id"_a = Text{""}, "path"_a = Text{""},
             "method"_a = Text{""}, "ip"_a = Text{""}, "user_agent"_a = Text{""},
             R"(Records that something happened to a transfer, as one event of the analytics, and gives its id.

event_type: created, upload_completed, viewed or downloaded; ip and user_agent are hashed or normalised, never stored.)")
        .def(
            "summary",
            [](Transfers_Handle const& self, Text transfer_id) {
                auto const summary = waiting([&] { return self.transfers->summary(transfer_id.value); });
                return to_answer("Transfer_Summary", summary.to_json());
            },
            "transfer_id"_a, "What happened to a transfer, up to now. Raises Not_Found if no event names it.")
        .def(
            "active",
            [](Transfers_Handle const& self, Whole window_minutes) {
                auto const minutes = static_cast<int>(
                    std::min<std::uint64_t>(at_least(1, window_minutes, "window_minutes"), most_recent_minutes + 1));
                return to_answer("Active_Transfers",
                                 waiting([&] { return self.transfers->active(minutes); }).to_json());
            },
            "window_minutes"_a = Whole{60}, "The most active transfers of the last minutes, 1 to 1440.")
        .def(
            "events",
            [](Transfers_Handle const& self, Text transfer_id, Whole limit) {
                auto const most = at_least(1, limit, "limit");
                return list_of("Transfer_Event",
                               waiting([&] { return self.transfers->events(transfer_id.value, most); }));
            },
            "transfer_id"_a, "limit"_a = Whole{100}, "Its last events, newest first; limit: 1 to 10000.")
        .def(
            "aggregation",
            [](Transfers_Handle const& self, Text type, Text key) {
                auto const window = waiting([&] { return self.transfers->aggregation(type.value, key.value); });
                return to_answer("Transfers_Window", window.to_json());
            },
            "window_type"_a, "window_key"_a,
            "What happened to all transfers in a window, such as daily 2026-02-13 or monthly 2026-02.")
        .def("__repr__", [](Transfers_Handle const& self) {
            return "<Transfers of namespace '" + self.transfers->name().str() + "'>";
        });
}

} // namespace memfs_cache::python
