// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/entries/entry_documents.hpp>
#include <memfs_cache/entries/entry_names.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace memfs_cache {
namespace {

constexpr std::array<std::string_view, 5> strategy_names{"direct", "temporal", "temporal_latest", "temporal_versioned",
                                                         "key_based"};

auto join(std::string_view folder, std::string_view name) -> std::string {
    std::string path;
    path.reserve(folder.size() + 1 + name.size());
    return path.append(folder).append(folder.ends_with('/') ? "" : "/").append(name);
}

/// Writes a document member by member, in Python's layout with an indent.
class Document {
  public:
    explicit Document(std::size_t indent_blanks) : indent_(indent_blanks) { out_.reserve(1024); }

    auto open(char bracket = '{') -> Document& {
        begin_item();
        out_.push_back(bracket);
        ++depth_;
        first_ = true;
        return *this;
    }
    auto close(char bracket = '}') -> Document& {
        --depth_;
        if (!std::exchange(first_, false))
            new_line();
        out_.push_back(bracket);
        return *this;
    }
    auto name(std::string_view name) -> Document& {
        begin_item();
        append_ascii_json_string(out_, name);
        out_ += ": ";
        named_ = true;
        return *this;
    }
    auto text(std::string_view text) -> Document& {
        begin_item();
        append_ascii_json_string(out_, text);
        return *this;
    }
    auto maybe_text(std::optional<std::string> const& maybe) -> Document& { return maybe ? text(*maybe) : null(); }
    auto number(std::int64_t number) -> Document& {
        begin_item();
        append_json_number(out_, number);
        return *this;
    }
    auto null() -> Document& {
        begin_item();
        out_ += "null";
        return *this;
    }
    auto texts(std::vector<std::string> const& items) -> Document& {
        open('[');
        for (auto const& item : items)
            text(item);
        return close(']');
    }
    auto value(Python_Json const& value) -> Document& {
        begin_item();
        auto const text = value.render({.indent_blanks = indent_});
        for (char const c : text) { // its lines stand deeper here
            out_.push_back(c);
            if (c == '\n')
                out_.append(depth_ * indent_, ' ');
        }
        return *this;
    }
    auto take() -> Bytes { return std::move(out_); }

  private:
    void begin_item() {
        if (std::exchange(named_, false) || depth_ == 0)
            return;
        if (!std::exchange(first_, false))
            out_.push_back(',');
        new_line();
    }
    void new_line() {
        out_.push_back('\n');
        out_.append(depth_ * indent_, ' ');
    }

    std::size_t indent_;
    Bytes out_;
    std::size_t depth_ = 0;
    bool first_ = true;
    bool named_ = false;
};

/// Reads members; the texts and lists that entries need beside those of Member_Reader.
class Reader : public Member_Reader {
  public:
    explicit Reader(boost::json::object const& object) : Member_Reader(object), members_(object) {}

    auto maybe_text(std::string_view name) -> std::optional<std::string> {
        auto const* found = members_.if_contains(name);
        if (found == nullptr || found->is_null())
            return std::nullopt;
        return std::string(text(name));
    }
    auto texts(std::string_view name) -> std::vector<std::string> {
        std::vector<std::string> all;
        for (auto const& item : array(name)) {
            if (auto const* one = item.if_string())
                all.emplace_back(*one);
            else
                refuse(name);
        }
        return all;
    }
    auto time(std::string_view name) -> Utc_Time { return from_millis(signed_number(name)); }
    /// The value, or what is wrong with it.
    template <class Value>
    auto checked(Value&& value, std::string_view what) -> Result<std::remove_cvref_t<Value>> {
        if (good())
            return std::forward<Value>(value);
        return fail(Errc::corrupt_data, std::string(what) + ": member '" + std::string(first_bad()) + "' is wrong");
    }

  private:
    boost::json::object const& members_;
};

/// May this path of an Id_Ref be followed?
auto is_within(std::string_view path, std::string_view prefix) -> bool {
    return path.starts_with(prefix) && Storage_Key::parse(path).has_value();
}

} // namespace

auto to_text(Entry_Strategy strategy) noexcept -> std::string_view {
    return strategy_names[static_cast<std::size_t>(strategy)];
}

auto parse_entry_strategy(std::string_view text) -> Result<Entry_Strategy> {
    auto const found = std::find(strategy_names.begin(), strategy_names.end(), text);
    if (found == strategy_names.end())
        return fail(Errc::invalid_argument,
                    "strategy: give direct, temporal, temporal_latest, temporal_versioned or key_based");
    return static_cast<Entry_Strategy>(found - strategy_names.begin());
}

auto namespace_prefix(std::string_view ns) -> std::string {
    return ns.empty() ? std::string() : std::string(ns).append("/");
}

auto hour_folders(Utc_Time time) -> std::string {
    auto path = date_text(time, '/');
    path += '/';
    append_padded(path, to_civil(time).hour, 2);
    return path;
}

