// SPDX-License-Identifier: Apache-2.0
// What the Python reference wrote, done again step by step: tests/vectors/store_trees.json.
#include "support/backends.hpp"
#include "support/base64.hpp"
#include "support/printers.hpp"
#include "support/project_files.hpp"
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/entries/entry_store.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <deque>
#include <map>

using namespace memfs_cache;
namespace json = boost::json;

namespace {

using Tree = std::map<std::string, Bytes>;
/// "scenario, step: path" of every file that differs, and how: "other bytes", "missing" or "more".
using Differences = std::map<std::string, std::string>;

auto scenarios() -> json::array {
    return json::parse(testing::project_file("tests/vectors/store_trees.json")).as_object().at("scenarios").as_array();
}

auto text_of(json::object const& object, char const* name) -> std::string {
    auto const* found = object.if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

auto payload_of(json::object const& args) -> Entry_Value {
    auto const& payload = args.at("payload").as_object();
    if (payload.contains("json"))
        return Entry_Value::json(Python_Json::parse(text_of(payload, "json")).value());
    if (payload.contains("string"))
        return Entry_Value::string(text_of(payload, "string"));
    return Entry_Value::binary(testing::from_base64(text_of(payload, "base64")));
}

auto time_of(std::string_view iso) -> Utc_Time {
    auto const number = [&](std::size_t at, std::size_t length) {
        return static_cast<unsigned>(parse_decimal(iso.substr(at, length)).value());
    };
    return day_from_civil(static_cast<int>(number(0, 4)), number(5, 2), number(8, 2)).value() +
           std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) +
           std::chrono::seconds(number(17, 2)) + std::chrono::milliseconds(number(20, 3));
}

auto kind_of(std::string_view data_type) -> Entry_Value::Kind {
    return data_type == "json"     ? Entry_Value::Kind::json
           : data_type == "string" ? Entry_Value::Kind::string
                                   : Entry_Value::Kind::binary;
}

/// One scenario: our store, and the tree that the reference has.
template <class Storage>
class Replay {
  public:
    Replay(Storage& storage, std::string root)
        : storage_(storage), root_(std::move(root)), store_(storage, root_, clock_, [this] {
              REQUIRE_FALSE(ids_.empty());
              auto const id = ids_.front();
              ids_.pop_front();
              return id;
          }) {}

    void run(json::object const& scenario, Differences& differences) {
        auto const name = text_of(scenario, "name");
        std::size_t number = 0;
        for (auto const& item : scenario.at("steps").as_array()) {
            auto const where = name + ", " + std::to_string(++number) + ": ";
            CAPTURE(where);
            auto const& step = item.as_object();
            clock_->set(time_of(text_of(step, "at")));
            bool const refused = !run_step(step, text_of(step, "op"), step.at("args").as_object());
            CHECK_MESSAGE((!refused || step.contains("error") || is_refused_key(step.at("args").as_object())),
                          where << "refused");
            CHECK_MESSAGE((refused || !step.contains("error")), where << "not refused");
            if (!refused)
                follow(step);
            compare(where, differences);
        }
    }

