// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/backends.hpp"
#include "support/child_process.hpp"
#include "support/printers.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/service/cache_service.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unistd.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using Service = Cache_Service<Any_Storage>;

namespace {

constexpr auto now = "2026-02-13T14:10";

auto options(std::string root_prefix = "cache") -> Service_Options {
    Service_Options options;
    options.root_prefix = std::move(root_prefix);
    options.clock = std::make_shared<Manual_Clock>(time_at(now));
    return options;
}

auto request() -> Request_View { return {.method = "GET", .target = "/", .status = 200}; }

/// Forwards to a wrapper that stays where it is, for a service that must own its storage.
template <class Wrapped>
struct Handle {
    Wrapped* to;
    auto get(Storage_Key const& key, Byte_Range range = {}) const { return to->get(key, range); }
    auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& how = {}) {
        return to->put(key, bytes, when, how);
    }
    auto erase(Storage_Key const& key, Precondition const& when) { return to->erase(key, when); }
    auto list(List_Query const& query) const { return to->list(query); }
    auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability durability) {
        return to->append(key, at, bytes, durability);
    }
    auto sync() { return to->sync(); }
    auto capabilities() const { return to->capabilities(); }
    auto counters() const { return to->counters(); }
};

struct Watched {
    std::unique_ptr<Storage_Memory> memory = std::make_unique<Storage_Memory>();
    std::unique_ptr<Watched_Memory> watched = std::make_unique<Watched_Memory>(*memory);
    auto handle() const -> Any_Storage { return Any_Storage(Handle<Watched_Memory>{watched.get()}); }
};

struct Watched_Disk {
    explicit Watched_Disk(std::filesystem::path const& folder) : disk(Storage_Disk::open(folder).value()) {}
    Storage_Disk disk;
    Wrapped_Storage<Storage_Disk> storage{disk};
    auto handle() -> Any_Storage { return Any_Storage(Handle<Wrapped_Storage<Storage_Disk>>{&storage}); }
};

/// What an application may add: a handler of its own.
class Guest_Book {
  public:
    static auto
    open(Any_Storage& storage, std::string_view root, Namespace_Name const& name, Clock_Ptr, std::string greeting)
        -> Result<std::unique_ptr<Guest_Book>> {
        if (greeting.empty())
            return fail(Errc::invalid_argument, "greeting: say something");
        return std::unique_ptr<Guest_Book>(
            new Guest_Book(storage, std::string(root) + "/" + name.str(), name, greeting));
    }
    auto sign(std::string const& guest) -> Result<void> {
        return write(storage_, folder_ + "/" + guest, greeting_ + guest);
    }
    [[nodiscard]] auto name() const -> Namespace_Name { return name_; }
    auto flush() -> Result<void> {
        ++flushed;
        return {};
    }
    auto close() -> Result<void> { return {}; }
    [[nodiscard]] auto health() const -> Handler_Health { return {false, {{"flushed", flushed}}}; }
    int flushed = 0;

  private:
    Guest_Book(Any_Storage& storage, std::string folder, Namespace_Name name, std::string greeting)
        : storage_(storage), folder_(std::move(folder)), name_(std::move(name)), greeting_(std::move(greeting)) {}
    Any_Storage& storage_;
    std::string folder_;
    Namespace_Name name_;
    std::string greeting_;
};

} // namespace

