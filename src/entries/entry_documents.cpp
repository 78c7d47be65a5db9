// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/entries/entry_documents.hpp>
#include <memfs_cache/entries/entry_names.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <variant>

namespace memfs_cache {
namespace {

constexpr std::array<std::string_view, 5> strategy_names{"direct", "temporal", "temporal_latest", "temporal_versioned",
                                                         "key_based"};

auto join(std::string_view folder, std::string_view name) -> std::string {
    std::string path;
    path.reserve(folder.size() + 1 + name.size());
    return path.append(folder).append(folder.ends_with('/') ? "" : "/").append(name);
}

auto reference_path(std::string_view ns, std::string_view kind, std::string_view name) -> std::string {
    constexpr std::size_t rest_bytes = 16; // shards, slashes and the extension
    std::string path;
    path.reserve(ns.size() + kind.size() + name.size() + rest_bytes);
    if (!ns.empty())
        path.append(ns).append("/");
    return path.append(kind).append(shard_folders(name)).append("/").append(name).append(".json");
}

/// A document as it looks, with a '$' for each value that goes into it.
class Form {
  public:
    /// @param  indent_blanks  of each level
    Form(std::string_view text, std::size_t indent_blanks) : rest_(text), indent_(indent_blanks) {
        constexpr std::size_t values_bytes = 512; // most have no more
        out_.reserve(text.size() + values_bytes);
    }

    auto text(std::string_view text) -> Form& {
        begin_value();
        append_ascii_json_string(out_, text);
        return *this;
    }
    auto maybe_text(std::optional<std::string> const& maybe) -> Form& {
        if (maybe)
            return text(*maybe);
        begin_value();
        out_ += "null";
        return *this;
    }
    auto number(std::int64_t number) -> Form& {
        begin_value();
        append_json_number(out_, number);
        return *this;
    }
    auto texts(std::vector<std::string> const& items) -> Form& {
        return list(items, [this](std::string const& item) { append_ascii_json_string(out_, item); });
    }
    auto versions(std::vector<Hash_Ref::Version> const& items) -> Form& {
        return list(items, [this](Hash_Ref::Version const& version) {
            constexpr std::string_view form = R"({
      "cache_id": $,
      "timestamp": $
    })";
            out_ += Form(form, indent_).text(version.cache_id).number(to_millis(version.stored_at)).take();
        });
    }
    /// A value of any kind; its lines stand as deep as the one that it begins in.
    auto value(Python_Json const& value) -> Form& {
        begin_value();
        auto const blanks = blanks_of_line();
        auto const text = value.render({.indent_blanks = indent_});
        for (char const c : text) {
            out_.push_back(c);
            if (c == '\n')
                out_.append(blanks, ' ');
        }
        return *this;
    }
    auto take() -> Bytes { return std::move(out_.append(rest_)); }

  private:
    void begin_value() {
        auto const place = rest_.find('$');
        out_.append(rest_.substr(0, place));
        rest_.remove_prefix(place + 1);
    }
    template <class Item, class Write>
    auto list(std::vector<Item> const& items, Write&& write) -> Form& {
        begin_value();
        auto const blanks = blanks_of_line();
        out_.push_back('[');
        for (auto const& item : items) {
            out_ += &item == items.data() ? "\n" : ",\n";
            out_.append(blanks + indent_, ' ');
            write(item);
        }
        if (!items.empty())
            out_.append("\n").append(blanks, ' ');
        out_.push_back(']');
        return *this;
    }
    [[nodiscard]] auto blanks_of_line() const -> std::size_t {
        auto const begin = out_.rfind('\n') + 1;
        return out_.find_first_not_of(' ', begin) - begin;
    }

    std::string_view rest_;
    std::size_t indent_;
    Bytes out_;
};

/// Where a member of a document goes. A text that may be null may be missing, too.
struct Field;
using Place = std::variant<std::string*,
                           std::optional<std::string>*,
                           std::int64_t*,
                           std::uint64_t*,
                           Utc_Time*,
                           std::optional<Python_Json>*,
                           std::vector<std::string>*,
                           std::vector<Hash_Ref::Version>*,
                           std::span<Field const>>;
