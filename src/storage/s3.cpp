// SPDX-License-Identifier: Apache-2.0
#include "s3_wire.hpp"
#include "s3_xml.hpp"
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/utf8.hpp>
#include <memfs_cache/storage/s3.hpp>

#include <algorithm>
#include <thread>

namespace memfs_cache {
namespace {

using s3::Doubt;
using s3::Outcome;

constexpr std::uint64_t largest_object = std::uint64_t{5} << 40;
constexpr std::uint64_t smallest_part = 5 << 20;
constexpr std::uint64_t most_parts = 10'000;
constexpr std::size_t longest_page = 1000;
/// Says which put an object came from.
constexpr auto write_id_header = "x-amz-meta-memfs-cache-write";

/// Can this be what the service called a state of an object? Anything else is no version of ours, and never goes into
/// a header.
auto is_etag(std::string_view token) -> bool {
    return !token.empty() && std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

auto is_bucket_name(std::string_view text) -> bool {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return is_ascii_letter(c) || is_ascii_digit(c) || c == '-' || c == '.' || c == '_';
    });
}

auto no_s3(std::string const& what) -> Error {
    return fail(Errc::corrupt_data, "S3: " + what + "; is endpoint_url that of an S3 service?");
}

} // namespace

struct Storage_S3::State {
    /// How the service does what S3 leaves open; learned by open().
    struct Habits {
        bool conditional_put = true;
        bool conditional_erase = true;
        bool quoted_match = true; ///< ETags stand in quotes in If-Match
        bool start_after = true;  ///< listings can begin behind a key
    };
    struct Head {
        std::string etag; ///< bare
        std::uint64_t size_bytes = 0;
        std::string write_id;
    };

    explicit State(s3::Wire taken) : wire(std::move(taken)) {}

    // Names

    [[nodiscard]] auto name_of(std::string_view key) const -> std::string {
        auto const& prefix = wire.settings().prefix;
        return prefix.empty() ? std::string(key) : prefix + "/" + std::string(key);
    }
    /// @return the key of an object; nothing if its name is none
    [[nodiscard]] auto key_of(std::string_view name) const -> std::optional<std::string_view> {
        auto const& prefix = wire.settings().prefix;
        if (!prefix.empty())
            name.remove_prefix(std::min(prefix.size() + 1, name.size()));
        return Storage_Key::is_valid(name) ? std::optional(name) : std::nullopt;
    }
    [[nodiscard]] auto checked_name(Storage_Key const& key) const -> Result<std::string> {
        auto name = name_of(key.str());
        if (name.size() > Storage_Key::max_bytes)
            return fail(Errc::invalid_argument, "S3: the key is too long behind the prefix, together they may have " +
                                                    std::to_string(Storage_Key::max_bytes) +
                                                    " bytes; shorten prefix or the key");
        return name;
    }

    // Reading

    [[nodiscard]] auto head(std::string const& name) const -> Result<std::optional<Head>> {
        auto const outcome = wire.send({.method = "HEAD", .name = name});
        if (outcome.status() == 404)
            return std::optional<Head>();
        if (!outcome.is_good())
            return outcome.problem;
        auto const& answer = *outcome.answer;
        auto const size = parse_decimal(answer.header("content-length"));
        auto etag = s3::bare_etag(answer.header("etag"));
        if (!size || etag.empty())
            return no_s3("an object without size or ETag");
        return std::optional(Head{std::move(etag), *size, std::string(answer.header(write_id_header))});
    }

    // Conditions

    /// The header of a condition that the service checks.
    [[nodiscard]] auto match_header(std::string const& etag) const -> Http_Header {
        return {"if-match", habits.quoted_match ? "\"" + etag + "\"" : etag};
    }
    [[nodiscard]] auto condition_headers(Precondition const& when) const -> std::vector<Http_Header> {
        switch (when.kind()) {
        case Precondition::Kind::none:
            break;
        case Precondition::Kind::absent:
            return {{"if-none-match", "*"}};
        case Precondition::Kind::version:
            return {match_header(when.version().token)};
        }
        return {};
    }
    /// Does this answer say that the condition was false?
    [[nodiscard]] static auto is_refusal(Outcome const& outcome, Precondition const& when) -> bool {
        bool const is_missing = outcome.status() == 404 && outcome.code != "NoSuchBucket" &&
                                outcome.code != "NoSuchUpload" && when.kind() == Precondition::Kind::version;
        return outcome.status() == 412 || is_missing;
    }

