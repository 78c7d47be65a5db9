// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <boost/json.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;
using Optional_Text = std::optional<std::string>;

auto to_value(py::handle data) -> Entry_Value {
    if (PyUnicode_Check(data.ptr()))
        return Entry_Value::string(std::string(data.cast<Text>().value));
    if (PyObject_CheckBuffer(data.ptr()) != 0)
        return Entry_Value::binary(py::reinterpret_steal<py::bytes>(PyBytes_FromObject(data.ptr())));
    if (PyDict_Check(data.ptr()) || PyList_Check(data.ptr()) || PyTuple_Check(data.ptr()))
        return Entry_Value::json(to_python_json(data));
    throw py::type_error("data must be a dict, a list, a str or bytes, not a " +
                         std::string(Py_TYPE(data.ptr())->tp_name));
}

auto to_data(Entry_Value const& value) -> py::object {
    if (auto const* document = value.as_json())
        return to_python(*document);
    if (value.kind() == Entry_Value::Kind::string)
        return to_str(*value.as_bytes());
    return py::bytes(*value.as_bytes());
}

auto to_kind(std::string_view data_type) -> Entry_Value::Kind {
    if (data_type == "json")
        return Entry_Value::Kind::json;
    if (data_type == "string")
        return Entry_Value::Kind::string;
    if (data_type == "binary")
        return Entry_Value::Kind::binary;
    throw Cache_Error(fail(Errc::invalid_argument, "data_type: give json, string or binary"));
}

/// Child data as the type that was asked for: the text of a str may be stored as JSON, for example.
auto to_child_value(py::handle data, Optional_Text const& data_type) -> Entry_Value {
    auto value = to_value(data);
    if (data_type && to_kind(*data_type) != value.kind())
        throw Cache_Error(fail(Errc::invalid_argument, "data_type: the data is of another type; leave it out"));
    return value;
}

auto to_id(Text text) -> Cache_Id { return Cache_Id::parse(text.value).value(); }

auto to_child_name(Optional_Text const& data_key, Optional_Text const& data_file_id) -> Child_Name {
    return {data_key.value_or(""), data_file_id.value_or("")};
}

auto not_found(char const* what) -> Error { return fail(Errc::not_found, what); }

auto list_of(std::vector<std::string> const& texts) -> boost::json::array {
    return boost::json::value_from(texts).as_array();
}

auto or_null(std::optional<std::string> const& text) -> boost::json::value {
    return text ? boost::json::value(*text) : boost::json::value();
}

auto store(Entries const& self,
           Text ns,
           Text strategy,
           py::object const& data,
           Optional_Text const& cache_hash,
           std::optional<Text> cache_id,
           Optional_Text const& cache_key,
           Optional_Text const& file_id,
           Optional_Text const& json_field_path,
           Optional_Text const& content_encoding) -> py::object {
    Entry_Options options;
    options.cache_hash = cache_hash.value_or("");
    if (cache_id)
        options.cache_id = to_id(*cache_id);
    options.cache_key = cache_key.value_or("");
    options.file_id = file_id.value_or("");
    options.json_field_path = json_field_path.value_or("");
    options.content_encoding = content_encoding.value_or("");
    auto const value = to_value(data);
    auto const as = parse_entry_strategy(strategy.value).value();
    auto const stored = waiting([&] { return self.store->store(ns.value, as, value, options); });
    return to_answer("Stored", {{"cache_id", stored.cache_id},
                                {"cache_hash", stored.cache_hash},
                                {"namespace", stored.ns},
                                {"paths",
                                 {{"data", list_of(stored.paths.data)},
                                  {"by_hash", list_of({stored.paths.by_hash})},
                                  {"by_id", list_of({stored.paths.by_id})}}},
                                {"size", stored.size_bytes}});
}

auto to_retrieved(std::optional<Retrieved_Entry> const& found) -> py::object {
    if (!found)
        return py::none();
    auto const& metadata = found->metadata;
    auto const shown = to_answer("Entry_Metadata", {{"cache_id", metadata.cache_id},
                                                    {"cache_hash", metadata.cache_hash},
                                                    {"cache_key", metadata.cache_key},
                                                    {"file_id", metadata.file_id},
                                                    {"namespace", metadata.ns},
                                                    {"strategy", metadata.strategy},
                                                    {"stored_at", to_millis(metadata.stored_at)},
                                                    {"file_type", metadata.file_type},
                                                    {"content_encoding", or_null(metadata.content_encoding)},
                                                    {"content_hash", metadata.content_hash},
                                                    {"content_size", metadata.content_size_bytes},
                                                    {"json_field_path", or_null(metadata.json_field_path)}});
    return answer_type("Retrieved")(to_data(found->value), shown);
}