struct Field {
    std::string_view name;
    Place place;
};

/// Reads a document in one pass, each member into its place; members that nobody asks for are passed over.
class Reader {
  public:
    /// @param  fields  at most 32, best in the order in which they stand there
    /// @errors corrupt_data, naming a member that is missing or wrong
    static auto read(std::string_view text, std::string_view what, std::span<Field const> fields) -> Result<void> {
        Reader reader;
        Json_Scanner object(text);
        if (reader.members(object, fields))
            return {};
        return fail(Errc::corrupt_data,
                    std::string(what) + (reader.wrong_.empty()
                                             ? " does not hold one JSON object"
                                             : ": member '" + std::string(reader.wrong_) + "' is wrong"));
    }

  private:
    using Member = Json_Scanner::Member;

    auto members(Json_Scanner& object, std::span<Field const> fields) -> bool {
        std::uint32_t found = 0;
        std::size_t next = 0;
        for (Member member; object.next_or_enter(member, fields[next].name);) {
            auto at = next;
            if (!member.likely)
                for (at = 0; at < fields.size() && fields[at].name != member.name;)
                    ++at;
            if (at == fields.size()) {
                if (member.kind == Json_Scanner::Kind::nested && !object.skip(member))
                    return false;
                continue;
            }
            if (!std::visit([&](auto const& place) { return take(object, member, place); }, fields[at].place)) {
                if (wrong_.empty())
                    wrong_ = fields[at].name;
                return false;
            }
            found |= std::uint32_t{1} << at;
            next = (at + 1) % fields.size();
        }
        for (std::size_t i = 0; i < fields.size(); ++i)
            if ((found >> i & 1) == 0 && !may_be_missing(fields[i].place)) {
                wrong_ = fields[i].name;
                return false;
            }
        return object.good();
    }
    static auto may_be_missing(Place const& place) -> bool {
        return std::holds_alternative<std::optional<std::string>*>(place) ||
               std::holds_alternative<std::optional<Python_Json>*>(place);
    }

    static auto take(Json_Scanner&, Member const& value, std::string* place) -> bool {
        if (value.kind != Json_Scanner::Kind::string)
            return false;
        if (value.escaped)
            return append_unescaped(*place, value.text);
        place->assign(value.text);
        return is_utf8(*place);
    }
    static auto take(Json_Scanner& object, Member const& value, std::optional<std::string>* place) -> bool {
        return value.kind == Json_Scanner::Kind::null || take(object, value, &place->emplace());
    }
    static auto take(Json_Scanner&, Member const& value, std::int64_t* place) -> bool {
        auto const number = parse_json_integer(value.text);
        *place = number.value_or(0);
        return value.kind == Json_Scanner::Kind::number && number;
    }
    static auto take(Json_Scanner& object, Member const& value, std::uint64_t* place) -> bool {
        std::int64_t number = 0;
        bool const good = take(object, value, &number) && number >= 0;
        *place = static_cast<std::uint64_t>(number);
        return good;
    }
    static auto take(Json_Scanner& object, Member const& value, Utc_Time* place) -> bool {
        std::int64_t millis = 0;
        bool const good = take(object, value, &millis);
        *place = from_millis(millis);
        return good;
    }
    static auto take(Json_Scanner& object, Member& value, std::optional<Python_Json>* place) -> bool {
        if (value.kind == Json_Scanner::Kind::nested && !object.skip(value))
            return false;
        bool const quoted = value.kind == Json_Scanner::Kind::string;
        auto parsed =
            Python_Json::parse(quoted ? std::string_view(value.text.data() - 1, value.text.size() + 2) : value.text);
        if (parsed)
            *place = *std::move(parsed);
        return parsed.has_value();
    }
    auto take(Json_Scanner& object, Member const& value, std::vector<std::string>* place) -> bool {
        return each_item(object, value, [&](Json_Scanner& items, Member const& item) {
            return take(items, item, &place->emplace_back());
        });
    }
    auto take(Json_Scanner& object, Member const& value, std::vector<Hash_Ref::Version>* place) -> bool {
        return each_item(object, value, [&](Json_Scanner& items, Member const& item) {
            auto& version = place->emplace_back();
            std::array<Field, 2> const fields{{{"cache_id", &version.cache_id}, {"timestamp", &version.stored_at}}};
            return take(items, item, std::span<Field const>(fields));
        });
    }
    auto take(Json_Scanner& object, Member const& value, std::span<Field const> fields) -> bool {
        if (value.kind != Json_Scanner::Kind::nested)
            return false;
        auto nested = object.enter();
        return members(nested, fields) && object.leave(nested);
    }
    template <class Take>
    static auto each_item(Json_Scanner& object, Member const& value, Take&& take_item) -> bool {
        if (value.kind != Json_Scanner::Kind::nested)
            return false;
        auto items = object.enter();
        for (Member item; items.next_or_enter(item);)
            if (!take_item(items, item))
                return false;
        return object.leave(items);
    }

