// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/utf8.hpp>
#include <memfs_cache/namespaces/analytics/analytics_filter.hpp>

#include <algorithm>
#include <bitset>
#include <optional>
#include <tuple>
#include <utility>

namespace memfs_cache {
namespace {

struct Dimension {
    std::string_view name;
    std::string_view member;                            ///< of a stored event
    std::string_view Analytics_Record::*text = nullptr; ///< null for the status
};
constexpr std::array<Dimension, Analytics_Filter::dimension_count> all_dimensions{{
    {"country", "country", &Analytics_Record::country},
    {"event_type", "event_type", &Analytics_Record::event_type},
    {"method", "method", &Analytics_Record::method},
    {"path", "path", &Analytics_Record::path},
    {"referrer", "referrer_domain", &Analytics_Record::referrer_domain},
    {"status", "status_code"},
    {"token", "token_id", &Analytics_Record::token_id},
    {"transfer", "transfer_id", &Analytics_Record::transfer_id},
    {"user_agent", "user_agent_normalised", &Analytics_Record::user_agent_normalised},
}};

/// A status as text of three digits, so that the first of them is its class; "" if there is none.
class Status_Text {
  public:
    explicit Status_Text(std::int64_t status) noexcept
        : size_(status > 0 && status < 1000 ? 3 : 0), digits_{digit(status / 100), digit(status / 10), digit(status)} {}
    [[nodiscard]] auto view() const noexcept -> std::string_view { return {digits_.data(), size_}; }

