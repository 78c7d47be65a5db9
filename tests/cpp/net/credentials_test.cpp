// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/net/credentials.hpp>

#include <doctest/doctest.h>

#include <fstream>
#include <map>

using namespace memfs_cache;

namespace {

// What must never be read in a message; every test uses these values and no others.
constexpr auto secrets = {"AKIDSECRETID", "secret+key/value", "session-token-value", "team-profile", "elsewhere-file"};

/// A home folder and an environment of the test's own.
class Desk {
  public:
    std::map<std::string, std::string> environment;

    void write(std::string const& name, std::string_view text) const {
        std::filesystem::create_directories(folder_.path() / ".aws");
        std::ofstream(folder_.path() / ".aws" / name, std::ios::binary) << text;
    }
    [[nodiscard]] auto path(std::string const& name) const -> std::string { return folder_.path() / ".aws" / name; }

    [[nodiscard]] auto sources() const -> Credential_Sources {
        return {[this](std::string const& name) -> std::optional<std::string> {
                    auto const found = environment.find(name);
                    return found == environment.end() ? std::nullopt : std::optional(found->second);
                },
                folder_.path()};
    }
    [[nodiscard]] auto found() const -> Aws_Credentials {
        auto const keys = find_credentials(sources());
        REQUIRE(keys);
        return *keys;
    }
    /// The message of a failure, which holds no secret and names what to look at.
    void fails(Errc code, std::string_view hint) const {
        auto const keys = find_credentials(sources());
        REQUIRE(keys.has_error());
        CHECK(keys.error().code == code);
        auto const message = keys.error().message();
        CAPTURE(message);
        CHECK(message.find(hint) != std::string::npos);
        for (std::string const secret : secrets)
            CHECK(message.find(secret) == std::string::npos);
        CHECK(message.find(folder_.path().string()) == std::string::npos);
    }

  private:
    testing::Scratch_Folder folder_;
};

constexpr auto whole_profile =
    "[default]\naws_access_key_id = AKIDSECRETID\naws_secret_access_key = secret+key/value\n";

} // namespace

