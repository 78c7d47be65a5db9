// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/net/credentials.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace memfs_cache {
namespace {

/// What is set and not empty: a variable without a value says nothing.
class Environment {
  public:
    explicit Environment(Credential_Sources const& sources) : sources_(sources) {}

    [[nodiscard]] auto get(char const* name) const -> std::string {
        if (sources_.environment)
            return sources_.environment(name).value_or("");
        auto const* const value = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
        return value == nullptr ? "" : value;
    }
    [[nodiscard]] auto home() const -> std::string { return sources_.home.empty() ? get("HOME") : sources_.home; }

  private:
    Credential_Sources const& sources_;
};

using Settings = std::map<std::string, std::string, std::less<>>;

/// A file of profiles.
struct Profile_File {
    std::string name; ///< for messages: by which setting it was found, never the setting's value
    bool exists = false;
    std::map<std::string, Settings, std::less<>> sections;
};

/// Lines "[section]" and "name = value"; '#' and ';' begin comments. A line that is indented deeper than the
/// setting above it belongs to that setting; nothing here makes use of such lines.
auto read_lines(std::istream& lines, Profile_File& file) -> Result<void> {
    Settings* section = nullptr;
    constexpr auto none = std::string_view::npos;
    auto setting_indentation = none; ///< of the last one of this section
    std::string line;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
        auto const malformed = [&](std::string_view what) {
            return fail(Errc::invalid_argument,
                        file.name + ", line " + std::to_string(number) + ": " + std::string(what));
        };
        std::string_view text = line;
        if (text.ends_with('\r'))
            text.remove_suffix(1);
        auto const indentation = text.find_first_not_of(" \t");
        text = trim_blanks(text);
        if (text.empty() || text.front() == '#' || text.front() == ';' || indentation > setting_indentation)
            continue;
        if (text.front() == '[') {
            auto const end = text.find(']');
            if (end == std::string_view::npos)
                return malformed("a section begins with '[' and has no ']'");
            section = &file.sections[std::string(trim_blanks(text.substr(1, end - 1)))];
            setting_indentation = none;
            continue;
        }
        auto const equals = text.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return malformed("write name = value, [profile] or a comment that begins with '#'");
        if (section == nullptr)
            return malformed("a setting stands before the first [profile]");
        setting_indentation = indentation;
        auto const name = trim_blanks(text.substr(0, equals));
        section->insert_or_assign(std::string(name), std::string(trim_blanks(text.substr(equals + 1))));
    }
    return {};
}

/// @param  variable  that may name the file; else it lies below .aws of the home folder
auto read_profiles(Environment const& environment, char const* variable, char const* usual_name)
    -> Result<Profile_File> {
    auto path = environment.get(variable);
    Profile_File file{path.empty() ? std::string("~/.aws/") + usual_name
                                   : "the file that " + std::string(variable) + " names",
                      false,
                      {}};
    if (path.empty()) {
        auto const home = environment.home();
        if (home.empty())
            return file;
        path = home + "/.aws/" + usual_name;
    }
    std::error_code failure;
    auto const status = std::filesystem::status(path, failure);
    if (status.type() == std::filesystem::file_type::not_found)
        return file;
    std::ifstream lines;
    if (status.type() == std::filesystem::file_type::regular)
        lines.open(path);
    if (!lines.is_open())
        return fail(Errc::invalid_argument,
                    file.name + " cannot be read: check that it is a file that this user may read");
    file.exists = true;
    auto const read = read_lines(lines, file);
    if (!read)
        return read.error();
    return file;
}

auto setting(Settings const& section, std::string_view name) -> std::string {
    auto const found = section.find(name);
    return found == section.end() ? "" : found->second;
}

/// Signed headers carry them: what is not printable can only be a slip, such as the end of a line.
auto checked(Aws_Credentials keys, std::string const& where) -> Result<Aws_Credentials> {
    if (keys.access_key_id.empty() != keys.secret_access_key.empty()) {
        return fail(Errc::invalid_argument, where + " has only one of access key id and secret access key: set both");
    }
    auto const is_printable = [](std::string const& text) {
        return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
    };
    if (!is_printable(keys.access_key_id) || !is_printable(keys.secret_access_key) ||
        !is_printable(keys.session_token)) {
        return fail(Errc::invalid_argument,
                    where + " has a key or token with a blank, an end of line or a character that is not ASCII in it");
    }
    return keys;
}

} // namespace

auto find_credentials(Credential_Sources const& sources) -> Result<Aws_Credentials> {
    Environment const environment(sources);
    Aws_Credentials given{environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY"),
                          environment.get("AWS_SESSION_TOKEN")};
    if (!given.access_key_id.empty() || !given.secret_access_key.empty())
        return checked(std::move(given), "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)");

    auto const profile = environment.get("AWS_PROFILE");
    auto const file = read_profiles(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
    if (!file)
        return file.error();
    auto const section = file->sections.find(profile.empty() ? "default" : profile);
    if (section == file->sections.end() && !profile.empty()) {
        return fail(Errc::invalid_argument,
                    "AWS_PROFILE names a profile that " + file->name +
                        (file->exists ? " does not have" : " would hold, and there is no such file"));
    }
    if (section == file->sections.end()) {
        return fail(Errc::not_found,
                    "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write both into "
                    "the profile \"default\" of " +
                        file->name + (file->exists ? ", which has none" : ", which does not exist"));
    }
    auto const where =
        (profile.empty() ? "the profile \"default\"" : "the profile that AWS_PROFILE names") + (" in " + file->name);
    auto keys =
        checked({setting(section->second, "aws_access_key_id"), setting(section->second, "aws_secret_access_key"),
                 setting(section->second, "aws_session_token")},
                where);
    if (keys && keys->access_key_id.empty()) {
        return fail(
            Errc::invalid_argument,
            where + " has no keys: write aws_access_key_id and aws_secret_access_key there; roles, single sign-on and "
                    "helper programs are not asked");
    }
    return keys;
}

auto find_region(Credential_Sources const& sources) -> std::optional<std::string> {
    Environment const environment(sources);
    for (char const* const name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
        if (auto region = environment.get(name); !region.empty())
            return region;
    }
    auto const profile = environment.get("AWS_PROFILE");
    auto const file = read_profiles(environment, "AWS_CONFIG_FILE", "config");
    if (!file)
        return std::nullopt;
    auto const section =
        file->sections.find(profile.empty() || profile == "default" ? "default" : "profile " + profile);
    auto region = section == file->sections.end() ? std::string() : setting(section->second, "region");
    return region.empty() ? std::nullopt : std::optional(std::move(region));
}

} // namespace memfs_cache
