// SPDX-License-Identifier: Apache-2.0
#include "support/fake_s3.hpp"

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/ids.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <thread>

namespace memfs_cache::testing {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using Texts = std::map<std::string, std::string>;

// Bytes and texts

auto digest(EVP_MD const* kind, std::string_view bytes) -> std::string {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, kind, nullptr);
    return {reinterpret_cast<char const*>(out.data()), size};
}

auto hmac_sha256(std::string_view key, std::string_view text) -> std::string {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<unsigned char const*>(text.data()),
         text.size(), out.data(), &size);
    return {reinterpret_cast<char const*>(out.data()), size};
}

auto lower(std::string_view text) -> std::string {
    std::string out(text);
    for (auto& c : out)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return out;
}

auto encode(std::string_view text, std::string_view also_kept) -> std::string {
    std::string out;
    for (char const c : text) {
        bool const plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                           std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain || also_kept.find(c) != std::string_view::npos) {
            out += c;
        } else {
            auto const byte = static_cast<unsigned char>(c);
            out += {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
        }
    }
    return out;
}

auto decode(std::string_view text) -> std::string {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

auto xml_text(std::string_view text) -> std::string {
    std::string out;
    for (char const c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '"')
            out += "&quot;";
        else
            out += c;
    }
    return out;
}