auto update(Entries const& self, Text ns, Text cache_id, py::object const& data) -> py::object {
    auto const value = to_value(data);
    auto const id = to_id(cache_id);
    auto const updated = waiting([&] { return self.store->update(ns.value, id, value); });
    if (!updated)
        throw Cache_Error(not_found("there is no entry of this id"));
    return to_answer("Updated", {{"cache_id", updated->cache_id},
                                 {"cache_hash", updated->cache_hash},
                                 {"namespace", updated->ns},
                                 {"paths", list_of(updated->paths)},
                                 {"size", updated->size_bytes},
                                 {"updated_at", to_millis(updated->updated_at)}});
}

auto exists(Entries const& self, Text ns, std::optional<Text> cache_id, std::optional<Text> cache_hash) -> bool {
    if (cache_id.has_value() == cache_hash.has_value())
        throw Cache_Error(fail(Errc::invalid_argument, "give either cache_id or cache_hash"));
    if (cache_hash)
        return waiting([&] { return self.store->exists(ns.value, cache_hash->value); });
    auto const id = to_id(*cache_id);
    return waiting([&] { return self.store->exists(ns.value, id); });
}

auto to_child(std::optional<Stored_Child> const& child) -> py::object {
    if (!child)
        throw Cache_Error(not_found("there is no such entry, or no such data of it"));
    return to_answer("Stored_Data", {{"cache_id", child->cache_id},
                                     {"namespace", child->ns},
                                     {"data_key", child->data_key},
                                     {"data_file_id", child->data_file_id},
                                     {"paths", list_of(child->paths)},
                                     {"size", child->size_bytes}});
}

auto data_store(Entries const& self,
                Text ns,
                Text cache_id,
                py::object const& data,
                Optional_Text const& data_type,
                Optional_Text const& data_key,
                Optional_Text const& data_file_id) -> py::object {
    auto const value = to_child_value(data, data_type);
    auto const id = to_id(cache_id);
    auto const name = to_child_name(data_key, data_file_id);
    return to_child(waiting([&] { return self.store->data_store(ns.value, id, value, name); }));
}

auto data_update(Entries const& self,
                 Text ns,
                 Text cache_id,
                 py::object const& data,
                 Text data_file_id,
                 Optional_Text const& data_type,
                 Optional_Text const& data_key) -> py::object {
    auto const value = to_child_value(data, data_type);
    auto const id = to_id(cache_id);
    auto const name = to_child_name(data_key, std::string(data_file_id.value));
    return to_child(waiting([&] { return self.store->data_update(ns.value, id, value, name); }));
}

auto data_list(Entries const& self, Text ns, Text cache_id, Optional_Text const& data_key, bool recursive) -> py::list {
    auto const id = to_id(cache_id);
    auto const files = waiting([&] { return self.store->data_list(ns.value, id, data_key.value_or(""), recursive); });
    if (!files)
        throw Cache_Error(not_found("there is no entry of this id"));
    py::list all;
    for (auto const& file : *files)
        all.append(to_answer("Data_File", {{"data_file_id", file.data_file_id},
                                           {"data_key", file.data_key},
                                           {"data_type", file.type == Entry_Value::Kind::json     ? "json"
                                                         : file.type == Entry_Value::Kind::string ? "string"
                                                                                                  : "binary"},
                                           {"path", file.path},
                                           {"size", file.size_bytes}}));
    return all;
}

} // namespace

