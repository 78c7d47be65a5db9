// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>

#include <algorithm>
#include <array>
#include <cstdint>

namespace memfs_cache {
namespace {

/// Up to eight characters of an extension in one number, lower-cased; 0 for none or a longer one.
constexpr auto pack(std::string_view extension) noexcept -> std::uint64_t {
    std::uint64_t packed = 0;
    if (extension.size() > sizeof(packed))
        return 0;
    for (char const c : extension)
        packed = packed << 8 | static_cast<unsigned char>(ascii_lower(c));
    return packed;
}

template <std::size_t N>
constexpr auto pack_all(std::array<std::string_view, N> const& extensions) noexcept -> std::array<std::uint64_t, N> {
    std::array<std::uint64_t, N> packed{};
    for (std::size_t i = 0; i < N; ++i)
        packed[i] = pack(extensions[i]);
    return packed;
}

constexpr auto page_extensions =
    pack_all(std::to_array<std::string_view>({"html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi"}));

constexpr auto asset_extensions = pack_all(std::to_array<std::string_view>({
    "js",   "mjs",   "css",  "map", "json", "xml", "xsl",  "txt",  "wasm", "swf", // code and data of pages
    "png",  "jpg",   "jpeg", "gif", "svg",  "ico", "webp", "avif", "bmp",         // images
    "woff", "woff2", "ttf",  "otf", "eot",                                        // fonts
    "mp3",  "m4a",   "ogg",  "wav", "mp4",  "m4v", "webm", "mov",                 // sound and film
    "rss",  "atom",                                                               // feeds
}));

constexpr auto download_extensions = pack_all(std::to_array<std::string_view>({
    "pdf", "epub", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "csv", // documents
    "zip", "tar",  "gz",  "tgz",  "bz2", "xz",   "zst", "7z",   "rar",               // archives
    "iso", "img",  "dmg",                                                            // disk images
    "exe", "msi",  "pkg", "deb",  "rpm", "apk",  "jar", "whl",  "gem",               // programs and packages
}));

template <std::size_t N>
auto contains(std::array<std::uint64_t, N> const& extensions, std::uint64_t extension) noexcept -> bool {
    return std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
}

/// What the rules ask about a path, from one walk over its segments.
struct Path_Marks {
    bool api = false;            ///< the first segment is api
    bool upload = false;         ///< a segment begins with upload
    bool download = false;       ///< a segment begins with download, and it is a folder or has no extension
    bool presigned = false;      ///< a segment is presigned
    bool complete = false;       ///< after that one, a segment is complete
    bool token_use = false;      ///< .../tokens/{name}/use or validate-token
    bool payload = false;        ///< the leaf is payload
    bool folder = false;         ///< the path ends with '/'
    std::uint64_t extension = 0; ///< packed; 0 if there is none
    bool odd_extension = false;  ///< there is one, too long for any that is known
};

/// What follows the last dot of a file name, if it looks like the name of a format; "" otherwise.
auto extension_of(std::string_view leaf) noexcept -> std::string_view {
    auto const text = after_last<'.'>(leaf);
    if (text.size() + 1 >= leaf.size()) // no dot, or none but the first character
        return {};
    bool const is_version = std::all_of(text.begin(), text.end(), is_ascii_digit);
    return is_version ? std::string_view() : text;
}

auto marks_of(std::string_view path) noexcept -> Path_Marks {
    Path_Marks marks;
    std::string_view leaf;
    std::string_view parent;
    std::string_view grandparent;
    bool first = true;
    while (!path.empty() && path.front() == '/') {
        path.remove_prefix(1);
        grandparent = parent;
        parent = leaf;
        leaf = path.substr(0, path.find('/'));
        path.remove_prefix(leaf.size());
        bool const last = path.empty();
        if (leaf.empty())
            continue;
        switch (ascii_lower(leaf.front())) {
        case 'a':
            marks.api = marks.api || (first && equals_lower(leaf, "api"));
            break;
        case 'c':
            marks.complete = marks.complete || (marks.presigned && equals_lower(leaf, "complete"));
            break;
        case 'd':
            if (starts_with_lower(leaf, "download") && !(last && leaf.find('.') != std::string_view::npos))
                marks.download = true;
            break;
        case 'p':
            marks.presigned = marks.presigned || equals_lower(leaf, "presigned");
            marks.payload = last && equals_lower(leaf, "payload");
            break;
        case 'u':
            marks.upload = marks.upload || starts_with_lower(leaf, "upload");
            if (last && equals_lower(leaf, "use") && equals_lower(grandparent, "tokens") && !parent.empty())
                marks.token_use = true;
            break;
        case 'v':
            marks.token_use = marks.token_use || equals_lower(leaf, "validate-token");
            break;
        default:
            break;
        }
        first = false;
    }
    marks.folder = leaf.empty();
    auto const extension = extension_of(leaf);
    marks.extension = pack(extension);
    marks.odd_extension = marks.extension == 0 && !extension.empty();
    return marks;
}

/// What kind of content a media type says that the response has.
enum class Content { unknown, html, json, asset, something_else };

auto content_of(std::string_view content_type) noexcept -> Content {
    auto const type = trim_blanks(before_any<';'>(content_type));
    if (type.empty())
        return Content::unknown;
    switch (ascii_lower(type.front())) {
    case 'a':
        if (equals_lower(type, "application/json") || ends_with_lower(type, "+json"))
            return Content::json;
        if (equals_lower(type, "application/xhtml+xml"))
            return Content::html;
        if (equals_lower(type, "application/javascript") || equals_lower(type, "application/wasm") ||
            starts_with_lower(type, "audio/"))
            return Content::asset;
        break;
    case 'f':
        if (starts_with_lower(type, "font/"))
            return Content::asset;
        break;
    case 'i':
        if (starts_with_lower(type, "image/"))
            return Content::asset;
        break;
    case 't':
        if (equals_lower(type, "text/html"))
            return Content::html;
        if (equals_lower(type, "text/css") || equals_lower(type, "text/javascript"))
            return Content::asset;
        break;
    case 'v':
        if (starts_with_lower(type, "video/"))
            return Content::asset;
        break;
    default:
        break;
    }
    return Content::something_else;
}

} // namespace

auto path_of(std::string_view target) noexcept -> std::string_view {
    if (target == "*")
        return target;
    auto const before_fragment = target.substr(0, target.find('#'));
    auto const before_query = before_fragment.substr(0, before_fragment.find('?'));
    if (before_query.starts_with('/'))
        return before_query;
    auto const authority = before_query.find("://");
    if (authority == std::string_view::npos)
        return {};
    auto const path = before_query.find('/', authority + 3);
    return path == std::string_view::npos ? std::string_view("/") : before_query.substr(path);
}

auto classify_request(std::string_view method,
                      std::string_view path,
                      int status,
                      std::string_view content_type) noexcept -> std::string_view {
    if (method.empty() || method == "HEAD" || method == "OPTIONS")
        return "other";

    bool const is_get = method == "GET";
    bool const is_put = method == "PUT";
    bool const is_post = method == "POST";
    bool const succeeded = status >= 200 && status < 300;
    auto const marks = marks_of(path);
    auto const content = content_of(content_type);

    if (succeeded) {
        if (is_post && marks.token_use)
            return "token_use";
        if ((is_put || is_post) && (marks.presigned ? marks.complete : marks.upload))
            return "file_upload";
        if (marks.payload && (is_put || is_get))
            return is_put ? "file_upload" : "file_download";
        if (is_get && marks.download && !marks.folder && content != Content::html)
            return "file_download";
    }
    if (marks.api || !is_get)
        return "api_call";

    if (succeeded || status == 304) {
        if (succeeded && contains(download_extensions, marks.extension))
            return "file_download";
        if (content == Content::html)
            return "page_view";
        if (contains(asset_extensions, marks.extension) || content == Content::asset)
            return "asset";
    }
    if (content == Content::json && status < 400) // an error's body says nothing of what was asked for
        return "api_call";
    bool const page_like = !marks.odd_extension && (marks.extension == 0 || contains(page_extensions, marks.extension));
    if ((succeeded || status == 304) && content == Content::unknown && page_like)
        return "page_view";
    return "other";
}

} // namespace memfs_cache