    std::string_view wrong_;
};

constexpr std::string_view reference_of_an_id = "the reference of an id";

auto leads_out() -> Error {
    return fail(Errc::corrupt_data,
                std::string(reference_of_an_id) + ": a path is missing or leads out of its namespace");
}

/// May these paths of an Id_Ref be followed?
auto are_within(std::vector<std::string> const& paths, std::string_view ns, std::string_view folder) -> bool {
    auto const prefix = namespace_prefix(ns).append(folder);
    return std::all_of(paths.begin(), paths.end(), [&](std::string const& path) {
        return path.starts_with(prefix) && Storage_Key::is_valid(path);
    });
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
    constexpr std::string_view of_json = R"({
    "exists_strategy": "first",
    "file_id": $,
    "file_key": $,
    "file_paths": $,
    "file_type": {
        "name": "json",
        "content_type": "application/json; charset=utf-8",
        "file_extension": "json",
        "encoding": "utf-8",
        "serialization": "json"
    }
})";
    constexpr std::string_view of_bytes = R"({
    "exists_strategy": "first",
    "file_id": $,
    "file_key": $,
    "file_paths": $,
    "file_type": {
        "name": "binary",
        "content_type": "application/octet-stream",
        "file_extension": "bin",
        "encoding": null,
        "serialization": "binary"
    }
})";
    return Form(folders.is_json ? of_json : of_bytes, 4)
        .text(folders.file_id)
        .text(cache_key)
        .texts(folders.folders)
        .take();
}

auto Entry_Metadata::document() const -> Bytes {
    constexpr std::string_view form = R"({
    "content__hash": $,
    "chain_hash": null,
    "previous_version_path": null,
    "content__size": $,
    "tags": [],
    "timestamp": $,
    "data": {
        "cache_hash": $,
        "cache_key": $,
        "cache_id": $,
        "content_encoding": $,
        "file_id": $,
        "file_type": $,
        "json_field_path": $,
        "namespace": $,
        "stored_at": $,
        "strategy": $
    }
})";
    return Form(form, 4)
        .text(content_hash)
        .number(static_cast<std::int64_t>(content_size_bytes))
        .number(to_millis(written_at))
        .text(cache_hash)
        .text(cache_key)
        .text(cache_id)
        .maybe_text(content_encoding)
        .text(file_id)
        .text(file_type)
        .maybe_text(json_field_path)
        .text(ns)
        .number(to_millis(stored_at))
        .text(strategy)
        .take();
}

auto Entry_Metadata::parse(Byte_View text) -> Result<Entry_Metadata> {
    Entry_Metadata metadata;
    Field const data[] = {{"cache_hash", &metadata.cache_hash},
                          {"cache_key", &metadata.cache_key},
                          {"cache_id", &metadata.cache_id},
                          {"content_encoding", &metadata.content_encoding},
                          {"file_id", &metadata.file_id},
                          {"file_type", &metadata.file_type},
                          {"json_field_path", &metadata.json_field_path},
                          {"namespace", &metadata.ns},
                          {"stored_at", &metadata.stored_at},
                          {"strategy", &metadata.strategy}};
    Field const fields[] = {{"content__hash", &metadata.content_hash},
                            {"content__size", &metadata.content_size_bytes},
                            {"timestamp", &metadata.written_at},
                            {"data", std::span<Field const>(data)}};
    if (auto const read = Reader::read(text, "the metadata of an entry", fields); !read)
        return read.error();
    return metadata;
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
    return reference_path(ns, "refs/by-hash/", cache_hash);
}

