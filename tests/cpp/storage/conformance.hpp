// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/child_process.hpp"
#include "support/printers.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

/// The contract of StorageBackend, line by line, for every backend of MEMFS_CACHE_SUITE_BACKENDS, and of those in
/// MEMFS_CACHE_SUITE_APPENDING_BACKENDS what is said of append(): lists of fixtures, as support/backends.hpp has them,
/// that whoever includes this defines first.
namespace memfs_cache::conformance {

inline Put_Options const buffered{Durability::buffered, false};

inline auto key(std::string_view text) -> Storage_Key { return Storage_Key(text); }

/// Stores bytes and gives the version that put announced.
template <class S>
auto store(S& storage, std::string_view at, Byte_View bytes) -> Version {
    auto const outcome = storage.put(key(at), bytes, Precondition::none(), buffered).value();
    REQUIRE(outcome.state == Put_State::applied);
    return outcome.version;
}

template <class S>
auto state_of_put(S& storage, std::string_view at, Byte_View bytes, Precondition const& when) -> Put_State {
    return storage.put(key(at), bytes, when, buffered).value().state;
}

template <class S>
auto state_of_append(S& storage, std::string_view at, std::uint64_t offset, Byte_View bytes) -> Put_State {
    return storage.append(key(at), offset, bytes, Durability::buffered).value().state;
}

/// Makes an object longer: by an append where the backend can, else by a put.
template <class S>
auto lengthen(S& storage, std::string_view at, std::string const& old, std::string const& more) -> Result<Put_Outcome> {
    if (storage.capabilities().append)
        return storage.append(key(at), old.size(), more, Durability::buffered);
    return storage.put(key(at), old + more, Precondition::none(), buffered);
}

/// The bytes of an object, "(absent)" if there is none.
template <class S>
auto bytes_of(S const& storage, std::string_view at, Byte_Range range = {}) -> std::string {
    auto const found = storage.get(key(at), range).value();
    return found ? found->bytes : "(absent)";
}

template <class S>
auto list_all(S const& storage, std::string prefix, std::size_t limit) -> std::vector<List_Item> {
    std::vector<List_Item> items;
    List_Query query{std::move(prefix), "", limit};
    do {
        auto page = storage.list(query).value();
        REQUIRE(page.items.size() <= limit);
        items.insert(items.end(), page.items.begin(), page.items.end());
        query.start_after = page.next;
    } while (!query.start_after.empty());
    return items;
}

template <class S>
auto keys_of(S const& storage, std::string prefix = "", std::size_t limit = 1000) -> std::vector<std::string> {
    std::vector<std::string> keys;
    for (auto const& item : list_all(storage, std::move(prefix), limit))
        keys.push_back(item.key);
    return keys;
}

/// Runs `work(worker)` in many threads at once and waits for them.
template <class Work>
void in_threads(int count, Work work) {
    std::vector<std::thread> threads;
    for (int worker = 0; worker < count; ++worker)
        threads.emplace_back(work, worker);
    for (auto& thread : threads)
        thread.join();
}

/// Runs `work(worker) -> bool` in child processes at once; how many of them said true and ended well. They begin when all
/// are there, so that none is made while a server in this process has locks in its hands; one that hangs is killed.
template <class Work>
auto in_processes(int count, Work work) -> int {
    testing::Pipe start;
    std::vector<pid_t> children;
    for (int worker = 0; worker < count; ++worker)
        children.push_back(testing::in_child([&] {
            ::alarm(60);
            char go = 0;
            start.close_end(1);
            if (!start.receive(go) || !work(worker))
                throw std::runtime_error("not done");
        }));
    for (int worker = 0; worker < count; ++worker)
        start.send('!');
    return static_cast<int>(
        std::count_if(children.begin(), children.end(), [](pid_t child) { return testing::status_of(child) == 0; }));
}

/// Adds one to a counter by compare-and-swap, as often as it takes; false on any error. A counter is a list of marks, one
/// for each increment: so whoever is not told whether its own was written can look.
template <class S>
auto increment(S& storage, Storage_Key const& counter) -> bool {
    auto const mark = random_hex(8) + "\n";
    for (;;) {
        auto const seen = storage.get(counter);
        if (seen.has_error())
            return false;
        if (*seen && (*seen)->bytes.find(mark) != std::string::npos)
            return true;
        auto const when = *seen ? Precondition::only_if((*seen)->version) : Precondition::absent();
        auto const written = storage.put(counter, (*seen ? (*seen)->bytes : "") + mark, when, buffered);
        if (written.has_error())
            return false;
        if (written->state == Put_State::applied)
            return true;
    }
}

/// How many increments a counter holds, each once.
template <class S>
auto count_at(S const& storage, Storage_Key const& counter) -> std::size_t {
    std::set<std::string> marks;
    std::istringstream lines(bytes_of(storage, counter.str()));
    for (std::string line; std::getline(lines, line);)
        CHECK(marks.insert(line).second);
    return marks.size();
}

TEST_SUITE("storage/conformance") {
    TEST_CASE_TEMPLATE("absent is not an error", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        CHECK_FALSE(backend.storage.get(key("a/b")).value().has_value());
        CHECK_FALSE(backend.storage.erase(key("a/b"), Precondition::none()).value());
        CHECK(keys_of(backend.storage).empty());
        CHECK(keys_of(backend.storage, "a/b").empty());
    }

    TEST_CASE_TEMPLATE("what was put is what is read, byte for byte", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        std::string every_byte(256, '\0');
        for (std::size_t i = 0; i < every_byte.size(); ++i)
            every_byte[i] = static_cast<char>(i);
        for (auto const& bytes : {std::string(), std::string("x"), every_byte, std::string(3'000'000, 'L')}) {
            auto const version = store(backend.storage, "a/b", bytes);
            auto const found = backend.storage.get(key("a/b")).value();
            REQUIRE(found.has_value());
            CHECK(found->bytes == bytes);
            CHECK(found->version == version);
            auto const items = list_all(backend.storage, "", 10);
            REQUIRE(items.size() == 1);
            CHECK(items[0].size_bytes == bytes.size());
            CHECK(items[0].version == version);
        }
    }

    TEST_CASE_TEMPLATE("a durable put and a sync do what a buffered put does", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        CHECK(backend.storage.put(key("a/b"), "1", Precondition::none()).value().state == Put_State::applied);
        CHECK(state_of_put(backend.storage, "a/c", "2", Precondition::none()) == Put_State::applied);
        CHECK(backend.storage.sync().has_value());
        CHECK(backend.storage.erase(key("a/c"), Precondition::none()).value());
        CHECK(backend.storage.sync().has_value());
        CHECK(keys_of(backend.storage) == std::vector<std::string>{"a/b"});
    }

    TEST_CASE_TEMPLATE("a range is cut at the end of the object", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto const version = store(backend.storage, "r", "0123456789");
        CHECK(bytes_of(backend.storage, "r", {0, 4}) == "0123");
        CHECK(bytes_of(backend.storage, "r", {3, 4}) == "3456");
        CHECK(bytes_of(backend.storage, "r", {8, 4}) == "89");
        CHECK(bytes_of(backend.storage, "r", {4}) == "456789");
        CHECK(bytes_of(backend.storage, "r", {10, 1}).empty());
        CHECK(bytes_of(backend.storage, "r", {11}).empty());
        CHECK(bytes_of(backend.storage, "r", {UINT64_MAX, UINT64_MAX}).empty());
        CHECK(bytes_of(backend.storage, "r", {0, 0}).empty());
        CHECK(backend.storage.get(key("r"), {9, 9}).value()->version == version);
    }

    TEST_CASE_TEMPLATE("a range that spans many appends is whole", Backend, MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        std::string whole;
        for (int i = 0; i < 400; ++i) {
            auto const line = std::to_string(i * i) + ",";
            REQUIRE(state_of_append(backend.storage, "log", whole.size(), line) == Put_State::applied);
            whole += line;
        }
        CHECK(bytes_of(backend.storage, "log") == whole);
        for (std::size_t from = 0; from < whole.size(); from += 97)
            for (std::size_t const length : {1U, 7U, 500U, 5000U})
                CHECK(bytes_of(backend.storage, "log", {from, length}) == whole.substr(from, length));
    }

    TEST_CASE_TEMPLATE("an object is created once", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        CHECK(state_of_put(backend.storage, "k", "first", Precondition::absent()) == Put_State::applied);
        CHECK(state_of_put(backend.storage, "k", "second", Precondition::absent()) == Put_State::not_applied);
        CHECK(bytes_of(backend.storage, "k") == "first");
        CHECK(backend.storage.erase(key("k"), Precondition::none()).value());
        CHECK(state_of_put(backend.storage, "k", "third", Precondition::absent()) == Put_State::applied);
        for (int i = 0; i < 20; ++i) { // of those who bring the same bytes none has created it
            if (i % 4 == 0)
                CHECK(bytes_of(backend.storage, "k") == "third");
            CHECK(state_of_put(backend.storage, "k", "third", Precondition::absent()) == Put_State::not_applied);
        }
    }

    TEST_CASE_TEMPLATE("a version condition takes the present version only", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto const first = store(backend.storage, "k", "1");
        auto const second = backend.storage.put(key("k"), "2", Precondition::only_if(first), buffered).value();
        CHECK(second.state == Put_State::applied);
        auto const late = backend.storage.put(key("k"), "3", Precondition::only_if(first), buffered).value();
        CHECK(late.state == Put_State::not_applied);
        CHECK(late.version == Version{});
        CHECK(bytes_of(backend.storage, "k") == "2");
        auto const missing = Precondition::only_if(second.version);
        CHECK(state_of_put(backend.storage, "other", "x", missing) == Put_State::not_applied);
        CHECK(state_of_put(backend.storage, "k", "x", Precondition::only_if({})) == Put_State::not_applied);
        CHECK(bytes_of(backend.storage, "other") == "(absent)");
    }

    TEST_CASE_TEMPLATE("a version never comes back, whatever brings the same bytes back", Backend,
                       MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        if (backend.storage.capabilities().versions_recur) { // then it has to, and with the same bytes only
            auto const first = store(backend.storage, "k", "same");
            CHECK(store(backend.storage, "k", "other") != first);
            CHECK(store(backend.storage, "k", "same") == first);
            return;
        }
        std::set<std::string> seen;
        int writes = 0;
        auto const saw = [&](Version const& version) {
            ++writes;
            seen.insert(version.token);
        };
        auto const old = store(backend.storage, "k", "same");
        for (int i = 0; i < 100; ++i) {
            saw(store(backend.storage, "k", "same"));
            saw(lengthen(backend.storage, "k", "same", "!").value().version);
            saw(store(backend.storage, "k", "same"));
            REQUIRE(backend.storage.erase(key("k"), Precondition::none()).value());
            saw(lengthen(backend.storage, "k", "", "same").value().version);
            saw(lengthen(backend.storage, "k", "same", "").value().version);
            REQUIRE(backend.storage.erase(key("k"), Precondition::none()).value());
        }
        for (int i = 0; i < 500; ++i)
            saw(store(backend.storage, "k", "same")); // within one tick of the clock of a file system
        CHECK(seen.size() == static_cast<std::size_t>(writes));
        store(backend.storage, "k", "same");
        CHECK(state_of_put(backend.storage, "k", "stale", Precondition::only_if(old)) == Put_State::not_applied);
    }

    TEST_CASE_TEMPLATE("erase obeys its condition", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto const first = store(backend.storage, "d/k", "1");
        auto const second = store(backend.storage, "d/k", "2");
        CHECK_FALSE(backend.storage.erase(key("d/k"), Precondition::only_if(first)).value());
        CHECK_FALSE(backend.storage.erase(key("d/k"), Precondition::absent()).value());
        CHECK(bytes_of(backend.storage, "d/k") == "2");
        CHECK(backend.storage.erase(key("d/k"), Precondition::only_if(second)).value());
        CHECK_FALSE(backend.storage.erase(key("d/k"), Precondition::none()).value());
        CHECK(keys_of(backend.storage).empty());
    }

    TEST_CASE_TEMPLATE("of those who erase an object at once, one is told that it was there", Backend,
                       MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        for (int round = 0; round < 20; ++round) {
            auto const version = store(backend.storage, "k", std::to_string(round));
            auto const when = round % 2 == 0 ? Precondition::none() : Precondition::only_if(version);
            std::atomic<int> erased{0};
            in_threads(4, [&](int) {
                auto const gone = backend.storage.erase(key("k"), when);
                erased += gone.has_value() && *gone ? 1 : 0;
            });
            CHECK(erased >= 1);
            CHECK((erased == 1 || !backend.storage.capabilities().conditional_erase));
            CHECK(bytes_of(backend.storage, "k") == "(absent)");
        }
    }

    TEST_CASE_TEMPLATE("an append goes to the end or nowhere", Backend, MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        auto& storage = backend.storage;
        REQUIRE(storage.capabilities().append);
        CHECK(state_of_append(storage, "l/log", 1, "x") == Put_State::not_applied);
        CHECK(bytes_of(storage, "l/log") == "(absent)");
        auto const first = storage.append(key("l/log"), 0, "one,", Durability::durable).value();
        CHECK(first.state == Put_State::applied);
        CHECK(storage.get(key("l/log")).value()->version == first.version);
        CHECK(state_of_append(storage, "l/log", 0, "one,") == Put_State::not_applied); // the repeat after a lost answer
        CHECK(state_of_append(storage, "l/log", 3, "x") == Put_State::not_applied);
        CHECK(state_of_append(storage, "l/log", 5, "x") == Put_State::not_applied);
        auto const second = storage.append(key("l/log"), 4, "two,", Durability::durable).value();
        CHECK(second.state == Put_State::applied);
        CHECK(second.version != first.version);
        CHECK(bytes_of(storage, "l/log") == "one,two,");
        CHECK(state_of_put(storage, "l/log", "x", Precondition::only_if(first.version)) == Put_State::not_applied);
    }

    TEST_CASE_TEMPLATE("a backend that cannot append says so and writes nothing", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto const appended = backend.storage.append(key("log"), 0, "x", Durability::durable);
        REQUIRE(appended.has_value() == backend.storage.capabilities().append);
        if (appended.has_value())
            return;
        CHECK(appended.error().code == Errc::unsupported);
        CHECK(keys_of(backend.storage).empty());
    }

    TEST_CASE_TEMPLATE("appends follow an object that is replaced, erased or empty", Backend,
                       MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        auto& storage = backend.storage;
        CHECK(state_of_append(storage, "log", 0, "old") == Put_State::applied);
        store(storage, "log", "new,");
        CHECK(state_of_append(storage, "log", 3, "x") == Put_State::not_applied);
        CHECK(state_of_append(storage, "log", 4, "more") == Put_State::applied);
        CHECK(bytes_of(storage, "log") == "new,more");
        CHECK(storage.erase(key("log"), Precondition::none()).value());
        CHECK(state_of_append(storage, "log", 8, "x") == Put_State::not_applied);
        CHECK(bytes_of(storage, "log") == "(absent)");
        CHECK(state_of_append(storage, "log", 0, "") == Put_State::applied);
        CHECK(bytes_of(storage, "log").empty());
        CHECK(state_of_append(storage, "log", 0, "again") == Put_State::applied);
        CHECK(bytes_of(storage, "log") == "again");
    }

    TEST_CASE_TEMPLATE("many logs can be appended to in turn", Backend, MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        for (std::size_t round = 0; round < 3; ++round)
            for (int log = 0; log < 150; ++log)
                REQUIRE(state_of_append(backend.storage, "log-" + std::to_string(log), round, "x") ==
                        Put_State::applied);
        CHECK(keys_of(backend.storage).size() == 150);
        CHECK(bytes_of(backend.storage, "log-0") == "xxx");
    }

    TEST_CASE_TEMPLATE("keys are listed in byte order, whatever they hold", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        std::vector<std::string> keys{"a-b",
                                      "a/b",
                                      "a0",
                                      "ab",
                                      "abc/c",
                                      "a b",
                                      "a%b",
                                      "a%2fb",
                                      "a+b",
                                      "~",
                                      "...",
                                      "..a/b..",
                                      "a.b/c",
                                      "a.b/c.d/e",
                                      "%2e%2e/x",
                                      "%",
                                      "caf\xc3\xa9",
                                      "\xf0\x9f\x98\x80/z",
                                      ".hidden/f",
                                      "a/b-c/d",
                                      "a/b.c",
                                      "a/b0/d",
                                      "A/b",
                                      "Z",
                                      "_",
                                      "a/" + std::string(255, 'n'),
                                      ".memfs_cache/locks/00",
                                      "x/.memfs_cache/y",
                                      "memfs_cache/locks/00",
                                      "%.memfs_cache",
                                      "%%.memfs_cache/z"};
        for (auto const& each : keys)
            store(backend.storage, each, each);
        std::sort(keys.begin(), keys.end());
        for (std::size_t const limit : {1U, 2U, 3U, 7U, 1000U})
            CHECK(keys_of(backend.storage, "", limit) == keys);
        for (auto const& each : keys)
            CHECK(bytes_of(backend.storage, each) == each);

        std::set<std::string> prefixes{"", "nothing", "a/b/", "a/b/c"};
        for (auto const& each : keys)
            for (std::size_t length = 1; length <= each.size() && length < 20; ++length)
                if (check_prefix(each.substr(0, length)))
                    prefixes.insert(each.substr(0, length));
        for (auto const& prefix : prefixes) {
            CAPTURE(prefix);
            std::vector<std::string> expected;
            for (auto const& each : keys)
                if (each.starts_with(prefix))
                    expected.push_back(each);
            CHECK(keys_of(backend.storage, prefix, 2) == expected);
            std::size_t turn = 0;
            for (auto const& start : prefixes) {
                if (Backend::is_remote && ++turn % 16 != 0)
                    continue; // each is a request
                CAPTURE(start);
                auto const page = backend.storage.list({prefix, start, 2}).value();
                auto after = std::upper_bound(expected.begin(), expected.end(), start);
                for (auto const& item : page.items) {
                    REQUIRE(after != expected.end());
                    CHECK(item.key == *after++);
                }
                CHECK(page.next.empty() == (after == expected.end()));
            }
        }
    }

    TEST_CASE_TEMPLATE("keys may be as long as they are allowed to be", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto const most = backend.storage.capabilities().max_key_bytes;
        REQUIRE(most <= Storage_Key::max_bytes);
        std::string longest;
        while (longest.size() + 256 < most)
            longest += std::string(255, 'p') + "/";
        longest += std::string(most - longest.size() - 2, 'q') + "/r";
        REQUIRE(longest.size() == most);
        store(backend.storage, longest, "far away");
        CHECK(bytes_of(backend.storage, longest) == "far away");
        CHECK(keys_of(backend.storage) == std::vector<std::string>{longest});
        if (most == Storage_Key::max_bytes)
            return; // a longer one is no key
        auto const longer = key(longest + "s");
        CHECK(backend.storage.put(longer, "x", Precondition::none(), buffered).error().code == Errc::invalid_argument);
        CHECK(backend.storage.get(longer).error().code == Errc::invalid_argument);
        CHECK(backend.storage.erase(longer, Precondition::none()).error().code == Errc::invalid_argument);
        CHECK(keys_of(backend.storage) == std::vector<std::string>{longest});
    }

    TEST_CASE_TEMPLATE("a listing that cannot be meant is refused", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        store(backend.storage, "a", "");
        CHECK(backend.storage.list({"", "", 0}).error().code == Errc::invalid_argument);
        CHECK(backend.storage.list({"../", "", 1}).error().code == Errc::invalid_argument);
        CHECK(backend.storage.list({"/etc", "", 1}).error().code == Errc::invalid_argument);
        CHECK(backend.storage.list({"", "/etc", 1}).error().code == Errc::invalid_argument);
    }

    TEST_CASE_TEMPLATE("an object and a folder share a name everywhere or are refused clearly", Backend,
                       MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto& storage = backend.storage;
        store(storage, "a/b", "1");
        auto const above = storage.put(key("a"), "2", Precondition::absent(), buffered);
        auto const below = lengthen(storage, "a/b/c", "", "3");
        if (Backend::has_folders) {
            CHECK(above.error().code == Errc::already_exists);
            CHECK(below.error().code == Errc::already_exists);
            CHECK(keys_of(storage) == std::vector<std::string>{"a/b"});
        } else {
            CHECK(above.value().state == Put_State::applied);
            CHECK(below.value().state == Put_State::applied);
            CHECK(keys_of(storage) == std::vector<std::string>{"a", "a/b", "a/b/c"});
        }
    }

    TEST_CASE_TEMPLATE("random operations agree with a map", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        auto const seed = random_u64();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };

        Backend backend;
        auto& storage = backend.storage;
        struct Expected {
            std::string bytes;
            Version version;
        };
        std::map<std::string, Expected> oracle;
        std::vector<Version> old_versions{{}, {"no such version"}};
        std::vector<std::string> const names{"a",       "a/b",   "a/b/c", "a/b/d", "a-b", "ab",  "ab/c",
                                             "b/c/d/e", "b/c/d", "b/c%d", "%",     "e f", "g+h", "\xf0\x9f\x98\x80",
                                             "a/b/c/d"};
        /// Does a file system refuse this key beside those that are there?
        auto const clashes = [&](std::string const& name) {
            return Backend::has_folders && std::any_of(oracle.begin(), oracle.end(), [&](auto const& other) {
                       return other.first.starts_with(name + "/") || name.starts_with(other.first + "/");
                   });
        };
        for (int step = 0; step < 1500; ++step) {
            auto const& name = names[below(names.size())];
            CAPTURE(step);
            CAPTURE(name);
            auto const present = oracle.find(name);
            bool const there = present != oracle.end();
            auto when = Precondition::none();
            bool met = true;
            if (auto const kind = below(4); kind == 0) {
                when = Precondition::absent();
                met = !there;
            } else if (kind == 1) {
                auto const& named =
                    there && below(2) == 0 ? present->second.version : old_versions[below(old_versions.size())];
                met = there && named == present->second.version;
                when = Precondition::only_if(named);
            }
            switch (below(5)) {
            case 0: {
                std::string const bytes(below(40), static_cast<char>('a' + below(26)));
                auto const written = storage.put(key(name), bytes, when, buffered);
                if (met && clashes(name)) {
                    REQUIRE(written.has_error());
                    CHECK(written.error().code == Errc::already_exists);
                } else {
                    REQUIRE(written.has_value());
                    REQUIRE((written->state == Put_State::applied) == met);
                    if (met)
                        oracle[name] = {bytes, written->version};
                }
                break;
            }
            case 1: {
                bool const erased = storage.erase(key(name), when).value();
                REQUIRE(erased == (there && met));
                if (erased) {
                    old_versions.push_back(present->second.version);
                    oracle.erase(present);
                }
                break;
            }
            case 2: {
                if (!storage.capabilities().append)
                    break;
                auto const size = there ? present->second.bytes.size() : 0;
                auto const at = below(3) == 0 ? below(50) : size;
                std::string const bytes(below(10), static_cast<char>('A' + below(26)));
                auto const written = storage.append(key(name), at, bytes, Durability::buffered);
                if (at == 0 && clashes(name)) {
                    REQUIRE(written.has_error());
                    CHECK(written.error().code == Errc::already_exists);
                } else {
                    REQUIRE(written.has_value());
                    REQUIRE((written->state == Put_State::applied) == (at == size));
                    if (at == size) {
                        if (there)
                            old_versions.push_back(present->second.version);
                        oracle[name].bytes += bytes;
                        oracle[name].version = written->version;
                    }
                }
                break;
            }
            case 3: {
                auto const found = storage.get(key(name)).value();
                REQUIRE(found.has_value() == there);
                if (there) {
                    CHECK(found->bytes == present->second.bytes);
                    CHECK(found->version == present->second.version);
                }
                break;
            }
            default: {
                auto const prefix = names[below(names.size())].substr(0, below(4));
                if (check_prefix(prefix).has_error())
                    break;
                auto const items = list_all(storage, prefix, 1 + below(5));
                std::size_t index = 0;
                for (auto const& [other, expected] : oracle) {
                    if (!other.starts_with(prefix))
                        continue;
                    REQUIRE(index < items.size());
                    CHECK(items[index].key == other);
                    CHECK(items[index].size_bytes == expected.bytes.size());
                    CHECK(items[index++].version == expected.version);
                }
                CHECK(index == items.size());
            }
            }
        }
    }

