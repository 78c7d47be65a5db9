// SPDX-License-Identifier: Apache-2.0
#include "support/delayed_storage.hpp"
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/test_seed.hpp"
#include "support/wrapped_storage.hpp"
#include "transfer_store.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <boost/json.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace memfs_cache;
using namespace std::chrono_literals;
using example::Payload;
using example::Promise;
using example::Transfer;
using example::Transfer_Store;

namespace {

constexpr auto start = from_millis(1'770'991'506'789);

/// Transfers on a storage that the test keeps in its hands.
struct House {
    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(start);
    Any_Storage storage = Storage_Memory();
    Transfer_Store transfers = Transfer_Store::open(storage, clock).value();

    auto create(Transfer const& wanted = {}) -> std::string { return transfers.create(wanted).value().transfer_id; }
    auto upload(std::string const& id, std::string_view bytes) -> Payload {
        auto payload = transfers.new_payload();
        transfers.add(id, payload, bytes).value();
        transfers.settle(id, payload).value();
        return payload;
    }
    /// A transfer with a payload that may be downloaded.
    auto completed(Transfer wanted = {}) -> std::string {
        auto const id = create(wanted);
        auto const payload = upload(id, "payload");
        change(id, [&](Transfer& it) {
            it.payload = payload;
            it.status = "completed";
        });
        return id;
    }
    template <class Edit>
    auto change(std::string const& id, Edit edit) -> Transfer {
        return transfers
            .change(id,
                    [&](Transfer& it) {
                        edit(it);
                        return true;
                    })
            .value()
            .value();
    }
    auto promise(std::string const& id, std::string const& download) -> Promise {
        auto promised = Promise::over;
        change(id, [&](Transfer& it) { promised = it.promise(download, clock->now(), start - 24h); });
        return promised;
    }
    auto get(std::string const& id) -> Transfer { return transfers.read(id).value().value(); }
    auto payloads(std::string const& id) -> std::size_t {
        return files_list(storage, "transfers/" + id + "/payload/").value().size();
    }
    void sweep_at(std::chrono::milliseconds later) {
        clock->set(start + later);
        transfers.sweep().value();
    }
};

auto limited(std::uint64_t downloads) -> Transfer {
    Transfer wanted;
    wanted.max_downloads = downloads;
    return wanted;
}

} // namespace

