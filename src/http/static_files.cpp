// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/selection.hpp>
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/http/url.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace memfs_cache {
namespace {

auto content_type(std::string_view name) -> std::string_view {
    using Row = std::pair<std::string_view, std::string_view>;
    static constexpr std::array<Row, 24> table{{
        {".html", "text/html; charset=utf-8"},
        {".htm", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
        {".csv", "text/csv; charset=utf-8"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".map", "application/json"},
        {".xml", "application/xml"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".avif", "image/avif"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".pdf", "application/pdf"},
        {".mp4", "video/mp4"},
    }};
    auto const dot = name.rfind('.');
    auto const extension = dot == std::string_view::npos ? std::string_view{} : name.substr(dot);
    auto const* const row =
        std::find_if(table.begin(), table.end(), [&](Row const& r) { return equals_lower(extension, r.first); });
    return row == table.end() ? "application/octet-stream" : row->second;
}

/// One step down from an open folder. Following no link at any step is what keeps a path below the root, also while
/// somebody rearranges the folders.
auto open_below(Unique_Fd const& folder, std::string const& name, int flags) -> Unique_Fd {
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) {
        errno = ENOENT;
        return {};
    }
    return Unique_Fd(::openat(folder.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags));
}

struct Opened {
    Unique_Fd file;
    struct stat status {};
};

auto open_entry(Unique_Fd const& folder, std::string const& name) -> std::optional<Opened> {
    Opened opened;
    opened.file = open_below(folder, name, O_NONBLOCK); // a pipe without a writer would block
    if (!opened.file || ::fstat(opened.file.get(), &opened.status) != 0)
        return std::nullopt;
    return opened;
}

auto not_found() -> Response { return error_reply(404, "not_found", "There is no such file."); }

/// Opening failed: the file is not there for us, unless the system has no descriptor or memory for it now.
auto not_opened() -> Response {
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM)
        return not_found();
    return error_reply(fail(Errc::unavailable, "The server cannot open more files now; send the request again."));
}

auto folder_redirect(std::vector<std::string> const& segments) -> Response {
    std::string location;
    for (auto const& segment : segments)
        location.append("/").append(percent_encode(segment));
    Response response;
    response.status = 308;
    response.headers = {{"Location", location + "/"}};
    return response;
}

auto file_reply(Request const& request, Opened opened, std::string_view name) -> Response {
    auto const size = static_cast<std::uint64_t>(opened.status.st_size);
    auto const& modified = opened.status.st_mtim;
    auto const nanos =
        static_cast<std::uint64_t>(modified.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(modified.tv_nsec);
    auto const tag = '"' + to_hex(nanos) + '-' + to_hex(size) + '"';
    auto const date = http_date(from_millis(static_cast<std::int64_t>(modified.tv_sec) * 1000));

    Response response;
    response.headers = {
        {"ETag", tag}, {"Last-Modified", date}, {"Cache-Control", "no-cache"}, {"X-Content-Type-Options", "nosniff"}};

    auto const part = select_bytes(request, response, size);
    if (!part)
        return response;
    response.headers.add("Content-Type", std::string(content_type(name)));
    response.body = File_Part{std::move(opened.file), part->first, part->size_bytes};
    return response;
}

} // namespace

auto Static_Files::open(std::string const& folder) -> Result<Static_Files> {
    Unique_Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root)
        return error_from_errno(errno, "open", "the folder of static files " + folder);
    return Static_Files(std::move(root));
}

auto Static_Files::operator()(Request const& request) const -> Response {
    if (request.method != "GET" && request.method != "HEAD")
        return method_not_allowed("GET, HEAD");
    auto const url = parse_target(request.target);
    if (!url)
        return error_reply(url.error());

    auto const& segments = url->segments;
    Unique_Fd folder;
    for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
        folder = open_below(i == 0 ? *root_ : folder, segments[i], O_DIRECTORY);
        if (!folder)
            return not_opened();
    }
    bool const asks_folder = segments.back().empty();
    auto const name = asks_folder ? std::string("index.html") : segments.back();
    auto opened = open_entry(folder ? folder : *root_, name);
    if (!opened)
        return not_opened();
    if (S_ISDIR(opened->status.st_mode) && !asks_folder)
        return folder_redirect(segments);
    if (!S_ISREG(opened->status.st_mode))
        return not_found();
    return file_reply(request, std::move(*opened), name);
}

} // namespace memfs_cache