auto parse_query(std::string_view text) -> Texts {
    Texts out;
    while (!text.empty()) {
        auto const end = std::min(text.find('&'), text.size());
        auto const pair = text.substr(0, end);
        auto const equals = std::min(pair.find('='), pair.size());
        out[decode(pair.substr(0, equals))] = equals < pair.size() ? decode(pair.substr(equals + 1)) : "";
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

auto now_s() -> std::int64_t { return static_cast<std::int64_t>(::time(nullptr)); }

auto format_time(std::int64_t seconds, char const* format) -> std::string {
    auto const time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    std::array<char, 64> out{};
    return {out.data(), std::strftime(out.data(), out.size(), format, &parts)};
}

auto parse_amz_date(std::string const& text) -> std::int64_t {
    std::tm parts{};
    if (::strptime(text.c_str(), "%Y%m%dT%H%M%SZ", &parts) == nullptr)
        return 0;
    return static_cast<std::int64_t>(::timegm(&parts));
}

// Answers

struct Reply {
    unsigned status = 200;
    std::string headers; ///< whole lines
    std::string body;
};

auto error_reply(unsigned status, std::string const& code, std::string const& more_xml = {}) -> Reply {
    return {status, "Content-Type: application/xml\r\n",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code +
                "</Code><Message>Said by the fake server.</Message>" + more_xml + "<RequestId>0</RequestId></Error>"};
}

auto precondition_failed() -> Reply { return error_reply(412, "PreconditionFailed"); }
auto no_such_key() -> Reply { return error_reply(404, "NoSuchKey"); }

auto wire_text(Reply const& reply, std::string const& date, bool is_head) -> std::string {
    auto out = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\nDate: " + date + "\r\n" + reply.headers;
    if (reply.status != 204 && reply.headers.find("Content-Length:") == std::string::npos)
        out += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    return out + "\r\n" + (is_head ? "" : reply.body);
}

struct Stored {
    std::string bytes;
    std::string etag;
    Texts metadata;           ///< x-amz-meta-*
    std::uint64_t change = 0; ///< never the same again
};

struct Upload {
    std::string key;
    Texts metadata;
    std::int64_t begun_s = 0;
    std::map<unsigned, std::string> parts;
};

auto metadata_of(Texts const& headers) -> Texts {
    Texts out;
    for (auto const& [name, value] : headers)
        if (name.starts_with("x-amz-meta-"))
            out[name] = value;
    return out;
}

auto headers_of(Stored const& object) -> std::string {
    auto out = "ETag: \"" + object.etag + "\"\r\nContent-Type: binary/octet-stream\r\n";
    for (auto const& [name, value] : object.metadata)
        out += name + ": " + value + "\r\n";
    return out;
}

} // namespace

auto Fake_S3_Quirks::ceph() -> Fake_S3_Quirks {
    Fake_S3_Quirks quirks;
    quirks.quoted_matches = false;
    quirks.missing_match = 412;
    quirks.erase_ignores_match = true;
    quirks.racing_losers_get_500 = true;
    return quirks;
}

auto Fake_S3_Quirks::unconditional() -> Fake_S3_Quirks {
    Fake_S3_Quirks quirks;
    quirks.ignores_conditions = true;
    quirks.erase_ignores_match = true;
    quirks.start_after = Start_After::fails;
    return quirks;
}

auto Seen_Request::header(std::string const& name) const -> std::string {
    auto const found = headers.find(name);
    return found == headers.end() ? "" : found->second;
}

class Fake_S3_Objects {
  public:
    std::mutex mutex;
    std::map<std::string, Stored> objects;
    std::optional<std::map<std::string, Stored>> frozen; ///< what listings show
    std::map<std::string, Upload> uploads;

    /// With the mutex held.
    auto put(std::string const& key, std::string bytes, Texts metadata, std::string etag) -> Stored const& {
        return objects[key] = Stored{std::move(bytes), std::move(etag), std::move(metadata), ++changes_};
    }
    auto new_upload_id() -> std::string { return "upload-" + std::to_string(++changes_) + "+/="; }

  private:
    std::uint64_t changes_ = 0;
};

auto make_fake_s3_objects() -> std::shared_ptr<Fake_S3_Objects> { return std::make_shared<Fake_S3_Objects>(); }

class Fake_S3::Impl {
  public:
    Impl(Fake_S3_Options options, std::shared_ptr<Fake_S3_Objects> objects)
        : options_(std::move(options)), objects_(std::move(objects)),
          acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), options_.port)),
          port_(acceptor_.local_endpoint().port()), listener_([this] { listen(); }) {}

    ~Impl() {
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR); // wakes who waits in accept
        listener_.join();
        {
            std::lock_guard const lock(mutex_);
            for (auto& connection : connections_)
                if (connection.socket.is_open())
                    ::shutdown(connection.socket.native_handle(), SHUT_RDWR);
        }
        for (auto& connection : connections_)
            connection.thread.join();
    }
    Impl(Impl const&) = delete;
    auto operator=(Impl const&) -> Impl& = delete;

    void land_late() {
        std::vector<std::function<void()>> late;
        {
            std::lock_guard const lock(mutex_);
            late.swap(late_);
        }
        for (auto const& apply : late)
            apply();
    }

    Fake_S3_Options const options_;
    std::shared_ptr<Fake_S3_Objects> const objects_;
    mutable std::mutex mutex_; ///< for the next three and the connections
    Script script_;
    std::vector<Seen_Request> seen_;
    std::vector<std::function<void()>> late_;

  private:
    struct Connection {
        tcp::socket socket;
        std::size_t number;
        std::thread thread;
    };
    using Request = http::request<http::string_body>;

    void listen() {
        for (;;) {
            error_code failure;
            tcp::socket socket(context_);
            acceptor_.accept(socket, failure);
            if (failure)
                return;
            socket.set_option(tcp::no_delay(true), failure);
            std::lock_guard const lock(mutex_);
            auto& connection =
                connections_.emplace_back(Connection{std::move(socket), connections_.size() + 1, std::thread()});
            connection.thread = std::thread([this, &connection] {
                serve(connection);
                error_code ignored;
                connection.socket.shutdown(tcp::socket::shutdown_both, ignored);
            });
        }
    }

    void serve(Connection& connection) {
        beast::flat_buffer buffer;
        for (;;) {
            http::request_parser<http::string_body> parser;
            parser.body_limit(boost::none);
            error_code failure;
            http::read(connection.socket, buffer, parser, failure);
            if (failure || !answer(connection, parser.get()))
                return;
        }
    }

    /// @return whether the connection goes on
    auto answer(Connection& connection, Request const& request) -> bool {
        auto const seen = describe(connection, request);
        Fault fault;
        {
            std::lock_guard const lock(mutex_);
            seen_.push_back(seen);
            seen_.back().number = seen_.size();
            if (script_)
                fault = script_(seen_.back());
        }
        Reply reply;
        if (fault.effect == Fault::Effect::late) {
            std::lock_guard const lock(mutex_);
            late_.push_back([this, seen, request] { (void)handle(seen, request); });
        } else if (fault.effect != Fault::Effect::none) {
            reply = handle(seen, request);
            if (fault.effect == Fault::Effect::twice)
                (void)handle(seen, request);
        }
        if (fault.answer == Fault::Answer::error)
            reply = error_reply(fault.status, fault.code);
        else if (fault.answer == Fault::Answer::text)
            reply = {fault.status, "Content-Type: application/xml\r\n", fault.text};
        reply.headers += fault.more_headers;
        return send(connection.socket, reply, fault.answer, request.method() == http::verb::head);
    }

    auto send(tcp::socket& socket, Reply const& reply, Fault::Answer how, bool is_head) -> bool {
        auto const date = format_time(now_s() + options_.clock_is_ahead_s, "%a, %d %b %Y %H:%M:%S GMT");
        auto text = wire_text(reply, date, is_head);
        error_code failure;
        switch (how) {
        case Fault::Answer::reset: {
            std::lock_guard const lock(mutex_); // the destructor asks for its descriptor
            socket.set_option(asio::socket_base::linger(true, 0), failure);
            socket.close(failure);
            return false;
        }
        case Fault::Answer::truncated:
            text.resize(text.size() - std::max<std::size_t>(reply.body.size() / 2, 1));
            asio::write(socket, asio::buffer(text), failure);
            return false;
        case Fault::Answer::oversized:
            text += "and more that nobody announced";
            break;
        case Fault::Answer::drip:
            for (std::size_t i = 0; i < text.size() && !failure; ++i) {
                asio::write(socket, asio::buffer(&text[i], 1), failure);
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
            }
            return false;
        case Fault::Answer::silence: {
            char byte = 0;
            socket.read_some(asio::buffer(&byte, 1), failure);
            return false;
        }
        default:
            break;
        }
        asio::write(socket, asio::buffer(text), failure);
        return !failure;
    }

    [[nodiscard]] auto describe(Connection const& connection, Request const& request) const -> Seen_Request {
        Seen_Request seen;
        seen.connection = connection.number;
        seen.method = std::string(request.method_string());
        for (auto const& field : request)
            seen.headers[lower(field.name_string())] = std::string(field.value());
        auto const target = std::string(request.target());
        auto const question = std::min(target.find('?'), target.size());
        seen.query = parse_query(std::string_view(target).substr(std::min(question + 1, target.size())));
        auto const path = decode(target.substr(1, question - 1));
        auto const own_folder = options_.bucket + "/";
        if (seen.header("host").starts_with(options_.bucket + "."))
            seen.key = path;
        else if (path.starts_with(own_folder))
            seen.key = path.substr(own_folder.size());
        else if (path != options_.bucket)
            seen.key = no_bucket;
        seen.body = request.body();
        return seen;
    }

    // Signatures: computed anew from what came over the wire

    [[nodiscard]] auto authorised(Seen_Request const& seen, Request const& request) const -> std::optional<Reply> {
        auto const authorization = seen.header("authorization");
        auto const part = [&](std::string const& name) {
            auto const at = authorization.find(name + "=");
            if (at == std::string::npos)
                return std::string();
            auto const from = at + name.size() + 1;
            return authorization.substr(from, authorization.find_first_of(", ", from) - from);
        };
        auto const date = seen.header("x-amz-date");
        auto const day = date.substr(0, 8);
        auto const credential = part("Credential");
        auto const slash = credential.find('/');
        if (!authorization.starts_with("AWS4-HMAC-SHA256 ") || slash == std::string::npos)
            return error_reply(403, "AccessDenied");
        if (credential.substr(0, slash) != options_.access_key_id)
            return error_reply(403, "InvalidAccessKeyId");
        auto const scope = credential.substr(slash + 1);
        if (scope != day + "/" + options_.region + "/s3/aws4_request")
            return error_reply(400, "AuthorizationHeaderMalformed", "<Region>" + options_.region + "</Region>");
        if (std::abs(parse_amz_date(date) - (now_s() + options_.clock_is_ahead_s)) > 15 * 60)
            return error_reply(403, "RequestTimeTooSkewed");
        if (seen.header("x-amz-security-token") != options_.session_token)
            return error_reply(403, "InvalidToken");
        auto const body_hash = to_hex(digest(EVP_sha256(), seen.body));
        if (seen.header("x-amz-content-sha256") != body_hash)
            return error_reply(400, "XAmzContentSHA256Mismatch");

        auto const signed_names = part("SignedHeaders");
        std::set<std::string> names;
        for (std::size_t from = 0; from <= signed_names.size();) {
            auto const end = std::min(signed_names.find(';', from), signed_names.size());
            names.insert(signed_names.substr(from, end - from));
            from = end + 1;
        }
        for (auto const& [name, value] : seen.headers)
            if ((name == "host" || name.starts_with("x-amz-")) && names.count(name) == 0)
                return error_reply(403, "AccessDenied");
        auto const target = std::string(request.target());
        auto const path = target.substr(0, target.find('?'));
        Texts sorted;
        for (auto const& [name, value] : seen.query)
            sorted[encode(name, "")] = encode(value, "");
        std::string query;
        for (auto const& [name, value] : sorted)
            query += (query.empty() ? "" : "&") + name + "=" + value;
        auto canonical = seen.method + "\n" + encode(decode(path), "/") + "\n" + query + "\n";
        for (auto const& name : names)
            canonical += name + ":" + seen.header(name) + "\n";
        canonical += "\n" + signed_names + "\n" + body_hash;
        auto const to_sign =
            "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + to_hex(digest(EVP_sha256(), canonical));
        auto key = hmac_sha256("AWS4" + options_.secret_access_key, day);
        for (auto const& step : {options_.region, std::string("s3"), std::string("aws4_request")})
            key = hmac_sha256(key, step);
        if (to_hex(hmac_sha256(key, to_sign)) != part("Signature"))
            return error_reply(403, "SignatureDoesNotMatch");
        return std::nullopt;
    }

    // Operations

    [[nodiscard]] auto handle(Seen_Request const& seen, Request const& request) const -> Reply {
        try {
            return perform(seen, request);
        } catch (std::exception const&) { // a number that is none, a parameter that is missing
            return error_reply(400, "InvalidRequest");
        }
    }

    [[nodiscard]] auto perform(Seen_Request const& seen, Request const& request) const -> Reply {
        if (auto refused = authorised(seen, request))
            return *std::move(refused);
        if (seen.key == no_bucket)
            return error_reply(404, "NoSuchBucket");
        if (seen.key.size() > 1024)
            return error_reply(400, "KeyTooLongError");
        auto const& method = seen.method;
        if (seen.key.empty()) {
            if (method == "HEAD")
                return {};
            if (method == "GET")
                return seen.has("uploads") ? list_uploads(seen) : list(seen);
        } else if (method == "GET" || method == "HEAD") {
            return get(seen);
        } else if (method == "PUT") {
            return seen.has("uploadId") ? put_part(seen) : put(seen);
        } else if (method == "DELETE") {
            return seen.has("uploadId") ? abort_upload(seen) : erase(seen);
        } else if (method == "POST") {
            return seen.has("uploads") ? begin_upload(seen) : complete_upload(seen);
        }
        return error_reply(405, "MethodNotAllowed");
    }

    [[nodiscard]] auto get(Seen_Request const& seen) const -> Reply {
        std::lock_guard const lock(objects_->mutex);
        auto const found = objects_->objects.find(seen.key);
        if (found == objects_->objects.end())
            return no_such_key();
        auto const& object = found->second;
        if (seen.method == "HEAD")
            return {200, headers_of(object) + "Content-Length: " + std::to_string(object.bytes.size()) + "\r\n", {}};
        auto const range = seen.header("range");
        if (range.empty())
            return {200, headers_of(object), object.bytes};
        auto const dash = range.find('-');
        auto const from = std::stoull(range.substr(6, dash - 6));
        if (from >= object.bytes.size())
            return error_reply(416, "InvalidRange");
        auto const last = std::min<std::uint64_t>(
            dash + 1 < range.size() ? std::stoull(range.substr(dash + 1)) : UINT64_MAX, object.bytes.size() - 1);
        auto const content_range = "Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(last) + "/" +
                                   std::to_string(object.bytes.size()) + "\r\n";
        return {206, headers_of(object) + content_range, object.bytes.substr(from, last - from + 1)};
    }

    [[nodiscard]] auto matches(std::string const& condition, Stored const& object) const -> bool {
        return (options_.quirks.quoted_matches && condition == "\"" + object.etag + "\"") ||
               (options_.quirks.unquoted_matches && condition == object.etag);
    }

    /// Why a write may not be done, if it may not.
    [[nodiscard]] auto refusal(Seen_Request const& seen) const -> std::optional<Reply> {
        if (options_.quirks.ignores_conditions)
            return std::nullopt;
        auto const found = objects_->objects.find(seen.key);
        bool const is_there = found != objects_->objects.end();
        if (seen.header("if-none-match") == "*" && is_there)
            return precondition_failed();
        if (auto const match = seen.header("if-match"); !match.empty()) {
            if (!is_there)
                return options_.quirks.missing_match == 404 ? no_such_key() : precondition_failed();
            if (!matches(match, found->second))
                return precondition_failed();
        }
        return std::nullopt;
    }

    /// Checks the conditions and then writes, in one step but for what a race between gateways looks like.
    template <class Write>
    auto write(Seen_Request const& seen, Write&& apply) const -> Reply {
        auto& objects = *objects_;
        std::unique_lock lock(objects.mutex);
        if (auto refused = refusal(seen))
            return *std::move(refused);
        if (options_.quirks.racing_losers_get_500) {
            auto const change = [&] {
                auto const found = objects.objects.find(seen.key);
                return found == objects.objects.end() ? 0 : found->second.change;
            };
            auto const before = change();
            lock.unlock();
            std::this_thread::yield();
            lock.lock();
            if (change() != before)
                return error_reply(500, "UnknownError");
        }
        return apply();
    }

    [[nodiscard]] auto put(Seen_Request const& seen) const -> Reply {
        return write(seen, [&]() -> Reply {
            auto const& stored =
                objects_->put(seen.key, seen.body, metadata_of(seen.headers), to_hex(digest(EVP_md5(), seen.body)));
            return {200, "ETag: \"" + stored.etag + "\"\r\n", {}};
        });
    }

    [[nodiscard]] auto erase(Seen_Request const& seen) const -> Reply {
        std::lock_guard const lock(objects_->mutex);
        auto const match = seen.header("if-match");
        auto const found = objects_->objects.find(seen.key);
        if (!match.empty() && !options_.quirks.erase_ignores_match) {
            if (found == objects_->objects.end())
                return no_such_key();
            if (!matches(match, found->second))
                return precondition_failed();
        }
        if (found != objects_->objects.end())
            objects_->objects.erase(found);
        return {204, {}, {}};
    }

    [[nodiscard]] auto list(Seen_Request const& seen) const -> Reply {
        auto const parameter = [&](std::string const& name) {
            auto const found = seen.query.find(name);
            return found == seen.query.end() ? std::string() : found->second;
        };
        if (parameter("list-type") != "2")
            return error_reply(400, "InvalidArgument");
        if (!is_utf8(parameter("prefix")) || !is_utf8(parameter("start-after"))) // which some services take for text
            return error_reply(400, "InvalidArgument");
        auto const& quirks = options_.quirks;
        auto start = parameter("start-after");
        if (!start.empty() && quirks.start_after == Fake_S3_Quirks::Start_After::fails)
            return error_reply(500, "InternalError");
        if (quirks.start_after == Fake_S3_Quirks::Start_After::ignored)
            start.clear();
        if (auto const token = parameter("continuation-token"); !token.empty() && !quirks.pages_loop)
            start = decode(token.substr(std::string_view("after:").size()));
        auto const prefix = parameter("prefix");
        auto const delimiter = parameter("delimiter");
        auto const most = std::min<std::size_t>(seen.has("max-keys") ? std::stoul(parameter("max-keys")) : 1000, 1000);
        bool const is_encoded = parameter("encoding-type") == "url";
        auto const shown = [&](std::string const& key) {
            if (!is_encoded)
                return xml_text(key);
            auto text = encode(key, "/ ");
            std::replace(text.begin(), text.end(), ' ', '+'); // as forms do
            return text;
        };

        std::lock_guard const lock(objects_->mutex);
        auto const& objects = objects_->frozen ? *objects_->frozen : objects_->objects;
        std::vector<std::string> contents;
        std::set<std::string> folders;
        std::string last;
        bool more = quirks.pages_loop;
        for (auto at = start < prefix ? objects.lower_bound(prefix) : objects.upper_bound(start);
             at != objects.end() && at->first.starts_with(prefix); ++at) {
            auto const& key = at->first;
            auto const cut = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
            auto const folder = cut == std::string::npos ? "" : key.substr(0, cut + delimiter.size());
            if (!folder.empty() && (folders.count(folder) != 0 || start.starts_with(folder)))
                continue;
            if (contents.size() + folders.size() == most) {
                more = true;
                break;
            }
            last = folder.empty() ? key : folder;
            if (!folder.empty()) {
                folders.insert(folder);
                continue;
            }
            contents.push_back("<Contents><Key>" + shown(key) + "</Key><ETag>&quot;" + at->second.etag +
                               "&quot;</ETag><Size>" + std::to_string(at->second.bytes.size()) +
                               "</Size><StorageClass>STANDARD</StorageClass></Contents>");
        }
        if (quirks.lists_backwards)
            std::reverse(contents.begin(), contents.end());
        std::string body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult><Name>" + options_.bucket +
                           "</Name><Prefix>" + shown(prefix) + "</Prefix>";
        if (is_encoded)
            body += "<EncodingType>url</EncodingType>";
        body += std::string("<IsTruncated>") + (more ? "true" : "false") + "</IsTruncated>";
        if (more)
            body += "<NextContinuationToken>after:" + encode(last, "") + "</NextContinuationToken>";
        for (auto const& item : contents)
            body += item;
        for (auto const& folder : folders)
            body += "<CommonPrefixes><Prefix>" + shown(folder) + "</Prefix></CommonPrefixes>";
        return {200, "Content-Type: application/xml\r\n", body + "</ListBucketResult>"};
    }

    // Uploads in parts

    [[nodiscard]] auto begin_upload(Seen_Request const& seen) const -> Reply {
        std::lock_guard const lock(objects_->mutex);
        auto const id = objects_->new_upload_id();
        objects_->uploads[id] = Upload{seen.key, metadata_of(seen.headers), now_s(), {}};
        return {200, "Content-Type: application/xml\r\n",
                "<InitiateMultipartUploadResult><UploadId>" + id + "</UploadId></InitiateMultipartUploadResult>"};
    }

    [[nodiscard]] auto put_part(Seen_Request const& seen) const -> Reply {
        std::lock_guard const lock(objects_->mutex);
        auto const found = objects_->uploads.find(seen.query.at("uploadId"));
        if (found == objects_->uploads.end())
            return error_reply(404, "NoSuchUpload");
        found->second.parts[static_cast<unsigned>(std::stoul(seen.query.at("partNumber")))] = seen.body;
        return {200, "ETag: \"" + to_hex(digest(EVP_md5(), seen.body)) + "\"\r\n", {}};
    }

    [[nodiscard]] auto complete_upload(Seen_Request const& seen) const -> Reply {
        return write(seen, [&]() -> Reply {
            constexpr std::size_t least_part = 5 << 20;
            auto const found = objects_->uploads.find(seen.query.at("uploadId"));
            if (found == objects_->uploads.end())
                return error_reply(404, "NoSuchUpload");
            std::string bytes;
            std::string digests;
            unsigned number = 0;
            auto const& parts = found->second.parts;
            for (auto const& [given, part] : parts) {
                auto const sum = digest(EVP_md5(), part);
                if (given != ++number || seen.body.find(to_hex(sum)) == std::string::npos)
                    return error_reply(400, "InvalidPart");
                if (number < parts.size() && part.size() < least_part)
                    return error_reply(400, "EntityTooSmall");
                bytes += part;
                digests += sum;
            }
            auto const etag = to_hex(digest(EVP_md5(), digests)) + "-" + std::to_string(number);
            auto const metadata = found->second.metadata;
            objects_->uploads.erase(found);
            objects_->put(seen.key, std::move(bytes), metadata, etag);
            return {200, "Content-Type: application/xml\r\n",
                    "<CompleteMultipartUploadResult><ETag>&quot;" + etag +
                        "&quot;</ETag></CompleteMultipartUploadResult>"};
        });
    }

    [[nodiscard]] auto abort_upload(Seen_Request const& seen) const -> Reply {
        std::lock_guard const lock(objects_->mutex);
        if (objects_->uploads.erase(seen.query.at("uploadId")) == 0)
            return error_reply(404, "NoSuchUpload");
        return {204, {}, {}};
    }

    [[nodiscard]] auto list_uploads(Seen_Request const& seen) const -> Reply {
        std::lock_guard const lock(objects_->mutex);
        auto const prefix = seen.query.find("prefix");
        std::string body = "<ListMultipartUploadsResult>";
        for (auto const& [id, upload] : objects_->uploads)
            if (prefix == seen.query.end() || upload.key.starts_with(prefix->second))
                body += "<Upload><Key>" + xml_text(upload.key) + "</Key><UploadId>" + id + "</UploadId><Initiated>" +
                        format_time(upload.begun_s, "%Y-%m-%dT%H:%M:%S.000Z") + "</Initiated></Upload>";
        return {200, "Content-Type: application/xml\r\n",
                body + "<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"};
    }

    static constexpr auto no_bucket = "\n"; ///< in place of a key

    asio::io_context context_;
    tcp::acceptor acceptor_;
    std::uint16_t const port_;
    std::list<Connection> connections_;
    std::thread listener_;

    friend class Fake_S3;
};