auto Entry_Folders::of(Entry_Strategy strategy,
                       std::string_view ns,
                       std::string_view cache_key,
                       std::string_view file_id,
                       bool is_json,
                       Utc_Time stored_at) -> Entry_Folders {
    auto const base = [&](std::string_view kind) { return namespace_prefix(ns).append("data/").append(kind); };
    Entry_Folders result{{}, std::string(file_id), is_json};
    switch (strategy) {
    case Entry_Strategy::direct:
        result.folders = {join(base("direct"), shard_folders(file_id))};
        break;
    case Entry_Strategy::temporal:
        result.folders = {join(base("temporal"), hour_folders(stored_at))};
        break;
    case Entry_Strategy::temporal_latest:
        result.folders = {base("temporal-latest/latest"), join(base("temporal-latest"), hour_folders(stored_at))};
        break;
    case Entry_Strategy::temporal_versioned:
        result.folders = {join(base("temporal-versioned"), hour_folders(stored_at)), base("temporal-versioned/latest"),
                          base("temporal-versioned/versions/v1")};
        break;
    case Entry_Strategy::key_based:
        result.folders = {cache_key.empty() ? base("key-based") : join(base("key-based"), cache_key)};
        break;
    }
    return result;
}

auto Entry_Folders::content_files() const -> std::vector<std::string> {
    std::vector<std::string> files;
    files.reserve(folders.size());
    for (auto const& folder : folders)
        files.push_back(join(folder, file_id).append(is_json ? ".json" : ".bin"));
    return files;
}

auto Entry_Folders::data_folders() const -> std::vector<std::string> {
    std::vector<std::string> paths;
    paths.reserve(folders.size());
    for (auto const& folder : folders)
        paths.push_back(join(folder, file_id).append("/data"));
    return paths;
}

auto config_document(Entry_Folders const& folders, std::string_view cache_key) -> Bytes {
    Document out(4);
    out.open();
    out.name("exists_strategy").text("first");
    out.name("file_id").text(folders.file_id);
    out.name("file_key").text(cache_key);
    out.name("file_paths").texts(folders.folders);
    out.name("file_type").open();
    if (folders.is_json) {
        out.name("name").text("json");
        out.name("content_type").text("application/json; charset=utf-8");
        out.name("file_extension").text("json");
        out.name("encoding").text("utf-8");
        out.name("serialization").text("json");
    } else {
        out.name("name").text("binary");
        out.name("content_type").text("application/octet-stream");
        out.name("file_extension").text("bin");
        out.name("encoding").null();
        out.name("serialization").text("binary");
    }
    return out.close().close().take();
}

auto Entry_Metadata::document() const -> Bytes {
    Document out(4);
    out.open();
    out.name("content__hash").text(content_hash);
    out.name("chain_hash").null();
    out.name("previous_version_path").null();
    out.name("content__size").number(static_cast<std::int64_t>(content_size_bytes));
    out.name("tags").open('[').close(']');
    out.name("timestamp").number(to_millis(written_at));
    out.name("data").open();
    out.name("cache_hash").text(cache_hash);
    out.name("cache_key").text(cache_key);
    out.name("cache_id").text(cache_id);
    out.name("content_encoding").maybe_text(content_encoding);
    out.name("file_id").text(file_id);
    out.name("file_type").text(file_type);
    out.name("json_field_path").maybe_text(json_field_path);
    out.name("namespace").text(ns);
    out.name("stored_at").number(to_millis(stored_at));
    out.name("strategy").text(strategy);
    return out.close().close().take();
}

auto Entry_Metadata::parse(Byte_View text) -> Result<Entry_Metadata> {
    auto const object = parse_object(text, "the metadata of an entry");
    if (!object)
        return object.error();
    Reader outer(*object);
    Reader data(outer.object("data"));
    Entry_Metadata metadata;
    metadata.content_hash = outer.text("content__hash");
    metadata.content_size_bytes = outer.unsigned_number("content__size");
    metadata.written_at = outer.time("timestamp");
    metadata.cache_hash = data.text("cache_hash");
    metadata.cache_key = data.text("cache_key");
    metadata.cache_id = data.text("cache_id");
    metadata.content_encoding = data.maybe_text("content_encoding");
    metadata.file_id = data.text("file_id");
    metadata.file_type = data.text("file_type");
    metadata.json_field_path = data.maybe_text("json_field_path");
    metadata.ns = data.text("namespace");
    metadata.stored_at = data.time("stored_at");
    metadata.strategy = data.text("strategy");
    if (!data.good())
        outer.refuse(data.first_bad());
    return outer.checked(std::move(metadata), "the metadata of an entry");
}

void Hash_Ref::add(std::string_view cache_id, Utc_Time stored_at) {
    auto const is_it = [&](Version const& known) { return known.cache_id == cache_id && known.stored_at == stored_at; };
    if (std::any_of(versions.begin(), versions.end(), is_it))
        return;
    versions.push_back({std::string(cache_id), stored_at});
    latest_id = cache_id;
    ++total_versions;
}

