// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <numeric>

namespace memfs_cache {
namespace {

constexpr std::array<std::string_view, 4> status_words{"active", "exhausted", "revoked", "expired"};

auto lease_of(boost::json::value const& value) -> std::optional<Token_Lease> {
    auto const* object = value.if_object();
    if (object == nullptr)
        return std::nullopt;
    Member_Reader reader(*object);
    Token_Lease lease{
        std::string(reader.text("id")),
        reader.unsigned_number("granted"),
        from_millis(reader.signed_number("at")),
        {std::string(reader.text("host")), reader.signed_number("pid"), reader.unsigned_number("process_started")}};
    bool const sound = reader.good() && !lease.id.empty() && lease.granted > 0 && is_storable(lease.at);
    return sound ? std::optional(std::move(lease)) : std::nullopt;
}

void append_block_members(std::string& out, Token_Record const& token) {
    out += R"(,"block_size":)";
    append_json_number(out, token.block_size);
    out.append(R"(,"recall":)").append(token.recall ? "true" : "false").append(R"(,"leases":[)");
    for (auto const& lease : token.leases) {
        out += &lease == token.leases.data() ? R"({"id":)" : R"(,{"id":)";
        append_json_string(out, lease.id);
        out += R"(,"granted":)";
        append_json_number(out, lease.granted);
        out += R"(,"at":)";
        append_json_number(out, to_millis(lease.at));
        out += R"(,"host":)";
        append_json_string(out, lease.holder.host);
        out += R"(,"pid":)";
        append_json_number(out, lease.holder.pid);
        out += R"(,"process_started":)";
        append_json_number(out, lease.holder.started);
        out += '}';
    }
    out += ']';
}

auto optional_json(std::optional<std::uint64_t> const& number) -> boost::json::value {
    return number ? boost::json::value(*number) : boost::json::value(nullptr);
}

} // namespace

auto to_text(Token_Status status) noexcept -> std::string_view {
    return status_words[static_cast<std::size_t>(status)];
}

auto parse_token_name(std::string_view text) -> Result<std::string> {
    constexpr std::size_t longest = 128;
    constexpr std::string_view blanks = " \t\r\n\f\v";
    auto const first = text.find_first_not_of(blanks);
    text = first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(blanks) - first + 1);
    std::string name;
    bool good = !text.empty() && text.size() <= longest && text.front() != '_' && text.front() != '-';
    for (char const c : text.substr(0, longest)) {
        good = good && (is_ascii_letter(c) || is_ascii_digit(c) || c == '_' || c == '-');
        name.push_back(ascii_lower(c));
    }
    if (!good)
        return fail(Errc::invalid_argument, "token_name: give a letter or digit and then at most 127 of a-z 0-9 _ -");
    return name;
}

auto Token_Record::status_at(Utc_Time now) const noexcept -> Token_Status {
    if (revoked_at != never)
        return Token_Status::revoked;
    if (expires_at != never && now >= expires_at)
        return Token_Status::expired;
    if (usage_limit != no_limit && usage_count >= usage_limit)
        return Token_Status::exhausted;
    return Token_Status::active;
}

auto Token_Record::leased() const noexcept -> std::uint64_t {
    return std::accumulate(leases.begin(), leases.end(), std::uint64_t{0},
                           [](std::uint64_t sum, Token_Lease const& lease) { return sum + lease.granted; });
}

auto Token_Record::remaining() const noexcept -> std::optional<std::uint64_t> {
    if (usage_limit == no_limit)
        return std::nullopt;
    return usage_limit - std::min(usage_limit, counted());
}

auto Token_Record::find_lease(std::string_view id) const noexcept -> Token_Lease const* {
    auto const found = std::find_if(leases.begin(), leases.end(), [&](auto const& lease) { return lease.id == id; });
    return found == leases.end() ? nullptr : &*found;
}

auto Token_Record::settle(std::string_view lease_id, std::uint64_t used) -> bool {
    auto const* const lease = find_lease(lease_id);
    if (lease == nullptr)
        return false;
    usage_count += used;
    leases.erase(leases.begin() + (lease - leases.data()));
    return true;
}

auto Token_Record::was_written_by(std::string_view write_id) const noexcept -> bool {
    return std::find(write_ids.begin(), write_ids.end(), write_id) != write_ids.end();
}

void Token_Record::begin_write(std::string write_id) {
    if (write_ids.size() >= most_write_ids)
        write_ids.erase(write_ids.begin());
    write_ids.push_back(std::move(write_id));
}