auto Hash_Ref::document() const -> Bytes {
    constexpr std::string_view form = R"({
  "cache_hash": $,
  "cache_ids": $,
  "latest_id": $,
  "total_versions": $
})";
    return Form(form, 2).text(cache_hash).versions(versions).text(latest_id).number(total_versions).take();
}

auto Hash_Ref::parse(Byte_View text) -> Result<Hash_Ref> {
    Hash_Ref ref;
    Field const fields[] = {{"cache_hash", &ref.cache_hash},
                            {"cache_ids", &ref.versions},
                            {"latest_id", &ref.latest_id},
                            {"total_versions", &ref.total_versions}};
    if (auto const read = Reader::read(text, "the reference of a hash", fields); !read)
        return read.error();
    return ref;
}

auto Id_Ref::path(std::string_view ns, std::string_view cache_id) -> std::string {
    return reference_path(ns, "refs/by-id/", cache_id);
}

auto Id_Ref::document() const -> Bytes {
    constexpr std::string_view form = R"({
  "all_paths": {
    "data": $,
    "by_hash": [
      $
    ],
    "by_id": [
      $
    ]
  },
  "cache_id": $,
  "cache_hash": $,
  "file_paths": {
    "content_files": $,
    "data_folders": $
  },
  "file_type": $,
  "namespace": $,
  "strategy": $,
  "timestamp": $)";
    constexpr std::string_view source_form = R"(,
  "source_value": $)";
    auto document = Form(form, 2)
                        .texts(all_paths.data)
                        .text(all_paths.by_hash)
                        .text(all_paths.by_id)
                        .text(cache_id)
                        .text(cache_hash)
                        .texts(content_files)
                        .texts(data_folders)
                        .text(file_type)
                        .text(ns)
                        .text(strategy)
                        .number(to_millis(stored_at))
                        .take();
    if (source_value)
        document += Form(source_form, 2).value(*source_value).take();
    return document += "\n}";
}

auto Id_Ref::parse(Byte_View text) -> Result<Id_Ref> {
    Id_Ref ref;
    std::vector<std::string> by_hash, by_id;
    Field const paths[] = {{"data", &ref.all_paths.data}, {"by_hash", &by_hash}, {"by_id", &by_id}};
    Field const files[] = {{"content_files", &ref.content_files}, {"data_folders", &ref.data_folders}};
    Field const fields[] = {{"all_paths", std::span<Field const>(paths)},
                            {"cache_id", &ref.cache_id},
                            {"cache_hash", &ref.cache_hash},
                            {"file_paths", std::span<Field const>(files)},
                            {"file_type", &ref.file_type},
                            {"namespace", &ref.ns},
                            {"strategy", &ref.strategy},
                            {"timestamp", &ref.stored_at},
                            {"source_value", &ref.source_value}};
    if (auto const read = Reader::read(text, reference_of_an_id, fields); !read)
        return read.error();
    bool good = by_hash.size() == 1 && by_id.size() == 1 && are_within(by_hash, ref.ns, "refs/") &&
                are_within(by_id, ref.ns, "refs/");
    for (auto const* list : {&ref.all_paths.data, &ref.content_files, &ref.data_folders})
        good = good && are_within(*list, ref.ns, "data/");
    if (!good)
        return leads_out();
    ref.all_paths.by_hash = std::move(by_hash.front());
    ref.all_paths.by_id = std::move(by_id.front());
    return ref;
}

auto Id_Ref::parse_content_files(Byte_View text, std::string_view ns) -> Result<std::vector<std::string>> {
    std::string its_namespace;
    std::vector<std::string> content_files;
    Field const files[] = {{"content_files", &content_files}};
    Field const fields[] = {{"file_paths", std::span<Field const>(files)}, {"namespace", &its_namespace}};
    if (auto const read = Reader::read(text, reference_of_an_id, fields); !read)
        return read.error();
    if (its_namespace != ns || !are_within(content_files, ns, "data/"))
        return leads_out();
    return content_files;
}

} // namespace memfs_cache
