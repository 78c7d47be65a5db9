// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/storage_routes.hpp>

namespace memfs_cache {
namespace {

/// Greater than every path below a folder, and less than all behind it.
auto end_of(std::string folder) -> std::string { return std::move(folder) + "\xf4\x8f\xbf\xbf"; }

} // namespace

auto Shown_Files::hidden_until(std::string_view path) const -> std::optional<std::string> {
    constexpr std::string_view data = "data/", refs = "refs/", salts = "data/salts/";
    if (!path.starts_with(root_))
        return std::string(path);
    auto const slash = path.find('/', root_.size());
    if (slash == std::string_view::npos)
        return std::string(path);
    auto const name_space = std::string(path.substr(0, slash + 1));
    if (!Namespace_Name::parse(path.substr(root_.size(), slash - root_.size())))
        return end_of(name_space);
    auto const inside = path.substr(slash + 1);
    if (inside.starts_with(salts))
        return end_of(name_space + std::string(salts));
    if (inside.starts_with(data) || inside.starts_with(refs))
        return std::nullopt;
    for (auto const folder : {data, refs})
        if (inside < folder)
            return name_space + std::string(folder);
    return end_of(name_space);
}

auto stored_file_reply(std::string_view path, Bytes bytes) -> Response {
    auto const* const type = path.ends_with(".json")    ? "application/json"
                             : path.ends_with(".jsonl") ? "application/x-ndjson"
                             : path.ends_with(".zst")   ? "application/zstd"
                                                        : "application/octet-stream";
    Response response;
    response.headers = {{"Content-Type", type}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
    response.body = std::move(bytes);
    return response;
}

} // namespace memfs_cache
