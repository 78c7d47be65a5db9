// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/entries/entry_documents.hpp>
#include <memfs_cache/entries/entry_names.hpp>
#include <memfs_cache/entries/entry_value.hpp>
#include <memfs_cache/storage/update.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <functional>
#include <set>

namespace memfs_cache {

/// What a store may say beyond the value. Texts that are empty are not given.
struct Entry_Options {
    std::string cache_hash = {}; ///< otherwise computed: of a text or bytes as they are, of a document or a field of it
    std::optional<Cache_Id> cache_id = {}; ///< otherwise a new one
    std::string cache_key = {};            ///< shapes the path of key_based entries; of others it is only kept
    std::string file_id = {};              ///< otherwise the cache_id; the same again overwrites the content
    std::string json_field_path = {};      ///< of a document: the field to hash, see Cache_Hash::from_json_field
    std::string content_encoding = {};     ///< of bytes; "gzip": hashed and given back unpacked, stored as they are
};

struct Stored_Entry {
    std::string cache_id;
    std::string cache_hash;
    std::string ns;
    Entry_Paths paths;            ///< below the root prefix
    std::uint64_t size_bytes = 0; ///< of the content file
};

struct Retrieved_Entry {
    Entry_Value value;
    Entry_Metadata metadata;
};

struct Updated_Entry {
    std::string cache_id;
    std::string cache_hash; ///< as it was stored; an update does not change what the entry is found by
    std::string ns;
    std::vector<std::string> paths; ///< the content files
    std::uint64_t size_bytes = 0;
    Utc_Time updated_at;
};

struct Deleted_Entry {
    std::string cache_id;
    std::vector<std::string> deleted_paths; ///< data, then the reference of the hash if it went, then that of the id
    std::vector<std::string> missing_paths; ///< of the entry, but not there any more
};

/// Files that belong to an entry beside its content: named by a key, an id and their type.
struct Child_Name {
    std::string data_key; ///< folders, may be empty
    std::string data_file_id;
};

struct Stored_Child {
    std::string cache_id;
    std::string ns;
    std::string data_key;     ///< cleaned, with blanks; the folders have '-' for them
    std::string data_file_id; ///< cleaned, or the one that was made
    std::vector<std::string> paths;
    std::uint64_t size_bytes = 0;
};

struct Child_File {
    std::string data_file_id;
    std::string data_key; ///< the folders between
    Entry_Value::Kind type = Entry_Value::Kind::binary;
    std::string path;
    std::string extension;
    std::uint64_t size_bytes = 0;
};

/// Application values as files: an id, a hash, content and what describes it. The files are those of the Python
/// reference, byte for byte, so that both can work on one storage: docs/format.md, "Entries", which also lists where
/// this one is deliberately better.
///
/// Names   namespaces, keys and ids are cleaned by entry_names.hpp before use; the results hold the cleaned ones.
/// Threads   every call from any thread, and from any number of processes: each file is replaced as a whole, and two
///           stores of one hash at once lose neither id. Of two stores into the same file the later one stays.
/// Errors  absent is not an error: nothing is returned. invalid_argument for names that cannot be cleaned,
///         corrupt_data for files that are no files of entries, and what the storage says. After an error some files of
///         the entry may be written; those that it is found by are written last, so nothing finds them.
/// Cost    a store writes 5 (direct, temporal, key_based), 8 (temporal_latest) or 11 (temporal_versioned) files, under a
///         hash that is known already with a read and a write more; a retrieval reads 3 by id and 4 by hash.
template <StorageBackend Storage>
class Entry_Store {
  public:
    using New_Id = std::function<Cache_Id()>;

    /// @param  root_prefix  everything lies below it; "" for the root itself
    /// @param  storage      must outlive this
    Entry_Store(Storage& storage, std::string_view root_prefix, Clock_Ptr clock, New_Id new_id = &Cache_Id::generate)
        : storage_(storage), root_(namespace_prefix(root_prefix)), clock_(std::move(clock)),
          new_id_(std::move(new_id)) {}

