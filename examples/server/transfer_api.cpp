// SPDX-License-Identifier: Apache-2.0
#include "transfer_api.hpp"

#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/http/replies.hpp>
#include <memfs_cache/http/selection.hpp>
#include <memfs_cache/http/url.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

namespace example {
namespace {

namespace json = boost::json;

constexpr std::size_t longest_file_name = 255, longest_content_type = 127;

/// What all routes share.
struct House {
    Cache& cache;
    std::shared_ptr<Transfer_Store> transfers;
    Transfer_Options options;
    Rate_Limiter limiter;

    [[nodiscard]] auto now() const -> Utc_Time { return transfers->clock()->now(); }
    /// What is wrong with the storage is nothing for everybody.
    [[nodiscard]] auto trouble(Error const& error) const -> Response {
        say(options.log, "A transfer could not be read or changed: " + error.message());
        return error_reply(fail(error.code == Errc::conflict ? Errc::unavailable : error.code, {}));
    }
};
using House_Ptr = std::shared_ptr<House>;

auto unknown() -> Response { return error_reply(404, "not_found", "There is no such transfer."); }

auto gone() -> Response {
    return error_reply(410, "gone", "This transfer has expired, was deleted, or has had all its downloads.");
}

auto not_now(std::string_view sentence) -> Response { return error_reply(409, "conflict", sentence); }

auto wrong(std::string_view sentence, std::string_view member) -> Response {
    return error_reply(fail(Errc::invalid_argument, std::string(sentence)), member);
}

auto path_of_transfer(std::string_view transfer_id) -> std::string {
    return std::string("/transfers/").append(transfer_id);
}

/// A transfer as everybody may see it: without its token and the key that deletes it.
auto view(Transfer const& it, Utc_Time now) -> json::object {
    auto const remaining = it.remaining();
    return {{"transfer_id", it.transfer_id},
            {"status", it.is_over(now) && it.status != "deleted" ? "expired" : it.status},
            {"file_name", it.file_name},
            {"content_type", it.content_type},
            {"file_size_bytes", it.payload.size_bytes},
            {"sha256", it.payload.sha256},
            {"created_at", to_millis(it.created_at)},
            {"completed_at", to_millis(it.completed_at)},
            {"expires_at", to_millis(it.expires_at)},
            {"max_downloads", it.max_downloads},
            {"download_count", it.download_count},
            {"remaining", remaining ? json::value(*remaining) : json::value(nullptr)},
            {"auto_delete", it.auto_delete},
            {"download_url", path_of_transfer(it.transfer_id) + "/payload"}};
}

/// The SHA-256 of what comes in pieces.
class Digest {
  public:
    Digest() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
    void add(Byte_View bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
    [[nodiscard]] auto hex() -> std::string {
        std::array<char, EVP_MAX_MD_SIZE> bytes{};
        unsigned size = 0;
        EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size);
        return to_hex(Byte_View(bytes.data(), size));
    }

