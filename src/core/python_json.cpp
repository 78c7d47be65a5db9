// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ids.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/python_json.hpp>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

namespace memfs_cache {
namespace {

constexpr std::size_t max_integer_digits = 4300;

constexpr auto is_digit(char c) noexcept -> bool { return c >= '0' && c <= '9'; }

/// Python's dict: a repeated name keeps its first place and takes its last value.
void keep_last_of_each_name(Python_Json::Object& members) {
    std::vector<std::size_t> by_name(members.size());
    std::iota(by_name.begin(), by_name.end(), std::size_t{0});
    std::sort(by_name.begin(), by_name.end(), [&](std::size_t a, std::size_t b) {
        return std::tie(members[a].first, a) < std::tie(members[b].first, b);
    });
    auto const same_name = [&](std::size_t a, std::size_t b) { return members[a].first == members[b].first; };
    if (std::adjacent_find(by_name.begin(), by_name.end(), same_name) == by_name.end())
        return;

    std::vector<bool> repeated(members.size());
    for (std::size_t i = 0; i < by_name.size();) {
        auto const first = by_name[i++];
        for (; i < by_name.size() && same_name(first, by_name[i]); ++i) {
            members[first].second = std::move(members[by_name[i]].second);
            repeated[by_name[i]] = true;
        }
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (repeated[i])
            continue;
        if (kept != i)
            members[kept] = std::move(members[i]);
        ++kept;
    }
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(kept), members.end());
}

/// Is a decimal number that no double can hold too large, rather than too small? Its first digit other than 0 stands
/// more than 300 places before or behind the point, so the sign of that place decides.
auto is_beyond_largest(std::string_view number) noexcept -> bool {
    auto const exponent_mark = number.find_first_of("eE");
    auto const mantissa = number.substr(0, exponent_mark);
    auto const point = std::min(mantissa.find('.'), mantissa.size());
    auto const first = mantissa.find_first_of("123456789");
    auto place = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
    if (exponent_mark != std::string_view::npos) {
        auto digits = number.substr(exponent_mark + 1);
        bool const negative = digits.front() == '-';
        if (!is_digit(digits.front()))
            digits.remove_prefix(1);
        std::int64_t exponent = 0;
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
        // Texts are far shorter than this, so no mantissa can outweigh it, and adding the two cannot overflow.
        constexpr auto enormous = std::numeric_limits<std::int64_t>::max() / 2;
        if (error == std::errc::result_out_of_range || exponent > enormous)
            exponent = enormous;
        place += negative ? -exponent : exponent;
    }
    return place > 0;
}

/// The double nearest to a number in JSON's form; beyond the range it is an infinity or zero, as in Python.
auto nearest_double(std::string_view number) noexcept -> double {
    double value = 0;
    auto const [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc{})
        return value;
    bool const negative = number.front() == '-';
    if (negative)
        number.remove_prefix(1);
    auto const magnitude = is_beyond_largest(number) ? std::numeric_limits<double>::infinity() : 0.0;
    return negative ? -magnitude : magnitude;
}

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    auto document() -> Result<Python_Json> {
        if (text_.starts_with("\xef\xbb\xbf"))
            return fail_here("no byte order mark");
        skip_blanks();
        auto result = value();
        if (!result)
            return result;
        skip_blanks();
        if (at_ < text_.size())
            return fail_here("the end of the text");
        return result;
    }

  private:
    auto value() -> Result<Python_Json> {
        if (take('{'))
            return nested(&Parser::object);
        if (take('['))
            return nested(&Parser::array);
        if (take('"'))
            return string_value();
        if (take("null"))
            return Python_Json();
        if (take("true"))
            return Python_Json(true);
        if (take("false"))
            return Python_Json(false);
        if (take("NaN"))
            return Python_Json(std::numeric_limits<double>::quiet_NaN());
        if (take("Infinity"))
            return Python_Json(std::numeric_limits<double>::infinity());
        if (take("-Infinity"))
            return Python_Json(-std::numeric_limits<double>::infinity());
        return number();
    }

