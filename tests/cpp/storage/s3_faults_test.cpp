// SPDX-License-Identifier: Apache-2.0
#include "s3_world.hpp"
#include "support/child_process.hpp"
#include <memfs_cache/storage/update.hpp>

#include <set>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

using Answer = Fault::Answer;

constexpr std::size_t tries = 10; // as S3_Settings::most_tries says

auto impatient() -> S3_Settings {
    S3_Settings wishes;
    wishes.client.answer_timeout = std::chrono::milliseconds(200);
    wishes.most_tries = 3;
    return wishes;
}

/// What a caller of a put sees, in one word.
auto told(Result<Put_Outcome> const& outcome) -> std::string {
    if (!outcome)
        return std::string(info(outcome.error().code).name);
    switch (outcome->state) {
    case Put_State::applied:
        return "applied";
    case Put_State::not_applied:
        return "not applied";
    case Put_State::unknown:
        return "unknown";
    }
    return "";
}

struct Named_Fault {
    std::string name;
    Fault fault;
};

/// Answers after which a request is sent again.
auto passing_faults() -> std::vector<Named_Fault> {
    return {{"500", Fault::error(500, "InternalError")},
            {"502", Fault::error(502, "")},
            {"503", Fault::error(503, "SlowDown")},
            {"503 without a word", Fault::text_instead("", 503)},
            {"504", Fault::error(504, "")},
            {"429", Fault::error(429, "TooManyRequests")},
            {"409", Fault::error(409, "ConditionalRequestConflict")},
            {"reset before it is done", Fault::reset_before()}};
}

} // namespace