  private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

// Creating

auto hash_of_key(std::string_view key) -> std::string { return Cache_Hash::create("sha256", 64)->from_bytes(key); }

/// Why a token does not open this door; nothing if it does, or none is needed.
auto token_refusal(House& house, Request const& request, Transfer& wanted) -> std::optional<Response> {
    auto const name = request.headers.value("X-Access-Token");
    if (name.empty() && !house.options.needs_token)
        return std::nullopt;
    if (name.empty())
        return error_reply(401, "unauthorized", "Send a token as X-Access-Token.");
    if (auto const wait = house.limiter.wait(request)) // nobody finds names by trying
        return too_many_requests(*wait);
    auto& tokens = house.cache.tokens();
    auto const use = tokens.check(name);
    auto const token = use && use->success ? tokens.lookup(name) : Result<std::optional<Token>>(std::nullopt);
    if (!use || !token)
        return house.trouble(use ? token.error() : use.error());
    if (!*token) {
        (void)house.limiter.spend(request);
        return error_reply(403, "permission_denied", "This token may not be used.");
    }
    wanted.token_name = (*token)->token_name;
    wanted.token_id = (*token)->cache_id;
    return std::nullopt;
}

auto create(House& house, Request const& request, Arguments const& arguments) -> Response {
    Transfer wanted;
    wanted.file_name = arguments.text("file_name");
    wanted.content_type = arguments.text("content_type");
    wanted.max_downloads = static_cast<std::uint64_t>(arguments.integer("max_downloads"));
    wanted.expires_at = from_millis(arguments.integer("expires_at"));
    wanted.auto_delete = arguments.flag("auto_delete");
    auto const is_plain = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; };
    auto const is_word = [](char c) { return c > ' ' && c < '\x7f'; };
    if (wanted.file_name.size() > longest_file_name ||
        !std::all_of(wanted.file_name.begin(), wanted.file_name.end(), is_plain))
        return wrong("Give at most 255 bytes without control characters.", "file_name");
    if (wanted.content_type.size() > longest_content_type || wanted.content_type.find('/') == std::string::npos ||
        !std::all_of(wanted.content_type.begin(), wanted.content_type.end(), is_word))
        return wrong("Give a media type such as text/plain.", "content_type");
    if (wanted.expires_at != Transfer::never && wanted.expires_at <= house.now())
        return wrong("Give a time to come in milliseconds since 1970, or 0 for never.", "expires_at");
    if (auto refusal = token_refusal(house, request, wanted))
        return *std::move(refusal);
    auto const delete_key = random_hex(16);
    wanted.delete_key_hash = hash_of_key(delete_key);
    auto const made = house.transfers->create(std::move(wanted));
    if (!made)
        return house.trouble(made.error());
    auto const path = path_of_transfer(made->transfer_id);
    auto response = json_reply({{"transfer_id", made->transfer_id},
                                {"upload_url", path + "/payload"},
                                {"complete_url", path + "/complete"},
                                {"info_url", path},
                                {"download_url", path + "/payload"},
                                {"delete_key", delete_key}},
                               201);
    response.headers.add("Location", path);
    response.event_type = event_type_of(Transfer_Act::created);
    response.transfer_id = made->transfer_id;
    response.token_id = made->token_id;
    return response;
}

// Uploading

class Upload final : public Body_Sink {
  public:
    Upload(House_Ptr house, std::string transfer_id)
        : house_(std::move(house)), id_(std::move(transfer_id)), payload_(house_->transfers->new_payload()) {}
    ~Upload() override {
        if (payload_.size_bytes == 0 || state_ != State::unused)
            return;
        if (auto const erased = house_->transfers->erase(id_, payload_); !erased)
            (void)house_->trouble(erased.error()); // it is swept later
    }

    [[nodiscard]] auto limit_bytes() const noexcept -> std::uint64_t override {
        return house_->options.upload_limit_bytes;
    }
    [[nodiscard]] auto piece_bytes() const noexcept -> std::size_t override {
        return house_->transfers->piece_bytes(payload_);
    }

    [[nodiscard]] auto begin() -> std::optional<Response> override {
        auto const transfer = house_->transfers->read(id_);
        if (!transfer)
            return house_->trouble(transfer.error());
        return *transfer ? refusal_of(**transfer) : unknown();
    }

    [[nodiscard]] auto take(Byte_View piece) -> std::optional<Response> override {
        digest_.add(piece);
        if (auto const added = house_->transfers->add(id_, payload_, piece); !added)
            return house_->trouble(added.error());
        return std::nullopt;
    }

    [[nodiscard]] auto finish() -> Response override {
        payload_.sha256 = digest_.hex();
        if (auto const settled = house_->transfers->settle(id_, payload_); !settled)
            return house_->trouble(settled.error());
        std::optional<Response> refusal;
        Payload replaced;
        auto const put_in_place = [&](Transfer& it) {
            bool const is_there = it.payload.upload == payload_.upload;
            refusal = is_there ? std::nullopt : refusal_of(it);
            if (is_there || refusal)
                return false;
            replaced = std::exchange(it.payload, payload_);
            return true;
        };
        state_ = State::unknown;
        auto const transfer = house_->transfers->change(id_, put_in_place);
        if (!transfer)
            return house_->trouble(transfer.error());
        if (!*transfer || refusal) {
            state_ = State::unused;
            return *transfer ? *std::move(refusal) : unknown();
        }
        state_ = State::in_place;
        if (!replaced.upload.empty())
            if (auto const erased = house_->transfers->erase(id_, replaced); !erased)
                (void)house_->trouble(erased.error()); // it is swept later
        auto response =
            json_reply({{"transfer_id", id_}, {"file_size_bytes", payload_.size_bytes}, {"sha256", payload_.sha256}});
        response.event_type = "api_call"; // the upload is what gets completed
        return response;
    }

