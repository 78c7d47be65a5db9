// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/json_scan.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace memfs_cache {
namespace {

/// Writes members in the order of the schema; names are constants, so the comma before them, which becomes a brace in the
/// end if it is the first, the quotes and the colon are part of them. They are put together in place and given to the
/// string at once: each of its appends would ask for room anew.
class Writer {
  public:
    explicit Writer(std::string& out) : out_(out) {}

    template <std::size_t Size>
    void text(char const (&opening)[Size], std::string_view value) {
        if (value.empty())
            return;
        open(opening);
        if (value.size() + 2 > room() || !detail::copy_if_plain(at_ + 1, value)) {
            flush();
            append_json_string(out_, value);
            return;
        }
        *at_++ = '"';
        at_ += value.size();
        *at_++ = '"';
    }
    template <std::size_t Size, std::integral Number>
    void number(char const (&opening)[Size], Number value) {
        open(opening);
        at_ = std::to_chars(at_, end(), value).ptr;
    }
    /// Microseconds as milliseconds: 12345 becomes 12.345, 12000 becomes 12.
    template <std::size_t Size>
    void millis(char const (&opening)[Size], std::int64_t value_us) {
        number(opening, value_us / 1000);
        auto const fraction = static_cast<unsigned>(value_us % 1000);
        if (fraction == 0)
            return;
        for (char const c : {'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)})
            *at_++ = c;
        while (at_[-1] == '0')
            --at_;
    }
    template <std::size_t Size>
    void raw(char const (&opening)[Size], std::string_view json) {
        open(opening);
        flush();
        out_.append(json);
    }
    void close() {
        flush();
        out_[begin_] = '{';
        out_ += '}';
    }

  private:
    /// Room for a name and a number behind it.
    static constexpr std::size_t member_bytes = 64;

    static auto digit(unsigned number) noexcept -> char { return static_cast<char>('0' + number % 10); }
    [[nodiscard]] auto end() noexcept -> char* { return buffer_.data() + buffer_.size(); }
    [[nodiscard]] auto room() noexcept -> std::size_t { return static_cast<std::size_t>(end() - at_); }
    template <std::size_t Size>
    void open(char const (&opening)[Size]) {
        static_assert(Size + 25 <= member_bytes);
        if (room() < member_bytes)
            flush();
        at_ = std::copy_n(opening, Size - 1, at_);
    }
    void flush() {
        out_.append(buffer_.data(), at_);
        at_ = buffer_.data();
    }

    std::string& out_;
    std::size_t const begin_ = out_.size();
    std::array<char, 512> buffer_;
    char* at_ = buffer_.data();
};

/// Milliseconds, with or without a fraction, as whole microseconds: rounded once, here.
auto parse_millis(std::string_view text) noexcept -> std::optional<std::int64_t> {
    // As this library writes it: at most nine digits, a dot, at most three digits.
    std::int64_t whole = 0;
    std::size_t at = 0;
    for (; at < text.size() && at < 9 && is_ascii_digit(text[at]); ++at)
        whole = whole * 10 + (text[at] - '0');
    if (at > 0 && at == text.size())
        return std::min(whole * 1000, most_duration_us);
    if (at > 0 && text[at] == '.' && text.size() - at >= 2 && text.size() - at <= 4) {
        std::int64_t fraction = 0;
        auto unit = std::int64_t{1000};
        for (++at; at < text.size() && is_ascii_digit(text[at]); ++at)
            fraction += (unit /= 10) * (text[at] - '0');
        if (at == text.size())
            return std::min(whole * 1000 + fraction, most_duration_us);
    }
    double millis = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), millis);
    if (error != std::errc() || end != text.data() + text.size() || !(millis >= 0))
        return std::nullopt;
    return std::llround(std::min(millis * 1000, static_cast<double>(most_duration_us)));
}

enum class Other_Field : std::uint8_t { timestamp, status_code, duration_ms, bot, content_bytes, extra };

/// The members in the order of the schema, which is the order in which they are stored.
struct Field {
    using enum Other_Field;
    std::string_view name;
    std::string_view Analytics_Record::*text; ///< null for what is no text
    Other_Field other = timestamp;
};
constexpr std::array fields{
    Field{"event_id", &Analytics_Record::event_id},
    Field{"event_type", &Analytics_Record::event_type},
    Field{"timestamp", nullptr, Field::timestamp},
    Field{"source", &Analytics_Record::source},
    Field{"path", &Analytics_Record::path},
    Field{"method", &Analytics_Record::method},
    Field{"status_code", nullptr, Field::status_code},
    Field{"duration_ms", nullptr, Field::duration_ms},
    Field{"ip_hash", &Analytics_Record::ip_hash},
    Field{"user_agent_normalised", &Analytics_Record::user_agent_normalised},
    Field{"bot", nullptr, Field::bot},
    Field{"country", &Analytics_Record::country},
    Field{"referrer_domain", &Analytics_Record::referrer_domain},
    Field{"content_bytes", nullptr, Field::content_bytes},
    Field{"transfer_id", &Analytics_Record::transfer_id},
    Field{"token_id", &Analytics_Record::token_id},
    Field{"extra", nullptr, Field::extra},
};

/// The place of a name among the fields, looked for from `expected` on; fields.size() if it has none.
auto field_of(std::string_view name, std::size_t expected) noexcept -> std::size_t {
    for (std::size_t tried = 0; tried < fields.size(); ++tried) {
        auto const at = (expected + tried) % fields.size();
        if (fields[at].name == name)
            return at;
    }
    return fields.size();
}

} // namespace