    // Writing

    /// What came of a put that ended so. Tells no more than is known: a refusal counts only if no earlier try can have
    /// made the condition false itself.
    [[nodiscard]] auto settle(Outcome const& outcome,
                              std::string const& name,
                              Precondition const& when,
                              std::string const& write_id,
                              std::optional<std::string> etag) const -> Result<Put_Outcome> {
        if (outcome.is_good() && etag && !etag->empty())
            return Put_Outcome{Put_State::applied, {*std::move(etag)}};
        bool const is_refused = is_refusal(outcome, when);
        if (is_refused && outcome.doubt == Doubt::none)
            return Put_Outcome{Put_State::not_applied, {}};
        if (is_refused || outcome.is_good() || outcome.code == "NoSuchUpload") {
            auto const there = head(name);
            if (there && *there && (*there)->write_id == write_id)
                return Put_Outcome{Put_State::applied, {(*there)->etag}};
            if (outcome.is_good() || outcome.doubt != Doubt::none)
                return Put_Outcome{Put_State::unknown, {}};
        }
        if (outcome.doubt == Doubt::unanswered)
            return Put_Outcome{Put_State::unknown, {}};
        return outcome.problem;
    }

    [[nodiscard]] auto put_whole(std::string const& name, Byte_View bytes, Precondition const& when) const
        -> Result<Put_Outcome> {
        auto const write_id = random_hex(8);
        auto headers = condition_headers(when);
        headers.push_back({write_id_header, write_id});
        auto const outcome = wire.send({.method = "PUT", .name = name, .headers = std::move(headers), .body = bytes});
        auto etag = outcome.is_good() ? std::optional(s3::bare_etag(outcome.answer->header("etag"))) : std::nullopt;
        return settle(outcome, name, when, write_id, std::move(etag));
    }

    /// Sends parts, and puts them together in one step, which is where the condition is checked.
    [[nodiscard]] auto put_in_parts(std::string const& name, Byte_View bytes, Precondition const& when)
        -> Result<Put_Outcome> {
        if (!has_cleaned_up.exchange(true))
            abort_abandoned_uploads();
        auto const write_id = random_hex(8);
        auto const begun = wire.send({.method = "POST",
                                      .name = name,
                                      .query = {{"uploads", ""}},
                                      .headers = {{write_id_header, write_id}},
                                      .answers_in_xml = true});
        if (!begun.is_good())
            return begun.problem;
        auto const id = s3::parse_upload_id(begun.answer->body);
        if (!id)
            return no_s3("an upload in parts without an id");
        auto const etags = send_parts(name, *id, bytes);
        if (!etags) {
            abort(name, *id);
            return etags.error();
        }
        auto const text = s3::completion_text(*etags);
        auto const outcome = wire.send({.method = "POST",
                                        .name = name,
                                        .query = {{"uploadId", *id}},
                                        .headers = condition_headers(when),
                                        .body = text,
                                        .answers_in_xml = true});
        auto etag = outcome.is_good() ? s3::parse_completed(outcome.answer->body) : std::nullopt;
        auto const settled = settle(outcome, name, when, write_id, std::move(etag));
        if (!settled || settled->state != Put_State::applied)
            abort(name, *id);
        return settled;
    }

    [[nodiscard]] auto send_parts(std::string const& name, std::string const& id, Byte_View bytes) const
        -> Result<std::vector<std::string>> {
        auto const least = (bytes.size() + most_parts - 1) / most_parts;
        auto const part_bytes = static_cast<std::size_t>(std::max<std::uint64_t>(wire.settings().part_bytes, least));
        std::vector<std::string> etags;
        for (; !bytes.empty(); bytes.remove_prefix(std::min(part_bytes, bytes.size()))) {
            auto const outcome =
                wire.send({.method = "PUT",
                           .name = name,
                           .query = {{"partNumber", std::to_string(etags.size() + 1)}, {"uploadId", id}},
                           .body = bytes.substr(0, part_bytes)});
            if (!outcome.is_good())
                return outcome.problem;
            etags.push_back(s3::bare_etag(outcome.answer->header("etag")));
        }
        return etags;
    }

