// SPDX-License-Identifier: Apache-2.0
#include "support/backends.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/entries/entry_store.hpp>

#include <doctest/doctest.h>

#include <array>
#include <thread>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const start = from_millis(1'770'991'506'789); // 2026-02-13T14:05:06.789Z

template <class Storage>
struct Desk {
    explicit Desk(Storage& storage) : entries(storage, "cache", clock) {}
    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(start);
    Entry_Store<Storage> entries;

    auto store(Python_Json value, Entry_Options const& options = {}, Entry_Strategy strategy = Entry_Strategy::direct)
        -> Result<Stored_Entry> {
        return entries.store("notes", strategy, Entry_Value::json(std::move(value)), options);
    }
};

auto document(int number) -> Python_Json { return Python_Json::Object{{"number", Python_Json(number)}}; }
auto id_of(Stored_Entry const& stored) -> Cache_Id { return Cache_Id::parse(stored.cache_id).value(); }

constexpr auto one_hash = "0123456789abcdef";

} // namespace

TEST_SUITE("entries/names") {
    TEST_CASE("names are cleaned one character for one, and refused when nothing is left or they are too long") {
        auto const cleaned = [](std::string_view text) { return clean_entry_name(text, "namespace").value(); };
        CHECK(cleaned("a b") == "a_b");
        CHECK(cleaned("a/b") == "a_b");
        CHECK(cleaned("A_b") == "A_b");
        CHECK(cleaned("<b>x</b>") == "_b_x__b_");
        CHECK(cleaned("a\nb\x01") == "a_b_");
        CHECK(cleaned("\u00e9\u65e5x") == "__x");
        CHECK(cleaned("\u00a0 x\u3000\t") == "x");
        CHECK(cleaned("") == "");
        CHECK(cleaned(std::string(128, 'x')).size() == 128);
        for (auto const& bad :
             {std::string(129, 'x'), std::string(10'000, '\x01'), std::string("\xff"), std::string("\xed\xa0\x80")})
            CHECK(clean_entry_name(bad, "namespace").error().code == Errc::invalid_argument);
        CHECK(clean_file_id("\u00e9\u00e8", "file_id").error().code == Errc::invalid_argument);
        CHECK(clean_file_id("_a_", "file_id").value() == "_a_");
    }

    TEST_CASE("a cache key keeps its folders and cannot leave them") {
        CHECK(clean_cache_key("Caf\u00e9/\u00e9t\u00e9?x=1").value() == "Caf_/_t__x_1");
        CHECK(clean_cache_key("trailing/").value() == "trailing/");
        CHECK(clean_cache_key("a.b/..c/d..").value() == "a.b/..c/d..");
        for (auto const* bad : {"/", "/a", "a//b", "a/../b", "..", ".", "./a", "a/.", "a//", "__"}) {
            CAPTURE(bad);
            CHECK(clean_cache_key(bad).error().code == Errc::invalid_argument);
        }
    }

    TEST_CASE("a data key of any shape becomes folders within the entry") {
        CHECK(data_folder("a b") == "a-b");
        CHECK(data_folder("../x") == "-/x");
        CHECK(data_folder("...") == "-.");
        CHECK(data_folder("....") == "--");
        CHECK(data_folder("a//b/./c/") == "a/b/c");
        CHECK(data_folder("a \\ b") == "a-b");
        CHECK(data_folder("/") == "");
    }

    TEST_CASE("hashes are ten to ninety-six hex digits, and spread over two levels of folders") {
        CHECK(check_cache_hash("0123456789"));
        CHECK(check_cache_hash(std::string(96, 'f')));
        for (auto const& bad : {std::string(), std::string("012345678"), std::string(97, 'f'),
                                std::string("ABCDEF0123"), std::string("../../etc/passwd")})
            CHECK(check_cache_hash(bad).error().code == Errc::invalid_argument);
        CHECK(shard_folders("abcdef") == "ab/cd");
        CHECK(shard_folders("fid") == "fi/d");
        CHECK(shard_folders("gz") == "gz");
    }
}

TEST_SUITE("entries/value") {
    TEST_CASE("gzip is unpacked whole or not at all") {
        // printf hello | gzip -n
        constexpr std::array<unsigned char, 25> packed{0x1f, 0x8b, 0x08, 0,    0,    0,    0,    0, 0,
                                                       0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0x86,
                                                       0xa6, 0x10, 0x36, 0x05, 0,    0,    0};
        Bytes const bytes(packed.begin(), packed.end());
        CHECK(unpack_gzip(bytes).value() == "hello");
        CHECK(unpack_gzip(bytes + bytes).value() == "hellohello");
        CHECK(unpack_gzip(bytes, 5).value() == "hello");
        CHECK(unpack_gzip(bytes, 4).error().code == Errc::too_large);
        for (std::size_t size = 0; size < bytes.size(); ++size)
            CHECK(unpack_gzip(bytes.substr(0, size)).error().code == Errc::corrupt_data);
        CHECK(unpack_gzip(bytes + "x").error().code == Errc::corrupt_data);
    }
}

TEST_SUITE("entries/store") {
    TEST_CASE_TEMPLATE("what is stored is found by its id and by its hash, and not after it is deleted", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        Desk desk(backend.storage);
        auto const strategies = {Entry_Strategy::direct, Entry_Strategy::temporal, Entry_Strategy::temporal_latest,
                                 Entry_Strategy::temporal_versioned, Entry_Strategy::key_based};
        for (auto const strategy : strategies)
            for (auto const& value : {Entry_Value::json(document(1)), Entry_Value::string("text \u20ac"),
                                      Entry_Value::binary(Bytes("\0\xff", 2))}) {
                auto const stored = desk.entries.store("notes", strategy, value).value();
                CHECK(desk.entries.exists("notes", id_of(stored)).value());
                CHECK(desk.entries.exists("notes", stored.cache_hash).value());
                CHECK(desk.entries.retrieve("notes", id_of(stored)).value()->value == value);
                CHECK(desk.entries.retrieve_by_hash("notes", stored.cache_hash).value()->value == value);
                CHECK_FALSE(desk.entries.retrieve("other", id_of(stored)).value());
                CHECK(desk.entries.remove("notes", id_of(stored)).value()->missing_paths.empty());
                CHECK_FALSE(desk.entries.retrieve("notes", id_of(stored)).value());
                CHECK_FALSE(desk.entries.retrieve_by_hash("notes", stored.cache_hash).value());
                CHECK_FALSE(desk.entries.remove("notes", id_of(stored)).value());
                CHECK(files_list(backend.storage, "cache/").value().empty());
            }
    }

    TEST_CASE("the entry of docs/format.md is what is written, byte by byte") {
        Storage_Memory storage;
        Desk desk(storage);
        auto const stored = desk.store(Python_Json::Object{{"v", Python_Json(1)}},
                                       {.cache_hash = "aaaaaaaaaaaaaaaa",
                                        .cache_id = Cache_Id::parse("2c15e5f1-0000-4000-8000-000000000041").value()})
                                .value();
        auto const file = [&](std::string const& path) {
            return read(storage, "cache/" + path).value().value() + "\n";
        };
        auto const& content = stored.paths.data.front();
        CHECK(file(content) == documented("entry content"));
        CHECK(file(content + ".config") == documented("entry config"));
        CHECK(file(content + ".metadata") == documented("entry metadata"));
        CHECK(file(stored.paths.by_hash) == documented("entry by hash"));
        CHECK(file(stored.paths.by_id) == documented("entry by id"));
    }

    TEST_CASE("an overwritten entry is described as it is now, with all its files") {
        Storage_Memory storage;
        Desk desk(storage);
        Entry_Options const page{.cache_hash = one_hash, .file_id = "page"};
        (void)desk.store(document(1), page, Entry_Strategy::temporal_latest).value();
        desk.clock->advance(1h);
        auto const second = desk.store(document(20'000), page, Entry_Strategy::temporal_latest).value();
        CHECK(second.paths.data.size() == 6);
        for (auto const& path : second.paths.data)
            CHECK(exists(storage, "cache/" + path).value());
        auto const found = desk.entries.retrieve("notes", id_of(second)).value();
        CHECK(found->metadata.content_size_bytes == document(20'000).render({.indent_blanks = 2}).size());
        CHECK(found->metadata.written_at == start + 1h);
        CHECK(second.size_bytes == found->metadata.content_size_bytes);
    }

    TEST_CASE("a copy that is gone is replaced by the next one") {
        Storage_Memory storage;
        Desk desk(storage);
        auto const stored = desk.store(document(1), {}, Entry_Strategy::temporal_versioned).value();
        auto const copies = desk.entries.id_ref("notes", id_of(stored)).value()->content_files;
        CHECK(remove(storage, "cache/" + copies[0]).value());
        CHECK(remove(storage, "cache/" + copies[1] + ".metadata").value());
        CHECK(desk.entries.retrieve("notes", id_of(stored)).value()->value == Entry_Value::json(document(1)));
        CHECK(remove(storage, "cache/" + copies[2]).value());
        CHECK_FALSE(desk.entries.retrieve("notes", id_of(stored)).value());
    }

    TEST_CASE_TEMPLATE("stores of one hash at once lose no id", Backend, MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        constexpr int each = 12;
        std::array<std::vector<std::string>, 4> ids;
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < ids.size(); ++t)
            threads.emplace_back([&, t] {
                Desk desk(other && t % 2 == 1 ? *other : backend.storage);
                for (int i = 0; i < each; ++i)
                    ids[t].push_back(desk.store(document(i), {.cache_hash = one_hash}).value().cache_id);
            });
        for (auto& thread : threads)
            thread.join();
        Desk desk(backend.storage);
        auto const refs = desk.entries.hash_refs("notes", one_hash).value();
        std::set<std::string> known;
        for (auto const& version : refs->versions)
            known.insert(version.cache_id);
        CHECK(refs->total_versions == each * static_cast<int>(ids.size()));
        for (auto const& list : ids)
            for (auto const& id : list)
                CHECK(known.contains(id));
        CHECK(desk.entries.retrieve_by_hash("notes", one_hash).value());
    }

    TEST_CASE_TEMPLATE("a hash that is stored while its last version is deleted is not forgotten", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        bool const is_promised = backend.storage.capabilities().conditional_erase;
        if (!is_promised)
            MESSAGE(
                "NOT PROMISED here, as deletions have no conditions: the hash. The id finds the entry all the same.");
        Desk desk(backend.storage);
        for (int round = 0; round < 20; ++round) {
            auto const old = desk.store(document(1), {.cache_hash = one_hash}).value();
            std::string fresh;
            std::thread storer([&] { fresh = desk.store(document(2), {.cache_hash = one_hash}).value().cache_id; });
            CHECK(desk.entries.remove("notes", id_of(old)).value());
            storer.join();
            auto const by_hash = desk.entries.retrieve_by_hash("notes", one_hash).value();
            CHECK((by_hash || !is_promised));
            CHECK((!by_hash || by_hash->metadata.cache_id == fresh));
            CHECK(desk.entries.retrieve("notes", Cache_Id::parse(fresh).value()).value()->value ==
                  Entry_Value::json(document(2)));
            CHECK(desk.entries.remove("notes", Cache_Id::parse(fresh).value()).value());
            CHECK(files_list(backend.storage, "cache/").value().empty());
        }
    }

    TEST_CASE(
        "whatever operation of a store fails, and however, it is found whole or not at all, and can be repeated") {
        using Wrapped = Wrapped_Storage<Storage_Memory>;
        using Kind = Wrapped::Verdict::Kind;
        for (bool const is_known : {false, true}) // the hash
            for (auto const kind : {Kind::fail, Kind::unknown_before, Kind::unknown_after})
                for (int nth = 1;; ++nth) {
                    CAPTURE(is_known);
                    CAPTURE(nth);
                    Storage_Memory memory;
                    Wrapped storage(memory);
                    Desk desk(storage);
                    std::string old;
                    if (is_known)
                        old = desk.store(document(1), {.cache_hash = one_hash}).value().cache_id;
                    desk.clock->advance(1s);
                    int count = 0;
                    storage.hook = [&](Wrapped::Operation, std::string const&) {
                        return Wrapped::Verdict{++count == nth ? kind : Kind::go_on};
                    };
                    auto const id = Cache_Id::generate();
                    Entry_Options const options{.cache_hash = one_hash, .cache_id = id};
                    auto const stored = desk.store(document(2), options, Entry_Strategy::temporal_latest);
                    storage.hook = nullptr;
                    if (auto const found = desk.entries.retrieve("notes", id).value())
                        CHECK(found->value == Entry_Value::json(document(2)));
                    else
                        CHECK_FALSE(stored);
                    auto const latest = desk.entries.retrieve_by_hash("notes", one_hash).value();
                    CHECK((latest || !is_known));
                    if (latest)
                        CHECK(latest->value == Entry_Value::json(document(latest->metadata.cache_id == old ? 1 : 2)));
                    CHECK((!stored || latest->metadata.cache_id == id.str()));
                    CHECK(desk.store(document(2), options, Entry_Strategy::temporal_latest));
                    CHECK(desk.entries.hash_refs("notes", one_hash).value()->versions.size() == (is_known ? 2 : 1));
                    if (count < nth) {
                        CHECK(stored);
                        CHECK(nth ==
                              (is_known ? 11 : 9)); // 8 writes, maybe a read and a write more, and one that never came
                        break;
                    }
                }
    }

    TEST_CASE("a delete that failed in the middle is finished by repeating it") {
        using Wrapped = Wrapped_Storage<Storage_Memory>;
        using Kind = Wrapped::Verdict::Kind;
        bool failed = true;
        for (int nth = 1; failed; ++nth) {
            CAPTURE(nth);
            Storage_Memory memory;
            Wrapped storage(memory);
            Desk desk(storage);
            auto const kept = desk.store(document(1), {.cache_hash = one_hash}).value();
            auto const stored =
                desk.store(document(2), {.cache_hash = one_hash}, Entry_Strategy::temporal_latest).value();
            int count = 0;
            storage.hook = [&](Wrapped::Operation, std::string const&) {
                return Wrapped::Verdict{++count == nth ? Kind::fail : Kind::go_on};
            };
            failed = !desk.entries.remove("notes", id_of(stored));
            storage.hook = nullptr;
            if (failed)
                CHECK(desk.entries.remove("notes", id_of(stored)).value());
            auto const refs = desk.entries.hash_refs("notes", one_hash).value();
            CHECK(refs->latest_id == kept.cache_id);
            CHECK(refs->total_versions == 1);
            CHECK(files_list(memory, "cache/").value().size() == 5);
        }
    }

    TEST_CASE("a store writes five, eight or eleven files and reads none; a retrieval reads three or four") {
        Storage_Memory storage;
        Desk desk(storage);
        int number = 0;
        for (auto const& [strategy, files] :
             {std::pair{Entry_Strategy::direct, 5U}, std::pair{Entry_Strategy::temporal, 5U},
              std::pair{Entry_Strategy::temporal_latest, 8U}, std::pair{Entry_Strategy::temporal_versioned, 11U},
              std::pair{Entry_Strategy::key_based, 5U}}) {
            auto const before = storage.counters();
            auto const stored = desk.store(document(++number), {}, strategy).value();
            auto const written = storage.counters();
            CHECK(written.writes - before.writes == files);
            CHECK(written.reads == before.reads);
            CHECK(desk.entries.retrieve("notes", id_of(stored)).value());
            CHECK(storage.counters().reads - written.reads == 3);
            CHECK(desk.entries.retrieve_by_hash("notes", stored.cache_hash).value());
            CHECK(storage.counters().reads - written.reads == 7);
            auto const once = storage.counters();
            CHECK(desk.store(document(number), {}, strategy)); // under a hash that is known
            CHECK(storage.counters().writes - once.writes == files + 1);
            CHECK(storage.counters().reads - once.reads == 1);
            CHECK(storage.counters().lists == 0);
        }
    }

    TEST_CASE("members that a later release adds to references and metadata are passed over, wherever they stand") {
        Storage_Memory storage;
        Desk desk(storage);
        auto const stored = desk.store(document(1), {}, Entry_Strategy::temporal).value();
        auto const hash = stored.cache_hash;
        auto const refs = desk.entries.hash_refs("notes", hash).value()->document();
        auto const id_ref = desk.entries.id_ref("notes", id_of(stored)).value()->document();
        int changed = 0;
        for (auto const& path : files_list(storage, "cache/").value()) {
            auto text = read(storage, path).value().value();
            if (path.find("/refs/") == path.npos && !path.ends_with(".metadata"))
                continue;
            constexpr std::string_view more = R"("later": [{"a": "}"}, []], "more": null, )";
            for (std::size_t at = 0; (at = text.find("{\n", at)) != text.npos; at += more.size())
                text.insert(++at, more);
            REQUIRE(write(storage, path, text));
            ++changed;
        }
        CHECK(changed == 3);
        CHECK(desk.entries.retrieve_by_hash("notes", hash).value()->value == Entry_Value::json(document(1)));
        CHECK(desk.entries.hash_refs("notes", hash).value()->document() == refs);
        CHECK(desk.entries.id_ref("notes", id_of(stored)).value()->document() == id_ref);
        CHECK(desk.entries.remove("notes", id_of(stored)).value()->missing_paths.empty());
        CHECK(files_list(storage, "cache/").value().empty());
    }

    TEST_CASE("what cannot be stored is refused and leaves nothing behind") {
        Storage_Memory storage;
        Desk desk(storage);
        auto const refused = [&](Entry_Value const& value, Entry_Options const& options) {
            return desk.entries.store("notes", Entry_Strategy::key_based, value, options).error().code;
        };
        auto const text = Entry_Value::string("x");
        CHECK(refused(Entry_Value::string(""), {}) == Errc::invalid_argument);
        CHECK(refused(Entry_Value::binary(""), {}) == Errc::invalid_argument);
        CHECK(refused(text, {.cache_hash = "xyz"}) == Errc::invalid_argument);
        CHECK(refused(text, {.cache_key = "a/../b"}) == Errc::invalid_argument);
        CHECK(refused(Entry_Value::json(document(1)), {.json_field_path = "no.such"}) == Errc::invalid_argument);
        Entry_Options packed;
        packed.content_encoding = "gzip";
        CHECK(refused(Entry_Value::binary("no gzip"), packed) == Errc::corrupt_data);
        CHECK(desk.entries.store(std::string(129, 'n'), Entry_Strategy::direct, text).error().code ==
              Errc::invalid_argument);
        CHECK(files_list(storage).value().empty());
    }

    TEST_CASE("damaged documents are an error that names no content, never a crash, and lead nowhere else") {
        Storage_Memory storage;
        Desk desk(storage);
        auto const stored = desk.store(document(1)).value();
        auto const by_id = "cache/" + stored.paths.by_id;
        auto const whole = read(storage, by_id).value().value();
        auto const code = [&] { return desk.entries.retrieve("notes", id_of(stored)).error().code; };
        for (std::size_t size = 0; size < whole.size(); size += 7) {
            REQUIRE(write(storage, by_id, whole.substr(0, size)));
            CHECK(code() == Errc::corrupt_data);
        }
        REQUIRE(write(storage, "cache/other/data/direct/se/cr/secret.json", "\"secret\""));
        for (auto const* elsewhere : {"other/data/direct/se/cr/secret.json", "notes/data/../../other/secret.json",
                                      "notes/refs/by-id/x.json", "/etc/passwd"}) {
            auto changed = whole;
            auto const at = changed.find("notes/data/direct", changed.find("content_files"));
            changed.replace(at, changed.find('"', at) - at, elsewhere);
            REQUIRE(write(storage, by_id, changed));
            CHECK(code() == Errc::corrupt_data);
            CHECK(desk.entries.remove("notes", id_of(stored)).error().code == Errc::corrupt_data);
        }
        REQUIRE(write(storage, by_id, whole));
        REQUIRE(write(storage, "cache/" + stored.paths.data.front(), "{"));
        CHECK(code() == Errc::corrupt_data);
    }

    TEST_CASE("an empty text is kept as child data, and child data of one name may be of three types") {
        Storage_Memory storage;
        Desk desk(storage);
        auto const id = id_of(desk.store(document(1)).value());
        Child_Name const name{"a/b", "x"};
        for (auto const& value :
             {Entry_Value::json(document(2)), Entry_Value::string(""), Entry_Value::binary(Bytes("\0", 1))}) {
            REQUIRE(desk.entries.data_store("notes", id, value, name).value());
            CHECK(desk.entries.data_retrieve("notes", id, value.kind(), name).value() == value);
        }
        CHECK(desk.entries.data_list("notes", id).value()->size() == 3);
        CHECK(desk.entries.data_list("notes", id, "", false).value()->empty());
        CHECK(desk.entries.data_delete("notes", id, Entry_Value::Kind::string, name).value());
        CHECK(desk.entries.data_delete_all("notes", id, "a").value().size() == 2);
        CHECK_FALSE(desk.entries.data_list("notes", Cache_Id::generate()).value());
        CHECK(desk.entries.data_retrieve("notes", id, Entry_Value::Kind::json, {}).error().code ==
              Errc::invalid_argument);
    }

    TEST_CASE_TEMPLATE("a source value has one id, told apart from another value of the same hash", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        Desk desk(backend.storage);
        Python_Json const text("user@example.com");
        Python_Json const object = document(1);
        auto const of_text = desk.entries.create("people", text).value();
        auto const of_object = desk.entries.create("people", object).value();
        CHECK(of_text != of_object);
        CHECK(desk.entries.create("people", text).value() == of_text);
        CHECK(desk.entries.create("people", object).value() == of_object);
        CHECK(desk.entries.create("others", text).value() != of_text);
        auto const text_hash = Cache_Hash().from_string("user@example.com").value();
        CHECK(desk.entries.lookup("people", text_hash).value() == of_text);
        CHECK(desk.entries.lookup("people", text_hash, text).value() == of_text);
        CHECK_FALSE(desk.entries.lookup("people", text_hash, Python_Json("another")).value());
        CHECK_FALSE(desk.entries.lookup("people", one_hash).value());
        CHECK(desk.entries.lookup("people", Cache_Hash().from_json(object).value(), object).value() == of_object);
        CHECK(desk.entries.create("people", Python_Json("")).error().code == Errc::invalid_argument);
        CHECK_FALSE(desk.entries.retrieve("people", of_text).value()); // it has no content
        auto const ref = desk.entries.id_ref("people", of_text).value();
        CHECK(ref->source_value == text);
        CHECK(ref->content_files.empty());
        CHECK(ref->document().ends_with(",\n  \"source_value\": \"user@example.com\"\n}"));
    }

    TEST_CASE_TEMPLATE("of many who ask for the id of one value at once all get the same, and nothing else is left",
                       Backend, MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        std::array<std::string, 8> ids;
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < ids.size(); ++t)
            threads.emplace_back([&, t] {
                Desk desk(other && t % 2 == 1 ? *other : backend.storage);
                ids[t] = desk.entries.create("people", Python_Json("somebody")).value().str();
            });
        for (auto& thread : threads)
            thread.join();
        for (auto const& id : ids)
            CHECK(id == ids[0]);
        CHECK(files_list(backend.storage, "cache/").value().size() == 2);
    }
}
