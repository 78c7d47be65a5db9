// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/entries/entry_value.hpp>
#include <memfs_cache/http/admin_page.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/url.hpp>
#include <memfs_cache/namespaces/analytics/request_kind.hpp>

#include <algorithm>
#include <string>

namespace memfs_cache {
namespace {

/// Styles of Lit are none of an element's attributes; a download is a blob, and the icon an empty data URL.
constexpr auto content_security_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Does the client take gzip? "gzip;q=0" says no.
/// @source RFC 9110 section 12.5.3
auto takes_gzip(Request const& request) -> bool {
    auto const accepted = request.headers.joined("Accept-Encoding");
    for (std::string_view list = accepted; !list.empty();) {
        auto const comma = list.find(',');
        auto const item = list.substr(0, comma);
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        auto const semicolon = item.find(';');
        auto const name = trim_blanks(item.substr(0, semicolon));
        if (!equals_lower(name, "gzip") && name != "*")
            continue;
        auto const weight =
            semicolon == std::string_view::npos ? std::string_view() : trim_blanks(item.substr(semicolon + 1));
        return !weight.starts_with("q=0") || weight.find_first_of("123456789") != std::string_view::npos;
    }
    return false;
}

auto file_reply(Request const& request, Page_File const& file) -> Response {
    Response response;
    response.headers = {{"Content-Type", std::string(file.media_type)},
                        {"Cache-Control", "no-store"},
                        {"Content-Security-Policy", content_security_policy},
                        {"Cross-Origin-Opener-Policy", "same-origin"},
                        {"Referrer-Policy", "no-referrer"},
                        {"Vary", "Accept-Encoding"},
                        {"X-Content-Type-Options", "nosniff"},
                        {"X-Frame-Options", "DENY"}};
    if (takes_gzip(request)) {
        response.headers.add("Content-Encoding", "gzip");
        response.body = Bytes(file.gzip);
    } else {
        response.body = unpack_gzip(file.gzip).value();
    }
    return response;
}

} // namespace

auto Admin_Page::operator()(Request const& request) const -> Response {
    if (auto const url = parse_target(request.target); !url)
        return error_reply(url.error());
    auto const path = path_of(request.target);
    auto const file =
        std::find_if(files_.begin(), files_.end(), [&](Page_File const& one) { return one.path == path; });
    bool const is_there = file != files_.end();
    if ((is_there || path == "/") && request.method != "GET" && request.method != "HEAD")
        return method_not_allowed("GET, HEAD");
    if (is_there)
        return file_reply(request, *file);
    if (path == "/")
        return error_reply(404, "not_found",
                           "The dashboard was not built into this program: build it again where Node.js 18 and npm are "
                           "installed; /openapi.json lists the routes.");
    return error_reply(404, "not_found", "There is nothing at this path; /openapi.json lists the routes.");
}

} // namespace memfs_cache
