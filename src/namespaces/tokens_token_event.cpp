// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/namespaces/tokens/token_event.hpp>

#include <boost/json.hpp>

#include <array>

namespace memfs_cache {
namespace {

struct Refusal {
    std::string_view reason;
    std::uint64_t Token_Figures::*count;
};
constexpr std::array refusals{Refusal{"exhausted", &Token_Figures::exhausted},
                              Refusal{"expired", &Token_Figures::expired}, Refusal{"revoked", &Token_Figures::revoked}};

} // namespace

void Token_Event::append_json(std::string& out) const {
    out += R"({"timestamp":)";
    append_json_number(out, to_millis(timestamp));
    auto const text = [&](std::string_view name, std::string_view value) {
        if (value.empty())
            return;
        out.append(name);
        append_json_string(out, value);
    };
    text(R"(,"token_name":)", token_name);
    text(R"(,"action":)", action);
    text(R"(,"rejection_reason":)", rejection_reason);
    text(R"(,"ip_hash":)", ip_hash);
    text(R"(,"transfer_id":)", transfer_id);
    text(R"(,"lease":)", lease);
    if (charged > 0) {
        out += R"(,"charged":)";
        append_json_number(out, charged);
    }
    out += '}';
}

auto Token_Event::read(Raw_Event const& raw) -> Result<void> {
    auto const object = parse_object(raw.json, "an event of a token");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    timestamp = from_millis(reader.signed_number("timestamp"));
    token_name = reader.text("token_name");
    for (auto const& [name, to] :
         {std::pair{"action", &action}, std::pair{"rejection_reason", &rejection_reason},
          std::pair{"ip_hash", &ip_hash}, std::pair{"transfer_id", &transfer_id}, std::pair{"lease", &lease}}) {
        if (object->contains(name))
            *to = reader.text(name);
        else
            to->clear();
    }
    charged = object->contains("charged") ? reader.unsigned_number("charged") : 0;
    if (!reader.good())
        return fail(Errc::corrupt_data,
                    "an event of a token: member '" + std::string(reader.first_bad()) + "' is wrong");
    return {};
}

auto Token_Event::to_json() const -> boost::json::object {
    return {{"timestamp", to_millis(timestamp)},
            {"token_name", token_name},
            {"action", action},
            {"accepted", accepted()},
            {"rejection_reason", rejection_reason},
            {"ip_hash", ip_hash.substr(0, 8)}, // enough to see whether two are one, too little to look it up elsewhere
            {"transfer_id", transfer_id},
            {"lease", lease},
            {"charged", charged}};
}

void Token_Figures::add(Token_Figures const& other) noexcept {
    accepted += other.accepted;
    charged += other.charged;
    for (auto const& refusal : refusals)
        this->*refusal.count += other.*refusal.count;
}

auto Tokens_Summary::of(std::string_view token_name) const -> Token_Figures {
    auto const found = tokens.find(token_name);
    return found == tokens.end() ? Token_Figures() : found->second;
}

auto Tokens_Summary::total() const noexcept -> Token_Figures {
    Token_Figures all;
    for (auto const& [name, figures] : tokens)
        all.add(figures);
    return all;
}

void Tokens_Summary::add(Token_Event const& event) {
    auto& figures = tokens[event.token_name];
    if (event.accepted())
        ++figures.accepted;
    figures.charged += event.charged;
    for (auto const& refusal : refusals)
        if (event.rejection_reason == refusal.reason)
            ++(figures.*refusal.count);
}

void Tokens_Summary::merge(Tokens_Summary const& other) {
    for (auto const& [name, figures] : other.tokens)
        tokens[name].add(figures);
}

void Tokens_Summary::append_members(std::string& out) const {
    out += R"("tokens":{)";
    bool first = true;
    for (auto const& [name, figures] : tokens) {
        if (!std::exchange(first, false))
            out += ',';
        append_json_string(out, name);
        out += R"(:{"accepted":)";
        append_json_number(out, figures.accepted);
        for (auto const& refusal : refusals) {
            out.append(",\"").append(refusal.reason).append("\":");
            append_json_number(out, figures.*refusal.count);
        }
        if (figures.charged > 0) {
            out += R"(,"charged":)";
            append_json_number(out, figures.charged);
        }
        out += '}';
    }
    out += '}';
}

auto Tokens_Summary::from_object(boost::json::object const& object) -> Result<Tokens_Summary> {
    Tokens_Summary summary;
    Member_Reader reader(object);
    for (auto const& [name, value] : reader.object("tokens")) {
        auto const* members = value.if_object();
        if (members == nullptr) {
            reader.refuse("tokens");
            break;
        }
        Member_Reader counts(*members);
        auto& figures = summary.tokens[std::string(name)];
        figures.accepted = counts.unsigned_number("accepted");
        for (auto const& refusal : refusals)
            figures.*refusal.count = counts.unsigned_number(refusal.reason);
        if (members->contains("charged"))
            figures.charged = counts.unsigned_number("charged");
        if (!counts.good())
            reader.refuse("tokens");
    }
    if (!reader.good())
        return fail(Errc::corrupt_data, "a window of tokens: member 'tokens' is wrong");
    return summary;
}

} // namespace memfs_cache
