// SPDX-License-Identifier: Apache-2.0
#include "support/format_page.hpp"
#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/wait_until.hpp"
#include <memfs_cache/namespaces/tokens.hpp>
#include <memfs_cache/storage/memory.hpp>

#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const start = from_millis(1'770'991'506'789); // 2026-02-13T14:05:06.789Z
constexpr std::string_view folder = "cache/tokens/data/actions/";

/// Claims as one process makes them, for a token whose uses are counted here.
struct Process {
    explicit Process(Storage_Memory& storage, std::size_t most_remembered = 65'536)
        : claims(storage, std::string(folder), most_remembered) {}

    void use(std::string const& action, Utc_Time now, std::string const& token = "a-token") {
        auto const granted = [](int& count) {
            ++count;
            return Result<Token_Use>(Token_Use{true, {}, 0, {}});
        };
        auto const outcome = claims.once(
            token, action, now, [&] { return granted(spent); },
            [&]() -> Result<void> {
                --spent;
                return {};
            },
            [&] { return granted(repeated); });
        REQUIRE(outcome.value().success);
    }

    Action_Claims<Storage_Memory> claims;
    int spent = 0;
    int repeated = 0;
};

auto remembered(Storage_Memory const& storage, std::string const& below = "") -> std::size_t {
    return files_list(storage, std::string(folder) + below).value().size();
}

} // namespace

TEST_SUITE("namespaces/tokens/action_claims") {
    TEST_CASE("a new action costs two reads and a write, a known one a read, however many are remembered") {
        Storage_Memory storage;
        Process process(storage);
        for (int i = 0; i < 500; ++i)
            process.use("action " + std::to_string(i), start);
        auto const before = storage.counters();
        process.use("another", start);
        auto const fresh = storage.counters();
        CHECK(fresh.reads - before.reads == 2);
        CHECK(fresh.writes - before.writes == 1);
        process.use("another", start);
        auto const again = storage.counters();
        CHECK(again.reads - fresh.reads == 1);
        CHECK(again.writes == fresh.writes);
        CHECK(again.lists == 0);
        CHECK(process.spent == 501);
        CHECK(process.repeated == 1);
    }

    TEST_CASE("a claim lies under its day and its token, and is that of docs/format.md but for its nonce") {
        Storage_Memory storage;
        Process process(storage);
        process.use("a click", start);
        auto const path = std::string(folder) + "2026-02-13/a-token/" +
                          Cache_Hash::create("sha256", 32).value().from_bytes("a click") + ".json";
        auto const claim = read(storage, path).value().value() + "\n";
        auto const example = documented("claim");
        auto const nonce = example.find(R"("nonce":")") + 9;
        CHECK(claim.size() == example.size());
        CHECK(claim.substr(0, nonce) == example.substr(0, nonce));
        CHECK(claim.substr(nonce, 14) != example.substr(nonce, 14));
    }

    TEST_CASE("an action is known to every process for a day, and no longer") {
        Storage_Memory storage;
        Process one(storage), other(storage);
        one.use("a click", start);
        other.use("a click", start + 24h - 1ms);
        CHECK(other.spent == 0);
        other.use("a click", start + 24h);
        CHECK(other.spent == 1);
        one.use("a click", start + 48h - 1ms);
        CHECK(one.spent == 1);
    }

    TEST_CASE(
        "claims of days that are over are erased by the page, those of yesterday stay, and then it costs nothing") {
        Storage_Memory storage;
        Process process(storage);
        for (int i = 0; i < 2'500; ++i)
            process.use("old " + std::to_string(i), start, "token-" + std::to_string(i % 3));
        process.use("yesterday's", start + 24h);
        process.use("today's", start + 48h);
        for (auto const left : {1'502U, 502U, 2U}) {
            auto const before = storage.counters();
            CHECK(process.claims.tidy(start + 48h));
            CHECK(storage.counters().lists - before.lists == 1);
            CHECK(remembered(storage) == left);
        }
        auto const before = storage.counters();
        CHECK(process.claims.tidy(start + 49h));
        CHECK(storage.counters().lists == before.lists);
        CHECK(storage.counters().deletes == before.deletes);
        process.use("yesterday's", start + 48h - 1ms);
        CHECK(process.repeated == 1);
        CHECK(process.claims.tidy(start + 72h)); // the next day
        CHECK(remembered(storage) == 1);
    }

    TEST_CASE("of a token so many actions are remembered and no more, and those of the older day are forgotten first") {
        Storage_Memory storage;
        Process process(storage, 16), other(storage, 16);
        for (int i = 0; i < 10; ++i)
            process.use("old " + std::to_string(i), start);
        for (int i = 0; i < 12; ++i)
            (i % 2 == 0 ? process : other).use("new " + std::to_string(i), start + 24h);
        process.use("of another token", start, "b-token");
        CHECK(other.claims.tidy(start + 24h));
        CHECK(remembered(storage, "2026-02-13/a-token/") == 4);
        CHECK(remembered(storage, "2026-02-14/a-token/") == 12);
        CHECK(remembered(storage, "2026-02-13/b-token/") == 1);
        for (int i = 0; i < 12; ++i)
            process.use("new " + std::to_string(i), start + 24h);
        CHECK(process.repeated == 12);
        auto const before = storage.counters();
        CHECK(other.claims.tidy(start + 24h)); // nothing has been added since
        CHECK(storage.counters().lists == before.lists);
    }

    TEST_CASE("tokens forget old actions in the background") {
        Storage_Memory storage;
        auto const clock = std::make_shared<Manual_Clock>(start);
        Tokens_Options options;
        options.log.check_interval = 1ms;
        auto const tokens =
            Tokens<Storage_Memory>::open(storage, "cache", Namespace_Name("tokens"), clock, options).value();
        REQUIRE(tokens->create("t"));
        CHECK(tokens->use("t", {.action_id = "old"}).value().success);
        CHECK(remembered(storage, "2026-02-13/") == 1);
        clock->advance(48h);
        CHECK(tokens->use("t", {.action_id = "new"}).value().success);
        wait_until([&] { return remembered(storage, "2026-02-13/") == 0; });
        CHECK(remembered(storage) == 1);
        CHECK(tokens->health().details.at("failed_tidying") == 0);
    }
}