    TEST_CASE_TEMPLATE("increments by eight threads lose none", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        auto const counter = key("c/counter");
        std::atomic<int> errors{0};
        in_threads(8, [&](int worker) {
            auto& storage = other && worker % 2 == 1 ? *other : backend.storage;
            for (int i = 0; i < 25; ++i)
                errors += increment(storage, counter) ? 0 : 1;
        });
        CHECK(errors == 0);
        CHECK(count_at(backend.storage, counter) == 200);
    }

    TEST_CASE_TEMPLATE("a race to create has one winner", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        for (int round = 0; round < 20; ++round) {
            auto const name = "race/" + std::to_string(round) + "/k";
            std::atomic<int> winners{0};
            std::atomic<int> winner{-1};
            in_threads(8, [&](int worker) {
                auto const put =
                    backend.storage.put(key(name), std::to_string(worker), Precondition::absent(), buffered);
                if (put.has_value() && put->state == Put_State::applied) {
                    ++winners;
                    winner = worker;
                }
            });
            CHECK(winners == 1);
            CHECK(bytes_of(backend.storage, name) == std::to_string(winner));
        }
    }

    TEST_CASE_TEMPLATE("racing appends land once each and never over each other", Backend,
                       MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        constexpr int records = 40;
        in_threads(4, [&](int worker) {
            auto& storage = other && worker % 2 == 1 ? *other : backend.storage;
            for (int i = 0; i < records;) {
                auto const size = storage.get(key("log")).value().value_or(Object{}).bytes.size();
                if (state_of_append(storage, "log", size, std::string(8, static_cast<char>('a' + worker))) ==
                    Put_State::applied)
                    ++i;
            }
        });
        auto const log = bytes_of(backend.storage, "log");
        REQUIRE(log.size() == 4U * records * 8U);
        std::map<char, int> counts;
        for (std::size_t at = 0; at < log.size(); at += 8) {
            CHECK(log.substr(at, 8) == std::string(8, log[at]));
            ++counts[log[at]];
        }
        for (auto const& [letter, count] : counts)
            CHECK(count == records);
    }