    /// What cannot be aborted now is when it is a day old.
    void abort(std::string const& name, std::string const& id) const {
        (void)wire.send({.method = "DELETE", .name = name, .query = {{"uploadId", id}}});
    }

    /// Uploads that were begun more than a day ago and never ended cost space and are seen nowhere. A service that does
    /// not list them keeps them.
    void abort_abandoned_uploads() const {
        auto const outcome =
            wire.send({.method = "GET", .query = {{"uploads", ""}, {"prefix", name_of("")}}, .answers_in_xml = true});
        auto const uploads = outcome.is_good() ? s3::parse_uploads(outcome.answer->body) : std::nullopt;
        if (!uploads)
            return;
        auto const a_day_ago = date_text(wire.now() - std::chrono::hours(48)); // by its date alone
        for (auto const& upload : *uploads)
            if (upload.begun_at.substr(0, a_day_ago.size()) <= a_day_ago)
                abort(upload.name, upload.id);
    }

    // Listing

    struct Listing_Query {
        std::string prefix{}; ///< of names, as all of these
        std::string start_after{};
        std::string token{};
        std::size_t limit = longest_page;
        int most_tries = 0; ///< 0: as the settings say
    };
    [[nodiscard]] auto fetch_page(Listing_Query const& query) const -> Result<s3::Listing> {
        s3::Request request{.method = "GET",
                            .query = {{"list-type", "2"},
                                      {"encoding-type", "url"},
                                      {"max-keys", std::to_string(std::min(query.limit, longest_page))}},
                            .answers_in_xml = true,
                            .most_tries = query.most_tries};
        if (!query.prefix.empty())
            request.query.emplace_back("prefix", query.prefix);
        if (!query.token.empty())
            request.query.emplace_back("continuation-token", query.token);
        else if (!query.start_after.empty() && habits.start_after)
            request.query.emplace_back("start-after", query.start_after);
        auto const outcome = wire.send(request);
        if (!outcome.is_good())
            return outcome.problem;
        auto listing = s3::parse_listing(outcome.answer->body);
        if (!listing)
            return no_s3("an answer to a listing that is none");
        return *std::move(listing);
    }

    // Habits

    [[nodiscard]] auto probe() -> Result<void>;
    [[nodiscard]] auto probe_conditions(std::string const& folder) -> Result<void>;
    [[nodiscard]] auto probe_listing(std::string const& folder) -> Result<void>;
    [[nodiscard]] auto probe_erase(std::string const& folder) -> Result<void>;
    [[nodiscard]] auto probe_put(std::string const& name, Byte_View bytes, Precondition const& when) const
        -> Result<std::optional<std::string>>;

    s3::Wire wire;
    Habits habits;
    std::atomic<bool> has_cleaned_up{false}; ///< of abandoned uploads
};

// Opening

namespace {

auto check(S3_Settings const& settings) -> Result<void> {
    auto const wrong = [](std::string what) { return fail(Errc::invalid_argument, "S3: " + std::move(what)); };
    if (!is_bucket_name(settings.bucket))
        return wrong("bucket must be letters, digits, '-', '.' and '_'");
    if (!settings.prefix.empty() && !Storage_Key::is_valid(settings.prefix))
        return wrong("prefix must be the beginning of a key, without a slash at either end");
    if (!is_bucket_name(settings.region))
        return wrong("region must be letters, digits and '-'");
    if (settings.part_bytes < smallest_part)
        return wrong("part_bytes must be 5 MiB or more");
    if (settings.most_tries < 1)
        return wrong("most_tries must be 1 or more");
    return {};
}

} // namespace