auto Token_Record::to_json() const -> Bytes {
    constexpr std::size_t usual_bytes = 1'024;
    Bytes out;
    out.reserve(usual_bytes);
    auto const text = [&](std::string_view name, std::string_view value) {
        out += name;
        append_json_string(out, value);
    };
    auto const number = [&](std::string_view name, auto value) {
        out += name;
        append_json_number(out, value);
    };
    // A process that knows nothing of leases must not write over them.
    text(block_size == 0 ? R"({"v":1,"token_name":)" : R"({"v":2,"token_name":)", token_name);
    text(R"(,"cache_id":)", cache_id);
    text(R"(,"cache_hash":)", cache_hash);
    number(R"(,"usage_limit":)", usage_limit);
    number(R"(,"usage_count":)", usage_count);
    text(R"(,"created_by":)", created_by);
    number(R"(,"created_at":)", to_millis(created_at));
    number(R"(,"expires_at":)", to_millis(expires_at));
    number(R"(,"revoked_at":)", to_millis(revoked_at));
    number(R"(,"last_used_at":)", to_millis(last_used_at));
    out.append(R"(,"metadata":)").append(metadata.empty() ? "{}" : json_text(metadata));
    if (block_size > 0)
        append_block_members(out, *this);
    out += R"(,"write_ids":[)";
    for (auto const& id : write_ids)
        text(&id == write_ids.data() ? "" : ",", id);
    return out += "]}";
}

auto Token_Record::parse(Byte_View text) -> Result<Token_Record> {
    auto const object = parse_object(text, "a token");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Token_Record record;
    auto const version = reader.unsigned_number("v");
    if (version != 1 && version != 2)
        reader.refuse("v");
    auto const time = [&](std::string_view name) {
        auto const at = from_millis(reader.signed_number(name));
        if (!is_storable(at))
            reader.refuse(name);
        return at;
    };
    record.token_name = reader.text("token_name");
    record.cache_id = reader.text("cache_id");
    record.cache_hash = reader.text("cache_hash");
    record.usage_limit = reader.unsigned_number("usage_limit");
    record.usage_count = reader.unsigned_number("usage_count");
    record.created_by = reader.text("created_by");
    record.created_at = time("created_at");
    record.expires_at = time("expires_at");
    record.revoked_at = time("revoked_at");
    record.last_used_at = time("last_used_at");
    record.metadata = reader.object("metadata");
    for (auto const& id : reader.array("write_ids"))
        if (auto const* one = id.if_string())
            record.write_ids.emplace_back(*one);
        else
            reader.refuse("write_ids");
    if (version == 2) {
        record.block_size = reader.unsigned_number("block_size");
        if (record.block_size == 0)
            reader.refuse("block_size");
        record.recall = reader.flag("recall");
        for (auto const& value : reader.array("leases"))
            if (auto lease = lease_of(value))
                record.leases.push_back(*std::move(lease));
            else
                reader.refuse("leases");
    }
    if (auto const name = parse_token_name(record.token_name); !name || *name != record.token_name)
        reader.refuse("token_name");
    if (!reader.good())
        return fail(Errc::corrupt_data, "a token: member '" + std::string(reader.first_bad()) + "' is wrong");
    return record;
}

auto Token::of(Token_Record const& record, Utc_Time now, std::string_view share_url_base) -> Token {
    Token token;
    token.cache_id = record.cache_id;
    token.cache_hash = record.cache_hash;
    token.token_name = record.token_name;
    token.usage_limit = record.usage_limit;
    token.usage_count = record.counted();
    token.usage_count_min = record.usage_count;
    token.remaining = record.remaining();
    token.status = record.status_at(now);
    token.created_at = record.created_at;
    token.created_by = record.created_by;
    token.expires_at = record.expires_at;
    token.revoked_at = record.revoked_at;
    token.last_used_at = record.last_used_at;
    token.metadata = record.metadata;
    if (!share_url_base.empty()) // a name holds nothing that a URL would have to escape
        token.share_url = std::string(share_url_base) + record.token_name;
    return token;
}

auto Token::to_json() const -> boost::json::object {
    return {{"cache_id", cache_id},
            {"cache_hash", cache_hash},
            {"token_name", token_name},
            {"usage_limit", usage_limit},
            {"usage_count", usage_count},
            {"usage_count_min", usage_count_min},
            {"remaining", optional_json(remaining)},
            {"status", to_text(status)},
            {"created_at", to_millis(created_at)},
            {"created_by", created_by},
            {"expires_at", to_millis(expires_at)},
            {"revoked_at", to_millis(revoked_at)},
            {"last_used_at", to_millis(last_used_at)},
            {"metadata", metadata},
            {"share_url", share_url}};
}

auto Token_Use::to_json() const -> boost::json::object {
    return {{"success", success},
            {"rejection_reason", rejection_reason},
            {"usage_count", usage_count},
            {"remaining", optional_json(remaining)}};
}

} // namespace memfs_cache
