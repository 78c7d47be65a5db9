// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/http/message.hpp>
#include <memfs_cache/http/replies.hpp>

#include <algorithm>
#include <array>
#include <exception>

namespace memfs_cache {

namespace {

auto equal_without_case(std::string_view a, std::string_view b) noexcept -> bool {
    auto const same = [](char x, char y) { return x == y || ascii_lower(x) == ascii_lower(y); };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

} // namespace

auto Headers::value(std::string_view name) const noexcept -> std::string_view {
    for (auto const& line : lines_) {
        if (equal_without_case(line.name, name))
            return line.value;
    }
    return {};
}

auto Headers::joined(std::string_view name) const -> std::string {
    std::string list;
    for (auto const& line : lines_) {
        if (equal_without_case(line.name, name))
            list.append(list.empty() ? "" : ", ").append(line.value);
    }
    return list;
}

auto Response::body_bytes() const noexcept -> std::uint64_t {
    if (auto const* const part = std::get_if<File_Part>(&body))
        return part->size_bytes;
    if (auto const* const source = std::get_if<std::unique_ptr<Body_Source>>(&body))
        return (*source)->size_bytes();
    auto const* const bytes = std::get_if<Bytes>(&body);
    return bytes != nullptr ? bytes->size() : 0;
}

auto http_date(Utc_Time time) -> std::string {
    static constexpr std::array<char const*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<char const*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    auto const civil = to_civil(time);
    std::string out(days[std::chrono::weekday(std::chrono::floor<std::chrono::days>(time)).c_encoding()]);
    out += ", ";
    append_padded(out, civil.day, 2);
    out.append(" ").append(months[civil.month - 1]).append(" ");
    append_padded(out, static_cast<std::uint64_t>(civil.year), 4);
    for (auto const& [before, number] : {std::pair(' ', civil.hour), {':', civil.minute}, {':', civil.second}}) {
        out += before;
        append_padded(out, number, 2);
    }
    return out + " GMT";
}

void say(Log const& log, std::string_view sentence) noexcept {
    try {
        if (log)
            log(sentence);
    } catch (...) { // whoever cannot be told cannot be told of that either
    }
}

auto answer_if_any(std::function<std::optional<Response>()> const& work, Log const& log) -> std::optional<Response> {
    std::string reason;
    try {
        return work();
    } catch (std::exception const& error) {
        reason = error.what();
    } catch (...) {
        reason = "an exception that is not a std::exception";
    }
    say(log, "A request handler failed: " + reason);
    return error_reply(fail(Errc::internal, {}));
}

auto answer(std::function<Response()> const& work, Log const& log) -> Response {
    return *answer_if_any([&] { return std::optional(work()); }, log);
}

} // namespace memfs_cache