auto Storage_S3::open(S3_Settings settings) -> Result<Storage_S3> {
    if (!settings.credentials) {
        auto found = find_credentials();
        if (!found)
            return fail(found.error().code, "S3: " + found.error().context);
        settings.credentials = *std::move(found);
    }
    if (settings.region.empty())
        settings.region = find_region().value_or("us-east-1");
    if (!settings.clock)
        settings.clock = std::make_shared<System_Clock>();
    if (!settings.wait)
        settings.wait = [](std::chrono::milliseconds pause) { std::this_thread::sleep_for(pause); };
    if (auto const good = check(settings); !good)
        return good.error();
    auto wire = s3::Wire::create(std::move(settings));
    if (!wire)
        return wire.error();
    auto state = std::make_unique<State>(*std::move(wire));
    if (auto const probed = state->probe(); !probed)
        return probed.error();
    return Storage_S3(std::move(state));
}

Storage_S3::Storage_S3(std::unique_ptr<State> state) : state_(std::move(state)) {}
Storage_S3::Storage_S3(Storage_S3&&) noexcept = default;
auto Storage_S3::operator=(Storage_S3&&) noexcept -> Storage_S3& = default;
Storage_S3::~Storage_S3() = default;

// Habits

/// Nothing is left behind but by a process that dies here.
auto Storage_S3::State::probe() -> Result<void> {
    auto const folder = name_of(".memfs_cache/probe/" + random_hex(8) + "/");
    auto learned = probe_conditions(folder);
    if (!learned && learned.error().code == Errc::unsupported) { // says so itself
        habits.conditional_put = false;
        learned = {};
    }
    if (learned)
        learned = probe_listing(folder);
    if (learned)
        learned = probe_erase(folder);
    if (learned || learned.error().code == Errc::unsupported)
        for (auto const* const name : {"B", "a", "missing"})
            (void)wire.send({.method = "DELETE", .name = folder + name});
    return learned;
}

/// @return the ETag if the put was done. An outcome that stays in the dark is an error here: nothing is built on it.
auto Storage_S3::State::probe_put(std::string const& name, Byte_View bytes, Precondition const& when) const
    -> Result<std::optional<std::string>> {
    auto outcome = put_whole(name, bytes, when);
    if (!outcome)
        return outcome.error();
    if (outcome->state == Put_State::unknown)
        return fail(Errc::unavailable, "S3: the service leaves too many requests unanswered; try again");
    return outcome->state == Put_State::applied ? std::optional(std::move(outcome->version.token)) : std::nullopt;
}

/// Is a wrong condition refused wherever one can be, and a right one not?
auto Storage_S3::State::probe_conditions(std::string const& folder) -> Result<void> {
    auto const name = folder + "a";
    auto const never = Precondition::only_if({std::string(32, '0')});
    auto const first = probe_put(name, "1", Precondition::absent());
    if (!first)
        return first.error();
    habits.conditional_put = false;
    if (!*first)
        return {}; // refused although nobody else knows the name
    for (auto const& when : {Precondition::absent(), never}) {
        auto const wrong = probe_put(name, "2", when);
        if (!wrong)
            return wrong.error();
        if (*wrong)
            return {};
    }
    auto const right = Precondition::only_if({**first});
    auto second = probe_put(name, "3", right);
    if (second && !*second) {
        habits.quoted_match = false;
        second = probe_put(name, "3", right);
    }
    if (!second)
        return second.error();
    if (!*second)
        return {};
    auto const missing = probe_put(folder + "missing", "4", right);
    if (!missing)
        return missing.error();
    habits.conditional_put = !*missing;
    return {};
}

/// Is everything listed at once and in byte order, and can a listing begin behind a key?
auto Storage_S3::State::probe_listing(std::string const& folder) -> Result<void> {
    for (auto const* const name : {"a", "B"}) // 'a' may be missing where conditions are
        if (auto const there = probe_put(folder + name, "5", Precondition::none()); !there)
            return there.error();
    auto const names = [](s3::Listing const& listing) {
        std::vector<std::string> out;
        for (auto const& item : listing.items)
            out.push_back(item.name);
        return out;
    };
    auto const all = fetch_page({.prefix = folder});
    if (!all)
        return all.error();
    if (names(*all) != std::vector{folder + "B", folder + "a"})
        return fail(Errc::unsupported, "S3: the service does not list what was just put, or not in byte order; choose "
                                       "another endpoint_url");
    constexpr int few = 3; // some services always answer 500 to this
    auto const behind = fetch_page({.prefix = folder, .start_after = folder + "B", .most_tries = few});
    habits.start_after = behind && names(*behind) == std::vector{folder + "a"};
    return {};
}

