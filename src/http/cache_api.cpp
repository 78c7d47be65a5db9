// SPDX-License-Identifier: Apache-2.0
#include "cache_api_parts.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/utf8.hpp>
#include <memfs_cache/entries/entry_names.hpp>
#include <memfs_cache/http/cache_api.hpp>
#include <memfs_cache/http/replies.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace memfs_cache {
namespace cache_api {
namespace {

// What is asked for

/// Undoes percent escapes. What is broken stays as it is, and what is no UTF-8 becomes U+FFFD: the reference does the same,
/// and then cleans the text.
auto decode(std::string_view text, bool plus_is_blank) -> std::string {
    std::string bytes;
    bytes.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string digits(text.substr(i).substr(0, 3));
        std::transform(digits.begin(), digits.end(), digits.begin(), ascii_lower);
        auto const byte = digits.size() == 3 && digits[0] == '%' ? parse_hex(digits.substr(1)) : std::nullopt;
        bytes += byte ? static_cast<char>(*byte) : plus_is_blank && text[i] == '+' ? ' ' : text[i];
        i += byte ? std::size_t{2} : 0;
    }
    if (is_utf8(bytes))
        return bytes;
    std::string repaired;
    for (std::string_view rest = bytes; !rest.empty();) {
        auto const [point, size_bytes] = decode_utf8(rest);
        bool const sound = size_bytes > 0 && !is_surrogate(point);
        append_utf8(repaired, sound ? point : 0xfffd);
        rest.remove_prefix(sound ? size_bytes : 1);
    }
    return repaired;
}

template <class Visit>
void split(std::string_view text, char separator, Visit&& visit) {
    for (auto end = text.find(separator);; end = text.find(separator)) {
        visit(text.substr(0, end));
        if (end == text.npos)
            return;
        text.remove_prefix(end + 1);
    }
}

struct Target {
    std::vector<std::string> parts; ///< of the path
    std::vector<std::pair<std::string, std::string>> query;
};

auto read_target(std::string_view target) -> Target {
    Target read;
    auto const mark = target.find('?');
    // An escaped slash counts as a slash, as in the reference.
    auto const path = decode(target.substr(0, mark), false);
    split(std::string_view(path).substr(path.starts_with('/') ? 1 : 0), '/',
          [&](std::string_view part) { read.parts.emplace_back(part); });
    if (mark != target.npos)
        split(target.substr(mark + 1), '&', [&](std::string_view item) {
            auto const equals = std::min(item.find('='), item.size());
            read.query.emplace_back(decode(item.substr(0, equals), true),
                                    decode(item.substr(std::min(equals + 1, item.size())), true));
        });
    return read;
}

// The table

struct Piece {
    std::string text; ///< a literal, or the name of a parameter
    bool is_parameter = false;
    bool takes_slashes = false;
};

struct Line {
    Operation operation;
    std::vector<Piece> pieces;
};

auto pieces_of(std::string_view path) -> std::vector<Piece> {
    std::vector<Piece> pieces;
    split(path.substr(1), '/', [&](std::string_view part) {
        bool const is_parameter = part.starts_with('{');
        bool const takes_slashes = part.ends_with(":path}");
        auto const name = is_parameter ? part.substr(1, part.size() - (takes_slashes ? 7 : 2)) : part;
        pieces.push_back({std::string(name), is_parameter, takes_slashes});
    });
    return pieces;
}

/// Does the path fit? Gives each parameter to `take`.
template <class Take>
auto matches(std::vector<Piece> const& pieces, std::vector<std::string> const& parts, Take&& take) -> bool {
    auto const is_long = [](Piece const& piece) { return piece.takes_slashes; };
    bool const has_long = std::any_of(pieces.begin(), pieces.end(), is_long);
    if (has_long ? parts.size() < pieces.size() : parts.size() != pieces.size())
        return false;
    auto const more = parts.size() - pieces.size();
    for (bool const dry : {true, false}) {
        std::size_t at = 0;
        for (auto const& piece : pieces) {
            auto const end = at + 1 + (piece.takes_slashes ? more : 0);
            if (dry && !piece.takes_slashes && (piece.is_parameter ? parts[at].empty() : parts[at] != piece.text))
                return false;
            if (!dry && piece.is_parameter) {
                std::string value = parts[at];
                for (auto i = at + 1; i < end; ++i)
                    value.append("/").append(parts[i]);
                take(piece.text, value);
            }
            at = end;
        }
    }
    return true;
}

// Parameters

template <class T>
auto put(Result<T> result, T& to) -> Result<void> {
    if (!result)
        return result.error();
    to = *std::move(result);
    return {};
}

auto read_strategy(Call& call, std::string const& text) -> Result<void> {
    return put(parse_entry_strategy(text), call.strategy);
}

auto read_id(Call& call, std::string const& text) -> Result<void> {
    auto id = Cache_Id::parse(text);
    if (!id)
        return id.error();
    call.cache_id = *std::move(id);
    return {};
}

auto read_hash(Call& call, std::string const& text) -> Result<void> {
    auto cleaned = clean_entry_name(text, "cache_hash");
    if (!cleaned)
        return cleaned.error();
    if (auto const good = check_cache_hash(*cleaned); !good)
        return good;
    call.cache_hash = *std::move(cleaned);
    return {};
}

auto read_field_path(Call& call, std::string const& text) -> Result<void> {
    return text.empty() ? Result<void>() : put(clean_json_field_path(text), call.json_field_path);
}

auto read_data_type(Call& call, std::string const& text) -> Result<void> {
    constexpr std::array<std::pair<std::string_view, Kind>, 4> words{
        {{"json", Kind::json}, {"string", Kind::string}, {"binary", Kind::binary}, {"type-safe", Kind::binary}}};
    auto const found = std::find_if(words.begin(), words.end(), [&](auto const& word) { return word.first == text; });
    if (found == words.end())
        return fail(Errc::invalid_argument, "data_type: give json, string, binary or type-safe");
    call.data_type = text;
    call.kind = found->second;
    return {};
}

auto read_flag(std::string const& text) -> Result<bool> {
    constexpr std::array<std::string_view, 6> yes{"true", "1", "on", "yes", "t", "y"};
    constexpr std::array<std::string_view, 6> no{"false", "0", "off", "no", "f", "n"};
    auto word = text;
    std::transform(word.begin(), word.end(), word.begin(), ascii_lower);
    for (auto const& [words, flag] : {std::pair(yes, true), std::pair(no, false)})
        if (std::find(words.begin(), words.end(), word) != words.end())
            return flag;
    return fail(Errc::invalid_argument, "flag: give true or false");
}

auto read_recursive(Call& call, std::string const& text) -> Result<void> {
    auto const flag = read_flag(text);
    if (!flag)
        return flag.error();
    call.recursive = *flag;
    return {};
}

struct Rule {
    std::string_view name;
    Result<void> (*read)(Call&, std::string const&);
};
constexpr Rule rules[] = {
    {"namespace",
     [](Call& call, std::string const& text) { return put(clean_entry_name(text, "namespace"), call.ns); }},
    {"strategy", &read_strategy},
    {"cache_id", &read_id},
    {"cache_hash", &read_hash},
    {"cache_key", [](Call& call, std::string const& text) { return put(clean_cache_key(text), call.cache_key); }},
    {"file_id", [](Call& call, std::string const& text) { return put(clean_file_id(text, "file_id"), call.file_id); }},
    {"json_field_path", &read_field_path},
    {"data_type", &read_data_type},
    {"data_key", [](Call& call, std::string const& text) { return put(clean_data_key(text), call.child.data_key); }},
    {"data_file_id",
     [](Call& call, std::string const& text) {
         return put(clean_file_id(text, "data_file_id"), call.child.data_file_id);
     }},
    {"path", [](Call& call, std::string const& text) { return put(clean_file_path(text, "path"), call.path); }},
    {"file_path",
     [](Call& call, std::string const& text) { return put(clean_file_path(text, "file_path"), call.path); }},
    {"recursive", &read_recursive},
    {"return_full_path",
     [](Call& call, std::string const& text) { return put(read_flag(text), call.return_full_path); }},
};

/// The refusal of a parameter that cannot be used.
auto read_parameter(Call& call, std::string_view name, std::string const& text) -> std::optional<Response> {
    auto const* const rule =
        std::find_if(std::begin(rules), std::end(rules), [&](Rule const& r) { return r.name == name; });
    auto const read = rule->read(call, text);
    if (read)
        return std::nullopt;
    return misfit("query", name, read.error().context, text);
}

// Bodies

enum class Content { json, none, other };
auto content_of(Request const& request) -> Content {
    auto const type = request.headers.value("Content-Type");
    std::string media(type.substr(0, type.find(';')));
    std::transform(media.begin(), media.end(), media.begin(), ascii_lower);
    while (media.ends_with(' '))
        media.pop_back();
    if (media.empty())
        return Content::none;
    bool const is_json = media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    return is_json ? Content::json : Content::other;
}

/// Reads the body, or gives the refusal of one that is not of the operation's kind.
auto read_body(Call& call) -> std::optional<Response> {
    auto const& body = call.request.body;
    auto const bad = [](std::string_view why) { return misfit("body", {}, why, {}); };
    if (body.empty())
        return bad("field required");
    auto const content = content_of(call.request);
    auto document =
        content == Content::other ? Result<Json>(fail(Errc::invalid_argument, "no JSON")) : Json::parse(body);
    if (call.kind == Kind::json) {
        if (!document || document->get_if<Object>() == nullptr)
            return bad("the body must be a JSON object: " +
                       (document ? "it is another value" : document.error().context));
        call.value = Entry_Value::json(*std::move(document));
        return std::nullopt;
    }
    // What is sent as JSON is a text in JSON; without a type it is one if it can be.
    auto const* const text = document ? document->get_if<std::string>() : nullptr;
    if (content == Content::json && text == nullptr)
        return bad("the body must be a JSON string");
    auto bytes = text != nullptr ? *text : body;
    if (call.kind == Kind::string || text != nullptr)
        if (!is_utf8(bytes))
            return bad("the body is not valid UTF-8");
    call.value =
        call.kind == Kind::string ? Entry_Value::string(std::move(bytes)) : Entry_Value::binary(std::move(bytes));
    return std::nullopt;
}

// The key

constexpr std::array<std::string_view, 5> open_paths{"/auth/set-cookie-form", "/auth/set-auth-cookie", "/docs",
                                                     "/openapi.json", "/config/status"};

auto cookie_of(Request const& request, std::string_view name) -> std::string {
    std::string found;
    split(request.headers.joined("Cookie"), ';', [&](std::string_view pair) {
        pair.remove_prefix(std::min(pair.find_first_not_of(' '), pair.size()));
        auto const equals = std::min(pair.find('='), pair.size());
        if (pair.substr(0, equals) == name)
            found = pair.substr(std::min(equals + 1, pair.size()));
    });
    if (found.size() >= 2 && found.front() == '"' && found.back() == '"')
        found = found.substr(1, found.size() - 2);
    return found;
}

auto without_key(Request const& request, std::optional<Cache_Api_Key> const& key) -> std::optional<Response> {
    auto const path = request.target.substr(0, request.target.find('?'));
    if (!key || std::find(open_paths.begin(), open_paths.end(), path) != open_paths.end())
        return std::nullopt;
    auto const refuse = [](std::string_view why) {
        return reply(Object{{"data", {}}, {"error", {}}, {"message", why}, {"status", "error"}}, 401);
    };
    if (key->name.empty())
        return refuse("Server does not have API key name setup");
    if (key->value.empty())
        return refuse("Server does not have API key value setup");
    auto sent = std::string(request.headers.value(key->name));
    if (sent.empty())
        sent = cookie_of(request, key->name);
    if (sent.empty())
        return refuse("Client API key is missing, you need to set it on a header or cookie");
    if (sent.size() != key->value.size() || CRYPTO_memcmp(sent.data(), key->value.data(), sent.size()) != 0)
        return refuse("Invalid API key value");
    return std::nullopt;
}

void add_cross_origin_headers(Request const& request, std::optional<Cache_Api_Key> const& key, Response& response) {
    auto const origin = request.headers.value("Origin");
    if (request.method == "OPTIONS") {
        response.headers.add("Access-Control-Allow-Origin", origin.empty() ? "*" : std::string(origin));
        response.headers.add("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
        response.headers.add("Access-Control-Allow-Headers", (key ? key->name + ", " : "") + "content-type");
        response.headers.add("Access-Control-Max-Age", "86400");
        return;
    }
    if (!origin.empty()) {
        response.headers.add("Access-Control-Allow-Origin", std::string(origin));
        response.headers.add("Access-Control-Allow-Credentials", "true");
        response.headers.add("Access-Control-Expose-Headers",
                             "Content-Type, X-Requested-With, Origin, Accept, Authorization");
    }
    response.headers.add("Vary", "Origin");
}

} // namespace
} // namespace cache_api

