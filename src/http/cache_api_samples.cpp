// SPDX-License-Identifier: Apache-2.0
// Entries to try clients with.
#include "cache_api_parts.hpp"
#include <memfs_cache/storage/words.hpp>

#include <array>
#include <utility>

namespace memfs_cache::cache_api {
namespace {

struct Sample {
    std::string_view description;
    std::string_view json;
};
constexpr std::array<Sample, 5> documents{{
    {"Sample user profile", R"({"user": "u-1001", "name": "Ada", "roles": ["reader", "editor"], "active": true})"},
    {"Cached API response", R"({"url": "/api/items?page=1", "status": 200, "items": [{"id": 1}, {"id": 2}]})"},
    {"Analytics tracking event", R"({"event": "page_view", "path": "/pricing", "duration_ms": 12.5})"},
    {"Service configuration", R"({"service": "search", "replicas": 3, "limits": {"memory_mb": 512}})"},
    {"Workflow execution state", R"({"workflow": "import", "step": 4, "of": 9, "failed": null})"},
}};
constexpr std::array<std::string_view, 3> lines{"first sample text", "second sample text", "third sample text"};
constexpr std::array<Sample, 5> keyed{{
    {"reports/2025/q1/sales", R"({"quarter": 1, "sales": 1250})"},
    {"reports/2025/q1/users", R"({"quarter": 1, "users": 310})"},
    {"config/services/cache", R"({"service": "cache", "enabled": true})"},
    {"config/services/api", R"({"service": "api", "enabled": true})"},
    {"logs/2025/01/09", R"({"day": "2025-01-09", "lines": 42})"},
}};

/// Stores samples one after the other, up to the first that fails.
class Sampler {
  public:
    Sampler(Call const& call, std::string_view ns) : call_(call), ns_(ns) {}

    void store(Entry_Strategy strategy, Entry_Value const& value, std::string description, std::string_view key = {}) {
        if (!done_)
            return;
        Entry_Options options;
        options.cache_key = key;
        auto const stored = call_.entries().store(ns_, strategy, value, options);
        if (!stored) {
            done_ = stored.error();
            return;
        }
        Object entry{{"cache_id", stored->cache_id},
                     {"cache_hash", stored->cache_hash},
                     {"namespace", stored->ns},
                     {"strategy", memfs_cache::to_text(strategy)},
                     {"data_type", to_text(value.kind())},
                     {"description", std::move(description)}};
        if (!key.empty())
            entry.emplace_back("cache_key", key);
        entries_.emplace_back(std::move(entry));
    }
    void store(Entry_Strategy strategy, Sample const& sample, std::string description, std::string_view key = {}) {
        store(strategy, Entry_Value::json(Json::parse(sample.json).value()), std::move(description), key);
    }

    /// What the reference makes of a namespace.
    void store_all() {
        for (auto const strategy : strategies) {
            for (auto const& sample : documents)
                store(strategy, sample, std::string(sample.description));
            for (std::size_t i = 0; i < lines.size(); ++i)
                store(strategy, Entry_Value::string(std::string(lines[i])), "String entry " + std::to_string(i));
        }
        for (auto const& sample : keyed)
            store(Entry_Strategy::key_based, sample, "Key-based: " + std::string(sample.description),
                  sample.description);
    }

    static constexpr std::array strategies{Entry_Strategy::direct, Entry_Strategy::temporal,
                                           Entry_Strategy::temporal_latest, Entry_Strategy::key_based};

    auto take() -> Result<Json::Array> {
        if (!done_)
            return done_.error();
        return std::move(entries_);
    }