/// Is a deletion refused where its condition is false, also where there is nothing any more?
auto Storage_S3::State::probe_erase(std::string const& folder) -> Result<void> {
    auto const name = folder + "a";
    habits.conditional_erase = false;
    if (!habits.conditional_put)
        return {};
    auto const there = head(name);
    if (!there)
        return there.error();
    if (!*there)
        return fail(Errc::unavailable, "S3: an object that was just put is not there; try again");
    auto const is_erased = [&](std::string const& etag) {
        return wire.send({.method = "DELETE", .name = name, .headers = {match_header(etag)}}).is_good();
    };
    auto const& right = (*there)->etag;
    habits.conditional_erase = !is_erased(std::string(32, '0')) && is_erased(right) && !is_erased(right);
    return {};
}

// Operations

auto Storage_S3::get(Storage_Key const& key, Byte_Range range) const -> Result<std::optional<Object>> {
    auto const name = state_->checked_name(key);
    if (!name)
        return name.error();
    bool const is_part = range.offset > 0 || range.length < largest_object;
    s3::Request request{.method = "GET", .name = *name, .longest_answer = largest_object};
    if (is_part) {
        auto const last = range.length < largest_object ? std::to_string(range.offset + range.length - 1) : "";
        request.headers = {{"range", "bytes=" + std::to_string(range.offset) + "-" + last}};
    }
    if (range.length > 0 && range.offset < largest_object) {
        auto outcome = state_->wire.send(request);
        if (outcome.status() == 404 && outcome.code != "NoSuchBucket")
            return std::optional<Object>();
        if (outcome.is_good()) {
            auto& answer = *outcome.answer;
            Object object{std::move(answer.body), {s3::bare_etag(answer.header("etag"))}};
            if (object.version.token.empty())
                return no_s3("an object without ETag");
            bool const is_partial = outcome.status() == 206;
            if (is_partial &&
                !answer.header("content-range").starts_with("bytes " + std::to_string(range.offset) + "-"))
                return no_s3("another part of an object than was asked for");
            if (is_part && !is_partial) // some services send all of it
                object.bytes.erase(
                    0, static_cast<std::size_t>(std::min<std::uint64_t>(range.offset, object.bytes.size())));
            object.bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(range.length, object.bytes.size())));
            return std::optional(std::move(object));
        }
        if (outcome.status() != 416)
            return outcome.problem;
    }
    // Nothing lies there, but the object may be.
    auto const there = state_->head(*name);
    if (!there)
        return there.error();
    return *there ? std::optional(Object{{}, {(*there)->etag}}) : std::nullopt;
}

auto Storage_S3::put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const&)
    -> Result<Put_Outcome> {
    auto const name = state_->checked_name(key);
    if (!name)
        return name.error();
    if (when.kind() != Precondition::Kind::none && !state_->habits.conditional_put)
        return fail(Errc::unsupported,
                    "S3: the service does not obey conditions, so nothing can be written under one; choose another "
                    "endpoint_url");
    if (when.kind() == Precondition::Kind::version && !is_etag(when.version().token))
        return Put_Outcome{Put_State::not_applied, {}};
    return bytes.size() > state_->wire.settings().part_bytes ? state_->put_in_parts(*name, bytes, when)
                                                             : state_->put_whole(*name, bytes, when);
}