    auto nested(auto(Parser::*container)()->Result<Python_Json>) -> Result<Python_Json> {
        if (depth_ == Python_Json::max_depth)
            return fail_here("at most 500 arrays and objects within each other");
        ++depth_;
        auto result = (this->*container)();
        --depth_;
        return result;
    }

    auto object() -> Result<Python_Json> {
        Python_Json::Object members;
        skip_blanks();
        if (take('}'))
            return Python_Json(std::move(members));
        do {
            skip_blanks();
            if (!take('"'))
                return fail_here("a name in double quotes");
            auto name = string();
            if (!name)
                return name.error();
            skip_blanks();
            if (!take(':'))
                return fail_here("':'");
            skip_blanks();
            auto member = value();
            if (!member)
                return member;
            members.emplace_back(*std::move(name), *std::move(member));
            skip_blanks();
        } while (take(','));
        if (!take('}'))
            return fail_here("',' or '}'");
        return Python_Json(std::move(members));
    }

    auto array() -> Result<Python_Json> {
        Python_Json::Array items;
        skip_blanks();
        if (take(']'))
            return Python_Json(std::move(items));
        do {
            skip_blanks();
            auto item = value();
            if (!item)
                return item;
            items.push_back(*std::move(item));
            skip_blanks();
        } while (take(','));
        if (!take(']'))
            return fail_here("',' or ']'");
        return Python_Json(std::move(items));
    }

    auto string_value() -> Result<Python_Json> {
        auto text = string();
        if (!text)
            return text.error();
        return Python_Json(*std::move(text));
    }

    /// The rest of a string whose opening quote is behind us.
    auto string() -> Result<std::string> {
        std::string out;
        for (;;) {
            auto const plain = detail::plain_prefix_bytes(text_.substr(at_));
            out.append(text_.substr(at_, plain));
            at_ += plain;
            if (take('"'))
                return out;
            if (take('\\')) {
                if (auto const done = escape(out); !done)
                    return done.error();
                continue;
            }
            auto const size = decode_utf8(text_.substr(at_)).size_bytes;
            if (size == 0)
                return fail_here(at_ == text_.size() ? "a closing '\"'" : "UTF-8");
            if (size == 1 && text_[at_] != '\x7f')
                return fail_here("no control character within a string; escape it");
            out.append(text_.substr(at_, size));
            at_ += size;
        }
    }

    auto escape(std::string& out) -> Result<void> {
        constexpr std::string_view short_forms = "\"\\/bfnrt";
        constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
        if (take('u'))
            return unicode_escape(out);
        auto const which = at_ < text_.size() ? short_forms.find(text_[at_]) : std::string_view::npos;
        if (which == std::string_view::npos)
            return fail_here("one of \" \\ / b f n r t u after '\\'");
        out.push_back(meanings[which]);
        ++at_;
        return {};
    }

    auto unicode_escape(std::string& out) -> Result<void> {
        auto unit = four_hex_digits();
        if (!unit)
            return unit.error();
        auto point = *unit;
        if (point >= 0xd800 && point < 0xdc00) {
            // A low surrogate right behind makes a pair. Anything else there is read as if the pair had not been tried.
            auto const behind = at_;
            if (take("\\u")) {
                auto const low = four_hex_digits();
                if (!low)
                    return low.error();
                if (*low >= 0xdc00 && *low < 0xe000)
                    point = 0x10000 + ((point - 0xd800) << 10) + (*low - 0xdc00);
                else
                    at_ = behind;
            }
        }
        append_utf8(out, point);
        return {};
    }

    auto four_hex_digits() -> Result<char32_t> {
        auto const digits = text_.substr(at_, 4);
        std::uint32_t unit = 0;
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
        if (digits.size() < 4 || end != digits.data() + 4)
            return fail_here("four hex digits after '\\u'");
        at_ += 4;
        return static_cast<char32_t>(unit);
    }

