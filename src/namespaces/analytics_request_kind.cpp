// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>

#include <algorithm>
#include <cstdint>

namespace memfs_cache {
namespace {

/// What the extension of a file name says of its content.
enum class Extension { none, page, asset, download, unknown };

/// Up to eight characters of an extension in one number, lower-cased; 0 for none or a longer one.
constexpr auto pack(std::string_view extension) noexcept -> std::uint64_t {
    std::uint64_t packed = 0;
    if (extension.size() > sizeof(packed))
        return 0;
    for (char const c : extension)
        packed = packed << 8 | static_cast<unsigned char>(ascii_lower(c));
    return packed;
}

/// A switch, which is searched by halves: this is asked of each request.
auto kind_of(std::string_view extension) noexcept -> Extension {
    if (extension.empty())
        return Extension::none;
    // A line for each sort of file.
    // clang-format off
    switch (pack(extension)) {
    case pack("html"): case pack("htm"): case pack("xhtml"): case pack("shtml"): case pack("php"): case pack("asp"):
    case pack("aspx"): case pack("jsp"): case pack("cgi"):
        return Extension::page;
    // code and data of pages, images, fonts, sound and film, feeds
    case pack("js"): case pack("mjs"): case pack("css"): case pack("map"): case pack("json"): case pack("xml"):
    case pack("xsl"): case pack("txt"): case pack("wasm"): case pack("swf"):
    case pack("png"): case pack("jpg"): case pack("jpeg"): case pack("gif"): case pack("svg"): case pack("ico"):
    case pack("webp"): case pack("avif"): case pack("bmp"):
    case pack("woff"): case pack("woff2"): case pack("ttf"): case pack("otf"): case pack("eot"):
    case pack("mp3"): case pack("m4a"): case pack("ogg"): case pack("wav"): case pack("mp4"): case pack("m4v"):
    case pack("webm"): case pack("mov"):
    case pack("rss"): case pack("atom"):
        return Extension::asset;
    // documents, archives, disk images, programs and packages
    case pack("pdf"): case pack("epub"): case pack("doc"): case pack("docx"): case pack("xls"): case pack("xlsx"):
    case pack("ppt"): case pack("pptx"): case pack("odt"): case pack("ods"): case pack("csv"):
    case pack("zip"): case pack("tar"): case pack("gz"): case pack("tgz"): case pack("bz2"): case pack("xz"):
    case pack("zst"): case pack("7z"): case pack("rar"):
    case pack("iso"): case pack("img"): case pack("dmg"):
    case pack("exe"): case pack("msi"): case pack("pkg"): case pack("deb"): case pack("rpm"): case pack("apk"):
    case pack("jar"): case pack("whl"): case pack("gem"):
        return Extension::download;
    default:
        return Extension::unknown;
    }
    // clang-format on
}

/// What the rules ask about a path, from one walk over its segments.
struct Path_Marks {
    bool api = false;       ///< the first segment is api
    bool upload = false;    ///< a segment begins with upload
    bool download = false;  ///< a segment begins with download, and it is a folder or has no extension
    bool presigned = false; ///< a segment is presigned
    bool complete = false;  ///< after that one, a segment is complete
    bool token_use = false; ///< .../tokens/{name}/use or validate-token
    bool payload = false;   ///< the leaf is payload
    bool folder = false;    ///< the path ends with '/'
    Extension extension = Extension::none;
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
    marks.extension = kind_of(extension_of(leaf));
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
        if (succeeded && marks.extension == Extension::download)
            return "file_download";
        if (content == Content::html)
            return "page_view";
        if (marks.extension == Extension::asset || content == Content::asset)
            return "asset";
    }
    if (content == Content::json && status < 400) // an error's body says nothing of what was asked for
        return "api_call";
    bool const page_like = marks.extension == Extension::none || marks.extension == Extension::page;
    if ((succeeded || status == 304) && content == Content::unknown && page_like)
        return "page_view";
    return "other";
}

} // namespace memfs_cache