auto Hash_Ref::remove(std::string_view cache_id) -> bool {
    auto const is_it = [&](Version const& version) { return version.cache_id == cache_id; };
    if (std::erase_if(versions, is_it) == 0)
        return true;
    if (--total_versions <= 0) // the reference counts one, also when an id stood there twice
        return false;
    if (latest_id == cache_id && !versions.empty())
        latest_id = versions.back().cache_id;
    return true;
}

auto Hash_Ref::path(std::string_view ns, std::string_view cache_hash) -> std::string {
    auto path = namespace_prefix(ns).append("refs/by-hash/").append(shard_folders(cache_hash));
    return path.append("/").append(cache_hash).append(".json");
}

auto Hash_Ref::document() const -> Bytes {
    Document out(2);
    out.open();
    out.name("cache_hash").text(cache_hash);
    out.name("cache_ids").open('[');
    for (auto const& version : versions) {
        out.open();
        out.name("cache_id").text(version.cache_id);
        out.name("timestamp").number(to_millis(version.stored_at));
        out.close();
    }
    out.close(']');
    out.name("latest_id").text(latest_id);
    out.name("total_versions").number(total_versions);
    return out.close().take();
}

auto Hash_Ref::parse(Byte_View text) -> Result<Hash_Ref> {
    constexpr std::string_view what = "the reference of a hash";
    auto const object = parse_object(text, what);
    if (!object)
        return object.error();
    Reader reader(*object);
    Hash_Ref ref;
    ref.cache_hash = reader.text("cache_hash");
    for (auto const& item : reader.array("cache_ids")) {
        auto const* version = item.if_object();
        if (version == nullptr) {
            reader.refuse("cache_ids");
            break;
        }
        Reader members(*version);
        ref.versions.push_back({std::string(members.text("cache_id")), members.time("timestamp")});
        if (!members.good())
            reader.refuse("cache_ids");
    }
    ref.latest_id = reader.text("latest_id");
    ref.total_versions = reader.signed_number("total_versions");
    return reader.checked(std::move(ref), what);
}

auto Id_Ref::path(std::string_view ns, std::string_view cache_id) -> std::string {
    auto path = namespace_prefix(ns).append("refs/by-id/").append(shard_folders(cache_id));
    return path.append("/").append(cache_id).append(".json");
}

auto Id_Ref::document() const -> Bytes {
    Document out(2);
    out.open();
    out.name("all_paths").open();
    out.name("data").texts(all_paths.data);
    out.name("by_hash").texts({all_paths.by_hash});
    out.name("by_id").texts({all_paths.by_id});
    out.close();
    out.name("cache_id").text(cache_id);
    out.name("cache_hash").text(cache_hash);
    out.name("file_paths").open();
    out.name("content_files").texts(content_files);
    out.name("data_folders").texts(data_folders);
    out.close();
    out.name("file_type").text(file_type);
    out.name("namespace").text(ns);
    out.name("strategy").text(strategy);
    out.name("timestamp").number(to_millis(stored_at));
    if (source_value)
        out.name("source_value").value(*source_value);
    return out.close().take();
}

auto Id_Ref::parse(Byte_View text) -> Result<Id_Ref> {
    constexpr std::string_view what = "the reference of an id";
    auto const object = parse_object(text, what);
    if (!object)
        return object.error();
    Reader reader(*object);
    Reader paths(reader.object("all_paths"));
    Reader files(reader.object("file_paths"));
    Id_Ref ref;
    auto const one = [&](std::string_view name) {
        auto const all = paths.texts(name);
        if (all.size() != 1)
            paths.refuse(name);
        return all.empty() ? std::string() : all.front();
    };
    ref.all_paths = {paths.texts("data"), one("by_hash"), one("by_id")};
    ref.cache_id = reader.text("cache_id");
    ref.cache_hash = reader.text("cache_hash");
    ref.content_files = files.texts("content_files");
    ref.data_folders = files.texts("data_folders");
    ref.file_type = reader.text("file_type");
    ref.ns = reader.text("namespace");
    ref.strategy = reader.text("strategy");
    ref.stored_at = reader.time("timestamp");
    if (object->contains("source_value")) {
        // Read from the text again: Boost.JSON does not keep what Python's numbers and strings can hold.
        auto const whole = Python_Json::parse(text);
        if (!whole)
            return fail(Errc::corrupt_data, std::string(what) + ": " + whole.error().context);
        ref.source_value = *whole->find("source_value");
    }
    if (!paths.good())
        reader.refuse("all_paths");
    auto const data = namespace_prefix(ref.ns).append("data/");
    auto const refs = namespace_prefix(ref.ns).append("refs/");
    for (auto const* list : {&ref.all_paths.data, &ref.content_files, &ref.data_folders})
        for (auto const& path : *list)
            if (!is_within(path, data))
                reader.refuse("file_paths");
    if (!files.good() || !is_within(ref.all_paths.by_hash, refs) || !is_within(ref.all_paths.by_id, refs))
        reader.refuse("file_paths");
    return reader.checked(std::move(ref), what);
}

} // namespace memfs_cache