TEST_SUITE("net/credentials") {
    TEST_CASE("the environment comes before every file") {
        Desk desk;
        desk.write("credentials", "[default]\naws_access_key_id = other\naws_secret_access_key = other\n");
        desk.environment = {{"AWS_ACCESS_KEY_ID", "AKIDSECRETID"},
                            {"AWS_SECRET_ACCESS_KEY", "secret+key/value"},
                            {"AWS_SESSION_TOKEN", "session-token-value"}};
        auto const keys = desk.found();
        CHECK(keys.access_key_id == "AKIDSECRETID");
        CHECK(keys.secret_access_key == "secret+key/value");
        CHECK(keys.session_token == "session-token-value");
        desk.environment.erase("AWS_SESSION_TOKEN");
        CHECK(desk.found().session_token.empty());
    }

    TEST_CASE("without keys in the environment the profile counts, and its own token") {
        Desk desk;
        desk.write("credentials", whole_profile);
        desk.environment = {{"AWS_ACCESS_KEY_ID", ""}, {"AWS_SESSION_TOKEN", "session-token-value"}};
        CHECK(desk.found().access_key_id == "AKIDSECRETID");
        CHECK(desk.found().secret_access_key == "secret+key/value");
        CHECK(desk.found().session_token.empty());
    }

    TEST_CASE("AWS_PROFILE and AWS_SHARED_CREDENTIALS_FILE choose another profile and another file") {
        Desk desk;
        desk.write("credentials", whole_profile);
        desk.write("elsewhere-file", "# comment\r\n; comment\r\n\r\n[ team-profile ]\r\naws_access_key_id=2\r\n"
                                     "aws_secret_access_key\t=  a=b  \r\naws_session_token = session-token-value\r\n"
                                     "[default]\r\n");
        desk.environment = {{"AWS_PROFILE", "team-profile"},
                            {"AWS_SHARED_CREDENTIALS_FILE", desk.path("elsewhere-file")}};
        CHECK(desk.found().access_key_id == "2");
        CHECK(desk.found().secret_access_key == "a=b");
        CHECK(desk.found().session_token == "session-token-value");
    }

    TEST_CASE("an indented profile is read, and settings below a setting are not settings of the profile") {
        Desk desk;
        desk.write("credentials", "[other]\nregion = none\n[default]\n  aws_access_key_id = AKIDSECRETID\n  s3 =\n    "
                                  "aws_access_key_id = no\n"
                                  "  aws_secret_access_key = secret+key/value\n");
        CHECK(desk.found().access_key_id == "AKIDSECRETID");
        CHECK(desk.found().secret_access_key == "secret+key/value");
    }

    TEST_CASE("where there are none, the message says where was looked") {
        Desk desk;
        desk.fails(Errc::not_found, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
        desk.fails(Errc::not_found, "~/.aws/credentials, which does not exist");
        desk.write("credentials", "[team-profile]\naws_access_key_id = AKIDSECRETID\n");
        desk.fails(Errc::not_found, "~/.aws/credentials, which has none");
        desk.environment = {{"AWS_SHARED_CREDENTIALS_FILE", desk.path("elsewhere-file")}};
        desk.fails(Errc::not_found, "the file that AWS_SHARED_CREDENTIALS_FILE names, which does not exist");
        CHECK(find_credentials({[](std::string const&) { return std::nullopt; }, ""}).error().code == Errc::not_found);
    }

    TEST_CASE("half of a pair is a mistake, in the environment and in a file") {
        Desk desk;
        desk.write("credentials", whole_profile);
        desk.environment = {{"AWS_ACCESS_KEY_ID", "AKIDSECRETID"}};
        desk.fails(Errc::invalid_argument, "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) has only one");
        desk.environment = {{"AWS_SECRET_ACCESS_KEY", "secret+key/value"}};
        desk.fails(Errc::invalid_argument, "set both");
        desk.environment = {};
        desk.write("credentials", "[default]\naws_secret_access_key = secret+key/value\n");
        desk.fails(Errc::invalid_argument, "the profile \"default\" in ~/.aws/credentials has only one");
    }

    TEST_CASE("an unknown profile, and one without keys, are mistakes") {
        Desk desk;
        desk.environment = {{"AWS_PROFILE", "team-profile"}};
        desk.fails(Errc::invalid_argument, "there is no such file");
        desk.write("credentials", whole_profile);
        desk.fails(Errc::invalid_argument, "AWS_PROFILE names a profile that ~/.aws/credentials does not have");
        desk.write("credentials", "[team-profile]\nrole_arn = secret+key/value\n");
        desk.fails(Errc::invalid_argument, "has no keys: write aws_access_key_id");
    }

    TEST_CASE("a malformed file is refused with the number of the line") {
        Desk desk;
        desk.write("credentials", "[default]\nsecret+key/value\n");
        desk.fails(Errc::invalid_argument, "~/.aws/credentials, line 2: write name = value");
        desk.write("credentials", "\n[default\naws_access_key_id = AKIDSECRETID\n");
        desk.fails(Errc::invalid_argument, "line 2: a section begins with '['");
        desk.write("credentials", "aws_access_key_id = AKIDSECRETID\n");
        desk.fails(Errc::invalid_argument, "line 1: a setting stands before the first [profile]");
        desk.write("credentials", "[default]\n= secret+key/value\n");
        desk.fails(Errc::invalid_argument, "line 2: write name = value");
    }

    TEST_CASE("what is no file cannot be read") {
        Desk desk;
        std::filesystem::create_directories(desk.path("credentials"));
        desk.fails(Errc::invalid_argument, "~/.aws/credentials cannot be read");
    }

    TEST_CASE("a key that cannot stand in a header is refused") {
        Desk desk;
        desk.environment = {{"AWS_ACCESS_KEY_ID", "AKIDSECRETID\n"}, {"AWS_SECRET_ACCESS_KEY", "secret+key/value"}};
        desk.fails(Errc::invalid_argument, "an end of line");
        desk.environment = {{"AWS_ACCESS_KEY_ID", "AKIDSECRETID\x7f"}, {"AWS_SECRET_ACCESS_KEY", "secret+key/value"}};
        desk.fails(Errc::invalid_argument, "a character that is not");
        desk.environment = {{"AWS_ACCESS_KEY_ID", "AKIDSECRETID"}, {"AWS_SECRET_ACCESS_KEY", " secret+key/value"}};
        desk.fails(Errc::invalid_argument, "a blank");
        desk.environment = {{"AWS_ACCESS_KEY_ID", "AKIDSECRETID"},
                            {"AWS_SECRET_ACCESS_KEY", "secret+key/value"},
                            {"AWS_SESSION_TOKEN", "session-token-value\xc3\xa4"}};
        desk.fails(Errc::invalid_argument, "not ASCII");
    }

    TEST_CASE("the region is that of the environment, else of the profile in the config file") {
        Desk desk;
        CHECK(find_region(desk.sources()) == std::nullopt);
        desk.write("config",
                   "[default]\nregion = eu-central-1\ns3 =\n    region = no\n[profile team-profile]\nregion=eu-west-3\n"
                   "[team-profile]\nregion = no\n[profile bare]\n");
        CHECK(find_region(desk.sources()) == "eu-central-1");
        desk.environment["AWS_PROFILE"] = "default";
        CHECK(find_region(desk.sources()) == "eu-central-1");
        desk.environment["AWS_PROFILE"] = "team-profile";
        CHECK(find_region(desk.sources()) == "eu-west-3");
        desk.environment["AWS_PROFILE"] = "bare";
        CHECK(find_region(desk.sources()) == std::nullopt);
        desk.environment["AWS_PROFILE"] = "unknown";
        CHECK(find_region(desk.sources()) == std::nullopt);
        desk.environment["AWS_DEFAULT_REGION"] = "ap-south-1";
        CHECK(find_region(desk.sources()) == "ap-south-1");
        desk.environment["AWS_REGION"] = "sa-east-1";
        CHECK(find_region(desk.sources()) == "sa-east-1");
        desk.environment = {{"AWS_CONFIG_FILE", desk.path("elsewhere-file")}};
        CHECK(find_region(desk.sources()) == std::nullopt);
        desk.write("elsewhere-file", "[default]\nregion = me-south-1\n");
        CHECK(find_region(desk.sources()) == "me-south-1");
        desk.write("elsewhere-file", "no config\n");
        CHECK(find_region(desk.sources()) == std::nullopt);
    }
}
