// SPDX-License-Identifier: Apache-2.0
#include "response_bytes.hpp"

#include <memfs_cache/core/ascii.hpp>

#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <unistd.h>

namespace memfs_cache {
namespace {

constexpr std::size_t piece_bytes = 64 * 1024;

auto is_sendable(Headers::Line const& line) -> bool {
    auto const is_plain = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; };
    auto const is_token = [&](char c) {
        return is_plain(c) && std::string_view(" \"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
    };
    auto const is_ours = [&](std::string_view lower) { return equals_lower(line.name, lower); };
    return !line.name.empty() && std::all_of(line.name.begin(), line.name.end(), is_token) &&
           std::all_of(line.value.begin(), line.value.end(), is_plain) && !is_ours("content-length") &&
           !is_ours("transfer-encoding") && !is_ours("connection");
}

} // namespace

auto has_body(std::string_view method, int status) -> bool {
    return method != "HEAD" && status != 204 && status != 304;
}

auto is_sendable(Response const& response) -> bool {
    return response.status >= 200 && response.status <= 599 &&
           std::all_of(response.headers.begin(), response.headers.end(),
                       [](auto const& line) { return is_sendable(line); });
}

auto header_text(Response const& response, Utc_Time now, std::string_view connection) -> std::string {
    std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
    text += boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
    text.append("\r\nDate: ").append(http_date(now));
    for (auto const& [name, value] : response.headers)
        text.append("\r\n").append(name).append(": ").append(value);
    if (response.has_length() && response.status != 204 && response.status != 304)
        text.append("\r\nContent-Length: ").append(std::to_string(response.body_bytes()));
    if (!connection.empty())
        text.append("\r\nConnection: ").append(connection);
    return text + "\r\n\r\n";
}

auto piece_of(Response const& response, std::uint64_t begin, std::uint64_t end, std::string& storage)
    -> std::string_view {
    auto const size = static_cast<std::size_t>(std::min<std::uint64_t>(end - begin, piece_bytes));
    if (auto const* const bytes = std::get_if<Bytes>(&response.body))
        return std::string_view(*bytes).substr(begin, size);
    auto const& part = *std::get_if<File_Part>(&response.body);
    storage.resize(size);
    auto const got = ::pread(part.file.get(), storage.data(), size, static_cast<off_t>(part.offset_bytes + begin));
    return std::string_view(storage).substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
}

} // namespace memfs_cache