Fake_S3::Fake_S3(Fake_S3_Options options, std::shared_ptr<Fake_S3_Objects> objects)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(objects))) {}
Fake_S3::~Fake_S3() = default;

auto Fake_S3::port() const -> std::uint16_t { return impl_->port_; }
auto Fake_S3::url() const -> std::string { return "http://127.0.0.1:" + std::to_string(impl_->port_); }
auto Fake_S3::options() const -> Fake_S3_Options const& { return impl_->options_; }
auto Fake_S3::objects() const -> std::shared_ptr<Fake_S3_Objects> { return impl_->objects_; }

void Fake_S3::script(Script script) {
    std::lock_guard const lock(impl_->mutex_);
    impl_->script_ = std::move(script);
}

auto Fake_S3::seen() const -> std::vector<Seen_Request> {
    std::lock_guard const lock(impl_->mutex_);
    return impl_->seen_;
}

void Fake_S3::forget() {
    std::lock_guard const lock(impl_->mutex_);
    impl_->seen_.clear();
}

void Fake_S3::land_late() { impl_->land_late(); }

void Fake_S3::freeze_lists(bool frozen) {
    auto& table = *impl_->objects_;
    std::lock_guard const lock(table.mutex);
    table.frozen.reset();
    if (frozen)
        table.frozen = table.objects;
}

