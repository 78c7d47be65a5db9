// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/namespaces/analytics/access_log_import.hpp>

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace memfs_cache;

namespace {

struct Import_Options {
    Store_Options store;
    std::string format = "auto";
    std::string columns;
    bool count_again = false;
    bool json = false;
    std::vector<std::string> files;
};

/// A log file, unpacked if its content is gzip, whatever its name; "-" is the standard input.
class Log_File {
  public:
    static auto open(std::string const& path) -> Result<Log_File> {
        int const file = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return error_from_errno(errno, "opening", path);
        struct stat status {};
        if (::fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
            ::close(file);
            return fail(Errc::invalid_argument, path + " became a folder meanwhile; import again");
        }
        gzFile const packed = ::gzdopen(file, "rb");
        if (packed == nullptr) {
            ::close(file);
            return fail(Errc::internal, "no memory to read " + path);
        }
        ::gzbuffer(packed, 1 << 18);
        return Log_File(path, packed);
    }

    auto read(char* out, std::size_t size) -> Result<std::size_t> {
        auto const got = ::gzread(file_.get(), out, static_cast<unsigned>(std::min<std::size_t>(size, 1 << 30)));
        int error = Z_OK;
        auto const* const text = ::gzerror(file_.get(), &error);
        if (got < 0 || error == Z_BUF_ERROR) {
            if (error == Z_ERRNO)
                return error_from_errno(errno, "reading", path_);
            return fail(Errc::corrupt_data, path_ + " is a damaged or cut gzip file (" + text +
                                                "); what came before is kept, import the whole file later");
        }
        return static_cast<std::size_t>(got);
    }

  private:
    struct Close {
        void operator()(gzFile file) const noexcept { ::gzclose_r(file); }
    };
    Log_File(std::string path, gzFile file) : path_(std::move(path)), file_(file) {}
    std::string path_;
    std::unique_ptr<gzFile_s, Close> file_;
};

/// The names as they are, and in place of a folder all files below it by name: servers write dates into their names.
auto files_of(std::vector<std::string> const& names) -> Result<std::vector<std::string>> {
    namespace fs = std::filesystem;
    std::vector<std::string> files;
    for (auto const& name : names) {
        std::error_code failure;
        if (name == "-" || !fs::is_directory(name, failure)) {
            files.push_back(name);
            continue;
        }
        auto const first = static_cast<std::ptrdiff_t>(files.size());
        fs::recursive_directory_iterator entry(name, failure);
        for (; !failure && entry != fs::end(entry); entry.increment(failure))
            if (entry->is_regular_file(failure))
                files.push_back(entry->path().string());
        if (failure)
            return error_from_errno(failure.value(), "reading the folder", name);
        if (files.begin() + first == files.end())
            return fail(Errc::invalid_argument, name + " is a folder without files; name the log or its folder");
        std::sort(files.begin() + first, files.end());
    }
    return files;
}

void show(Import_Report const& report, bool json) {
    if (json) {
        std::printf("%s\n", json_text(report.to_json()).c_str());
        return;
    }
    std::printf("%llu accepted, %llu rejected, %llu already imported, from %llu files\n",
                static_cast<unsigned long long>(report.accepted), static_cast<unsigned long long>(report.rejected),
                static_cast<unsigned long long>(report.already_imported),
                static_cast<unsigned long long>(report.files));
    for (auto const& line : report.rejected_lines)
        std::printf("%s:%llu: %s\n", line.file.c_str(), static_cast<unsigned long long>(line.line),
                    line.reason.c_str());
    if (report.rejected > report.rejected_lines.size())
        std::printf("... and %llu more\n",
                    static_cast<unsigned long long>(report.rejected - report.rejected_lines.size()));
}

auto run(Import_Options const& options) -> int {
    // Every name is looked at before anything is imported: a slip of the pen costs nothing.
    auto const names = or_exit(files_of(options.files));
    std::vector<Log_File> files;
    for (auto const& name : names)
        files.push_back(or_exit(Log_File::open(name)));
    Access_Log_Import<Any_Storage>::Options import_options;
    import_options.format = parse_access_log_format(options.format).value();
    if (!options.columns.empty())
        import_options.columns = or_exit(Log_Columns::parse(options.columns));
    (void)or_exit(Namespace_Name::parse(options.store.name_space));
    auto const service_options = options.store.service_options();
    Cache_Service<Any_Storage> cache(options.store.open_storage(), service_options);
    auto& analytics = *or_exit(cache.open_analytics(options.store.name_space));

    bool const terminal = ::isatty(STDERR_FILENO) == 1;
    import_options.count_again = options.count_again;
    if (terminal)
        import_options.progress = [](std::uint64_t bytes, std::uint64_t lines) {
            std::fprintf(stderr, "\r%llu MiB, %llu lines", static_cast<unsigned long long>(bytes >> 20),
                         static_cast<unsigned long long>(lines));
        };
    Access_Log_Import<Any_Storage> import(cache.storage(), analytics, import_options);
    Result<void> outcome;
    for (std::size_t i = 0; i < files.size() && outcome; ++i)
        outcome = import.import(names[i], [&](char* out, std::size_t size) { return files[i].read(out, size); });
    if (terminal)
        std::fputc('\n', stderr);
    if (auto const closed = cache.close(); !closed && outcome)
        outcome = closed.error();
    show(import.report(), options.json); // also of an import that broke off: what it did stays
    if (!outcome)
        throw Failure{failed, outcome.error()};
    return done;
}

} // namespace

auto add_import(CLI::App& app) -> Subcommand {
    auto const options = std::make_shared<Import_Options>();
    auto* command = app.add_subcommand("import", "Bring access logs into analytics; every line is counted once");
    options->store.add_to(*command);
    options->store.add_namespace_to(*command);
    command->add_option("--format", options->format, "what the lines look like; auto looks at the first ones")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "combined", "common", "json", "w3c", "cloudfront", "alb"}));
    command->add_option("--columns", options->columns,
                        "names of the columns in their order, as in #Fields:, for logs that do not name them");
    command->add_flag("--count-again", options->count_again, "count lines that were imported before once more");
    command->add_flag("--json", options->json, "report as one JSON object");
    command
        ->add_option("files", options->files, "log files, plain or gzip, or folders of them; - for the standard input")
        ->required();
    return [options] { return run(*options); };
}