  private:
    static auto digit(std::int64_t number) noexcept -> char { return static_cast<char>('0' + number % 10); }
    std::size_t size_;
    std::array<char, 3> digits_;
};

auto is_control(char c) -> bool { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// Without its escapes, and whether a star stands at its end; nothing if a backslash does.
auto unescape(std::string_view spelled) -> std::optional<std::pair<std::string, bool>> {
    std::string text;
    for (std::size_t at = 0; at < spelled.size(); ++at) {
        if (spelled[at] == '*' && at + 1 == spelled.size())
            return std::pair(text, true);
        if (spelled[at] == '\\' && ++at == spelled.size())
            return std::nullopt;
        text += spelled[at];
    }
    return std::pair(text, false);
}

auto escape(std::string_view text) -> std::string {
    std::string spelled;
    for (std::size_t at = 0; at < text.size(); ++at) {
        bool const means_more =
            text[at] == '\\' || (text[at] == '!' && at == 0) || (text[at] == '*' && at + 1 == text.size());
        if (means_more)
            spelled += '\\';
        spelled += text[at];
    }
    return spelled;
}

/// What a value has to be so that it can ever fit, as the end of a sentence; "" if it is.
auto misfit(Dimension const& dimension, std::string_view text, bool is_beginning) -> std::string_view {
    if (dimension.name == "status") {
        bool const is_status = text.size() == 3 && std::all_of(text.begin(), text.end(), is_ascii_digit);
        bool const is_class = text.size() == 1 && is_beginning;
        return (is_status && !is_beginning) || is_class ? "" : "give a status such as 404, or a class such as 4xx";
    }
    if (dimension.name == "country" && !text.empty())
        return text.size() == 2 && !is_beginning && is_ascii_letter(text[0]) && is_ascii_letter(text[1])
                   ? ""
                   : "give two letters such as PT";
    if (dimension.name == "path" && text.find_first_of("?#") != std::string_view::npos)
        return "leave out what follows ? or #: it is never stored";
    return "";
}

} // namespace

auto Analytics_Filter::dimensions() noexcept -> std::array<std::string_view, dimension_count> {
    std::array<std::string_view, dimension_count> names;
    std::transform(all_dimensions.begin(), all_dimensions.end(), names.begin(),
                   [](Dimension const& dimension) { return dimension.name; });
    return names;
}

auto Analytics_Filter::add(std::string_view name, std::string_view spelled) -> Result<void> {
    auto const* const dimension = std::find_if(all_dimensions.begin(), all_dimensions.end(),
                                               [&](Dimension const& known) { return known.name == name; });
    if (dimension == all_dimensions.end()) {
        std::string sentence = "filter: give one of";
        for (auto const& known : all_dimensions)
            sentence.append(&known == all_dimensions.begin() ? " " : ", ").append(known.name);
        return fail(Errc::invalid_argument, sentence);
    }
    auto const refuse = [&](std::string_view why) {
        return fail(Errc::invalid_argument, std::string(name).append(": ").append(why));
    };
    if (spelled.size() > longest_value_bytes || !is_utf8(spelled) ||
        std::any_of(spelled.begin(), spelled.end(), is_control))
        return refuse("give at most 2048 bytes of UTF-8 without control characters");
    Value value;
    value.excludes = spelled.starts_with('!');
    spelled.remove_prefix(value.excludes ? 1 : 0);
    bool const is_class =
        name == "status" && spelled.size() == 3 && is_ascii_digit(spelled[0]) && equals_lower(spelled.substr(1), "xx");
    auto read = is_class ? std::pair(std::string(1, spelled[0]), true) : unescape(spelled);
    if (!read)
        return refuse("write \\\\ for a backslash at the end");
    value.text = std::move(read->first);
    value.is_beginning = read->second;
    if (auto const why = misfit(*dimension, value.text, value.is_beginning); !why.empty())
        return refuse(why);
    if (name == "country")
        std::transform(value.text.begin(), value.text.end(), value.text.begin(),
                       [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (name == "referrer")
        std::transform(value.text.begin(), value.text.end(), value.text.begin(), ascii_lower);

    std::size_t count = 0;
    for (auto const& values : values_)
        count += values.size();
    if (count == most_values)
        return refuse("give at most 64 values in all");
    auto& values = values_[static_cast<std::size_t>(dimension - all_dimensions.begin())];
    auto const order = [](Value const& a, Value const& b) {
        return std::tie(a.text, a.is_beginning, a.excludes) < std::tie(b.text, b.is_beginning, b.excludes);
    };
    auto const place = std::lower_bound(values.begin(), values.end(), value, order);
    if (place == values.end() || *place != value)
        values.insert(place, std::move(value));
    return {};
}

auto Analytics_Filter::empty() const noexcept -> bool {
    return std::all_of(values_.begin(), values_.end(), [](Values const& values) { return values.empty(); });
}

auto Analytics_Filter::canonical() const -> std::string {
    std::string out = "{";
    for (std::size_t i = 0; i < dimension_count; ++i) {
        if (values_[i].empty())
            continue;
        out.append(out.size() > 1 ? ",\"" : "\"").append(all_dimensions[i].name).append("\":[");
        for (auto const& value : values_[i]) {
            auto spelled = std::string(value.excludes ? "!" : "").append(escape(value.text));
            if (value.is_beginning)
                spelled += all_dimensions[i].text == nullptr ? "xx" : "*";
            if (out.back() != '[')
                out += ',';
            append_json_string(out, spelled);
        }
        out += ']';
    }
    return out += '}';
}

auto Analytics_Filter::lets_pass(Values const& values, std::string_view found) noexcept -> bool {
    bool wanted = false, wants = false;
    for (auto const& value : values) {
        bool const fits = value.is_beginning ? found.starts_with(value.text) : found == value.text;
        if (fits && value.excludes)
            return false;
        wants = wants || !value.excludes;
        wanted = wanted || fits;
    }
    return wanted || !wants;
}

auto Analytics_Filter::matches(Analytics_Record const& event) const -> bool {
    for (std::size_t i = 0; i < dimension_count; ++i) {
        if (values_[i].empty())
            continue;
        auto const text = all_dimensions[i].text;
        if (!lets_pass(values_[i], text == nullptr ? Status_Text(event.status_code).view() : event.*text))
            return false;
    }
    return true;
}

auto Analytics_Filter::matches(Raw_Event const& event) const -> bool {
    std::bitset<dimension_count> missing;
    for (std::size_t i = 0; i < dimension_count; ++i)
        missing[i] = !values_[i].empty();
    std::string unescaped;
    Json_Scanner scanner(event.json);
    for (Json_Scanner::Member member; missing.any() && scanner.next(member);) {
        for (std::size_t i = 0; i < dimension_count; ++i) {
            if (!missing[i] || all_dimensions[i].member != member.name)
                continue;
            missing.reset(i);
            if (all_dimensions[i].text == nullptr) {
                auto const status =
                    member.kind == Json_Scanner::Kind::number ? parse_json_integer(member.text) : std::nullopt;
                if (!lets_pass(values_[i], Status_Text(status.value_or(0)).view()))
                    return false;
                break;
            }
            auto found = member.kind == Json_Scanner::Kind::string ? member.text : std::string_view();
            if (member.escaped) {
                unescaped.clear();
                (void)append_unescaped(unescaped, member.text);
                found = unescaped;
            }
            if (!lets_pass(values_[i], found))
                return false;
            break;
        }
    }
    for (std::size_t i = 0; i < dimension_count; ++i)
        if (missing[i] && !lets_pass(values_[i], {}))
            return false;
    return true;
}

} // namespace memfs_cache
