// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <boost/json.hpp>

#include <future>
#include <thread>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;
auto parse_visitor_key(std::string_view text) -> Visitor_Key {
    if (text == "ip")
        return Visitor_Key::ip;
    if (text == "ip_ua")
        return Visitor_Key::ip_ua;
    if (text == "none")
        return Visitor_Key::none;
    throw Cache_Error(fail(Errc::invalid_argument, "visitor_key: give ip, ip_ua or none"));
}

/// An id from a function of Python's.
auto new_id_of(py::object make) -> std::function<Cache_Id()> {
    struct Call {
        py::object make;
        explicit Call(py::object given) : make(std::move(given)) {}
        Call(Call const&) = delete;
        auto operator=(Call const&) -> Call& = delete;
        ~Call() {
            py::gil_scoped_acquire const held;
            make = py::object();
        }
    };
    return [call = std::make_shared<Call>(std::move(make))] {
        py::gil_scoped_acquire const held;
        return Cache_Id::parse(py::str(call->make()).cast<std::string>()).value();
    };
}

/// Closing joins threads that may themselves be in need of the interpreter's lock.
void delete_without_lock(Cache* cache) {
    if (PyGILState_Check() == 0) {
        delete cache;
        return;
    }
    py::gil_scoped_release const released;
    delete cache;
}

auto make_service(py::object const& storage_fs,
                  Text root_prefix,
                  std::shared_ptr<Manual_Clock> const& clock,
                  py::object const& id_generator,
                  Text recording,
                  std::optional<Whole> flush_interval_ms,
                  std::optional<Whole> buffer_bytes,
                  std::optional<Whole> grace_ms,
                  std::optional<std::string> const& salt_period,
                  Text visitor_key,
                  Text trusted_proxies,
                  Text exclude_paths,
                  bool keep_country,
                  std::optional<Whole> summary_cache_bytes,
                  Text share_url_base,
                  bool accept_credits,
                  Text costs_endpoint_url,
                  Text costs_region) -> Service {
    Service_Options options;
    options.root_prefix = root_prefix.value;
    if (clock)
        options.clock = clock;
    if (!id_generator.is_none())
        options.id_generator = new_id_of(id_generator);

    auto& log = options.analytics.log;
    log.mode = parse_recording_mode(recording.value).value();
    if (flush_interval_ms)
        log.flush_interval = std::chrono::milliseconds(at_least(1, *flush_interval_ms, "flush_interval_ms"));
    if (buffer_bytes)
        log.buffer_bytes = at_least(1, *buffer_bytes, "buffer_bytes");
    if (grace_ms)
        log.settings.grace = std::chrono::milliseconds(at_least(0, *grace_ms, "grace_ms"));
    log.settings.salt_period = salt_period;
    options.analytics.visitor_key = parse_visitor_key(visitor_key.value);
    options.analytics.keep_country = keep_country;
    options.analytics.trusted_proxies = Trusted_Proxies::parse(trusted_proxies.value).value();
    options.analytics.exclude_paths = Excluded_Paths::parse(exclude_paths.value).value();
    if (summary_cache_bytes)
        options.analytics.summary_cache_bytes = at_least(0, *summary_cache_bytes, "summary_cache_bytes");
    options.tokens.summary_cache_bytes = options.analytics.summary_cache_bytes;
    options.tokens.share_url_base = share_url_base.value;
    options.costs.accept_credits = accept_credits;
    options.costs.costs_endpoint_url = costs_endpoint_url.value;
    options.costs.costs_region = costs_region.value;

    if (!py::isinstance<Storage>(storage_fs))
        throw py::type_error("storage_fs: give a storage, such as Storage_Disk(path) or open_storage(url)");
    auto const& storage = storage_fs.cast<Storage const&>();
    return {std::shared_ptr<Cache>(new Cache(storage.any, std::move(options)), &delete_without_lock), storage_fs,
            storage.calls_python};
}

/// Closes, but waits for the storage no longer than so: an interpreter that ends must not hang because a disk does.
void close_within(std::shared_ptr<Cache> const& cache, double seconds) {
    std::promise<Result<void>> promise;
    auto outcome = promise.get_future();
    std::thread([cache, promise = std::move(promise)]() mutable { promise.set_value(cache->close()); }).detach();
    waiting([&]() -> Result<void> {
        if (outcome.wait_for(std::chrono::duration<double>(seconds)) == std::future_status::ready)
            return outcome.get();
        return fail(Errc::timed_out,
                    "the storage did not take the last events in time; those that it has not are lost");
    });
}