auto Storage_S3::erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
    constexpr int most_rivals = 64;
    auto const name = state_->checked_name(key);
    if (!name)
        return name.error();
    if (when.kind() == Precondition::Kind::absent)
        return false;
    bool in_doubt = false; // a deletion of ours may have been done
    auto const nothing_to_erase = [&]() -> Result<bool> {
        if (in_doubt)
            return fail(Errc::indeterminate, "S3: '" + key.str() +
                                                 "' is gone or another one now; whether this call "
                                                 "removed it is not known");
        return false;
    };
    for (int rivals = 0; rivals < most_rivals; ++rivals) {
        auto const there = state_->head(*name);
        if (!there)
            return there.error();
        if (!*there || (when.kind() == Precondition::Kind::version && (*there)->etag != when.version().token))
            return nothing_to_erase();
        s3::Request request{.method = "DELETE", .name = *name};
        if (state_->habits.conditional_erase)
            request.headers = {state_->match_header((*there)->etag)};
        auto const outcome = state_->wire.send(request);
        if (outcome.is_good())
            return true;
        in_doubt = in_doubt || outcome.doubt != Doubt::none;
        if (outcome.status() == 404 || outcome.status() == 412)
            continue; // somebody was faster, or an earlier try of ours
        if (in_doubt)
            return fail(Errc::indeterminate, outcome.problem.context);
        return outcome.problem;
    }
    return fail(Errc::conflict, "S3: '" + key.str() + "' was changed by others all the time; try again");
}

/// One request gives one page, but where listings cannot begin behind a key: then the service's own pages are gone
/// through from the first one. Services may take a prefix and a start for text: if one ends inside a character it goes
/// without its last bytes, and what comes too much is dropped here.
auto Storage_S3::list(List_Query const& query) const -> Result<Page> {
    constexpr int most_requests = 100'000;
    if (auto const good = check_list_query(query); !good)
        return good.error();
    auto const prefix = whole_characters(query.prefix);
    auto const start_after = whole_characters(query.start_after);
    bool const begins_behind = state_->habits.start_after;
    bool const is_one_page = begins_behind && prefix.size() == query.prefix.size();
    State::Listing_Query asked{.prefix = state_->name_of(prefix),
                               .start_after = start_after.empty() ? "" : state_->name_of(start_after),
                               .limit = is_one_page ? query.limit : longest_page};
    Page page;
    std::string last = begins_behind ? asked.start_after : "";
    for (int requests = 0; requests < most_requests; ++requests) {
        auto listing = state_->fetch_page(asked);
        if (!listing)
            return listing.error();
        for (auto& item : listing->items) {
            if ((!last.empty() && item.name <= last) || !item.name.starts_with(asked.prefix))
                return no_s3("a listing that is not in order, or not of what was asked for");
            last = item.name;
            auto const key = state_->key_of(item.name);
            if (!key || *key <= query.start_after || !key->starts_with(query.prefix))
                continue;
            if (page.items.size() == query.limit) {
                page.next = page.items.back().key;
                return page;
            }
            page.items.push_back({std::string(*key), item.size_bytes, {std::move(item.etag)}});
        }
        if (!listing->is_truncated)
            return page;
        if (is_one_page && !page.items.empty()) {
            page.next = page.items.back().key;
            return page;
        }
        if (listing->next_token.empty() || listing->next_token == asked.token)
            return no_s3("a listing that goes round in circles");
        asked.token = std::move(listing->next_token);
    }
    return no_s3("a listing without end");
}

auto Storage_S3::append(Storage_Key const&, std::uint64_t, Byte_View bytes, Durability) -> Result<Put_Outcome> {
    state_->wire.counters().append(bytes.size()); // a failed operation counts too
    return fail(Errc::unsupported, "S3: objects do not grow; put another one");
}

auto Storage_S3::sync() -> Result<void> { return {}; }

auto Storage_S3::capabilities() const -> Capabilities {
    Capabilities offered;
    offered.conditional_put = state_->habits.conditional_put;
    offered.conditional_erase = state_->habits.conditional_erase;
    offered.versions_recur = true;
    offered.survives_process = true;
    offered.shared_between_processes = true;
    offered.shared_between_machines = true;
    offered.max_value_bytes = largest_object;
    offered.max_key_bytes -= std::min(offered.max_key_bytes, state_->name_of("").size());
    return offered;
}

auto Storage_S3::counters() const -> Operation_Counts { return state_->wire.counters().snapshot(); }

} // namespace memfs_cache