auto Analytics_Record::visitor() const noexcept -> std::uint64_t {
    if (ip_hash.empty())
        return 0;
    auto const number = ip_hash.size() == 16 ? parse_hex(ip_hash) : std::nullopt;
    return std::max<std::uint64_t>(1, number ? *number : siphash24(Sip_Key{}, ip_hash));
}

void Analytics_Record::append_json(std::string& out) const {
    Writer writer(out);
    writer.text(R"(,"event_id":)", event_id);
    writer.text(R"(,"event_type":)", event_type);
    writer.number(R"(,"timestamp":)", to_millis(timestamp));
    writer.text(R"(,"source":)", source);
    writer.text(R"(,"path":)", path);
    writer.text(R"(,"method":)", method);
    if (status_code != 0)
        writer.number(R"(,"status_code":)", status_code);
    if (duration_us)
        writer.millis(R"(,"duration_ms":)", *duration_us);
    writer.text(R"(,"ip_hash":)", ip_hash);
    writer.text(R"(,"user_agent_normalised":)", user_agent_normalised);
    if (bot)
        writer.raw(R"(,"bot":)", "true");
    writer.text(R"(,"country":)", country);
    writer.text(R"(,"referrer_domain":)", referrer_domain);
    if (content_bytes != 0)
        writer.number(R"(,"content_bytes":)", content_bytes);
    writer.text(R"(,"transfer_id":)", transfer_id);
    writer.text(R"(,"token_id":)", token_id);
    if (!extra.empty())
        writer.raw(R"(,"extra":)", extra);
    writer.close();
}

auto Analytics_Record::read(Raw_Event const& raw) -> Result<void> {
    auto buffer = std::move(unescaped);
    *this = Analytics_Record();
    unescaped = std::move(buffer);
    unescaped.clear();

    bool has_time = false;
    bool faulty = false;
    auto const text = [&](Json_Scanner::Member const& member) -> std::string_view {
        if (member.kind != Json_Scanner::Kind::string)
            return {};
        if (!member.escaped)
            return member.text;
        unescaped.reserve(raw.json.size()); // unescaping only shortens, so the views into it stay good
        auto const begin = unescaped.size();
        faulty = !append_unescaped(unescaped, member.text) || faulty;
        return std::string_view(unescaped).substr(begin);
    };
    auto const whole = [](Json_Scanner::Member const& member) {
        return member.kind == Json_Scanner::Kind::number ? parse_json_integer(member.text) : std::nullopt;
    };
    Json_Scanner scanner(raw.json);
    std::size_t expected = 0;
    for (Json_Scanner::Member member; scanner.next(member, fields[expected].name);) {
        auto const field = member.likely ? expected : field_of(member.name, expected);
        if (field == fields.size())
            continue;
        expected = (field + 1) % fields.size();
        if (auto const place = fields[field].text; place != nullptr) {
            this->*place = text(member);
            continue;
        }
        switch (fields[field].other) {
        case Field::timestamp: {
            auto const millis = whole(member);
            has_time = millis && is_storable(from_millis(*millis));
            if (has_time)
                timestamp = from_millis(*millis);
            break;
        }
        case Field::status_code:
            if (auto const status = whole(member); status && *status > 0 && *status < 1000)
                status_code = static_cast<int>(*status);
            break;
        case Field::duration_ms:
            if (member.kind == Json_Scanner::Kind::number)
                duration_us = parse_millis(member.text);
            break;
        case Field::bot:
            bot = member.kind == Json_Scanner::Kind::boolean && member.text == "true";
            break;
        case Field::content_bytes:
            if (auto const bytes = whole(member); bytes && *bytes > 0)
                content_bytes = static_cast<std::uint64_t>(*bytes);
            break;
        case Field::extra:
            if (member.kind == Json_Scanner::Kind::nested && member.text.front() == '{')
                extra = member.text;
            break;
        }
    }
    if (!scanner.good() || faulty)
        return fail(Errc::corrupt_data, "an analytics event is not one JSON object");
    if (!has_time) {
        // Tools that store one file an event put the time into its name only.
        if (!raw.name_time)
            return fail(Errc::corrupt_data, "an analytics event has no timestamp");
        timestamp = *raw.name_time;
    }
    return {};
}

} // namespace memfs_cache