/// What a purge or a rebuild did, of each namespace.
template <class Reports>
auto to_dict_of_reports(Reports const& reports) -> py::dict {
    py::dict all;
    for (auto const& [name, report] : reports)
        all[py::str(name)] = to_python(report.to_json());
    return all;
}

auto purge(Service const& service,
           std::optional<std::string> const& ns,
           bool dry_run,
           std::optional<Whole> raw_days,
           std::optional<Whole> windows_days,
           std::string const& by) -> py::dict {
    auto policy = service.cache->options().retention;
    auto const days = [](Whole given, char const* what) { return static_cast<int>(at_least(0, given, what)); };
    if (raw_days)
        policy.raw_days = days(*raw_days, "raw_days");
    if (windows_days)
        policy.windows_days = days(*windows_days, "windows_days");
    auto const only = ns ? std::optional<std::string_view>(*ns) : std::nullopt;
    return to_dict_of_reports(waiting([&] { return service.cache->purge(only, dry_run, policy, by); }));
}

auto hold(Service const& service,
          std::string const& ns,
          std::string const& name,
          std::string const& reason,
          std::optional<Time> start,
          std::optional<Time> end) -> void {
    Hold const wanted{name, reason, start ? start->value : earliest_time, end ? end->value : latest_time,
                      service.cache->clock()->now()};
    waiting([&]() -> Result<void> {
        auto holds = service.cache->holds(ns);
        return holds ? holds->set(wanted) : holds.error();
    });
}

} // namespace