  private:
    enum class State { unused, unknown, in_place };

    [[nodiscard]] auto refusal_of(Transfer const& transfer) const -> std::optional<Response> {
        if (transfer.is_over(house_->now()))
            return gone();
        if (transfer.status != "pending")
            return not_now("This transfer is complete; its payload cannot be replaced any more.");
        return std::nullopt;
    }

    House_Ptr house_;
    std::string id_;
    Payload payload_;
    Digest digest_;
    State state_ = State::unused;
};

// Completing

auto complete(House& house, std::string const& id, Arguments const& arguments) -> Response {
    auto const found = house.transfers->read(id);
    if (!found)
        return house.trouble(found.error());
    if (!*found)
        return unknown();
    auto const& transfer = **found;
    if (transfer.is_over(house.now()))
        return gone();
    bool const is_pending = transfer.status == "pending";
    if (is_pending && transfer.payload.upload.empty())
        return not_now("Upload the payload first.");
    auto const& size = arguments.text("size_bytes");
    auto const& sha256 = arguments.text("sha256");
    if (!size.empty() && parse_decimal(size) != transfer.payload.size_bytes)
        return wrong("The payload that was uploaded is of another size.", "size_bytes");
    if (!sha256.empty() && !equals_lower(sha256, transfer.payload.sha256))
        return wrong("The payload that was uploaded has another SHA-256.", "sha256");
    if (!is_pending)
        return json_reply(view(transfer, house.now()));

    if (!transfer.token_name.empty()) {
        auto const use = house.cache.tokens().use(transfer.token_name,
                                                  {.action = "upload_completed", .transfer_id = id, .action_id = id});
        if (!use)
            return house.trouble(use.error());
        if (!use->success)
            return error_reply(403, "permission_denied", "The token of this transfer may not be used any more.");
    }
    bool is_ours = false;
    auto const changed = house.transfers->change(id, [&](Transfer& it) {
        is_ours = it.status == "pending" && it.payload.upload == transfer.payload.upload;
        if (is_ours) {
            it.status = "completed";
            it.completed_at = house.now();
        }
        return is_ours;
    });
    if (!changed)
        return house.trouble(changed.error());
    if (!*changed || (*changed)->status == "deleted")
        return gone();
    if ((*changed)->status == "pending")
        return not_now("The payload was replaced meanwhile; complete the transfer again.");
    auto response = json_reply(view(**changed, house.now()));
    response.token_id = transfer.token_id;
    if (is_ours)
        response.event_type = event_type_of(Transfer_Act::upload_completed);
    return response;
}

// Downloading

class Download final : public Body_Source {
  public:
    Download(House_Ptr house, Transfer const& transfer, Selection part)
        : house_(std::move(house)), transfer_id_(transfer.transfer_id), payload_(transfer.payload), part_(part) {}
    ~Download() override { settle(false); }

    [[nodiscard]] auto size_bytes() const noexcept -> std::uint64_t override { return part_.size_bytes; }
    [[nodiscard]] auto piece_bytes() const noexcept -> std::size_t override {
        return house_->transfers->piece_bytes(payload_);
    }
    [[nodiscard]] auto read(std::uint64_t offset, std::size_t most) -> Result<Bytes> override {
        return house_->transfers->read(transfer_id_, payload_, part_.first + offset, most);
    }
    void finish() override { settle(true); }

    /// Makes it one of the downloads that are allowed.
    /// @return the answer if none is left
    [[nodiscard]] auto reserve(bool is_limited) -> std::optional<Response> {
        auto const id = random_hex(8);
        auto promise = is_limited ? Promise::over : Promise::given;
        if (is_limited) {
            auto const ask = [&](Transfer& it) {
                auto const now = house_->now();
                promise = it.promise(id, now, now - Transfer_Store::patience);
                return promise == Promise::given;
            };
            if (auto const changed = house_->transfers->change(transfer_id_, ask); !changed)
                return house_->trouble(changed.error());
        }
        if (promise == Promise::over)
            return gone();
        if (promise == Promise::none_left_now) {
            auto refusal = error_reply(
                fail(Errc::unavailable,
                     "All downloads that are left are under way; one that is broken off may be had later."));
            refusal.headers.add("Retry-After", "10");
            return refusal;
        }
        download_id_ = id;
        return std::nullopt;
    }