    TEST_CASE_TEMPLATE("an append and a conditional put never both win", Backend,
                       MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        auto& storage = backend.storage;
        int lost = 0;
        for (int round = 0; round < 200; ++round) {
            auto const version = store(storage, "k", "base");
            std::atomic<bool> appended{false};
            std::atomic<bool> replaced{false};
            in_threads(2, [&](int worker) {
                if (worker == 0)
                    appended = state_of_append(storage, "k", 4, "+") == Put_State::applied;
                else
                    replaced =
                        state_of_put(storage, "k", "other", Precondition::only_if(version)) == Put_State::applied;
            });
            lost += appended && replaced ? 1 : 0;
            CHECK(bytes_of(storage, "k") == (replaced ? "other" : "base+"));
        }
        CHECK(lost == 0);
    }

    TEST_CASE_TEMPLATE("readers see whole values while writers replace them", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto& storage = backend.storage;
        auto const value = [](int number) {
            auto const letter = static_cast<char>('a' + number % 26);
            return std::to_string(number % 7 * 20'000 + 1) + ":" +
                   std::string(static_cast<std::size_t>(number % 7 * 20'000 + 1), letter);
        };
        auto const is_whole = [](std::string const& text) {
            auto const colon = text.find(':');
            auto const body = text.substr(colon + 1);
            return colon != std::string::npos && std::stoul(text) == body.size() &&
                   body.find_first_not_of(body[0]) == std::string::npos;
        };
        store(storage, "v", value(0));
        std::atomic<int> torn{0};
        std::atomic<bool> done{false};
        in_threads(4, [&](int worker) {
            if (worker < 2) {
                for (int i = 0; i < 60; ++i)
                    store(storage, "v", value(i * 2 + worker));
                done = true;
            } else {
                while (!done)
                    torn += is_whole(bytes_of(storage, "v")) ? 0 : 1;
            }
        });
        CHECK(torn == 0);
    }

    TEST_CASE_TEMPLATE("puts and erases in one folder do not disturb each other", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        std::atomic<int> errors{0};
        in_threads(4, [&](int worker) {
            auto const mine = "deep/er/still/" + std::to_string(worker);
            for (int i = 0; i < 40; ++i) {
                auto const put = i % 2 == 0 ? backend.storage.put(key(mine), "x", Precondition::absent(), buffered)
                                            : lengthen(backend.storage, mine, "", "x");
                errors += put.has_value() && put->state == Put_State::applied ? 0 : 1;
                auto const erased = backend.storage.erase(key(mine), Precondition::none());
                errors += erased.has_value() && *erased ? 0 : 1;
                errors += backend.storage.list({}).has_value() ? 0 : 1;
            }
        });
        CHECK(errors == 0);
        CHECK(keys_of(backend.storage).empty());
    }

    TEST_CASE_TEMPLATE("another handle sees what was acknowledged", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        if (!other)
            return;
        auto const version = store(backend.storage, "a/b", "1");
        CHECK(other->get(key("a/b")).value()->version == version);
        auto const when = Precondition::only_if(version);
        CHECK(state_of_put(*other, "a/b", "2", when) == Put_State::applied);
        CHECK(state_of_put(backend.storage, "a/b", "x", when) == Put_State::not_applied);
        CHECK(bytes_of(backend.storage, "a/b") == "2");
        CHECK(other->erase(key("a/b"), Precondition::none()).value());
        CHECK(keys_of(backend.storage).empty());
    }

    TEST_CASE_TEMPLATE("another handle appends behind what was acknowledged", Backend,
                       MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        auto other = backend.another();
        if (!other)
            return;
        store(backend.storage, "a/b", "1");
        CHECK(state_of_append(*other, "a/b", 1, "2") == Put_State::applied);
        CHECK(state_of_append(backend.storage, "a/b", 2, "3") == Put_State::applied);
        CHECK(state_of_append(*other, "a/b", 2, "x") == Put_State::not_applied);
        CHECK(bytes_of(*other, "a/b") == "123");
        CHECK(other->erase(key("a/b"), Precondition::none()).value());
        CHECK(state_of_append(backend.storage, "a/b", 3, "4") == Put_State::not_applied);
        CHECK(keys_of(backend.storage).empty());
    }

    TEST_CASE_TEMPLATE("increments by processes lose none", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        if (!backend.storage.capabilities().shared_between_processes)
            return;
        if (Backend::is_remote && !testing::can_fork_with_threads())
            return;
        auto const counter = key("c/counter");
        auto const good = in_processes(4, [&](int worker) {
            auto own = backend.another(); // half of the children use what they inherit, half a handle of their own
            auto& storage = worker % 2 == 0 ? backend.storage : *own;
            for (int i = 0; i < 50; ++i)
                if (!increment(storage, counter))
                    return false;
            return true;
        });
        CHECK(good == 4);
        CHECK(count_at(backend.storage, counter) == 200);
    }

    TEST_CASE_TEMPLATE("appends by forked children exclude each other", Backend, MEMFS_CACHE_SUITE_APPENDING_BACKENDS) {
        Backend backend;
        if (!backend.storage.capabilities().shared_between_processes)
            return;
        if (Backend::is_remote && !testing::can_fork_with_threads())
            return;
        REQUIRE(state_of_append(backend.storage, "log", 0, "start---") == Put_State::applied); // now open in the parent
        constexpr int records = 50;
        auto const good = in_processes(2, [&](int worker) {
            for (int i = 0; i < records;) {
                auto const size = backend.storage.get(key("log")).value()->bytes.size();
                auto const record = std::string(8, static_cast<char>('a' + worker));
                if (state_of_append(backend.storage, "log", size, record) == Put_State::applied)
                    ++i;
            }
            return true;
        });
        CHECK(good == 2);
        auto const log = bytes_of(backend.storage, "log");
        CHECK(log.size() == 8U + 2U * records * 8U);
        for (std::size_t at = 8; at < log.size(); at += 8)
            CHECK(log.substr(at, 8) == std::string(8, log[at]));
    }

    TEST_CASE_TEMPLATE("operations are counted, refused ones too", Backend, MEMFS_CACHE_SUITE_BACKENDS) {
        Backend backend;
        auto& storage = backend.storage;
        auto const before = storage.counters();
        store(storage, "a", "12345");
        CHECK(state_of_put(storage, "a", "xx", Precondition::absent()) == Put_State::not_applied);
        CHECK(storage.append(key("a"), 5, "678", Durability::buffered).has_value() == storage.capabilities().append);
        CHECK(bytes_of(storage, "a", {0, 4}) == "1234");
        CHECK(bytes_of(storage, "b") == "(absent)");
        CHECK(storage.counters().reads - before.reads == 2); // to erase may take a look
        CHECK(keys_of(storage).size() == 1);
        CHECK(storage.erase(key("a"), Precondition::none()).value());
        auto const after = storage.counters();
        CHECK(after.writes - before.writes == 2);
        CHECK(after.appends - before.appends == 1);
        CHECK(after.lists - before.lists == 1);
        CHECK(after.deletes - before.deletes == 1);
        CHECK(after.bytes_read - before.bytes_read == 4);
        CHECK(after.bytes_written - before.bytes_written == 5 + 2 + 3);
    }
}

} // namespace memfs_cache::conformance
