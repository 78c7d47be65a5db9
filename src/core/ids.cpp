// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/random.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace memfs_cache {
namespace {

auto has_control(std::string_view text) noexcept -> bool {
    unsigned found = 0; // asked once at the end, so that the compiler looks at many bytes at a time
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        found |= static_cast<unsigned>(byte < 0x20) | static_cast<unsigned>(byte == 0x7f);
    }
    return found != 0;
}

auto is_dots(std::string_view part) noexcept -> bool { return part == "." || part == ".."; }

} // namespace

auto is_utf8(std::string_view text) noexcept -> bool {
    auto const* at = reinterpret_cast<unsigned char const*>(text.data());
    auto const* const end = at + text.size();
    while (at < end) {
        if (end - at >= 8) { // mostly ASCII
            std::uint64_t word = 0;
            std::memcpy(&word, at, 8);
            if ((word & 0x8080808080808080) == 0) {
                at += 8;
                continue;
            }
        }
        unsigned const lead = *at;
        if (lead < 0x80) {
            ++at;
            continue;
        }
        int const more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || end - at <= more)
            return false;
        std::uint32_t point = lead & (0x3fU >> more);
        for (int i = 1; i <= more; ++i) {
            if ((at[i] & 0xc0U) != 0x80)
                return false;
            point = point << 6 | (at[i] & 0x3fU);
        }
        if (more == 2 && (point < 0x800 || (point >= 0xd800 && point < 0xe000)))
            return false;
        if (more == 3 && (point < 0x10000 || point > 0x10ffff))
            return false;
        at += more + 1;
    }
    return true;
}

namespace {

/// What is wrong with the name of an object; null if nothing is.
auto fault_of_key(std::string_view text) noexcept -> char const* {
    if (text.empty())
        return "empty; give at least one path part";
    if (text.size() > Storage_Key::max_bytes)
        return "longer than 1024 bytes";
    if (has_control(text))
        return "contains a control character";
    if (!is_utf8(text))
        return "not valid UTF-8";
    for (std::size_t start = 0; start <= text.size();) {
        auto const slash = std::min(text.find('/', start), text.size());
        auto const part = text.substr(start, slash - start);
        if (part.empty())
            return "has an empty part; no leading, trailing or double '/' is allowed";
        if (is_dots(part))
            return "has a '.' or '..' part; name the full path instead";
        if (part.size() > 255)
            return "has a part longer than 255 bytes";
        start = slash + 1;
    }
    return nullptr;
}

} // namespace

auto Storage_Key::parse(std::string_view text) -> Result<Storage_Key> {
    if (auto const* fault = fault_of_key(text))
        return fail(Errc::invalid_argument, std::string("storage key: ") + fault);
    return Storage_Key(Checked{}, text);
}

auto Storage_Key::is_valid(std::string_view text) noexcept -> bool { return fault_of_key(text) == nullptr; }

auto check_prefix(std::string_view prefix) -> Result<void> {
    auto const refuse = [](char const* why) {
        return fail(Errc::invalid_argument, std::string("listing prefix: ") + why);
    };
    if (prefix.size() > Storage_Key::max_bytes)
        return refuse("longer than 1024 bytes");
    if (has_control(prefix))
        return refuse("contains a control character");
    if (!prefix.empty() && prefix.front() == '/')
        return refuse("begins with '/'; keys are relative");
    for (std::size_t start = 0; start <= prefix.size();) {
        auto const slash = prefix.find('/', start);
        if (slash == std::string_view::npos)
            break; // the last part may be the beginning of any name
        auto const part = prefix.substr(start, slash - start);
        if (part.empty())
            return refuse("has an empty part");
        if (is_dots(part))
            return refuse("has a '.' or '..' part");
        start = slash + 1;
    }
    auto const last = prefix.substr(prefix.rfind('/') == std::string_view::npos ? 0 : prefix.rfind('/') + 1);
    if (last == "..")
        return refuse("has a '..' part");
    return {};
}

auto Namespace_Name::parse(std::string_view text) -> Result<Namespace_Name> {
    auto const allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    bool good = !text.empty() && text.size() <= 128;
    for (char const c : text)
        good = good && allowed(c);
    if (!good)
        return fail(Errc::invalid_argument, "namespace: give 1 to 128 characters of A-Z a-z 0-9 _ -");
    return Namespace_Name(Checked{}, text);
}

auto Cache_Id::generate() -> Cache_Id {
    std::array<unsigned char, 16> raw{};
    fill_random(raw.data(), raw.size());
    raw[6] = static_cast<unsigned char>((raw[6] & 0x0fU) | 0x40U);
    raw[8] = static_cast<unsigned char>((raw[8] & 0x3fU) | 0x80U);
    auto text = to_hex(Byte_View(reinterpret_cast<char const*>(raw.data()), raw.size()));
    for (std::size_t const dash : {8U, 13U, 18U, 23U})
        text.insert(dash, 1, '-');
    return Cache_Id(std::move(text));
}

auto Cache_Id::parse(std::string_view text) -> Result<Cache_Id> {
    bool good = text.size() == 36;
    for (std::size_t i = 0; good && i < text.size(); ++i) {
        char const c = text[i];
        bool const dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool const hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        good = dash ? c == '-' : hex;
    }
    if (!good)
        return fail(Errc::invalid_argument, "cache id: give a GUID such as 6f1c2f3a-9d1e-4c7b-8a55-0d2f4b6c8e10");
    return Cache_Id(std::string(text));
}

} // namespace memfs_cache