  private:
    Call const& call_;
    std::string_view ns_;
    Result<void> done_;
    Json::Array entries_;
};

auto strategy_names() -> Json::Array {
    Json::Array names;
    for (auto const strategy : Sampler::strategies)
        names.emplace_back(memfs_cache::to_text(strategy));
    return names;
}

auto made(Call const& call, Json::Array entries, Json::Array namespaces, Json::Array strategies, std::string message)
    -> Response {
    auto const count = entries.size();
    return reply(Object{{"success", true},
                        {"timestamp", call.now()},
                        {"entries_created", count},
                        {"namespaces", std::move(namespaces)},
                        {"strategies_used", std::move(strategies)},
                        {"entries", std::move(entries)},
                        {"message", std::move(message)}});
}

auto create_minimal(Call const& call) -> Result<Response> {
    constexpr std::string_view ns = "default";
    Sampler sampler(call, ns);
    for (auto const& sample : {documents[0], documents[1], documents[2]})
        sampler.store(Entry_Strategy::direct, sample, std::string(sample.description));
    auto entries = sampler.take();
    if (!entries)
        return entries.error();
    return made(call, *std::move(entries), {ns}, {"direct"}, "Minimal test data created");
}

auto create_in(Call const& call, std::initializer_list<std::string_view> namespaces, std::string message)
    -> Result<Response> {
    Json::Array all;
    for (auto const ns : namespaces) {
        Sampler sampler(call, ns);
        sampler.store_all();
        auto entries = sampler.take();
        if (!entries)
            return entries.error();
        all.insert(all.end(), entries->begin(), entries->end());
    }
    return made(call, std::move(all), Json::Array(namespaces.begin(), namespaces.end()), strategy_names(),
                std::move(message));
}

auto create_comprehensive(Call const& call) -> Result<Response> {
    return create_in(call, {"test-data", "test-demo", "test-analytics"}, "Comprehensive test data created");
}

auto create_namespace(Call const& call) -> Result<Response> {
    return create_in(call, {call.ns}, "Test data created for " + call.ns);
}

auto clear(Call const& call) -> Result<Response> {
    auto const answer = [&](std::size_t count, std::string error) {
        bool const good = error.empty();
        auto message = "Cleared " + std::to_string(count) + " files from " + call.ns;
        return reply(Object{{"success", good},
                            {"namespace", call.ns},
                            {"files_deleted", count},
                            {"message", good ? std::move(message) : std::string()},
                            {"error", std::move(error)}});
    };
    auto const folder = namespace_prefix(call.ns);
    if (!may_be_deleted(folder) || folder.empty())
        return answer(0, "this namespace holds more than entries; delete them one by one");
    auto const files = files_below(call.setting, folder);
    if (!files)
        return files.error();
    std::size_t deleted = 0;
    for (auto const& path : *files) {
        auto const gone = memfs_cache::remove(call.storage(), call.setting.shown.root() + path);
        if (!gone)
            return gone.error();
        deleted += std::size_t{*gone};
    }
    return answer(deleted, {});
}

// Fixtures: nine values, and an entry of a known id that says where they are

auto fixtures() -> std::vector<std::pair<std::string, Entry_Value>> {
    auto const document = [](std::string_view json) { return Entry_Value::json(Json::parse(json).value()); };
    auto const bytes = [](std::size_t count) {
        Bytes all(count, '\0');
        for (std::size_t i = 0; i < count; ++i)
            all[i] = static_cast<char>(i % 256);
        return Entry_Value::binary(std::move(all));
    };
    return {{"string_simple", Entry_Value::string("a sample text")},
            {"string_medium", Entry_Value::string(std::string(500, 'm'))},
            {"string_large", Entry_Value::string(std::string(1000, 'x'))},
            {"json_simple", document(R"({"name": "sample", "number": 7})")},
            {"json_complex", document(R"({"deep": {"list": [1, 2, 3], "more": {"level": 2}}, "flag": true})")},
            {"json_empty", document("{}")},
            {"binary_small", bytes(5)},
            {"binary_medium", bytes(100)},
            {"binary_large", bytes(1024)}};
}

auto python_type(Kind kind) -> std::string_view {
    return kind == Kind::json ? "dict" : kind == Kind::string ? "str" : "bytes";
}

auto create_fixtures(Call const& call) -> Result<Response> {
    constexpr std::string_view ns = "default";
    auto const id = Cache_Id::parse("00000000-0000-0000-0000-000000000001").value();
    auto found = call.entries().retrieve(ns, id);
    if (!found)
        return found.error();
    if (!*found) {
        Object made;
        for (auto const& [name, value] : fixtures()) {
            auto const stored = call.entries().store(ns, Entry_Strategy::direct, value);
            if (!stored)
                return stored.error();
            made.emplace_back(name, Object{{"cache_id", stored->cache_id},
                                           {"cache_hash", stored->cache_hash},
                                           {"type", python_type(value.kind())}});
        }
        Entry_Options options;
        options.cache_id = id;
        auto const manifest = Entry_Value::json(Object{{"fixtures", std::move(made)}, {"created_at", call.now()}});
        if (auto const stored = call.entries().store(ns, Entry_Strategy::direct, manifest, options); !stored)
            return stored.error();
        found = call.entries().retrieve(ns, id);
        if (!found)
            return found.error();
        if (!*found)
            return fail(Errc::conflict, "the fixtures were deleted while they were made; ask again");
    }
    auto const& [value, metadata] = **found;
    return reply(Object{{"data", value.as_json() != nullptr ? *value.as_json() : Json()},
                        {"metadata", *Json::parse(metadata.document()).value().find("data")},
                        {"data_type", value.data_type()},
                        {"content_encoding", {}}});
}

} // namespace

auto sample_operations() -> Operations {
    return {
        {.method = "GET",
         .path = "/server/create/test-fixtures",
         .summary = "Nine entries to try clients with; made once.",
         .handler = &create_fixtures},
        {.method = "POST",
         .path = "/test-data/create/in/default-namespaces/comprehensive",
         .summary = "Entries of every kind in three namespaces.",
         .handler = &create_comprehensive},
        {.method = "POST",
         .path = "/test-data/create/in/default-namespaces/minimal",
         .summary = "Three entries.",
         .handler = &create_minimal},
        {.method = "POST",
         .path = "/test-data/create/in/new-namespace/{namespace}",
         .summary = "Entries of every kind in one namespace.",
         .handler = &create_namespace},
        {.method = "DELETE",
         .path = "/test-data/clear/{namespace}",
         .summary = "Deletes every entry of a namespace.",
         .handler = &clear},
    };
}

} // namespace memfs_cache::cache_api