  private:
    /// Does the operation and compares its result.
    /// @return false if it is refused
    auto run_step(json::object const& step, std::string const& operation, json::object const& args) -> bool {
        auto const ns = args.contains("namespace") ? text_of(args, "namespace") : std::string("default");
        json::object none;
        auto const* result = step.if_contains("result");
        auto const& expected = result != nullptr && result->is_object() ? result->as_object() : none;
        bool const expects_nothing = result != nullptr && result->is_null();
        if (operation.starts_with("store"))
            return store(ns, args, expected, expects_nothing);
        if (operation == "retrieve_by_hash")
            return check_retrieved(store_.retrieve_by_hash(ns, text_of(args, "cache_hash")), expected, expects_nothing);
        auto const id = Cache_Id::parse(text_of(args, "cache_id")).value();
        Child_Name const child{text_of(args, "data_key"), text_of(args, "data_file_id")};
        auto const kind = kind_of(text_of(args, "data_type"));
        if (operation == "retrieve_by_id")
            return check_retrieved(store_.retrieve(ns, id), expected, expects_nothing);
        if (operation == "update") {
            auto const updated = store_.update(ns, id, payload_of(args)).value();
            CHECK(updated.has_value() != expects_nothing);
            if (updated)
                CHECK(json::value_from(updated->paths) == expected.at("paths"));
        } else if (operation == "delete") {
            CHECK(store_.remove(ns, id).value().has_value() == (text_of(expected, "status") != "not_found"));
        } else if (operation == "data_store") {
            if (auto const made = Cache_Id::parse(text_of(expected, "file_id")))
                ids_ = {*made};
            check_child(store_.data_store(ns, id, payload_of(args), child).value(), expected, expects_nothing);
        } else if (operation == "data_update") {
            CHECK(store_.data_update(ns, id, payload_of(args), child).value().has_value() != expects_nothing);
        } else if (operation == "data_retrieve") {
            auto const found = store_.data_retrieve(ns, id, kind, child).value();
            // An empty text counts as not found in the reference.
            CHECK((found && !found->is_empty()) == expected.at("found").as_bool());
        } else if (operation == "data_delete") {
            CHECK(store_.data_exists(ns, id, kind, child).value() == result->as_bool());
            CHECK(store_.data_delete(ns, id, kind, child).value() == result->as_bool());
        } else if (operation == "data_list") {
            auto const recursive = args.if_contains("recursive");
            check_list(store_.data_list(ns, id, child.data_key, recursive == nullptr || recursive->as_bool()).value(),
                       expected);
        } else if (operation == "data_delete_all") {
            CHECK(json::value_from(store_.data_delete_all(ns, id, child.data_key).value()) ==
                  expected.at("deleted_files"));
        } else {
            FAIL("unknown operation " << operation);
        }
        return true;
    }

    auto store(std::string const& ns, json::object const& args, json::object const& expected, bool expects_nothing)
        -> bool {
        auto const strategy = parse_entry_strategy(text_of(args, "strategy"));
        if (!strategy)
            return false;
        Entry_Options options;
        options.cache_hash = text_of(args, "cache_hash");
        if (args.contains("cache_hash") && options.cache_hash.empty())
            return false; // nothing to ask for: here an empty hash is one that is to be computed
        if (args.contains("cache_id")) {
            auto const id = Cache_Id::parse(text_of(args, "cache_id"));
            if (!id)
                return false;
            options.cache_id = *id;
        } else if (expected.contains("cache_id")) {
            ids_ = {Cache_Id::parse(text_of(expected, "cache_id")).value()};
        }
        options.cache_key = text_of(args, "cache_key");
        options.file_id = text_of(args, "file_id");
        options.json_field_path = text_of(args, "json_field_path");
        options.content_encoding = text_of(args, "content_encoding");
        auto const stored = store_.store(ns, *strategy, payload_of(args), options);
        if (!stored) {
            CHECK(stored.error().code == Errc::invalid_argument);
            return expects_nothing; // the reference answers "nothing" to an empty value
        }
        CHECK(stored->cache_id == text_of(expected, "cache_id"));
        CHECK(stored->cache_hash == text_of(expected, "cache_hash"));
        CHECK(stored->ns == text_of(expected, "namespace"));
        return true;
    }