void register_entries(py::class_<Entries>& entries) {
    entries.doc() =
        R"(Application values as files under an id and a hash, byte for byte as the Python cache service stores them.

namespace and keys are cleaned as that service cleans them. strategy: direct, temporal, temporal_latest,
temporal_versioned or key_based. data: a dict or list (kept as JSON), a str, or bytes. Absent is None where something is
asked for, and Not_Found where it is to be changed. Every call may be made from any thread.)";
    entries
        .def("store", &store, "namespace"_a, "strategy"_a, "data"_a, "cache_hash"_a = py::none(),
             "cache_id"_a = py::none(), "cache_key"_a = py::none(), "file_id"_a = py::none(),
             "json_field_path"_a = py::none(), "content_encoding"_a = py::none(),
             R"(Stores a value as a new entry, or as a new version of what has the same hash.

cache_hash, cache_id: otherwise computed and new. cache_key: shapes the path of key_based entries. file_id: otherwise the
cache_id. json_field_path: of a document, the field to hash. content_encoding: of bytes; "gzip" is hashed unpacked.)")
        .def(
            "retrieve",
            [](Entries const& self, Text ns, Text cache_id) {
                auto const id = to_id(cache_id);
                return to_retrieved(waiting([&] { return self.store->retrieve(ns.value, id); }));
            },
            "namespace"_a, "cache_id"_a, "The entry of an id, or None.")
        .def(
            "retrieve_by_hash",
            [](Entries const& self, Text ns, Text cache_hash) {
                return to_retrieved(waiting([&] { return self.store->retrieve_by_hash(ns.value, cache_hash.value); }));
            },
            "namespace"_a, "cache_hash"_a, "The entry that was stored last under a hash, or None.")
        .def("update", &update, "namespace"_a, "cache_id"_a, "data"_a,
             "Replaces the content of an entry; what it is found by stays. Raises Not_Found.")
        .def(
            "delete",
            [](Entries const& self, Text ns, Text cache_id) {
                auto const id = to_id(cache_id);
                return waiting([&] { return self.store->remove(ns.value, id); }).has_value();
            },
            "namespace"_a, "cache_id"_a,
            "Whether there was such an entry. Its child data stays: data_delete_all first.")
        .def("exists", &exists, "namespace"_a, "cache_id"_a = py::none(), "cache_hash"_a = py::none())
        .def("data_store", &data_store, "namespace"_a, "cache_id"_a, "data"_a, "data_type"_a = py::none(),
             "data_key"_a = py::none(), "data_file_id"_a = py::none(),
             R"(Stores child data beside an entry, over what had the same name and type. Raises Not_Found.

data_type: json, string or binary; that of the data if absent. data_key: folders; data_file_id: otherwise a new one.)")
        .def(
            "data_retrieve",
            [](Entries const& self, Text ns, Text cache_id, Text data_type, Text data_file_id,
               Optional_Text const& data_key) {
                auto const id = to_id(cache_id);
                auto const name = to_child_name(data_key, std::string(data_file_id.value));
                auto const kind = to_kind(data_type.value);
                auto const found = waiting([&] { return self.store->data_retrieve(ns.value, id, kind, name); });
                return found ? to_data(*found) : py::object(py::none());
            },
            "namespace"_a, "cache_id"_a, "data_type"_a, "data_file_id"_a, "data_key"_a = py::none(),
            "Child data, or None; of another type than it was stored with there is none.")
        .def("data_update", &data_update, "namespace"_a, "cache_id"_a, "data"_a, "data_file_id"_a,
             "data_type"_a = py::none(), "data_key"_a = py::none(), "Overwrites child data. Raises Not_Found.")
        .def(
            "data_delete",
            [](Entries const& self, Text ns, Text cache_id, Text data_type, Text data_file_id,
               Optional_Text const& data_key) {
                auto const id = to_id(cache_id);
                auto const name = to_child_name(data_key, std::string(data_file_id.value));
                auto const kind = to_kind(data_type.value);
                return waiting([&] { return self.store->data_delete(ns.value, id, kind, name); });
            },
            "namespace"_a, "cache_id"_a, "data_type"_a, "data_file_id"_a, "data_key"_a = py::none(),
            "Whether there was such data.")
        .def(
            "data_delete_all",
            [](Entries const& self, Text ns, Text cache_id, Optional_Text const& data_key) {
                auto const id = to_id(cache_id);
                return waiting([&] { return self.store->data_delete_all(ns.value, id, data_key.value_or("")); });
            },
            "namespace"_a, "cache_id"_a, "data_key"_a = py::none(), "The paths that were deleted.")
        .def("data_list", &data_list, "namespace"_a, "cache_id"_a, "data_key"_a = py::none(), "recursive"_a = true,
             "Every child file, by folder; of all copies of the entry. Raises Not_Found.");
    entries.def(
        "create",
        [](Entries const& self, Text ns, py::object const& source_value) {
            auto const value = to_python_json(source_value);
            return waiting([&] { return self.store->create(ns.value, value); }).str();
        },
        "namespace"_a, "source_value"_a, "An id for a value; the same value again gives the same id.");
    entries.def(
        "lookup",
        [](Entries const& self, Text ns, Text cache_hash, py::object const& source_value) -> Optional_Text {
            auto const value = source_value.is_none() ? std::nullopt : std::optional(to_python_json(source_value));
            auto const id = waiting([&] { return self.store->lookup(ns.value, cache_hash.value, value); });
            return id ? std::optional(id->str()) : std::nullopt;
        },
        "namespace"_a, "cache_hash"_a, "source_value"_a = py::none(),
        "The id that create() gave for a value of this hash; without a value the one that was stored last, or None.");
    entries.def(
        "hash_of_source",
        [](Entries const& self, py::object const& source_value) {
            return self.store->hash_of_source(to_python_json(source_value)).value();
        },
        "source_value"_a, "The hash that a value is found by: of a str its own, of anything else that of its JSON.");
}

} // namespace memfs_cache::python