    /// Stores a value as a new entry, or as a new version of what has the same hash.
    /// @errors invalid_argument also for an empty text, for no bytes and for a field that is not there; corrupt_data for
    ///         broken gzip
    [[nodiscard]] auto
    store(std::string_view ns, Entry_Strategy strategy, Entry_Value const& value, Entry_Options const& options = {})
        -> Result<Stored_Entry> {
        auto metadata = describe(ns, strategy, value, options);
        if (!metadata)
            return metadata.error();
        auto const content = value.content(store_indent);
        metadata->content_hash = content_hash_.from_bytes(content);
        metadata->content_size_bytes = content.size();
        auto const folders = Entry_Folders::of(strategy, metadata->ns, metadata->cache_key, metadata->file_id,
                                               value.is_json_file(), metadata->stored_at);
        auto ref = reference(*metadata, folders);
        auto const config = config_document(folders, metadata->cache_key);
        auto const described = metadata->document();
        for (auto const& file : ref.content_files)
            if (auto const done = put_copy(file, config, content, described); !done)
                return done.error();
        // The two that it is found by come last, and the one of the hash after the one that it points to.
        if (auto const done = put(ref.all_paths.by_id, ref.document()); !done)
            return done.error();
        if (auto const done = add_to_hash(ref); !done)
            return done.error();
        return Stored_Entry{ref.cache_id, ref.cache_hash, ref.ns, std::move(ref.all_paths), content.size()};
    }

    /// The hash that a source value is found by: of a text its own, of anything else that of its JSON text.
    [[nodiscard]] auto hash_of_source(Python_Json const& source_value) const -> Result<std::string> {
        if (auto const* text = source_value.get_if<std::string>())
            return hash_.from_string(*text);
        return hash_.from_json(source_value);
    }

    /// An id for a source value, without content: found by hash_of_source(), and told apart from other values of that
    /// hash by the value itself. The same value again gives the same id, also from several processes at
    /// once.
    /// @param  source_value  a text, or any other JSON value
    /// @errors invalid_argument for an empty text
    /// Cost    one read for each value of that hash; two writes for a new one
    [[nodiscard]] auto create(std::string_view ns, Python_Json const& source_value) -> Result<Cache_Id> {
        auto cache_hash = hash_of_source(source_value);
        if (!cache_hash)
            return cache_hash.error();
        auto cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        auto const cache_id = new_id_();
        Id_Ref ref;
        ref.cache_id = cache_id.str();
        ref.cache_hash = *std::move(cache_hash);
        ref.file_type = "json";
        ref.ns = *std::move(cleaned);
        ref.strategy = to_text(Entry_Strategy::direct);
        ref.stored_at = clock_->now();
        ref.source_value = source_value;
        ref.all_paths = {{}, Hash_Ref::path(ref.ns, ref.cache_hash), Id_Ref::path(ref.ns, ref.cache_id)};
        // The value is looked for in the very list that the new id is then put into, so two callers cannot both add it.
        std::optional<Cache_Id> known;
        bool written = false;
        auto const added = change_hash(ref, [&](Hash_Ref& by_hash) -> Result<bool> {
            auto found = with_source(ref.ns, by_hash, source_value);
            if (!found)
                return found.error();
            known = *std::move(found);
            if (known)
                return false;
            if (!std::exchange(written, true))
                if (auto const done = put(ref.all_paths.by_id, ref.document()); !done)
                    return done.error();
            by_hash.add(ref.cache_id, ref.stored_at);
            return true;
        });
        if (!added)
            return added.error();
        if (!known)
            return cache_id;
        if (written && *known != cache_id)
            if (auto const gone = storage_.erase(key(ref.all_paths.by_id), Precondition::none()); !gone)
                return gone.error();
        return *known;
    }

    /// The id that create() gave for a source value of this hash; without a value the one that was stored last under it.
    [[nodiscard]] auto lookup(std::string_view ns,
                              std::string_view cache_hash,
                              std::optional<Python_Json> const& source_value = std::nullopt) const
        -> Result<std::optional<Cache_Id>> {
        auto const by_hash = hash_ref(ns, cache_hash);
        if (!by_hash)
            return by_hash.error();
        if (!*by_hash)
            return std::optional<Cache_Id>();
        auto const& [cleaned, refs] = **by_hash;
        if (source_value)
            return with_source(cleaned, refs, *source_value);
        auto const latest = Cache_Id::parse(refs.latest_id);
        if (!latest)
            return fail(Errc::corrupt_data, "the reference of a hash names an id that is none");
        return std::optional(*latest);
    }