auto Fake_S3::keys() const -> std::vector<std::string> {
    std::lock_guard const lock(impl_->objects_->mutex);
    std::vector<std::string> keys;
    for (auto const& [key, object] : impl_->objects_->objects)
        keys.push_back(key);
    return keys;
}

auto Fake_S3::bytes_of(std::string const& key) const -> std::string {
    std::lock_guard const lock(impl_->objects_->mutex);
    auto const found = impl_->objects_->objects.find(key);
    return found == impl_->objects_->objects.end() ? "(absent)" : found->second.bytes;
}

void Fake_S3::store(std::string const& key, std::string bytes) {
    std::lock_guard const lock(impl_->objects_->mutex);
    auto etag = to_hex(digest(EVP_md5(), bytes));
    impl_->objects_->put(key, std::move(bytes), {}, std::move(etag));
}

auto Fake_S3::unfinished_uploads() const -> std::size_t {
    std::lock_guard const lock(impl_->objects_->mutex);
    return impl_->objects_->uploads.size();
}

void Fake_S3::age_uploads(std::int64_t seconds) {
    std::lock_guard const lock(impl_->objects_->mutex);
    for (auto& [id, upload] : impl_->objects_->uploads)
        upload.begun_s -= seconds;
}

} // namespace memfs_cache::testing