using namespace cache_api;

auto Cache_Api_Key::from_environment() -> Cache_Api_Key {
    auto const text = [](char const* variable) {
        auto const* const found = std::getenv(variable); // NOLINT(concurrency-mt-unsafe)
        return found == nullptr ? std::string() : std::string(found);
    };
    return {text("FAST_API__AUTH__API_KEY__NAME"), text("FAST_API__AUTH__API_KEY__VALUE")};
}

struct Cache_Api::State {
    State(Cache_Service<Any_Storage>& cache, Cache_Api_Options options) : setting{cache, std::move(options)} {
        Operations all;
        for (auto&& some : {entry_operations(), child_operations(), zip_operations(), file_operations(),
                            service_operations(), sample_operations()})
            all.insert(all.end(), some.begin(), some.end());
        openapi = openapi_of(all, setting.options.key);
        for (auto& operation : all) {
            auto pieces = pieces_of(operation.path);
            lines.push_back({std::move(operation), std::move(pieces)});
        }
    }

    auto answer(Request const& request) const -> Response {
        if (request.method == "OPTIONS")
            return reply({}, {}, 204);
        if (auto refused = without_key(request, setting.options.key))
            return *std::move(refused);
        auto const target = read_target(request.target);
        std::string allowed;
        for (auto const& line : lines) {
            if (!matches(line.pieces, target.parts, [](auto const&, auto const&) {}))
                continue;
            if (line.operation.method == request.method)
                return serve(request, line, target);
            if (allowed.empty())
                allowed = line.operation.method;
        }
        if (!allowed.empty()) {
            auto response = refusal(405, "Method Not Allowed");
            response.headers.add("Allow", allowed);
            return response;
        }
        return elsewhere(request, target);
    }