    [[nodiscard]] auto retrieve(std::string_view ns, Cache_Id const& cache_id) const
        -> Result<std::optional<Retrieved_Entry>> {
        auto const cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        return retrieve_cleaned(*cleaned, cache_id.str());
    }

    /// The entry that was stored last under a hash.
    [[nodiscard]] auto retrieve_by_hash(std::string_view ns, std::string_view cache_hash) const
        -> Result<std::optional<Retrieved_Entry>> {
        auto const by_hash = hash_ref(ns, cache_hash);
        if (!by_hash)
            return by_hash.error();
        if (!*by_hash)
            return std::optional<Retrieved_Entry>();
        return retrieve_cleaned((*by_hash)->first, (*by_hash)->second.latest_id);
    }

    /// The documents that an entry and a hash are found by.
    [[nodiscard]] auto id_ref(std::string_view ns, Cache_Id const& cache_id) const -> Result<std::optional<Id_Ref>> {
        return find(ns, cache_id.str());
    }
    [[nodiscard]] auto hash_refs(std::string_view ns, std::string_view cache_hash) const
        -> Result<std::optional<Hash_Ref>> {
        auto found = hash_ref(ns, cache_hash);
        if (!found)
            return found.error();
        return *found ? std::optional<Hash_Ref>(std::move((*found)->second)) : std::nullopt;
    }

    /// Replaces the content of an entry in all its copies. What it is found by and what describes it stay as they were,
    /// as in the reference; a value of another kind is written into the file that is there.
    [[nodiscard]] auto update(std::string_view ns, Cache_Id const& cache_id, Entry_Value const& value)
        -> Result<std::optional<Updated_Entry>> {
        if (value.is_empty())
            return nothing_to_store();
        auto ref = find(ns, cache_id.str());
        if (!ref)
            return ref.error();
        if (!*ref)
            return std::optional<Updated_Entry>();
        auto const content = value.content(update_indent);
        for (auto const& file : (*ref)->content_files)
            if (auto const done = put(file, content); !done)
                return done.error();
        return std::optional<Updated_Entry>({(*ref)->cache_id, (*ref)->cache_hash, (*ref)->ns,
                                             std::move((*ref)->content_files), content.size(), clock_->now()});
    }

    /// Deletes an entry and takes it out of the versions of its hash. Content that another entry has overwritten since
    /// belongs to that one and stays. Child data stays, as in the reference: call data_delete_all() before.
    /// Repeating a delete that failed in the middle finishes it.
    [[nodiscard]] auto remove(std::string_view ns, Cache_Id const& cache_id) -> Result<std::optional<Deleted_Entry>> {
        auto const found = find(ns, cache_id.str());
        if (!found)
            return found.error();
        if (!*found)
            return std::optional<Deleted_Entry>();
        auto const& ref = **found;
        Deleted_Entry deleted{ref.cache_id, {}, {}};
        auto const taken = content_of_others(ref);
        if (!taken)
            return taken.error();
        for (auto const& path : ref.all_paths.data) {
            if (taken->contains(content_file_of(path)))
                continue;
            auto const gone = storage_.erase(key(path), Precondition::none());
            if (!gone)
                return gone.error();
            (*gone ? deleted.deleted_paths : deleted.missing_paths).push_back(path);
        }
        auto const hash_gone = remove_from_hash(ref);
        if (!hash_gone)
            return hash_gone.error();
        if (*hash_gone)
            deleted.deleted_paths.push_back(ref.all_paths.by_hash);
        auto const id_gone = storage_.erase(key(ref.all_paths.by_id), Precondition::none());
        if (!id_gone)
            return id_gone.error();
        deleted.deleted_paths.push_back(ref.all_paths.by_id);
        return std::optional(std::move(deleted));
    }

    [[nodiscard]] auto exists(std::string_view ns, Cache_Id const& cache_id) const -> Result<bool> {
        auto const cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        return memfs_cache::exists(storage_, root_ + Id_Ref::path(*cleaned, cache_id.str()));
    }
    [[nodiscard]] auto exists(std::string_view ns, std::string_view cache_hash) const -> Result<bool> {
        auto const cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        if (auto const good = check_cache_hash(cache_hash); !good)
            return good.error();
        return memfs_cache::exists(storage_, root_ + Hash_Ref::path(*cleaned, cache_hash));
    }