  private:
    void settle(bool is_whole) {
        auto const id = std::exchange(download_id_, {});
        if (id.empty())
            return;
        auto const changed =
            house_->transfers->change(transfer_id_, [&](Transfer& it) { return it.settle(id, is_whole); });
        if (!changed)
            (void)house_->trouble(changed.error()); // what was promised counts, sooner or later
        else if (*changed && (*changed)->payload.upload.empty())
            if (auto const erased = house_->transfers->erase(transfer_id_, payload_); !erased)
                (void)house_->trouble(erased.error()); // it is swept later
    }

    House_Ptr house_;
    std::string transfer_id_;
    Payload payload_;
    Selection part_;
    std::string download_id_; ///< "" if it is none
};

auto download(House_Ptr const& house, Request const& request, std::string const& id) -> Response {
    auto const found = house->transfers->read(id);
    if (!found)
        return house->trouble(found.error());
    if (!*found)
        return unknown();
    auto const& transfer = **found;
    if (transfer.is_over(house->now()) || transfer.status == "exhausted")
        return gone();
    if (transfer.status == "pending")
        return not_now("This transfer is not complete yet.");

    Response response;
    // Whatever somebody uploaded must not run as a page of this site.
    response.headers = {
        {"ETag", '"' + transfer.payload.sha256 + '"'},
        {"Cache-Control", "private, no-cache"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "sandbox"},
        {"Content-Disposition",
         "attachment; filename*=UTF-8''" + percent_encode(transfer.file_name.empty() ? id : transfer.file_name)}};
    auto const part = select_bytes(request, response, transfer.payload.size_bytes);
    if (!part)
        return response;
    response.headers.add("Content-Type", transfer.content_type);
    auto body = std::make_unique<Download>(house, transfer, *part);
    if (request.method == "GET") {
        bool const is_download = part->is_to_the_end(transfer.payload.size_bytes);
        if (is_download)
            if (auto refusal = body->reserve(transfer.max_downloads > 0))
                return *std::move(refusal);
        response.event_type = is_download ? event_type_of(Transfer_Act::downloaded) : "other";
    }
    response.body = std::move(body);
    return response;
}

// Looking and deleting

auto info(House& house, std::string const& id) -> Response {
    auto const found = house.transfers->read(id);
    if (!found)
        return house.trouble(found.error());
    if (!*found)
        return unknown();
    if ((*found)->is_over(house.now()))
        return gone();
    auto response = json_reply(view(**found, house.now()));
    response.event_type = event_type_of(Transfer_Act::viewed);
    return response;
}

auto remove(House& house, Request const& request, std::string const& id) -> Response {
    auto const hash = hash_of_key(request.headers.value("X-Delete-Key"));
    bool is_allowed = false;
    Payload removed;
    auto const changed = house.transfers->change(id, [&](Transfer& it) {
        is_allowed = it.delete_key_hash == hash;
        if (!is_allowed || it.status == "deleted")
            return false;
        removed = it.payload;
        it.end("deleted");
        return true;
    });
    if (!changed)
        return house.trouble(changed.error());
    if (!*changed)
        return unknown();
    if (!is_allowed)
        return error_reply(403, "permission_denied", "Send the key that came with the transfer as X-Delete-Key.");
    if (!removed.upload.empty())
        if (auto const erased = house.transfers->erase(id, removed); !erased)
            (void)house.trouble(erased.error()); // it is swept later
    Response response;
    response.status = 204;
    return response;
}

/// A handler of one transfer: whatever comes of it, it is recorded as about this one.
template <class Handle>
auto about_one(House_Ptr const& house, Handle handle) {
    return [house, handle](Request const& request, Arguments const& arguments) {
        auto const& id = arguments.text("id");
        auto response = answer([&] { return handle(request, id, arguments); }, house->options.log);
        if (Transfer_Store::is_id(id))
            response.transfer_id = id;
        return response;
    };
}

} // namespace

auto transfer_routes(Cache& cache, std::shared_ptr<Transfer_Store> transfers, Transfer_Options options)
    -> std::vector<Route> {
    Rate const rate{options.wrong_tokens_per_minute, std::chrono::minutes(1)};
    House_Ptr const house(new House{cache, std::move(transfers), std::move(options),
                                    Rate_Limiter(rate, cache.options().analytics.trusted_proxies, cache.clock())});
    Parameter const id{.name = "id", .description = "12 lower-case hex digits."};
    return {{.method = "POST",
             .path = "/transfers",
             .summary = "Begin a transfer.",
             .access = Access::open,
             .body = {{.name = "file_name", .description = "What it is called where it is saved."},
                      {.name = "content_type", .description = "A media type.", .fallback = "application/octet-stream"},
                      {.name = "max_downloads",
                       .description = "How often it may be downloaded; 0: as often as one likes.",
                       .minimum = 0,
                       .maximum = 1'000'000,
                       .fallback = "0"},
                      {.name = "expires_at",
                       .description = "From this millisecond since 1970 on, UTC, it is gone; 0: never.",
                       .minimum = 0,
                       .maximum = largest_json_integer,
                       .fallback = "0"},
                      {.name = "auto_delete",
                       .description = "Remove the payload with its last download.",
                       .is_flag = true}},
             .status = 201,
             .result = "Where the payload goes.",
             .refusals = {403},
             .handler = [house](Request const& request,
                                Arguments const& arguments) { return create(*house, request, arguments); }},
            {.method = "PUT",
             .path = "/transfers/{id}/payload",
             .summary = "Upload the payload, or another one until the transfer is complete.",
             .access = Access::open,
             .parameters = {id},
             .result = "Its size and SHA-256.",
             .refusals = {404, 409, 410, 413},
             .sink =
                 [house](Request const&, Arguments const& arguments) {
                     auto const& transfer_id = arguments.text("id");
                     return Reception{.sink = std::make_unique<Upload>(house, transfer_id),
                                      .transfer_id = Transfer_Store::is_id(transfer_id) ? transfer_id : std::string()};
                 }},
            {.method = "POST",
             .path = "/transfers/{id}/complete",
             .summary = "Check what was uploaded and open it for downloads.",
             .access = Access::open,
             .parameters = {id},
             .body = {{.name = "size_bytes",
                       .description = "How long it should be.",
                       .minimum = 0,
                       .maximum = largest_json_integer},
                      {.name = "sha256", .description = "Its SHA-256 in hex."}},
             .result = "The transfer.",
             .refusals = {403, 404, 409, 410},
             .handler = about_one(house,
                                  [house](Request const&, std::string const& transfer_id, Arguments const& arguments) {
                                      return complete(*house, transfer_id, arguments);
                                  })},
            {.method = "GET",
             .path = "/transfers/{id}",
             .summary = "What is this transfer like?",
             .access = Access::open,
             .parameters = {id},
             .result = "The transfer.",
             .refusals = {404, 410},
             .handler = about_one(house, [house](Request const&, std::string const& transfer_id,
                                                 Arguments const&) { return info(*house, transfer_id); })},
            {.method = "GET",
             .path = "/transfers/{id}/payload",
             .summary = "Download the payload, or a range of it.",
             .access = Access::open,
             .parameters = {id},
             .result = "The bytes.",
             .media_type = "application/octet-stream",
             .refusals = {404, 409, 410, 416, 503},
             .handler = about_one(house, [house](Request const& request, std::string const& transfer_id,
                                                 Arguments const&) { return download(house, request, transfer_id); })},
            {.method = "DELETE",
             .path = "/transfers/{id}",
             .summary = "Delete it.",
             .access = Access::open,
             .parameters = {id},
             .status = 204,
             .result = "It is gone.",
             .refusals = {403, 404},
             .handler = about_one(house, [house](Request const& request, std::string const& transfer_id,
                                                 Arguments const&) { return remove(*house, request, transfer_id); })}};
}

} // namespace example