    auto check_retrieved(Result<std::optional<Retrieved_Entry>> const& found,
                         json::object const& expected,
                         bool nothing) -> bool {
        if (!found) {
            CHECK(found.error().code == Errc::corrupt_data);
            return false;
        }
        // Content that the reference deletes together with another entry stays here.
        if (nothing && *found)
            CHECK((*found)->metadata.cache_key == "cfg/site");
        if (nothing || !*found) {
            CHECK(nothing);
            return true;
        }
        CHECK((*found)->value.data_type() == text_of(expected, "data_type"));
        auto const& metadata = expected.at("metadata").as_object();
        CHECK((*found)->metadata.cache_id == text_of(metadata, "cache_id"));
        CHECK(to_millis((*found)->metadata.stored_at) == metadata.at("stored_at").as_int64());
        auto const& data = expected.at("data");
        if (auto const* bytes = data.if_object(); bytes != nullptr && bytes->contains("base64"))
            CHECK((*found)->value == Entry_Value::binary(testing::from_base64(text_of(*bytes, "base64"))));
        else if (auto const* text = data.if_string())
            CHECK((*found)->value == Entry_Value::string(std::string(*text)));
        else // by way of the text: Boost.JSON writes floats in another form
            CHECK(json::parse((*found)->value.content(0)) == data);
        return true;
    }

    void check_child(std::optional<Stored_Child> const& stored, json::object const& expected, bool nothing) {
        CHECK(stored.has_value() != nothing);
        if (!stored)
            return;
        CHECK(json::value_from(stored->paths) == expected.at("data_files_created"));
        CHECK(stored->data_key == text_of(expected, "data_key"));
        CHECK(stored->data_file_id == text_of(expected, "file_id"));
        CHECK(static_cast<std::int64_t>(stored->size_bytes) == expected.at("file_size").as_int64());
    }

    void check_list(std::optional<std::vector<Child_File>> const& listed, json::object const& expected) {
        REQUIRE(listed);
        // The order within a folder is that of the storage, and the reference's was that of insertion.
        std::map<std::string, json::object> files;
        for (auto const& item : expected.at("files").as_array())
            files[text_of(item.as_object(), "file_path")] = item.as_object();
        CHECK(listed->size() == files.size());
        for (auto const& file : *listed) {
            auto const& wanted = files[file.path];
            CHECK(file.data_file_id == text_of(wanted, "data_file_id"));
            CHECK(file.data_key == text_of(wanted, "data_key"));
            CHECK(file.extension == text_of(wanted, "extension"));
            CHECK(file.type == kind_of(text_of(wanted, "data_type")));
            CHECK(static_cast<std::int64_t>(file.size_bytes) == wanted.at("file_size").as_int64());
        }
    }

    /// Applies what the reference wrote and deleted.
    void follow(json::object const& step) {
        for (auto const& [path, content] : step.at("writes").as_object())
            expected_[std::string(path)] = content.is_string()
                                               ? std::string(content.as_string())
                                               : testing::from_base64(text_of(content.as_object(), "base64"));
        for (auto const& path : step.at("deletes").as_array())
            expected_.erase(std::string(path.as_string()));
    }

    static auto is_refused_key(json::object const& args) -> bool {
        return !clean_cache_key(text_of(args, "cache_key"));
    }

    void compare(std::string const& where, Differences& differences) {
        Tree ours;
        auto const prefix = namespace_prefix(root_);
        for (auto const& path : files_list(storage_, prefix).value())
            ours[path.substr(prefix.size())] = *read(storage_, path).value();
        for (auto const& [path, bytes] : expected_)
            if (auto const found = ours.find(path); found == ours.end())
                differences.try_emplace(where + path, "missing");
            else if (found->second != bytes)
                differences.try_emplace(where + path, "other bytes");
        for (auto const& [path, bytes] : ours)
            if (!expected_.contains(path))
                differences.try_emplace(where + path, "more");
        expected_ = std::move(ours); // each difference is told once, where it comes up
    }