TEST_SUITE("examples/transfer_store") {
    TEST_CASE("a transfer is stored as docs/format.md says, and read from there") {
        auto const text = testing::documented("transfer");
        auto transfer = Transfer::parse(text, "the page").value();
        CHECK(transfer.transfer_id == "5f0c2a9be417");
        CHECK(transfer.reserved.at(0).holder.pid == 4711);
        auto again = boost::json::parse(transfer.to_json()).as_object();
        auto page = boost::json::parse(text).as_object();
        CHECK(again.at("nonce") != page.at("nonce"));
        again["nonce"] = page.at("nonce");
        CHECK(again == page);
        for (auto const& member : page) {
            auto broken = page;
            broken.erase(member.key());
            auto const read = Transfer::parse(boost::json::serialize(broken), "it");
            CHECK(read.has_value() == (member.key() == "nonce"));
        }
        page["v"] = 2;
        CHECK(Transfer::parse(boost::json::serialize(page), "it").error().code == Errc::corrupt_data);
    }

    TEST_CASE("a storage on which no limit would hold is refused") {
        Storage_Memory memory;
        Wrapped_Storage<Storage_Memory> weak(memory);
        weak.promised.conditional_put = false;
        CHECK(Transfer_Store::open(Any_Storage(std::move(weak)), std::make_shared<System_Clock>()).error().code ==
              Errc::unsupported);
    }

    TEST_CASE("payloads lie in one object where a storage can append, else in pieces, and read alike") {
        for (bool const appends : {true, false}) {
            CAPTURE(appends);
            Storage_Memory memory;
            Wrapped_Storage<Storage_Memory> chosen(memory);
            chosen.promised.append = appends;
            Any_Storage storage(std::move(chosen));
            auto transfers = Transfer_Store::open(storage, std::make_shared<System_Clock>()).value();
            auto const id = transfers.create({}).value().transfer_id;
            auto payload = transfers.new_payload();
            auto const piece = transfers.piece_bytes(payload);
            std::string bytes;
            for (std::size_t i = 0; i < 2 * piece + 5; ++i)
                bytes += static_cast<char>('a' + i % 23);
            for (std::size_t at = 0; at < bytes.size(); at += piece)
                transfers.add(id, payload, std::string_view(bytes).substr(at, piece)).value();
            transfers.settle(id, payload).value();
            CHECK(payload.size_bytes == bytes.size());
            CHECK(files_list(storage, "transfers/" + id + "/payload/").value().size() == (appends ? 1 : 3));
            for (std::size_t const most : {piece, std::size_t{100'000}}) {
                std::string read;
                while (read.size() < bytes.size())
                    read += transfers.read(id, payload, read.size(), most).value();
                CHECK(read == bytes);
            }
            transfers.erase(id, payload).value();
            CHECK(transfers.read(id, payload, 0, 1).error().code == Errc::not_found);
        }
    }

    TEST_CASE("no more downloads are promised than are allowed, and what is given back can be promised again") {
        House house;
        auto const id = house.completed(limited(2));
        CHECK(house.promise(id, "a") == Promise::given);
        CHECK(house.promise(id, "a") == Promise::given); // asked again, once
        CHECK(house.promise(id, "b") == Promise::given);
        CHECK(house.promise(id, "c") == Promise::none_left_now);
        house.change(id, [](Transfer& it) { it.settle("a", false); });
        CHECK(house.promise(id, "c") == Promise::given);
        for (int i = 0; i < 2; ++i) { // again: nothing
            house.change(id, [](Transfer& it) {
                it.settle("b", true);
                it.settle("c", true);
            });
        }
        CHECK(house.get(id).download_count == 2);
        CHECK(house.get(id).status == "exhausted");
        CHECK(house.promise(id, "d") == Promise::over);
        CHECK(house.payloads(id) == 1);
    }

    TEST_CASE("many threads are promised exactly what is allowed") {
        House house;
        auto const id = house.completed(limited(10));
        std::atomic<int> given{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&, i] {
                for (int j = 0; j < 5; ++j) {
                    auto const download = std::to_string(i) + "-" + std::to_string(j);
                    if (house.promise(id, download) != Promise::given)
                        continue;
                    bool const is_whole = j % 2 == 0;
                    house.change(id, [&](Transfer& it) { it.settle(download, is_whole); });
                    given += is_whole ? 1 : 0;
                }
            });
        }
        for (auto& thread : threads)
            thread.join();
        CHECK(given == 10);
        CHECK(house.get(id).download_count == 10);
    }

    TEST_CASE("a download that is settled again, as its answer was lost and others wrote meanwhile, counts once") {
        Transfer unlimited;
        CHECK(unlimited.settle("a", true));
        CHECK(unlimited.settle("b", true));
        CHECK_FALSE(unlimited.settle("a", true));
        CHECK_FALSE(unlimited.settle("c", false));
        CHECK(unlimited.download_count == 2);
        for (int i = 0; i < 100; ++i)
            CHECK(unlimited.settle(std::to_string(i), true));
        CHECK(unlimited.counted.size() == 32); // and no more, however many there are
        CHECK(unlimited.download_count == 102);
    }

    TEST_CASE("downloads without a limit count once each, also when answers of the storage are lost") {
        auto const seed = testing::seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        using Fate = Delayed_Storage<Storage_Memory>::Fate;
        Storage_Memory memory;
        Any_Storage storage((Delayed_Storage<Storage_Memory>(memory)));
        auto const clock = std::make_shared<Manual_Clock>(start);
        auto transfers = Transfer_Store::open(storage, clock).value();
        for (std::uint64_t const limit : {0U, 40U}) {
            auto& network = *storage.as<Delayed_Storage<Storage_Memory>>();
            network.fate = {};
            auto wanted = limited(limit);
            wanted.status = "completed";
            auto const id = transfers.create(wanted).value().transfer_id;
            network.fate = [&] {
                return random() % 3 == 0 ? Fate::answer_lost : random() % 5 == 0 ? Fate::lost : Fate::answered;
            };
            std::uint64_t whole = 0;
            for (int i = 0; i < 30; ++i) {
                auto const download = std::to_string(i);
                auto promised = Promise::over;
                (void)transfers
                    .change(id,
                            [&](Transfer& it) {
                                promised = it.promise(download, clock->now(), start - 24h);
                                return promised == Promise::given;
                            })
                    .value();
                REQUIRE(promised == Promise::given);
                bool const is_whole = random() % 4 != 0;
                whole += is_whole ? 1 : 0;
                (void)transfers.change(id, [&](Transfer& it) { return it.settle(download, is_whole); }).value();
            }
            auto const transfer = transfers.read(id).value().value();
            CHECK(transfer.download_count == whole);
            CHECK(transfer.reserved.empty());
        }
    }

    TEST_CASE("a sweep deletes what was abandoned or has expired, with its payload, and nothing else") {
        House house;
        auto const abandoned = house.create();
        house.upload(abandoned, "never completed");
        auto expiring = limited(3);
        expiring.expires_at = start + 1h;
        auto const expired = house.completed(expiring);
        auto const kept = house.completed();
        auto const replaced = house.upload(kept, "of an upload that came too late");
        house.storage.put(Storage_Key("transfers/readme.txt"), "not ours", Precondition::none()).value();

        house.sweep_at(59min);
        CHECK(house.get(abandoned).status == "pending");
        CHECK(house.payloads(abandoned) == 1); // it may be on its way
        CHECK(house.get(expired).status == "completed");
        CHECK(house.payloads(kept) == 1);
        CHECK(house.transfers.read(kept, replaced, 0, 10).error().code == Errc::not_found);
        CHECK(house.transfers.read(kept, house.get(kept).payload, 0, 10).value() == "payload");

        house.sweep_at(1h);
        CHECK(house.get(expired).status == "deleted");
        CHECK(house.payloads(expired) == 0);
        house.sweep_at(24h - 1ms);
        CHECK(house.get(abandoned).status == "pending");
        house.sweep_at(24h);
        CHECK(house.get(abandoned).status == "deleted");
        CHECK(house.payloads(abandoned) == 0);
        CHECK(house.get(kept).status == "completed");
        CHECK(house.payloads(kept) == 1);
        CHECK(exists(house.storage, "transfers/readme.txt").value());
        house.sweep_at(48h); // again: nothing
        CHECK(house.payloads(kept) == 1);
    }

    TEST_CASE("a sweep goes on behind a transfer that cannot be read, and tells of it") {
        House house;
        house.storage.put(Storage_Key("transfers/000000000000/meta.json"), "damaged", Precondition::none()).value();
        auto const abandoned = house.create();
        house.clock->advance(24h);
        CHECK(house.transfers.sweep().error().code == Errc::corrupt_data);
        CHECK(house.get(abandoned).status == "deleted");
        auto const next = house.create();
        house.clock->advance(24h);
        (void)house.transfers.sweep([] { return false; });
        CHECK(house.get(next).status == "pending");
    }

    TEST_CASE("promises of servers that died count as downloads, those of servers that live do not") {
        House house;
        auto wanted = limited(2);
        wanted.auto_delete = true;
        auto const id = house.completed(wanted);
        CHECK(house.promise(id, "alive") == Promise::given);
        CHECK(house.promise(id, "dead") == Promise::given);
        house.sweep_at(1h);
        CHECK(house.get(id).reserved.size() == 2);
        auto dead = Process_Identity::current();
        dead.started += 1; // another process had our number before us
        house.change(id, [&](Transfer& it) { it.reserved.at(1).holder = dead; });
        house.sweep_at(1h);
        CHECK(house.get(id).download_count == 1);
        CHECK(house.get(id).reserved.size() == 1);
        CHECK(house.get(id).status == "completed");
        house.sweep_at(24h);
        CHECK(house.get(id).reserved.size() == 1);
        house.sweep_at(24h + 1ms); // whoever takes longer than this counts
        CHECK(house.get(id).status == "exhausted");
        CHECK(house.payloads(id) == 0);
        CHECK_FALSE(house.get(id).settle("alive", true)); // late, and counted already
    }

    TEST_CASE("a promise of a server that died makes room for nobody and keeps nobody waiting") {
        House house;
        auto const id = house.completed(limited(1));
        CHECK(house.promise(id, "dead") == Promise::given);
        CHECK(house.promise(id, "next") == Promise::none_left_now);
        auto dead = Process_Identity::current();
        dead.started += 1;
        house.change(id, [&](Transfer& it) { it.reserved.at(0).holder = dead; });
        CHECK(house.promise(id, "next") == Promise::over);
    }

    TEST_CASE("ids are 12 lower-case hex digits, and nothing else reaches a storage") {
        House house;
        auto const before = house.storage.counters();
        for (std::string const id :
             {"", "0123456789a", "0123456789abc", "0123456789aB", "../../../../x", "01234567/9ab"}) {
            CAPTURE(id);
            CHECK(!house.transfers.read(id).value());
            CHECK(!house.transfers.change(id, [](Transfer&) { return true; }).value());
        }
        CHECK(house.storage.counters().reads == before.reads);
        CHECK(Transfer_Store::is_id(house.create()));
    }
}
