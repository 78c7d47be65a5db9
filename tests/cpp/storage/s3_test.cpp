// SPDX-License-Identifier: Apache-2.0
#include "s3_world.hpp"
#include <memfs_cache/storage/open.hpp>
#include <memfs_cache/storage/words.hpp>

#include <map>

using namespace memfs_cache;
using namespace memfs_cache::testing;

namespace {

auto error_of_open(S3_Settings settings) -> Error {
    auto const opened = Storage_S3::open(std::move(settings));
    REQUIRE(opened.has_error());
    return opened.error();
}

auto with(Fake_S3_Quirks quirks) -> Fake_S3_Options {
    Fake_S3_Options options;
    options.quirks = quirks;
    return options;
}

} // namespace

TEST_SUITE("storage/s3") {
    TEST_CASE("a URL says where the bucket is and how to talk to it") {
        auto const all = S3_Settings::parse("s3://my-bucket/app/one?endpoint_url=http://127.0.0.1:9000&region=eu-west-1"
                                            "&addressing=virtual&ca_file=/etc/own%20ca.pem")
                             .value();
        CHECK(all.bucket == "my-bucket");
        CHECK(all.prefix == "app/one");
        CHECK(all.endpoint_url == "http://127.0.0.1:9000");
        CHECK(all.region == "eu-west-1");
        CHECK(all.virtual_host == true);
        CHECK(all.client.ca_file == "/etc/own ca.pem");
        auto const least = S3_Settings::parse("s3://b").value();
        CHECK(least.bucket == "b");
        CHECK((least.prefix + least.endpoint_url + least.region).empty());
        CHECK_FALSE(least.virtual_host.has_value());
        CHECK(S3_Settings::parse("s3://b/").value().prefix.empty());
        CHECK(S3_Settings::parse("s3://b/p/").value().prefix == "p");
        CHECK(S3_Settings::parse("s3://b/p?addressing=path").value().virtual_host == false);
        for (std::string const wrong :
             {"s3:b", "s3://", "s3:///p", "s3://KEY:hush@b/p", "s3://b/p?secret_access_key=hush", "s3://b?region",
              "s3://b?region=", "s3://b?addressing=hush", "s3://b?endpoint_url=%4", "s3://b/%ff", "disk:b"}) {
            CAPTURE(wrong);
            auto const error = S3_Settings::parse(wrong).error();
            CHECK(error.code == Errc::invalid_argument);
            CHECK(mentions(error, "s3://bucket/prefix?endpoint_url"));
            CHECK_FALSE(mentions(error, "hush"));
        }
    }

    TEST_CASE("settings that cannot be meant are refused, each by its name") {
        Fake_S3 server;
        auto const good = settings_for(server);
        auto const refused = [&](std::string const& name, auto change) {
            CAPTURE(name);
            auto settings = good;
            change(settings);
            auto const error = error_of_open(settings);
            CHECK(error.code == Errc::invalid_argument);
            CHECK(mentions(error, name));
        };
        refused("bucket", [](auto& s) { s.bucket = ""; });
        refused("bucket", [](auto& s) { s.bucket = "a/b"; });
        refused("prefix", [](auto& s) { s.prefix = "a/"; });
        refused("prefix", [](auto& s) { s.prefix = "../a"; });
        refused("region", [](auto& s) { s.region = "eu\r\nx: y"; });
        refused("part_bytes", [](auto& s) { s.part_bytes = 1 << 20; });
        refused("most_tries", [](auto& s) { s.most_tries = 0; });
        refused("endpoint_url", [](auto& s) { s.endpoint_url = "127.0.0.1:9000"; });
        refused("ca_file", [](auto& s) {
            s.client.ca_file = "/no/such/file.pem";
            s.endpoint_url = "https://127.0.0.1:1";
        });
        CHECK(server.seen().empty());
    }

    TEST_CASE("what is wrong with bucket, region, keys, clock or endpoint is said in one sentence that names it") {
        Fake_S3_Options options;
        options.region = "eu-central-1";
        options.session_token = "tick/tock+token==";
        Fake_S3 server(options);
        auto const good = settings_for(server);
        REQUIRE(Storage_S3::open(good).has_value());
        std::map<std::string, Error> said;
        auto const ask = [&](std::string const& name, auto change) {
            auto settings = good;
            settings.most_tries = 2;
            change(settings);
            said[name] = error_of_open(settings);
        };
        ask("bucket", [](auto& s) { s.bucket = "other-bucket"; });
        ask("region", [](auto& s) { s.region = "us-west-2"; });
        ask("access_key_id", [](auto& s) { s.credentials->access_key_id = "NOBODY"; });
        ask("secret_access_key", [](auto& s) { s.credentials->secret_access_key = "wrong"; });
        ask("session_token", [](auto& s) { s.credentials->session_token = "old"; });
        ask("endpoint_url", [](auto& s) { s.endpoint_url = "http://127.0.0.1:1"; });
        server.script(all("PUT", Fault::error(301, "PermanentRedirect", "x-amz-bucket-region: ap-south-1\r\n")));
        ask("set region", [](auto&) {});
        server.script(all("PUT", Fault::error(307, "TemporaryRedirect", "Location: http://example.com/\r\n")));
        ask("endpoint_url (moved)", [](auto&) {});
        server.script(all("PUT", Fault::error(403, "RequestTimeTooSkewed")));
        ask("clock", [](auto&) {});
        server.script(all("PUT", Fault::error(403, "AccessDenied")));
        ask("credentials", [](auto&) {});
        server.script(all("PUT", Fault::error(507, "XMinioStorageFull")));
        ask("space", [](auto&) {});
        CHECK(said["bucket"].code == Errc::not_found);
        CHECK(mentions(said["bucket"], "'other-bucket'"));
        CHECK(said["region"].code == Errc::invalid_argument);
        CHECK(mentions(said["region"], "eu-central-1"));
        CHECK(mentions(said["set region"], "ap-south-1"));
        CHECK(said["access_key_id"].code == Errc::permission_denied);
        CHECK(said["secret_access_key"].code == Errc::permission_denied);
        CHECK(said["session_token"].code == Errc::permission_denied);
        CHECK(said["endpoint_url"].code == Errc::unavailable);
        CHECK(said["space"].code == Errc::no_space);
        for (auto const& each : said) {
            auto const& name = each.first;
            auto const& error = each.second;
            CAPTURE(name);
            CAPTURE(error.context);
            CHECK(error.context.starts_with("S3: "));
            CHECK(mentions(error, name.substr(0, name.find(" ("))));
            CHECK(error.context.find('\n') == std::string::npos);
        }
    }

    TEST_CASE("no message of any fault holds a secret") {
        Fake_S3_Options options;
        options.access_key_id = "KeyIdOfNobody";
        options.secret_access_key = "VerySecretKey";
        options.session_token = "SessionTokenText";
        S3_World world(options);
        REQUIRE(world.put("k", "StoredValueText").value().state == Put_State::applied);
        std::vector<std::string> messages;
        auto const keep = [&](auto const& result) {
            if (result.has_error())
                messages.push_back(result.error().message());
        };
        auto const telltale = "<Error><Code>" + options.access_key_id + "</Code><Message>" + options.secret_access_key +
                              "</Message><Region>" + options.session_token + "</Region></Error>";
        std::vector<Fault> faults{Fault::reset_before(), Fault::spoiled(Fault::Answer::truncated),
                                  Fault::text_instead(telltale), Fault::text_instead("")};
        for (unsigned const status :
             {301U, 302U, 307U, 400U, 401U, 403U, 404U, 405U, 409U, 412U, 413U, 418U, 429U, 500U, 501U, 503U, 507U}) {
            faults.push_back(Fault::error(status, "Code"));
            faults.push_back(Fault::text_instead(telltale, status));
        }
        for (auto const& fault : faults) {
            world.server.script([&](Seen_Request const&) { return fault; });
            keep(world.get("k"));
            keep(world.put("k", "StoredValueText"));
            keep(world.put("k", "StoredValueText", Precondition::absent()));
            keep(world.erase("k"));
            keep(world.storage->list({}));
            keep(Storage_S3::open(world.settings));
        }
        CHECK(messages.size() > 150);
        for (auto const& message : messages)
            for (auto const& secret : {options.access_key_id, options.secret_access_key, options.session_token,
                                       std::string("StoredValueText"), std::string("Signature=")}) {
                CAPTURE(message);
                CHECK(message.find(secret) == std::string::npos);
            }
        CHECK(world.works());
    }

    TEST_CASE("credentials and region come from the environment unless they are given") {
        // Only that open() asks for them: find_credentials has tests of its own.
        Fake_S3 server;
        auto settings = settings_for(server);
        settings.region.clear();
        ::setenv("AWS_REGION", "mars-north-1", 1);
        auto const error = error_of_open(settings);
        ::unsetenv("AWS_REGION");
        CHECK(mentions(error, "us-east-1")); // the server's
        ::setenv("AWS_ACCESS_KEY_ID", "SOMEBODY", 1);
        ::setenv("AWS_SECRET_ACCESS_KEY", "else", 1);
        settings = settings_for(server);
        settings.credentials.reset();
        CHECK(mentions(error_of_open(settings), "access_key_id"));
        ::unsetenv("AWS_ACCESS_KEY_ID");
        ::unsetenv("AWS_SECRET_ACCESS_KEY");
    }

    TEST_CASE("opening learns the habits of the service, costs what is written, and leaves nothing behind") {
        struct Case {
            std::string name;
            Fake_S3_Quirks quirks;
            bool put, erase;
        };
        Fake_S3_Quirks quoted;
        quoted.unquoted_matches = false;
        Fake_S3_Quirks only_puts;
        only_puts.erase_ignores_match = true;
        Fake_S3_Quirks no_match;
        no_match.quoted_matches = no_match.unquoted_matches = false;
        for (auto const& each : std::vector<Case>{{"Amazon", {}, true, true},
                                                  {"quotes only", quoted, true, true},
                                                  {"conditions of puts only", only_puts, true, false},
                                                  {"Ceph", Fake_S3_Quirks::ceph(), true, false},
                                                  {"no ETag ever matches", no_match, false, false},
                                                  {"unconditional", Fake_S3_Quirks::unconditional(), false, false}}) {
            CAPTURE(each.name);
            Fake_S3 server(with(each.quirks));
            auto const storage = Storage_S3::open(settings_for(server)).value();
            auto const offered = storage.capabilities();
            CHECK(offered.conditional_put == each.put);
            CHECK(offered.conditional_erase == each.erase);
            CHECK(offered.versions_recur);
            CHECK(offered.survives_process);
            CHECK(offered.shared_between_machines);
            CHECK_FALSE(offered.append);
            CHECK(server.keys().empty());
            for (auto const& seen : server.seen())
                CHECK((seen.key.empty() || seen.key.starts_with(".memfs_cache/probe/")));
            if (each.name == "Amazon") {
                auto const counts = storage.counters();
                CHECK(counts.writes == 7);
                CHECK(counts.lists == 2);
                CHECK(counts.reads == 1);
                CHECK(counts.deletes == 6);
            }
        }
    }

    TEST_CASE("where conditions are ignored nothing is written under one") {
        S3_World world(with(Fake_S3_Quirks::unconditional()));
        REQUIRE(world.put("k", "1").value().state == Put_State::applied);
        for (auto const& when : {Precondition::absent(), Precondition::only_if(world.version_of("k"))}) {
            auto const refused = world.put("k", "2", when);
            CHECK(refused.error().code == Errc::unsupported);
            CHECK(mentions(refused.error(), "endpoint_url"));
        }
        CHECK(world.server.bytes_of("k") == "1");
    }

    TEST_CASE("a service that refuses the headers of conditions is used without them") {
        Fake_S3 server;
        server.script([](Seen_Request const& seen) {
            bool const has_condition = !seen.header("if-none-match").empty() || !seen.header("if-match").empty();
            return has_condition ? Fault::error(501, "NotImplemented") : Fault{};
        });
        auto storage = Storage_S3::open(settings_for(server)).value();
        CHECK_FALSE(storage.capabilities().conditional_put);
        CHECK(write(storage, "k", "1").has_value());
        CHECK(storage.erase(Storage_Key("k"), Precondition::none()).value());
        CHECK(server.keys().empty());
    }

    TEST_CASE("a service that lists in another order is refused") {
        Fake_S3_Quirks quirks;
        quirks.lists_backwards = true;
        Fake_S3 server(with(quirks));
        CHECK(error_of_open(settings_for(server)).code == Errc::unsupported);
        CHECK(server.keys().empty());
    }

    TEST_CASE("where a listing cannot begin behind a key its pages are gone through") {
        for (auto const how : {Fake_S3_Quirks::Start_After::fails, Fake_S3_Quirks::Start_After::ignored}) {
            Fake_S3_Quirks quirks;
            quirks.start_after = how;
            S3_World world(with(quirks));
            std::vector<std::string> expected;
            for (int i = 0; i < 2'500; ++i)
                world.server.store(expected.emplace_back("k/" + std::to_string(10'000 + i)), "x");
            CHECK(files_list(*world.storage, "k/").value() == expected);
            auto const page = world.storage->list({"k/", "k/12100", 3}).value();
            REQUIRE(page.items.size() == 3);
            CHECK(page.items[0].key == "k/12101");
            CHECK(page.next == "k/12103");
            CHECK(world.storage->list({"k/", "k/12496", 3}).value().next.empty());
        }
    }

    TEST_CASE("pages of a thousand make up a listing, one request each") {
        S3_World world;
        std::vector<std::string> expected;
        for (int i = 0; i < 2'500; ++i)
            world.server.store(expected.emplace_back("k/" + std::to_string(10'000 + i)), "x");
        CHECK(files_list(*world.storage).value() == expected);
        CHECK(world.server.seen().size() == 3);
    }

    TEST_CASE("a listing that begins or starts inside a character is asked for in whole characters") {
        S3_World world;
        std::vector<std::string> first, second; // two characters that begin alike
        for (int i = 0; i < 1'100; ++i) {
            world.server.store(first.emplace_back("k/\u00e9" + std::to_string(10'000 + i)), "x");
            world.server.store(second.emplace_back("k/\u0129" + std::to_string(10'000 + i)), "x");
        }
        std::string const of_second = "k/\xc4";
        CHECK(files_list(*world.storage, of_second).value() == second);
        CHECK(files_list(*world.storage, "k/\xc3").value() == first);
        CHECK(files_list(*world.storage, "k/\xe2\x82").value().empty());
        auto const last = world.storage->list({"k/\xc3", first.end()[-3], 2}).value();
        REQUIRE(last.items.size() == 2);
        CHECK(last.next.empty());
        auto const behind = world.storage->list({"k/", of_second, 1}).value(); // between the two
        REQUIRE(behind.items.size() == 1);
        CHECK(behind.items[0].key == second.front());
        CHECK(behind.next == second.front());
    }

    TEST_CASE("everything lies below the prefix, and nothing beside it is seen") {
        S3_Settings wishes;
        wishes.prefix = "app/one+two";
        S3_World world({}, wishes);
        world.server.store("app/one+twofold", "not ours");
        world.server.store("app/one+two/", "a folder's marker");
        world.server.store("app/one+two/a//b", "no valid key");
        world.server.store(std::string("app/one+two/\xff\xfe"), "no text");
        REQUIRE(world.put("a", "1").value().state == Put_State::applied);
        REQUIRE(world.put("b/c", "2").value().state == Put_State::applied);
        CHECK(world.server.bytes_of("app/one+two/a") == "1");
        CHECK(files_list(*world.storage).value() == std::vector<std::string>{"a", "b/c"});
        auto const page = world.storage->list({"", "", 1}).value();
        CHECK(page.next == "a");
        CHECK(world.storage->list({"", page.next, 1}).value().items.at(0).key == "b/c");
        CHECK(world.storage->list({"b", "a", 9}).value().items.size() == 1);
        std::string const longest = std::string(250, 'x') + "/" + std::string(250, 'x') + "/" + std::string(250, 'x') +
                                    "/" + std::string(250, 'x') + "/" + std::string(20, 'x');
        auto const refused = world.put(longest, "");
        CHECK(refused.error().code == Errc::invalid_argument);
        CHECK(mentions(refused.error(), "prefix"));
        CHECK(world.get(longest).error().code == Errc::invalid_argument);
        CHECK(world.storage->capabilities().max_key_bytes == Storage_Key::max_bytes - wishes.prefix.size() - 1);
    }

    TEST_CASE("the bucket goes into the path, or before the host's name") {
        S3_World by_path;
        REQUIRE(by_path.put("a b/c+d", "1").value().state == Put_State::applied);
        CHECK(by_path.server.seen().back().header("host") == by_path.server.url().substr(7));

        Fake_S3 server;
        auto settings = settings_for(server);
        settings.endpoint_url = "http://s3.example.com:" + std::to_string(server.port());
        settings.client.connect_host = "127.0.0.1";
        settings.virtual_host = true;
        auto storage = Storage_S3::open(settings).value();
        CHECK(write(storage, "a b/c+d", "1").has_value());
        CHECK(server.bytes_of("a b/c+d") == "1");
        CHECK(server.seen().back().header("host") == "bucket.s3.example.com:" + std::to_string(server.port()));
        CHECK(files_list(storage).value() == std::vector<std::string>{"a b/c+d"});
    }

    TEST_CASE("a range asks for no more than itself, whatever the service makes of it") {
        S3_World world;
        REQUIRE(world.put("k", "0123456789").value().state == Put_State::applied);
        REQUIRE(world.put("empty", "").value().state == Put_State::applied);
        world.server.forget();
        CHECK(world.get("k", {2, 3}).value()->bytes == "234");
        CHECK(world.server.seen().back().header("range") == "bytes=2-4");
        CHECK(world.get("k", {8}).value()->bytes == "89");
        CHECK(world.server.seen().back().header("range") == "bytes=8-");
        CHECK(world.get("k", {10, 1}).value()->bytes.empty());
        CHECK(world.get("empty", {0, 5}).value()->bytes.empty());
        CHECK(world.get("k", {0, 0}).value()->version == world.version_of("k"));
        CHECK_FALSE(world.get("none", {5, 5}).value().has_value());
        CHECK_FALSE(world.get("none", {0, 0}).value().has_value());

        auto whole = Fault::text_instead("0123456789");
        whole.more_headers = "ETag: \"e\"\r\n";
        world.server.script(all("GET", whole)); // one that knows no ranges
        CHECK(world.get("k", {2, 3}).value()->bytes == "234");
        CHECK(world.get("k", {20, 3}).value()->bytes.empty());
        auto other = Fault::text_instead("789", 206);
        other.more_headers = "ETag: \"e\"\r\nContent-Range: bytes 7-9/10\r\n";
        world.server.script(all("GET", other));
        CHECK(world.get("k", {2, 3}).error().code == Errc::corrupt_data);
    }

    TEST_CASE("a large object goes in parts, and its condition is checked at the end") {
        S3_Settings wishes;
        wishes.part_bytes = 5 << 20;
        S3_World world({}, wishes);
        std::string body(12'000'000, 'a');
        for (std::size_t i = 0; i < body.size(); i += 1000)
            body[i] = static_cast<char>('a' + i / 1000 % 26);
        auto const created = world.put("large", body, Precondition::absent()).value();
        CHECK(created.state == Put_State::applied);
        CHECK(world.get("large").value()->bytes == body);
        CHECK(world.version_of("large") == created.version);
        CHECK(world.storage->list({}).value().items.at(0).version == created.version);
        CHECK(world.get("large", {11'999'000, 500}).value()->bytes == body.substr(11'999'000, 500));

        auto const changed = body + "!";
        CHECK(world.put("large", changed, Precondition::absent()).value().state == Put_State::not_applied);
        CHECK(world.put("large", changed, Precondition::only_if({"other"})).value().state == Put_State::not_applied);
        CHECK(world.put("large", changed, Precondition::only_if(created.version)).value().state == Put_State::applied);
        CHECK(world.server.bytes_of("large") == changed);
        CHECK(world.server.unfinished_uploads() == 0);
    }

    TEST_CASE("what goes wrong with parts, or with putting them together, is mended or told") {
        S3_Settings wishes;
        wishes.part_bytes = 5 << 20;
        S3_World world({}, wishes);
        auto const body = std::string(5 << 20, 'a') + "and one part more";
        auto const is_end = [](Seen_Request const& seen) { return seen.method == "POST" && seen.has("uploadId"); };

        SUBCASE("a lost part is sent again") {
            world.server.script([left = 2](Seen_Request const& seen) mutable {
                return seen.has("partNumber") && left-- > 0 ? Fault::reset_before() : Fault{};
            });
            CHECK(world.put("k", body).value().state == Put_State::applied);
            CHECK(world.server.bytes_of("k") == body);
        }
        SUBCASE("parts that cannot be sent leave no upload behind") {
            world.server.script([](Seen_Request const& seen) {
                return seen.has("partNumber") ? Fault::error(403, "AccessDenied") : Fault{};
            });
            CHECK(world.put("k", body).error().code == Errc::permission_denied);
            CHECK(world.server.unfinished_uploads() == 0);
            CHECK(world.server.bytes_of("k") == "(absent)");
        }
        SUBCASE("an end without an answer is known by its mark") {
            world.server.script([&, left = 1](Seen_Request const& seen) mutable {
                return is_end(seen) && left-- > 0 ? Fault::reset_after() : Fault{};
            });
            CHECK(world.put("k", body, Precondition::absent()).value().state == Put_State::applied);
        }
        SUBCASE("an end that may still come is unknown, and can come no more") {
            world.server.script([&](Seen_Request const& seen) { return is_end(seen) ? Fault::late() : Fault{}; });
            CHECK(world.put("k", body, Precondition::absent()).value().state == Put_State::unknown);
            world.server.land_late(); // its parts are gone
            CHECK(world.server.bytes_of("k") == "(absent)");
        }
        SUBCASE("an end that is a success with an error in it is repeated") {
            world.server.script([&, left = 1](Seen_Request const& seen) mutable {
                return is_end(seen) && left-- > 0 ? Fault::text_instead("<Error><Code>InternalError</Code></Error>")
                                                  : Fault{};
            });
            CHECK(world.put("k", body, Precondition::absent()).value().state == Put_State::applied);
        }
        CHECK(world.works());
    }

    TEST_CASE("uploads that somebody began days ago and never ended are aborted, younger ones are not") {
        S3_Settings wishes;
        wishes.part_bytes = 5 << 20;
        wishes.prefix = "mine";
        S3_World world({}, wishes);
        auto const body = std::string((5 << 20) + 1, 'b');
        auto const leave_one = [&](Storage_S3& storage, std::string const& key) {
            world.server.script([](Seen_Request const& seen) { // neither the end nor the abortion arrives
                return seen.has("uploadId") && seen.method != "PUT" ? Fault::reset_before() : Fault{};
            });
            CHECK(storage.put(Storage_Key(key), body, Precondition::none()).value().state == Put_State::unknown);
            world.server.script({});
        };
        auto dying = Storage_S3::open(world.settings).value();
        auto beside = world.settings;
        beside.prefix = "of another";
        auto another = Storage_S3::open(beside).value();
        leave_one(another, "old");
        leave_one(dying, "old");
        world.server.age_uploads(4 * 24 * 3600);
        leave_one(dying, "young");
        REQUIRE(world.server.unfinished_uploads() == 3);
        CHECK(world.put("k", body).value().state == Put_State::applied);
        CHECK(world.server.unfinished_uploads() == 2); // the young one, and that of another service
        world.server.forget();
        CHECK(world.put("k", body).value().state == Put_State::applied);
        for (auto const& seen : world.server.seen())
            CHECK_FALSE((seen.method == "GET" && seen.has("uploads"))); // once is enough
    }

    TEST_CASE("two gateways of one cluster are one storage") {
        Fake_S3 first_gateway;
        Fake_S3 second_gateway({}, first_gateway.objects());
        auto first = Storage_S3::open(settings_for(first_gateway)).value();
        auto second = Storage_S3::open(settings_for(second_gateway)).value();
        auto const created = first.put(Storage_Key("k"), "1", Precondition::absent()).value();
        CHECK(second.put(Storage_Key("k"), "2", Precondition::only_if(created.version)).value().state ==
              Put_State::applied);
        CHECK(read(first, "k").value() == "2");
    }

    TEST_CASE("a version that no service ever gave is never sent to one") {
        S3_World world;
        REQUIRE(world.put("k", "1").value().state == Put_State::applied);
        world.server.forget();
        for (std::string const token : {"", "a\r\nx-amz-acl: public-read", "a b", "\x7f"})
            CHECK(world.put("k", "2", Precondition::only_if({token})).value().state == Put_State::not_applied);
        CHECK(world.server.seen().empty());
    }

    TEST_CASE("the storage of a URL is the bucket") {
        Fake_S3 server;
        ::setenv("AWS_ACCESS_KEY_ID", server.options().access_key_id.c_str(), 1);
        ::setenv("AWS_SECRET_ACCESS_KEY", server.options().secret_access_key.c_str(), 1);
        auto storage = open_storage("s3://bucket/app?endpoint_url=" + server.url()).value();
        CHECK(write(storage, "k", "1").has_value());
        CHECK(server.bytes_of("app/k") == "1");
        CHECK(open_storage("s3://other/app?endpoint_url=" + server.url()).error().code == Errc::not_found);
        ::unsetenv("AWS_ACCESS_KEY_ID");
        ::unsetenv("AWS_SECRET_ACCESS_KEY");
    }
}