    Storage& storage_;
    std::string root_;
    std::shared_ptr<Manual_Clock> clock_ = std::make_shared<Manual_Clock>(from_millis(0));
    std::deque<Cache_Id> ids_;
    Entry_Store<Storage> store_;
    Tree expected_;
};

/// Everything that is deliberately better than the reference: docs/format.md, "Where entries differ".
auto permitted() -> Differences {
    Differences all;
    auto const add = [&](std::string const& step, std::string const& folder, auto const& files, char const* how) {
        for (auto const* file : files)
            all[step + ": default/" + folder + file] = how;
    };
    using Files = std::vector<char const*>;
    // An overwrite describes what is there now, in every folder, and its reference names all of it.
    std::string const lifecycle = "json lifecycle, key_based, ";
    add(lifecycle + "2", "data/key-based/reports/2026/q1/", Files{"summary.json.metadata"}, "other bytes");
    add(lifecycle + "2", "refs/by-id/1f/e6/", Files{"1fe68e72-0000-4000-8000-000000000012.json"}, "other bytes");
    std::string const same_id = "direct: same cache id stored twice, ";
    std::string const twice = "6884d953-0000-4000-8000-000000000043.json";
    std::string const described = twice + ".metadata", configured = twice + ".config";
    add(same_id + "2", "data/direct/68/84/", Files{described.c_str()}, "other bytes");
    add(same_id + "2", "refs/by-id/68/84/", Files{twice.c_str()}, "other bytes");
    std::string const explicit_id = "explicit file id with the temporal strategies, ";
    std::string const latest = "data/temporal-latest/", versioned = "data/temporal-versioned/";
    Files const beside{"page-home.json.config", "page-home.json.metadata"};
    for (auto const& [step, folder] : {std::pair{"3", latest + "latest/"}, std::pair{"5", versioned + "latest/"},
                                       std::pair{"5", versioned + "versions/v1/"}})
        add(explicit_id + step, folder, beside, "other bytes");
    for (auto const& [step, folder] : {std::pair{"3", latest}, std::pair{"5", versioned}}) {
        add(explicit_id + step, folder + "2026/02/13/15/", Files{"page-home.json.config"}, "more");
        add(explicit_id + step, folder + "2026/02/13/15/", Files{"page-home.json.metadata"}, "other bytes");
    }
    add(explicit_id + "3", "refs/by-id/ad/c4/", Files{"adc4fab2-0000-4000-8000-000000000052.json"}, "other bytes");
    add(explicit_id + "5", "refs/by-id/ea/33/", Files{"ea33ee14-0000-4000-8000-000000000054.json"}, "other bytes");
    // So a delete leaves nothing of it behind,
    add(lifecycle + "12", "data/key-based/reports/2026/q1/", Files{"summary.json.config", "summary.json.metadata"},
        "missing");
    add(same_id + "3", "data/direct/68/84/", Files{configured.c_str(), described.c_str()}, "missing");
    // and what another entry has overwritten stays until that one is deleted.
    std::string const same_file = "key_based: same key and file id stored twice with different content, ";
    add(same_file + "2", "data/key-based/cfg/site/", Files{"main.json.metadata"}, "other bytes");
    add(same_file + "2", "refs/by-id/ca/4d/", Files{"ca4d5fa2-0000-4000-8000-000000000042.json"}, "other bytes");
    Files const site{"main.json", "main.json.config", "main.json.metadata"};
    add(same_file + "5", "data/key-based/cfg/site/", site, "more");
    add(same_file + "7", "data/key-based/cfg/site/", site, "missing");
    return all;
}

} // namespace

TEST_SUITE("entries/reference") {
    TEST_CASE_TEMPLATE("every file is the reference's, byte for byte, but for the differences that are documented",
                       Backend, MEMFS_CACHE_BACKENDS) {
        for (std::string const root : {"", "cache"}) {
            CAPTURE(root);
            Differences differences;
            for (auto const& scenario : scenarios()) {
                Backend backend;
                Replay replay(backend.storage, root);
                replay.run(scenario.as_object(), differences);
            }
            for (auto const& [where, how] : differences)
                CHECK_MESSAGE(permitted().contains(where), where << ", " << how);
            CHECK(differences == permitted());
        }
    }
}
