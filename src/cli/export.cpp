// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/namespaces/analytics/day_salts.hpp>
#include <memfs_cache/storage/copy.hpp>
#include <memfs_cache/storage/open.hpp>
#include <memfs_cache/storage/zip_snapshot.hpp>

#include <boost/json.hpp>

#include <cstdio>
#include <memory>
#include <unistd.h>

using namespace memfs_cache;

namespace {

struct Options {
    std::string from, to, prefix;
    std::size_t parallel = 8;
    bool json = false;
};

auto as_number(std::uint64_t value) -> unsigned long long { return value; }

auto to_json(Copy_Report const& report) -> boost::json::object {
    return {{"verified", report.verified()},
            {"objects", report.objects},
            {"bytes", report.bytes},
            {"copied", report.copied},
            {"present", report.present},
            {"different", report.different},
            {"differences", boost::json::value_from(report.differences)}};
}

void show(Copy_Report const& report) {
    std::printf("%llu objects of %llu bytes: %llu copied, %llu were there already\n", as_number(report.objects),
                as_number(report.bytes), as_number(report.copied), as_number(report.present));
    for (auto const& difference : report.differences)
        std::printf("%s\n", difference.c_str()); // keys hold no control characters
    if (report.different > report.differences.size())
        std::printf("... and %llu more\n", as_number(report.different - report.differences.size()));
    std::printf(report.verified() ? "verified: both sides hold the same\n" : "NOT the same on both sides\n");
}

constexpr std::string_view zip = "zip:";

/// A storage, or what is in a zip archive.
auto open_side(std::string const& option, std::string_view url) -> Any_Storage {
    if (url.starts_with(zip))
        return or_exit(about(option, read_zip_snapshot(url.substr(zip.size()))));
    return or_exit(about(option, open_storage(url)));
}

auto run(Options const& options) -> int {
    auto const from = open_side("--storage", options.from);
    auto to = open_side("--to", options.to);
    Copy_Options copying;
    copying.prefix = options.prefix;
    copying.parallel = options.parallel;
    copying.is_secret = &is_salt_key;
    bool const terminal = ::isatty(STDERR_FILENO) == 1;
    if (terminal)
        copying.progress = [](Copy_Report const& so_far) {
            std::fprintf(stderr, "\r%llu objects, %llu MiB", as_number(so_far.objects), as_number(so_far.bytes >> 20));
        };
    auto const report = copy_objects(from, to, copying);
    if (terminal)
        std::fputc('\n', stderr);
    auto const& copied = or_exit(report);
    if (options.to.starts_with(zip))
        or_exit(about("--to", write_zip_snapshot(*to.as<Storage_Memory>(), options.to.substr(zip.size()))));
    if (options.json)
        std::printf("%s\n", json_text(to_json(copied)).c_str());
    else
        show(copied);
    return copied.verified() ? done : failed;
}

} // namespace

auto add_export(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Options>();
    auto* command =
        app.add_subcommand("export", "Copy a whole store to another storage, or a zip archive, and compare both");
    command->add_option("--storage", options->from, std::string(storage_urls) + " | zip:FILE")
        ->required()
        ->envname("MEMFS_CACHE_STORAGE");
    command->add_option("--to", options->to, "where to, or zip:FILE; what is there already is never overwritten")
        ->required();
    command->add_option("--prefix", options->prefix, "only keys that begin with it");
    command->add_option("--parallel", options->parallel, "objects that are on the way at once")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    command->add_flag("--json", options->json, "the report as one JSON object");
    return [options] { return run(*options); };
}