TEST_SUITE("service/cache_service") {
    TEST_CASE(
        "an application adds a handler of its own, which is flushed, asked for its health and closed with the rest") {
        Service cache(Any_Storage(Storage_Memory()), options());
        CHECK(cache.add_namespace<Guest_Book>("guests", std::string()).error().code == Errc::invalid_argument);
        auto* const book = cache.add_namespace<Guest_Book>("guests", std::string("hello ")).value();
        CHECK(book->sign("ann"));
        CHECK(cache.add_namespace<Guest_Book>("guests", std::string("again")).value() == book);
        CHECK(cache.open_analytics("guests").error().code == Errc::invalid_argument);
        CHECK(cache.open_tokens("a/b").error().code == Errc::invalid_argument);
        CHECK(cache.flush());
        CHECK(book->flushed == 1);
        CHECK(cache.health().namespaces.at("guests").as_object().at("flushed") == 1);
        CHECK(read(cache.storage(), "cache/guests/ann").value() == "hello ann");
        CHECK(cache.namespaces().value() == std::vector<std::string>{"guests"});
        CHECK(cache.close());
        CHECK(cache.add_namespace<Guest_Book>("others", std::string("x")).error().code == Errc::closed);
    }

    TEST_CASE("tokens of a service are exact and lie in their own namespace") {
        auto with_url = options();
        with_url.tokens.share_url_base = "https://files.example/t/";
        Service cache(Any_Storage(Storage_Memory()), with_url);
        CHECK(cache.tokens().create("t", {.limit = 1}).value().share_url == "https://files.example/t/t");
        CHECK(cache.tokens().use("t").value().success);
        CHECK_FALSE(cache.tokens().use("t").value().success);
        CHECK_FALSE(cache.tokens("of-another-site").lookup("t").value());
        CHECK(cache.namespaces().value() == std::vector<std::string>{"of-another-site", "tokens"});
    }

    TEST_CASE("a service keeps values, ids and dated files below its root, with the ids of its own generator") {
        auto with_ids = options();
        auto const an_id = Cache_Id::parse("2c15e5f1-0000-4000-8000-000000000041").value();
        with_ids.id_generator = [&] { return an_id; };
        Service cache(Any_Storage(Storage_Memory()), with_ids);
        auto const stored = cache.entries().store("notes", Entry_Strategy::temporal, Entry_Value::string("x")).value();
        CHECK(stored.cache_id == an_id.str());
        CHECK(stored.paths.data.front().starts_with("notes/data/temporal/2026/02/13/14/"));
        Python_Json const source("a source");
        CHECK(cache.create_cache_entry("people", source).value() == an_id);
        auto const hash = cache.resolve_cache_hash(source).value();
        CHECK(hash == cache.hash_generator().from_string("a source").value());
        CHECK(cache.lookup_by_hash("people", hash).value() == an_id);
        CHECK(cache.lookup_by_hash("people", hash, source).value() == an_id);
        CHECK_FALSE(cache.lookup_by_hash("people", hash, Python_Json("another")).value());
        auto const paths = cache.write_temporal("notes", an_id, "data", "a.txt").value();
        CHECK(read(cache.storage(), "cache/" + paths.dated).value() == "data");
        CHECK(cache.read_latest("notes", an_id, "a.txt").value() == "data");
        CHECK(cache.namespaces().value() == std::vector<std::string>{"notes", "people"});
    }

    TEST_CASE("a service on memory records, answers and tells how it is") {
        Service cache(Any_Storage(Storage_Memory()), options());
        REQUIRE(cache.analytics().record_request(request()));
        CHECK(cache.analytics().pulse().value().active_requests == 1);
        auto const health = cache.health();
        CHECK_FALSE(health.degraded);
        CHECK(health.to_json().at("status") == "ok");
        CHECK(health.namespaces.at("analytics").at("recorded") == 1);
        CHECK(cache.hash_generator().from_string("x").value().size() == 16);
        CHECK(cache.clock()->now() == time_at(now));
    }

    TEST_CASE("any name can be an analytics namespace, and they do not mix") {
        Service cache(Any_Storage(Storage_Memory()), options());
        auto& site = cache.analytics("site-x");
        REQUIRE(site.record_request(request()));
        CHECK(&cache.analytics("site-x") == &site);
        CHECK(cache.analytics().pulse().value().active_requests == 0);
        CHECK(site.pulse().value().active_requests == 1);
        for (auto const* name : {"", "..", "a/b", "A B", "x\n"}) {
            CAPTURE(name);
            CHECK(cache.open_analytics(name).error().code == Errc::invalid_argument);
        }
        CHECK_THROWS_AS((void)cache.analytics(".."), Cache_Error);
    }

    TEST_CASE("namespaces are those of the store and those in use, below the root only") {
        for (std::string const root : {"cache", "", "deep/root"}) {
            CAPTURE(root);
            Storage_Memory memory;
            auto const below = root.empty() ? "" : root + "/";
            for (auto const* key : {"tokens/data/x", "tokens/refs/y", "costs/z", "a.file", "Not A Name/x"})
                REQUIRE(write(memory, below + key, "1"));
            if (!root.empty()) {
                REQUIRE(write(memory, "transfers/1/meta.json", "1"));
                REQUIRE(write(memory, root + "-other/x/y", "1"));
            }
            Service cache(Any_Storage(std::move(memory)), options(root));
            CHECK(cache.namespaces().value() == std::vector<std::string>{"costs", "tokens"});
            (void)cache.analytics();
            CHECK(cache.namespaces().value() == std::vector<std::string>{"analytics", "costs", "tokens"});
        }
    }

    TEST_CASE("what was recorded is there for the next service on the same folder") {
        Scratch_Folder folder;
        for (int run = 1; run <= 3; ++run) {
            Service cache(Any_Storage(Storage_Disk::open(folder.path()).value()), options());
            REQUIRE(cache.analytics().record_request(request()));
            CHECK(cache.analytics().pulse().value().active_requests == static_cast<std::uint64_t>(run));
            if (run == 1)
                REQUIRE(cache.flush());
            if (run == 2)
                REQUIRE(cache.close()); // the third is only destroyed
        }
        Service cache(Any_Storage(Storage_Disk::open(folder.path()).value()), options());
        CHECK(cache.analytics().pulse().value().active_requests == 3);
    }

    TEST_CASE("a closed service records nothing and opens nothing, but still answers") {
        Service cache(Any_Storage(Storage_Memory()), options());
        REQUIRE(cache.analytics().record_request(request()));
        REQUIRE(cache.close());
        REQUIRE(cache.close());
        CHECK_FALSE(cache.analytics().record_request(request()));
        CHECK(cache.analytics().pulse().value().active_requests == 1);
        CHECK(cache.open_analytics("another").error().code == Errc::closed);
    }

    TEST_CASE("one namespace in trouble shows, and keeps no other from being flushed") {
        Watched store;
        Service cache(store.handle(), options());
        auto& good = cache.analytics("good");
        auto& bad = cache.analytics("bad");
        store.watched->hook = [](auto operation, std::string const& key) -> Watched_Memory::Verdict {
            bool const fails = operation == Watched_Memory::Operation::put && key.starts_with("cache/bad/");
            return fails ? Watched_Memory::Verdict{Watched_Memory::Verdict::Kind::fail} : Watched_Memory::Verdict{};
        };
        REQUIRE(bad.record_request(request()));
        REQUIRE(good.record_request(request()));
        CHECK(cache.flush().error().code == Errc::unavailable);
        CHECK(good.log().counts().landed == 1);
        CHECK(cache.health().degraded);
        CHECK(cache.health().to_json().at("status") == "degraded");
        store.watched->hook = nullptr;
        CHECK(cache.flush());
        CHECK_FALSE(cache.health().degraded);
    }

    TEST_CASE("health is told while a storage keeps a namespace from opening") {
        Watched store;
        Service cache(store.handle(), options());
        REQUIRE(cache.analytics().record_request(request()));
        std::mutex slow;
        slow.lock();
        std::atomic<bool> asked{false};
        store.watched->hook = [&](auto, std::string const& key) -> Watched_Memory::Verdict {
            if (key.starts_with("cache/slow/")) {
                asked = true;
                std::unique_lock const wait(slow);
            }
            return {};
        };
        std::thread opener([&] { (void)cache.open_analytics("slow"); });
        while (!asked)
            std::this_thread::yield();
        CHECK(cache.health().namespaces.size() == 1);
        CHECK(cache.analytics().record_request(request()));
        slow.unlock();
        opener.join();
        CHECK(cache.health().namespaces.size() == 2);
    }

    TEST_CASE("set up, every namespace is open, and a storage that one cannot work on shows at once") {
        Service cache(Any_Storage(Storage_Memory()), options());
        CHECK(cache.setup_namespaces());
        CHECK(cache.setup_namespaces());
        CHECK(cache.namespaces().value() == std::vector<std::string>{"analytics", "costs", "tokens", "transfers"});
        Watched store;
        store.watched->promised.conditional_put = false;
        Service without(store.handle(), options());
        CHECK(without.setup_namespaces().error().code == Errc::unsupported);
    }

    TEST_CASE("the names of the original plan do what the handlers do, and give their errors") {
        Service cache(Any_Storage(Storage_Memory()), options());
        Analytics_Event event;
        event.event_type = "page_view";
        event.timestamp = time_at(now);
        CHECK(cache.record_analytics_event(event));
        CHECK(cache.compute_pulse().value().active_requests == 1);
        CHECK(cache.compute_pulse(0).error().code == Errc::invalid_argument);
        CHECK(cache.compute_aggregation("analytics", "daily", "2026-02-13").value().total_requests == 1);
        CHECK(cache.compute_aggregation("another", "daily", "2026-02-13").value().total_requests == 0);
        CHECK(cache.compute_aggregation("a/b", "daily", "2026-02-13").error().code == Errc::invalid_argument);
        CHECK(cache.create_token("T", {.limit = 2}).value().token_name == "t");
        CHECK(cache.create_token("t").error().code == Errc::already_exists);
        CHECK(cache.use_token("t", {.action = "opened"}).value().remaining == 1);
        CHECK(cache.lookup_token("t").value()->usage_count == 1);
        CHECK(cache.revoke_token("t").value().status == Token_Status::revoked);
        CHECK(cache.use_token("t").value().rejection_reason == "revoked");
        CHECK(cache.list_tokens().value().size() == 1);
        CHECK(cache.tokens().events("t").value().size() == 2);
    }

    TEST_CASE_TEMPLATE("one service does it all on every storage, and the next one finds it there", Backend,
                       MEMFS_CACHE_BACKENDS) {
        Backend backend;
        auto another = backend.another();
        auto const open = [&](auto storage) {
            auto with_clock = options();
            return std::make_unique<Cache_Service<decltype(storage)>>(std::move(storage), with_clock);
        };
        std::string id;
        {
            auto const cache = open(std::move(backend.storage));
            CHECK(cache->setup_namespaces());
            CHECK(cache->analytics().record_request(request()));
            CHECK(cache->create_token("t", {.limit = 2}).value().remaining == 2);
            CHECK(cache->use_token("t").value().success);
            id = cache->entries()
                     .store("notes", Entry_Strategy::temporal_latest, Entry_Value::string("x"))
                     .value()
                     .cache_id;
            CHECK(cache->close());
            if (another)
                CHECK(cache->compute_pulse().value().active_requests == 1);
        }
        if (!another)
            return; // what this storage held went with the service
        auto const next = open(*std::move(another));
        CHECK(next->compute_pulse().value().active_requests == 1);
        CHECK(next->compute_aggregation("analytics", "hourly", "2026-02-13T14").value().page_views == 1);
        CHECK(next->use_token("t").value().remaining == 0);
        CHECK(next->use_token("t").value().rejection_reason == "exhausted");
        CHECK(next->tokens().aggregation("t", "daily", "2026-02-13").value().accepted == 2);
        CHECK(next->entries().retrieve("notes", Cache_Id::parse(id).value()).value()->value ==
              Entry_Value::string("x"));
        CHECK(next->namespaces().value() == std::vector<std::string>{"analytics", "notes", "tokens"});
    }

    TEST_CASE("a fork while a namespace is being opened hangs no child") {
        if (!can_fork_with_threads())
            return;
        Scratch_Folder folder;
        Watched_Disk watched(folder.path());
        Cache_Service<Any_Storage> cache(watched.handle(), options());
        CHECK(cache.create_token("t", {.limit = 2}));
        std::atomic<bool> asked{false}, goes_on{false};
        watched.storage.hook = [&, parent = ::getpid()](auto, std::string const& key) {
            if (key.starts_with("cache/slow/") && ::getpid() == parent) {
                asked = true;
                while (!goes_on)
                    std::this_thread::yield();
            }
            return Wrapped_Storage<Storage_Disk>::Verdict{};
        };
        std::thread opener([&] { CHECK(cache.open_analytics("slow")); });
        wait_until([&] { return asked.load(); });
        CHECK(is_well_in_child([&] {
            return cache.open_analytics("slow") && cache.open_tokens("others") && cache.use_token("t") &&
                   !cache.health().degraded && cache.flush() && cache.close();
        }));
        goes_on = true;
        opener.join();
        CHECK(cache.use_token("t").value().usage_count == 2);
        CHECK(cache.close());
    }

    TEST_CASE("a storage that cannot be asked is an error of opening, and may be tried again") {
        Watched store;
        Service cache(store.handle(), options());
        store.watched->hook = [](auto, std::string const&) -> Watched_Memory::Verdict {
            return {Watched_Memory::Verdict::Kind::fail};
        };
        CHECK(cache.open_analytics("analytics").error().code == Errc::unavailable);
        CHECK(cache.namespaces().error().code == Errc::unavailable);
        store.watched->hook = nullptr;
        CHECK(cache.open_analytics("analytics"));
    }
}