    /// Stores child data beside every copy of an entry's content, over what had the same name and type.
    /// @param  name  without a data_file_id a new one is made
    [[nodiscard]] auto
    data_store(std::string_view ns, Cache_Id const& cache_id, Entry_Value const& value, Child_Name const& name = {})
        -> Result<std::optional<Stored_Child>> {
        auto child = locate_child(ns, cache_id, value.kind(), name);
        if (!child)
            return child.error();
        if (!*child)
            return std::optional<Stored_Child>();
        auto const content = child_content(value);
        for (auto const& path : (*child)->paths)
            if (auto const done = put(path, content); !done)
                return done.error();
        (*child)->size_bytes = content.size();
        return child;
    }

    /// The first copy of child data. A type other than it was stored with finds nothing.
    /// @errors corrupt_data if JSON is asked for and the file holds something else
    [[nodiscard]] auto
    data_retrieve(std::string_view ns, Cache_Id const& cache_id, Entry_Value::Kind kind, Child_Name const& name) const
        -> Result<std::optional<Entry_Value>> {
        auto const child = locate_named_child(ns, cache_id, kind, name);
        if (!child)
            return child.error();
        if (*child)
            for (auto const& path : (*child)->paths) {
                auto found = storage_.get(key(path));
                if (!found)
                    return found.error();
                if (*found)
                    return read_child(std::move((*found)->bytes), kind);
            }
        return std::optional<Entry_Value>();
    }

    /// Overwrites child data where it is; nothing if it is nowhere.
    [[nodiscard]] auto
    data_update(std::string_view ns, Cache_Id const& cache_id, Entry_Value const& value, Child_Name const& name)
        -> Result<std::optional<Stored_Child>> {
        auto child = locate_named_child(ns, cache_id, value.kind(), name);
        if (!child)
            return child.error();
        if (!*child)
            return child;
        auto const content = child_content(value);
        std::vector<std::string> written;
        for (auto& path : (*child)->paths) {
            auto const there = memfs_cache::exists(storage_, root_ + path);
            if (!there)
                return there.error();
            if (!*there)
                continue;
            if (auto const done = put(path, content); !done)
                return done.error();
            written.push_back(std::move(path));
        }
        if (written.empty())
            return std::optional<Stored_Child>();
        (*child)->paths = std::move(written);
        (*child)->size_bytes = content.size();
        return child;
    }

    [[nodiscard]] auto
    data_exists(std::string_view ns, Cache_Id const& cache_id, Entry_Value::Kind kind, Child_Name const& name) const
        -> Result<bool> {
        auto const child = locate_named_child(ns, cache_id, kind, name);
        if (!child)
            return child.error();
        if (*child)
            for (auto const& path : (*child)->paths) {
                auto const there = memfs_cache::exists(storage_, root_ + path);
                if (!there || *there)
                    return there;
            }
        return false;
    }

    /// @return whether any copy was there
    [[nodiscard]] auto
    data_delete(std::string_view ns, Cache_Id const& cache_id, Entry_Value::Kind kind, Child_Name const& name)
        -> Result<bool> {
        auto const child = locate_named_child(ns, cache_id, kind, name);
        if (!child)
            return child.error();
        bool any = false;
        if (*child)
            for (auto const& path : (*child)->paths) {
                auto const gone = storage_.erase(key(path), Precondition::none());
                if (!gone)
                    return gone.error();
                any = any || *gone;
            }
        return any;
    }

