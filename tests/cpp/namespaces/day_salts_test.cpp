// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/child_process.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/storage/disk.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using Operation = Watched_Memory::Operation;
using Verdict = Watched_Memory::Verdict;

namespace {

constexpr auto salts_prefix = "cache/analytics/data/salts/";

auto salt_names(Storage_Memory const& storage) -> std::set<std::string> {
    std::set<std::string> names;
    for (auto const& name : files_list(storage, salts_prefix).value())
        names.insert(name.substr(std::string(salts_prefix).size()));
    return names;
}

auto visitor(std::string_view remote, std::string const& time = "2026-02-13T14:05") -> Request_View {
    return {.method = "GET", .target = "/", .status = 200, .remote = remote, .timestamp = time_at(time)};
}

auto without_visitor(Site& site) -> std::uint64_t {
    return site->health().details.at("without_visitor").to_number<std::uint64_t>();
}

} // namespace

TEST_SUITE("namespaces/analytics/day_salts") {
    TEST_CASE("a visitor's hash is the same all day and another one the next day, for every spelling of an address") {
        Site site("2026-02-14T12:00");
        auto const hash = [&](std::string_view address, std::string const& time) {
            return member(site.stored(visitor(address, time)), "ip_hash");
        };
        auto const first = hash("198.18.0.1", "2026-02-13T00:00");
        CHECK(first.size() == 18); // with its quotes
        CHECK(hash("198.18.0.1", "2026-02-13T23:59:59.999") == first);
        CHECK(hash("::ffff:198.18.0.1", "2026-02-13T12:00") == first);
        CHECK(hash("198.18.0.1:4711", "2026-02-13T12:00") == first);
        CHECK(hash("198.18.0.1", "2026-02-14T00:00") != first);
        CHECK(hash("198.18.0.2", "2026-02-13T12:00") != first);
        auto const sixth = hash("2001:db8::1", "2026-02-13T12:00");
        for (auto const* spelling : {"2001:DB8::1", "2001:0db8:0000:0:0::1", "[2001:db8::1]:443", "2001:db8::0.0.0.1"})
            CHECK(hash(spelling, "2026-02-13T12:00") == sixth);
        CHECK('"' + site->visitor_hash("2001:db8::1", time_at("2026-02-13T01:00")) + '"' == sixth);
        CHECK(site->visitor_hash("unknown", time_at("2026-02-13T01:00")).empty());
        CHECK(salt_names(site.memory) == std::set<std::string>{"2026-02-13.json", "2026-02-14.json"});
    }

    TEST_CASE("a salt is made once, and every process uses the one that was first") {
        Site site;
        auto const mine = member(site.stored(visitor("198.18.0.1")), "ip_hash");
        auto const salts = stored_files(site.memory, salts_prefix);
        Site_Process second(site.storage, time_at("2026-02-13T14:10"));
        CHECK('"' + second->visitor_hash("198.18.0.1", time_at("2026-02-13T14:10")) + '"' == mine);
        CHECK(stored_files(site.memory, salts_prefix) == salts);
        CHECK(salts.size() == 1);
    }

    TEST_CASE("of two creators at once both use the winner's salt") {
        Site site;
        Site_Process rival(site.memory, time_at("2026-02-13T14:10"));
        std::string rivals_hash;
        site.storage.hook = [&](Operation operation, std::string const& key) -> Verdict {
            if (operation == Operation::put && key.starts_with(salts_prefix) && rivals_hash.empty())
                rivals_hash = rival->visitor_hash("198.18.0.1", time_at("2026-02-13T14:10"));
            return {};
        };
        CHECK(site->visitor_hash("198.18.0.1", time_at("2026-02-13T14:10")) == rivals_hash);
        CHECK(rivals_hash.size() == 16);
    }

    TEST_CASE("threads that ask at once for a new day get one salt") {
        Site site;
        std::atomic<int> puts{0};
        site.storage.hook = [&](Operation operation, std::string const& key) -> Verdict {
            if (operation == Operation::put && key.starts_with(salts_prefix))
                ++puts;
            return {};
        };
        std::array<std::string, 8> hashes;
        std::vector<std::thread> threads;
        for (auto& hash : hashes)
            threads.emplace_back([&] { hash = site->visitor_hash("198.18.0.1", time_at("2026-02-13T14:10")); });
        for (auto& thread : threads)
            thread.join();
        CHECK(std::set<std::string>(hashes.begin(), hashes.end()).size() == 1);
        CHECK(puts == 1);
    }

    TEST_CASE("a salt that may or may not be stored is used only once it is read back") {
        for (auto const kind : {Verdict::Kind::unknown_after, Verdict::Kind::unknown_before}) {
            Site site;
            site.storage.hook = [&](Operation operation, std::string const& key) -> Verdict {
                return operation == Operation::put && key.starts_with(salts_prefix) ? Verdict{kind} : Verdict{};
            };
            CHECK(site->visitor_hash("198.18.0.1", time_at("2026-02-13T14:10")).empty() ==
                  (kind == Verdict::Kind::unknown_before));
        }
    }

    TEST_CASE("the salts of docs/format.md are read and written") {
        auto const documented = [](std::string const& name) {
            auto text = testing::documented(name);
            text.pop_back();
            return text;
        };
        auto const salt = parse_salt(documented("salt")).value();
        REQUIRE(salt);
        CHECK((*salt)[15] == 15);
        CHECK(salt_text(*salt) == documented("salt"));
        CHECK_FALSE(parse_salt(documented("destroyed salt")).value());
    }

    TEST_CASE("on disk a salt is readable by its owner only") {
        Scratch_Folder folder;
        auto storage = Storage_Disk::open(folder.path()).value();
        Site_Process site(storage, time_at("2026-02-13T14:10"));
        REQUIRE(site->record_request(visitor("198.18.0.1")));
        struct stat status {};
        REQUIRE(::stat((folder.path() / salts_prefix / "2026-02-13.json").c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);
    }

    TEST_CASE("a destroyed salt leaves the visitors of its day unknown, and is not made anew") {
        Site site;
        auto const key = std::string(salts_prefix) + "2026-02-13.json";
        REQUIRE(write(site.memory, key, R"({"tombstone":true})"));
        CHECK(member(site.stored(visitor("198.18.0.1")), "ip_hash").empty());
        CHECK(without_visitor(site) == 1);
        CHECK(read(site.memory, key).value() == R"({"tombstone":true})");
        CHECK_FALSE(site->health().degraded);
    }

    TEST_CASE("salts go with the raw events of their day, for ever, and a late visitor of it stays unknown (H25)") {
        Site site;
        REQUIRE(site->record_request(visitor("198.18.0.1")));
        site.clock().set(time_at("2026-02-14T10:00"));
        REQUIRE(site->record_request(visitor("198.18.0.1", "2026-02-14T09:59")));
        REQUIRE(site->flush());
        auto const first = std::string(salts_prefix) + "2026-02-13.json";
        site.clock().set(time_at("2026-05-15T00:00")); // 90 days behind the end of the first day
        Site_Process purging(site.storage, time_at("2026-05-15T00:00"));
        REQUIRE(site->close());
        auto const dry = purging->purge({.dry_run = true}).value();
        CHECK(dry.salts == std::vector{first});
        CHECK(parse_salt(read(site.memory, first).value().value()).value().has_value());
        Holds<Watched_Memory> holds(site.storage, Log_Paths("cache", Namespace_Name("analytics")));
        REQUIRE(
            holds.set({"case", "why", time_at("2026-02-13T23:30"), time_at("2026-02-14T00:00"), purging.clock->now()}));
        CHECK(purging->purge({}).value().salts.empty());
        CHECK(holds.release("case").value());
        auto const real = purging->purge({}).value();
        CHECK(real.salts == dry.salts);
        CHECK(read(site.memory, first).value() ==
              testing::documented("destroyed salt").substr(0, salt_tombstone.size()));
        CHECK(salt_names(site.memory).contains("2026-02-14.json"));
        CHECK(parse_salt(read(site.memory, std::string(salts_prefix) + "2026-02-14.json").value().value()).value());
        CHECK(purging->purge({}).value().is_empty());

        Site_Process late(site.storage, time_at("2026-05-15T00:00"));
        REQUIRE(late->record_request(visitor("198.18.0.1")));
        CHECK(late->aggregation("daily", "2026-02-13").value().total_requests == 2);
        CHECK(late->aggregation("daily", "2026-02-13").value().unique_visitors == 1);
        CHECK(late->visitor_hash("198.18.0.1", time_at("2026-02-13T14:05")).empty());
    }

    TEST_CASE("a damaged salt is never replaced, and costs the visitor only") {
        for (std::string const text :
             {"", "{}", R"({"v":1,"salt":"00"})", R"({"v":1,"salt":"zz112233445566778899aabbccddeeff"})"}) {
            CAPTURE(text);
            Site site;
            auto const key = std::string(salts_prefix) + "2026-02-13.json";
            REQUIRE(write(site.memory, key, text));
            CHECK(member(site.stored(visitor("198.18.0.1")), "ip_hash").empty());
            CHECK(without_visitor(site) == 1);
            CHECK(read(site.memory, key).value() == text);
        }
    }

    TEST_CASE(
        "without the storage of salts a request is recorded without its visitor, and the storage is left in peace") {
        Analytics_Options options;
        options.log.check_interval = std::chrono::hours(1); // the background does not try again meanwhile
        Site site("2026-02-13T14:10", options);
        int asked = 0;
        site.storage.hook = [&](Operation, std::string const& key) -> Verdict {
            bool const salt = key.starts_with(salts_prefix);
            asked += salt;
            return salt ? Verdict{Verdict::Kind::fail} : Verdict{};
        };
        for (int i = 0; i < 10; ++i)
            REQUIRE(site->record_request(visitor("198.18.0.1")));
        CHECK(stored_events(site.memory).size() == 10);
        CHECK(member(stored_events(site.memory).back(), "ip_hash").empty());
        CHECK(without_visitor(site) == 10);
        CHECK(asked == 1); // a failure is not met again with every request
    }

    TEST_CASE("no request waits for the salt: neither the first of a process nor the first of a day") {
        Analytics_Options options;
        options.log.check_interval = std::chrono::milliseconds(1);
        Site site("2026-02-13T22:59", options);
        std::atomic<bool> asked_by_recorder{false};
        site.storage.hook = [&, recorder = std::this_thread::get_id()](Operation, std::string const& key) -> Verdict {
            if (key.starts_with(salts_prefix) && std::this_thread::get_id() == recorder)
                asked_by_recorder = true;
            return {};
        };
        CHECK(salt_names(site.memory).empty()); // to open is not to record
        REQUIRE(site->prepare());
        CHECK(asked_by_recorder.exchange(false));
        CHECK(salt_names(site.memory) == std::set<std::string>{"2026-02-13.json"});
        auto const record = [&](std::string const& time) {
            REQUIRE(site->record_request(visitor("198.18.0.1", time)));
        };
        record("2026-02-13T22:59");
        site.clock().set(time_at("2026-02-13T23:00"));
        record("2026-02-13T23:00"); // the background makes the next day's
        wait_until([&] { return salt_names(site.memory).size() == 2; });
        CHECK(salt_names(site.memory) == std::set<std::string>{"2026-02-13.json", "2026-02-14.json"});
        site.clock().set(time_at("2026-02-14T00:00"));
        record("2026-02-14T00:00");
        record("2026-02-13T23:59:59.999");
        CHECK_FALSE(asked_by_recorder);
        CHECK(without_visitor(site) == 0);

        Site_Process later(site.storage, time_at("2026-02-14T00:01"), options); // finds the salt there when it opens
        asked_by_recorder = false;
        REQUIRE(later->record_request(visitor("198.18.0.1", "2026-02-14T00:01")));
        CHECK_FALSE(asked_by_recorder);
    }

    TEST_CASE("in the mode per_request the salt of tomorrow is made without a thread") {
        Analytics_Options options;
        options.log.mode = Recording_Mode::per_request;
        Site site("2026-02-13T23:00", options);
        REQUIRE(site->record_request(visitor("198.18.0.1", "2026-02-13T23:00")));
        CHECK(salt_names(site.memory).size() == 2);
    }

    TEST_CASE("a storage of salts that is dead across midnight costs visitors, not requests, and comes back (H30)") {
        Analytics_Options options;
        options.log.check_interval = std::chrono::milliseconds(1);
        Site site("2026-02-13T22:30", options);
        std::atomic<bool> dead{false};
        std::atomic<int> tries{0}, tries_of_recorder{0};
        site.storage.hook = [&, recorder = std::this_thread::get_id()](Operation, std::string const& key) -> Verdict {
            if (!key.starts_with(salts_prefix))
                return {};
            if (dead)
                ++(std::this_thread::get_id() == recorder ? tries_of_recorder : tries);
            return dead ? Verdict{Verdict::Kind::fail} : Verdict{};
        };
        REQUIRE(site->record_request(visitor("198.18.0.1", "2026-02-13T22:30")));
        dead = true;
        site.clock().set(time_at("2026-02-13T23:30"));
        REQUIRE(site->record_request(visitor("198.18.0.1", "2026-02-13T23:30")));
        CHECK(without_visitor(site) == 0);
        wait_until([&] { return tries > 0; });
        site.clock().set(time_at("2026-02-14T00:00:00.200"));
        for (int i = 0; i < 10; ++i) {
            REQUIRE(site->record_request(visitor("198.18.0.1", "2026-02-14T00:00:00.200")));
            CHECK(member(stored_events(site.memory).back(), "ip_hash").empty());
        }
        CHECK(tries_of_recorder == 0);
        CHECK(without_visitor(site) == 10);
        for (auto const& [name, bytes] : stored_files(site.memory))
            CHECK(bytes.find("198.18.0.1") == std::string::npos);
        dead = false;
        wait_until([&] { return salt_names(site.memory).size() == 2; });
        wait_until([&] {
            REQUIRE(site->record_request(visitor("198.18.0.1", "2026-02-14T00:00:01")));
            return !member(stored_events(site.memory).back(), "ip_hash").empty();
        });
        CHECK(tries_of_recorder == 0);
    }

    TEST_CASE("of eight processes that meet a new day at once all know a visitor by one hash (H30)") {
        Scratch_Folder folder;
        std::vector<pid_t> children;
        for (int i = 0; i < 8; ++i) {
            auto const child = ::fork();
            if (child == 0) { // it must not run what belongs to its parent
                bool recorded = false;
                try {
                    auto storage = Storage_Disk::open(folder.path()).value();
                    Site_Process site(storage, time_at("2026-02-13T23:59"));
                    site.clock->set(time_at("2026-02-14T00:00:00.200"));
                    recorded = site->record_view(visitor("198.18.0.1", "2026-02-14T00:00:00.200")).has_value() &&
                               site->close().has_value();
                } catch (...) { // the parent sees the status
                }
                ::_exit(recorded ? 0 : 1);
            }
            children.push_back(child);
        }
        for (auto const child : children) {
            int status = 1;
            REQUIRE(::waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }
        auto const storage = Storage_Disk::open(folder.path()).value();
        std::set<std::string> hashes;
        for (auto const& event : stored_events(storage))
            hashes.insert(member(event, "ip_hash"));
        CHECK(stored_events(storage).size() == 8);
        CHECK(hashes.size() == 1);
        CHECK(hashes.begin()->size() == 18);
    }

    TEST_CASE("a fork in the middle of a fetch hangs no child") {
        if (!can_fork_with_threads())
            return;
        Site site;
        std::atomic<bool> asked{false}, goes_on{false};
        site.storage.hook = [&, parent = ::getpid()](Operation, std::string const& key) -> Verdict {
            if (key.starts_with(salts_prefix) && ::getpid() == parent) {
                asked = true;
                while (!goes_on)
                    std::this_thread::yield();
            }
            return {};
        };
        std::thread fetcher([&] { CHECK(site->prepare()); });
        wait_until([&] { return asked.load(); });
        CHECK(is_well_in_child(
            [&] { return site->record_request(visitor("198.18.0.1")) && without_visitor(site) == 0; }));
        goes_on = true;
        fetcher.join();
        CHECK(site->record_request(visitor("198.18.0.1")));
        CHECK(without_visitor(site) == 0);
    }

    TEST_CASE("no salt is made for a time that is refused, nor where nobody is hashed") {
        Site site;
        CHECK(site->record_view(visitor("198.18.0.1", "2026-02-14T14:11")).error().code == Errc::invalid_argument);
        CHECK(site->record_view(visitor("198.18.0.1", "1969-12-31T23:59")).error().code == Errc::invalid_argument);
        REQUIRE(site->record_request(visitor("unknown")));
        CHECK(salt_names(site.memory).empty());
        Analytics_Options options;
        options.visitor_key = Visitor_Key::none;
        Site nobody("2026-02-13T14:10", options);
        CHECK(member(nobody.stored(visitor("198.18.0.1")), "ip_hash").empty());
        CHECK(nobody->visitor_hash("198.18.0.1", time_at("2026-02-13T14:10")).empty());
        CHECK(salt_names(nobody.memory).empty());
        CHECK(without_visitor(nobody) == 0);
    }

    TEST_CASE("a salt may live for a week or a month, and the store decides") {
        for (auto const& [period, start, next] : {std::tuple("week", "2026-02-09", "2026-02-16T00:00"),
                                                  std::tuple("month", "2026-02-01", "2026-03-01T00:00")}) {
            auto const* const captured = period; // clang 14 captures no structured binding
            CAPTURE(captured);
            Analytics_Options options;
            options.log.settings.salt_period = period;
            Site site("2026-03-02T00:00", options);
            auto const hash = [&](std::string const& time) { return site->visitor_hash("198.18.0.1", time_at(time)); };
            CHECK(hash("2026-02-13T14:05") == hash("2026-02-15T23:59:59.999"));
            CHECK(salt_names(site.memory) == std::set{std::string(start) + ".json"});
            CHECK(hash(next) != hash("2026-02-13T14:05"));

            Site_Process other(site.storage, time_at("2026-03-02T00:00")); // asks for nothing
            CHECK(other->visitor_hash("198.18.0.1", time_at("2026-02-14T00:00")) == hash("2026-02-13T14:05"));
        }
    }

    TEST_CASE("address and user agent together tell people behind one address apart") {
        Analytics_Options options;
        options.visitor_key = Visitor_Key::ip_ua;
        Site site("2026-02-13T14:10", options);
        auto const hash = [&](std::string_view address, std::string_view agent) {
            auto request = visitor(address);
            request.user_agent = agent;
            return member(site.stored(request), "ip_hash");
        };
        auto const first = hash("198.18.0.1", "Firefox/1");
        CHECK(hash("198.18.0.1", "Firefox/1") == first);
        CHECK(hash("198.18.0.1", "Firefox/2") != first);
        CHECK(hash("198.18.0.2", "Firefox/1") != first);
        // Whoever knows two of the hashes learns nothing about the third.
        auto const number = [](std::string const& quoted) { return parse_hex(quoted.substr(1, 16)).value(); };
        CHECK((number(hash("198.18.0.1", "Firefox/1")) ^ number(hash("198.18.0.1", "Firefox/2"))) !=
              (number(hash("198.18.0.2", "Firefox/1")) ^ number(hash("198.18.0.2", "Firefox/2"))));
    }
}