    auto number() -> Result<Python_Json> {
        auto const start = at_;
        take('-');
        if (!take('0') && !take_digits()) {
            at_ = start;
            return fail_here("a value");
        }
        bool const fraction = take_part(".");
        bool const exponent = take_part("eE");
        auto const text = text_.substr(start, at_ - start);
        if (fraction || exponent)
            return Python_Json(nearest_double(text));
        auto integer = Python_Json::Integer::parse(text);
        if (!integer)
            return integer.error();
        return Python_Json(*std::move(integer));
    }

    /// A fraction or an exponent: its mark, for an exponent a sign, then digits. Without digits nothing is taken.
    auto take_part(std::string_view marks) -> bool {
        auto const start = at_;
        if (at_ == text_.size() || marks.find(text_[at_]) == std::string_view::npos)
            return false;
        ++at_;
        if (marks != "." && !take('-'))
            take('+');
        if (take_digits())
            return true;
        at_ = start;
        return false;
    }

    auto take_digits() -> bool {
        auto const start = at_;
        while (at_ < text_.size() && is_digit(text_[at_]))
            ++at_;
        return at_ > start;
    }

    auto take(char c) -> bool { return take(std::string_view(&c, 1)); }
    auto take(std::string_view word) -> bool {
        if (!text_.substr(at_).starts_with(word))
            return false;
        at_ += word.size();
        return true;
    }

    void skip_blanks() { at_ = std::min(text_.find_first_not_of(" \t\n\r", at_), text_.size()); }

    [[nodiscard]] auto fail_here(std::string_view expected) const -> Error {
        return fail(Errc::invalid_argument,
                    "JSON text: at byte " + std::to_string(at_) + " expected " + std::string(expected));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
};

class Renderer {
  public:
    explicit Renderer(Json_Layout layout) : layout_(layout), item_end_(layout.indent_blanks > 0 ? "," : ", ") {}
    /// In the form of JSON's standard.
    Renderer() : item_end_(","), name_end_(":"), is_standard_(true) {}

    auto operator()(Python_Json const& json) -> std::string {
        value(json);
        return std::move(out_);
    }
    /// Did the standard have a form for everything?
    [[nodiscard]] auto good() const noexcept -> bool { return good_; }

  private:
    void value(Python_Json const& json) {
        if (auto const* flag = json.get_if<bool>())
            out_ += *flag ? "true" : "false";
        else if (auto const* integer = json.get_if<Python_Json::Integer>())
            out_ += integer->str();
        else if (auto const* real = json.get_if<double>())
            number(*real);
        else if (auto const* text = json.get_if<std::string>())
            string(*text);
        else if (auto const* items = json.get_if<Python_Json::Array>())
            array(*items);
        else if (auto const* members = json.get_if<Python_Json::Object>())
            object(*members);
        else
            out_ += "null";
    }

    void number(double real) {
        good_ = good_ && std::isfinite(real);
        if (std::isnan(real))
            out_ += "NaN";
        else if (std::isinf(real))
            out_ += real < 0 ? "-Infinity" : "Infinity";
        else
            out_ += python_repr(real);
    }

    void string(std::string_view text) {
        if (!is_standard_)
            return append_ascii_json_string(out_, text);
        good_ = good_ && is_utf8(text);
        append_json_string(out_, text);
    }

    void array(Python_Json::Array const& items) {
        sequence('[', items, ']', [this](Python_Json const& item) { value(item); });
    }

    void object(Python_Json::Object const& members) {
        auto const member = [this](Python_Json::Member const& entry) {
            string(entry.first);
            out_ += name_end_;
            value(entry.second);
        };
        if (!layout_.sort_members)
            return sequence('{', members, '}', member);
        std::vector<Python_Json::Member const*> sorted;
        sorted.reserve(members.size());
        for (auto const& entry : members)
            sorted.push_back(&entry);
        // Bytes of UTF-8 compare as code points do.
        std::sort(sorted.begin(), sorted.end(), [](auto const* a, auto const* b) { return a->first < b->first; });
        sequence('{', sorted, '}', [&](Python_Json::Member const* entry) { member(*entry); });
    }