TEST_SUITE("storage/s3 faults") {
    TEST_CASE("a request that is put off, or not answered, is sent again and does what it should") {
        for (auto const& each : passing_faults()) {
            CAPTURE(each.name);
            auto const& fault = each.fault;
            S3_World world;
            world.server.script(first(2, "PUT", fault));
            CHECK(told(world.put("plain", "1")) == "applied");
            world.server.script(first(2, "PUT", fault));
            CHECK(told(world.put("new", "2", Precondition::absent())) == "applied");
            world.server.script(first(2, "PUT", fault));
            CHECK(told(world.put("new", "3", Precondition::only_if(world.version_of("new")))) == "applied");
            world.server.script(first(2, "GET", fault));
            CHECK(world.get("new").value()->bytes == "3");
            world.server.script(first(2, "GET", fault));
            CHECK(world.storage->list({}).value().items.size() == 2);
            world.server.script(first(2, "HEAD", fault));
            CHECK(world.erase("plain").value());
            world.server.script(first(2, "DELETE", fault));
            CHECK(world.erase("new").value());
            CHECK(world.server.keys().empty());
            CHECK(world.works());
        }
    }

    TEST_CASE("a service that never answers well is given up after ten tries, with the outcome that is known") {
        struct Case {
            Named_Fault fault;
            std::string plain, conditional;
            Errc read;
        };
        for (auto const& each :
             std::vector<Case>{{{"500", Fault::error(500, "InternalError")}, "unknown", "unknown", Errc::unavailable},
                               {{"503", Fault::error(503, "SlowDown")}, "throttled", "throttled", Errc::throttled},
                               {{"429", Fault::error(429, "")}, "throttled", "throttled", Errc::throttled},
                               {{"409", Fault::error(409, "OperationAborted")}, "conflict", "conflict", Errc::conflict},
                               {{"reset", Fault::reset_before()}, "unknown", "unknown", Errc::unavailable}}) {
            CAPTURE(each.fault.name);
            S3_Settings patient; // ten of the longest pauses are longer than the usual budget
            patient.retry_budget = std::chrono::hours(1);
            S3_World world({}, patient);
            REQUIRE(told(world.put("there", "old")) == "applied");
            auto const when = Precondition::only_if(world.version_of("there"));
            world.server.forget();
            world.server.script(all("PUT", each.fault.fault));
            CHECK(told(world.put("there", "new")) == each.plain);
            CHECK(world.server.seen().size() == tries);
            CHECK(told(world.put("there", "new", when)) == each.conditional);
            CHECK(told(world.put("other", "new", Precondition::absent())) == each.conditional);
            world.server.script(all("GET", each.fault.fault));
            CHECK(world.get("there").error().code == each.read);
            CHECK(world.storage->list({}).error().code == each.read);
            world.server.script(all("HEAD", each.fault.fault));
            CHECK(world.erase("there").error().code == each.read);
            CHECK(world.works());
            CHECK(world.server.bytes_of("there") == "old");
        }
    }

    TEST_CASE("pauses grow from a tenth of a second to fifteen, and end with the budget") {
        S3_World world({}, [] {
            S3_Settings wishes;
            wishes.retry_budget = std::chrono::seconds(20);
            return wishes;
        }());
        world.server.script(all("GET", Fault::error(503, "SlowDown")));
        std::size_t before = 0;
        for (int round = 0; round < 40; ++round) { // ten pauses alone are longer than the budget in some of them
            world.server.forget();
            CHECK(world.get("k").error().code == Errc::throttled);
            auto const now = world.pauses.all();
            std::chrono::milliseconds waited{0};
            for (std::size_t i = before; i < now.size(); ++i)
                waited += now[i];
            CHECK(waited <= std::chrono::seconds(20));
            CHECK(world.server.seen().size() == now.size() - before + 1);
            before = now.size();
        }
        auto const pauses = world.pauses.all();
        REQUIRE(pauses.size() > 40);
        CHECK(*std::min_element(pauses.begin(), pauses.end()) >= std::chrono::milliseconds(100));
        CHECK(*std::max_element(pauses.begin(), pauses.end()) <= std::chrono::seconds(15));
        CHECK(*std::max_element(pauses.begin(), pauses.end()) > std::chrono::seconds(1));
        CHECK(std::set(pauses.begin(), pauses.end()).size() > pauses.size() / 4); // no two come back together
    }

    TEST_CASE("a put that may have been done stays unknown, whatever the tries behind it are told") {
        for (auto const& when : {Precondition::none(), Precondition::absent()}) {
            S3_World world;
            world.server.script([puts = 0](Seen_Request const& seen) mutable {
                if (seen.method != "PUT")
                    return Fault{};
                return puts++ == 0 ? Fault::reset_after() : Fault::error(503, "SlowDown");
            });
            CHECK(told(world.put("k", "1", when)) == "unknown");
            CHECK(world.server.bytes_of("k") == "1");
            CHECK(world.works());
        }
    }

    TEST_CASE("after an answer that went wrong the next try has a connection of its own") {
        S3_World world;
        CHECK(told(world.put("k", "1")) == "applied");
        world.server.forget();
        world.server.script(first(1, "GET", Fault::error(503, "SlowDown")));
        CHECK(world.get("k").value()->bytes == "1");
        auto const seen = world.server.seen();
        REQUIRE(seen.size() == 2);
        CHECK(seen[0].connection != seen[1].connection);
    }

    TEST_CASE("a write that was done before the connection broke is known by its own mark") {
        for (auto const& fault : {Fault::reset_after(), Fault::error_after(500, "InternalError"),
                                  Fault::error_after(503, "SlowDown"), Fault::error_after(429, "")}) {
            S3_World world;
            world.server.script(first(1, "PUT", fault));
            auto const created = world.put("k", "1", Precondition::absent());
            CHECK(told(created) == "applied");
            CHECK(created->version == world.version_of("k"));
            world.server.script(first(1, "PUT", fault));
            auto const replaced = world.put("k", "2", Precondition::only_if(created->version));
            CHECK(told(replaced) == "applied");
            CHECK(replaced->version == world.version_of("k"));
            CHECK(world.works());
        }
    }

    TEST_CASE("equal bytes of somebody else are not taken for the own write") {
        S3_World world;
        world.server.script([&world, puts = 0](Seen_Request const& seen) mutable {
            if (seen.method != "PUT" || ++puts > 1)
                return Fault{};
            world.server.store("k", "same"); // a rival is faster
            return Fault::reset_before();
        });
        CHECK(told(world.put("k", "same", Precondition::absent())) == "unknown");
    }

    TEST_CASE("a write that was done and then replaced by somebody else is unknown, not refused") {
        S3_World world;
        REQUIRE(told(world.put("k", "0")) == "applied");
        auto const when = Precondition::only_if(world.version_of("k"));
        std::size_t puts = 0;
        world.server.script([&](Seen_Request const& seen) {
            if (seen.method == "PUT" && ++puts == 1)
                return Fault::reset_after();
            if (seen.method == "PUT")
                world.server.store("k", "of a rival, made from ours");
            return Fault{};
        });
        CHECK(told(world.put("k", "1", when)) == "unknown");
        CHECK(world.server.bytes_of("k") == "of a rival, made from ours");
    }

    TEST_CASE("a refusal counts at once if nothing went wrong before") {
        S3_World world;
        REQUIRE(told(world.put("k", "1")) == "applied");
        world.server.forget();
        CHECK(told(world.put("k", "2", Precondition::absent())) == "not applied");
        CHECK(told(world.put("k", "2", Precondition::only_if({"other"}))) == "not applied");
        CHECK(told(world.put("none", "2", Precondition::only_if({"other"}))) == "not applied");
        CHECK(world.server.seen().size() == 3);
    }

    TEST_CASE("a request that is delivered twice has one effect") {
        S3_World world;
        world.server.script(all("PUT", Fault::twice()));
        auto const created = world.put("k", "1", Precondition::absent());
        CHECK(told(created) == "applied");
        CHECK(told(world.put("k", "2", Precondition::only_if(created->version))) == "applied");
        CHECK(world.server.bytes_of("k") == "2");
        world.server.script(all("DELETE", Fault::twice()));
        CHECK(world.erase("k").value());
        CHECK(world.server.keys().empty());
        CHECK(world.works());
    }

    TEST_CASE("a write that lands after the client gave up was told as unknown, and changes nothing newer") {
        S3_World world;
        REQUIRE(told(world.put("k", "0")) == "applied");
        auto const base = Precondition::only_if(world.version_of("k"));
        world.server.script(all("PUT", Fault::late()));
        CHECK(told(world.put("k", "late", base)) == "unknown");
        CHECK(told(world.put("new", "late", Precondition::absent())) == "unknown");
        CHECK(world.server.bytes_of("k") == "0");
        world.server.script({});
        CHECK(told(world.put("k", "newer", base)) == "applied");
        CHECK(told(world.put("new", "newer", Precondition::absent())) == "applied");
        world.server.land_late();
        CHECK(world.server.bytes_of("k") == "newer");
        CHECK(world.server.bytes_of("new") == "newer");
    }

    TEST_CASE("an update survives every loss of an answer and is made once") {
        S3_World world;
        std::size_t number = 0;
        world.server.script([&](Seen_Request const& seen) {
            if (seen.method != "PUT")
                return Fault{};
            switch (++number % 5) {
            case 0:
                return Fault::reset_after();
            case 1:
                return Fault::late();
            case 2:
                return Fault::error_after(500, "InternalError");
            case 3:
                return Fault::twice();
            default:
                return Fault{};
            }
        });
        std::string expected;
        for (int i = 0; i < 30; ++i) {
            auto const line = std::to_string(i) + "\n";
            expected += line;
            auto const changed = update_object(*world.storage, Storage_Key("list"),
                                               [&](Object const* current) -> Result<std::optional<Bytes>> {
                                                   auto bytes = current != nullptr ? current->bytes : Bytes();
                                                   if (bytes.ends_with(line))
                                                       return std::optional<Bytes>();
                                                   return std::optional(bytes + line);
                                               });
            REQUIRE(changed.has_value());
            if (i % 3 == 0)
                world.server.land_late();
        }
        world.server.land_late();
        CHECK(world.server.bytes_of("list") == expected);
    }

    TEST_CASE("a body that is cut short is never passed on") {
        S3_World world;
        auto const body = std::string(100'000, 'b');
        REQUIRE(told(world.put("k", body)) == "applied");
        world.server.script(first(3, "GET", Fault::spoiled(Answer::truncated)));
        CHECK(world.get("k").value()->bytes == body);
        world.server.script(all("GET", Fault::spoiled(Answer::truncated)));
        CHECK(world.get("k").has_error());
        CHECK(world.storage->list({}).has_error());
        world.server.script(first(1, "PUT", Fault::spoiled(Answer::truncated)));
        CHECK(told(world.put("new", "x", Precondition::absent())) == "applied");
        CHECK(world.works());
    }

    TEST_CASE("bytes that nobody announced reach neither this answer nor the next") {
        S3_World world;
        REQUIRE(told(world.put("k", "body")) == "applied");
        world.server.script(all("GET", Fault::spoiled(Answer::oversized)));
        for (int i = 0; i < 5; ++i) {
            auto const read = world.get("k");
            if (read)
                CHECK((*read)->bytes == "body");
        }
        CHECK(world.works());
        CHECK(world.get("k").value()->bytes == "body");
    }

    TEST_CASE("an answer that never comes, or comes byte by byte, is waited for no longer than agreed") {
        for (auto const how : {Answer::silence, Answer::drip}) {
            S3_World world({}, impatient());
            REQUIRE(told(world.put("k", "old")) == "applied");
            auto const when = Precondition::only_if(world.version_of("k"));
            world.server.script(first(1, "GET", Fault::spoiled(how)));
            CHECK(world.get("k").value()->bytes == "old");
            world.server.script(all("GET", Fault::spoiled(how)));
            CHECK(world.get("k").error().code == Errc::timed_out);
            world.server.script(first(1, "PUT", Fault::spoiled(how)));
            CHECK(told(world.put("k", "new", when)) == "applied");
            CHECK(world.works());
        }
    }

    TEST_CASE("a success that holds an error is none") {
        S3_World world;
        REQUIRE(told(world.put("k", "1")) == "applied");
        auto const error = Fault::text_instead("<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>");
        world.server.script(first(2, "GET", error));
        CHECK(world.storage->list({}).value().items.size() == 1);
        world.server.script(all("GET", error));
        CHECK(world.storage->list({}).error().code == Errc::unavailable);
        CHECK(world.get("k").error().code == Errc::corrupt_data); // no ETag, so no object
        world.server.script(first(1, "PUT", error));
        CHECK(told(world.put("new", "1", Precondition::absent())) == "unknown");
        CHECK(world.works());
    }

    TEST_CASE("XML that is none, or is made to hurt, is an error and nothing else") {
        S3_World world;
        std::string deep = "<ListBucketResult>";
        for (int i = 0; i < 200'000; ++i)
            deep += "<a>";
        std::string const bomb = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
                                 "\"&a;&a;&a;&a;&a;&a;\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]>";
        for (std::string const& text :
             {std::string("not XML"), std::string(), std::string("<html><body>Welcome</body></html>"),
              std::string("<ListBucketResult><Contents><Key>a</Key><Size>many</Size></Contents></ListBucketResult>"),
              std::string("<ListBucketResult><Contents><Key>a"), std::string("\0\0\0", 3), deep,
              bomb + "<ListBucketResult>&b;</ListBucketResult><Contents>"}) {
            world.server.script(all("GET", Fault::text_instead(text)));
            CHECK(world.storage->list({}).error().code == Errc::corrupt_data);
        }
        world.server.script(
            all("GET", Fault::text_instead(bomb + "<ListBucketResult><Contents><Key>&b;&c;</Key><Size>1</Size>"
                                                  "<ETag>&b;</ETag></Contents></ListBucketResult>")));
        for (auto const& item : world.storage->list({}).value().items)
            CHECK(item.key == "&b;&c;"); // as it stands
        world.server.script(all("GET", Fault::text_instead(std::string(17 << 20, ' '))));
        CHECK(world.storage->list({}).error().code == Errc::too_large);
        CHECK(world.works());
    }

    TEST_CASE("pages that go round in circles end in an error") {
        Fake_S3_Options options;
        options.quirks.start_after = Fake_S3_Quirks::Start_After::fails;
        S3_World by_token(options);
        for (int i = 0; i < 5; ++i)
            by_token.server.store("k" + std::to_string(i), "x");
        auto const page = [](bool has_token) {
            return Fault::text_instead(
                "<ListBucketResult><IsTruncated>true</IsTruncated>" +
                std::string(has_token ? "<NextContinuationToken>t</NextContinuationToken>" : "") +
                "<Contents><Key>k1</Key><Size>1</Size><ETag>e</ETag></Contents>"
                "</ListBucketResult>");
        };
        auto const empty_page = Fault::text_instead("<ListBucketResult><IsTruncated>true</IsTruncated>"
                                                    "<NextContinuationToken>t</NextContinuationToken>"
                                                    "</ListBucketResult>");
        for (auto const& fault : {page(true), page(false), empty_page}) {
            by_token.server.script(all("GET", fault));
            by_token.server.forget();
            CHECK(by_token.storage->list({}).error().code == Errc::corrupt_data);
            CHECK(by_token.server.seen().size() <= 3);
        }
        by_token.server.script([&, turn = 0](Seen_Request const& seen) mutable {
            if (seen.method != "GET")
                return Fault{};
            return ++turn % 2 == 1
                       ? empty_page
                       : Fault::text_instead("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>");
        });
        by_token.server.forget();
        CHECK(by_token.storage->list({}).error().code == Errc::corrupt_data);
        CHECK(by_token.server.seen().size() == 2); // the second says that more come, and not where
        S3_World by_key;
        by_key.server.script(all("GET", page(true)));
        auto const first_page = by_key.storage->list({}).value();
        CHECK(first_page.next == "k1");
        CHECK(by_key.storage->list({"", first_page.next, 10}).error().code == Errc::corrupt_data);
        by_key.server.script(all("GET", empty_page));
        CHECK(by_key.storage->list({}).error().code == Errc::corrupt_data);
    }

    TEST_CASE("a listing that is out of order, or of something else, is an error") {
        S3_World world;
        auto const list_of = [](std::string const& one, std::string const& two) {
            return Fault::text_instead("<ListBucketResult><Contents><Key>" + one +
                                       "</Key><Size>1</Size></Contents><Contents><Key>" + two +
                                       "</Key><Size>1</Size></Contents></ListBucketResult>");
        };
        world.server.script(all("GET", list_of("p/b", "p/a")));
        CHECK(world.storage->list({"p/", "", 10}).error().code == Errc::corrupt_data);
        world.server.script(all("GET", list_of("p/a", "p/a")));
        CHECK(world.storage->list({"p/", "", 10}).error().code == Errc::corrupt_data);
        world.server.script(all("GET", list_of("p/a", "q/a")));
        CHECK(world.storage->list({"p/", "", 10}).error().code == Errc::corrupt_data);
        world.server.script(all("GET", list_of("p/a", "p/b")));
        CHECK(world.storage->list({"p/", "p/a", 10}).error().code == Errc::corrupt_data);
        CHECK(world.storage->list({"p/", "", 10}).value().items.size() == 2);
    }

    TEST_CASE("a stale listing shows what was; reading by name shows what is") {
        S3_World world;
        REQUIRE(told(world.put("old", "1")) == "applied");
        world.server.freeze_lists(true);
        REQUIRE(told(world.put("new", "2")) == "applied");
        CHECK(world.erase("old").value());
        auto const stale = world.storage->list({}).value();
        REQUIRE(stale.items.size() == 1);
        CHECK(stale.items[0].key == "old");
        CHECK_FALSE(world.get("old").value().has_value());
        CHECK(world.get("new").value()->bytes == "2");
        world.server.freeze_lists(false);
        CHECK(world.storage->list({}).value().items.at(0).key == "new");
    }

    TEST_CASE("what was erased without an answer is not claimed to be erased by this call") {
        S3_World world;
        REQUIRE(told(world.put("k", "1")) == "applied");
        world.server.script(first(1, "DELETE", Fault::reset_after()));
        auto const erased = world.erase("k");
        CHECK(erased.error().code == Errc::indeterminate);
        CHECK_FALSE(world.erase("k").value()); // again, it is known
        CHECK(world.works());
    }

    TEST_CASE("a wrong clock is set once by the service's own, and costs one request") {
        Fake_S3_Options options;
        options.clock_is_ahead_s = 3600;
        Fake_S3 server(options);
        auto storage = Storage_S3::open(settings_for(server)).value();
        CHECK(storage.put(Storage_Key("k"), "1", Precondition::absent()).value().state == Put_State::applied);
        auto const seen = server.seen();
        REQUIRE(seen.size() > 3);
        CHECK(seen[0].key == seen[1].key); // the first request, again
        CHECK(seen[0].header("x-amz-date") != seen[1].header("x-amz-date"));
        CHECK(seen[1].key != seen.back().key);
        CHECK(std::count_if(seen.begin(), seen.end(), [&](auto const& each) {
                  return each.header("x-amz-date").substr(0, 11) == seen[0].header("x-amz-date").substr(0, 11);
              }) == 1);
    }

    TEST_CASE("after a fork parent and child go on") {
        if (!can_fork_with_threads())
            return;
        S3_World world;
        REQUIRE(told(world.put("k", "1")) == "applied");
        CHECK(is_well_in_child([&] { return told(world.put("of the child", "2")) == "applied"; }));
        CHECK(told(world.put("k", "3")) == "applied");
        CHECK(world.server.bytes_of("of the child") == "2");
    }
}
