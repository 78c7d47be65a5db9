// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/net/request_signer.hpp>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <mutex>
#include <new>

namespace memfs_cache {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view scope_end = "aws4_request";

auto is_unreserved(char c) -> bool {
    return is_ascii_letter(c) || is_ascii_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void append_escaped(std::string& out, char c) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    auto const byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
}

/// The byte that the percent escape at the beginning of the text stands for.
auto escaped_byte(std::string_view text) -> std::optional<char> {
    if (text.size() < 3 || text[0] != '%')
        return std::nullopt;
    char const digits[] = {ascii_lower(text[1]), ascii_lower(text[2])};
    auto const byte = parse_hex({digits, 2});
    return byte ? std::optional(static_cast<char>(*byte)) : std::nullopt;
}

auto percent_decode(std::string_view text) -> std::string {
    std::string out;
    while (!text.empty()) {
        auto const byte = escaped_byte(text);
        out += byte.value_or(text.front());
        text.remove_prefix(byte ? 3 : 1);
    }
    return out;
}

/// A path of S3 in the one spelling that the service computes too: %2F and '/' stay two things, '+' becomes %2B and %41
/// an A.
auto respelt_path(std::string_view path) -> std::string {
    std::string out;
    while (!path.empty()) {
        auto const byte = escaped_byte(path);
        auto const c = byte.value_or(path.front());
        if (is_unreserved(c) || (c == '/' && !byte))
            out += c;
        else
            append_escaped(out, c);
        path.remove_prefix(byte ? 3 : 1);
    }
    return out;
}

/// Without empty, "." and ".." segments.
/// @source RFC 3986 section 5.2.4
auto normalised_path(std::string_view path) -> std::string {
    std::vector<std::string_view> kept;
    bool ends_in_slash = true;
    while (!path.empty()) {
        auto const slash = path.find('/');
        auto const segment = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        bool const is_name = !segment.empty() && segment != "." && segment != "..";
        if (is_name)
            kept.push_back(segment);
        else if (segment == ".." && !kept.empty())
            kept.pop_back();
        ends_in_slash = !is_name || slash != std::string_view::npos;
    }
    std::string out;
    for (auto const segment : kept)
        out.append("/").append(segment);
    if (ends_in_slash || kept.empty())
        out += '/';
    return out;
}

auto query_of(std::string_view text) -> Query_Parameters {
    Query_Parameters parameters;
    while (!text.empty()) {
        auto const part = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(text.size(), part.size() + 1));
        auto const equals = part.find('=');
        auto const value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
        if (!part.empty())
            parameters.emplace_back(percent_decode(part.substr(0, equals)), percent_decode(value));
    }
    return parameters;
}

auto to_lower(std::string_view text) -> std::string {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), ascii_lower);
    return out;
}

/// Without blanks around it, and with one blank for each run of them.
auto tidy_value(std::string_view value) -> std::string {
    std::string out;
    for (char const c : trim_blanks(value)) {
        if (c != ' ' || out.back() != ' ')
            out += c;
    }
    return out;
}

auto is_signed(std::string_view lower_name) -> bool {
    return lower_name.starts_with("x-amz-") || lower_name.starts_with("if-") || lower_name == "content-type" ||
           lower_name == "content-md5" || lower_name == "range";
}

auto is_of_a_signature(std::string_view name) -> bool {
    return equals_lower(name, "authorization") || equals_lower(name, "x-amz-date") ||
           equals_lower(name, "x-amz-content-sha256") || equals_lower(name, "x-amz-security-token");
}

/// Names in lower case, sorted; headers of one name in the order in which they are sent.
auto signed_headers(std::vector<Http_Header> const& headers, std::string_view host) -> std::vector<Http_Header> {
    std::vector<Http_Header> chosen{{"host", std::string(host)}};
    for (auto const& [name, value] : headers) {
        auto lower = to_lower(name);
        if (is_signed(lower))
            chosen.push_back({std::move(lower), tidy_value(value)});
    }
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](auto const& left, auto const& right) { return left.name < right.name; });
    return chosen;
}

} // namespace

auto uri_encode(std::string_view text, bool keep_slash) -> std::string {
    std::string out;
    out.reserve(text.size());
    for (char const c : text) {
        if (is_unreserved(c) || (keep_slash && c == '/'))
            out += c;
        else
            append_escaped(out, c);
    }
    return out;
}

auto canonical_query(Query_Parameters parameters) -> std::string {
    for (auto& [name, value] : parameters) {
        name = uri_encode(name, false);
        value = uri_encode(value, false);
    }
    std::sort(parameters.begin(), parameters.end()); // after encoding: the order of the bytes that are signed
    std::string out;
    for (auto const& [name, value] : parameters)
        out.append(out.empty() ? "" : "&").append(name).append("=").append(value);
    return out;
}

struct Request_Signer::State {
    using Key = std::string; ///< 32 bytes