void register_service(py::module_& module) {
    // First, since signatures in docstrings name them
    py::class_<Entries> entries(module, "Entry_Store");
    py::class_<Analytics_Handle> analytics(module, "Analytics");
    py::class_<Tokens_Handle> tokens(module, "Tokens");
    py::class_<Transfers_Handle> transfers(module, "Transfers");
    py::class_<Costs_Handle> costs(module, "Costs");
    register_entries(entries);
    register_analytics(analytics);
    register_tokens(tokens);
    register_transfers(transfers);
    register_costs(costs);

    py::class_<Service>(module, "Service", "What memfs_cache.Cache_Service is made of.")
        .def(py::init(&make_service), "storage_fs"_a, "root_prefix"_a, "clock"_a, "id_generator"_a, py::kw_only(),
             "recording"_a = Text{"buffered"}, "flush_interval_ms"_a = py::none(), "buffer_bytes"_a = py::none(),
             "grace_ms"_a = py::none(), "salt_period"_a = py::none(), "visitor_key"_a = Text{"ip"},
             "trusted_proxies"_a = Text{""}, "exclude_paths"_a = Text{""}, "keep_country"_a = true,
             "summary_cache_bytes"_a = py::none(), "share_url_base"_a = Text{""}, "accept_credits"_a = false,
             "costs_endpoint_url"_a = Text{""}, "costs_region"_a = Text{Costs_Options().costs_region})
        .def_readonly("storage_fs", &Service::storage, "The storage that it was given.")
        .def_property_readonly(
            "hash_generator", [](Service const& service) { return service.cache->hash_generator(); },
            "Hashes values as the entries of this service are.")
        .def_property_readonly(
            "entries",
            [](py::object const& self) {
                return Entries{self, &self.cast<Service&>().cache->entries()};
            },
            "Values under an id and a hash.")
        .def_property_readonly(
            "analytics", [](py::object const& self) { return analytics_of(self, Cache::ns_analytics); },
            "Request analytics; cache.analytics(\"site-x\") is that of another namespace.")
        .def_property_readonly(
            "tokens", [](py::object const& self) { return tokens_of(self, Cache::ns_tokens); },
            "Invitation tokens with exact limits; cache.tokens(\"beta\") are those of another namespace.")
        .def_property_readonly(
            "transfers", [](py::object const& self) { return transfers_of(self, Cache::ns_analytics); },
            "What happens to transfers; cache.transfers(\"site-x\") are those that other analytics tell of.")
        .def_property_readonly(
            "costs", [](py::object const& self) { return costs_of(self, Cache::ns_costs); },
            "What things cost; cache.costs(\"lab\") are those of another namespace.")
        .def(
            "setup_namespaces",
            [](Service const& service) { waiting([&] { return service.cache->setup_namespaces(); }); },
            "Opens analytics, tokens, costs and transfers, so that what is wrong with one shows now and not with its "
            "first request.")
        .def(
            "namespaces", [](Service const& service) { return waiting([&] { return service.cache->namespaces(); }); },
            "Names of the namespaces in the store and of those in use, sorted.")
        .def(
            "flush", [](Service const& service) { waiting([&] { return service.cache->flush(); }); },
            "Everything that was accepted before is on the storage when it returns.")
        .def(
            "close", [](Service const& service) { waiting([&] { return service.cache->close(); }); },
            "Flushes, and refuses what comes later with Closed; what is stored can still be asked for.")
        .def("purge", &purge, "namespace"_a = py::none(), "dry_run"_a = false, "raw_days"_a = py::none(),
             "windows_days"_a = py::none(), "by"_a = std::string(),
             R"(Deletes raw events with their salts, and windows, that are old enough; safe from a scheduler.

namespace: one alone. dry_run: deletes nothing and gives the same. raw_days, windows_days: 0 for ever; without them those
of the service, 90 and 0. by: who asks, for the record in the store. Gives {namespace: report}. What all windows that
count it do not hold yet, what came within a day and what is held stays, and the report says why.)")
        .def(
            "rebuild",
            [](Service const& service, std::string const& ns, Time start, Time end, bool dry_run) {
                auto const report =
                    waiting([&] { return service.cache->rebuild(ns, start.value, end.value, dry_run); });
                return to_python(report.to_json());
            },
            "namespace"_a, "start"_a, "end"_a, "dry_run"_a = false,
            "Builds the saved windows again that touch [start, end), but for those whose raw events were purged.")
        .def(
            "refresh_due",
            [](Service const& service, Whole limit) {
                auto const most = at_least(1, limit, "limit");
                auto const report = waiting([&] { return service.cache->refresh_due(most); });
                py::dict told;
                told["rebuilt"] = report.rebuilt;
                told["more"] = report.more;
                return told;
            },
            "limit"_a = Whole{1000},
            "Builds saved windows again that late events have overtaken, of all namespaces; for a scheduler.")
        .def("hold", &hold, "namespace"_a, "name"_a, "reason"_a, "start"_a = py::none(), "end"_a = py::none(),
             "Keeps what lies in windows of [start, end) from being purged, whoever purges, until it is released.")
        .def(
            "release_hold",
            [](Service const& service, std::string const& ns, std::string const& name) {
                return waiting([&]() -> Result<bool> {
                    auto holds = service.cache->holds(ns);
                    return holds ? holds->release(name) : holds.error();
                });
            },
            "namespace"_a, "name"_a, "Gives whether there was such a hold.")
        .def(
            "holds",
            [](Service const& service, std::string const& ns) {
                auto const all = waiting([&]() -> Result<std::vector<Hold>> {
                    auto holds = service.cache->holds(ns);
                    return holds ? holds->list() : holds.error();
                });
                py::list told;
                for (auto const& one : all)
                    told.append(to_python(one.to_object()));
                return told;
            },
            "namespace"_a, "The holds of a namespace.")
        .def(
            "_closer",
            [](Service const& service, double seconds) {
                return py::cpp_function([cache = service.cache, seconds] { close_within(cache, seconds); });
            },
            "seconds"_a, "Closes it when it is called, also after the object has gone.")
        .def(
            "_write_dated",
            [](Service const& service, Text ns, std::optional<Text> cache_id, Buffer data, Text filename) {
                auto const id = cache_id ? std::optional(Cache_Id::parse(cache_id->value).value()) : std::nullopt;
                auto const paths =
                    waiting([&] { return service.cache->write_temporal(ns.value, id, data.value, filename.value); });
                return std::vector{paths.dated, paths.latest};
            },
            "namespace"_a, "cache_id"_a, "data"_a, "filename"_a)
        .def(
            "_read_latest",
            [](Service const& service, Text ns, std::optional<Text> cache_id, Text filename) {
                auto const id = cache_id ? std::optional(Cache_Id::parse(cache_id->value).value()) : std::nullopt;
                auto const found = waiting([&] { return service.cache->read_latest(ns.value, id, filename.value); });
                return found ? std::optional(py::bytes(*found)) : std::nullopt;
            },
            "namespace"_a, "cache_id"_a, "filename"_a)
        .def(
            "health", [](Service const& service) { return to_python(service.cache->health().to_json()); },
            "{'status': 'ok' | 'degraded', 'namespaces': {...}}; never waits for the storage.");
}

} // namespace memfs_cache::python
