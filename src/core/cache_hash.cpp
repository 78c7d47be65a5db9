// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/utf8.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <new>

namespace memfs_cache {
namespace {

constexpr Json_Layout hashed_layout{.sort_members = true};
constexpr std::size_t max_field_path_characters = 256;

/// What Python's str.strip() removes.
constexpr auto is_python_blank(char32_t point) noexcept -> bool {
    return (point >= 0x09 && point <= 0x0d) || (point >= 0x1c && point <= 0x20) || point == 0x85 || point == 0xa0 ||
           point == 0x1680 || (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
           point == 0x202f || point == 0x205f || point == 0x3000;
}

constexpr auto is_field_path_character(char32_t point) noexcept -> bool {
    return (point >= 'A' && point <= 'Z') || (point >= 'a' && point <= 'z') || (point >= '0' && point <= '9') ||
           point == '_' || point == '.' || point == '-';
}

/// The value at a clean path; null if any step is no member of an object.
auto find_field(Python_Json const& document, std::string_view path) noexcept -> Python_Json const* {
    auto const* found = &document;
    for (std::size_t start = 0; found != nullptr && start <= path.size();) {
        auto const dot = std::min(path.find('.', start), path.size());
        found = found->find(path.substr(start, dot - start));
        start = dot + 1;
    }
    return found;
}

/// The text of which a field is hashed: str(value) for scalars, which for bool, infinities and NaN is not their JSON.
auto field_text(Python_Json const& value) -> std::string {
    if (auto const* text = value.get_if<std::string>())
        return *text;
    if (auto const* flag = value.get_if<bool>())
        return *flag ? "True" : "False";
    if (auto const* real = value.get_if<double>())
        return python_repr(*real);
    return value.render(hashed_layout);
}

} // namespace

auto clean_json_field_path(std::string_view path) -> Result<std::string> {
    // In the order of the reference: the rules on dots see the text before it is trimmed.
    auto const refuse = [](char const* why) {
        return fail(Errc::invalid_argument, std::string("JSON field path: ") + why);
    };
    if (path.starts_with('.') || path.ends_with('.'))
        return refuse("begins or ends with '.'; give names joined by '.'");
    if (path.find("..") != std::string_view::npos)
        return refuse("has an empty name between two dots");

    std::u32string points;
    while (!path.empty()) {
        auto const [point, size] = decode_utf8(path);
        if (size == 0)
            return refuse("not valid UTF-8");
        points.push_back(point);
        path.remove_prefix(size);
    }
    auto const first = std::find_if_not(points.begin(), points.end(), is_python_blank);
    auto const last = std::find_if_not(points.rbegin(), std::make_reverse_iterator(first), is_python_blank).base();
    if (first == points.end())
        return refuse("empty; give the name of a member, or names joined by '.'");
    if (last - first > static_cast<std::ptrdiff_t>(max_field_path_characters))
        return refuse("longer than 256 characters");

    std::string clean;
    std::transform(first, last, std::back_inserter(clean),
                   [](char32_t point) { return is_field_path_character(point) ? static_cast<char>(point) : '_'; });
    return clean;
}

auto Cache_Hash::create(std::string_view algorithm, std::size_t length) -> Result<Cache_Hash> {
    constexpr std::array<std::string_view, 3> algorithms{"md5", "sha256", "sha384"};
    auto const known = std::find(algorithms.begin(), algorithms.end(), algorithm);
    if (known == algorithms.end()) {
        return fail(Errc::invalid_argument, "hash algorithm: unknown; give md5, sha256 or sha384");
    }
    if (length < min_length) {
        return fail(Errc::invalid_argument, "hash length: give at least 10 characters, shorter hashes collide");
    }
    Digest digest(EVP_MD_fetch(nullptr, known->data(), nullptr), [](EVP_MD* md) { EVP_MD_free(md); });
    if (!digest)
        return fail(Errc::unsupported, "hash algorithm: this OpenSSL offers no " + std::string(*known));
    return Cache_Hash(std::move(digest), length);
}

auto Cache_Hash::from_string(std::string_view text) const -> Result<std::string> {
    if (text.empty())
        return fail(Errc::invalid_argument, "text to hash: empty; give at least one character");
    if (!is_utf8(text))
        return fail(Errc::invalid_argument, "text to hash: not valid UTF-8; use from_bytes for bytes");
    return from_bytes(text);
}

auto Cache_Hash::from_bytes(Byte_View bytes) const -> std::string {
    // One-shot with the digest fetched before takes 120 ns here; EVP_sha256() or SHA256(), which look it up by name
    // each time, 310; the deprecated SHA256_Init family 55. A context kept per thread would save 40 of the 120.
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    // With a digest in hand only memory can be missing.
    if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, digest_.get(), nullptr) != 1)
        throw std::bad_alloc();
    std::string hex(std::min<std::size_t>(length_, 2 * size), '\0');
    for (std::size_t i = 0; i < hex.size(); ++i) {
        hex[i] = hex_digits[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15];
    }
    return hex;
}

auto Cache_Hash::from_json(Python_Json const& value, std::span<std::string const> exclude_fields) const
    -> Result<std::string> {
    if (exclude_fields.empty())
        return from_bytes(value.render(hashed_layout));
    auto const* members = value.get_if<Python_Json::Object>();
    if (members == nullptr) {
        return fail(Errc::invalid_argument, "JSON to hash: fields can be left out of an object only");
    }
    Python_Json::Object kept;
    std::copy_if(members->begin(), members->end(), std::back_inserter(kept), [&](Python_Json::Member const& member) {
        return std::find(exclude_fields.begin(), exclude_fields.end(), member.first) == exclude_fields.end();
    });
    return from_bytes(Python_Json(std::move(kept)).render(hashed_layout));
}

auto Cache_Hash::from_json_text(std::string_view text, std::span<std::string const> exclude_fields) const
    -> Result<std::string> {
    auto const value = Python_Json::parse(text);
    if (!value)
        return value.error();
    return from_json(*value, exclude_fields);
}

auto Cache_Hash::from_json_field(Python_Json const& value, std::string_view field_path) const -> Result<std::string> {
    auto const path = clean_json_field_path(field_path);
    if (!path)
        return path.error();
    auto const* field = find_field(value, *path);
    if (field == nullptr || field->is_null()) {
        return fail(Errc::invalid_argument,
                    "JSON field '" + *path +
                        "': missing or null; name a field that has a value (arrays cannot be indexed)");
    }
    return from_string(field_text(*field));
}

} // namespace memfs_cache
