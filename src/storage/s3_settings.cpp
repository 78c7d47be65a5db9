// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/percent.hpp>
#include <memfs_cache/storage/s3.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

constexpr auto form = "s3://bucket/prefix?endpoint_url=...&region=...&addressing=path|virtual&ca_file=...";

/// Sets what one parameter of the URL says.
/// @return whether there is such a parameter, and such a value of it
auto set_parameter(S3_Settings& settings, std::string_view name, std::string value) -> bool {
    if (name == "endpoint_url") {
        settings.endpoint_url = std::move(value);
    } else if (name == "region") {
        settings.region = std::move(value);
    } else if (name == "ca_file") {
        settings.client.ca_file = std::move(value);
    } else if (name == "addressing" && (value == "path" || value == "virtual")) {
        settings.virtual_host = value == "virtual";
    } else {
        return false;
    }
    return true;
}

} // namespace

auto S3_Settings::parse(std::string_view url) -> Result<S3_Settings> {
    constexpr std::string_view scheme = "s3://";
    auto const wrong = [](std::string const& what) {
        return fail(Errc::invalid_argument, "storage: " + what + "; give " + form);
    };
    if (!url.starts_with(scheme))
        return wrong("no URL of S3");
    url.remove_prefix(scheme.size());
    auto const path = url.substr(0, url.find('?'));
    auto query = url.substr(std::min(path.size() + 1, url.size()));
    auto const slash = std::min(path.find('/'), path.size());
    if (path.substr(0, slash).find_first_of("@:") != std::string_view::npos)
        return wrong("credentials do not belong in a URL, but in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a "
                     "profile");
    S3_Settings settings;
    auto prefix = percent_decode(path.substr(std::min(slash + 1, path.size())), false);
    if (slash == 0 || !prefix)
        return wrong("the bucket is missing, or the prefix is not UTF-8");
    settings.bucket = path.substr(0, slash);
    settings.prefix = *std::move(prefix);
    if (settings.prefix.ends_with('/'))
        settings.prefix.pop_back();
    while (!query.empty()) {
        auto const pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        auto const equals = std::min(pair.find('='), pair.size());
        auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), false);
        if (!value || value->empty() || !set_parameter(settings, pair.substr(0, equals), *std::move(value)))
            return wrong("a parameter that is not known, or a value that it does not take");
    }
    return settings;
}

} // namespace memfs_cache
