// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/utf8.hpp>
#include <memfs_cache/entries/entry_names.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

/// What Python's str.strip() takes for a blank.
constexpr auto is_blank(char32_t point) noexcept -> bool {
    return (point >= 0x09 && point <= 0x0d) || (point >= 0x1c && point <= 0x20) || point == 0x85 || point == 0xa0 ||
           point == 0x1680 || (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
           point == 0x202f || point == 0x205f || point == 0x3000;
}

constexpr std::string_view allowed_in_names = "_-";
constexpr std::string_view allowed_in_paths = "_-./\\ ";
constexpr std::size_t longest_name = 128;
constexpr std::size_t longest_path = 1024;

auto refuse(std::string_view what, std::string_view why) -> Error {
    return fail(Errc::invalid_argument, std::string(what) + ": " + std::string(why));
}

/// Letters, digits and what else is allowed; everything else as one '_' a character.
auto clean(std::string_view text, std::string_view what, std::string_view allowed, std::size_t longest)
    -> Result<std::string> {
    std::string cleaned;
    std::size_t kept = 0; // without the blanks at the end
    for (bool begun = false; !text.empty();) {
        auto const [point, size_bytes] = decode_utf8(text);
        if (size_bytes == 0 || is_surrogate(point))
            return refuse(what, "not valid UTF-8");
        text.remove_prefix(size_bytes);
        bool const blank = is_blank(point);
        if (blank && !begun)
            continue;
        begun = true;
        auto const c = static_cast<char>(point);
        bool const keep = point < 0x80 && (is_ascii_letter(c) || is_ascii_digit(c) || allowed.find(c) != allowed.npos);
        cleaned.push_back(keep ? c : '_');
        if (!blank)
            kept = cleaned.size();
    }
    cleaned.resize(kept);
    if (kept > longest)
        return refuse(what, "at most " + std::to_string(longest) + " characters");
    return cleaned;
}

auto is_nothing_but_underscores(std::string_view text) noexcept -> bool {
    return !text.empty() && text.find_first_not_of('_') == text.npos;
}

/// Each part between '/'.
template <class Do>
void each_part(std::string_view path, Do&& run) {
    for (std::size_t begin = 0; begin <= path.size();) {
        auto const end = std::min(path.find('/', begin), path.size());
        run(path.substr(begin, end - begin));
        begin = end + 1;
    }
}

} // namespace

auto clean_entry_name(std::string_view text, std::string_view what) -> Result<std::string> {
    return clean(text, what, allowed_in_names, longest_name);
}

auto clean_file_id(std::string_view text, std::string_view what) -> Result<std::string> {
    auto cleaned = clean_entry_name(text, what);
    if (cleaned && is_nothing_but_underscores(*cleaned))
        return refuse(what, "needs a letter, a digit or '-'");
    return cleaned;
}

auto clean_file_path(std::string_view text, std::string_view what) -> Result<std::string> {
    auto cleaned = clean(text, what, allowed_in_paths, longest_path);
    if (cleaned && is_nothing_but_underscores(*cleaned))
        return refuse(what, "needs a letter, a digit or one of - . / \\");
    return cleaned;
}

auto clean_cache_key(std::string_view text) -> Result<std::string> {
    auto cleaned = clean_file_path(text, "cache_key");
    if (!cleaned || cleaned->empty())
        return cleaned;
    bool good = true;
    auto const folder = cleaned->ends_with('/') ? cleaned->substr(0, cleaned->size() - 1) : *cleaned;
    each_part(folder, [&](std::string_view part) { good = good && !part.empty() && part != "." && part != ".."; });
    if (!good)
        return refuse("cache_key", "has an empty, '.' or '..' part; name the full path instead");
    return cleaned;
}

auto clean_file_name(std::string_view text) -> Result<std::string> {
    constexpr std::size_t longest_part = 255; // of a storage key
    auto cleaned = clean(text, "filename", "_-. ", longest_part);
    if (cleaned && (cleaned->empty() || *cleaned == "." || *cleaned == ".." || is_nothing_but_underscores(*cleaned)))
        return refuse("filename", "needs a letter, a digit or '-'");
    return cleaned;
}

auto clean_data_key(std::string_view text) -> Result<std::string> { return clean_file_path(text, "data_key"); }

auto data_folder(std::string_view cleaned_data_key) -> std::string {
    std::string folders;
    each_part(cleaned_data_key, [&](std::string_view part) {
        std::string name;
        bool in_run = false;
        for (char const c : part) {
            bool const fits = c != '\\' && c != ' ';
            if (fits || !in_run)
                name.push_back(fits ? c : '-');
            in_run = !fits;
        }
        for (auto dots = name.find(".."); dots != name.npos; dots = name.find(".."))
            name.replace(dots, 2, "-");
        if (name.empty() || name == ".")
            return;
        if (!folders.empty())
            folders.push_back('/');
        folders += name;
    });
    return folders;
}

auto check_cache_hash(std::string_view cache_hash) -> Result<void> {
    bool const good = cache_hash.size() >= 10 && cache_hash.size() <= 96 &&
                      cache_hash.find_first_not_of("0123456789abcdef") == cache_hash.npos;
    if (!good)
        return refuse("cache_hash", "give 10 to 96 of the characters a-f 0-9");
    return {};
}

auto shard_folders(std::string_view name) -> std::string {
    auto folders = std::string(name.substr(0, 2));
    if (name.size() > 2)
        folders.append("/").append(name.substr(2, 2));
    return folders;
}

} // namespace memfs_cache
