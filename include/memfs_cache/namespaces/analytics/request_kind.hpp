// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace memfs_cache {

/// The path of a request target: what may be stored of it.
///
/// /a/b?c#d                 /a/b      origin form: cut at the first '?' or '#', otherwise as sent
/// http://user@host/a?b     /a        absolute form; "/" if it names no path
/// *                        *         OPTIONS of the whole server
/// host:443, anything else  ""        an authority could hold a name or an address, so nothing of it is kept
///
/// @return a view into `target`, or a static text.
/// Threads any.  Cost one pass, no allocation.
/// @source RFC 9112, section 3.2
[[nodiscard]] auto path_of(std::string_view target) noexcept -> std::string_view;

/// What a request was for, as one of page_view, asset, api_call, file_upload, file_download, token_use, other.
///
/// The first row that fits decides. "2xx" includes 206; a segment is what lies between two '/' of the path; the leaf is
/// the last one. Segments, extensions and media types are compared without regard to ASCII case.
///
/// | kind          | method              | status   | path and response                                                |
/// |---------------|---------------------|----------|------------------------------------------------------------------|
/// | other         | HEAD, OPTIONS, none | any      | they transfer no content, whatever the path                      |
/// | token_use     | POST                | 2xx      | .../tokens/{name}/use, or a segment validate-token               |
/// | file_upload   | PUT, POST           | 2xx      | a segment presigned and after it a segment complete              |
/// | file_upload   | PUT, POST           | 2xx      | a segment that begins with upload, and none that is presigned    |
/// | file_upload   | PUT                 | 2xx      | the leaf is payload                                              |
/// | file_download | GET                 | 2xx      | the leaf is payload                                              |
/// | file_download | GET                 | 2xx      | a segment begins with download (1)                               |
/// | api_call      | any other           | any      | the path is /api or below it                                     |
/// | api_call      | any but GET         | any      | everything not named before                                      |
/// | file_download | GET                 | 2xx      | extension of a document, archive, disk image: pdf, zip, iso ...  |
/// | page_view     | GET                 | 2xx, 304 | HTML response                                                    |
/// | asset         | GET                 | 2xx, 304 | extension of what pages are made of: js, css, png, woff2 ... (2) |
/// | api_call      | GET                 | any      | JSON response                                                    |
/// | page_view     | GET                 | 2xx, 304 | response of unknown type; no extension, or html, php, jsp ...    |
/// | other         | GET                 | any      | everything else: redirects, errors, sources and other odd files  |
/// (1) As the leaf only without an extension; a folder page (trailing '/') or an HTML response is no download.
/// (2) Or a CSS, JavaScript, WebAssembly, font, image, audio or video response.
///
/// So what was tried as upload, download or token use and failed is an api_call where it was no GET, an error
/// otherwise. A number after the last dot (/v1.2, /logstash-1.1.1) is no extension.
/// @param  path          as path_of gives it
/// @param  content_type  of the response, with or without parameters; "" if unknown
/// Threads any.  Cost one pass over the path, no allocation.
[[nodiscard]] auto
classify_request(std::string_view method, std::string_view path, int status, std::string_view content_type) noexcept
    -> std::string_view;

} // namespace memfs_cache