    void sequence(char open, auto const& items, char close, auto const& write_item) {
        out_.push_back(open);
        ++depth_;
        bool first = true;
        for (auto const& item : items) {
            if (!first)
                out_ += item_end_;
            first = false;
            new_line();
            write_item(item);
        }
        --depth_;
        if (!items.empty())
            new_line();
        out_.push_back(close);
    }

    void new_line() {
        if (layout_.indent_blanks == 0)
            return;
        out_.push_back('\n');
        out_.append(depth_ * layout_.indent_blanks, ' ');
    }

    Json_Layout layout_;
    std::string_view item_end_;
    std::string_view name_end_ = ": ";
    bool is_standard_ = false;
    bool good_ = true;
    std::string out_;
    std::size_t depth_ = 0;
};

} // namespace

auto Python_Json::Integer::parse(std::string_view decimal) -> Result<Integer> {
    auto digits = decimal;
    if (digits.starts_with('-'))
        digits.remove_prefix(1);
    if (digits.size() > max_integer_digits) {
        return fail(Errc::invalid_argument, "integer: more than 4300 digits; write it as a string or a float");
    }
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) {
        return fail(Errc::invalid_argument, "integer: give an optional '-' and decimal digits");
    }
    if (digits == "0")
        return Integer(Checked{}, "0");
    if (digits.front() == '0')
        return fail(Errc::invalid_argument, "integer: begins with 0; leave leading zeros out");
    return Integer(Checked{}, std::string(decimal));
}

Python_Json::Python_Json(Object members) {
    keep_last_of_each_name(members);
    value_ = std::move(members);
}

auto Python_Json::parse(std::string_view text) -> Result<Python_Json> { return Parser(text).document(); }

auto Python_Json::render(Json_Layout layout) const -> std::string { return Renderer(layout)(*this); }

auto Python_Json::standard_text() const -> Result<std::string> {
    Renderer renderer;
    auto text = renderer(*this);
    if (!renderer.good())
        return fail(Errc::invalid_argument, "JSON has no form for NaN, infinities and unpaired surrogates");
    return text;
}

auto Python_Json::find(std::string_view name) const noexcept -> Python_Json const* {
    auto const* members = get_if<Object>();
    if (members == nullptr)
        return nullptr;
    auto const found = std::find_if(members->begin(), members->end(), [&](auto const& m) { return m.first == name; });
    return found == members->end() ? nullptr : &found->second;
}

auto operator==(Python_Json const& left, Python_Json const& right) -> bool {
    if (auto const* a = left.get_if<double>(), *b = right.get_if<double>(); a != nullptr && b != nullptr) {
        return (std::isnan(*a) && std::isnan(*b)) ||
               std::bit_cast<std::uint64_t>(*a) == std::bit_cast<std::uint64_t>(*b);
    }
    return left.value_ == right.value_;
}

auto python_repr(double number) -> std::string {
    if (std::isnan(number))
        return "nan";
    if (std::isinf(number))
        return number < 0 ? "-inf" : "inf";

    char buffer[32];
    auto const end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
    std::string_view const text(buffer, static_cast<std::size_t>(end - buffer));
    auto const mark = text.find('e');
    int exponent = 0;
    // from_chars knows no '+'
    std::from_chars(buffer + mark + (text[mark + 1] == '+' ? 2 : 1), end, exponent);
    if (exponent < -4 || exponent >= 16)
        return std::string(text); // `1.5e-10`, `1e+16`: already Python's form

    bool const negative = text.front() == '-';
    std::string digits;
    for (char const c : text.substr(0, mark)) {
        if (is_digit(c))
            digits.push_back(c);
    }
    if (exponent < 0) {
        digits.insert(0, static_cast<std::size_t>(-exponent), '0');
        exponent = 0;
    }
    auto const whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole)
        digits.resize(whole + 1, '0');
    digits.insert(whole, 1, '.');
    if (negative)
        digits.insert(0, 1, '-');
    return digits;
}

} // namespace memfs_cache