    /// Every child file of every copy, by folder and then in byte order; nothing if there is no such entry.
    /// @param  data_key   only those below it; "" for all
    /// @param  recursive  false: only those right in the folder
    [[nodiscard]] auto data_list(std::string_view ns,
                                 Cache_Id const& cache_id,
                                 std::string_view data_key = "",
                                 bool recursive = true) const -> Result<std::optional<std::vector<Child_File>>> {
        auto const cleaned = clean_data_key(data_key);
        if (!cleaned)
            return cleaned.error();
        auto const ref = find(ns, cache_id.str());
        if (!ref)
            return ref.error();
        if (!*ref)
            return std::optional<std::vector<Child_File>>();
        auto const below = data_folder(*cleaned);
        std::vector<Child_File> files;
        for (auto const& folder : (*ref)->data_folders) {
            auto const base = root_ + folder + "/";
            List_Query query{below.empty() ? base : base + below + "/", {}, 10'000};
            do {
                auto page = storage_.list(query);
                if (!page)
                    return page.error();
                for (auto const& item : page->items) {
                    bool const deeper = item.key.find('/', query.prefix.size()) != std::string::npos;
                    if ((recursive || !deeper) && !item.key.ends_with(config_suffix) &&
                        !item.key.ends_with(metadata_suffix))
                        files.push_back(child_file(item, base.size()));
                }
                query.start_after = std::move(page->next);
            } while (!query.start_after.empty());
        }
        return std::optional(std::move(files));
    }

    /// @return the paths that were deleted; empty also if there is no such entry
    [[nodiscard]] auto data_delete_all(std::string_view ns, Cache_Id const& cache_id, std::string_view data_key = "")
        -> Result<std::vector<std::string>> {
        auto const files = data_list(ns, cache_id, data_key);
        if (!files)
            return files.error();
        std::vector<std::string> deleted;
        if (*files)
            for (auto const& file : **files) {
                auto const gone = storage_.erase(key(file.path), Precondition::none());
                if (!gone)
                    return gone.error();
                if (*gone)
                    deleted.push_back(file.path);
            }
        return deleted;
    }

  private:
    static constexpr std::size_t store_indent = 2;
    static constexpr std::size_t update_indent = 4;
    static constexpr std::string_view gzip = "gzip";

    [[nodiscard]] auto key(std::string_view path) const -> Storage_Key { return Storage_Key(full(path)); }
    [[nodiscard]] auto full(std::string_view path, std::string_view suffix = {}) const -> std::string {
        std::string whole;
        whole.reserve(root_.size() + path.size() + suffix.size());
        return whole.append(root_).append(path).append(suffix);
    }

    static auto nothing_to_store() -> Error {
        return fail(Errc::invalid_argument, "the value is empty; an entry needs at least one character or byte");
    }

    /// Everything about a new entry but its content.
    auto
    describe(std::string_view ns, Entry_Strategy strategy, Entry_Value const& value, Entry_Options const& options) const
        -> Result<Entry_Metadata> {
        if (value.is_empty())
            return nothing_to_store();
        Entry_Metadata metadata;
        for (auto const& [text, to, cleaned] : {std::tuple{ns, &metadata.ns, clean_entry_name(ns, "namespace")},
                                                std::tuple{std::string_view(options.file_id), &metadata.file_id,
                                                           clean_file_id(options.file_id, "file_id")},
                                                std::tuple{std::string_view(options.cache_key), &metadata.cache_key,
                                                           clean_cache_key(options.cache_key)}}) {
            if (!cleaned)
                return cleaned.error();
            *to = *cleaned;
        }
        auto const encoding = clean_entry_name(options.content_encoding, "content_encoding");
        if (!encoding)
            return encoding.error();
        if (!encoding->empty())
            metadata.content_encoding = *encoding;
        if (!options.json_field_path.empty())
            metadata.json_field_path = options.json_field_path;
        auto cache_hash = hash_of(value, options, *encoding);
        if (!cache_hash)
            return cache_hash.error();
        metadata.cache_hash = *std::move(cache_hash);
        metadata.cache_id = (options.cache_id ? *options.cache_id : new_id_()).str();
        if (metadata.file_id.empty())
            metadata.file_id = metadata.cache_id;
        metadata.file_type = value.is_json_file() ? "json" : "binary";
        metadata.strategy = to_text(strategy);
        metadata.stored_at = metadata.written_at = clock_->now();
        return metadata;
    }

    auto hash_of(Entry_Value const& value, Entry_Options const& options, std::string_view encoding) const
        -> Result<std::string> {
        if (!options.cache_hash.empty()) {
            if (auto const good = check_cache_hash(options.cache_hash); !good)
                return good.error();
            return options.cache_hash;
        }
        switch (value.kind()) {
        case Entry_Value::Kind::json:
            return options.json_field_path.empty() ? hash_.from_json(*value.as_json())
                                                   : hash_.from_json_field(*value.as_json(), options.json_field_path);
        case Entry_Value::Kind::string:
            return hash_.from_string(*value.as_bytes());
        case Entry_Value::Kind::binary:
            break;
        }
        if (encoding != gzip)
            return hash_.from_bytes(*value.as_bytes());
        auto const unpacked = unpack_gzip(*value.as_bytes());
        if (!unpacked)
            return unpacked.error();
        return hash_.from_bytes(*unpacked);
    }

    static auto reference(Entry_Metadata const& metadata, Entry_Folders const& folders) -> Id_Ref {
        Id_Ref ref;
        ref.cache_id = metadata.cache_id;
        ref.cache_hash = metadata.cache_hash;
        ref.content_files = folders.content_files();
        ref.data_folders = folders.data_folders();
        ref.file_type = metadata.file_type;
        ref.ns = metadata.ns;
        ref.strategy = metadata.strategy;
        ref.stored_at = metadata.stored_at;
        for (auto const& file : ref.content_files)
            for (auto const suffix : {std::string_view(), config_suffix, metadata_suffix})
                ref.all_paths.data.push_back(std::string(file).append(suffix));
        std::sort(ref.all_paths.data.begin(), ref.all_paths.data.end());
        ref.all_paths.by_hash = Hash_Ref::path(ref.ns, ref.cache_hash);
        ref.all_paths.by_id = Id_Ref::path(ref.ns, ref.cache_id);
        return ref;
    }

    auto put(std::string_view path, Byte_View bytes) -> Result<void> { return write(storage_, full(path), bytes); }

    auto put_copy(std::string const& file, Byte_View config, Byte_View content, Byte_View metadata) -> Result<void> {
        if (auto const done = put(std::string(file).append(config_suffix), config); !done)
            return done;
        if (auto const done = put(file, content); !done)
            return done;
        return put(std::string(file).append(metadata_suffix), metadata);
    }

    /// Changes the versions of a hash; `change` may be called again when others change them, too.
    /// @param  change  (Hash_Ref&) -> Result<bool>; false leaves them as they are
    template <class Change>
    auto change_hash(Id_Ref const& ref, Change&& change) -> Result<bool> {
        return update_object(storage_, key(ref.all_paths.by_hash),
                             [&](Object const* current) -> Result<std::optional<Bytes>> {
                                 Hash_Ref by_hash{ref.cache_hash, {}, {}, 0};
                                 if (current != nullptr) {
                                     auto parsed = Hash_Ref::parse(current->bytes);
                                     if (!parsed)
                                         return parsed.error();
                                     by_hash = *std::move(parsed);
                                 }
                                 Result<bool> const changed = change(by_hash);
                                 if (!changed)
                                     return changed.error();
                                 return *changed ? std::optional(by_hash.document()) : std::nullopt;
                             });
    }

    auto add_to_hash(Id_Ref const& ref) -> Result<void> {
        Hash_Ref first{ref.cache_hash, {}, {}, 0};
        first.add(ref.cache_id, ref.stored_at);
        auto const created = storage_.put(key(ref.all_paths.by_hash), first.document(), Precondition::absent());
        if (!created)
            return created.error();
        if (created->state == Put_State::applied)
            return {};
        // Something is there, be it what this call has put without hearing of it: adding it twice changes nothing.
        auto const added = change_hash(ref, [&](Hash_Ref& by_hash) -> Result<bool> {
            by_hash.add(ref.cache_id, ref.stored_at);
            return true;
        });
        if (!added)
            return added.error();
        return {};
    }

    /// Of the ids of a hash the one that was made for this value.
    auto with_source(std::string_view ns, Hash_Ref const& by_hash, Python_Json const& source_value) const
        -> Result<std::optional<Cache_Id>> {
        for (auto const& version : by_hash.versions) {
            auto const ref = find(ns, version.cache_id);
            if (!ref)
                return ref.error();
            if (!*ref || (*ref)->source_value != source_value)
                continue;
            auto const cache_id = Cache_Id::parse(version.cache_id);
            if (!cache_id)
                return fail(Errc::corrupt_data, "the reference of a hash names an id that is none");
            return std::optional(*cache_id);
        }
        return std::optional<Cache_Id>();
    }

    /// @return whether the reference of the hash went with its last version
    auto remove_from_hash(Id_Ref const& ref) -> Result<bool> {
        auto const where = key(ref.all_paths.by_hash);
        bool is_last = false;
        auto const change = [&](Object const* current) -> Result<std::optional<Bytes>> {
            is_last = false;
            if (current == nullptr)
                return std::optional<Bytes>();
            auto by_hash = Hash_Ref::parse(current->bytes);
            if (!by_hash)
                return by_hash.error();
            is_last = !by_hash->remove(ref.cache_id);
            auto next = by_hash->document();
            return is_last || next == current->bytes ? std::nullopt : std::optional(std::move(next));
        };
        for (;;) {
            if (auto const changed = update_object(storage_, where, change); !changed)
                return changed.error();
            if (!is_last)
                return false;
            // Only the version that held nothing else may go: a version of another entry may be added right now.
            auto const current = storage_.get(where);
            if (!current)
                return current.error();
            if (!*current)
                return true;
            if (auto const still = change(&**current); !still)
                return still.error();
            if (!is_last)
                continue;
            auto const gone = storage_.erase(where, Precondition::only_if((*current)->version));
            if (!gone || *gone)
                return gone;
        }
    }

    auto find(std::string_view ns, std::string_view cache_id) const -> Result<std::optional<Id_Ref>> {
        auto const cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        auto const found = read(storage_, full(Id_Ref::path(*cleaned, cache_id)));
        if (!found)
            return found.error();
        if (!*found)
            return std::optional<Id_Ref>();
        auto ref = Id_Ref::parse(**found);
        if (!ref)
            return ref.error();
        if (ref->ns != *cleaned)
            return fail(Errc::corrupt_data, "the reference of an id names another namespace than it lies in");
        return std::optional<Id_Ref>(*std::move(ref));
    }

    /// With the cleaned namespace.
    auto hash_ref(std::string_view ns, std::string_view cache_hash) const
        -> Result<std::optional<std::pair<std::string, Hash_Ref>>> {
        using Found = std::optional<std::pair<std::string, Hash_Ref>>;
        auto cleaned = clean_entry_name(ns, "namespace");
        if (!cleaned)
            return cleaned.error();
        if (auto const good = check_cache_hash(cache_hash); !good)
            return good.error();
        auto const found = read(storage_, full(Hash_Ref::path(*cleaned, cache_hash)));
        if (!found)
            return found.error();
        if (!*found)
            return Found();
        auto ref = Hash_Ref::parse(**found);
        if (!ref)
            return ref.error();
        return Found(std::in_place, *std::move(cleaned), *std::move(ref));
    }

    /// The first copy of the content that is there.
    auto retrieve_cleaned(std::string_view ns, std::string_view cache_id) const
        -> Result<std::optional<Retrieved_Entry>> {
        auto const ref = read(storage_, full(Id_Ref::path(ns, cache_id)));
        if (!ref)
            return ref.error();
        if (!*ref)
            return std::optional<Retrieved_Entry>();
        auto const files = Id_Ref::parse_content_files(**ref, ns);
        if (!files)
            return files.error();
        for (auto const& file : *files) {
            auto content = read(storage_, full(file));
            if (!content)
                return content.error();
            if (!*content)
                continue;
            auto const described = read(storage_, full(file, metadata_suffix));
            if (!described)
                return described.error();
            if (!*described)
                continue;
            auto metadata = Entry_Metadata::parse(**described);
            if (!metadata)
                return metadata.error();
            auto value = Entry_Value::read(*std::move(*content), file.ends_with(".json"));
            if (value && metadata->content_encoding == gzip && value->kind() == Entry_Value::Kind::binary)
                value = unpacked(*value->as_bytes());
            if (!value)
                return fail(value.error().code, file + ": " + value.error().context);
            return std::optional(Retrieved_Entry{*std::move(value), *std::move(metadata)});
        }
        return std::optional<Retrieved_Entry>();
    }

    /// Packed bytes as what they hold: a document if they are JSON, otherwise bytes.
    static auto unpacked(Byte_View packed) -> Result<Entry_Value> {
        auto bytes = unpack_gzip(packed);
        if (!bytes)
            return bytes.error();
        if (auto document = Entry_Value::read(*bytes, true))
            return document;
        return Entry_Value::binary(*std::move(bytes));
    }

    /// Of the entry's content files those that another entry has taken over.
    auto content_of_others(Id_Ref const& ref) const -> Result<std::set<std::string>> {
        std::set<std::string> taken;
        for (auto const& file : ref.content_files) {
            auto const described = read(storage_, full(file, metadata_suffix));
            if (!described)
                return described.error();
            if (!*described)
                continue;
            auto const metadata = Entry_Metadata::parse(**described);
            if (metadata && metadata->cache_id != ref.cache_id)
                taken.insert(file);
        }
        return taken;
    }

    static auto content_file_of(std::string path) -> std::string {
        for (auto const suffix : {config_suffix, metadata_suffix})
            if (path.ends_with(suffix))
                path.resize(path.size() - suffix.size());
        return path;
    }

    // Child data

    static auto extension_of(Entry_Value::Kind kind) noexcept -> std::string_view {
        switch (kind) {
        case Entry_Value::Kind::json:
            return "json";
        case Entry_Value::Kind::string:
            return "txt";
        case Entry_Value::Kind::binary:
            break;
        }
        return "bin";
    }

    static auto child_content(Entry_Value const& value) -> Bytes {
        return value.as_bytes() != nullptr ? *value.as_bytes() : value.content(update_indent);
    }

    static auto read_child(Bytes bytes, Entry_Value::Kind kind) -> Result<std::optional<Entry_Value>> {
        if (kind == Entry_Value::Kind::string)
            return std::optional(Entry_Value::string(std::move(bytes)));
        auto value = Entry_Value::read(std::move(bytes), kind == Entry_Value::Kind::json);
        if (!value)
            return value.error();
        return std::optional(*std::move(value));
    }

    auto locate_named_child(std::string_view ns,
                            Cache_Id const& cache_id,
                            Entry_Value::Kind kind,
                            Child_Name const& name) const -> Result<std::optional<Stored_Child>> {
        if (name.data_file_id.empty())
            return fail(Errc::invalid_argument, "data_file_id: say which file");
        return locate_child(ns, cache_id, kind, name);
    }

    auto
    locate_child(std::string_view ns, Cache_Id const& cache_id, Entry_Value::Kind kind, Child_Name const& name) const
        -> Result<std::optional<Stored_Child>> {
        auto data_key = clean_data_key(name.data_key);
        if (!data_key)
            return data_key.error();
        auto file_id = clean_file_id(name.data_file_id, "data_file_id");
        if (!file_id)
            return file_id.error();
        auto const ref = find(ns, cache_id.str());
        if (!ref)
            return ref.error();
        if (!*ref)
            return std::optional<Stored_Child>();
        if (file_id->empty())
            *file_id = new_id_().str();
        auto const below = data_folder(*data_key);
        Stored_Child child{(*ref)->cache_id, (*ref)->ns, *std::move(data_key), *std::move(file_id), {}, 0};
        for (auto const& folder : (*ref)->data_folders) {
            auto path = folder + "/" + (below.empty() ? below : below + "/");
            child.paths.push_back(path.append(child.data_file_id).append(".").append(extension_of(kind)));
        }
        return std::optional(std::move(child));
    }

    auto child_file(List_Item const& item, std::size_t base_bytes) const -> Child_File {
        auto const relative = std::string_view(item.key).substr(base_bytes);
        auto const slash = relative.rfind('/');
        auto const name = slash == relative.npos ? relative : relative.substr(slash + 1);
        auto const dot = std::min(name.rfind('.'), name.size());
        Child_File file;
        file.data_file_id = name.substr(0, dot);
        file.data_key = slash == relative.npos ? std::string_view() : relative.substr(0, slash);
        file.extension = name.substr(std::min(dot + 1, name.size()));
        file.type = file.extension == "json"  ? Entry_Value::Kind::json
                    : file.extension == "txt" ? Entry_Value::Kind::string
                                              : Entry_Value::Kind::binary;
        file.path = item.key.substr(root_.size());
        file.size_bytes = item.size_bytes;
        return file;
    }

    Storage& storage_;
    std::string root_;
    Clock_Ptr clock_;
    New_Id new_id_;
    Cache_Hash hash_;
    Cache_Hash content_hash_ = Cache_Hash::create("md5", 10).value();
};

} // namespace memfs_cache