    std::string region;
    std::string service;
    std::shared_ptr<EVP_MD> sha256{EVP_MD_fetch(nullptr, "SHA256", nullptr), [](EVP_MD* md) { EVP_MD_free(md); }};

    /// Held for a copy, and only if nobody else holds it: a child after fork() in which nobody ever lets go of it
    /// derives its key each time.
    std::mutex mutex;
    std::string cached_day;
    std::string cached_secret;
    Key cached_key;

    [[nodiscard]] auto digest(Byte_View bytes) const -> std::string {
        unsigned char out[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        if (EVP_Digest(bytes.data(), bytes.size(), out, &size, sha256.get(), nullptr) != 1)
            throw std::bad_alloc(); // with a digest in hand only memory can be missing
        return to_hex(Byte_View(reinterpret_cast<char const*>(out), size));
    }

    [[nodiscard]] auto authenticate(Byte_View key, Byte_View bytes) const -> Key {
        unsigned char out[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        if (HMAC(sha256.get(), key.data(), static_cast<int>(key.size()),
                 reinterpret_cast<unsigned char const*>(bytes.data()), bytes.size(), out, &size) == nullptr) {
            throw std::bad_alloc();
        }
        return {reinterpret_cast<char const*>(out), size};
    }

    [[nodiscard]] auto key_of(std::string const& day, std::string const& secret) -> Key {
        {
            std::unique_lock const lock(mutex, std::try_to_lock);
            if (lock && cached_day == day && cached_secret == secret)
                return cached_key;
        }
        Key key = "AWS4" + secret;
        for (std::string_view const part :
             {std::string_view(day), std::string_view(region), std::string_view(service), scope_end}) {
            key = authenticate(key, part);
        }
        std::unique_lock const lock(mutex, std::try_to_lock);
        if (lock) {
            cached_day = day;
            cached_secret = secret;
            cached_key = key;
        }
        return key;
    }
};

Request_Signer::Request_Signer(std::string region, std::string service) : state_(std::make_unique<State>()) {
    if (!state_->sha256)
        throw std::bad_alloc();
    state_->region = std::move(region);
    state_->service = std::move(service);
}
Request_Signer::Request_Signer(Request_Signer&&) noexcept = default;
auto Request_Signer::operator=(Request_Signer&&) noexcept -> Request_Signer& = default;
Request_Signer::~Request_Signer() = default;

auto Request_Signer::sign(Client_Request& request,
                          std::string_view host,
                          Aws_Credentials const& keys,
                          Utc_Time now) const -> Signed_Texts {
    bool const is_s3 = state_->service == "s3";
    auto const civil = to_civil(now);
    std::string day;
    append_padded(day, static_cast<std::uint64_t>(civil.year), 4);
    append_padded(day, civil.month, 2);
    append_padded(day, civil.day, 2);
    auto time = day + 'T';
    append_padded(time, civil.hour, 2);
    append_padded(time, civil.minute, 2);
    append_padded(time, civil.second, 2);
    time += 'Z';

    auto& headers = request.headers;
    headers.erase(std::remove_if(headers.begin(), headers.end(),
                                 [](Http_Header const& header) { return is_of_a_signature(header.name); }),
                  headers.end());
    auto const body_digest = state_->digest(request.body);
    headers.push_back({"x-amz-date", time});
    if (is_s3)
        headers.push_back({"x-amz-content-sha256", body_digest});
    if (!keys.session_token.empty())
        headers.push_back({"x-amz-security-token", keys.session_token});

    std::string_view const target = request.target;
    auto const path = target.substr(0, target.find('?'));
    auto const query = target.substr(std::min(target.size(), path.size() + 1));

    Signed_Texts texts;
    auto& canonical = texts.canonical_request;
    canonical.append(request.method).append("\n");
    canonical.append(is_s3 ? respelt_path(path) : uri_encode(normalised_path(path), true)).append("\n");
    canonical.append(canonical_query(query_of(query)));
    std::string names;
    auto const chosen = signed_headers(headers, host);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        auto const& [name, value] = chosen[i];
        if (i > 0 && chosen[i - 1].name == name) {
            canonical.append(",").append(value);
            continue;
        }
        canonical.append("\n").append(name).append(":").append(value);
        names.append(names.empty() ? "" : ";").append(name);
    }
    canonical.append("\n\n").append(names).append("\n").append(body_digest);

    auto const scope = day + '/' + state_->region + '/' + state_->service + '/' + std::string(scope_end);
    texts.string_to_sign.append(algorithm).append("\n").append(time).append("\n").append(scope).append("\n");
    texts.string_to_sign.append(state_->digest(canonical));

    auto const key = state_->key_of(day, keys.secret_access_key);
    std::string authorization(algorithm);
    authorization.append(" Credential=").append(keys.access_key_id).append("/").append(scope);
    authorization.append(", SignedHeaders=").append(names);
    authorization.append(", Signature=").append(to_hex(state_->authenticate(key, texts.string_to_sign)));
    headers.push_back({"authorization", std::move(authorization)});
    return texts;
}

} // namespace memfs_cache