    auto serve(Request const& request, Line const& line, Target const& target) const -> Response {
        auto const& operation = line.operation;
        Call call{request, setting};
        call.kind = operation.kind;
        std::optional<Response> refused;
        auto const take = [&](std::string_view name, std::string const& text) {
            if (!refused)
                refused = read_parameter(call, name, text);
        };
        (void)matches(line.pieces, target.parts, take);
        for (auto const& [name, text] : target.query)
            if (std::find(operation.query.begin(), operation.query.end(), name) != operation.query.end())
                take(name, text);
        if (!refused && operation.takes_body)
            refused = read_body(call);
        auto response = refused ? *std::move(refused) : handle(operation, call);
        response.route = operation.path;
        return response;
    }

    auto handle(Operation const& operation, Call const& call) const -> Response {
        auto result = [&]() -> Result<Response> {
            try {
                return operation.handler(call);
            } catch (Cache_Error const& error) {
                return error.error();
            } catch (std::exception const& error) {
                return fail(Errc::internal, error.what());
            }
        }();
        if (result)
            return *std::move(result);
        if (result.error().code != Errc::invalid_argument)
            say(setting.options.log, operation.path + ": " + result.error().message());
        return failure(result.error());
    }

    /// A path that differs by one slash at its end from one that there is is sent there.
    auto elsewhere(Request const& request, Target const& target) const -> Response {
        auto const mark = std::min(request.target.find('?'), request.target.size());
        auto place = request.target.substr(0, mark);
        auto other = target.parts;
        bool const has_slash = place.size() > 1 && place.ends_with('/');
        if (has_slash)
            other.pop_back();
        else
            other.emplace_back();
        bool const known = std::any_of(lines.begin(), lines.end(), [&](Line const& line) {
            return matches(line.pieces, other, [](auto const&, auto const&) {});
        });
        if (!known)
            return refusal(404, "Not Found");
        if (has_slash)
            place.pop_back();
        else
            place += '/';
        auto response = reply({}, {}, 307);
        response.headers.add("Location", place + request.target.substr(mark));
        return response;
    }

    Setting setting;
    std::vector<Line> lines;
    std::string openapi;
};

Cache_Api::Cache_Api(Cache_Service<Any_Storage>& cache, Cache_Api_Options options)
    : state_(std::make_shared<State const>(cache, std::move(options))) {}

auto Cache_Api::operator()(Request const& request) const -> Response {
    auto response = state_->answer(request);
    add_cross_origin_headers(request, state_->setting.options.key, response);
    response.headers.add("fast-api-request-id", Cache_Id::generate().str());
    return response;
}

auto Cache_Api::openapi() const -> std::string const& { return state_->openapi; }

} // namespace memfs_cache
